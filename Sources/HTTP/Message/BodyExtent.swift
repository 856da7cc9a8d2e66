/// What is known of a body's length when its head is sent on. How its end is then marked is the sending protocol's own.
public enum BodyExtent: Equatable, Sendable {
    /// There is none.
    case none
    /// In bytes.
    case length(UInt64)
    case unknown

    public init(_ framing: BodyFraming) {
        switch framing {
        case .none: self = .none
        case .length(let length): self = .length(length)
        case .chunked, .untilClose: self = .unknown
        }
    }
}
