import Synchronization

/// The stage of overload that the process is in, for all loops: the control thread sets it, each loop looks now and then.
public final class Overload: Sendable {
    private let word = Atomic<Int>(0)

    public init() {}

    public func set(stage: Int, cause: OverloadCause) { word.store(stage << 8 | Int(cause.rawValue), ordering: .relaxed) }

    var present: (stage: Int, cause: OverloadCause) {
        let word = word.load(ordering: .relaxed)
        return (word >> 8, OverloadCause(rawValue: UInt8(truncatingIfNeeded: word)) ?? .memory)
    }
}
