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
///     0...7   what nearly every request writes: bucket 0, in flight, and    every loop
///             the lifetime counters of an answer of class 2xx
///     8       state, kind, length of the name, bucket names, parent         control thread
///     9       hash of the identity                                          control thread
///     10...17 name: tenant id, key name or route path, cut at 64 bytes      control thread
///     18...21 what buckets 0...2 and the bandwidth bucket were last set to   control thread
///     22      requests of the first seconds of an hour                      every loop, seldom
///     23      when the month's quota window was first counted in             every loop, once a month
///     24...31 buckets 1 and 2, bandwidth, quota windows, 4xx and 5xx        every loop
///     32...39 the other lifetime counters                                   every loop
///     40...59 the ledger's own (see `Cell.ledger`)                          ledger thread
///     60...62 the quota windows before those in force                       every loop, once a period
///     63      in flight in processes that leave                             their loops
///
/// Eight words are a cache line: a request of a tenant with one rate writes one, and what the ledger writes shares none
/// with what the loops write. Lifetime counters only grow.
///
/// Of 1,024 slots (a block) the first lines stand together, in front of the rest: with many tenants what requests write is
/// in an eighth of the pages, and the processor remembers few translations of pages.
///
///     block   0...7 of slot 0 │ 0...7 of slot 1 │ ... │ 8...63 of slot 0 │ 8...63 of slot 1 │ ...
@safe public struct Meter: Sendable, Equatable, BitwiseCopyable {
    /// Words of a slot.
    public static let words = 64
    /// Bytes of a slot, whole cache lines.
    public static let size = words * 8
    /// Words of a slot's first line.
    static let firstWords = 8
    /// Slots of a block.
    static let block = 1024

    /// Place in the table, from 0. Names the slot in memory only; in files its name does.
    public let index: Int
    /// Where its first line stands: in memory that stays mapped, and in which every word is an atomic.
    private nonisolated(unsafe) let base: UnsafeMutableRawPointer

    /// - Parameter slots: where the first block begins.
    init(index: Int, in slots: UnsafeMutableRawPointer) {
        self.index = index
        let place = index / Self.block * Self.block * Self.words + index % Self.block * Self.firstWords
        unsafe base = slots + place * 8
    }

    public static func == (left: Meter, right: Meter) -> Bool { unsafe left.base == right.base }

    /// A word of the slot.
    @inline(__always)
    subscript(word: Int) -> MappedWord {
        assert(word >= 0 && word < Self.words)
        if word < Self.firstWords { return unsafe MappedWord(word, in: base) }
        // Behind the first lines of the block, and then behind the rest of each slot before this one.
        let first = Self.block * Self.firstWords
        let rest = (index & (Self.block - 1)) * (Self.words - 2 * Self.firstWords)
        return unsafe MappedWord(first + rest + word - Self.firstWords, in: base)
    }

    /// A word of the slot.
    public struct Cell: Sendable, Equatable {
        public let word: Int
        @inline(__always) init(_ word: Int) { self.word = word }

        static var state: Cell { Cell(8) }
        static var hash: Cell { Cell(9) }

        // What limits stand at

        /// How many token buckets a slot has.
        public static let buckets = 3
        /// Theoretical arrival time of bucket 0...2, in ticks of the table's own time (`MeterTime.ticks`).
        public static func bucket(_ bucket: Int) -> Cell { Cell(bucket == 0 ? 0 : 23 + bucket) }
        public static var bandwidth: Cell { Cell(26) }
        /// Of a bucket or the bandwidth: what it was last set to, so that a changed rate can keep what is left.
        public var setting: Cell { Cell(word == 0 ? 18 : word - 5) }
        /// Whether it is none of those that nearly every request writes.
        public var isFurther: Bool { word >= Meter.firstWords }
        /// Quota window 0 (hour), 1 (day), 2 (month): 24 bits say when it ends, 40 bits what is used in it.
        public static func window(_ window: Int) -> Cell { Cell(27 + window) }
        /// Of a quota window: the one before it, as it was left.
        public var previousWindow: Cell { Cell(word + 33) }
        /// The hour since 1970 at which the window of the month was first counted in.
        public static var monthBegan: Cell { Cell(23) }
        /// Requests in flight: 32 bits for each of the two lanes (`MeterTable.lane`).
        public static var inFlight: Cell { Cell(1) }
        /// The same of all processes that leave together (`MeterTable.beginLeaving`).
        public static var leaving: Cell { Cell(63) }

        // Lifetime counters

        /// Requests taken, counted before they are forwarded.
        public static var admitted: Cell { Cell(2) }
        /// Cost units charged, counted when a request is settled.
        public static var cost: Cell { Cell(3) }
        /// Bytes of request bodies.
        public static var requestBytes: Cell { Cell(4) }
        /// Bytes of response bodies.
        public static var responseBytes: Cell { Cell(5) }
        /// Microseconds spent waiting for upstreams.
        public static var upstreamMicroseconds: Cell { Cell(6) }
        /// Settled requests by status class 1...5. Their sum is the number settled.
        public static func status(_ hundreds: Int) -> Cell {
            switch hundreds {
            case 2: Cell(7)
            case 4: Cell(30)
            case 5...: Cell(31)
            case 3: Cell(38)
            default: Cell(37)
            }
        }
        /// Refused by a rate.
        public static var refusedByRate: Cell { Cell(32) }
        /// Refused by a quota.
        public static var refusedByQuota: Cell { Cell(33) }
        /// Refused by `concurrency`.
        public static var refusedByConcurrency: Cell { Cell(34) }
        /// Refused for any other reason: answered by the gateway itself.
        public static var refusedOtherwise: Cell { Cell(35) }
        /// Admitted although a limit in shadow mode would have refused it.
        public static var shadowRefused: Cell { Cell(36) }

