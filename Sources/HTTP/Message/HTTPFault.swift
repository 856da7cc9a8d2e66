/// A message that is refused, with who is to blame: the client (its request) or the upstream (its answer).
public enum HTTPFault: Error, Equatable, Sendable {
    case request(Flaw)
    case response(Flaw)

    public var flaw: Flaw {
        switch self {
        case .request(let flaw), .response(let flaw): flaw
        }
    }

    /// The status to answer the client with.
    public var status: UInt16 {
        switch self {
        case .request(let flaw): flaw.status
        case .response: 502
        }
    }

    /// A few words for the log and for the problem's detail.
    public var reason: StaticString { flaw.reason }
}

/// What is wrong with a message, one case a reason.
public enum Flaw: UInt8, Error, Sendable, CaseIterable {
    // start line
    case startLine, methodName, methodTooLong, connectMethod, traceMethod, emptyLines, versionSyntax, version09, versionMajor
    case statusCode, reasonPhrase
    // target
    case targetByte, targetForm, targetAsterisk, targetAuthority
    // lines
    case bareCR, bareLF, lineFolding, fieldName, spaceBeforeColon, missingColon, fieldValue, ambiguousFieldName
    // sizes
    case headTooLarge, requestLineTooLong, tooManyFields
    // host
    case hostMissing, hostRepeated, hostSyntax
    // framing
    case lengthRepeated, lengthSyntax, lengthTooLarge, lengthWithCoding
    case codingRepeated, codingSyntax, codingUnknown, codingInHTTP10
    // other fields with a say
    case connectionSyntax, expectation
    // chunks
    case chunkSize, chunkSizeTooLarge, chunkExtension, chunkLineTooLong, chunkDataEnd, trailerTooLarge, trailerForbidden

    /// The status of a request that has this flaw.
    public var status: UInt16 {
        switch self {
        case .traceMethod: 405
        case .requestLineTooLong: 414
        case .expectation: 417
        case .headTooLarge, .tooManyFields, .trailerTooLarge: 431
        case .methodTooLong, .connectMethod, .codingUnknown: 501
        case .versionMajor: 505
        default: 400
        }
    }

    public var reason: StaticString {
        switch self {
        case .startLine: "malformed start line"
        case .methodName: "malformed method"
        case .methodTooLong: "method too long"
        case .connectMethod: "CONNECT is not supported"
        case .traceMethod: "TRACE is not allowed"
        case .emptyLines: "empty lines before the request line"
        case .versionSyntax: "malformed protocol version"
        case .version09: "HTTP/0.9 is not supported"
        case .versionMajor: "protocol version not supported"
        case .statusCode: "malformed status code"
        case .reasonPhrase: "malformed reason phrase"
        case .targetByte: "forbidden byte in the request target"
        case .targetForm: "malformed request target"
        case .targetAsterisk: "request target * with a method other than OPTIONS"
        case .targetAuthority: "request target and Host differ"
        case .bareCR: "CR without LF"
        case .bareLF: "LF without CR"
        case .lineFolding: "folded field line"
        case .fieldName: "malformed field name"
        case .spaceBeforeColon: "space before the colon of a field"
        case .missingColon: "field line without a colon"
        case .fieldValue: "control character in a field value"
        case .ambiguousFieldName: "field name that could be taken for a framing field"
        case .headTooLarge: "head too large"
        case .requestLineTooLong: "request line too long"
        case .tooManyFields: "too many fields"
        case .hostMissing: "Host missing"
        case .hostRepeated: "Host repeated"
        case .hostSyntax: "malformed Host"
        case .lengthRepeated: "Content-Length repeated"
        case .lengthSyntax: "malformed Content-Length"
        case .lengthTooLarge: "Content-Length too large"
        case .lengthWithCoding: "Content-Length with Transfer-Encoding"
        case .codingRepeated: "Transfer-Encoding repeated"
        case .codingSyntax: "malformed Transfer-Encoding"
        case .codingUnknown: "transfer coding not supported"
        case .codingInHTTP10: "Transfer-Encoding in HTTP/1.0"
        case .connectionSyntax: "malformed Connection"
        case .expectation: "expectation not supported"
        case .chunkSize: "malformed chunk size"
        case .chunkSizeTooLarge: "chunk size too large"
        case .chunkExtension: "malformed chunk extension"
        case .chunkLineTooLong: "chunk-size line too long"
        case .chunkDataEnd: "chunk data without its CRLF"
        case .trailerTooLarge: "trailer section too large"
        case .trailerForbidden: "framing or routing field in the trailers"
        }
    }
}
