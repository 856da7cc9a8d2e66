import Base
import HTTP

/// Two blocks for one decoder; and what it makes of them an encoder and another decoder must agree on.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    var decoder = HPACKDecoder(tableSize: data[0] & 0x80 == 0 ? 4096 : 100)
    var encoder = HPACKEncoder()
    var other = HPACKDecoder()
    for (number, part) in [input.bytes[..<input.cut], input.bytes[input.cut...]].enumerated() {
        if number == 1 { encoder.take(peerTableSize: Int(data[1]) * 8) }
        guard let fields = isolated(UnsafeRawBufferPointer(rebasing: part), { lines(UnsafeRawBufferPointer($0), &decoder) }) else { return 0 }
        let block = encoded(fields, &encoder)
        let back = block.withUnsafeBytes { bytes in isolated(bytes) { lines(UnsafeRawBufferPointer($0), &other) } }
        require(back == fields, "what was encoded comes back as something else")
    }
    return 0
}

private struct Field: Equatable {
    var name: [UInt8]
    var value: [UInt8]
    /// May stand in no table.
    var isSecret: Bool
}

/// The fields of a block, without those that are larger than their room; nil when it is malformed.
private func lines(_ bytes: UnsafeRawBufferPointer, _ decoder: inout HPACKDecoder) -> [Field]? {
    withUnsafeTemporaryAllocation(byteCount: HPACKDecoder.scratch, alignment: 1) { room in
        var block = HPACKDecoder.Block(bytes)
        var out = ByteWriter(room)
        var (fields, total): ([Field], Int) = ([], 0)
        do {
            while let field = try decoder.next(&block, to: &out) {
                if !out.overflowed {
                    let text = out.written
                    fields.append(Field(name: Array(text[field.name]), value: Array(text[field.value]), isSecret: field.isNeverIndexed))
                    total += text.count
                }
                out.removeAll()
                // A few bytes may stand for a great many.
                if total > 1 << 16 { return nil }
            }
            return fields
        } catch { return nil }
    }
}

private func encoded(_ fields: [Field], _ encoder: inout HPACKEncoder) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: fields.reduce(64) { $0 + $1.name.count + $1.value.count + 16 })
    let count = block.withUnsafeMutableBytes { room in
        var out = ByteWriter(room)
        encoder.begin(&out)
        for field in fields {
            field.name.withUnsafeBytes { name in
                field.value.withUnsafeBytes { encoder.encode(name, $0, isSecret: field.isSecret, to: &out) }
            }
        }
        require(!out.overflowed, "a block larger than its fields")
        return out.count
    }
    return Array(block[..<count])
}
