import Base
import Configuration

/// Fields to take out and lines to put in, of one direction. A handle to a record of its `Directory`.
public struct HeaderEdits: Sendable {
    struct Record {
        /// Whole header lines.
        var added: UnsafeRawBufferPointer
        /// Folded names that are removed wherever they come from.
        var removed: UnsafePointer<UnsafeRawBufferPointer>
        var removedCount: Int
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    @inline(__always)
    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// Whole header lines.
    @inline(__always)
    public var added: UnsafeRawBufferPointer { record.pointee.added }
    @inline(__always)
    public var removesNothing: Bool { record.pointee.removedCount == 0 }

    /// Whether a field of this name is taken out.
    public func removes(_ name: UnsafeRawBufferPointer) -> Bool {
        for number in 0..<record.pointee.removedCount {
            let candidate = record.pointee.removed[number]
            guard candidate.count == name.count else { continue }
            var same = true
            for i in 0..<name.count where Self.fold(name[i]) != candidate[i] {
                same = false
                break
            }
            if same { return true }
        }
        return false
    }

    /// Those trailer lines (each with its CRLF) that may follow: what is taken out of a head can't come behind the body.
    public func kept(of lines: [UInt8]) -> [UInt8] {
        if removesNothing || lines.isEmpty { return lines }
        return lines.withUnsafeBytes { lines in
            var kept: [UInt8] = []
            var start = 0
            while start < lines.count {
                let end = lines[start...].firstIndex(of: ASCII.lf).map { $0 + 1 } ?? lines.count
                let line = lines[start..<end]
                let name = line.prefix { $0 != 0x3A }
                if !removes(UnsafeRawBufferPointer(rebasing: name)) { kept += line }
                start = end
            }
            return kept
        }
    }

    /// Upstream frameworks make the variable of `X-User-Id` out of `X_User_Id` too, so all punctuation counts as one.
    @inline(__always)
    static func fold(_ byte: UInt8) -> UInt8 {
        ASCII.isAlpha(byte) || ASCII.isDigit(byte) ? ASCII.lowercase(byte) : 0x2D
    }
}
