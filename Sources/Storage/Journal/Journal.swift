import Base

/// A folder of append-only files, one of them open at a time, whose lines are `CheckedLine`s.
///
/// An append is all or nothing: its lines count once they are on the disk, and what a failed one left behind is cut off
/// before anything else is written. Cutting may fail as well, on a disk that became read-only, and the process may end
/// there: then the lines stand in the file at the next start, whole or torn, and it is the reader's to go by them.
public final class Journal {
    public let folder: String
    public let files: any FileOperations
    private var file: OpenFile?
    private var lockDescriptor: Int32?

    private struct OpenFile {
        var name: String
        var descriptor: Int32
        var identity: FileStatus
        /// Bytes that are known to be good and on the disk.
        var committed: Int
        /// Bytes behind those that were written since, and do not count yet.
        var pending = 0
        /// Bytes after those may have been written, by an append that failed.
        var isDirty = false
        /// Its name may not be on the disk yet.
        var isNew: Bool
    }

    /// What an opening found behind the last good line and cut off.
    public struct Cut: Sendable, Equatable {
        public var file: String
        public var bytes: Int
        public init(file: String, bytes: Int) { (self.file, self.bytes) = (file, bytes) }
    }

    /// The folder is made where it is missing.
    public init(folder: String, files: any FileOperations = DiskFiles()) throws(StorageFault) {
        (self.folder, self.files) = (folder, files)
        try files.makeFolder(folder)
    }

    deinit {
        close()
        if let lockDescriptor { files.close(lockDescriptor) }
    }

    /// Whether this one may write: one process may at a time, until it ends.
    public func lock() throws(StorageFault) -> Bool {
        if lockDescriptor != nil { return true }
        let descriptor = try files.open(path(".lock"), writing: true)
        do throws(StorageFault) {
            if try files.lock(descriptor) {
                lockDescriptor = descriptor
                return true
            }
        } catch {
            files.close(descriptor)
            throw error
        }
        files.close(descriptor)
        return false
    }

    public func close() {
        if let file { files.close(file.descriptor) }
        file = nil
    }

    public func path(_ name: String) -> String { folder + "/" + name }

    /// Appends whole checked lines to `name`, made where it is missing, and waits until they are on the disk. After an
    /// error none of them counts, and the same lines, or others, may be tried again. Returns what was cut off the file
    /// where it had to be opened.
    @discardableResult
    public func append(_ lines: [UInt8], to name: String) throws(StorageFault) -> Cut? {
        let cut = try begin(name)
        if lines.isEmpty { return cut }
        try write(lines)
        try commit()
        return cut
    }

    /// The same in pieces: `begin`, then `write` as often as need be, then `commit`. An error of one ends the append.
    public func begin(_ name: String) throws(StorageFault) -> Cut? {
        defer { file?.pending = 0 }
        return try open(name)
    }

    public func write(_ lines: [UInt8]) throws(StorageFault) {
        guard let file else { return }
        // Before the first byte: from here on the file may be longer than what counts.
        self.file?.isDirty = true
        do throws(StorageFault) {
            try files.write(file.descriptor, all: lines, at: file.committed + file.pending)
        } catch {
            undo()
            throw error
        }
        self.file?.pending += lines.count
    }

    public func commit() throws(StorageFault) {
        guard var file else { return }
        do throws(StorageFault) {
            try files.sync(file.descriptor)
            if file.isNew { try files.syncFolder(folder) }
        } catch {
            undo()
            throw error
        }
        file.committed += file.pending
        (file.pending, file.isDirty, file.isNew) = (0, false, false)
        self.file = file
    }

    /// Now if it works, or else before the next append: whoever reads meanwhile finds whole lines.
    private func undo() {
        guard let file else { return }
        do throws(StorageFault) {
            try cut(file)
            self.file?.isDirty = false
        } catch {}
    }

    /// What is as long as it should be is left alone: a file that is touched again and again, on a full disk, looks changed to
    /// whoever reads it.
    private func cut(_ file: OpenFile) throws(StorageFault) {
        if try files.status(file.descriptor).size != file.committed { try files.truncate(file.descriptor, to: file.committed) }
    }

