import Base
import Crypto

/// Fields by which HTTP/1.1 switches protocols, and HTTP/2 does not (RFC 8441 section 5).
enum HandshakeFields {
    private static let names: [StaticString] = ["upgrade:", "connection:", "sec-websocket-accept:", "sec-websocket-key:"]

    /// Takes them out of field lines, in place.
    static func removed(from lines: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
        var (from, to) = (0, 0)
        while from < lines.count {
            let end = unsafe lines[from...].firstIndex(of: ASCII.lf).map { $0 + 1 } ?? lines.count
            let line = unsafe UnsafeMutableRawBufferPointer(rebasing: lines[from..<end])
            if !names.contains(where: { unsafe begins(UnsafeRawBufferPointer(line), with: $0) }) {
                unsafe UnsafeMutableRawBufferPointer(rebasing: lines[to..<(to + line.count)]).copyMemory(from: UnsafeRawBufferPointer(line))
                to += line.count
            }
            from = end
        }
        return unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(lines)[..<to])
    }

    private static func begins(_ line: UnsafeRawBufferPointer, with name: StaticString) -> Bool {
        guard line.count >= name.utf8CodeUnitCount else { return false }
        return unsafe ASCII.equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: line[..<name.utf8CodeUnitCount]), name)
    }

    /// What a client of HTTP/1.1 wants to be answered by: the value of its `Sec-WebSocket-Key`; nil where it has none.
    static func key(in lines: UnsafeRawBufferPointer) -> WebSocketKey? {
        for unsafe line in unsafe lines.split(separator: ASCII.lf) {
            guard unsafe begins(UnsafeRawBufferPointer(rebasing: line), with: "sec-websocket-key:") else { continue }
            let value = unsafe UnsafeRawBufferPointer(rebasing: line.dropFirst(18).prefix { $0 != ASCII.cr }).trimmed
            return unsafe WebSocketKey(text: Array(value))
        }
        return nil
    }
}
