import Configuration

/// Configuration for what people do with a gateway every day: each a whole file to begin with, or to take a part of.
struct Recipe: Sendable {
    let name: String
    /// One line.
    let summary: String
    let text: String

    static let all: [Recipe] = [
        Recipe(
            name: "https", summary: "send everybody who comes by plain HTTP to https",
            text: """
                # Every request on port 80 is answered with 308 and the same URL on https.
                listen 80 {
                    redirect https;
                }
                listen 443 tls {
                    certificate Certs/gateway.crt Certs/gateway.key;
                }
                upstream app { server 127.0.0.1:9101; }
                tenant acme {
                    host     acme.example.com;
                    upstream app;
                }
                """),
        Recipe(
            name: "www", summary: "one name for a site: www.example.com goes to example.com",
            text: """
                # A host belongs to one tenant, so the other name is one that only redirects.
                listen 8080;
                upstream app { server 127.0.0.1:9101; }
                tenant site {
                    host     example.com;
                    upstream app;
                }
                tenant site-www {
                    host     www.example.com;
                    routes   only;
                    # The path as it was asked for; with a query, its `?` comes along.
                    route /  { redirect https://example.com{path}?{query} 308; }
                }
                """),
        Recipe(
            name: "strip-prefix", summary: "serve an application below a path that it knows nothing of",
            text: """
                # /shop/cart?x=1 reaches the shop as /cart?x=1, /shop as /.
                listen 8080;
                upstream site { server 127.0.0.1:9101; }
                upstream shop { server 127.0.0.1:9102; }
                tenant acme {
                    host     acme.example.com;
                    upstream site;
                    route /shop { upstream shop; rewrite /; }
                }
                """),
        Recipe(
            name: "canary", summary: "a new version for 5 % of the clients, and back",
            text: """
                # The same client stays on its side, over reloads too. More: raise the share, who is there stays there.
                # Back: remove the line, and `gateway reload`.
                listen 8080;
                upstream app    { server 127.0.0.1:9101; }
                upstream canary { server 127.0.0.1:9102; }
                tenant acme {
                    host     acme.example.com;
                    upstream app;
                    route /  { split canary 5% by=client; }
                    # Whoever asks for it gets it.
                    route / header=X-Canary:yes { upstream canary; }
                }
                """),
        Recipe(
            name: "block", summary: "keep a range of addresses out, and an office in",
            text: """
                # The first that matches holds. Behind a proxy, `trusted_proxies` says whose word about the address is believed.
                listen 8080;
                upstream app { server 127.0.0.1:9101; }
                tenant acme {
                    host     acme.example.com;
                    upstream app;
                    route /admin {
                        allow 198.51.100.0/24 2001:db8:7::/48;
                        deny  all;
                    }
                }
                """),
        Recipe(
            name: "maintenance", summary: "a page for one tenant while its service is being worked on",
            text: """
                # Its health checks and its other tenants go on. Over: remove the line, and `gateway reload`.
                listen 8080;
                upstream app { server 127.0.0.1:9101; }
                tenant acme {
                    host     acme.example.com;
                    upstream app;
                    route /  { respond 503 text/plain "We are back at 18:00 UTC.\\n"; response_header Retry-After "3600"; }
                }
                """),
        Recipe(
            name: "cors", summary: "an API for a single-page application of another origin, with credentials",
            text: """
                # Preflights are answered here, before credentials, and count against no limit of the tenant.
                # By https: browsers keep no Secure cookies of anything else, and send no others to another origin.
                listen 443 tls {
                    certificate Certs/gateway.crt Certs/gateway.key;
                }
                upstream app { server 127.0.0.1:9101; }
                tenant acme {
                    host     api.example.com;
                    upstream app;
                    cors     origins=https://app.example.com methods=GET,POST,DELETE headers=Authorization,Content-Type
                             expose=X-Request-Id credentials=on max_age=10m;
                }
                """),
        Recipe(
            name: "read-only-keys", summary: "API keys that may read, and others that may write",
            text: """
                # `gateway key create acme` makes a key and prints its line; roles= is added to it.
                listen 8080;
                upstream app { server 127.0.0.1:9101; }
                tenant acme {
                    host         acme.example.com;
                    upstream     app;
                    authenticate api_key;
                    key sha256:1111111111111111111111111111111111111111111111111111111111111111 name=dashboard roles=reader;
                    key sha256:2222222222222222222222222222222222222222222222222222222222222222 name=backend   roles=reader,writer;
                    route / method=GET,HEAD { require role=reader; }
                    route /                 { require role=writer; }
                }
                """),
        Recipe(
            name: "policy", summary: "another service decides who may do what",
            text: """
                # It is asked by GET with the client's fields, X-Original-Method and X-Original-URI. 2xx lets the request pass, 401 and
                # 403 are the client's answer. While it does not answer nobody passes; `on_error=allow` would let everybody.
                listen 8080;
                upstream app { server 127.0.0.1:9101; }
                tenant acme {
                    host     acme.example.com;
                    upstream app;
                    route / {
                        authorize http://127.0.0.1:9102/check timeout=200ms cache=10s {
                            # The application believes it: from a client it never arrives.
                            request_header X-User;
                        }
                    }
                    route = /healthz { respond 200 text/plain "ok\\n"; }
                }
                """),
        Recipe(
            name: "mirror", summary: "copies of real requests for a staging service",
            text: """
                # Copies have X-Mirror: 1 and the same X-Request-Id. Whatever becomes of them, clients notice nothing of it, and
                # gateway_mirrored_total tells.
                listen 8080;
                upstream app     { server 127.0.0.1:9101; }
                upstream staging { server 127.0.0.1:9102; response_timeout 5s; }
                tenant acme {
                    host     acme.example.com;
                    upstream app;
                    route /  { mirror staging 10%; mirror_body 64k; }
                }
                """),
    ]
}

/// `gateway recipes`: configuration that one can paste.
enum RecipesCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        guard let name = arguments.words.first else {
            let width = Recipe.all.map(\.name.count).max()! + 2
            for recipe in Recipe.all {
                Console.out(recipe.name + String(repeating: " ", count: width - recipe.name.count) + recipe.summary)
            }
            return 0
        }
        guard let recipe = Recipe.all.first(where: { $0.name == name }) else {
            let near = Suggestion.nearest(to: name, among: Recipe.all.map(\.name))
            throw Command.Failure(text: "gateway: no recipe `\(name)`" + (near.map { " (did you mean `\($0)`?)" } ?? ""))
        }
        Console.out(recipe.text)
        return 0
    }
}
