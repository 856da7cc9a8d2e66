import Base
import Metering

extension AdminHandler {
    /// `?from=&to=&by=`: which usage of a tenant is asked for, or why that can't be understood.
    func usageQuery(_ request: AdminRequest, of tenant: String) -> Result<UsageQuery, QueryFault> {
        var query = UsageQuery(tenant: tenant)
        guard let text = request.query, !text.isEmpty else { return .success(query) }
        guard let parameters = QueryParameters(text) else { return .failure(QueryFault("The query is malformed.")) }
        for (name, value) in parameters.pairs {
            switch name {
            case "from", "to":
                guard let time = Timestamp.parse(value) else {
                    return .failure(QueryFault("\(name) is 2026-11, 2026-11-23 or 2026-11-23T12:00:00Z."))
                }
                if name == "from" { query.from = time } else { query.to = time }
            case "by":
                guard let period = Period(rawValue: value) else {
                    return .failure(QueryFault("by is hour, day or month."))
                }
                query.by = period
            case "coarse":
                guard value == "true" || value == "false" else {
                    return .failure(QueryFault("coarse is true or false."))
                }
                query.acceptsCoarse = value == "true"
            default: return .failure(QueryFault("The parameters are from, to, by and coarse."))
            }
        }
        if let from = query.from, let to = query.to, to <= from {
            return .failure(QueryFault("to is not after from."))
        }
        return .success(query)
    }

    struct QueryFault: Error {
        var detail: String
        init(_ detail: String) { self.detail = detail }
    }

    func response(to answer: UsageAnswer, of tenant: String) -> AdminResponse {
        switch answer {
        case .rows(let json, let isEmpty):
            var none = JSONWriter()
            // What a tenant that is configured no more has used stays to be read.
            if isEmpty, !services.tenant(tenant, &none) { return problem(.notFound) }
            return AdminResponse(200, contentType: "application/json", json)
        case .tooCoarse(let detail): return problem(.tooCoarse, detail: detail)
        case .failed(let detail): return problem(.ledgerUnreadable, detail: detail)
        case .busy: return problem(.busy, fields: [("Retry-After", "1")])
        }
    }
}
