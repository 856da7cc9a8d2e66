import Configuration
import Glibc
import Net

/// What one worker has to do with a configuration.
public struct WorkerPart: Sendable {
    /// False for one that is to rest.
    public var serves: Bool
    /// New ones to listen on, opened for it.
    public var sockets: [Endpoint: [Int32]]
    /// Those of its own that other workers are to have.
    public var gifts: [Gift]

    public struct Gift: Sendable {
        public var endpoint: Endpoint
        /// The index of the one who gets it.
        public var to: Int
        /// It listens on as well.
        public var isShared: Bool

        public init(_ endpoint: Endpoint, to index: Int, isShared: Bool = false) {
            (self.endpoint, to, self.isShared) = (endpoint, index, isShared)
        }
    }

    public init(serves: Bool = true, sockets: [Endpoint: [Int32]] = [:], gifts: [Gift] = []) {
        (self.serves, self.sockets, self.gifts) = (serves, sockets, gifts)
    }
}

/// There are more or fewer workers than before.
extension Worker {
    func adopt(_ part: WorkerPart, _ done: @escaping @Sendable () -> Void) {
        if part.serves, isResting { wakeUp() }
        for gift in part.gifts { give(gift, done) }
        if !part.serves, !isDraining { rest() }
    }

    /// A socket that is closed takes with it who waits there and who is about to: so it goes to another worker as it is.
    private func give(_ gift: WorkerPart.Gift, _ done: @escaping @Sendable () -> Void) {
        guard let listener = listeners[gift.endpoint]?.last else { return done() }
        var fd: Int32
        if gift.isShared {
            fd = fcntl(listener.fd, F_DUPFD_CLOEXEC, 3)
        } else {
            fd = loop.detach(listener)
            listeners[gift.endpoint]?.removeLast()
        }
        if fd < 0 { return done() }
        group.post(.take(fd, gift.endpoint, done: done), to: gift.to)
    }

    /// A socket that another worker has had.
    func listen(on fd: Int32, _ endpoint: Endpoint) {
        guard !isEnding, let state = snapshot.listeners.first(where: { $0.endpoint == endpoint }) else {
            close(fd)
            return
        }
        listen(on: fd, state)
    }

    /// Nothing new comes to this worker. Connections that are there get an answer to their next request which says that it is
    /// the last one, or their time of rest ends; those of HTTP/2 are told at once, and tunnels go on. With the last of them it
    /// holds nothing that another worker could want, and sleeps: its counters, and what is its own, are there for the next
    /// configuration that has a part for it.
    private func rest() {
        (isResting, isDraining) = (true, true)
        listeners = listeners.filter { !$0.value.isEmpty }
        balancers.retirePools()
        adoptDesks(isOver: true)
        forEachClient { $0.retireWhenAnswered() }
    }

    /// Those of its connections that were told of their end keep to it.
    private func wakeUp() {
        (isResting, isDraining) = (false, false)
        balancers.reopenPools()
    }
}
