import Base
import Configuration
import Storage

/// Takes what a request needs of every limit that applies, in one step or not at all, and settles it after. One a loop;
/// all loops work on the same slots, without a lock. Holds no reference, so that none is counted up and down on the way.
public struct QuotaEnforcer: Sendable, BitwiseCopyable {
    let time: MeterTime
    /// One request in this process's half of an in-flight word.
    private let one: UInt64
    /// Requests are in flight among those of processes that leave (`MeterTable.beginLeaving`).
    private var isLeaving = false
    private let leaving: MeterTable.Leaving
    public private(set) var calendar: QuotaCalendar

    /// - Parameter wall: nanoseconds since 1970.
    public init(table: MeterTable, wall: UInt64) {
        time = table.time
        one = 1 << UInt64(32 * table.lane)
        leaving = table.leaving
        calendar = QuotaCalendar(seconds: wall / 1_000_000_000)
    }

    /// A view of the present moment for what is counted now.
    struct Moment {
        var ticks: UInt64
        /// In hours since 1970, as the ends of what is to begin.
        var now: UInt64
        var day: UInt64
        var month: UInt64

        @inline(__always)
        func end(of period: QuotaSettings.Period) -> UInt64 {
            switch period {
            case .hour: now &+ 1
            case .day: day
            case .month: month
            }
        }
    }

    // MARK: Reserve

    /// Admits the request or says which limits are in its way, and counts it either way.
    /// - Parameters:
    ///   - monotonic: nanoseconds.
    ///   - wall: nanoseconds since 1970.
    public mutating func reserve(_ admission: inout Admission, monotonic: UInt64, wall: UInt64) -> Verdict {
        calendar.refresh(seconds: wall / 1_000_000_000)
        let resetDay = admission.resetDay
        let moment = Moment(
            ticks: time.ticks(monotonic: monotonic), now: calendar.hour,
            day: calendar.end(of: .day, resetDay: 1), month: calendar.end(of: .month, resetDay: resetDay))
        // First a look, so that a request that is refused takes nothing, not even for a moment.
        var verdict = Verdict()
        for level in 0..<3 {
            guard let limits = admission.level(level), limits.hasEnforced else { continue }
            look(at: limits, level, admission.cost, moment, resetDay, &verdict)
        }
        if verdict.isAdmitted {
            take(&admission, moment, &verdict)
            if verdict.isAdmitted {
                (admission.hour, admission.day, admission.month) = (moment.now &+ 1, moment.day, moment.month)
                admission.isOpen = true
                return verdict
            }
        }
        let cell: Meter.Cell =
            switch verdict.reason {
            case .rate, nil: .refusedByRate
            case .quota: .refusedByQuota
            case .concurrency: .refusedByConcurrency
            }
        for level in 0..<3 { admission.level(level)?.meter.add(1, to: cell) }
        return verdict
    }

    private func look(
        at limits: Level, _ level: Int, _ cost: UInt64, _ moment: Moment, _ resetDay: Int,
        _ verdict: inout Verdict
    ) {
        let meter = limits.meter
        for number in 0..<limits.limits.count {
            let limit = limits.limits[number]
            if limit.isShadow { continue }
            let bit: UInt32 = 1 << UInt32(level * 8 + number)
            switch limit.kind {
            case .rate(let bucket):
                let wait = bucket.wait(cost, at: moment.ticks, arrival: meter.value(limit.cell))
                if wait > 0 { refuse(&verdict, bit, bucket, wait) }
            case .quota(let window, let period):
                let word = meter.value(limit.cell)
                if !window.allows(cost, at: moment.now, word: word) { refuse(&verdict, bit, period, resetDay, word) }
            case .concurrency(let most):
                if inFlight(meter) >= most { refuse(&verdict, bit, meter) }
            }
        }
    }

    private func refuse(_ verdict: inout Verdict, _ bit: UInt32, _ bucket: TokenBucket, _ wait: UInt64) {
        let scale = MeterTime.ticksPerNanosecond
        // Rounded up: at that moment it does get in.
        verdict.refuse(bit, .rate, wait: (wait &+ scale &- 1) / scale, refill: bucket.span / scale)
    }

    private func refuse(
        _ verdict: inout Verdict, _ bit: UInt32, _ period: QuotaSettings.Period, _ resetDay: Int, _ word: UInt64
    ) {
        let wait = calendar.remaining(word, period, resetDay: resetDay) &* 1_000_000_000
        verdict.refuse(bit, .quota, wait: wait, refill: wait)
    }

    /// Nobody knows when a request will end. But how long they have taken so far, and how many are under way, tells how
    /// long the next end is away on average.
    private func refuse(_ verdict: inout Verdict, _ bit: UInt32, _ meter: Meter) {
        let average = meter.value(.upstreamMicroseconds) / max(1, meter.settled)
        let wait = min(average / max(1, meter.inFlight), Self.concurrencyWaitMax) &* 1000
        verdict.refuse(bit, .concurrency, wait: wait, refill: 0)
    }

    /// Microseconds. Longer guesses are worth nothing.
    private static let concurrencyWaitMax: UInt64 = 60_000_000

