import Glibc
import Synchronization

/// What is done when a page of a mapped file can't be had: somebody cut the file short, its disk can't be read, or has no
/// room for a page that was never written. The kernel says so with SIGBUS to whoever touches the page, a request on its
/// way perhaps, and that would end the process.
///
/// A file that can be made as long as it was is: the access is repeated, and finds zeros. Else zeros that this process
/// alone has take the page's place. Counting goes on with either, and what was lost is noted for `MeterTable.mend`.
@safe final class LostPages: Sendable {
    /// Shared with the handler, which may run on any thread at any moment: never freed, and so its address is good for ever.
    private struct Region: ~Copyable {
        let start: UInt
        let length: UInt
        /// Address of the region that was made before this one, or 0.
        let next = Atomic<UInt>(0)
        /// -1 once the file is closed.
        let descriptor: Atomic<Int32>
        /// Bytes that the file should have.
        let size = Atomic<Int>(0)
        /// From this byte of the file on it was lost, and is zeros.
        let lostFrom = Atomic<Int>(.max)
        /// Pages that are this process's alone.
        let privatePages = Atomic<Int>(0)
        /// Somebody looks at the file's length, and may change it.
        let isBusy = Atomic<Bool>(false)
    }

    private static let last = Atomic<UInt>(0)
    private static let pageSize = UInt(max(4096, sysconf(Int32(_SC_PAGESIZE))))
    private nonisolated(unsafe) let region: UnsafeMutablePointer<Region>
    private let path: String

    /// Watches over a mapping of the file from its beginning on.
    init(_ memory: UnsafeMutableRawPointer, length: Int, of descriptor: Int32, path: String) throws(StorageFault) {
        self.path = path
        unsafe region = .allocate(capacity: 1)
        unsafe region.initialize(
            to: Region(start: UInt(bitPattern: memory), length: UInt(length), descriptor: Atomic(descriptor)))
        var isLast = false
        while !isLast {
            let next = Self.last.load(ordering: .acquiring)
            unsafe region.pointee.next.store(next, ordering: .relaxed)
            (isLast, _) = unsafe Self.last.compareExchange(
                expected: next, desired: UInt(bitPattern: region), ordering: .acquiringAndReleasing)
        }
        guard Self.handle() else { throw .system("can't watch over", path: path, code: errno) }
    }

    deinit { unsafe region.pointee.descriptor.store(-1, ordering: .releasing) }

    /// The file has so many bytes, and its pages are there.
    func expect(size: Int) { unsafe region.pointee.size.store(size, ordering: .releasing) }

    /// Whether nothing was lost that `makeWhole` has not told, as far as anybody has noticed.
    var isIntact: Bool { unsafe region.pointee.lostFrom.load(ordering: .acquiring) == .max && privatePages == 0 }

    /// The same, and the file is as long as it should be: a cut is not noticed by who looks at the page that it is in.
    var isWhole: Bool {
        var status = stat()
        let hasLength = unsafe fstat(region.pointee.descriptor.load(ordering: .acquiring), &status) == 0
            && status.st_size >= region.pointee.size.load(ordering: .acquiring)
        return hasLength && isIntact
    }

    var privatePages: Int { unsafe region.pointee.privatePages.load(ordering: .acquiring) }

    /// Makes the file as long as it should be. From which byte on it was lost since the last time; nil where nothing was.
    func makeWhole() throws(StorageFault) -> Int? {
        let code = unsafe Self.lengthen(region)
        guard code == 0 else {
            throw .system(isIntact ? "can't look at" : "can't put back the end of", path: path, code: code)
        }
        let from = unsafe region.pointee.lostFrom.exchange(.max, ordering: .acquiringAndReleasing)
        return from == .max ? nil : from
    }

    // MARK: For the handler too

    /// Notes where the file ends, if that is too early, and makes it longer. An `errno`. One thread at a time: who came
    /// late would note what another has mended already. Nobody who is at it can be interrupted by the handler.
    private static func lengthen(_ region: UnsafeMutablePointer<Region>) -> Int32 {
        while unsafe region.pointee.isBusy.exchange(true, ordering: .acquiring) { sched_yield() }
        defer { unsafe region.pointee.isBusy.store(false, ordering: .releasing) }
        let size = unsafe region.pointee.size.load(ordering: .acquiring)
        let descriptor = unsafe region.pointee.descriptor.load(ordering: .acquiring)
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return errno }
        if status.st_size >= size { return 0 }
        unsafe region.pointee.lostFrom.min(Int(status.st_size), ordering: .acquiringAndReleasing)
        // Unlike `ftruncate` it never makes a file shorter that another process has made longer, and it asks for the room.
        return posix_fallocate(descriptor, 0, size)
    }

    private static func handle() -> Bool {
        var action = Glibc.sigaction()
        action.sa_flags = SA_SIGINFO
        unsafe action.__sigaction_handler.sa_sigaction = { _, info, _ in
            // Whoever was interrupted may be about to read it.
            let code = errno
            let address = unsafe info.map { unsafe UInt(bitPattern: $0.pointee._sifields._sigfault.si_addr) } ?? 0
            // Not ours: it ends the process, as it should.
            if !LostPages.replace(address) { signal(SIGBUS, SIG_DFL) }
            errno = code
        }
        _ = pageSize
        return unsafe sigaction(SIGBUS, &action, nil) == 0
    }

    /// Puts a page there, if the address is of a file that is watched over. Only calls that a signal handler may make.
    private static func replace(_ address: UInt) -> Bool {
        var next = last.load(ordering: .acquiring)
        while let region = unsafe UnsafeMutablePointer<Region>(bitPattern: next) {
            let place = unsafe address &- region.pointee.start
            let descriptor = unsafe region.pointee.descriptor.load(ordering: .acquiring)
            if unsafe place < region.pointee.length, descriptor >= 0 {
                let page = place - place % pageSize
                var byte: UInt8 = 0
                // There again: whoever touched it may try once more. A page that was not lost is asked to have room, too.
                if unsafe lengthen(region) == 0, posix_fallocate(descriptor, Int(page), Int(pageSize)) == 0,
                    unsafe pread(descriptor, &byte, 1, Int(page)) == 1
                {
                    return true
                }
                unsafe region.pointee.privatePages.add(1, ordering: .acquiringAndReleasing)
                let start = unsafe UnsafeMutableRawPointer(bitPattern: region.pointee.start + page)
                // Where not even that can be had the access is tried until it can.
                _ = unsafe mmap(start, Int(pageSize), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
                return true
            }
            next = unsafe region.pointee.next.load(ordering: .relaxed)
        }
        return false
    }
}
