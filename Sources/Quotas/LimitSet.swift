import Base
import Configuration
import Storage

/// One limit of a level, ready to be counted.
public struct Limit: Sendable {
    public enum Kind: Sendable {
        case rate(TokenBucket)
        case quota(QuotaWindow, QuotaSettings.Period)
        case concurrency(UInt64)
    }

    public let kind: Kind
    public let cell: Meter.Cell
    /// Never refuses.
    public let isShadow: Bool
    /// How much there is of it when nothing is used.
    public let size: UInt64
    /// What answers say before the number that is left: `"rate-second";r=`.
    nonisolated(unsafe) var label = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Item of `RateLimit-Policy`, without the window of a month, which is not always as long.
    nonisolated(unsafe) var policy = UnsafeRawBufferPointer(start: nil, count: 0)

    init(kind: Kind, cell: Meter.Cell, isShadow: Bool, size: UInt64) {
        (self.kind, self.cell, self.isShadow, self.size) = (kind, cell, isShadow, size)
    }
}

/// A level as the request path goes through it: no reference in it, so that nothing is counted up and down on the way.
/// The `LimitSet` that it is of must be kept by somebody.
struct Level: Sendable {
    let meter: Meter
    nonisolated(unsafe) let rules: UnsafePointer<LimitRules.Record>

    @inline(__always)
    var limits: UnsafeBufferPointer<Limit> { rules.pointee.limits }
    /// A limit refuses.
    @inline(__always)
    var hasEnforced: Bool { rules.pointee.hasEnforced }

    /// Asks for what admission and settlement will touch.
    @inline(__always)
    func prefetch() {
        meter.prefetch()
        if rules.pointee.writesMore { meter.prefetchMore() }
    }
}

/// The limits of one level (a tenant, a key or a route) in one configuration, and the slot that they are counted in.
/// A tenant without limits has one too: it is what counts its requests.
public final class LimitSet: Sendable {
    let rules: LimitRules
    /// The same, where no reference has to be held on to.
    let level: Level

    /// Takes the settings over into the slot: what is left stays, what is new starts full. For the control thread.
    /// - Parameters:
    ///   - now: the table's time in ticks.
    ///   - calendar: of the wall clock.
    public convenience init(
        _ usage: UsageSettings, kind: MeterKind, meter: Meter, now: UInt64, calendar: QuotaCalendar
    ) {
        let rules = LimitRules(.init(usage: usage, kind: kind, bucketNames: meter.bucketNames))
        self.init(rules, meter: meter, now: now, calendar: calendar)
    }

    /// - Parameter rules: made with the bucket names that the slot has.
    init(_ rules: LimitRules, meter: Meter, now: UInt64, calendar: QuotaCalendar) {
        self.rules = rules
        level = Level(meter: meter, rules: rules.record)
        rules.adopt(meter, now: now, calendar: calendar)
    }

    public var meter: Meter { level.meter }
    public var usage: UsageSettings { rules.usage }
    public var kind: MeterKind { rules.kind }
    /// What each limit is called, for clients, metrics and operators: `rate-second`, `quota-month`, `concurrency`.
    public var names: [String] { rules.names }
}
