import Base

/// A field block while it comes (RFC 9113 section 4.3).
struct H2Block {
    var stream: UInt32
    /// END_STREAM.
    var isLast: Bool
    /// By the priorities of RFC 7540, which mean nothing, but this was an error of the stream (its section 5.3.1).
    var dependsOnItself = false
}

/// Field blocks: in one frame or in pieces, and what they are.
extension H2Connection {
    /// A block in more pieces is not meant to be read.
    private static let piecesMax = 32

    mutating func readHeaders(
        _ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ room: inout ByteWriter, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        guard frame.stream % 2 == 1 else { throw H2Fault(.protocolError, "HEADERS on a stream that clients don't open") }
        var block = H2Block(stream: frame.stream, isLast: frame.flags.contains(.endStream))
        var (first, end) = (0, payload.count)
        if frame.flags.contains(.padded) {
            guard end >= 1 else { throw H2Fault(.frameSizeError, "padding has no length") }
            unsafe end -= Int(payload[0])
            first = 1
        }
        let hasPriority = frame.flags.contains(.priority)
        if hasPriority { first += 5 }
        guard first <= payload.count else { throw H2Fault(.frameSizeError, "HEADERS is shorter than what it says") }
        guard first <= end else { throw H2Fault(.protocolError, "padding is longer than its frame") }
        if hasPriority { block.dependsOnItself = unsafe payload.word(at: first - 5) & 0x7FFF_FFFF == frame.stream }
        let fragment = unsafe UnsafeRawBufferPointer(rebasing: payload[first..<end])
        if frame.flags.contains(.endHeaders) { return try unsafe readBlock(fragment, block, &room, now) }
        unsafe fragments.append(contentsOf: fragment)
        pieces = 1
        phase = .block(block)
        return nil
    }

    mutating func readContinuation(
        _ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ room: inout ByteWriter, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        guard case .block(let block) = phase else { throw H2Fault(.protocolError, "CONTINUATION of nothing") }
        pieces += 1
        guard pieces <= Self.piecesMax, fragments.count + payload.count <= 2 * limits.listSize else {
            throw H2Fault(.enhanceYourCalm, "a field block goes on and on", abuse: .headers)
        }
        unsafe fragments.append(contentsOf: payload)
        guard frame.flags.contains(.endHeaders) else { return nil }
        phase = .frame
        // The memory of a block that came in pieces is not kept: few do.
        let whole = fragments
        fragments = []
        return try unsafe whole.withUnsafeBufferPointer { bytes throws(H2Fault) in
            try unsafe readBlock(UnsafeRawBufferPointer(bytes), block, &room, now)
        }
    }

    private mutating func readBlock(
        _ bytes: UnsafeRawBufferPointer, _ block: H2Block, _ room: inout ByteWriter, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        room.removeAll()
        let id = block.stream
        if let place = streams.place(id) {
            if streams[place].hasHead { return try unsafe readTrailers(bytes, block, place, &room, now) }
            return try unsafe readAnswer(bytes, block, place, &room, now)
        }
        if id > newest, role == .server { return try unsafe readRequest(bytes, block, &room, now) }
        guard id <= newest else { throw H2Fault(.protocolError, "an answer to nothing") }
        // Decoded all the same: the table goes on.
        var text = TrailerText(sizeMax: limits.listSize)
        _ = try unsafe decode(bytes, into: &text, &room, now)
        if isLate(id) { return nil }
        if skipped.contains(id) { throw H2Fault(.protocolError, "streams don't begin in their order") }
        throw H2Fault(.streamClosed, "HEADERS on a stream that is closed")
    }

    private mutating func readRequest(
        _ bytes: UnsafeRawBufferPointer, _ block: H2Block, _ room: inout ByteWriter, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        let id = block.stream
        if id > newest + 2 { skipped = (newest + 1)...(id - 1) }
        newest = id
        let priority = comingPriorities.take(id)
        var text = RequestText(sizeMax: limits.listSize)
        let isSecret = try unsafe decode(bytes, into: &text, &room, now)
        if let lastTaken, id > lastTaken { return nil }
        // More than allowed: nothing was done of it, so it may come again (section 8.7).
        guard streams.count < limits.streams else { return try refuse(id, now) }
        let head = text.finish(&room)
        if text.isMalformed || block.dependsOnItself { return try reset(id, .protocolError, now) }
        var stream = H2Stream(id: id, sendWindow: peer.window, receiveWindow: limits.window)
        stream.isRemoteClosed = block.isLast
        stream.hasHead = true
        streams.add(stream)
        guard let head else { return .headTooLarge(stream: id, isLast: block.isLast) }
        if let priority { following = .priority(stream: id, priority) }
        return .head(stream: id, head, isLast: block.isLast, isSecret: isSecret)
    }

