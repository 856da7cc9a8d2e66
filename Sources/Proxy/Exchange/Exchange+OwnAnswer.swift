import Base
import HTTP
import Metrics
import Tenancy

/// Answers of the gateway's own, refusals or not.
extension Exchange {
    /// An answer of its own in rooms for such.
    /// - Parameters:
    ///   - body: nil where it has none to tell the length of.
    ///   - fields: lines of its own, each with its line end.
    private func writeOwn(
        _ status: UInt16, _ body: UnsafeMutableRawBufferPointer?, fields: (inout ByteWriter) -> Void
    ) -> (WrittenHead, BodyPart)? {
        answer.status = status
        var out = unsafe ByteWriter(worker.rooms.head)
        if request.grpc != nil {
            writeCallRefusal(to: &out)
            return (WrittenHead(count: out.count, body: .none), .end)
        }
        writeOwnStart(to: &out)
        out.append("\r\n")
        fields(&out)
        writeOwnEnd(to: &out)
        guard let body = unsafe body else { return out.overflowed ? nil : (WrittenHead(count: out.count, body: .none), .end) }
        let length = BodyExtent.length(UInt64(body.count))
        if request.method == .head {
            // As a GET would have got (RFC 9110 section 9.3.2).
            out.append(length)
            return out.overflowed ? nil : (WrittenHead(count: out.count, body: .none), .end)
        }
        if out.overflowed { return nil }
        return unsafe (WrittenHead(count: out.count, body: length), body.isEmpty ? .end : BodyPart(body, isLast: true))
    }

    /// - Parameter body: nil where it has no content.
    func answerItself(_ status: UInt16, _ body: UnsafeMutableRawBufferPointer?, fields: (inout ByteWriter) -> Void) -> Halt {
        guard let (head, part) = unsafe writeOwn(status, body, fields: fields) else { return refuseTooLong() }
        return giveAtOnce(head, part)
    }

    private func giveAtOnce(_ head: WrittenHead, _ part: consuming BodyPart) -> Halt {
        sever()
        phase = .over
        return give(head, part)
    }

    private func refuseTooLong() -> Halt { refuse(.uriTooLong, "the answer has no room for the target") }

    // MARK: Routes

    /// What a route does beside forwarding, once limits have let a request in.
    /// - Returns: its answer is written, and waits.
    func actsItself(
        _ acts: RouteActs, _ head: borrowing RequestHead, _ tenant: Tenant, trusted: Bool
    ) throws(Halt) -> Bool {
        if let faults = acts.faults {
            answer.faults = faults.draw(worker.random.next())
            if answer.faults == .abort { throw refuseOnPurpose(faults) }
            if answer.faults.contains(.delay) { detour.flags.insert(.delay) }
        }
        if let rule = acts.decision { try consult(rule, head, tenant, trusted: trusted) }
        if let mirror = acts.mirror { drawLots(mirror, head, tenant) }
        guard let own = acts.answer else { return false }
        // A client of HTTP/2 would take it for the switch that it has asked for (RFC 8441 section 5).
        if client.isH2, request.wantsUpgrade, own.status < 300 { throw refuse(.noRoute, "nothing here switches protocols") }
        guard let (written, part) = write(own, head, tenant) else { throw refuseTooLong() }
        if detour.flags.isDisjoint(with: [.delay, .decision]) { throw giveAtOnce(written, part) }
        request.written = written
        keep(part)
        // Who leaves before it goes out has got none.
        (answer.status, answer.grpcStatus) = (0, nil)
        return true
    }

    private func write(_ own: OwnAnswer, _ head: borrowing RequestHead, _ tenant: Tenant) -> (WrittenHead, BodyPart)? {
        if own.isRedirect {
            let nothing = unsafe UnsafeMutableRawBufferPointer(rebasing: worker.rooms.problem[..<0])
            return unsafe writeOwn(own.status, nothing) { out in
                out.append("Location: ")
                own.write(for: head, tenant: tenant.id, to: &out)
                out.append("\r\n")
            }
        }
        // RFC 9110 sections 15.3.5 and 15.4.5.
        if own.status == 204 || own.status == 304 { return unsafe writeOwn(own.status, nil) { _ in } }
        var text = unsafe ByteWriter(worker.rooms.problem)
        own.write(for: head, tenant: tenant.id, to: &text)
        if text.overflowed { return nil }
        let body = unsafe UnsafeMutableRawBufferPointer(rebasing: worker.rooms.problem[..<text.count])
        return unsafe writeOwn(own.status, body) { out in
            guard unsafe !own.type.isEmpty else { return }
            out.append("Content-Type: ")
            unsafe out.append(own.type)
            out.append("\r\n")
        }
    }

