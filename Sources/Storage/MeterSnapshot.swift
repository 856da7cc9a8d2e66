import Base
import Glibc

/// A meter table as it stands in its file, for whoever only reads: it takes no lane, counts as no opening, and changes
/// nothing.
@safe public final class MeterSnapshot {
    /// As long as `length`, until this is gone.
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    private let length: Int

    /// nil where there is no table.
    public init?(path: String) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_size >= MeterTable.headerSize else { return nil }
        length = Int(status.st_size)
        // A copy: what is cut off the file meanwhile is not asked for.
        let room = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let room = unsafe room, unsafe room != MAP_FAILED else { return nil }
        unsafe memory = room
        var done = 0
        while done < length {
            let count = unsafe pread(descriptor, room + done, length - done, done)
            if count <= 0 { break }
            done += count
        }
        guard done == length, header[MeterTable.Word.magic].load() == MeterTable.magic else {
            return nil
        }
    }

    deinit { unsafe munmap(memory, length) }

    private var header: MeterTable.Header { unsafe MeterTable.Header(memory) }

    /// Word 0...63 of what is the ledger's.
    public func ledgerHeader(_ word: Int) -> UInt64 { header[MeterTable.Word.ledger + word].load() }

    /// Nanoseconds since 1970 at a monotonic time, as who counts in the table knows it to be; nil of another boot. Where
    /// nothing is believed yet since the boot, what was known before it, gone on since.
    public func wall(monotonic: UInt64) -> UInt64? {
        guard header[MeterTable.Word.calendarBoot].load() == MeterTable.bootIdentity() else {
            return nil
        }
        let isStarting = header[MeterTable.Word.calendarStart.since].load() > 0
        let word = isStarting ? MeterTable.Word.calendarStart.offset : MeterTable.Word.calendarOffset
        return monotonic &+ header[word].load()
    }

    /// The slot at `index`, when somebody has it.
    public func meter(at index: Int) -> Meter? {
        let slots = (length - MeterTable.headerSize) / Meter.size
        guard index >= 0, index < slots / Meter.block * Meter.block else { return nil }
        let meter = unsafe Meter(index: index, in: memory + MeterTable.headerSize)
        return meter.head.state == .free || meter.kind == nil ? nil : meter
    }

    /// All slots that somebody has.
    public func forEach(_ body: (Meter) -> Void) {
        for index in 0..<(length - MeterTable.headerSize) / Meter.size {
            if let meter = meter(at: index) { body(meter) }
        }
    }
}
