import HTTP

private let limits = ParseLimits(maxHeadSize: 2048, maxFields: 20)

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    let method: HTTP.Method = data[0] & 1 == 0 ? .get : .head
    var head = ResponseHead(maxFields: 20)
    let whole = feed(&head, input.bytes, method, [])
    if whole == .complete { check(head, input.bytes, method) }
    if case .refused(let fault) = whole { require(fault.status == 502, "a client is blamed for an answer") }

    var parts = ResponseHead(maxFields: 20)
    require(feed(&parts, input.bytes, method, [input.cut]) == whole, "a cut changes the outcome")
    if whole == .complete {
        require(parts.length == head.length && parts.framing == head.framing, "a cut changes the head")
    }
    return 0
}

private func feed(
    _ head: inout ResponseHead, _ bytes: UnsafeRawBufferPointer, _ method: HTTP.Method, _ cuts: [Int]
) -> ParseOutcome {
    var scanned = 0
    for end in cuts + [bytes.count] {
        let outcome = isolated(UnsafeRawBufferPointer(rebasing: bytes[..<end])) {
            head.parse(UnsafeRawBufferPointer($0), from: &scanned, requestMethod: method, limits: limits)
        }
        if outcome != .incomplete { return outcome }
    }
    return .incomplete
}

private func check(_ head: borrowing ResponseHead, _ bytes: UnsafeRawBufferPointer, _ method: HTTP.Method) {
    require(head.length <= bytes.count && head.length <= limits.maxHeadSize, "a head longer than its bytes")
    let text = UnsafeRawBufferPointer(rebasing: bytes[..<head.length])
    require(hasOnlyWholeLineEnds(text), "a bare CR, LF or a NUL was accepted")
    require(head.status >= 100 && head.status <= 599, "an odd status")
    let (lengths, codings) = (linesNamed("content-length", text), linesNamed("transfer-encoding", text))
    require(lengths + codings <= 1 || (head.hasNoBody && !head.keepAlive), "two framing fields")
    let bodiless = method == .head || head.status < 200 || head.status == 204 || head.status == 304
    require(!bodiless || head.framing == .none, "a body where there can be none")
    require(bodiless || head.framing != .none, "an answer without an end")
    require(head.framing != .untilClose || !head.keepAlive, "a connection kept that ends the body")
    for i in 0..<head.fields.count {
        let field = head.fields[i]
        require(text[field.value].allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 9 }, "a control character in a value")
        require(FieldName.classify(text[field.name]) == field.id, "two opinions of a name")
    }
    require(text[head.reason].allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 9 }, "a control character in the reason")
}
