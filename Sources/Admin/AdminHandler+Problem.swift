import Base

/// What the admin API refuses, and how (RFC 9457).
enum AdminProblem {
    case badRequest
    case credentialsRequired
    case credentialsInvalid
    case misdirected
    case notFound
    case methodNotAllowed
    case reloadRejected
    case upgradeRejected
    case notReady
    case ledgerUnreadable
    case tooCoarse
    case busy

    var status: Int {
        switch self {
        case .badRequest: 400
        case .credentialsRequired, .credentialsInvalid: 401
        case .notFound: 404
        case .misdirected: 421
        case .methodNotAllowed: 405
        case .reloadRejected, .upgradeRejected, .tooCoarse: 422
        case .ledgerUnreadable: 500
        case .notReady, .busy: 503
        }
    }

    /// The end of the type.
    var name: String {
        switch self {
        case .badRequest: "bad-request"
        case .credentialsRequired: "credentials-required"
        case .credentialsInvalid: "credentials-invalid"
        case .misdirected: "misdirected"
        case .notFound: "not-found"
        case .methodNotAllowed: "method-not-allowed"
        case .reloadRejected: "reload-rejected"
        case .upgradeRejected: "upgrade-rejected"
        case .notReady: "not-ready"
        case .ledgerUnreadable: "ledger-unreadable"
        case .tooCoarse: "too-coarse"
        case .busy: "busy"
        }
    }

    var title: String {
        switch self {
        case .badRequest: "Bad request"
        case .credentialsRequired: "Credentials required"
        case .credentialsInvalid: "Credentials invalid"
        case .misdirected: "Misdirected"
        case .notFound: "Not found"
        case .methodNotAllowed: "Method not allowed"
        case .reloadRejected: "Reload rejected"
        case .upgradeRejected: "Upgrade rejected"
        case .notReady: "Not ready"
        case .ledgerUnreadable: "Ledger unreadable"
        case .tooCoarse: "Nothing as fine is kept"
        case .busy: "Busy"
        }
    }

    var detail: String {
        switch self {
        case .badRequest: "The request cannot be understood."
        case .credentialsRequired: "The token in the file admin.token is wanted as a bearer token."
        case .credentialsInvalid: "The bearer token is not the one in the file admin.token."
        case .misdirected: "The admin listener has no such name. Names of its own are given by `admin ADDRESS host=NAME`."
        case .notFound: "There is nothing here."
        case .methodNotAllowed: "The field Allow names the methods that this resource has."
        case .reloadRejected: "The configuration has errors. The one before goes on."
        case .upgradeRejected: "No other process has taken over. The one that runs goes on."
        case .notReady: "The gateway is starting or draining."
        case .ledgerUnreadable: "The ledger can't be read."
        case .tooCoarse: "Usage of that time is kept in coarser sums only."
        case .busy: "Others are reading the ledger."
        }
    }
}

extension AdminHandler {
    func problem(
        _ problem: AdminProblem, detail: String? = nil, fields: [(name: String, value: String)] = [],
        more: (inout JSONWriter) -> Void = { _ in }
    ) -> AdminResponse {
        var json = JSONWriter()
        json.object { json in
            json.member("type", services.problemBase() + problem.name)
            json.member("title", problem.title)
            json.member("status", problem.status)
            json.member("detail", detail ?? problem.detail)
            more(&json)
        }
        return AdminResponse(problem.status, contentType: "application/problem+json", json.bytes, fields: fields)
    }
}
