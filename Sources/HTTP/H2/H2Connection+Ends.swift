import Base

/// How streams end, and the connection.
extension H2Connection {
    /// Of a request that announces its body; of an answer it is known here.
    public mutating func expect(_ length: UInt64, on stream: UInt32) {
        if let place = streams.place(stream) { streams[place].declared = length }
    }

    /// The stream is over, from this side: a reset, unless both have ended it in order.
    public mutating func end(_ stream: UInt32, _ code: H2Code) {
        guard let place = streams.place(stream) else { return }
        // The peer knows nothing of a stream without a head.
        if !(streams[place].isLocalClosed && streams[place].isRemoteClosed), !streams[place].isIdle {
            writeReset(stream, code)
            recent.add(stream)
        }
        forget(stream)
    }

    mutating func forget(_ stream: UInt32) {
        guard let place = streams.place(stream) else { return }
        outstanding -= streams[place].outstanding
        streams.remove(stream)
        giveBack()
    }

    /// What the peer did on the stream is wrong. Told where there is one.
    mutating func reset(_ stream: UInt32, _ code: H2Code, _ now: UInt64) throws(H2Fault) -> Event? {
        let isThere = streams.place(stream) != nil
        writeReset(stream, code)
        recent.add(stream)
        forget(stream)
        // A server brings about no more of them than a client has opened.
        if role == .server || !isThere { try budget.spend(.resets, now: now) }
        guard isThere else { return nil }
        return role == .server ? .reset(stream: stream, code) : .malformed(stream: stream, code)
    }

    /// More streams are opened than may be. That is abuse of who knows how many may be; of who can't know yet it is bounded.
    mutating func refuse(_ stream: UInt32, _ now: UInt64) throws(H2Fault) -> Event? {
        if isAcknowledged || early.count == limits.earlyStreams { return try reset(stream, .refusedStream, now) }
        early = (early.count + 1, stream)
        writeReset(stream, .refusedStream)
        return nil
    }

    /// The first word of a drain, or the last one of a connection.
    /// - Parameter last: false: streams that are under way, and those that the peer has opened and we haven't seen, go on.
    public mutating func goAway(_ code: H2Code, isLast: Bool) {
        // No server opens streams. And what was named once is not named higher (section 6.8).
        if isLast, lastTaken == nil { lastTaken = role == .server ? newest : 0 }
        write(H2Frame(.goAway, length: 8), lastTaken ?? 0x7FFF_FFFF, code.rawValue)
    }

    /// Frames of the stream are of no use and no fault: the peer has sent them before it knew of a reset, or of our GOAWAY.
    func isLate(_ stream: UInt32) -> Bool {
        if role == .server, let lastTaken, stream > lastTaken { return true }
        if stream <= early.newest { return true }
        // A client that has cancelled more than are remembered can't tell.
        return recent.contains(stream) || (role == .client && recent.hasForgotten)
    }

    /// The next stream that the peer's GOAWAY left unprocessed.
    mutating func nextUntold() -> Event? {
        guard let lastProcessed else { return nil }
        // Of those from `untold` on each was looked at, or was looked at in another place.
        untold = min(untold, streams.count)
        while untold > 0 {
            untold -= 1
            let stream = streams[untold].id
            if stream > lastProcessed {
                forget(stream)
                return .reset(stream: stream, .refusedStream)
            }
        }
        return nil
    }
}
