import Glibc

/// An operation on a file that failed, and why.
public struct StorageError: Error, Equatable, CustomStringConvertible {
    /// As an operator reads it: `write`, `open`, ...
    public var operation: String
    public var path: String
    /// An `errno`.
    public var code: Int32

    public init(_ operation: String, _ path: String, _ code: Int32) {
        (self.operation, self.path, self.code) = (operation, path, code)
    }

    /// No room is left: not on the disk, or not in the quota.
    public var isFull: Bool { code == ENOSPC || code == EDQUOT }
    public var isMissing: Bool { code == ENOENT }

    public var description: String { "can't \(operation) \(path): \(String(cString: strerror(code)))" }
}
