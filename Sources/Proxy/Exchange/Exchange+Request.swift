import Base
import Crypto
import Glibc
import HTTP
import Metrics
import Net
import Tenancy

/// Towards the upstream: the head rewritten, the body passed on as it comes.
extension Exchange {
    // MARK: Head

    /// The client's own id is kept only from a trusted proxy; a well-formed trace is continued from anybody.
    func nameRequest(_ head: borrowing RequestHead, trusted: Bool) {
        if trusted, let field = head.fields.first(.xRequestID), unsafe request.id.take(head[field.value]) {
        } else {
            request.id.generate(&worker.random)
        }
        if let field = head.fields.first(.traceparent), !head.fields.repeated.contains(.traceparent),
            let id = unsafe TraceContext.traceID(head[field.value])
        {
            request.trace = TraceContext(id: id, isContinued: true)
        } else {
            request.trace = TraceContext(id: (worker.random.next() | 1, worker.random.next()), isContinued: false)
        }
    }

    /// Writes the head for the upstream into the room for heads. False when it does not fit.
    func writeRequestHead(_ head: borrowing RequestHead, _ tenant: Tenant, _ route: Route, trusted: Bool) -> Bool {
        var out = unsafe ByteWriter(worker.rooms.head)
        unsafe out.append(head[head.methodRange])
        out.append(byte: ASCII.space)
        if let way = route.way {
            write(way, head, to: &out)
        } else {
            writeTarget(head, to: &out)
            out.append(" HTTP/1.1\r\n")
        }
        copyRequestFields(head, to: &out, route, trusted: trusted)
        unsafe out.append(tenant.identityFields)
        if let identity = resolution.identity {
            if let fields = identity.token?.fields { out.append(fields) }
            writeConsumer(identity, to: &out)
        }
        out.append("X-Request-Id: ")
        request.id.write(to: &out)
        if !request.trace.isContinued {
            out.append("\r\ntraceparent: 00-")
            out.append(hex16: request.trace.id.0)
            out.append(hex16: request.trace.id.1)
            out.append(byte: 0x2D)
            out.append(hex16: worker.random.next() | 1)
            // Sampled: an upstream that asks the parent whether to record would otherwise record nothing.
            out.append("-01")
        }
        out.append("\r\n")
        writeCallTimeout(to: &out)
        writeForwarding(head, to: &out)
        resolution.view?.snapshot.writeVia(isH2: client.isH2, to: &out)
        unsafe out.append(route.requestEdits.added)
        if head.wantsUpgrade, let field = head.fields.first(.upgrade) {
            let isWebSocket = unsafe ASCII.equalsIgnoringCase(head[field.value], "websocket")
            webSocketKey = client.isH2 && isWebSocket ? WebSocketKey() : nil
            if let webSocketKey {
                out.append("Sec-WebSocket-Key: ")
                out.append(webSocketKey.text)
                out.append("\r\n")
            }
            unsafe out.append(upgrade: head[field.value])
            askedProtocols.removeAll(keepingCapacity: true)
            unsafe askedProtocols.append(contentsOf: head[field.value])
        }
        request.written = WrittenHead(count: out.count, body: BodyExtent(head.framing), isUpgrade: head.wantsUpgrade)
        return !out.overflowed
    }

    /// As its route was found.
    @inline(__always)
    func writeTarget(_ head: borrowing RequestHead, to out: inout ByteWriter) {
        if let implied = head.impliedTarget { out.append(byte: implied) }
        if request.hasNormalPath { return unsafe out.append(head[head.target]) }
        unsafe out.append(normal: head[head.path])
        unsafe out.append(UnsafeRawBufferPointer(rebasing: head[head.target][Int(head.path.count)...]))
    }

    /// Fields that the gateway writes itself, or that end here.
    func isReplaced(_ field: Field, _ head: borrowing RequestHead, trusted: Bool) -> Bool {
        switch field.id {
        case .other, .host: return false
        case .xAPIKey: return resolution.identity?.dropsKey == true
        case .authorization: return resolution.identity?.dropsAuthorization == true
        case .contentLength, .expect, .xTenant, .xRequestID, .proxyAuthorization, .proxy: return true
        case .xForwardedFor, .xForwardedProto, .xForwardedHost, .xRealIP, .forwarded: return true
        case .foldedForwarding: return true
        case .xForwardedPort, .xForwardedOther: return !trusted
        case .forwardedScheme:
            // Whatever says another scheme than `X-Forwarded-Proto` says it to somebody who looks here.
            if trusted { return unsafe Provenance.scheme(said: head[field.value]) == !isSecure }
            return unsafe resolution.view?.snapshot.passes(head[field.name]) != true
        case .override: return unsafe !trusted && resolution.view?.snapshot.passes(head[field.name]) != true
        case .traceparent, .tracestate: return !request.trace.isContinued
        case .other where client.isH2: return unsafe isReplacedOfH2(head[field.name])
        default: return field.id.isHopByHop
        }
    }

