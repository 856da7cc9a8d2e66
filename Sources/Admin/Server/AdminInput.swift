import Base
import HTTP

/// What a client has sent and nobody has looked at yet: at most one head and one read, for a body is dropped as it comes.
struct AdminInput: ~Copyable {
    enum Next {
        case needsMore
        /// A whole head; its body, if it has one, is dropped from here on.
        case request(AdminRequest, keepAlive: Bool)
        /// Nothing more is read after it.
        case refused(status: Int, reason: String)
    }

    private var bytes: [UInt8] = []
    /// What stands before it is done with.
    private var start = 0
    private var head = RequestHead(maxFields: AdminInput.fieldsMax)
    /// How far, from `start`, it was looked at.
    private var scanned = 0
    /// Of the last request's body.
    private var toDrop = 0

    private static let fieldsMax = 100

    /// Bytes that may be added now.
    var room: Int { toDrop > 0 ? Limits.adminHeadMax : Limits.adminHeadMax - (bytes.count - start) }

    mutating func add(_ more: UnsafeRawBufferPointer) {
        let dropped = min(toDrop, more.count)
        toDrop -= dropped
        if start > 0 {
            bytes.removeSubrange(..<start)
            start = 0
        }
        bytes.append(contentsOf: more[dropped...])
    }

    /// Takes the next request, once its head is whole and the body before it is gone.
    mutating func next() -> Next {
        if toDrop > 0 || start == bytes.count { return .needsMore }
        let outcome = bytes.withUnsafeBytes { bytes in
            head.parse(
                UnsafeRawBufferPointer(rebasing: bytes[start...]), from: &scanned,
                limits: ParseLimits(maxHeadSize: Limits.adminHeadMax, maxFields: Self.fieldsMax))
        }
        switch outcome {
        case .incomplete: return .needsMore
        case .refused(let fault): return .refused(status: Int(fault.status), reason: "\(fault.reason)")
        case .complete: break
        }
        switch head.framing {
        case .none: break
        case .length(let length) where length <= UInt64(Limits.adminBodyMax): toDrop = Int(length)
        default: return .refused(status: 413, reason: "no such body is expected")
        }
        let request = bytes.withUnsafeBytes { self.request(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        start += head.length
        scanned = 0
        let dropped = min(toDrop, bytes.count - start)
        start += dropped
        toDrop -= dropped
        return .request(request, keepAlive: head.keepAlive)
    }

    private func request(_ bytes: UnsafeRawBufferPointer) -> AdminRequest {
        func text(_ range: ByteRange) -> String { String(decoding: bytes[range], as: UTF8.self) }
        let target = (head.impliedTarget.map { String(UnicodeScalar($0)) } ?? "") + text(head.target)
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var fields: [(name: String, value: String)] = []
        for i in 0..<head.fields.count { fields.append((text(head.fields[i].name), text(head.fields[i].value))) }
        let isBracketed = head.host.first > 0 && bytes[head.host.first - 1] == UInt8(ascii: "[")
        let host = text(head.host).asciiLowercased
        return AdminRequest(
            method: text(head.methodRange), path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : nil,
            host: isBracketed ? "[\(host)]" : host, fields: fields)
    }
}
