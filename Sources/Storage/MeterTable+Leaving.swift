import Base
import Glibc
import Synchronization

/// Processes that another one has taken over from and that end what they have begun: a tunnel may take hours, and meanwhile
/// the binary may be replaced once more. All of them share one word of a slot for what they have in flight, and one lock.
///
/// Whoever leaves takes the lock, moves what it has in flight from its lane into that word, request by request, and gives
/// its lane back. Once nobody holds the lock the word is cleared: what a process had in flight that was killed while it
/// left counts until the last one that leaves has ended.
extension MeterTable {
    /// The byte of the file whose lock those that leave hold together.
    static let leavingLock = 3

    /// Whether another process counts in the table, or ends what it has begun.
    static func isHeld(_ fd: Int32) -> Bool { ![0, 1, leavingLock].allSatisfy { isFree(lane: $0, fd) } }

    /// From now on what this process has in flight is counted among those that leave (`Meter.Cell.leaving`), wherever it is
    /// not in its lane. Waits while somebody clears what others have left.
    public func beginLeaving() throws(StorageFault) {
        try names.withLock { _ throws(StorageFault) in
            // To clear what others have left takes the lock for oneself, and would take it from this process.
            isLeaving.store(true, ordering: .relaxed)
            var wanted = Self.lock(Self.leavingLock, F_RDLCK)
            while unsafe fcntl(descriptor, Self.setLockWaiting, &wanted) != 0 {
                guard errno == EINTR else { throw .system("can't lock", path: path, code: errno) }
            }
            header[Word.leaving].store(1)
        }
    }

    /// Gives the lane back. Once nothing is counted in it any more.
    public func endLane() {
        var lane = Self.lock(lane, F_UNLCK)
        _ = unsafe fcntl(descriptor, Self.setLock, &lane)
    }

    /// What those had in flight that are gone. Under the lock of the names.
    func clearLeaving(_ names: inout Names) {
        guard header[Word.leaving].load() != 0 else { return names.othersLeave = false }
        // Alone: nobody begins to leave meanwhile.
        var wanted = Self.lock(Self.leavingLock)
        guard unsafe fcntl(descriptor, Self.setLock, &wanted) == 0 else { return names.othersLeave = true }
        for index in 0..<names.capacity { meter(index).clear(.leaving) }
        header[Word.leaving].store(0)
        wanted.l_type = Int16(F_UNLCK)
        _ = unsafe fcntl(descriptor, Self.setLock, &wanted)
        names.othersLeave = false
    }

    /// One of those that leave has found the file cut short, and nobody has mended it yet.
    var isCutTold: Bool { header[Word.cut].load() != 0 }

    /// Whether somebody leaves, for who goes by what is in flight.
    public var leaving: Leaving { Leaving(word: header[Word.leaving]) }

    /// A look at whether processes that leave may have something in flight.
    public struct Leaving: Sendable, BitwiseCopyable {
        let word: MappedWord

        @inline(__always)
        public var isGoingOn: Bool { word.load() != 0 }
    }
}
