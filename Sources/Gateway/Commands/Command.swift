import Base
import Configuration
import Glibc

/// The command line: a subcommand, its options, an exit code (0 done, 1 failed, 2 not understood).
public enum Command {
    struct Failure: Error {
        var text: String
        var code: Int32 = 1
    }

    /// A subcommand: a row of the table below.
    private struct Row {
        var name: String
        var usage: String
        var summary: String
        var details: String
        var run: (Arguments) throws -> Int32
    }

    private nonisolated(unsafe) static let rows: [Row] = [
        Row(
            name: "run", usage: "gateway [run] [-c FILE] [--beside]", summary: "run in the foreground",
            details: """
                Reads FILE (./gateway.conf unless told otherwise) and serves until it is ended.

                Signals: HUP reloads, USR1 reopens the access log, USR2 upgrades (gateway upgrade), TERM and INT drain
                and end within shutdown_timeout; a second TERM ends at once.

                --beside   start beside a gateway of the same state that is to end, for a hand-over to a new binary:
                           both serve, count into the same meters and share every limit. Send TERM to the older one;
                           this one takes over the ledger and the admin listener when that one has ended.
                """,
            run: { try RunCommand.run($0) }),
        Row(
            name: "demo", usage: "gateway demo [-c FILE]", summary: "run with development certificates and a demo upstream",
            details: """
                Makes the certificates that FILE names and that do not exist yet (self-signed, for development only),
                starts a small upstream on each loopback server of FILE, prints curl lines to try, and runs.
                """,
            run: { try DemoCommand.run($0) }),
        Row(
            name: "check", usage: "gateway check [-c FILE]", summary: "validate the configuration and everything it names",
            details: """
                Reads everything that a start would read and prints every error and warning in one go, as
                FILE:LINE:COLUMN: error: ... with the line itself. Exits with 0 when FILE can be used, else with 1.
                """,
            run: { try CheckCommand.run($0) }),
        Row(
            name: "reload", usage: "gateway reload [-c FILE]", summary: "ask the running gateway to reload, and wait",
            details: """
                Finds the running gateway through the `admin` and `state` directives of FILE, asks it to read its
                configuration again, and prints what changed, or the errors. Exits with 1 when the new configuration
                was rejected; the old one then goes on.
                """,
            run: { try ReloadCommand.run($0) }),
        Row(
            name: "upgrade", usage: "gateway upgrade [-c FILE]", summary: "have the binary at the running one's path take over",
            details: """
                Finds the running gateway through the `admin` and `state` directives of FILE. It checks that the binary
                at its own path, which may be another one by now, accepts its configuration, starts that, and hands over
                listening sockets, the keys of TLS sessions, meters and ledger. Once the new process is ready it takes
                all connections. The old one ends what it has begun, within upgrade_timeout: it answers each kept
                connection's next request as the last one. A new process that fails, or is not ready within 30 s, is
                ended, and the old one goes on: exit 1, and why. USR2 does the same.

                `state` can't change on the way, nor does a metric go on: each process counts from zero, as after a
                restart. Meters, limits and usage go on.
                """,
            run: { try UpgradeCommand.run($0) }),
        Row(
            name: "key", usage: "gateway key create TENANT [--name N] [--expires T]", summary: "make an API key",
            details: """
                Makes an API key of 160 random bits, shows it once, and prints the `key` line for the tenant in
                gateway.conf. T is a day (2027-01-01) or a moment in UTC (2027-01-01T12:00:00Z).
                """,
            run: { try KeyCommand.run($0) }),
        Row(
            name: "usage",
            usage: "gateway usage [TENANT] [--from T] [--to T] [--by hour|day|month] [--coarse] [--accept-damage] "
                + "[--format table|csv|json] [-c FILE]",
            summary: "what tenants used, by the ledger",
            details: """
                Adds up the usage ledger in the state folder that FILE names, with or without a running gateway.

                TENANT     that tenant alone; all of them unless given
                --from T   what was used at T or later: 2026-11, 2026-11-23, 2026-11-23T12:00:00Z
                --to T     what was used before T
                --by P     a row for each hour, day or month (UTC); one row a tenant unless given
                --coarse   where nothing as fine is kept, rows of longer periods; without it that is an error
                --accept-damage
                           exit 0 although lines are damaged or missing; they are named either way
                --format F table (the default), csv or json

                admitted counts requests before they are forwarded, settled their answers, refused those that the
                gateway answered itself, as gateway_refused_total does: some of them were admitted, and failed then.
                Bytes are those of the bodies
                of admitted requests alone: the metrics count those of refusals too, and the gateway's own
                error pages. Of all tenants with --by, rows come in the order of time.
                A running gateway writes its ledger every ledger_interval; after a boot of the machine once its clock is
                believed, which takes ten minutes.
                """,
            run: { try UsageCommand.run($0) }),
        Row(
            name: "invoice",
            usage:
                "gateway invoice TENANT --month YYYY-MM [--issue] [--currency CODE] [--coarse] [--accept-damage] "
                + "[--format text|csv|json] [-c FILE]",
            summary: "what a tenant owes for a month",
            details: """
                Applies the tenant's prices (`price` and `currency` of the tenant, its plan or `defaults`) to what the
                ledger says of that month (UTC), with or without a running gateway. Each line is exact and rounded once,
                halves up; the total is the sum of the lines. --format json also names the ranges of ids of the ledger's
                lines that it was computed from. A configuration with errors makes no invoice.

                A day is charged by what was in force then, as a running gateway has noted it in state/terms.jsonl: what
                FILE says today counts only for a tenant of which nothing was noted. A month is charged from the day on
                which the tenant began. Of prices with `from=DATE` each part of the month is at its own, and so it is
                when the plan or its prices were changed: from the day of the change. A price a month is charged by days
                where the plan says `prorate on;`, else whole: the first such one of the month, once. requests bills those
                admitted and charged as quotas count them (`charge`), and no answer's bytes are those of the gateway's
                own error pages. A removed tenant's months are at the prices that it had.

                --issue          keeps it in state/invoices, once the month is over and all of it is in the ledger. It is
                                 shown as it was from then on, with a correction where the ledger says something else;
                                 once more, --issue keeps the correction
                --currency CODE  of a month with prices in several currencies: the invoice of this one
                --coarse         where prices changed within the month and only its sum is kept: all that was used is
                                 at the month's last prices, and the invoice says so
                --accept-damage  makes it although lines of the ledger are damaged or missing, and says so on it
                """,
            run: { try InvoiceCommand.run($0) }),
        Row(
            name: "ledger", usage: "gateway ledger verify|repair|rollup [--dry-run] [--yes] [--format text|json] [-c FILE]",
            summary: "check the usage ledger, rebuild what is damaged, add up what is over",
            details: """
                verify reads all of the ledger and names, by file and line, what is not as it was written, missing, or
                there twice. Exit 1 where anything is.

                repair rebuilds sums from lines, and lines from the totals that other lines carry. It shows what it would
                do first, and does it when that is agreed to, on the terminal or by --yes; --dry-run only shows. No
                gateway may be running.

                rollup adds up what is over, and removes or compresses lines whose time is over, as a running gateway
                does once a day. One may be running: whoever changes files of the ledger waits for his turn.

                Root changes another user's ledger as that user, who has to reach its folder, unless a gateway runs there as
                root.
                """,
            run: { try LedgerCommand.run($0) }),
        Row(
            name: "status", usage: "gateway status [-c FILE]",
            summary: "the running gateway: listeners, tenants, limits",
            details: """
                Asks the running gateway, found through the `admin` and `state` directives of FILE, and prints its
                listeners and its tenants: requests and refusals a second (measured over one), refusals since the
                start, requests in flight, the 99th percentile of their duration, and what is left of each limit.
                """,
            run: { try StatusCommand.run($0) }),
        Row(
            name: "directives", usage: "gateway directives [NAME]", summary: "explain the directives of gateway.conf",
            details: "Prints what may stand in gateway.conf and where; with NAME, all about that directive.",
            run: { try DirectivesCommand.run($0) }),
        Row(
            name: "recipes", usage: "gateway recipes [NAME]", summary: "configuration for what people do every day",
            details: "Prints the names of recipes; with NAME, a configuration to begin with or to take a part of.",
            run: { try RecipesCommand.run($0) }),
        Row(
            name: "version", usage: "gateway version", summary: "print the version",
            details: "Prints the version.",
            run: { arguments in
                try arguments.expectNothingElse()
                Console.out("gateway \(Gateway.version)")
                return 0
            }),
    ]

