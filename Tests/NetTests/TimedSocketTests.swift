import Base
import Glibc
import Testing

@testable import Net

private let millisecond: UInt64 = 1_000_000

@Suite struct TimedSocketTests {
    /// A listener on a port of the kernel's choice, and its address.
    private func listen() throws -> (fd: Int32, address: SocketAddress) {
        let fd = try Socket.listen(SocketAddress("127.0.0.1", port: 0)!, sharesPort: false)
        return (fd, try #require(Socket.localAddress(fd)))
    }

    private func elapsed(_ body: () -> Void) -> UInt64 {
        let began = Clock.monotonic()
        body()
        return Clock.monotonic() - began
    }

    private func room<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { room.deallocate() }
        return try body(room)
    }

    @Test("silence ends at the deadline")
    func silence() throws {
        let (fd, address) = try listen()
        defer { close(fd) }
        let deadline = Clock.monotonic() + 100 * millisecond
        let socket = try TimedSocket(address, connected: .max, deadline: deadline)
        let taken = elapsed { #expect(throws: TimedSocket.Failure.late) { try room { try socket.receive(into: $0) } } }
        #expect(taken > 50 * millisecond && taken < 1000 * millisecond)
    }

    @Test("a byte now and then moves no deadline, nor does a flood")
    func dribble() throws {
        let (fd, address) = try listen()
        defer { close(fd) }
        for pause: UInt32 in [5_000, 0] {
            let socket = try TimedSocket(address, connected: .max, deadline: Clock.monotonic() + 100 * millisecond)
            let peer = try #require(Socket.accept(fd)?.fd)
            let thread = try Thread("dribble") {
                for _ in 0..<(pause == 0 ? 1_000_000 : 200) {
                    if send(peer, "x", 1, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) < 0, errno != EAGAIN { break }
                    if pause > 0 { usleep(pause) }
                }
                close(peer)
            }
            let taken = elapsed {
                #expect(throws: TimedSocket.Failure.late) {
                    try room { room in while try socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: room[..<1])) > 0 {} }
                }
            }
            #expect(taken < 600 * millisecond)
            shutdown(socket.fd, Int32(SHUT_RDWR))
            thread.join()
        }
    }

    @Test("who does not read is sent nothing after the deadline")
    func congestion() throws {
        let (fd, address) = try listen()
        defer { close(fd) }
        let socket = try TimedSocket(address, connected: .max, deadline: Clock.monotonic() + 100 * millisecond)
        let bytes = [UInt8](repeating: 0x78, count: 64 << 20)
        let taken = elapsed { #expect(throws: TimedSocket.Failure.late) { try socket.send(bytes) } }
        #expect(taken < 1000 * millisecond)
    }

    @Test("nobody there is said as it is")
    func refused() throws {
        let (fd, address) = try listen()
        close(fd)
        #expect(throws: TimedSocket.Failure.failed(call: "connect", code: ECONNREFUSED)) {
            try TimedSocket(address, connected: .max, deadline: Clock.monotonic() + 1000 * millisecond)
        }
    }
}
