import Base
import Glibc
import Storage

/// The right to change files of a ledger that others may be changing: rollups, repairs and issued invoices take turns, however many
/// processes there are. Who only reads takes none.
///
/// A lock (`flock`) of a file in the ledger's folder, which the kernel takes back from whoever dies.
public final class LedgerTurn {
    /// Beside the ledger's files, and none of them.
    static let file = ".turn"
    private let files: any FileOperations
    private var descriptor: Int32?

    private init(_ files: any FileOperations, _ descriptor: Int32) { (self.files, self.descriptor) = (files, descriptor) }

    deinit { end() }

    /// Waits until it is one's turn, for as long as that takes.
    /// - Parameter waits: called with the path and who has it, after `Limits.silentTurnNanoseconds` of waiting and then at each
    ///   `Limits.repeatedTurnNanoseconds`.
    public static func take(
        in folder: LedgerFolder, waits: (_ path: String) -> Void = { _ in }
    ) throws(StorageFault) -> LedgerTurn {
        let (files, path) = (folder.files, folder.path + "/" + file)
        try files.makeFolder(folder.path)
        var next = Clock.monotonic() &+ Limits.silentTurnNanoseconds
        while true {
            if let descriptor = try attempt(path, files) { return LedgerTurn(files, descriptor) }
            if Clock.monotonic() >= next {
                next &+= Limits.repeatedTurnNanoseconds
                // Who removes the file lets two at the ledger.
                let holder = LockHolder.process(of: path).map { "process \($0); " } ?? ""
                waits("\(path) (\(holder)it goes on when that ends; don't remove the file)")
            }
            usleep(Limits.turnPauseMicroseconds)
        }
    }

    /// nil while somebody else has it.
    private static func attempt(_ path: String, _ files: any FileOperations) throws(StorageFault) -> Int32? {
        // Two paths to one folder must lead to one lock.
        if RegularFile.isLink(path) { throw .damaged("is a link and should be a file", path: path) }
        let descriptor = try files.open(path, writing: true)
        do throws(StorageFault) {
            // Somebody may have removed it while it was opened: then others lock another one.
            if try files.lock(descriptor), let named = try files.status(path: path),
                try files.status(descriptor).isSameFile(as: named)
            {
                return descriptor
            }
        } catch {
            files.close(descriptor)
            throw error
        }
        files.close(descriptor)
        return nil
    }

    /// Others may go on. Once is enough.
    public func end() {
        if let descriptor { files.close(descriptor) }
        descriptor = nil
    }
}
