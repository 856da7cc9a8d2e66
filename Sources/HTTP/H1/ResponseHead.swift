import Base

/// The head of an answer, read as strictly as a request: what an upstream sends is input too. Reused like
/// `RequestHead`.
@safe public struct ResponseHead: ~Copyable {
    public private(set) var status: UInt16 = 0
    public private(set) var reason = ByteRange.empty
    public private(set) var version = Version.http11
    public private(set) var fields: FieldList
    public private(set) var framing = BodyFraming.none
    /// The connection may be used again after this answer (RFC 9112 section 9.3).
    public private(set) var keepAlive = true
    /// 101: the connection is a tunnel from here on. Legal only where an upgrade was asked for, which the caller knows.
    public var isUpgrade: Bool { status == 101 }
    /// 1xx other than 101: the final answer is yet to come.
    public var isInterim: Bool { status < 200 && status != 101 }
    /// Bytes of the head, with the empty line at its end.
    public private(set) var length = 0

    /// The head itself, which all ranges are of: as it stands where it was parsed, until that is used again.
    /// Whoever looks at them answers for that.
    public private(set) var bytes = unsafe UnsafeRawBufferPointer(start: nil, count: 0)

    @inlinable
    public subscript(range: ByteRange) -> UnsafeRawBufferPointer { unsafe bytes[range] }

    public init(maxFields: Int) { fields = FieldList(capacity: maxFields) }

    /// Reads a head from the front of `bytes`, the answer to a request of `requestMethod`. `scanned` as in
    /// `RequestHead.parse`.
    public mutating func parse(
        _ bytes: UnsafeRawBufferPointer, from scanned: inout Int, requestMethod: Method, limits: ParseLimits
    ) -> ParseOutcome {
        let end = min(bytes.count, limits.maxHeadSize)
        guard let base = bytes.baseAddress, end > 0 else { return .incomplete }
        do throws(Flaw) {
            if scanned > 0, try unsafe HeadSearch.resume(.response, base, min(scanned, end), end) == nil {
                scanned = end
                return unsafe HeadSearch.pending(.response, base, end, limits)
            }
        } catch { return .refused(.response(error)) }

        var scanner = unsafe HeadScanner(base, 0, end)
        var flaw: Flaw?
        do throws(Flaw) {
            if try read(&scanner, requestMethod, limits.maxFields) {
                scanned = length
                return .complete
            }
        } catch { flaw = error }
        scanned = end
        return HeadSearch.unfinished(.response, scanner, flaw, limits)
    }

    @inline(__always)
    private mutating func read(
        _ scanner: inout HeadScanner, _ method: Method, _ maxFields: Int
    ) throws(Flaw) -> Bool {
        guard let line = try StatusLine.parse(&scanner), try scanner.fields(into: &fields, limit: maxFields) else {
            return false
        }
        length = scanner.at
        unsafe bytes = UnsafeRawBufferPointer(start: scanner.base, count: length)
        scanner.at = 0  // a flaw from here on is one of the whole head
        status = line.status
        reason = line.reason
        version = line.version
        let announcesNothing: Bool
        if hasNoBody {
            framing = .none
            announcesNothing = try unsafe announcesNoBody(scanner.base)
        } else {
            let stated = try unsafe Framing.read(fields, scanner.base, version)
            framing = method == .head || status == 304 ? .none : stated ?? .untilClose
            announcesNothing = true
        }
        let options = try unsafe ConnectionOptions.read(&fields, scanner.base)
        keepAlive = framing != .untilClose && announcesNothing && !options.close && (version == .http11 || options.keepAlive)
        return true
    }

    /// It ends with its head, whatever its fields say (RFC 9112 section 6.3, rule 1), and has no field that speaks of a body
    /// (RFC 9110 section 8.6): those that stand there are not to be passed on.
    public var hasNoBody: Bool { status < 200 || status == 204 }

    /// Who announces a body all the same may send one: it would be taken for the next answer. A length of zero does no harm.
    private func announcesNoBody(_ base: UnsafeRawPointer) throws(Flaw) -> Bool {
        if fields.present.contains(.ambiguousFraming) { throw .ambiguousFieldName }
        guard fields.present.intersects(FieldSet(.contentLength) | .transferEncoding) else { return true }
        do throws(Flaw) { return try unsafe Framing.read(fields, base, version) == .length(0) } catch { return false }
    }
}
