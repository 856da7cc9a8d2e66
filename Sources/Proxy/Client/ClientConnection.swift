import Net

/// What the worker asks of a client's connection, whatever it speaks.
protocol ClientConnection: AnyObject {
    /// Its tenant's turn, once that is known.
    var flow: Flow { get }
    /// Ends in order: after what is under way.
    func retire()
    /// Its tenant is gone.
    func revoke()
    /// An issuer's keys were fetched.
    func keysFetched()
}

extension H1Client: ClientConnection {}
extension H2Client: ClientConnection {}