    public static func main(_ words: [String]) -> Int32 {
        Signals.ignoreEarly()
        // Of commands too: whoever is written to and has gone is an error of that write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        // A file that may grow no more (RLIMIT_FSIZE) is an error of whoever writes it.
        signal(SIGXFSZ, SIG_IGN)
        var words = words
        var name = "run"
        if let first = words.first, !first.hasPrefix("-") {
            name = first
            words.removeFirst()
        }
        if name == "help" {
            name = words.first ?? ""
            words = ["--help"]
        }
        if name.isEmpty || (name == "run" && (words == ["--help"] || words == ["-h"])) && CommandLine.arguments.count == 2 {
            Console.out(help)
            return 0
        }
        if name == "run", words == ["--version"] {
            name = "version"
            words = []
        }
        guard let row = rows.first(where: { $0.name == name }) else {
            Console.error("gateway: no command `\(name)`\(suggestion(for: name)); see gateway --help")
            return 2
        }
        if words.contains("--help") || words.contains("-h") {
            Console.out("usage: \(row.usage)\n\n\(row.details)")
            return 0
        }
        do {
            return try row.run(Arguments(words, usage: row.usage))
        } catch let failure as Failure {
            if !failure.text.isEmpty { Console.error(failure.text) }
            return failure.code
        } catch {
            Console.error("gateway: \(error)")
            return 1
        }
    }

