import Configuration

/// The bytes up to the cut are `gateway.conf`, the rest is what it may include as `more.conf`.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard let input = Input(data, size) else { return 0 }
    let bytes = Array(input.bytes)
    // Most inputs are one file.
    let cut = data[0] & 1 == 0 ? bytes.count : input.cut
    let files = ["gateway.conf": Array(bytes[..<cut]), "more.conf": Array(bytes[cut...])]
    let source = ConfigurationSource(
        read: { path in files[path].map { .success($0) } ?? .failure(.notFound) },
        glob: { pattern in pattern == "*.conf" ? ["gateway.conf", "more.conf"] : [] },
        environment: { $0 == "SECRET" ? String(repeating: "s", count: 32) : nil })
    let loaded = ConfigurationLoader.load("gateway.conf", from: source)
    let errors = loaded.diagnostics.filter { $0.severity == .error }
    require((loaded.settings == nil) == !errors.isEmpty || loaded.omitted > 0, "a reason and no refusal, or the reverse")
    require(loaded.diagnostics.count <= 1000, "diagnostics without end")
    let text = loaded.renderAll()
    require(text.utf8.allSatisfy { $0 == 9 || $0 == 10 || $0 >= 0x20 && $0 != 0x7F }, "a control character in what is printed")
    return 0
}
