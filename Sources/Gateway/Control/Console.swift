import Base
import Glibc

/// What the process says to its terminal or journal.
public enum Console {
    public static func out(_ text: String) { write(1, text + "\n") }
    public static func error(_ text: String) { write(2, text + "\n") }

    /// An event of a running gateway: with the time, to standard error.
    static func log(_ text: String) {
        let time = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            var writer = ByteWriter(room)
            writer.append(rfc3339: Clock.wall())
            return String(decoding: writer.written, as: UTF8.self)
        }
        error("\(time) \(text)")
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
