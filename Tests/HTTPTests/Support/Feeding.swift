@testable import HTTP

let testLimits = ParseLimits(maxHeadSize: 32 << 10, maxFields: 100)

/// Parses `bytes` as they would arrive: first `cuts[0]` of them, then up to `cuts[1]`, and so on to all of them.
func feed(_ head: inout RequestHead, _ bytes: [UInt8], cuts: [Int] = [], limits: ParseLimits = testLimits)
    -> ParseOutcome
{
    var scanned = 0
    for end in cuts + [bytes.count] {
        let outcome = parse(&head, Array(bytes[..<end]), &scanned, limits)
        if outcome != .incomplete { return outcome }
    }
    return .incomplete
}

/// The bytes are copied into a region of their own exact size, for the address sanitizer's eyes.
func parse(_ head: inout RequestHead, _ bytes: [UInt8], _ scanned: inout Int, _ limits: ParseLimits) -> ParseOutcome {
    let region = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { region.deallocate() }
    region.copyBytes(from: bytes)
    return head.parse(UnsafeRawBufferPointer(region), from: &scanned, limits: limits)
}

func feed(
    _ head: inout ResponseHead, _ bytes: [UInt8], to method: HTTP.Method = .get, cuts: [Int] = []
) -> ParseOutcome {
    var scanned = 0
    for end in cuts + [bytes.count] {
        let region = UnsafeMutableRawBufferPointer.allocate(byteCount: end, alignment: 1)
        defer { region.deallocate() }
        region.copyBytes(from: bytes[..<end])
        let outcome = head.parse(
            UnsafeRawBufferPointer(region), from: &scanned, requestMethod: method, limits: testLimits)
        if outcome != .incomplete { return outcome }
    }
    return .incomplete
}

/// What a chunked body came to.
struct Decoded: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    var consumed = 0
    var state = ChunkedDecoder.State.more
}

/// Decodes `bytes` in the pieces that `cuts` make.
func decode(_ bytes: [UInt8], cuts: [Int] = [], kind: MessageKind = .request) -> Decoded {
    var decoder = ChunkedDecoder(of: kind)
    var result = Decoded()
    var start = 0
    for end in cuts + [bytes.count] {
        let region = UnsafeMutableRawBufferPointer.allocate(byteCount: end - start, alignment: 1)
        defer { region.deallocate() }
        region.copyBytes(from: bytes[start..<end])
        let step = decoder.decode(region)
        result.data += Array(region[..<step.produced])
        result.consumed += step.consumed
        result.state = step.state
        result.trailers = decoder.trailers
        if step.state != .more { break }
        start = end
    }
    return result
}

func text(_ bytes: [UInt8], _ range: ByteRange) -> String {
    String(decoding: bytes[range.first..<range.end], as: UTF8.self)
}
