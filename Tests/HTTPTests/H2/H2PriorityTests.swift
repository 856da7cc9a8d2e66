import Base
import Testing

@testable import HTTP

/// RFC 9218: what a `priority` field says, and PRIORITY_UPDATE in front of its stream, beside it and behind it.
@Suite struct H2PriorityTests: H2Wire {
    private func read(_ field: String) -> String {
        Array(field.utf8).withUnsafeBytes { bytes in
            let priority = H2Priority(field: bytes)
            return "\(priority.urgency)" + (priority.isIncremental ? "i" : "")
        }
    }

    @Test("what a field says")
    func fields() {
        let cases = [
            ("", "3"), ("u=0", "0"), ("u=7, i", "7i"), ("i,u=1", "1i"), ("i=?0", "3"), ("i=?1", "3i"), ("  u=2 ,\t i  ", "2i"), ("u=5;x=1;y, i;z", "5i"),
            ("u=1, u=2", "2"), ("i, i=?0", "3"), ("a=1, u=4, b=(1 2 \"x\");c, d=:YQ==:, e=tok/en:x, f=1.25, g=\"a\\\"b\", h=@12, *k-_.1=-3", "4"),
            // Of another type, or out of its bounds: only that one is not there.
            ("u=8, i", "3i"), ("u=-1", "3"), ("u=1.0", "3"), ("u", "3"), ("u=?1", "3"), ("u=\"1\"", "3"), ("u=(1)", "3"), ("i=1, u=2", "2"), ("u=1, u=9", "3"),
            // No dictionary: nothing of it is there.
            ("u=1,", "3"), ("u=1 i", "3"), ("u=1,,i", "3"), (",u=1", "3"), ("u=", "3"), ("u=1;", "3"), ("U=1", "3"), ("u=1, =2", "3"), ("u=1, i=?2", "3"),
            ("u=1, a=\"", "3"), ("u=1, a=\"\\x\"", "3"), ("u=1, a=(1", "3"), ("u=1, a=(1\"x\")", "3"), ("u=1, a=:x", "3"), ("u=1, a=1.", "3"),
            ("u=1, a=1.2345", "3"), ("u=1, a=1234567890123456", "3"), ("u=1, a=1234567890123.1", "3"), ("u=1, a=-", "3"), ("u=1, a=@1.5", "3"),
            ("u=1, a=\u{e9}", "3"), ("u=1, a= 1", "3"),
        ]
        for (field, priority) in cases { #expect(read(field) == priority, "\(field)") }
    }

    private static func update(_ stream: UInt32, _ field: String = "u=1, i") -> [UInt8] { frame(0x10, 0, 0, word(stream) + Array(field.utf8)) }
    private func told(_ frames: [UInt8]..., limits: H2Connection.Limits = .init()) -> H2Told {
        Self.told(Self.start + frames.flatMap { $0 }, limits: limits)
    }

    private func priority(_ stream: Int, _ urgency: Int, _ isIncremental: Bool) -> String {
        "priority(stream: \(stream), HTTP.H2Priority(urgency: \(urgency), isIncremental: \(isIncremental)))"
    }

    @Test("of streams that are open, of those that will be, and of those that were")
    func updates() {
        let bytes =
            Self.update(3) + Self.update(5, "u=7") + Self.update(3, "u=0") + Self.headers(1, flags: 4) + Self.update(1, "u=2") + Self.headers(5)
            + Self.headers(7) + Self.update(3, "u=6")
        for piece in [Int.max, 1, 7] {
            let told = Self.told(Self.start + bytes, piece: piece)
            #expect(told.fault == nil)
            // Stream 3 was closed by 5 (RFC 9113 section 5.1.1).
            #expect(told.events == ["head 1 29…", priority(1, 2, false), "head 5 29.", priority(5, 7, false), "head 7 29."])
        }
    }

    @Test("what is wrong with one")
    func faults() {
        let cases: [(String, [UInt8], H2Code)] = [
            ("on a stream", Self.headers(1) + Self.frame(0x10, 0, 1, Self.word(1)), .protocolError),
            ("of three bytes", Self.frame(0x10, 0, 0, [0, 0, 1]), .frameSizeError), ("of 0", Self.update(0), .protocolError),
            ("of a push", Self.update(2), .protocolError),
        ]
        for (what, bytes, code) in cases { #expect(told(bytes).fault?.code == code, "\(what)") }
        // Section 7.1: with those that are open no more than there may be.
        var limits = H2Connection.Limits()
        limits.streams = 3
        #expect(told(Self.headers(1), Self.update(3), Self.update(5), Self.update(3), limits: limits).fault == nil)
        #expect(told(Self.headers(1), Self.update(3), Self.update(5), Self.update(7), limits: limits).fault?.code == .protocolError)
        #expect(told((0..<2000).flatMap { _ in Self.update(1) }).fault?.abuse == .priority)
    }

    @Test("a stream that is refused has none")
    func refused() {
        let told = told(Self.update(1), Self.headers(1, [("A", "b")]), Self.headers(3))
        #expect(told.events == ["head 3 29."])
    }
}
