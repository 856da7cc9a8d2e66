import Base
import Configuration
import Storage

/// What a tenant is charged by, from some moment on.
public struct TenantTerms: Sendable, Equatable {
    public var plan: String?
    public var prices: PriceSettings
    /// Which requests are charged, as `charge` has it: `forwarded`, or `forwarded, on /a/ admitted`.
    public var charge: String

    public init(plan: String?, prices: PriceSettings, charge: String) {
        (self.plan, self.prices, self.charge) = (plan, prices, charge)
        // What says nothing of it is what says no: one is not a change from the other.
        self.prices.isProrated = prices.isProrated == true
    }

    public init(_ tenant: TenantSettings) {
        let others = tenant.routes.filter { $0.usage.charge != tenant.usage.charge }
        let charge = [tenant.usage.charge.text] + others.map { "on \($0.path) \($0.usage.charge.text)" }
        self.init(plan: tenant.plan, prices: tenant.prices, charge: charge.joined(separator: ", "))
    }
}

/// Who had which plan and prices since when: an invoice of a month must know it when the configuration says something else,
/// or nothing any more. A journal, `state/terms.jsonl`, with a line for its own beginning, and one whenever a tenant with
/// prices begins, changes or ends.
public struct TermsBook: Sendable {
    public struct Entry: Sendable, Equatable {
        public var tenant: String
        /// Nanoseconds since 1970.
        public var time: UInt64
        /// nil: the tenant has ended.
        public var terms: TenantTerms?
        /// Of its line, from 1; nil of a line from before they were numbered.
        var number: UInt64?

        public init(tenant: String, time: UInt64, terms: TenantTerms?) {
            (self.tenant, self.time, self.terms) = (tenant, time, terms)
        }
    }
    static let file = "terms.jsonl"
    /// How many lines were ever written, as far as lines and the meters tell: each has its number.
    private var count: UInt64 = 0

    /// By tenant, in the order of time.
    public private(set) var entries: [String: [Entry]] = [:]
    /// Lines that are not as they were written, and those in front of which some are missing.
    public private(set) var damaged: [Int] = []

    /// What stands in a state folder; nothing where there is none.
    /// - Parameter written: how many lines the meters say that there are.
    public init(_ state: String, written: UInt64 = 0, files: any FileOperations = DiskFiles()) throws(StorageFault) {
        let path = state + "/" + Self.file
        var number = 0
        defer {
            // What is gone from its end, or all of it.
            if count < written { damaged.append(number + 1) }
            count = max(count, written)
        }
        guard try files.status(path: path) != nil else { return }
        try JournalReader(files).lines(path) { line, isGood in
            number += 1
            guard isGood, let entry = Entry(line) else {
                // It has the next number, whatever it says.
                count += 1
                damaged.append(number)
                return true
            }
            add(entry)
            let wanted = count + 1
            if let place = entry.number, place > wanted { damaged.append(number) }
            count = max(entry.number ?? wanted, count)
            return true
        }
    }

    /// What was noted before, of a later time, was noted by a clock that was wrong and has gone back since.
    private mutating func add(_ entry: Entry) {
        entries[entry.tenant, default: []].removeAll { $0.time > entry.time }
        entries[entry.tenant]!.append(entry)
    }

    /// Has the meters remember how many lines there are: which of them are lost can be told by that.
    public func remember(in table: some UsageTable) { LedgerState.terms.store(count, in: table) }

    /// Notes what is different from what was noted last, and what is the same where that was noted of a time to come, by a
    /// clock that was wrong: it is in force already. For who writes the ledger.
    public mutating func note(
        _ tenants: [String: TenantTerms], at now: UInt64, in journal: Journal
    ) throws(StorageFault) {
        var lines: [UInt8] = []
        var fresh: [Entry] = []
        // Nobody's: who is noted for the first time later than this had no prices before.
        if entries.isEmpty { fresh.append(Entry(tenant: "", time: now, terms: nil)) }
        for (tenant, terms) in tenants.sorted(by: { $0.key < $1.key }) {
            if terms.prices.lines.isEmpty && entries[tenant] == nil { continue }
            let last = entries[tenant]?.last
            if last?.terms != terms || last!.time > now { fresh.append(Entry(tenant: tenant, time: now, terms: terms)) }
        }
        for (tenant, known) in entries.sorted(by: { $0.key < $1.key }) where tenants[tenant] == nil {
            guard let last = known.last, last.terms != nil || last.time > now else { continue }
            fresh.append(Entry(tenant: tenant, time: now, terms: nil))
        }
        if fresh.isEmpty { return }
        for index in fresh.indices {
            fresh[index].number = count + UInt64(index) + 1
            fresh[index].write(to: &lines)
        }
        try journal.append(lines, to: Self.file)
        count += UInt64(fresh.count)
        for entry in fresh { add(entry) }
    }
}

