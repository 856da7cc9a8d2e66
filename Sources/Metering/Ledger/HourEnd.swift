/// What all accounts had counted when an hour was over, read while the ledger waited for its disk: once it can, it ends an
/// interval there, and no request of the next hour, day or month comes into it.
public struct HourEnd: Sendable {
    struct Counted {
        var counters: UsageCounters
        var early: UInt64
        var inFlight: UInt64
    }

    /// Nanoseconds since 1970.
    public let time: UInt64
    /// What that is ahead of the monotonic clock: by another time of day the hour ended elsewhere.
    let offset: UInt64
    /// By slot. Who is not there came later.
    let slots: [Int: Counted]

    /// To be made within `Ledger.lateness` of the hour's end.
    public init<Table: UsageTable>(_ table: Table, time: UInt64, offset: UInt64) {
        (self.time, self.offset) = (time, offset)
        var slots: [Int: Counted] = [:]
        table.forEachAccount { slot in
            let counters = table.counters(of: slot)
            // After the counters: what is in them was counted as early before.
            slots[table.index(of: slot)] = Counted(
                counters: counters, early: table.early(of: slot), inFlight: table.inFlight(of: slot))
        }
        self.slots = slots
    }

    /// Whether the hour ended then by this time of day too.
    func holds(by other: UInt64) -> Bool { Int64(bitPattern: other &- offset).magnitude < Timestamp.second }
}
