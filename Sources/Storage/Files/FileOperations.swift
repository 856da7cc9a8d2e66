import Base
import Glibc

/// What the kernel is asked to do with files. The real one is `DiskFiles`; a test stands in between and fails what it
/// wants to fail.
public protocol FileOperations: Sendable {
    /// For reading, or for reading and writing, then made with mode 0600 where it is missing. A descriptor of a regular file:
    /// what is none is refused at once.
    func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32
    func close(_ descriptor: Int32)
    /// Fewer bytes than `room` only at the end of the file.
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault) -> Int
    /// How many were written: at least one.
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int
    /// Returns when what was written is on the disk.
    func sync(_ descriptor: Int32) throws(StorageFault)
    func truncate(_ descriptor: Int32, to size: Int) throws(StorageFault)
    func status(_ descriptor: Int32) throws(StorageFault) -> FileStatus
    /// Nil where there is no such file, nor a link that leads to one.
    func status(path: String) throws(StorageFault) -> FileStatus?
    /// Names in a folder, ascending.
    func list(_ folder: String) throws(StorageFault) -> [String]
    /// With mode 0700; no error where it exists.
    func makeFolder(_ folder: String) throws(StorageFault)
    /// Returns when the names in the folder are on the disk.
    func syncFolder(_ folder: String) throws(StorageFault)
    func rename(_ path: String, to new: String) throws(StorageFault)
    /// No error where it is missing.
    func remove(_ path: String) throws(StorageFault)
    /// Whether this process alone has the file from now on, until it closes it.
    func lock(_ descriptor: Int32) throws(StorageFault) -> Bool
}

extension FileOperations {
    /// Into a part of an array.
    public func read(_ descriptor: Int32, into room: inout [UInt8], _ part: Range<Int>, at offset: Int) throws(StorageFault)
        -> Int
    {
        // `rethrows` knows no typed errors yet.
        try unsafe room.withUnsafeMutableBytes { room in
            Result { () throws(StorageFault) in
                try unsafe read(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: room[part]), at: offset)
            }
        }.get()
    }

    /// What follows the first `start` bytes of an array.
    func write(_ descriptor: Int32, _ bytes: [UInt8], from start: Int, at offset: Int) throws(StorageFault) -> Int {
        try unsafe bytes.withUnsafeBytes { bytes in
            Result { () throws(StorageFault) in
                try unsafe write(descriptor, UnsafeRawBufferPointer(rebasing: bytes[start...]), at: offset)
            }
        }.get()
    }
}

extension FileOperations {
    /// The whole of an array.
    public func write(_ descriptor: Int32, all bytes: [UInt8], at offset: Int) throws(StorageFault) {
        var done = 0
        while done < bytes.count { done += try write(descriptor, bytes, from: done, at: offset + done) }
    }
}

/// Which file it is, and how long.
public struct FileStatus: Sendable, Equatable {
    public var size: Int
    public var device: UInt64
    public var inode: UInt64
    /// When it was last written to, in nanoseconds since 1970.
    public var modified: UInt64
    /// What it is instead of a regular file; nil for one.
    public var fault: RegularFile.Fault?
    public init(size: Int, device: UInt64, inode: UInt64, modified: UInt64 = 0, fault: RegularFile.Fault? = nil) {
        (self.size, self.device, self.inode, self.modified, self.fault) = (size, device, inode, modified, fault)
    }

    public func isSameFile(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }

    /// Whether it is the same file, and nothing happened to it but that somebody appended.
    public func hasOnlyGrown(since then: FileStatus) -> Bool {
        isSameFile(as: then) && (size == then.size ? modified == then.modified : size > then.size)
    }
}

/// The files of this machine.
public struct DiskFiles: FileOperations {
    public init() {}

