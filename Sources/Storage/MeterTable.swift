import Base
import Glibc
import Synchronization

/// The live counters of all tenants, keys and routes: a file mapped into memory (`state/meters`), so that what a request
/// took is still taken after `kill -9`, a restart and a reload. A header page, then blocks of slots of 512 bytes (`Meter`).
///
/// The whole range that the table may ever need is mapped at once, and growing makes the file longer below it: a slot
/// never moves. Blocks are reserved when the file grows, so that a full disk is an error of the control thread and never
/// a fault on the request path.
///
/// Two processes may count in it (hand-over to a new binary): each holds a *lane*, a lock that the kernel takes back when
/// its process dies, and half of every in-flight word. Any number more may end what they have begun: see `beginLeaving`.
///
/// Both mappings are the table's own from `init` to `deinit`, and have room for every slot that there may ever be: what is
/// reached through them is there.
@safe public final class MeterTable: Sendable {
    /// What the file begins with: `GWMETER2`, the number of the layout that `Meter` draws.
    static let magic: UInt64 = 0x3252_4554_454D_5747
    static let headerSize = 4096
    /// Slots that the address range has room for: 2 GiB of addresses, of which only what the file holds is memory.
    static let slotsMax = 4 << 20

    /// Words of the header page.
    enum Word {
        static let magic = 0
        static let slotSize = 1
        static let capacity = 2
        static let epoch = 3
        static let isClean = 4
        /// Identifies the boot that `timeOffset` belongs to.
        static let boot = 5
        static let timeOffset = 6
        /// The table's time when it was last told; where time goes on after a boot with a wrong clock.
        static let lastTime = 7
        /// How many slots were given out, ever: tells one process that the other has given out some.
        static let given = 8
        /// Nanoseconds from the monotonic clock to the time of day that is believed, and the boot that this belongs to.
        static let calendarOffset = 9
        static let calendarBoot = 10
        /// The time of day when it was last told.
        static let calendarTime = 11
        /// What of it is doubted (`TrustedTime.State`).
        static let calendarDoubt = (offset: 12, since: 13)
        static let calendarStart = (offset: 14, since: 15)
        /// Processes that leave may have something in flight (`beginLeaving`).
        static let leaving = 16
        /// One more than the byte at which the file ended when one of them found it cut short.
        static let cut = 17
        /// 64...127 are the ledger's.
        static let ledger = 64
    }
    public static let ledgerHeaderWords = 64

    public let path: String
    /// How often the table was opened. Part of the ids that the ledger gives.
    public let epoch: UInt64
    /// Whether the process before this one closed the table in order.
    public let wasClean: Bool
    /// This process's half of the in-flight words, 0 or 1, until it leaves.
    public let lane: Int
    let descriptor: Int32
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    /// As large, and this process's own: what the slots held when it was last kept.
    private nonisolated(unsafe) let copy: UnsafeMutableRawPointer
    let pages: LostPages
    public let time: MeterTime
    /// The time of day as it was believed when the table was opened.
    public let trustedTime: TrustedTime
    let names: Mutex<Names>
    private let isGivingMany = Atomic<Bool>(false)
    /// This process counts what it has in flight among those that leave.
    let isLeaving = Atomic<Bool>(false)

    /// What the control thread and the ledger's thread know of the slots.
    struct Names {
        var capacity = 0
        /// Slots by the hash of their identity.
        var places: [UInt64: UInt32] = [:]
        var free: [UInt32] = []
        /// Retired, and all that they counted is in the ledger: the first to be given to others.
        var settled: Set<UInt32> = []
        /// How many keys and routes have a slot, by their tenant's. A tenant without any is not there.
        var children: [UInt32: Int] = [:]
        /// The other lane was held when last looked at.
        var otherLives = false
        /// Other processes leave, or did when last looked at.
        var othersLeave = false
        /// `Word.given` when the slots were last read.
        var given: UInt64 = 0
        /// The header when it was last kept.
        var header: [UInt64] = []
        /// Not told yet.
        var loss: Loss?
        /// The file was cut short, ever.
        var wasCut = false
    }

    // MARK: Opening

