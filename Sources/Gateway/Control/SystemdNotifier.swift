import Base
import Glibc

/// What systemd wants to hear of a `Type=notify-reload` service: datagrams to `$NOTIFY_SOCKET` (sd_notify(3)). Nobody ever
/// waits for systemd: what it does not take now is kept, in order, and told when there is something to tell again.
final class SystemdNotifier {
    private let path: String?
    /// Nanoseconds between two signs of life; nil without `WatchdogSec`.
    let watchdogInterval: UInt64?
    private var untold: [String] = []
    /// Another process is the service.
    private var isMuted = false
    /// Of states, only the latest count.
    private static let untoldMax = 8

    init() {
        path = getenv("NOTIFY_SOCKET").map { String(cString: $0) }
        watchdogInterval = getenv("WATCHDOG_USEC").flatMap { UInt64(String(cString: $0)) }.map { $0 * 1000 / 2 }
    }

    func ready(_ status: String) { tell("READY=1\nSTATUS=\(status)") }
    /// A reload was rejected: what was in force goes on.
    func rejected(_ why: String) { tell("READY=1\nSTATUS=reload rejected: \(why)\nERRNO=\(EINVAL)") }
    func reloading() { tell("RELOADING=1\nMONOTONIC_USEC=\(Clock.monotonic() / 1000)") }
    func stopping() { tell("STOPPING=1") }
    /// That process is the service from now on (`NotifyAccess=main` believes it once this is said), and speaks for it.
    func handOver(to pid: Int32) {
        tell("MAINPID=\(pid)")
        isMuted = true
    }

    /// A sign of life is worth nothing later on: it is not kept.
    func alive() {
        if tellRest(), !isMuted { _ = send("WATCHDOG=1") }
    }

    private func tell(_ message: String) {
        if isMuted { return }
        untold.append(message)
        if untold.count > Self.untoldMax { untold.removeFirst() }
        tellRest()
    }

    /// What is left of earlier messages. False while systemd does not take it.
    @discardableResult
    func tellRest() -> Bool {
        while let next = untold.first {
            guard send(next) else { return false }
            untold.removeFirst()
        }
        return true
    }

    /// False where it has no room for it now; what can't be sent at all is let go.
    private func send(_ message: String) -> Bool {
        guard let path, path.utf8.count < 108 else { return true }
        let fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard fd >= 0 else { return true }
        defer { close(fd) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        // `@` stands for the abstract namespace.
        if bytes.first == 0x40 { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let count = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(fd, message, message.utf8.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
        return count >= 0 || errno != EAGAIN
    }
}
