import Crypto
import Synchronization

/// Where an issuer's keys are found at the moment. The control thread replaces them; the loops take over a new set when
/// they next look, without ever waiting.
public final class KeySource: Sendable {
    /// An https URL, or nil where the keys come from a file and change by a reload only.
    public let url: String?
    private let current: Mutex<KeySet>
    private let changes = Atomic<UInt32>(0)
    /// A fetch is asked for or under way.
    private let isBusy = Atomic<Bool>(false)
    /// Monotonic nanoseconds up to which nobody's unknown key leads to another fetch.
    private let quietUntil = Atomic<UInt64>(0)
    private let wanted: @Sendable (KeySource) -> Void

    /// - Parameter wanted: called on a loop's thread when a token names a key that is not there; once until `fetched`.
    public init(_ keys: KeySet, url: String? = nil, wanted: @escaping @Sendable (KeySource) -> Void = { _ in }) {
        self.url = url
        self.wanted = wanted
        current = Mutex(keys)
    }

    /// Grows with every replacement.
    var version: UInt32 { changes.load(ordering: .acquiring) }

    /// The keys and their version, unless they are being replaced at this moment.
    func take() -> (KeySet, UInt32)? {
        current.withLockIfAvailable { ($0, changes.load(ordering: .relaxed)) }
    }

    public var keys: KeySet { current.withLock { $0 } }

    /// Whether a fetch is asked for or under way.
    public var isAwaited: Bool { isBusy.load(ordering: .acquiring) }

    /// Monotonic nanoseconds: before this nobody's unknown key leads to another fetch.
    public var quietEnd: UInt64 { quietUntil.load(ordering: .relaxed) }

    /// Asks for a fetch, which begins at once or at the end of the quiet time. False where there is nothing to fetch.
    public func want() -> Bool {
        if url == nil { return false }
        if begin() { wanted(self) }
        return true
    }

    /// Marks a fetch as under way. False when one is already.
    public func begin() -> Bool {
        isBusy.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
    }

    /// A fetch has ended, or is not going to be; `keys` is what it brought, if anything. True when these are others than
    /// before.
    @discardableResult
    public func fetched(_ keys: KeySet?, quietUntil: UInt64) -> Bool {
        let changed = keys.map(replace) ?? false
        self.quietUntil.store(quietUntil, ordering: .relaxed)
        isBusy.store(false, ordering: .releasing)
        return changed
    }

    /// Nothing is believed any more of what was fetched. False where there were no keys.
    @discardableResult
    public func forget() -> Bool { replace(.empty) }

    /// Loops see by the version that tokens which they have verified before must be verified anew.
    private func replace(_ keys: KeySet) -> Bool {
        current.withLock { current in
            guard current.digest != keys.digest || current.count != keys.count else { return false }
            current = keys
            changes.add(1, ordering: .releasing)
            return true
        }
    }
}
