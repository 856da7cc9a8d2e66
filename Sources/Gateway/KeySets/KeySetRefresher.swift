import Base
import Crypto
import Net
import Tenancy

/// Keeps the key sets of all issuers fresh: fetched at the start, ahead of their expiry, and, once in a while, when a
/// token names a key that is not there. A set that can't be fetched stays as it is. Lives on the control thread; each
/// fetch has a thread of its own. When it is due is the matter of `KeySetSchedule`.
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
        var schedule = KeySetSchedule()
    }

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
        guard states[id] != nil else {
            source.fetched(nil, quietUntil: loop.now)
            return
        }
        states[id]?.schedule.ask(quietEnd: source.quietEnd)
        expired()
    }

    override func expired() {
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

    private func reschedule() {
        loop.schedule(self, at: states.values.map(\.schedule.next).min() ?? .max)
    }

    private func fetch(_ id: ObjectIdentifier) {
        guard let state = states[id], let url = state.source.url else { return }
        states[id]?.schedule.begin()
        let (source, algorithms, done) = (state.source, state.algorithms, done)
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
        let hadTrouble = state.schedule.failures > 0 || !state.schedule.hasKeys
        let changed = result.source.fetched(result.keys, quietUntil: now + state.schedule.coolDown)
        if let keys = result.keys {
            state.schedule.succeed(now: now, maxAge: result.maxAge, changed: changed)
            if hadTrouble { Console.log("jwt \(state.name): \(keys.count) keys from \(result.source.url ?? "")") }
        } else {
            state.schedule.fail(now: now)
            let keeps = state.schedule.hasKeys ? "; the keys that are known go on" : ""
            Console.log("jwt \(state.name): \(result.source.url ?? ""): \(result.error)\(keeps)")
        }
        states[id] = state
        report(state.name, result.keys != nil, result.source.keys.count)
        tellWorkers()
        reschedule()
    }
}
