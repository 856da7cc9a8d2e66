import Base
import Testing

@testable import HTTP

/// A client's end: what it sends, which answers it takes, and what ends a stream or the connection.
@Suite struct H2ClientTests: H2Wire {
    // MARK: Support

    /// Opens so many streams, each for a GET, or for another method with a body to come.
    private static func ask(_ count: Int = 1, _ method: String = "GET", isLast: Bool = true) -> (inout H2Connection) -> Void {
        { connection in for _ in 0..<count { _ = send(&connection, method, isLast: isLast) } }
    }

    @discardableResult
    private static func send(
        _ connection: inout H2Connection, _ method: String = "GET", authority: String? = "a.test", upgrade: String? = nil,
        lines: String = "", isLast: Bool = true, takesTrailers: Bool = false
    ) -> UInt32? {
        guard let stream = connection.open() else { return nil }
        var space = [UInt8](repeating: 0, count: 8192)
        func bytes(_ text: String?) -> UnsafeRawBufferPointer? {
            guard let text else { return nil }
            // Kept for the rest of the tests.
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
            copy.copyBytes(from: text.utf8)
            return UnsafeRawBufferPointer(copy)
        }
        space.withUnsafeMutableBytes { space in
            var scratch = ByteWriter(space)
            connection.writeRequest(
                method: bytes(method)!, scheme: "https", authority: bytes(authority), path: bytes("/a?b")!, protocol: bytes(upgrade),
                bytes(lines)!, on: stream, isLast: isLast, takesTrailers: takesTrailers, scratch: &scratch)
        }
        return stream
    }

    private static func answer(_ stream: UInt32, _ fields: [(String, String)] = [(":status", "200")], flags: UInt8 = 0x4) -> [UInt8] {
        frame(1, flags, stream, Self.fields(fields))
    }

    private func told(_ frames: [UInt8]..., asking: @escaping (inout H2Connection) -> Void = ask()) -> H2Told {
        Self.told(Self.settings() + frames.flatMap { $0 }, asking: asking)
    }

    /// The fields of the first HEADERS that was written.
    private func sent(_ first: (inout H2Connection) -> Void) throws -> (fields: [String], flags: UInt8) {
        var connection = H2Connection(client: .init())
        connection.clearOutput()
        first(&connection)
        let output = connection.output
        try #require(output[3] == 1)
        let length = Int(output[1]) << 8 | Int(output[2])
        var decoder = HPACKDecoder()
        var lines: [String] = []
        var space = [UInt8](repeating: 0, count: 16384)
        try space.withUnsafeMutableBytes { space in
            var out = ByteWriter(space)
            try output[9..<(9 + length)].withUnsafeBytes { bytes in
                var block = HPACKDecoder.Block(bytes)
                while let field = try decoder.next(&block, to: &out) {
                    lines.append(String(decoding: out.written[field.name], as: UTF8.self) + "=" + String(decoding: out.written[field.value], as: UTF8.self))
                }
            }
        }
        return (lines, output[4])
    }

    // MARK: What it sends

    @Test("the preface, SETTINGS without push, the connection's window, and then streams 1, 3, 5")
    func beginning() {
        var connection = H2Connection(client: .init())
        let output = connection.output
        let settings: [UInt8] = [0, 2, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, 6, 0, 0, 0x80, 0, 0, 9, 0, 0, 0, 1]
        #expect(output == Self.preface + Self.frame(4, 0, 0, settings) + Self.frame(8, 0, 0, Self.word((8 << 20) - 65535)))
        let ids = [connection.open(), connection.open(), connection.open()]
        #expect(ids == [1, 3, 5])
        let said = (connection.isSettled, connection.peerAllowsConnect, connection.canOpen, connection.isClosing)
        #expect(said == (false, false, true, false))
    }

