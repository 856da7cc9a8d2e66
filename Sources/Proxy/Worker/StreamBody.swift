import Base
import HTTP

// A body on its way through an end of a stream, the same for a client's and an upstream's.

/// What has come of a body and was not given to its exchange yet: no more than the stream's window allows.
struct StreamInput: ~Copyable {
    private var kept: Buffer?
    private var trailers: [UInt8] = []
    /// All of it has come.
    private(set) var isWhole = false
    /// And was given to the exchange.
    private(set) var isDone = false

    /// Nothing is kept.
    var isEmpty: Bool { kept == nil }

    /// There is something for the exchange, its end at least.
    var hasPart: Bool { isWhole ? !isDone : kept != nil }

    /// Nothing more comes.
    mutating func end() { isWhole = true }

    mutating func keep(_ bytes: UnsafeRawBufferPointer, isLast: Bool, from pool: BufferPool) {
        if isLast { isWhole = true }
        if unsafe bytes.isEmpty { return }
        if kept == nil { kept = Buffer(capacity: bytes.count, from: pool) }
        unsafe kept!.append(bytes)
    }

    /// It ends with these.
    mutating func keep(trailers lines: [UInt8]) { (trailers, isWhole) = (lines, true) }

    /// Its next part, in the inbox: as much as is there of so many bytes.
    mutating func next(limit: Int, in rooms: borrowing Rooms) -> BodyPart {
        let count = min(kept.count, limit)
        let room = unsafe rooms.inbox(limit: count)
        if count > 0 {
            unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: kept.readable[..<count]))
            kept!.consume(count)
            if kept.count == 0 { kept = nil }
        }
        let isLast = isWhole && kept == nil
        return unsafe BodyPart(room, isLast: isLast, trailers: isLast ? trailers : [])
    }

    /// A part was given to the exchange.
    mutating func passed(isLast: Bool) {
        if isLast { (isWhole, isDone) = (true, true) }
    }

    /// What is kept is not wanted any more.
    mutating func drop() { kept = nil }

    /// As for another body.
    mutating func reset() {
        kept = nil
        if !trailers.isEmpty { trailers = [] }
        (isWhole, isDone) = (false, false)
    }
}

/// What the exchange has given of a body: what the windows take goes at once, and the rest is kept. That is little, for whoever
/// gives asks for room first.
struct StreamOutput: ~Copyable {
    private var kept: Buffer?
    private var trailers: [UInt8] = []
    /// They came as fields that nobody may put into a table.
    private var areSecret = false
    /// All of it was given.
    private(set) var isWhole = false
    /// And has left, or is not wanted any more.
    private(set) var hasEnded = false

    /// Nothing is kept.
    var isEmpty: Bool { kept == nil }

    /// There is none, or none is wanted.
    mutating func end() { (isWhole, hasEnded) = (true, true) }

    /// Sends what the windows take, and keeps the rest. Whether something was sent.
    /// - Parameter areSecret: its trailers: see `H2Connection.writeFields`.
    mutating func pass(_ part: BodyPart, areSecret: Bool, on id: UInt32, of transport: H2Transport) -> Bool {
        var sent = 0
        if kept == nil {
            sent = min(part.count, transport.connection.room(of: id))
            let isLast = part.isLast && sent == part.count && part.trailers.isEmpty
            if sent > 0 || isLast {
                let bytes = unsafe UnsafeRawBufferPointer(start: part.data.baseAddress, count: sent)
                unsafe transport.connection.writeData(bytes, on: id, isLast: isLast)
                if isLast { end() }
            }
        }
        if sent < part.count {
            if kept == nil { kept = Buffer(capacity: part.count - sent, from: transport.loop.buffers) }
            unsafe kept!.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(part.data)[sent...]))
        }
        if part.isLast, !isWhole {
            (isWhole, trailers, self.areSecret) = (true, part.trailers, areSecret)
            if kept == nil { writeEnd(on: id, of: transport) }
        }
        return sent > 0 || hasEnded
    }

    /// There may be room again for what is kept. Whether something was sent.
    mutating func flush(on id: UInt32, of transport: H2Transport) -> Bool {
        let count = min(kept.count, transport.room(of: id))
        if count > 0 {
            let isLast = isWhole && count == kept.count && trailers.isEmpty
            unsafe transport.connection.writeData(UnsafeRawBufferPointer(rebasing: kept.readable[..<count]), on: id, isLast: isLast)
            if isLast { end() }
            kept!.consume(count)
        }
        if kept.count == 0 {
            kept = nil
            if isWhole, !hasEnded { writeEnd(on: id, of: transport) }
        }
        return count > 0
    }

    /// Its trailers, or an end behind what was kept.
    private mutating func writeEnd(on id: UInt32, of transport: H2Transport) {
        hasEnded = true
        if trailers.isEmpty {
            return unsafe transport.connection.writeData(UnsafeRawBufferPointer(start: nil, count: 0), on: id, isLast: true)
        }
        var scratch = unsafe ByteWriter(transport.worker.rooms.block)
        unsafe trailers.withUnsafeBytes {
            unsafe transport.connection.writeFields(status: nil, $0, areSecret: areSecret, on: id, isLast: true, scratch: &scratch)
        }
        trailers = []
    }

    /// As for another body.
    mutating func reset() {
        kept = nil
        if !trailers.isEmpty { trailers = [] }
        (areSecret, isWhole, hasEnded) = (false, false, false)
    }
}
