/* getaddrinfo of a world that a test describes: slow names, failing names, names with several addresses.
 *
 * NAMES names a file, read anew at each look-up, so that a test may change the world while the process runs. A line:
 *
 *     PATTERN LEAST_MS MOST_MS FAILURES_PERCENT ADDRESS...
 *
 * The first line whose pattern fits tells how long the look-up takes, how often it fails, and what it finds. A name
 * that no line fits is the real resolver's. NAMES_SEED seeds the chances. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fnmatch.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ADDRESSES_MAX = 16 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct fate {
    unsigned least, most, failures;
    int count;
    union address addresses[ADDRESSES_MAX];
};

/* A number from 0 to bound, both included. */
static uint64_t chance(uint64_t bound) {
    static atomic_uint_fast64_t drawn;
    const char *seed = getenv("NAMES_SEED");
    uint64_t x = (seed ? strtoull(seed, NULL, 10) : 0) + 0x9E3779B97F4A7C15u * (1 + atomic_fetch_add(&drawn, 1));
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (x ^ (x >> 31)) % (bound + 1);
}

static int read_address(const char *word, union address *address) {
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, word, &address->v4.sin_addr) == 1) return address->any.sa_family = AF_INET, 1;
    if (inet_pton(AF_INET6, word, &address->v6.sin6_addr) == 1) return address->any.sa_family = AF_INET6, 1;
    return 0;
}

static int read_fate(char *line, const char *name, struct fate *fate) {
    char pattern[256];
    int used = 0;
    if (sscanf(line, "%255s %u %u %u%n", pattern, &fate->least, &fate->most, &fate->failures, &used) != 4) return 0;
    if (fnmatch(pattern, name, 0) != 0) return 0;
    fate->count = 0;
    char *rest = NULL, *word = strtok_r(line + used, " \n", &rest);
    for (; word && fate->count < ADDRESSES_MAX; word = strtok_r(NULL, " \n", &rest))
        if (read_address(word, &fate->addresses[fate->count])) fate->count++;
    return 1;
}

static int find_fate(const char *name, struct fate *fate) {
    const char *path = getenv("NAMES");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) return 0;
    char line[1024];
    int found = 0;
    while (!found && fgets(line, sizeof line, file)) found = read_fate(line, name, fate);
    fclose(file);
    return found;
}

static void wait_ms(uint64_t ms) {
    struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {}
}

/* One block an entry, the address behind it: as glibc's freeaddrinfo frees them. */
static struct addrinfo *entry(const union address *address, struct addrinfo *next) {
    struct addrinfo *made = calloc(1, sizeof *made + sizeof *address);
    if (!made) return NULL;
    memcpy(made + 1, address, sizeof *address);
    made->ai_family = address->any.sa_family;
    made->ai_socktype = SOCK_STREAM;
    made->ai_addrlen = made->ai_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
    made->ai_addr = (struct sockaddr *)(made + 1);
    made->ai_next = next;
    return made;
}

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    struct fate fate;
    if (!name || !find_fate(name, &fate)) {
        look_up *real = (look_up *)dlsym(RTLD_NEXT, "getaddrinfo");
        return real(name, service, hints, list);
    }
    wait_ms(fate.least + (fate.most > fate.least ? chance(fate.most - fate.least) : 0));
    if (fate.count == 0 || chance(99) < fate.failures) return EAI_AGAIN;
    *list = NULL;
    while (fate.count > 0) {
        struct addrinfo *first = entry(&fate.addresses[--fate.count], *list);
        if (!first) return freeaddrinfo(*list), EAI_MEMORY;
        *list = first;
    }
    return 0;
}
