import Storage

/// A token bucket as one atomic word: the generic cell rate algorithm. The word holds the *theoretical arrival time*,
/// the moment at which the bucket is full again; every request moves it by what it costs. A bucket that was never used
/// is at zero: full.
///
///                 now                    TAT                 now + span
///     ─────────────┼──────────────────────┼───────────────────────┤
///                  └──── what is used ────┴──── what is left ─────┘
public struct TokenBucket: Sendable, Equatable {
    /// Ticks (`MeterTime.ticks`) in which one token comes, with 16 bits of fraction.
    public let interval: UInt64
    /// Tokens that fit.
    public let burst: UInt64
    /// Ticks in which an empty bucket fills.
    public let span: UInt64

    /// Ten years: no bucket takes longer to fill (the configuration sees to that), and no debt is longer than twice that.
    private static let spanMax: UInt64 = 3650 * 86400 * 1_000_000_000 * MeterTime.ticksPerNanosecond

    /// - Parameters:
    ///   - count: tokens that come in `period`, at least 1.
    ///   - period: nanoseconds, at most an hour.
    public init(count: UInt64, period: UInt64, burst: UInt64) {
        precondition(count > 0 && period <= 3_600_000_000_000)
        interval = max(1, (period * MeterTime.ticksPerNanosecond) << 16 / count)
        self.burst = max(1, burst)
        span = Self.ticks(self.burst, interval)
    }

    private static func ticks(_ tokens: UInt64, _ interval: UInt64) -> UInt64 {
        let product = tokens.multipliedFullWidth(by: interval)
        guard product.high < 1 << 16 else { return spanMax }
        return min(product.high << 48 | product.low >> 16, spanMax)
    }

    @inline(__always)
    func ticks(_ tokens: UInt64) -> UInt64 { Self.ticks(tokens, interval) }

    /// Ticks until a request of this cost gets in; zero is now. One that costs more than fits waits until the bucket is
    /// full, and then leaves a debt.
    @inline(__always)
    public func wait(_ cost: UInt64, at now: UInt64, arrival: UInt64) -> UInt64 {
        let used = arrival > now ? arrival &- now : 0
        let needed = cost >= burst ? span : ticks(cost)
        let room = span &- needed
        return used > room ? used &- room : 0
    }

    /// Takes what a request costs; false when there is not enough left.
    @inline(__always)
    public func take(_ cost: UInt64, at now: UInt64, from cell: Meter.Cell, of meter: Meter) -> Bool {
        var arrival = meter.value(cell)
        while true {
            if wait(cost, at: now, arrival: arrival) > 0 { return false }
            if meter.replace(&arrival, with: max(arrival, now) &+ ticks(cost), in: cell) { return true }
        }
    }

    /// Takes more than was known before, into debt if need be.
    public func charge(_ cost: UInt64, at now: UInt64, to cell: Meter.Cell, of meter: Meter) {
        var arrival = meter.value(cell)
        while true {
            let next = min(max(arrival, now) &+ ticks(cost), now &+ 2 * Self.spanMax)
            if meter.replace(&arrival, with: next, in: cell) { return }
        }
    }

    /// Puts back what was taken.
    @inline(__always)
    public func giveBack(_ cost: UInt64, to cell: Meter.Cell, of meter: Meter) {
        var arrival = meter.value(cell)
        let back = ticks(cost)
        while true {
            if meter.replace(&arrival, with: arrival > back ? arrival &- back : 0, in: cell) { return }
        }
    }

    /// Whole tokens that are left.
    public func left(at now: UInt64, arrival: UInt64) -> UInt64 {
        let used = arrival > now ? arrival &- now : 0
        guard used < span else { return 0 }
        let room = (span &- used).multipliedFullWidth(by: 1 << 16)
        guard room.high < interval else { return burst }
        return min(burst, interval.dividingFullWidth(room).quotient)
    }

    // MARK: Change of limits

    /// What the slot remembers of how it was last set: interval and burst, as two floats.
    var setting: UInt64 {
        UInt64(Float(interval).bitPattern) << 32 | UInt64(Float(burst).bitPattern)
    }

    /// Makes the cell go by this bucket: what is left in it stays, as far as it fits, whatever the rate was before. One
    /// that had no limit before starts full.
    public func adopt(_ cell: Meter.Cell, setting settingCell: Meter.Cell, of meter: Meter, at now: UInt64) {
        let before = meter.value(settingCell)
        var arrival = meter.value(cell)
        while true {
            var next = arrival
            if before == 0 {
                next = 0
            } else if before != setting {
                let interval = Double(Float(bitPattern: UInt32(before >> 32))) / 65536
                let burst = Double(Float(bitPattern: UInt32(truncatingIfNeeded: before)))
                let used = arrival > now ? Double(arrival - now) / max(interval, 1e-9) : 0
                let left = min(burst - used, Double(self.burst))
                let debt = max(0, Double(self.burst) - left) * Double(self.interval) / 65536
                next = now &+ UInt64(min(debt, 2 * Double(Self.spanMax)))
            }
            // A clock that was wrong once must not shut a tenant out for years.
            next = min(next, now &+ 2 * Self.spanMax)
            if next == arrival || meter.replace(&arrival, with: next, in: cell) { break }
        }
        if before != setting { meter.store(setting, to: settingCell) }
    }
}
