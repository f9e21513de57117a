/* Buffers: a CSV of what a program asks of an allocator, step by step. One header, one row per request or release:
 *
 *     step,id,bytes,lifetime
 *     0,1,1048576,0          1 MiB, given back when step 0 has computed
 *     0,2,4096,3             4 KiB, given back when step 3 has computed
 *     0,3,65536,@9           given back just before buffer 9 is asked for
 *     1,4,4194304,           given back by a row, or never
 *     2,4,release,
 *     3,,,                   a step in which nothing is asked for
 *
 * Steps begin with 0 and rise by at most 1; ids are whole numbers and may be used again when their buffer is gone. Plain, gzip or zstd. */
#include <string.h>

#include "sim/base/reader.h"
#include "traces/field.h"
#include "traces/lives.h"

static const char buffers_header[] = "step,id,bytes,lifetime";

enum { BUFFERS_ERROR, BUFFERS_KEEP };

typedef struct buffers {
    int64_t tokens;
    int double_release;
    es_lives *lives;
    es_trace_info info;
    uint64_t at;
} buffers;

static const char *const buffers_doubles[] = {"error", "keep", NULL};

static const es_option buffers_options[] = {
    {.name = "tokens", .type = ES_OPT_INT, .offset = offsetof(buffers, tokens), .def = 1, .min = 1, .max = ES_LIVES_TOKENS_MAX, .unit = "tokens",
        .help = "Tokens that each step makes: requests served together."},
    {.name = "double_release", .type = ES_OPT_ENUM, .offset = offsetof(buffers, double_release), .choices = buffers_doubles,
        .help = "A second release of a buffer is an error, or is passed on to the allocator, as a program does that does not check."},
    {0},
};

/* ---- a row ---- */

typedef enum buffers_what { BUFFERS_NOTHING, BUFFERS_ASK, BUFFERS_RELEASE } buffers_what;

static es_code buffers_fault(const char *column, const char *field, const char *right, es_err *err)
{
    const size_t length = strcspn(field, ",");
    return es_err_set(err, ES_EINPUT, "%s is \"%.*s\", not %s", column, (int)(length < 40 ? length : 40), field, right);
}

/* The fields behind a comma each; fewer or more are an error. */
static es_code buffers_fields(const char *line, const char *field[4], es_err *err)
{
    int count = 0;
    for (const char *p = line; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
        if (count < 4)
            field[count] = p;
        count++;
    }
    return count == 4 ? ES_OK : es_err_set(err, ES_EINPUT, "has %d fields, not 4: %s", count, buffers_header);
}

static bool buffers_number(const char *field, int64_t least, int64_t *value)
{
    const char *end = es_field_i64(field, value);
    return end && (*end == ',' || *end == '\0') && *value >= least && *value <= 1ll << 53;
}

static es_code buffers_lifetime(const char *field, es_life *life, es_err *err)
{
    int64_t until;
    life->steps = ES_LIFE_OPEN;
    if (*field == '\0')
        return ES_OK;
    if (*field == '@' && buffers_number(field + 1, 0, &until)) {
        life->until_given = true;
        life->until = (uint64_t)until;
        return ES_OK;
    }
    if (buffers_number(field, 0, &life->steps))
        return ES_OK;
    return buffers_fault("lifetime", field, "a number of steps from 0, @ and the id of another buffer, or nothing", err);
}

static es_code buffers_row(const char *line, es_life *life, buffers_what *what, es_err *err)
{
    const char *field[4];
    int64_t step, id;
    es_code code = buffers_fields(line, field, err);
    if (code)
        return code;
    if (!buffers_number(field[0], 0, &step))
        return buffers_fault("step", field[0], "a whole number", err);
    life->step = (uint64_t)step;
    *what = BUFFERS_NOTHING;
    if (strcmp(field[1], ",,") == 0)
        return ES_OK;
    if (!buffers_number(field[1], 0, &id))
        return buffers_fault("id", field[1], "a whole number", err);
    life->id = (uint64_t)id;
    *what = BUFFERS_RELEASE;
    if (strcmp(field[2], "release,") == 0)
        return ES_OK;
    *what = BUFFERS_ASK;
    if (!buffers_number(field[2], 1, &life->bytes))
        return buffers_fault("bytes", field[2], "a whole number from 1, or release with no lifetime", err);
    return buffers_lifetime(field[3], life, err);
}

