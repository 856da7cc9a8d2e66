import Base
import Testing

@testable import HTTP

/// RFC 9113 sections 3 to 8, at the level of frames: what is an event, what resets a stream, what ends the connection.
@Suite struct H2ConnectionTests: H2Wire {
    private func told(_ frames: [UInt8]...) -> H2Told { Self.told(Self.start + frames.flatMap { $0 }) }

    @Test("a whole conversation, in pieces of every size")
    func pieces() {
        let bytes =
            Self.start + Self.headers(1) + Self.headers(3, [("content-length", "11")], flags: 0x4) + Self.data(3, "hello ")
            + Self.frame(0, 0x8, 3, [3] + Array("wor".utf8) + [0, 0, 0]) + Self.frame(6, 0, 0, Array("12345678".utf8)) + Self.data(3, "ld", flags: 1)
            + Self.headers(5, flags: 0x4) + Self.data(5, "x") + Self.frame(1, 0x5, 5, Self.fields([("x-sum", "1"), ("etag", "y")]))
            + Self.frame(1, 0x1, 7, Array(Self.fields(Self.request)[..<9])) + Self.frame(9, 0, 7, [])
            + Self.frame(9, 0x4, 7, Array(Self.fields(Self.request)[9...])) + Self.frame(0xBB, 0xFF, 9, [1, 2, 3])
        let whole = Self.told(bytes)
        #expect(whole.fault == nil)
        #expect(
            whole.events == [
                "head 1 29.", "head 3 48…", "data 3 hello world.", "head 5 29…", "data 5 x…", "trailers 5 x-sum: 1\r\netag: y\r\n", "head 7 29.",
            ])
        #expect(whole.frames == ["4/1/0/", "6/1/0/49 50 51 52 53 54 55 56"])
        for piece in 1...60 { #expect(Self.told(bytes, piece: piece) == whole, "\(piece)") }
    }

