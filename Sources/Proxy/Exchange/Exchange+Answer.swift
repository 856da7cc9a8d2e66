import Base
import HTTP
import Metrics
import Net

/// Towards the client: the answer's head rewritten, its body passed on as it comes.
extension Exchange {
    /// Its answer is about to be read: asks for what will be counted in meanwhile.
    func prefetch() {
        if let tenant = resolution.tenant { TenantMetrics.prefetch(tenant.follow { $0.metrics }) }
        bill.admission?.prefetch()
    }

    /// The client has taken what was kept for it.
    func clientHasRoom() {
        setClientDeadline()
        // What the upstream owes is owed again, whether or not something of it is there already. It owes nothing while the
        // request is still on its way, nor in a tunnel.
        upstream?.wantsMore(isOwed: (request.isDone || phase.hasAnswer) && phase != .tunnel)
    }

    // MARK: Heads

    /// An answer before the answer: 1xx, but not 101.
    func inform(_ head: borrowing ResponseHead) {
        // It is at work on what it has: the time for its answer begins anew.
        if request.isDone { expectAnswer() }
        // 100 was answered here already.
        if head.status == 100 { return }
        guard let written = writeAnswerHead(head) else { return fail(.malformed) }
        client.inform(written)
        watchClient()
    }

    /// The final head, and what has come of the body.
    func answerHead(_ head: borrowing ResponseHead, _ first: consuming BodyPart) {
        if head.status >= 429, isSentAgain(insteadOf: head.status, isWhole: first.isLast) { return }
        if request.wantsUpgrade, looksSwitched(head) { return noSwitch(head.status) }
        guard let written = writeAnswerHead(head) else { return fail(.malformed) }
        answered(head.status)
        phase = .answering
        if request.grpc != nil {
            noteStatus(head)
            setClientDeadline()
        }
        count(&first)
        client.answer(written, first)
        if !first.isLast { upstream?.expectAnswer(within: responseTimeout) }
        if !first.isEmpty { pace(written.count + first.count) }
        afterSending(first)
    }

    private func answered(_ status: UInt16) {
        answer.status = status
        attempts.answeredAt = worker.loop.now
        attemptEnded(.answered(status))
    }

    /// A client that takes nothing has as long as one that sends nothing.
    private func watchClient() {
        if client.room == 0, phase != .waiting {
            worker.loop.schedule(client.source, at: worker.loop.now + worker.limits.bodyTimeout)
        }
    }

    /// Writes the head for the client into the room for heads; nil where it does not fit.
    private func writeAnswerHead(_ head: borrowing ResponseHead) -> WrittenHead? {
        let code = head.status
        var out = unsafe ByteWriter(worker.rooms.head)
        out.append("HTTP/1.1 ")
        out.append(byte: 0x30 + UInt8(code / 100))
        out.append(byte: 0x30 + UInt8(code / 10 % 10))
        out.append(byte: 0x30 + UInt8(code % 10))
        out.append(byte: ASCII.space)
        // HTTP/2 has no words for it.
        if head.reason.isEmpty, upstream?.isH2 == true {
            out.append(ReasonPhrase.of(Int(code)))
        } else {
            unsafe out.append(head[head.reason])
        }
        out.append("\r\n")
        copyAnswerFields(head, to: &out)
        if code >= 200, !head.fields.present.contains(.date) {
            out.append("Date: ")
            out.append(worker.date)
            out.append("\r\n")
        }
        out.append("X-Request-Id: ")
        request.id.write(to: &out)
        out.append("\r\n")
        if code >= 200 {
            writeQuotaFields(to: &out)
            if let edits = resolution.route?.responseEdits { unsafe out.append(edits.added) }
            if !detour.flags.isEmpty { writeDecision(to: &out) }
            if resolution.granted != nil { writeGranted(beside: head, to: &out) }
        }
        if code == 101, let field = head.fields.first(.upgrade) { unsafe out.append(upgrade: head[field.value]) }
        if out.overflowed { return nil }
        return WrittenHead(count: out.count, body: BodyExtent(head.framing), isUpgrade: code == 101)
    }

