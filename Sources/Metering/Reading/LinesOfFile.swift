import Glibc
import Storage

/// The good lines of a file, and what is wrong with it.
struct LinesOfFile {
    private(set) var ids = RecordRanges()
    private(set) var repeated = 0
    private(set) var damage: [LedgerDamage] = []

    /// What was read belongs to another time than the list of files: to be begun again.
    static func gone(_ path: String) -> StorageFault { .system("can't find", path: path, code: ENOENT) }

    init(_ file: LedgerFile, in folder: LedgerFolder, _ body: (UsageRecord) -> Void) throws(StorageFault) {
        var number = 0
        var seen = RecordRanges()
        var twice = 0
        var bad: [Int] = []
        do throws(StorageFault) {
            try JournalReader(folder.files).lines(folder.readPath(of: file)) { line, isGood in
                number += 1
                guard isGood, let record = UsageRecord(line) else {
                    if file.level == nil || !isGood { bad.append(number) }
                    return true
                }
                // Sums of one file may share an id with none, and are told by their seal.
                if file.level == nil, !seen.insert(record.id) { twice += 1 } else { body(record) }
                return true
            }
        } catch {
            // Added up and removed since the folder was listed.
            let path = try folder.readPath(of: file)
            guard try folder.files.status(path: path) != nil else { throw Self.gone(path) }
            // What it held is for ids and totals to tell.
            damage.append(LedgerDamage(file: file.path, span: file.span, lines: 1, what: "can't be read: \(error)"))
        }
        (ids, repeated) = (seen, twice)
        damage += bad.map {
            LedgerDamage(file: file.path, span: file.span, line: $0, lines: 1, what: "is not as it was written")
        }
    }
}
