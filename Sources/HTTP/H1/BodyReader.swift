/// Finds the data of a body, and its end, in the bytes of a connection (RFC 9112 section 6.3), whichever of the three
/// ways its head has announced.
///
///     length(n) --n bytes--> done        chunked --last chunk, trailers--> done        untilClose --end--> done
///
/// It decodes in place and keeps no data.
public struct BodyReader: Sendable {
    /// What a region held of the body.
    public struct Step: Sendable {
        /// Bytes of data, now at the front of the region. Good also before a fault.
        public var produced: Int
        /// Bytes of the region that were the body's; those behind them are whatever comes next on the connection.
        public var consumed: Int
        /// It stays refused.
        public var fault: HTTPFault?
    }

    private let kind: MessageKind
    private var remaining: UInt64 = 0
    private var decoder: ChunkedDecoder?
    public private(set) var isDone = true
    /// Only the end of the connection ends it.
    public private(set) var isUntilClose = false

    /// `kind` says who is to blame for a malformed body.
    @inlinable
    public init(_ framing: BodyFraming = .none, of kind: MessageKind) {
        self.init(kind)
        begin(framing)
    }

    @usableFromInline
    init(_ kind: MessageKind) { self.kind = kind }

    /// Another body comes.
    @inline(__always)
    public mutating func begin(_ framing: BodyFraming) {
        if decoder != nil { decoder = nil }
        (remaining, isDone, isUntilClose) = (0, false, false)
        switch framing {
        case .none: isDone = true
        case .length(let length): (remaining, isDone) = (length, length == 0)
        case .chunked: decoder = ChunkedDecoder(of: kind)
        case .untilClose: (remaining, isUntilClose) = (.max, true)
        }
    }

    /// Bytes of data that are known to come next; what follows them may be another message.
    public var ahead: UInt64 { isDone ? 0 : decoder?.dataAhead ?? remaining }

    /// Field lines behind the last chunk, each with its CRLF; empty before the end.
    public var trailers: [UInt8] { decoder != nil && isDone ? decoder!.trailers : [] }

    /// Takes what is the body's of `region` and moves its data to the front.
    public mutating func read(_ region: UnsafeMutableRawBufferPointer) -> Step {
        if decoder != nil { return unsafe decode(region) }
        let count = Int(min(UInt64(region.count), remaining))
        if !isUntilClose {
            remaining -= UInt64(count)
            isDone = remaining == 0
        }
        return Step(produced: count, consumed: count)
    }

    private mutating func decode(_ region: UnsafeMutableRawBufferPointer) -> Step {
        let step = unsafe decoder!.decode(region)
        var fault: HTTPFault?
        switch step.state {
        case .more: break
        case .complete: isDone = true
        case .refused(let reason): fault = reason
        }
        return Step(produced: step.produced, consumed: step.consumed, fault: fault)
    }

    /// The peer has finished sending. Whether that was the body's proper end; otherwise it was cut short.
    public mutating func end() -> Bool {
        if isUntilClose { isDone = true }
        return isDone
    }
}
