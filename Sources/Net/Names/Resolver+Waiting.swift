import Base
import CLinux
import Glibc
import Synchronization

extension Resolver {
    /// Waits for the answer, until `deadline` at most: for threads that may wait. An address stands for itself.
    public func addresses(of host: String, port: UInt16, until deadline: UInt64) -> Outcome {
        if let literal = SocketAddress(host, port: port) { return .addresses([literal]) }
        let answer = Answer()
        resolve(host, port: port, under: host) { answer.give($0) }
        return answer.wait(until: deadline) ?? .failed("no answer in time")
    }
}

/// An outcome on its way to a thread that waits for it.
private final class Answer: Sendable {
    private let outcome = Mutex<Resolver.Outcome?>(nil)
    private let given = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))

    deinit { close(given) }

    func give(_ value: Resolver.Outcome) {
        outcome.withLock { $0 = value }
        var one: UInt64 = 1
        _ = write(given, &one, 8)
    }

    func wait(until deadline: UInt64) -> Resolver.Outcome? {
        var asked = pollfd(fd: given, events: Int16(POLLIN), revents: 0)
        while poll(&asked, 1, Clock.milliseconds(until: deadline)) < 0, errno == EINTR {}
        return outcome.withLock { $0 }
    }
}
