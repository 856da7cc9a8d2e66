import Base
import Configuration
import Metering
import Storage

/// `gateway invoice`: a tenant's prices, applied to what the ledger says of a month.
enum InvoiceCommand {
    /// What is asked for.
    private struct Wish {
        var tenant: String
        var month: Range<UInt64>
        /// Of a month with prices in several.
        var currency: String?
        var acceptsCoarse: Bool
        var monthText: String { String(Timestamp.dayText(month.lowerBound).prefix(7)) }
    }

    static func run(_ arguments: Arguments) throws -> Int32 {
        var arguments = arguments
        let path = try arguments.takeConfigurationPath()
        let month = try arguments.takeMonth("--month")
        let format = try arguments.takeChoice("--format", among: ["text", "csv", "json"]) ?? "text"
        let currency = try arguments.take("--currency")
        let acceptsCoarse = try arguments.takeFlag("--coarse")
        let acceptsDamage = try arguments.takeFlag("--accept-damage")
        let issues = try arguments.takeFlag("--issue")
        guard let id = try arguments.takeWord() else { throw arguments.failure("whose invoice? TENANT is missing") }
        try arguments.expectNothingElse()
        guard let month else { throw arguments.failure("of which month? --month YYYY-MM is missing") }
        // A mistyped price would leave out what it is for.
        var book = try LedgerBook(configuration: path, mustBeRight: true)
        let output = HeldOutput()
        defer { output.write() }
        book.say = output.error
        // From the figures to the last file: two that are issued at once are not to be one number of two figures.
        let turn = issues ? try book.takeTurn() : nil
        defer { turn?.end() }
        var wish = Wish(tenant: id, month: month, currency: currency, acceptsCoarse: acceptsCoarse)
        var invoice = try invoice(&wish, book, acceptsDamage: acceptsDamage)
        let issued = try IssuedInvoices(
            book.state.path + "/invoices", tenant: id, month: invoice.month, currency: wish.currency)
        if !issues, (try? issued.correction(to: invoice)) != nil {
            // It may have been issued meanwhile: by what was known before that it would be one too many.
            output.forget()
            invoice = try Self.invoice(&wish, book, acceptsDamage: acceptsDamage)
        }
        return try show(invoice, issued, book.state, format, output, issues: issues)
    }

    private static func invoice(_ wish: inout Wish, _ book: LedgerBook, acceptsDamage: Bool) throws -> Invoice {
        let invoice = try invoice(&wish, book)
        if invoice.damaged > 0, !acceptsDamage {
            throw Command.Failure(
                text:
                    "gateway: no invoice is made of a damaged ledger; see `gateway ledger verify`, or take it with --accept-damage"
            )
        }
        return invoice
    }

    private static func invoice(_ wish: inout Wish, _ book: LedgerBook) throws -> Invoice {
        let (id, month) = (wish.tenant, wish.month)
        let tenant = book.settings.hot.tenants.first { $0.id == id }
        let current = tenant.map { TenantTerms($0) }
        let terms = try book.state.termsBook
        for line in terms.damaged {
            book.say("gateway: damaged: \(book.state.path)/terms.jsonl:\(line): is not as it was written")
        }
        let (entries, isWhole) = terms.history(of: id, current: current, at: book.state.time)
        if entries.isEmpty, tenant == nil { try book.expectTenant(id) }
        let memory = book.state.ledgerMemory
        // Looked for where it matters: what was noted begins later than the month, and maybe than the tenant.
        let isNoted = entries.first.map { $0.time <= month.lowerBound } ?? false
        let isProrated = ([current] + entries.map(\.terms)).contains { $0?.prices.isProrated == true }
        let begin = isNoted || isWhole ? Begin() : try begin(of: wish, book, memory, isProrated: isProrated)
        let parts = BillingPart.parts(of: month, entries, current: current, first: begin.first)
        guard
            parts.contains(where: { !$0.terms.prices.lines.isEmpty })
                || parts.isEmpty && tenant?.prices.lines.isEmpty != true
        else {
            let place = tenant?.plan.map { "plan \($0)" } ?? "tenant \(id)"
            throw Command.Failure(text: "gateway: tenant \(id) has no prices; add `price 49.00/month;` to \(place)")
        }
        try settleCurrency(of: parts, &wish)
        let (statements, isCoarse) = try statements(of: parts, isWhole: isWhole, wish, book, memory)
        let isOver =
            book.state.time >= month.upperBound
            && (memory.map { $0.closed >= month.upperBound || $0.isWritten } ?? true)
        do throws(Invoice.Fault) {
            return try Invoice(
                tenant: id, month: month, parts: parts, statements: statements,
                charge: BillingPart.charge(in: month, entries, current: current),
                currency: wish.currency ?? tenant?.prices.currency, isAsked: wish.currency != nil,
                damagedTerms: terms.damaged.count + begin.doubts, isProvisional: !isOver, isCoarse: isCoarse)
        } catch {
            switch error {
            case .overflow(let price):
                throw Command.Failure(text: "gateway: `price \(price)` makes an amount that is too large")
            case .currencies(let one, let other):
                throw Command.Failure(
                    text: "gateway: parts of that month have prices in \(one) and in \(other); make an invoice of each, "
                        + "with --currency \(one) and with --currency \(other)")
            }
        }
    }

    /// When a tenant began, as far as the ledger tells.
    private struct Begin {
        /// nil where nothing was used up to the month's end.
        var first: UInt64?
        /// Places of the ledger that are damaged and may have had earlier lines of it.
        var doubts = 0
    }

