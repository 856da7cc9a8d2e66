import Base
import HTTP
import Testing

@testable import Configuration
@testable import Tenancy

@Suite struct OwnAnswerTests {
    /// What a route answers to a request for a target.
    private func written(_ settings: OwnAnswerSettings, _ target: String, host: String = "a.test", room: Int = 512) -> String? {
        let memory = RecordMemory()
        let own = OwnAnswer(record: OwnAnswer.make(settings, in: memory))
        var text = "OPTIONS \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n"
        return withExtendedLifetime(memory) {
            text.withUTF8 { bytes in
                var head = RequestHead(maxFields: 4)
                var scanned = 0
                let limits = ParseLimits(maxHeadSize: 4096, maxFields: 4)
                #expect(head.parse(UnsafeRawBufferPointer(bytes), from: &scanned, limits: limits) == .complete)
                return withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) { room in
                    var out = ByteWriter(room)
                    own.write(for: head, tenant: "acme", to: &out)
                    return out.overflowed ? nil : String(decoding: out.written, as: UTF8.self)
                }
            }
        }
    }

    private func redirected(_ template: String, _ target: String, host: String = "a.test") throws -> String? {
        guard case .text(let text) = try OwnAnswerValues.target(template) else { return nil }
        return written(.redirect(status: 308, to: try RequestTemplate(text)), target, host: host)
    }

    @Test("a redirect leads where its template says, with the request's own parts")
    func redirects() throws {
        #expect(try redirected("https://docs.test{path}", "/a/%2Fb?c") == "https://docs.test/a/%2Fb")
        #expect(try redirected("https://docs.test{path}?{query}", "/a?b=c&d") == "https://docs.test/a?b=c&d")
        #expect(try redirected("https://docs.test{path}?{query}", "/a") == "https://docs.test/a", "no query, and no ? either")
        #expect(try redirected("https://docs.test/?from={query}", "/a?b") == "https://docs.test/?from=b")
        #expect(try redirected("https://{tenant}.test{path}", "*") == "https://acme.test/")
        #expect(try redirected("https://{host}:8443{path}", "/", host: "A.test:8080") == "https://A.test:8443/")
        #expect(try redirected("https://{host}{path}", "/", host: "[::1]:80") == "https://[::1]/")
        #expect(try redirected("https://{host}{path}", "/", host: "a.test:") == "https://a.test/")
        #expect(try redirected("?{query}&x", "/a?b") == "?b&x")
    }

    @Test("nobody outside sends a client to another host")
    func stays() throws {
        for path in ["//evil.test", "///evil.test/", "/\\evil.test", "//evil.test//x"] {
            for template in ["{path}", "/{path}", "{path}?{query}"] {
                let location = try #require(try redirected(template, path))
                #expect(location.hasPrefix("/") && !location.hasPrefix("//") && !location.contains("\\"), "\(template): \(location)")
            }
            #expect(try redirected("https://docs.test{path}", path)?.hasPrefix("https://docs.test/") == true)
        }
        #expect(try redirected("{path}", "//a//b") == "/a//b", "what stands behind the first segment stays")
    }

    @Test("a text has the request's parts in it, and nothing of them is read as text of a page")
    func texts() throws {
        func answer(_ text: String, _ target: String) throws -> String? {
            written(.respond(status: 200, type: "text/html", text: try RequestTemplate(text)), target)
        }
        #expect(try answer("{tenant} on {host}: {path}?{query}", "/x?y=1") == "acme on a.test: /x?y=1")
        #expect(try answer("<a href='{path}'>", "/<script>'\"") == "<a href='/%3Cscript%3E%27%22'>")
        #expect(try answer("\u{1}path} {\"a\": {}}", "/") == "{path} {\"a\": {}}")
        #expect(throws: (any Error).self) { try RequestTemplate("{pth}") }
    }

    @Test("what has no room is no answer")
    func room() throws {
        let long = "/" + String(repeating: "a", count: 300)
        #expect(written(.respond(status: 200, type: "a/b", text: try RequestTemplate("{path}")), long, room: 301) == long)
        #expect(written(.respond(status: 200, type: "a/b", text: try RequestTemplate("{path}")), long, room: 300) == nil)
        #expect(written(.redirect(status: 308, to: try RequestTemplate("{path}")), "/" + long, room: 64) == nil)
    }
}

@Suite struct PlannedFaultTests {
    private func shares(_ settings: FaultSettings) -> (delay: Int, abort: Int, both: Int) {
        let memory = RecordMemory()
        return withExtendedLifetime(memory) {
            let faults = PlannedFaults(record: PlannedFaults.make(settings, in: memory))
            let drawn = (0..<UInt64(10_000)).map { faults.draw($0) }
            return (drawn.count { $0.contains(.delay) }, drawn.count { $0.contains(.abort) }, drawn.count { $0 == [.delay, .abort] })
        }
    }

    @Test("each fault has its share, whatever the other one has")
    func shares() {
        var settings = FaultSettings()
        settings.delay = FaultSettings.Delay(time: 1, share: 10)
        settings.abort = FaultSettings.Abort(status: 503, share: 25)
        #expect(shares(settings) == (1000, 2500, 250))
        settings.delay?.share = 100
        settings.abort = nil
        #expect(shares(settings) == (10_000, 0, 0))
        #expect(Faults([.delay, .abort]).name?.description == "delay,abort" && Faults().name == nil)
    }
}
