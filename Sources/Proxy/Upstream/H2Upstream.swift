import Base
import Glibc
import HTTP
import Net

/// One HTTP/2 connection to a server, which carries many requests at a time (`H2UpstreamStream`): over TLS, or in plain text by
/// prior knowledge (RFC 9113 section 3.3).
///
///     connecting ──► open ──► leaving ──► closed
///          └──────────┴───────────┘
///
/// *leaving*: it takes no more requests, because the server says so, or it is not to be used any more; those that are under way
/// end on it.
///
/// As with clients, what its streams have to say collects and leaves in the connection's own turn.
final class H2Upstream: H2Transport {
    enum State { case connecting, open, leaving }

    let pool: ServerPool
    let address: ServerAddress
    private(set) var state = State.connecting
    /// Who waits for it while it is connecting.
    var dial: Dial?
    /// With which the one who waits begins.
    private var first: H2UpstreamStream?
    private var streams: [UInt32: H2UpstreamStream] = [:]
    /// Those that can't be sent before the server has said what it takes.
    private var held: [H2UpstreamStream] = []
    /// Those that have something to send and no room.
    var waiting: [H2UpstreamStream] = []
    private var served: [H2UpstreamStream] = []
    /// A part of a frame.
    private var inbound: Buffer?
    private var part = Part()
    private var isToSend = false
    /// Requests that it has carried.
    private var count = 0
    /// It was kept, and nothing has come since a request went on it.
    private(set) var isUnheard = false
    /// Something has come since it was last looked at, or a PING has been sent because nothing had.
    private var wasHeard = false
    private var wasPinged = false
    /// It counts for `max_connections`.
    private var hasPlace = true
    /// The server was told that it carries this client's requests.
    let client: SocketAddress?

    /// What of an answer is in hand, and goes on in one piece: its head, as `worker.responseHead` has it, and bytes in the inbox.
    private struct Part {
        var stream: H2UpstreamStream?
        var isHead = false
        var count = 0
        var isLast = false
    }

    init(worker: Worker, fd: Int32, pool: ServerPool, address: ServerAddress) {
        (self.pool, self.address, client) = (pool, address, nil)
        super.init(worker: worker, fd: fd, flow: worker.loop.commonFlow, H2Connection(client: Self.limits))
    }

    /// Takes a connection over that stands.
    init(_ opening: UpstreamOpening, fd: Int32) {
        (pool, address, client, state) = (opening.pool, opening.address, opening.client, .open)
        super.init(worker: opening.worker, fd: fd, flow: opening.worker.loop.commonFlow, H2Connection(client: Self.limits))
        takeOver(opening)
        readsWhileCongested = tls != nil
    }

    private static var limits: H2Connection.Limits {
        var limits = H2Connection.Limits()
        limits.streams = Limits.upstreamStreamsMax
        limits.listSize = Limits.headSizeMax
        // Each stream is bounded by its own window. A connection is many tenants': what the clients of one don't take must not
        // hold up the others.
        limits.windowMax = 256 << 10
        limits.connectionWindow = 1 << 30
        return limits
    }

    static func dial(_ pool: ServerPool, _ address: ServerAddress) throws(SystemError) -> UpstreamEnd? {
        let loop = pool.worker.loop
        let connection = H2Upstream(worker: pool.worker, fd: try Socket.connect(address.address), pool: pool, address: address)
        guard loop.add(connection) else {
            loop.close(connection)
            return nil
        }
        let first = pool.worker.takeStream(on: connection)
        connection.first = first
        return .h2(first)
    }

    // MARK: Requests

    /// It takes another request now. What the server allows is not known before it has said so; a hundred is what most do.
    var canOpen: Bool {
        state == .open && !isBroken && connection.canOpen && (connection.isSettled || streams.count < Limits.upstreamStreamsUnsettled)
    }

    var streamCount: Int { streams.count }
    var isUnused: Bool { state == .open && streams.isEmpty }
    /// It was kept for a next request, and nothing is known of it since: the server may be closing it, unseen.
    var wasIdle: Bool { count > 0 && (streams.isEmpty || isUnheard) }

    /// The number for a stream whose head is written next.
    func open(_ stream: H2UpstreamStream) -> UInt32? {
        guard canOpen, let id = connection.open() else { return nil }
        if streams.isEmpty { isUnheard = count > 0 }
        count += 1
        streams[id] = stream
        if streams.count == 1 { watch() }
        return id
    }

