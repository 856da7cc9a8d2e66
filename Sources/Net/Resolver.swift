import Base
import Glibc
import Synchronization

/// Names to addresses with `getaddrinfo`, on threads of its own: no loop ever waits for DNS.
public final class Resolver: Sendable {
    public enum Outcome: Sendable, Equatable {
        case addresses([SocketAddress])
        /// What `gai_strerror` says.
        case failed(String)
    }

    private struct Job: Sendable {
        var name: String
        var port: UInt16
        var done: @Sendable (Outcome) -> Void
    }

    private struct Queue {
        var jobs: [Job] = []
        var threads = 0
    }

    /// Slow servers hold a thread each; beyond this number names wait for one another.
    private static let threadsMax = 4
    private let queue = Mutex(Queue())

    public init() {}

    /// Calls `done` on a thread of the resolver.
    public func resolve(_ name: String, port: UInt16, done: @escaping @Sendable (Outcome) -> Void) {
        let start = queue.withLock { queue in
            queue.jobs.append(Job(name: name, port: port, done: done))
            if queue.threads == Self.threadsMax { return false }
            queue.threads += 1
            return true
        }
        if start { Thread("resolver") { self.work() }.detach() }
    }

    private func work() {
        while true {
            let job = queue.withLock { queue -> Job? in
                if queue.jobs.isEmpty {
                    queue.threads -= 1
                    return nil
                }
                return queue.jobs.removeFirst()
            }
            guard let job else { return }
            job.done(Self.lookUp(job.name, port: job.port))
        }
    }

    /// Asks at once, and waits for the answer.
    public static func lookUp(_ name: String, port: UInt16) -> Outcome {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(name, nil, &hints, &list)
        guard result == 0 else { return .failed(String(cString: gai_strerror(result))) }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var entry = list
        while let e = entry {
            if let raw = e.pointee.ai_addr, var address = SocketAddress(raw) {
                address.port = port
                if !found.contains(address) { found.append(address) }
            }
            entry = e.pointee.ai_next
        }
        return found.isEmpty ? .failed("no address") : .addresses(found)
    }
}
