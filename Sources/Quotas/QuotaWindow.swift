import Storage

/// What is used in a calendar period, as one atomic word: 24 bits say when the window ends, in hours since 1970, and 40
/// bits count. A window lives until its end; the first request after it begins the next one, in the same step in which it
/// is counted. What the window before held is kept beside it, and of a month when it was first counted in: a wrong clock
/// may have begun it, and a change of the rule may end it elsewhere (`adopt`).
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
            let isOver = word >> 40 <= hour
            if isOver { Self.leave(word, at: hour, in: cell, of: meter) }
            let next = isOver ? end << 40 | min(cost, Self.usedMax) : Self.adding(cost, to: word)
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

    /// Once a period: what it ends with is remembered, and when the next one is first counted in.
    @inline(never)
    private static func leave(_ word: UInt64, at hour: UInt64, in cell: Meter.Cell, of meter: Meter) {
        meter.store(word, to: cell.previousWindow)
        if cell == .window(Self.month) { meter.store(hour, to: .monthBegan) }
    }

    /// The rule has changed, or the time that is believed was set: finds the window that is in force now.
    ///
    /// - One that a clock has begun which was ahead is of no time that has come: the one before it is in force again where
    ///   it is not over, and what was used in both was used in it.
    /// - Where the rule's month began before anything was counted in the window, all of that was used in the rule's month,
    ///   and the window ends with it. Else nobody knows how much of it was: the window goes on until its own end, as those
    ///   were told who were refused, and the rule's next one follows.
    ///
    /// For a limit that was not there before a window is begun anew.
    /// - Parameters:
    ///   - rule: the present period by the rule, in hours since 1970.
    ///   - former: what earlier versions called the period in force, and wrote in the place of its end.
    static func adopt(
        _ cell: Meter.Cell, of meter: Meter, at hour: UInt64, rule: Range<UInt64>, former: UInt64?, isNew: Bool
    ) {
        if isNew {
            for cell in [cell, cell.previousWindow] { meter.clear(cell) }
            return
        }
        let isMonth = cell == .window(Self.month)
        var word = meter.value(cell)
        while true {
            let end = word >> 40
            var next = word
            if end == former {
                next = rule.upperBound << 40 | used(word)
            } else if end > hour, end != rule.upperBound {
                let began = isMonth ? meter.value(.monthBegan) : 0
                if isMonth ? began > hour || end > hour + longest : end > rule.upperBound {
                    let before = meter.value(cell.previousWindow)
                    let isInForce = before >> 40 > hour && before >> 40 <= rule.upperBound
                    next = (isInForce ? before : rule.upperBound << 40) & ~usedMax
                    next |= min(used(word) + (isInForce ? used(before) : 0), usedMax)
                    if isMonth { meter.store(isInForce && used(before) > 0 ? 0 : hour, to: .monthBegan) }
                } else if began >= rule.lowerBound {
                    next = rule.upperBound << 40 | used(word)
                }
            }
            if next == word { return }
            if meter.replace(&word, with: next, in: cell) { return }
        }
    }

    /// The window that a changed rule may end elsewhere.
    private static let month = 2
    /// Hours of a month of 31 days.
    private static let longest: UInt64 = 31 * 24
}
