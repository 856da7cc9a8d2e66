import Base
import Foundation
import Testing

@testable import Admin

@Suite("the admin API")
struct AdminHandlerTests {
    private static let token = "0123456789abcdef"

    private func services() -> AdminServices {
        let ids = (0..<250).map { String(format: "tenant-%03d", $0) }
        return AdminServices(
            isReady: { true },
            hosts: { ["gateway.internal"] },
            metrics: { accept, done in done("text/plain; for=\(accept ?? "nobody")", Array("metrics\n".utf8)) },
            tenants: { ids },
            tenant: { id, json in
                guard ids.contains(id) || id == "a/b \"é" else { return false }
                json.object { $0.member("id", id) }
                return true
            },
            reload: { $0(.applied(ReloadChange(added: ["a"], removed: ["b\n"], changed: []))) },
            usage: { query, done in
                if query.tenant == "removed" {
                    return done(.rows(json: Array("[{}]".utf8), isEmpty: false))
                }
                if query.tenant == "tenant-008" { return done(.failed("The disk is gone.")) }
                let asked = "[\"\(query.from ?? 0) \(query.to ?? 0) \(query.by?.rawValue ?? "-")\"]"
                done(.rows(json: Array(asked.utf8), isEmpty: true))
            },
            token: { Array(Self.token.utf8) })
    }

    private func answer(
        _ target: String, method: String = "GET", host: String = "localhost", authorized: Bool = true,
        fields: [(String, String)] = [],
        services: AdminServices? = nil
    ) -> AdminResponse {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let credentials = authorized ? [("Authorization", "Bearer " + Self.token)] : []
        let request = AdminRequest(
            method: method, path: parts[0], query: parts.count > 1 ? parts[1] : nil, host: host,
            fields: credentials + fields)
        var answers: [AdminResponse] = []
        AdminHandler(services ?? self.services()).respond(to: request) { answers.append($0) }
        #expect(answers.count == 1)
        return answers[0]
    }

