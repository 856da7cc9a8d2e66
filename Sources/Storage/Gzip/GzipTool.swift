import Base
import Glibc

/// Compresses, by the system's `gzip`. Waits; never for a thread that serves.
public protocol Compressor: Sendable {
    /// What stands in `input`, compressed, into `output`; both from where they stand.
    func compress(_ input: Int32, into output: Int32) throws(StorageFault)
}

/// `gzip` from `$PATH`, without a shell, at a low priority.
public struct GzipTool: Compressor {
    private let name: String
    private let patience: UInt64

    /// - Parameters:
    ///   - name: of the program, or its path.
    ///   - patience: nanoseconds for which it may put out nothing.
    public init(_ name: String = "gzip", patience: UInt64 = Limits.compressorSilenceNanoseconds) {
        (self.name, self.patience) = (name, patience)
    }

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
        let status = try wait(for: child, output)
        // The whole status is zero only after an exit with zero.
        guard status == 0 else { throw .damaged("did not end well (status \(status))", path: name) }
    }

    /// Its status, once it has ended. One that hangs is ended: what is to be compressed would wait with it, and so would whoever
    /// else wants the ledger.
    private func wait(for child: pid_t, _ output: Int32) throws(StorageFault) -> Int32 {
        var status: Int32 = 0
        var (size, last) = (0, Clock.monotonic())
        var isEnded = false
        while true {
            let result = unsafe waitpid(child, &status, isEnded ? 0 : WNOHANG)
            if result < 0, errno != EINTR { throw .system("can't wait for", path: name, code: errno) }
            if result > 0 { break }
            if isEnded { continue }
            let now = Clock.monotonic()
            if let longer = try? DiskFiles().status(output).size, longer != size { (size, last) = (longer, now) }
            if now &- last >= patience {
                isEnded = true
                kill(child, SIGKILL)
            } else if result == 0 {
                usleep(Limits.compressorPauseMicroseconds)
            }
        }
        if isEnded { throw .damaged("put out nothing for \(patience / 1_000_000_000) s and was ended", path: name) }
        return status
    }
}
