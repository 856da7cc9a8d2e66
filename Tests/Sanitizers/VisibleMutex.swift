import Glibc
import Synchronization

/// The slow paths of `Synchronization.Mutex`, in code that the thread sanitizer can see. Those of the toolchain are in a
/// library that was built without it: of a lock that had to be waited for it does not know that it was taken, and it
/// reports what the lock protects as a race. Linked into a program, these take the place of the library's. They turn
/// instead of waiting in the kernel, so nobody ever has to be woken.
struct VisibleMutex: ~Copyable {
    /// The id of the thread that holds the lock; 0 for none. As in the library's `_MutexHandle`.
    let holder: Atomic<UInt32>

    @_silgen_name("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF")
    borrowing func lockSlow(_ thread: UInt32) {
        while !isTaken(by: thread) { sched_yield() }
    }

    /// Called once the lock was found to be held.
    @_silgen_name("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF")
    borrowing func tryLockSlow() -> Bool { false }

    private borrowing func isTaken(by thread: UInt32) -> Bool {
        holder.compareExchange(expected: 0, desired: thread, successOrdering: .acquiring, failureOrdering: .relaxed)
            .exchanged
    }
}
