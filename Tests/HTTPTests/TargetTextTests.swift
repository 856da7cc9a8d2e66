import Base
import Testing

@testable import HTTP

@Suite struct TargetTextTests {
    private func written(_ write: (inout ByteWriter) -> Void) -> String {
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { room in
            var out = ByteWriter(room)
            write(&out)
            return String(decoding: out.written, as: UTF8.self)
        }
    }

    private func escaped(_ text: String, keepsQuotes: Bool = true) -> String {
        var text = text
        return text.withUTF8 { bytes in written { $0.append(uri: UnsafeRawBufferPointer(bytes), keepsQuotes: keepsQuotes) } }
    }

    @Test("what a URI holds stays as it was received, and nothing else does")
    func uri() {
        let held = "/a-b._~:@!$&'()*+,;=/%2F%zz?x[]#"
        #expect(escaped(held) == held)
        #expect(escaped("<\">\\^`{|} \u{7F}\r\n\u{0}é") == "%3C%22%3E%5C%5E%60%7B%7C%7D%20%7F%0D%0A%00%C3%A9")
        #expect(escaped("'a'", keepsQuotes: false) == "%27a%27")
    }

    @Test("path and query of each form of a target")
    func parts() {
        for (target, path, query) in [
            ("/a/b?c=d?e", "/a/b", "c=d?e"), ("/a", "/a", ""), ("/?", "/", ""), ("http://a.test", "/", ""),
            ("http://a.test?x=1", "/", "x=1"), ("http://a.test/b?", "/b", ""), ("*", "/", ""),
        ] {
            var text = "OPTIONS \(target) HTTP/1.1\r\nHost: a.test\r\n\r\n"
            text.withUTF8 { bytes in
                var head = RequestHead(maxFields: 4)
                var scanned = 0
                let outcome = head.parse(UnsafeRawBufferPointer(bytes), from: &scanned, limits: ParseLimits(maxHeadSize: 512, maxFields: 4))
                #expect(outcome == .complete, "\(target)")
                #expect(head.pathOrRoot.elementsEqual(path.utf8), "\(target)")
                #expect(head.query.elementsEqual(query.utf8), "\(target)")
            }
        }
    }

    @Test("an IPv6 address stands in brackets")
    func authority() {
        for (host, text) in [("a.test", "a.test"), ("::1", "[::1]")] {
            var host = host
            #expect(host.withUTF8 { bytes in written { $0.append(authority: UnsafeRawBufferPointer(bytes)) } } == text)
        }
    }
}
