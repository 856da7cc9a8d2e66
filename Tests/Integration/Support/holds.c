/* Who opens the folder HOLD_FOLDER first makes the file HOLD_MARK, and goes on once that is gone. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

DIR *opendir(const char *path) {
    static __typeof__(&opendir) real;
    if (!real) real = dlsym(RTLD_NEXT, "opendir");
    const char *folder = getenv("HOLD_FOLDER"), *mark = getenv("HOLD_MARK");
    if (folder && strcmp(path, folder) == 0) {
        close(open(mark, O_CREAT | O_WRONLY, 0600));
        while (access(mark, F_OK) == 0) usleep(1000);
    }
    return real(path);
}
