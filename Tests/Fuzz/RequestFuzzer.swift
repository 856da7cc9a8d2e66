import HTTP

private let limits = ParseLimits(maxHeadSize: 2048, maxFields: 20)

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    let bytes = input.bytes
    var head = RequestHead(maxFields: 20)
    var scanned = 0
    let whole = isolated(bytes) { head.parse(UnsafeRawBufferPointer($0), from: &scanned, limits: limits) }
    if whole == .complete { check(head, bytes) }

    var parts = RequestHead(maxFields: 20)
    require(feed(&parts, bytes, [input.cut]) == whole, "a cut changes the outcome")
    if whole == .complete {
        require(parts.length == head.length && parts.framing == head.framing, "a cut changes the head")
    }
    if bytes.count < 300 {
        require(feed(&parts, bytes, Array(1..<max(bytes.count, 1))) == whole, "single bytes change the outcome")
    }
    return 0
}

private func feed(_ head: inout RequestHead, _ bytes: UnsafeRawBufferPointer, _ cuts: [Int]) -> ParseOutcome {
    var scanned = 0
    for end in cuts + [bytes.count] {
        let outcome = isolated(UnsafeRawBufferPointer(rebasing: bytes[..<end])) {
            head.parse(UnsafeRawBufferPointer($0), from: &scanned, limits: limits)
        }
        if outcome != .incomplete { return outcome }
        require(scanned <= end, "more was scanned than there is")
    }
    return .incomplete
}

private func check(_ head: borrowing RequestHead, _ bytes: UnsafeRawBufferPointer) {
    require(head.length <= bytes.count && head.length <= limits.maxHeadSize, "a head longer than its bytes")
    let text = UnsafeRawBufferPointer(rebasing: bytes[..<head.length])
    require(hasOnlyWholeLineEnds(text), "a bare CR, LF or a NUL was accepted")
    require(text.suffix(4).elementsEqual([13, 10, 13, 10]), "a head that does not end in an empty line")
    require(linesNamed("host", text) == 1, "not one Host")
    let (lengths, codings) = (linesNamed("content-length", text), linesNamed("transfer-encoding", text))
    require(lengths + codings <= 1, "two framing fields")
    switch head.framing {
    case .chunked: require(codings == 1, "chunked without its field")
    case .length: require(lengths == 1, "a length without its field")
    case .none: require(lengths + codings == 0, "a framing field without effect")
    case .untilClose: require(false, "a request until close")
    }
    let target = text[head.target]
    let isForwardable =
        switch head.impliedTarget {
        case nil: target.first == 0x2F || (target.count == 1 && target[0] == 0x2A)
        case 0x2F: target.isEmpty || target.first == 0x3F
        default: target.isEmpty && head.impliedTarget == 0x2A
        }
    require(isForwardable, "a target in no form to forward")
    require(target.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x23 }, "a forbidden byte in the target")
    require((head.impliedTarget != nil || text[head.path].count <= target.count) && !text[head.path].contains(0x3F), "a path with a query")
    let host = text[head.host]
    require(!host.isEmpty && host.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x40 && $0 != 0x2C }, "an odd Host")
    require(head.fields.count <= limits.maxFields, "too many fields")
    for i in 0..<head.fields.count {
        let field = head.fields[i]
        let (name, value) = (text[field.name], text[field.value])
        require(!name.isEmpty && name.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }, "an odd name")
        require(value.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 9 }, "a control character in a value")
        require(
            value.first != 0x20 && value.last != 0x20 && value.first != 9 && value.last != 9, "space around a value")
        require(FieldName.classify(name) == field.id, "two opinions of a name")
        if field.dropped { require(field.id != .host && field.id != .contentLength, "Host or length dropped") }
    }
    var out = [UInt8](repeating: 0, count: text[head.path].count)
    out.withUnsafeMutableBytes { _ = PathNormalizer.normalize(text[head.path], into: $0) }
}
