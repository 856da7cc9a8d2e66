import Base
import HTTP

extension ByteWriter {
    /// Copies the field lines of a head that go on, runs of them at once: between two that end here the bytes are contiguous.
    /// - Parameters:
    ///   - head: whole, with the empty line at its end: a run begins and ends where lines of it do.
    ///   - endsHere: of a field's number and the field.
    @inline(__always)
    mutating func append(
        _ fields: borrowing FieldList, of head: UnsafeRawBufferPointer, unless endsHere: (Int, Field) -> Bool
    ) {
        let count = fields.count
        guard count > 0 else { return }
        let base = head.baseAddress!
        var run = fields[0].name.first
        for i in 0..<count {
            let field = fields[i]
            guard endsHere(i, field) else { continue }
            unsafe append(base + run, field.name.first - run)
            run = i + 1 < count ? fields[i + 1].name.first : head.count - 2
        }
        unsafe append(base + run, head.count - 2 - run)
    }
}
