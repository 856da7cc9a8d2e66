import Synchronization

/// The metrics objects of one kind on one worker, by key, made as they are first asked for.
///
/// A worker takes the lock once for each object in its life and shares it only with a reader that holds it for the time
/// of two pointer moves. The dictionary is split, so that the growth of one part never stops a loop for milliseconds.
final class MetricsTable<Key: Hashable & Sendable, Metrics: AnyObject & Sendable>: Sendable {
    private struct State {
        var parts = [[Key: Metrics]](repeating: [:], count: 64)
        /// Made since a reader last looked.
        var fresh: [Metrics] = []
    }

    private let state = Mutex(State())

    /// The object of `key`, the same one whenever it is asked for.
    func metrics(_ key: Key, make: (Key) -> Metrics) -> Metrics {
        let part = key.hashValue & 63
        return state.withLock { state in
            if let known = state.parts[part][key] { return known }
            let new = make(key)
            state.parts[part][key] = new
            state.fresh.append(new)
            return new
        }
    }

    /// All of them, in no order.
    func all() -> [Metrics] { state.withLock { $0.parts.flatMap(\.values) } }

    /// Hands each object to a reader once.
    func takeFresh() -> [Metrics] {
        state.withLock { state in
            let taken = state.fresh
            state.fresh = []
            return taken
        }
    }
}
