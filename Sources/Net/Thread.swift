import CLinux
import Glibc

/// A POSIX thread that runs one function.
public struct Thread: Sendable {
    private let id: pthread_t

    private final class Start {
        let name: String
        let isBackground: Bool
        let body: @Sendable () -> Void
        init(_ name: String, _ isBackground: Bool, _ body: @escaping @Sendable () -> Void) {
            (self.name, self.isBackground, self.body) = (name, isBackground, body)
        }
    }

    /// `nice` of a thread in the background: on a busy core it gets a third of what an event loop gets.
    private static let backgroundNiceness: Int32 = 5

    /// Starts it at once.
    /// - Parameters:
    ///   - name: cut at 15 bytes, as the kernel wants it.
    ///   - isBackground: whoever waits for an event loop goes first.
    /// - Throws: when the system has no thread to give. Whatever it was for does not happen, and nothing else is hurt.
    public init(
        _ name: String, isBackground: Bool = false, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        var id = pthread_t()
        // The thread takes this reference over, or nobody does where there is no thread: then it is let go here.
        let start = unsafe Unmanaged.passRetained(Start(String(name.prefix(15)), isBackground, body))
        let result = unsafe pthread_create(&id, nil, { argument in
            let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
            _ = unsafe c_prctl_name(start.name)
            // Of this thread alone: niceness is a thread's on Linux.
            if start.isBackground { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Thread.backgroundNiceness) }
            start.body()
            return nil
        }, start.toOpaque())
        guard result == 0 else {
            unsafe start.release()
            throw SystemError("can't start a thread", result)
        }
        self.id = id
    }

    /// Waits until its function has returned.
    public func join() { pthread_join(id, nil) }

    public func detach() { pthread_detach(id) }
}
