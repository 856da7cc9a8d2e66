import Base
import Glibc
import Storage
import Synchronization

extension StorageFault {
    /// It was there when the files were listed: to be begun again.
    static func gone(_ path: String) -> StorageFault { .system("can't find", path: path, code: ENOENT) }

    var isGone: Bool {
        switch self {
        case .system(_, _, ENOENT), .changed: true
        default: false
        }
    }
}

extension LedgerFolder {
    /// What is found by a look at its files, which begins anew where they were replaced, shortened or taken away under it.
    func look<T>(_ body: () throws(StorageFault) -> T) throws(StorageFault) -> T {
        var attempts: UInt32 = 0
        while true {
            do throws(StorageFault) {
                return try body()
            } catch {
                let path: String
                switch error {
                case .system(_, let gone, ENOENT): path = gone
                case .changed(let changed): path = changed
                default: throw error
                }
                attempts += 1
                guard attempts < Limits.ledgerAttemptsMax else { throw .damaged("is changed whenever it is read", path: path) }
                usleep(Limits.ledgerPauseMicroseconds * attempts)
            }
        }
    }
}

/// Files that are looked at without a turn, as they were when they were first seen. Who reads several of them, or one of them
/// twice, must not mix what was before a change with what is after it: a line that was moved meanwhile would be read in neither
/// place, and one that was made good before would be missed after.
///
/// What grows has only got more lines, and so has what was written to and is as long as before, with the same end: a gateway
/// has cut off what a full disk did not take whole. What was replaced, cut or taken away since makes all that was read of no
/// use: `expectSame` says so, and whoever asked begins anew.
final class OpenedFiles: FileOperations {
    private struct Seen {
        /// By path, when it was first seen.
        var files: [String: FileStatus] = [:]
        /// What was opened, and the last bytes that it had then: of lines they have a checksum. A number of a file that is gone
        /// is given to another one, which may be longer.
        var opened: [String: (size: Int, end: [UInt8])] = [:]
        var changed: String?
        /// By folder, when it was first listed.
        var names: [String: Set<String>] = [:]
    }
    private let files: any FileOperations
    private let seen = Mutex(Seen())

    init(_ files: any FileOperations) { self.files = files }

    /// How a file was when it was first seen; nil of one that was not.
    func first(_ path: String) -> FileStatus? { seen.withLock { $0.files[path] } }

    /// Throws what begins a question anew, unless all that was opened is as it was first seen.
    func expectSame() throws(StorageFault) {
        let (opened, changed) = seen.withLock { ($0.opened, $0.changed) }
        if let changed { throw .changed(path: changed) }
        for (path, then) in opened {
            guard let now = try files.status(path: path), let first = first(path), Self.mayHaveGrown(path, now, since: first)
            else { throw .changed(path: path) }
            if now == first, now.size == then.size { continue }
            let descriptor = try files.open(path, writing: false)
            defer { files.close(descriptor) }
            if try end(of: descriptor, at: then.size) != then.end { throw .changed(path: path) }
        }
    }

    /// Whether nothing else happened to a file, unless its end is another one.
    private static func mayHaveGrown(_ path: String, _ now: FileStatus, since then: FileStatus) -> Bool {
        if now.hasOnlyGrown(since: then) { return true }
        guard now.isSameFile(as: then), now.size == then.size else { return false }
        // Only lines are appended to.
        let name = path.utf8.lastIndex(of: 0x2F).map { String(path[path.utf8.index(after: $0)...]) } ?? path
        return LedgerFile(name: name, inRollups: false)?.isCompressed == false
    }

    private static let endSize = 32

    private func end(of descriptor: Int32, at size: Int) throws(StorageFault) -> [UInt8] {
        var end = [UInt8](repeating: 0, count: min(size, Self.endSize))
        let count = try files.read(descriptor, into: &end, 0..<end.count, at: size - end.count)
        return Array(end[..<count])
    }

    /// The same where one of these has come into a folder since it was listed.
    func expectNoNew(in folder: String, _ isOne: (String) -> Bool) throws(StorageFault) {
        let then = seen.withLock { $0.names[folder] }
        let isThere = try files.status(path: folder) != nil
        guard isThere else { return }
        for name in try files.list(folder) where then?.contains(name) != true && isOne(name) { throw .changed(path: folder + "/" + name) }
    }

    /// Whether what was found out when these were opened is true of what others have seen.
    func isGood(for others: OpenedFiles) -> Bool {
        let (opened, files) = seen.withLock { ($0.opened, $0.files) }
        return opened.allSatisfy { path, known in
            guard let then = files[path], let now = others.first(path) else { return false }
            if now.hasOnlyGrown(since: then) { return true }
            guard Self.mayHaveGrown(path, now, since: then), let other = others.seen.withLock({ $0.opened[path] }) else { return false }
            return other == known
        }
    }

    private func note(_ path: String, _ status: FileStatus) {
        seen.withLock { seen in
            guard let then = seen.files[path] else { return seen.files[path] = status }
            if !Self.mayHaveGrown(path, status, since: then) { seen.changed = path }
        }
    }

    func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32 {
        let descriptor = try files.open(path, writing: writing)
        if writing { return descriptor }
        do throws(StorageFault) {
            let status = try files.status(descriptor)
            note(path, status)
            if seen.withLock({ $0.opened[path] == nil }) {
                let end = try end(of: descriptor, at: status.size)
                seen.withLock { $0.opened[path] = (status.size, end) }
            }
            return descriptor
        } catch {
            files.close(descriptor)
            throw error
        }
    }

    func status(path: String) throws(StorageFault) -> FileStatus? {
        let status = try files.status(path: path)
        if let status { note(path, status) }
        return status
    }

    func close(_ descriptor: Int32) { files.close(descriptor) }
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        try files.read(descriptor, into: room, at: offset)
    }
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        try files.write(descriptor, bytes, at: offset)
    }
    func sync(_ descriptor: Int32) throws(StorageFault) { try files.sync(descriptor) }
    func truncate(_ descriptor: Int32, to size: Int) throws(StorageFault) { try files.truncate(descriptor, to: size) }
    func status(_ descriptor: Int32) throws(StorageFault) -> FileStatus { try files.status(descriptor) }
    func list(_ folder: String) throws(StorageFault) -> [String] {
        let names = try files.list(folder)
        seen.withLock { if $0.names[folder] == nil { $0.names[folder] = Set(names) } }
        return names
    }
    func makeFolder(_ folder: String) throws(StorageFault) { try files.makeFolder(folder) }
    func syncFolder(_ folder: String) throws(StorageFault) { try files.syncFolder(folder) }
    func rename(_ path: String, to new: String) throws(StorageFault) { try files.rename(path, to: new) }
    func remove(_ path: String) throws(StorageFault) { try files.remove(path) }
    func lock(_ descriptor: Int32) throws(StorageFault) -> Bool { try files.lock(descriptor) }
}
