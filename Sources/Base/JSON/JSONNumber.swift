/// A number in a text that is being read, as it is written. Good for as long as the text is.
@safe public struct JSONNumber {
    private let text: UnsafeRawBufferPointer
    /// Without fraction and exponent.
    public let isWhole: Bool

    init(text: UnsafeRawBufferPointer, isWhole: Bool) { unsafe (self.text, self.isWhole) = (text, isWhole) }

    /// The whole number, exactly; nil where it does not fit or is none.
    public var integer: Int64? {
        guard isWhole else { return nil }
        guard unsafe text.first == 0x2D else { return unsafe ASCII.decimal(text).flatMap { Int64(exactly: $0) } }
        let magnitude = unsafe ASCII.decimal(UnsafeRawBufferPointer(rebasing: text[1...]))
        guard let magnitude, magnitude <= 1 << 63 else { return nil }
        return Int64(truncatingIfNeeded: 0 &- magnitude)
    }

    /// The nearest there is; nil beyond what is finite, and for more digits than anybody needs.
    public var double: Double? {
        guard unsafe text.count <= 128, let value = unsafe Double(String(decoding: text, as: UTF8.self)), value.isFinite
        else {
            return nil
        }
        return value
    }
}