    /// Takes from one limit after the other. When another loop was faster at one, what was taken goes back.
    private func take(_ admission: inout Admission, _ moment: Moment, _ verdict: inout Verdict) {
        var taken: UInt32 = 0
        for level in 0..<3 {
            guard let limits = admission.level(level) else { continue }
            let meter = limits.meter
            var overShadow = false
            var most: UInt64?
            for number in 0..<limits.limits.count {
                let limit = limits.limits[number]
                let bit: UInt32 = 1 << UInt32(level * 8 + number)
                switch limit.kind {
                case .rate(let bucket):
                    if bucket.take(admission.cost, at: moment.ticks, from: limit.cell, of: meter) {
                        taken |= bit
                    } else if limit.isShadow {
                        overShadow = true
                    } else {
                        let wait = bucket.wait(admission.cost, at: moment.ticks, arrival: meter.value(limit.cell))
                        refuse(&verdict, bit, bucket, max(wait, 1))
                    }
                case .quota(let window, let period):
                    if window.take(
                        admission.cost, at: moment.now, until: moment.end(of: period), from: limit.cell, of: meter)
                    {
                        taken |= bit
                    } else if limit.isShadow {
                        overShadow = true
                    } else {
                        refuse(&verdict, bit, period, admission.resetDay, meter.value(limit.cell))
                    }
                case .concurrency(let limitSize):
                    if limit.isShadow { overShadow = overShadow || inFlight(meter) >= limitSize } else { most = limitSize }
                }
                if !verdict.isAdmitted { return undo(admission, taken, before: level, moment) }
            }
            guard enter(meter, most) else {
                refuse(&verdict, 1 << UInt32(level * 8 + limits.limits.count - 1), meter)
                return undo(admission, taken, before: level, moment)
            }
            if overShadow { meter.add(1, to: .shadowRefused) }
        }
        admission.taken = taken
        // First: whoever reads a request as admitted can tell when it was.
        if calendar.isEarly { for level in 0..<3 { admission.level(level)?.meter.add(1, to: .early) } }
        for level in 0..<3 { admission.level(level)?.meter.add(1, to: .admitted) }
    }

    /// Of all processes. The word of those that leave stands in a line of its own, and is looked at while somebody does.
    @inline(__always)
    private func inFlight(_ meter: Meter) -> UInt64 {
        Meter.inFlight(meter.value(.inFlight)) + (leaving.isGoingOn ? meter.inFlightLeaving : 0)
    }

    /// One more in flight, unless there are `most` already.
    private func enter(_ meter: Meter, _ most: UInt64?) -> Bool {
        guard let most else {
            if isLeaving { meter.add(1, to: .leaving) } else { meter.add(one, to: .inFlight) }
            return true
        }
        if leaving.isGoingOn { return enter(meter, most) }
        var word = meter.value(.inFlight)
        while true {
            if Meter.inFlight(word) >= most { return false }
            if meter.replace(&word, with: word &+ one, in: .inFlight) { return true }
        }
    }

    /// The same of two words that no one step can look at: who enters is counted first, and of two that enter at once as the
    /// last one both may have to go.
    @inline(never)
    private func enter(_ meter: Meter, _ most: UInt64) -> Bool {
        if isLeaving { meter.add(1, to: .leaving) } else { meter.add(one, to: .inFlight) }
        if meter.inFlight <= most { return true }
        exit(meter)
        return false
    }

    @inline(__always)
    private func exit(_ meter: Meter) {
        if isLeaving { meter.subtract(1, from: .leaving) } else { meter.subtract(one, from: .inFlight) }
    }

    /// From now on this loop's requests are in flight among those of processes that leave. Each one that is under way is
    /// moved there next.
    public mutating func beginLeaving() { isLeaving = true }

    /// Moves what was admitted before `beginLeaving`. Counted twice for a moment, and never not at all.
    public func move(_ admission: borrowing Admission) {
        guard admission.isOpen else { return }
        for level in 0..<3 {
            guard let meter = admission.level(level)?.meter else { continue }
            meter.add(1, to: .leaving)
            meter.subtract(one, from: .inFlight)
        }
    }

    /// - Parameter entered: levels below this one count the request as in flight.
    private func undo(_ admission: borrowing Admission, _ taken: UInt32, before entered: Int, _ moment: Moment) {
        for level in 0..<3 {
            guard let limits = admission.level(level) else { continue }
            for number in 0..<limits.limits.count where taken & 1 << UInt32(level * 8 + number) != 0 {
                let limit = limits.limits[number]
                switch limit.kind {
                case .rate(let bucket): bucket.giveBack(admission.cost, to: limit.cell, of: limits.meter)
                case .quota(let window, let period):
                    window.giveBack(
                        admission.cost, at: moment.now, until: moment.end(of: period), to: limit.cell, of: limits.meter)
                case .concurrency: break
                }
            }
            if level < entered { exit(limits.meter) }
        }
    }

    // MARK: Settle

