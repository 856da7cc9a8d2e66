import Base
import HTTP

/// Bounds on what is read of one answer.
public struct AnswerLimits: Sendable {
    /// Bytes of all its heads, interim ones among them.
    public var heads: Int
    public var fields: Int
    /// Bytes of its body. Whoever hands parts on instead of keeping them may do without.
    public var body: UInt64

    public init(heads: Int = Limits.headSizeMax, fields: Int = Limits.clientFieldsMax, body: UInt64 = .max) {
        (self.heads, self.fields, self.body) = (heads, fields, body)
    }
}

/// Reads one answer from bytes as they come. A value: it touches nothing, and says what to do.
///
///     head ──► body ──► over
///     ▲  │
///     └──┘ interim
struct AnswerReader: ~Copyable {
    /// Good as long as the bytes that were given.
    @safe enum Action {
        /// All bytes are used; more are needed.
        case more
        /// Status and fields of the answer itself. Interim answers are passed over.
        case head(HTTPClient.Head)
        /// Some bytes of the body, in the bytes that were given.
        case part(UnsafeMutableRawBufferPointer)
        /// The answer is whole. What is left of the bytes belongs to nobody.
        case end
    }

    private let limits: AnswerLimits
    private let method: HTTP.Method
    private var parsed: ResponseHead
    /// Of the head: what has come of it, and how far it was looked at.
    private var head: [UInt8] = []
    private var scanned = 0
    /// Bytes of the heads before, which are interim ones.
    private var spent = 0
    /// Since the head is whole.
    private var body: BodyReader?
    private var received: UInt64 = 0

    /// - Parameter isForHead: it answers a HEAD request.
    init(_ limits: AnswerLimits, isForHead: Bool = false) {
        (self.limits, method) = (limits, isForHead ? .head : .get)
        parsed = ResponseHead(maxFields: limits.fields)
    }

    /// Nothing has come of the answer yet.
    var isUntouched: Bool { body == nil && spent == 0 && head.isEmpty }

    /// A next request may follow on the same connection.
    var mayGoOn: Bool { body?.isDone == true && parsed.keepAlive && !parsed.isUpgrade }

    /// The next thing in `bytes`, which it shortens by what it has used. To be called until there is no `more`.
    mutating func next(_ bytes: inout UnsafeMutableRawBufferPointer) throws(ClientFailure) -> Action {
        unsafe body == nil ? try readHead(&bytes) : try readBody(&bytes)
    }

    /// The connection has ended, and with it an answer whose end that is.
    mutating func end() throws(ClientFailure) {
        guard body?.end() == true else { throw .cutShort }
    }

    // MARK: Head

    private mutating func readHead(_ bytes: inout UnsafeMutableRawBufferPointer) throws(ClientFailure) -> Action {
        while true {
            let before = head.count
            unsafe head.append(contentsOf: bytes)
            let limits = ParseLimits(maxHeadSize: limits.heads - spent, maxFields: limits.fields)
            // The bytes are lent: from then on the parsed head is asked for its values and ranges only.
            switch unsafe head.withUnsafeBytes({ unsafe parsed.parse($0, from: &scanned, requestMethod: method, limits: limits) }) {
            case .incomplete:
                unsafe bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
                return .more
            case .refused(let fault) where spent > 0 && (fault.flaw == .headTooLarge || fault.flaw == .requestLineTooLong):
                throw .tooManyInterim
            case .refused(let fault): throw .malformed("\(fault.reason)")
            case .complete: break
            }
            unsafe bytes = UnsafeMutableRawBufferPointer(rebasing: bytes[(parsed.length - before)...])
            if !parsed.isInterim { break }
            // What is said before the answer (RFC 9110 section 15.2) is no answer, however often something is.
            spent += parsed.length
            if spent >= self.limits.heads { throw .tooManyInterim }
            (head, scanned) = ([], 0)
        }
        if case .length(let length) = parsed.framing, length > self.limits.body { throw .tooLarge }
        body = BodyReader(parsed.framing, of: .response)
        return .head(takeHead())
    }

    private mutating func takeHead() -> HTTPClient.Head {
        var fields: [HTTPClient.Field] = []
        // The same bytes as when they were parsed, which the ranges are of.
        unsafe head.withUnsafeBytes { bytes in
            for i in 0..<parsed.fields.count {
                let field = parsed.fields[i]
                let name = unsafe String(decoding: bytes[field.name], as: UTF8.self).asciiLowercased
                let octets = unsafe Array(bytes[field.value])
                fields.append(HTTPClient.Field(name, octets: octets, isOfConnection: field.dropped || field.id.isHopByHop))
            }
        }
        head = []
        return HTTPClient.Head(status: Int(parsed.status), fields: fields)
    }

    // MARK: Body

    private mutating func readBody(_ bytes: inout UnsafeMutableRawBufferPointer) throws(ClientFailure) -> Action {
        guard let isDone = body?.isDone, !isDone else { return .end }
        guard unsafe !bytes.isEmpty, let step = unsafe body?.read(bytes) else { return .more }
        if let fault = step.fault { throw .malformed("\(fault.reason)") }
        received += UInt64(step.produced)
        if received > limits.body { throw .tooLarge }
        // A step uses no more than it was given, and produces no more than it uses.
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<step.produced])
        unsafe bytes = UnsafeMutableRawBufferPointer(rebasing: bytes[step.consumed...])
        if unsafe !part.isEmpty { return unsafe .part(part) }
        return body?.isDone == true ? .end : .more
    }
}