    /// What totals have made good counts too. Where nobody knows whether it was there, or by days since which of them, the
    /// ledger is damaged for this invoice.
    private static func begin(
        of wish: Wish, _ book: LedgerBook, _ memory: LedgerMemory?, isProrated: Bool
    ) throws -> Begin {
        let statement = try book.read(UsageQuery(tenant: wish.tenant, to: wish.month.upperBound), memory)
        let first = statement.rows.lazy.filter { $0.usage != Usage() }.map(\.from).min()
        guard isProrated || first == nil, first ?? .max > wish.month.lowerBound else { return Begin(first: first) }
        // What is damaged within the month is told with what was used in it, unless nothing is asked for then.
        let damage = statement.damage.filter { first == nil || $0.span.upperBound <= wish.month.lowerBound }
        let unclear = statement.mended.filter { !Period.day.bounds(of: $0.span.lowerBound).contains($0.span.upperBound - 1) }
        let doubts = (damage + unclear).filter { $0.span.lowerBound <= first ?? .max }
        for one in doubts {
            book.say("gateway: damaged: \(book.state.ledgerPath)/\(one); it may be when \(wish.tenant) began")
        }
        return Begin(first: first, doubts: doubts.count)
    }

    /// Where all prices of the month are in one currency nobody needs to ask for it.
    private static func settleCurrency(of parts: [BillingPart], _ wish: inout Wish) throws {
        guard let wanted = wish.currency else { return }
        let known = Set(parts.filter { !$0.lines.isEmpty }.compactMap(\.terms.prices.currency))
        guard known.contains(wanted) else {
            let list = known.isEmpty ? "there are none" : "they are in \(known.sorted().joined(separator: " and "))"
            throw Command.Failure(text: "gateway: \(wish.tenant) had no prices in \(wanted) in \(wish.monthText): \(list)")
        }
        if known.count == 1 { wish.currency = nil }
    }

    /// What was used in each part, in the place of the first of those that have the same prices for it. Where days can't
    /// be told apart any more all of it is the last part's, for who has agreed to that.
    private static func statements(
        of parts: [BillingPart], isWhole: Bool, _ wish: Wish, _ book: LedgerBook, _ memory: LedgerMemory?
    ) throws -> (statements: [Statement?], isCoarse: Bool) {
        let month = wish.month
        let groups = BillingPart.groups(parts, of: month, isWhole: isWhole)
        var statements = [Statement?](repeating: nil, count: parts.count)
        for group in groups {
            let query = UsageQuery(tenant: wish.tenant, from: group.span.lowerBound, to: group.span.upperBound)
            let statement = try book.read(query, memory)
            if !statement.tooCoarse.isEmpty, groups.count > 1 || groups[0].span != month {
                guard wish.acceptsCoarse else { throw coarse(statement, groups, wish) }
                statements = [Statement?](repeating: nil, count: parts.count)
                let query = UsageQuery(tenant: wish.tenant, from: month.lowerBound, to: month.upperBound)
                statements[parts.count - 1] = try book.statement(query, memory)
                return (statements, true)
            }
            try book.tell(statement)
            statements[group.parts.lowerBound] = statement
        }
        return (statements, false)
    }

    private static func coarse(
        _ statement: Statement, _ groups: [BillingPart.Group], _ wish: Wish
    ) -> Command.Failure {
        let days = groups.map(\.span.lowerBound).filter { $0 > wish.month.lowerBound }.map(Timestamp.dayText)
        return Command.Failure(
            text: "gateway: no invoice of \(wish.monthText): the prices of what \(wish.tenant) uses changed on "
                + "\(days.joined(separator: ", ")), and what was used before and after can't be told apart, for only "
                + "\(statement.tooCoarse.joined(separator: ", ")) is kept; put the files of its days back, or take all of it "
                + "at the last prices of the month with --coarse")
    }

    /// What was issued is shown as it was, with what it differs by now.
    private static func show(
        _ invoice: Invoice, _ known: IssuedInvoices, _ state: StateFolder, _ format: String, _ output: HeldOutput,
        issues: Bool
    ) throws -> Int32 {
        var issued = known
        var correction: InvoiceCorrection?
        do throws(IssuedInvoices.Fault) { correction = try issued.correction(to: invoice) } catch {
            let (one, other) =
                switch error {
                case .currencies(let issued, let now): (issued, now)
                }
            throw Command.Failure(
                text: "gateway: \(invoice.month) was issued in \(one), and by what is known now its prices are in \(other)")
        }
        if issues {
            guard !invoice.isProvisional else {
                throw Command.Failure(
                    text: "gateway: \(invoice.month) is not over, or not all of it is in the ledger: nothing is issued")
            }
            try issued.finish()
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
            output.out(String(decoding: bytes, as: UTF8.self))
        case "csv": output.out(try issued.appearance("csv") ?? String(invoice.csv.dropLast()))
        default:
            output.out(try issued.appearance("txt") ?? String(invoice.text.dropLast()))
            if !issued.corrections.isEmpty {
                output.out("\nCorrections issued since: \(issued.corrections.count); --format json shows them.")
            }
            if let correction {
                output.out("\nBy what is known now it is to be corrected by:\n" + String(correction.text.dropLast()))
            }
        }
        if let correction, format == "csv" {
            output.error("gateway: by what is known now it is to be corrected:\n\(correction.text)")
        }
        return 0
    }
}
