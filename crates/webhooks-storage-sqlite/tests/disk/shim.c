/* Stands between a process and the files of one folder, by LD_PRELOAD.
 *
 * WEBHOOKS_DISK_FOLDER  the folder
 * WEBHOOKS_DISK_LOG     where each change of a file in it is recorded, in the order in which they
 *                       happened, if it is set
 *
 * While the folder has a file "fails" every change and sync there ends with EIO; while it has a file
 * "refuses", with EROFS, as on a file system that the kernel has made read-only.
 *
 * A record: kind (w, t, s, u), length of the path, offset, length of the data, each of the three in
 * 8 bytes of this machine's order; the path; the data. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_file = -1;

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

static int is_watched_path(const char *path) {
    const char *folder = getenv("WEBHOOKS_DISK_FOLDER");
    size_t length = strlen(path);
    return folder && strncmp(path, folder, strlen(folder)) == 0
        /* Mapped into memory, and worth nothing after a crash. */
        && (length < 4 || strcmp(path + length - 4, "-shm") != 0);
}

/* The path of an open file, if it is one of the folder. */
static int is_watched(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0) return 0;
    path[length] = 0;
    return is_watched_path(path);
}

static int has(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("WEBHOOKS_DISK_FOLDER"), name);
    return access(path, F_OK) == 0;
}

/* Whether a fault is on for a file. It tells by errno which. What was acknowledged is noted all the
 * same. */
static int is_faulty(const char *path) {
    if (strstr(path, "/acknowledged")) return 0;
    int fault = has("fails") ? EIO : has("refuses") ? EROFS : 0;
    if (fault) errno = fault;
    return fault != 0;
}

static void record(char kind, const char *path, int64_t offset, const void *data, size_t length) {
    const char *log = getenv("WEBHOOKS_DISK_LOG");
    if (!log) return;
    if (log_file < 0) log_file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    uint64_t numbers[3] = {strlen(path), (uint64_t)offset, length};
    REAL(write, log_file, &kind, 1);
    REAL(write, log_file, numbers, sizeof numbers);
    REAL(write, log_file, path, numbers[0]);
    if (length) REAL(write, log_file, data, length);
}

/* The lock is held over change and record, so that records have the order of the changes. */
#define WATCHED(fd, real, kind, offset, data, length)                                     \
    do {                                                                                  \
        char path[4096];                                                                  \
        if (!is_watched(fd, path)) return real;                                           \
        pthread_mutex_lock(&lock);                                                        \
        __typeof__(real) done = -1;                                                       \
        if (!is_faulty(path)) {                                                             \
            int64_t at = offset;                                                          \
            done = real;                                                                  \
            if (done >= 0) record(kind, path, at, data, (size_t)(length));                \
        }                                                                                 \
        int error = errno;                                                                \
        pthread_mutex_unlock(&lock);                                                      \
        errno = error;                                                                    \
        return done;                                                                      \
    } while (0)

ssize_t write(int fd, const void *data, size_t length) {
    WATCHED(fd, REAL(write, fd, data, length), 'w', lseek(fd, 0, SEEK_CUR), data, done);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    WATCHED(fd, REAL(pwrite, fd, data, length, offset), 'w', offset, data, done);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    WATCHED(fd, REAL(pwrite64, fd, data, length, offset), 'w', offset, data, done);
}
int ftruncate(int fd, off_t length) {
    WATCHED(fd, REAL(ftruncate, fd, length), 't', length, NULL, 0);
}
int ftruncate64(int fd, off64_t length) {
    WATCHED(fd, REAL(ftruncate64, fd, length), 't', length, NULL, 0);
}
int fsync(int fd) { WATCHED(fd, REAL(fsync, fd), 's', 0, NULL, 0); }
int fdatasync(int fd) { WATCHED(fd, REAL(fdatasync, fd), 's', 0, NULL, 0); }

int unlink(const char *path) {
    if (!is_watched_path(path)) return REAL(unlink, path);
    pthread_mutex_lock(&lock);
    int done = is_faulty(path) ? -1 : REAL(unlink, path);
    if (done == 0) record('u', path, 0, NULL, 0);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

/* What is opened to be written is refused; SQLite then opens it to be read. */
#define OPENED(name)                                                                      \
    mode_t mode = 0;                                                                      \
    if (flags & O_CREAT) {                                                                \
        va_list rest;                                                                     \
        va_start(rest, flags);                                                            \
        mode = va_arg(rest, mode_t);                                                      \
        va_end(rest);                                                                     \
    }                                                                                     \
    int writes = (flags & O_ACCMODE) != O_RDONLY;                                         \
    if (writes && is_watched_path(path) && is_faulty(path)) return -1;                        \
    return REAL(name, path, flags, mode);

int open(const char *path, int flags, ...) { OPENED(open) }
int open64(const char *path, int flags, ...) { OPENED(open64) }
