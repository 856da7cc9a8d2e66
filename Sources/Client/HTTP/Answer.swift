extension HTTPClient {
    /// Status and fields of an answer.
    public struct Head: Sendable, Equatable {
        public var status: Int
        /// In their order, names in lower case.
        public var fields: [Field]

        /// The value of the first field of this name, which is in lower case.
        public func first(_ name: String) -> String? { fields.first { $0.name == name }?.value }
    }

    /// A whole answer.
    public struct Answer: Sendable, Equatable {
        public var head: Head
        public var body: [UInt8]
        public var status: Int { head.status }
    }
}
