import Base
import HTTP

/// Takes the bytes of one answer as they come and says when it is whole. It keeps a head, and a body up to a bound.
struct AnswerReader: ~Copyable {
    private enum Phase { case head, body, done }

    private let bodyMax: Int
    private var phase = Phase.head
    private var parsed = ResponseHead(maxFields: 100)
    /// Of the head: what has come of it, and how far it was looked at.
    private var head: [UInt8] = []
    private var scanned = 0
    private var interim = 0
    private var body: [UInt8] = []
    private var decoder = ChunkedDecoder(of: .response)

    init(bodyMax: Int) { self.bodyMax = bodyMax }

    /// The answer once it is whole.
    mutating func take(_ bytes: UnsafeMutableRawBufferPointer) throws(InquiryFailure) -> Inquiry.Answer? {
        var rest = bytes
        while phase == .head, !rest.isEmpty {
            let before = head.count
            head.append(contentsOf: rest)
            guard try parseHead() else { return nil }
            rest = UnsafeMutableRawBufferPointer(rebasing: rest[(parsed.length - before)...])
            head.removeSubrange(parsed.length...)
            scanned = 0
            if parsed.isInterim { try skipInterim() } else { phase = .body }
        }
        if phase == .body { try takeBody(rest) }
        return answer
    }

    /// The connection has ended. The answer, where that is how it ends.
    mutating func end() throws(InquiryFailure) -> Inquiry.Answer {
        if phase == .body, parsed.framing == .untilClose { phase = .done }
        guard let answer else { throw .cutShort }
        return answer
    }

    private mutating func parseHead() throws(InquiryFailure) -> Bool {
        let limits = ParseLimits(maxHeadSize: Limits.headSizeMax, maxFields: 100)
        let outcome = head.withUnsafeBytes { parsed.parse($0, from: &scanned, requestMethod: .get, limits: limits) }
        switch outcome {
        case .incomplete: return false
        case .complete: return true
        case .refused(let fault): throw .malformed("\(fault.reason)")
        }
    }

    /// What is said before the answer (RFC 9110 section 15.2) is no answer.
    private mutating func skipInterim() throws(InquiryFailure) {
        interim += 1
        if interim > Limits.interimResponsesMax { throw .malformed("too many interim answers") }
        head = []
    }

    private mutating func takeBody(_ bytes: UnsafeMutableRawBufferPointer) throws(InquiryFailure) {
        switch parsed.framing {
        case .none: phase = .done
        case .untilClose: try keep(bytes[...])
        case .length(let length):
            if length > UInt64(bodyMax) { throw .tooLarge }
            try keep(bytes.prefix(Int(length) - body.count))
            if body.count == Int(length) { phase = .done }
        case .chunked:
            let step = decoder.decode(bytes)
            try keep(bytes.prefix(step.produced))
            switch step.state {
            case .more: break
            case .complete: phase = .done
            case .refused(let fault): throw .malformed("\(fault.reason)")
            }
        }
    }

    private mutating func keep(_ bytes: Slice<UnsafeMutableRawBufferPointer>) throws(InquiryFailure) {
        if body.count + bytes.count > bodyMax { throw .tooLarge }
        body.append(contentsOf: bytes)
    }

    private var answer: Inquiry.Answer? {
        guard phase == .done else { return nil }
        let control = parsed.fields.first(.cacheControl).map { field in
            head.withUnsafeBytes { String(decoding: $0[field.value], as: UTF8.self) }
        }
        return Inquiry.Answer(status: Int(parsed.status), cacheControl: control, body: body)
    }
}
