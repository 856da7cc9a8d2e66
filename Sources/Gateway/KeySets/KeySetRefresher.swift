import Base
import Configuration
import Crypto
import Net
import Tenancy

/// Keeps the key sets of all issuers fresh: fetched at the start, ahead of their expiry, and, once in a while, when a
/// token names a key that is not there. A set that can't be fetched stays as it is until it is too old to be believed.
/// Lives on the control thread; each fetch has a thread of its own. When it is due, and how old is too old, is the matter
/// of `KeySetSchedule`.
final class KeySetRefresher: Source {
    /// What came of a fetch.
    struct Result: Sendable {
        var source: KeySource
        var began: Moment
        var keys: KeySet?
        var maxAge: UInt64?
        var error: String
    }

    private struct State {
        var source: KeySource
        var algorithms: [SignatureAlgorithm]
        /// Of the issuers whose keys these are.
        var names: [String]
        var schedule = KeySetSchedule()
        /// The last set that came had no key that can be used: that was said.
        var isEmpty = false
        var title: String { "jwt " + names.joined(separator: ", ") }
    }

    /// What is told of an issuer's keys.
    enum Event { case fetched(keys: Int), failed(keys: Int), tooOld }

    private var states: [ObjectIdentifier: State] = [:]
    private let resolver: Resolver
    private let done: @Sendable (Result) -> Void
    /// Every worker is told after a fetch.
    var tellWorkers: () -> Void = {}
    /// For metrics.
    var report: (_ issuer: String, Event) -> Void = { _, _ in }

    /// - Parameter done: called on a fetch's thread; its result must come back to `finish` on this one.
    init(loop: EventLoop, resolver: Resolver, done: @escaping @Sendable (Result) -> Void) {
        (self.resolver, self.done) = (resolver, done)
        super.init(loop: loop, fd: -1, flow: loop.commonFlow)
    }

    /// Goes by these issuers from now on. Where several have the same keys, the shortest of their ages holds.
    func adopt(_ issuers: [TokenIssuer], _ settings: [IssuerSettings]) {
        var next: [ObjectIdentifier: State] = [:]
        for (issuer, settings) in zip(issuers, settings) where issuer.keys.url != nil {
            let id = ObjectIdentifier(issuer.keys)
            if var other = next[id] {
                other.names.append(issuer.name)
                other.schedule.keysMaxAge = min(other.schedule.keysMaxAge, settings.keysMaxAge)
                next[id] = other
            } else {
                var state =
                    states[id] ?? State(source: issuer.keys, algorithms: settings.signatureAlgorithms, names: [])
                (state.names, state.schedule.keysMaxAge) = ([issuer.name], settings.keysMaxAge)
                next[id] = state
            }
        }
        // Nobody looks after those any more: should their issuers come back, they come back without keys.
        for (id, state) in states where next[id] == nil { state.source.forget() }
        states = next
        expired()
    }

    /// A loop has met a token whose key is not there; its source is marked as busy already.
    func want(_ source: KeySource) {
        let id = ObjectIdentifier(source)
        guard states[id] != nil else {
            source.fetched(nil, quietUntil: loop.now)
            return
        }
        states[id]?.schedule.ask(quietEnd: source.quietEnd)
        expired()
    }

    override func expired() {
        forgetOld()
        for (id, state) in states where state.schedule.next <= loop.now {
            // Busy and due is one that a token asked for, or one that was under way when its issuer left and came back.
            if state.schedule.isAskedFor || state.source.begin() {
                fetch(id)
            } else {
                states[id]?.schedule.postpone(now: loop.now)
            }
        }
        reschedule()
    }

    private func forgetOld() {
        let now = Moment(monotonic: loop.now, wall: Clock.wall())
        for (id, state) in states {
            guard states[id]?.schedule.ages(now: now) == true else { continue }
            state.source.forget()
            Console.log(
                "\(state.title): the last good fetch of \(state.source.url ?? "") is longer ago than `keys_max_age` allows: "
                    + "its keys are no longer believed")
            for name in state.names { report(name, .tooOld) }
            tellWorkers()
        }
    }

    /// Every second: the wall clock, by which keys age too, wakes nobody.
    private func reschedule() {
        guard let next = states.values.map(\.schedule.next).min() else { return loop.schedule(self, at: .max) }
        loop.schedule(self, at: min(next, loop.now + KeySetSchedule.second))
    }

    private func fetch(_ id: ObjectIdentifier) {
        guard let state = states[id], let url = state.source.url else { return }
        states[id]?.schedule.begin()
        let (source, algorithms, resolver, done) = (state.source, state.algorithms, resolver, done)
        do throws(SystemError) {
            try Thread("key-set") { done(Self.fetch(url, algorithms, for: source, with: resolver)) }.detach()
        } catch { done(Result(source: source, began: Clock.moment(), error: error.description)) }
    }

    private static func fetch(
        _ url: String, _ algorithms: [SignatureAlgorithm], for source: KeySource, with resolver: Resolver
    ) -> Result {
        var result = Result(source: source, began: Clock.moment(), error: "")
        do throws(KeySetFetch.Failure) {
            let answer = try KeySetFetch.get(url, with: resolver)
            result.maxAge = answer.maxAge
            do throws(KeySet.Fault) {
                result.keys = try KeySet(json: answer.json, algorithms: algorithms)
            } catch { result.error = error.description }
        } catch { result.error = error.description }
        return result
    }

    func finish(_ result: Result) {
        let id = ObjectIdentifier(result.source)
        guard var state = states[id] else {
            result.source.fetched(nil, quietUntil: loop.now)
            return
        }
        let now = loop.now
        let hadTrouble = state.schedule.failures > 0 || state.schedule.believedSince == nil || state.isEmpty
        let changed = result.source.fetched(result.keys, quietUntil: now + state.schedule.coolDown)
        if let keys = result.keys {
            state.schedule.succeed(now: now, began: result.began, maxAge: result.maxAge, changed: changed)
            if let lack = keys.lack {
                if !state.isEmpty { Console.log("\(state.title): \(result.source.url ?? ""): \(lack): its tokens are refused") }
            } else if hadTrouble {
                Console.log("\(state.title): \(counted(keys.count, "key")) from \(result.source.url ?? "")")
            }
            state.isEmpty = keys.lack != nil
        } else {
            state.schedule.fail(now: now)
            let keeps = result.source.keys.count > 0 ? "; the keys that are known go on" : ""
            Console.log("\(state.title): \(result.source.url ?? ""): \(result.error)\(keeps)")
        }
        states[id] = state
        let count = result.source.keys.count
        for name in state.names { report(name, result.keys != nil ? .fetched(keys: count) : .failed(keys: count)) }
        tellWorkers()
        // A fetch may have taken longer than what it brought is believed.
        expired()
    }
}
