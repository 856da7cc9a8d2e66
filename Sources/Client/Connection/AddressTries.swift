import Base
import Net

/// The addresses of one server, tried in turn. Each has its share of the time that is left: one that swallows everything
/// leaves some to others.
struct AddressTries {
    private var rest: ArraySlice<SocketAddress>
    private let deadline: UInt64

    init(_ addresses: [SocketAddress], deadline: UInt64) {
        (rest, self.deadline) = (addresses.prefix(Limits.clientAddressesMax), deadline)
    }

    /// The next one, and by when its connection must be there.
    mutating func next(now: UInt64) -> (address: SocketAddress, until: UInt64)? {
        let left = deadline - min(now, deadline)
        let share = left / UInt64(max(rest.count, 1))
        return rest.popFirst().map { ($0, min(now, deadline) + share) }
    }
}
