import Base
import Crypto
import HTTP
import Metrics
import Tenancy

/// What keeps a request from going straight to its upstream, and what it takes along from there.
struct Detour {
    struct Flags: OptionSet {
        let rawValue: UInt8
        /// It is late on purpose.
        static let delay = Flags(rawValue: 1)
        /// A service decides about it.
        static let decision = Flags(rawValue: 2)
        /// A service has decided, and said something beside that.
        static let decided = Flags(rawValue: 4)
        /// It is to be copied.
        static let mirror = Flags(rawValue: 8)
        /// A copy is being made.
        static let copying = Flags(rawValue: 16)
    }

    /// Nothing of what follows is there while this is empty.
    var flags = Flags()
    var question: DecisionQuestion?
    var decision: Decision?
    var copy: MirrorCopy?
    /// What the copy's server is chosen by, where that is a key; zero is none.
    var affinity: UInt64 = 0
}

/// Another service decides whether a request passes: once limits have let it in, before its body is asked for.
extension Exchange {
    // MARK: Asking

    /// Takes the answer that is there, or sees to it that the request waits for one.
    func consult(_ rule: DecisionRule, _ head: borrowing RequestHead, _ tenant: Tenant, trusted: Bool) throws(Halt) {
        // Both are known of whatever has found its route.
        guard let view = resolution.view, let state = resolution.tenant else {
            throw refuse(.authorizationUnavailable, "nobody could decide about the request")
        }
        var out = unsafe ByteWriter(worker.rooms.block)
        writeHidden(in: view, to: &out)
        unsafe out.append(rule.identity)
        let start = out.count
        unsafe out.append(rule.start)
        writeQuestion(head, tenant, rule.claims, trusted: trusted, to: &out)
        if out.overflowed { throw refuse(.headersTooLarge, "the head is too large") }
        let digest = unsafe SHA256.digest(out.written)
        let desk = state.follow { $0.desk(at: worker) }
        if rule.keepsFor > 0, let decision = desk.find(digest) {
            guard decision.passes else { throw deny(decision) }
            pass(decision)
            return
        }
        writeTraces(to: &out)
        if out.overflowed { throw refuse(.headersTooLarge, "the head is too large") }
        let wire = unsafe [UInt8](UnsafeRawBufferPointer(rebasing: out.written[start...]))
        detour.question = DecisionQuestion(digest: digest, wire: wire, rule: rule, view: view)
        detour.flags.insert(.decision)
    }

    /// Credentials that the service is not shown, of a fixed length. What it is shown tells the rest of them apart.
    private func writeHidden(in view: WorkerView, to out: inout ByteWriter) {
        let key = resolution.identity.flatMap { identity in identity.key.map { Digest256(identity.tenant.settings.keys[$0].digest) } }
        let certificate = client.origin.certificate(in: view, now: worker.wall(worker.loop.now) / 1_000_000_000)?.fingerprint
        out.append(key)
        out.append(certificate)
    }

    /// All that a decision can depend on: what differs in any of it is another question. What a client says is shown as it was
    /// said, whatever the upstream gets in its place: credentials may be what is exchanged here.
    private func writeQuestion(
        _ head: borrowing RequestHead, _ tenant: Tenant, _ claims: HeaderEdits, trusted: Bool, to out: inout ByteWriter
    ) {
        unsafe out.append(head.fields, of: head.bytes) { _, field in
            if field.dropped || isReplaced(field, head, trusted: trusted) { return true }
            switch field.id {
            // Of the gateway's own, or of one request alone.
            case .host, .traceparent, .tracestate: return true
            // Where upstreams are told what overrides a request, who decides about it must be.
            case .override: return unsafe Self.isOriginal(head[field.name])
            default: return unsafe !claims.removesNothing && claims.removes(head[field.name])
            }
        }
        unsafe out.append(tenant.identityFields)
        if let identity = resolution.identity {
            if let fields = identity.token?.fields { out.append(fields) }
            writeConsumer(identity, to: &out)
        }
        out.append("X-Original-Method: ")
        unsafe out.append(head[head.methodRange])
        out.append("\r\nX-Original-URI: ")
        writeTarget(head, to: &out)
        out.append("\r\n")
        writeForwarding(head, to: &out)
    }

