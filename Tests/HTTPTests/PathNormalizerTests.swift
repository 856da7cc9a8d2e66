import Testing

@testable import HTTP

@Suite("Paths")
struct PathNormalizerTests {
    private func normalize(_ path: String) -> String? {
        let bytes = Array(path.utf8)
        var out = [UInt8](repeating: 0, count: bytes.count)
        let count = bytes.withUnsafeBytes { path in
            out.withUnsafeMutableBytes { PathNormalizer.normalize(path, into: $0) }
        }
        return count.map { String(decoding: out[..<$0], as: UTF8.self) }
    }

    @Test(
        "equivalent paths have one form",
        arguments: [
            ("/", "/"), ("/a", "/a"), ("/a/", "/a/"), ("/a/b", "/a/b"), ("//", "//"), ("//a", "//a"), ("/a//b", "/a//b"),
            ("/a///", "/a///"), ("/.", "/"), ("/./", "/"), ("/a/.", "/a/"), ("/a/./b", "/a/b"), ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/../b", "/b"), ("/a/b/../c", "/a/c"), ("/a/b/..", "/a/"), ("/a/b/../..", "/"), ("/%61", "/a"),
            ("/%7Euser", "/~user"),
            ("/%2e", "/"), ("/a/%2E%2e/b", "/b"), ("/a/.%2e/b", "/b"), ("/a%2fb", "/a%2Fb"), ("/a%2Fb", "/a%2Fb"),
            ("/%20", "/%20"),
            ("/%c3%a9", "/%C3%A9"), ("/%252e", "/%252e"), ("/...", "/..."), ("/..a", "/..a"), ("/.a", "/.a"),
            ("/a..", "/a.."),
            ("/a.", "/a."), ("/.well-known/x", "/.well-known/x"), ("/a;b", "/a;b"), ("/a%5Cb", "/a%5Cb"),
            ("/a\\b", "/a\\b"),
            ("/%0a", "/%0A"), ("//./a", "//a"), ("*", "*"), ("/a%2F", "/a%2F"),
        ])
    func equivalent(_ path: String, _ normal: String) { #expect(normalize(path) == normal) }

    @Test(
        "what could be read two ways is refused",
        arguments: [
            "", "a", "a/b", "?", "/..", "/../", "/../a", "/a/../..", "/a/../../b", "/%2e%2e", "/%", "/%2", "/%g0",
            "/%0g", "/a%", "/a%4",
            "/%00", "/a%00b", "/a#b", "/a?b", "/a b", "/a\u{1}", "/\u{7F}", "/é", "/a/..%2fb", "/a/%2e%2e%2fb",
            "/a%2f..", "/a%2f../b",
            "/a%2F..%2Fb", "/a/..%5cb", "/a\\..", "/a\\..\\b", "/a/..\\b", "/a%5c..%5cb", "/a/.%2fb", "/a%2f.", "/a\\.",
            "/.%5c",
            "/a/..;/b", "/a/..;x=y/b", "/..;", "/.;/a", "/a/..%3b/b", "/a//../b", "/a/..//b", "//..", "//a/..",
            "/a%2fb/..", "/a%2fb/../c",
            "/a\\b/../c", "/a%5Cb/../c", "**", "%2f",
            "/a/;/../b", "/;/..", "/a/;x=y/../b", "/a/%3b/../b", "/a/../;/b", "/a/%3Bx/../b",
        ])
    func refused(_ path: String) { #expect(normalize(path) == nil) }

    @Test(
        "a normal path is its own normal form, and is told at a glance",
        arguments: [
            "/", "/a", "/a/b.c/d-e_f~g", "/a/b;c=d", "/a:b@c!$&'()*+,=", "/a..b", "/a.", "*",
        ])
    func normal(_ path: String) {
        #expect(Array(path.utf8).withUnsafeBytes { PathNormalizer.isNormal($0) })
        #expect(normalize(path) == path)
    }

    @Test(
        "an unusual path is not told normal",
        arguments: [
            "", "a", "//", "/a//b", "/.", "/..", "/a/.b", "/%61", "/a\\b", "/a b", "/é", "**", "/a?b",
        ])
    func unusual(_ path: String) { #expect(!Array(path.utf8).withUnsafeBytes { PathNormalizer.isNormal($0) }) }

    @Test(
        "the other reading of a path has no parameters, and a slash where somebody takes one for it",
        arguments: [
            ("/", "/"), ("/a", "/a"), ("/a/b", "/a/b"), ("/a/", "/a/"), ("/a;x", "/a"), ("/a;x/b", "/a/b"),
            ("/;x/a", "/a"), ("/;/;/a", "/a"), ("/a;b;c/d;e", "/a/d"), ("/a%2Fb", "/a/b"), ("/a%5Cb", "/a/b"),
            ("/a\\b", "/a/b"), ("/%2Fa", "/a"), ("/\\a", "/a"), ("/a%2F", "/a/"), ("/a%3Bx/b", "/a/b"),
            ("/a;x%2Fb", "/a/b"), ("/a%20b", "/a%20b"), ("/a%2520", "/a%2520"), (";", "/"), ("*", "*"), ("/a;", "/a"),
            ("/a/;x", "/a/"),
        ])
    func otherReading(_ path: String, _ reading: String) {
        let bytes = Array(path.utf8)
        var out = [UInt8](repeating: 0, count: bytes.count)
        let count = bytes.withUnsafeBytes { path in
            out.withUnsafeMutableBytes { PathNormalizer.readLeniently(path, into: $0) }
        }
        #expect(String(decoding: out[..<count], as: UTF8.self) == reading)
        // In place, too.
        var same = bytes
        let again = same.withUnsafeMutableBytes { PathNormalizer.readLeniently(UnsafeRawBufferPointer($0), into: $0) }
        #expect(String(decoding: same[..<again], as: UTF8.self) == reading)
    }

    @Test("what is unusual is seen wherever it stands, and nothing else is")
    func everywhere() {
        for length in [1, 2, 6, 7, 8, 9, 14, 15, 16, 17, 22, 30] {
            for at in 1..<max(length, 2) where at < length {
                for byte in UInt8.min...UInt8.max {
                    var path = [UInt8](repeating: 0x61, count: length)
                    (path[0], path[at]) = (0x2F, byte)
                    let isOdd = byte <= 0x20 || byte >= 0x7F || "%\\?#".utf8.contains(byte)
                    let isPair = at == 1 && (byte == 0x2F || byte == 0x2E)
                    let isNormal = path.withUnsafeBytes { PathNormalizer.isNormal($0) }
                    #expect(isNormal == !(isOdd || isPair), "\(byte) at \(at) of \(length)")
                }
                for pair in ["//", "/."] where at + 1 < length {
                    var path = [UInt8](repeating: 0x61, count: length)
                    path[0] = 0x2F
                    path.replaceSubrange(at...(at + 1), with: pair.utf8)
                    #expect(!path.withUnsafeBytes { PathNormalizer.isNormal($0) }, "\(pair) at \(at) of \(length)")
                }
            }
        }
    }

    @Test("a region without room is not overrun")
    func room() {
        let path = Array("/abc".utf8)
        var out = [UInt8](repeating: 0, count: 3)
        #expect(
            path.withUnsafeBytes { path in out.withUnsafeMutableBytes { PathNormalizer.normalize(path, into: $0) } }
                == nil)
    }
}
