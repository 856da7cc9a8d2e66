#ifndef C_LINUX_H
#define C_LINUX_H
// What Swift's Glibc module leaves out. GNU-only prototypes are declared by hand: that module is built without
// _GNU_SOURCE, and defining it here would clash with it.
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int pipe2(int fds[2], int flags);
void *memmem(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length);

// epoll_event is packed, and its data is a union: these two keep that out of Swift.
static inline int c_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static inline int c_epoll_delete(int epoll, int fd) {
    struct epoll_event event = {0};
    return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
}
static inline void c_prefetch(const void *address) { __builtin_prefetch(address, 1); }
static inline int c_prctl_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }
#endif
