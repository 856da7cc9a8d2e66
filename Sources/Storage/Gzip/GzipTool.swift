import Glibc

/// Compresses, by the system's `gzip`. Waits; never for a thread that serves.
public protocol Compressor: Sendable {
    /// What stands in `input`, compressed, into `output`; both from where they stand.
    func compress(_ input: Int32, into output: Int32) throws(StorageFault)
}

/// `gzip` from `$PATH`, without a shell, at a low priority.
public struct GzipTool: Compressor {
    private let name: String

    /// - Parameter name: of the program, or its path.
    public init(_ name: String = "gzip") { self.name = name }

    public func compress(_ input: Int32, into output: Int32) throws(StorageFault) {
        // What is made here is given back below, whatever happens in between; the child has its own of everything.
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // The gateway blocks signals and ignores two; its child is to end as others do.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        var ordinary = sigset_t()
        unsafe sigemptyset(&ordinary)
        for one in [SIGPIPE, SIGXFSZ] { unsafe sigaddset(&ordinary, one) }
        unsafe posix_spawnattr_setsigdefault(&attributes, &ordinary)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // Nothing of the gateway's environment but where programs are.
        let path = unsafe "PATH=" + (getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin")
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe [strdup(name), strdup("-c"), strdup("-n"), nil]
        var environment: [UnsafeMutablePointer<CChar>?] = unsafe [strdup(path), nil]
        defer { unsafe (arguments + environment).forEach { unsafe free($0) } }
        var child = pid_t()
        let code = unsafe posix_spawnp(&child, name, &actions, &attributes, &arguments, &environment)
        guard code == 0 else { throw .system("can't run", path: name, code: code) }
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(child), 19)
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { throw .system("can't wait for", path: name, code: errno) }
        }
        // The whole status is zero only after an exit with zero.
        guard status == 0 else { throw .damaged("did not end well (status \(status))", path: name) }
    }
}
