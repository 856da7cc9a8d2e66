import Base
import Configuration
import HTTP

/// What a route answers itself. A handle to a record of its `Directory`.
public struct OwnAnswer {
    struct Record {
        var status: UInt16
        var isRedirect: Bool
        /// It stays on the request's own host.
        var isRelative: Bool
        /// Of the text; empty: there is none.
        var type: UnsafeRawBufferPointer
        /// Of the text, or of where a redirect leads to.
        var parts: List<Part>
    }

    struct Part {
        enum Kind: UInt8 { case text, path, query, markedQuery, host, tenant }
        var kind: Kind
        var text: UnsafeRawBufferPointer
    }

    let record: UnsafePointer<Record>

    public var status: UInt16 { record.pointee.status }
    public var isRedirect: Bool { record.pointee.isRedirect }
    /// Empty: there is none.
    public var type: UnsafeRawBufferPointer { record.pointee.type }

    /// Writes the text, or where a redirect leads to.
    /// - Parameter tenant: its id.
    public func write(for head: borrowing RequestHead, tenant: String, to out: inout ByteWriter) {
        let start = out.count
        let parts = record.pointee.parts
        for i in 0..<parts.count {
            switch parts[i].kind {
            case .text: out.append(parts[i].text)
            case .path: out.append(uri: head.pathOrRoot, keepsQuotes: isRedirect)
            case .query: out.append(uri: head.query, keepsQuotes: isRedirect)
            case .markedQuery:
                if head.query.isEmpty { continue }
                out.append(byte: 0x3F)
                out.append(uri: head.query, keepsQuotes: isRedirect)
            case .host: out.append(authority: head[head.host])
            case .tenant: out.append(tenant)
            }
        }
        if record.pointee.isRelative { Self.stay(from: start, &out) }
    }

    /// To a browser what begins with two slashes is another host.
    private static func stay(from start: Int, _ out: inout ByteWriter) {
        let written = UnsafeMutableRawBufferPointer(start: out.base + start, count: out.count - start)
        var slashes = 0
        while slashes < written.count, written[slashes] == 0x2F { slashes += 1 }
        guard slashes > 1, !out.overflowed else { return }
        let rest = written.count - slashes
        for i in 0..<rest { written[1 + i] = written[slashes + i] }
        out.truncate(to: start + 1 + rest)
    }

    static func make(_ settings: OwnAnswerSettings, in memory: RecordMemory) -> UnsafePointer<Record> {
        func parts(_ template: RequestTemplate) -> List<Part> {
            memory.list(
                template.parts.map { part in
                    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
                    return switch part {
                    case .text(let text): Part(kind: .text, text: memory.keep(Array(text.utf8)))
                    case .path: Part(kind: .path, text: nothing)
                    case .query: Part(kind: .query, text: nothing)
                    case .markedQuery: Part(kind: .markedQuery, text: nothing)
                    case .host: Part(kind: .host, text: nothing)
                    case .tenant: Part(kind: .tenant, text: nothing)
                    }
                })
        }
        let record: Record
        switch settings {
        case .respond(let status, let type, let text):
            record = Record(
                status: status, isRedirect: false, isRelative: false, type: memory.keep(Array((type ?? "").utf8)), parts: parts(text))
        case .redirect(let status, let target):
            var isRelative = true
            if case .text(let start)? = target.parts.first, start.contains("://") { isRelative = false }
            record = Record(
                status: status, isRedirect: true, isRelative: isRelative, type: memory.keep([UInt8]()), parts: parts(target))
        }
        return UnsafePointer(memory.keep([record]))
    }
}
