
/// What this process has too little of.
public enum OverloadCause: UInt8, Sendable, CaseIterable {
    case memory, descriptors, lag

    public var name: StaticString {
        switch self {
        case .memory: "memory"
        case .descriptors: "descriptors"
        case .lag: "lag"
        }
    }
}

/// What the gateway gives up under load, one thing after the other.
///
///     0 ──► 1 no connection is kept that is new ──► 2 requests are refused ──► 3 new connections wait in the kernel
///       ◄──                                     ◄──                        ◄──
///
/// A stage begins when something has been beyond its bound for a few looks, and ends when all has been well below it for a while:
/// one stage after the other, so that nothing swings.
public struct OverloadStages: Sendable {
    /// How much there is of something, beside where the stages begin.
    public struct Level: Sendable {
        public var cause: OverloadCause
        public var value: Double
        /// In ascending order: of stage 1, 2 and 3.
        public var bounds: (Double, Double, Double)

        public init(_ cause: OverloadCause, _ value: Double, bounds: (Double, Double, Double)) {
            (self.cause, self.value, self.bounds) = (cause, value, bounds)
        }

        func bound(of stage: Int) -> Double { stage == 1 ? bounds.0 : stage == 2 ? bounds.1 : bounds.2 }

        /// The stage that this is beyond the bound of.
        fileprivate var stage: Int { value >= bounds.2 ? 3 : value >= bounds.1 ? 2 : value >= bounds.0 ? 1 : 0 }
    }

    public private(set) var stage = 0
    /// Of the present stage: what has led to it, or would at the moment.
    public private(set) var cause = OverloadCause.memory
    /// Looks in a row at which a higher stage was due.
    private var rising = 0
    /// Since when all has been below the present stage: nanoseconds; nil while it is not.
    private var calmSince: UInt64?

    /// Memory and descriptors are what they are; a loop may be late once.
    private static let looks: [OverloadCause: Int] = [.memory: 1, .descriptors: 1, .lag: 5]
    /// A stage ends below this part of its bound, once that has been so for `calm`.
    private static let below = 0.9
    public static let calm: UInt64 = 500_000_000

    public init() {}

    /// Looks again.
    /// - Parameter now: monotonic nanoseconds.
    public mutating func look(at levels: [Level], now: UInt64) {
        guard let worst = levels.max(by: { $0.stage < $1.stage }) else { return }
        if worst.stage > stage {
            calmSince = nil
            rising += 1
            if rising >= Self.looks[worst.cause] ?? 1 { (stage, cause, rising) = (worst.stage, worst.cause, 0) }
            return
        }
        rising = 0
        if stage == 0 { return }
        if worst.stage == stage { cause = worst.cause }
        guard levels.allSatisfy({ $0.value < Self.below * $0.bound(of: stage) }) else { return calmSince = nil }
        let since = calmSince ?? now
        calmSince = since
        if now - since >= Self.calm { (stage, calmSince) = (stage - 1, nil) }
    }
}