    /// What others call it, and what is done by signals here.
    private static let elsewhere = [
        "start": "`gateway run` runs in the foreground", "serve": "`gateway run` runs in the foreground",
        "stop": "send the running gateway a TERM signal", "quit": "send the running gateway a TERM signal",
        "restart": "`gateway reload` takes a new configuration, `gateway upgrade` a new binary",
        "reopen": "send the running gateway a USR1 signal", "test": "`gateway check` validates the configuration",
        "validate": "`gateway check` validates the configuration", "configtest": "`gateway check` validates the configuration",
    ]

    private static func suggestion(for name: String) -> String {
        if let meant = elsewhere[name] { return ": \(meant)" }
        if name.hasSuffix(".conf") || name.contains("/") { return " (did you mean `gateway run -c \(name)`?)" }
        let names = rows.map(\.name)
        let near = Suggestion.nearest(to: name, among: names)
            ?? names.first { $0.hasPrefix(name.prefix(3)) || name.hasPrefix($0.prefix(3)) }
        return near.map { " (did you mean `\($0)`?)" } ?? ": there are \(names.joined(separator: ", "))"
    }

    private static var help: String {
        let width = rows.map(\.name.count).max()! + 2
        let list = rows.map { "  " + $0.name + String(repeating: " ", count: width - $0.name.count) + $0.summary }
        return """
            gateway \(Gateway.version): a multi-tenant edge gateway

            usage: gateway [COMMAND] [-c FILE]

            \(list.joined(separator: "\n"))

            gateway COMMAND --help says more. The configuration is ./gateway.conf unless -c names another file.
            """
    }
}

/// What follows the subcommand.
struct Arguments {
    private(set) var words: [String]
    private let usage: String

    init(_ words: [String], usage: String) { (self.words, self.usage) = (words, usage) }

    func failure(_ text: String) -> Command.Failure { Command.Failure(text: "gateway: \(text)\nusage: \(usage)", code: 2) }

    /// The value of `-c FILE`, `--config FILE` or `--config=FILE`; nothing else may be left.
    func configurationPath() throws -> String {
        var rest = self
        let path = try rest.takeConfigurationPath()
        try rest.expectNothingElse()
        return path
    }

    mutating func takeConfigurationPath() throws -> String {
        var path: String?
        var rest: [String] = []
        var index = 0
        while index < words.count {
            let word = words[index]
            if word == "-c" || word == "--config" {
                guard index + 1 < words.count else { throw failure("\(word) wants a file") }
                guard path == nil else { throw failure("\(word) is given twice") }
                path = words[index + 1]
                index += 2
            } else if word.hasPrefix("--config=") {
                path = String(word.dropFirst(9))
                index += 1
            } else {
                rest.append(word)
                index += 1
            }
        }
        words = rest
        return path ?? "gateway.conf"
    }

    /// What is left once something was taken out.
    mutating func keep(_ rest: [String]) { words = rest }

    func expectNothingElse() throws {
        if let first = words.first { throw failure("`\(first)` is not understood") }
    }
}

/// Ends the process with that code, at once: `exit` would first take down what threads still use that nobody waits for, a
/// fetch of keys say, and OpenSSL crashes then. Nothing is left to be written: there are no buffers.
public func exitWith(_ code: Int32) -> Never { _exit(code) }
