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
        checkOtherReading(result)
    }
    return 0
}

/// It has nothing left that readers disagree about, unless it is written once more: an escaped percent sign stays.
private func checkOtherReading(_ path: [UInt8]) {
    let other = path.withUnsafeBytes { path in
        isolated(path) { region in
            Array(region[..<PathNormalizer.readLeniently(UnsafeRawBufferPointer(region), into: region)])
        }
    }
    require(other.first == 0x2F && other.count <= path.count, "longer than the path, or not absolute")
    require(!other.contains(0x3B) && !other.contains(0x5C), "a parameter or a backslash is left")
    for (i, segment) in other.split(separator: 0x2F, omittingEmptySubsequences: false).dropFirst().enumerated() {
        let isLast = i == other.count(where: { $0 == 0x2F }) - 1
        require(!segment.isEmpty || isLast, "an empty segment is left")
        require(!segment.elementsEqual([0x2E]) && !segment.elementsEqual([0x2E, 0x2E]), "a dot segment is left")
    }
}

private func normalized(_ path: UnsafeRawBufferPointer) -> [UInt8]? {
    let out = UnsafeMutableRawBufferPointer.allocate(byteCount: path.count, alignment: 1)
    defer { out.deallocate() }
    return PathNormalizer.normalize(path, into: out).map { Array(out[..<$0]) }
}