    @Test("a request of HTTP/1.1 becomes one of HTTP/2")
    func requests() throws {
        let lines =
            "Host: b.test\r\nAccept: */*\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nTE: trailers, gzip\r\nUpgrade: x\r\n"
            + "Transfer-Encoding: chunked\r\nProxy-Connection: x\r\nX-" + String(repeating: "N", count: 300) + ": v \r\nTrailer: x-sum\r\n\r\n"
        let pseudo = [":method=GET", ":scheme=https", ":path=/a?b"]
        let long = "x-" + String(repeating: "n", count: 300) + "=v"
        let plain = try sent { Self.send(&$0, authority: nil, lines: lines) }
        #expect(plain.fields == pseudo + [":authority=b.test", "accept=*/*", long, "trailer=x-sum"])
        #expect(plain.flags == 0x5)
        let other = try sent { Self.send(&$0, authority: "a.test", lines: lines, isLast: false, takesTrailers: true) }
        #expect(other.fields == pseudo + [":authority=a.test", "accept=*/*", long, "trailer=x-sum", "te=trailers"])
        #expect(other.flags == 0x4)
        let socket = try sent { Self.send(&$0, upgrade: "websocket", lines: "Connection: upgrade\r\nX: y\r\nUpgrade: websocket\r\n", isLast: false) }
        #expect(socket.fields == [":method=CONNECT", ":scheme=https", ":path=/a?b", ":authority=a.test", ":protocol=websocket", "x=y"])
        let connect = try sent { Self.send(&$0, "CONNECT", authority: "a.test:1", isLast: false) }
        #expect(connect.fields == [":method=CONNECT", ":authority=a.test:1"])
    }

    @Test("no more streams than the peer takes, and than we want; none behind GOAWAY; and numbers end")
    func opening() {
        var limits = H2Connection.Limits()
        limits.streams = 3
        var ids: [UInt32?] = []
        _ = Self.told(Self.settings((3, 2)), limits: limits, asking: { _ in }, then: { ids = [$0.open(), $0.open(), $0.open()] })
        #expect(ids == [1, 3, nil])
        _ = Self.told(Self.settings((3, 5)), limits: limits, asking: { _ in }, then: { ids = [$0.open(), $0.open(), $0.open(), $0.open()] })
        #expect(ids == [1, 3, 5, nil])
        _ = Self.told(Self.settings((3, 0)), asking: { _ in }, then: { ids = [$0.open()] })
        #expect(ids == [nil])
        var isClosing = false
        _ = Self.told(Self.settings() + Self.frame(7, 0, 0, Self.word(0) + Self.word(0)), asking: { _ in }, then: {
            ids = [$0.open()]
            isClosing = $0.isClosing
        })
        #expect(ids == [nil] && isClosing)
        isClosing = false
        _ = Self.told(Self.settings(), asking: { _ in }, then: { connection in
            connection.newest = 0x7FFF_FFFB
            ids = [connection.open(), connection.open(), connection.open()]
            isClosing = connection.isClosing
        })
        #expect(ids == [0x7FFF_FFFD, 0x7FFF_FFFF, nil] && isClosing)
    }

    @Test("a stream that nothing was sent on is not reset, and its number is not used again")
    func unused() {
        var next: UInt32?
        let told = Self.told(Self.settings(), asking: { _ = $0.open() }, then: { connection in
            connection.end(1, .cancel)
            next = Self.send(&connection)
        })
        #expect(next == 3)
        #expect(told.frames.map { $0.prefix(6) } == ["4/1/0/", "1/5/3/"])
    }

    @Test("a body within the windows, trailers, and a cancelled stream whose answer is on its way")
    func bodies() {
        var rooms: [Int] = []
        var scratch = [UInt8](repeating: 0, count: 4096)
        let told = Self.told(
            Self.settings((4, 10)) + Self.frame(8, 0, 1, Self.word(5)), asking: Self.ask(2, "POST", isLast: false),
            then: { connection in
                rooms.append(connection.room(of: 1))
                Array("123456789012345".utf8).withUnsafeBytes { connection.writeData($0, on: 1, isLast: false) }
                rooms.append(connection.room(of: 1))
                scratch.withUnsafeMutableBytes { space in
                    var scratch = ByteWriter(space)
                    Array("X-Sum: 1\r\nTransfer-Encoding: chunked\r\n".utf8).withUnsafeBytes {
                        connection.writeFields(status: nil, $0, on: 1, isLast: true, scratch: &scratch)
                    }
                }
                connection.end(3, .cancel)
                rooms.append(connection.streamCount)
            })
        #expect(told.events == ["settings", "room(stream: 1)"])
        #expect(rooms == [15, 0, 1])
        #expect(told.frames.map { $0.split(separator: "/").prefix(3).joined(separator: "/") } == ["4/1/0", "0/0/1", "1/5/1", "3/0/3"])
        let late = self.told(
            Self.answer(1), Self.data(1, "x"), Self.frame(3, 0, 1, Self.word(8)), Self.answer(3, flags: 5),
            asking: { connection in
                Self.ask(2)(&connection)
                connection.end(1, .cancel)
            })
        #expect(late.fault == nil && late.events == ["settings", "head 3 15."])
    }

