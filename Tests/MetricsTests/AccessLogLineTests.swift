import Base
import Foundation
import Metrics
import Testing

@Suite("the access log's line")
struct AccessLogLineTests {
    private static let time: UInt64 = 1_795_435_200_123_456_789

    /// The line with `texts` (by the names of the contract) set; other fields through `change`.
    private func line(
        _ texts: [String: [UInt8]] = [:], room: Int = AccessLogLine.sizeMax, _ change: (inout AccessLogLine) -> Void = { _ in }
    ) -> String? {
        let region = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        defer { region.deallocate() }
        var owned: [UnsafeMutableRawBufferPointer] = []
        defer { for memory in owned { memory.deallocate() } }
        func text(_ name: String) -> UnsafeRawBufferPointer? {
            guard let bytes = texts[name] else { return nil }
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            memory.copyBytes(from: bytes)
            owned.append(memory)
            return UnsafeRawBufferPointer(memory)
        }
        var line = AccessLogLine(time: Self.time)
        line.requestID = text("request_id")
        line.tenant = text("tenant")
        line.key = text("key")
        line.client = text("client")
        line.method = text("method")
        line.host = text("host")
        line.path = text("path")
        line.protocol = text("protocol")
        line.upstream = text("upstream")
        line.tls = text("tls")
        line.traceID = text("trace_id")
        change(&line)
        var writer = ByteWriter(region)
        writer.append("#")
        let fitted = writer.append(accessLog: line)
        let written = String(decoding: writer.written, as: UTF8.self)
        #expect(written.hasPrefix("#") && !writer.overflowed)
        if !fitted { #expect(written == "#") }
        return fitted ? String(written.dropFirst()) : nil
    }

    @Test("all fields, in the contract's order")
    func full() {
        let texts = [
            "request_id": "01J", "tenant": "acme", "key": "ci", "client": "192.0.2.1", "method": "GET",
            "host": "acme.example.test", "path": "/a/b", "protocol": "HTTP/1.1", "upstream": "127.0.0.1:9101",
            "tls": "TLSv1.3", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        ].mapValues { Array($0.utf8) }
        let text = line(texts) { line in
            line.status = 200
            line.requestBytes = 12
            line.responseBytes = 34_567
            line.duration = 12_345_678
            line.upstreamDuration = 9_000_999
            line.attempts = 1
        }
        #expect(
            text == """
                {"time":"2026-11-23T12:00:00.123Z","request_id":"01J","tenant":"acme","key":"ci","client":"192.0.2.1",\
                "method":"GET","host":"acme.example.test","path":"/a/b","protocol":"HTTP/1.1","status":200,"refused":null,\
                "request_bytes":12,"response_bytes":34567,"duration_ms":12.345,"upstream":"127.0.0.1:9101",\
                "upstream_ms":9.000,"attempts":1,"tls":"TLSv1.3","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}

                """)
    }

    @Test("absent values are null, a refusal has its name")
    func absent() {
        #expect(
            line { $0.refused = .headersTooLarge } == """
                {"time":"2026-11-23T12:00:00.123Z","request_id":null,"tenant":null,"key":null,"client":null,"method":null,\
                "host":null,"path":null,"protocol":null,"status":null,"refused":"headers-too-large","request_bytes":0,\
                "response_bytes":0,"duration_ms":0.000,"upstream":null,"upstream_ms":null,"attempts":0,"tls":null,\
                "trace_id":null}

                """)
    }

    @Test(
        "milliseconds have three decimals, without rounding and without floating point",
        arguments: [
            (0, "0.000"), (999, "0.000"), (1_000, "0.001"), (999_999, "0.999"), (1_000_000, "1.000"),
            (59_012_345_678, "59012.345"), (UInt64.max, "18446744073709.551"),
        ])
    func milliseconds(_ nanoseconds: UInt64, _ expected: String) {
        #expect(line { $0.duration = nanoseconds }?.contains(",\"duration_ms\":\(expected),") == true)
    }

    @Test("what a stranger sent cannot end the line or forge a field")
    func hostile() throws {
        let bytes = Array("\"}\n{\"tenant\":\"globex\r\u{1B}[31m".utf8) + [0xFF, 0x00]
        let text = try #require(line(["path": bytes, "host": bytes, "method": bytes]))
        #expect(text.utf8.filter { $0 == 0x0A }.count == 1)
        #expect(text.utf8.allSatisfy { $0 == 0x0A || $0 >= 0x20 })
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object.count == 19)
        #expect(object["path"] as? String == "\"}\n{\"tenant\":\"globex\r\u{1B}[31m\u{FFFD}\0")
        #expect(object["tenant"] is NSNull)
    }

    @Test("long texts are cut between characters and say so; any line fits the room that sizeMax names")
    func long() throws {
        let names = ["request_id", "tenant", "key", "client", "method", "host", "path", "protocol", "upstream", "tls", "trace_id"]
        let controls = Dictionary(uniqueKeysWithValues: names.map { ($0, [UInt8](repeating: 1, count: 70_000)) })
        let worst = try #require(
            line(controls) { line in
                (line.requestBytes, line.responseBytes, line.duration, line.upstreamDuration) = (.max, .max, .max, .max)
                (line.status, line.attempts, line.refused) = (.max, .max, .concurrencyLimited)
            })
        #expect(try JSONSerialization.jsonObject(with: Data(worst.utf8)) is [String: Any])
        let text = try #require(line(["host": Array((String(repeating: "x", count: 255) + "é").utf8)]))
        #expect(text.contains("\"host\":\"" + String(repeating: "x", count: 255) + "…\","))
        let fits = try #require(line(["host": Array(String(repeating: "x", count: 256).utf8)]))
        #expect(fits.contains(String(repeating: "x", count: 256) + "\","))
    }

    @Test("a line is taken whole or not at all, and never touches what lies behind its room")
    func room() throws {
        let texts = ["path": Array("/quoted\"/é\u{1}".utf8), "tenant": Array("acme".utf8), "tls": [1, 2, 3]]
        let whole = try #require(line(texts))
        var taken = 0
        for room in 1...2048 {
            // `line` writes one byte before, and the region ends where its allocation ends: a sanitizer would see more.
            guard let text = line(texts, room: room) else { continue }
            #expect(text == whole)
            taken += 1
        }
        #expect(taken > 500)
    }
}
