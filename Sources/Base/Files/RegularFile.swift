#if canImport(Glibc)
    import Glibc
#endif

/// Files that somebody names, read whole. What is no regular file is refused at once: for a pipe's other end one would wait,
/// and a device may have no end.
public enum RegularFile {
    public enum Fault: Error, Equatable, CustomStringConvertible {
        /// A system call failed, with its `errno`.
        case system(Int32)
        case folder
        case pipe
        case device
        case socket
        /// It has more bytes than this.
        case tooLarge(Int)

        public var description: String {
            switch self {
            case .system(let code): unsafe String(cString: strerror(code))
            case .folder: "it is a folder"
            case .pipe: "it is a pipe, not a file"
            case .device: "it is a device, not a file"
            case .socket: "it is a socket, not a file"
            case .tooLarge(let size): "it is larger than \(size >> 20) MiB"
            }
        }

        /// The nearest `errno`.
        public var code: Int32 {
            switch self {
            case .system(let code): code
            case .folder: EISDIR
            case .pipe, .device, .socket: EINVAL
            case .tooLarge: EFBIG
            }
        }
    }

    /// What a path leads to, links followed, for whoever lets somebody else open it; nil for a regular file.
    public static func fault(_ path: String) -> Fault? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? fault(status) : .system(errno)
    }

    /// Whether a name is itself a symbolic link, wherever that leads.
    public static func isLink(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// - Parameters:
    ///   - limit: bytes.
    ///   - mayBePipe: one that is read until whoever writes to it is done.
    public static func read(_ path: String, atMost limit: Int, mayBePipe: Bool = false) throws(Fault) -> [UInt8] {
        // A pipe that nobody writes to opens at once, and so does a terminal without taking this process over.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard file >= 0 else { throw errno == ENXIO ? (fault(path) ?? .system(ENXIO)) : .system(errno) }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw .system(errno) }
        let fault = fault(status)
        if let fault, fault != .pipe || !mayBePipe { throw fault }
        // Here and now there is something to wait for.
        if fault == .pipe { _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) & ~O_NONBLOCK) }
        return try read(file, atMost: limit, expected: Int(status.st_size))
    }

    private static func read(_ file: Int32, atMost limit: Int, expected: Int) throws(Fault) -> [UInt8] {
        var bytes: [UInt8] = []
        // One more shows that there is no more; files of the kernel say that they are empty.
        let step = min(max(expected + 1, 4 << 10), 256 << 10)
        while bytes.count <= limit {
            let before = bytes.count
            var failure: Int32 = 0
            let room = unsafe [UInt8](unsafeUninitializedCapacity: step) { region, count in
                let got = unsafe Glibc.read(file, region.baseAddress, step)
                if got < 0 { failure = errno }
                count = max(0, got)
            }
            if failure == EINTR { continue }
            if failure != 0 { throw .system(failure) }
            bytes += room
            if bytes.count == before { return bytes }
        }
        throw .tooLarge(limit)
    }

    /// What it is instead of a regular file; nil for one.
    public static func fault(_ status: stat) -> Fault? {
        switch status.st_mode & S_IFMT {
        case S_IFREG: nil
        case S_IFDIR: .folder
        case S_IFIFO: .pipe
        case S_IFSOCK: .socket
        default: .device
        }
    }
}
