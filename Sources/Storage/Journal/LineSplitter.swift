import Base
import Glibc

/// Makes lines of pieces that end anywhere.
struct LineSplitter {
    /// The part of a line that the pieces so far have not ended.
    private var kept: [UInt8] = []

    /// `body` gets each line without its line end, and whether it had one; it returns false to stop, and so does this.
    mutating func take(
        _ piece: UnsafeRawBufferPointer, _ body: (_ line: UnsafeRawBufferPointer, _ isWhole: Bool) -> Bool
    ) -> Bool {
        guard let base = piece.baseAddress else { return true }
        var start = 0
        while let found = memchr(base + start, Int32(ASCII.lf), piece.count - start) {
            let stop = UnsafeRawPointer(found) - base
            let line = UnsafeRawBufferPointer(rebasing: piece[start..<stop])
            start = stop + 1
            if kept.isEmpty {
                if !body(line, true) { return false }
                continue
            }
            kept += line
            let goesOn = kept.withUnsafeBytes { body($0, true) }
            kept.removeAll(keepingCapacity: true)
            if !goesOn { return false }
        }
        kept += piece[start...]
        return true
    }

    /// No more comes.
    mutating func end(_ body: (_ line: UnsafeRawBufferPointer, _ isWhole: Bool) -> Bool) {
        if !kept.isEmpty { _ = kept.withUnsafeBytes { body($0, false) } }
        kept = []
    }
}