    /// `X-Original-URI` and `X-Original-Method`, which are the gateway's word, with whatever between their parts.
    private static func isOriginal(_ name: UnsafeRawBufferPointer) -> Bool {
        func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: name[range]) }
        guard name.count > 11, unsafe ASCII.equalsIgnoringCase(part(2..<10), "original") else { return false }
        let rest = unsafe part(11..<name.count)
        return unsafe ASCII.equalsIgnoringCase(rest, "uri") || ASCII.equalsIgnoringCase(rest, "method")
    }

    /// What differs in every request.
    private func writeTraces(to out: inout ByteWriter) {
        resolution.view?.snapshot.writeVia(isH2: client.isH2, to: &out)
        out.append("X-Request-Id: ")
        request.id.write(to: &out)
        out.append("\r\ntraceparent: 00-")
        out.append(hex16: request.trace.id.0)
        out.append(hex16: request.trace.id.1)
        out.append(byte: 0x2D)
        out.append(hex16: worker.random.next() | 1)
        out.append("-01\r\n\r\n")
    }

    // MARK: Waiting

    /// What keeps it is looked at anew: it waits, or goes on.
    func ask() {
        guard let question = detour.question, let desk = resolution.tenant?.follow({ $0.desk(at: worker) }) else { return }
        switch desk.ask(question, for: self) {
        case .known(let decision): decided(decision)
        case .waits(let call, let ticket): waits(.decision(call, ticket), atMost: call.patience)
        case .spared:
            desk.count(.spared)
            decided(nil)
        // Not even where requests pass without an answer: a flood would let itself in.
        case .crowded: refuse(.overloaded, "too many requests wait for a decision")
        }
    }

    /// - Parameter decision: nil where there is none.
    func decided(_ decision: Decision?) {
        guard let question = detour.question else { return }
        detour.flags.remove(.decision)
        detour.question = nil
        waitsUntil = .max
        // A reload may have said so meanwhile.
        if let id = resolution.tenant?.follow({ $0.id }), worker.snapshot.directory.tenant(id: id)?.suspended == true {
            return _ = refuse(.tenantSuspended, "this service is suspended")
        }
        if let decision {
            guard decision.passes else { return _ = deny(decision) }
            pass(decision)
            let isOwn = resolution.route?.acts?.answer != nil
            guard addToKept(isOwn ? decision.toClient : decision.toUpstream) else {
                return _ = refuse(.headersTooLarge, "the head is too large")
            }
        } else if question.rule.passesOnError {
            count(.passed)
        } else {
            count(.unavailable)
            return _ = refuse(.authorizationUnavailable, "nobody could decide about the request")
        }
        if resolution.route?.acts?.answer == nil { askForBody(after: keptCount) }
        goOnFromDetour()
    }

    private func pass(_ decision: Decision) {
        count(.allowed)
        detour.decision = decision
        detour.flags.insert(.decided)
    }

    private func count(_ event: DecisionEvent) { resolution.tenant?.follow { $0.metrics.follow { $0.decided(event) } } }

    // MARK: The answer

    /// The service's own words.
    private func deny(_ decision: Decision) -> Halt {
        count(.denied)
        answer.refusal = decision.status == 401 ? .credentialsRequired : .forbidden
        let count = decision.body.count
        let body = unsafe UnsafeMutableRawBufferPointer(rebasing: worker.rooms.problem[..<count])
        unsafe body.copyBytes(from: decision.body)
        return unsafe answerItself(decision.status, body) { $0.append(decision.toClient) }
    }

    /// What the client is told of a yes.
    func writeDecision(to out: inout ByteWriter) {
        if let decision = detour.decision { out.append(decision.toClient) }
    }
}

extension ByteWriter {
    /// 33 bytes, whether or not there is one.
    fileprivate mutating func append(_ digest: Digest256?) {
        append(byte: digest == nil ? 0 : 1)
        var words = (digest ?? Digest256()).words
        // The four words are 32 bytes, and any of them will do.
        unsafe withUnsafeBytes(of: &words) { unsafe append($0) }
    }
}
