import Base
import Testing

@testable import HTTP

/// RFC 9113 sections 4 to 8, what holds for either side: each case by its section, to a server's end and to a client's.
@Suite struct H2BothRolesTests: H2Wire {
    private enum Outcome: Equatable {
        /// GOAWAY.
        case connection(H2Code)
        /// RST_STREAM on stream 1.
        case stream(H2Code)
        /// The frame changes nothing.
        case nothing
    }

    private enum Role: CaseIterable { case server, client }

    /// Streams 1 and 3 are open, and of the head that the peer begins with nothing is missing; then these frames.
    private func told(_ role: Role, _ frames: [UInt8], limits: H2Connection.Limits = .init(), then: (inout H2Connection) -> Void = { _ in }) -> H2Told {
        switch role {
        case .server:
            return Self.told(Self.start + Self.headers(1, flags: 4) + Self.headers(3, flags: 4) + frames, limits: limits, then: then)
        case .client:
            let heads = [1, 3].flatMap { Self.frame(1, 4, $0, Self.fields([(":status", "200")])) }
            return Self.told(Self.settings() + heads + frames, limits: limits, asking: Self.ask, then: then)
        }
    }

    private static func ask(_ connection: inout H2Connection) {
        var space = [UInt8](repeating: 0, count: 1024)
        space.withUnsafeMutableBytes { space in
            var scratch = ByteWriter(space)
            let post: StaticString = "POST"
            let path: StaticString = "/"
            for _ in 0..<2 {
                connection.writeRequest(
                    method: UnsafeRawBufferPointer(start: post.utf8Start, count: 4), scheme: "https",
                    path: UnsafeRawBufferPointer(start: path.utf8Start, count: 1), UnsafeRawBufferPointer(start: nil, count: 0),
                    on: connection.open()!, isLast: false, scratch: &scratch)
            }
        }
    }

    /// What the frames bring about, beside answers to SETTINGS and PING; the connection is still there behind it.
    private func outcome(_ role: Role, _ frames: [UInt8]) -> Outcome? {
        let told = told(role, frames + Self.frame(6, 0, 0, Array("12345678".utf8)))
        if let fault = told.fault { return .connection(fault.code) }
        guard told.frames.last == "6/1/0/49 50 51 52 53 54 55 56" else { return nil }
        let resets = told.frames.filter { $0.hasPrefix("3/") }
        if resets.isEmpty { return .nothing }
        guard resets.count == 1, resets[0].hasPrefix("3/0/1/0 0 0 "), let code = resets[0].split(separator: " ").last else { return nil }
        return UInt32(code).flatMap(H2Code.init(rawValue:)).map { .stream($0) }
    }