    /// Makes `name` the open file, with nothing behind its last good line.
    private func open(_ name: String) throws(StorageFault) -> Cut? {
        if var open = file {
            let status = try files.status(open.descriptor)
            let named = try files.status(path: path(open.name))
            // Moved away, removed, or written to by somebody else: it is looked at afresh.
            let isOurs = named.map { $0.isSameFile(as: open.identity) } ?? false
            if open.name == name, isOurs, open.isDirty || status.size == open.committed {
                if open.isDirty {
                    try cut(open)
                    open.isDirty = false
                    file = open
                }
                return nil
            }
            if open.isDirty { try cut(open) }
            close()
        }
        let isNew = try files.status(path: path(name)) == nil
        let descriptor = try files.open(path(name), writing: true)
        do throws(StorageFault) {
            let status = try files.status(descriptor)
            let good = try Self.goodSize(files, descriptor, size: status.size)
            if good < status.size { try files.truncate(descriptor, to: good) }
            file = OpenFile(
                name: name, descriptor: descriptor, identity: status, committed: good, isNew: isNew || good == 0)
            return good < status.size ? Cut(file: name, bytes: status.size - good) : nil
        } catch {
            files.close(descriptor)
            throw error
        }
    }

    /// Where the last good line ends.
    private static func goodSize(_ files: any FileOperations, _ descriptor: Int32, size: Int) throws(StorageFault)
        -> Int
    {
        var good = 0
        try unsafe LineScan(files, descriptor, size: size).backward { line, isWhole, start in
            guard isWhole, unsafe CheckedLine.isValid(line) else { return true }
            good = start + line.count + 1
            return false
        }
        return good
    }

    // MARK: Reading

    public func contains(_ name: String) throws(StorageFault) -> Bool {
        guard let status = try files.status(path: path(name)) else { return false }
        return status.fault == nil
    }

    /// The good lines of a file from the last to the first; `body` returns false to stop. Those that are not good are
    /// left out.
    public func readBackward(_ name: String, _ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) {
        try unsafe JournalReader(files).backward(path(name), body)
    }
}

/// Reads files of checked lines, whoever writes to them meanwhile. What ends in `.gz` is read from its beginning only.
public struct JournalReader {
    private let files: any FileOperations

    public init(_ files: any FileOperations = DiskFiles()) { self.files = files }

    /// The good lines from the first to the last; `body` returns false to stop. Returns how many were not good. A last
    /// line without its end is being written and not counted.
    @discardableResult
    public func forward(_ path: String, _ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) -> Int {
        var bad = 0
        try unsafe lines(path) { line, isGood in
            if isGood { return unsafe body(line) }
            bad += 1
            return true
        }
        return bad
    }

    /// All lines that have their end, and whether each is good, from the first to the last; `body` returns false to stop.
    public func lines(
        _ path: String, _ body: (_ line: UnsafeRawBufferPointer, _ isGood: Bool) -> Bool
    ) throws(StorageFault) {
        func judge(_ line: UnsafeRawBufferPointer, _ isWhole: Bool) -> Bool {
            unsafe isWhole ? body(line, CheckedLine.isValid(line)) : true
        }
        if path.hasSuffix(".gz") {
            var lines = LineSplitter()
            try unsafe unpacked(path) { unsafe lines.take($0, judge) }
            unsafe lines.end(judge)
        } else {
            try scan(path) { scan throws(StorageFault) in try unsafe scan.forward(judge) }
        }
    }

    /// What a compressed file holds, in pieces; `body` returns false to stop.
    public func unpacked(_ path: String, _ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) {
        let descriptor = try files.open(path, writing: false)
        defer { files.close(descriptor) }
        var reader = GzipReader(files, descriptor, path: path)
        try unsafe reader.read(body)
    }

    /// The good lines from the last to the first; `body` returns false to stop.
    public func backward(_ path: String, _ body: (UnsafeRawBufferPointer) -> Bool) throws(StorageFault) {
        try scan(path) { scan throws(StorageFault) in
            try unsafe scan.backward { line, isWhole, _ in unsafe isWhole && CheckedLine.isValid(line) ? body(line) : true }
        }
    }

    private func scan(_ path: String, _ body: (LineScan) throws(StorageFault) -> Void) throws(StorageFault) {
        let descriptor = try files.open(path, writing: false)
        defer { files.close(descriptor) }
        let status = try files.status(descriptor)
        try body(LineScan(files, descriptor, size: status.size))
    }
}
