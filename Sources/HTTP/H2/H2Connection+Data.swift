import Base

/// Bodies that the peer sends, as they come, and the windows that it is given for them.
extension H2Connection {
    /// Fewer bytes in a frame are next to nothing: the smallest message of gRPC has five, and the smallest of a WebSocket six.
    private static let tinyMax = 4

    /// Nil when the frame goes on in `phase`, or is not there far enough.
    mutating func beginData(
        _ frame: H2Frame, _ region: UnsafeRawBufferPointer, _ at: inout Int, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        guard frame.stream != 0 else { throw H2Fault(.protocolError, "DATA without a stream") }
        let isPadded = frame.flags.contains(.padded)
        if isPadded, frame.length < 1 { throw H2Fault(.frameSizeError, "padding has no length") }
        var start = at + H2Frame.headerSize
        var padding = 0
        if isPadded {
            guard region.count > start else { return nil }
            padding = unsafe Int(region[start])
            start += 1
            guard padding < frame.length else { throw H2Fault(.protocolError, "padding is longer than its frame") }
        }
        at = start
        let length = frame.length - padding - (isPadded ? 1 : 0)
        let isLast = frame.flags.contains(.endStream)
        // An empty one is as bad as a hundred of those.
        if length <= Self.tinyMax, !isLast { try budget.spend(.emptyData, length == 0 ? 100 : 1, now: now) }
        // All of the frame counts, whatever becomes of it.
        receiveWindow -= frame.length
        if receiveWindow < 0 { throw H2Fault(.flowControlError, "more was sent than the connection's window") }
        guard let place = streams.place(frame.stream), !streams[place].isRemoteClosed else {
            giveBack()
            phase = .skipping(length + padding)
            try checkOpened(frame.stream)
            return isLate(frame.stream) ? nil : try reset(frame.stream, .streamClosed, now)
        }
        streams[place].receiveWindow -= frame.length
        let isBeyond = streams[place].receiveWindow < 0
        guard !isBeyond, streams[place].hasHead, streams[place].keepsItsWord(with: length, isLast: isLast) else {
            giveBack()
            phase = .skipping(length + padding)
            return try reset(frame.stream, isBeyond ? .flowControlError : .protocolError, now)
        }
        phase = .data(stream: frame.stream, left: length, padding: padding, isLast: isLast)
        streams[place].outstanding += frame.length
        outstanding += frame.length
        // Padding is nobody's, and takes up no memory.
        if frame.length > length { passedOn(frame.length - length, of: frame.stream) }
        return nil
    }

    /// Part of a body has come: nil where its stream is over.
    mutating func take(_ stream: UInt32, _ bytes: Range<Int>, isLast: Bool) -> Event? {
        guard let place = streams.place(stream) else { return nil }
        streams[place].received += UInt64(bytes.count)
        if isLast { streams[place].isRemoteClosed = true }
        return .data(stream: stream, bytes, isLast: isLast)
    }

    /// A stream that was never opened has no frames.
    func checkOpened(_ stream: UInt32) throws(H2Fault) {
        guard stream % 2 == 1, stream <= newest else { throw H2Fault(.protocolError, "a frame on a stream that is not open") }
    }

    /// So many bytes of the stream's body have left for where they go: the peer may send more.
    public mutating func passedOn(_ count: Int, of stream: UInt32) {
        // What a stream that is over still owed was given back with it.
        guard let place = streams.place(stream) else { return }
        let count = min(count, streams[place].outstanding)
        streams[place].outstanding -= count
        outstanding -= count
        giveBack()
        if streams[place].isRemoteClosed { return }
        let one = streams[place]
        // A body that fills its window and is passed on as it comes gets a larger one, twice as large each time.
        if one.received - one.grownAt >= UInt64(one.windowTarget), one.outstanding <= one.windowTarget / 4 {
            streams[place].windowTarget = min(2 * one.windowTarget, limits.windowMax)
            streams[place].grownAt = one.received
        }
        let more = streams[place].windowTarget - streams[place].receiveWindow - streams[place].outstanding
        guard more >= streams[place].windowTarget / 2 else { return }
        streams[place].receiveWindow += more
        writeWindowUpdate(stream, more)
    }

    /// What nobody keeps may be sent again.
    mutating func giveBack() {
        let more = max(limits.connectionWindow, 65535) - receiveWindow - outstanding
        guard more >= limits.connectionWindow / 2 else { return }
        receiveWindow += more
        writeWindowUpdate(0, more)
    }
}
