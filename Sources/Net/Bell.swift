import Base
import Glibc

/// Wakes a thread that waits for it: a condition variable, for that takes no descriptor and can't fail.
@safe public final class Bell: Sendable {
    @unsafe private struct Parts {
        var mutex = unsafe pthread_mutex_t()
        var condition = pthread_cond_t()
        /// Under the mutex.
        var isRung = false
    }

    /// Both must stay where they were made, which a property's storage need not. Nobody uses them before `init` has made
    /// them or once `deinit` runs, and what the threads share they use under the mutex.
    private nonisolated(unsafe) let parts = UnsafeMutablePointer<Parts>.allocate(capacity: 1)

    public init() {
        unsafe parts.initialize(to: Parts())
        unsafe pthread_mutex_init(&parts.pointee.mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(&parts.pointee.condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(&parts.pointee.condition)
        unsafe pthread_mutex_destroy(&parts.pointee.mutex)
        unsafe parts.deallocate()
    }

    /// From any thread. It is heard once, now or at the next wait.
    public func ring() {
        unsafe pthread_mutex_lock(&parts.pointee.mutex)
        unsafe parts.pointee.isRung = true
        unsafe pthread_cond_signal(&parts.pointee.condition)
        unsafe pthread_mutex_unlock(&parts.pointee.mutex)
    }

    /// Until it rings, or for so many nanoseconds. Whether it rang.
    @discardableResult
    public func wait(atMost nanoseconds: UInt64 = .max) -> Bool {
        let (end, isFar) = Clock.monotonic().addingReportingOverflow(nanoseconds)
        var deadline = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
        unsafe pthread_mutex_lock(&parts.pointee.mutex)
        defer {
            unsafe parts.pointee.isRung = false
            unsafe pthread_mutex_unlock(&parts.pointee.mutex)
        }
        while unsafe !parts.pointee.isRung {
            let result =
                unsafe isFar
                ? pthread_cond_wait(&parts.pointee.condition, &parts.pointee.mutex)
                : pthread_cond_timedwait(&parts.pointee.condition, &parts.pointee.mutex, &deadline)
            if result != 0 { break }
        }
        return unsafe parts.pointee.isRung
    }
}
