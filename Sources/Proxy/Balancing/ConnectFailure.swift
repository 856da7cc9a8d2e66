import Crypto
import Glibc

/// Why a connection to a server could not be made, as one number: the log is told of it by another thread.
enum ConnectFailure: Equatable {
    /// The system's code.
    case system(Int32)
    /// The server's certificate is refused: OpenSSL's verdict.
    case certificate(Int)
    /// The TLS handshake fails: OpenSSL's code, zero where it has none.
    case handshake(UInt)
    /// The server ends the connection in the TLS handshake.
    case cut
    /// The TLS handshake takes too long.
    case slow
    /// It speaks none of the protocols that it is offered.
    case protocols
    /// It speaks before it is asked.
    case unasked
    /// It has said nothing yet when another one has answered.
    case late

    /// It says nothing, rather than no.
    var isSilent: Bool { self == .slow || self == .late || self == .system(ETIMEDOUT) }

    init(_ number: UInt64) {
        let rest = number >> 8
        switch number & 0xFF {
        case 1: self = .certificate(Int(rest))
        case 2: self = .handshake(UInt(rest))
        case 3: self = .cut
        case 4: self = .slow
        case 5: self = .protocols
        case 6: self = .unasked
        case 7: self = .late
        default: self = .system(Int32(truncatingIfNeeded: rest))
        }
    }

    var number: UInt64 {
        switch self {
        case .system(let code): UInt64(UInt32(bitPattern: code)) << 8
        case .certificate(let verdict): UInt64(truncatingIfNeeded: verdict) << 8 | 1
        case .handshake(let code): UInt64(code) << 8 | 2
        case .cut: 3
        case .slow: 4
        case .protocols: 5
        case .unasked: 6
        case .late: 7
        }
    }
}

extension ConnectFailure: CustomStringConvertible {
    var description: String {
        switch self {
        // A text of the C library's own.
        case .system(let code): "it can't be connected to: \(unsafe String(cString: strerror(code)))"
        case .certificate(let verdict): "its certificate is refused: \(TLSClient.text(ofVerdict: verdict))"
        case .handshake(let code): "its TLS handshake fails: \(TLSSession.text(ofFailure: code))"
        case .cut: "it ends the connection in the TLS handshake"
        case .slow: "its TLS handshake takes too long"
        case .protocols: "it speaks none of the upstream's protocols (ALPN)"
        case .unasked: "it speaks before it is asked"
        case .late: "it says nothing to a new connection while another server answers"
        }
    }
}
