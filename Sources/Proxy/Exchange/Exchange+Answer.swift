import Base
import HTTP
import Metrics
import Net

/// Towards the client: the answer's head rewritten, its body passed on as it comes.
extension Exchange {
    /// There is somewhere to put the answer's next bytes.
    var wantsAnswer: Bool { !client.isCongested && !isPaced }

    /// Its answer is about to be read: asks for what will be counted in meanwhile.
    func prefetch() {
        if let tenantMetrics { TenantMetrics.prefetch(tenantMetrics) }
        admission?.prefetch()
    }

    /// The client has taken what was kept for it.
    func clientDrained() {
        setClientDeadline()
        // What the upstream owes is owed again, whether or not something of it is there already. It owes nothing while the
        // request is still on its way, nor in a tunnel.
        upstream?.resume(isOwed: (requestIsDone || answerHasBegun) && !isTunnel)
    }

    // MARK: Head

    /// The head in `worker.responseHead`. True for the final one, false for an interim one that another follows.
    func answerHead(
        _ head: UnsafeRawBufferPointer, followedBy rest: UnsafeMutableRawBufferPointer, from connection: UpstreamConnection
    ) -> Bool {
        let code = worker.responseHead.status
        if code < 200 { return interim(code, head, rest) }
        answerHasBegun = true
        answeredAt = worker.loop.now
        status = code
        connection.pool.metrics.finished(code: Int(code))
        answerKeepsUpstream = worker.responseHead.keepAlive
        answerFraming = worker.responseHead.framing
        if !requestIsDone {
            // Decided before it has heard everything: the rest of the request is not wanted any more.
            keepAlive = false
            client.mayStillSend = true
        }
        switch answerFraming {
        case .none: answerIsDone = true
        case .length(let length):
            answerRemaining = length
            answerIsDone = length == 0
        case .chunked:
            answerDecoder = ChunkedDecoder()
            if isHTTP10 { keepAlive = false } else { chunksAnswer = true }
        case .untilClose:
            answerKeepsUpstream = false
            if isHTTP10 { keepAlive = false } else { chunksAnswer = true }
        }
        if worker.isDraining { keepAlive = false }
        guard writeAnswerHead(head) else {
            answerHasBegun = false
            answerMalformed()
            return true
        }
        if answerIsDone {
            // Bytes after the end were not asked for: this connection can't be trusted with another request.
            if !rest.isEmpty { answerKeepsUpstream = false }
            client.send(worker.headWritten, isFollowed: !keepAlive)
            finish()
            return true
        }
        connection.expectAnswer(within: responseTimeout)
        if rest.isEmpty {
            client.send(worker.headWritten)
            afterSending()
        } else {
            answerBody(rest, head: worker.headWritten)
        }
        return true
    }

    private func interim(_ code: UInt16, _ head: UnsafeRawBufferPointer, _ rest: UnsafeMutableRawBufferPointer) -> Bool {
        if code == 101 {
            guard wantsUpgrade, worker.responseHead.isUpgrade else {
                answerMalformed()
                return true
            }
            becomeTunnel(head, rest)
            return true
        }
        interimAnswers += 1
        guard interimAnswers <= Limits.interimResponsesMax else {
            answerMalformed()
            return true
        }
        // 100 was answered here already, and HTTP/1.0 knows none of them.
        if code != 100, !isHTTP10 {
            _ = writeAnswerHead(head)
            client.send(worker.headWritten)
            watchClient()
        }
        return false
    }

    /// A client that takes nothing has as long as one that sends nothing.
    private func watchClient() {
        if client.isCongested, !waiting.isWaiting { worker.loop.schedule(client, at: worker.loop.now + worker.limits.bodyTimeout) }
    }

    /// Writes the head for the client into the worker's room for heads.
    private func writeAnswerHead(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let code = worker.responseHead.status
        var out = ByteWriter(worker.headRoom)
        out.append("HTTP/1.1 ")
        out.append(byte: 0x30 + UInt8(code / 100))
        out.append(byte: 0x30 + UInt8(code / 10 % 10))
        out.append(byte: 0x30 + UInt8(code % 10))
        out.append(byte: ASCII.space)
        out.append(bytes[worker.responseHead.reason])
        out.append("\r\n")
        copyAnswerFields(bytes, to: &out)
        if code == 101 {
            out.append("Connection: upgrade\r\n")
            if let field = worker.responseHead.fields.first(.upgrade) {
                out.append("Upgrade: ")
                out.append(bytes[field.value])
                out.append("\r\n")
            }
        } else if code >= 200 {
            switch answerFraming {
            case .none:
                // What a GET would have got (RFC 9110 sections 9.3.2 and 15.4.5).
                if method == .head || code == 304, let field = worker.responseHead.fields.first(.contentLength) {
                    out.append("Content-Length: ")
                    out.append(bytes[field.value])
                    out.append("\r\n")
                }
            case .length(let length):
                out.append("Content-Length: ")
                out.append(decimal: length)
                out.append("\r\n")
            case .chunked, .untilClose:
                if chunksAnswer { out.append("Transfer-Encoding: chunked\r\n") }
            }
            if !keepAlive {
                out.append("Connection: close\r\n")
            } else if isHTTP10 {
                out.append("Connection: keep-alive\r\n")
            }
            if !worker.responseHead.fields.present.contains(.date) {
                out.append("Date: ")
                out.append(worker.date)
                out.append("\r\n")
            }
        }
        out.append("X-Request-Id: ")
        requestID.write(to: &out)
        out.append("\r\n")
        if code >= 200 {
            writeQuotaFields(to: &out)
            if let edits = route?.responseEdits { out.append(edits.added) }
        }
        out.append("\r\n")
        worker.headWritten = out.written
        return !out.overflowed
    }

