import HTTP
import Testing

@Suite struct KeepAliveTests {
    @Test(
        "the timeout of a server's word on its connection",
        arguments: [
            ("timeout=5", 5), ("timeout=5, max=100", 5), ("max=100,Timeout=15", 15), (" max=3 , timeout=0", 0), ("timeout=999999999", 999_999_999),
            ("timeout=1, timeout=2", 1),
        ])
    func timeout(text: String, seconds: UInt64) {
        #expect(Array(text.utf8).withUnsafeBytes { KeepAlive.timeout($0) } == seconds)
    }

    @Test("what says nothing that can be read", arguments: ["", "timeout", "timeout=", "timeout=x", "timeout=-1", "timeout=5s", "timeout=1000000000", "300", "xtimeout=5", ",,,"])
    func nothing(text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { KeepAlive.timeout($0) } == nil)
    }
}
