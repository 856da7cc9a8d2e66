import Glibc

extension Resolver {
    /// Asks the system, and waits for as long as that takes. The addresses have no port.
    static func lookUp(_ name: String) -> Outcome {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(name, nil, &hints, &list)
        guard result == 0 else { return .failed(String(cString: gai_strerror(result))) }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var entry = list
        while let e = entry {
            if let raw = e.pointee.ai_addr, let address = SocketAddress(raw), !found.contains(address) { found.append(address) }
            entry = e.pointee.ai_next
        }
        return found.isEmpty ? .failed("no address") : .addresses(found)
    }
}
