import Glibc
import Testing

@testable import Net

@Suite struct SocketTests {
    /// Two ends that are connected.
    private func pair() -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        return (ends[0], ends[1])
    }

    @Test("a connection is quiet until something has come: bytes, which stay there, or its end")
    func quiet() {
        let (one, other) = pair()
        defer { close(one) }
        #expect(Socket.isQuiet(one))
        var byte: UInt8 = 7
        #expect(write(other, &byte, 1) == 1)
        #expect(!Socket.isQuiet(one) && !Socket.isQuiet(one))
        #expect(read(one, &byte, 1) == 1 && Socket.isQuiet(one))
        close(other)
        #expect(!Socket.isQuiet(one))
    }
}
