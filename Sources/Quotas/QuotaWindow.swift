import Storage

/// What is used in a calendar period, as one atomic word: 24 bits number the period, 40 bits count. The first request
/// of a new period starts the count anew, in the same step in which it is counted.
public struct QuotaWindow: Sendable, Equatable {
    public static let usedMax: UInt64 = 1 << 40 - 1
    public let limit: UInt64

    public init(limit: UInt64) { self.limit = limit }

    static func period(_ word: UInt64) -> UInt64 { word >> 40 }
    static func used(_ word: UInt64) -> UInt64 { word & usedMax }

    /// What is used in `period`. A clock that steps back finds the later period still in force.
    @inline(__always)
    public static func used(in period: UInt64, word: UInt64) -> UInt64 { word >> 40 < period ? 0 : word & usedMax }

    @inline(__always)
    public func allows(_ cost: UInt64, in period: UInt64, word: UInt64) -> Bool {
        let used = Self.used(in: period, word: word)
        return used <= limit && cost <= limit &- used
    }

    @inline(__always)
    public func take(_ cost: UInt64, in period: UInt64, from cell: Meter.Cell, of meter: Meter) -> Bool {
        var word = meter.value(cell)
        while true {
            guard allows(cost, in: period, word: word) else { return false }
            if meter.replace(&word, with: Self.adding(cost, in: period, to: word), in: cell) { return true }
        }
    }

    /// Counts more than was known before, past the limit if need be.
    public func charge(_ cost: UInt64, in period: UInt64, to cell: Meter.Cell, of meter: Meter) {
        var word = meter.value(cell)
        while true {
            if meter.replace(&word, with: Self.adding(cost, in: period, to: word), in: cell) { return }
        }
    }

    /// Gives back what was taken in `period`; what was taken in a period that is over stays with it.
    public func giveBack(_ cost: UInt64, in period: UInt64, to cell: Meter.Cell, of meter: Meter) {
        var word = meter.value(cell)
        while true {
            // A period in force that is ahead of `period` by a stepped clock was counted in as well.
            guard Self.period(word) == period else { return }
            let used = Self.used(word)
            if meter.replace(&word, with: period << 40 | (used > cost ? used - cost : 0), in: cell) { return }
        }
    }

    @inline(__always)
    private static func adding(_ cost: UInt64, in period: UInt64, to word: UInt64) -> UInt64 {
        let used = used(in: period, word: word)
        return max(period, word >> 40) << 40 | min(used &+ min(cost, usedMax), usedMax)
    }

    /// For a limit that was not there before, or whose period was numbered by a wrong clock.
    public static func adopt(_ cell: Meter.Cell, of meter: Meter, period: UInt64, isNew: Bool) {
        var word = meter.value(cell)
        while true {
            var next = word
            if isNew { next = 0 } else if Self.period(word) > period + 1 { next = period << 40 | used(word) }
            if next == word { return }
            if meter.replace(&word, with: next, in: cell) { return }
        }
    }
}
