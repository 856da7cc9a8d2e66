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
        // Never behind the end of the piece: a line end was found in front of it.
        var start = 0
        while let found = unsafe memchr(base + start, Int32(ASCII.lf), piece.count - start) {
            let stop = unsafe UnsafeRawPointer(found) - base
            let line = unsafe UnsafeRawBufferPointer(rebasing: piece[start..<stop])
            start = stop + 1
            if kept.isEmpty {
                if unsafe !body(line, true) { return false }
                continue
            }
            unsafe kept += line
            let goesOn = unsafe kept.withUnsafeBytes { unsafe body($0, true) }
            kept.removeAll(keepingCapacity: true)
            if !goesOn { return false }
        }
        unsafe kept += piece[start...]
        return true
    }

    /// No more comes.
    mutating func end(_ body: (_ line: UnsafeRawBufferPointer, _ isWhole: Bool) -> Bool) {
        if !kept.isEmpty { _ = unsafe kept.withUnsafeBytes { unsafe body($0, false) } }
        kept = []
    }
}
