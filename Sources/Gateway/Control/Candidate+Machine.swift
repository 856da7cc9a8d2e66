import Configuration
import Crypto
import Glibc
import Net

/// What only this machine can tell: whether what a configuration names can be used here.
extension Candidate {
    /// Findings on the state folder, the access log and the hosts that certificates cover.
    /// - Parameter strict: what a start would go on without is an error as well.
    static func judge(_ settings: Settings, _ tls: [TLSListener?], _ loaded: LoadedConfiguration, strict: Bool)
        -> [Diagnostic]
    {
        var found: [Diagnostic] = []
        if let fault = stateFault(settings.cold.state) {
            found.append(Diagnostic(.error, place(settings.places.state), fault))
        }
        if case .file(let path) = settings.hot.accessLog.target, let fault = logFault(path, state: settings.cold.state)
        {
            found.append(Diagnostic(strict ? .error : .warning, place(settings.places.accessLog), fault))
        }
        return found + uncovered(settings.hot, tls, loaded)
    }

    /// The file's beginning for what stands nowhere.
    private static func place(_ location: Location?) -> Location { location ?? Location(file: 0, line: 1, column: 1) }

    private static func reason() -> String { String(cString: strerror(errno)) }

    private enum Kind { case folder, other, missing }

    private static func kind(of path: String) -> Kind {
        var status = stat()
        guard stat(path, &status) == 0 else { return .missing }
        return status.st_mode & S_IFMT == S_IFDIR ? .folder : .other
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func stateFault(_ path: String) -> String? {
        switch kind(of: path) {
        case .other: return "the state folder \(path) is no folder"
        case .missing:
            let parent = folder(of: path)
            if access(parent, W_OK | X_OK) != 0 {
                return "the state folder \(path) can't be made in \(parent): \(reason())"
            }
        case .folder:
            if access(path, W_OK | X_OK) != 0 { return "the state folder \(path) can't be written to: \(reason())" }
            for name in ["meters", "ledger", "admin.token"] {
                let file = path + "/" + name
                if access(file, F_OK) == 0, access(file, R_OK | W_OK) != 0 {
                    return "\(file) can't be written to: \(reason())"
                }
            }
        }
        return nil
    }

    private static func logFault(_ path: String, state: String) -> String? {
        switch kind(of: path) {
        case .folder: return "the access log \(path) is a folder: every line would be lost"
        case .other:
            if access(path, W_OK) != 0 { return "the access log \(path) can't be written to: \(reason())" }
        case .missing:
            let parent = folder(of: path)
            // The state folder is made at a start.
            if parent == state, kind(of: state) == .missing { return nil }
            if access(parent, W_OK | X_OK) != 0 {
                return "the access log \(path) can't be made in \(parent): \(reason()): every line would be lost"
            }
        }
        return nil
    }

    /// Hosts of which no certificate says that they are ours: clients of the TLS listeners turn away.
    private static func uncovered(_ hot: HotSettings, _ tls: [TLSListener?], _ loaded: LoadedConfiguration)
        -> [Diagnostic]
    {
        let listeners = tls.compactMap { $0 }
        // One that could not be made has its error, and might have covered them.
        guard !listeners.isEmpty, listeners.count == hot.listeners.count(where: { $0.tls != nil }) else { return [] }
        var found: [Diagnostic] = []
        var more = 0
        for host in hot.tenants.lazy.flatMap(\.hosts) where !listeners.contains(where: { $0.covers(host) }) {
            // Certificates are looked for by name; who asks by address gets the first one.
            if host.hasPrefix("[") || SocketAddress(host, port: 0) != nil { continue }
            guard let location = loaded.location(ofHost: host), found.count < uncoveredMax else {
                more += 1
                continue
            }
            found.append(Diagnostic(.warning, at: location, length: host.utf8.count, "no certificate covers `\(host)`"))
        }
        if more > 0, let last = found.last {
            found.append(Diagnostic(.warning, last.location, "no certificate covers \(more) more hosts"))
        }
        return found
    }

    /// With a hundred thousand tenants one certificate may be missing for all of them.
    private static let uncoveredMax = 20
}
