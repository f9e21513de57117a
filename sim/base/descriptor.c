/* Descriptors: see descriptor.h. */
#include "sim/base/descriptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/text.h"

enum { DESCRIPTOR_PIECE = 256 * 1024 };

int es_descriptor_of(const char *path)
{
    static const char *const folder[] = { "/dev/fd/", "/proc/self/fd/" };
    if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdin") == 0)
        return 0;
    for (size_t i = 0; i < sizeof folder / sizeof *folder; i++) {
        const char *digits = path + strlen(folder[i]);
        if (strncmp(path, folder[i], strlen(folder[i])) == 0 && *digits && strlen(digits) < 8 && digits[strspn(digits, "0123456789")] == '\0')
            return atoi(digits);
    }
    return -1;
}

/* A file in TMPDIR that is gone when it is closed. */
static es_code descriptor_nameless(int *fd, es_err *err)
{
    const char *place = getenv("TMPDIR");
    es_text name = { 0 };
    es_code code = ES_OK;
    es_text_add(&name, "%s/expertsim-input-XXXXXX", place && *place ? place : "/tmp");
    if (name.failed)
        code = es_err_nomem(err, "a path");
    else if ((*fd = mkstemp(name.at)) < 0)
        code = es_err_set(err, ES_EINPUT, "%s: cannot be made for what comes through a pipe: %s; TMPDIR names another folder", name.at, strerror(errno));
    else
        unlink(name.at);
    es_text_free(&name);
    return code;
}

bool es_descriptor_write(int fd, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t count = write(fd, at, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        at += count;
        length -= (size_t)count;
    }
    return true;
}

static es_code descriptor_copy(int from, int to, const char *path, es_err *err)
{
    char *piece = malloc(DESCRIPTOR_PIECE);
    es_code code = piece ? ES_OK : es_err_nomem(err, "a pipe");
    while (!code) {
        ssize_t count = read(from, piece, DESCRIPTOR_PIECE);
        if (count == 0)
            break;
        if (count < 0 && errno != EINTR)
            code = es_err_system(err, path, "read");
        else if (count > 0 && !es_descriptor_write(to, piece, (size_t)count))
            code = es_err_set(err, ES_EINPUT, "%s: cannot be copied to read it twice: %s; TMPDIR names another folder", path, strerror(errno));
    }
    free(piece);
    return code;
}

es_code es_descriptor_settle(const char *path, es_err *err)
{
    const int fd = es_descriptor_of(path);
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0 || !(S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode) || isatty(fd)))
        return ES_OK;
    int copy = -1;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    es_code code = descriptor_nameless(&copy, err);
    if (code)
        return code;
    code = descriptor_copy(fd, copy, name, err);
    if (!code && (lseek(copy, 0, SEEK_SET) != 0 || dup2(copy, fd) != fd))
        code = es_err_system(err, name, "take the copy");
    close(copy);
    return code;
}
