/* Files: see file.h. */
#include "sim/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/descriptor.h"
#include "sim/base/reader.h"

enum { FILE_LINKS = 40 };               /* as many as the system follows */

static es_code file_slurp(es_reader *reader, size_t limit, char **data, size_t *length, es_err *err)
{
    size_t room = 64 * 1024, used = 0;
    char *at = malloc(room + 1);
    for (;;) {
        size_t got = 0;
        if (!at)
            return es_err_nomem(err, "a file");
        es_code code = es_reader_read(reader, at + used, room - used, &got, err);
        used += got;
        if (!code && used > limit)
            code = es_err_set(err, ES_EINPUT, "%s: is larger than %zu bytes, the most it may be", es_reader_path(reader), limit);
        if (code) {
            free(at);
            return code;
        }
        if (used < room)
            break;
        char *more = room < SIZE_MAX / 4 ? realloc(at, 2 * room + 1) : NULL;
        if (!more)
            free(at);
        at = more;
        room *= 2;
    }
    at[used] = '\0';
    *data = at;
    *length = used;
    return ES_OK;
}

es_code es_file_load(const char *path, size_t limit, char **data, size_t *length, es_err *err)
{
    es_reader *reader;
    *data = NULL;
    *length = 0;
    es_code code = es_reader_open(&reader, path, err);
    if (code)
        return code;
    code = file_slurp(reader, limit, data, length, err);
    es_reader_close(reader);
    return code;
}

/* What a link leads to, and that one, is put into *path; of a link that leads nowhere the place where it leads. */
static es_code file_follow(es_text *path, es_err *err)
{
    char to[4096];
    struct stat about;
    for (int links = 0; lstat(path->at, &about) == 0 && S_ISLNK(about.st_mode); links++) {
        const ssize_t length = readlink(path->at, to, sizeof to);
        errno = links == FILE_LINKS ? ELOOP : length == sizeof to ? ENAMETOOLONG : errno;
        if (links == FILE_LINKS || length < 0 || length == sizeof to)
            return es_err_system(err, path->at, "follow the link");
        const char *slash = to[0] == '/' ? NULL : strrchr(path->at, '/');
        path->length = slash ? (size_t)(slash - path->at) + 1 : 0;
        es_text_put(path, to, (size_t)length);
        if (path->failed)
            return es_err_nomem(err, "a file name");
    }
    return ES_OK;
}

es_code es_file_target_find(es_file_target *target, const char *path, es_err *err)
{
    struct stat about;
    es_text real = { 0 }, name = { 0 };
    const bool there = stat(path, &about) == 0;
    *target = (es_file_target){ .through = there && (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode)) };
    es_text_add(&real, "%s", path);
    es_code code = real.failed ? es_err_nomem(err, "a file name") : target->through ? ES_OK : file_follow(&real, err);
    if (!code)
        es_text_add(&name, "%s%s", real.at, target->through ? "" : ".tmp");
    if (!code && name.failed)
        code = es_err_nomem(err, "a file name");
    if (code) {
        es_text_free(&real);
        es_text_free(&name);
        return code;
    }
    target->path = real.at;
    target->name = name.at;
    return ES_OK;
}

es_code es_file_target_keep(const es_file_target *target, es_err *err)
{
    return target->through || rename(target->name, target->path) == 0 ? ES_OK : es_err_system(err, target->path, "replace");
}

void es_file_target_drop(const es_file_target *target)
{
    if (!target->through)
        unlink(target->name);
}

void es_file_target_free(es_file_target *target)
{
    free(target->path);
    free(target->name);
    *target = (es_file_target){ 0 };
}

es_code es_file_save(const char *path, const void *data, size_t length, es_err *err)
{
    es_file_target target;
    es_code code = es_file_target_find(&target, path, err);
    if (code)
        return code;
    int fd = open(target.name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        code = es_err_system(err, target.name, "create");
    } else {
        bool good = es_descriptor_write(fd, data, length) && (fsync(fd) == 0 || errno == EINVAL || errno == EROFS);
        if (!good)
            code = es_err_system(err, target.name, "write");
        if (close(fd) != 0 && good)
            code = es_err_system(err, target.name, "write");
    }
    if (!code)
        code = es_file_target_keep(&target, err);
    if (code)
        es_file_target_drop(&target);
    es_file_target_free(&target);
    return code;
}

es_code es_file_make_dirs(const char *path, es_err *err)
{
    char *part = strdup(path);
    if (!part)
        return es_err_nomem(err, "a folder name");
    es_code code = ES_OK;
    for (char *p = part; !code && *p; p++) {
        if (p[1] != '/' && p[1] != '\0')
            continue;
        char kept = p[1];
        struct stat about;
        p[1] = '\0';
        if (mkdir(part, 0777) != 0 && (errno != EEXIST || stat(part, &about) != 0 || !S_ISDIR(about.st_mode)))
            code = es_err_system(err, part, "make the folder");
        p[1] = kept;
    }
    free(part);
    return code;
}

es_code es_file_make_scratch(const char *what, es_text *path, es_err *err)
{
    es_text_add(path, "%s/expertsim-%s-XXXXXX", es_descriptor_place(), what);       /* mkdtemp's to fill in */
    if (path->failed)
        return es_err_nomem(err, "a path");
    return mkdtemp(path->at) ? ES_OK : es_err_set(err, ES_EINPUT, "%s: cannot make this folder: %s", path->at, strerror(errno));
}
