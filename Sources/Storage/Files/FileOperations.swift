import Glibc

/// What the kernel is asked to do with files. The real one is `DiskFiles`; a test stands in between and fails what it
/// wants to fail.
public protocol FileOperations: Sendable {
    /// For reading, or for reading and writing, then made with mode 0600 where it is missing. A descriptor.
    func open(_ path: String, writing: Bool) throws(StorageError) -> Int32
    func close(_ descriptor: Int32)
    /// Fewer bytes than `room` only at the end of the file.
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageError) -> Int
    /// How many were written: at least one.
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) -> Int
    /// Returns when what was written is on the disk.
    func sync(_ descriptor: Int32) throws(StorageError)
    func truncate(_ descriptor: Int32, to size: Int) throws(StorageError)
    func status(_ descriptor: Int32) throws(StorageError) -> FileStatus
    /// Nil where there is no such file.
    func status(path: String) throws(StorageError) -> FileStatus?
    /// Names in a folder, ascending.
    func list(_ folder: String) throws(StorageError) -> [String]
    /// With mode 0700; no error where it exists.
    func makeFolder(_ folder: String) throws(StorageError)
    /// Returns when the names in the folder are on the disk.
    func syncFolder(_ folder: String) throws(StorageError)
    func rename(_ path: String, to new: String) throws(StorageError)
    /// No error where it is missing.
    func remove(_ path: String) throws(StorageError)
    /// Whether this process alone has the file from now on, until it closes it.
    func lock(_ descriptor: Int32) throws(StorageError) -> Bool
}

extension FileOperations {
    /// Into a part of an array.
    func read(_ descriptor: Int32, into room: inout [UInt8], _ part: Range<Int>, at offset: Int) throws(StorageError) -> Int {
        // `rethrows` knows no typed errors yet.
        try room.withUnsafeMutableBytes { room in
            Result { () throws(StorageError) in
                try read(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: room[part]), at: offset)
            }
        }.get()
    }

    /// What follows the first `start` bytes of an array.
    func write(_ descriptor: Int32, _ bytes: [UInt8], from start: Int, at offset: Int) throws(StorageError) -> Int {
        try bytes.withUnsafeBytes { bytes in
            Result { () throws(StorageError) in
                try write(descriptor, UnsafeRawBufferPointer(rebasing: bytes[start...]), at: offset)
            }
        }.get()
    }
}

/// Which file it is, and how long.
public struct FileStatus: Sendable, Equatable {
    public var size: Int
    public var device: UInt64
    public var inode: UInt64
    public init(size: Int, device: UInt64, inode: UInt64) {
        (self.size, self.device, self.inode) = (size, device, inode)
    }

    public func isSameFile(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }
}

/// The files of this machine.
public struct DiskFiles: FileOperations {
    public init() {}

    public func open(_ path: String, writing: Bool) throws(StorageError) -> Int32 {
        let flags = (writing ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC
        let descriptor = Glibc.open(path, flags, 0o600)
        guard descriptor >= 0 else { throw StorageError("open", path, errno) }
        return descriptor
    }

    public func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

    public func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageError)
        -> Int
    {
        var done = 0
        while done < room.count {
            let count = pread(descriptor, room.baseAddress! + done, room.count - done, offset + done)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw StorageError("read", Self.name(descriptor), errno)
            }
            done += count
        }
        return done
    }

    public func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) -> Int {
        while true {
            let count = pwrite(descriptor, bytes.baseAddress, bytes.count, offset)
            if count > 0 { return count }
            if count < 0, errno == EINTR { continue }
            throw StorageError("write", Self.name(descriptor), count == 0 ? ENOSPC : errno)
        }
    }

    public func sync(_ descriptor: Int32) throws(StorageError) {
        guard fdatasync(descriptor) == 0 else { throw StorageError("sync", Self.name(descriptor), errno) }
    }

    public func truncate(_ descriptor: Int32, to size: Int) throws(StorageError) {
        while ftruncate(descriptor, size) != 0 {
            if errno != EINTR { throw StorageError("truncate", Self.name(descriptor), errno) }
        }
    }

    public func status(_ descriptor: Int32) throws(StorageError) -> FileStatus {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw StorageError("look at", Self.name(descriptor), errno) }
        return FileStatus(status)
    }

    public func status(path: String) throws(StorageError) -> FileStatus? {
        var status = stat()
        if stat(path, &status) == 0 { return FileStatus(status) }
        if errno == ENOENT { return nil }
        throw StorageError("look at", path, errno)
    }

    public func list(_ folder: String) throws(StorageError) -> [String] {
        guard let stream = opendir(folder) else { throw StorageError("read", folder, errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { room in
                String(decoding: room.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    public func makeFolder(_ folder: String) throws(StorageError) {
        if mkdir(folder, 0o700) != 0, errno != EEXIST { throw StorageError("make the folder", folder, errno) }
    }

    public func syncFolder(_ folder: String) throws(StorageError) {
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StorageError("open", folder, errno) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StorageError("sync", folder, errno) }
    }

    public func rename(_ path: String, to new: String) throws(StorageError) {
        guard Glibc.rename(path, new) == 0 else { throw StorageError("rename", path, errno) }
    }

    public func remove(_ path: String) throws(StorageError) {
        if unlink(path) != 0, errno != ENOENT { throw StorageError("remove", path, errno) }
    }

    public func lock(_ descriptor: Int32) throws(StorageError) -> Bool {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno == EWOULDBLOCK { return false }
            if errno != EINTR { throw StorageError("lock", Self.name(descriptor), errno) }
        }
        return true
    }

    /// The path behind a descriptor, for messages only.
    private static func name(_ descriptor: Int32) -> String {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { room in
            let count = readlink("/proc/self/fd/\(descriptor)", room.baseAddress!, room.count)
            return count > 0 ? String(decoding: room[..<count], as: UTF8.self) : "a file"
        }
    }
}

extension FileStatus {
    fileprivate init(_ status: stat) {
        self.init(size: Int(status.st_size), device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}
