import Base
import HTTP
import Metrics
import Net
import Tenancy

/// A copy of a request for another upstream: the client's end of an exchange of its own, which nobody waits for. What is
/// answered is thrown away, and nothing of it is recorded but how it ended.
///
///     collecting a body ──► whole ──its turn──► under way ──► over
///         └────── the request is over before ─────────────────┘
final class MirrorCopy: OtherClient {
    private let worker: Worker
    /// Its upstream's.
    private let balancer: Balancer
    /// What is known of the request, and whose it is. Of its head nothing is followed.
    private let request: Exchange.Request
    private var resolution: Exchange.Resolution
    private var head: [UInt8]
    private let affinity: UInt64
    private var body: [UInt8] = []
    private var hasBody = false
    private let bodyMax: Int
    private var isSent = false
    private var isTooLong = false
    private var exchange: Exchange?
    /// It is one of its upstream's.
    private var isCounted = true
    private var received = 0
    private var began: UInt64 = 0

    /// - Parameters:
    ///   - head: as it goes to the upstream, without an end.
    ///   - balancer: has counted it.
    init(of exchange: Exchange, head: UnsafeRawBufferPointer, to balancer: Balancer, bodyMax: Int) {
        (worker, self.balancer, self.bodyMax) = (exchange.worker, balancer, bodyMax)
        (request, resolution, affinity) = (exchange.request, exchange.resolution, exchange.detour.affinity)
        unsafe self.head = Array(head) + Array("X-Mirror: 1\r\n".utf8)
        // The client may be gone before this is.
        super.init(
            source: CopyTurn(exchange.worker, exchange.client.flow), origin: exchange.client.origin.detached())
    }

    deinit { giveBackPlace() }

    // MARK: The request

    /// Some of its body.
    func take(_ part: BodyPart) {
        if isSent { return }
        if !part.isEmpty {
            hasBody = true
            if body.count + part.count > bodyMax {
                body = []
                return send()
            }
            unsafe body.append(contentsOf: UnsafeRawBufferPointer(part.data))
        }
        if part.isLast { send() }
    }

    /// In a turn of its own: the request's own goes on.
    private func send() {
        isSent = true
        // Until now the request alone has it, and with the request it goes.
        (source as? CopyTurn)?.copy = self
        worker.loop.wake(source, [])
    }

    fileprivate func ready() {
        if isTooLong { return giveUp() }
        guard isSent, exchange == nil, began == 0 else { return }
        began = worker.loop.now
        let exchange = worker.takeExchange(for: .other(self))
        self.exchange = exchange
        // An exchange may keep this until its next request, and with this nothing of a configuration.
        let taken = resolution
        resolution = Exchange.Resolution()
        exchange.begin(self, request, taken, affinity, to: balancer)
    }

    fileprivate func expired() { exchange?.clientTimedOut() }

    /// Puts its head into the room for heads, and its body into that for reads.
    func write() -> (WrittenHead, BodyPart) {
        let extent: BodyExtent = request.hasBody || hasBody ? .length(UInt64(body.count)) : .none
        unsafe head.withUnsafeBytes { unsafe worker.rooms.restore($0) }
        let room = unsafe worker.rooms.inbox(limit: body.count)
        unsafe room.copyBytes(from: body)
        defer { (head, body) = ([], []) }
        return unsafe (WrittenHead(count: head.count, body: extent), BodyPart(room, isLast: true))
    }

    // MARK: The end

    override func answer(_ head: WrittenHead, _ first: BodyPart) { drop(first) }
    override func pass(_ part: BodyPart) { drop(part) }

    /// An answer without an end holds up nobody but other copies.
    private func drop(_ part: BodyPart) {
        received += part.count
        guard received > Limits.mirrorAnswerMax || worker.loop.now > began + Limits.mirrorNanoseconds, !isTooLong else { return }
        isTooLong = true
        worker.loop.wake(source, [])
    }

    override func finished() { over() }
    override func breakOff() { over() }

    private func giveUp() {
        exchange?.clientGone()
        exchange = nil
        over()
    }

    private func over() {
        if source.isClosed { return }
        balancer.metrics.follow { $0.mirrored(result) }
        if let exchange { worker.giveBack(exchange) }
        exchange = nil
        giveBackPlace()
        (source as? CopyTurn)?.copy = nil
        worker.loop.close(source)
    }

    private var result: MirrorResult {
        if isTooLong { return .ok }
        guard let answer = exchange?.answer, answer.status > 0 else { return .failed }
        switch answer.refusal {
        case nil: return .ok
        case .overloaded: return .dropped
        default: return .failed
        }
    }

    private func giveBackPlace() {
        if isCounted { balancer.copies -= 1 }
        isCounted = false
    }
}

/// The turns and the deadline of a copy.
private final class CopyTurn: Source {
    /// From when all of it is there until it is over.
    var copy: MirrorCopy?

    init(_ worker: Worker, _ flow: Flow) { super.init(loop: worker.loop, fd: -1, flow: flow) }

    override func ready(_ events: Readiness) { copy?.ready() }
    override func expired() { copy?.expired() }
}
