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
// A message on a socket of the machine's own, with a descriptor beside it or -1 (cmsg(3): macros all of it).
static inline ssize_t c_send_with_descriptor(int socket, const void *data, size_t size, int descriptor, int flags) {
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        *(int *)CMSG_DATA(&control.header) = descriptor;
    }
    return sendmsg(socket, &message, flags);
}
// Never waits. The descriptor is closed on exec; -1 where none came.
static inline ssize_t c_receive_with_descriptor(int socket, void *data, size_t size, int *descriptor) {
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    *descriptor = -1;
    ssize_t count = recvmsg(socket, &message, MSG_DONTWAIT | 0x40000000 /* MSG_CMSG_CLOEXEC */);
    if (count >= 0 && message.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_level == SOL_SOCKET &&
        control.header.cmsg_type == SCM_RIGHTS)
        *descriptor = *(int *)CMSG_DATA(&control.header);
    return count;
}
static inline void c_prefetch(const void *address) { __builtin_prefetch(address, 1); }
static inline int c_prctl_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }
#endif
