/// A part of a body on its way through. It stands in a room of the loop and is lent for the length of a call: whoever is
/// given it sends it or copies it before returning. In front of the data and behind it there is room for framing.
@safe public struct BodyPart {
    /// Good until the call returns that it is lent for.
    public var data: UnsafeMutableRawBufferPointer
    /// Nothing comes after it.
    public var isLast: Bool
    /// Field lines, each with its CRLF, that were checked; only with the last part.
    public var trailers: [UInt8]

    /// Bytes of data.
    @inlinable
    public var count: Int { unsafe data.count }
    @inlinable
    public var isEmpty: Bool { count == 0 }

    @inlinable
    public init(_ data: UnsafeMutableRawBufferPointer, isLast: Bool, trailers: [UInt8] = []) {
        unsafe (self.data, self.isLast, self.trailers) = (data, isLast, trailers)
    }

    /// No data, and none to come.
    @inlinable
    public static var end: BodyPart {
        unsafe BodyPart(UnsafeMutableRawBufferPointer(start: nil, count: 0), isLast: true)
    }
    /// No data yet.
    @inlinable
    public static var nothing: BodyPart {
        unsafe BodyPart(UnsafeMutableRawBufferPointer(start: nil, count: 0), isLast: false)
    }
}