    /// Records how an admitted request ended and gives back what is not charged. Exactly once for each admission;
    /// nothing happens the second time.
    public mutating func settle(_ admission: inout Admission, _ outcome: Outcome, monotonic: UInt64) {
        guard admission.isOpen else { return }
        admission.isOpen = false
        var charged: UInt64 = 0
        if admission.terms.pointee.charges(outcome) {
            charged = min(outcome.declaredCost ?? admission.cost, Self.costMax)
            if charged != admission.cost { correct(admission, to: charged, now: time.ticks(monotonic: monotonic)) }
        } else {
            if admission.cost > 0 { giveBackQuotas(admission, admission.cost) }
            for level in 0..<3 { admission.level(level)?.meter.add(1, to: .uncharged) }
        }
        // A refusal is whatever the gateway answers itself, before the admission or after.
        if outcome.isOwnAnswer { refusedOtherwise(admission.tenant.meter) }
        // An error page of the gateway's own is nobody's use.
        let responseBytes = outcome.isOwnAnswer ? 0 : outcome.responseBytes
        for level in 0..<3 {
            guard let meter = admission.level(level)?.meter else { continue }
            if outcome.requestBytes > 0 { meter.add(outcome.requestBytes, to: .requestBytes) }
            if responseBytes > 0 { meter.add(responseBytes, to: .responseBytes) }
            if outcome.upstreamMicroseconds > 0 { meter.add(outcome.upstreamMicroseconds, to: .upstreamMicroseconds) }
            if charged > 0 { meter.add(charged, to: .cost) }
            meter.add(1, to: .status(outcome.status / 100))
            // Last: a slot in which nothing is in flight has counted all that it ever will.
            exit(meter)
        }
    }

    /// More than this no single request costs, whatever an upstream says.
    public static let costMax: UInt64 = 1_000_000_000

    private func giveBackQuotas(_ admission: borrowing Admission, _ cost: UInt64) {
        for level in 0..<3 {
            guard let limits = admission.level(level) else { continue }
            for number in 0..<limits.limits.count where admission.taken & 1 << UInt32(level * 8 + number) != 0 {
                let limit = limits.limits[number]
                guard case .quota(let window, let period) = limit.kind else { continue }
                window.giveBack(
                    cost, at: calendar.hour, until: admission.end(of: period), to: limit.cell, of: limits.meter)
            }
        }
    }

    /// The upstream says that it has cost something else: rates and quotas go by what it says.
    private func correct(_ admission: borrowing Admission, to actual: UInt64, now: UInt64) {
        let (more, less) = actual > admission.cost ? (actual - admission.cost, 0) : (0, admission.cost - actual)
        for level in 0..<3 {
            guard let limits = admission.level(level) else { continue }
            for number in 0..<limits.limits.count where admission.taken & 1 << UInt32(level * 8 + number) != 0 {
                let limit = limits.limits[number]
                switch limit.kind {
                case .rate(let bucket):
                    if more > 0 { bucket.charge(more, at: now, to: limit.cell, of: limits.meter) }
                    if less > 0 { bucket.giveBack(less, to: limit.cell, of: limits.meter) }
                case .quota(let window, let period):
                    let (hour, end) = (calendar.hour, admission.end(of: period))
                    if more > 0 { window.charge(more, at: hour, until: end, to: limit.cell, of: limits.meter) }
                    if less > 0 { window.giveBack(less, at: hour, until: end, to: limit.cell, of: limits.meter) }
                case .concurrency: break
                }
            }
        }
    }

    /// A request of the tenant that was refused for another reason than a limit.
    public func refusedOtherwise(_ meter: Meter) { meter.add(1, to: .refusedOtherwise) }

    // MARK: Bandwidth

    /// Pays for bytes of a response that were sent. Nanoseconds until more should be read; zero is now.
    public func pace(_ admission: Admission, bytes: UInt64, monotonic: UInt64) -> UInt64 {
        var wait: UInt64 = 0
        let now = time.ticks(monotonic: monotonic)
        for level in 0..<3 {
            guard let limits = admission.level(level), let bucket = limits.rules.pointee.bandwidth else { continue }
            bucket.charge(bytes, at: now, to: .bandwidth, of: limits.meter)
            wait = max(wait, bucket.wait(1, at: now, arrival: limits.meter.value(.bandwidth)))
        }
        return wait / MeterTime.ticksPerNanosecond
    }
}

extension Admission {
    @inline(__always)
    func end(of period: QuotaSettings.Period) -> UInt64 {
        switch period {
        case .hour: hour
        case .day: day
        case .month: month
        }
    }

    /// The bytes a second that the slowest of its levels allows; nil where responses are not paced.
    public var bytesPerSecond: UInt64? {
        var rate: UInt64?
        for level in 0..<3 {
            guard let rules = self.level(level)?.rules, rules.pointee.bandwidth != nil else { continue }
            rate = min(rate ?? .max, rules.pointee.bandwidthRate)
        }
        return rate
    }

    /// Whether its responses are paced.
    public var isPaced: Bool {
        for level in 0..<3 where self.level(level)?.rules.pointee.bandwidth != nil { return true }
        return false
    }
}
