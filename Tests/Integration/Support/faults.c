// Stands between the gateway and libc (LD_PRELOAD) and fails the calls that a test wants to fail. What to fail is told
// through a file that both map, so that it may change while the gateway runs; how often each call was made and failed
// comes back the same way. Support/faults.py is the other side, and reads the list of calls below.
//
// Left out is memory: where there is none, Swift ends the process by itself.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// `say` is a write to standard output or error: a start that fails has to tell why.
#define CALLS(X)                                                                                                     \
    X(accept4) X(access) X(bind) X(close) X(connect) X(epoll_create1) X(epoll_ctl) X(epoll_wait)    \
    X(eventfd) X(fchmod) X(fcntl) X(fdatasync) X(flock) X(fopen) X(fopen64) X(fstat) X(fsync) X(ftruncate)           \
    X(getaddrinfo) X(getcwd) X(gethostname) X(getifaddrs) X(getrlimit) X(getsockname) X(getsockopt) X(glob) X(ioctl) X(link) X(listen) X(lstat) X(mkdir) X(mmap)     \
    X(msync) X(munmap) X(open) X(opendir) X(pipe2) X(poll) X(posix_fallocate) X(posix_spawn) X(posix_spawnp) X(pread) X(prctl)               \
    X(pthread_create) X(pthread_sigmask) X(pwrite) X(read) X(readdir) X(readlink) X(recv) X(recvmsg) X(rename) X(say) X(send) X(sendmsg)   \
    X(sendto) X(setpriority) X(setrlimit) X(setsockopt) X(shutdown) X(sigaction) X(signalfd) X(socket) X(socketpair) X(stat)       \
    X(sysconf) X(unlink) X(waitid) X(waitpid) X(write)

enum call {
#define X(name) CALL_##name,
    CALLS(X)
#undef X
};

enum { ERRORS = 8, SHORT = 1000 };

struct rule {
    uint64_t calls, failed;
    uint32_t chance;  // of 65536
    int32_t skip;     // calls that go through before
    int32_t limit;    // failures that there may be
    uint32_t errorCount;
    int32_t errors[ERRORS];
};

static struct control {
    uint64_t armed, seed;
    int64_t wallSeconds;  // added to the time of day
    uint64_t unused[5];
    struct rule rules[];
} *control;

