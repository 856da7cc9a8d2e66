import Base
import CLinux
import Configuration
import Glibc
import Metrics
import Net
import Synchronization

/// Writes the access log on a thread of its own. A slow disk never slows a request: what does not fit into the queue is
/// dropped, and the worker that dropped it counts it.
public final class AccessLogWriter: Sendable {
    /// Bytes that may wait for the disk.
    private static let queueMax = 16 << 20

    private struct State {
        var target = AccessLogSettings.Target.off
        var reopens = false
        var queue: [[UInt8]] = []
        var size = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    private let wake: Int32
    private let finished = Atomic<Bool>(false)
    /// Lines that the disk did not take.
    private let lost = Atomic<UInt64>(0)

    public init() throws(SystemError) {
        wake = eventfd(0, Int32(EFD_CLOEXEC))
        guard wake >= 0 else { throw SystemError("can't make an event") }
        try Thread("access-log") { [self] in work() }.detach()
    }

    public func setTarget(_ target: AccessLogSettings.Target) {
        state.withLock { state in
            if state.target != target {
                state.target = target
                state.reopens = true
            }
        }
        signal()
    }

    /// Opens the file anew: it was rotated.
    public func reopen() {
        state.withLock { $0.reopens = true }
        signal()
    }

    /// Takes whole lines. False when there is no room for them.
    func submit(_ lines: [UInt8]) -> Bool {
        let (taken, first) = state.withLock { state in
            guard state.size + lines.count <= Self.queueMax else { return (false, false) }
            state.queue.append(lines)
            state.size += lines.count
            return (true, state.queue.count == 1)
        }
        if first { signal() }
        return taken
    }

    /// Waits, for a second at the most, until everything is written.
    public func finish() {
        state.withLock { $0.isStopping = true }
        signal()
        for _ in 0..<100 where !finished.load(ordering: .acquiring) { usleep(10_000) }
    }

    /// Lines that the disk did not take since the last call.
    func takeLost() -> UInt64 { lost.exchange(0, ordering: .relaxed) }

    private func signal() {
        var one: UInt64 = 1
        _ = Glibc.write(wake, &one, 8)
    }

    private func work() {
        var fd: Int32 = -1
        while true {
            var count: UInt64 = 0
            _ = read(wake, &count, 8)
            let (target, reopens, queue, stops) = state.withLock { state in
                defer { (state.queue, state.size, state.reopens) = ([], 0, false) }
                return (state.target, state.reopens, state.queue, state.isStopping)
            }
            // What was queued belongs to the file that was open then.
            write(queue, to: fd)
            if reopens {
                if fd > 2 { close(fd) }
                fd = Self.open(target)
                if fd < 0, case .file(let path) = target {
                    let text = "gateway: can't open the access log \(path): \(String(cString: strerror(errno)))\n"
                    _ = Glibc.write(2, text, text.utf8.count)
                }
            }
            if stops {
                finished.store(true, ordering: .releasing)
                return
            }
        }
    }

    private static func open(_ target: AccessLogSettings.Target) -> Int32 {
        switch target {
        case .off: return -1
        case .stdout: return 1
        case .file(let path): return Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
        }
    }

    private func write(_ queue: [[UInt8]], to fd: Int32) {
        for lines in queue {
            var written = 0
            while written < lines.count {
                let count = lines.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + written, lines.count - written) }
                if count < 0, errno == EINTR { continue }
                if count <= 0 { break }
                written += count
            }
            if written < lines.count {
                // A line that was cut is lost as well.
                let missing = lines[written...].reduce(into: UInt64(0)) { $0 += $1 == ASCII.lf ? 1 : 0 }
                lost.add(missing, ordering: .relaxed)
            }
        }
    }
}

/// One worker's lines, handed to the writer by the buffer.
final class AccessLogBuffer {
    let logsQuery: Bool
    private let writer: AccessLogWriter
    private let metrics: WorkerMetrics
    private let room: UnsafeMutableRawBufferPointer
    private var lines: ByteWriter
    private var count: UInt64 = 0
    private var oldest: UInt64 = .max
    /// A line waits at most this long for others.
    private static let delay: UInt64 = 100_000_000

    init?(_ settings: AccessLogSettings, writer: AccessLogWriter, metrics: WorkerMetrics) {
        if settings.target == .off { return nil }
        (self.writer, self.metrics, logsQuery) = (writer, metrics, settings.query)
        room = .allocate(byteCount: AccessLogLine.sizeMax + (64 << 10), alignment: 64)
        lines = ByteWriter(room)
    }

    deinit { room.deallocate() }

    func append(_ line: AccessLogLine, now: UInt64) {
        if !lines.append(accessLog: line) {
            flush(now: .max)
            _ = lines.append(accessLog: line)
        }
        count += 1
        if oldest == .max { oldest = now }
        if lines.count > 64 << 10 { flush(now: .max) }
    }

    func flush(now: UInt64) {
        guard count > 0, now == .max || now &- oldest > Self.delay else { return }
        if !writer.submit(Array(lines.written)) { metrics.logDropped.add(count) }
        lines.removeAll()
        (count, oldest) = (0, .max)
    }
}
