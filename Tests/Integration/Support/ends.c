/* A command that ends at a call: of those that change something on the disk, the one that ENDS_AT counts to (from 0) is its
 * last. By ENDS_HOW the process is killed in front of it (`kill`) or, of a write, in the middle of it (`torn`); or from there on
 * the disk is full (`full`) or broken (`broken`). The file ENDS_MARK is made then: without it there were not so many. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long left = -1;
static atomic_int over;
static const char *how = "";

__attribute__((constructor)) static void begin(void) {
    const char *at = getenv("ENDS_AT");
    if (!at) return;
    left = atol(at);
    how = getenv("ENDS_HOW");
}

enum kind { WRITES, MAKES, OTHER };

static void die(void) { syscall(SYS_kill, syscall(SYS_getpid), SIGKILL); }

static int is(const char *name) { return strcmp(how, name) == 0; }

/* The error that the call is to fail with; zero lets it through. `half`: of a write, half of it is to be done before the end. */
static int end(enum kind kind, int *half) {
    if (left < 0 && !over) return 0;
    if (!over && atomic_fetch_sub(&left, 1) > 0) return 0;
    if (!over) {
        over = 1;
        int mark = (int)syscall(SYS_openat, AT_FDCWD, getenv("ENDS_MARK"), O_CREAT | O_WRONLY, 0600);
        syscall(SYS_close, mark);
    }
    if (is("kill")) die();
    if (is("torn")) {
        if (kind == WRITES && half) *half = 1; else die();
        return 0;
    }
    if (is("broken")) return EIO;
    /* What takes no more room goes on. */
    return kind == OTHER ? 0 : ENOSPC;
}

#define REAL(name)                              \
    static __typeof__(&name) real;              \
    if (!real) real = dlsym(RTLD_NEXT, #name)

#define CHANGES(kind, name, parameters, arguments)  \
    int name parameters {                           \
        REAL(name);                                 \
        int error = end(kind, NULL);                \
        if (!error) return real arguments;          \
        errno = error;                              \
        return -1;                                  \
    }

CHANGES(OTHER, fsync, (int file), (file))
CHANGES(OTHER, fdatasync, (int file), (file))
CHANGES(OTHER, ftruncate, (int file, off_t size), (file, size))
CHANGES(OTHER, rename, (const char *path, const char *new), (path, new))
CHANGES(OTHER, unlink, (const char *path), (path))
CHANGES(MAKES, mkdir, (const char *path, mode_t mode), (path, mode))

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    REAL(pwrite);
    int half = 0, error = end(WRITES, &half);
    if (half) {
        real(file, bytes, size / 2, offset);
        die();
    }
    if (!error) return real(file, bytes, size, offset);
    errno = error;
    return -1;
}

static int opened(const char *path, int flags, int mode) {
    struct stat status;
    /* One that is there is opened and not made. */
    int makes = (flags & O_CREAT) && syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0) != 0;
    int error = makes ? end(MAKES, NULL) : 0;
    if (!error) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    errno = error;
    return -1;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return opened(path, flags, mode);
}
