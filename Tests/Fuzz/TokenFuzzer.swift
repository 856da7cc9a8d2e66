import Base

@testable import Tenancy

/// The bytes up to the cut are a token's header and the rest are its claims, or all of them are the token itself.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    let bytes = Array(input.bytes)
    if data[0] % 2 == 1 {
        var text = encode(bytes[..<input.cut]) + [0x2E] + encode(bytes[input.cut...]) + [0x2E]
        text += Array("AAAA".utf8)
        checkToken(text)
    } else {
        checkToken(bytes)
    }
    return 0
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