    private static let trailers = fields([("x-sum", "1")])
    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    @Test("every frame that is wrong, and some that only look so")
    func frames() {
        let (zeros, word) = (Self.zeros, Self.word)
        let frame = { (type: UInt8, flags: UInt8, stream: UInt32, payload: [UInt8]) in Self.frame(type, flags, stream, payload) }
        let cases: [(String, [UInt8], Outcome)] = [
            // 4.1
            ("4.1 an unknown type", frame(0x77, 0xFF, 1, [1, 2, 3]), .nothing),
            ("4.1 an unknown type on an idle stream", frame(0x77, 0xFF, 99, []), .nothing),
            ("4.1 the reserved bit", frame(0, 0, 0x8000_0001, [1]), .nothing),
            ("4.1 unknown flags", frame(6, 0xFE, 0, zeros(8)), .nothing),
            ("4.1 unknown flags of DATA", frame(0, 0xF6, 1, [1]), .nothing),
            // 4.2
            ("4.2 16,385 bytes", frame(0, 0, 1, zeros(16385)), .connection(.frameSizeError)),
            ("4.2 16,385 bytes of an unknown type", frame(0x77, 0, 1, zeros(16385)), .connection(.frameSizeError)),
            ("4.2 16,384 bytes", frame(0, 0, 1, zeros(16384)), .nothing),
            // 4.3
            ("4.3 an index that is not there", frame(1, 5, 1, [0xC0]), .connection(.compressionError)),
            ("4.3 index 0", frame(1, 5, 1, [0x80]), .connection(.compressionError)),
            ("4.3 half a field", frame(1, 5, 1, [0x40, 3, 0x61]), .connection(.compressionError)),
            ("4.3 a table of 4,097 bytes", frame(1, 5, 1, [0x3F, 0xE2, 0x1F] + Self.trailers), .connection(.compressionError)),
            ("4.3 a table of 4,096 bytes", frame(1, 5, 1, [0x3F, 0xE1, 0x1F] + Self.trailers), .nothing),
            ("4.3 a new size behind a field", frame(1, 5, 1, Self.trailers + [0x20]), .connection(.compressionError)),
            ("4.3 Huffman's end symbol", frame(1, 5, 1, [0, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0x61]), .connection(.compressionError)),
            ("4.3 seven bits of zeros behind a code", frame(1, 5, 1, [0, 0x81, 0x18, 1, 0x61]), .connection(.compressionError)),
            ("4.3 a block of a stream that is closed", frame(3, 0, 1, word(8)) + frame(1, 5, 1, Self.trailers), .connection(.streamClosed)),
            // 5.1
            ("5.1 DATA on an idle stream", frame(0, 0, 5, [1]), .connection(.protocolError)),
            ("5.1 RST_STREAM on an idle stream", frame(3, 0, 5, word(8)), .connection(.protocolError)),
            ("5.1 WINDOW_UPDATE on an idle stream", frame(8, 0, 5, word(8)), .connection(.protocolError)),
            ("5.1 PRIORITY on an idle stream", frame(2, 0, 9, zeros(5)), .nothing),
            ("5.1 DATA behind END_STREAM", frame(0, 1, 1, [1]) + frame(0, 0, 1, [1]), .stream(.streamClosed)),
            ("5.1 an empty one behind END_STREAM", frame(0, 1, 1, []) + frame(0, 1, 1, []), .stream(.streamClosed)),
            ("5.1 HEADERS behind END_STREAM", frame(0, 1, 1, [1]) + frame(1, 5, 1, Self.trailers), .stream(.streamClosed)),
            ("5.1 HEADERS behind trailers", frame(1, 5, 1, Self.trailers) + frame(1, 5, 1, Self.trailers), .stream(.streamClosed)),
            ("5.1 WINDOW_UPDATE behind END_STREAM", frame(0, 1, 1, [1]) + frame(8, 0, 1, word(1)), .nothing),
            ("5.1 PRIORITY behind END_STREAM", frame(0, 1, 1, [1]) + frame(2, 0, 1, zeros(5)), .nothing),
            ("5.1 RST_STREAM behind END_STREAM", frame(0, 1, 1, [1]) + frame(3, 0, 1, word(0)), .nothing),
            ("5.1 DATA behind RST_STREAM", frame(3, 0, 1, word(8)) + frame(0, 0, 1, [1]), .stream(.streamClosed)),
            ("5.1 WINDOW_UPDATE behind RST_STREAM", frame(3, 0, 1, word(8)) + frame(8, 0, 1, word(1)), .nothing),
            ("5.1 two RST_STREAM", frame(3, 0, 1, word(8)) + frame(3, 0, 1, word(8)), .nothing),
            // 5.1.1
            ("5.1.1 HEADERS on an even stream", frame(1, 5, 2, Self.trailers), .connection(.protocolError)),
            ("5.1.1 DATA on an even stream", frame(0, 0, 2, [1]), .connection(.protocolError)),
            ("5.1.1 RST_STREAM on an even stream", frame(3, 0, 2, word(8)), .connection(.protocolError)),
            // 5.5: in the middle of a block
            ("5.5 an unknown type in a block", frame(1, 1, 1, []) + frame(0x77, 0, 1, []), .connection(.protocolError)),
            // 6.1
            ("6.1 DATA on 0", frame(0, 0, 0, [1]), .connection(.protocolError)),
            ("6.1 all of it is padding", frame(0, 8, 1, [3, 0, 0, 0]), .nothing),
            ("6.1 more than all", frame(0, 8, 1, [4, 0, 0, 0]), .connection(.protocolError)),
            ("6.1 no length of padding", frame(0, 8, 1, []), .connection(.frameSizeError)),
            // 6.2
            ("6.2 HEADERS on 0", frame(1, 5, 0, Self.trailers), .connection(.protocolError)),
            ("6.2 padding longer than the frame", frame(1, 0xD, 1, [2, 0]), .connection(.protocolError)),
            ("6.2 padding of all of it", frame(1, 0xD, 1, [1, 0]), .nothing),
            ("6.2 no length of padding", frame(1, 0xD, 1, []), .connection(.frameSizeError)),
            ("6.2 four bytes of priority", frame(1, 0x25, 1, zeros(4)), .connection(.frameSizeError)),
            ("6.2 padding and priority", frame(1, 0x2D, 1, [2, 0, 0, 0, 3, 9] + Self.trailers + [0, 0]), .nothing),
            // 6.3
            ("6.3 PRIORITY on 0", frame(2, 0, 0, zeros(5)), .connection(.protocolError)),
            ("6.3 four bytes", frame(2, 0, 1, zeros(4)), .stream(.frameSizeError)), ("6.3 six bytes", frame(2, 0, 1, zeros(6)), .stream(.frameSizeError)),
            ("6.3 four bytes on an idle stream", frame(2, 0, 9, zeros(4)), .connection(.frameSizeError)),
            // 6.4
            ("6.4 RST_STREAM on 0", frame(3, 0, 0, word(8)), .connection(.protocolError)),
            ("6.4 three bytes", frame(3, 0, 1, zeros(3)), .connection(.frameSizeError)), ("6.4 five bytes", frame(3, 0, 1, zeros(5)), .connection(.frameSizeError)),
            ("6.4 a code that nobody knows", frame(3, 0, 1, word(0xFFFF)), .nothing),
            // 6.5
            ("6.5 on a stream", frame(4, 0, 1, []), .connection(.protocolError)), ("6.5 an acknowledgement on a stream", frame(4, 1, 1, []), .connection(.protocolError)),
            ("6.5 five bytes", frame(4, 0, 0, zeros(5)), .connection(.frameSizeError)), ("6.5 seven bytes", frame(4, 0, 0, zeros(7)), .connection(.frameSizeError)),
            ("6.5 an acknowledgement with settings", frame(4, 1, 0, zeros(6)), .connection(.frameSizeError)),
            ("6.5.2 ENABLE_PUSH 2", Self.settings((2, 2)), .connection(.protocolError)),
            ("6.5.2 INITIAL_WINDOW_SIZE 2^31", Self.settings((4, 1 << 31)), .connection(.flowControlError)),
            ("6.5.2 MAX_FRAME_SIZE 16,383", Self.settings((5, 16383)), .connection(.protocolError)),
            ("6.5.2 MAX_FRAME_SIZE 2^24", Self.settings((5, 1 << 24)), .connection(.protocolError)),
            ("6.5.2 all that is allowed", Self.settings((1, .max), (2, 0), (3, .max), (4, 1 << 31 - 1), (5, 1 << 24 - 1), (6, .max)), .nothing),
            ("6.5.2 an unknown one", Self.settings((0xABCD, .max), (0, 0)), .nothing),
            ("RFC 8441: 2", Self.settings((8, 2)), .connection(.protocolError)), ("RFC 9218: 2", Self.settings((9, 2)), .connection(.protocolError)),
            // 6.6
            ("6.6 PUSH_PROMISE", frame(5, 4, 1, word(2) + [0x82]), .connection(.protocolError)),
            // 6.7
            ("6.7 on a stream", frame(6, 0, 1, zeros(8)), .connection(.protocolError)), ("6.7 seven bytes", frame(6, 0, 0, zeros(7)), .connection(.frameSizeError)),
            ("6.7 nine bytes", frame(6, 0, 0, zeros(9)), .connection(.frameSizeError)), ("6.7 an answer to nothing", frame(6, 1, 0, zeros(8)), .nothing),
            // 6.8
            ("6.8 on a stream", frame(7, 0, 1, zeros(8)), .connection(.protocolError)), ("6.8 seven bytes", frame(7, 0, 0, zeros(7)), .connection(.frameSizeError)),
            ("6.8 with text", frame(7, 0, 0, word(99) + word(0) + Array("bye".utf8)), .nothing),
            // 6.9
            ("6.9 by nothing", frame(8, 0, 0, word(0)), .connection(.protocolError)), ("6.9 a stream by nothing", frame(8, 0, 1, word(0)), .stream(.protocolError)),
            ("6.9 by nothing but the reserved bit", frame(8, 0, 1, word(1 << 31)), .stream(.protocolError)),
            ("6.9 three bytes", frame(8, 0, 1, zeros(3)), .connection(.frameSizeError)), ("6.9 five bytes", frame(8, 0, 0, zeros(5)), .connection(.frameSizeError)),
            ("6.9.1 beyond 2^31", frame(8, 0, 0, word(0x7FFF_0000)) + frame(8, 0, 0, word(1)), .connection(.flowControlError)),
            ("6.9.1 up to 2^31", frame(8, 0, 0, word(0x7FFF_0000)), .nothing),
            ("6.9.1 a stream beyond 2^31", frame(8, 0, 1, word(0x7FFF_0000)) + frame(8, 0, 1, word(1)), .stream(.flowControlError)),
            ("6.9.1 a stream's window used up", (0..<5).flatMap { _ in frame(0, 0, 1, zeros(16384)) }, .nothing),
            ("6.9.2 beyond 2^31 by SETTINGS", frame(8, 0, 1, word(0x7FFF_0000)) + Self.settings((4, 65536)), .connection(.flowControlError)),
            ("6.9.2 below nothing", Self.settings((4, 0)) + Self.settings((4, 1 << 31 - 1)) + Self.settings((4, 0)), .nothing),
            // 6.10
            ("6.10 of nothing", frame(9, 4, 1, []), .connection(.protocolError)), ("6.10 on 0", frame(9, 4, 0, []), .connection(.protocolError)),
            ("6.10 behind END_HEADERS", frame(1, 5, 1, Self.trailers) + frame(9, 4, 1, []), .connection(.protocolError)),
            ("6.10 of another stream", frame(1, 1, 1, []) + frame(9, 4, 3, []), .connection(.protocolError)),
            ("6.10 behind DATA", frame(0, 0, 1, [1]) + frame(9, 4, 1, []), .connection(.protocolError)),
            ("6.10 in pieces, empty ones too", frame(1, 1, 1, []) + frame(9, 0, 1, Self.trailers) + frame(9, 4, 1, []), .nothing),
            // 8.1
            ("8.1 trailers that don't end it", frame(1, 4, 1, Self.trailers), .stream(.protocolError)),
            ("8.1 DATA behind trailers", frame(1, 5, 1, Self.trailers) + frame(0, 1, 1, []), .stream(.streamClosed)),
            // 8.2, 8.3
            ("8.2.1 upper case in trailers", frame(1, 5, 1, Self.fields([("A", "b")])), .stream(.protocolError)),
            ("8.2.1 a line end in trailers", frame(1, 5, 1, Self.fields([("a", "b\r\nc: d")])), .stream(.protocolError)),
            ("8.2.2 a connection field in trailers", frame(1, 5, 1, Self.fields([("transfer-encoding", "chunked")])), .stream(.protocolError)),
            ("8.3 a pseudo-field in trailers", frame(1, 5, 1, Self.fields([(":status", "200")])), .stream(.protocolError)),
            ("8.3 another", frame(1, 5, 1, Self.fields([(":path", "/")])), .stream(.protocolError)),
        ]
        for role in Role.allCases {
            for (what, bytes, wanted) in cases {
                let found = outcome(role, bytes)
                #expect(found == wanted, "\(what) (\(role)): \(String(describing: found))")
            }
        }
    }

