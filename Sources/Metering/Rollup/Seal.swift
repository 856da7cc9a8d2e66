import Base
import Storage

/// The last line of a file of sums: it says what the file was made of, and that all of it is there.
///
///     {"seal":"2026-11-23.day.jsonl","records":12,"checksum":"0f9c2a41","ids":["0f9c2a41-3-17..940"],
///      "of":[{"file":"2026-11-23.jsonl","size":51234,"ids":["0f9c2a41-3-17..940"]}],"damaged":0,"crc":"..."}
struct Seal: Sendable, Equatable {
    /// A file that was read for it, as long as it was then.
    struct Source: Sendable, Equatable {
        /// From the ledger's folder.
        var file: String
        var size: Int
        /// No path of a ledger's file is longer, and room for more is not made.
        static let nameMax = 64
        /// Of a file of lines, its own: a day whose lines were removed is begun anew when another one comes.
        var ids = RecordRanges()
    }

    /// Name of the file.
    var name: String
    /// Lines in front of it, and the checksum of their bytes.
    var records: Int
    var checksum: UInt32
    /// Of the intervals that were added up.
    var ids: RecordRanges
    var of: [Source]
    /// Lines that were damaged or missing and made good.
    var damaged: Int
    /// The last lines of openings, which the first lines of others name.
    var ends = RecordRanges()

    /// Of a file without one, from before there were seals.
    var isFormer: Bool { of.isEmpty }

    func write(to lines: inout [UInt8]) {
        let ranges = of.reduce(ids.ranges.count + ends.ranges.count) { $0 + $1.ids.ranges.count }
        let room = 1024 + ranges * 96 + of.count * 128
        CheckedLine.append(to: &lines, room: room) { line in
            line.append("{\"seal\":\"")
            line.append(name)
            line.append("\",\"records\":")
            line.append(decimal: records)
            line.append(",\"checksum\":\"")
            line.append(hex: UInt64(checksum), width: 8)
            line.append("\"")
            line.append(ids)
            line.append(",\"of\":[")
            for (place, source) in of.enumerated() {
                line.append(place > 0 ? ",{\"file\":\"" : "{\"file\":\"")
                line.append(source.file)
                line.append("\",\"size\":")
                line.append(decimal: source.size)
                line.append(source.ids)
                line.append("}")
            }
            line.append("],\"damaged\":")
            line.append(decimal: damaged)
            if !ends.isEmpty { line.append(ends, as: "ends") }
        }
    }
}

extension Seal {
    /// From a line without its line end; nil where it is none.
    init?(_ line: UnsafeRawBufferPointer) {
        guard line.starts(with: "{\"seal\":".utf8) else { return nil }
        var (name, checksum): (String?, UInt32?)
        var (records, damaged): (UInt64?, UInt64?)
        var (ids, ends) = (RecordRanges(), RecordRanges())
        var of: [Source] = []
        do throws(JSONReader.Fault) {
            try JSONReader.read(line) { json throws(JSONReader.Fault) in
                try json.object { member, json throws(JSONReader.Fault) in
                    switch member {
                    case "seal": name = try json.string().text
                    case "records": records = try json.unsigned()
                    case "damaged": damaged = try json.unsigned()
                    case "checksum":
                        checksum = UInt32(try json.string().text, radix: 16)
                        if checksum == nil { throw .malformed }
                    case "ids": ids = try json.recordRanges()
                    case "ends": ends = try json.recordRanges()
                    case "of": try json.array { json throws(JSONReader.Fault) in of.append(try Source(&json)) }
                    default: try json.skip()
                    }
                }
            }
        } catch {
            return nil
        }
        guard let name, let checksum, let records = records.flatMap({ Int(exactly: $0) }) else { return nil }
        self.init(
            name: name, records: records, checksum: checksum, ids: ids, of: of,
            damaged: damaged.map(Int.init(clamping:)) ?? 0, ends: ends)
    }

    /// The seal of a file of sums that is there from its first byte to its last.
    ///
    /// One that was written before there were seals has none: it is taken as it is, with the ids that its lines name,
    /// and nil where a line of it is not as it was written.
    static func read(_ file: LedgerFile, in folder: LedgerFolder) throws(StorageFault) -> Seal? {
        var seal: Seal?
        var (count, checksum, isSound, isFormer) = (0, UInt32(0), true, true)
        var former = RecordRanges()
        try JournalReader(folder.files).lines(folder.path(of: file)) { line, isGood in
            if !isGood || seal != nil {
                isSound = false
                return false
            }
            seal = Seal(line)
            if seal != nil { return true }
            checksum = CRC32.checksum(line, after: checksum)
            checksum = [ASCII.lf].withUnsafeBytes { CRC32.checksum($0, after: checksum) }
            count += 1
            if isFormer {
                guard let rolledUp = UsageRecord(line)?.rolledUp, rolledUp.level == nil else {
                    isFormer = false
                    return true
                }
                let (first, last) = (rolledUp.first, rolledUp.last)
                if first.node == last.node, first.epoch == last.epoch, first.place <= last.place {
                    former.insert(RecordRanges.Range(first: first, last: last))
                } else {
                    for id in [first, last] { former.insert(id) }
                }
            }
            return true
        }
        guard isSound else { return nil }
        if let seal { return seal.records == count && seal.checksum == checksum && seal.name == file.name ? seal : nil }
        guard isFormer, count > 0 else { return nil }
        return Seal(name: file.name, records: count, checksum: checksum, ids: former, of: [], damaged: 0)
    }
}

extension Seal.Source {
    fileprivate init(_ json: inout JSONReader) throws(JSONReader.Fault) {
        var (file, size): (String?, Int?)
        var ids = RecordRanges()
        try json.object { member, json throws(JSONReader.Fault) in
            switch member {
            case "file": file = try json.string().text
            case "size": size = Int(exactly: try json.unsigned())
            case "ids": ids = try json.recordRanges()
            default: try json.skip()
            }
        }
        guard let file, file.utf8.count <= Self.nameMax, let size else { throw .malformed }
        self.init(file: file, size: size, ids: ids)
    }

    /// Whether the file that it names is there still, or a compressed one with the same lines: whatever came behind them.
    func isThere(in folder: LedgerFolder) throws(StorageFault) -> Bool {
        if let size = try folder.size(of: file), size >= self.size, begins(file, in: folder) { return true }
        guard try folder.size(of: file + ".gz") != nil else { return false }
        return begins(file + ".gz", in: folder)
    }

    /// Whether a file begins with one of its lines. One of which nothing can be read may be it: who reads it says so.
    func begins(_ path: String, in folder: LedgerFolder) -> Bool {
        guard !ids.isEmpty, let first = folder.firstID(of: path) else { return true }
        return ids.contains(first)
    }
}

extension ByteWriter {
    fileprivate mutating func append(_ ids: RecordRanges, as name: StaticString = "ids") {
        append(",\"")
        append(name)
        append("\":[")
        for (place, range) in ids.ranges.enumerated() {
            append(place > 0 ? ",\"" : "\"")
            append(range.text)
            append("\"")
        }
        append("]")
    }
}

extension JSONReader {
    fileprivate mutating func recordRanges() throws(Fault) -> RecordRanges {
        var ids = RecordRanges()
        try array { json throws(Fault) in
            guard let range = RecordRanges.Range(try json.string().text) else { throw .malformed }
            ids.insert(range)
        }
        return ids
    }
}
