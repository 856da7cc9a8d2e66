import Base

/// Where a route's requests go, and under which name.
extension Builder {
    func takeWay(_ items: [Checked], _ route: inout RouteSettings) {
        var key: WaySettings.Key?
        for item in items {
            switch (item.id, item.values.first) {
            case (.split, .text(let name)):
                guard let index = upstream(item.words[0]), case .number(let share) = item.values[1] else { continue }
                let own = splitKey(item)
                if let key, key != own {
                    diagnostics.error(at: item.words[0], "every `split` of a route goes by the same: the first one has another `by=`")
                }
                key = own
                route.way.splits.append(.init(upstream: name, share: UInt8(share)))
                route.splits.append(index)
                let sum = route.way.splits.reduce(0) { $0 + Int($1.share) }
                if sum > 100 { diagnostics.error(at: item.words[1], "more than all is split away: \(sum)% together") }
            case (.rewrite, .text(let path)):
                if path == "=" { diagnostics.error(at: item.words[0], "leave out the `=`") }
                route.way.rewrite = path
            case (.rewriteHost, .text(let host)): route.way.host = host
            default: break
            }
        }
        route.way.key = key ?? .client
    }

    private func splitKey(_ item: Checked) -> WaySettings.Key {
        guard case .text(let text)? = item.option("by") else { return .client }
        switch text {
        case "key": return .key
        case "tenant": return .tenant
        case "request": return .request
        case "client": return .client
        default: return .header(String(text.dropFirst(7)))
        }
    }
}
