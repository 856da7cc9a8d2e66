@testable import Net

/// A PROXY header is found at the same place however little of what follows it is there, and never behind what is no part of it;
/// what was read is written and read again as the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
    let outcome = ProxyHeader.parse(bytes)
    var known: ProxyHeader.Outcome?
    for count in 0...min(size, 600) {
        let early = ProxyHeader.parse(Array(bytes[..<count]))
        if let known {
            require(early == known, "more bytes change what was known")
        } else if early != .incomplete {
            known = early
        }
    }
    if size <= 600 { require(known ?? .incomplete == outcome, "the whole is read otherwise") }
    guard case .complete(let header, let length) = outcome else { return 0 }
    require(length >= 15 && length <= 16 + 65535, "an impossible length")
    for version in [ProxyHeader.Version.v1, .v2] {
        let written = header.bytes(version)
        require(ProxyHeader.parse(written) == .complete(header, length: written.count), "written and read again it is another one")
    }
    return 0
}
