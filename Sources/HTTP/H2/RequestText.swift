import Base
import Glibc

/// Makes of a field block the head that HTTP/1.1 would have for the same request. From there on one strict reader serves both:
/// what it refuses of the one, it refuses of the other, and nothing is left to smuggle.
///
/// Into the room go the pseudo-fields as they are decoded, and behind them, with the first other field or at the end, the
/// request line, `host` and the fields. Whatever isn't written in RFC 9113 section 8 makes the request malformed.
struct RequestText: FieldListText {
    private enum Pseudo: Int {
        case method, scheme, authority, path, connect

        init?(_ name: UnsafeRawBufferPointer) {
            switch name.count {
            case 5 where unsafe name.equals(":path"): self = .path
            case 7 where unsafe name.equals(":method"): self = .method
            case 7 where unsafe name.equals(":scheme"): self = .scheme
            case 9 where unsafe name.equals(":protocol"): self = .connect
            case 10 where unsafe name.equals(":authority"): self = .authority
            default: return nil
            }
        }
    }

    /// Of the list, as SETTINGS_MAX_HEADER_LIST_SIZE counts it.
    private let sizeMax: Int
    private(set) var size = 0
    private(set) var isMalformed = false
    /// Larger than allowed: the fields are decoded and forgotten.
    private(set) var isTooLarge = false
    /// Values of pseudo-fields, in the room.
    private var pseudo = InlineArray<5, ByteRange?>(repeating: nil)
    /// Where the head begins in the room, once it does.
    private var start: Int?
    /// Crumbs of the cookie, which is one field in HTTP/1.1 (section 8.2.3): how many, their bytes, and where the last one begins.
    private var crumbs = (count: 0, size: 0, last: 0)

    init(sizeMax: Int) { self.sizeMax = sizeMax }

    /// The next field, which stands at the end of the room.
    mutating func take(_ field: DecodedField, _ out: inout ByteWriter) {
        size += Int(field.name.count) + Int(field.value.count) + DynamicTable.overhead
        if out.overflowed || size > sizeMax { isTooLarge = true }
        // Nobody wants it any more. The table has it.
        if isTooLarge || isMalformed { return out.truncate(to: 0) }
        let text = unsafe out.written
        let (name, value) = unsafe (text[field.name], text[field.value])
        guard unsafe !name.isEmpty, unsafe FieldBytes.isValue(value) else { return malformed() }
        if unsafe name[0] == 0x3A {
            unsafe takePseudo(field, name, &out)
        } else if unsafe FieldBytes.isName(name) {
            takeRegular(field, &out)
        } else {
            malformed()
        }
    }

    private mutating func malformed() { isMalformed = true }

    private mutating func takePseudo(_ field: DecodedField, _ name: UnsafeRawBufferPointer, _ out: inout ByteWriter) {
        // Known, before every other field, and once (section 8.3).
        guard let known = unsafe Pseudo(name), start == nil, pseudo[known.rawValue] == nil else { return malformed() }
        pseudo[known.rawValue] = field.value
    }

    private mutating func takeRegular(_ field: DecodedField, _ out: inout ByteWriter) {
        let line = ByteRange(field.name.first, out.count)
        if start == nil {
            guard begin(&out) else { return malformed() }
            // The line was decoded in front of the head: it stands behind it once more.
            let moved = DecodedField(
                name: ByteRange(out.count, out.count + Int(field.name.count)),
                value: ByteRange(out.count + Int(field.name.count) + 2, out.count + line.end - line.first - 2),
                isNeverIndexed: field.isNeverIndexed)
            unsafe out.append(out.written[line])
            return place(moved, &out)
        }
        place(field, &out)
    }

    /// Looks at what a field that stands at the end of the head means for it.
    private mutating func place(_ field: DecodedField, _ out: inout ByteWriter) {
        let text = unsafe out.written
        let (name, value) = unsafe (text[field.name], text[field.value])
        switch unsafe FieldName.classify(name) {
        case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade: malformed()
        case .te: if unsafe !value.equals("trailers") { malformed() }
        case .host:
            // Of two that say the same one is enough; of others the reader of heads says what is wrong.
            if let authority = pseudo[Pseudo.authority.rawValue], unsafe HostName.same(text[authority], value) {
                out.truncate(to: field.name.first)
            }
        case .cookie: crumbs = (crumbs.count + 1, crumbs.size + Int(field.value.count) + 2, field.name.first)
        default: break
        }
    }

