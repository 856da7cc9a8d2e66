import Base
import Crypto
import Net
import Tenancy

/// Keeps the key sets of all issuers fresh: fetched at the start, ahead of their expiry, and, once in a while, when a
/// token names a key that is not there. A set that can't be fetched stays as it is. Lives on the control thread; each
/// fetch has a thread of its own.
///
///     due ──► fetching ──► fresh ──(0.8 of its time)──► due
///                 └──► failed ──(a wait that grows)──► due
final class KeySetRefresher: Source {
    /// What came of a fetch.
    struct Result: Sendable {
        var source: KeySource
        var keys: KeySet?
        var maxAge: UInt64?
        var error: String
    }

    private struct State {
        var source: KeySource
        var algorithms: [SignatureAlgorithm]
        var name: String
        /// When the next fetch is due.
        var next: UInt64 = 0
        var failures = 0
        /// Fetches in a row, asked for by unknown keys, that brought nothing new.
        var fruitless = 0
        var isAskedFor = false
        var hasKeys = false
    }

    static let second: UInt64 = 1_000_000_000
    /// Bounds on how long a set is kept before it is fetched again, in seconds.
    static let ageMin: UInt64 = 60
    static let ageMax: UInt64 = 86_400
    /// Where the server does not say.
    static let ageDefault: UInt64 = 300

    private var states: [ObjectIdentifier: State] = [:]
    private let done: @Sendable (Result) -> Void
    /// Every worker is told after a fetch.
    var tellWorkers: () -> Void = {}
    /// For metrics: the issuer's name, whether the fetch went well, and how many keys there are now.
    var report: (_ issuer: String, _ success: Bool, _ keys: Int) -> Void = { _, _, _ in }

    /// - Parameter done: called on a fetch's thread; its result must come back to `finish` on this one.
    init(loop: EventLoop, done: @escaping @Sendable (Result) -> Void) {
        self.done = done
        super.init(loop: loop, fd: -1, flow: loop.commonFlow)
    }

    /// Goes by these issuers from now on.
    func adopt(_ issuers: [TokenIssuer], algorithms: [[SignatureAlgorithm]]) {
        var next: [ObjectIdentifier: State] = [:]
        for (issuer, algorithms) in zip(issuers, algorithms) where issuer.keys.url != nil {
            let id = ObjectIdentifier(issuer.keys)
            next[id] = states[id] ?? State(source: issuer.keys, algorithms: algorithms, name: issuer.name)
        }
        states = next
        expired()
    }

    /// A loop has met a token whose key is not there; its source is marked as busy already.
    func want(_ source: KeySource) {
        let id = ObjectIdentifier(source)
        guard let state = states[id] else {
            source.fetched(nil, quietUntil: loop.now)
            return
        }
        states[id]?.isAskedFor = true
        let start = source.quietEnd
        if start <= loop.now { return fetch(id) }
        states[id]?.next = min(state.next, start)
        reschedule()
    }

    override func expired() {
        for (id, state) in states where state.next <= loop.now {
            // Busy and due is one that a token asked for, or one under way that will set its own next time.
            if state.isAskedFor || state.source.begin() { fetch(id) }
        }
        reschedule()
    }

    private func reschedule() {
        loop.schedule(self, at: states.values.map(\.next).min() ?? .max)
    }

    private func fetch(_ id: ObjectIdentifier) {
        guard let state = states[id], let url = state.source.url else { return }
        states[id]?.next = .max
        states[id]?.isAskedFor = false
        let (source, algorithms, done, asked) = (state.source, state.algorithms, done, state.isAskedFor)
        if !asked { states[id]?.fruitless = 0 }
        Thread("key-set") {
            var result = Result(source: source, error: "")
            do throws(KeySetFetch.Failure) {
                let answer = try KeySetFetch.get(url)
                result.maxAge = answer.maxAge
                do throws(KeySet.Fault) {
                    result.keys = try KeySet(json: answer.json, algorithms: algorithms)
                } catch { result.error = error.description }
            } catch { result.error = error.description }
            done(result)
        }.detach()
    }

    func finish(_ result: Result) {
        let id = ObjectIdentifier(result.source)
        guard var state = states[id] else {
            result.source.fetched(nil, quietUntil: loop.now)
            return
        }
        let now = loop.now
        if let keys = result.keys {
            let age = min(max(result.maxAge ?? Self.ageDefault, Self.ageMin), Self.ageMax)
            state.next = now + age * Self.second / 5 * 4
            if state.failures > 0 || !state.hasKeys {
                Console.log("jwt \(state.name): \(keys.count) keys from \(result.source.url ?? "")")
            }
            (state.failures, state.hasKeys) = (0, true)
        } else {
            state.failures += 1
            let wait = min(5 << UInt64(min(state.failures - 1, 4)), 60 as UInt64)
            state.next = now + wait * Self.second
            let keeps = state.hasKeys ? "; the keys that are known go on" : ""
            Console.log("jwt \(state.name): \(result.source.url ?? ""): \(result.error)\(keeps)")
        }
        // After one that brought nothing new, the wait before the next grows: tokens with invented keys come to nothing.
        let quiet = Self.second << UInt64(min(state.fruitless, 3))
        let changed = result.source.fetched(result.keys, quietUntil: now + quiet)
        state.fruitless = changed ? 0 : state.fruitless + 1
        states[id] = state
        report(state.name, result.keys != nil, result.source.keys.count)
        tellWorkers()
        reschedule()
    }
}
