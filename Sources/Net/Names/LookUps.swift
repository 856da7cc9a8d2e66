import Base

/// Which names are looked up, whose turn it is, and what is remembered of them. It has neither threads nor a clock:
/// those are `Resolver`'s.
///
///     ask ──► remembered? ──► answered at once
///      │ no                      ▲
///      ▼          a thread       │ addresses for a second, a failure for 1, 2, 4 ... 30 s
///     waits ─────────────────► under way
///                                │ half a second
///                                ▼
///                              hangs: another look-up may begin in its place
///                                │ five seconds
///                                ▼
///                              given up: it has failed, and its thread is nobody's
///
/// Four lines wait: names that somebody waits for before those that are only refreshed, and of both those whose last
/// look-up did not hang before those whose did. The first line has threads that the others may not take, and no key may
/// hold more than a few: what one tenant's names do to their name server is the trouble of no other tenant.
struct LookUps {
    typealias Done = @Sendable (Resolver.Outcome) -> Void

    /// How many may be under way, and for how long.
    struct Bounds: Sendable {
        /// Look-ups that do not hang.
        var active = Limits.lookUpsMax
        /// With those that hang.
        var all = Limits.lookUpThreadsMax
        /// Of both, what only names that are waited for and did not hang may use.
        var reserved = Limits.lookUpsReserved
        /// Of one key, hanging or not.
        var ofKey = Limits.lookUpsOfKeyMax
        var hangs = Limits.lookUpHangsNanoseconds
        var patience = Limits.resolveNanoseconds
    }

    /// A name may stand in several places: a key that is held up holds up nobody else who asks for the same name.
    private struct Place: Hashable {
        var key: String
        var line: Int
    }

    private struct UnderWay {
        var key: String
        var began: UInt64
        var hangs = false
        var isGivenUp = false
    }

    private struct Name {
        var waiting: [(done: Done, until: UInt64)] = []
        var places: Set<Place> = []
        var isQueued = false
        var underWay: UnderWay?
        /// Its last look-up hung.
        var isSuspect = false
        var failures = 0
        var remembered: (outcome: Resolver.Outcome, until: UInt64)?

        /// Not asked again before a pause, which doubles with each failure in a row.
        mutating func fail(_ outcome: Resolver.Outcome, _ now: UInt64) {
            failures += 1
            let pause = Limits.lookUpRetryNanoseconds << UInt64(min(failures - 1, 5))
            remembered = (outcome, now + min(pause, Limits.lookUpRetryMaxNanoseconds))
        }
    }

    private let bounds: Bounds
    private var names: [String: Name] = [:]
    private var lines = Array(repeating: LookUpLine(), count: 4)
    private var underWay: Set<String> = []
    private var ofKey: [String: Int] = [:]
    /// When somebody's patience ends, in order.
    private var patience = Fifo<(name: String, until: UInt64)>()
    private var lastSweep: UInt64 = 0

    init(_ bounds: Bounds = Bounds()) { self.bounds = bounds }

    // MARK: Asking

    /// What is remembered, or nil: then `done` is called later, within `patience`.
    mutating func ask(
        _ text: String, under key: String, isAwaited: Bool, now: UInt64, done: @escaping Done
    ) -> Resolver.Outcome? {
        sweep(now)
        var name = names.removeValue(forKey: text) ?? Name()
        defer { names[text] = name }
        if let (outcome, until) = name.remembered, now < until { return outcome }
        if name.underWay?.isGivenUp == true { return .late }
        name.waiting.append((done, now + bounds.patience))
        patience.append((text, now + bounds.patience))
        if name.underWay != nil { return nil }
        name.isQueued = true
        let place = Place(key: key, line: (isAwaited ? 0 : 2) + (name.isSuspect ? 1 : 0))
        if name.places.insert(place).inserted { lines[place.line].add(text, under: key) }
        return nil
    }

    // MARK: Looking up

