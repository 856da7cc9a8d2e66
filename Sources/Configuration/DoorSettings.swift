/// What is looked at before anybody says who he is. The nearest of route, tenant, plan and `defaults` that says something of one
/// of both says it alone.
public struct DoorSettings: Sendable, Hashable {
    /// Of these the first that an address is in tells whether it may come; whom none is about may. Nil: nothing is said.
    public var addresses: [AddressRule]?
    /// Nil: nothing is said.
    public var cors: CORSSettings?
    public init() {}

    /// Whom it lets pass, and what it tells browsers, is nothing out of the ordinary.
    public var isOpen: Bool { (addresses ?? []).isEmpty && (cors?.origins ?? []).isEmpty }

    func under(_ nearer: DoorSettings) -> DoorSettings {
        var merged = self
        if let addresses = nearer.addresses { merged.addresses = addresses }
        if let cors = nearer.cors { merged.cors = cors }
        return merged
    }
}

/// `allow` or `deny`, of one block of addresses.
public struct AddressRule: Sendable, Hashable {
    public var block: AddressBlock
    public var allows: Bool
    public init(block: AddressBlock, allows: Bool) { (self.block, self.allows) = (block, allows) }
}

/// Which pages of other origins may read answers in a browser (the Fetch standard, "CORS protocol").
public struct CORSSettings: Sendable, Hashable {
    /// As browsers send them, or just `*`; empty: none, and nothing of it is said (`cors off`).
    public var origins: [String] = []
    /// Beside the three that need no leave they are named to the browser; `*` is any.
    public var methods = ["GET", "HEAD", "POST"]
    public var headers: [String] = []
    /// Fields of answers that pages may read.
    public var exposed: [String] = []
    public var allowsCredentials = false
    /// Nanoseconds that a browser may remember it; nil: five seconds.
    public var maxAge: UInt64?
    public init() {}

    /// Whoever asks may.
    public var isForAll: Bool { origins == ["*"] }
}

extension AddressBlock {
    /// Every address.
    public static let all = AddressBlock(high: 0, low: 0, prefix: 0)
}
