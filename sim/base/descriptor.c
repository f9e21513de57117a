/* Descriptors: see descriptor.h. */
#include "sim/base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
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

const char *es_descriptor_place(void)
{
    const char *place = getenv("TMPDIR");
    return place && *place ? place : "/tmp";
}

es_code es_descriptor_scratch(int *fd, const char *what, es_err *err)
{
    const char *place = es_descriptor_place();
    es_text name = { 0 };
#ifdef O_TMPFILE
    *fd = open(place, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0)
        return ES_OK;
#endif
    es_text_add(&name, "%s/expertsim-scratch-XXXXXX", place);      /* mkstemp's to fill in */
    if (name.failed)
        return es_err_nomem(err, "a path");
    es_code code = ES_OK;
    if ((*fd = mkstemp(name.at)) >= 0)
        unlink(name.at);
    else
        code = es_err_set(err, ES_EINPUT, "%s: cannot make a scratch file for %s: %s; TMPDIR names another folder", place, what, strerror(errno));
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
    es_code code = es_descriptor_scratch(&copy, "what comes through a pipe", err);
    if (code)
        return code;
    code = descriptor_copy(fd, copy, name, err);
    if (!code && (lseek(copy, 0, SEEK_SET) != 0 || dup2(copy, fd) != fd))
        code = es_err_system(err, name, "take the copy");
    close(copy);
    return code;
}
