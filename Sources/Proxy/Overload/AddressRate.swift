import Synchronization

/// How often something comes from a client address, over all loops together: as many as are allowed in a time may come at once,
/// and then one in each part of it. Addresses share a number as in `AddressLimits`.
@safe final class AddressRate: Sendable {
    /// When the next one of the address would be on time, if they came as often as they may: monotonic nanoseconds.
    private nonisolated(unsafe) let due: UnsafeMutablePointer<Atomic<UInt64>>
    private let bits: Int

    /// - Parameter bits: of the numbers that addresses share, at most 16.
    init(bits: Int) {
        precondition((1...16).contains(bits))
        self.bits = bits
        // As long as this, which is as long as the process.
        unsafe due = .allocate(capacity: 1 << bits)
        for index in 0..<1 << bits { unsafe (due + index).initialize(to: Atomic(0)) }
    }

    deinit { unsafe due.deinitialize(count: 1 << bits).deallocate() }

    /// Counts one. False where there were too many.
    /// - Parameters:
    ///   - rate: so many in `time` nanoseconds.
    ///   - now: monotonic nanoseconds.
    func mayCome(_ place: AddressLimits.Place, rate: UInt64, in time: UInt64, now: UInt64) -> Bool {
        let interval = max(time / max(rate, 1), 1)
        // Of 16 bits no more than there are numbers are left.
        let cell = unsafe due + Int(place.index) >> (16 - bits)
        var before = unsafe cell.pointee.load(ordering: .relaxed)
        while true {
            let next = max(before, now) + interval
            guard next - now <= time else { return false }
            let (isDone, found) = unsafe cell.pointee.weakCompareExchange(expected: before, desired: next, ordering: .relaxed)
            if isDone { return true }
            before = found
        }
    }
}