    @Test("as many as may be cancelled at once, whose answers are all on their way")
    func manyCancelled() {
        let late = Self.told(
            Self.settings() + (0..<100).flatMap { Self.answer(UInt32(2 * $0 + 1), flags: 5) },
            asking: { connection in
                Self.ask(100)(&connection)
                for number in 0..<100 { connection.end(UInt32(2 * number + 1), .cancel) }
            })
        #expect(late.fault == nil && late.events == ["settings"])
    }

    // MARK: Answers

    @Test("a conversation, in pieces of every size")
    func pieces() {
        let bytes =
            Self.settings((3, 100), (8, 1)) + Self.frame(4, 1) + Self.answer(3, [(":status", "103"), ("link", "</a>")])
            + Self.answer(1, [(":status", "200"), ("content-length", "11"), ("x", "y")]) + Self.data(1, "hello ")
            + Self.answer(3, [(":status", "404")], flags: 0x5) + Self.frame(0, 0x9, 1, [3] + Array("world".utf8) + [0, 0, 0])
            + Self.answer(5) + Self.data(5, "z") + Self.frame(1, 0x5, 5, Self.fields([("grpc-status", "0")]))
            + Self.frame(6, 1, 0, Array("gateway ".utf8)) + Self.frame(3, 0, 7, Self.word(7))
        let whole = Self.told(bytes, asking: Self.ask(4))
        #expect(whole.fault == nil)
        #expect(
            whole.heads == [
                "HTTP/1.1 103 \r\nlink: </a>\r\n\r\n", "HTTP/1.1 200 \r\ncontent-length: 11\r\nx: y\r\n\r\n", "HTTP/1.1 404 \r\n\r\n",
                "HTTP/1.1 200 \r\n\r\n",
            ])
        #expect(
            whole.events == [
                "settings", "head 3 26…", "head 1 39…", "data 1 hello …", "head 3 15.", "data 1 world.", "head 5 15…", "data 5 z…",
                "trailers 5 grpc-status: 0\r\n", "pong", "reset(stream: 7, HTTP.H2Code.refusedStream)",
            ])
        for piece in 1...60 {
            let told = Self.told(bytes, piece: piece, asking: Self.ask(4))
            #expect(told.fault == nil && told.heads == whole.heads && told.frames == whole.frames, "\(piece)")
        }
    }

    @Test("the reader of heads takes every answer")
    func heads() {
        let told = told(Self.answer(1, [(":status", "200"), ("content-length", "5"), ("set-cookie", "a"), ("set-cookie", "b")]))
        var head = ResponseHead(maxFields: 20)
        var scanned = 0
        let outcome = Array(told.heads[0].utf8).withUnsafeBytes {
            head.parse($0, from: &scanned, requestMethod: .get, limits: ParseLimits(maxHeadSize: 8192, maxFields: 20))
        }
        #expect(outcome == .complete && head.status == 200 && head.framing == .length(5) && head.fields.count == 3)
    }

    @Test("what is no answer resets its stream, and the connection goes on")
    func malformed() {
        let ok = (":status", "200")
        let cases: [(String, [UInt8])] = [
            ("no status", Self.answer(1, [("a", "b")])), ("nothing", Self.answer(1, [])),
            ("two of them", Self.answer(1, [ok, ok])), ("behind a field", Self.answer(1, [("a", "b"), ok])),
            ("a pseudo-field of requests", Self.answer(1, [ok, (":path", "/")])), ("in front of it", Self.answer(1, [(":path", "/"), ok])),
            ("101", Self.answer(1, [(":status", "101")])), ("099", Self.answer(1, [(":status", "099")])),
            ("600", Self.answer(1, [(":status", "600")])), ("2x0", Self.answer(1, [(":status", "2x0")])),
            ("20", Self.answer(1, [(":status", "20")])), ("2000", Self.answer(1, [(":status", "2000")])),
            ("+20", Self.answer(1, [(":status", "+20")])), ("an empty one", Self.answer(1, [(":status", "")])),
            ("upper case", Self.answer(1, [ok, ("A", "b")])), ("a space in a name", Self.answer(1, [ok, ("a b", "c")])),
            ("a line end", Self.answer(1, [ok, ("a", "b\r\nc: d")])), ("NUL", Self.answer(1, [ok, ("a", "b\0")])),
            ("space in front", Self.answer(1, [ok, ("a", " b")])), ("an empty name", Self.answer(1, [ok, ("", "b")])),
            ("a length of letters", Self.answer(1, [ok, ("content-length", "x")])),
            ("two lengths", Self.answer(1, [ok, ("content-length", "1"), ("content-length", "1")])),
            ("a length without a body", Self.answer(1, [ok, ("content-length", "1")], flags: 5)),
            ("less than announced", Self.answer(1, [ok, ("content-length", "3")]) + Self.data(1, "xx", flags: 1)),
            ("more than announced", Self.answer(1, [ok, ("content-length", "1")]) + Self.data(1, "xx")),
            ("trailers in front of the rest", Self.answer(1, [ok, ("content-length", "1")]) + Self.frame(1, 5, 1, Self.fields([("a", "b")]))),
            ("a body of 204", Self.answer(1, [(":status", "204")]) + Self.data(1, "x")),
            ("a body of 304", Self.answer(1, [(":status", "304"), ("content-length", "1")]) + Self.data(1, "x")),
            ("a body in front", Self.data(1, "x")), ("an end in front", Self.data(1, "", flags: 1)),
            ("an interim answer that ends it", Self.answer(1, [(":status", "100")], flags: 5)),
            ("two final ones", Self.answer(1) + Self.answer(1)),
            ("trailers that don't end it", Self.answer(1) + Self.frame(1, 4, 1, Self.fields([("a", "b")]))),
            ("trailers with a status", Self.answer(1) + Self.frame(1, 5, 1, Self.fields([ok]))),
            ("a window that grows by nothing", Self.frame(8, 0, 1, Self.word(0))),
        ]
        let ofConnection = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"]
        let alive = Self.answer(3, flags: 5)
        for (what, bytes) in cases + ofConnection.map({ ($0, Self.answer(1, [ok, ($0, "x")])) }) {
            let told = told(bytes, alive, asking: Self.ask(2))
            #expect(told.fault == nil, "\(what)")
            #expect(told.events.contains("malformed(stream: 1, HTTP.H2Code.protocolError)"), "\(what): \(told.events)")
            #expect(told.frames.contains("3/0/1/0 0 0 1"), "\(what)")
            #expect(told.events.last == "head 3 15.", "\(what)")
        }
        let closed = told(Self.answer(1, flags: 5), Self.data(1, "x"), alive, asking: Self.ask(2))
        #expect(closed.frames.contains("3/0/1/0 0 0 5") && closed.fault == nil)
    }

    @Test("lengths that are another body's")
    func lengths() {
        for (method, status) in [("HEAD", "200"), ("GET", "304")] {
            let told = told(Self.answer(1, [(":status", status), ("content-length", "10")], flags: 5), asking: Self.ask(1, method))
            #expect(told.events.count == 2 && told.events[1].hasPrefix("head 1"), "\(told.events)")
        }
        let tunnel = told(Self.answer(1, [(":status", "200"), ("content-length", "1")]), Self.data(1, "xyz")) { connection in
            Self.send(&connection, upgrade: "websocket", isLast: false)
        }
        #expect(tunnel.heads == ["HTTP/1.1 200 \r\n\r\n"] && tunnel.events.last == "data 1 xyz…")
        let refused = told(Self.answer(1, [(":status", "403"), ("content-length", "1")]), Self.data(1, "xyz")) { connection in
            Self.send(&connection, upgrade: "websocket", isLast: false)
        }
        #expect(refused.events.last == "malformed(stream: 1, HTTP.H2Code.protocolError)")
    }

    @Test("an answer that is too large is told, and what follows it is read")
    func tooLarge() {
        var limits = H2Connection.Limits()
        limits.listSize = 200
        let told = Self.told(
            Self.settings() + Self.answer(1, [(":status", "200"), ("a", String(repeating: "x", count: 100)), ("b", String(repeating: "x", count: 100)), ("c", "d")], flags: 5)
                + Self.answer(3, flags: 5), limits: limits, asking: Self.ask(2))
        #expect(told.fault == nil && told.events == ["settings", "headTooLarge(stream: 1, isLast: true)", "head 3 15."])
    }

    // MARK: The connection

    @Test("what ends the connection, each by its code")
    func faults() {
        let zeros = [UInt8](repeating: 0, count: 8)
        let cases: [(String, [UInt8], H2Code)] = [
            ("no SETTINGS first", Self.answer(1), .protocolError),
            ("HTTP/1.1", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), .frameSizeError),
            ("a push allowed", Self.settings((2, 1)), .protocolError),
            ("CONNECT allowed and taken back", Self.settings((8, 1)) + Self.settings((8, 0)), .protocolError),
            ("an answer on an idle stream", Self.settings() + Self.answer(5), .protocolError),
            ("an answer on an even stream", Self.settings() + Self.answer(2), .protocolError),
            ("an answer on 0", Self.settings() + Self.answer(0), .protocolError),
            ("an answer behind its end", Self.settings() + Self.frame(3, 0, 1, Self.word(8)) + Self.answer(1), .streamClosed),
            ("DATA on an idle stream", Self.settings() + Self.data(5, "x"), .protocolError),
            ("DATA on an even stream", Self.settings() + Self.data(2, "x"), .protocolError),
            ("RST_STREAM on an idle stream", Self.settings() + Self.frame(3, 0, 5, Self.word(8)), .protocolError),
            ("WINDOW_UPDATE on an idle stream", Self.settings() + Self.frame(8, 0, 5, Self.word(8)), .protocolError),
            ("PUSH_PROMISE", Self.settings() + Self.frame(5, 4, 1, Self.word(2) + Self.fields(Self.request)), .protocolError),
            ("PRIORITY_UPDATE", Self.settings() + Self.frame(0x10, 0, 0, Self.word(1) + Array("u=1".utf8)), .protocolError),
            ("GOAWAY that takes back", Self.settings() + Self.frame(7, 0, 0, Self.word(1) + Self.word(0)) + Self.frame(7, 0, 0, Self.word(3) + Self.word(0)), .protocolError),
            ("GOAWAY on a stream", Self.settings() + Self.frame(7, 0, 1, zeros), .protocolError),
            ("GOAWAY of seven bytes", Self.settings() + Self.frame(7, 0, 0, Array(zeros.dropLast())), .frameSizeError),
            ("a block that can't be decoded", Self.settings() + Self.frame(1, 5, 1, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), .compressionError),
            ("a block without an end", Self.settings() + Self.frame(1, 1, 1) + (0..<40).flatMap { _ in Self.frame(9, 0, 1) }, .enhanceYourCalm),
        ]
        for (what, bytes, code) in cases {
            let told = Self.told(bytes, asking: Self.ask(2))
            #expect(told.fault?.code == code, "\(what): \(String(describing: told.fault))")
        }
    }

    @Test("GOAWAY: the streams that were surely not processed are told, the others go on")
    func goAway() {
        let goAway = { (last: UInt32) in Self.frame(7, 0, 0, Self.word(last) + Self.word(0)) }
        let told = told(
            Self.answer(5), goAway(0x7FFF_FFFF), goAway(5), Self.data(5, "x", flags: 1), goAway(3), Self.answer(3, flags: 5), Self.answer(1, flags: 5),
            asking: Self.ask(5))
        let refused = { (stream: Int) in "reset(stream: \(stream), HTTP.H2Code.refusedStream)" }
        #expect(
            told.events == [
                "settings", "head 5 15…", "goAway(HTTP.H2Code.noError)", "goAway(HTTP.H2Code.noError)", refused(9), refused(7), "data 5 x.",
                "goAway(HTTP.H2Code.noError)", refused(5), "head 3 15.", "head 1 15.",
            ])
        #expect(told.fault == nil && told.frames == ["4/1/0/"])
    }

    @Test("a peer that refuses what it likes is no abuse; frames on streams that are closed are, and all that floods")
    func abuse() {
        var limits = H2Connection.Limits()
        limits.streams = 500
        let refusals = Self.settings() + (0..<500).flatMap { Self.frame(3, 0, UInt32(2 * $0 + 1), Self.word(7)) }
        let many = Self.told(refusals, limits: limits, asking: Self.ask(500))
        #expect(many.fault == nil && many.events.count == 501)
        let late = Self.told(refusals + (0..<500).flatMap { Self.data(UInt32(2 * $0 + 1), "x") }, limits: limits, asking: Self.ask(500))
        #expect(late.fault?.abuse == .resets)
        let cases: [(H2Abuse, (Int) -> [UInt8])] = [
            (.control, { _ in Self.frame(6, 0, 0, Array("12345678".utf8)) }), (.control, { _ in Self.settings() }),
            (.control, { _ in Self.frame(7, 0, 0, Self.word(1) + Self.word(0)) }),
            (.priority, { _ in Self.frame(0xAB, 0, 0, [1]) }), (.emptyData, { ($0 == 0 ? Self.answer(1) : []) + Self.data(1, "") }),
            (.emptyData, { ($0 == 0 ? Self.answer(1) : []) + Self.data(1, "x") }),
            (.windowUpdates, { _ in Self.frame(8, 0, 0, Self.word(1)) }),
        ]
        for (kind, frames) in cases {
            let fault = Self.told(Self.settings() + (0..<11000).flatMap(frames), asking: Self.ask()).fault
            #expect(fault?.abuse == kind && fault?.code == .enhanceYourCalm, "\(kind)")
        }
    }
}