    @Test("DATA that nobody passes on is bounded by both windows")
    func held() {
        var limits = H2Connection.Limits()
        (limits.window, limits.connectionWindow) = (65536, 100_000)
        let piece = Self.zeros(16384)
        func run(_ role: Role, _ frames: [UInt8]) -> (fault: H2Fault?, resets: Int) {
            var connection = role == .server ? H2Connection(limits) : H2Connection(client: limits)
            if role == .client { Self.ask(&connection) }
            let heads = [1, 3].flatMap { Self.frame(1, 4, $0, Self.fields([(":status", "200")])) }
            let bytes = role == .server ? Self.start + Self.headers(1, flags: 4) + Self.headers(3, flags: 4) + frames : Self.settings() + heads + frames
            var space = Self.zeros(H2Connection.roomSize(listSize: limits.listSize))
            var resets = 0
            let fault: H2Fault? = space.withUnsafeMutableBytes { space in
                var room = ByteWriter(space)
                var at = 0
                do throws(H2Fault) {
                    try bytes.withUnsafeBufferPointer { region throws(H2Fault) in
                        while true {
                            switch try connection.next(UnsafeRawBufferPointer(region), at: &at, room: &room, now: 1) {
                            case .more: return
                            case .reset, .malformed: resets += 1
                            default: break
                            }
                        }
                    }
                    return nil
                } catch { return error }
            }
            return (fault, resets)
        }
        for role in Role.allCases {
            let four = (0..<4).flatMap { _ in Self.frame(0, 0, 1, piece) }
            #expect(run(role, four) == (nil, 0))
            #expect(run(role, four + Self.frame(0, 0, 1, [1])) == (nil, 1))
            // A stream that was reset gives its part of the connection's window back.
            #expect(run(role, four + Self.frame(0, 0, 1, [1]) + (0..<4).flatMap { _ in Self.frame(0, 0, 3, piece) }) == (nil, 1))
            let beyond = run(role, four + (0..<3).flatMap { _ in Self.frame(0, 0, 3, piece) })
            #expect(beyond.fault?.code == .flowControlError)
        }
    }
}
