import Base
import Configuration
import Glibc
import Metrics
import Net
import Synchronization

/// Writes the access log on a thread of its own. A slow disk never slows a request: what does not fit into the queue is
/// dropped, and the worker that dropped it counts it.
///
/// A file that is to be opened anew and can't be is tried again by itself. Meanwhile its lines wait in the queue, and the
/// file before it stays open: it gets them rather than nobody, should room run out or the process end.
public final class AccessLogWriter: Sendable {
    /// Bytes that may wait for the disk.
    private static let queueMax = 16 << 20

    private struct State {
        var target = AccessLogSettings.Target.off
        var opensAnew = false
        var queue: [[UInt8]] = []
        var size = 0
        var isStopping = false

        mutating func takeQueue() -> [[UInt8]] {
            defer { (queue, size) = ([], 0) }
            return queue
        }
    }

    private let state = Mutex(State())
    private let wake = Bell()
    private let finished = Bell()
    /// Lines that the disk did not take.
    private let lost = Atomic<UInt64>(0)

    public init() throws(SystemError) {
        try Thread("access-log") { [self] in work() }.detach()
    }

    public func setTarget(_ target: AccessLogSettings.Target) {
        state.withLock { state in
            if state.target != target {
                state.target = target
                state.opensAnew = true
            }
        }
        wake.ring()
    }

    /// Opens the file anew: it was rotated.
    public func reopen() {
        state.withLock { $0.opensAnew = true }
        wake.ring()
    }

    /// Takes whole lines. False when there is no room for them.
    func submit(_ lines: [UInt8]) -> Bool {
        let (taken, first) = state.withLock { state in
            guard state.size + lines.count <= Self.queueMax else { return (false, false) }
            state.queue.append(lines)
            state.size += lines.count
            return (true, state.queue.count == 1)
        }
        if first { wake.ring() }
        return taken
    }

    /// Waits, for a second at the most, until everything is written.
    public func finish() {
        state.withLock { $0.isStopping = true }
        wake.ring()
        finished.wait(atMost: 1_000_000_000)
    }

    /// Lines that the disk did not take since the last call.
    func takeLost() -> UInt64 { lost.exchange(0, ordering: .relaxed) }

    private func work() {
        var file: AccessLogFile?
        var opening = Opening()
        while true {
            wake.wait(atMost: opening.isDue ? Limits.logRetryNanoseconds : .max)
            let (target, opensAnew, queue, stops) = state.withLock { state in
                defer { state.opensAnew = false }
                // What was queued before belongs to the file that is open now.
                return (state.target, state.opensAnew, opening.isDue ? [] : state.takeQueue(), state.isStopping)
            }
            write(queue, to: file)
            if opensAnew { opening.isDue = true }
            // The old one is let go once the new one is there.
            if opening.isDue, opening.tryIt(target, &file) { write(state.withLock { $0.takeQueue() }, to: file) }
            if opening.isDue, stops || file != nil && isCrowded { write(state.withLock { $0.takeQueue() }, to: file) }
            if stops { return finished.ring() }
        }
    }

    private var isCrowded: Bool { state.withLock { $0.size > Self.queueMax / 2 } }

    private func write(_ queue: [[UInt8]], to file: AccessLogFile?) {
        for lines in queue {
            let missing = file.map { $0.append(lines) } ?? AccessLogFile.count(lines[...])
            if missing > 0 { lost.add(missing, ordering: .relaxed) }
        }
    }
}

/// A file to be opened, and what was said about it: once when it fails, and once when it is over.
private struct Opening {
    var isDue = false
    private var failure: String?

    /// Whether `file` is the new one now.
    mutating func tryIt(_ target: AccessLogSettings.Target, _ file: inout AccessLogFile?) -> Bool {
        do throws(SystemError) {
            file = try AccessLogFile.open(target)
            if failure != nil { Self.say("the access log is written again") }
            (isDue, failure) = (false, nil)
            return true
        } catch {
            if failure != error.description { Self.say("\(error); tried again every few seconds") }
            failure = error.description
            return false
        }
    }

    private static func say(_ text: String) {
        let time = unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            var writer = unsafe ByteWriter(room)
            writer.append(rfc3339: Clock.wall())
            return unsafe String(decoding: writer.written, as: UTF8.self)
        }
        let line = Array("\(time) \(text)\n".utf8)
        // All of the array.
        _ = unsafe Glibc.write(2, line, line.count)
    }
}

/// One worker's lines, handed to the writer by the buffer.
@safe final class AccessLogBuffer {
    let logsQuery: Bool
    private let writer: AccessLogWriter
    private let metrics: WorkerMetrics
    /// What `lines` writes to, as long as this lives.
    private let room: UnsafeMutableRawBufferPointer
    private var lines: ByteWriter
    private var count: UInt64 = 0
    private var oldest: UInt64 = .max
    /// A line waits at most this long for others.
    private static let delay: UInt64 = 100_000_000

    init?(_ settings: AccessLogSettings, writer: AccessLogWriter, metrics: WorkerMetrics) {
        if settings.target == .off { return nil }
        (self.writer, self.metrics, logsQuery) = (writer, metrics, settings.query)
        unsafe room = .allocate(byteCount: AccessLogLine.sizeMax + (64 << 10), alignment: 64)
        lines = unsafe ByteWriter(room)
    }

    deinit { unsafe room.deallocate() }

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
        if unsafe !writer.submit(Array(lines.written)) { metrics.logDropped.add(count) }
        lines.removeAll()
        (count, oldest) = (0, .max)
    }
}
