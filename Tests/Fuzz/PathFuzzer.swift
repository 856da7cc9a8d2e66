import HTTP

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let path = UnsafeRawBufferPointer(start: data, count: size)
    isolated(path) { region in
        let path = UnsafeRawBufferPointer(region)
        let normal = PathNormalizer.isNormal(path)
        guard let result = normalized(path) else {
            require(!normal, "a normal path was refused")
            return
        }
        require(result.count <= path.count && !result.isEmpty, "longer than the path")
        if normal { require(path.elementsEqual(result), "a normal path was changed") }
        if result == [0x2A] { return }
        require(result[0] == 0x2F, "not absolute")
        let segments = result.split(separator: 0x2F, omittingEmptySubsequences: false).dropFirst()
        for (i, segment) in segments.enumerated() {
            require(!segment.elementsEqual([0x2E]) && !segment.elementsEqual([0x2E, 0x2E]), "a dot segment is left")
            require(!segment.isEmpty || i == segments.count - 1, "an empty segment is left")
        }
        result.withUnsafeBytes { require(normalized($0) == result, "not a fixed point") }
    }
    return 0
}

private func normalized(_ path: UnsafeRawBufferPointer) -> [UInt8]? {
    let out = UnsafeMutableRawBufferPointer.allocate(byteCount: path.count, alignment: 1)
    defer { out.deallocate() }
    return PathNormalizer.normalize(path, into: out).map { Array(out[..<$0]) }
}
