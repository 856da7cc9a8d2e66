import Base
import Synchronization

/// Whether a server is fit for requests, as all loops and the health checks find together: it may be down, ejected for a
/// while, left out for one tenant, or back for a short while only. Times are monotonic nanoseconds and arguments.
///
///     in ──ejected──► out ──its time is over──► back, growing ──slow_start is over──► in
///      ◄───────────────────(without slow_start)──┘
///
/// Most of the time it is none of that, which costs a look at one byte.
struct ServerCondition: ~Copyable, Sendable {
    private struct Flags: OptionSet {
        let rawValue: UInt8
        /// Health checks say so.
        static let down = Flags(rawValue: 1)
        static let ejected = Flags(rawValue: 2)
        /// For at least one tenant.
        static let leftOut = Flags(rawValue: 4)
        static let growing = Flags(rawValue: 8)
    }

    private let flags = Atomic<UInt8>(0)
    private let run = Atomic<UInt64>(0)
    // Of the ejection in force or the last one: until when, for how long, and how many there were in a row.
    private let outUntil = Atomic<UInt64>(0)
    private let outFor = Atomic<UInt64>(0)
    private let row = Atomic<UInt64>(0)
    /// A status, or how many times slower, 16 bits further up.
    private let detail = Atomic<UInt64>(0)
    // Of the time for which it grows: since when, and for how long the configuration in force says.
    private let backSince = Atomic<UInt64>(0)
    private let slowStart = Atomic<UInt64>(0)
    /// A tenant's tag above the time, in hundredths of a second, until which it is left out for that one; zero is nobody.
    private let tenants = InlineArray<4, Atomic<UInt64>> { _ in Atomic(0) }
    private let ejections = InlineArray<2, Atomic<UInt64>> { _ in Atomic(0) }

    /// Why a server is ejected, as metrics count it, and in full.
    enum Reason: Int { case failures, slow }

    enum Why {
        /// The last one was an answer of that status.
        case failures(status: UInt16?)
        /// So many times the others' is what its answers take.
        case slow(UInt64)

        var reason: Reason {
            switch self {
            case .failures: .failures
            case .slow: .slow
            }
        }
    }

    /// The greatest time that an ejection may come to by doubling.
    static let outMax: UInt64 = 600_000_000_000
    /// What a server has of its share to begin with.
    static let shareMin: UInt64 = 10

    // MARK: Looking at it

    /// There is nothing to look at.
    @inline(__always)
    var isPlain: Bool { flags.load(ordering: .relaxed) == 0 }

    @inline(__always)
    var isDown: Bool { has(.down) }

    private func has(_ flag: Flags) -> Bool { flags.load(ordering: .relaxed) & flag.rawValue != 0 }

    func isEjected(at now: UInt64) -> Bool { has(.ejected) && outUntil.load(ordering: .relaxed) > now }

    /// Its ejection is over, and nobody has said so.
    func isDue(at now: UInt64) -> Bool { has(.ejected) && outUntil.load(ordering: .relaxed) <= now }

    /// That tenant's requests go elsewhere.
    func isLeftOut(for tenant: UInt32, at now: UInt64) -> Bool {
        guard has(.leftOut), tenant > 0 else { return false }
        let word = tenants[Int(tenant & 3)].load(ordering: .relaxed)
        return word >> 32 == UInt64(tenant) && word & 0xFFFF_FFFF > now / Self.hundredth
    }

    /// What of its share of requests it gets, in hundredths.
    func share(at now: UInt64) -> Int {
        guard has(.growing) else { return 100 }
        let (since, all) = (backSince.load(ordering: .relaxed), slowStart.load(ordering: .relaxed))
        let past = now > since ? now - since : 0
        guard past < all else {
            clear(.growing)
            return 100
        }
        return Int(max(past * 100 / all, Self.shareMin))
    }

    /// It is back for a short while only.
    func isGrowing(at now: UInt64) -> Bool {
        has(.growing) && now < backSince.load(ordering: .relaxed) &+ slowStart.load(ordering: .relaxed)
    }

    /// - Returns: the number of its ejections for that reason.
    func ejections(_ reason: Reason) -> UInt64 { ejections[reason.rawValue].load(ordering: .relaxed) }

