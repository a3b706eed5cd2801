/* A disk that takes its time to flush its cache: one file, to be mounted by loop.
 *
 *     apt-get install libfuse3-dev
 *     gcc -O2 -o slowdisk benchmarks/slowdisk.c $(pkg-config --cflags --libs fuse3)
 *     truncate -s 12G image && mkfs.ext4 -q -F image && mkdir disk mnt
 *     ./slowdisk image 1000 disk                       # microseconds that a flush takes longer
 *     mount $(losetup -f --show --direct-io=on disk/image) mnt
 *
 * What a sync costs is then for the file system to say, as on a real disk: a commit of the journal
 * flushes twice, a sector that is overwritten once, and who waits at the same time shares a flush.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int image;
static struct timespec longer;

static int told(ssize_t result) { return result < 0 ? -errno : (int) result; }

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *file)
{
    (void) file;
    if (strcmp(path, "/") == 0) {
        memset(st, 0, sizeof *st);
        st->st_mode = S_IFDIR | 0700;
        st->st_nlink = 2;
        return 0;
    }
    return strcmp(path, "/image") == 0 ? told(fstat(image, st)) : -ENOENT;
}

static int disk_readdir(const char *path, void *to, fuse_fill_dir_t fill, off_t at,
                        struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
    (void) path; (void) at; (void) file; (void) flags;
    fill(to, "image", NULL, 0, 0);
    return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file)
{
    (void) path;
    file->direct_io = 1;
    return 0;
}

static int disk_read(const char *p, char *to, size_t n, off_t at, struct fuse_file_info *f)
{
    (void) p; (void) f;
    return told(pread(image, to, n, at));
}

static int disk_write(const char *p, const char *from, size_t n, off_t at, struct fuse_file_info *f)
{
    (void) p; (void) f;
    return told(pwrite(image, from, n, at));
}

static int disk_fsync(const char *path, int data, struct fuse_file_info *file)
{
    (void) path; (void) data; (void) file;
    int result = told(fdatasync(image));
    nanosleep(&longer, NULL);
    return result;
}

static int disk_fallocate(const char *p, int mode, off_t at, off_t n, struct fuse_file_info *f)
{
    (void) p; (void) f;
    return told(fallocate(image, mode, at, n));
}

static const struct fuse_operations disk = {
    .getattr = disk_getattr, .readdir = disk_readdir, .open = disk_open, .read = disk_read,
    .write = disk_write, .fsync = disk_fsync, .fallocate = disk_fallocate,
};

int main(int argc, char **argv)
{
    if (argc != 4 || (image = open(argv[1], O_RDWR)) < 0) {
        fputs("usage: slowdisk IMAGE MICROSECONDS FOLDER\n", stderr);
        return 2;
    }
    long us = atol(argv[2]);
    longer = (struct timespec) {us / 1000000, us % 1000000 * 1000};
    char *words[] = {argv[0], argv[3], NULL};
    return fuse_main(2, words, &disk, NULL);
}
