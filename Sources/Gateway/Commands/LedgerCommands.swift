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
        let acceptsCoarse = try arguments.takeFlag("--coarse")
        let acceptsDamage = try arguments.takeFlag("--accept-damage")
        let tenant = try arguments.takeWord()
        try arguments.expectNothingElse()
        if let from, let to, to <= from { throw arguments.failure("--to is not after --from") }
        let book = try LedgerBook(configuration: path)
        let query = UsageQuery(tenant: tenant, from: from, to: to, by: by, acceptsCoarse: acceptsCoarse)
        if tenant == nil, by != nil { return try stream(query, book, format, acceptsDamage: acceptsDamage) }
        let statement = try book.statement(query, book.state.ledgerMemory)
        if let tenant, statement.rows.isEmpty { try book.expectTenant(tenant) }
        switch format {
        case "json": Console.out(String(decoding: statement.json, as: UTF8.self))
        case "csv": Console.out(String(statement.csv.dropLast()))
        default:
            let nothing =
                "no usage\(tenant.map { " of \($0)" } ?? "")\(from == nil && to == nil ? "" : " in that time")"
            Console.out(statement.rows.isEmpty ? nothing : String(statement.table.dropLast()))
        }
        return statement.damage.isEmpty || acceptsDamage ? 0 : 1
    }

    /// Of all tenants, in the order of time: what may be long is not kept.
    private static func stream(
        _ query: UsageQuery, _ book: LedgerBook, _ format: String, acceptsDamage: Bool
    ) throws -> Int32 {
        var (isFirst, isDamaged) = (true, false)
        var widths: [Int] = []
        let stream = try UsageStream(LedgerFolder(book.state.ledgerPath), query: query, memory: book.state.ledgerMemory)
        try stream.forEach { statement in
            try book.tell(statement)
            isDamaged = isDamaged || !statement.damage.isEmpty
            guard !statement.rows.isEmpty else { return true }
            switch format {
            case "json": Console.out((isFirst ? "[" : ",") + String(decoding: statement.json.dropFirst().dropLast(), as: UTF8.self))
            case "csv": Console.out(String(statement.csv(hasHead: isFirst).dropLast()))
            default: Console.out(String(statement.table(hasHead: isFirst, widths: &widths).dropLast()))
            }
            isFirst = false
            return true
        }
        switch format {
        case "json": Console.out(isFirst ? "[]" : "]")
        case "csv": if isFirst { Console.out(UsageRow.columns.joined(separator: ",")) }
        default: if isFirst { Console.out("no usage" + (query.from == nil && query.to == nil ? "" : " in that time")) }
        }
        return isDamaged && !acceptsDamage ? 1 : 0
    }
}

