import Storage

/// What is used in a calendar period, as one atomic word: 24 bits say when the window ends, in hours since 1970, and 40
/// bits count. A window lives until its end, whatever becomes of the rule that made it; the first request after it begins
/// the next one, in the same step in which it is counted.
public struct QuotaWindow: Sendable, Equatable {
    public static let usedMax: UInt64 = 1 << 40 - 1
    public let limit: UInt64

    public init(limit: UInt64) { self.limit = limit }

    /// Hours since 1970.
    @inline(__always)
    static func end(_ word: UInt64) -> UInt64 { word >> 40 }
    static func used(_ word: UInt64) -> UInt64 { word & usedMax }

    /// What is used of the window in force.
    /// - Parameter hour: the present one, since 1970.
    @inline(__always)
    public static func used(at hour: UInt64, word: UInt64) -> UInt64 { word >> 40 <= hour ? 0 : word & usedMax }

    @inline(__always)
    public func allows(_ cost: UInt64, at hour: UInt64, word: UInt64) -> Bool {
        let used = Self.used(at: hour, word: word)
        return used <= limit && cost <= limit &- used
    }

    /// - Parameter end: of the window that begins if none is in force.
    @inline(__always)
    public func take(_ cost: UInt64, at hour: UInt64, until end: UInt64, from cell: Meter.Cell, of meter: Meter) -> Bool {
        var word = meter.value(cell)
        while true {
            guard allows(cost, at: hour, word: word) else { return false }
            let next =
                word >> 40 <= hour ? end << 40 | min(cost, Self.usedMax) : Self.adding(cost, to: word)
            if meter.replace(&word, with: next, in: cell) { return true }
        }
    }

    /// Counts more than was known at the admission, past the limit if need be. Of a window that is over nothing changes.
    /// - Parameters:
    ///   - hour: the present one.
    ///   - end: of the window in force at the admission.
    public func charge(_ cost: UInt64, at hour: UInt64, until end: UInt64, to cell: Meter.Cell, of meter: Meter) {
        var word = meter.value(cell)
        while Self.isSame(word, hour, end) {
            if meter.replace(&word, with: Self.adding(cost, to: word), in: cell) { return }
        }
    }

    /// Gives back what was taken; what was taken in a window that is over stays with it.
    public func giveBack(_ cost: UInt64, at hour: UInt64, until end: UInt64, to cell: Meter.Cell, of meter: Meter) {
        var word = meter.value(cell)
        while Self.isSame(word, hour, end) {
            let used = Self.used(word)
            if meter.replace(&word, with: word & ~Self.usedMax | (used > cost ? used - cost : 0), in: cell) { return }
        }
    }

    /// Whether what was counted in a window that ended then, by the rule of that time, is counted in this one: it is the
    /// same, or the rule has changed before it ended and it was kept on.
    private static func isSame(_ word: UInt64, _ hour: UInt64, _ end: UInt64) -> Bool { word >> 40 == end || hour < end }

    @inline(__always)
    private static func adding(_ cost: UInt64, to word: UInt64) -> UInt64 {
        word & ~usedMax | min(word & usedMax &+ min(cost, usedMax), usedMax)
    }

    /// What a window in force has counted goes on until `end`, where the rule has changed, or where a wrong clock has
    /// begun it. For a limit that was not there before it is begun anew.
    /// - Parameter former: what earlier versions called the period in force, and wrote in the place of its end.
    static func adopt(
        _ cell: Meter.Cell, of meter: Meter, at hour: UInt64, until end: UInt64, former: UInt64?, isNew: Bool
    ) {
        var word = meter.value(cell)
        while true {
            var next = word
            if isNew { next = 0 } else if word >> 40 > hour || word >> 40 == former { next = end << 40 | used(word) }
            if next == word { return }
            if meter.replace(&word, with: next, in: cell) { return }
        }
    }
}
