import Base
import Glibc
import Testing

@testable import Gateway

@Suite("Succession")
struct SuccessionTests {
    private var soon: UInt64 { Clock.monotonic() + 2_000_000_000 }

    @Test("messages come whole and in order, with their descriptors, and what is not understood is passed over")
    func messages() throws {
        let (ours, theirs) = try SuccessionChannel.pair()
        let file = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { for fd in [theirs.fd, file] { close(fd) } }
        try ours.send(.socket, [], file, by: soon)
        #expect(write(ours.fd, "?", 1) == 1)
        try ours.send(.all, "7\n/state", by: soon)
        let first = try #require(try theirs.receive(by: soon))
        let given = try #require(first.descriptor)
        #expect(first.kind == .socket && first.bytes.isEmpty && given != file)
        #expect(fcntl(given, F_GETFD) & FD_CLOEXEC != 0)
        close(given)
        let second = try #require(try theirs.receive(by: soon))
        #expect(second.kind == .all && second.text == "7\n/state" && second.descriptor == nil)
        ours.close()
        #expect(try theirs.receive(by: soon) == nil)
        #expect(throws: (any Error).self) { try theirs.send(.ready, by: soon) }
    }

    @Test("nobody waits for longer than was said, neither for a word nor for room")
    func patience() throws {
        let (ours, theirs) = try SuccessionChannel.pair()
        defer { for fd in [ours.fd, theirs.fd] { close(fd) } }
        let began = Clock.monotonic()
        #expect(throws: (any Error).self) { try ours.receive(by: began + 20_000_000) }
        #expect(throws: (any Error).self) {
            while true { try ours.send(.failed, [UInt8](repeating: 0, count: 1 << 20), by: began + 40_000_000) }
        }
        #expect(Clock.monotonic() - began < 1_500_000_000)
    }

    @Test("a child's end is told as it was, and nobody is signalled after it")
    func children() throws {
        #expect(ChildProcess.describe(try ChildProcess(["/bin/sh", "-c", "exit 3"]).wait()) == "it ended with 3")
        let endless = try ChildProcess(["/bin/sh", "-c", "kill -STOP $$"])
        #expect(endless.reap() == nil)
        #expect(ChildProcess.describe(endless.end(within: 0)) == "it was ended by signal 9")
        #expect(endless.wait() == nil)
        endless.kill()
        #expect(throws: (any Error).self) { try ChildProcess(["/nowhere/gateway"]) }
    }
}
