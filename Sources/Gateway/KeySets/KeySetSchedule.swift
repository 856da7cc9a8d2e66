import Base

/// When the keys of one issuer are fetched next, and how long they are believed. Times are handed in: monotonic
/// nanoseconds, and both clocks where an age is measured.
///
///     due ──► fetching ──► fresh ──(0.8 of its time)──► due
///                 └──► failed ──(a wait that grows)──► due
///
/// Keys that can't be fetched anew are believed for `keysMaxAge` after the last fetch that went well, and then forgotten:
/// nobody knows which of them were revoked since.
///
/// A token with an unknown key makes it due at the end of the cool-down after the last fetch. A cool-down grows only with
/// fetches that such tokens asked for in vain: tokens with invented keys come to nothing.
struct KeySetSchedule: Sendable {
    static let second: UInt64 = 1_000_000_000
    /// Bounds on how long a set is kept before it is fetched again, in seconds.
    static let ageMin: UInt64 = 60
    static let ageMax: UInt64 = 86_400
    /// Where the server does not say.
    static let ageDefault: UInt64 = 300
    /// The longest wait after a failure, in seconds.
    static let retryMax: UInt64 = 60

    /// When the next fetch is due; `.max` while one is under way.
    private(set) var next: UInt64 = 0
    private(set) var failures = 0
    /// When the fetch began that brought the keys which are believed; nil where none did, or too long ago.
    private(set) var believedSince: Moment?
    /// They were believed, and are too old now.
    private(set) var isStale = false
    /// Nanoseconds.
    var keysMaxAge: UInt64 = 86_400 * second
    /// A token has asked for the next fetch.
    private(set) var isAskedFor = false
    /// So it was with the one under way.
    private var wasAskedFor = false
    /// Fetches in a row that tokens asked for, and that brought nothing new.
    private var fruitless = 0

    /// How long after a fetch no token's unknown key leads to another one.
    var coolDown: UInt64 { Self.second << UInt64(min(fruitless, 2)) }

    /// A token asks, in a cool-down that ends at `quietEnd`.
    mutating func ask(quietEnd: UInt64) {
        isAskedFor = true
        next = min(next, quietEnd)
    }

    mutating func begin() {
        if !isAskedFor { fruitless = 0 }
        (next, wasAskedFor, isAskedFor) = (.max, isAskedFor, false)
    }

    /// Somebody else has a fetch under way, of which this schedule will not hear.
    mutating func postpone(now: UInt64) { next = now + Self.second }

    /// - Parameters:
    ///   - began: when the fetch was; keys may have been revoked before its answer came.
    ///   - maxAge: seconds for which the server lets the keys be kept, where it says so.
    ///   - changed: they are others than before.
    mutating func succeed(now: UInt64, began: Moment, maxAge: UInt64?, changed: Bool) {
        let age = min(max(maxAge ?? Self.ageDefault, Self.ageMin), Self.ageMax) * Self.second
        next = now + min(age, keysMaxAge) / 5 * 4
        (failures, believedSince, isStale) = (0, began, false)
        if changed { fruitless = 0 } else if wasAskedFor { fruitless += 1 }
    }

    /// True once, when the keys have become too old to be believed.
    mutating func ages(now: Moment) -> Bool {
        guard let since = believedSince, since.elapsed(until: now) >= keysMaxAge else { return false }
        (believedSince, isStale) = (nil, true)
        // A machine that has slept does not wait for what was due in its sleep; one that retries goes on as it does.
        if failures == 0, next != .max { next = now.monotonic }
        return true
    }

    mutating func fail(now: UInt64) {
        failures += 1
        if wasAskedFor { fruitless += 1 }
        next = now + min(5 << UInt64(min(failures - 1, 4)), Self.retryMax) * Self.second
    }
}
