/// Something of OpenSSL's that is ours to free. It goes when its scope is left, by a throw, a return or at the end, or with
/// the object that has it, unless it was taken: between a `_new` and its `_free` there is no way out that forgets the second.
/// Whoever makes one answers for its being his, and for `free` being the right one; from there on the pointer is good for as
/// long as this is.
@safe struct Owned: ~Copyable {
    typealias Free = @convention(c) (OpaquePointer?) -> Void

    /// Good as long as this is.
    let pointer: OpaquePointer
    private let free: Free

    /// Nil where nothing was made.
    init?(_ made: OpaquePointer?, _ free: Free) {
        guard let made = unsafe made else { return nil }
        unsafe (pointer, self.free) = (made, free)
    }

    deinit { unsafe free(pointer) }

    /// From here on it is the caller's to free.
    consuming func take() -> OpaquePointer {
        let pointer = unsafe pointer
        discard self
        return unsafe pointer
    }
}
