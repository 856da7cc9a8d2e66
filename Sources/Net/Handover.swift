import Synchronization

/// A value on its way to another thread: whoever takes it is the only one that has it. What a thread's function captures
/// lives as long as the thread; what it takes from here does not.
public final class Handover<Value: Sendable>: Sendable {
    private let value: Mutex<Value?>

    public init(_ value: Value) { self.value = Mutex(value) }

    /// nil when it was taken before.
    public func take() -> Value? {
        value.withLock { value in
            defer { value = nil }
            return value
        }
    }
}
