import Base

extension UsageRow {
    /// Names of the columns, as the contract has them.
    public static let columns = [
        "tenant", "from", "to", "admitted", "settled", "refused", "status_1xx", "status_2xx", "status_3xx",
        "status_4xx",
        "status_5xx", "request_bytes", "response_bytes", "upstream_ms", "cost",
    ]

    /// The numbers behind tenant, from and to.
    var figures: [String] {
        [String(usage.admitted), String(usage.settled), String(usage.allRefused)]
            + usage.status.indices.map { String(usage.status[$0]) }
            + [
                String(usage.requestBytes), String(usage.responseBytes), String(usage.upstreamMilliseconds),
                String(usage.cost),
            ]
    }

    var texts: [String] { [tenant, Timestamp.text(from), Timestamp.text(to)] + figures }
}

extension Statement {
    /// An array of objects.
    public var json: [UInt8] {
        var json = JSONWriter()
        write(to: &json)
        return json.bytes
    }

    public func write(to json: inout JSONWriter) {
        json.array { json in
            for row in rows {
                json.object { json in
                    json.member("tenant", row.tenant)
                    json.member("from", Timestamp.text(row.from))
                    json.member("to", Timestamp.text(row.to))
                    json.member("admitted", row.usage.admitted)
                    json.member("settled", row.usage.settled)
                    json.member("refused", row.usage.allRefused)
                    for index in row.usage.status.indices {
                        json.member("status_\(index + 1)xx", row.usage.status[index])
                    }
                    json.member("request_bytes", row.usage.requestBytes)
                    json.member("response_bytes", row.usage.responseBytes)
                    json.member("upstream_ms", row.usage.upstreamMilliseconds)
                    json.member("cost", Int(row.usage.cost))
                    if row.damaged > 0 { json.member("damaged", row.damaged) }
                }
            }
        }
    }

    /// Those that are somebody's.
    private var told: [UsageRow] { rows.filter { !$0.tenant.isEmpty } }

    /// RFC 4180, with the names of the columns in the first line.
    public var csv: String { csv(hasHead: true) }

    public func csv(hasHead: Bool) -> String { CSV.text((hasHead ? [UsageRow.columns] : []) + told.map(\.texts)) }

    /// A part of a long table: all columns, no narrower than `widths`, which grow with what is in them.
    public func table(hasHead: Bool, widths: inout [Int]) -> String {
        let lines = (hasHead ? [UsageRow.columns] : []) + told.map(\.texts)
        if widths.isEmpty { widths = UsageRow.columns.map(\.count) }
        for line in lines { for (column, cell) in line.enumerated() { widths[column] = max(widths[column], cell.count) } }
        return TextTable.text(lines, textColumns: 3, widths: widths)
    }

    /// For a terminal; columns without any figure are left out.
    public var table: String {
        let shown = UsageRow.columns.indices.filter { column in
            !UsageRow.columns[column].hasPrefix("status_") || told.contains { $0.texts[column] != "0" }
        }
        let lines = [UsageRow.columns] + told.map(\.texts)
        return TextTable.text(lines.map { line in shown.map { line[$0] } }, textColumns: 3)
    }
}

/// Comma-separated values (RFC 4180), with line feeds.
enum CSV {
    static func text(_ lines: [[String]]) -> String {
        lines.map { $0.map(field).joined(separator: ",") + "\n" }.joined()
    }

    private static func field(_ text: String) -> String {
        guard text.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else { return text }
        return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
}

/// Columns of equal width: texts to the left, numbers to the right.
enum TextTable {
    static func text(_ lines: [[String]], textColumns: Int) -> String {
        guard let head = lines.first else { return "" }
        let widths = head.indices.map { column in lines.reduce(0) { max($0, $1[column].count) } }
        return text(lines, textColumns: textColumns, widths: widths)
    }

    static func text(_ lines: [[String]], textColumns: Int, widths: [Int]) -> String {
        lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                if column > 0 { text += "  " }
                text += column < textColumns ? cell + (column == line.count - 1 ? "" : padding) : padding + cell
            }
            return text + "\n"
        }.joined()
    }
}
