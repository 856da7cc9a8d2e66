import HTTP

private struct Result: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    var consumed = 0
    var state = ChunkedDecoder.State.more
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    let whole = decode(input.bytes, [], .response)
    require(decode(input.bytes, [input.cut], .response) == whole, "a cut changes the outcome")
    if input.bytes.count < 300 {
        require(decode(input.bytes, Array(1..<max(input.bytes.count, 1)), .response) == whole, "single bytes change the outcome")
    }
    // Of a request nothing is taken that an answer may not have, nor another body found in it.
    let request = decode(input.bytes, [], .request)
    require(decode(input.bytes, [input.cut], .request) == request, "a cut changes the outcome")
    require(request.state != .complete || request == whole, "two readings of one body")
    require(whole.data.count <= whole.consumed && whole.consumed <= input.bytes.count, "more data than bytes")
    whole.trailers.withUnsafeBytes { require(hasOnlyWholeLineEnds($0), "a bare CR, LF or a NUL in the trailers") }
    if whole.state == .complete {
        // What is decoded and encoded again reads the same.
        var again = Array(String(whole.data.count, radix: 16).utf8) + [13, 10] + whole.data + [13, 10]
        if whole.data.isEmpty { again = [] }
        again += Array("0\r\n".utf8) + whole.trailers + [13, 10]
        let second = again.withUnsafeBytes { decode($0, [], .request) }
        require(
            second.state == .complete && second.data == whole.data && second.trailers == whole.trailers, "not stable")
    }
    return 0
}

private func decode(_ bytes: UnsafeRawBufferPointer, _ cuts: [Int], _ kind: MessageKind) -> Result {
    var decoder = ChunkedDecoder(of: kind)
    var result = Result()
    var start = 0
    for end in cuts + [bytes.count] {
        let step = isolated(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) { region in
            let step = decoder.decode(region)
            require(step.consumed <= region.count && step.produced <= step.consumed, "a step beyond its region")
            require(step.state != .more || step.consumed == region.count, "bytes left over")
            result.data += region[..<step.produced]
            return step
        }
        result.consumed += step.consumed
        result.state = step.state
        result.trailers = decoder.trailers
        if step.state != .more { break }
        start = end
    }
    return result
}