    /// A name to be looked up now, on a thread of its own; nil while there is none, or no thread for it.
    mutating func begin(now: UInt64) -> String? {
        let active = underWay.count { names[$0]?.underWay?.hangs == false }
        for line in lines.indices {
            let reserved = line == 0 ? 0 : bounds.reserved
            guard active < bounds.active - reserved, underWay.count < bounds.all - reserved else { return nil }
            if let text = begin(line, now) { return text }
        }
        return nil
    }

    private mutating func begin(_ line: Int, _ now: UInt64) -> String? {
        let (held, most) = (ofKey, bounds.ofKey)
        while let (text, key) = lines[line].next(mayBegin: { held[$0, default: 0] < most }) {
            names[text]?.places.remove(Place(key: key, line: line))
            // It may have been looked up from another place meanwhile.
            guard names[text]?.isQueued == true else { continue }
            names[text]?.isQueued = false
            names[text]?.underWay = UnderWay(key: key, began: now)
            underWay.insert(text)
            ofKey[key, default: 0] += 1
            return text
        }
        return nil
    }

    /// The look-up has come back. Who is to be told.
    mutating func finish(_ text: String, _ outcome: Resolver.Outcome, now: UInt64) -> [Done] {
        guard underWay.remove(text) != nil, var name = names[text], let ended = name.underWay else { return [] }
        ofKey[ended.key, default: 1] -= 1
        if ofKey[ended.key] == 0 { ofKey[ended.key] = nil }
        for line in lines.indices { lines[line].readmit(ended.key) }
        name.underWay = nil
        name.isSuspect = now - min(now, ended.began) >= bounds.hangs
        let told = name.waiting
        name.waiting = []
        switch outcome {
        case .addresses:
            name.failures = 0
            // Where all have gone, it waits for the next who asks.
            let kept = told.isEmpty ? Limits.lookUpRetryMaxNanoseconds : Limits.lookUpKeptNanoseconds
            name.remembered = (outcome, now + kept)
        case .failed:
            if !ended.isGivenUp { name.fail(outcome, now) }
        }
        names[text] = name
        return told.map(\.done)
    }

    // MARK: Time

    /// Gives up what has taken too long. Who is to be told that it has failed.
    mutating func advance(now: UInt64) -> [Done] {
        var told: [Done] = []
        for text in underWay {
            guard var name = names[text], var current = name.underWay, !current.isGivenUp else { continue }
            let taken = now - min(now, current.began)
            current.hangs = taken >= bounds.hangs
            if taken >= bounds.patience {
                current.isGivenUp = true
                told += name.waiting.map(\.done)
                name.waiting = []
                name.fail(.late, now)
            }
            name.underWay = current
            names[text] = name
        }
        while let (text, until) = patience.first, until <= now {
            _ = patience.popFirst()
            guard var name = names[text], !name.waiting.isEmpty else { continue }
            told += name.waiting.filter { $0.until <= now }.map(\.done)
            name.waiting.removeAll { $0.until <= now }
            names[text] = name
        }
        return told
    }

    /// When `advance` has something to do next; nil while nothing is under way and nobody waits.
    var nextEvent: UInt64? {
        var next = patience.first?.until
        for text in underWay {
            guard let current = names[text]?.underWay, !current.isGivenUp else { continue }
            let event = current.began + (current.hangs ? bounds.patience : bounds.hangs)
            next = min(next ?? event, event)
        }
        return next
    }

    /// Forgets, now and then, names that nobody has asked for in a long time.
    private mutating func sweep(_ now: UInt64) {
        let pause = 4 * Limits.lookUpRetryMaxNanoseconds
        guard now - min(now, lastSweep) >= pause else { return }
        lastSweep = now
        names = names.filter { _, name in
            name.isQueued || name.underWay != nil || !name.places.isEmpty || (name.remembered?.until ?? 0) + pause > now
        }
    }
}
