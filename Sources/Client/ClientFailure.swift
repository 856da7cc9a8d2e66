import Net

/// Why a server could not be asked, or has not answered.
public indirect enum ClientFailure: Error, Sendable, CustomStringConvertible {
    /// The name has no address, for this reason.
    case notFound(_ host: String, _ reason: String)
    /// The deadline has passed.
    case late
    /// Something that this machine has no more of: it says nothing about the server.
    case lack(SystemError)
    case connection(SystemError)
    /// No TLS, or a server that has not proved its name.
    case unsafe(String)
    /// Of that address, the last one that was tried.
    case at(SocketAddress, ClientFailure)
    /// The server does not speak the protocol.
    case malformed(String)
    case tooManyInterim
    case tooLarge
    /// The connection ended before the answer did.
    case cutShort
    /// A request that can't be sent as it is: control characters in a target or a field.
    case notRequest

    public var description: String {
        switch self {
        case .notFound(let host, let reason): "\(host) is not found: \(reason)"
        case .late: "no answer in time"
        case .lack(let error), .connection(let error): error.description
        case .unsafe(let reason): reason
        case .at(let address, let failure): "\(address): \(failure)"
        case .malformed(let reason): "not a valid answer: \(reason)"
        case .tooManyInterim: "not a valid answer: too many interim answers"
        case .tooLarge: "the answer is too large"
        case .cutShort: "the answer was cut short"
        case .notRequest: "not a valid request"
        }
    }

    /// Of a system call.
    init(_ error: SystemError) { self = error.isLack ? .lack(error) : .connection(error) }

    /// What has happened, without where.
    public var cause: ClientFailure {
        if case .at(_, let failure) = self { failure.cause } else { self }
    }
}
