/// The outside of a configuration, as closures, so that this module touches no file.
public struct ConfigurationSource: Sendable {
    /// The whole of a file.
    public var read: @Sendable (_ path: String) -> Result<[UInt8], SourceError>
    /// The files that match a shell pattern (`*`, `?`, `[...]`, `\` escapes), sorted; no match is empty.
    public var glob: @Sendable (_ pattern: String) throws(SourceError) -> [String]
    /// A variable of the environment; nil where it is not set.
    public var environment: @Sendable (_ name: String) -> String?
    /// Seconds since 1970, to tell what has expired.
    public var now: @Sendable () -> UInt64

    public init(
        read: @escaping @Sendable (_ path: String) -> Result<[UInt8], SourceError>,
        glob: @escaping @Sendable (_ pattern: String) throws(SourceError) -> [String] = { _ in [] },
        environment: @escaping @Sendable (_ name: String) -> String? = { _ in nil },
        now: @escaping @Sendable () -> UInt64 = { 0 }
    ) {
        (self.read, self.glob, self.environment, self.now) = (read, glob, environment, now)
    }
}

/// Why a file can't be read.
public enum SourceError: Error, Sendable, Equatable, CustomStringConvertible {
    case notFound
    case notPermitted
    case isFolder
    /// More bytes than the source reads of one file.
    case tooLarge(limit: Int)
    /// The system's own words.
    case failed(String)

    public var description: String {
        switch self {
        case .notFound: "no such file"
        case .notPermitted: "no permission to read it"
        case .isFolder: "it is a folder"
        case .tooLarge(let limit): "it is larger than \(limit >> 20) MiB"
        case .failed(let reason): reason
        }
    }
}
