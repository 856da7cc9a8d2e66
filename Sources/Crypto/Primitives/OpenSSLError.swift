import COpenSSL

/// What OpenSSL put into its error queue, oldest first. Reading it empties the queue.
public struct OpenSSLError: Error, CustomStringConvertible, Sendable {
    public var description: String

    public init(_ doing: String) {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            // A text of OpenSSL's own, there for good.
            if let text = unsafe ERR_reason_error_string(code) { reasons.append(unsafe String(cString: text)) }
        }
        description = reasons.isEmpty ? doing : "\(doing): \(reasons.joined(separator: ", "))"
    }
}
