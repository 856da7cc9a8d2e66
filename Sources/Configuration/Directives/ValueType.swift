import Base

/// What may stand as an argument or behind an option's `=`.
enum ValueType: Sendable {
    /// Digits, within the bounds; or the word that stands for "not a number".
    case count(ClosedRange<UInt64>, or: String? = nil)
    /// `250ms 5s 2m 1h 1d`, in nanoseconds.
    case time(ClosedRange<UInt64>, or: String? = nil)
    /// `512 64k 10m 1g`, powers of 1024, in bytes.
    case size(ClosedRange<UInt64>)
    /// `20%`
    case percent(ClosedRange<UInt64>)
    /// `3x`
    case factor(ClosedRange<UInt64>)
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
    /// Some of these, with commas between.
    case words([String])
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
    /// The same, in the form in which requests are compared; or the `=` in front of it.
    case routePath
    /// Methods, with commas between.
    case methods
    /// `NAME` or `NAME:VALUE`; a field's name is read in any case.
    case condition(ofField: Bool)
    /// Names of roles or scopes, with commas between.
    case grants
    /// What browsers are told, with commas between: origins, methods, names of fields; or `*`.
    case origins, browserMethods, browserFields
    /// `text/plain`
    case mediaType
    /// A text, and a URL or path to go to, in which parts of the request may stand.
    case answerText, redirectTarget
    /// `HOST[:PORT]`
    case authority
    /// `client`, `key`, `tenant`, `request` or `header:NAME`.
    case splitKey
    /// The same, or `grpc`.
    case healthPath
    /// `200` or `200-399`
    case statuses
    case endpoint
    case server
    case addressBlock
    /// The same, or `all`.
    case addressBlocks
    case host
    case hostOrWildcard
    case headerName
    /// A name of a field or a cookie as RFC 9110 allows it.
    case token
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
        case .percent: "PERCENT%"
        case .factor: "COUNTx"
        case .rate: "COUNT/s|m|h"
        case .countIn: "COUNT/TIME"
        case .quota: "COUNT/hour|day|month"
        case .bandwidth: "SIZE/s"
        case .choice(let words, let later): (words + later).joined(separator: "|")
        case .words(let words): words.joined(separator: ",")
        case .onOff: "on|off"
        case .identifier, .reference: "NAME"
        case .text, .answerText: "TEXT"
        case .mediaType: "TYPE"
        case .path, .keyPath: "PATH"
        case .secret: "file:PATH"
        case .keySet: "PATH|URL"
        case .url, .redirectTarget: "URL"
        case .urlPath, .routePath: "PATH"
        case .authority: "HOST[:PORT]"
        case .splitKey: "client|key|tenant|request|header:NAME"
        case .methods, .browserMethods: "METHOD,..."
        case .condition: "NAME[:VALUE]"
        case .grants, .browserFields: "NAME,..."
        case .origins: "ORIGIN,..."
        case .healthPath: "PATH|grpc"
        case .statuses: "STATUS[-STATUS]"
        case .endpoint: "[ADDRESS:]PORT"
        case .server: "HOST:PORT"
        case .addressBlock: "ADDRESS[/PREFIX]"
        case .addressBlocks: "ADDRESS[/PREFIX]|all"
        case .host, .hostOrWildcard: "HOST"
        case .headerName, .override, .token: "NAME"
        case .headerValue: "VALUE"
        case .keyDigest: "sha256:DIGEST"
        case .price: "AMOUNT[/month]"
        case .currency: "CODE"
        case .date: "DATE"
        }
    }
}

extension ValueType {
    /// `{name}` stands for something in it.
    var hasPlaceholders: Bool {
        switch self {
        case .answerText, .redirectTarget: true
        default: false
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
    case statuses(ClosedRange<Int>)
    case endpoint(Endpoint)
    case server(host: String, port: UInt16)
    case block(AddressBlock)

    /// What two values of a kind are told apart by: two quotas a day can't both hold.
    func identity(as type: ValueType) -> String {
        switch self {
        case .number(let number): return String(number)
        case .amount(_, let period): return period
        case .countIn(_, let time): return String(time)
        case .statuses(let range): return "\(range)"
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
