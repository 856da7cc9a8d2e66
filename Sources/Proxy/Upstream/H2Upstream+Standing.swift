import Glibc
import HTTP
import Net

/// A connection that was made by another one, which had more to do than to connect.
extension H2Upstream {
    /// Tells who waits for it that it stands.
    /// - Parameter early: bytes of the server's first frames, which stand in the room for frames.
    func stand(for dial: Dial, begunAs end: OpeningEnd, early: Int) {
        guard loop.add(self) else {
            shut()
            return dial.failed(.other(end), .system(ENOMEM))
        }
        let isKept = pool.opened(self)
        if early > 0 { unsafe take(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(worker.rooms.frames)[..<early])) }
        if isClosed { return dial.failed(.other(end), .protocols) }
        let first = worker.takeStream(on: self)
        withExtendedLifetime(first) { dial.connected(.h2(first), begunAs: end) }
        if isKept { begin() } else { leave() }
    }

    /// It may carry requests of this client.
    func serves(_ exchange: Exchange) -> Bool { client.map { $0.hasSameHost(as: exchange.clientAddress) } ?? true }
}
