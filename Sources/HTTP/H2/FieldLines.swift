import Base
import Glibc

/// Field lines as HTTP/1.1 has them, `Name: value` and CRLF, one after the other. The empty line ends them, if it is there.
@safe struct FieldLines {
    private let lines: UnsafeRawBufferPointer
    private var at = 0

    init(_ lines: UnsafeRawBufferPointer) { unsafe self.lines = lines }

    /// Without its CRLF.
    mutating func nextLine() -> UnsafeRawBufferPointer? {
        guard let base = unsafe lines.baseAddress, let end = unsafe lineEnd(base) else { return nil }
        let start = at
        at = end + 2
        return unsafe UnsafeRawBufferPointer(rebasing: lines[start..<end])
    }

    mutating func next() -> Field? {
        while let line = unsafe nextLine() {
            if let field = unsafe Self.field(line) { return unsafe field }
        }
        return nil
    }

    typealias Field = (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)

    static func field(_ line: UnsafeRawBufferPointer) -> Field? {
        guard let base = line.baseAddress else { return nil }
        let colon = unsafe WordScan.colon(base, 0, line.count)
        guard colon > 0, colon < line.count, unsafe line[colon] == 0x3A else { return nil }
        return unsafe (
            UnsafeRawBufferPointer(rebasing: line[..<colon]), UnsafeRawBufferPointer(rebasing: line[(colon + 1)...]).trimmed
        )
    }

    private func lineEnd(_ base: UnsafeRawPointer) -> Int? {
        // Where a line ends there is a CR in front of the LF: whoever has written it saw to that.
        guard unsafe at < lines.count, let found = unsafe memchr(base + at, Int32(ASCII.lf), lines.count - at) else { return nil }
        let end = unsafe UnsafeRawPointer(found) - base - 1
        return end > at ? end : nil
    }

    /// The value of `Host`.
    static func host(_ lines: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var lines = unsafe FieldLines(lines)
        while let (name, value) = unsafe lines.next() {
            if unsafe FieldName.classify(name) == .host { return unsafe value }
        }
        return nil
    }
}

extension HPACKEncoder {
    /// Nearly every name is shorter.
    private static let nameMax = 256
    /// What HTTP/2 says otherwise, or not at all (RFC 9113 section 8.2.2).
    private static var ofConnection: FieldSet { FieldSet(.connection) | .keepAlive | .proxyConnection | .te | .transferEncoding | .upgrade }

    mutating func encode(_ name: StaticString, _ value: UnsafeRawBufferPointer, isSecret: Bool = false, to out: inout ByteWriter) {
        // Text of the program.
        unsafe encode(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value, isSecret: isSecret, to: &out)
    }

    mutating func encode(_ name: StaticString, _ value: StaticString, to out: inout ByteWriter) {
        // As above.
        unsafe encode(name, UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount), to: &out)
    }

    mutating func encode(_ pseudo: PseudoField, _ value: StaticString, isSecret: Bool = false, to out: inout ByteWriter) {
        // As above.
        unsafe encode(pseudo, UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount), isSecret: isSecret, to: &out)
    }

    mutating func encode(status: UInt16, isSecret: Bool, to out: inout ByteWriter) {
        // Room for the digits, filled before they are looked at.
        unsafe withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { room in
            var digits = unsafe ByteWriter(room)
            digits.append(decimal: UInt64(status))
            unsafe encode(.status, digits.written, isSecret: isSecret, to: &out)
        }
    }

    /// Names become lower case. Fields of the connection are left out, and those that the caller names.
    /// - Parameter areSecret: all of them, also those whose names don't say so.
    mutating func encode(
        _ lines: UnsafeRawBufferPointer, leavingOut: FieldSet = FieldSet(), areSecret: Bool, to out: inout ByteWriter
    ) {
        var lines = unsafe FieldLines(lines)
        // Room for a name, filled before it is looked at.
        unsafe withUnsafeTemporaryAllocation(byteCount: Self.nameMax, alignment: 8) { room in
            while let line = unsafe lines.nextLine() {
                // What is known was not left out before. Of what a caller leaves out nothing is known.
                let hash = unsafe FieldHash.of(line)
                if !areSecret, unsafe encode(known: line, hash: hash, to: &out) { continue }
                guard let (name, value) = unsafe FieldLines.field(line) else { continue }
                let id = unsafe FieldName.classify(name)
                if Self.ofConnection.contains(id) || leavingOut.contains(id) { continue }
                let isSecret = areSecret || Self.isSecret(id)
                let isKnowable = id != .host && !isSecret
                if name.count <= Self.nameMax {
                    unsafe encode(name, value, isSecret: isSecret, ofLine: isKnowable ? hash : nil, in: room, to: &out)
                } else {
                    unsafe withUnsafeTemporaryAllocation(byteCount: name.count, alignment: 8) {
                        unsafe encode(name, value, isSecret: isSecret, ofLine: nil, in: $0, to: &out)
                    }
                }
            }
        }
    }

    private mutating func encode(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, isSecret: Bool, ofLine hash: UInt32?,
        in room: UnsafeMutableRawBufferPointer, to out: inout ByteWriter
    ) {
        for i in 0..<name.count { unsafe room[i] = ASCII.lowercase(name[i]) }
        let lowered = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<name.count])
        if let hash { return unsafe encode(lowered, value, ofLine: hash, to: &out) }
        unsafe encode(lowered, value, isSecret: isSecret, to: &out)
    }

    /// What must not be guessed by its size in a table (RFC 7541 section 7.1.3).
    static func isSecret(_ id: FieldName) -> Bool {
        switch id {
        case .authorization, .cookie, .setCookie, .xAPIKey, .proxyAuthorization: true
        default: false
        }
    }
}
