/* Feed: see feed.h. */
#include "sim/study/feed.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim/base/descriptor.h"
#include "sim/base/reader.h"

/* Bytes a source may look at to know its own: of JSON, whose first value may be a long text, more where these are not enough. */
enum { FEED_HEAD = 8 * 1024, FEED_GROWS = 32, FEED_HEAD_MOST = FEED_HEAD * FEED_GROWS * FEED_GROWS, FEED_SURE = 60 };

/* The i-th source, plug-ins first. */
static const es_source *feed_source(const es_plugins *plugins, size_t i)
{
    for (size_t p = 0; plugins && p < plugins->count; p++)
        for (size_t e = 0; e < plugins->plugin[p]->count; e++)
            if (plugins->plugin[p]->entries[e].kind == ES_KIND_SOURCE && i-- == 0)
                return (const es_source *)plugins->plugin[p]->entries[e].part;
    return (const es_source *)es_part_at(ES_KIND_SOURCE, i);
}

/* A named pipe is gone when it was looked at, and cannot be made a file as a descriptor can. */
static es_code feed_pipe(const char *path, es_err *err)
{
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISFIFO(about.st_mode))
        return ES_OK;
    return es_err_set(err, ES_EINPUT, "%s: is a named pipe, which gives its bytes once, and its format must be found first; give it as standard input (- < %s), or say --as", path, path);
}

typedef struct feed_head {
    es_reader *reader;
    unsigned char *at;
    size_t length;
    bool whole;                 /* there is nothing behind it */
} feed_head;

static es_code feed_head_grow(feed_head *head, size_t room, es_err *err)
{
    size_t got = 0;
    unsigned char *more = realloc(head->at, room);
    if (!more)
        return es_err_nomem(err, "the beginning of a trace");
    head->at = more;
    es_code code = es_reader_read(head->reader, head->at + head->length, room - head->length, &got, err);
    head->length += got;
    head->whole = head->length < room;
    return code;
}

#define FEED_CONVERT "traces/capture/convert.py makes a trace of it"
#define FEED_UNPACK "gzip and zstd are read as they are, anything else through a pipe from what unpacks it: UNPACKER FILE | expertsim trace info -"
#define FEED_COUNTED "counts how often experts were used, but not by which token or when: it can shape generated routing (describe synthetic), not be replayed"

/* What is met and is no trace, or is read by a converter, and what to do with it; NULL: none of these. */
static const char *feed_foreign(const unsigned char *head, size_t length)
{
    static const struct { const char *magic, *what; size_t length; } foreign[] = {
        {"PK\003\004", "is a zip archive, as torch.save and numpy.savez write one; " FEED_CONVERT, 4},
        {"PAR1", "is a parquet file; " FEED_CONVERT, 4},
        {"\200\002", "is a Python pickle; " FEED_CONVERT, 2}, {"\200\003", "is a Python pickle; " FEED_CONVERT, 2},
        {"\200\004", "is a Python pickle; " FEED_CONVERT, 2}, {"\200\005", "is a Python pickle; " FEED_CONVERT, 2},
        {"\xfd" "7zXZ", "is compressed with xz; " FEED_UNPACK, 5}, {"BZh", "is compressed with bzip2; " FEED_UNPACK, 3},
        {"layer_id,expert_id,count", FEED_COUNTED, 24}, {"tensor,expert_idx,count,", FEED_COUNTED, 24}, {"rank,count,expert_bytes,", FEED_COUNTED, 24},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (length >= foreign[i].length && memcmp(head, foreign[i].magic, foreign[i].length) == 0)
            return foreign[i].what;
    return NULL;
}

typedef struct feed_guess {
    const es_source *source, *also;     /* the surest; one that is as sure, NULL: none */
    int sure;
} feed_guess;

static feed_guess feed_ask(const es_plugins *plugins, const unsigned char *head, size_t length)
{
    feed_guess guess = {0};
    const es_source *source;
    for (size_t i = 0; (source = feed_source(plugins, i)) != NULL; i++) {
        const int sure = source->sniff ? source->sniff(head, length) : 0;
        if (sure > guess.sure)
            guess = (feed_guess){source, NULL, sure};
        else if (sure == guess.sure && sure > 0)
            guess.also = source;
    }
    return guess;
}

/* Text may begin with a byte order mark, which no format has for a mark of its own. */
static const unsigned char *feed_unmarked(const unsigned char *head, size_t *length)
{
    const size_t mark = *length >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    *length -= mark;
    return head + mark;
}

static bool feed_json(const unsigned char *head, size_t length)
{
    head = feed_unmarked(head, &length);
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r\n", head[i]) || head[i] == '\0')
            return head[i] == '{' || head[i] == '[';
    return false;
}

static feed_guess feed_look(const es_plugins *plugins, const feed_head *head)
{
    size_t length = head->length;
    feed_guess guess = feed_ask(plugins, head->at, length);
    const unsigned char *text = feed_unmarked(head->at, &length);
    return guess.sure > 0 || text == head->at ? guess : feed_ask(plugins, text, length);
}

static es_code feed_judge(const es_plugins *plugins, const char *path, feed_head *head, const es_source **out, es_err *err)
{
    size_t room = FEED_HEAD;
    es_code code = feed_head_grow(head, room, err);
    if (code)
        return code;
    if (head->length == 0)
        return es_err_set(err, ES_EINPUT, "%s: is empty, needs a trace", path);
    feed_guess guess = feed_look(plugins, head);
    while (guess.sure < FEED_SURE && !head->whole && room < FEED_HEAD_MOST && feed_json(head->at, head->length)) {
        if ((code = feed_head_grow(head, room *= FEED_GROWS, err)) != ES_OK)
            return code;
        guess = feed_look(plugins, head);
    }
    *out = guess.source;
    if (guess.also)
        return es_err_set(err, ES_EINPUT, "%s: could be %s or %s; --as or trace.format says which", path, guess.source->part.name, guess.also->part.name);
    if (guess.sure > 0)
        return ES_OK;
    const char *foreign = feed_foreign(head->at, head->length);
    if (foreign)
        return es_err_set(err, ES_EINPUT, "%s: %s", path, foreign);
    return es_err_set(err, ES_EINPUT, "%s: is in no format that is known here; `expertsim trace formats` lists them, and --as or trace.format names one", path);
}

static es_code feed_sniff(const es_plugins *plugins, const char *path, const es_source **out, es_err *err)
{
    feed_head head = {0};
    es_code code = feed_pipe(path, err);
    if (code == ES_OK)
        code = es_reader_open(&head.reader, path, err);
    if (code == ES_OK) {
        es_reader_unhashed(head.reader);
        es_reader_lenient(head.reader, true);   /* whether a cut file may be read is for who opens it */
        code = feed_judge(plugins, strcmp(path, "-") == 0 ? es_reader_path(head.reader) : path, &head, out, err);
    }
    es_reader_close(head.reader);
    free(head.at);
    return code;
}

es_code es_feed_find(const es_plugins *plugins, const char *path, const char *format, const es_source **out, es_err *err)
{
    const es_part *part = NULL;
    *out = NULL;
    es_code code = es_descriptor_settle(path, err);
    if (code == ES_OK && !format)
        return feed_sniff(plugins, path, out, err);
    if (code == ES_OK)
        code = es_plugins_find(plugins, ES_KIND_SOURCE, format, &part, err);
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
