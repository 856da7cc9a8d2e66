import Crypto
import Net
import Synchronization

/// How many connections a client address has, and how often it begins a TLS handshake, over all loops together.
///
/// Addresses share a number by a hash that nobody outside can know: it never fills, nothing has to be found or forgotten, and
/// looking costs one access. Two addresses that fall together, one in 65,536 for each other one, are counted as one. Of IPv6 a
/// client has a /64.
@safe final class AddressLimits: Sendable {
    /// What a connection is counted under.
    struct Place: Equatable { let index: UInt16 }

    private static let size = 1 << 16
    private nonisolated(unsafe) let connections: UnsafeMutablePointer<Atomic<Int32>>
    private let handshakes = AddressRate(bits: 16)
    private let salt = Random.word()

    init() {
        // As long as this, which is as long as the process.
        unsafe connections = .allocate(capacity: Self.size)
        for index in 0..<Self.size { unsafe (connections + index).initialize(to: Atomic(0)) }
    }

    deinit { unsafe connections.deinitialize(count: Self.size).deallocate() }

    func place(of address: SocketAddress) -> Place {
        var hash = (address.client ^ salt) &* 0x9E37_79B9_7F4A_7C15
        hash = (hash ^ hash >> 32) &* 0xD6E8_FEB8_6659_FD93
        return Place(index: UInt16(truncatingIfNeeded: hash >> 40))
    }

    /// Counts a connection. False, and nothing is counted, where there are `most` already.
    func take(_ place: Place, upTo most: Int) -> Bool {
        // An index of 16 bits is inside.
        let count = unsafe (connections + Int(place.index)).pointee.add(1, ordering: .relaxed).newValue
        if Int(count) <= most { return true }
        giveBack(place)
        return false
    }

    /// A connection that was counted is over.
    func giveBack(_ place: Place) {
        // As above.
        unsafe (connections + Int(place.index)).pointee.subtract(1, ordering: .relaxed)
    }

    /// Counts a handshake. False where there were too many.
    /// - Parameters:
    ///   - rate: handshakes in `time` nanoseconds.
    ///   - now: monotonic nanoseconds.
    func mayShakeHands(_ place: Place, rate: UInt64, in time: UInt64, now: UInt64) -> Bool {
        handshakes.mayCome(place, rate: rate, in: time, now: now)
    }
}