    // MARK: Faults

    private func refuseOnPurpose(_ faults: PlannedFaults) -> Halt {
        refuse(.faultInjected, "a fault on purpose", status: faults.status)
    }

    /// Whether it goes no further for now, with what is kept of it: it holds nothing that others wait for but its place among
    /// its tenant's.
    func isDetained(_ first: BodyPart) -> Bool {
        if detour.flags.isDisjoint(with: [.delay, .decision]) {
            if detour.flags.contains(.mirror) { beginCopy(first) }
            return false
        }
        if !isKept {
            keep(first)
            // Whether it is welcome is not known before somebody has decided.
            if !detour.flags.contains(.decision) { askForBody(after: first.count) }
        }
        if detour.flags.contains(.delay), let faults = resolution.route?.acts?.faults {
            waits(.fault, atMost: faults.delay)
        } else {
            ask()
        }
        return true
    }

    /// It is late enough.
    func endFault() {
        (phase, line, waitsUntil) = (.forwarding, nil, .max)
        detour.flags.remove(.delay)
        if answer.faults.contains(.abort), let faults = resolution.route?.acts?.faults { return _ = refuseOnPurpose(faults) }
        goOnFromDetour()
    }

    /// What has kept it is over: it goes on with what is next.
    func goOnFromDetour() {
        if detour.flags.contains(.decision) { return ask() }
        if let own = resolution.route?.acts?.answer {
            answer.status = own.status
            if request.grpc != nil { answer.grpcStatus = GRPC.status(http: own.status) }
            let part = takeOut(isLast: true)
            return _ = giveAtOnce(request.written, part)
        }
        if detour.flags.contains(.mirror) { beginCopy(takeOut(isLast: request.isDone)) }
        if let balancer = resolution.balancer?.counted { acquired(balancer.acquire(for: self)) }
    }

    // MARK: https

    /// To the same URL on https. Hosts of nobody are nobody's there, too.
    func goToHTTPS(_ head: borrowing RequestHead, _ owner: Directory.HostOwner, in view: WorkerView) -> Halt {
        switch owner {
        case .nobody: return refuse(.misdirected, "this host is not served on this connection")
        case .tenant(let tenant): attribute(to: tenant, in: view)
        case .shared: break
        }
        let nothing = unsafe UnsafeMutableRawBufferPointer(rebasing: worker.rooms.problem[..<0])
        let port = client.origin.httpsPort(in: view)
        let written = unsafe writeOwn(308, nothing) { out in
            out.append("Location: https://")
            unsafe out.append(authority: head[head.host])
            if port != 443 {
                out.append(byte: 0x3A)
                out.append(decimal: UInt64(port))
            }
            unsafe out.append(uri: head.pathOrRoot, keepsQuotes: true)
            if unsafe !head.query.isEmpty {
                out.append(byte: 0x3F)
                unsafe out.append(uri: head.query, keepsQuotes: true)
            }
            out.append("\r\n")
        }
        guard let (head, part) = written else { return refuseTooLong() }
        return giveAtOnce(head, part)
    }

    // MARK: Parts of all of them

    /// What stands in rooms that nobody else uses until the client's end has sent or copied it is the whole answer.
    func give(_ head: WrittenHead, _ part: consuming BodyPart) -> Halt {
        answer.bytes = UInt64(part.count)
        client.answer(head, part)
        settle()
        client.finished()
        return .refused
    }

    /// The start line, without its end.
    func writeOwnStart(to out: inout ByteWriter) {
        out.append("HTTP/1.1 ")
        out.append(decimal: UInt64(answer.status))
        out.append(byte: ASCII.space)
        out.append(ReasonPhrase.of(Int(answer.status)))
    }

    /// The lines that all of them have, and what a tenant wants on its answers (HSTS, say): it wants that on these too.
    func writeOwnEnd(to out: inout ByteWriter) {
        out.append("Date: ")
        out.append(worker.date)
        out.append("\r\nX-Request-Id: ")
        request.id.write(to: &out)
        out.append("\r\n")
        writeQuotaFields(to: &out)
        if let edits = responseEdits { unsafe out.append(edits.added) }
        if !detour.flags.isEmpty { writeDecision(to: &out) }
        writeGranted(to: &out)
    }

    /// The route's, or of a tenant whose routes were not looked at yet what it wants on all.
    private var responseEdits: HeaderEdits? {
        if let route = resolution.route { return route.responseEdits }
        guard let id = resolution.tenant?.follow({ $0.id }) else { return nil }
        return resolution.view?.directory.tenant(id: id)?.unmatched.responseEdits
    }
}
