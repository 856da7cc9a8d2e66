import Base

extension Directive {
    /// Routes, and what may stand in them beside limits.
    static let ofRoutes: [Directive] = [
        Directive(
            .route, "route", in: [.tenant, .plan, .defaults],
            [.one("[=] PATH", .routePath), Directive.Argument(name: "", type: .routePath, isOptional: true)],
            options: [
                .init("method", .methods), .init("header", .condition(ofField: true), repeats: true),
                .init("query", .condition(ofField: false), repeats: true),
            ], block: .route, repeats: .many, "What is different for a path and all below it, or with = for just that path.",
            details: [
                "A tenant's routes are looked at before its plan's, those before the ones of `defaults`. In each: an exact path",
                "first, then the longest one, then more conditions, then the order of the file. All conditions must hold;",
                "header=NAME and query=NAME want one of that name, whatever it says. Where query= stands, a request may have 1000",
                "parameters; others are refused with 400.",
                "Paths are compared, and go to the upstream, without dot segments and with unreserved characters decoded (RFC 3986",
                "section 6.2.2). `%2F`, `%5C`, `//` and `;` stay as they stand; what some servers would find below another route",
                "is refused.",
                "What is checked, in this order: addresses, preflights of browsers, credentials, roles and scopes, limits,",
                "faults on purpose, an outside decision, and then the rest.",
            ]),
        Directive(
            .routesOnly, "routes", in: [.tenant], [.one(.choice(["only"]))],
            "What no route is about is answered with 404 no-route."),
        Directive(
            .strictPaths, "strict_paths", in: [.plan, .defaults, .tenant], [.one(.onOff)],
            "Refuses paths with %2F, %5C or a backslash; on wherever a route has `require`, `allow` or `authorize`, unless it is said."),
        Directive(
            .allow, "allow", in: limited, [.many("ADDRESS[/PREFIX]|all", .addressBlocks)], repeats: .many,
            "Client addresses that may come: of all lines with `allow` and `deny` the first one that matches holds.",
            details: [
                "Whom no line is about may come. The nearest of route, tenant, plan and `defaults` that has such lines has all of them.",
                "The address is that of the client, as trusted_proxies tell it. Others get 403 address-denied, before their credentials",
                "are looked at, unless it is those alone that name the tenant (shared_host).",
            ]),
        Directive(
            .deny, "deny", in: limited, [.many("ADDRESS[/PREFIX]|all", .addressBlocks)], repeats: .many,
            "Client addresses that may not come; see `allow`."),
        Directive(
            .cors, "cors", in: limited, [.optional(.choice(["off"]))],
            options: [
                .init("origins", .origins), .init("methods", .browserMethods, default: "GET,HEAD,POST"),
                .init("headers", .browserFields), .init("expose", .browserFields), .init("credentials", .onOff, default: "off"),
                .init("max_age", .time(1_000_000_000...86_400_000_000_000)),
            ], "Which origins' pages may read answers in a browser; their preflights are answered here.",
            details: [
                "Preflights are answered before credentials are looked at and take nothing from limits; an address gets 200 a second.",
                "Answers and refusals have the fields for an origin that is named, and all of them `Vary: Origin`. What the upstream",
                "says of Access-Control-* is taken away. With credentials=on nothing can be `*`. On a shared_host a preflight, which has",
                "no credentials, names no tenant: there it is refused.",
            ]),
        Directive(
            .split, "split", in: [.route], [.one("NAME", .reference), .one(.percent(1...100))],
            options: [.init("by", .splitKey, default: "client")], repeats: .oncePerFirstArgument,
            "Sends a share of the requests to another upstream; the same client always to the same side.",
            details: [
                "by=client goes by the client's address, by=key by the API key or whoever the token names, by=header:NAME by a field's",
                "value; without what it goes by, key goes by the client, header by each request. A larger share keeps who is there.",
            ]),
        Directive(
            .rewrite, "rewrite", in: [.route], [.one("PATH", .routePath)],
            "What stands for the route's path towards the upstream; what comes behind it stays. Of an exact route, the whole path."),
        Directive(
            .rewriteHost, "rewrite_host", in: [.route], [.one("HOST[:PORT]", .authority)],
            "What Host says towards the upstream; X-Forwarded-Host has the client's."),
        Directive(
            .respond, "respond", in: [.route], [.one("STATUS", .count(200...599)), .optional(.mediaType), .optional(.answerText)],
            "Answers requests here, with a text or with none.",
            details: [
                "{path}, {query}, {host} and {tenant} stand for the request's: the query without its ?, the host without its port,",
                "percent-encoded as received, and so is what no URI holds. In quotes \\n, \\r, \\t, \\\", \\\\ and \\{ are escapes.",
                "204, 205 and 304 have no text. Limits hold as for what is forwarded; a body is not read.",
            ]),
        Directive(
            .redirect, "redirect", in: [.route],
            [.one("URL", .redirectTarget), .optional(.choice(["301", "302", "303", "307", "308"]))],
            "Sends clients elsewhere, with 308 unless another status is named.",
            details: [
                "A URL, or a path on the same host. {path}, {query}, {host} and {tenant} are those of `respond`; the ? in front of",
                "a {query} that is empty is left out.",
            ]),
        Directive(
            .delay, "delay", in: [.route], [.one(.time(1_000_000...60_000_000_000)), .optional(.percent(1...100))],
            "Lets requests wait on purpose, or a share of them, before anything of them is sent; `fault` in the log says so.",
            details: ["They have been let in by limits, and hold no connection to an upstream."]),
        Directive(
            .abort, "abort", in: [.route], [.one("STATUS", .count(400...599)), .optional(.percent(1...100))],
            "Refuses requests on purpose as fault-injected, or a share of them, behind `delay`; `fault` in the log says so."),
        Directive(
            .require, "require", in: [.route], options: [.init("role", .grants), .init("scope", .grants)], repeats: .many,
            "One of these roles, and each of these scopes; others are refused with 403 forbidden.",
            details: ["Roles and scopes are those of the key, the token and the client certificate that a request comes with."]),
        Directive(
            .authorize, "authorize", in: [.route], [.one(.url(["http", "https"]))],
            options: [
                .init("timeout", .time(1_000_000...60_000_000_000), default: "200ms"),
                .init("cache", .time(1_000_000...3_600_000_000_000, or: "off"), default: "off"),
                .init("on_error", .choice(["deny", "allow"]), default: "deny"),
            ], block: .authorize, blockOptional: true,
            "Asks another service whether a request may pass: GET URL with the client's fields, once the limits let it in.",
            details: [
                "2xx: it passes. 401 and 403 go to the client, with WWW-Authenticate and the content. Anything else, or nothing in time:",
                "503 authorization-unavailable, or with on_error=allow it passes. The service is told X-Original-Method, X-Original-URI",
                "and X-Tenant-Id, and what upstreams are told of the client; API keys of the gateway's own are not.",
                "cache: an answer is good for so long for whoever asks for the same in the same way: the same credentials, address,",
                "method, host, path and query, and the same other fields, but for those of tracing. Requests that wait for one answer",
                "share it. Of a tenant 256 questions may be under way in a worker, and 4096 requests wait for them: more get 503",
                "overloaded.",
                "An answer that sets a cookie at the client is not kept.",
                "A service that fails five times in a row, by 5xx or no answer, is left alone for a second, then tried by one request;",
                "longer each time.",
            ]),
        Directive(
            .decidedRequestField, "request_header", in: [.authorize], [.one("NAME", .headerName)], repeats: .oncePerFirstArgument,
            "A field of the service's answer that the upstream gets; a client's own of that name never arrives."),
        Directive(
            .decidedResponseField, "response_header", in: [.authorize], [.one("NAME", .headerName)], repeats: .oncePerFirstArgument,
            "A field of the service's answer that the client gets, in place of the upstream's; Set-Cookie beside it."),
        Directive(
            .mirror, "mirror", in: [.route], [.one("NAME", .reference), .optional(.percent(1...100))],
            "Sends a copy of the requests, or of a share of them, to another upstream as well, with X-Mirror: 1.",
            details: [
                "What is answered there is thrown away: it changes nothing, costs nothing and is not tried again. A copy is sent when",
                "all of the request has come. Of each worker 64 may be under way to an upstream; more are left out, as",
                "gateway_mirrored_total tells. Upgrades, CONNECT and calls of gRPC are not copied.",
            ]),
        Directive(
            .mirrorBody, "mirror_body", in: [.route], [.one(.size(0...Limits.mirrorBodyMax))], default: "64k",
            "Bytes of a body that go along with a copy; of a longer one the copy has none."),
    ]
}