    /// Crumbs become one field, in the place of the last one. They are put together behind the head, and then the lines of the
    /// head move up: each of its bytes moves once, however many crumbs there are.
    private mutating func joinCrumbs(from start: Int, _ out: inout ByteWriter) {
        let end = out.count
        guard unsafe out.spare.count >= crumbs.size else {
            isTooLarge = true
            return
        }
        // All of it is the writer's room; the one field takes less than the lines of its crumbs.
        let room = unsafe UnsafeMutableRawBufferPointer(start: out.base, count: out.capacity)
        func move(_ from: Range<Int>, to: Int) -> Int {
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[to...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: room[from]))
            return to + from.count
        }
        var (line, to, joined) = (start, start, end)
        while line < end {
            // Each line of the head has its end.
            guard let found = unsafe memchr(room.baseAddress! + line, Int32(ASCII.lf), end - line) else { break }
            let next = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(room.baseAddress!) + 1
            let value = line + Self.crumbName.utf8CodeUnitCount
            if value <= next - 2, unsafe UnsafeRawBufferPointer(rebasing: room[line..<value]).equals(Self.crumbName) {
                joined = move(value..<(next - 2), to: joined)
                if line == crumbs.last {
                    // The name of the last crumb, the joined ones, and its line end.
                    to = move(line..<value, to: to)
                    to = move(end..<joined, to: to)
                    to = move((next - 2)..<next, to: to)
                } else {
                    unsafe (room[joined], room[joined + 1]) = (0x3B, ASCII.space)
                    joined += 2
                }
            } else {
                to = move(line..<next, to: to)
            }
            line = next
        }
        out.truncate(to: to)
    }

    private static let crumbName: StaticString = "cookie: "

    /// Writes the request line and `host`.
    private mutating func begin(_ out: inout ByteWriter) -> Bool {
        func value(_ name: Pseudo) -> ByteRange? { pseudo[name.rawValue] }
        let text = unsafe out.written
        guard let method = value(.method), unsafe !text[method].isEmpty, unsafe text[method].allSatisfy(ASCII.isToken) else { return false }
        let isConnect = unsafe text[method].equals("CONNECT")
        start = out.count
        if isConnect, value(.connect) == nil {
            // Section 8.5: the authority alone. The reader of heads refuses the method.
            guard value(.path) == nil, value(.scheme) == nil, let authority = value(.authority) else { return false }
            return unsafe writeLine("CONNECT", text[authority], authority, &out)
        }
        guard let scheme = value(.scheme), let path = value(.path) else { return false }
        guard unsafe text[scheme].equals("https") || text[scheme].equals("http") else { return false }
        guard unsafe Self.isPath(text[path], ofOptions: text[method].equals("OPTIONS")) else { return false }
        guard let connect = value(.connect) else {
            return unsafe writeLine(text[method], text[path], value(.authority), &out)
        }
        // RFC 8441 section 4. To the rest of the gateway it is the upgrade of a GET.
        guard isConnect, let authority = value(.authority), unsafe !text[connect].isEmpty, unsafe text[connect].allSatisfy(ASCII.isToken),
            unsafe writeLine("GET", text[path], authority, &out)
        else { return false }
        out.append("connection: upgrade\r\nupgrade: ")
        unsafe out.append(text[connect])
        out.append("\r\n")
        return true
    }

    private func writeLine(
        _ method: StaticString, _ target: UnsafeRawBufferPointer, _ authority: ByteRange?, _ out: inout ByteWriter
    ) -> Bool {
        unsafe writeLine(UnsafeRawBufferPointer(start: method.utf8Start, count: method.utf8CodeUnitCount), target, authority, &out)
    }

    private func writeLine(
        _ method: UnsafeRawBufferPointer, _ target: UnsafeRawBufferPointer, _ authority: ByteRange?, _ out: inout ByteWriter
    ) -> Bool {
        unsafe out.append(method)
        out.append(byte: ASCII.space)
        unsafe out.append(target)
        out.append(" HTTP/1.1\r\n")
        if let authority {
            out.append("host: ")
            unsafe out.append(out.written[authority])
            out.append("\r\n")
        }
        return true
    }

    /// Section 8.3.1: it begins with a slash, or is the asterisk of OPTIONS; and what would end it in a request line stands not in it.
    private static func isPath(_ path: UnsafeRawBufferPointer, ofOptions: Bool) -> Bool {
        guard let first = unsafe path.first else { return false }
        guard first == 0x2F || (first == 0x2A && ofOptions && path.count == 1) else { return false }
        return unsafe path.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != 0x23 }
    }

    /// The head is whole: where it stands in the room; nil when it is malformed or too large.
    mutating func finish(_ out: inout ByteWriter) -> ByteRange? {
        if isMalformed || isTooLarge { return nil }
        if start == nil, !begin(&out) { isMalformed = true }
        if crumbs.count > 1, let start { joinCrumbs(from: start, &out) }
        out.append("\r\n")
        if out.overflowed { isTooLarge = true }
        guard let start, !isMalformed, !isTooLarge else { return nil }
        return ByteRange(start, out.count)
    }
}

/// The bytes of names and values (RFC 9113 section 8.2.1), stricter where HTTP/1.1 could not carry them.
enum FieldBytes {
    /// A token in lower case.
    static func isName(_ name: UnsafeRawBufferPointer) -> Bool {
        for unsafe byte in unsafe name {
            // What nearly all of them consist of first.
            if byte &- 0x61 < 26 || byte == 0x2D || ASCII.isDigit(byte) { continue }
            if ASCII.isAlpha(byte) || !ASCII.isToken(byte) { return false }
        }
        return unsafe !name.isEmpty
    }

    /// No control character but a tab, and no white space at either end.
    static func isValue(_ value: UnsafeRawBufferPointer) -> Bool {
        guard let base = value.baseAddress, let first = unsafe value.first, let last = unsafe value.last else { return true }
        if first == ASCII.space || first == ASCII.tab || last == ASCII.space || last == ASCII.tab { return false }
        let end = unsafe WordScan.valueEnd(base, 0, value.count)
        return unsafe end == value.count || WordScan.valueEndByBytes(base, end, value.count) == value.count
    }
}
