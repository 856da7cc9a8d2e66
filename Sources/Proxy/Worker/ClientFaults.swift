import Base
import Crypto
import Net

/// Why a client got nothing but a refusal, or not even that.
struct ClientFault {
    enum Reason {
        /// What it sent is no request. The id is in the answer and in the access log.
        case refused(UInt16, StaticString, RequestID)
        /// Too many of its credentials were not valid.
        case guesses
        /// It speaks neither TLS nor HTTP.
        case notTLS
        /// Its connection does not begin with a PROXY header that is believed.
        case proxyHeader(StaticString)
        /// Its HTTP/2 connection was ended for what it did.
        case h2(StaticString)
        /// Its address has too many connections, or begins too many handshakes.
        case addressConnections, addressHandshakes
        /// Its TLS handshake failed: OpenSSL's code.
        case handshake(UInt)
        case handshakeTimeout
        /// It went away in the middle of the handshake.
        case handshakeEnd
    }

    var peer: SocketAddress
    /// The listener's.
    var label: String
    var reason: Reason
    /// As many more of this client for the same reason.
    var more = 0
}

/// The faults of a loop's clients that are to be told: some a second of all loops together, the same of the same client
/// counted, and what is beyond that counted alone. Room for them is made once; texts are made where they are told, on another
/// thread.
struct ClientFaults {
    private var kept: [ClientFault] = []
    private var omitted = 0
    /// Lines on something else than a client.
    private var others: [String] = []

    init() { kept.reserveCapacity(Limits.clientFaultsPerSecond) }

    /// - Parameters:
    ///   - rate: what may be told, of all loops.
    ///   - now: monotonic nanoseconds.
    mutating func note(
        _ peer: SocketAddress, _ label: String, _ reason: ClientFault.Reason, within rate: borrowing SharedRate, now: UInt64
    ) {
        for i in kept.indices
        where kept[i].peer.client == peer.client && kept[i].reason.isSame(as: reason) {
            kept[i].more += 1
            return
        }
        if kept.count < Limits.clientFaultsPerSecond, rate.take(upTo: Limits.clientFaultsPerSecond, now: now) {
            kept.append(ClientFault(peer: peer, label: label, reason: reason))
        } else {
            omitted += 1
        }
    }

    /// A line on something else, of which there are few.
    mutating func note(_ line: String, within rate: borrowing SharedRate, now: UInt64) {
        if others.count < Limits.clientFaultsPerSecond, rate.take(upTo: Limits.clientFaultsPerSecond, now: now) { others.append(line) }
    }

    /// What there is to tell since the last time; nil where that is nothing.
    mutating func take() -> ClientFaultReport? {
        if kept.isEmpty, omitted == 0, others.isEmpty { return nil }
        defer {
            (kept, omitted, others) = ([], 0, [])
            kept.reserveCapacity(Limits.clientFaultsPerSecond)
        }
        return ClientFaultReport(faults: kept, omitted: omitted, others: others)
    }
}

/// What one loop has to tell of its clients.
public struct ClientFaultReport: Sendable {
    let faults: [ClientFault]
    /// Clients that are not told of, beyond the bound.
    let omitted: Int
    var others: [String] = []

    /// A line each, for the gateway's own log.
    public var lines: [String] {
        var lines = faults.map(\.description)
        // Where all lines of this second were other loops', theirs are meant.
        if omitted > 0 { lines.append("clients: \(faults.isEmpty ? "those" : "that"), and \(omitted) more like it") }
        return others + lines
    }
}

extension ClientFault.Reason {
    func isSame(as other: Self) -> Bool {
        switch (self, other) {
        case (.refused(_, let one, _), .refused(_, let two, _)), (.h2(let one), .h2(let two)),
            (.proxyHeader(let one), .proxyHeader(let two)):
            // Texts of the program: the same one is in the same place.
            unsafe one.utf8Start == two.utf8Start
        case (.handshake(let one), .handshake(let two)): one == two
        case (.addressConnections, .addressConnections), (.addressHandshakes, .addressHandshakes): true
        case (.guesses, .guesses), (.notTLS, .notTLS), (.handshakeTimeout, .handshakeTimeout), (.handshakeEnd, .handshakeEnd): true
        default: false
        }
    }
}

extension ClientFault: CustomStringConvertible {
    var description: String {
        let text: String
        switch reason {
        case .refused(let status, let detail, let id):
            let name = unsafe withUnsafeTemporaryAllocation(byteCount: RequestID.sizeMax, alignment: 1) { room in
                var writer = unsafe ByteWriter(room)
                id.write(to: &writer)
                return unsafe String(decoding: writer.written, as: UTF8.self)
            }
            text = "\(status), \(detail) (request \(name))"
        case .guesses: text = "too many credentials that are not valid: held up, and answered 429"
        case .h2(let reason): text = "HTTP/2: \(reason)"
        case .addressConnections: text = "it has as many connections as address_connections allows"
        case .addressHandshakes: text = "it begins more TLS handshakes than address_handshakes allows"
        case .proxyHeader(let reason): text = "no PROXY header: \(reason)"
        case .notTLS: text = "no TLS on a TLS port"
        case .handshake(let code): text = "TLS handshake failed: \(TLSSession.text(ofFailure: code))"
        case .handshakeTimeout: text = "TLS handshake failed: not done in time"
        case .handshakeEnd: text = "TLS handshake failed: closed by the client in the middle of it"
        }
        return "client \(peer.host) on \(label): \(text)" + (more > 0 ? ", and \(more) more" : "")
    }
}
