/// The `key` line of gateway.conf for a new key.
public enum KeyLine {
    /// Why there can be no such line, in words for the operator.
    public struct Fault: Error, CustomStringConvertible { public var description: String }

    /// - Parameters:
    ///   - digest: 64 hexadecimal digits.
    ///   - expires: as the `expires` option has it.
    public static func text(
        digest: String, tenant: String, name: String?, expires: String?
    ) throws(Fault) -> String {
        var line = "key sha256:\(digest)"
        do throws(ValueFault) {
            _ = try Texts.identifier(tenant)
            if let name {
                _ = try Texts.identifier(name)
                line += " name=\(name)"
            }
            if let expires {
                _ = try Dates.date(expires)
                line += " expires=\(expires)"
            }
        } catch {
            throw Fault(description: [error.message, error.suggestion].compactMap { $0 }.joined(separator: "; "))
        }
        return line + ";"
    }
}
