/* Partial: a file that an observer writes line by line as the run goes on. It is written as PATH.tmp and gets its name when it is whole,
 * so nobody takes a run that broke off for one that ended. A pipe or a device gets the lines as they come. */
#ifndef ES_OBSERVE_PARTIAL_H
#define ES_OBSERVE_PARTIAL_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/part/observer.h"

typedef struct partial {
    const char *path;
    es_file_target target;
    FILE *file;                 /* NULL: not open, or closed */
    bool ended;                 /* the run did: the file is whole */
    int fault;                  /* errno of the first write that failed */
} partial;

/* what: of the observer, for messages */
static inline es_code partial_open(partial *p, const char *path, const char *what, es_err *err)
{
    if (!path || !*path)
        return es_err_set(err, ES_EINPUT, "path: the %s needs a file name", what);
    p->path = path;
    const es_code code = es_file_target_find(&p->target, path, err);
    if (code)
        return es_err_at(err, "path"), code;
    p->file = fopen(p->target.name, "w");
    if (p->file)
        return ES_OK;
    es_err_set(err, ES_EINPUT, "path: cannot write \"%s\": %s", p->target.name, strerror(errno));
    es_file_target_free(&p->target);
    return ES_EINPUT;
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
    if (p->ended && p->fault == 0 && es_file_target_keep(&p->target, NULL))
        p->fault = errno;
    if (lines == 0)
        es_file_target_drop(&p->target);
    es_file_target_free(&p->target);
}

static inline es_code partial_verdict(partial *p, uint64_t lines, const char *what, es_err *err)
{
    partial_close(p, lines);
    return p->fault == 0 ? ES_OK : es_err_set(err, ES_EINPUT, "the %s \"%s\" could not be written: %s", what, p->path, strerror(p->fault));
}

#endif
