/* A disk whose syncs take 2.5 ms longer than those of the machine at hand:
 *
 *     gcc -shared -fPIC -o slowdisk.so benchmarks/slowdisk.c
 *     LD_PRELOAD=$PWD/slowdisk.so python -m benchmarks durable ends
 *
 * Syncs of several processes wait side by side, as on a disk with a queue of its own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int slowly(const char *name, int fd)
{
    int (*sync)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
    int result = sync(fd);
    struct timespec longer = {0, 2500000};
    nanosleep(&longer, NULL);
    return result;
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
int syncfs(int fd) { return slowly("syncfs", fd); }
