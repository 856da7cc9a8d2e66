import Base

/// The two text forms that a scraper may ask for.
public enum TextFormat: Sendable, Equatable {
    /// Prometheus text 0.0.4.
    case prometheus
    /// OpenMetrics text 1.0.0.
    case openMetrics

    public var contentType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The form that `Accept` prefers (RFC 9110 section 12.5.1). OpenMetrics must be named, a wildcard means the older
    /// form; so do a missing, malformed or overlong field and one that accepts neither.
    public init(accept: String?) {
        self = .prometheus
        guard let accept, accept.utf8.count <= 4096 else { return }
        var parser = AcceptParser(bytes: Array(accept.utf8))
        var openMetrics = 0
        // How exactly text/plain was named, and what it is then worth: the most exact range decides.
        var (exactness, text) = (0, 0)
        while true {
            switch parser.next() {
            case .malformed: return
            case .end:
                if openMetrics > 0, openMetrics >= text { self = .openMetrics }
                return
            case .range(let range):
                if range.names("application", "openmetrics-text") {
                    if range.version ?? "1.0.0" == "1.0.0" { openMetrics = max(openMetrics, range.quality) }
                    continue
                }
                let match = range.exactnessForText
                if match == 3, range.version ?? "0.0.4" != "0.0.4" { continue }
                if match > exactness || match == exactness && match > 0 && range.quality > text {
                    (exactness, text) = (match, range.quality)
                }
            }
        }
    }
}

/// One range of an `Accept` field.
struct MediaRange: Equatable {
    /// Lower case.
    var type: String
    var subtype: String
    var version: String?
    /// Thousandths.
    var quality = 1000

    func names(_ type: String, _ subtype: String) -> Bool { self.type == type && self.subtype == subtype }

    /// 3 names `text/plain`, 2 any text, 1 anything, 0 something else.
    var exactnessForText: Int {
        if names("text", "plain") { return 3 }
        if names("text", "*") { return 2 }
        return names("*", "*") ? 1 : 0
    }
}

/// Takes an `Accept` field apart, and refuses the whole of it at the first thing that is not in the grammar.
struct AcceptParser {
    enum Step: Equatable { case range(MediaRange), end, malformed }

    private let bytes: [UInt8]
    private var at = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> Step {
        skipSpace()
        while take(0x2C) { skipSpace() }
        if at == bytes.count { return .end }
        guard let type = token(), take(0x2F), let subtype = token() else { return .malformed }
        var range = MediaRange(type: type.asciiLowercased, subtype: subtype.asciiLowercased)
        var weighed = false
        skipSpace()
        while take(0x3B) {
            skipSpace()
            guard at < bytes.count, bytes[at] != 0x3B, bytes[at] != 0x2C else { continue }
            guard let name = token()?.asciiLowercased, take(0x3D), let value = token() ?? quoted() else {
                return .malformed
            }
            if name == "q" {
                guard !weighed, let quality = Self.quality(value) else { return .malformed }
                (range.quality, weighed) = (quality, true)
            } else if name == "version" {
                guard range.version == nil else { return .malformed }
                range.version = value
            }
            skipSpace()
        }
        guard at == bytes.count || bytes[at] == 0x2C else { return .malformed }
        return .range(range)
    }

    /// `0`, `1`, or either with a point and up to three digits, in thousandths; nil where it is something else.
    static func quality(_ text: String) -> Int? {
        let digits = Array(text.utf8)
        guard let first = digits.first, first == 0x30 || first == 0x31, digits.count <= 5 else { return nil }
        if digits.count > 1, digits[1] != 0x2E { return nil }
        var value = Int(first - 0x30)
        for place in 0..<3 {
            let digit = place + 2 < digits.count ? digits[place + 2] : 0x30
            guard ASCII.isDigit(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value <= 1000 ? value : nil
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == ASCII.space || bytes[at] == ASCII.tab { at += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard at < bytes.count, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    private mutating func token() -> String? {
        let start = at
        while at < bytes.count, ASCII.isToken(bytes[at]) { at += 1 }
        return at > start ? String(decoding: bytes[start..<at], as: UTF8.self) : nil
    }

    private mutating func quoted() -> String? {
        guard take(0x22) else { return nil }
        var text: [UInt8] = []
        while at < bytes.count {
            var byte = bytes[at]
            at += 1
            if byte == 0x22 { return String(decoding: text, as: UTF8.self) }
            if byte == 0x5C {
                guard at < bytes.count else { return nil }
                byte = bytes[at]
                at += 1
            }
            guard byte == ASCII.tab || byte >= 0x20 && byte != 0x7F else { return nil }
            text.append(byte)
        }
        return nil
    }
}
