import Glibc

/// What went wrong with a file, in words for the operator.
public enum StorageFault: Error, Equatable, CustomStringConvertible {
    /// A system call failed, with its `errno`.
    case system(_ what: String, path: String, code: Int32)
    /// The file is not what it should be.
    case damaged(_ what: String, path: String)
    /// It was replaced, cut or taken away while the files around it were read, or came meanwhile: to be begun again.
    case changed(path: String)
    /// Two other processes use it already.
    case inUse(path: String)

    /// No room is left: not on the disk, not in the quota, or not in a file of the size that is allowed.
    public var isFull: Bool {
        if case .system(_, _, let code) = self { return code == ENOSPC || code == EDQUOT || code == EFBIG }
        return false
    }

    public var description: String {
        switch self {
        case .system(let what, let path, let code): "\(what) \(path): \(unsafe String(cString: strerror(code)))"
        case .damaged(let what, let path): "\(path): \(what)"
        case .changed(let path): "\(path) was changed or came while it was read"
        case .inUse(let path): "\(path) is in use by two other gateways already"
        }
    }
}
