import Base

/// The head of a request, read strictly by RFC 9110 and RFC 9112. One value serves all requests of an event loop, one
/// after the other: after `parse` says `complete`, its properties hold until the next parse, as ranges into the bytes
/// that were parsed.
@safe public struct RequestHead: ~Copyable {
    public private(set) var method = Method.other
    public private(set) var methodRange = ByteRange.empty
    /// The target to forward: the origin-form as it was sent, `*`, or the path and query of an absolute-form.
    public internal(set) var target = ByteRange.empty
    /// The byte that stands in front of `target` when it is forwarded and that the client left out: `/`, or `*` (RFC 9112
    /// section 3.2.4). Nil nearly always.
    public internal(set) var impliedTarget: UInt8?
    /// The target up to its `?`.
    public internal(set) var path = ByteRange.empty
    /// The Host without its port, and without the brackets of an IPv6 address; not yet lower case.
    public private(set) var host = ByteRange.empty
    /// The Host as it was sent, to be forwarded.
    public private(set) var hostHeader = ByteRange.empty
    public private(set) var version = Version.http11
    public private(set) var fields: FieldList
    /// Never `untilClose`: a request without framing fields has no body.
    public private(set) var framing = BodyFraming.none
    /// The connection may be used again after this request (RFC 9112 section 9.3).
    public private(set) var keepAlive = true
    /// The client waits for a 100 before it sends the body (RFC 9110 section 10.1.1).
    public private(set) var expectsContinue = false
    /// A well-formed request to switch protocols, to something else than HTTP (RFC 9110 section 7.8). Its body, if it has one,
    /// comes first.
    public private(set) var wantsUpgrade = false
    /// Bytes of the head, with the empty line at its end and the one that may stand before it.
    public private(set) var length = 0

    /// The head itself, which all ranges are of: as it stands where it was parsed, until that is used again.
    /// Whoever looks at them answers for that.
    public private(set) var bytes = unsafe UnsafeRawBufferPointer(start: nil, count: 0)

    @inlinable
    public subscript(range: ByteRange) -> UnsafeRawBufferPointer { unsafe bytes[range] }

    public init(maxFields: Int) { fields = FieldList(capacity: maxFields) }

    /// Reads a head from the front of `bytes`.
    ///
    /// `scanned` is how far `bytes` were looked at by earlier calls: 0 for a new head, then whatever the last call left
    /// there. The bytes before it must still be there.
    public mutating func parse(
        _ bytes: UnsafeRawBufferPointer, from scanned: inout Int, limits: ParseLimits
    ) -> ParseOutcome {
        let end = min(bytes.count, limits.maxHeadSize)
        guard let base = bytes.baseAddress, end > 0 else { return .incomplete }
        do throws(Flaw) {
            if scanned > 0, try unsafe HeadSearch.resume(.request, base, min(scanned, end), end) == nil {
                scanned = end
                return unsafe HeadSearch.pending(.request, base, end, limits)
            }
        } catch { return .refused(.request(error)) }

        var scanner = unsafe HeadScanner(base, 0, end)
        var flaw: Flaw?
        do throws(Flaw) {
            if try read(&scanner, limits.maxFields) {
                scanned = length
                return .complete
            }
        } catch { flaw = error }
        scanned = end
        return HeadSearch.unfinished(.request, scanner, flaw, limits)
    }

    /// `TE: trailers` (RFC 9110 section 10.1.4).
    public var takesTrailers: Bool {
        guard fields.present.contains(.te), let field = fields.first(.te) else { return false }
        return unsafe self[field.value].split(separator: 0x2C).contains {
            unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: $0).trimmed, "trailers")
        }
    }

    /// The first field of this name, in lower case, that none of the others means: those are known by their `id`.
    public func value(of name: StaticString) -> UnsafeRawBufferPointer? {
        for i in 0..<fields.count where fields[i].id == .other && Int(fields[i].name.count) == name.utf8CodeUnitCount {
            // Text of the program.
            let asked = unsafe UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            if unsafe self[fields[i].name].elementsEqual(asked, by: { ASCII.lowercase($0) == $1 }) { return unsafe self[fields[i].value] }
        }
        return nil
    }

    /// Reads the head that `RequestText` has made of a stream's fields: whole, or refused.
    /// - Parameter hasBody: the stream goes on behind it.
    public mutating func parse(ofStream text: UnsafeRawBufferPointer, hasBody: Bool, limits: ParseLimits) -> ParseOutcome {
        var scanned = 0
        let outcome = unsafe parse(text, from: &scanned, limits: limits)
        guard outcome == .complete else { return outcome == .incomplete ? .refused(.request(.startLine)) : outcome }
        keepAlive = true
        switch (framing, hasBody) {
        case (.none, true): framing = wantsUpgrade ? .none : .chunked
        // What was announced does not come (RFC 9113 section 8.1.1).
        case (.length(let length), false) where length > 0: return .refused(.request(.lengthSyntax))
        default: break
        }
        if !hasBody { (framing, expectsContinue) = (.none, false) }
        return outcome
    }

    /// False when the end of the head has not arrived.
    @inline(__always)
    private mutating func read(_ scanner: inout HeadScanner, _ maxFields: Int) throws(Flaw) -> Bool {
        guard try HeadSearch.skipEmptyLine(&scanner), let line = try RequestLine.parse(&scanner),
            try scanner.fields(into: &fields, limit: maxFields)
        else { return false }
        length = scanner.at
        unsafe bytes = UnsafeRawBufferPointer(start: scanner.base, count: length)
        scanner.at = 0  // a flaw from here on is one of the whole head
        method = line.method
        methodRange = line.methodRange
        version = line.version
        try unsafe interpret(scanner.base, line.target)
        return true
    }

    private mutating func interpret(_ base: UnsafeRawPointer, _ sent: ByteRange) throws(Flaw) {
        guard let host = fields.first(.host) else { throw .hostMissing }
        if fields.repeated.contains(.host) { throw .hostRepeated }
        hostHeader = host.value
        self.host = try unsafe Authority.host(base, host.value)
        try unsafe readTarget(base, sent)
        framing = try unsafe Framing.read(fields, base, version) ?? .none
        let options = try unsafe ConnectionOptions.read(&fields, base)
        keepAlive = !options.close && (version == .http11 || options.keepAlive)
        (expectsContinue, wantsUpgrade) = (false, false)
        if fields.present.contains(.expect) { try unsafe readExpectation(base) }
        if options.upgrade { unsafe readUpgrade(base) }
    }

    /// The only expectation there is, and one that an HTTP/1.0 client can't have (RFC 9110 section 10.1.1).
    private mutating func readExpectation(_ base: UnsafeRawPointer) throws(Flaw) {
        for i in 0..<fields.count where fields[i].id == .expect {
            let value = fields[i].value
            let bytes = unsafe UnsafeRawBufferPointer(start: base + value.first, count: Int(value.count))
            guard unsafe ASCII.equalsIgnoringCase(bytes, "100-continue") else { throw .expectation }
        }
        expectsContinue = version == .http11 && framing != .none && framing != .length(0)
    }

    private mutating func readUpgrade(_ base: UnsafeRawPointer) {
        guard let upgrade = fields.first(.upgrade), !fields.repeated.contains(.upgrade), version == .http11,
            upgrade.value.count <= Limits.upgradeMax
        else { return }
        wantsUpgrade = unsafe Upgrade.isWanted(
            UnsafeRawBufferPointer(start: base + upgrade.value.first, count: Int(upgrade.value.count)))
    }
}
