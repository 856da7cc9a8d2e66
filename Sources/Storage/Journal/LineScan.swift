import Base
import Glibc

/// Reads the lines of a file in blocks, whatever its size, from either end.
public struct LineScan {
    private let files: any FileOperations
    private let descriptor: Int32
    private let size: Int
    static let blockSize = 256 << 10

    /// Of an open file, up to `size` bytes.
    init(_ files: any FileOperations, _ descriptor: Int32, size: Int) {
        (self.files, self.descriptor, self.size) = (files, descriptor, size)
    }

    /// From the first line to the last. `body` gets each without its line end, and whether it had one; it returns
    /// false to stop. The bytes are gone after the call.
    func forward(_ body: (_ line: UnsafeRawBufferPointer, _ isWhole: Bool) -> Bool) throws(StorageFault) {
        var room = [UInt8](repeating: 0, count: Self.blockSize)
        /// The part of a line that the blocks so far have not ended.
        var kept = 0
        var offset = 0
        while offset < size {
            // A line longer than the room: the room grows with it.
            if kept == room.count { room += [UInt8](repeating: 0, count: room.count) }
            let wanted = min(room.count - kept, size - offset)
            let count = try files.read(descriptor, into: &room, kept..<kept + wanted, at: offset)
            if count == 0 { break }
            offset += count
            let end = kept + count
            // `end` is within the room: so much was read into it.
            let next: Int? = unsafe room.withUnsafeBytes { room in
                var start = 0
                while let found = unsafe memchr(room.baseAddress! + start, Int32(ASCII.lf), end - start) {
                    let stop = unsafe UnsafeRawPointer(found) - room.baseAddress!
                    if unsafe !body(UnsafeRawBufferPointer(rebasing: room[start..<stop]), true) { return nil }
                    start = stop + 1
                }
                return start
            }
            guard let next else { return }
            kept = end - next
            if next > 0, kept > 0 {
                unsafe room.withUnsafeMutableBytes { _ = unsafe memmove($0.baseAddress!, $0.baseAddress! + next, kept) }
            }
        }
        if kept > 0 { _ = unsafe room.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[..<kept]), false) } }
    }

    /// From the last line to the first. `body` gets each line without its line end, whether it had one, and where it
    /// begins in the file; it returns false to stop.
    func backward(_ body: (_ line: UnsafeRawBufferPointer, _ isWhole: Bool, _ start: Int) -> Bool) throws(StorageFault)
    {
        /// The bytes of the file from `offset` on that are not yet handed out.
        var held: [UInt8] = []
        var offset = size
        var isWhole = false
        while offset > 0 {
            let wanted = min(max(Self.blockSize, held.count), offset)
            var block = [UInt8](repeating: 0, count: wanted)
            let count = try files.read(descriptor, into: &block, 0..<wanted, at: offset - wanted)
            // Somebody made the file shorter meanwhile.
            guard count == wanted else { return }
            offset -= wanted
            // Only the new block can have line ends: what is held had none left.
            var end = block.count + held.count
            block += held
            var search = wanted
            let goesOn: Bool = unsafe block.withUnsafeBytes { bytes in
                while search > 0 {
                    search -= 1
                    guard unsafe bytes[search] == ASCII.lf else { continue }
                    let line = unsafe UnsafeRawBufferPointer(rebasing: bytes[search + 1..<end])
                    if unsafe isWhole || !line.isEmpty, unsafe !body(line, isWhole, offset + search + 1) { return false }
                    isWhole = true
                    end = search
                }
                return true
            }
            if !goesOn { return }
            held = Array(block[..<end])
        }
        if isWhole || !held.isEmpty { _ = unsafe held.withUnsafeBytes { unsafe body($0, isWhole, 0) } }
    }
}
