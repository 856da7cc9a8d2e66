import Base
import Configuration
import Glibc
import Net

/// An open access log. A full disk may tear a line, and so may the end of a process: before anything else is written such
/// a line is ended, so that it stands alone and the next one can be read. It is not cut off, for another process may
/// write to the same file.
final class AccessLogFile {
    private let fd: Int32
    /// The last line has no end.
    private var isTorn: Bool

    /// nil where there is nothing to write to.
    static func open(_ target: AccessLogSettings.Target) throws(SystemError) -> AccessLogFile? {
        switch target {
        case .off: return nil
        case .stdout: return AccessLogFile(1)
        case .file(let path):
            // Here and below: a path that lives until the call returns, and rooms as large as is said.
            let fd = unsafe Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o640)
            guard fd >= 0 else { throw SystemError("can't open the access log \(path)") }
            // Of a pipe that nobody reads that is known now, and waited for nowhere; what is written to one waits its turn.
            _ = fcntl(fd, F_SETFL, O_APPEND)
            return AccessLogFile(fd)
        }
    }

    private init(_ fd: Int32) { (self.fd, isTorn) = (fd, Self.endsWithinLine(fd)) }

    deinit { if fd > 2 { close(fd) } }

    /// Where it can't be told it is taken to: an empty line hurts nobody, one glued to another loses both.
    private static func endsWithinLine(_ fd: Int32) -> Bool {
        var status = stat()
        guard unsafe fstat(fd, &status) == 0 else { return true }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 else { return false }
        // Ours is for writing alone.
        let reader = unsafe Glibc.open("/proc/self/fd/\(fd)", O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return true }
        defer { close(reader) }
        var last: UInt8 = 0
        return unsafe pread(reader, &last, 1, status.st_size - 1) != 1 || last != ASCII.lf
    }

    /// Appends whole lines. How many were lost; one that was cut is lost as well.
    func append(_ lines: [UInt8]) -> UInt64 {
        let bytes = isTorn ? [ASCII.lf] + lines : lines
        let written = write(bytes)
        if written > 0 { isTorn = bytes[written - 1] != ASCII.lf }
        return Self.count(bytes[max(written, bytes.count - lines.count)...])
    }

    private func write(_ bytes: [UInt8]) -> Int {
        var written = 0
        while written < bytes.count {
            // What is left of the array.
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(fd, $0.baseAddress! + written, $0.count - written) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            written += count
        }
        return written
    }

    static func count(_ lines: ArraySlice<UInt8>) -> UInt64 { lines.reduce(0) { $0 + ($1 == ASCII.lf ? 1 : 0) } }
}
