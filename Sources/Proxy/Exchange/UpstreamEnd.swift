import Base
import Glibc
import HTTP
import Net

/// Where an exchange's request goes to and its answer comes from. The contract of bodies stands above `ClientEnd`.
///
/// A value of this doesn't keep the end: whoever holds one for longer than a turn keeps its `object` as well, as an exchange
/// does. Within a turn the loop keeps what is closed.
struct UpstreamEnd {
    private enum Kind {
        case h1(Uncounted<H1Upstream>)
        case h2(Uncounted<H2UpstreamStream>)
        case other(Uncounted<OtherUpstream>)
    }
    private let kind: Kind

    // Kept as is said above.
    static func h1(_ upstream: H1Upstream) -> UpstreamEnd { UpstreamEnd(kind: .h1(unsafe Uncounted(upstream))) }
    static func h2(_ stream: H2UpstreamStream) -> UpstreamEnd { UpstreamEnd(kind: .h2(unsafe Uncounted(stream))) }
    static func other(_ upstream: OtherUpstream) -> UpstreamEnd { UpstreamEnd(kind: .other(unsafe Uncounted(upstream))) }

    /// The end itself, to be kept.
    var object: AnyObject {
        switch kind {
        case .h1(let upstream): upstream.counted
        case .h2(let stream): stream.counted
        case .other(let upstream): upstream.counted
        }
    }
}

extension UpstreamEnd {
    /// Its server's.
    var pool: ServerPool {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.pool }
        case .h2(let stream): stream.follow { $0.pool }
        case .other(let upstream): upstream.follow { $0.pool }
        }
    }

    /// It has carried a request before: the server may have closed it meanwhile.
    var isReused: Bool {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.isReused }
        case .h2(let stream): stream.follow { $0.isReused }
        case .other(let upstream): upstream.follow { $0.isReused }
        }
    }

    /// While it is being connected, it is told of that.
    func race(_ dial: Dial) {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.dial = dial }
        case .h2(let stream): stream.follow { $0.dial = dial }
        case .other(let upstream): upstream.follow { $0.dial = dial }
        }
    }

    /// While it is being connected: its time is over, and this is what takes so long.
    func timedOut() -> ConnectFailure {
        if case .other(let upstream) = kind { return upstream.follow { $0.timedOut() } }
        return .system(ETIMEDOUT)
    }

    /// Belongs to the exchange from now on.
    func use(_ exchange: Exchange) {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.use(exchange) }
        case .h2(let stream): stream.follow { $0.use(exchange) }
        case .other(let upstream): upstream.follow { $0.use(exchange) }
        }
    }

    /// It speaks HTTP/2.
    var isH2: Bool {
        if case .h2 = kind { return true }
        return false
    }

    /// Fields of its answer must not be put into a table further on (RFC 7541 section 7.1.3).
    var isSecret: Bool {
        if case .h2(let stream) = kind { return stream.follow { $0.isSecret } }
        return false
    }

    /// Whether this is that connection.
    func `is`(_ connection: H1Upstream) -> Bool {
        switch kind {
        case .h1(let upstream): upstream.follow { $0 === connection }
        case .h2: false
        case .other: false
        }
    }

    /// In tests: which one it is.
    var scripted: OtherUpstream? {
        switch kind {
        case .h1: nil
        case .h2: nil
        case .other(let upstream): upstream.counted
        }
    }

    /// Bytes of the request that it takes now; zero while it is being connected, too.
    var room: Int {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.room }
        case .h2(let stream): stream.follow { $0.room }
        case .other(let upstream): upstream.follow { $0.room }
        }
    }

    /// It keeps something that the server has not taken yet.
    var isCongested: Bool {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.isCongested }
        case .h2(let stream): stream.follow { $0.isCongested }
        case .other(let upstream): upstream.follow { $0.room == 0 }
        }
    }

    /// The request's head, and what has come of its body.
    func send(_ head: WrittenHead, _ first: BodyPart) {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.send(head, first) }
        case .h2(let stream): stream.follow { $0.send(head, first) }
        case .other(let upstream): upstream.follow { $0.send(head, first) }
        }
    }

    /// The next part of the request's body.
    func pass(_ part: BodyPart) {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.pass(part) }
        case .h2(let stream): stream.follow { $0.pass(part) }
        case .other(let upstream): upstream.follow { $0.pass(part) }
        }
    }

    /// The answer, or its next part, must come within so many nanoseconds from now.
    func expectAnswer(within timeout: UInt64) {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.expectAnswer(within: timeout) }
        case .h2(let stream): stream.follow { $0.expectAnswer(within: timeout) }
        case .other(let upstream): upstream.follow { $0.expectAnswer(within: timeout) }
        }
    }

    /// Nothing of the answer is read, and no time runs, until `wantsMore`.
    func pause() {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.pause() }
        case .h2(let stream): stream.follow { $0.pause() }
        case .other(let upstream): upstream.follow { $0.pause() }
        }
    }

    /// The next part of the answer may be read.
    /// - Parameter isOwed: it is due, from now on.
    func wantsMore(isOwed: Bool) {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.resume(isOwed: isOwed) }
        case .h2(let stream): stream.follow { $0.resume(isOwed: isOwed) }
        case .other(let upstream): upstream.follow { $0.wantsMore(isOwed: isOwed) }
        }
    }

    /// Request and answer are over. It is kept for another request if that is safe, which it knows itself.
    func release() {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.release() }
        case .h2(let stream): stream.follow { $0.release() }
        case .other(let upstream): upstream.follow { $0.release() }
        }
    }

    /// Nothing of the answer is wanted any more.
    /// - Parameter abort: what was sent must not be taken for the whole request.
    func cancel(abort: Bool) {
        switch kind {
        case .h1(let upstream): upstream.follow { $0.shut(abort: abort) }
        case .h2(let stream): stream.follow { $0.cancel() }
        case .other(let upstream): upstream.follow { $0.cancel() }
        }
    }
}
