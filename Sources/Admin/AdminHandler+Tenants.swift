import Base

/// Tenants come in pages: a hundred thousand of them may not become one answer.
extension AdminHandler {
    static let pageSize = 100
    static let pageSizeMax = 1000

    /// `?limit=N&after=ID`: the first N tenants whose id is greater than ID, and where to go on.
    func tenants(_ request: AdminRequest) -> AdminResponse {
        var limit = Self.pageSize
        var after: String?
        if let query = request.query, !query.isEmpty {
            guard let parameters = QueryParameters(query) else {
                return problem(.badRequest, detail: "The query is malformed.")
            }
            for (name, value) in parameters.pairs {
                switch name {
                case "limit":
                    var digits = value
                    guard let number = digits.withUTF8({ ASCII.decimal(UnsafeRawBufferPointer($0)) }), number > 0,
                        number <= UInt64(Self.pageSizeMax)
                    else { return problem(.badRequest, detail: "limit is a number from 1 to \(Self.pageSizeMax).") }
                    limit = Int(number)
                case "after": after = value
                default: return problem(.badRequest, detail: "The parameters are limit and after.")
                }
            }
        }
        let ids = services.tenants()
        let start = after.map { Self.place(after: $0, in: ids) } ?? 0
        let page = ids[start..<min(ids.count, start + limit)]
        return .json { json in
            json.object { json in
                json.member("tenants") { json in
                    json.array { json in for id in page { _ = services.tenant(id, &json) } }
                }
                json.member("next", page.endIndex < ids.count ? page.last : nil)
            }
        }
    }

    func tenant(_ id: String) -> AdminResponse {
        var json = JSONWriter()
        guard services.tenant(id, &json) else { return problem(.notFound) }
        return AdminResponse(200, contentType: "application/json", json.bytes)
    }

    /// The index of the first id greater than `id`.
    private static func place(after id: String, in ids: [String]) -> Int {
        var (low, high) = (0, ids.count)
        while low < high {
            let middle = (low + high) / 2
            if ids[middle] > id { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
