import Base
import Configuration

extension Invoice {
    private var places: Int { Currency.places(currency) }
    /// As `2026-11`.
    public var month: String { String(Timestamp.dayText(from).prefix(7)) }

    public var json: [UInt8] {
        var json = JSONWriter()
        json.object { json in write(to: &json) }
        return json.bytes
    }

    /// As it is kept once it is issued, with the checksums of what it looked like.
    func issued(at now: UInt64, looks: [(kind: String, checksum: UInt32)]) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            write(to: &json)
            json.member("looks") { json in
                json.object { json in for (kind, checksum) in looks { json.member(kind, String(checksum, radix: 16)) } }
            }
            json.member("issued", Timestamp.text(now))
        }
        return json.bytes
    }

    private func write(to json: inout JSONWriter) {
        json.member("tenant", tenant)
        json.member("plan", plan)
        json.member("month", month)
        json.member("from", Timestamp.text(from))
        json.member("to", Timestamp.text(to))
        json.member("provisional", isProvisional)
        json.member("currency", currency)
        json.member("lines") { json in
            json.array { json in
                for line in lines {
                    json.object { json in
                        json.member("price", line.price)
                        json.member("measure", line.measure?.rawValue ?? "month")
                        json.member("quantity", line.quantity)
                        json.member("unit_amount", line.unitAmount.text(places: places))
                        json.member("per", line.per)
                        json.member("amount", line.amount.text(places: places))
                    }
                }
            }
        }
        json.member("total", total.text(places: places))
        json.member("charge", charge)
        if damaged > 0 { json.member("damaged", damaged) }
        if isCoarse { json.member("coarse", true) }
        json.member("ledger") { json in
            json.object { json in
                json.member("records", records)
                json.member("ids", sources.ranges.map(\.text))
            }
        }
    }

    /// A line each, and the total; `ledger_first` and `ledger_last` say what it was computed from.
    public var csv: String {
        let first = sources.ranges.first?.first.text ?? ""
        let last = sources.ranges.last?.last.text ?? ""
        func row(
            _ price: String, _ measure: String, _ quantity: String, _ unit: String, _ per: String, _ amount: String
        )
            -> [String]
        {
            [tenant, month, price, measure, quantity, unit, per, amount, currency, String(records), first, last]
        }
        let head = [
            "tenant", "month", "price", "measure", "quantity", "unit_amount", "per", "amount", "currency",
            "ledger_records",
            "ledger_first", "ledger_last",
        ]
        let rows = lines.map { line in
            row(
                line.price, line.measure?.rawValue ?? "month", String(line.quantity),
                line.unitAmount.text(places: places),
                String(line.per), line.amount.text(places: places))
        }
        return CSV.text([head] + rows + [row("total", "", "", "", "", total.text(places: places))])
    }

    public var text: String {
        var text = "Invoice for \(tenant), \(month)"
        if let plan { text += " (plan \(plan))" }
        text += "\n\(Timestamp.text(from)) to \(Timestamp.text(to)), UTC\n"
        if isProvisional { text += "Provisional: the month is not over, or not all of it is in the ledger.\n" }
        if isCoarse { text += "Coarse: only sums of the month are kept; all that was used is at its last prices.\n" }
        if damaged > 0 { text += "Damaged: \(damaged) lines of the ledger are not in it.\n" }
        let rows = lines.map { line in
            [
                line.price, line.measure?.rawValue ?? "month", String(line.quantity),
                line.amount.text(places: places) + " " + currency,
            ]
        }
        let total = ["total", "", "", total.text(places: places) + " " + currency]
        text += "\n" + TextTable.text([["price", "measure", "quantity", "amount"]] + rows + [total], textColumns: 2)
        if lines.contains(where: { $0.measure == .requests }) {
            text += "\nrequests: those admitted and charged, as quotas count them (`charge \(charge)`).\n"
        }
        if let first = sources.ranges.first?.first, let last = sources.ranges.last?.last {
            text += "\nComputed from \(records) records of the ledger, \(first.text) to \(last.text);\n"
            text += "--format json lists them all.\n"
        } else {
            text += "\nThe ledger has no records of this month.\n"
        }
        return text
    }
}
