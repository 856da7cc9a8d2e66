import CLinux
import Glibc

/// A POSIX thread that runs one function.
public struct Thread: Sendable {
    private let id: pthread_t

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(_ name: String, _ body: @escaping @Sendable () -> Void) { (self.name, self.body) = (name, body) }
    }

    /// Starts it at once. `name` is cut at 15 bytes, as the kernel wants it.
    public init(_ name: String, _ body: @escaping @Sendable () -> Void) {
        var id = pthread_t()
        let start = Unmanaged.passRetained(Start(String(name.prefix(15)), body))
        let result = pthread_create(&id, nil, { argument in
            let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
            _ = c_prctl_name(start.name)
            start.body()
            return nil
        }, start.toOpaque())
        precondition(result == 0, "pthread_create failed")
        self.id = id
    }

    /// Waits until its function has returned.
    public func join() { pthread_join(id, nil) }

    public func detach() { pthread_detach(id) }
}