    public func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32 {
        // A pipe that nobody writes to opens at once, and so does a terminal without taking this process over.
        let flags = (writing ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let descriptor = unsafe Glibc.open(path, flags, 0o600)
        guard descriptor >= 0 else { throw .system("can't open", path: path, code: errno) }
        do throws(StorageFault) {
            if let fault = try status(descriptor).fault { throw .damaged("\(fault)", path: path) }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    public func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

    public func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault)
        -> Int
    {
        var done = 0
        while done < room.count {
            let count = unsafe pread(descriptor, room.baseAddress! + done, room.count - done, offset + done)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("can't read", path: Self.name(descriptor), code: errno)
            }
            done += count
        }
        return done
    }

    public func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int
    {
        while true {
            let count = unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, offset)
            if count > 0 { return count }
            if count < 0, errno == EINTR { continue }
            throw .system("can't write", path: Self.name(descriptor), code: count == 0 ? ENOSPC : errno)
        }
    }

    public func sync(_ descriptor: Int32) throws(StorageFault) {
        guard fdatasync(descriptor) == 0 else { throw .system("can't sync", path: Self.name(descriptor), code: errno) }
    }

    public func truncate(_ descriptor: Int32, to size: Int) throws(StorageFault) {
        while ftruncate(descriptor, size) != 0 {
            if errno != EINTR { throw .system("can't truncate", path: Self.name(descriptor), code: errno) }
        }
    }

    public func status(_ descriptor: Int32) throws(StorageFault) -> FileStatus {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw .system("can't look at", path: Self.name(descriptor), code: errno)
        }
        return FileStatus(status)
    }

    public func status(path: String) throws(StorageFault) -> FileStatus? {
        var status = stat()
        if unsafe stat(path, &status) == 0 { return FileStatus(status) }
        if errno == ENOENT || errno == ELOOP { return nil }
        throw .system("can't look at", path: path, code: errno)
    }

    public func list(_ folder: String) throws(StorageFault) -> [String] {
        guard let stream = unsafe opendir(folder) else { throw .system("can't read", path: folder, code: errno) }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while true {
            // An error and the end look alike but for this.
            errno = 0
            // Good until the next call of this stream, and its name ends with a zero.
            guard let entry = unsafe readdir(stream) else { break }
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { room in
                unsafe String(decoding: room.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .system("can't read", path: folder, code: errno) }
        return names.sorted()
    }

    public func makeFolder(_ folder: String) throws(StorageFault) {
        if unsafe mkdir(folder, 0o700) != 0, errno != EEXIST {
            throw .system("can't make the folder", path: folder, code: errno)
        }
    }

    public func syncFolder(_ folder: String) throws(StorageFault) {
        let descriptor = unsafe Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("can't open", path: folder, code: errno) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("can't sync", path: folder, code: errno) }
    }

    public func rename(_ path: String, to new: String) throws(StorageFault) {
        guard unsafe Glibc.rename(path, new) == 0 else { throw .system("can't rename", path: path, code: errno) }
    }

    public func remove(_ path: String) throws(StorageFault) {
        if unsafe unlink(path) != 0, errno != ENOENT { throw .system("can't remove", path: path, code: errno) }
    }

    public func lock(_ descriptor: Int32) throws(StorageFault) -> Bool {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno == EWOULDBLOCK { return false }
            if errno != EINTR { throw .system("can't lock", path: Self.name(descriptor), code: errno) }
        }
        return true
    }

    /// The path behind a descriptor, for messages only.
    private static func name(_ descriptor: Int32) -> String {
        unsafe withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { room in
            let count = unsafe readlink("/proc/self/fd/\(descriptor)", room.baseAddress!, room.count)
            return unsafe count > 0 ? String(decoding: room[..<count], as: UTF8.self) : "a file"
        }
    }
}

extension FileStatus {
    fileprivate init(_ status: stat) {
        self.init(
            size: Int(status.st_size), device: UInt64(status.st_dev), inode: UInt64(status.st_ino),
            modified: UInt64(clamping: status.st_mtim.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: status.st_mtim.tv_nsec),
            fault: RegularFile.fault(status))
    }
}
