import Base

/// What no two records share: the table that counted, which opening of the ledger wrote it, and its number in that.
/// As text `node-epoch-sequence`: `0f9c2a41-3-17`.
public struct RecordID: Sendable, Hashable {
    /// Drawn when the table was made.
    public var node: UInt32
    /// Epoch and sequence in one number that only grows.
    public var place: UInt64

    static let sequenceBits: UInt64 = 40
    /// Higher epochs have no place.
    static let epochMax: UInt64 = 1 << 24 - 1

    public init(node: UInt32, place: UInt64) { (self.node, self.place) = (node, place) }
    public init(node: UInt32, epoch: UInt64, sequence: UInt64) {
        self.init(node: node, place: epoch << Self.sequenceBits | sequence)
    }

    public var epoch: UInt64 { place >> Self.sequenceBits }
    public var sequence: UInt64 { place & (1 << Self.sequenceBits - 1) }

    public var text: String {
        let hex = String(node, radix: 16)
        return String(repeating: "0", count: 8 - hex.utf8.count) + hex + "-\(epoch)-\(sequence)"
    }

    /// nil where it is not one, in the very spelling of `text`.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 12, bytes[8] == 0x2D else { return nil }
        var node: UInt32 = 0
        for byte in bytes[..<8] {
            guard let digit = ASCII.hexValue(byte) else { return nil }
            node = node << 4 | UInt32(digit)
        }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[9...])
        guard let dash = rest.firstIndex(of: 0x2D),
            let epoch = ASCII.decimal(UnsafeRawBufferPointer(rebasing: rest[..<dash])), epoch <= Self.epochMax,
            let sequence = ASCII.decimal(UnsafeRawBufferPointer(rebasing: rest[(dash + 1)...])),
            sequence < 1 << Self.sequenceBits
        else { return nil }
        self.init(node: node, epoch: epoch, sequence: sequence)
        // The very last place is nobody's, so that each has a next one.
        if place == .max { return nil }
    }

    public init?(_ text: String) {
        var text = text
        guard let id = text.withUTF8({ RecordID(UnsafeRawBufferPointer($0)) }) else { return nil }
        self = id
    }
}
