/* A machine that a test boots: MACHINE names a file, shared with the test, with the nanoseconds to add to the wall clock and
 * the seconds to add to the monotonic clock; BOOT names what is read in the place of the kernel's boot id; while the file
 * STALL is there, a disk keeps who waits for it waiting. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic(_Atomic int64_t *) added;

__attribute__((constructor)) static void share(void) {
    const char *path = getenv("MACHINE");
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (file < 0) return;
    void *shared = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) added = shared;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    _Atomic int64_t *shared = added;
    if (result != 0 || !shared) return result;
    if (clock == CLOCK_MONOTONIC) now->tv_sec += shared[1];
    if (clock == CLOCK_REALTIME) {
        int64_t time = now->tv_sec * 1000000000LL + now->tv_nsec + shared[0];
        now->tv_sec = time / 1000000000;
        now->tv_nsec = time % 1000000000;
    }
    return result;
}

/* The kernel waits by a clock of its own. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
    static int (*_Atomic real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) {
        void *found = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
        real = found ? found : dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    }
    struct timespec end = *deadline;
    _Atomic int64_t *shared = added;
    if (shared) end.tv_sec = end.tv_sec > shared[1] ? end.tv_sec - shared[1] : 0;
    return real(condition, mutex, &end);
}

static const char *place(const char *path) {
    const char *boot = getenv("BOOT");
    return boot && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot : path;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return (int)syscall(SYS_openat, AT_FDCWD, place(path), flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return (int)syscall(SYS_openat, AT_FDCWD, place(path), flags, mode);
}

static void wait_for_disk(void) {
    const char *stall = getenv("STALL");
    struct timespec pause = {0, 20000000};
    while (stall && syscall(SYS_access, stall, F_OK) == 0) syscall(SYS_nanosleep, &pause, NULL);
}

int fsync(int file) {
    wait_for_disk();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    wait_for_disk();
    return (int)syscall(SYS_fdatasync, file);
}
