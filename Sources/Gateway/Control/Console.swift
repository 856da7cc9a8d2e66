import Base
import Glibc
import Synchronization

/// A number and what is counted: `1 tenant`, `2 tenants`.
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// What the process says to its terminal or journal.
public enum Console {
    public static func out(_ text: String) { write(1, text + "\n") }
    public static func error(_ text: String) { write(2, text + "\n") }

    /// An event of a running gateway: with the time, to standard error. Nobody waits for a terminal that is stopped or a
    /// pipe that is not read: then it is let go, and how many were is said later.
    static func log(_ text: String) {
        let time = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            var writer = ByteWriter(room)
            writer.append(rfc3339: Clock.wall())
            return String(decoding: writer.written, as: UTF8.self)
        }
        let before = lost.exchange(0, ordering: .relaxed)
        let note = before > 0 ? "\(time) \(before) events were not taken by whoever reads this\n" : ""
        // Of an event of several lines each has the time: whoever reads lines need not know which belong together.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { "\(time) \($0)\n" }.joined()
        if !offer(2, note + lines) { lost.add(before + 1, ordering: .relaxed) }
    }

    private static let lost = Atomic<Int>(0)
    /// So much fits, or a pipe is not ready to be written to (pipe(7), PIPE_BUF).
    private static let pieceSize = 4096

    /// Writes as much as is taken at once. False when that is nothing.
    private static func offer(_ fd: Int32, _ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var written = 0
            while written < bytes.count {
                var asked = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
                guard poll(&asked, 1, 0) > 0 else { break }
                let count = Glibc.write(fd, bytes.baseAddress! + written, min(bytes.count - written, pieceSize))
                if count < 0, errno == EINTR { continue }
                if count <= 0 { break }
                written += count
            }
            return written > 0
        }
    }

    private static func write(_ fd: Int32, _ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var written = 0
            while written < bytes.count {
                let count = Glibc.write(fd, bytes.baseAddress! + written, bytes.count - written)
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return }
                written += count
            }
        }
    }
}
