import Base
import Synchronization

extension Resolver {
    /// Waits for the answer, until `deadline` at most: for threads that may wait. An address stands for itself.
    public func addresses(of host: String, port: UInt16, until deadline: UInt64) -> Outcome {
        if let literal = SocketAddress(host, port: port) { return .addresses([literal]) }
        let answer = Answer()
        resolve(host, port: port, under: host) { answer.give($0) }
        return answer.wait(until: deadline) ?? .late
    }
}

/// An outcome on its way to a thread that waits for it.
private final class Answer: Sendable {
    private let outcome = Mutex<Resolver.Outcome?>(nil)
    private let given = Bell()

    func give(_ value: Resolver.Outcome) {
        outcome.withLock { $0 = value }
        given.ring()
    }

    func wait(until deadline: UInt64) -> Resolver.Outcome? {
        given.wait(atMost: deadline - min(deadline, Clock.monotonic()))
        return outcome.withLock { $0 }
    }
}
