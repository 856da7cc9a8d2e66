import Base

/// Reading: one frame after the other.
extension H2Connection {
    /// The next event in the bytes from `at` on, which moves behind it. What it does not move behind has to come again, with
    /// more: a frame is read when it is whole, but for DATA.
    /// - Parameters:
    ///   - room: as large as `roomSize`; what an event says of it holds until the next call.
    ///   - now: monotonic nanoseconds.
    public mutating func next(
        _ region: UnsafeRawBufferPointer, at: inout Int, room: inout ByteWriter, now: UInt64
    ) throws(H2Fault) -> Event {
        if let event = following.take() ?? nextUntold() { return event }
        while true {
            switch phase {
            case .preface:
                guard try unsafe readPreface(region, &at) else { return .more }
                phase = .frame
            case .skipping(let left):
                let count = min(left, region.count - at)
                at += count
                if left > count {
                    phase = .skipping(left - count)
                    return .more
                }
                phase = .frame
            case .data(let stream, let left, let padding, let isLast):
                guard left > 0 || isLast else {
                    phase = .skipping(padding)
                    continue
                }
                let count = min(left, region.count - at)
                if count == 0, left > 0 { return .more }
                let bytes = at..<(at + count)
                at += count
                let isEnd = isLast && left == count
                phase = left == count ? .skipping(padding) : .data(stream: stream, left: left - count, padding: padding, isLast: isLast)
                if let event = take(stream, bytes, isLast: isEnd) { return event }
            case .frame, .block:
                guard region.count - at >= H2Frame.headerSize else { return .more }
                let frame = unsafe H2Frame(UnsafeRawBufferPointer(rebasing: region[at..<(at + H2Frame.headerSize)]))
                try check(frame)
                if frame.kind == .data {
                    if let event = try unsafe beginData(frame, region, &at, now) { return event }
                    if case .frame = phase { return .more }
                    continue
                }
                guard region.count - at >= H2Frame.headerSize + frame.length else { return .more }
                let start = at + H2Frame.headerSize
                at = start + frame.length
                let payload = unsafe UnsafeRawBufferPointer(rebasing: region[start..<at])
                if let event = try unsafe read(frame, payload, &room, now) { return event }
            }
        }
    }

    /// Whether the next frame at `at` is one with data of that stream, as far as it is there.
    public func isNextData(of stream: UInt32, _ region: UnsafeRawBufferPointer, at: Int) -> Bool {
        if case .data(let own, let left, _, _) = phase, left > 0 { return own == stream && region.count > at }
        guard case .frame = phase, region.count - at >= H2Frame.headerSize else { return false }
        let frame = unsafe H2Frame(UnsafeRawBufferPointer(rebasing: region[at..<(at + H2Frame.headerSize)]))
        return frame.kind == .data && frame.stream == stream
    }

    func readPreface(_ region: UnsafeRawBufferPointer, _ at: inout Int) throws(H2Fault) -> Bool {
        let preface = Self.preface
        let count = min(preface.utf8CodeUnitCount, region.count - at)
        // Text of the program, and as many bytes of the region.
        for i in 0..<count where unsafe region[at + i] != preface.utf8Start[i] {
            throw H2Fault(.protocolError, "no connection preface")
        }
        guard count == preface.utf8CodeUnitCount else { return false }
        at += count
        return true
    }

    /// What is wrong with a frame whatever is in it.
    mutating func check(_ frame: H2Frame) throws(H2Fault) {
        guard frame.length <= H2Frame.sizeMax else { throw H2Fault(.frameSizeError, "a frame is too large") }
        if !isSettled {
            // Section 3.4: the first frame.
            guard frame.kind == .settings, !frame.flags.contains(.ack) else {
                throw H2Fault(.protocolError, "SETTINGS is not the first frame")
            }
            isSettled = true
        }
        if case .block(let block) = phase {
            guard frame.kind == .continuation, frame.stream == block.stream else {
                throw H2Fault(.protocolError, "a field block is interrupted")
            }
        }
    }

    mutating func read(
        _ frame: H2Frame, _ payload: UnsafeRawBufferPointer, _ room: inout ByteWriter, _ now: UInt64
    ) throws(H2Fault) -> Event? {
        switch frame.kind {
        case .data: return nil
        case .headers: return try unsafe readHeaders(frame, payload, &room, now)
        case .continuation: return try unsafe readContinuation(frame, payload, &room, now)
        case .priority: return try unsafe readPriority(frame, payload, now)
        case .reset: return try unsafe readReset(frame, payload, now)
        case .settings: return try unsafe readSettings(frame, payload, now)
        case .pushPromise: throw H2Fault(.protocolError, "nobody here may push")
        case .ping: return try unsafe readPing(frame, payload, now)
        case .goAway: return try unsafe readGoAway(frame, payload, now)
        case .windowUpdate: return try unsafe readWindowUpdate(frame, payload, now)
        case .priorityUpdate: return try unsafe readPriorityUpdate(frame, payload, now)
        case nil:
            try budget.spend(.priority, now: now)
            return nil
        }
    }
}
