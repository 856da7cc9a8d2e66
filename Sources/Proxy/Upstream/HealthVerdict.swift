import Client

/// What a health check comes to.
enum HealthVerdict {
    case healthy
    case failed(String)
    /// Nothing was learned: what this machine lacks says nothing about the server.
    case unknown

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
