import Base
import Glibc

/// Takes the chunked coding (RFC 9112 section 7.1) off a body, in place and strictly: what a lenient reader would
/// repair is refused. It keeps no bytes but those of a trailer line in progress.
///
///     size --CR--> sizeEnd --LF--> data(n) --n bytes--> dataEnd --CRLF--> size
///      |  ;          ^ |                                                  ^
///      +--> extension  | size was 0                                       |
///                      +-------> trailers --empty line--> complete   (from dataEnd)
///
/// Every state but `complete` goes to `refused` on the first byte that does not belong there, and stays there.
///
/// Of an answer the size line is read as RFC 9112 section 7.1.1 and RFC 9110 section 5.6.3 let a recipient do: there may be
/// blanks behind the size and around `;` and `=`, and zeros in front of the size. Of a request there may not: another reader
/// may stand in front of the gateway, and must not find another end of the body. Either way the gateway writes its own chunks.
public struct ChunkedDecoder: Sendable {
    public enum State: Equatable, Sendable {
        /// The body goes on.
        case more
        /// The body and its trailers are over; bytes behind them were left alone.
        case complete
        case refused(HTTPFault)
    }

    public struct Step: Sendable {
        /// Bytes of the region that were used: all of them, unless the body ended or was refused.
        public var consumed: Int
        /// Bytes of data, now at the front of the region. Good even when the state is `refused`: they came before the
        /// flaw.
        public var produced: Int
        public var state: State
    }

    private enum Phase: UInt8 {
        case size, blank, extensionName, extensionNameRest, extensionNameBlank, extensionValue, extensionToken, extensionQuoted
        case extensionEscape, extensionQuotedEnd, sizeLF, data, dataCR, dataLF, trailers, complete, refused
    }

    private let kind: MessageKind
    private var phase = Phase.size
    private var digits: UInt8 = 0
    /// Of the chunk: its size while that is read, then what is left of its data.
    private var remaining: UInt64 = 0
    /// Bytes of the chunk-size line, then of the trailer section.
    private var spent = 0
    private var flaw = Flaw.chunkSize
    private var line: [UInt8] = []
    /// Trailer fields to pass on, each with its CRLF. Whatever a gateway or a framework has a meaning for is left out:
    /// it comes too late to have been checked.
    public private(set) var trailers: [UInt8] = []

    /// `kind` says who is to blame for a malformed body.
    public init(of kind: MessageKind = .request) { self.kind = kind }

    public var isComplete: Bool { phase == .complete }

    /// Bytes of data that are known to come next.
    public var dataAhead: UInt64 { phase == .data ? remaining : 0 }

    /// Decodes `region`, moving the data in it to its front.
    public mutating func decode(_ region: UnsafeMutableRawBufferPointer) -> Step {
        var read = 0
        var written = 0
        if phase != .refused, let base = region.baseAddress {
            do throws(Flaw) {
                while read < region.count, phase != .complete {
                    if phase == .data {
                        let count = Int(min(remaining, UInt64(region.count &- read)))
                        // Both lie in the region: never is more written than was read.
                        if written != read { unsafe memmove(base + written, base + read, count) }
                        written &+= count
                        read &+= count
                        remaining &-= UInt64(count)
                        if remaining == 0 { phase = .dataCR }
                    } else {
                        try unsafe take(base.load(fromByteOffset: read, as: UInt8.self))
                        read &+= 1
                    }
                }
            } catch {
                flaw = error
                phase = .refused
            }
        }
        let state: State =
            switch phase {
            case .complete: .complete
            case .refused: .refused(kind.fault(flaw))
            default: .more
            }
        return Step(consumed: read, produced: written, state: state)
    }

    /// One byte that is not data.
    private mutating func take(_ byte: UInt8) throws(Flaw) {
        switch phase {
        case .size: try takeSize(byte)
        case .blank, .extensionName, .extensionNameRest, .extensionNameBlank, .extensionValue, .extensionToken, .extensionQuoted,
            .extensionEscape, .extensionQuotedEnd:
            try takeExtension(byte)
        case .sizeLF:
            guard byte == ASCII.lf else { throw .bareCR }
            phase = remaining == 0 ? .trailers : .data
            spent = 0
        case .dataCR:
            guard byte == ASCII.cr else { throw .chunkDataEnd }
            phase = .dataLF
        case .dataLF:
            guard byte == ASCII.lf else { throw .chunkDataEnd }
            phase = .size
            digits = 0
            remaining = 0
            spent = 0
        case .trailers: try takeTrailer(byte)
        case .data, .complete, .refused: break
        }
    }

