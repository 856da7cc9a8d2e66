import Base

/// One request to the admin listener, as its connection has parsed it.
public struct AdminRequest: Sendable {
    public var method: String
    /// As sent: percent-encoded, without the query.
    public var path: String
    /// What followed the `?`; nil without one.
    public var query: String?
    /// Lower case, without the port; an IPv6 address in its brackets.
    public var host: String
    /// In the order of the message.
    public var fields: [(name: String, value: String)]

    public init(
        method: String, path: String, query: String? = nil, host: String, fields: [(name: String, value: String)] = []
    ) {
        (self.method, self.path, self.query, self.host, self.fields) = (method, path, query, host, fields)
    }

    /// All values under `name` (lower case), in order.
    func values(_ name: String) -> [String] {
        fields.filter { $0.name.asciiLowercased == name }.map(\.value)
    }
}

/// The answer, without the framing that its connection gives it.
public struct AdminResponse: Sendable {
    public var status: Int
    /// Without Content-Length.
    public var fields: [(name: String, value: String)]
    /// Empty in the answer to HEAD.
    public var body: [UInt8]
    /// For Content-Length: in the answer to HEAD that of the body which GET would have had (RFC 9110 section 9.3.2).
    public var contentLength: Int

    init(_ status: Int, contentType: String, _ body: [UInt8], fields: [(name: String, value: String)] = []) {
        self.status = status
        self.fields = [("Content-Type", contentType), ("Cache-Control", "no-store")] + fields
        self.body = body
        contentLength = body.count
    }

    /// Plain text, with status 200.
    public static func text(_ text: String) -> AdminResponse {
        AdminResponse(200, contentType: "text/plain; charset=utf-8", Array(text.utf8))
    }

    static func json(_ status: Int = 200, _ write: (inout JSONWriter) -> Void) -> AdminResponse {
        var json = JSONWriter()
        write(&json)
        return AdminResponse(status, contentType: "application/json", json.bytes)
    }

    mutating func dropBody() { body = [] }
}
