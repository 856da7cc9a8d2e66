/// Ends the process, which is how a fuzzer is told.
func require(_ condition: Bool, _ what: StaticString) {
    if !condition { fatalError("\(what)") }
}

/// Calls `body` with a copy of `bytes` in a region of exactly their size, so that the address sanitizer sees every read
/// past them.
func isolated<R>(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeMutableRawBufferPointer) -> R) -> R {
    let region = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { region.deallocate() }
    region.copyMemory(from: bytes)
    return body(region)
}

/// An input: two bytes that say where it is cut, and the rest.
struct Input {
    let bytes: UnsafeRawBufferPointer
    let cut: Int

    init?(_ data: UnsafePointer<UInt8>, _ size: Int) {
        guard size > 2 else { return nil }
        bytes = UnsafeRawBufferPointer(start: data + 2, count: size - 2)
        cut = (Int(data[0]) << 8 | Int(data[1])) % (size - 1)
    }
}

/// Whether CR and LF stand only together in `bytes`, and there is no NUL.
func hasOnlyWholeLineEnds(_ bytes: UnsafeRawBufferPointer) -> Bool {
    for (i, byte) in bytes.enumerated() {
        if byte == 0 { return false }
        if byte == 10, i == 0 || bytes[i - 1] != 13 { return false }
        if byte == 13, i + 1 == bytes.count || bytes[i + 1] != 10 { return false }
    }
    return true
}

/// How many lines start with `name` and a colon, by a reader that knows nothing of the parser.
func linesNamed(_ name: String, _ bytes: UnsafeRawBufferPointer) -> Int {
    let name = Array((name + ":").utf8)
    var count = 0
    var start = 0
    while start < bytes.count {
        var matches = start + name.count <= bytes.count
        if matches {
            for i in 0..<name.count where bytes[start + i] | 0x20 != name[i] | 0x20 { matches = false }
        }
        if matches { count += 1 }
        while start < bytes.count, bytes[start] != 10 { start += 1 }
        start += 1
    }
    return count
}