    private func json(_ response: AdminResponse) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any])
    }

    private func field(_ response: AdminResponse, _ name: String) -> String? {
        response.fields.first { $0.name == name }?.value
    }

    /// That it is a problem of `name`, whole.
    private func expectProblem(_ response: AdminResponse, _ status: Int, _ name: String) throws {
        #expect(response.status == status)
        #expect(field(response, "Content-Type") == "application/problem+json")
        let object = try json(response)
        #expect(object["type"] as? String == "https://gateway.invalid/problems/" + name)
        #expect(object["status"] as? Int == status)
        #expect(object["title"] is String && object["detail"] is String)
    }

    @Test("health and metrics need no token")
    func open() {
        #expect(answer("/healthz", authorized: false).status == 200)
        #expect(answer("/readyz", authorized: false).status == 200)
        let metrics = answer("/metrics", authorized: false)
        #expect(metrics.status == 200)
        #expect(metrics.body == Array("metrics\n".utf8))
        #expect(field(metrics, "Content-Type") == "text/plain; for=nobody")
        #expect(field(metrics, "Cache-Control") == "no-store")
    }

    @Test("a name that a page may have had pointed here is not ours", arguments: ["/healthz", "/metrics", "/v1/tenants", "/nothing"])
    func hosts(_ path: String) throws {
        for host in ["localhost", "127.0.0.1", "10.1.2.3", "[::1]", "gateway.internal", "gateway.internal.", "localhost."] {
            #expect(answer(path, host: host).status != 421, "\(host)")
        }
        for host in ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "a.gateway.internal", "127.1", "1", ""] {
            try expectProblem(answer(path, host: host), 421, "misdirected")
        }
    }

    @Test("several lines of Accept are one list")
    func accept() {
        let metrics = answer("/metrics", fields: [("Accept", "a/b"), ("ACCEPT", "c/d;q=0.1")])
        #expect(field(metrics, "Content-Type") == "text/plain; for=a/b,c/d;q=0.1")
    }

    @Test("not ready is 503, and still alive")
    func notReady() throws {
        var services = services()
        services.isReady = { false }
        let ready = answer("/readyz", services: services)
        try expectProblem(ready, 503, "not-ready")
        #expect(field(ready, "Retry-After") == "1")
        #expect(answer("/healthz", services: services).status == 200)
    }

    @Test("without the token everything under /v1 is 401, whether it exists or not",
        arguments: ["/v1", "/v1/", "/v1/tenants", "/v1/tenants/tenant-000", "/v1/tenants/nobody", "/v1/reload", "/v1/upgrade", "/v1/x"])
    func tokenRequired(_ path: String) throws {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let response = answer(path, method: method, authorized: false)
            #expect(response.status == 401)
            #expect(field(response, "WWW-Authenticate") == "Bearer realm=\"gateway admin\"")
        }
        try expectProblem(answer(path, authorized: false), 401, "credentials-required")
    }

    @Test(
        "anything but the one token is refused",
        arguments: [
            "", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Bearer 0123456789abcdeF",
            "Bearer 1123456789abcdef", "Basic 0123456789abcdef", "0123456789abcdef", "Bearer 0123456789abcdef x",
            "Bearer0123456789abcdef", "Bearer 0123456789abcdef0123456789abcdef", "Bearer\t0123456789abcdef",
        ])
    func wrongToken(_ value: String) throws {
        let response = answer("/v1/tenants", authorized: false, fields: [("Authorization", value)])
        try expectProblem(response, 401, "credentials-invalid")
        #expect(field(response, "WWW-Authenticate")?.contains("error=\"invalid_token\"") == true)
    }

    @Test("two tokens are refused, even where one or both are right")
    func twoTokens() throws {
        try expectProblem(answer("/v1/tenants", fields: [("authorization", "Bearer " + Self.token)]), 401, "credentials-invalid")
    }

    @Test("an empty token lets nobody in")
    func emptyToken() {
        var services = services()
        services.token = { [] }
        for value in ["Bearer ", "Bearer", "Bearer x"] {
            let response = answer("/v1/tenants", authorized: false, fields: [("Authorization", value)], services: services)
            #expect(response.status == 401)
        }
    }

    @Test("the scheme's case and the number of spaces do not matter")
    func scheme() {
        #expect(answer("/v1/tenants", authorized: false, fields: [("AUTHORIZATION", "bEARER   " + Self.token)]).status == 200)
    }

    @Test("pages follow each other without a gap or a repetition", arguments: [1, 7, 100, 249, 250, 1000])
    func pages(_ limit: Int) throws {
        var seen: [String] = []
        var after: String?
        repeat {
            let page = try json(answer("/v1/tenants?limit=\(limit)" + (after.map { "&after=" + $0 } ?? "")))
            let tenants = try #require(page["tenants"] as? [[String: Any]])
            #expect(tenants.count <= limit)
            seen += tenants.compactMap { $0["id"] as? String }
            after = page["next"] as? String
            #expect(page.keys.contains("next"))
        } while after != nil
        #expect(seen == services().tenants())
    }

    @Test("a page starts after an id that need not exist")
    func afterNobody() throws {
        let page = try json(answer("/v1/tenants?limit=1&after=tenant-010x"))
        #expect((page["tenants"] as? [[String: String]])?.first?["id"] == "tenant-011")
        let last = try json(answer("/v1/tenants?after=zzz"))
        #expect((last["tenants"] as? [Any])?.isEmpty == true)
        #expect(last["next"] is NSNull)
        let first = try json(answer("/v1/tenants?"))
        #expect((first["tenants"] as? [Any])?.count == 100)
    }

    @Test(
        "a query that is not exactly understood is 400",
        arguments: [
            "limit=0", "limit=1001", "limit=-1", "limit=+1", "limit=1.0", "limit=", "limit", "limit=1&limit=1", "x=1", "&",
            "=1", "after=%", "after=%4", "after=%GG", "after=%FF", "limit=99999999999999999999", "limit=1&",
        ])
    func badQuery(_ query: String) throws {
        try expectProblem(answer("/v1/tenants?" + query), 400, "bad-request")
    }

    @Test("one tenant, by its decoded id")
    func tenant() throws {
        #expect(answer("/v1/tenants/tenant-007").body == Array(#"{"id":"tenant-007"}"#.utf8))
        #expect(try json(answer("/v1/tenants/a%2Fb%20%22%c3%A9"))["id"] as? String == "a/b \"é")
    }

    @Test("a tenant's usage, by time and period")
    func usage() throws {
        let path = "/v1/tenants/tenant-007/usage"
        #expect(answer(path).body == Array("[\"0 0 -\"]".utf8))
        #expect(
            answer(path + "?from=1970-01-02&to=1970-01-02T00:00:01Z&by=day").body
                == Array("[\"86400000000000 86401000000000 day\"]".utf8))
        #expect(answer(path, method: "HEAD").body.isEmpty)
        #expect(answer("/v1/tenants/removed/usage").body == Array("[{}]".utf8))
        try expectProblem(answer("/v1/tenants/tenant-008/usage"), 500, "ledger-unreadable")
        #expect(answer(path, method: "POST").status == 405)
        for query in ["from=x", "to=2026-13", "by=week", "by=", "x=1", "from=2026-11&to=2026-11", "by=day&by=day", "%"] {
            try expectProblem(answer(path + "?" + query), 400, "bad-request")
        }
    }

    @Test(
        "what is not there is 404",
        arguments: [
            "/", "", "/v2", "/v1", "/v1/", "/v1x", "/healthz/", "/metrics/x", "/v1/tenants/", "/v1/tenants/nobody",
            "/v1/tenants/tenant-007/", "/v1/tenants/nobody/usage", "/v1/tenants//usage", "/v1/tenants/%zz", "/v1/tenants/..", "//healthz",
            "/HEALTHZ", "*",
        ])
    func notFound(_ path: String) throws {
        try expectProblem(answer(path), 404, "not-found")
    }

    @Test(
        "another method is 405 and says which there are",
        arguments: [
            ("/healthz", "POST", "GET, HEAD"), ("/readyz", "PUT", "GET, HEAD"), ("/metrics", "get", "GET, HEAD"),
            ("/v1/tenants", "DELETE", "GET, HEAD"), ("/v1/tenants/tenant-007", "PATCH", "GET, HEAD"),
            ("/v1/reload", "GET", "POST"), ("/v1/reload", "HEAD", "POST"), ("/v1/upgrade", "GET", "POST"), ("/healthz", "OPTIONS", "GET, HEAD"),
        ])
    func methods(_ path: String, _ method: String, _ allow: String) throws {
        let response = answer(path, method: method)
        #expect(response.status == 405)
        #expect(field(response, "Allow") == allow)
        if method != "HEAD" { try expectProblem(response, 405, "method-not-allowed") }
    }

    @Test("HEAD is GET without the body", arguments: ["/healthz", "/metrics", "/v1/tenants", "/v1/tenants/nobody", "/x"])
    func head(_ path: String) {
        let (get, head) = (answer(path), answer(path, method: "HEAD"))
        #expect(head.body.isEmpty && !get.body.isEmpty)
        #expect(head.status == get.status)
        #expect(head.contentLength == get.body.count)
        #expect(head.fields.map { $0.name + $0.value } == get.fields.map { $0.name + $0.value })
    }

    @Test("a reload answers what it changed")
    func reloadApplied() {
        let response = answer("/v1/reload", method: "POST")
        #expect(response.status == 200)
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == #"{"added":["a"],"removed":["b\n"],"changed":[],"settings":[],"warnings":[]}"#)
    }

    @Test("a rejected reload answers 422 with every error")
    func reloadRejected() throws {
        var services = services()
        services.reload = { $0(.rejected(errors: ["gateway.conf:3:7: error: no such plan \"gold\"", "x"])) }
        let response = answer("/v1/reload", method: "POST", services: services)
        try expectProblem(response, 422, "reload-rejected")
        #expect(try json(response)["errors"] as? [String] == ["gateway.conf:3:7: error: no such plan \"gold\"", "x"])
    }

    @Test("an upgrade answers who has taken over, or 422 with why nobody has")
    func upgrade() throws {
        var services = services()
        services.upgrade = { $0(.tookOver(pid: 12, from: 7)) }
        let response = answer("/v1/upgrade", method: "POST", services: services)
        #expect(response.status == 200)
        #expect(String(decoding: response.body, as: UTF8.self) == #"{"pid":12,"before":7}"#)
        services.upgrade = { $0(.rejected(errors: ["it ended with 1"])) }
        let refused = answer("/v1/upgrade", method: "POST", services: services)
        try expectProblem(refused, 422, "upgrade-rejected")
        #expect(try json(refused)["errors"] as? [String] == ["it ended with 1"])
    }

    @Test("a reload is answered at its end, and not begun without the token")
    func reloadLater() {
        var pending: [(ReloadOutcome) -> Void] = []
        var services = services()
        services.reload = { pending.append($0) }
        let handler = AdminHandler(services)
        var answers: [Int] = []
        handler.respond(to: AdminRequest(method: "POST", path: "/v1/reload", host: "localhost")) { answers.append($0.status) }
        #expect(answers == [401] && pending.isEmpty)
        let fields = [(name: "Authorization", value: "Bearer " + Self.token)]
        handler.respond(to: AdminRequest(method: "POST", path: "/v1/reload", host: "localhost", fields: fields)) { answers.append($0.status) }
        #expect(answers == [401] && pending.count == 1)
        // Taken out first: what waits holds the services, which hold what waits.
        pending.removeFirst()(.applied(ReloadChange()))
        #expect(answers == [401, 200])
    }
}
