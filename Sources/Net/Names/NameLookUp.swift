import CLinux
import Glibc

extension Resolver {
    /// Asks the system, and waits for as long as that takes. The addresses have no port.
    static func lookUp(_ name: String) -> Outcome {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        // The system's own list, whole until it is freed; each entry's address is as long as its family says.
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(name, nil, &hints, &list)
        guard result == 0 else { return .failed(unsafe String(cString: gai_strerror(result))) }
        defer { unsafe freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var entry = unsafe list
        while let e = unsafe entry {
            if let raw = unsafe e.pointee.ai_addr, let address = unsafe SocketAddress(raw), !found.contains(address) {
                found.append(address)
            }
            unsafe entry = e.pointee.ai_next
        }
        return found.isEmpty ? .failed("no address") : .addresses(found)
    }
}
