import Base
import Glibc

extension SocketAddress {
    /// The address of a node as forwarding fields name one (RFC 7239 section 6): IPv6 in brackets or, as is usual in
    /// `X-Forwarded-For`, without; a port behind either, which is left out. Nil for what is no address.
    public init?(node: UnsafeRawBufferPointer) {
        guard unsafe node.first != 0x5B else {
            guard let close = unsafe node.firstIndex(of: 0x5D),
                unsafe close + 1 == node.count || Self.isPort(UnsafeRawBufferPointer(rebasing: node[(close + 1)...]))
            else { return nil }
            unsafe self.init(literal: UnsafeRawBufferPointer(rebasing: node[1..<close]), AF_INET6)
            return
        }
        guard let colon = unsafe node.firstIndex(of: 0x3A) else {
            unsafe self.init(literal: node, AF_INET)
            return
        }
        // Two colons are an address, one stands before a port.
        if unsafe node[(colon + 1)...].contains(0x3A) {
            unsafe self.init(literal: node, AF_INET6)
        } else if unsafe Self.isPort(UnsafeRawBufferPointer(rebasing: node[colon...])) {
            unsafe self.init(literal: UnsafeRawBufferPointer(rebasing: node[..<colon]), AF_INET)
        } else {
            return nil
        }
    }

    /// `:` and a port, or the obfuscated form of one.
    private static func isPort(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > 1, unsafe bytes[0] == 0x3A else { return false }
        let port = unsafe UnsafeRawBufferPointer(rebasing: bytes[1...])
        if unsafe port[0] == 0x5F {
            return unsafe port.count > 1 && port.allSatisfy(ASCII.isToken)
        }
        guard port.count <= 5, let number = unsafe ASCII.decimal(port) else { return false }
        return number <= 65535
    }

    /// The text of an address of that family, without brackets and port.
    private init?(literal text: UnsafeRawBufferPointer, _ family: Int32) {
        // INET6_ADDRSTRLEN, with the zero at the end that inet_pton(3) wants.
        guard text.count < 46, unsafe !text.contains(0) else { return nil }
        var bytes: (high: UInt64, low: UInt64) = (0, 0)
        let isRead = unsafe withUnsafeTemporaryAllocation(byteCount: 46, alignment: 1) { room in
            unsafe room.copyMemory(from: text)
            unsafe room[text.count] = 0
            return unsafe inet_pton(family, room.baseAddress!.assumingMemoryBound(to: CChar.self), &bytes) == 1
        }
        guard isRead else { return nil }
        if family == AF_INET {
            // Four bytes, at the front.
            self.init(high: 0, low: 0xFFFF << 32 | UInt64(bigEndian: bytes.high) >> 32, port: 0)
        } else {
            self.init(high: UInt64(bigEndian: bytes.high), low: UInt64(bigEndian: bytes.low), port: 0)
        }
    }
}
