import Base
import Testing

@testable import HTTP

/// Fields that nobody may put into a table (RFC 7541 sections 6.2.3 and 7.1.3): told to who reads them, and left so by who writes.
@Suite struct H2SecretTests: H2Wire {
    private static func secret(_ name: String, _ value: String) -> [UInt8] { [0x10] + fields([(name, value)]).dropFirst() }

    @Test("a request, an answer and trailers are secret where a field of theirs is, unless its name says that by itself")
    func told() {
        func request(_ block: [UInt8]) -> [String] { Self.told(Self.start + Self.frame(1, 5, 1, block)).events }
        func answer(_ block: [UInt8]) -> [String] {
            Self.told(Self.settings() + Self.frame(1, 5, 1, block), asking: { connection in
                var space = [UInt8](repeating: 0, count: 1024)
                space.withUnsafeMutableBytes { space in
                    var scratch = ByteWriter(space)
                    let get: StaticString = "GET"
                    let path: StaticString = "/"
                    connection.writeRequest(
                        method: UnsafeRawBufferPointer(start: get.utf8Start, count: 3), scheme: "https",
                        path: UnsafeRawBufferPointer(start: path.utf8Start, count: 1), UnsafeRawBufferPointer(start: nil, count: 0),
                        on: connection.open()!, isLast: true, scratch: &scratch)
                }
            }).events
        }
        let head = Self.fields(Self.request)
        let status = Self.fields([(":status", "200")])
        func isSecret(_ events: [String]) -> Bool {
            events.contains { $0.hasSuffix(" secret.") || ($0.hasPrefix("trailers") && $0.hasSuffix("secret")) }
        }
        #expect(!isSecret(request(head + Self.fields([("x-a", "1")]))))
        #expect(isSecret(request(head + Self.secret("x-a", "1") + Self.fields([("x-b", "1")]))))
        #expect(isSecret(request(Self.fields(Array(Self.request.dropLast(2))) + Self.secret(":path", "/") + Self.secret(":authority", "a.test"))))
        #expect(isSecret(answer(status + Self.secret("x-a", "1"))))
        #expect(isSecret(answer(Self.secret(":status", "200"))))
        #expect(!isSecret(answer(status + Self.fields([("x-a", "1")]) + Self.secret("set-cookie", "a=b"))))
        for name in ["authorization", "cookie", "x-api-key", "proxy-authorization"] {
            #expect(!isSecret(request(head + Self.secret(name, "1"))))
            #expect(isSecret(request(head + Self.secret(name, "1") + Self.secret("x-a", "1"))))
        }
        for (block, areSecret) in [(Self.secret("x-sum", "1"), true), (Self.fields([("x-sum", "1")]), false)] {
            let told = Self.told(Self.start + Self.headers(1, flags: 4) + Self.frame(1, 5, 1, block))
            #expect(isSecret(told.events.dropFirst().map { $0 }) == areSecret, "\(told.events)")
        }
    }

    @Test("one that is too large, or has no room left for it, is told as such")
    func tooLarge() {
        let block = Self.fields(Self.request) + [0x10, 1, 0x61] + [0x7F, 0x81, 0x7C] + [UInt8](repeating: 0x61, count: 16000)
        var limits = H2Connection.Limits()
        limits.listSize = 1000
        let told = Self.told(Self.start + Self.frame(1, 5, 1, block), limits: limits)
        #expect(told.fault == nil && told.events == ["headTooLarge(stream: 1, isLast: true)"])
    }

    /// The fields of all blocks that were written, and whether each may stand in no table.
    private func sent(_ connection: borrowing H2Connection) throws -> [(line: String, isNeverIndexed: Bool)] {
        var decoder = HPACKDecoder()
        var lines: [(String, Bool)] = []
        var space = [UInt8](repeating: 0, count: 16384)
        var output = connection.output[...]
        while output.count >= 9 {
            let length = Int(output[output.startIndex + 1]) << 8 | Int(output[output.startIndex + 2])
            let (type, payload) = (output[output.startIndex + 3], Array(output.dropFirst(9).prefix(length)))
            output = output.dropFirst(9 + length)
            guard type == 1 else { continue }
            try space.withUnsafeMutableBytes { space in
                var out = ByteWriter(space)
                try payload.withUnsafeBytes { bytes in
                    var block = HPACKDecoder.Block(bytes)
                    while let field = try decoder.next(&block, to: &out) {
                        lines.append((String(decoding: out.written[field.name.first..<field.value.end], as: UTF8.self), field.isNeverIndexed))
                    }
                }
            }
        }
        return lines
    }

    @Test("a secret request leaves with no field that may stand in a table, whatever stands there already")
    func requests() throws {
        var connection = H2Connection(client: .init())
        var space = [UInt8](repeating: 0, count: 8192)
        let (method, path) = (Array("GET".utf8), Array("/a".utf8))
        let lines = Array("Host: a.test\r\nX-A: 1\r\nAccept-Encoding: gzip, deflate\r\nCookie: a=b\r\n".utf8)
        for isSecret in [false, false, false, true, false] {
            let stream = connection.open()!
            connection.clearOutput()
            space.withUnsafeMutableBytes { space in
                var scratch = ByteWriter(space)
                method.withUnsafeBytes { method in
                    path.withUnsafeBytes { path in
                        lines.withUnsafeBytes {
                            connection.writeRequest(
                                method: method, scheme: "https", path: path, $0, isSecret: isSecret, on: stream, isLast: true,
                                scratch: &scratch)
                        }
                    }
                }
            }
            if !isSecret { continue }
            let sent = try sent(connection)
            #expect(sent.map(\.line) == [
                ":method: GET", ":scheme: https", ":path: /a", ":authority: a.test", "x-a: 1", "accept-encoding: gzip, deflate", "cookie: a=b",
            ])
            // Of the scheme it is the gateway who says it.
            #expect(sent.map(\.isNeverIndexed) == [true, false, true, true, true, true, true])
        }
    }

    @Test("so do an answer and trailers")
    func answers() throws {
        for areSecret in [true, false] {
            let told = H2ToldBox()
            _ = Self.told(Self.start + Self.headers(1), then: { connection in
                connection.clearOutput()
                var space = [UInt8](repeating: 0, count: 8192)
                space.withUnsafeMutableBytes { space in
                    var scratch = ByteWriter(space)
                    Array("Server: x\r\nSet-Cookie: a=b\r\n".utf8).withUnsafeBytes {
                        connection.writeFields(status: 200, $0, areSecret: areSecret, on: 1, isLast: false, scratch: &scratch)
                    }
                    Array("x-sum: 1\r\n".utf8).withUnsafeBytes {
                        connection.writeFields(status: nil, $0, areSecret: areSecret, on: 1, isLast: true, scratch: &scratch)
                    }
                }
                told.fields = (try? sent(connection)) ?? []
            })
            #expect(told.fields.map(\.line) == [":status: 200", "server: x", "set-cookie: a=b", "x-sum: 1"])
            #expect(told.fields.map(\.isNeverIndexed) == [areSecret, areSecret, true, areSecret])
        }
    }
}

private final class H2ToldBox {
    var fields: [(line: String, isNeverIndexed: Bool)] = []
}