__attribute__((constructor(101))) static void map_control(void) {
    const char *path = getenv("FAULTS");
    if (!path) return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    struct stat status;
    if (fd < 0 || syscall(SYS_fstat, fd, &status) != 0) abort();
    control = (void *)syscall(SYS_mmap, 0, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
}

static uint64_t draw(void) {
    uint64_t z = __atomic_add_fetch(&control->seed, 0x9E3779B97F4A7C15, __ATOMIC_RELAXED);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

/// The error that this call is to fail with; zero lets it through.
static int fault(enum call call) {
    if (!control) return 0;
    struct rule *rule = &control->rules[call];
    __atomic_add_fetch(&rule->calls, 1, __ATOMIC_RELAXED);
    uint32_t errors = __atomic_load_n(&rule->errorCount, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE) || errors == 0) return 0;
    if (rule->chance < 65536 && (draw() & 65535) >= rule->chance) return 0;
    if (rule->skip > 0 && __atomic_fetch_sub(&rule->skip, 1, __ATOMIC_RELAXED) > 0) return 0;
    if (rule->limit <= 0 || __atomic_fetch_sub(&rule->limit, 1, __ATOMIC_RELAXED) <= 0) return 0;
    __atomic_add_fetch(&rule->failed, 1, __ATOMIC_RELAXED);
    return rule->errors[draw() % errors];
}

#define REAL(name)                              \
    static __typeof__(&name) real;              \
    if (!real) real = dlsym(RTLD_NEXT, #name)

/// Calls that fail with `failure` and say why in `errno`.
#define WRAP(type, name, failure, parameters, arguments) \
    type name parameters {                               \
        REAL(name);                                      \
        int error = fault(CALL_##name);                  \
        if (!error) return real arguments;               \
        errno = error;                                   \
        return failure;                                  \
    }

/// Calls that return why they failed.
#define WRAP_CODE(name, parameters, arguments) \
    int name parameters {                      \
        REAL(name);                            \
        int error = fault(CALL_##name);        \
        return error ? error : real arguments; \
    }

/// Calls that move bytes: `SHORT` moves a part of them.
#define WRAP_BYTES(call, name, parameters, arguments)                \
    ssize_t name parameters {                                        \
        REAL(name);                                                  \
        int error = fault(call);                                     \
        if (error == SHORT && size > 1) size = size / 2, error = 0;  \
        if (!error || error == SHORT) return real arguments;         \
        errno = error;                                               \
        return -1;                                                   \
    }

WRAP(int, accept4, -1, (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags))
WRAP(int, access, -1, (const char *path, int mode), (path, mode))
WRAP(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
WRAP(int, connect, -1, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int epoll, int operation, int fd, struct epoll_event *event), (epoll, operation, fd, event))
WRAP(int, epoll_wait, -1, (int epoll, struct epoll_event *events, int count, int time), (epoll, events, count, time))
WRAP(int, eventfd, -1, (unsigned value, int flags), (value, flags))
WRAP(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, fdatasync, -1, (int fd), (fd))
WRAP(int, flock, -1, (int fd, int operation), (fd, operation))
WRAP(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP(FILE *, fopen64, NULL, (const char *path, const char *mode), (path, mode))
WRAP(int, fstat, -1, (int fd, struct stat *status), (fd, status))
WRAP(int, fsync, -1, (int fd), (fd))
WRAP(int, ftruncate, -1, (int fd, off_t size), (fd, size))
WRAP(char *, getcwd, NULL, (char *room, size_t size), (room, size))
WRAP(int, gethostname, -1, (char *room, size_t size), (room, size))
WRAP(int, getifaddrs, -1, (struct ifaddrs **list), (list))
WRAP(int, getrlimit, -1, (__rlimit_resource_t which, struct rlimit *limit), (which, limit))
WRAP(int, getsockname, -1, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
WRAP(int, getsockopt, -1, (int fd, int level, int name, void *value, socklen_t *length), (fd, level, name, value, length))
WRAP(int, link, -1, (const char *from, const char *to), (from, to))
WRAP(int, listen, -1, (int fd, int backlog), (fd, backlog))
WRAP(int, lstat, -1, (const char *restrict path, struct stat *restrict status), (path, status))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(void *, mmap, MAP_FAILED, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))
WRAP(int, msync, -1, (void *at, size_t size, int flags), (at, size, flags))
WRAP(int, munmap, -1, (void *at, size_t size), (at, size))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(int, pipe2, -1, (int fds[2], int flags), (fds, flags))
WRAP(int, poll, -1, (struct pollfd *fds, nfds_t count, int time), (fds, count, time))
WRAP(struct dirent *, readdir, NULL, (DIR *folder), (folder))
WRAP(ssize_t, readlink, -1, (const char *path, char *room, size_t size), (path, room, size))
WRAP(ssize_t, recvmsg, -1, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, rename, -1, (const char *from, const char *to), (from, to))
WRAP(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, setpriority, -1, (__priority_which_t which, id_t who, int value), (which, who, value))
WRAP(int, setrlimit, -1, (__rlimit_resource_t which, const struct rlimit *limit), (which, limit))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t size), (fd, level, name, value, size))
WRAP(int, shutdown, -1, (int fd, int how), (fd, how))
WRAP(int, sigaction, -1, (int number, const struct sigaction *new, struct sigaction *old), (number, new, old))
WRAP(int, signalfd, -1, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, socketpair, -1, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
WRAP(int, stat, -1, (const char *restrict path, struct stat *restrict status), (path, status))
WRAP(long, sysconf, -1, (int name), (name))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, waitid, -1, (idtype_t kind, id_t id, siginfo_t *info, int options), (kind, id, info, options))
WRAP(pid_t, waitpid, -1, (pid_t pid, int *status, int options), (pid, status, options))

WRAP_CODE(getaddrinfo, (const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list),
          (name, service, hints, list))
WRAP_CODE(glob, (const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found),
          (pattern, flags, failed, found))
WRAP_CODE(posix_fallocate, (int fd, off_t offset, off_t size), (fd, offset, size))
WRAP_CODE(posix_spawn, (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
          const posix_spawnattr_t *attributes, char *const words[], char *const environment[]),
          (pid, path, actions, attributes, words, environment))
WRAP_CODE(posix_spawnp, (pid_t *pid, const char *name, const posix_spawn_file_actions_t *actions,
          const posix_spawnattr_t *attributes, char *const words[], char *const environment[]),
          (pid, name, actions, attributes, words, environment))
WRAP_CODE(pthread_create, (pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument),
          (thread, attributes, body, argument))
WRAP_CODE(pthread_sigmask, (int how, const sigset_t *new, sigset_t *old), (how, new, old))

WRAP_BYTES(CALL_pread, pread, (int fd, void *room, size_t size, off_t offset), (fd, room, size, offset))
WRAP_BYTES(CALL_pwrite, pwrite, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset))
WRAP_BYTES(CALL_read, read, (int fd, void *room, size_t size), (fd, room, size))
WRAP_BYTES(CALL_recv, recv, (int fd, void *room, size_t size, int flags), (fd, room, size, flags))
WRAP_BYTES(CALL_send, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags))
WRAP_BYTES(CALL_sendto, sendto, (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address,
           socklen_t length), (fd, bytes, size, flags, address, length))
WRAP_BYTES(fd == 1 || fd == 2 ? CALL_say : CALL_write, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))

/// The descriptor is gone all the same (close(2)).
int close(int fd) {
    REAL(close);
    int error = fault(CALL_close), result = real(fd);
    if (!error) return result;
    errno = error;
    return -1;
}

/// Of a clock that there is it can't fail: but it may be set to anything.
int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int result = real(clock, time);
    if (control && clock == CLOCK_REALTIME) time->tv_sec += control->wallSeconds;
    return result;
}

#define VARIADIC(name, first, second, parameters)  \
    int name parameters {                          \
        REAL(name);                                \
        va_list list;                              \
        va_start(list, second);                    \
        long more = va_arg(list, long);            \
        va_end(list);                              \
        int error = fault(CALL_##name);            \
        if (!error) return real(first, second, more); \
        errno = error;                             \
        return -1;                                 \
    }
VARIADIC(open, path, flags, (const char *path, int flags, ...))
VARIADIC(fcntl, fd, command, (int fd, int command, ...))
VARIADIC(ioctl, fd, request, (int fd, unsigned long request, ...))

int prctl(int option, ...) {
    int (*real)(int, ...) = dlsym(RTLD_NEXT, "prctl");
    va_list list;
    va_start(list, option);
    long first = va_arg(list, long);
    va_end(list);
    int error = fault(CALL_prctl);
    if (!error) return real(option, first, 0, 0, 0);
    errno = error;
    return -1;
}
