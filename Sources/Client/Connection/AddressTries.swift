import Base
import Net

/// The addresses of one server, in the order in which they are tried: families in turns (RFC 8305 section 4), and no more than
/// a few. The next one begins when one has failed, or beside one that has said nothing for a while (section 5).
struct AddressTries {
    private var rest: ArraySlice<SocketAddress>

    init(_ addresses: [SocketAddress]) {
        rest = addresses.interleaved(isIPv4: \.isIPv4).prefix(Limits.clientAddressesMax)
    }

    mutating func next() -> SocketAddress? { rest.popFirst() }

    /// When to look again, of a time that ends at `end`: at the next one's beginning, if there is one.
    func nextLook(now: UInt64, end: UInt64) -> UInt64 {
        rest.isEmpty ? end : min(end, now + Limits.raceNanoseconds)
    }
}
