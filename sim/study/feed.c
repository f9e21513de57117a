/* Feed: see feed.h. */
#include "sim/study/feed.h"

#include <string.h>

#include "sim/base/file.h"

enum { FEED_HEAD = 8192 };      /* bytes a source may look at to know its own */

/* The i-th source, plug-ins first. */
static const es_source *feed_source(const es_plugins *plugins, size_t i)
{
    for (size_t p = 0; plugins && p < plugins->count; p++)
        for (size_t e = 0; e < plugins->plugin[p]->count; e++)
            if (plugins->plugin[p]->entries[e].kind == ES_KIND_SOURCE && i-- == 0)
                return (const es_source *)plugins->plugin[p]->entries[e].part;
    return (const es_source *)es_part_at(ES_KIND_SOURCE, i);
}

static es_code feed_head(const char *path, unsigned char *head, size_t *length, es_err *err)
{
    es_reader *reader = NULL;
    es_code code = es_reader_open(&reader, path, err);
    if (code)
        return code;
    code = es_reader_read(reader, head, FEED_HEAD, length, err);
    es_reader_close(reader);
    return code;
}

#define FEED_CONVERT "traces/capture/convert.py makes a trace of it"
#define FEED_COUNTED "counts how often experts were used, but not by which token or when: it can shape generated routing (describe synthetic), not be replayed"

/* What is met and is no trace, or is read by a converter, and what to do with it; NULL: none of these. */
static const char *feed_foreign(const unsigned char *head, size_t length)
{
    static const struct { const char *magic, *what; size_t length; } foreign[] = {
        {"PK\003\004", "is a zip archive, as torch.save and numpy.savez write one; " FEED_CONVERT, 4},
        {"PAR1", "is a parquet file; " FEED_CONVERT, 4},
        {"\200\002", "is a Python pickle; " FEED_CONVERT, 2}, {"\200\003", "is a Python pickle; " FEED_CONVERT, 2},
        {"\200\004", "is a Python pickle; " FEED_CONVERT, 2}, {"\200\005", "is a Python pickle; " FEED_CONVERT, 2},
        {"layer_id,expert_id,count", FEED_COUNTED, 24}, {"tensor,expert_idx,count,", FEED_COUNTED, 24}, {"rank,count,expert_bytes,", FEED_COUNTED, 24},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (length >= foreign[i].length && memcmp(head, foreign[i].magic, foreign[i].length) == 0)
            return foreign[i].what;
    return NULL;
}

static es_code feed_sniff(const es_plugins *plugins, const char *path, const es_source **out, es_err *err)
{
    unsigned char head[FEED_HEAD];
    size_t length = 0;
    es_code code = feed_head(path, head, &length, err);
    if (code)
        return code;
    if (length == 0)
        return es_err_set(err, ES_EINPUT, "%s: is empty, needs a trace", path);
    int surest = 0;
    const es_source *source;
    for (size_t i = 0; (source = feed_source(plugins, i)) != NULL; i++) {
        if (!source->sniff)
            continue;
        int sure = source->sniff(head, length);
        if (sure > surest) {
            surest = sure;
            *out = source;
        }
    }
    const char *foreign = feed_foreign(head, length);
    if (surest == 0 && foreign)
        code = es_err_set(err, ES_EINPUT, "%s: %s", path, foreign);
    else if (surest == 0)
        code = es_err_set(err, ES_EINPUT, "%s: is in no format that is known here; `expertsim trace formats` lists them, and --as or trace.format names one", path);
    return code;
}

es_code es_feed_find(const es_plugins *plugins, const char *path, const char *format, const es_source **out, es_err *err)
{
    *out = NULL;
    if (!format)
        return feed_sniff(plugins, path, out, err);
    const es_part *part = NULL;
    es_code code = es_plugins_find(plugins, ES_KIND_SOURCE, format, &part, err);
    if (code)
        return code;
    *out = (const es_source *)part;
    if (!(*out)->sniff)
        return es_err_set(err, ES_EINPUT, "%s takes no file; it is given as trace.source", format);
    return ES_OK;
}

es_code es_feed_open(es_feed *feed, const es_source *source, const void *state, const es_source_ask *ask, es_err *err)
{
    *feed = (es_feed){.source = source};
    feed->state = es_arena_alloc(&feed->arena, 1, source->part.size);
    if (!feed->state)
        return es_err_nomem(err, "a trace");
    if (state)
        memcpy(feed->state, state, source->part.size);
    else
        es_options_default(source->part.options, feed->state);
    es_code code = source->open(feed->state, ask, &feed->arena, err);
    if (code == ES_OK && source->info(feed->state)->buffers > 0 && !ask->buffers)
        code = es_err_set(err, ES_EINPUT, "%s: is a trace of buffers, which has no routing; `expertsim run` and `trace info` read it", ask->path ? ask->path : source->part.name);
    if (code)
        es_feed_close(feed);
    return code;
}

es_code es_feed_open_file(es_feed *feed, const es_plugins *plugins, const char *path, const char *format, const es_source_ask *ask, es_err *err)
{
    const es_source *source = NULL;
    *feed = (es_feed){0};
    es_code code = es_feed_find(plugins, path, format, &source, err);
    return code ? code : es_feed_open(feed, source, NULL, ask, err);
}

void es_feed_close(es_feed *feed)
{
    if (feed->source && feed->state && feed->source->part.fini)
        feed->source->part.fini(feed->state);
    es_arena_free(&feed->arena);
    *feed = (es_feed){0};
}
