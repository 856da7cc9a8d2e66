import Base

/// One connection's protocol (RFC 9113), on either side: frames in, events and frames out. It has no socket and no clock.
///
///     preface ──► frames ──► over (a fault was thrown; `goAway` has written why)
///
/// A fault of a stream is not the connection's: it resets the stream here, and is told as an event. Faults of the connection
/// are thrown. What is to be sent collects in `output`, so that all of a turn leaves together.
public struct H2Connection: ~Copyable {
    public struct Limits: Sendable {
        /// `max_streams`: that the peer may have open at a time; of a client's end, that we open, whatever the peer allows.
        public var streams = 100
        /// `max_header_size`: of a list as section 6.5.2 counts it.
        public var listSize = 32 << 10
        /// Of a new stream, and what it grows to while its body is passed on as fast as it comes. A peer that has not seen our
        /// SETTINGS yet may send 65,535 bytes.
        public var window = 64 << 10
        public var windowMax = 1 << 20
        /// Of all streams: what a connection may have sent and we have not passed on. 65,535 at least.
        public var connectionWindow = 8 << 20
        /// That a client opens beyond `streams` before it can know of that: they are refused, and no abuse.
        public var earlyStreams = 1000
        public var resets = AbuseBudget.Bound(100, in: 10_000_000_000)

        public init() {}
    }

    public enum Event: Equatable {
        /// Nothing whole is left.
        case more
        /// A request, as text in the room (`RequestText`); of a client's end an answer (`AnswerText`), interim ones too.
        /// `isSecret`: a field of it came as one that nobody may put into a table, and leaves as such (RFC 7541 section 6.2.3).
        case head(stream: UInt32, ByteRange, isLast: Bool, isSecret: Bool)
        /// Its fields are larger than allowed. It is there to be refused.
        case headTooLarge(stream: UInt32, isLast: Bool)
        /// Bytes of a body, in the region.
        case data(stream: UInt32, Range<Int>, isLast: Bool)
        /// The body has ended with these field lines, in the room.
        case trailers(stream: UInt32, ByteRange, areSecret: Bool)
        /// The stream is over: the peer says so, or what it did is wrong. REFUSED_STREAM to a client's end: the request was
        /// surely not processed, because it was refused or because it came behind the last one that the peer's GOAWAY names.
        case reset(stream: UInt32, H2Code)
        /// Of a client's end: the stream is over, for what the server sent on it is no answer. It was reset with this code.
        case malformed(stream: UInt32, H2Code)
        /// More may be sent: on this stream; on all of them where it is 0.
        case room(stream: UInt32)
        /// Of a server's end: the client wants the answer sooner or later than it has said so far (RFC 9218 section 7).
        case priority(stream: UInt32, H2Priority)
        /// Of a client's end: the server has said what it takes. `canOpen`, `peerAllowsConnect` and windows may have changed.
        case settings
        /// Nothing new is taken. To a client's end: streams that surely were not processed are told next, each as a reset.
        case goAway(H2Code)
        /// A PING of ours came back.
        case pong
    }

    enum Role { case server, client }

    enum Phase {
        case preface
        case frame
        /// In the middle of DATA: bytes that are to come, and of padding behind them.
        case data(stream: UInt32, left: Int, padding: Int, isLast: Bool)
        /// In the middle of a field block: nothing else may come.
        case block(H2Block)
        /// In the middle of something that nobody wants.
        case skipping(Int)
    }

    let role: Role
    let limits: Limits
    var phase: Phase
    /// The peer's first SETTINGS have come.
    public internal(set) var isSettled = false
    var decoder = HPACKDecoder()
    var encoder = HPACKEncoder()
    var peer = H2Settings()
    var streams = H2Streams()
    var budget: AbuseBudget
    var sendWindow = 65535
    var receiveWindow: Int
    var outstanding = 0
    /// The newest stream that was opened; the peer's end that opens them is always the same.
    var newest: UInt32 = 0
    /// Of a server's end: the client has acknowledged our SETTINGS. Before that it may open more streams than we allow.
    var isAcknowledged = false
    var early = (count: 0, newest: UInt32(0))
    /// The last streams that were never opened, and won't be: newer ones were.
    var skipped: ClosedRange<UInt32> = 0...0
    /// No newer stream is taken, or opened, any more.
    var lastTaken: UInt32?
    /// Of a client's end: the last stream that the peer's GOAWAY names, and the place from which on downwards streams behind it
    /// are still to be told.
    var lastProcessed: UInt32?
    var untold = 0
    var recent: RecentStreams
    /// WINDOW_UPDATE frames that may come for what was sent.
    var earnedUpdates = 0
    var comingPriorities = ComingPriorities()
    /// Is told behind the event before it.
    var following: Event?
    /// Pieces of a field block.
    var fragments: [UInt8] = []
    var pieces = 0
    /// Frames to be sent.
    public internal(set) var output: [UInt8] = []

    /// A server's end.
    public init(_ limits: Limits) {
        var settings = H2Settings()
        settings.streamsMax = limits.streams
        settings.allowsConnect = true
        self.init(.server, limits, settings)
    }

    /// A client's end: it has written its preface and its SETTINGS.
    public init(client limits: Limits) {
        var settings = H2Settings()
        settings.allowsPush = false
        self.init(.client, limits, settings)
    }

    private init(_ role: Role, _ limits: Limits, _ ours: H2Settings) {
        (self.role, self.limits) = (role, limits)
        phase = role == .server ? .preface : .frame
        budget = AbuseBudget(resets: limits.resets)
        receiveWindow = max(limits.connectionWindow, 65535)
        recent = RecentStreams(most: limits.streams)
        var settings = ours
        settings.listSizeMax = limits.listSize
        settings.window = limits.window
        settings.ignoresOldPriorities = true
        if role == .client {
            writePreface()
            // It has nothing to allow.
            peer.allowsPush = false
        }
        write(settings)
        if receiveWindow > 65535 { writeWindowUpdate(0, receiveWindow - 65535) }
    }

    /// Bytes that a room needs for the text of a head: as decoded, the head, and crumbs of a cookie while they are joined.
    public static func roomSize(listSize: Int) -> Int { 3 * listSize + HPACKDecoder.scratch }

    /// Streams that are not over.
    public var streamCount: Int { streams.count }

    /// The newest that was opened; 0 where none was.
    public var newestStream: UInt32 { newest }

    /// A block of fields has begun, and is not whole.
    public var isInBlock: Bool {
        if case .block = phase { return true }
        return false
    }

    /// Was sent, or is kept where it is to be sent from.
    public mutating func clearOutput() { output.removeAll(keepingCapacity: true) }

    /// Few requests at a time never need more, and find it there for the next one.
    private static let outputKept = 2 << 10

    /// Nothing is under way, and perhaps nothing will be for a long time: the memory that grew while there was is given back.
    public mutating func rest() {
        if output.isEmpty, output.capacity > Self.outputKept { output = [] }
        if streams.isEmptyAndLarge { streams = H2Streams() }
    }
}
