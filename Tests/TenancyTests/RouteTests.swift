import Base
import Configuration
import HTTP
import Testing

@testable import Tenancy

/// Routes of one tenant by name, and the one that a request finds.
private struct Found {
    let directory: Directory

    init(_ routes: [RouteSettings], only: Bool = false) {
        var tenant = TenantSettings(id: "acme", location: Location(file: 0, line: 1, column: 1))
        tenant.hosts = ["acme.test"]
        tenant.upstream = 0
        tenant.routes = routes
        tenant.routesOnly = only
        directory = Directory([tenant]) { template, _ in template }
    }

    /// Its name, "rest" for what no route is about, nil for nothing.
    func callAsFunction(_ target: String, _ method: String = "GET", _ fields: String = "") -> String? {
        var head = RequestHead(maxFields: 20)
        let text = Array("\(method) \(target) HTTP/1.1\r\nHost: acme.test\r\n\(fields)\r\n".utf8)
        return text.withUnsafeBytes { bytes in
            var scanned = 0
            #expect(head.parse(bytes, from: &scanned, limits: ParseLimits(maxHeadSize: 8192, maxFields: 20)) == .complete)
            let tenant = directory.tenants[0]
            guard let route = tenant.route(for: head[head.path], of: head) else { return nil }
            return route.number.map { tenant.settings.routes[$0].name } ?? "rest"
        }
    }
}

private func route(
    _ path: String, exact: Bool = false, _ source: RouteSettings.Source = .tenant, methods: [String] = [],
    headers: [(String, String?)] = [], query: [(String, String?)] = []
) -> RouteSettings {
    var route = RouteSettings(path: path, location: Location(file: 0, line: 1, column: 1))
    (route.isExact, route.source) = (exact, source)
    route.conditions.methods = methods
    route.conditions.headers = headers.map { .init(name: $0.0, value: $0.1) }
    route.conditions.query = query.map { .init(name: $0.0, value: $0.1) }
    return route
}

