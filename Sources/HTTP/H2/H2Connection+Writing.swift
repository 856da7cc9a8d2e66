import Base

/// Writing frames, at the end of `output`.
extension H2Connection {
    static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    /// Whether these first bytes of a connection are the preface, or may become it: true when it is whole; nil when they are
    /// something else.
    public static func beginsWithPreface(_ bytes: UnsafeRawBufferPointer) -> Bool? {
        let count = min(preface.utf8CodeUnitCount, bytes.count)
        // Text of the program, and as many bytes.
        for i in 0..<count where unsafe bytes[i] != preface.utf8Start[i] { return nil }
        return count == preface.utf8CodeUnitCount
    }

    /// Bodies may be sent, as far as the window of all streams together is concerned.
    public var hasRoom: Bool { sendWindow > 0 }

    /// Bytes of a body that may be sent on the stream now.
    public func room(of stream: UInt32) -> Int {
        guard let place = streams.place(stream), !streams[place].isLocalClosed else { return 0 }
        return max(0, min(streams[place].sendWindow, sendWindow))
    }

    /// Writes the fields of an answer, or trailers, from text: lines of `name: value`, each with its CRLF. Fields of the
    /// connection are left out.
    /// - Parameters:
    ///   - status: of an answer; nil for trailers.
    ///   - areSecret: one of them came so, from a peer of HTTP/2. Which one is not asked: they are few, and a table that knows
    ///     less than it might does no harm.
    ///   - scratch: for the block, as large as the text and a half.
    public mutating func writeFields(
        status: UInt16?, _ lines: UnsafeRawBufferPointer, areSecret: Bool = false, on stream: UInt32, isLast: Bool,
        scratch: inout ByteWriter
    ) {
        guard let place = streams.place(stream), !streams[place].isLocalClosed else { return }
        scratch.removeAll()
        encoder.begin(&scratch)
        if let status { encoder.encode(status: status, isSecret: areSecret, to: &scratch) }
        unsafe encoder.encode(lines, areSecret: areSecret, to: &scratch)
        if isLast { streams[place].isLocalClosed = true }
        writeBlock(scratch, stream, isLast)
    }

    mutating func writeBlock(_ scratch: ByteWriter, _ stream: UInt32, _ isLast: Bool) {
        // The peer could not decode what comes after a part of a block.
        precondition(!scratch.overflowed, "too little room for a field block")
        let block = unsafe scratch.written
        var at = 0
        repeat {
            let count = min(block.count - at, peer.frameSizeMax)
            let flags: H2Frame.Flags = at + count == block.count ? .endHeaders : []
            let frame =
                at == 0
                ? H2Frame(.headers, isLast ? flags.union(.endStream) : flags, stream: stream, length: count)
                : H2Frame(.continuation, flags, stream: stream, length: count)
            unsafe write(frame, UnsafeRawBufferPointer(rebasing: block[at..<(at + count)]))
            at += count
        } while at < block.count
    }

    /// Writes a part of a body in frames. No more than `room` says.
    public mutating func writeData(_ bytes: UnsafeRawBufferPointer, on stream: UInt32, isLast: Bool) {
        guard let place = streams.place(stream), !streams[place].isLocalClosed else { return }
        precondition(bytes.count <= max(0, min(streams[place].sendWindow, sendWindow)), "more than the windows take")
        streams[place].sendWindow -= bytes.count
        sendWindow -= bytes.count
        earnedUpdates = min(earnedUpdates + 2 + bytes.count / 512, 1 << 20)
        if isLast { streams[place].isLocalClosed = true }
        var at = 0
        repeat {
            let count = min(bytes.count - at, peer.frameSizeMax, H2Frame.sizeMax)
            let isEnd = isLast && at + count == bytes.count
            let frame = H2Frame(.data, isEnd ? .endStream : [], stream: stream, length: count)
            unsafe write(frame, UnsafeRawBufferPointer(rebasing: bytes[at..<(at + count)]))
            at += count
        } while at < bytes.count
    }

    public mutating func ping() {
        // "gateway ".
        write(H2Frame(.ping, length: 8), 0x6761_7465, 0x7761_7920)
    }

    mutating func writePreface() {
        // Text of the program.
        unsafe output.append(contentsOf: UnsafeRawBufferPointer(start: Self.preface.utf8Start, count: Self.preface.utf8CodeUnitCount))
    }

    mutating func write(_ settings: H2Settings) {
        write(H2Frame(.settings, length: settings.size))
        settings.forEachSaid { name, value in
            output.append(UInt8(truncatingIfNeeded: name >> 8))
            output.append(UInt8(truncatingIfNeeded: name))
            write(word: value)
        }
    }

    mutating func writeReset(_ stream: UInt32, _ code: H2Code) { write(H2Frame(.reset, stream: stream, length: 4), code.rawValue) }

    mutating func writeWindowUpdate(_ stream: UInt32, _ more: Int) {
        write(H2Frame(.windowUpdate, stream: stream, length: 4), UInt32(clamping: more))
    }

    mutating func write(_ frame: H2Frame, _ first: UInt32, _ second: UInt32) {
        write(frame, first)
        write(word: second)
    }

    mutating func write(_ frame: H2Frame, _ word: UInt32) {
        write(frame)
        write(word: word)
    }

    mutating func write(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer) {
        write(frame)
        unsafe output.append(contentsOf: payload)
    }

    mutating func write(_ frame: H2Frame) {
        write(word: UInt32(truncatingIfNeeded: frame.length) << 8 | UInt32(frame.kind?.rawValue ?? 0xFF))
        output.append(frame.flags.rawValue)
        write(word: frame.stream)
    }

    private mutating func write(word: UInt32) {
        // Four bytes of a value that is there.
        unsafe withUnsafeBytes(of: word.bigEndian) { unsafe output.append(contentsOf: $0) }
    }
}
