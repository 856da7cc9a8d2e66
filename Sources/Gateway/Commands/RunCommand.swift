import Configuration
import Glibc
import Net
import Tenancy

enum RunCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        var arguments = arguments
        let isBeside = try arguments.takeFlag("--beside")
        return try serve(arguments.configurationPath(), beside: isBeside)
    }

    static func serve(_ path: String, beside: Bool = false) throws -> Int32 {
        try Signals.block()
        do throws(StartFailure) {
            return try Gateway(configuration: path, beside: beside).run()
        } catch {
            throw Command.Failure(text: error.description)
        }
    }
}

enum CheckCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        let path = try arguments.configurationPath()
        let candidate = Candidate.read(path)
        for line in candidate.render(candidate.diagnostics) { Console.error(line) }
        if candidate.loaded.omitted > 0 { Console.error("... and \(candidate.loaded.omitted) more") }
        let errors = candidate.errors.count + candidate.loaded.omitted
        if errors > 0 {
            Console.error("\(path): \(errors) error\(errors == 1 ? "" : "s")")
            return 1
        }
        let hot = candidate.settings!.hot
        for issuer in hot.issuers { tryKeys(of: issuer, candidate) }
        Console.out("\(path): ok (\(hot.tenants.count) tenants, \(hot.upstreams.count) upstreams, \(hot.listeners.count) listeners)")
        return 0
    }
}

extension CheckCommand {
    /// A key set that can't be had now is no error: a start would go on, and try again.
    private static func tryKeys(of issuer: IssuerSettings, _ candidate: Candidate) {
        guard case .url(let url) = issuer.keys else { return }
        func warn(_ text: String) {
            let warning = Diagnostic(.warning, issuer.keysLocation, "the key set \(url): \(text)")
            for line in candidate.render([warning]) { Console.error(line) }
        }
        do throws(KeySetFetch.Failure) {
            let answer = try KeySetFetch.get(url, with: Resolver())
            do throws(KeySet.Fault) {
                let keys = try KeySet(json: answer.json, algorithms: issuer.signatureAlgorithms)
                for reason in keys.skipped { warn("not used: \(reason)") }
                if let lack = keys.lack { warn("\(lack): all of its tokens are refused") }
                Console.out("jwt \(issuer.name): \(keys.count) keys from \(url)")
            } catch { warn(error.description) }
        } catch {
            warn("can't be fetched: \(error); a running gateway believes what it has for \(issuer.keysMaxAgeText) after its fetch")
        }
    }
}

enum DirectivesCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        guard let name = arguments.words.first else {
            let width = Directive.all.map(\.name.count).max()! + 2
            for row in Directive.all {
                Console.out("  " + row.name + String(repeating: " ", count: width - row.name.count) + row.help)
            }
            return 0
        }
        let rows = Directive.named(name)
        guard !rows.isEmpty else { throw Command.Failure(text: "gateway: no directive `\(name)`") }
        for row in rows {
            Console.out(
                """
                \(row.usage)
                  \(([row.help] + row.details).joined(separator: "\n  "))
                  stands in: \(row.places.map(\.rawValue).joined(separator: ", "))
                  default: \(row.defaultValue ?? "none")
                  takes effect: \(row.isHot ? "at a reload" : "at a start")\(row.isSupported ? "" : "\n  not supported yet")
                """)
        }
        return 0
    }
}
