import Net

/// What the worker asks of a client's connection, whatever it speaks.
protocol ClientConnection: AnyObject {
    /// It waits for its next request, at most until then: monotonic nanoseconds. Nil while it does not.
    var idleUntil: UInt64? { get }
    /// Its tenant's turn, once that is known.
    var flow: Flow { get }
    /// Ends in order: after what is under way.
    func retire()
    /// The same, and a connection that rests is not closed before it has had another answer, which says so.
    func retireWhenAnswered()
    /// Its tenant is gone.
    func revoke()
    /// At once.
    /// - Parameter abort: the client sees that it was cut.
    func shut(abort: Bool)
    /// Its requests that are under way.
    func forEachExchange(_ body: (Exchange) -> Void)
    /// An issuer's keys were fetched.
    func keysFetched()
}

extension H1Client: ClientConnection {
    /// `isDraining` ends it after its answer, or its time of rest does.
    func retireWhenAnswered() {}

    func forEachExchange(_ body: (Exchange) -> Void) {
        if let exchange { body(exchange) }
    }
}

extension H2Client: ClientConnection {
    func retireWhenAnswered() { retire() }

    func forEachExchange(_ body: (Exchange) -> Void) {
        for stream in streams.values { if let exchange = stream.exchange { body(exchange) } }
    }
}