    /// It is over.
    func remove(_ stream: H2UpstreamStream) {
        guard !isClosed, streams.removeValue(forKey: stream.id) != nil else { return }
        if stream.isWaiting { waiting.removeAll { $0 === stream } }
        wantsToSend()
        if !streams.isEmpty { return pool.tellWaiting() }
        connection.rest()
        if state == .leaving || pool.isRetired || worker.isDraining { return leave() }
        loop.schedule(self, at: loop.now + pool.idleTimeout)
        pool.tellWaiting()
    }

    /// It waits for the server's word.
    func holds(_ stream: H2UpstreamStream) { held.append(stream) }

    /// A stream that was never opened: while the connection is being made, nobody wants that any more.
    func abandon(_ stream: H2UpstreamStream) {
        held.removeAll { $0 === stream }
        if state == .connecting { shut() }
    }

    // MARK: Events

    override func ready(_ events: Readiness) {
        note(events)
        if state == .connecting {
            if events.isDisjoint(with: [.writable, .failed, .hungUp]) { return }
            connected()
            if isClosed { return }
        }
        if !isBroken, isCongested, !flush(), !isBroken { return }
        // What it has said before it broke is good all the same.
        if canRead { readFrames() }
        if isClosed { return }
        if isBroken { return canRead ? loop.wake(self, []) : broken() }
        sendFrames()
    }

    private func connected() {
        let error = Socket.error(fd)
        let (dial, first) = (dial, first)
        (self.dial, self.first) = (nil, nil)
        guard let first else { return shut() }
        guard error == 0 else {
            shut()
            dial?.failed(.h2(first), .system(error))
            // The loop keeps it, and with it this connection, until another request has it.
            return first.cancel()
        }
        state = .open
        isBroken = false
        pool.dialed()
        let isKept = pool.opened(self)
        dial?.connected(.h2(first))
        if isKept { begin() } else { leave() }
    }

    func begin() {
        // Wanted by nobody any more; others may have it.
        if streams.isEmpty { loop.schedule(self, at: loop.now + pool.idleTimeout) }
        wantsToSend()
        pool.tellWaiting()
    }

    /// PING finds out whether a server that says nothing is there (RFC 9113 section 6.7).
    override func expired() {
        if state == .connecting { return }
        if streams.isEmpty { return leave() }
        if wasHeard {
            (wasHeard, wasPinged) = (false, false)
        } else if wasPinged {
            return broken()
        } else {
            wasPinged = true
            connection.ping()
            wantsToSend()
        }
        watch()
    }

    private func watch() { loop.schedule(self, at: loop.now + Limits.pingNanoseconds) }

    // MARK: Frames

    private static let readSize = 64 << 10

