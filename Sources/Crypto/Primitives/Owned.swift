/// Something of OpenSSL's that is ours to free. It goes when its scope is left, by a throw, a return or at the end, unless
/// it was taken: between a `_new` and its `_free` there is no way out that forgets the second.
struct Owned: ~Copyable {
    typealias Free = @convention(c) (OpaquePointer?) -> Void

    /// Good as long as this is.
    let pointer: OpaquePointer
    private let free: Free

    /// Nil where nothing was made.
    init?(_ made: OpaquePointer?, _ free: Free) {
        guard let made else { return nil }
        (pointer, self.free) = (made, free)
    }

    deinit { free(pointer) }

    /// From here on it is the caller's to free.
    consuming func take() -> OpaquePointer {
        let pointer = pointer
        discard self
        return pointer
    }
}