    /// Interim answers come first, as many as there are, and then the final one (section 8.1).
    private mutating func readAnswer(
        _ bytes: UnsafeRawBufferPointer, _ block: H2Block, _ place: Int, _ room: inout ByteWriter, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        let (id, asked) = (block.stream, streams[place].asked)
        var text = AnswerText(sizeMax: limits.listSize, isToConnect: asked == .connect)
        let isSecret = try unsafe decode(bytes, into: &text, &room, now, isAsked: true)
        let head = text.finish(&room)
        if text.isMalformed || block.dependsOnItself { return try reset(id, .protocolError, now) }
        if text.isInterim {
            if block.isLast { return try reset(id, .protocolError, now) }
        } else {
            streams[place].hasHead = true
            // A length that is the body's which a GET would have got is none of this body's.
            let isBodiless = asked == .head || text.status == 204 || text.status == 304
            streams[place].declared = isBodiless ? 0 : text.declared
            if block.isLast {
                guard streams[place].keepsItsWord(isLast: true) else { return try reset(id, .protocolError, now) }
                streams[place].isRemoteClosed = true
            }
        }
        guard let head else { return .headTooLarge(stream: id, isLast: block.isLast) }
        return .head(stream: id, head, isLast: block.isLast, isSecret: isSecret)
    }

    private mutating func readTrailers(
        _ bytes: UnsafeRawBufferPointer, _ block: H2Block, _ place: Int, _ room: inout ByteWriter, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        let id = block.stream
        var text = TrailerText(sizeMax: limits.listSize)
        let areSecret = try unsafe decode(bytes, into: &text, &room, now, isAsked: role == .client)
        if streams[place].isRemoteClosed { return try reset(id, .streamClosed, now) }
        guard block.isLast, !text.isMalformed, !block.dependsOnItself, streams[place].keepsItsWord(isLast: true) else {
            return try reset(id, .protocolError, now)
        }
        streams[place].isRemoteClosed = true
        return .trailers(stream: id, ByteRange(0, room.count), areSecret: areSecret)
    }

    /// - Parameter isAsked: it is the answer to a request of ours, which ends with it where it is too large.
    /// - Returns: whether there is a field in it that must not be put into a table further on either (RFC 7541 section 7.1.3).
    ///   Those whose names say so are none: whoever writes them knows that by himself.
    private mutating func decode(
        _ bytes: UnsafeRawBufferPointer, into text: inout some FieldListText, _ room: inout ByteWriter, _ now: UInt64,
        isAsked: Bool = false
    ) throws(H2Fault) -> Bool {
        var block = unsafe HPACKDecoder.Block(bytes)
        var hasSecret = false
        while let field = try next(&block, &room) {
            // Where there was no room for it nothing goes on.
            if field.isNeverIndexed, !hasSecret, !room.overflowed {
                hasSecret = unsafe !HPACKEncoder.isSecret(FieldName.classify(room.written[field.name]))
            }
            text.take(field, &room)
            // A few bytes may stand for a great many, again and again.
            if text.size > 16 * limits.listSize { throw H2Fault(.enhanceYourCalm, "a field block expands", abuse: .headers) }
        }
        // And in one block after the other. Of answers no more come than were asked for, by whomever: the connection is everybody's.
        if text.size > limits.listSize, !isAsked { try budget.spend(.headers, now: now) }
        return hasSecret
    }

    private mutating func next(_ block: inout HPACKDecoder.Block, _ room: inout ByteWriter) throws(H2Fault) -> DecodedField? {
        do { return try decoder.next(&block, to: &room) } catch { throw H2Fault(.compressionError, "a field block can't be decoded") }
    }
}
