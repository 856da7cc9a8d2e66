import Client

/// What a health check comes to.
enum HealthVerdict {
    case healthy
    case failed(String)
    /// Nothing was learned: what this machine lacks says nothing about the server.
    case unknown

    /// Any 2xx or 3xx is a yes.
    init(status: Int) { self = (200..<400).contains(status) ? .healthy : .failed("it answers \(status)") }

    init(_ failure: ClientFailure) {
        self =
            switch failure.cause {
            case .lack: .unknown
            case .malformed: .failed("its answer is not valid HTTP")
            case .tooManyInterim: .failed("too many interim answers")
            case .tooLarge: .failed("its answer has no end")
            case .cutShort: .failed("closed without an answer")
            case let cause: .failed(cause.description)
            }
    }
}
