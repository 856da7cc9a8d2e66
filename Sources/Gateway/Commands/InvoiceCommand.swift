import Base
import Configuration
import Metering
import Storage

/// `gateway invoice`: a tenant's prices, applied to what the ledger says of a month.
enum InvoiceCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        var arguments = arguments
        let path = try arguments.takeConfigurationPath()
        let month = try arguments.takeMonth("--month")
        let format = try arguments.takeChoice("--format", among: ["text", "csv", "json"]) ?? "text"
        let acceptsDamage = try arguments.takeFlag("--accept-damage")
        let issues = try arguments.takeFlag("--issue")
        guard let id = try arguments.takeWord() else { throw arguments.failure("whose invoice? TENANT is missing") }
        try arguments.expectNothingElse()
        guard let month else { throw arguments.failure("of which month? --month YYYY-MM is missing") }
        // A mistyped price would leave out what it is for.
        let book = try LedgerBook(configuration: path, mustBeRight: true)
        let invoice = try invoice(of: id, month, book)
        if invoice.damaged > 0, !acceptsDamage {
            throw Command.Failure(
                text:
                    "gateway: no invoice is made of a damaged ledger; see `gateway ledger verify`, or take it with --accept-damage"
            )
        }
        return try show(invoice, book.state, format, issues: issues)
    }

    private static func invoice(of id: String, _ month: Range<UInt64>, _ book: LedgerBook) throws -> Invoice {
        let folder = LedgerFolder(book.state.ledgerPath)
        let tenant = book.settings.hot.tenants.first { $0.id == id }
        let terms = try book.state.termsBook
        for line in terms.damaged {
            Console.error("gateway: damaged: \(book.state.path)/terms.jsonl:\(line): is not as it was written")
        }
        let entries = terms.entries[id] ?? []
        if entries.isEmpty, tenant == nil { try book.expectTenant(id) }
        // Looked for where it matters: what was noted begins later than the month.
        let isNoted = entries.first.map { $0.time <= month.lowerBound } ?? false
        let first = isNoted ? nil : try folder.firstUse(of: id, before: month.upperBound)
        let parts = BillingPart.parts(of: month, entries, current: tenant.map { TenantTerms($0) }, first: first)
        guard
            parts.contains(where: { !$0.terms.prices.lines.isEmpty })
                || parts.isEmpty && tenant?.prices.lines.isEmpty != true
        else {
            let place = tenant?.plan.map { "plan \($0)" } ?? "tenant \(id)"
            throw Command.Failure(text: "gateway: tenant \(id) has no prices; add `price 49.00/month;` to \(place)")
        }
        let memory = book.state.ledgerMemory
        var statements: [Statement] = []
        for part in parts {
            // Whatever comes before the first day of it, and behind its last, belongs to the month too.
            let from = part == parts.first ? month.lowerBound : part.span.lowerBound
            let to = part == parts.last ? month.upperBound : part.span.upperBound
            statements.append(try book.statement(UsageQuery(tenant: id, from: from, to: to), memory))
        }
        let isOver =
            book.state.time >= month.upperBound
            && (memory.map { $0.closed >= month.upperBound || $0.isWritten } ?? true)
        do throws(Invoice.Fault) {
            return try Invoice(
                tenant: id, month: month, parts: parts, statements: statements, currency: tenant?.prices.currency,
                damagedTerms: terms.damaged.count, isProvisional: !isOver)
        } catch {
            switch error {
            case .overflow(let price):
                throw Command.Failure(text: "gateway: `price \(price)` makes an amount that is too large")
            case .currencies(let one, let other):
                throw Command.Failure(text: "gateway: parts of that month have prices in \(one) and in \(other)")
            }
        }
    }

    /// What was issued is shown as it was, with what it differs by now.
    private static func show(_ invoice: Invoice, _ state: StateFolder, _ format: String, issues: Bool) throws -> Int32 {
        var issued = try IssuedInvoices(state.path + "/invoices", tenant: invoice.tenant, month: invoice.month)
        var correction = issued.correction(to: invoice)
        if issues {
            guard !invoice.isProvisional else {
                throw Command.Failure(
                    text: "gateway: \(invoice.month) is not over, or not all of it is in the ledger: nothing is issued")
            }
            if !issued.isIssued { try issued.issue(invoice, at: state.time) }
            if let wanted = correction {
                try issued.issue(wanted, of: invoice, at: state.time)
                correction = nil
            }
        }
        switch format {
        case "json":
            var bytes = issued.invoice ?? invoice.json
            if issued.isIssued {
                bytes.removeLast()
                var json = JSONWriter()
                json.object { json in if let correction { correction.write(to: &json) } }
                let corrections = issued.corrections.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",")
                bytes += Array(",\"corrections\":[\(corrections)]".utf8)
                if correction != nil { bytes += Array(",\"correction\":".utf8) + json.bytes }
                bytes.append(0x7D)
            }
            Console.out(String(decoding: bytes, as: UTF8.self))
        case "csv": Console.out(issued.appearance("csv") ?? String(invoice.csv.dropLast()))
        default:
            Console.out(issued.appearance("txt") ?? String(invoice.text.dropLast()))
            if !issued.corrections.isEmpty {
                Console.out("\nCorrections issued since: \(issued.corrections.count); --format json shows them.")
            }
            if let correction {
                Console.out("\nBy what is known now it is to be corrected by:\n" + String(correction.text.dropLast()))
            }
        }
        if let correction, format == "csv" {
            Console.error("gateway: by what is known now it is to be corrected:\n\(correction.text)")
        }
        return 0
    }
}
