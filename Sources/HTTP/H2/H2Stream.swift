/// One stream of a connection, as its frames see it (RFC 9113 section 5.1; nothing is pushed, so nothing is reserved).
///
///     idle ──HEADERS──► open ──END_STREAM of one side──► half closed ──of the other──► closed
///                         └──────────────RST_STREAM of either side───────────────────────┘
struct H2Stream {
    let id: UInt32
    /// The peer sends no more.
    var isRemoteClosed = false
    /// We send no more.
    var isLocalClosed = false
    /// It was opened here, and nothing was sent on it yet.
    var isIdle = false
    /// The head that the peer begins with has come: the request's, or the final one of the answer.
    var hasHead = false
    /// Of a request of ours.
    var asked = Method.other
    /// Bytes that we may send.
    var sendWindow: Int
    /// Bytes that the peer may send: what it was promised and has not used.
    var receiveWindow: Int
    /// Received, and not passed on yet.
    var outstanding = 0
    /// Promised and outstanding together are never more than that.
    var windowTarget: Int
    /// `Content-Length`, while it is to be kept.
    var declared: UInt64?
    var received: UInt64 = 0
    /// What had been received when the window was last made larger.
    var grownAt: UInt64 = 0

    init(id: UInt32, sendWindow: Int, receiveWindow: Int) {
        (self.id, self.sendWindow, self.receiveWindow, windowTarget) = (id, sendWindow, receiveWindow, receiveWindow)
    }

    /// With so many more bytes: as many as were announced, so far and at the end.
    func keepsItsWord(with more: Int = 0, isLast: Bool) -> Bool {
        guard let declared else { return true }
        let total = received + UInt64(more)
        return isLast ? total == declared : total <= declared
    }
}

/// The streams that are not over, found by their number.
struct H2Streams {
    private var streams: [H2Stream] = []
    /// Places in `streams` and one, by a hash of the number; 0 is free. A power of two, never more than half full.
    private var table: [Int32] = []

    var count: Int { streams.count }

    /// It has grown for many, and there are none.
    var isEmptyAndLarge: Bool { streams.isEmpty && streams.capacity > 8 }

    private func start(_ id: UInt32) -> Int { Int((id >> 1) &* 0x9E37_79B1) & (table.count - 1) }

    /// The place of a stream, until another one is added or removed.
    func place(_ id: UInt32) -> Int? {
        if table.isEmpty { return nil }
        var at = start(id)
        while table[at] != 0 {
            let place = Int(table[at]) - 1
            if streams[place].id == id { return place }
            at = (at + 1) & (table.count - 1)
        }
        return nil
    }

    subscript(place: Int) -> H2Stream {
        get { streams[place] }
        _modify { yield &streams[place] }
    }

    mutating func add(_ stream: H2Stream) {
        streams.append(stream)
        if 2 * streams.count > table.count { return rebuild(max(16, 2 * table.count)) }
        link(streams.count - 1)
    }

    private mutating func rebuild(_ size: Int) {
        table = Array(repeating: 0, count: size)
        for place in streams.indices { link(place) }
    }

    private mutating func link(_ place: Int) {
        var at = start(streams[place].id)
        while table[at] != 0 { at = (at + 1) & (table.count - 1) }
        table[at] = Int32(place + 1)
    }

    mutating func remove(_ id: UInt32) {
        guard let place = place(id) else { return }
        unlink(id)
        let last = streams.removeLast()
        if place == streams.count { return }
        // The last one takes its place.
        unlink(last.id, in: streams.count)
        streams[place] = last
        link(place)
    }

    private mutating func unlink(_ id: UInt32, in lastPlace: Int? = nil) {
        var at = start(id)
        while true {
            let found = Int(table[at]) - 1
            if found == lastPlace || (lastPlace == nil && streams[found].id == id) { break }
            at = (at + 1) & (table.count - 1)
        }
        // Those behind it move up, as far as they may.
        var hole = at
        var next = (at + 1) & (table.count - 1)
        while table[next] != 0 {
            let place = Int(table[next]) - 1
            let home = start(place < streams.count ? streams[place].id : id)
            let distance = (next - home) & (table.count - 1)
            if distance >= (next - hole) & (table.count - 1) {
                table[hole] = table[next]
                hole = next
            }
            next = (next + 1) & (table.count - 1)
        }
        table[hole] = 0
    }

    mutating func forEach(_ body: (inout H2Stream) -> Void) {
        for place in streams.indices { body(&streams[place]) }
    }
}
