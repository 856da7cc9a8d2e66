import Base
import Glibc

/// `gateway status`: the running gateway on one screen, seen through its admin listener over one second.
enum StatusCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        let client = try AdminClient(configuration: arguments.configurationPath())
        let before = try Exposition(client)
        // Nothing is waited for but time.
        poll(nil, 0, 1000)
        let after = try Exposition(client)
        let tenants = try tenants(client)
        printListeners(after)
        printTenants(tenants, before, after)
        return 0
    }

    // MARK: What is asked

    private struct Limit {
        var policy = ""
        var limit: UInt64 = 0
        var left: UInt64 = 0

        init(_ json: inout JSONReader) throws(JSONReader.Fault) {
            try json.object { name, json throws(JSONReader.Fault) in
                switch name {
                case "policy": policy = try json.string().text
                case "limit": limit = try json.unsigned()
                case "left": left = try json.unsigned()
                default: try json.skip()
                }
            }
        }
    }

    private struct Tenant {
        var id = ""
        var plan: String?
        var limits: [Limit] = []
        var inFlight: UInt64 = 0

        init(_ json: inout JSONReader) throws(JSONReader.Fault) {
            try json.object { name, json throws(JSONReader.Fault) in
                switch name {
                case "id": id = try json.string().text
                case "plan": plan = try json.string().text
                case "limits": try json.array { json throws(JSONReader.Fault) in limits.append(try Limit(&json)) }
                case "live":
                    try json.object { name, json throws(JSONReader.Fault) in
                        if "in_flight" ~= name { inFlight = try json.unsigned() } else { try json.skip() }
                    }
                default: try json.skip()
                }
            }
        }
    }

    /// More would not be read on a terminal.
    private static let shownMax = 1000

    private static func tenants(_ client: AdminClient) throws -> [Tenant] {
        let (status, body) = try client.request("GET", "/v1/tenants?limit=\(shownMax)")
        guard status == 200, let tenants = try? page(body) else {
            throw Command.Failure(text: "gateway: the gateway answers \(status)")
        }
        return tenants
    }

    private static func page(_ body: [UInt8]) throws(JSONReader.Fault) -> [Tenant] {
        var tenants: [Tenant] = []
        try JSONReader.read(body) { json throws(JSONReader.Fault) in
            try json.object { name, json throws(JSONReader.Fault) in
                guard "tenants" ~= name else { return try json.skip() }
                try json.array { json throws(JSONReader.Fault) in tenants.append(try Tenant(&json)) }
            }
        }
        return tenants
    }

    /// The samples of one scrape, by name and labels as they stand there.
    private struct Exposition {
        private var samples: [String: [(labels: [String: String], value: Double)]] = [:]

        init(_ client: AdminClient) throws {
            let (status, body) = try client.request("GET", "/metrics")
            guard status == 200 else { throw Command.Failure(text: "gateway: the gateway answers \(status)") }
            for line in String(decoding: body, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
                guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else { continue }
                var name = line[..<space]
                var labels: [String: String] = [:]
                if let brace = name.firstIndex(of: "{") {
                    // No value of ours has a comma or a quote mark in it: names are checked where they are configured.
                    for pair in name[name.index(after: brace)...].dropLast().split(separator: ",") {
                        let parts = pair.split(separator: "=", maxSplits: 1)
                        if parts.count == 2 { labels[String(parts[0])] = String(parts[1].dropFirst().dropLast()) }
                    }
                    name = name[..<brace]
                }
                samples[String(name), default: []].append((labels, value))
            }
        }

        func all(_ name: String) -> [(labels: [String: String], value: Double)] { samples[name] ?? [] }

        func sum(_ name: String, tenant: String) -> Double {
            all(name).reduce(0) { $0 + ($1.labels["tenant"] == tenant ? $1.value : 0) }
        }

        /// Seconds below which 99 of 100 requests stayed, to the bound of a bucket; nil without requests.
        func p99(tenant: String) -> String? {
            let buckets = all("gateway_request_duration_seconds_bucket").filter { $0.labels["tenant"] == tenant }
            guard let total = buckets.last?.value, total > 0 else { return nil }
            guard let bound = buckets.first(where: { $0.value >= 0.99 * total })?.labels["le"] else { return nil }
            guard let seconds = Double(bound) else { return "> 10 s" }
            guard seconds < 1 else { return "< \(bound) s" }
            let tenths = Int((seconds * 10_000).rounded())
            return "< \(tenths / 10)\(tenths % 10 == 0 ? "" : ".\(tenths % 10)") ms"
        }
    }

    // MARK: What is shown

    private static func printListeners(_ now: Exposition) {
        var rows = [["LISTENER", "ACTIVE", "IDLE"]]
        let connections = now.all("gateway_connections")
        for sample in connections where sample.labels["state"] == "active" {
            let listener = sample.labels["listener"] ?? ""
            let idle = connections.first { $0.labels["listener"] == listener && $0.labels["state"] == "idle" }?.value ?? 0
            rows.append([listener, count(sample.value), count(idle)])
        }
        Console.out(table(rows) + "\n")
    }

    private static func printTenants(_ tenants: [Tenant], _ before: Exposition, _ after: Exposition) {
        var rows = [["TENANT", "PLAN", "REQUESTS/S", "REFUSED/S", "REFUSED", "IN FLIGHT", "P99", "LEFT"]]
        for tenant in tenants {
            func rate(_ name: String) -> String {
                count(max(0, after.sum(name, tenant: tenant.id) - before.sum(name, tenant: tenant.id)))
            }
            let left = tenant.limits.map { "\($0.policy) \($0.left)/\($0.limit)" }
            rows.append([
                tenant.id, tenant.plan ?? "-", rate("gateway_requests_total"), rate("gateway_refused_total"),
                count(after.sum("gateway_refused_total", tenant: tenant.id)), "\(tenant.inFlight)",
                after.p99(tenant: tenant.id) ?? "-", left.isEmpty ? "-" : left.joined(separator: ", "),
            ])
        }
        Console.out(table(rows))
        if tenants.count == shownMax { Console.out("... and perhaps more: /v1/tenants has all of them") }
    }

    private static func count(_ value: Double) -> String { "\(UInt64(min(max(value, 0), 1e18)))" }

    /// Columns as wide as their widest entry; the last one is not filled up.
    private static func table(_ rows: [[String]]) -> String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].utf8.count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, text in
                column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.utf8.count + 2)
            }.joined()
        }.joined(separator: "\n")
    }
}
