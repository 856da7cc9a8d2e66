import Base
import Configuration

/// What a tenant's requests below one path get. A handle to a record of its `Directory`, good as long as that lives.
public struct Route: Sendable, Equatable {
    struct Record: Hashable {
        /// Without a slash at its end, except for `/` itself.
        var path: UnsafeRawPointer
        var pathCount: Int32
        /// Of the settings' routes; -1 is what no route is about.
        var number: Int32
        /// -1 when the tenant has none here.
        var upstream: Int32
        /// Zero is the upstream's own.
        var responseTimeout: UInt64
        /// `.max` is without limit.
        var maxBody: UInt64
        var methods: UInt8
        var requestEdits: UnsafePointer<HeaderEdits.Record>
        var responseEdits: UnsafePointer<HeaderEdits.Record>
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    @inline(__always)
    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// Which of the settings' routes it is; nil is what no route is about.
    @inline(__always)
    public var number: Int? { record.pointee.number < 0 ? nil : Int(record.pointee.number) }
    /// Index of the upstream's instance; nil when the tenant has none here.
    @inline(__always)
    public var upstream: Int? { record.pointee.upstream < 0 ? nil : Int(record.pointee.upstream) }
    /// Nanoseconds; nil is the upstream's own.
    @inline(__always)
    public var responseTimeout: UInt64? { record.pointee.responseTimeout == 0 ? nil : record.pointee.responseTimeout }
    /// Bytes; nil is without limit.
    @inline(__always)
    public var maxBody: UInt64? { record.pointee.maxBody == .max ? nil : record.pointee.maxBody }
    /// A request must prove one of these; empty: the host is enough.
    @inline(__always)
    public var methods: CredentialSet { CredentialSet(rawValue: record.pointee.methods) }
    @inline(__always)
    public var requestEdits: HeaderEdits { HeaderEdits(record.pointee.requestEdits) }
    @inline(__always)
    public var responseEdits: HeaderEdits { HeaderEdits(record.pointee.responseEdits) }

    @inline(__always)
    func matches(_ target: UnsafeRawBufferPointer) -> Bool {
        let path = UnsafeRawBufferPointer(start: record.pointee.path, count: Int(record.pointee.pathCount))
        if path.count == 1 { return true }
        guard target.count >= path.count else { return false }
        for i in 0..<path.count where target[i] != path[i] { return false }
        return target.count == path.count || target[path.count] == 0x2F
    }
}

/// Fields to take out and lines to put in, of one direction. A handle to a record of its `Directory`.
public struct HeaderEdits: Sendable {
    struct Record {
        /// Whole header lines.
        var added: UnsafeRawBufferPointer
        /// Folded names that are removed wherever they come from.
        var removed: UnsafePointer<UnsafeRawBufferPointer>
        var removedCount: Int
    }

    nonisolated(unsafe) let record: UnsafePointer<Record>

    @inline(__always)
    init(_ record: UnsafePointer<Record>) { self.record = record }

    /// Whole header lines.
    @inline(__always)
    public var added: UnsafeRawBufferPointer { record.pointee.added }
    @inline(__always)
    public var removesNothing: Bool { record.pointee.removedCount == 0 }

    /// Whether a field of this name is taken out.
    public func removes(_ name: UnsafeRawBufferPointer) -> Bool {
        for number in 0..<record.pointee.removedCount {
            let candidate = record.pointee.removed[number]
            guard candidate.count == name.count else { continue }
            var same = true
            for i in 0..<name.count where Self.fold(name[i]) != candidate[i] {
                same = false
                break
            }
            if same { return true }
        }
        return false
    }

    /// Those trailer lines (each with its CRLF) that may follow: what is taken out of a head can't come behind the body.
    public func kept(of lines: [UInt8]) -> [UInt8] {
        if removesNothing || lines.isEmpty { return lines }
        return lines.withUnsafeBytes { lines in
            var kept: [UInt8] = []
            var start = 0
            while start < lines.count {
                let end = lines[start...].firstIndex(of: ASCII.lf).map { $0 + 1 } ?? lines.count
                let line = lines[start..<end]
                let name = line.prefix { $0 != 0x3A }
                if !removes(UnsafeRawBufferPointer(rebasing: name)) { kept += line }
                start = end
            }
            return kept
        }
    }

    /// Upstream frameworks make the variable of `X-User-Id` out of `X_User_Id` too, so all punctuation counts as one.
    @inline(__always)
    static func fold(_ byte: UInt8) -> UInt8 {
        ASCII.isAlpha(byte) || ASCII.isDigit(byte) ? ASCII.lowercase(byte) : 0x2D
    }
}
