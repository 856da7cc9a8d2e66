import Base

/// Secrets by where they are kept, and the digests that stand for API keys.
enum Secrets {
    /// Bytes.
    static let max = 64 << 10

    static func keyDigest(_ text: String) throws(ValueFault) -> Value {
        let digest = text.utf8.dropFirst(7)
        guard text.hasPrefix("sha256:"), digest.count == 64, digest.allSatisfy({ ASCII.hexValue($0) != nil }) else {
            if text.hasPrefix("gw_") {
                throw .refused("a key itself can't stand here, only its digest: `gateway key create` prints it")
            }
            throw .refused("\(quoted(text)) is not `sha256:` and 64 hexadecimal digits")
        }
        return .text(text.asciiLowercased)
    }

    /// Whether a value names a secret instead of holding one.
    static func isReference(_ text: String) -> Bool { text.hasPrefix("file:") || text.hasPrefix("env:") }

    /// The secret behind `file:PATH` or `env:NAME`, without a line end. It never stands in a message.
    static func secret(_ text: String, from folder: String, in source: ConfigurationSource) throws(ValueFault) -> String
    {
        var bytes: [UInt8]
        if text.hasPrefix("env:") {
            let name = String(text.dropFirst(4))
            guard let value = source.environment(name) else {
                throw .refused("the environment has no variable \(quoted(name))")
            }
            bytes = Array(value.utf8)
        } else {
            if text.utf8.count == 5 { throw .refused("`file:` without a path") }
            let path = Path.resolve(String(text.dropFirst(5)), from: folder)
            switch source.read(path) {
            case .success(let content): bytes = content
            case .failure(let error): throw .refused("the secret's file \(quoted(path)) can't be read: \(error)")
            }
        }
        if bytes.last == ASCII.lf { bytes.removeLast() }
        if bytes.last == ASCII.cr { bytes.removeLast() }
        if bytes.isEmpty { throw .refused("the secret \(quoted(text)) is empty") }
        if bytes.count > max { throw .refused("the secret \(quoted(text)) is longer than \(max >> 10)k") }
        guard let secret = String(validating: bytes, as: UTF8.self) else {
            throw .refused("the secret \(quoted(text)) is not UTF-8 text")
        }
        return secret
    }
}
