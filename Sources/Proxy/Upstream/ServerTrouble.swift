import Glibc
import Synchronization

/// What requests meet at a server, over all loops, for the log: loops note it, the control thread tells what has changed.
/// A loop writes to it when an attempt fails and with the first answer after that, never else.
struct ServerTrouble: ~Copyable, Sendable {
    /// Failures in a row above the kind of the last one; zero is no trouble.
    private let state = Atomic<UInt64>(0)
    private let connectError = Atomic<Int32>(0)

    private enum Kind: UInt8 { case none, unreachable, nameless, cut, timedOut, malformed }

    /// Failures in a row that need not be the server's: a kept connection may end, one answer may take its time.
    private static let doubtful: UInt64 = 3

    /// An attempt has come to this. Two loops at once may count one failure too few, which changes nothing.
    /// - Returns: whether there may be something to tell.
    func note(_ outcome: AttemptOutcome) -> Bool {
        let kind: Kind
        switch outcome {
        case .unreachable: kind = .unreachable
        case .nameless: kind = .nameless
        case .cut: kind = .cut
        case .timedOut: kind = .timedOut
        case .malformed: kind = .malformed
        case .stale, .abandoned: return false
        case .answered: kind = .none
        }
        let before = state.load(ordering: .relaxed)
        if kind == .none {
            if before == 0 { return false }
            state.store(0, ordering: .relaxed)
        } else {
            state.store(((before >> 8) &+ 1) << 8 | UInt64(kind.rawValue), ordering: .relaxed)
        }
        return true
    }

    /// Why the last connection could not be made.
    func noteConnect(error: Int32) { connectError.store(error, ordering: .relaxed) }

    /// Its name has addresses.
    /// - Returns: whether there may be something to tell.
    func noteName() -> Bool {
        guard kind == .nameless else { return false }
        state.store(0, ordering: .relaxed)
        return true
    }

    private var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: state.load(ordering: .relaxed))) ?? .none }

    /// What is wrong with the server, in words; nil where nothing is, or may be.
    /// - Parameter nameFailure: why its name has no address.
    func reason(nameFailure: String?) -> String? {
        let count = state.load(ordering: .relaxed) >> 8
        switch kind {
        case .unreachable:
            return "it can't be connected to: \(unsafe String(cString: strerror(connectError.load(ordering: .relaxed))))"
        case .nameless: return "its name does not resolve: \(nameFailure ?? "no answer in time")"
        case .cut where count >= Self.doubtful: return "it closes connections without an answer"
        case .timedOut where count >= Self.doubtful: return "it does not answer in time"
        case .malformed where count >= Self.doubtful: return "its answers are not valid HTTP"
        case .none, .cut, .timedOut, .malformed: return nil
        }
    }
}

/// Whether any server has something to tell. Shared by all of them, so that nobody looks at ten thousand for nothing.
public final class ServerNews: Sendable {
    private let isThere = Atomic<Bool>(false)

    init() {}

    func note() { if !isThere.load(ordering: .relaxed) { isThere.store(true, ordering: .releasing) } }

    /// Whether there is something to tell since the last time.
    public func take() -> Bool { isThere.exchange(false, ordering: .acquiring) }
}
