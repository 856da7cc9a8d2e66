/// A reference that is not counted, and costs nothing to keep or to follow. Somebody else must keep the object for as long
/// as it is followed: whoever makes one answers for that, so making it is the unsafe step, and following it is none.
@safe public struct Uncounted<Object: AnyObject> {
    private let reference: Unmanaged<Object>

    @unsafe @inline(__always)
    public init(_ object: Object) { unsafe reference = .passUnretained(object) }

    /// Counts the object once more, which keeps it until `release`.
    @unsafe @inline(__always)
    public static func retaining(_ object: Object) -> Uncounted {
        _ = unsafe Unmanaged.passRetained(object)
        return unsafe Uncounted(object)
    }

    /// Hands over what `retaining` counted. Call once; from then on somebody else must keep the object.
    @unsafe @inline(__always)
    public func release() -> Object { unsafe reference.takeRetainedValue() }

    @inline(__always)
    public func follow<Result>(_ body: (Object) -> Result) -> Result { unsafe reference._withUnsafeGuaranteedRef(body) }

    /// The object, counted as long as it is held: for what may make others let go of it.
    @inline(__always)
    public var counted: Object { unsafe reference.takeUnretainedValue() }

    /// Asks the processor for the object's first cache lines, without following the reference.
    @inline(__always)
    public func prefetch(lines: Int) { unsafe Base.prefetch(reference.toOpaque(), lines: lines) }
}
