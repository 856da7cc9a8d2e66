import Base
import HTTP

/// What its exchange says to it: see `ClientEnd`.
extension H1Client {
    var protocolName: StaticString { isHTTP10 ? "HTTP/1.0" : "HTTP/1.1" }

    /// Bytes of an answer that it takes now. For a client that is slow little is read at a time.
    var room: Int { isCongested ? 0 : isSlow ? Transport.smallRead : Limits.readSize }

    /// `Expect: 100-continue` is answered here: by now the request is known to be welcome (RFC 9110 section 10.1.1).
    func askForBody() {
        guard expectsContinue else { return }
        expectsContinue = false
        let line: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"
        unsafe send(UnsafeRawBufferPointer(start: line.utf8Start, count: line.utf8CodeUnitCount))
    }

    /// HTTP/1.0 knows no answer before the answer.
    func inform(_ head: WrittenHead) {
        if !isHTTP10 { unsafe send(worker.rooms.h1(head, with: .init(start: nil, count: 0)) { _ in }) }
    }

    func answer(_ head: WrittenHead, _ first: BodyPart) {
        // Decided before it has heard everything: the rest of the request is not wanted any more.
        if !body.isDone { retireAfterAnswer(expectsMore: true) }
        chunks = head.body == .unknown && !isHTTP10
        // Without chunks only the end of the connection ends such a body.
        if worker.isDraining || !worker.keeps(newAfter: requests) || (head.body == .unknown && isHTTP10) { keepsOn = false }
        let bytes = unsafe worker.rooms.h1(head, with: framed(first)) { out in
            if head.body != .unknown || chunks { out.append(head.body) }
            if !keepsOn {
                out.append("Connection: close\r\n")
            } else if isHTTP10 {
                out.append("Connection: keep-alive\r\n")
            }
        }
        // The last of a connection's last answer leaves with the end of TLS.
        unsafe send(bytes, isFollowed: first.isLast && !keepsOn)
    }

    func pass(_ part: BodyPart) {
        let bytes = unsafe framed(part)
        if unsafe !bytes.isEmpty { unsafe send(bytes, isFollowed: part.isLast && !keepsOn && phase != .tunnel) }
        if part.isLast, phase == .tunnel { endDirection() }
    }

    /// The server's direction of a tunnel is over. The client's goes on.
    private func endDirection() {
        if let tls, !finishEncrypted(tls) { return }
        if isCongested { whenSent = .endsSending } else { endSending() }
    }

    private func framed(_ part: BodyPart) -> UnsafeRawBufferPointer {
        unsafe chunks ? worker.rooms.chunk(part) : UnsafeRawBufferPointer(part.data)
    }

    func openTunnel(_ head: WrittenHead, _ first: BodyPart) {
        chunks = false
        unsafe send(worker.rooms.h1(head, with: UnsafeRawBufferPointer(first.data)) { out in out.append("Connection: upgrade\r\n") })
        phase = .tunnel
        body.begin(.untilClose)
        loop.schedule(self, at: loop.now + Limits.tunnelIdleNanoseconds)
        if first.isLast { endDirection() }
        // What came before the answer was left in the kernel or here, and no event tells of it again.
        if canRead || inbound != nil { loop.wake(self, []) }
    }
}
