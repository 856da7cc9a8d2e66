/// Bytes that wait to be sent.
struct Outgoing {
    private var bytes: [UInt8] = []
    private var taken = 0

    var isEmpty: Bool { taken == bytes.count }

    mutating func append(_ more: [UInt8]) {
        if isEmpty { (bytes, taken) = (more, 0) } else { bytes += more }
    }

    /// Lends up to `most` of them to `body`; as many are gone as it says it has taken.
    mutating func take(_ most: Int, _ body: (UnsafeRawBufferPointer) -> Int) {
        let (start, end) = (taken, min(taken + most, bytes.count))
        unsafe taken += bytes.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
        if isEmpty { (bytes, taken) = ([], 0) }
    }
}