    // MARK: What requests come to

    /// A request was answered, and not with a 5xx.
    @inline(__always)
    func worked() { if run.load(ordering: .relaxed) > 0 { run.store(0, ordering: .relaxed) } }

    /// Another request has failed.
    /// - Parameters:
    ///   - tenant: its tag; nil where it was nobody's doing.
    ///   - failures: so many in a row make the server a bad one.
    func failed(_ tenant: UInt32?, of failures: Int) -> FailureRun.Verdict {
        var before = run.load(ordering: .relaxed)
        while true {
            var next = FailureRun(word: before)
            next.fail(tenant)
            let (isDone, found) = run.weakCompareExchange(expected: before, desired: next.word, ordering: .relaxed)
            if isDone { return next.verdict(failures, tenant) }
            before = found
        }
    }

    private static let hundredth: UInt64 = 10_000_000

    /// That tenant's requests go elsewhere for a while.
    func leaveOut(for tenant: UInt32, until time: UInt64) {
        tenants[Int(tenant & 3)].store(UInt64(tenant) << 32 | (time / Self.hundredth) & 0xFFFF_FFFF, ordering: .relaxed)
        set(.leftOut)
    }

    /// Nobody's requests go to it for a while: the first time for `time`, and twice as long each time in a row. A row ends
    /// when it has served for as long as it was out. One caller at a time.
    func eject(_ why: Why, for time: UInt64, at now: UInt64) {
        let calm = outUntil.load(ordering: .relaxed) &+ outFor.load(ordering: .relaxed)
        let before = now < calm ? row.load(ordering: .relaxed) : 0
        let length = max(min(time << min(before, 16), Self.outMax), time)
        row.store(before + 1, ordering: .relaxed)
        outFor.store(length, ordering: .relaxed)
        outUntil.store(now + length, ordering: .relaxed)
        switch why {
        case .failures(let status): detail.store(UInt64(status ?? 0), ordering: .relaxed)
        case .slow(let times): detail.store(times << 16, ordering: .relaxed)
        }
        ejections[why.reason.rawValue].add(1, ordering: .relaxed)
        clear(.growing)
        set(.ejected)
    }

    /// Why it is ejected, or was the last time.
    var why: Why {
        let word = detail.load(ordering: .relaxed)
        return word >> 16 > 0 ? .slow(word >> 16) : .failures(status: word > 0 ? UInt16(truncatingIfNeeded: word) : nil)
    }

    /// For how long it is ejected, or was the last time.
    var ejectedFor: UInt64 { outFor.load(ordering: .relaxed) }

    // MARK: Coming back

    /// Its ejection is over.
    /// - Returns: whether it was this call that ended it.
    @discardableResult
    func comeBack(at now: UInt64) -> Bool {
        guard has(.ejected) else { return false }
        run.store(0, ordering: .relaxed)
        grow(from: now)
        return flags.bitwiseAnd(~Flags.ejected.rawValue, ordering: .relaxed).oldValue & Flags.ejected.rawValue != 0
    }

    /// Health checks say this.
    func set(healthy: Bool, at now: UInt64) {
        guard isDown == healthy else { return }
        guard healthy else { return set(.down) }
        grow(from: now)
        clear(.down)
    }

    /// Gets a growing share of requests from now on, where the configuration says so.
    func grow(from now: UInt64) {
        if slowStart.load(ordering: .relaxed) == 0 { return }
        backSince.store(now, ordering: .relaxed)
        set(.growing)
    }

    /// What the configuration in force says of its upstream.
    func adopt(slowStart time: UInt64?, ejects: Bool) {
        slowStart.store(time ?? 0, ordering: .relaxed)
        if time == nil { clear(.growing) }
        if ejects { return }
        clear([.ejected, .leftOut])
        run.store(0, ordering: .relaxed)
    }

    private func set(_ flag: Flags) { flags.bitwiseOr(flag.rawValue, ordering: .relaxed) }
    private func clear(_ flag: Flags) { flags.bitwiseAnd(~flag.rawValue, ordering: .relaxed) }
}