    private func copyAnswerFields(_ bytes: UnsafeRawBufferPointer, to out: inout ByteWriter) {
        let count = worker.responseHead.fields.count
        guard count > 0 else { return }
        let edits = route!.responseEdits
        let checksNames = !edits.removesNothing
        let cost = readDeclaredCost(bytes)
        var run = worker.responseHead.fields[0].name.first
        let base = bytes.baseAddress!
        for i in 0..<count {
            let field = worker.responseHead.fields[i]
            let ends = field.dropped || i == cost || field.id == .contentLength || field.id == .xRequestID || field.id.isHopByHop
            guard ends || (checksNames && edits.removes(bytes[field.name])) else { continue }
            out.append(base + run, field.name.first - run)
            run = i + 1 < count ? worker.responseHead.fields[i + 1].name.first : bytes.count - 2
        }
        out.append(base + run, bytes.count - 2 - run)
    }

    // MARK: Body

    /// The next part of the answer's body, in the worker's inbox.
    func answerBody(_ region: UnsafeMutableRawBufferPointer, head: UnsafeRawBufferPointer? = nil) {
        var data: UnsafeRawBufferPointer
        switch answerFraming {
        case .none: return
        case .length:
            let count = Int(min(UInt64(region.count), answerRemaining))
            answerRemaining -= UInt64(count)
            answerIsDone = answerRemaining == 0
            if region.count > count { answerKeepsUpstream = false }
            data = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[..<count])
            responseBytes += UInt64(count)
        case .untilClose:
            responseBytes += UInt64(region.count)
            data =
                chunksAnswer
                ? worker.chunk(region, at: region.baseAddress, last: false, trailers: []) : UnsafeRawBufferPointer(region)
        case .chunked:
            let step = answerDecoder!.decode(region)
            if case .refused = step.state {
                // The client has the head already, or gets it with nothing after it that could look like an end.
                if let head { client.send(head) }
                return breakAnswer()
            }
            answerIsDone = step.state == .complete
            if step.consumed < region.count { answerKeepsUpstream = false }
            responseBytes += UInt64(step.produced)
            let plain = UnsafeMutableRawBufferPointer(rebasing: region[..<step.produced])
            let trailers = answerIsDone ? route?.responseEdits.kept(of: answerDecoder!.trailers) ?? [] : []
            data =
                chunksAnswer
                ? worker.chunk(plain, at: region.baseAddress, last: answerIsDone, trailers: trailers)
                : UnsafeRawBufferPointer(plain)
        }
        if let head { data = joined(head, data) }
        // The last of a connection's last answer leaves with the end of TLS.
        if !data.isEmpty { client.send(data, isFollowed: answerIsDone && !keepAlive) }
        pace(data.count)
        afterSending()
    }

    private func afterSending() {
        if client.isBroken { return client.answerUndeliverable() }
        if answerIsDone { return finish() }
        watchClient()
    }

    /// The upstream has closed its side.
    func answerEnded() {
        if isTunnel { return endTunnel() }
        guard answerHasBegun, answerFraming == .untilClose else { return answerFailed() }
        answerIsDone = true
        if chunksAnswer {
            let end: StaticString = "0\r\n\r\n"
            client.send(UnsafeRawBufferPointer(start: end.utf8Start, count: end.utf8CodeUnitCount))
        }
        finish()
    }

    // MARK: Tunnel

    private func becomeTunnel(_ head: UnsafeRawBufferPointer, _ rest: UnsafeMutableRawBufferPointer) {
        status = 101
        answeredAt = worker.loop.now
        answerHasBegun = true
        upstream?.pool.metrics.finished(code: 101)
        isTunnel = true
        guard writeAnswerHead(head) else { return breakAnswer() }
        client.send(joined(worker.headWritten, UnsafeRawBufferPointer(rest)))
        responseBytes += UInt64(rest.count)
        upstream?.pause()
        client.becomeTunnel()
    }

    func tunnelFromUpstream(_ bytes: UnsafeRawBufferPointer) {
        responseBytes += UInt64(bytes.count)
        setClientDeadline()
        client.send(bytes)
        if client.isBroken { client.answerUndeliverable() }
    }

    // MARK: Joining

    /// The two as one run of bytes, without moving the second: the head is copied into the room in front of it.
    func joined(_ head: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        if body.isEmpty { return head }
        let start = UnsafeMutableRawPointer(mutating: body.baseAddress!) - head.count
        precondition(worker.isInbox(start), "a body outside the inbox")
        start.copyMemory(from: head.baseAddress!, byteCount: head.count)
        return UnsafeRawBufferPointer(start: start, count: head.count + body.count)
    }
}
