import Base
import Glibc
import HTTP
import Net

/// A client's end that is no connection of HTTP. Tests script theirs.
class OtherClient {
    let source: Source
    let origin: ClientOrigin
    var room: Int { Limits.readSize }
    var isBroken: Bool { false }

    init(source: Source, origin: ClientOrigin) { (self.source, self.origin) = (source, origin) }

    func askForBody() {}
    func inform(_ head: WrittenHead) {}
    func answer(_ head: WrittenHead, _ first: BodyPart) {}
    func pass(_ part: BodyPart) {}
    func openTunnel(_ head: WrittenHead, _ first: BodyPart) {}
    func retire() {}
    func finished() {}
    func breakOff() {}
}

/// An upstream's end that is no connection of HTTP.
class OtherUpstream {
    let pool: ServerPool
    /// While it is being connected.
    var dial: Dial?
    var room: Int { Limits.readSize }
    var isReused: Bool { false }

    init(pool: ServerPool) { self.pool = pool }

    /// While it is being connected: its time is over, and this is what takes so long.
    func timedOut() -> ConnectFailure { .system(ETIMEDOUT) }

    func use(_ exchange: Exchange) { exchange.attempt(on: .other(self)) }
    func send(_ head: WrittenHead, _ first: BodyPart) {}
    func pass(_ part: BodyPart) {}
    func expectAnswer(within timeout: UInt64) {}
    func pause() {}
    func wantsMore(isOwed: Bool) {}
    func release() {}
    func cancel() {}
}
