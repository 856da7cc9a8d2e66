import Base

@testable import Tenancy

/// The bytes up to the cut are a token's header and the rest are its claims, or all of them are one JSON text, or the
/// token itself.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    let bytes = Array(input.bytes)
    switch data[0] % 3 {
    case 0: checkJSON(bytes)
    case 1:
        var text = encode(bytes[..<input.cut]) + [0x2E] + encode(bytes[input.cut...]) + [0x2E]
        text += Array("AAAA".utf8)
        checkToken(text)
    default: checkToken(bytes)
    }
    return 0
}

private func checkJSON(_ bytes: [UInt8]) {
    guard let value = try? JSONReader.read(bytes) else { return }
    require(String(validating: bytes, as: UTF8.self) != nil, "bytes that are not UTF-8 were accepted")
    var text: [UInt8] = []
    write(value, to: &text)
    require((try? JSONReader.read(text)) == value, "written and read again it is another value")
    for cut in 0..<min(bytes.count, 64) where value.object != nil || value.array != nil {
        let part = Array(bytes[..<(bytes.count - 1 - cut)])
        if let shorter = try? JSONReader.read(part) {
            require(shorter == value, "a part is another value")
        }
    }
}

private func checkToken(_ text: [UInt8]) {
    let token: Token? = text.withUnsafeBytes { text in isolated(text) { try? Token(UnsafeRawBufferPointer($0)) } }
    guard let token else { return }
    let parts = text.split(separator: 0x2E, omittingEmptySubsequences: false)
    require(parts.count == 3, "not three parts")
    require(token.signedCount == parts[0].count + 1 + parts[1].count, "what is signed is not the first two parts")
    require(encode(token.signature[...]) == Array(parts[2]), "a signature with two spellings")
    for part in parts {
        guard let bytes = Base64URL.decode(Array(part)) else { fatalError("a part that is not base64url") }
        require(encode(bytes[...]) == Array(part), "a part with two spellings")
    }
    let names = Set(token.claims.members.map(\.name))
    require(names.count == token.claims.members.count, "a claim twice")
}

private func encode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    var text: [UInt8] = []
    var (word, bits) = (0, 0)
    for byte in bytes {
        (word, bits) = ((word << 8 | Int(byte)) & 0xFFFF, bits + 8)
        while bits >= 6 {
            bits -= 6
            text.append(alphabet[word >> bits & 63])
        }
    }
    if bits > 0 { text.append(alphabet[word << (6 - bits) & 63]) }
    return text
}

private func write(_ value: JSONValue, to text: inout [UInt8]) {
    switch value {
    case .null: text += Array("null".utf8)
    case .bool(let flag): text += Array("\(flag)".utf8)
    case .integer(let number): text += Array("\(number)".utf8)
    case .number(let number): text += Array("\(number)".utf8)
    case .string(let string): write(string, to: &text)
    case .array(let values):
        text.append(0x5B)
        for (i, value) in values.enumerated() {
            if i > 0 { text.append(0x2C) }
            write(value, to: &text)
        }
        text.append(0x5D)
    case .object(let object):
        text.append(0x7B)
        for (i, member) in object.members.enumerated() {
            if i > 0 { text.append(0x2C) }
            write(member.name, to: &text)
            text.append(0x3A)
            write(member.value, to: &text)
        }
        text.append(0x7D)
    }
}

private func write(_ string: [UInt8], to text: inout [UInt8]) {
    let digits = Array("0123456789abcdef".utf8)
    text.append(0x22)
    for byte in string {
        if byte < 0x20 || byte == 0x22 || byte == 0x5C {
            text += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        } else {
            text.append(byte)
        }
    }
    text.append(0x22)
}