    /// What a client of HTTP/2 says that others can't, or that does not go on as it is.
    private func isReplacedOfH2(_ name: UnsafeRawBufferPointer) -> Bool {
        // Of HTTP/1.1's handshake, which HTTP/2 has none of (RFC 8441 section 5).
        if request.wantsUpgrade { return unsafe ASCII.equalsIgnoringCase(name, "sec-websocket-key") }
        guard let call = request.grpc, call.deadline != .max else { return false }
        return unsafe ASCII.equalsIgnoringCase(name, "grpc-timeout")
    }

    private func copyRequestFields(_ head: borrowing RequestHead, to out: inout ByteWriter, _ route: Route, trusted: Bool) {
        let edits = route.requestEdits
        let checksNames = !edits.removesNothing
        let hasHost = unsafe route.way?.host != nil
        unsafe out.append(head.fields, of: head.bytes) { _, field in
            unsafe field.dropped || isReplaced(field, head, trusted: trusted) || (hasHost && field.id == .host)
                || (checksNames && edits.removes(head[field.name]))
        }
    }

    /// Puts lines behind the first one of the head that stands in the room for heads. False where there is no room for them.
    func addToHead(_ lines: [UInt8]) -> Bool {
        let (room, count) = unsafe (worker.rooms.head, request.written.count)
        if lines.isEmpty { return true }
        guard count + lines.count <= room.count, let base = room.baseAddress,
            let end = unsafe memchr(base, Int32(ASCII.lf), count).map({ unsafe base.distance(to: $0) + 1 })
        else { return false }
        // Both are within the room, which has that many bytes behind the head.
        unsafe memmove(base + end + lines.count, base + end, count - end)
        unsafe lines.withUnsafeBytes { unsafe (base + end).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        request.written.count += lines.count
        return true
    }

    // MARK: Body

    /// Whether the client's next bytes can be taken: there is somewhere to put them.
    var wantsRequest: Bool {
        guard let upstream else { return false }
        switch phase {
        case .tunnel: return !request.isDone && upstream.room > 0
        case .forwarding, .answering: return !request.isDone && upstream.room > 0
        case .beginning, .waiting, .over: return false
        }
    }

    /// The next part of the body; in a tunnel, bytes.
    func requestPart(_ part: consuming BodyPart) {
        guard let upstream else { return }
        if phase == .tunnel {
            request.bytes += UInt64(part.count)
            request.isDone = part.isLast
            upstream.pass(part)
            return tunnelMoved()
        }
        guard take(&part) else { return }
        bodyRate.sent(part.count)
        setClientDeadline()
        upstream.pass(part)
        if request.isDone || upstream.isCongested { expectAnswer() }
        if upstream.isCongested { holdClient() }
    }

    /// While the upstream takes nothing, it is not the client who is late.
    func holdClient() {
        bodyRate.pause(worker.loop.now)
        worker.loop.schedule(client.source, at: .max)
    }

    /// Counts the part and holds it against the route's rules. False after a refusal.
    func take(_ part: inout BodyPart) -> Bool {
        if request.isDone { return true }
        request.bytes += UInt64(part.count)
        // Of a call it is a message that has a bound: a stream of them goes on.
        let isTooLarge = request.grpc == nil ? request.bytes > resolution.route?.maxBody ?? .max : !takeMessages(part)
        if isTooLarge {
            dropUpstream(abort: true)
            client.retire(expectsMore: true)
            refuseBody()
            return false
        }
        request.isDone = part.isLast
        if !part.trailers.isEmpty { part.trailers = resolution.route?.requestEdits.kept(of: part.trailers) ?? [] }
        if detour.flags.contains(.copying) { copy(part) }
        return true
    }

    @discardableResult
    func refuseBody() -> Halt { refuse(.contentTooLarge, "the body is larger than allowed") }

    /// The body is no valid HTTP.
    /// - Parameter count: bytes of it in front of the fault that no part has brought: they have come all the same.
    func requestFailed(_ fault: HTTPFault, after count: Int) {
        request.bytes += UInt64(count)
        dropUpstream(abort: true)
        refuse(Refusal(parserStatus: fault.status), fault.reason, status: fault.status)
    }

    /// The upstream takes more.
    func upstreamHasRoom() {
        if phase == .tunnel { return request.isDone ? endTunnelIfOver() : worker.loop.wake(client.source, []) }
        if request.isDone { return }
        setClientDeadline()
        worker.loop.wake(client.source, [])
        // What it owes is owed once it has all of the request.
        if !phase.hasAnswer { upstream?.pause() }
    }

    // MARK: Tunnel

    /// Something was passed on, or one direction has ended: the other one goes on without it (RFC 9110 section 7.8 leaves that to
    /// the protocol in the tunnel).
    func tunnelMoved() {
        setClientDeadline()
        endTunnelIfOver()
    }

    /// What the upstream has not taken yet goes first. What the client has not, goes before its connection is closed.
    private func endTunnelIfOver() {
        if request.isDone, answer.isDone, upstream?.isCongested != true { endTunnel() }
    }

    /// Nothing more goes either way.
    func endTunnel() {
        dropUpstream()
        // Of a connection of many streams one is over.
        if !client.isH2 { client.retire(expectsMore: !request.isDone) }
        finish()
    }
}
