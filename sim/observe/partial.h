/* Partial: a file that an observer writes line by line as the run goes on. It is written as PATH.tmp and gets its name when it is whole,
 * so nobody takes a run that broke off for one that ended. */
#ifndef ES_OBSERVE_PARTIAL_H
#define ES_OBSERVE_PARTIAL_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sim/part/observer.h"

typedef struct partial {
    const char *path;
    char *name;                 /* PATH.tmp, in the run's arena */
    FILE *file;                 /* NULL: not open, or closed */
    bool ended;                 /* the run did: the file is whole */
    int fault;                  /* errno of the first write that failed */
} partial;

/* what: of the observer, for messages */
static inline es_code partial_open(partial *p, const char *path, const char *what, es_arena *arena, es_err *err)
{
    if (!path || !*path)
        return es_err_set(err, ES_EINPUT, "path: the %s needs a file name", what);
    const size_t length = strlen(path);
    p->path = path;
    p->name = ES_NEW_ARRAY(arena, length + sizeof ".tmp", char);
    if (!p->name)
        return es_err_nomem(err, what);
    memcpy(p->name, path, length);
    memcpy(p->name + length, ".tmp", sizeof ".tmp");
    p->file = fopen(p->name, "w");
    return p->file ? ES_OK : es_err_set(err, ES_EINPUT, "path: cannot write \"%s\": %s", p->name, strerror(errno));
}

/* A line was written: did it work? */
static inline void partial_line(partial *p)
{
    if (p->fault == 0 && ferror(p->file))
        p->fault = errno ? errno : EIO;
}

/* lines: so many were written; 0: the run never began and nothing is left of the file. Closing again does nothing. */
static inline void partial_close(partial *p, uint64_t lines)
{
    if (!p->file)
        return;
    errno = 0;
    if (fclose(p->file) != 0 && p->fault == 0)
        p->fault = errno ? errno : EIO;
    p->file = NULL;
    if (p->ended && p->fault == 0 && rename(p->name, p->path) != 0)
        p->fault = errno;
    if (lines == 0)
        remove(p->name);
}

static inline es_code partial_verdict(partial *p, uint64_t lines, const char *what, es_err *err)
{
    partial_close(p, lines);
    return p->fault == 0 ? ES_OK : es_err_set(err, ES_EINPUT, "the %s \"%s\" could not be written: %s", what, p->path, strerror(p->fault));
}

#endif
