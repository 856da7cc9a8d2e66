import Configuration
import Testing

@Suite struct TextTests {
    private let good =
        "listen 8080;\nupstream app {\n\tserver 10.0.0.1:80;\n}\ntenant a { host a.test; upstream app; } # end\n"

    @Test("CRLF line ends, a byte order mark and a missing last line end change nothing")
    func lineEnds() throws {
        let expected = try describe(#require(load(good).settings))
        let crlf = [UInt8](good.utf8).flatMap { $0 == 0x0A ? [0x0D, 0x0A] : [$0] }
        for bytes in [crlf, [0xEF, 0xBB, 0xBF] + crlf, Array(crlf.dropLast(2)), Array(good.utf8.dropLast(1))] {
            #expect(try describe(#require(load(bytes).settings)) == expected)
        }
    }

    @Test("a location behind CRLF and a byte order mark is the one an editor shows, and neither is printed")
    func locations() {
        let loaded = load([0xEF, 0xBB, 0xBF] + Array("workers x;\r\n\r\nlisten 80;\r\nstate;\r\n".utf8))
        #expect(
            loaded.renderAll() == """
                gateway.conf:1:9: error: `x` is not a number or `auto`
                  workers x;
                          ^
                gateway.conf:4:1: error: `state` needs PATH
                  state;
                  ^~~~~ write `state PATH;`
                """)
    }

    @Test("bytes that are not UTF-8 are refused once a word, and tolerated in comments")
    func notUTF8() {
        let loaded = load(
            Array("listen 80; # ".utf8) + [0xFF, 0xE9, 0x0A] + Array("state a".utf8) + [0xE9, 0xFF]
                + Array("; wrkers 4;".utf8))
        #expect(loaded.diagnostics.map(\.message) == ["this is not UTF-8 text", "`wrkers` is not a directive"])
    }

    @Test("no more than a thousand findings are kept, and the rest are counted")
    func flood() {
        let loaded = load("listen 80;\n" + String(repeating: "x;\n", count: 5000))
        #expect(loaded.diagnostics.count == 1000 && loaded.omitted == 4000 && loaded.settings == nil)
        #expect(loaded.renderAll().hasSuffix("\n... and 4000 more"))
    }

    @Test("a finding of a later phase is shown by its location, and a wrong location does not trap")
    func laterPhases() throws {
        let loaded = load("listen 443 tls {\n    certificate a.crt a.key;\n}\n")
        let certificate = try #require(loaded.settings?.hot.listeners[0].tls?.certificates[0])
        let said = Diagnostic(at: certificate.location, length: 11, "the key is another certificate's")
        #expect(
            loaded.render(said) == """
                gateway.conf:2:17: error: the key is another certificate's
                      certificate a.crt a.key;
                                  ^~~~~~~~~~~
                """)
        for location in [(-1, 1, 1), (9, 1, 1), (0, 0, 0), (0, 1, 500), (0, 99, 1), (0, 1, -4), (0, 4, 1)] {
            let wrong = Location(file: location.0, line: location.1, column: location.2)
            #expect(loaded.render(Diagnostic(at: wrong, length: .max, "x")).contains("error: x"))
        }
    }

    @Test("a file that can't be read is the one finding")
    func unreadable() {
        let loaded = ConfigurationLoader.load("no/such.conf", from: source([:]))
        #expect(loaded.renderAll() == "no/such.conf:1:1: error: can't read `no/such.conf`: no such file")
        #expect(loaded.settings == nil)
    }

    @Test(
        "relative paths start at the folder of the file they stand in",
        arguments: [
            ("gateway.conf", "state"), ("./gateway.conf", "state"), ("/etc/gateway/gateway.conf", "/etc/gateway/state"),
            ("/gateway.conf", "/state"), ("a/../b/gateway.conf", "a/../b/state"), ("../gateway.conf", "../state"),
        ])
    func folders(_ path: String, _ state: String) {
        for text in ["listen 80;", "listen 80; state state;", "listen 80; state ./state/;"] {
            let loaded = ConfigurationLoader.load(path, from: source([path: Array(text.utf8)]))
            #expect(loaded.settings?.cold.state == state)
        }
    }

    @Test("a folder named like a pattern does not become one")
    func patternFolder() {
        let asked = ConfigurationSource(
            read: {
                $0 == "/etc/a[1]/b.conf" ? .success(Array("listen 80; include t/*.conf;".utf8)) : .failure(.notFound)
            },
            glob: { $0 == "/etc/a\\[1]/t/*.conf" ? [] : ["wrong"] })
        #expect(ConfigurationLoader.load("/etc/a[1]/b.conf", from: asked).renderAll() == "")
    }
}
