/// When a failed request is sent again.
public struct RetrySettings: Sendable, Equatable {
    /// What a request is sent again for.
    public struct Causes: OptionSet, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// No server could be connected to.
        public static let connect = Causes(rawValue: 1)
        /// A connection ended without an answer.
        public static let reset = Causes(rawValue: 2)
        /// No answer came in time.
        public static let timeout = Causes(rawValue: 4)
        /// No cause by itself: methods that are not idempotent go again as well.
        public static let nonIdempotent = Causes(rawValue: 8)

        /// An answer of that status, where it can be one.
        public static func status(_ status: UInt16) -> Causes {
            switch status {
            case 429: Causes(rawValue: 16)
            case 500: Causes(rawValue: 32)
            case 502: Causes(rawValue: 64)
            case 503: Causes(rawValue: 128)
            case 504: Causes(rawValue: 256)
            default: []
            }
        }

        /// By its word in the configuration.
        init(_ word: String) {
            switch word {
            case "connect": self = .connect
            case "reset": self = .reset
            case "timeout": self = .timeout
            case "non_idempotent": self = .nonIdempotent
            default: self = .status(UInt16(word) ?? 0)
            }
        }

        /// All that there are.
        static let words = ["connect", "reset", "timeout", "500", "502", "503", "504", "429", "non_idempotent"]
    }

    /// How often a request is sent, all in all.
    public var tries = 2
    public var causes: Causes = .reset
    /// Retries for a hundred requests; ten a second there are always.
    public var budget = 20
    /// Nanoseconds before the second sending, doubled before each one after it.
    public var backoff: UInt64 = 0
    /// Requests with a body go again too, where all of it is in memory.
    public var hasBodies = false

    /// Where nothing is said.
    public init() {}

    /// Where `retry` stands, without options.
    static var written: RetrySettings {
        var retry = RetrySettings()
        (retry.causes, retry.backoff, retry.hasBodies) = ([.connect, .reset], 25_000_000, true)
        return retry
    }
}
