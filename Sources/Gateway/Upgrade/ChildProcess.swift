import Base
import Glibc
import Net
import Synchronization

/// A process that this one has started. Its id is its own until it is reaped, and nobody is signalled after that.
final class ChildProcess: Sendable {
    let pid: pid_t
    private let isReaped = Mutex(false)

    /// Starts a program with these words, of which the first is its path. It has this process's environment, working
    /// directory, output and log, and no other descriptor of it.
    /// - Parameters:
    ///   - channel: what it finds as its descriptor 3.
    ///   - output: in place of its output and its log.
    init(_ words: [String], channel: Int32? = nil, output: Int32? = nil) throws(SystemError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let output {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            for standard in 1...2 { posix_spawn_file_actions_adddup2(&actions, output, Int32(standard)) }
        }
        // All others are closed on exec.
        if let channel { posix_spawn_file_actions_adddup2(&actions, channel, Predecessor.descriptor) }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for word in arguments { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], &actions, nil, &arguments, environ)
        guard code == 0 else { throw SystemError("can't start \(words[0])", code) }
        self.pid = pid
    }

    /// At once.
    func kill() { signal(SIGKILL) }

    /// In order.
    func terminate() { signal(SIGTERM) }

    private func signal(_ number: Int32) { isReaped.withLock { if !$0 { _ = Glibc.kill(pid, number) } } }

    /// Waits for its end. What it ended with, as waitpid(2) says it; nil where somebody else has reaped it.
    @discardableResult
    func wait() -> Int32? {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        return reap()
    }

    /// The same without waiting; nil while it lives, too.
    @discardableResult
    func reap() -> Int32? {
        isReaped.withLock { isReaped in
            if isReaped { return nil }
            var status: Int32 = 0
            let found = waitpid(pid, &status, WNOHANG)
            if found == pid || (found < 0 && errno == ECHILD) { isReaped = true }
            return found == pid ? status : nil
        }
    }

    /// Gives it so long to end by itself, and then ends it. What it ended with.
    func end(within nanoseconds: UInt64) -> Int32? {
        let deadline = Clock.monotonic() + nanoseconds
        while Clock.monotonic() < deadline {
            if let status = reap() { return status }
            usleep(10_000)
        }
        kill()
        return wait()
    }

    /// An end in words.
    static func describe(_ status: Int32?) -> String {
        guard let status else { return "it has ended" }
        let number = status & 0x7F
        return number == 0 ? "it ended with \(status >> 8 & 0xFF)" : "it was ended by signal \(number)"
    }
}
