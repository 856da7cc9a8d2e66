import Base
import Foundation
import Storage
import Synchronization

/// The files of this machine, with one call that fails.
final class FaultyFiles: FileOperations {
    enum Fault: Sendable, Equatable {
        case full
        case readOnly
        /// As if the process ended here: nothing works any more.
        case death
    }

    private struct State {
        var calls = 0
        var failing: Int?
        var fault = Fault.full
        var isDead = false
    }

    private let disk = DiskFiles()
    private let state = Mutex(State())

    /// Calls that change something, so far.
    var calls: Int { state.withLock(\.calls) }

    /// The call number `index` from now on fails.
    func fail(at index: Int, with fault: Fault) {
        state.withLock { state in (state.calls, state.failing, state.fault) = (0, index, fault) }
    }

    func heal() { state.withLock { state in (state.failing, state.isDead) = (nil, false) } }

    /// Counts a call. Throws if it is the one, or if everything is over.
    private func pass(_ operation: String) throws(StorageFault) {
        let code: Int32 = state.withLock { state in
            if state.isDead { return EIO }
            state.calls += 1
            guard state.calls - 1 == state.failing else { return 0 }
            switch state.fault {
            case .full: return ENOSPC
            case .readOnly: return EROFS
            case .death:
                state.isDead = true
                return EIO
            }
        }
        if code != 0 { throw .system("can't \(operation)", path: "a test's file", code: code) }
    }

    func open(_ path: String, writing: Bool) throws(StorageFault) -> Int32 {
        if writing { try pass("open") }
        return try disk.open(path, writing: writing)
    }
    func close(_ descriptor: Int32) { disk.close(descriptor) }
    func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int) throws(StorageFault) -> Int
    {
        try disk.read(descriptor, into: room, at: offset)
    }
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageFault) -> Int {
        do throws(StorageFault) {
            try pass("write")
        } catch {
            // A full disk and a death leave a part behind.
            if bytes.count > 1 {
                _ = try disk.write(
                    descriptor, UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)]), at: offset)
            }
            throw error
        }
        // Short, as the kernel may.
        let count = bytes.count > 3 ? bytes.count * 2 / 3 : bytes.count
        return try disk.write(descriptor, UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: offset)
    }
    func sync(_ descriptor: Int32) throws(StorageFault) { try pass("sync") }
    func truncate(_ descriptor: Int32, to size: Int) throws(StorageFault) {
        try pass("truncate")
        try disk.truncate(descriptor, to: size)
    }
    func status(_ descriptor: Int32) throws(StorageFault) -> FileStatus { try disk.status(descriptor) }
    func status(path: String) throws(StorageFault) -> FileStatus? { try disk.status(path: path) }
    func list(_ folder: String) throws(StorageFault) -> [String] { try disk.list(folder) }
    func makeFolder(_ folder: String) throws(StorageFault) { try disk.makeFolder(folder) }
    func syncFolder(_ folder: String) throws(StorageFault) { try pass("sync the folder") }
    func rename(_ path: String, to new: String) throws(StorageFault) {
        try pass("rename")
        try disk.rename(path, to: new)
    }
    func remove(_ path: String) throws(StorageFault) {
        try pass("remove")
        try disk.remove(path)
    }
    func lock(_ descriptor: Int32) throws(StorageFault) -> Bool { try disk.lock(descriptor) }
}

func bytes(_ path: String) -> [UInt8] { FileManager.default.contents(atPath: path).map { Array($0) } ?? [] }

/// A checked line with a number in it.
func line(_ number: Int) -> [UInt8] {
    var text: [UInt8] = []
    CheckedLine.append(to: &text, room: 100) { line in
        line.append("{\"n\":\(number),\"text\":\"\(String(repeating: "x", count: number % 37))\"")
    }
    return text
}

/// The numbers of the good lines of a file.
func numbers(_ path: String) throws -> [Int] {
    var found: [Int] = []
    try JournalReader().forward(path) { line in
        let text = String(decoding: line, as: UTF8.self)
        found.append(Int(text.dropFirst(5).prefix { $0.isNumber })!)
        return true
    }
    return found
}
