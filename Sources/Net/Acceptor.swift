import Base
import Glibc

/// A listening socket: takes new connections, some a turn. Where something is lacking that nobody tells the return of,
/// descriptors, memory, or the kernel's watch over the socket itself, it looks again by itself a little later.
open class Acceptor: Source {
    private final var isWatched = false

    /// Begins to accept.
    public final func open() {
        isWatched = loop.add(self)
        if isWatched { loop.wake(self, .readable) } else { pause() }
    }

    /// A new connection, which is the receiver's to close. False where there should be no other one for a while.
    open func accepted(_ fd: Int32, from peer: SocketAddress) -> Bool { false }

    /// Whether connections are taken now. While they are not, this is asked again and again.
    open var mayAccept: Bool { true }

    /// A connection could not be taken.
    open func acceptFailed() {}

    public final override func ready(_ events: Readiness) {
        guard mayAccept else { return pause() }
        for _ in 0..<Limits.acceptsPerTurn {
            if !acceptOne() { return }
        }
        loop.wake(self, .readable)
    }

    /// Takes what the kernel has taken already.
    public final func acceptAll() {
        for _ in 0..<Limits.acceptBacklog where !isClosed { if !acceptOne() { return } }
    }

    /// Whether the next one may be there.
    private final func acceptOne() -> Bool {
        if let (fd, peer) = Socket.accept(fd) {
            let goesOn = accepted(fd, from: peer)
            if !goesOn { pause() }
            return goesOn
        }
        switch errno {
        case EAGAIN: return false
        // The client was faster than we.
        case ECONNABORTED, EINTR, EPROTO: return true
        default:
            acceptFailed()
            pause()
            return false
        }
    }

    private final func pause() { loop.schedule(self, at: loop.now + Limits.acceptPauseNanoseconds) }

    public final override func expired() {
        if isWatched { loop.wake(self, .readable) } else { open() }
    }
}
