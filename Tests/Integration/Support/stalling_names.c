/* getaddrinfo as a test wants it, for LD_PRELOAD. By the end of the name: `.stalls.test` is not answered for half a
   minute, `.slow.test` after 300 ms, `.gone.test` is unknown; anything else is 127.0.0.1. Each question is a line in the
   file that STALLING_NAMES names. */
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct found {
    struct addrinfo info;
    struct sockaddr_in address;
};

static int ends(const char *name, const char *end) {
    size_t length = strlen(name), size = strlen(end);
    return length >= size && !strcmp(name + length - size, end);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    char line[300];
    size_t length = strnlen(name, sizeof line - 1);
    memcpy(line, name, length);
    line[length] = '\n';
    int log = open(getenv("STALLING_NAMES"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log >= 0 && write(log, line, length + 1) < 0) return EAI_SYSTEM;
    close(log);
    if (ends(name, ".stalls.test")) {
        sleep(30);
        return EAI_AGAIN;
    }
    if (ends(name, ".slow.test")) usleep(300000);
    if (ends(name, ".gone.test")) return EAI_NONAME;
    struct found *found = calloc(1, sizeof *found);
    found->address.sin_family = AF_INET;
    found->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    found->info.ai_family = AF_INET;
    found->info.ai_socktype = SOCK_STREAM;
    found->info.ai_addr = (struct sockaddr *)&found->address;
    found->info.ai_addrlen = sizeof found->address;
    *result = &found->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *list) { free(list); }
