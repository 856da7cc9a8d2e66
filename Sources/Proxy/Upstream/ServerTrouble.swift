import HTTP
import Synchronization

/// What requests meet at a server, over all loops, for the log: loops note it, the control thread tells what has changed.
/// A loop writes to it when an attempt fails and with the first answer after that, never else.
struct ServerTrouble: ~Copyable, Sendable {
    /// Failures in a row above the kind of the last one; zero is no trouble.
    private let state = Atomic<UInt64>(0)
    private let connectFailure = Atomic<UInt64>(0)
    private let h2Error = Atomic<UInt32>(0)

    private enum Kind: UInt8 {
        case none, unreachable, nameless, cut, timedOut, malformed
        /// Of a connection of HTTP/2, with all that is on it.
        case sentAway, notH2

        /// What comes of it for the requests that were there says less.
        func explains(_ other: Kind) -> Bool { (self == .sentAway && other == .cut) || (self == .notH2 && other == .malformed) }
    }

    /// How a connection of HTTP/2 has ended, with an error code.
    enum H2Ending {
        /// The server says so, with GOAWAY.
        case sentAway
        /// It is no HTTP/2 that the server sends.
        case notH2
    }

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
        if kind == .none {
            if state.load(ordering: .relaxed) == 0 { return false }
            state.store(0, ordering: .relaxed)
        } else {
            add(self.kind.explains(kind) ? self.kind : kind)
        }
        return true
    }

    private func add(_ kind: Kind) {
        state.store(((state.load(ordering: .relaxed) >> 8) &+ 1) << 8 | UInt64(kind.rawValue), ordering: .relaxed)
    }

    /// A connection of HTTP/2 has ended so.
    func note(_ ending: H2Ending, _ code: H2Code) {
        h2Error.store(code.rawValue, ordering: .relaxed)
        add(ending == .sentAway ? .sentAway : .notH2)
    }

    /// Why the last connection could not be made.
    func note(_ failure: ConnectFailure) { connectFailure.store(failure.number, ordering: .relaxed) }

    /// Its name has addresses.
    /// - Returns: whether there may be something to tell.
    func noteName() -> Bool {
        guard kind == .nameless else { return false }
        state.store(0, ordering: .relaxed)
        return true
    }

    private var h2Code: H2Code { H2Code(rawValue: h2Error.load(ordering: .relaxed)) ?? .internalError }

    private var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: state.load(ordering: .relaxed))) ?? .none }

    /// What is wrong with the server, in words; nil where nothing is, or may be.
    /// - Parameter nameFailure: why its name has no address.
    func reason(nameFailure: String?) -> String? {
        let count = state.load(ordering: .relaxed) >> 8
        switch kind {
        case .unreachable: return ConnectFailure(connectFailure.load(ordering: .relaxed)).description
        case .nameless: return "its name does not resolve: \(nameFailure ?? "no answer in time")"
        case .cut where count >= Self.doubtful: return "it closes connections without an answer"
        case .timedOut where count >= Self.doubtful: return "it does not answer in time"
        case .malformed where count >= Self.doubtful: return "its answers are not valid HTTP"
        case .sentAway: return "it ends connections of HTTP/2: \(h2Code.name)"
        case .notH2: return "what it sends is not valid HTTP/2: \(h2Code.name)"
        case .none, .cut, .timedOut, .malformed: return nil
        }
    }
}

/// Whether any server has something to tell. Shared by all of them, so that nobody looks at ten thousand for nothing.
public final class ServerNews: Sendable {
    private let isThere = Atomic<Bool>(false)

    init() {}

    func note() { if !isThere.load(ordering: .relaxed) { isThere.store(true, ordering: .releasing) } }

    private let hasEjected = Atomic<Bool>(false)
    private let isDeciding = Atomic<Bool>(false)

    /// A server is ejected.
    func noteEjection() { hasEjected.store(true, ordering: .releasing) }

    /// Whether any server was ejected since the last time.
    public func takeEjections() -> Bool { hasEjected.exchange(false, ordering: .acquiring) }

    /// One at a time decides whether a server is ejected, and nobody waits for that.
    func beginDeciding() -> Bool { !isDeciding.exchange(true, ordering: .acquiring) }
    func endDeciding() { isDeciding.store(false, ordering: .releasing) }

    /// Whether there is something to tell since the last time.
    public func take() -> Bool { isThere.exchange(false, ordering: .acquiring) }
}
