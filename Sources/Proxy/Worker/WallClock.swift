import Base

/// A loop's time of day: an offset to its monotonic clock, and the second as answers say it.
struct WallClock {
    private var offset: UInt64 = 0
    private var calendarOffset: UInt64 = 0
    private var second: UInt64 = 0
    /// As `Date` has it (RFC 9110 section 5.6.7).
    private(set) var date: [UInt8] = []

    /// Wall time, nanoseconds, of a monotonic time.
    func wall(_ monotonic: UInt64) -> UInt64 { offset &+ monotonic }

    /// The same that periods of quotas go by: a wall clock that jumps does not move it.
    func calendar(_ monotonic: UInt64) -> UInt64 { calendarOffset &+ monotonic }

    /// - Parameter calendarOffset: as the meters' table has it.
    mutating func refresh(now: UInt64, calendarOffset: UInt64) {
        offset = Clock.wall() &- Clock.monotonic()
        self.calendarOffset = calendarOffset
        let present = wall(now) / 1_000_000_000
        guard present != second else { return }
        second = present
        // 29 bytes; more than the room has would be left out.
        date = unsafe [UInt8](unsafeUninitializedCapacity: 32) { room, count in
            var writer = unsafe ByteWriter(UnsafeMutableRawBufferPointer(room))
            writer.append(httpDate: Int(present))
            count = writer.count
        }
    }
}
