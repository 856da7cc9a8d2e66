import Base
import Metering

/// The admin listener's endpoints: a request in, an answer out.
public struct AdminHandler {
    let services: AdminServices

    public init(_ services: AdminServices) { self.services = services }

    /// Calls `reply` exactly once: before it returns, except for a reload, an upgrade, metrics and usage, which take their time.
    public func respond(to request: AdminRequest, reply: @escaping (AdminResponse) -> Void) {
        let isHead = request.method == "HEAD"
        switch route(request) {
        case .now(var response):
            if isHead { response.dropBody() }
            reply(response)
        case .metrics(let accept):
            services.metrics(accept) { contentType, body in
                var response = AdminResponse(200, contentType: contentType, body, fields: [("Vary", "Accept")])
                if isHead { response.dropBody() }
                reply(response)
            }
        case .reload:
            let handler = self
            services.reload { outcome in reply(handler.response(to: outcome)) }
        case .upgrade:
            let handler = self
            services.upgrade { outcome in reply(handler.response(to: outcome)) }
        case .usage(let query, let tenant):
            let handler = self
            services.usage(query) { answer in
                var response = handler.response(to: answer, of: tenant)
                if isHead { response.dropBody() }
                reply(response)
            }
        }
    }

    private enum Route {
        case now(AdminResponse)
        case metrics(accept: String?)
        case reload
        case upgrade
        case usage(UsageQuery, tenant: String)
    }

    private func route(_ request: AdminRequest) -> Route {
        guard isOurs(request.host) else { return .now(problem(.misdirected)) }
        switch request.path {
        case "/healthz": return .now(get(request) { text(200, "ok\n") })
        case "/readyz": return .now(get(request) { ready() })
        case "/metrics":
            guard isGet(request) else { return .now(notAllowed("GET, HEAD")) }
            // Several lines of a list field are one list (RFC 9110 section 5.3).
            let accept = request.values("accept")
            return .metrics(accept: accept.isEmpty ? nil : accept.joined(separator: ","))
        default: break
        }
        guard request.path == "/v1" || request.path.hasPrefix("/v1/") else { return .now(problem(.notFound)) }
        // Before anything else is said: who has no token does not learn what there is.
        if let refusal = refuse(request) { return .now(refusal) }
        switch request.path {
        case "/v1/tenants": return .now(get(request) { tenants(request) })
        case "/v1/reload":
            if request.method != "POST" { return .now(notAllowed("POST")) }
            return .reload
        case "/v1/upgrade":
            if request.method != "POST" { return .now(notAllowed("POST")) }
            return .upgrade
        default: break
        }
        let prefix = "/v1/tenants/"
        let suffix = "/usage"
        if request.path.hasPrefix(prefix), request.path.hasSuffix(suffix),
            let id = percentDecoded(request.path.dropFirst(prefix.count).dropLast(suffix.count), isPathSegment: true)
        {
            guard isGet(request) else { return .now(notAllowed("GET, HEAD")) }
            switch usageQuery(request, of: id) {
            case .success(let query): return .usage(query, tenant: id)
            case .failure(let fault): return .now(problem(.badRequest, detail: fault.detail))
            }
        }
        if request.path.hasPrefix(prefix),
            let id = percentDecoded(request.path.dropFirst(prefix.count), isPathSegment: true)
        {
            return .now(get(request) { tenant(id) })
        }
        return .now(problem(.notFound))
    }

    private func get(_ request: AdminRequest, _ answer: () -> AdminResponse) -> AdminResponse {
        isGet(request) ? answer() : notAllowed("GET, HEAD")
    }

    private func isGet(_ request: AdminRequest) -> Bool { request.method == "GET" || request.method == "HEAD" }

    private func notAllowed(_ allow: String) -> AdminResponse {
        problem(.methodNotAllowed, fields: [("Allow", allow)])
    }

    private func text(_ status: Int, _ text: String) -> AdminResponse {
        AdminResponse(status, contentType: "text/plain; charset=utf-8", Array(text.utf8))
    }

    private func ready() -> AdminResponse {
        services.isReady() ? text(200, "ready\n") : problem(.notReady, fields: [("Retry-After", "1")])
    }

    private func response(to outcome: ReloadOutcome) -> AdminResponse {
        switch outcome {
        case .applied(let change):
            return .json { json in
                json.object { json in
                    json.member("added", change.added)
                    json.member("removed", change.removed)
                    json.member("changed", change.changed)
                    json.member("settings", change.settings)
                    json.member("warnings", change.warnings)
                }
            }
        case .rejected(let errors):
            return problem(.reloadRejected) { $0.member("errors", errors) }
        }
    }

    private func response(to outcome: UpgradeOutcome) -> AdminResponse {
        switch outcome {
        case .tookOver(let pid, let before):
            return .json { json in
                json.object { json in
                    json.member("pid", Int(pid))
                    json.member("before", Int(before))
                }
            }
        case .rejected(let errors):
            return problem(.upgradeRejected) { $0.member("errors", errors) }
        }
    }
}