    private func readFrames() {
        let kept = inbound.count
        let room = unsafe worker.rooms.frames
        if kept > 0 {
            unsafe room.copyMemory(from: inbound.readable)
            inbound = nil
        }
        let free = unsafe UnsafeMutableRawBufferPointer(rebasing: room[kept..<(kept + Self.readSize)])
        switch unsafe receive(into: free) {
        case .bytes(let count):
            (wasHeard, isUnheard) = (true, false)
            unsafe take(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<(kept + count)]))
        case .nothing:
            if kept > 0 { unsafe keep(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<kept])) }
        case .failed where refusesCertificate(address, of: pool): return end(as: .unwelcome)
        case .end, .failed: return broken()
        }
        if canRead, !isClosed { loop.wake(self, []) }
    }

    private func keep(_ rest: UnsafeRawBufferPointer) {
        inbound = Buffer(capacity: rest.count, from: loop.buffers)
        unsafe inbound!.append(rest)
    }

    func take(_ region: UnsafeRawBufferPointer) {
        var at = 0
        var text = unsafe ByteWriter(worker.rooms.fields)
        reading: while !isClosed {
            // The head in hand stands in the room that the next block of fields is written to.
            if part.isHead, unsafe !connection.isNextData(of: part.stream?.id ?? 0, region, at: at) {
                passPart()
                if isClosed { return }
            }
            let event: H2Connection.Event
            do {
                event = try unsafe connection.next(region, at: &at, room: &text, now: loop.now)
            } catch {
                pool.server.note(.notH2, error.code)
                passPart()
                if isClosed { return }
                connection.goAway(error.code, isLast: true)
                sendOutput()
                return end(as: .malformed)
            }
            if case .data(let id, let bytes, let isLast) = event {
                unsafe take(UnsafeRawBufferPointer(rebasing: region[bytes]), of: id, isLast: isLast)
                continue
            }
            passPart()
            if isClosed { return }
            switch event {
            case .more: break reading
            case .data: break
            case .head(let id, let range, let isLast, let isSecret):
                guard let stream = streams[id] else { continue }
                if unsafe stream.readHead(text.written[range], isLast: isLast, isSecret: isSecret) {
                    part = Part(stream: stream, isHead: true, count: 0, isLast: isLast)
                    if isLast { passPart() }
                }
            case .headTooLarge(let id, _): streams[id]?.failed(.malformed)
            case .trailers(let id, let range, let areSecret):
                unsafe streams[id]?.take(trailers: Array(text.written[range]), areSecret: areSecret)
            case .reset(let id, let code): streams[id]?.wasReset(code)
            case .malformed(let id, _): streams[id]?.failed(.malformed)
            case .room: if !waiting.isEmpty { wantsToSend() }
            case .settings:
                if !waiting.isEmpty { wantsToSend() }
                let those = held
                held = []
                for stream in those { stream.settled() }
                pool.tellWaiting()
            case .goAway(let code):
                if code != .noError { pool.server.note(.sentAway, code) }
                leave()
            case .pong, .priority: break
            }
        }
        passPart()
        if isClosed { return }
        if at < region.count { unsafe keep(UnsafeRawBufferPointer(rebasing: region[at...])) }
        if !connection.output.isEmpty { wantsToSend() }
    }

    /// Part of an answer's body. It goes to the inbox if it can be taken now, or the stream keeps it.
    private func take(_ bytes: UnsafeRawBufferPointer, of id: UInt32, isLast: Bool) {
        let limit = part.stream?.id == id ? part.stream?.partMax ?? 0 : 0
        if part.stream?.id != id || part.count + bytes.count > limit { passPart() }
        guard !isClosed, let stream = streams[id] else { return connection.passedOn(bytes.count, of: id) }
        guard part.stream === stream || stream.takesBody else { return unsafe stream.keep(bytes, isLast: isLast) }
        if part.stream == nil { part = Part(stream: stream) }
        let room = unsafe worker.rooms.inbox(limit: part.count + bytes.count)
        unsafe UnsafeMutableRawBufferPointer(rebasing: room[part.count...]).copyMemory(from: bytes)
        part.count += bytes.count
        part.isLast = isLast
        if isLast { passPart() }
    }

    private func passPart() {
        guard let stream = part.stream else { return }
        let one = part
        part = Part()
        let body = unsafe BodyPart(worker.rooms.inbox(limit: one.count), isLast: one.isLast)
        if one.isHead { stream.answer(body) } else { stream.give(body) }
    }

    // MARK: Sending

    func wantsToSend() {
        if isToSend || isClosed || state == .connecting { return }
        isToSend = true
        loop.wake(self, [])
    }

    private func sendFrames() {
        isToSend = false
        if state == .connecting { return }
        sendOutput()
        if isBroken {
            canRead = true
            return loop.wake(self, [])
        }
        if state == .leaving, streams.isEmpty { return shut() }
        if isCongested || waiting.isEmpty { return }
        swap(&waiting, &served)
        for stream in served where stream.isWaiting {
            stream.isWaiting = false
            stream.hasRoom()
        }
        served.removeAll(keepingCapacity: true)
        if !connection.output.isEmpty { wantsToSend() }
    }

    // MARK: The end

    /// Nothing new goes on it.
    func leave() {
        if isClosed || state == .connecting { return }
        if state == .open {
            state = .leaving
            pool.left(self)
            hasPlace = streams.isEmpty || !pool.leavesPlace()
            connection.goAway(.noError, isLast: true)
        }
        wantsToSend()
    }

    private func broken() { end(as: .cut) }

    /// It ends with all that is on it.
    private func end(as failure: UpstreamFailure) {
        let last = Array(streams.values) + held
        (streams, held) = ([:], [])
        shut()
        for stream in last { stream.ended(failure, on: self) }
    }

    override func shut(abort: Bool = false) {
        if isClosed { return }
        let last = Array(streams.values) + held
        (streams, held, waiting) = ([:], [], [])
        (dial, first) = (nil, nil)
        inbound = nil
        part = Part()
        if state == .connecting { pool.dialed() } else { pool.left(self) }
        if hasPlace { pool.forget(nil) } else { pool.forgetLeaving() }
        super.shut(abort: abort)
        for stream in last { stream.ended(.cut, on: self) }
    }
}
