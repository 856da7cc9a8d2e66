import Base

/// What the first bytes of a connection look like where something else than HTTP/1 was to come. Nothing is decided by it but
/// the words of a refusal.
public enum FirstBytes {
    /// Whether they begin a request line of HTTP/1 (RFC 9112 section 3). They may end anywhere in it.
    public static func areRequest(_ bytes: UnsafeRawBufferPointer) -> Bool {
        // What is given outlives the call; it is looked at as an array, which is copied once for each such client.
        let line = unsafe Array(bytes.prefix { $0 != ASCII.lf })
        let isWhole = line.count < bytes.count
        let words = line.split(separator: ASCII.space, omittingEmptySubsequences: false)
        if isWhole {
            let version = words.last.map { $0.last == ASCII.cr ? $0.dropLast() : $0 } ?? []
            return words.count == 3 && version.count == 8 && version.starts(with: "HTTP/1.".utf8) && !words[1].isEmpty
        }
        guard words.count > 1 else { return methods.contains { $0.utf8.starts(with: line) } }
        return methods.contains { $0.utf8.elementsEqual(words[0]) } && words.count < 4
    }

    private static let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
}
