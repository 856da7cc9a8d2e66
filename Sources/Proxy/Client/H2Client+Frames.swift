import Base
import HTTP
import Metrics
import Net

/// Of a body: what of it stands in the inbox and goes on in one piece.
struct PartInHand {
    /// Whose it is; nil where there is none.
    var stream: H2ClientStream?
    var count = 0
    var isLast = false
}

/// Frames: what comes of them for whom.
///
/// They are read into a room of their own, and stay there until all of them were looked at: what the exchanges do meanwhile
/// in the inbox touches none of them.
extension H2Client {
    /// Requests that begin in one turn: others have turns to take.
    private static let headsPerTurn = 8
    private static let readSize = 64 << 10

    /// One read's worth of frames, behind what was kept.
    func readFrames() {
        if isCongested || isHeld { return }
        let kept = inbound.count
        let room = unsafe worker.rooms.frames
        if kept > 0 {
            unsafe room.copyMemory(from: inbound.readable)
            inbound = nil
        }
        var count = kept
        if canRead, kept < Self.readSize {
            let free = unsafe UnsafeMutableRawBufferPointer(rebasing: room[kept..<(kept + Self.readSize)])
            switch unsafe receive(into: free) {
            case .bytes(let more):
                count += more
                wasHeard = true
            case .nothing: break
            case .end: hasEnded = true
            case .failed: return shut()
            }
        }
        hasNewInbound = false
        if count > 0 { unsafe take(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])) }
        if isClosed || phase == .closing { return }
        if hasEnded, !hasNewInbound { return inputEnded() }
        if canRead || hasNewInbound { loop.wake(self, []) }
    }

    /// What the client has asked for whole it still gets.
    private func inputEnded() {
        // Bytes of no whole frame.
        inbound = nil
        for stream in Array(streams.values) where !stream.hasAll { stream.giveUp() }
        saidLast(.noError)
    }

    private func take(_ region: UnsafeRawBufferPointer) {
        var at = 0
        var heads = 0
        var text = unsafe ByteWriter(worker.rooms.fields)
        reading: while phase != .closing, heads < Self.headsPerTurn {
            let event: H2Connection.Event
            do {
                event = try unsafe connection.next(region, at: &at, room: &text, now: loop.now)
            } catch {
                passPart()
                return end(error)
            }
            if case .data(let id, let bytes, let isLast) = event {
                unsafe take(region[bytes], of: id, isLast: isLast)
                continue
            }
            passPart()
            if isClosed { return }
            switch event {
            case .more: break reading
            case .data: break
            case .head(let id, let range, let isLast, let isSecret):
                heads += 1
                unsafe begin(id, text.written[range], hasBody: !isLast, isSecret: isSecret)
            case .headTooLarge(let id, _):
                heads += 1
                stream(id).refuse(.headersTooLarge, "the head is too large")
            case .trailers(let id, let range, let areSecret):
                unsafe streams[id]?.take(trailers: Array(text.written[range]), areSecret: areSecret)
            case .reset(let id, _): streams[id]?.giveUp()
            case .room(0): if !waiting.isEmpty { wantsToSend() }
            case .room(let id): if let stream = streams[id], stream.isWaiting { wantsToSend() }
            case .goAway: saidLast(.noError)
            case .priority(let id, let priority): streams[id]?.priority = priority
            // Of the other role.
            case .malformed, .settings: break
            case .pong: if phase == .leaving { saidLast(.noError) }
            }
            if isClosed { return }
        }
        passPart()
        if isClosed || phase == .closing { return }
        if at < region.count {
            inbound = Buffer(capacity: region.count - at, from: loop.buffers)
            unsafe inbound!.append(UnsafeRawBufferPointer(rebasing: region[at...]))
            hasNewInbound = heads == Self.headsPerTurn
        }
        setDeadline(afterProgress: at > 0)
        if !connection.output.isEmpty { wantsToSend() }
    }

    private func stream(_ id: UInt32) -> H2ClientStream {
        let stream = worker.takeStream(for: self, id)
        add(stream)
        return stream
    }

    private func begin(_ id: UInt32, _ text: UnsafeRawBufferPointer, hasBody: Bool, isSecret: Bool) {
        // In an overload one that is new is not kept. What it has sent already is served.
        if id == 1, !worker.keeps(newAfter: 1) { retire() }
        let stream = stream(id)
        guard unsafe stream.begin(text, hasBody: hasBody, isSecret: isSecret) else { return }
        // With the first of its body, if that has come as well.
        part = PartInHand(stream: stream, count: 0, isLast: !hasBody)
        if !hasBody || stream.isConnect { passPart() }
    }

    /// Part of a body. It goes to the inbox if it can be taken now, or the stream keeps it.
    private func take(_ bytes: Slice<UnsafeRawBufferPointer>, of id: UInt32, isLast: Bool) {
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: bytes)
        if part.stream?.id != id || part.count + bytes.count > Limits.readSize { passPart() }
        guard !isClosed, let stream = streams[id] else { return connection.passedOn(bytes.count, of: id) }
        guard part.stream === stream || stream.takesBody else { return unsafe stream.keep(bytes, isLast: isLast) }
        if part.stream == nil { part = PartInHand(stream: stream) }
        let room = unsafe worker.rooms.inbox(limit: part.count + bytes.count)
        unsafe UnsafeMutableRawBufferPointer(rebasing: room[part.count...]).copyMemory(from: bytes)
        part.count += bytes.count
        part.isLast = isLast
    }

    /// What is in hand goes on.
    private func passPart() {
        guard let stream = part.stream else { return }
        let (count, isLast) = (part.count, part.isLast)
        part = PartInHand()
        unsafe stream.give(BodyPart(worker.rooms.inbox(limit: count), isLast: isLast))
    }
}

extension H2Fault {
    /// A frame, or a block of fields, did not arrive in time.
    static let late = H2Fault(.enhanceYourCalm, "a frame did not arrive in time")
}
