import Base
import HTTP

/// The rooms that every connection of one loop uses in turn: whoever reads or writes a head has them for the length of its
/// turn, and nothing stays in them.
///
///     inbox    │ headroom: a head, a chunk's size │ one read │ slack: a record, the end of a chunk with its trailers │
///     head     │ a head as it is written, then its framing │ a body of the gateway's own │
///     frames   │ frames of HTTP/2: what was kept, one read, slack │
///     fields   │ a head as HTTP/2 has brought it, as text │
///     block    │ a head as HTTP/2 sends it │
///
/// They are its own until the loop ends, and every length is compared with them, or is a constant below. Who uses one gives it
/// back when its turn, or the call that it was lent for, is over; two at a time don't use the same.
@safe struct Rooms: ~Copyable {
    static let cipherSize = Limits.readSize
    /// Behind a read: a TLS record that was begun earlier, or the end of a chunk with its trailers.
    static let slack = 24 << 10
    /// What was kept of a head, and one more read.
    private static let inboxSize = Limits.headSizeMax + Limits.readSize + slack
    /// What an end of HTTP/1 adds to a head: its framing, and whether the connection goes on.
    private static let framingSize = 256
    private static let headSize = Limits.headroom - 4096
    /// Room for a body of the gateway's own: a refusal, as long as `problem_base` makes it, or a route's text.
    private static let problemSize = Limits.ownTextMax
    private static let framesSize = 4 * Limits.headSizeMax

    /// One read past TLS.
    let cipher: UnsafeMutableRawPointer
    private let inboxBase: UnsafeMutableRawPointer
    private let headBase: UnsafeMutableRawPointer
    /// A body of the gateway's own, while its head is written.
    let problem: UnsafeMutableRawBufferPointer
    /// Frames of HTTP/2: two reads of them, and `slack` behind. Nothing that happens in the inbox touches them.
    let frames: UnsafeMutableRawBufferPointer
    /// The text of a head that they bring.
    let fields: UnsafeMutableRawBufferPointer
    /// A block of fields to be sent.
    let block: UnsafeMutableRawBufferPointer

    init() {
        unsafe cipher = .allocate(byteCount: Self.cipherSize, alignment: 4096)
        unsafe inboxBase = .allocate(byteCount: Limits.headroom + Self.inboxSize + Self.slack, alignment: 4096)
        unsafe headBase = .allocate(byteCount: Self.headSize + Self.problemSize, alignment: 4096)
        unsafe problem = .allocate(byteCount: Self.problemSize, alignment: 64)
        unsafe frames = .allocate(byteCount: Self.framesSize + Self.slack, alignment: 4096)
        unsafe fields = .allocate(byteCount: H2Connection.roomSize(listSize: Limits.headSizeMax), alignment: 4096)
        unsafe block = .allocate(byteCount: 2 * Self.headSize, alignment: 4096)
    }

    deinit {
        unsafe cipher.deallocate()
        unsafe inboxBase.deallocate()
        unsafe headBase.deallocate()
        unsafe problem.deallocate()
        unsafe frames.deallocate()
        unsafe fields.deallocate()
        unsafe block.deallocate()
    }

    // MARK: Reads

    /// Room for one read: `Limits.headroom` bytes are free in front of it, and `slack` behind.
    func inbox(limit: Int) -> UnsafeMutableRawBufferPointer {
        precondition(limit <= Self.inboxSize)
        return unsafe UnsafeMutableRawBufferPointer(start: inboxBase + Limits.headroom, count: limit)
    }

    private func isInInbox(_ pointer: UnsafeRawPointer) -> Bool {
        unsafe pointer >= UnsafeRawPointer(inboxBase) && pointer < UnsafeRawPointer(inboxBase + Limits.headroom + Self.inboxSize)
    }

    // MARK: Heads

    /// Where a head is written, with room left for what an end adds.
    var head: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: headBase, count: Self.headSize - Self.framingSize)
    }

    /// The bytes of a head that stands there.
    func bytes(of head: WrittenHead) -> UnsafeRawBufferPointer {
        precondition(head.count <= Self.headSize)
        return unsafe UnsafeRawBufferPointer(start: headBase, count: head.count)
    }

    /// Puts a head back that was kept meanwhile.
    func restore(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= Self.headSize)
        unsafe head.copyMemory(from: bytes)
    }

    /// A head of HTTP/1 as it goes out: with the lines that `add` writes, the empty one, and the part of the body that
    /// goes with it.
    @inline(__always)
    func h1(_ head: WrittenHead, with body: UnsafeRawBufferPointer, _ add: (inout ByteWriter) -> Void) -> UnsafeRawBufferPointer {
        var out = unsafe ByteWriter(UnsafeMutableRawBufferPointer(start: headBase, count: Self.headSize + Self.problemSize))
        out.produced(head.count)
        add(&out)
        out.append("\r\n")
        if unsafe body.isEmpty { return unsafe out.written }
        return unsafe joined(&out, body)
    }

    /// The two as one run of bytes, without moving the second: the head is copied into the room in front of it. What stands
    /// elsewhere is small, and goes behind the head.
    private func joined(_ head: inout ByteWriter, _ body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard unsafe isInInbox(body.baseAddress!) else {
            unsafe head.append(body)
            precondition(!head.overflowed, "a large body outside the inbox")
            return unsafe head.written
        }
        let start = unsafe UnsafeMutableRawPointer(mutating: body.baseAddress!) - head.count
        unsafe precondition(start >= inboxBase, "no room in front of a body")
        unsafe start.copyMemory(from: head.base, byteCount: head.count)
        return unsafe UnsafeRawBufferPointer(start: start, count: head.count + body.count)
    }

    // MARK: Bodies

    /// A part of a body as one chunk of HTTP/1, or nothing where it has no data and others follow.
    func chunk(_ part: BodyPart) -> UnsafeRawBufferPointer {
        // Without data it may be no place in particular that the part names.
        let data = unsafe part.isEmpty ? inbox(limit: 0) : part.data
        unsafe precondition(isInInbox(data.baseAddress!), "no room around a chunk")
        return unsafe ChunkWriter.wrap(data, isLast: part.isLast, trailers: part.trailers)
    }
}
