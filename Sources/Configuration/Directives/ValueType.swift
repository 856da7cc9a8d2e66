import Base

/// What may stand as an argument or behind an option's `=`.
enum ValueType: Sendable {
    /// Digits, within the bounds; or the word that stands for "not a number".
    case count(ClosedRange<UInt64>, or: String? = nil)
    /// `250ms 5s 2m 1h 1d`, in nanoseconds.
    case time(ClosedRange<UInt64>, or: String? = nil)
    /// `512 64k 10m 1g`, powers of 1024, in bytes.
    case size(ClosedRange<UInt64>)
    /// `N/s`, `N/m`, `N/h`
    case rate
    /// `N/TIME`: so many in any such time.
    case countIn
    /// `N/hour`, `N/day`, `N/month`
    case quota
    /// `SIZE/s`
    case bandwidth
    /// One of these words; the second list is known, but nothing acts on it yet.
    case choice([String], notYet: [String] = [])
    case onOff
    /// A name that others refer to, or that upstreams see: letters, digits, `-`, `_`, `.`
    case identifier
    /// The name of a plan, an upstream or an issuer: whether there is one is decided when all files are read.
    case reference
    case text
    case path
    case keyPath
    /// Where a secret is kept: it never stands in the file itself.
    case secret
    /// A JWKS file, an https URL, or a secret.
    case keySet
    /// With one of these schemes.
    case url([String])
    /// An absolute path as requests carry it.
    case urlPath
    case endpoint
    case server
    case addressBlock
    case host
    case hostOrWildcard
    case headerName
    /// A field that is taken away from clients.
    case override
    case headerValue(mayBeSecret: Bool)
    /// `sha256:` and 64 hexadecimal digits.
    case keyDigest
    /// `49.00/month` or `0.20`
    case price
    /// `EUR`
    case currency
    /// `2027-01-01`, or RFC 3339 in UTC.
    case date

    /// For help texts.
    var usage: String {
        switch self {
        case .count: "COUNT"
        case .time: "TIME"
        case .size: "SIZE"
        case .rate: "COUNT/s|m|h"
        case .countIn: "COUNT/TIME"
        case .quota: "COUNT/hour|day|month"
        case .bandwidth: "SIZE/s"
        case .choice(let words, let later): (words + later).joined(separator: "|")
        case .onOff: "on|off"
        case .identifier, .reference: "NAME"
        case .text: "TEXT"
        case .path, .keyPath: "PATH"
        case .secret: "file:PATH"
        case .keySet: "PATH|URL"
        case .url: "URL"
        case .urlPath: "PATH"
        case .endpoint: "[ADDRESS:]PORT"
        case .server: "HOST:PORT"
        case .addressBlock: "ADDRESS[/PREFIX]"
        case .host, .hostOrWildcard: "HOST"
        case .headerName, .override: "NAME"
        case .headerValue: "VALUE"
        case .keyDigest: "sha256:DIGEST"
        case .price: "AMOUNT[/month]"
        case .currency: "CODE"
        case .date: "DATE"
        }
    }
}

/// A value as its type reads it.
enum Value: Sendable, Equatable {
    case number(UInt64)
    case text(String)
    /// So many in a period: `s`, `m`, `h`, `hour`, `day`, `month`.
    case amount(UInt64, per: String)
    /// So many in any so many nanoseconds.
    case countIn(UInt64, time: UInt64)
    case endpoint(Endpoint)
    case server(host: String, port: UInt16)
    case block(AddressBlock)

    /// What two values of a kind are told apart by: two quotas a day can't both hold.
    func identity(as type: ValueType) -> String {
        switch self {
        case .number(let number): return String(number)
        case .amount(_, let period): return period
        case .countIn(_, let time): return String(time)
        case .server(let host, let port): return "\(host):\(port)"
        case .endpoint(let endpoint): return "\(endpoint.host ?? "*"):\(endpoint.port)"
        case .block(let block): return "\(block.high) \(block.low) \(block.prefix)"
        case .text(let text):
            switch type {
            case .headerName: return text.asciiLowercased
            case .urlPath:
                return text.utf8.count > 1 && text.utf8.last == UInt8(ascii: "/") ? String(text.dropLast()) : text
            default: return text
            }
        }
    }
}

/// Why a value is refused.
enum ValueFault: Error, Equatable {
    case refused(String, suggestion: String? = nil)

    var message: String {
        switch self {
        case .refused(let message, _): message
        }
    }
    var suggestion: String? {
        switch self {
        case .refused(_, let suggestion): suggestion
        }
    }
}
