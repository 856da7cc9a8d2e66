import Base
import HTTP

private let limits: H2Connection.Limits = {
    var limits = H2Connection.Limits()
    (limits.streams, limits.listSize) = (4, 1024)
    return limits
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    let isClient = data[0] & 0x80 != 0
    // Sizes of pieces change nothing; but an answer that is written early or late does.
    let answers = data[0] & 0x40 != 0
    var whole = Peer(isClient: isClient, answers: answers)
    var parts = Peer(isClient: isClient, answers: answers)
    whole.feed(input.bytes, [])
    parts.feed(input.bytes, [input.cut])
    require(whole.told == parts.told, "a cut changes the outcome")
    return 0
}

/// An end of a connection, and what it tells.
private struct Peer: ~Copyable {
    var connection: H2Connection
    /// Of all events, as text, with pieces of a body as one; and the fault in the end.
    var told: [String] = []
    let isClient: Bool
    let answers: Bool
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: H2Connection.roomSize(listSize: limits.listSize), alignment: 1)
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)

    init(isClient: Bool, answers: Bool) {
        (self.isClient, self.answers) = (isClient, answers)
        connection = isClient ? H2Connection(client: limits) : H2Connection(limits)
        for number in 0..<(isClient ? 4 : 0) { ask(number) }
        checkOutput()
    }

    deinit {
        room.deallocate()
        scratch.deallocate()
    }

    mutating func ask(_ number: Int) {
        guard let stream = connection.open() else { return }
        var scratch = ByteWriter(scratch)
        let method = text(number == 1 ? "HEAD" : "POST")
        connection.writeRequest(
            method: method, scheme: "https", path: text("/"), protocol: number == 2 ? method : nil, text("Host: a.test\r\nX: y\r\n"), on: stream,
            isLast: number < 2, scratch: &scratch)
    }

    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ cuts: [Int]) {
        var start = 0
        if !isClient {
            require(read(text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), at: &start), "a preface is refused")
        }
        var at = 0
        for end in cuts + [bytes.count] {
            let goesOn = isolated(UnsafeRawBufferPointer(rebasing: bytes[at..<end])) { region in
                var moved = 0
                defer { at += moved }
                return read(UnsafeRawBufferPointer(region), at: &moved)
            }
            if !goesOn { return }
        }
    }

    /// False when the connection is over.
    private mutating func read(_ region: UnsafeRawBufferPointer, at: inout Int) -> Bool {
        var out = ByteWriter(room)
        while true {
            let before = at
            let event: H2Connection.Event
            do { event = try connection.next(region, at: &at, room: &out, now: 1) } catch {
                told.append("\(error.code)")
                connection.goAway(error.code, isLast: true)
                checkOutput()
                return false
            }
            require(at >= before && at <= region.count, "it moved out of its bytes")
            if event == .more { return true }
            require(connection.streamCount <= limits.streams, "more streams than there may be")
            took(event, region, out)
            checkOutput()
        }
    }

    private mutating func took(_ event: H2Connection.Event, _ region: UnsafeRawBufferPointer, _ out: ByteWriter) {
        switch event {
        case .data(let stream, let range, let isLast):
            note(body: stream, UnsafeRawBufferPointer(rebasing: region[range]), isLast)
            connection.passedOn(range.count, of: stream)
        case .head(let stream, let range, let isLast, _):
            check(head: out.written[range], hasBody: !isLast)
            told.append("head \(stream) \(isLast) \(out.written[range].map { $0 })")
            if answers, !isClient { answer(stream, isLast) }
        case .trailers(let stream, let range, _):
            require(hasOnlyWholeLineEnds(out.written[range]), "half a line end in trailers")
            told.append("trailers \(stream) \(out.written[range].map { $0 })")
        default: told.append("\(event)")
        }
    }

    private mutating func note(body stream: UInt32, _ bytes: UnsafeRawBufferPointer, _ isLast: Bool) {
        let name = "data \(stream) "
        if let last = told.last, last.hasPrefix(name), !last.hasSuffix(".") {
            told[told.count - 1] += bytes.map { "\($0) " }.joined() + (isLast ? "." : "")
        } else {
            told.append(name + bytes.map { "\($0) " }.joined() + (isLast ? "." : ""))
        }
    }

    private func check(head text: UnsafeRawBufferPointer, hasBody: Bool) {
        require(hasOnlyWholeLineEnds(text), "a bare CR, LF or a NUL in a head")
        if isClient {
            var head = ResponseHead(maxFields: 50)
            var scanned = 0
            let outcome = head.parse(text, from: &scanned, requestMethod: .get, limits: ParseLimits(maxHeadSize: 8192, maxFields: 50))
            if outcome == .complete { require(head.length == text.count && !head.isUpgrade, "two opinions of an answer's end") }
            require(outcome != .incomplete, "half a head of an answer")
        } else {
            var head = RequestHead(maxFields: 50)
            let outcome = head.parse(ofStream: text, hasBody: hasBody, limits: ParseLimits(maxHeadSize: 8192, maxFields: 50))
            require(outcome != .incomplete, "half a head of a request")
            require(linesNamed("cookie", text) <= 1 && linesNamed("transfer-encoding", text) == 0, "fields that have no place in it")
        }
    }

    private mutating func answer(_ stream: UInt32, _ isLast: Bool) {
        var scratch = ByteWriter(scratch)
        connection.writeFields(status: 200, text("Content-Type: text/plain\r\nX: y\r\n"), on: stream, isLast: false, scratch: &scratch)
        let body = text("hello")
        let part = UnsafeRawBufferPointer(rebasing: body[..<min(connection.room(of: stream), body.count)])
        connection.writeData(part, on: stream, isLast: true)
        if isLast || stream % 3 == 0 { connection.end(stream, .noError) }
    }

    /// Whole frames that a peer may be sent; no stream is reset that it knows nothing of.
    private mutating func checkOutput() {
        var frames = connection.output[...]
        require(frames.count <= 1 << 16, "an answer without an end")
        if isClient, frames.starts(with: "PRI".utf8) { frames = frames.dropFirst(24) }
        while let first = frames.first {
            let at = frames.startIndex
            require(frames.count >= 9, "half a frame")
            let length = Int(first) << 16 | Int(frames[at + 1]) << 8 | Int(frames[at + 2])
            let stream = frames[(at + 5)..<(at + 9)].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
            require(length <= 16384 && frames.count >= 9 + length, "half a frame")
            switch frames[at + 3] {
            case 3: require(length == 4 && stream % 2 == 1 && stream <= connection.newestStream, "a reset of nothing")
            case 4: require(length % 6 == 0 && stream == 0, "settings of nothing")
            case 6, 7: require(length == 8 && stream == 0, "a ping of nothing")
            case 8:
                let more = frames[(at + 9)..<(at + 13)].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
                require(length == 4 && more > 0 && more < 1 << 31, "a window of nothing")
            case 0, 1, 9: require(stream % 2 == 1, "an answer to nothing")
            default: require(false, "a frame that is never sent")
            }
            frames = frames.dropFirst(9 + length)
        }
        connection.clearOutput()
    }
}

private func text(_ text: StaticString) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}
