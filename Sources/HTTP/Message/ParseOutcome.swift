/// The bounds of one head.
public struct ParseLimits: Sendable {
    /// Bytes of the whole head, from the start line to the empty line.
    public var maxHeadSize: Int
    public var maxFields: Int

    public init(maxHeadSize: Int, maxFields: Int) {
        (self.maxHeadSize, self.maxFields) = (maxHeadSize, maxFields)
    }
}

/// What came of looking at the bytes received so far.
public enum ParseOutcome: Equatable, Sendable {
    /// Nothing wrong yet; more bytes are needed.
    case incomplete
    /// The head is whole: its properties hold until the next parse.
    case complete
    /// Answer with the fault's status and close; nothing more is read from this connection.
    case refused(HTTPFault)
}

/// Which of the two kinds of message a connection's peer sends.
public enum MessageKind: UInt8, Sendable {
    case request, response

    /// The fault that `flaw` is in a message of this kind.
    func fault(_ flaw: Flaw) -> HTTPFault { self == .request ? .request(flaw) : .response(flaw) }
}