/* ---- the file ---- */

static es_code buffers_line(buffers *s, const char *line, size_t length, bool ended, uint64_t record, es_err *err)
{
    es_life life = {.record = record};
    buffers_what what = BUFFERS_NOTHING;
    if (strlen(line) != length)
        return es_err_set(err, ES_EINPUT, "holds a byte 0");
    if (line[length - 1] == ',' && !ended)
        return es_err_set(err, ES_EINPUT, "ends behind a comma and without a line feed: the file was cut here, or a line feed is missing");
    es_code code = buffers_row(line, &life, &what, err);
    if (code == ES_OK)
        code = es_lives_step(s->lives, life.step, (uint32_t)s->tokens, err);
    if (code == ES_OK && what == BUFFERS_ASK)
        code = es_lives_ask(s->lives, &life, err);
    if (code == ES_OK && what == BUFFERS_RELEASE)
        code = es_lives_release(s->lives, life.id, record, err);
    return code;
}

static es_code buffers_lines(buffers *s, es_reader *reader, es_err *err)
{
    for (bool first = true;; first = false) {
        char *line;
        size_t length;
        es_code code = es_reader_line(reader, &line, &length, err);
        if (code || !line)
            return code;
        if (first && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {     /* a byte order mark */
            line += 3;
            length -= 3;
        }
        if (first)
            code = strcmp(line, buffers_header) == 0 ? ES_OK : es_err_set(err, ES_EINPUT, "the header is \"%.60s\", not %s", line, buffers_header);
        else if (length > 0)
            code = buffers_line(s, line, length, es_reader_line_ended(reader), es_reader_line_number(reader), err);
        if (code)
            return es_err_at(err, "%s: line %llu", es_reader_path(reader), (unsigned long long)es_reader_line_number(reader)), code;
    }
}

static es_code buffers_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    buffers *s = self;
    es_reader *reader = NULL;
    char hex[65];
    es_code code = es_lives_new(&s->lives, s->double_release == BUFFERS_KEEP, err);
    if (code == ES_OK)
        code = es_reader_open(&reader, ask->path, err);
    if (code == ES_OK)
        code = buffers_lines(s, reader, err);
    if (code == ES_OK && (code = es_lives_finish(s->lives, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    if (code == ES_OK) {
        es_reader_sha256(reader, hex);
        s->info = *es_lives_info(s->lives);
        s->info.format = "buffers";
        s->info.model = "";
        s->info.sha256 = es_arena_text(arena, hex);
        s->info.provenance = "";
        code = s->info.sha256 ? ES_OK : es_err_nomem(err, "a trace");
    }
    es_reader_close(reader);
    return code;
}

static int buffers_sniff(const unsigned char *head, size_t length)
{
    if (length > 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0) {
        head += 3;
        length -= 3;
    }
    return length >= sizeof buffers_header - 1 && memcmp(head, buffers_header, sizeof buffers_header - 1) == 0 ? 95 : 0;
}

static const es_trace_info *buffers_info(void *self)
{
    return &((buffers *)self)->info;
}

static es_code buffers_next(void *self, es_step *step, bool *more, es_err *err)
{
    buffers *s = self;
    (void)err;
    *more = es_lives_at(s->lives, s->at, step);
    s->at += *more;
    return ES_OK;
}

static es_code buffers_rewind(void *self, es_err *err)
{
    (void)err;
    ((buffers *)self)->at = 0;
    return ES_OK;
}

static void buffers_fini(void *self)
{
    buffers *s = self;
    es_lives_free(s->lives);
    s->lives = NULL;
}

const es_source es_source_buffers = {
    .part = {.abi = ES_ABI, .name = "buffers", .brief = "CSV of buffers: what each step asks of an allocator, and how long it lives; plain, gzip or zstd.",
        .options = buffers_options, .size = sizeof(buffers), .fini = buffers_fini},
    .sniff = buffers_sniff,
    .open = buffers_open,
    .info = buffers_info,
    .next = buffers_next,
    .rewind = buffers_rewind,
};
