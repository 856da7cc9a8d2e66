import Base
import Net

/// Asks servers by HTTP/1.1, on one event loop: for all that the gateway wants to know itself. One deadline bounds a request
/// from the look-up of a name to the end of the answer. No redirects: an answer comes from where it was asked for.
///
///     call ──► Dialing (name, addresses, TLS) ──► Connection ──► AnswerReader ──► events
///        └──(a kept connection)──────────────────────┘
public final class HTTPClient {
    let loop: EventLoop
    let flow: Flow
    let names: Names
    let idle: IdleConnections

    /// - Parameters:
    ///   - flow: whose turns it takes; common ones by default.
    ///   - kept: connections that wait for a next request, of all servers together.
    public init(loop: EventLoop, flow: Flow? = nil, resolver: Resolver, kept: Int = 0) {
        (self.loop, self.flow) = (loop, flow ?? loop.commonFlow)
        names = Names(resolver, loop: loop, flow: flow ?? loop.commonFlow)
        idle = IdleConnections(most: kept)
    }

    /// Begins a call. Nothing is told before this has returned; then events are, on the loop's thread, up to the last one.
    /// - Parameter deadline: for all of it, in monotonic nanoseconds.
    /// - Throws: `notRequest`.
    public func call(
        _ request: Request, at destination: Destination, by deadline: UInt64, limits: AnswerLimits = AnswerLimits(),
        tell: @escaping (Call, Event) -> Void
    ) throws(ClientFailure) -> Call {
        let call = Call(self, request, wire: try request.wire(), to: destination, by: deadline, limits, tell: tell)
        call.begin()
        return call
    }

    /// The same for a GET whose head is ready, with the empty line at its end: what stands in it was read from a valid head. Its
    /// connection may be kept.
    /// - Parameter flow: whose turns it takes.
    public func call(
        prepared wire: [UInt8], at destination: Destination, by deadline: UInt64, limits: AnswerLimits = AnswerLimits(), flow: Flow,
        tell: @escaping (Call, Event) -> Void
    ) -> Call {
        let request = Request("GET", "/", authority: "", keepsConnection: true)
        let call = Call(self, request, wire: wire, to: destination, by: deadline, limits, flow: flow, tell: tell)
        call.begin()
        return call
    }

    /// The same for an answer that is kept whole. `limits.body` bounds the memory that it takes.
    public func answer(
        to request: Request, at destination: Destination, by deadline: UInt64, limits: AnswerLimits,
        done: @escaping (Result<Answer, ClientFailure>) -> Void
    ) throws(ClientFailure) -> Call {
        var answer: Answer?
        return try call(request, at: destination, by: deadline, limits: limits) { _, event in
            switch event {
            case .head(let head): answer = Answer(head: head, body: [])
            case .part(let bytes): unsafe answer?.body.append(contentsOf: bytes)
            case .room: break
            case .end: done(answer.map { .success($0) } ?? .failure(.cutShort))
            case .failed(let failure): done(.failure(failure))
            }
        }
    }

    /// Ends what waits: kept connections, and look-ups. After the last call.
    public func end() {
        idle.end()
        names.end()
    }

    /// The answer, for a thread that may wait: it runs a loop of its own until the answer is there.
    public static func wait(
        for request: Request, at destination: Destination, by deadline: UInt64, limits: AnswerLimits,
        resolver: Resolver
    ) throws(ClientFailure) -> Answer {
        let loop: EventLoop
        do throws(SystemError) { loop = try EventLoop() } catch { throw ClientFailure(error) }
        let client = HTTPClient(loop: loop, resolver: resolver)
        var result: Result<Answer, ClientFailure>?
        _ = try client.answer(to: request, at: destination, by: deadline, limits: limits) {
            result = $0
            loop.stop()
        }
        loop.run()
        client.end()
        loop.letGo()
        guard let result else { throw .late }
        return try result.get()
    }
}
