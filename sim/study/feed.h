/* Feed: an open source of steps, found by the name of its format or by what the file begins with. */
#ifndef ES_STUDY_FEED_H
#define ES_STUDY_FEED_H

#include "sim/part/registry.h"
#include "sim/part/source.h"

typedef struct es_feed {        /* {0} is closed */
    const es_source *source;
    void *state;
    es_arena arena;             /* of the source */
} es_feed;

/* The source that takes this file: `format` by name, or NULL: the one that is surest by the file's first bytes, two that
 * are equally sure being an error. Generators are no answer; a format that takes no file is an error. What comes through a descriptor
 * ("-", /dev/fd/N) is made a file (es_descriptor_settle), for it is looked at here and read again; a named pipe needs its format named. */
es_code es_feed_find(const es_plugins *plugins, const char *path, const char *format, const es_source **out, es_err *err);
/* Opens `source` with a state parsed before (NULL: the options' defaults). */
es_code es_feed_open(es_feed *feed, const es_source *source, const void *state, const es_source_ask *ask, es_err *err);
/* Both in one, for a file. */
es_code es_feed_open_file(es_feed *feed, const es_plugins *plugins, const char *path, const char *format, const es_source_ask *ask, es_err *err);
void es_feed_close(es_feed *feed);

#endif
