/* Preloaded: gives the files below LAB_ROOT/dev the mode, the numbers and the errno of opening that the scenario names,
   which only root and a kernel with the driver could arrange for real. Keys: node.<path>.{open,mode,major,minor,gid}. */
#define _GNU_SOURCE
#include "scenario.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static const char *node_text(const char *path, const char *name) {
    const char *root = getenv("LAB_ROOT");
    size_t length = root ? strlen(root) : 0;
    char key[512];
    if (!length || !path || strncmp(path, root, length) || strncmp(path + length, "/dev/", 5)) return NULL;
    if (!lines) read_scenario();
    snprintf(key, sizeof key, "node.%s.%s", path + length, name);
    return get(key);
}

static int refused(const char *path) {
    const char *word = node_text(path, "open");
    static const struct { const char *name; int code; } known[] = {
        {"EPERM", EPERM}, {"EACCES", EACCES}, {"ENXIO", ENXIO}, {"EIO", EIO}, {"ENODEV", ENODEV}, {"EBUSY", EBUSY}};
    if (word && !strcmp(word, "hang"))
        for (;;) pause();
    for (unsigned i = 0; word && i < sizeof known / sizeof *known; i++)
        if (!strcmp(word, known[i].name)) return known[i].code;
    return 0;
}

#define OPEN(name)                                                                         \
    int name(const char *path, int flags, ...) {                                           \
        static int (*real)(const char *, int, ...);                                        \
        va_list rest;                                                                      \
        va_start(rest, flags);                                                             \
        int mode = va_arg(rest, int), code = refused(path);                                \
        va_end(rest);                                                                      \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);        \
        if (code) return errno = code, -1;                                                 \
        return real(path, flags, mode);                                                    \
    }
OPEN(open)
OPEN(open64)

static int dressed(const char *path, struct stat *status, int result) {
    const char *mode = result ? NULL : node_text(path, "mode");
    if (!mode) return result;
    const char *major = node_text(path, "major"), *minor = node_text(path, "minor"), *gid = node_text(path, "gid");
    status->st_mode = S_IFCHR | (mode_t)strtol(mode, NULL, 8);
    if (gid) status->st_gid = (gid_t)atoi(gid);
    status->st_rdev = makedev(major ? atoi(major) : 195, minor ? atoi(minor) : 0);
    return result;
}
#define STAT(name)                                                                         \
    int name(const char *restrict path, struct stat *restrict status) {                    \
        static int (*real)(const char *, struct stat *);                                   \
        if (!real) real = (int (*)(const char *, struct stat *))dlsym(RTLD_NEXT, #name);   \
        return dressed(path, status, real(path, status));                                  \
    }
STAT(stat)
int stat64(const char *restrict path, struct stat64 *restrict status) {
    static int (*real)(const char *, struct stat64 *);
    if (!real) real = (int (*)(const char *, struct stat64 *))dlsym(RTLD_NEXT, "stat64");
    return dressed(path, (struct stat *)status, real(path, status)); /* one layout on 64-bit Linux */
}

/* "noexec": every file system is mounted so. */
int statvfs(const char *restrict path, struct statvfs *restrict status) {
    static int (*real)(const char *, struct statvfs *);
    if (!real) real = (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, "statvfs");
    int result = real(path, status);
    if (!lines) read_scenario();
    if (!result && get("noexec")) status->f_flag |= ST_NOEXEC;
    return result;
}
int statvfs64(const char *restrict path, struct statvfs64 *restrict status) {
    return statvfs(path, (struct statvfs *)status); /* one layout on 64-bit Linux */
}
