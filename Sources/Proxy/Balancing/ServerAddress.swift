import Net

/// One address of a server as one loop knows it, for as long as the name has it.
final class ServerAddress {
    let address: SocketAddress
    var standing = Standing()
    /// Health checks say that it is down.
    var isDown = false

    init(_ address: SocketAddress) { self.address = address }
}

/// A server's addresses, and which of them is tried next. The time is monotonic nanoseconds and an argument.
struct ServerAddresses {
    private(set) var all: [ServerAddress] = []
    private var turn = 0
    /// Until then all of them rest.
    private(set) var restsUntil: UInt64 = 0

    /// The name has these now. What is known of those that stay is kept.
    /// - Parameter down: those that health checks say are down.
    mutating func adopt(_ addresses: [SocketAddress], down: Set<SocketAddress> = []) {
        all = addresses.map { address in all.first { $0.address == address } ?? ServerAddress(address) }
        for one in all { one.isDown = down.contains(one.address) }
        look()
    }

    /// Nothing that is known of them holds any more, but that they are down: connections to them are others'.
    mutating func renew() {
        all = all.map { known in
            let address = ServerAddress(known.address)
            address.isDown = known.isDown
            return address
        }
        look()
    }

    /// All of them, in the order in which a new connection tries them. They take turns at being the first, families take
    /// turns behind it (RFC 8305 section 4); those that rest come last, the one whose rest is over first before the others.
    /// Those that are down get nothing, unless all of them are.
    mutating func order(at now: UInt64) -> [ServerAddress] {
        if all.count < 2 { return all }
        let first = turn % all.count
        turn &+= 1
        let up = all.contains { !$0.isDown } ? (all[first...] + all[..<first]).filter { !$0.isDown } : all
        let ready = up.filter { !$0.standing.rests(at: now) }
        if ready.count == up.count { return ready.interleaved { $0.address.isIPv4 } }
        let resting = up.filter { $0.standing.rests(at: now) }.sorted { $0.standing.restsUntil < $1.standing.restsUntil }
        return ready.interleaved { $0.address.isIPv4 } + resting
    }

    /// Connections to it may be used.
    func areGood(_ address: ServerAddress) -> Bool { !address.isDown && all.contains { $0 === address } }

    /// A connection to it stands.
    mutating func reached(_ address: ServerAddress, at now: UInt64) {
        address.standing.reached(at: now)
        restsUntil = 0
    }

    mutating func failed(_ address: ServerAddress, _ failure: Standing.Failure, at now: UInt64) {
        address.standing.failed(failure, at: now)
        look()
    }

    private mutating func look() {
        restsUntil = all.lazy.filter { !$0.isDown }.map(\.standing.restsUntil).min() ?? 0
    }
}