@Suite("Routes")
struct RouteTests {
    @Test("a prefix matches at a segment's end, the longest first")
    func prefixes() {
        let found = Found([route("/orders"), route("/orders/eu/"), route("/a/b/c")])
        for (path, name) in [
            ("/", "rest"), ("/orders", "/orders"), ("/orders/", "/orders"), ("/orders/1", "/orders"), ("/ordersx", "rest"),
            ("/order", "rest"), ("/orders/eu", "/orders/eu/"), ("/orders/eu/", "/orders/eu/"), ("/orders/eux", "/orders"),
            ("/orders/eu/1/2/3/4/5/6", "/orders/eu/"), ("/a/b", "rest"), ("/a/b/c?x", "/a/b/c"), ("/a/b/c/d", "/a/b/c"),
            ("//orders", "rest"), ("/x/orders", "rest"), ("/Orders", "rest"),
        ] { #expect(found(path) == name, "\(path)") }
    }

    @Test("an exact path comes first, and is just that path")
    func exact() {
        let found = Found([route("/status"), route("/status", exact: true), route("/slash/", exact: true), route("/", exact: true)])
        for (path, name) in [
            ("/status", "= /status"), ("/status?a=b", "= /status"), ("/status/", "/status"), ("/status/x", "/status"),
            ("/slash/", "= /slash/"), ("/slash", "rest"), ("/slash/x", "rest"), ("/", "= /"), ("/x", "rest"),
        ] { #expect(found(path) == name, "\(path)") }
    }

    @Test("all conditions hold, those with more of them are asked first, and what is refused falls to a shorter path")
    func conditions() {
        let found = Found([
            route("/v1", methods: ["GET", "HEAD"]), route("/v1", methods: ["GET"], headers: [("x-beta", "yes")]),
            route("/v1/orders", methods: ["POST"]), route("/v1", headers: [("x-any", nil)]),
            route("/v1", query: [("preview", nil)]), route("/v1", query: [("mode", "a b")]),
        ])
        #expect(found("/v1") == "/v1 method=GET,HEAD")
        #expect(found("/v1", "HEAD") == "/v1 method=GET,HEAD")
        #expect(found("/v1", "PUT") == "rest")
        #expect(found("/v1", "get") == "rest")
        #expect(found("/v1", "GET", "X-Beta: yes\r\n") == "/v1 method=GET header=x-beta:yes")
        #expect(found("/v1", "GET", "X_Beta: no\r\nX_BETA: yes\r\n") == "/v1 method=GET header=x-beta:yes")
        #expect(found("/v1", "GET", "X-Beta: Yes\r\n") == "/v1 method=GET,HEAD")
        #expect(found("/v1/orders", "POST") == "/v1/orders method=POST")
        #expect(found("/v1/orders") == "/v1 method=GET,HEAD")
        #expect(found("/v1", "PUT", "X-Any: \r\n") == "/v1 header=x-any")
        for query in ["preview", "preview=", "preview=1", "a=b&preview", "p%72eview&x", "a=%zz&%70review=1"] {
            #expect(found("/v1?" + query, "PUT") == "/v1 query=preview", "\(query)")
        }
        for query in ["", "Preview", "previews", "a=preview", "preview%", "&", "=preview", "a;preview"] {
            #expect(found("/v1?" + query, "PUT") == "rest", "\(query)")
        }
        for query in ["mode=a+b", "mode=a%20b", "mode=x&mode=a+b"] { #expect(found("/v1?" + query, "PUT") == "/v1 query=mode:a b") }
        for query in ["mode=a", "mode", "mode=a+bc", "mode=a%2Bb"] { #expect(found("/v1?" + query, "PUT") == "rest") }
    }

    @Test("a tenant's come before its plan's, those before the ones of `defaults`, however long their paths are")
    func sources() {
        let found = Found([
            route("/a", methods: ["GET"]), route("/a/b", .plan), route("/p", .plan), route("/a/b/c", .defaults), route("/", .defaults),
        ])
        #expect(found("/a/b/c") == "/a method=GET")
        #expect(found("/a/b/c", "PUT") == "/a/b")
        #expect(found("/p") == "/p")
        #expect(found("/q") == "/")
    }

    @Test("with `routes only` the rest is not there")
    func only() {
        let found = Found([route("/a")], only: true)
        #expect(found("/a") == "/a")
        #expect(found("/b") == nil)
    }

    @Test("a table finds what a list would, for random routes and paths")
    func random() {
        var random = SystemRandomNumberGenerator()
        func path(_ most: Int) -> String {
            (0..<Int.random(in: 0...most, using: &random)).map { _ in "/" + ["a", "b", "ab", ""].randomElement(using: &random)! }.joined()
        }
        for _ in 0..<300 {
            var routes: [RouteSettings] = []
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let one = route("/" + path(4).dropFirst(), exact: Bool.random(using: &random))
                if !routes.contains(where: { $0.isExact == one.isExact && $0.prefix == one.prefix && (!one.isExact || $0.path == one.path) }) {
                    routes.append(one)
                }
            }
            let found = Found(routes)
            for _ in 0..<20 {
                let asked = "/" + path(6).dropFirst()
                let matching = routes.filter {
                    $0.isExact ? $0.path == asked : asked == $0.prefix || asked.hasPrefix($0.prefix + "/")
                }
                let best = matching.first { $0.isExact } ?? matching.max { $0.prefix.count < $1.prefix.count }
                #expect(found(asked) == best?.name ?? "rest", "\(asked) of \(routes.map(\.name))")
            }
        }
    }

    @Test("names among grants")
    func grants() {
        func has(_ list: String, _ name: String) -> Bool {
            Array(list.utf8).withUnsafeBytes { list in Array(name.utf8).withUnsafeBytes { Grants.names(list, contain: $0) } }
        }
        for name in ["a", "bc", "d"] { #expect(has("a,bc,d", name)) }
        for name in ["b", "c", "a,bc", "", "bcd"] { #expect(!has("a,bc,d", name)) }
        #expect(!has("", "a"))
    }
}
