/// What a route answers itself: nothing of such a request goes to an upstream.
public enum OwnAnswerSettings: Sendable, Hashable {
    /// - Parameters:
    ///   - type: that of the text; nil where there is none.
    case respond(status: UInt16, type: String?, text: RequestTemplate)
    case redirect(status: UInt16, to: RequestTemplate)
}

/// Faults on purpose, each for a share of the requests, in hundredths.
public struct FaultSettings: Sendable, Hashable {
    public struct Delay: Sendable, Hashable {
        /// Nanoseconds.
        public var time: UInt64
        public var share: UInt8
    }

    public struct Abort: Sendable, Hashable {
        public var status: UInt16
        public var share: UInt8
    }

    public var delay: Delay?
    public var abort: Abort?
    public init() {}
}
