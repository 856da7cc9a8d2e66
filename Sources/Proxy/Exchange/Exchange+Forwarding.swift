import Base
import CLinux
import HTTP
import Net

/// Who asked, told to the upstream.
extension Exchange {
    /// RFC 7239 and its older relatives, all from one decision: applications read one family or the other. What an untrusted
    /// client says about itself is replaced, not appended to, and so is what nobody vouches for in front of the client.
    func writeForwarding(_ head: borrowing RequestHead, to out: inout ByteWriter) {
        let origin = client.origin
        let said = request.provenance
        let isSecure = isSecure
        let host = unsafe said?.host ?? head[head.hostHeader]
        // A port's colon and an IPv6 address's brackets are no token. Of the request's own host nothing else can be none.
        let isToken = unsafe said?.host == nil ? head.hostHeader.count == head.host.count : host.allSatisfy(ASCII.isToken)
        out.append("X-Forwarded-For: ")
        said?.eachHop(head) {
            $0.writeHost(to: &out)
            out.append(", ")
        }
        origin.writePeer(to: &out)
        out.append("\r\nX-Real-IP: ")
        if let client = said?.client { client.writeHost(to: &out) } else { origin.writePeer(to: &out) }
        if isSecure { out.append("\r\nX-Forwarded-Proto: https") } else { out.append("\r\nX-Forwarded-Proto: http") }
        out.append("\r\nX-Forwarded-Host: ")
        unsafe out.append(host)
        out.append("\r\nForwarded: ")
        // Scheme and host stand in the client's element and in the last one: some applications look here, some there.
        var isClient = true
        said?.eachHop(head) {
            let hop = $0
            out.append(node: hop) { hop.writeHost(to: &$0) }
            if isClient { unsafe out.append(isSecure: isSecure, host: host, isToken: isToken) }
            isClient = false
            out.append(", ")
        }
        out.append(node: origin.peer) { origin.writePeer(to: &$0) }
        unsafe out.append(isSecure: isSecure, host: host, isToken: isToken)
        out.append("\r\n")
    }

    /// Both ends of the client's connection, as PROXY headers tell of them.
    var clientEnds: ProxyHeader.Ends { ProxyHeader.Ends(source: clientAddress, destination: client.origin.local) }

    /// Whether the client came by https, as far as it is known.
    var isSecure: Bool { request.provenance?.isSecure ?? client.origin.isSecure }

    /// Whether the request has been here before, by this gateway's own mark; or by so many gateways that it can't be meant, of
    /// which `Via` tells (RFC 9110 section 7.6.3), where something in between takes the mark away.
    func goesInCircles(_ head: borrowing RequestHead) -> Bool {
        guard head.fields.present.contains(.via) else { return false }
        var count = 0
        for i in 0..<head.fields.count where head.fields[i].id == .via {
            let value = unsafe head[head.fields[i].value]
            count += unsafe value.occurrences(of: "1.1 gateway") + value.occurrences(of: "2 gateway")
            if unsafe Snapshot.instance.withUnsafeBytes({ unsafe value.occurrences(of: $0) }) > 0 { return true }
        }
        return count > Limits.hopsMax
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func occurrences(of text: StaticString) -> Int {
        // Text of the program.
        unsafe occurrences(of: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    fileprivate func occurrences(of text: UnsafeRawBufferPointer) -> Int {
        var (count, rest) = unsafe (0, self)
        while let found = unsafe memmem(rest.baseAddress, rest.count, text.baseAddress, text.count) {
            count += 1
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest[(rest.baseAddress!.distance(to: found) + text.count)...])
        }
        return count
    }
}

extension ByteWriter {
    /// `for=`, an IPv6 address in brackets and quotes (RFC 7239 section 6).
    /// - Parameter write: writes the address.
    @inline(__always)
    fileprivate mutating func append(node: SocketAddress, _ write: (inout ByteWriter) -> Void) {
        if node.isIPv4 { append("for=") } else { append("for=\"[") }
        write(&self)
        if !node.isIPv4 { append("]\"") }
    }

    /// `;proto=` and `;host=`, in quotes where it has to be.
    fileprivate mutating func append(isSecure: Bool, host: UnsafeRawBufferPointer, isToken: Bool) {
        if isSecure { append(";proto=https;host=") } else { append(";proto=http;host=") }
        if !isToken { append(byte: 0x22) }
        unsafe append(host)
        if !isToken { append(byte: 0x22) }
    }
}
