import HTTP
import Net

/// Where an exchange's request goes to and its answer comes from. The contract of bodies stands above `ClientEnd`.
enum UpstreamEnd {
    case h1(H1Upstream)
    case other(OtherUpstream)
}

extension UpstreamEnd {
    /// Its server's.
    var pool: ServerPool {
        switch self {
        case .h1(let upstream): upstream.pool
        case .other(let upstream): upstream.pool
        }
    }

    /// Belongs to the exchange from now on.
    func use(_ exchange: Exchange) {
        switch self {
        case .h1(let upstream): upstream.use(exchange)
        case .other(let upstream): upstream.use(exchange)
        }
    }

    /// Whether this is that connection.
    func `is`(_ connection: H1Upstream) -> Bool {
        switch self {
        case .h1(let upstream): upstream === connection
        case .other: false
        }
    }

    /// Bytes of the request that it takes now; zero while it is being connected, too.
    var room: Int {
        switch self {
        case .h1(let upstream): upstream.room
        case .other(let upstream): upstream.room
        }
    }

    /// It keeps something that the server has not taken yet.
    var isCongested: Bool {
        switch self {
        case .h1(let upstream): upstream.isCongested
        case .other(let upstream): upstream.room == 0
        }
    }

    /// The request's head, and what has come of its body.
    func send(_ head: WrittenHead, _ first: BodyPart) {
        switch self {
        case .h1(let upstream): upstream.send(head, first)
        case .other(let upstream): upstream.send(head, first)
        }
    }

    /// The next part of the request's body.
    func pass(_ part: BodyPart) {
        switch self {
        case .h1(let upstream): upstream.pass(part)
        case .other(let upstream): upstream.pass(part)
        }
    }

    /// The answer, or its next part, must come within so many nanoseconds from now.
    func expectAnswer(within timeout: UInt64) {
        switch self {
        case .h1(let upstream): upstream.expectAnswer(within: timeout)
        case .other(let upstream): upstream.expectAnswer(within: timeout)
        }
    }

    /// Nothing of the answer is read, and no time runs, until `wantsMore`.
    func pause() {
        switch self {
        case .h1(let upstream): upstream.pause()
        case .other(let upstream): upstream.pause()
        }
    }

    /// The next part of the answer may be read.
    /// - Parameter isOwed: it is due, from now on.
    func wantsMore(isOwed: Bool) {
        switch self {
        case .h1(let upstream): upstream.resume(isOwed: isOwed)
        case .other(let upstream): upstream.wantsMore(isOwed: isOwed)
        }
    }

    /// Request and answer are over. It is kept for another request if that is safe, which it knows itself.
    func release() {
        switch self {
        case .h1(let upstream): upstream.release()
        case .other(let upstream): upstream.release()
        }
    }

    /// Nothing of the answer is wanted any more.
    /// - Parameter abort: what was sent must not be taken for the whole request.
    func cancel(abort: Bool) {
        switch self {
        case .h1(let upstream): upstream.shut(abort: abort)
        case .other(let upstream): upstream.cancel()
        }
    }
}
