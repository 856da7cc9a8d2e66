import Base
import Configuration

/// Where a route's requests go beside its upstream, and under which name. A handle to a record of its `Directory`.
public struct Way {
    struct Record {
        var splits: List<Split>
        var key: Key
        /// Of the field that `key` goes by, in lower case.
        var field: UnsafeRawBufferPointer
        var rewrite: Rewrite?
        /// No base: the client's own.
        var host: UnsafeRawBufferPointer
    }

    struct Split {
        /// Hundredths, those before it among them.
        var end: UInt8
        /// Index of the upstream's instance.
        var upstream: Int32
    }

    /// What decides about the side.
    public enum Key: UInt8, Sendable, BitwiseCopyable { case client, key, tenant, request, header }

    struct Rewrite {
        /// Without the slash at its end, where more may follow.
        var start: UnsafeRawBufferPointer
        /// Bytes of a path that it stands for; -1: the whole path.
        var replaced: Int
    }

    let record: UnsafePointer<Record>

    init(_ record: UnsafePointer<Record>) { self.record = record }

    public var isSplit: Bool { record.pointee.splits.count > 0 }
    public var key: Key { record.pointee.key }
    /// Of the field that `key` goes by, in lower case.
    public var field: UnsafeRawBufferPointer { record.pointee.field }
    public var rewrites: Bool { record.pointee.rewrite != nil }
    /// What `Host` says to the upstream; nil: what the client has said.
    public var host: UnsafeRawBufferPointer? { record.pointee.host.baseAddress == nil ? nil : record.pointee.host }

    /// Index of the upstream's instance for a key's hash; nil is the route's own.
    public func upstream(_ hash: UInt64) -> Int? {
        // Another hundred than that of whoever else goes by this hash.
        let place = UInt8(hash.multipliedFullWidth(by: 100).high)
        let splits = record.pointee.splits
        for i in 0..<splits.count where place < splits[i].end { return Int(splits[i].upstream) }
        return nil
    }

    /// Writes a path's new form.
    /// - Parameter normal: writes the path itself, normalised, into the room it is given, and gives its length; nil: there is no room.
    public func write(to out: inout ByteWriter, normal: (UnsafeMutableRawBufferPointer) -> Int?) {
        guard let rewrite = record.pointee.rewrite else { return }
        out.append(rewrite.start)
        if rewrite.replaced < 0 { return }
        let room = out.spare
        guard let count = normal(room), let base = room.baseAddress else { return out.overflow() }
        let rest = max(0, count - rewrite.replaced)
        if rest > 0 {
            base.copyMemory(from: base + rewrite.replaced, byteCount: rest)
            out.produced(rest)
        } else if rewrite.start.isEmpty {
            out.append(byte: 0x2F)
        }
    }

    /// - Parameters:
    ///   - route: whose way it is.
    ///   - upstreams: indices of the instances that it splits to.
    static func make(_ route: RouteSettings, _ upstreams: [Int], in memory: RecordMemory) -> UnsafePointer<Record> {
        let settings = route.way
        func bytes(_ text: String) -> UnsafeRawBufferPointer { memory.keep(Array(text.utf8)) }
        var (end, splits) = (UInt8(0), [Split]())
        for (split, upstream) in zip(settings.splits, upstreams) {
            end = min(100, end + split.share)
            splits.append(Split(end: end, upstream: Int32(upstream)))
        }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let rewrite = settings.rewrite.map { path in
            route.isExact
                ? Rewrite(start: bytes(path), replaced: -1)
                : Rewrite(start: bytes(path.hasSuffix("/") ? String(path.dropLast()) : path), replaced: route.prefix.utf8.count)
        }
        var (key, field) = (Key.client, nothing)
        switch settings.key {
        case .client: key = .client
        case .key: key = .key
        case .tenant: key = .tenant
        case .request: key = .request
        case .header(let name): (key, field) = (.header, bytes(name))
        }
        let record = Record(
            splits: memory.list(splits), key: key, field: field, rewrite: rewrite, host: settings.host.map(bytes) ?? nothing)
        return UnsafePointer(memory.keep([record]))
    }
}
