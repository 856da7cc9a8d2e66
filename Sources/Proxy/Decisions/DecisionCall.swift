import Base
import Client
import Net
import Tenancy

/// A service is asked for one decision, for all requests that ask the same meanwhile. They are called in turns of its tenant's,
/// some at a time. Who leaves is forgotten at once; with the last one the call ends.
///
///     asking ──► answered, or not ──► calls those who wait ──► closed
///        └─────────── nobody waits any more ───────────────────┘
final class DecisionCall: Source {
    let question: DecisionQuestion
    /// It is the one that tries whether the service is back.
    let isTry: Bool
    private let desk: DecisionDesk
    private let end: UInt64
    private var line: WaitingLine<Exchange>
    private var call: HTTPClient.Call?
    private var head: HTTPClient.Head?
    private var body: [UInt8] = []
    /// Bytes of a body that nobody wants.
    private var dropped = 0
    private var isDecided = false
    /// The rest of its answer is read for the sake of the connection alone.
    private var lingers = false
    private var decision: Decision?

    init(_ question: DecisionQuestion, isTry: Bool, at desk: DecisionDesk) {
        (self.question, self.isTry, self.desk) = (question, isTry, desk)
        end = desk.worker.loop.now &+ question.rule.timeout
        line = desk.worker.newLine()
        super.init(loop: desk.worker.loop, fd: -1, flow: desk.tenant.follow { $0 })
    }

    // MARK: Who waits

    func join(_ exchange: Exchange) -> WaitingLine<Exchange>.Ticket { line.join(exchange) }

    /// Nanoseconds that may pass until it calls: it has a deadline of its own, which comes first.
    var patience: UInt64 { (end > loop.now ? end - loop.now : 0) &+ Limits.decisionGraceNanoseconds }

    func leave(_ ticket: WaitingLine<Exchange>.Ticket) {
        guard line.leave(ticket) != nil else { return }
        desk.left()
        guard line.isEmpty else { return }
        if !isDecided {
            isDecided = true
            desk.abandoned(self)
        }
        close()
    }

    override func ready(_ events: Readiness) {
        guard isDecided else { return }
        for _ in 0..<Limits.callsPerTurn {
            guard let (exchange, ticket) = line.next() else { break }
            desk.left()
            if exchange.isCalled(ticket) { exchange.decided(decision) }
        }
        if line.isEmpty { close() } else { loop.wake(self, []) }
    }

    // MARK: Asking

    func begin() {
        let (rule, view) = (question.rule, question.view)
        var destination = Destination(host: rule.host, port: rule.port)
        destination.isForClients = true
        if rule.isSecure {
            // Without anybody to vouch for the service there is nobody to ask.
            guard let authorities = view.snapshot.authorities else { return decide(nil, why: "no authorities") }
            destination.authorities = authorities
        }
        call = desk.worker.outside.call(
            prepared: question.wire, at: destination, by: end, limits: AnswerLimits(heads: Limits.decisionHeadMax), flow: flow
        ) { [self] _, event in hear(event) }
    }

    private func hear(_ event: HTTPClient.Event) {
        switch event {
        case .head(let head):
            self.head = head
            guard Decision.isAnswer(head.status) else { return decide(nil, why: "it answers with \(head.status)") }
            // What follows a yes tells nobody anything.
            if head.status < 300 { decide(made(of: head)) }
        case .part(let bytes): unsafe take(bytes)
        case .room: break
        case .end:
            if let head { decide(made(of: head)) }
            callEnded()
        case .failed(let failure):
            callEnded()
            // A no is a no, whatever becomes of its content.
            if let head, Decision.isAnswer(head.status) {
                body = []
                decide(made(of: head))
            } else {
                decide(nil, why: failure.description)
            }
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        if !isDecided {
            if body.count + bytes.count <= Limits.decisionBodyMax { return unsafe body.append(contentsOf: bytes) }
            // Half of it would look like the whole.
            body = []
            if let head { decide(made(of: head)) }
        }
        // A little is read for the sake of the connection.
        dropped += bytes.count
        if dropped > Limits.decisionBodyMax { endCall() }
    }

    /// It says that something is wrong with this request (a head too large, a type that it does not have): that must not be
    /// every other request's fault.
    private var isRefused: Bool { head.map { (300..<500).contains($0.status) } ?? false }

    private func made(of head: HTTPClient.Head) -> Decision { Decision(head, body: body, by: question.rule, now: loop.now) }

    private func decide(_ decision: Decision?, why failure: @autoclosure () -> String = "") {
        if isDecided { return }
        (isDecided, self.decision) = (true, decision)
        body = []
        desk.ended(self, decision, isThere: decision != nil || isRefused, why: failure())
        loop.wake(self, [])
    }

    /// What still comes of an answer that was understood is read by the call alone.
    private func close() {
        if decision == nil || head == nil || (call != nil && !desk.mayLinger()) { endCall() }
        lingers = call != nil
        loop.close(self)
    }

    private func endCall() {
        call?.cancel()
        callEnded()
    }

    private func callEnded() {
        call = nil
        if lingers { desk.lingerEnded() }
        lingers = false
    }
}
