import Base
import Configuration
import Glibc
import Metering
import Storage

/// `gateway usage`: what the ledger says, with or without a running gateway.
enum UsageCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        var arguments = arguments
        let path = try arguments.takeConfigurationPath()
        let from = try arguments.takeTime("--from")
        let to = try arguments.takeTime("--to")
        let by = try arguments.takeChoice("--by", among: Period.allCases.map(\.rawValue)).flatMap(Period.init)
        let format = try arguments.takeChoice("--format", among: ["table", "csv", "json"]) ?? "table"
        let tenant = try arguments.takeWord()
        try arguments.expectNothingElse()
        if let from, let to, to <= from { throw arguments.failure("--to is not after --from") }
        let book = try LedgerBook(configuration: path)
        let statement = try book.statement(UsageQuery(tenant: tenant, from: from, to: to, by: by))
        if let tenant, statement.rows.isEmpty { try book.expectTenant(tenant) }
        switch format {
        case "json": Console.out(String(decoding: statement.json, as: UTF8.self))
        case "csv": Console.out(String(statement.csv.dropLast()))
        default:
            let nothing =
                "no usage\(tenant.map { " of \($0)" } ?? "")\(from == nil && to == nil ? "" : " in that time")"
            Console.out(statement.rows.isEmpty ? nothing : String(statement.table.dropLast()))
        }
        return 0
    }
}

/// `gateway invoice`: a tenant's prices, applied to what the ledger says of a month.
enum InvoiceCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        var arguments = arguments
        let path = try arguments.takeConfigurationPath()
        let month = try arguments.takeMonth("--month")
        let format = try arguments.takeChoice("--format", among: ["text", "csv", "json"]) ?? "text"
        guard let id = try arguments.takeWord() else { throw arguments.failure("whose invoice? TENANT is missing") }
        try arguments.expectNothingElse()
        guard let month else { throw arguments.failure("of which month? --month YYYY-MM is missing") }
        let book = try LedgerBook(configuration: path)
        let tenant = try book.tenant(id)
        guard !tenant.prices.lines.isEmpty else {
            let place = tenant.plan.map { "plan \($0)" } ?? "tenant \(id)"
            throw Command.Failure(text: "gateway: tenant \(id) has no prices; add `price 49.00/month;` to \(place)")
        }
        let query = UsageQuery(tenant: id, from: month.lowerBound, to: month.upperBound)
        let statement = try book.statement(query, noteSources: true)
        do throws(Invoice.Fault) {
            let invoice = try Invoice(
                tenant: id, plan: tenant.plan, prices: tenant.prices, month: month, statement: statement,
                now: Clock.wall())
            switch format {
            case "json": Console.out(String(decoding: invoice.json, as: UTF8.self))
            case "csv": Console.out(String(invoice.csv.dropLast()))
            default: Console.out(String(invoice.text.dropLast()))
            }
        } catch {
            switch error {
            case .overflow(let price):
                throw Command.Failure(text: "gateway: `price \(price)` makes an amount that is too large")
            }
        }
        return 0
    }
}

/// A configuration and the ledger that it names. Waits; for commands only.
private struct LedgerBook {
    private let path: String
    private let settings: Settings

    /// Errors in a configuration do not hide what was used; that there is none does.
    init(configuration path: String) throws {
        let loaded = ConfigurationLoader.load(path, from: .disk(withPipe: path))
        if access(path, R_OK) != 0 { throw Command.Failure(text: loaded.renderAll()) }
        (self.path, settings) = (path, loaded.settings ?? loaded.partial)
    }

    func statement(_ query: UsageQuery, noteSources: Bool = false) throws -> Statement {
        let folder = StateFolder(path: settings.cold.state).ledgerPath
        do throws(StorageFault) {
            let statement = try Statement(LedgerFolder(folder), query: query, noteSources: noteSources)
            if statement.damagedLines > 0 {
                let files = statement.damagedFiles.joined(separator: ", ")
                Console.error("gateway: \(statement.damagedLines) damaged lines are left out (\(folder): \(files))")
            }
            return statement
        } catch {
            throw Command.Failure(text: "gateway: \(error)")
        }
    }

    func tenant(_ id: String) throws -> TenantSettings {
        if let tenant = settings.hot.tenants.first(where: { $0.id == id }) { return tenant }
        let near = Suggestion.nearest(to: id, among: settings.hot.tenants.map(\.id))
        throw Command.Failure(
            text: "gateway: no tenant `\(id)` in \(path)" + (near.map { " (did you mean `\($0)`?)" } ?? ""))
    }

    func expectTenant(_ id: String) throws { _ = try tenant(id) }
}

extension Arguments {
    /// The value of `NAME VALUE` or `NAME=VALUE`, taken out; nil where it is not given.
    mutating func take(_ name: String) throws -> String? {
        var found: String?
        var rest: [String] = []
        var index = 0
        while index < words.count {
            let word = words[index]
            index += 1
            var value: String?
            if word == name {
                guard index < words.count else { throw failure("\(name) wants a value") }
                value = words[index]
                index += 1
            } else if word.hasPrefix(name + "=") {
                value = String(word.dropFirst(name.utf8.count + 1))
            }
            guard let value else {
                rest.append(word)
                continue
            }
            guard found == nil else { throw failure("\(name) is given twice") }
            found = value
        }
        keep(rest)
        return found
    }

    /// Whether `NAME` is given, taken out.
    mutating func takeFlag(_ name: String) throws -> Bool {
        let rest = words.filter { $0 != name }
        defer { keep(rest) }
        guard words.count - rest.count < 2 else { throw failure("\(name) is given twice") }
        return rest.count < words.count
    }

    mutating func takeChoice(_ name: String, among choices: [String]) throws -> String? {
        guard let value = try take(name) else { return nil }
        guard choices.contains(value) else {
            let near = Suggestion.nearest(to: value, among: choices).map { " (did you mean `\($0)`?)" } ?? ""
            throw failure("\(name) is one of \(choices.joined(separator: ", ")), not `\(value)`\(near)")
        }
        return value
    }

    mutating func takeTime(_ name: String) throws -> UInt64? {
        guard let text = try take(name) else { return nil }
        guard let time = Timestamp.parse(text) else {
            throw failure("\(name) `\(text)` is not a time; write 2026-11, 2026-11-23 or 2026-11-23T12:00:00Z")
        }
        return time
    }

    mutating func takeMonth(_ name: String) throws -> Range<UInt64>? {
        guard let text = try take(name) else { return nil }
        guard text.utf8.count == 7, let start = Timestamp.parse(text) else {
            throw failure("\(name) `\(text)` is not a month; write 2026-11")
        }
        return Period.month.bounds(of: start)
    }

    /// The first word that is no option, taken out.
    mutating func takeWord() throws -> String? {
        guard let index = words.firstIndex(where: { !$0.hasPrefix("-") }) else { return nil }
        var rest = words
        let word = rest.remove(at: index)
        keep(rest)
        return word
    }
}