    /// Hexadecimal digits only: no sign, no `0x`, no white space, no more than a 64-bit number has.
    private mutating func takeSize(_ byte: UInt8) throws(Flaw) {
        if let value = ASCII.hexValue(byte) {
            // What follows zeros in front is the first digit that counts.
            if digits == 0 || remaining > 0 || kind == .request {
                guard digits < 16 else { throw .chunkSizeTooLarge }
                digits &+= 1
            }
            remaining = remaining &<< 4 | UInt64(value)
            guard remaining <= UInt64(Int64.max) else { throw .chunkSizeTooLarge }
            return try spend(Limits.chunkLineMax, .chunkLineTooLong)
        }
        guard digits > 0 else { throw .chunkSize }
        switch byte {
        case ASCII.cr: phase = .sizeLF
        case 0x3B: phase = .extensionName
        case ASCII.lf: throw .bareLF
        case _ where isTolerated(byte):
            phase = .blank
            try spend(Limits.chunkLineMax, .chunkLineTooLong)
        default: throw .chunkSize
        }
    }

    /// A blank that old senders put where nothing depends on it.
    private func isTolerated(_ byte: UInt8) -> Bool { kind == .response && (byte == ASCII.space || byte == ASCII.tab) }

    /// `;` token [ `=` ( token | quoted-string ) ]. Read to be sure where it ends, and dropped.
    private mutating func takeExtension(_ byte: UInt8) throws(Flaw) {
        try spend(Limits.chunkLineMax, .chunkLineTooLong)
        switch phase {
        case .blank, .extensionName, .extensionNameBlank, .extensionValue:
            if isTolerated(byte) { return }
        case .extensionNameRest where isTolerated(byte):
            phase = .extensionNameBlank
            return
        case .extensionToken, .extensionQuotedEnd:
            if isTolerated(byte) {
                phase = .blank
                return
            }
        default: break
        }
        switch phase {
        case .extensionName, .extensionValue:
            if phase == .extensionValue, byte == 0x22 {
                phase = .extensionQuoted
                return
            }
            guard ASCII.isToken(byte) else { throw byte == ASCII.lf ? .bareLF : .chunkExtension }
            phase = phase == .extensionName ? .extensionNameRest : .extensionToken
        case .blank, .extensionNameRest, .extensionNameBlank, .extensionToken, .extensionQuotedEnd:
            if phase == .extensionNameRest || phase == .extensionToken, ASCII.isToken(byte) { return }
            switch byte {
            case ASCII.cr: phase = .sizeLF
            case 0x3B: phase = .extensionName
            case 0x3D where phase == .extensionNameRest || phase == .extensionNameBlank: phase = .extensionValue
            case ASCII.lf: throw .bareLF
            default: throw .chunkExtension
            }
        default:
            guard byte >= 0x20 || byte == ASCII.tab, byte != 0x7F else { throw .chunkExtension }
            if phase == .extensionEscape {
                phase = .extensionQuoted
            } else if byte == 0x22 {
                phase = .extensionQuotedEnd
            } else if byte == 0x5C {
                phase = .extensionEscape
            }
        }
    }

    private mutating func takeTrailer(_ byte: UInt8) throws(Flaw) {
        try spend(Limits.trailerSizeMax, .trailerTooLarge)
        // The empty line is by far the most common trailer section: it is told apart without keeping a byte.
        if line.isEmpty, spent == 1, byte == ASCII.cr { return }
        if line.isEmpty, spent == 2 {
            guard byte == ASCII.lf else { throw .bareCR }
            phase = .complete
            return
        }
        line.append(byte)
        guard byte == ASCII.lf else { return }
        try endTrailerLine()
    }

    private mutating func endTrailerLine() throws(Flaw) {
        if line.count == 2, line[0] == ASCII.cr {
            phase = .complete
            line = []
            return
        }
        let id = try Self.name(ofLine: line)
        if FieldSet.framing.contains(id) { throw .trailerForbidden }
        if id == .other { trailers += line }
        line.removeAll(keepingCapacity: true)
    }

    private static func name(ofLine line: [UInt8]) throws(Flaw) -> FieldName {
        // There is an LF at least.
        try unsafe line.withUnsafeBufferPointer { bytes throws(Flaw) in
            let scanner = unsafe HeadScanner(UnsafeRawPointer(bytes.baseAddress!), 0, bytes.count)
            guard let line = try scanner.fieldLine(0) else { throw .fieldName }
            return line.field.id
        }
    }

    @inline(__always)
    private mutating func spend(_ limit: Int, _ flaw: Flaw) throws(Flaw) {
        spent &+= 1
        guard spent <= limit else { throw flaw }
    }
}
