import Base

/// Frames that carry neither fields nor data.
extension H2Connection {
    mutating func readPriority(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ now: UInt64) throws(H2Fault) -> Event? {
        guard frame.stream != 0 else { throw H2Fault(.protocolError, "PRIORITY without a stream") }
        try budget.spend(.priority, now: now)
        let isWhole = payload.count == 5
        if isWhole, unsafe payload.word(at: 0) & 0x7FFF_FFFF != frame.stream { return nil }
        let code: H2Code = isWhole ? .protocolError : .frameSizeError
        // An idle stream can't be reset.
        guard frame.stream % 2 == 1, frame.stream <= newest else { throw H2Fault(code, "PRIORITY of nonsense on an idle stream") }
        return try reset(frame.stream, code, now)
    }

    mutating func readPriorityUpdate(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ now: UInt64) throws(H2Fault) -> Event? {
        guard role == .server else { throw H2Fault(.protocolError, "a server asks for priorities") }
        guard frame.stream == 0 else { throw H2Fault(.protocolError, "PRIORITY_UPDATE on a stream") }
        guard payload.count >= 4 else { throw H2Fault(.frameSizeError, "PRIORITY_UPDATE names no stream") }
        try budget.spend(.priority, now: now)
        let stream = unsafe payload.word(at: 0) & 0x7FFF_FFFF
        guard stream % 2 == 1 else { throw H2Fault(.protocolError, "PRIORITY_UPDATE of a stream that is no request") }
        let priority = unsafe H2Priority(field: UnsafeRawBufferPointer(rebasing: payload[4...]))
        if stream <= newest { return streams.place(stream) == nil ? nil : .priority(stream: stream, priority) }
        // Nothing comes of it any more.
        if lastTaken != nil { return nil }
        comingPriorities.set(stream, priority)
        guard comingPriorities.count + streams.count <= limits.streams else {
            throw H2Fault(.protocolError, "PRIORITY_UPDATE of more streams than there may be")
        }
        return nil
    }

    mutating func readReset(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ now: UInt64) throws(H2Fault) -> Event? {
        guard frame.stream != 0 else { throw H2Fault(.protocolError, "RST_STREAM without a stream") }
        guard payload.count == 4 else { throw H2Fault(.frameSizeError, "RST_STREAM has not four bytes") }
        try checkOpened(frame.stream)
        guard streams.place(frame.stream) != nil else { return nil }
        forget(frame.stream)
        // A server resets no more than a client has opened.
        if role == .server { try budget.spend(.resets, now: now) }
        return unsafe .reset(stream: frame.stream, H2Code(peer: payload.word(at: 0)))
    }

    mutating func readSettings(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ now: UInt64) throws(H2Fault) -> Event? {
        guard frame.stream == 0 else { throw H2Fault(.protocolError, "SETTINGS on a stream") }
        if frame.flags.contains(.ack) {
            guard unsafe payload.isEmpty else { throw H2Fault(.frameSizeError, "an acknowledgement with settings") }
            isAcknowledged = true
            return nil
        }
        guard payload.count % 6 == 0 else { throw H2Fault(.frameSizeError, "SETTINGS is no list of settings") }
        try budget.spend(.control, now: now)
        let before = peer.window
        try unsafe peer.take(payload)
        if role == .client, peer.allowsPush { throw H2Fault(.protocolError, "a server allows to push") }
        encoder.take(peerTableSize: peer.tableSize)
        let (more, was) = (peer.window - before, streams.count)
        var isTooLarge = false
        if more != 0 {
            streams.forEach {
                $0.sendWindow += more
                isTooLarge = isTooLarge || $0.sendWindow > 0x7FFF_FFFF
            }
        }
        if isTooLarge { throw H2Fault(.flowControlError, "a window is too large") }
        write(H2Frame(.settings, .ack, length: 0))
        if role == .client { return .settings }
        return more > 0 && was > 0 ? .room(stream: 0) : nil
    }

    mutating func readPing(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ now: UInt64) throws(H2Fault) -> Event? {
        guard frame.stream == 0 else { throw H2Fault(.protocolError, "PING on a stream") }
        guard payload.count == 8 else { throw H2Fault(.frameSizeError, "PING has not eight bytes") }
        if frame.flags.contains(.ack) { return .pong }
        try budget.spend(.control, now: now)
        unsafe write(H2Frame(.ping, .ack, length: 8), payload)
        return nil
    }

    mutating func readGoAway(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ now: UInt64) throws(H2Fault) -> Event? {
        guard frame.stream == 0 else { throw H2Fault(.protocolError, "GOAWAY on a stream") }
        guard payload.count >= 8 else { throw H2Fault(.frameSizeError, "GOAWAY is too short") }
        try budget.spend(.control, now: now)
        if role == .client {
            let last = unsafe payload.word(at: 0) & 0x7FFF_FFFF
            // What was told to be unprocessed went elsewhere meanwhile.
            guard last <= lastProcessed ?? .max else { throw H2Fault(.protocolError, "GOAWAY takes back what it said") }
            lastProcessed = last
            untold = streams.count
        }
        return unsafe .goAway(H2Code(peer: payload.word(at: 4)))
    }

    mutating func readWindowUpdate(_ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ now: UInt64) throws(H2Fault) -> Event? {
        guard payload.count == 4 else { throw H2Fault(.frameSizeError, "WINDOW_UPDATE has not four bytes") }
        // What was sent is to be given back, in pieces of any sensible size.
        if earnedUpdates > 0 { earnedUpdates -= 1 } else { try budget.spend(.windowUpdates, now: now) }
        let more = unsafe Int(payload.word(at: 0) & 0x7FFF_FFFF)
        if frame.stream == 0 {
            if more == 0 { throw H2Fault(.protocolError, "a window grows by nothing") }
            sendWindow += more
            if sendWindow > 0x7FFF_FFFF { throw H2Fault(.flowControlError, "the connection's window is too large") }
            return .room(stream: 0)
        }
        guard let place = streams.place(frame.stream) else {
            try checkOpened(frame.stream)
            return nil
        }
        if more == 0 { return try reset(frame.stream, .protocolError, now) }
        streams[place].sendWindow += more
        if streams[place].sendWindow > 0x7FFF_FFFF { return try reset(frame.stream, .flowControlError, now) }
        return .room(stream: frame.stream)
    }
}
