import Base

/// A client's end: its requests.
extension H2Connection {
    /// Another stream may be opened now: the peer takes one more, and has not said that it takes none.
    public var canOpen: Bool {
        role == .client && lastProcessed == nil && lastTaken == nil && newest < 0x7FFF_FFFE
            && streams.count < min(limits.streams, peer.streamsMax)
    }

    /// No stream will be opened here any more, whatever ends: GOAWAY was sent or received, or all numbers are used up.
    public var isClosing: Bool { lastProcessed != nil || lastTaken != nil || newest >= 0x7FFF_FFFE }

    /// Extended CONNECT is understood (RFC 8441 section 3). Known once the peer `isSettled`.
    public var peerAllowsConnect: Bool { peer.allowsConnect }

    /// Opens a stream; nil where `canOpen` says no. The next thing that is written on any stream is its request's head.
    public mutating func open() -> UInt32? {
        guard canOpen else { return nil }
        newest = newest == 0 ? 1 : newest + 2
        var stream = H2Stream(id: newest, sendWindow: peer.window, receiveWindow: limits.window)
        stream.isIdle = true
        streams.add(stream)
        return newest
    }

    /// Writes the head of a request from what it would be in HTTP/1.1: lines of `Name: value`, each with its CRLF. Fields of
    /// the connection are left out.
    /// - Parameters:
    ///   - authority: of the URL; nil: what `Host` says. That field itself is never sent (RFC 9113 section 8.3.1).
    ///   - protocol: what the request wants to upgrade to: it becomes an extended CONNECT (RFC 8441 section 4).
    ///   - isSecret: one of its fields came so, from a client of HTTP/2: see `writeFields`.
    ///   - takesTrailers: whether `te: trailers` is said.
    ///   - scratch: for the block, as large as all of the text and a half.
    public mutating func writeRequest(
        method: UnsafeRawBufferPointer, scheme: StaticString, authority: UnsafeRawBufferPointer? = nil, path: UnsafeRawBufferPointer,
        protocol upgrade: UnsafeRawBufferPointer? = nil, _ lines: UnsafeRawBufferPointer, isSecret: Bool = false, on stream: UInt32,
        isLast: Bool, takesTrailers: Bool = false, scratch: inout ByteWriter
    ) {
        guard let place = streams.place(stream), streams[place].isIdle else { return }
        precondition(stream == newest, "streams begin in their order")
        let isConnect = unsafe upgrade != nil || method.equals("CONNECT")
        streams[place].isIdle = false
        streams[place].asked = unsafe isConnect ? .connect : Method(method)
        if isLast { streams[place].isLocalClosed = true }
        scratch.removeAll()
        encoder.begin(&scratch)
        if isConnect {
            encoder.encode(.method, "CONNECT", isSecret: isSecret, to: &scratch)
        } else {
            unsafe encoder.encode(.method, method, isSecret: isSecret, to: &scratch)
        }
        if unsafe upgrade != nil || !isConnect {
            encoder.encode(.scheme, scheme, to: &scratch)
            unsafe encoder.encode(.path, path, isSecret: isSecret, to: &scratch)
        }
        if let authority = unsafe authority ?? FieldLines.host(lines) {
            unsafe encoder.encode(.authority, authority, isSecret: isSecret, to: &scratch)
        }
        if let upgrade = unsafe upgrade { unsafe encoder.encode(":protocol", upgrade, isSecret: isSecret, to: &scratch) }
        unsafe encoder.encode(lines, leavingOut: FieldSet(.host), areSecret: isSecret, to: &scratch)
        if takesTrailers { encoder.encode("te", "trailers", to: &scratch) }
        writeBlock(scratch, stream, isLast)
    }
}
