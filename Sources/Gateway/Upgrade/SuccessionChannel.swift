import Base
import CLinux
import Glibc
import Net

/// What a gateway and the one that takes over from it say to each other, over a pair of sockets that nobody else has.
///
///     the one that runs                                      the new one
///     socket, for each listening socket, admin, keys
///     all: its process, its state folder            ──►
///                                                   ◄──      ready: addresses that it has no use for, or failed: why
///     over: lane, ledger and admin listener are free ──►
///
/// Either one may end at any moment, and the other sees the end of the channel.
struct SuccessionChannel: Sendable {
    enum Kind: UInt8 {
        case socket = 0x53
        case admin = 0x41
        case keys = 0x4B
        case all = 0x45
        case ready = 0x52
        case failed = 0x46
        case over = 0x4F
    }

    struct Message {
        var kind: Kind
        var bytes: [UInt8]
        /// The receiver's.
        var descriptor: Int32?

        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    let fd: Int32

    /// Both ends.
    static func pair() throws(SystemError) -> (SuccessionChannel, SuccessionChannel) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError("can't make a pair of sockets") }
        return (SuccessionChannel(fd: ends[0]), SuccessionChannel(fd: ends[1]))
    }

    /// Waits for room until `deadline`, monotonic nanoseconds. The descriptor stays the sender's.
    func send(_ kind: Kind, _ bytes: [UInt8] = [], _ descriptor: Int32? = nil, by deadline: UInt64) throws(SystemError) {
        let message = [kind.rawValue] + bytes.prefix(Limits.successionMessageMax - 1)
        while true {
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            if c_send_with_descriptor(fd, message, message.count, descriptor ?? -1, flags) >= 0 { return }
            guard errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS else { throw SystemError("can't hand over") }
            // So many descriptors are on their way already: the other end takes them.
            if errno == ETOOMANYREFS { usleep(10_000) }
            try wait(for: POLLOUT, by: deadline)
        }
    }

    func send(_ kind: Kind, _ text: String, by deadline: UInt64) throws(SystemError) {
        try send(kind, Array(text.utf8), by: deadline)
    }

    /// The next message, once it is there; nil where the other end is closed. What is not understood is passed over.
    func receive(by deadline: UInt64) throws(SystemError) -> Message? {
        var room = [UInt8](repeating: 0, count: Limits.successionMessageMax)
        while true {
            try wait(for: POLLIN, by: deadline)
            var descriptor: Int32 = -1
            let count = c_receive_with_descriptor(fd, &room, room.count, &descriptor)
            if count == 0 || (count < 0 && errno == ECONNRESET) { return nil }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                throw SystemError("can't be handed anything")
            }
            guard let kind = Kind(rawValue: room[0]) else {
                if descriptor >= 0 { Glibc.close(descriptor) }
                continue
            }
            return Message(kind: kind, bytes: Array(room[1..<count]), descriptor: descriptor >= 0 ? descriptor : nil)
        }
    }

    private func wait(for event: Int32, by deadline: UInt64) throws(SystemError) {
        let now = Clock.monotonic()
        guard now < deadline else { throw SystemError("hand-over", ETIMEDOUT) }
        var asked = pollfd(fd: fd, events: Int16(event), revents: 0)
        poll(&asked, 1, Int32(min((deadline - now) / 1_000_000 + 1, 1000)))
    }

    func close() { Glibc.close(fd) }
}
