import Foundation
import Testing

/// One line of a corpus file: columns of text, the last one escaped bytes.
struct CorpusCase: CustomTestStringConvertible, Sendable {
    var name: String
    /// `ok`, or the status of the refusal.
    var expected: String
    var reason: String
    /// Responses only: the method of the request that is answered.
    var method: String
    var bytes: [UInt8]

    var testDescription: String { name }
    var isGood: Bool { expected == "ok" }
    /// The flaw's name, in front of the reason's colon.
    var flaw: String { String(reason.prefix { $0 != ":" }) }
}

enum Corpus {
    static let requests = load("requests", columns: 4)
    static let responses = load("responses", columns: 5)
    static let chunked = load("chunked", columns: 4)
    static let tolerated = load("chunked-tolerated", columns: 4)

    static func load(_ name: String, columns: Int) -> [CorpusCase] {
        let url = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Corpus/\(name).txt")
        let text = try! String(contentsOf: url, encoding: .utf8)
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let parts = split(String(line), columns)
            return CorpusCase(
                name: parts[0], expected: parts[1], reason: parts[2], method: columns == 5 ? parts[3] : "",
                bytes: unescape(parts[columns - 1]))
        }
    }

    /// At the first `columns - 1` separators: the bytes may contain one.
    private static func split(_ line: String, _ columns: Int) -> [String] {
        var parts: [String] = []
        var rest = Substring(line)
        while parts.count < columns - 1, let separator = rest.range(of: " | ") {
            parts.append(String(rest[..<separator.lowerBound]))
            rest = rest[separator.upperBound...]
        }
        precondition(parts.count == columns - 1, "not a corpus line: \(line)")
        return parts + [String(rest)]
    }

    /// `\r \n \t \0 \xNN \\`, and `{N*x}` for N times x.
    static func unescape(_ text: String) -> [UInt8] {
        let text = Array(text.utf8)
        var out: [UInt8] = []
        var at = 0
        while at < text.count {
            if text[at] == UInt8(ascii: "{") {
                let star = text[at...].firstIndex(of: UInt8(ascii: "*"))!
                let end = text[star...].firstIndex(of: UInt8(ascii: "}"))!
                let count = Int(String(decoding: text[(at + 1)..<star], as: UTF8.self))!
                let unit = unescape(String(decoding: text[(star + 1)..<end], as: UTF8.self))
                for _ in 0..<count { out += unit }
                at = end + 1
            } else if text[at] == UInt8(ascii: "\\") {
                switch text[at + 1] {
                case UInt8(ascii: "r"): out.append(0x0D)
                case UInt8(ascii: "n"): out.append(0x0A)
                case UInt8(ascii: "t"): out.append(0x09)
                case UInt8(ascii: "0"): out.append(0)
                case UInt8(ascii: "\\"): out.append(0x5C)
                case UInt8(ascii: "x"):
                    out.append(UInt8(String(decoding: text[(at + 2)...(at + 3)], as: UTF8.self), radix: 16)!)
                    at += 2
                default: preconditionFailure("unknown escape in the corpus")
                }
                at += 2
            } else {
                out.append(text[at])
                at += 1
            }
        }
        return out
    }

    /// Where to cut `count` bytes in two: everywhere, but thinned out in the middle of long ones.
    static func cuts(_ count: Int) -> [Int] {
        (1..<max(count, 2)).filter {
            count <= 1200 || $0 < 300 || $0 > count - 300 || $0 % 997 == 0 || abs($0 - 32768) < 3
        }
    }
}