/// `gateway ledger verify`, `gateway ledger repair` and `gateway ledger rollup`.
enum LedgerCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        var arguments = arguments
        let path = try arguments.takeConfigurationPath()
        let format = try arguments.takeChoice("--format", among: ["text", "json"]) ?? "text"
        let isDry = try arguments.takeFlag("--dry-run")
        let isAgreed = try arguments.takeFlag("--yes")
        let word = try arguments.takeWord()
        try arguments.expectNothingElse()
        guard let word, ["verify", "repair", "rollup"].contains(word) else {
            throw arguments.failure("what of the ledger? verify, repair or rollup")
        }
        // Nothing is removed by a rule that may be mistyped.
        let book = try LedgerBook(configuration: path, mustBeRight: word == "rollup")
        if word != "repair", isDry || isAgreed { throw arguments.failure("--dry-run and --yes are repair's") }
        let state = book.state
        do throws(StorageFault) {
            if word == "verify" {
                let check = try LedgerCheck(
                    LedgerFolder(state.ledgerPath), memory: state.ledgerMemory, retention: book.settings.hot.ledger.retention)
                let output = HeldOutput()
                tell(check, format, output)
                output.write()
                let isWhole = check.mendable.isEmpty && check.repeated.isEmpty && check.missing.isEmpty
                return check.damage.isEmpty && isWhole ? 0 : 1
            }
            if word == "rollup" {
                guard try DiskFiles().status(path: state.ledgerPath) != nil else {
                    Console.error("gateway: there is no ledger: \(state.ledgerPath) is not there")
                    return 1
                }
                try LedgerOwner.become(of: state)
                return try rollUp(book, path, format)
            }
            return try repair(state, format, isDry: isDry, isAgreed: isAgreed)
        } catch { throw Command.Failure(text: "gateway: \(error)") }
    }

    /// - Parameter steps: of a repair, and what they are called.
    static func tell(
        _ check: LedgerCheck, _ format: String, _ output: HeldOutput, steps: (name: String, list: [String])? = nil
    ) {
        if format == "json" {
            var json = JSONWriter()
            json.object { json in
                json.member("files", check.files)
                for (name, list) in [
                    ("damaged", check.damage), ("mendable", check.mendable), ("repeated", check.repeated),
                    ("missing", check.missing),
                ] {
                    json.member(name) { json in
                        json.array { json in
                            for one in list {
                                json.object { json in
                                    json.member("file", one.file)
                                    json.member("line", one.line)
                                    json.member("lines", one.lines)
                                    json.member("what", one.what)
                                }
                            }
                        }
                    }
                }
                if let steps { json.member(steps.name, steps.list) }
            }
            return output.out(String(decoding: json.bytes, as: UTF8.self))
        }
        for damage in check.damage { output.out("damaged: \(damage)") }
        for damage in check.mendable { output.out("mendable: \(damage)") }
        for damage in check.repeated { output.out("repeated: \(damage)") }
        for damage in check.missing { output.out("missing: \(damage)") }
        let (damaged, mendable) = (check.damage.count, check.mendable.count + check.repeated.count)
        if damaged + mendable == 0 {
            let rest = check.missing.isEmpty ? "" : "; \(check.missing.count) are missing and known by their sums"
            return output.out("\(check.files) files, all as they were written" + rest)
        }
        output.out(
            "\(check.files) files; \(damaged) places are damaged for good, \(mendable) can be mended by `gateway ledger repair`"
        )
    }

    /// What a running gateway does once a day, now: adds up what is over, and removes or compresses lines whose time is over.
    private static func rollUp(_ book: LedgerBook, _ path: String, _ format: String) throws(StorageFault) -> Int32 {
        func finest(_ settings: LedgerSettings) -> Period? {
            if let finest = Period(rawValue: settings.rollup.rawValue) { return finest }
            Console.error("gateway: nothing is added up with `ledger_rollup \(settings.rollup.rawValue);`")
            return nil
        }
        let (state, folder) = (book.state, LedgerFolder(book.state.ledgerPath))
        guard finest(book.settings.hot.ledger) != nil else { return 1 }
        var hasWaited = false
        let report = try Rollup.run(
            in: folder,
            waits: { path in
                hasWaited = true
                state.tellWaiting(path)
            }
        ) { () throws(StorageFault) in
            var settings = book.settings.hot.ledger
            // The rules may be others by now; a pipe says nothing twice.
            if hasWaited, let file = try DiskFiles().status(path: path), file.fault == nil {
                guard let now = try? LedgerBook(configuration: path, mustBeRight: true), now.state.path == state.path else {
                    Console.error("gateway: \(path) was changed meanwhile, and is not right or names another state: nothing is done")
                    return nil
                }
                settings = now.settings.hot.ledger
            }
            guard let finest = finest(settings) else { return nil }
            let rollup = Rollup(
                folder, finest: finest, parted: try TermsBook(state.path).partedMonths, retention: settings.retention,
                compression: settings.compression)
            let memory = state.ledgerMemory
            // What is not over by the gateway's clock is not over. Without meters the ledger tells how far it goes.
            let written = if let memory { memory.closed } else { try folder.end }
            return Rollup.Task(rollup: rollup, closed: min(written, state.time), memory: memory)
        }
        guard let report else { return 1 }
        for damage in report.damage {
            Console.error("gateway: damaged: \(state.ledgerPath)/\(damage); nothing of that time is added up or removed")
        }
        if let fault = report.notCompressed { Console.error("gateway: not compressed: \(fault)") }
        let lists = [("written", report.written), ("removed", report.removed), ("compressed", report.compressed)]
        if format == "json" {
            var json = JSONWriter()
            json.object { json in
                for (name, files) in lists {
                    json.member(name, files)
                }
            }
            Console.out(String(decoding: json.bytes, as: UTF8.self))
        } else {
            for (what, files) in lists { for file in files { Console.out("\(what): \(file)") } }
            if lists.allSatisfy(\.1.isEmpty) { Console.out("nothing is over that is not added up") }
        }
        return report.damage.isEmpty && report.notCompressed == nil ? 0 : 1
    }
}

/// A configuration and the ledger that it names. Waits; for commands only.
struct LedgerBook {
    private let path: String
    let settings: Settings
    /// Takes what is wrong with the ledger.
    var say: (String) -> Void = Console.error

    /// Errors in a configuration do not hide what was used; that there is none does.
    /// - Parameter mustBeRight: nothing may be made of a configuration with errors.
    init(configuration path: String, mustBeRight: Bool = false) throws {
        let loaded = ConfigurationLoader.load(path, from: .disk(withPipe: path))
        if access(path, R_OK) != 0 || mustBeRight && loaded.settings == nil {
            throw Command.Failure(text: loaded.renderAll())
        }
        (self.path, settings) = (path, loaded.settings ?? loaded.partial)
    }

    var state: StateFolder { StateFolder(path: settings.cold.state) }

    func takeTurn() throws -> LedgerTurn {
        do throws(StorageFault) {
            try LedgerOwner.become(of: state)
            return try state.takeTurn()
        } catch { throw Command.Failure(text: "gateway: \(error)") }
    }

    func read(_ query: UsageQuery, _ memory: LedgerMemory?) throws -> Statement {
        do throws(StorageFault) {
            return try Statement(LedgerFolder(state.ledgerPath), query: query, memory: memory)
        } catch { throw Command.Failure(text: "gateway: \(error)") }
    }

    /// Says what is wrong with it. Where nothing as fine as was asked for is kept there is no statement.
    func statement(_ query: UsageQuery, _ memory: LedgerMemory?) throws -> Statement {
        let statement = try read(query, memory)
        try tell(statement)
        return statement
    }

    func tell(_ statement: Statement) throws {
        if !statement.tooCoarse.isEmpty {
            let files = statement.tooCoarse.joined(separator: ", ")
            throw Command.Failure(
                text: "gateway: nothing as fine is kept of \(files) in \(state.ledgerPath); --coarse shows what is kept"
            )
        }
        for damage in statement.damage { say("gateway: damaged: \(state.ledgerPath)/\(damage)") }
        for damage in statement.mended {
            say("gateway: mended: \(state.ledgerPath)/\(damage); what it said is known all the same")
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
