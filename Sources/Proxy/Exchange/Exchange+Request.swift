import Base
import HTTP
import Metrics
import Net
import Tenancy

/// Towards the upstream: the head rewritten, the body passed on as it comes.
extension Exchange {
    // MARK: Head

    /// The client's own id is kept only from a trusted proxy; a well-formed trace is continued from anybody.
    func nameRequest(_ bytes: UnsafeRawBufferPointer, trusted: Bool) {
        if trusted, let field = worker.requestHead.fields.first(.xRequestID), requestID.take(bytes[field.value]) {
        } else {
            requestID.generate(&worker.random)
        }
        if let field = worker.requestHead.fields.first(.traceparent), !worker.requestHead.fields.repeated.contains(.traceparent),
            let id = TraceContext.traceID(bytes[field.value])
        {
            trace = TraceContext(id: id, isContinued: true)
        } else {
            trace = TraceContext(id: (worker.random.next() | 1, worker.random.next()), isContinued: false)
        }
    }

    /// Nil for a path that leads elsewhere for another reader.
    func findRoute(_ path: UnsafeRawBufferPointer, of tenant: Tenant) -> Route? {
        if PathNormalizer.isNormal(path) {
            let route = tenant.route(for: path)
            if tenant.hasOneRoute || !PathNormalizer.hasParameters(path) { return route }
            return isRead(path, of: tenant, as: route) ? route : nil
        }
        let room = worker.headRoom
        guard let count = PathNormalizer.normalize(path, into: room) else { return nil }
        let normal = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])
        let route = tenant.route(for: normal)
        return tenant.hasOneRoute || isRead(normal, of: tenant, as: route) ? route : nil
    }

    /// Whether an upstream that reads the path in another way finds it below the same route. May overwrite the path.
    private func isRead(_ path: UnsafeRawBufferPointer, of tenant: Tenant, as route: Route) -> Bool {
        let room = worker.headRoom
        let count = PathNormalizer.readLeniently(path, into: room)
        return tenant.route(for: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])) == route
    }

    /// Writes the head for the upstream into the worker's room for heads. False when it does not fit.
    func writeRequestHead(_ bytes: UnsafeRawBufferPointer, _ tenant: Tenant, _ route: Route, trusted: Bool) -> Bool {
        var out = ByteWriter(worker.headRoom)
        out.append(bytes[worker.requestHead.methodRange])
        out.append(byte: ASCII.space)
        out.append(bytes[worker.requestHead.target])
        out.append(" HTTP/1.1\r\n")
        copyRequestFields(bytes, to: &out, route, trusted: trusted)
        out.append(tenant.identityFields)
        if let fields = identity?.token?.fields { out.append(fields) }
        out.append("X-Request-Id: ")
        requestID.write(to: &out)
        if !trace.isContinued {
            out.append("\r\ntraceparent: 00-")
            out.append(hex16: trace.id.0)
            out.append(hex16: trace.id.1)
            out.append(byte: 0x2D)
            out.append(hex16: worker.random.next() | 1)
            // Sampled: an upstream that asks the parent whether to record would otherwise record nothing.
            out.append("-01")
        }
        out.append("\r\n")
        writeForwarding(bytes, to: &out, trusted: trusted)
        out.append("Via: 1.1 gateway\r\n")
        switch worker.requestHead.framing {
        case .none, .untilClose: break
        case .length(let length):
            out.append("Content-Length: ")
            out.append(decimal: length)
            out.append("\r\n")
        case .chunked: out.append("Transfer-Encoding: chunked\r\n")
        }
        if wantsUpgrade, let field = worker.requestHead.fields.first(.upgrade) {
            out.append("Connection: upgrade\r\nUpgrade: ")
            out.append(bytes[field.value])
            out.append("\r\n")
        }
        out.append(route.requestEdits.added)
        out.append("\r\n")
        worker.headWritten = out.written
        return !out.overflowed
    }

    /// Fields that the gateway writes itself, or that end here.
    private func isReplaced(_ id: FieldName, trusted: Bool) -> Bool {
        switch id {
        case .other, .host: return false
        case .xAPIKey: return identity?.dropsKey == true
        case .authorization: return identity?.dropsAuthorization == true
        case .contentLength, .expect, .xTenant, .xRequestID, .xForwardedFor, .xRealIP, .proxyAuthorization: return true
        case .xForwardedProto, .xForwardedHost, .xForwardedPort, .xForwardedOther, .forwarded: return !trusted
        case .traceparent, .tracestate: return !trace.isContinued
        default: return id.isHopByHop
        }
    }

    /// Copies the fields that pass, runs of them at once: between two dropped lines the bytes are contiguous.
    private func copyRequestFields(_ bytes: UnsafeRawBufferPointer, to out: inout ByteWriter, _ route: Route, trusted: Bool) {
        let count = worker.requestHead.fields.count
        guard count > 0 else { return }
        let edits = route.requestEdits
        let checksNames = !edits.removesNothing
        var run = worker.requestHead.fields[0].name.first
        let base = bytes.baseAddress!
        for i in 0..<count {
            let field = worker.requestHead.fields[i]
            guard field.dropped || isReplaced(field.id, trusted: trusted) || (checksNames && edits.removes(bytes[field.name]))
            else { continue }
            out.append(base + run, field.name.first - run)
            run = i + 1 < count ? worker.requestHead.fields[i + 1].name.first : bytes.count - 2
        }
        out.append(base + run, bytes.count - 2 - run)
    }

    // MARK: Body

    /// Bytes of the body that are known to come next; what follows them may be another request.
    var bodyAhead: UInt64 { requestDecoder?.dataAhead ?? requestRemaining }

    /// Whether the client's next bytes can be taken: there is somewhere to put them.
    var wantsBody: Bool {
        guard let upstream, !answerIsDone else { return false }
        if isTunnel { return !upstream.isCongested }
        return !requestIsDone && upstream.state == .busy && !upstream.isCongested && !upstream.isBroken
    }

    /// The next part of the body, as it was read.
    func requestBody(_ region: UnsafeMutableRawBufferPointer, keepRest: (Int) -> Void) {
        guard let upstream, let encoded = encodeRequestBody(region, keepRest: keepRest) else { return }
        setClientDeadline()
        if !encoded.isEmpty { upstream.send(encoded) }
        if requestIsDone || upstream.isCongested { expectAnswer(on: upstream) }
        // While the upstream takes nothing, it is not the client who is late.
        if upstream.isCongested { worker.loop.schedule(client, at: .max) }
    }

    /// What the upstream is to be sent of these bytes; nil when the request was refused meanwhile.
    func encodeRequestBody(_ region: UnsafeMutableRawBufferPointer, keepRest: (Int) -> Void) -> UnsafeRawBufferPointer? {
        let nothing = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[..<0])
        if requestIsDone {
            keepRest(0)
            return nothing
        }
        if requestDecoder == nil {
            let count = Int(min(UInt64(region.count), requestRemaining))
            keepRest(count)
            requestRemaining -= UInt64(count)
            requestBytes += UInt64(count)
            requestIsDone = requestRemaining == 0
            return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(region)[..<count])
        }
        let step = requestDecoder!.decode(region)
        requestBytes += UInt64(step.produced)
        if case .refused(let fault) = step.state {
            dropUpstream(abort: true)
            keepRest(region.count)
            _ = refuse(Refusal(parserStatus: fault.status), fault.reason, status: fault.status)
            return nil
        }
        if let most = route?.maxBody, requestBytes > most {
            dropUpstream(abort: true)
            keepRest(region.count)
            _ = refuse(.contentTooLarge, "the body is larger than allowed")
            return nil
        }
        let complete = step.state == .complete
        keepRest(step.consumed)
        requestIsDone = complete
        let data = UnsafeMutableRawBufferPointer(rebasing: region[..<step.produced])
        let trailers = complete ? route?.requestEdits.kept(of: requestDecoder!.trailers) ?? [] : []
        return worker.chunk(data, at: region.baseAddress, last: complete, trailers: trailers)
    }

    /// The upstream takes more.
    func upstreamDrained() {
        if isTunnel || !requestIsDone {
            if !isTunnel { setClientDeadline() }
            worker.loop.wake(client, [])
        }
        if !requestIsDone, !isTunnel, !answerHasBegun { upstream?.pause() }
    }

    // MARK: Tunnel

    func tunnelFromClient(_ bytes: UnsafeRawBufferPointer) {
        requestBytes += UInt64(bytes.count)
        guard let upstream, upstream.send(bytes) else { return endTunnel() }
    }

    func tunnelClientEnded() { endTunnel() }

    func endTunnel() {
        dropUpstream()
        keepAlive = false
        settle()
        client.exchangeDone(keepAlive: false)
    }
}