    /// Opens the table at `path`, making it if there is none (mode 0600).
    public init(path: String) throws(StorageFault) {
        self.path = path
        let fd = try Self.openFile(path)
        var keep = false
        defer { if !keep { close(fd) } }
        let lane = try Self.takeLane(fd, path)
        let length = Self.headerSize + Self.slotsMax * Meter.size
        let mapped = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0)
        guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else { throw .system("can't map", path: path, code: errno) }
        defer { if !keep { unsafe munmap(mapped, length) } }
        let spare = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let spare = unsafe spare, unsafe spare != MAP_FAILED else {
            throw .system("can't have memory for a copy of", path: path, code: errno)
        }
        defer { if !keep { unsafe munmap(spare, length) } }
        pages = try unsafe LostPages(mapped, length: length, of: fd, path: path)
        let header = unsafe Header(mapped)
        let capacity = try Self.check(fd, path)
        pages.expect(size: Self.headerSize + capacity * Meter.size)
        let otherLives = !Self.isFree(lane: 1 - lane, fd)
        self.lane = lane
        epoch = header[Word.epoch].add(1)
        wasClean = header[Word.isClean].exchange(0) == 1
        time = MeterTime(offset: Self.agreeOnTime(header, otherLives: otherLives))
        trustedTime = Self.agreeOnCalendar(header, boot: Self.bootIdentity(), at: Clock.closeMoment())
        descriptor = fd
        unsafe memory = mapped
        unsafe copy = spare
        names = Mutex(Names())
        keep = true
        names.withLock { names in
            names.otherLives = otherLives
            read(capacity: capacity, into: &names)
            clear(lane: lane, capacity)
            if !otherLives { clearIfFree(lane: 1 - lane, capacity) }
            clearLeaving(&names)
        }
        keepCopy()
    }

    deinit {
        header[Word.lastTime].store(time.ticks(monotonic: Clock.monotonic()))
        // Another process that has it open may yet end otherwise.
        if !Self.isHeld(descriptor) { header[Word.isClean].store(1) }
        unsafe munmap(memory, Self.headerSize + Self.slotsMax * Meter.size)
        unsafe munmap(copy, Self.headerSize + Self.slotsMax * Meter.size)
        close(descriptor)
    }

    /// The file, whole: made beside its place and then moved there, so that nobody sees half a header.
    private static func openFile(_ path: String) throws(StorageFault) -> Int32 {
        let known = unsafe open(path, O_RDWR | O_CLOEXEC)
        if known >= 0 { return known }
        guard errno == ENOENT else { throw .system("can't open", path: path, code: errno) }
        let draft = "\(path).\(getpid())"
        let fd = unsafe open(draft, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw .system("can't make", path: draft, code: errno) }
        defer { close(fd) }
        var words = [UInt64](repeating: 0, count: headerSize / 8)
        (words[Word.magic], words[Word.slotSize], words[Word.isClean]) = (magic, UInt64(Meter.size), 1)
        let written = unsafe words.withUnsafeBytes { unsafe write(fd, $0.baseAddress!, $0.count) }
        // `link` does not replace what another process has put there meanwhile.
        guard written == headerSize, fsync(fd) == 0, unsafe link(draft, path) == 0 || errno == EEXIST else {
            let code = written < 0 || written == headerSize ? errno : ENOSPC
            unsafe unlink(draft)
            throw .system("can't make", path: path, code: code)
        }
        unsafe unlink(draft)
        let made = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard made >= 0 else { throw .system("can't open", path: path, code: errno) }
        return made
    }

    /// Throws where the file at `path` is no table that could be opened. That there is none is no fault.
    public static func verify(_ path: String) throws(StorageFault) {
        guard let fd = lookInto(path) else {
            if errno == ENOENT { return }
            throw .system("can't open", path: path, code: errno)
        }
        defer { close(fd) }
        _ = try check(fd, path)
    }

    /// Whether a process has the table at `path` open; nil where that can't be found out.
    public static func isOpen(_ path: String) -> Bool? {
        guard let fd = lookInto(path) else { return errno == ENOENT ? false : nil }
        defer { close(fd) }
        return isHeld(fd)
    }

    /// Nil with `errno` set. Nobody waits for the other end of a pipe.
    private static func lookInto(_ path: String) -> Int32? {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        return fd < 0 ? nil : fd
    }

    /// The file's capacity in slots, when it is a table of ours.
    private static func check(_ fd: Int32, _ path: String) throws(StorageFault) -> Int {
        var info = stat()
        guard unsafe fstat(fd, &info) == 0 else { throw .system("can't read", path: path, code: errno) }
        var words = [UInt64](repeating: 0, count: Word.capacity + 1)
        var done = 0
        while done < words.count * 8 {
            // The rest of the array.
            let count = unsafe words.withUnsafeMutableBytes { unsafe pread(fd, $0.baseAddress! + done, $0.count - done, done) }
            if count == 0 { break }
            if count > 0 { done += count } else if errno != EINTR { throw .system("can't read", path: path, code: errno) }
        }
        guard info.st_size >= headerSize, words[Word.magic] == magic, words[Word.slotSize] == UInt64(Meter.size) else {
            throw .damaged("is not a meter table of this version; move it away to start with new meters", path: path)
        }
        let capacity = words[Word.capacity]
        guard capacity <= UInt64(slotsMax), Int(capacity) % Meter.block == 0,
            Int(info.st_size) >= headerSize + Int(capacity) * Meter.size
        else {
            throw .damaged("is damaged or shorter than it says; put the whole file back, or move it away", path: path)
        }
        return Int(capacity)
    }

    // MARK: Lanes

    // Open file description locks: let go by the kernel with the last descriptor, that is when the process dies.
    private static let getLock: Int32 = 36
    static let setLock: Int32 = 37
    static let setLockWaiting: Int32 = 38

    /// Of a byte of the file: the two lanes, then what `givingLock` and `leavingLock` are for.
    static func lock(_ byte: Int, _ type: Int32 = F_WRLCK) -> flock {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = byte
        lock.l_len = 1
        return lock
    }

    /// Held while slots are given out, by one process at a time.
    private static let givingLock = 2

    private func whileGiving<R>(_ body: () throws(StorageFault) -> R) throws(StorageFault) -> R {
        // One thread gives: that which made it so.
        if isGivingMany.load(ordering: .relaxed) { return try body() }
        var wanted = Self.lock(Self.givingLock)
        while unsafe fcntl(descriptor, Self.setLockWaiting, &wanted) != 0 {
            guard errno == EINTR else { throw .system("can't lock", path: path, code: errno) }
        }
        defer {
            wanted.l_type = Int16(F_UNLCK)
            _ = unsafe fcntl(descriptor, Self.setLock, &wanted)
        }
        return try body()
    }

    /// Holds the lock of giving for as long as `body` runs, instead of taking it for each slot. One thread at a time.
    public func givingMany<R>(_ body: () throws(StorageFault) -> R) throws(StorageFault) -> R {
        // Nobody is looked for in what was lost.
        try names.withLock { names throws(StorageFault) in try mend(&names) }
        return try whileGiving { () throws(StorageFault) in
            isGivingMany.store(true, ordering: .relaxed)
            defer { isGivingMany.store(false, ordering: .relaxed) }
            return try body()
        }
    }

    private static func takeLane(_ fd: Int32, _ path: String) throws(StorageFault) -> Int {
        // One that is being cleared, or given up by who leaves, is free in a moment.
        for attempt in 0..<100 {
            if attempt > 0 { usleep(10_000) }
            for lane in 0...1 {
                var wanted = lock(lane)
                if unsafe fcntl(fd, setLock, &wanted) == 0 { return lane }
                guard errno == EAGAIN || errno == EACCES else { throw .system("can't lock", path: path, code: errno) }
            }
        }
        throw .inUse(path: path)
    }

    /// Whether nobody but this process holds the byte's lock.
    static func isFree(lane byte: Int, _ fd: Int32) -> Bool {
        var asked = lock(byte)
        return unsafe fcntl(fd, getLock, &asked) == 0 && asked.l_type == Int16(F_UNLCK)
    }

    /// What was in flight in a process that died is in flight no more. Called now and then by the control thread.
    public func reclaim() {
        names.withLock { names in
            // Who leaves has no lane any more, and clears nobody else's.
            if isLeaving.load(ordering: .relaxed) { return }
            let lives = !Self.isFree(lane: 1 - lane, descriptor)
            defer { names.otherLives = lives }
            if names.otherLives, !lives { clearIfFree(lane: 1 - lane, names.capacity) }
            clearLeaving(&names)
        }
    }

    /// Whether another process has the table open (as of the last `reclaim`).
    public var isShared: Bool { names.withLock { $0.otherLives || $0.othersLeave } }

    /// Holds the lane's lock meanwhile: who takes it next may begin to count at once.
    private func clearIfFree(lane: Int, _ capacity: Int) {
        var wanted = Self.lock(lane)
        guard unsafe fcntl(descriptor, Self.setLock, &wanted) == 0 else { return }
        clear(lane: lane, capacity)
        wanted.l_type = Int16(F_UNLCK)
        _ = unsafe fcntl(descriptor, Self.setLock, &wanted)
    }

    private func clear(lane: Int, _ capacity: Int) {
        let keep: UInt64 = lane == 0 ? 0xFFFF_FFFF_0000_0000 : 0x0000_0000_FFFF_FFFF
        for index in 0..<capacity where meter(index).value(.inFlight) & ~keep != 0 {
            meter(index)[Meter.Cell.inFlight.word].mask(keep)
        }
    }

    // MARK: Time

    /// The table's time begins here: 2026-01-01, in seconds since 1970. 64 bits then last until 2062.
    private static let origin: UInt64 = 1_767_225_600

    /// Nanoseconds to add to the monotonic clock. Chosen anew after a boot, from the wall clock.
    private static func agreeOnTime(_ header: Header, otherLives: Bool) -> UInt64 {
        let boot = bootIdentity()
        let known = header[Word.timeOffset].load()
        if header[Word.boot].load() == boot, boot != 0 { return known }
        if otherLives { return known }
        let last = header[Word.lastTime].load() / MeterTime.ticksPerNanosecond
        let wall = Clock.wall()
        let time = max(wall > origin * 1_000_000_000 ? wall - origin * 1_000_000_000 : 0, last, 1_000_000_000)
        let offset = time &- Clock.monotonic()
        header[Word.timeOffset].store(offset)
        header[Word.boot].store(boot)
        return offset
    }

    /// A hash of the kernel's boot id; zero when it has none.
    static func bootIdentity() -> UInt64 {
        let fd = unsafe open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return 0 }
        defer { close(fd) }
        var room = [UInt8](repeating: 0, count: 64)
        let count = unsafe Glibc.read(fd, &room, room.count)
        return count > 0 ? hash(room[..<count], 0) : 0
    }

    /// Notes the table's time, for the next boot. Called now and then by the control thread.
    public func noteTime(monotonic: UInt64) {
        header[Word.lastTime].store(time.ticks(monotonic: monotonic))
    }

    // MARK: Slots

    var header: Header { unsafe Header(memory) }

    /// The words of the header page.
    @safe struct Header {
        private let memory: UnsafeMutableRawPointer

        init(_ memory: UnsafeMutableRawPointer) { unsafe self.memory = memory }

        subscript(word: Int) -> MappedWord {
            precondition(word >= 0 && word < MeterTable.headerSize / 8)
            return unsafe MappedWord(word, in: memory)
        }
    }

    /// Bytes of the file in front of a word of it.
    func place(of word: MappedWord) -> Int { Int(word.address - UInt(bitPattern: unsafe memory)) }

    /// Word 0...63 of the header page that is the ledger's, zero in a new table.
    public func ledgerHeader(_ word: Int) -> UInt64 { header[Word.ledger + word].load() }

    public func setLedgerHeader(_ word: Int, to value: UInt64) {
        precondition(word < Self.ledgerHeaderWords)
        header[Word.ledger + word].store(value)
    }

    /// Returns when all that was counted until now is on the disk. For the ledger's thread.
    public func sync() throws(StorageFault) {
        let length = Self.headerSize + capacity * Meter.size
        guard unsafe msync(memory, length, MS_SYNC) == 0 else { throw .system("can't sync", path: path, code: errno) }
    }

    /// Identifies the kernel's boot since which the table has been in memory; a power cut ends it.
    public var boot: UInt64 { header[Word.boot].load() }

    func meter(_ index: Int) -> Meter { unsafe Meter(index: index, in: memory + Self.headerSize) }

    /// What is remembered of it.
    func copy(of meter: Meter) -> Meter { unsafe Meter(index: meter.index, in: copy + Self.headerSize) }

    /// Slots that the file has room for.
    public var capacity: Int { names.withLock { $0.capacity } }

    /// Reads what the file holds into `names`, from slot `names.capacity` on.
    private func read(capacity: Int, into names: inout Names) {
        names.places.reserveCapacity(capacity)
        for index in (names.capacity..<capacity).reversed() {
            let meter = meter(index)
            let head = meter.head
            if head.state == .free || head.kind == nil {
                names.free.append(UInt32(index))
                continue
            }
            if head.state == .settled { names.settled.insert(UInt32(index)) }
            if head.kind != .tenant { names.children[head.parent, default: 0] += 1 }
            names.places[meter.value(.hash)] = UInt32(index)
        }
        names.capacity = capacity
        names.given = header[Word.given].load()
    }

    /// What the other process has given out since we last looked. Under the lock.
    private func catchUp(_ names: inout Names) {
        guard header[Word.given].load() != names.given else { return }
        names = Names(
            otherLives: names.otherLives, othersLeave: names.othersLeave, header: names.header, loss: names.loss,
            wasCut: names.wasCut)
        read(capacity: Int(header[Word.capacity].load()), into: &names)
    }

    /// The slot of a tenant: the one that it had before, else a new one. Only for the control thread.
    public func meter(tenant id: String) throws(StorageFault) -> Meter {
        try names.withLock { names throws(StorageFault) in try find(.tenant, id, "", nil, &names) }
    }

    /// The slot of a tenant's key or route, by the key's name or the route's path.
    public func meter(_ kind: MeterKind, _ name: String, of tenant: Meter) throws(StorageFault) -> Meter {
        try names.withLock { names throws(StorageFault) in try find(kind, tenant.name, name, tenant, &names) }
    }

    /// Slots of what is no longer configured. They go on counting what is under way, and keep what they hold, until
    /// their usage is in the ledger and somebody else needs the place. Call once no loop goes by the old configuration.
    ///
    /// While another process has the table open nothing is retired, for that one may go by a configuration of its own.
    ///
    /// - Parameter inUse: calls what it is given with every slot that is still configured.
    /// - Returns: false where it has to be done again, once no other process has the table open.
    @discardableResult
    public func retire(allBut inUse: (_ keep: (Meter) -> Void) -> Void) -> Bool {
        reclaim()
        if isShared { return false }
        var isInUse = [Bool](repeating: false, count: capacity)
        inUse { meter in
            if meter.index < isInUse.count { isInUse[meter.index] = true }
        }
        names.withLock { names in
            // What was given out meanwhile is in use.
            for index in 0..<min(names.capacity, isInUse.count) where !isInUse[index] {
                let meter = meter(index)
                if meter.head.state == .live { meter.head.state = .retired }
            }
        }
        return true
    }

    /// Says that all a retired slot has counted is in the ledger. False while something of it is in flight, or when it
    /// is in use again. For the ledger's thread.
    @discardableResult
    public func settle(_ meter: Meter) -> Bool {
        names.withLock { names in
            guard meter.head.state == .retired, meter.inFlight == 0 else { return false }
            meter.head.state = .settled
            names.settled.insert(UInt32(meter.index))
            return true
        }
    }

    /// All slots that somebody has, also retired ones. For the ledger's thread, and for what shows them.
    public func forEach(_ body: (Meter) -> Void) {
        for index in 0..<capacity {
            let meter = meter(index)
            if meter.head.state != .free { body(meter) }
        }
    }

    /// The slot at `index`, when somebody has it.
    public func meter(at index: Int) -> Meter? {
        guard index >= 0, index < capacity else { return nil }
        let meter = meter(index)
        return meter.head.state == .free ? nil : meter
    }

    private func find(
        _ kind: MeterKind, _ tenant: String, _ name: String, _ parent: Meter?, _ names: inout Names
    ) throws(StorageFault) -> Meter {
        if !pages.isIntact || isCutTold { try mend(&names) }
        let wanted = Identity(kind, tenant: tenant, name: name, parent: parent)
        if let known = known(wanted, names).meter { return revive(known, &names) }
        return try whileGiving { () throws(StorageFault) in
            catchUp(&names)
            let (known, hash) = known(wanted, names)
            if let known { return revive(known, &names) }
            return try give(wanted, hash, &names)
        }
    }

    /// Whose slot is looked for.
    private struct Identity {
        var kind: MeterKind
        var own: [UInt8]
        var whole: [UInt8]
        var parent: Meter?

        init(_ kind: MeterKind, tenant: String, name: String, parent: Meter?) {
            (self.kind, self.parent) = (kind, parent)
            own = Array((kind == .tenant ? tenant : name).utf8)
            whole = Array(tenant.utf8) + [kind.rawValue] + Array(name.utf8)
        }
    }

    /// The slot that it has, or nil and the hash that it is to have. Two with the same hash are told apart by salt.
    private func known(_ wanted: Identity, _ names: Names) -> (meter: Meter?, hash: UInt64) {
        var salt: UInt64 = 0
        while true {
            let hash = Self.hash(wanted.whole[...], salt)
            guard let index = names.places[hash] else { return (nil, hash) }
            let meter = meter(Int(index))
            let head = meter.head
            if head.kind == wanted.kind, wanted.parent.map({ $0.index == meter.parent }) ?? true, meter.isNamed(wanted.own)
            {
                return (meter, hash)
            }
            salt += 1
        }
    }

    private func revive(_ meter: Meter, _ names: inout Names) -> Meter {
        if meter.isRetired {
            names.settled.remove(UInt32(meter.index))
            meter.head.state = .live
        }
        return meter
    }

    private func give(_ wanted: Identity, _ hash: UInt64, _ names: inout Names) throws(StorageFault) -> Meter {
        let meter = try takeFree(&names)
        for word in 0..<Meter.words { meter[word].store(0) }
        meter.setName(wanted.own)
        meter.store(hash, to: .hash)
        var head = Meter.Head()
        head.state = .live
        head.kind = wanted.kind
        head.nameLength = min(wanted.own.count, Meter.nameSize)
        head.parent = UInt32(wanted.parent?.index ?? meter.index)
        // Last: a slot with half a name must not be found after a crash.
        meter.head = head
        names.places[hash] = UInt32(meter.index)
        if wanted.kind != .tenant { names.children[head.parent, default: 0] += 1 }
        names.given = header[Word.given].add(1)
        keep(meter.index..<meter.index + 1)
        return meter
    }

    private func takeFree(_ names: inout Names) throws(StorageFault) -> Meter {
        if let index = names.free.popLast() { return meter(Int(index)) }
        while let index = names.settled.popFirst() {
            let old = meter(Int(index))
            if old.head.state != .settled { continue }
            // A key's slot finds its tenant's id in its parent: that one stays while it has children.
            if old.kind == .tenant, names.children[index] != nil { continue }
            if old.kind != .tenant { forgetChild(of: old.head.parent, &names) }
            names.places[old.value(.hash)] = nil
            old.head = Meter.Head()
            return old
        }
        try grow(&names)
        guard let index = names.free.popLast() else { throw .damaged("has no room for more tenants", path: path) }
        return meter(Int(index))
    }

    /// With the last of them a tenant's slot may be given away as well.
    private func forgetChild(of parent: UInt32, _ names: inout Names) {
        guard let count = names.children[parent] else { return }
        names.children[parent] = count > 1 ? count - 1 : nil
        if count == 1, meter(Int(parent)).isSettled { names.settled.insert(parent) }
    }

    /// Doubles the file, with blocks of its own.
    private func grow(_ names: inout Names) throws(StorageFault) {
        let wanted = min(max(Meter.block, names.capacity * 2), Self.slotsMax)
        guard wanted > names.capacity else { return }
        let code = posix_fallocate(descriptor, 0, Self.headerSize + wanted * Meter.size)
        guard code == 0 else { throw .system("can't make room in", path: path, code: code) }
        header[Word.capacity].store(UInt64(wanted))
        pages.expect(size: Self.headerSize + wanted * Meter.size)
        for index in (names.capacity..<wanted).reversed() { names.free.append(UInt32(index)) }
        names.capacity = wanted
    }

    /// FNV-1a with a last mixing (of MurmurHash3): the same in every process.
    static func hash(_ bytes: ArraySlice<UInt8>, _ salt: UInt64) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ (salt &* 0x9E37_79B9_7F4A_7C15)
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
        return hash ^ hash >> 33
    }
}
