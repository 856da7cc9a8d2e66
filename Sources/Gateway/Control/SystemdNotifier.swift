import Base
import Glibc

/// What systemd wants to hear of a `Type=notify-reload` service: datagrams to `$NOTIFY_SOCKET` (sd_notify(3)).
struct SystemdNotifier: Sendable {
    private let path: String?
    /// Nanoseconds between two signs of life; nil without `WatchdogSec`.
    let watchdogInterval: UInt64?

    init() {
        path = getenv("NOTIFY_SOCKET").map { String(cString: $0) }
        watchdogInterval = getenv("WATCHDOG_USEC").flatMap { UInt64(String(cString: $0)) }.map { $0 * 1000 / 2 }
    }

    func ready(_ status: String) { send("READY=1\nSTATUS=\(status)") }
    func reloading() { send("RELOADING=1\nMONOTONIC_USEC=\(Clock.monotonic() / 1000)") }
    func stopping() { send("STOPPING=1") }
    func alive() { send("WATCHDOG=1") }

    private func send(_ message: String) {
        guard let path, path.utf8.count < 108 else { return }
        let fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { return }
        defer { close(fd) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        // `@` stands for the abstract namespace.
        if bytes.first == 0x40 { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(fd, message, message.utf8.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }
}
