extension HTTPClient {
    /// A request of the gateway's own.
    public struct Request: Sendable {
        public enum Body: Sendable {
            case none
            case bytes([UInt8])
            /// It comes by `Call.send`, and has the chunked coding.
            case parts
        }

        public var method: String
        /// Path and query.
        public var target: String
        /// As `Host` says it (RFC 9110 section 7.2): an IPv6 address in brackets, the port where it is not the scheme's own.
        public var authority: String
        public var userAgent: String
        public var fields: [Field]
        public var body: Body
        /// The connection may serve a next request, and this one may have one that served another before.
        public var keepsConnection: Bool

        public init(
            _ method: String, _ target: String, authority: String, userAgent: String = "gateway",
            fields: [Field] = [], body: Body = .none, keepsConnection: Bool = false
        ) {
            (self.method, self.target, self.authority, self.userAgent) = (method, target, authority, userAgent)
            (self.fields, self.body, self.keepsConnection) = (fields, body, keepsConnection)
        }

        /// Sent twice it does what it does once (RFC 9110 section 9.2.2), and it can be sent twice.
        var mayBeRepeated: Bool {
            if case .parts = body { return false }
            return ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(method)
        }
    }

    /// One field line.
    public struct Field: Sendable, Equatable {
        public var name: String
        /// Whatever bytes they are: nobody says that they are UTF-8 (RFC 9110 section 5.5).
        public var octets: [UInt8]
        /// Its message says that it is for one connection only (RFC 9110 section 7.6.1).
        public var isOfConnection = false

        public init(_ name: String, _ value: String) { (self.name, octets) = (name, Array(value.utf8)) }

        init(_ name: String, octets: [UInt8], isOfConnection: Bool) {
            (self.name, self.octets, self.isOfConnection) = (name, octets, isOfConnection)
        }

        /// As text; what is no UTF-8 in it is U+FFFD there.
        public var value: String { String(decoding: octets, as: UTF8.self) }
    }
}
