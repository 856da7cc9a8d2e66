import Storage

/// Puts a compressed file in the place of a day's intervals. The day is there whole at any moment: the compressed file
/// gets its name when it was read back and says the same, and only then the plain one goes.
struct DayCompression {
    private let folder: LedgerFolder
    private let day: LedgerFile
    private var files: any FileOperations { folder.files }

    init(_ folder: LedgerFolder, _ day: LedgerFile) { (self.folder, self.day) = (folder, day) }

    func run(_ compressor: any Compressor) throws(StorageFault) {
        let (plain, place) = (folder.path(of: day), folder.path(of: day.compressed))
        let draft = place + ".draft"
        try files.remove(draft)
        do throws(StorageFault) {
            try write(plain, draft, compressor)
            try verify(plain, draft)
        } catch {
            // Of no use, and takes room that may be what is missing.
            try? files.remove(draft)
            throw error
        }
        try files.rename(draft, to: place)
        try files.syncFolder(folder.path)
        try files.remove(plain)
        try files.syncFolder(folder.path)
    }

    private func write(_ plain: String, _ draft: String, _ compressor: any Compressor) throws(StorageFault) {
        let input = try files.open(plain, writing: false)
        defer { files.close(input) }
        let output = try files.open(draft, writing: true)
        defer { files.close(output) }
        try compressor.compress(input, into: output)
        try files.sync(output)
    }

    private func verify(_ plain: String, _ draft: String) throws(StorageFault) {
        let input = try files.open(plain, writing: false)
        defer { files.close(input) }
        var (offset, isSame) = (0, true)
        var fault: StorageFault?
        try JournalReader(files).unpacked(draft) { piece in
            var room = [UInt8](repeating: 0, count: piece.count)
            do throws(StorageFault) {
                let count = try files.read(input, into: &room, 0..<room.count, at: offset)
                isSame = count == piece.count && room.elementsEqual(piece)
            } catch { fault = error }
            offset += piece.count
            return isSame && fault == nil
        }
        if let fault { throw fault }
        let size = try files.status(input).size
        guard isSame, offset == size else { throw .damaged("does not say what it was made from", path: draft) }
    }
}