    private func copyAnswerFields(_ head: borrowing ResponseHead, to out: inout ByteWriter) {
        let edits = resolution.route!.responseEdits
        let isGranted = resolution.granted != nil
        let checksNames = !edits.removesNothing || isGranted
        let cost = unsafe readDeclaredCost(head)
        // Of an answer without a body, what a GET would have got (RFC 9110 sections 9.3.2 and 15.4.5).
        let endsLength = head.framing != .none || head.hasNoBody || (request.method != .head && head.status != 304)
        unsafe out.append(head.fields, of: head.bytes) { i, field in
            if field.dropped || (field.id == .contentLength && endsLength) || field.id == .xRequestID || field.id.isHopByHop {
                return true
            }
            if let cost = unsafe cost, unsafe Self.spells(head[field.name], cost) { return true }
            if !checksNames { return false }
            return unsafe edits.removes(head[field.name]) || (isGranted && isReplacedByGrant(head[field.name]))
        }
    }

    // MARK: Body

    /// The next part of the answer's body; in a tunnel, bytes.
    func answerPart(_ part: consuming BodyPart) {
        count(&part)
        client.pass(part)
        if phase == .tunnel {
            answer.isDone = part.isLast
            if client.isBroken { return client.breakOff(isUndeliverable: true) }
            return tunnelMoved()
        }
        pace(part.count)
        afterSending(part)
    }

    private func count(_ part: inout BodyPart) {
        answer.bytes += UInt64(part.count)
        if !part.trailers.isEmpty, request.grpc != nil { noteStatus(part.trailers) }
        if !part.trailers.isEmpty { part.trailers = resolution.route?.responseEdits.kept(of: part.trailers) ?? [] }
    }

    private func afterSending(_ part: BodyPart) {
        if client.isBroken { return client.breakOff(isUndeliverable: true) }
        if part.isLast { return finish() }
        watchClient()
    }

    // MARK: Tunnel

    /// 101: both sides speak another protocol from here on.
    func switched(_ head: borrowing ResponseHead, _ first: consuming BodyPart) {
        guard request.wantsUpgrade, request.isDone, isAsked(head), shakesHands(head), let written = writeAnswerHead(head) else {
            return fail(.malformed)
        }
        answered(101)
        phase = .tunnel
        // Of a tunnel: its direction goes on.
        request.isDone = false
        // A server of HTTP/2 may end its own in one piece with the switch.
        answer.isDone = first.isLast
        count(&first)
        upstream?.pause()
        client.openTunnel(written, first)
        if answer.isDone, phase == .tunnel { tunnelMoved() }
    }

    /// A client of HTTP/2 would take this success for the switch that it has asked for (RFC 8441 section 5), and all that follows
    /// for the other protocol.
    private func looksSwitched(_ head: borrowing ResponseHead) -> Bool { client.isH2 && head.status < 300 }

    private func noSwitch(_ status: UInt16) {
        dropUpstream(as: .answered(status))
        refuse(.badUpstream, "the upstream answers without switching protocols")
    }

    /// Whether a server that was asked by the gateway's own handshake understands it (RFC 6455 section 4.1).
    private func shakesHands(_ head: borrowing ResponseHead) -> Bool {
        guard client.isH2, let key = webSocketKey else { return true }
        for i in 0..<head.fields.count where unsafe ASCII.equalsIgnoringCase(head[head.fields[i].name], "sec-websocket-accept") {
            return unsafe head[head.fields[i].value].elementsEqual(key.accept)
        }
        return false
    }

    /// Whether it switches to what the client has asked for, and says so in one field (RFC 9110 section 7.8).
    private func isAsked(_ head: borrowing ResponseHead) -> Bool {
        guard let field = head.fields.first(.upgrade), !head.fields.repeated.contains(.upgrade) else { return false }
        return unsafe askedProtocols.withUnsafeBytes { unsafe Upgrade.names(head[field.value], outOf: $0) }
    }
}

extension ByteWriter {
    /// The field that names a protocol to switch to. It stands last in a head.
    mutating func append(upgrade name: UnsafeRawBufferPointer) {
        append("Upgrade: ")
        unsafe append(name)
        append("\r\n")
    }
}
