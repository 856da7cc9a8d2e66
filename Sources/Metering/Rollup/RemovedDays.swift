import Base
import Storage

/// Which days' lines were removed because their time was over: others that are gone are missing.
///
///     {"removed":"2026-11-23.jsonl","crc":"..."}
enum RemovedDays {
    /// Beside the ledger's files, and none of them.
    static let file = ".removed"

    /// Before it is done.
    static func note(_ day: LedgerFile, in folder: LedgerFolder) throws(StorageFault) {
        var line: [UInt8] = []
        CheckedLine.append(to: &line, room: 64) { line in
            line.append("{\"removed\":\"")
            line.append(day.path)
            line.append("\"")
        }
        try Journal(folder: folder.path, files: folder.files).append(line, to: file)
    }

    static func list(_ folder: LedgerFolder) throws(StorageFault) -> Set<String> {
        guard try folder.size(of: file) != nil else { return [] }
        var names: Set<String> = []
        try JournalReader(folder.files).forward(folder.path + "/" + file) { line in
            do throws(JSONReader.Fault) {
                try JSONReader.read(line) { json throws(JSONReader.Fault) in
                    try json.object { member, json throws(JSONReader.Fault) in
                        switch member {
                        case "removed": names.insert(try json.string().text)
                        default: try json.skip()
                        }
                    }
                }
            } catch {}
            return true
        }
        return names
    }
}