        /// Settled requests that were not charged: quotas and invoices leave them out.
        public static var uncharged: Cell { Cell(39) }
        /// Requests admitted in the first seconds of an hour, in which the ledger may still be closing the last one.
        public static var early: Cell { Cell(22) }

        /// All lifetime counters, in the order in which the ledger keeps what it has written of each.
        public static let counters = [
            admitted, cost, refusedByRate, refusedByQuota, refusedByConcurrency, refusedOtherwise, shadowRefused,
            requestBytes, status(1), status(2), status(3), status(4), status(5), responseBytes, upstreamMicroseconds,
            uncharged,
        ]

        /// The ledger's word 0...19. Nobody else reads or writes them, but for clearing a slot that is given to another.
        public static func ledger(_ word: Int) -> Cell { Cell(40 + word) }
        public static let ledgerWords = 20
        /// From this one of its words on the ledger keeps what it has written of each of `counters`.
        public static let ledgerCounters = 3
    }

    /// Asks for the words that nearly every request writes.
    @inline(__always)
    public func prefetch() { self[0].prefetch() }

    /// Asks for the words of further buckets, of bandwidth and of quota windows.
    @inline(__always)
    public func prefetchMore() { self[Cell.bucket(1).word].prefetch() }

    @inline(__always)
    public func value(_ cell: Cell) -> UInt64 { self[cell.word].load() }

    @inline(__always)
    public func store(_ value: UInt64, to cell: Cell) { self[cell.word].store(value) }

    /// Zero, written only where it is not yet.
    public func clear(_ cell: Cell) {
        if value(cell) != 0 { store(0, to: cell) }
    }

    /// Adds, wrapping.
    @inline(__always)
    public func add(_ amount: UInt64, to cell: Cell) {
        self[cell.word].add(amount)
    }

    /// Takes away, wrapping.
    @inline(__always)
    public func subtract(_ amount: UInt64, from cell: Cell) {
        self[cell.word].subtract(amount)
    }

    /// Puts `new` where `expected` stands; else says false and hands out what stands there.
    @inline(__always)
    public func replace(_ expected: inout UInt64, with new: UInt64, in cell: Cell) -> Bool {
        let (exchanged, original) = self[cell.word].replace(expected, with: new)
        expected = original
        return exchanged
    }

    // MARK: Identity

    enum State: UInt8 {
        case free = 0
        case live, retired, settled
    }

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
        let bytes = (0..<head.nameLength).map { i in
            UInt8(truncatingIfNeeded: self[10 + i / 8].load() >> UInt64(i % 8 * 8))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether those bytes are the name, as far as it is kept. Without making one.
    func isNamed(_ bytes: [UInt8]) -> Bool {
        let length = min(bytes.count, Self.nameSize)
        guard head.nameLength == length else { return false }
        for i in 0..<length {
            let word = self[10 + i / 8].load()
            if UInt8(truncatingIfNeeded: word >> UInt64(i % 8 * 8)) != bytes[i] { return false }
        }
        return true
    }

    func setName(_ bytes: some Collection<UInt8>) {
        var words = [UInt64](repeating: 0, count: Self.nameSize / 8)
        for (i, byte) in bytes.prefix(Self.nameSize).enumerated() { words[i / 8] |= UInt64(byte) << UInt64(i % 8 * 8) }
        for (i, word) in words.enumerated() { self[10 + i].store(word) }
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

    /// Requests that were admitted and are not settled yet, in all processes. The lanes first: who leaves adds to the other
    /// word before it takes away here, and so none is overlooked.
    public var inFlight: UInt64 {
        let lanes = Self.inFlight(value(.inFlight))
        return lanes + inFlightLeaving
    }

    /// Of those that leave. Below zero it is nothing, as above.
    @inline(__always)
    public var inFlightLeaving: UInt64 { UInt64(max(Int64(bitPattern: value(.leaving)), 0)) }

    /// Those of the two lanes, of the word itself. A half is below zero for a moment after the file was cut short, when what was in
    /// flight before is settled (`MeterTable.mend`): that is nothing, not four billions.
    @inline(__always)
    public static func inFlight(_ word: UInt64) -> UInt64 {
        let halves = (Int32(truncatingIfNeeded: word), Int32(truncatingIfNeeded: word >> 32))
        return UInt64(max(halves.0, 0)) + UInt64(max(halves.1, 0))
    }

    /// Requests that were settled.
    public var settled: UInt64 {
        var sum: UInt64 = 0
        for hundreds in 1...5 { sum &+= value(.status(hundreds)) }
        return sum
    }
}