    @Test("what ends the connection, each by its code")
    func faults() {
        let post = Self.headers(1, flags: 0x4)
        let cases: [(String, [UInt8], H2Code)] = [
            ("no preface", Array("GET / HTTP/1.1\r\n".utf8), .protocolError),
            ("no SETTINGS first", Self.preface + Self.headers(1), .protocolError),
            ("an acknowledgement first", Self.preface + Self.frame(4, 1), .protocolError),
            ("a frame of 16,385 bytes", Self.start + Self.frame(0, 0, 1, [UInt8](repeating: 0, count: 16385)), .frameSizeError),
            ("DATA on 0", Self.start + Self.data(0, "x"), .protocolError),
            ("DATA on an idle stream", Self.start + Self.data(1, "x"), .protocolError),
            ("DATA on an even stream", Self.start + post + Self.data(2, "x"), .protocolError),
            ("HEADERS on 0", Self.start + Self.headers(0), .protocolError),
            ("HEADERS on an even stream", Self.start + Self.headers(2), .protocolError),
            ("HEADERS on a closed stream", Self.start + Self.headers(1) + Self.frame(3, 0, 1, Self.word(8)) + Self.headers(1), .streamClosed),
            // Section 5.1.1.
            ("HEADERS on a stream that was skipped", Self.start + Self.headers(5) + Self.headers(3), .protocolError),
            ("padding longer than its frame", Self.start + post + Self.frame(0, 0x8, 1, [5, 1]), .protocolError),
            ("padding of all of it", Self.start + post + Self.frame(0, 0x8, 1, [1]), .protocolError),
            ("padding without a length", Self.start + post + Self.frame(0, 0x8, 1), .frameSizeError),
            ("padding longer than HEADERS", Self.start + Self.frame(1, 0xC, 1, [9, 0x82]), .protocolError),
            ("HEADERS without its priority", Self.start + Self.frame(1, 0x24, 1, [0, 0]), .frameSizeError),
            ("HEADERS whose padding takes its priority", Self.start + Self.frame(1, 0x2C, 1, [3, 0, 0, 0, 3, 9, 0x82]), .protocolError),
            ("PRIORITY on 0", Self.start + Self.frame(2, 0, 0, [0, 0, 0, 0, 0]), .protocolError),
            ("RST_STREAM on 0", Self.start + Self.frame(3, 0, 0, [0, 0, 0, 0]), .protocolError),
            ("RST_STREAM on an idle stream", Self.start + Self.frame(3, 0, 1, [0, 0, 0, 0]), .protocolError),
            ("RST_STREAM of three bytes", Self.start + post + Self.frame(3, 0, 1, [0, 0, 0]), .frameSizeError),
            ("SETTINGS on a stream", Self.start + Self.frame(4, 0, 1), .protocolError),
            ("SETTINGS of seven bytes", Self.start + Self.frame(4, 0, 0, [0, 0, 0, 0, 0, 0, 0]), .frameSizeError),
            ("an acknowledgement with something", Self.start + Self.frame(4, 1, 0, [0, 1, 0, 0, 0, 0]), .frameSizeError),
            ("ENABLE_PUSH 2", Self.start + Self.settings((2, 2)), .protocolError),
            ("INITIAL_WINDOW_SIZE 2^31", Self.start + Self.settings((4, 1 << 31)), .flowControlError),
            ("MAX_FRAME_SIZE 16,383", Self.start + Self.settings((5, 16383)), .protocolError),
            ("MAX_FRAME_SIZE 2^24", Self.start + Self.settings((5, 1 << 24)), .protocolError),
            ("a window that grows too large by SETTINGS", Self.start + post + Self.frame(8, 0, 1, Self.word(0x7FFF_0000)) + Self.settings((4, 0x7FFF_FFFF)), .flowControlError),
            ("PUSH_PROMISE", Self.start + post + Self.frame(5, 4, 1, [0, 0, 0, 2]), .protocolError),
            ("PING on a stream", Self.start + Self.frame(6, 0, 1, [UInt8](repeating: 0, count: 8)), .protocolError),
            ("PING of seven bytes", Self.start + Self.frame(6, 0, 0, [UInt8](repeating: 0, count: 7)), .frameSizeError),
            ("GOAWAY on a stream", Self.start + Self.frame(7, 0, 1, [UInt8](repeating: 0, count: 8)), .protocolError),
            ("GOAWAY of four bytes", Self.start + Self.frame(7, 0, 0, [0, 0, 0, 0]), .frameSizeError),
            ("WINDOW_UPDATE of nothing", Self.start + Self.frame(8, 0, 0, Self.word(0)), .protocolError),
            ("WINDOW_UPDATE of three bytes", Self.start + Self.frame(8, 0, 0, [0, 0, 1]), .frameSizeError),
            ("WINDOW_UPDATE beyond 2^31", Self.start + Self.frame(8, 0, 0, Self.word(0x7FFF_FFFF)), .flowControlError),
            ("WINDOW_UPDATE on an idle stream", Self.start + Self.frame(8, 0, 1, Self.word(1)), .protocolError),
            ("CONTINUATION of nothing", Self.start + Self.frame(9, 4, 1), .protocolError),
            ("CONTINUATION of another stream", Self.start + Self.frame(1, 1, 1) + Self.frame(9, 4, 3), .protocolError),
            ("something in the middle of a block", Self.start + Self.frame(1, 1, 1) + Self.frame(6, 0, 0, [UInt8](repeating: 0, count: 8)), .protocolError),
            ("an unknown frame in the middle of a block", Self.start + Self.frame(1, 1, 1) + Self.frame(0xAA), .protocolError),
            ("a block that can't be decoded", Self.start + Self.frame(1, 5, 1, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), .compressionError),
            ("a block without an end", Self.start + Self.frame(1, 1, 1) + (0..<40).flatMap { _ in Self.frame(9, 0, 1) }, .enhanceYourCalm),
            ("a block that expands", Self.start + Self.frame(1, 1, 1, [0x40, 1, 0x61, 0x7F, 0x81, 0x1E] + [UInt8](repeating: 0x62, count: 3968)) + (0..<3).flatMap { _ in Self.frame(9, 0, 1, [UInt8](repeating: 0xBE, count: 8000)) } + Self.frame(9, 4, 1), .enhanceYourCalm),
        ]
        for (what, bytes, code) in cases { #expect(Self.told(bytes).fault?.code == code, "\(what)") }
    }

    @Test("what a few bytes expand to is bounded, in trailers too, and in one list after the other")
    func expansion() {
        let entry = [0x40, 1, 0x61, 0x7F, 0x81, 0x1E] + [UInt8](repeating: 0x62, count: 3968)
        let post = Self.frame(1, 4, 1, Self.fields(Self.request) + entry)
        let trailers = Self.told(Self.start + post + Self.frame(1, 5, 1, [UInt8](repeating: 0xBE, count: 16000)))
        #expect(trailers.fault?.code == .enhanceYourCalm && trailers.fault?.abuse == .headers)
        // Each a little larger than allowed.
        func lists(_ count: Int) -> [UInt8] {
            (1...count).flatMap { Self.frame(1, 5, UInt32(2 * $0 + 1), Self.fields(Self.request) + [UInt8](repeating: 0xBE, count: 9)) }
        }
        let some = Self.told(Self.start + post + lists(40))
        #expect(some.fault == nil && some.events.last == "headTooLarge(stream: 81, isLast: true)")
        #expect(Self.told(Self.start + post + lists(60)).fault?.abuse == .headers)
    }

    @Test("what is passed on of a stream that is over is not taken from the account of the others")
    func accounts() {
        var owed: [Int] = []
        var connection = H2Connection(.init())
        var space = [UInt8](repeating: 0, count: H2Connection.roomSize(listSize: 32 << 10))
        let piece = String(repeating: "x", count: 10000)
        let bytes = Self.start + Self.headers(1, flags: 4) + Self.headers(3, flags: 4) + Self.data(1, piece) + Self.data(3, piece) + Self.frame(3, 0, 1, Self.word(8))
        space.withUnsafeMutableBytes { space in
            var (room, at) = (ByteWriter(space), 0)
            bytes.withUnsafeBytes { region in
                while let event = try? connection.next(region, at: &at, room: &room, now: 1), event != .more {}
            }
        }
        owed.append(connection.outstanding)
        connection.passedOn(10000, of: 1)
        owed.append(connection.outstanding)
        connection.passedOn(20000, of: 3)
        owed.append(connection.outstanding)
        #expect(owed == [10000, 10000, 0])
    }

    @Test("what resets a stream, and the connection goes on")
    func resets() {
        let post = Self.headers(1, flags: 0x4)
        let lies = Self.headers(1, [("content-length", "3")], flags: 0x4)
        let alive = Self.frame(6, 0, 0, Array("12345678".utf8))
        let cases: [(String, [UInt8], H2Code)] = [
            ("upper case", Self.headers(1, [("A", "b")]), .protocolError),
            ("a connection field", Self.headers(1, [("connection", "close")]), .protocolError),
            ("no path", Self.frame(1, 5, 1, Self.fields([(":method", "GET"), (":scheme", "https")])), .protocolError),
            ("less than announced", lies + Self.data(1, "xx", flags: 1), .protocolError),
            ("more than announced", lies + Self.data(1, "xxxx"), .protocolError),
            ("trailers in front of the rest", lies + Self.frame(1, 5, 1, Self.fields([("a", "b")])), .protocolError),
            ("trailers that don't end it", post + Self.frame(1, 4, 1, Self.fields([("a", "b")])), .protocolError),
            ("trailers with a pseudo-field", post + Self.frame(1, 5, 1, Self.fields([(":path", "/")])), .protocolError),
            ("DATA behind its end", Self.headers(1) + Self.data(1, "x"), .streamClosed),
            ("HEADERS behind its end", Self.headers(1) + Self.frame(1, 5, 1, Self.fields([("a", "b")])), .streamClosed),
            ("a window that grows by nothing", post + Self.frame(8, 0, 1, Self.word(0)), .protocolError),
            ("a window beyond 2^31", post + Self.frame(8, 0, 1, Self.word(0x7FFF_FFFF)), .flowControlError),
            ("a request that depends on itself", Self.frame(1, 0x25, 1, [0x80, 0, 0, 1, 9] + Self.fields(Self.request)), .protocolError),
            ("a stream that depends on itself", post + Self.frame(2, 0, 1, [0, 0, 0, 1, 0]), .protocolError),
            ("PRIORITY of four bytes", post + Self.frame(2, 0, 1, [0, 0, 0, 0]), .frameSizeError),
        ]
        for (what, bytes, code) in cases {
            let told = told(bytes, alive)
            #expect(told.fault == nil, "\(what)")
            #expect(told.frames.contains("3/0/1/0 0 0 \(code.rawValue)"), "\(what): \(told.frames)")
            #expect(told.frames.last?.hasPrefix("6/1/0/") == true, "\(what)")
        }
    }

    @Test("what a peer had sent before it knew of a reset is no fault")
    func late() {
        let told = told(
            Self.headers(1, [("content-length", "1")], flags: 0x4), Self.data(1, "xx"), Self.data(1, "y"), Self.frame(8, 0, 1, Self.word(9)),
            Self.frame(1, 5, 1, Self.fields([("a", "b")])), Self.frame(3, 0, 1, Self.word(8)), Self.headers(3))
        #expect(told.fault == nil)
        #expect(told.events == ["head 1 47…", "reset(stream: 1, HTTP.H2Code.protocolError)", "head 3 29."])
        #expect(told.frames.filter { $0.hasPrefix("3/") } == ["3/0/1/0 0 0 1"])
    }

    @Test("more streams than allowed are refused, and may come again")
    func tooMany() {
        var limits = H2Connection.Limits()
        limits.streams = 2
        let told = Self.told(Self.start + Self.headers(1) + Self.headers(3) + Self.headers(5) + Self.frame(3, 0, 3, Self.word(8)) + Self.headers(7), limits: limits)
        #expect(told.events == ["head 1 29.", "head 3 29.", "reset(stream: 3, HTTP.H2Code.cancel)", "head 7 29."])
        #expect(told.frames.contains("3/0/5/0 0 0 7"))
    }

    @Test("resets, pings, settings, empty frames and their like end it when there are too many")
    func abuse() {
        let ping = Self.frame(6, 0, 0, Array("12345678".utf8))
        let cases: [(H2Abuse, (Int) -> [UInt8])] = [
            (.resets, { Self.headers(UInt32(2 * $0 + 1)) + Self.frame(3, 0, UInt32(2 * $0 + 1), Self.word(8)) }),
            (.resets, { Self.headers(UInt32(2 * $0 + 1), [("A", "b")]) }),
            (.resets, { Self.headers(UInt32(2 * $0 + 1), [("content-length", "1")], flags: 4) + Self.data(UInt32(2 * $0 + 1), "xx") }),
            (.resets, { Self.headers(UInt32(2 * $0 + 1), flags: 4) + Self.frame(8, 0, UInt32(2 * $0 + 1), Self.word(0)) }),
            (.control, { _ in ping }), (.control, { _ in Self.settings() }),
            (.priority, { _ in Self.frame(2, 0, 1, [0, 0, 0, 0, 0]) }), (.priority, { _ in Self.frame(0xAB, 0, 0, [1]) }),
            (.emptyData, { ($0 == 0 ? Self.headers(1, flags: 4) : []) + Self.data(1, "") }),
            (.windowUpdates, { _ in Self.frame(8, 0, 0, Self.word(1)) }),
        ]
        for (kind, frames) in cases {
            #expect(Self.told(Self.start + (0..<50).flatMap(frames)).fault == nil, "\(kind)")
            let fault = Self.told(Self.start + (0..<11000).flatMap(frames)).fault
            #expect(fault?.abuse == kind && fault?.code == .enhanceYourCalm, "\(kind)")
        }
    }

    @Test("windows: what is passed on may come again, more at a time; what is not stays owed")
    func windows() {
        var limits = H2Connection.Limits()
        (limits.window, limits.windowMax) = (1000, 4000)
        let told = Self.told(Self.start + Self.headers(1, flags: 4) + (0..<20).flatMap { _ in Self.data(1, String(repeating: "x", count: 500)) }, limits: limits)
        let updates = told.frames.filter { $0.hasPrefix("8/0/1/") }
        #expect(told.fault == nil && !updates.isEmpty && told.events.count == 2)
        // Twice as much as it began with, and twice that.
        #expect(updates.contains { $0.split(separator: " ").suffix(2).reduce(0) { $0 * 256 + Int($1)! } >= 2000 }, "\(updates)")
        let tooMuch = Self.told(Self.start + Self.headers(1, flags: 4) + Self.data(1, String(repeating: "x", count: 1001)), limits: limits)
        #expect(tooMuch.fault == nil && tooMuch.frames.contains("3/0/1/0 0 0 3"))
    }

    @Test("answers: fields and bodies within the windows and the frame sizes of the peer")
    func answers() {
        var scratch = [UInt8](repeating: 0, count: 4096)
        var rooms: [Int] = []
        let told = Self.told(Self.preface + Self.settings((4, 10), (5, 16384)) + Self.headers(1), then: { connection in
            scratch.withUnsafeMutableBytes { space in
                var scratch = ByteWriter(space)
                Array("Content-Type: text/plain\r\nX-A:  b\r\n\r\n".utf8).withUnsafeBytes {
                    connection.writeFields(status: 200, $0, on: 1, isLast: false, scratch: &scratch)
                }
                rooms.append(connection.room(of: 1))
                Array("0123456789".utf8).withUnsafeBytes { connection.writeData($0, on: 1, isLast: false) }
                rooms.append(connection.room(of: 1))
                Array("x-sum: 1\r\n".utf8).withUnsafeBytes {
                    connection.writeFields(status: nil, $0, on: 1, isLast: true, scratch: &scratch)
                }
            }
            connection.end(1, .noError)
            rooms.append(connection.streamCount)
        })
        #expect(rooms == [10, 0, 0])
        #expect(told.frames.map { $0.split(separator: "/").prefix(3).joined(separator: "/") } == ["4/1/0", "1/4/1", "0/0/1", "1/5/1"])
        #expect(told.frames[1].contains(" 136 ") || told.frames[1].contains("/63 225 7 136 "), "\(told.frames[1])")
    }

    @Test("what comes behind the last stream of a GOAWAY is nobody's fault, and no later GOAWAY says that it was taken")
    func leaving() {
        var connection = H2Connection(.init())
        var space = [UInt8](repeating: 0, count: H2Connection.roomSize(listSize: 32 << 10))
        func events(_ bytes: [UInt8]) -> [H2Connection.Event] {
            space.withUnsafeMutableBytes { space in
                var (room, at, events) = (ByteWriter(space), 0, [H2Connection.Event]())
                bytes.withUnsafeBytes { region in
                    while let event = try? connection.next(region, at: &at, room: &room, now: 1), event != .more { events.append(event) }
                }
                return events
            }
        }
        #expect(events(Self.start + Self.headers(1, flags: 4)).count == 1)
        connection.goAway(.noError, isLast: true)
        connection.clearOutput()
        // A request with its body, trailers and all, and another one.
        let late =
            Self.headers(3, flags: 4) + Self.data(3, "x") + Self.frame(8, 0, 3, Self.word(1)) + Self.frame(1, 5, 3, Self.fields([("a", "b")]))
            + Self.headers(5) + Self.frame(3, 0, 5, Self.word(8))
        #expect(events(late).isEmpty)
        let silence = connection.output
        #expect(silence == [])
        // What was under way goes on.
        #expect(events(Self.data(1, "x", flags: 1)).count == 1)
        connection.clearOutput()
        connection.goAway(.protocolError, isLast: true)
        let last = connection.output
        #expect(last == Self.frame(7, 0, 0, Self.word(1) + Self.word(1)))
    }

    @Test("bytes of any kind never trap")
    func noise() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var bytes = Self.start
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                let payload = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                let body = Bool.random(using: &random) ? payload : Self.fields(Self.request) + payload
                bytes += Self.frame(UInt8.random(in: 0...10, using: &random), .random(in: 0...255, using: &random), .random(in: 0...5, using: &random), body)
            }
            _ = Self.told(bytes, piece: Int.random(in: 1...200, using: &random))
        }
    }
}
