import Base
import Configuration
import Crypto
import Glibc
import Net
import Storage

/// What only this machine can tell: whether what a configuration names can be used here.
extension Candidate {
    /// Findings on the state folder, the access log, servers that are the gateway itself, and the hosts that certificates cover.
    /// - Parameter strict: what a start would go on without is an error as well.
    static func judge(_ settings: Settings, _ tls: [TLSListener?], _ loaded: LoadedConfiguration, strict: Bool)
        -> [Diagnostic]
    {
        var found: [Diagnostic] = []
        if let fault = stateFault(settings.cold.state) {
            found.append(Diagnostic(.error, place(settings.places.state), fault))
        } else if let fault = fault(of: StateFolder(path: settings.cold.state).ledgerPath, isFolder: true) {
            // What is counted meanwhile waits in the meter table.
            found.append(Diagnostic(strict ? .error : .warning, place(settings.places.state), fault))
        }
        if case .file(let path) = settings.hot.accessLog.target, let fault = logFault(path, state: settings.cold.state)
        {
            found.append(Diagnostic(strict ? .error : .warning, place(settings.places.accessLog), fault))
        }
        if loaded.settings != nil { found += Circles.warnings(in: settings) }
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
            if end(of: path) != path { return "the state folder \(path) is a link to \(end(of: path)), which is not there" }
            if let fault = folderFault(folder(of: path)) { return "the state folder \(path) can't be made in \(fault)" }
        case .folder:
            if access(path, W_OK | X_OK) != 0 { return "the state folder \(path) can't be written to: \(reason())" }
            return stateFault(StateFolder(path: path))
        }
        return nil
    }

    private static func stateFault(_ folder: StateFolder) -> String? {
        for path in [folder.metersPath, folder.tokenPath] {
            if let fault = fault(of: path, isFolder: false) { return fault }
        }
        do throws(StorageFault) {
            try MeterTable.verify(folder.metersPath)
            return nil
        } catch { return error.description }
    }

    /// Of something in the state folder, which may not be there yet.
    private static func fault(of path: String, isFolder: Bool) -> String? {
        let fault = RegularFile.fault(path)
        let isThere = fault != .system(ENOENT)
        if !isThere { return end(of: path) == path ? nil : "\(path) is a link to \(end(of: path)), which is not there" }
        switch (isFolder, fault) {
        case (true, .folder), (false, nil): break
        case (true, nil): return "\(path) can't be used: it is no folder"
        case (_, let fault?): return "\(path) can't be used: \(fault)"
        }
        return access(path, R_OK | W_OK) == 0 ? nil : "\(path) can't be written to: \(reason())"
    }

    private static func logFault(_ path: String, state: String) -> String? {
        switch kind(of: path) {
        case .folder: return "the access log \(path) is a folder: every line would be lost"
        case .other:
            if access(path, W_OK) != 0 { return "the access log \(path) can't be written to: \(reason())" }
        case .missing:
            // Opening makes what a link leads to.
            let parent = folder(of: end(of: path))
            // The state folder is made at a start.
            if parent == state, kind(of: state) == .missing { return nil }
            if let fault = folderFault(parent) {
                return "the access log \(path) can't be made in \(fault): every line would be lost"
            }
        }
        return nil
    }

    /// Why no file can be made in a folder, with its name in front; nil where one can.
    private static func folderFault(_ path: String) -> String? {
        if kind(of: path) == .other { errno = ENOTDIR } else if access(path, W_OK | X_OK) == 0 { return nil }
        return "\(path): \(reason())"
    }

    /// Where the links lead that a path ends with: links may lead to what is not there. The path itself where it is no link.
    private static func end(of path: String) -> String {
        var path = path
        var room = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        // As many as the kernel follows (path_resolution(7)).
        for _ in 0..<40 {
            let count = readlink(path, &room, room.count - 1)
            guard count > 0 else { return path }
            let next = String(decoding: room[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            path = next.hasPrefix("/") ? next : folder(of: path) + "/" + next
        }
        return path
    }

    /// Hosts of which no certificate of a TLS listener says that they are ours: its clients turn away.
    private static func uncovered(_ hot: HotSettings, _ tls: [TLSListener?], _ loaded: LoadedConfiguration)
        -> [Diagnostic]
    {
        let listeners = zip(hot.listeners, tls).compactMap { settings, tls in tls.map { (label: settings.endpoint.label, tls: $0) } }
        // One that could not be made has its error, and might have covered them.
        guard !listeners.isEmpty, listeners.count == hot.listeners.count(where: { $0.tls != nil }) else { return [] }
        var found: [Diagnostic] = []
        var more = 0
        for host in [hot.tenants.lazy.flatMap(\.hosts).map { $0 }, hot.sharedHosts].joined() {
            // Certificates are looked for by name; who asks by address gets the first one.
            if host.hasPrefix("[") || SocketAddress(host, port: 0) != nil { continue }
            let lacking = listeners.filter { !$0.tls.covers(host) }
            if lacking.isEmpty { continue }
            guard let location = loaded.location(ofHost: host), found.count < uncoveredMax else {
                more += 1
                continue
            }
            let whose = lacking.count == listeners.count ? "" : " of " + lacking.map(\.label).joined(separator: ", ")
            found.append(Diagnostic(.warning, at: location, length: host.utf8.count, "no certificate\(whose) covers `\(host)`"))
        }
        if more > 0, let last = found.last {
            found.append(Diagnostic(.warning, last.location, "no certificate covers \(more) more hosts"))
        }
        return found
    }

    /// With a hundred thousand tenants one certificate may be missing for all of them.
    private static let uncoveredMax = 20
}