extension ChargeRule {
    /// As `charge` has it.
    public var text: String {
        switch self {
        case .forwarded: "forwarded"
        case .admitted: "admitted"
        case .classes(let classes):
            (1...5).filter { classes & 1 << UInt8($0) != 0 }.map { "\($0)xx" }.joined(separator: " ")
        }
    }
}

extension TermsBook.Entry {
    func write(to lines: inout [UInt8]) {
        var json = JSONWriter()
        json.object { json in
            json.member("tenant", tenant)
            json.member("time", Timestamp.text(time))
            json.member("ended", terms == nil)
            if let number { json.member("number", number) }
            guard let terms else { return }
            if let plan = terms.plan { json.member("plan", plan) }
            json.member("charge", terms.charge)
            json.member("prorate", UInt64(terms.prices.isProrated == true ? 1 : 0))
            if let currency = terms.prices.currency { json.member("currency", currency) }
            json.member("prices") { json in
                json.array { json in
                    for line in terms.prices.lines {
                        json.object { json in
                            json.member("price", line.text)
                            json.member("amount", line.amount.text(places: 0))
                            json.member("from", line.from)
                            guard case .usage(let measure, let per, let over) = line.kind else { return }
                            json.member("measure", measure.rawValue)
                            json.member("per", per)
                            json.member("over", over)
                        }
                    }
                }
            }
        }
        // Without its closing brace, which comes behind the checksum.
        let body = json.bytes.dropLast()
        CheckedLine.append(to: &lines, room: body.count) { line in line.append(Array(body)) }
    }

    init?(_ line: UnsafeRawBufferPointer) {
        var (tenant, time): (String?, UInt64?)
        var isEnded = false
        var number: UInt64?
        var terms = TenantTerms(plan: nil, prices: PriceSettings(), charge: "forwarded")
        do throws(JSONReader.Fault) {
            try JSONReader.read(line) { json throws(JSONReader.Fault) in
                try json.object { name, json throws(JSONReader.Fault) in
                    switch name {
                    case "tenant": tenant = try json.string().text
                    case "time": time = Timestamp.parse(try json.string().text)
                    case "plan": terms.plan = try json.string().text
                    case "charge": terms.charge = try json.string().text
                    case "currency": terms.prices.currency = try json.string().text
                    case "prorate": terms.prices.isProrated = try json.unsigned() == 1
                    case "number": number = try json.unsigned()
                    case "ended": isEnded = try json.bool()
                    case "prices":
                        try json.array { json throws(JSONReader.Fault) in terms.prices.lines.append(try PriceLine(&json)) }
                    default: try json.skip()
                    }
                }
            }
        } catch {
            return nil
        }
        guard let tenant, let time else { return nil }
        self.init(tenant: tenant, time: time, terms: isEnded ? nil : terms)
        self.number = number
    }
}

extension PriceLine {
    fileprivate init(_ json: inout JSONReader) throws(JSONReader.Fault) {
        var (text, amount): (String?, ExactDecimal?)
        var measure: PriceMeasure?
        var (per, over, from): (UInt64, UInt64, UInt64) = (1, 0, 0)
        try json.object { name, json throws(JSONReader.Fault) in
            switch name {
            case "price": text = try json.string().text
            case "amount": amount = ExactDecimal(try json.string().text)
            case "measure":
                measure = PriceMeasure(rawValue: try json.string().text)
                if measure == nil { throw .malformed }
            case "per": per = try json.unsigned()
            case "over": over = try json.unsigned()
            case "from": from = try json.unsigned()
            default: try json.skip()
            }
        }
        guard let text, let amount else { throw .malformed }
        let kind: Kind = measure.map { .usage($0, per: per, over: over) } ?? .monthly
        self.init(amount: amount, kind: kind, text: text, from: from)
    }
}
