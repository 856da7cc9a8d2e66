import Base
import CLinux
import Glibc
import Net

/// Signals as events of the control loop.
final class Signals: Source {
    private let receive: (Int32) -> Void

    /// Blocks them for this thread and every later one. Call before the first thread is started.
    static func block() {
        var set = Self.set
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for one in [SIGHUP, SIGTERM, SIGINT, SIGUSR1] { sigaddset(&set, one) }
        return set
    }

    init(loop: EventLoop, flow: Flow, receive: @escaping (Int32) -> Void) {
        self.receive = receive
        var set = Self.set
        super.init(loop: loop, fd: signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK)), flow: flow)
    }

    override func ready(_ events: Readiness) {
        var info = signalfd_siginfo()
        while read(fd, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
            receive(Int32(bitPattern: info.ssi_signo))
        }
    }
}
