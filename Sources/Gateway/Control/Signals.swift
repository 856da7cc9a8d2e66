import Base
import CLinux
import Glibc
import Net

/// Signals as events of the control loop.
final class Signals: Source {
    private let receive: (Int32) -> Void

    /// For the first moment of every command: those that are meant for a running gateway end nothing else, nor one that has
    /// not come so far as to block them.
    static func ignoreEarly() { for one in [SIGUSR1, SIGUSR2] { signal(one, SIG_IGN) } }

    /// Blocks them for this thread and every later one. Call before the first thread is started.
    static func block() throws(SystemError) {
        for one in ignored { signal(one, SIG_IGN) }
        var set = Self.set
        let result = pthread_sigmask(SIG_BLOCK, &set, nil)
        if result != 0 { throw SystemError("can't block signals", result) }
        // What is ignored is not received either.
        for one in [SIGUSR1, SIGUSR2] { signal(one, SIG_DFL) }
    }

    /// Those that mean nothing here and would end the process: a mistake of somebody's, a timer, or what a terminal does.
    /// The real-time ones begin behind the two that the C library keeps for itself.
    private static let ignored = [SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT] + Array(Int32(34)...64)

    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for one in [SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2] { sigaddset(&set, one) }
        return set
    }

    init(loop: EventLoop, flow: Flow, receive: @escaping (Int32) -> Void) throws(SystemError) {
        self.receive = receive
        var set = Self.set
        let fd = signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
        let failure = SystemError("can't receive signals")
        super.init(loop: loop, fd: fd, flow: flow)
        if fd < 0 { throw failure }
        guard loop.add(self) else { throw SystemError("can't watch for signals") }
    }

    override func ready(_ events: Readiness) {
        var info = signalfd_siginfo()
        while read(fd, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
            receive(Int32(bitPattern: info.ssi_signo))
        }
        // One that stays unread makes every further one of its kind unheard: it is looked for again, whatever was said.
        loop.schedule(self, at: loop.now + Self.patience)
    }

    override func expired() { loop.wake(self, .readable) }
    private static let patience: UInt64 = 500_000_000
}
