import Base
import Synchronization

/// What a slot of the meter table is about. The name says which one of its tenant's.
public enum MeterKind: UInt8, Sendable {
    case tenant = 1
    case key = 2
    case route = 3
}

/// One slot of the meter table: 64 words of 64 bits, each an atomic. It stays where it is for the life of the table, and
/// the table lives as long as the process.
///
///     words   what                                                          written by
///     0       state, kind, length of the name, bucket names, parent         control thread
///     1       hash of the identity                                          control thread
///     2...9   name: tenant id, key name or route path, cut at 64 bytes      control thread
///     10...13 what buckets 0...2 and the bandwidth bucket were last set to   control thread
///     14...15 nothing
///     16...19 theoretical arrival times of buckets 0...2 and of bandwidth   every loop
///     20...22 quota windows: period and what is used in it                  every loop
///     23      in flight, of both processes                                  every loop
///     24...38 lifetime counters, which only grow                            every loop
///     39      nothing
///     40...63 the ledger's own (see `Cell.ledger`)                          ledger thread
///
/// The words of a reservation share one cache line, and what the ledger writes shares none with what the loops write.
public struct Meter: Sendable, Equatable, BitwiseCopyable {
    /// Words of a slot.
    public static let words = 64
    /// Bytes of a slot, whole cache lines.
    public static let size = words * 8

    /// Place in the table, from 0. Names the slot in memory only; in files its name does.
    public let index: Int
    @usableFromInline nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<UInt64>>

    init(index: Int, base: UnsafeMutablePointer<Atomic<UInt64>>) { (self.index, self.base) = (index, base) }

    public static func == (left: Meter, right: Meter) -> Bool { left.base == right.base }

    /// A word of the slot.
    public struct Cell: Sendable, Equatable {
        public let word: Int
        @inline(__always) init(_ word: Int) { self.word = word }

        static var state: Cell { Cell(0) }
        static var hash: Cell { Cell(1) }

        // What limits stand at

        /// How many token buckets a slot has.
        public static let buckets = 3
        /// What bucket 0...2 was last set to: so that a changed rate can keep what is left.
        public static func bucketSetting(_ bucket: Int) -> Cell { Cell(10 + bucket) }
        public static var bandwidthSetting: Cell { Cell(13) }
        /// Theoretical arrival time of bucket 0...2, in ticks of the table's own time (`MeterTable.ticks`).
        public static func bucket(_ bucket: Int) -> Cell { Cell(16 + bucket) }
        public static var bandwidth: Cell { Cell(19) }
        /// Quota window 0 (hour), 1 (day), 2 (month): 24 bits of period, 40 bits of what is used in it.
        public static func window(_ window: Int) -> Cell { Cell(20 + window) }
        /// Requests in flight: 32 bits for each of the two lanes (`MeterTable.lane`).
        public static var inFlight: Cell { Cell(23) }

        // Lifetime counters

        /// How many there are, `admitted` first: what the ledger writes the differences of.
        public static let counters = 15
        /// Lifetime counter 0...14, in the order below.
        public static func counter(_ number: Int) -> Cell { Cell(24 + number) }
        /// Requests taken, counted before they are forwarded.
        public static var admitted: Cell { Cell(24) }
        /// Cost units charged, counted when a request is settled.
        public static var cost: Cell { Cell(25) }
        /// Refused by a rate.
        public static var refusedByRate: Cell { Cell(26) }
        /// Refused by a quota.
        public static var refusedByQuota: Cell { Cell(27) }
        /// Refused by `concurrency`.
        public static var refusedByConcurrency: Cell { Cell(28) }
        /// Refused for any other reason before it was admitted.
        public static var refusedOtherwise: Cell { Cell(29) }
        /// Admitted although a limit in shadow mode would have refused it.
        public static var shadowRefused: Cell { Cell(30) }
        /// Bytes of request bodies.
        public static var requestBytes: Cell { Cell(31) }
        /// Settled requests by status class 1...5. Their sum is the number settled.
        public static func status(_ hundreds: Int) -> Cell { Cell(31 + min(max(hundreds, 1), 5)) }
        /// Bytes of response bodies.
        public static var responseBytes: Cell { Cell(37) }
        /// Microseconds spent waiting for upstreams.
        public static var upstreamMicroseconds: Cell { Cell(38) }

        /// The ledger's word 0...23. Nobody else reads or writes them, but for clearing a slot that is given to another.
        public static func ledger(_ word: Int) -> Cell { Cell(40 + word) }
        public static let ledgerWords = 24
    }

    /// Asks for the words that requests write.
    @inline(__always)
    public func prefetch() { Base.prefetch(UnsafeRawPointer(base + 16), lines: 3) }

    @inline(__always)
    public func value(_ cell: Cell) -> UInt64 { base[cell.word].load(ordering: .acquiring) }

