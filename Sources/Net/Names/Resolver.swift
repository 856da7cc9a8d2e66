import Base
import Synchronization

/// Names to addresses with `getaddrinfo`, on threads of its own: no loop ever waits for DNS. `LookUps` says which name is
/// next; here are the threads that ask, and one that watches over the time while somebody waits.
public final class Resolver: Sendable {
    public enum Outcome: Sendable, Equatable {
        case addresses([SocketAddress])
        /// What `gai_strerror` says.
        case failed(String)

        static let late = failed("no answer in time")
    }

    private struct State {
        var lookUps: LookUps
        var isWatched = false
    }

    private let state: Mutex<State>
    private let lookUp: @Sendable (String) -> Outcome
    /// Wakes the watch.
    private let bell = Bell()

    public convenience init() { self.init(lookUp: Self.lookUp) }

    init(_ bounds: LookUps.Bounds = LookUps.Bounds(), lookUp: @escaping @Sendable (String) -> Outcome) {
        state = Mutex(State(lookUps: LookUps(bounds)))
        self.lookUp = lookUp
    }

    /// Calls `done` once, within `Limits.resolveNanoseconds`: at once where the answer is remembered, otherwise on a
    /// thread of the resolver.
    /// - Parameters:
    ///   - key: of whoever asks; keys share the threads fairly.
    ///   - isAwaited: a request, or whoever else has no address yet, waits for it.
    public func resolve(
        _ name: String, port: UInt16, under key: String, isAwaited: Bool = true,
        done: @escaping @Sendable (Outcome) -> Void
    ) {
        let told: LookUps.Done = { done($0.with(port: port)) }
        let (remembered, isWatched) = state.withLock { state in
            let remembered = state.lookUps.ask(name, under: key, isAwaited: isAwaited, now: Clock.monotonic(), done: told)
            defer { if remembered == nil { state.isWatched = true } }
            return (remembered, state.isWatched)
        }
        if let remembered { return told(remembered) }
        if isWatched { return bell.ring() }
        do throws(SystemError) { try Thread("resolver") { self.watch() }.detach() } catch { lackWatch(error) }
    }

    /// Nobody will start what waits: it has failed.
    private func lackWatch(_ error: SystemError) {
        state.withLock { $0.isWatched = false }
        while let name = state.withLock({ $0.lookUps.begin(now: Clock.monotonic()) }) { lackThread(for: name, error) }
    }

    private func lackThread(for name: String, _ error: SystemError) {
        let outcome = Outcome.failed(error.description)
        let told = state.withLock { $0.lookUps.finish(name, outcome, now: Clock.monotonic()) }
        for done in told { done(outcome) }
    }

    /// Starts look-ups and gives them up, for as long as somebody waits for one.
    private func watch() {
        while true {
            let now = Clock.monotonic()
            let (late, names, next) = state.withLock { state in
                let late = state.lookUps.advance(now: now)
                var names: [String] = []
                while let name = state.lookUps.begin(now: now) { names.append(name) }
                let next = state.lookUps.nextEvent
                if next == nil { state.isWatched = false }
                return (late, names, next)
            }
            for done in late { done(.late) }
            for name in names {
                do throws(SystemError) {
                    try Thread("look-up") { self.work(name) }.detach()
                } catch { lackThread(for: name, error) }
            }
            guard let next else { return }
            bell.wait(atMost: next - min(next, Clock.monotonic()))
        }
    }

    /// Looks the name up, and then others for as long as there are any.
    private func work(_ first: String) {
        var name: String? = first
        while let text = name {
            let outcome = lookUp(text)
            let told: [LookUps.Done]
            (told, name) = state.withLock { state in
                let now = Clock.monotonic()
                let told = state.lookUps.finish(text, outcome, now: now)
                return (told, state.lookUps.begin(now: now))
            }
            for done in told { done(outcome) }
        }
    }
}

extension Resolver.Outcome {
    fileprivate func with(port: UInt16) -> Self {
        guard case .addresses(let found) = self else { return self }
        return .addresses(found.map { SocketAddress(high: $0.high, low: $0.low, port: port) })
    }
}
