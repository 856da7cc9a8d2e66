import Base
import Glibc
import Synchronization

/// How many descriptors the process may have, and how many of them clients may take.
///
/// The kernel gives the lowest number that is free: a new descriptor with a high number says that all below it are in use.
/// So nobody counts, and on the way of a connection there is one comparison.
public enum Descriptors {
    /// Numbers from here on are not for clients, nor for what is opened on their behalf.
    private static let clientsEnd = Atomic<Int32>(.max)

    /// Whether enough are left for all else when a client, or its upstream, has this one.
    @inline(__always)
    public static func areLeft(behind fd: Int32) -> Bool { fd < clientsEnd.load(ordering: .relaxed) }

    /// As many as the system gives: the soft limit of most is for interactive programs. How many that are.
    public static func raiseLimit() -> Int {
        var limit = read()
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if unsafe setrlimit(which, &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// Goes by the limit as it is now; somebody may have changed it (prlimit(2)). Called now and then.
    public static func keepSome(workers: Int) {
        let limit = Self.limit
        clientsEnd.store(Int32(clamping: limit - kept(of: limit, workers: workers)), ordering: .relaxed)
    }

    /// How many the process may have, as things stand.
    public static var limit: Int { Int(clamping: read().rlim_cur) }

    /// Those that clients leave to all else.
    public static func kept(of limit: Int, workers: Int) -> Int {
        min(Limits.descriptorsKept + workers * Limits.descriptorsKeptPerWorker, limit / Limits.descriptorsKeptShare)
    }

    private static let which = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    /// Like `setrlimit` it only looks at the value that it is given.
    /// Where it does not tell, there is none that we know of, and the kernel's own word comes with each descriptor.
    private static func read() -> rlimit {
        var limit = rlimit()
        return unsafe getrlimit(which, &limit) == 0 ? limit : rlimit(rlim_cur: .max, rlim_max: .max)
    }
}