    @inline(__always)
    public func store(_ value: UInt64, to cell: Cell) { base[cell.word].store(value, ordering: .releasing) }

    /// Zero, written only where it is not yet.
    public func clear(_ cell: Cell) {
        if value(cell) != 0 { store(0, to: cell) }
    }

    /// Adds, wrapping.
    @inline(__always)
    public func add(_ amount: UInt64, to cell: Cell) {
        base[cell.word].wrappingAdd(amount, ordering: .acquiringAndReleasing)
    }

    /// Takes away, wrapping.
    @inline(__always)
    public func subtract(_ amount: UInt64, from cell: Cell) {
        base[cell.word].wrappingSubtract(amount, ordering: .acquiringAndReleasing)
    }

    /// Puts `new` where `expected` stands; else says false and hands out what stands there.
    @inline(__always)
    public func replace(_ expected: inout UInt64, with new: UInt64, in cell: Cell) -> Bool {
        let (exchanged, original) = base[cell.word].compareExchange(
            expected: expected, desired: new, ordering: .acquiringAndReleasing)
        expected = original
        return exchanged
    }

    // MARK: Identity

    enum State: UInt8 { case free = 0, live, retired, settled }

    /// The bits of the state word.
    struct Head: Equatable {
        var state = State.free
        var kind: MeterKind?
        /// Of the whole name, at most 64.
        var nameLength = 0
        /// Four bits for each bucket.
        var bucketNames: UInt16 = 0
        /// The tenant's slot, of a key or a route.
        var parent: UInt32 = 0

        init() {}

        init(_ word: UInt64) {
            state = State(rawValue: UInt8(word & 15)) ?? .free
            kind = MeterKind(rawValue: UInt8(word >> 4 & 15))
            nameLength = min(Int(word >> 8 & 255), Meter.nameSize)
            bucketNames = UInt16(word >> 16 & 0xFFFF)
            parent = UInt32(word >> 32)
        }

        var word: UInt64 {
            UInt64(state.rawValue) | UInt64(kind?.rawValue ?? 0) << 4 | UInt64(nameLength) << 8 | UInt64(bucketNames) << 16
                | UInt64(parent) << 32
        }
    }

    static let nameSize = 64

    var head: Head {
        get { Head(value(.state)) }
        nonmutating set { store(newValue.word, to: .state) }
    }

    /// nil of a slot that nobody has.
    public var kind: MeterKind? { head.state == .free ? nil : head.kind }

    /// The tenant's id, the key's name or the route's path, as far as it fits in 64 bytes.
    public var name: String {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: Self.nameSize / 8) { words in
            for i in 0..<words.count { words[i] = base[2 + i].load(ordering: .relaxed).littleEndian }
            return String(decoding: UnsafeRawBufferPointer(words)[..<head.nameLength], as: UTF8.self)
        }
    }

    /// Whether those bytes are the name, as far as it is kept. Without making one.
    func isNamed(_ bytes: [UInt8]) -> Bool {
        let length = min(bytes.count, Self.nameSize)
        guard head.nameLength == length else { return false }
        for i in 0..<length {
            let word = base[2 + i / 8].load(ordering: .relaxed)
            if UInt8(truncatingIfNeeded: word >> UInt64(i % 8 * 8)) != bytes[i] { return false }
        }
        return true
    }

    func setName(_ bytes: some Collection<UInt8>) {
        var words = [UInt64](repeating: 0, count: Self.nameSize / 8)
        for (i, byte) in bytes.prefix(Self.nameSize).enumerated() { words[i / 8] |= UInt64(byte) << UInt64(i % 8 * 8) }
        for (i, word) in words.enumerated() { base[2 + i].store(word, ordering: .relaxed) }
    }

    /// The index of the tenant's slot; a tenant's own for a tenant.
    public var parent: Int { Int(head.parent) }

    /// Whether the configuration in force no longer has it.
    public var isRetired: Bool { head.state == .retired || head.state == .settled }

    /// Whether all that it counted is in the ledger, so that another may get the slot.
    public var isSettled: Bool { head.state == .settled }

    /// What each bucket is called, four bits a bucket; zero is a bucket without a limit. The control thread's.
    public var bucketNames: UInt16 {
        get { head.bucketNames }
        nonmutating set { head.bucketNames = newValue }
    }

    /// Requests that were admitted and are not settled yet, in both processes.
    public var inFlight: UInt64 {
        let word = value(.inFlight)
        return (word & 0xFFFF_FFFF) + word >> 32
    }

    /// Requests that were settled.
    public var settled: UInt64 {
        var sum: UInt64 = 0
        for hundreds in 1...5 { sum &+= value(.status(hundreds)) }
        return sum
    }
}
