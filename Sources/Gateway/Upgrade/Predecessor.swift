import Base
import Crypto
import Glibc
import Net
import Proxy

/// The gateway that this process takes over from, and what it was given by it.
final class Predecessor {
    /// Where its end of the channel is when this process starts.
    static let descriptor: Int32 = 3
    /// What `gateway run` is started with.
    static let option = "--take-over"

    let pid: Int32
    /// The folder under which it keeps its state.
    private let state: String
    private let channel: SuccessionChannel
    private(set) var sockets: InheritedSockets
    private var admin: (address: SocketAddress?, fd: Int32)?
    private var untaken: [SocketAddress] = []
    private var watch: Watch?

    /// Takes all that it gives, and waits for that. The connections of its clients are not among it: it serves them itself.
    init() throws(StartFailure) {
        channel = SuccessionChannel(fd: Self.descriptor)
        _ = fcntl(Self.descriptor, F_SETFD, FD_CLOEXEC)
        var descriptors: [Int32] = []
        let deadline = Clock.monotonic() + Limits.upgradeNanoseconds
        do throws(SystemError) {
            while let message = try channel.receive(by: deadline) {
                switch message.kind {
                case .socket: if let fd = message.descriptor { descriptors.append(fd) }
                case .admin: if let fd = message.descriptor { admin = (Socket.localAddress(fd), fd) }
                case .keys:
                    let words = stride(from: 0, to: message.bytes.count - 7, by: 8).map { at in
                        (0..<8).reduce(UInt64(0)) { $0 | UInt64(message.bytes[at + $1]) << ($1 * 8) }
                    }
                    if !SessionTickets.adopt(words) { Console.log("upgrade: sessions of clients are not resumed: no such keys") }
                case .all:
                    let lines = message.text.split(separator: "\n", maxSplits: 1).map(String.init)
                    guard lines.count == 2, let pid = Int32(lines[0]) else { break }
                    (self.pid, state, sockets) = (pid, lines[1], InheritedSockets(handedOver: descriptors))
                    return
                case .ready, .failed, .over: break
                }
            }
        } catch {
            throw StartFailure(description: "gateway: \(Self.option) is for `gateway upgrade` alone: \(error)")
        }
        throw StartFailure(description: "gateway: the gateway before this one has ended before it handed over")
    }

    /// Meters, ledger and token are under the folder of its state: with another one nothing could be taken over.
    func expect(state: String) throws(StartFailure) {
        if Program.areSame(state, self.state) { return }
        throw StartFailure(
            description: "gateway: `state` is \(state), and the gateway that runs has \(self.state): that takes a stop and a start")
    }

    /// Takes listening sockets out of what was given, and lets go of the rest.
    func take<R>(_ body: (inout InheritedSockets) throws(ListenerSockets.Failure) -> R) throws(ListenerSockets.Failure) -> R {
        defer {
            untaken = sockets.addresses
            sockets.closeRest()
        }
        return try body(&sockets)
    }

    /// Whether the admin listener's socket was given, of this address.
    func hasAdmin(_ address: SocketAddress?) -> Bool { admin != nil && admin?.address == address }

    /// That socket, or nil where it has another address; then it is let go.
    func takeAdmin(_ address: SocketAddress?) -> Int32? {
        guard let (given, fd) = admin else { return nil }
        admin = nil
        if given == address { return fd }
        close(fd)
        return nil
    }

    /// It can't be taken over from.
    func tell(failure: String) { try? channel.send(.failed, failure, by: Clock.monotonic() + 1_000_000_000) }

    /// All connections are accepted here from now on. Calls `over` once lane and ledger are free, or the process has ended.
    func tellReady(on loop: EventLoop, over: @escaping (_ hasEnded: Bool) -> Void) {
        let lines = untaken.map(\.description).joined(separator: "\n")
        let watch = Watch(loop: loop, channel: channel) { hasEnded in over(hasEnded) }
        self.watch = watch
        do throws(SystemError) {
            try channel.send(.ready, lines, by: Clock.monotonic() + 1_000_000_000)
            guard loop.add(watch) else { throw SystemError("can't watch") }
        } catch { watch.end(true) }
    }

    /// Hears the channel's last word.
    private final class Watch: Source {
        private let channel: SuccessionChannel
        private let over: (Bool) -> Void

        init(loop: EventLoop, channel: SuccessionChannel, over: @escaping (Bool) -> Void) {
            (self.channel, self.over) = (channel, over)
            super.init(loop: loop, fd: channel.fd, flow: loop.commonFlow)
        }

        override func ready(_ events: Readiness) {
            if events.isDisjoint(with: [.readable, .hungUp, .peerFinished, .failed]) { return }
            let message = try? channel.receive(by: Clock.monotonic() + 100_000_000)
            end(message?.kind != .over)
        }

        func end(_ hasEnded: Bool) {
            if isClosed { return }
            loop.close(self)
            over(hasEnded)
        }
    }
}
