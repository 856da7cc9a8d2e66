import Base
import Configuration
import Glibc
import Net
import Synchronization
import Tenancy

enum RunCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        var arguments = arguments
        let isBeside = try arguments.takeFlag("--beside")
        let takesOver = try arguments.takeFlag(Predecessor.option)
        let path = try arguments.configurationPath()
        return serve(path, program: Program(configuration: path), beside: isBeside, takesOver: takesOver)
    }

    /// - Parameters:
    ///   - program: what may be started to take over from this process; nil where nothing may.
    ///   - beside: a gateway of the same state that is to end may still serve.
    ///   - takesOver: the gateway that started this process hands over to it.
    static func serve(_ path: String, program: Program? = nil, beside: Bool = false, takesOver: Bool = false) -> Int32 {
        var predecessor: Predecessor?
        do throws(StartFailure) {
            do throws(SystemError) { try Signals.block() } catch { throw StartFailure(description: "gateway: \(error)") }
            if takesOver { predecessor = try Predecessor() }
            return try Gateway(configuration: path, program: program, beside: beside, predecessor: predecessor).run()
        } catch {
            predecessor?.tell(failure: error.description)
            // The log of a gateway that did not come to be: it has its times as well.
            Console.log(error.description)
            return 1
        }
    }
}

enum CheckCommand {
    static func run(_ arguments: Arguments) throws -> Int32 {
        let path = try arguments.configurationPath()
        let candidate = Candidate.read(path, isCheck: true)
        for line in candidate.render(candidate.diagnostics) { Console.error(line) }
        if candidate.loaded.omitted > 0 { Console.error("... and \(candidate.loaded.omitted) more") }
        let errors = candidate.errors.count + candidate.loaded.omitted
        if errors > 0 {
            Console.error("\(path): \(counted(errors, "error"))")
            return 1
        }
        let hot = candidate.settings!.hot
        for issuer in hot.issuers { tryKeys(of: issuer, candidate) }
        tryNames(hot.upstreams, candidate)
        let (tenants, upstreams) = (counted(hot.tenants.count, "tenant"), counted(hot.upstreams.count, "upstream"))
        Console.out("\(path): ok (\(tenants), \(upstreams), \(counted(hot.listeners.count, "listener")))")
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
                Console.out("jwt \(issuer.name): \(counted(keys.count, "key")) from \(url)")
            } catch { warn(error.description) }
        } catch {
            warn(
                "can't be fetched: \(error); a running gateway believes what it has for \(issuer.keysMaxAgeText) after its fetch"
            )
        }
    }
}

extension CheckCommand {
    /// Whether the servers' names resolve here and now: a start would go on without. All at once, within
    /// `Limits.resolveNanoseconds`. What a template's names are is known with its tenants' requests only.
    private static func tryNames(_ upstreams: [UpstreamSettings], _ candidate: Candidate) {
        let servers = upstreams.flatMap(\.servers).filter { server in
            !server.host.contains("{") && SocketAddress(server.host, port: server.port) == nil
        }
        let found = Found()
        let resolver = Resolver()
        for (place, server) in servers.enumerated() {
            resolver.resolve(server.host, port: server.port, under: server.host) { outcome in
                found.outcomes.withLock { $0[place] = outcome }
                found.bell.ring()
            }
        }
        while found.outcomes.withLock({ $0.count }) < servers.count {
            _ = found.bell.wait(atMost: Limits.resolveNanoseconds)
        }
        let outcomes = found.outcomes.withLock { $0 }
        for (place, server) in servers.enumerated() {
            guard case .failed(let reason)? = outcomes[place] else { continue }
            let warning = Diagnostic(
                .warning, at: server.location, length: server.host.utf8.count,
                "`\(server.host)` does not resolve: \(reason)")
            for line in candidate.render([warning]) { Console.error(line) }
        }
    }

    /// What look-ups have come to, by place.
    private final class Found: Sendable {
        let outcomes = Mutex<[Int: Resolver.Outcome]>([:])
        let bell = Bell()
    }
}
