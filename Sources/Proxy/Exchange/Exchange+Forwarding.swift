import Base
import CLinux
import HTTP
import Net

/// Who asked, told to the upstream.
extension Exchange {
    /// RFC 7239 and its older relatives. What an untrusted client says about itself is replaced, not appended to.
    func writeForwarding(_ head: borrowing RequestHead, to out: inout ByteWriter, trusted: Bool) {
        let origin = client.origin
        let peer = origin.peerText
        let secure = origin.isSecure
        out.append("X-Forwarded-For: ")
        if trusted, head.fields.first(.xForwardedFor) != nil {
            for i in 0..<head.fields.count where head.fields[i].id == .xForwardedFor {
                let value = unsafe head[head.fields[i].value]
                if unsafe value.isEmpty { continue }
                unsafe out.append(value)
                out.append(", ")
            }
        }
        peer.write(to: &out)
        out.append("\r\nX-Real-IP: ")
        if let real = unsafe request.realClient { unsafe out.append(real) } else { peer.write(to: &out) }
        if !trusted || head.fields.first(.xForwardedProto) == nil {
            if secure { out.append("\r\nX-Forwarded-Proto: https") } else { out.append("\r\nX-Forwarded-Proto: http") }
        }
        let host = unsafe head[head.hostHeader]
        if !trusted || head.fields.first(.xForwardedHost) == nil {
            out.append("\r\nX-Forwarded-Host: ")
            unsafe out.append(host)
        }
        out.append("\r\nForwarded: for=")
        if origin.peer.isIPv4 {
            peer.write(to: &out)
        } else {
            out.append("\"[")
            peer.write(to: &out)
            out.append("]\"")
        }
        if secure { out.append(";proto=https;host=") } else { out.append(";proto=http;host=") }
        // A port's colon and an IPv6 address's brackets are no token.
        let plain = head.hostHeader.count == head.host.count
        if !plain { out.append(byte: 0x22) }
        unsafe out.append(host)
        if !plain { out.append(byte: 0x22) }
        out.append("\r\n")
    }

    /// How often the request has been through this gateway, or one like it, by its `Via` (RFC 9110 section 7.6.3).
    func passedHere(_ head: borrowing RequestHead) -> Int {
        guard head.fields.present.contains(.via) else { return 0 }
        var count = 0
        let name: StaticString = "1.1 gateway"
        for i in 0..<head.fields.count where head.fields[i].id == .via {
            var rest = unsafe head[head.fields[i].value]
            while let found = unsafe memmem(rest.baseAddress, rest.count, name.utf8Start, name.utf8CodeUnitCount) {
                count += 1
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest[(rest.baseAddress!.distance(to: found) + name.utf8CodeUnitCount)...])
            }
        }
        return count
    }

    /// The client that trusted proxies speak for: the rightmost address that no trusted proxy has, of `X-Forwarded-For`, else
    /// of `Forwarded`; the leftmost when all are trusted; nil when nothing is said.
    func realClient(_ head: borrowing RequestHead) -> UnsafeRawBufferPointer? {
        let name: FieldName = head.fields.present.contains(.xForwardedFor) ? .xForwardedFor : .forwarded
        guard head.fields.present.contains(name) else { return nil }
        var found: UnsafeRawBufferPointer?
        var i = head.fields.count
        while i > 0 {
            i -= 1
            guard head.fields[i].id == name else { continue }
            let value = unsafe head[head.fields[i].value]
            var end = value.count
            while end > 0 {
                var start = end
                while start > 0, unsafe value[start - 1] != 0x2C { start -= 1 }
                let element = unsafe UnsafeRawBufferPointer(rebasing: value[start..<end]).trimmed
                let entry = unsafe name == .forwarded ? element.forwardedFor : element
                // What is no address can't be believed, nor anything to the left of it.
                guard let entry = unsafe entry, entry.count <= 45,
                    let address = unsafe SocketAddress(String(decoding: entry, as: UTF8.self), port: 0)
                else { return unsafe found }
                unsafe found = entry
                if !worker.snapshot.trusts(address) { return unsafe found }
                end = start - 1
            }
        }
        return unsafe found
    }
}

extension UnsafeRawBufferPointer {
    /// Without white space around it.
    fileprivate var trimmed: UnsafeRawBufferPointer {
        var (low, high) = (0, count)
        while low < high, unsafe self[low] == ASCII.space || self[low] == ASCII.tab { low += 1 }
        while low < high, unsafe self[high - 1] == ASCII.space || self[high - 1] == ASCII.tab { high -= 1 }
        return unsafe UnsafeRawBufferPointer(rebasing: self[low..<high])
    }

    /// The address in the `for` parameter of one element of `Forwarded` (RFC 7239 sections 4 and 6), without quotes, brackets
    /// and port.
    fileprivate var forwardedFor: UnsafeRawBufferPointer? {
        for unsafe part in unsafe split(separator: 0x3B) {
            let pair = unsafe UnsafeRawBufferPointer(rebasing: part).trimmed
            guard pair.count > 4, unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: pair[..<4]), "for=") else { continue }
            var value = unsafe UnsafeRawBufferPointer(rebasing: pair[4...])
            if value.count >= 2, unsafe value[0] == 0x22, unsafe value[value.count - 1] == 0x22 {
                unsafe value = UnsafeRawBufferPointer(rebasing: value[1..<(value.count - 1)])
            }
            if unsafe value.first == 0x5B {
                guard let close = unsafe value.firstIndex(of: 0x5D) else { return nil }
                return unsafe UnsafeRawBufferPointer(rebasing: value[1..<close])
            }
            if let colon = unsafe value.firstIndex(of: 0x3A) { return unsafe UnsafeRawBufferPointer(rebasing: value[..<colon]) }
            return unsafe value
        }
        return nil
    }
}
