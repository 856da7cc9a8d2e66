import Base
import Configuration

/// What goes wrong on purpose with some of a route's requests. A handle to a record of its `Directory`.
public struct PlannedFaults {
    struct Record {
        /// Nanoseconds.
        var delay: UInt64
        /// In hundredths of all requests, as that of what is aborted.
        var delayShare: UInt8
        var abortShare: UInt8
        var status: UInt16
    }

    let record: UnsafePointer<Record>

    /// Nanoseconds.
    public var delay: UInt64 { record.pointee.delay }
    /// That of requests that are aborted.
    public var status: UInt16 { record.pointee.status }

    /// Draws lots for one request: whether it is delayed tells nothing of whether it is aborted.
    public func draw(_ random: UInt64) -> Faults {
        var drawn = Faults()
        if UInt8(random % 100) < record.pointee.delayShare { drawn.insert(.delay) }
        if UInt8(random / 100 % 100) < record.pointee.abortShare { drawn.insert(.abort) }
        return drawn
    }

    static func make(_ settings: FaultSettings, in memory: RecordMemory) -> UnsafePointer<Record> {
        let record = Record(
            delay: settings.delay?.time ?? 0, delayShare: settings.delay?.share ?? 0, abortShare: settings.abort?.share ?? 0,
            status: settings.abort?.status ?? 0)
        return UnsafePointer(memory.keep([record]))
    }
}

/// What went wrong on purpose.
public struct Faults: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let delay = Faults(rawValue: 1)
    public static let abort = Faults(rawValue: 2)

    /// As the access log calls it; nil of nothing.
    public var name: StaticString? {
        switch self {
        case .delay: "delay"
        case .abort: "abort"
        case [.delay, .abort]: "delay,abort"
        default: nil
        }
    }
}

/// What a route does beside forwarding. A handle to a record of its `Directory`.
public struct RouteActs {
    struct Record: Hashable {
        /// nil: requests go to an upstream.
        var answer: UnsafePointer<OwnAnswer.Record>?
        var faults: UnsafePointer<PlannedFaults.Record>?
        /// nil: nobody else decides.
        var decision: UnsafePointer<DecisionRule.Record>?
        /// nil: there are no copies.
        var mirror: UnsafePointer<MirrorRule.Record>?
    }

    let record: UnsafePointer<Record>

    public var answer: OwnAnswer? { record.pointee.answer.map(OwnAnswer.init) }
    public var faults: PlannedFaults? { record.pointee.faults.map(PlannedFaults.init) }
    public var decision: DecisionRule? { record.pointee.decision.map(DecisionRule.init) }
    public var mirror: MirrorRule? { record.pointee.mirror.map(MirrorRule.init) }
}
