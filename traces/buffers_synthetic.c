/* Synthetic buffers: what an engine might ask of an allocator while it generates tokens, for no recording of that exists.
 *
 * So many requests run at once, each for a number of tokens drawn anew; when one ends the next begins. Every token of a request asks for a
 * number of buffers. Each is of a kind, drawn by share; the kind says how large it is (every power of two between its bounds is equally
 * likely, and within that every size) and how long it lives: a number of steps, or until its request ends.
 *
 * Without `mix`, the kinds of a decode step of a model of about 30 billion parameters in 4 bits, our own guess and to be stated with each
 * result: activations of 64 KiB to 1 MiB (70 %) and workspaces of 2 to 32 MiB (20 %) which go with their step, KV blocks of 1 to 2 MiB which
 * stay until the request ends (8 %), and staging buffers of 32 to 64 MiB which live two to eight steps (2 %). */
#include <stdlib.h>
#include <string.h>

#include "sim/base/sha256.h"
#include "traces/lives.h"

enum { MIX_MOST = 64 };
enum { MIX_STEPS, MIX_REQUEST, MIX_NEVER };

typedef struct mix_kind {       /* one row of `mix` */
    double share;
    int64_t bytes, bytes_most, steps, steps_most;
    int until;
    double below;               /* sum of the shares up to and including this one */
} mix_kind;

typedef struct synthetic {
    int64_t requests, together, tokens, tokens_most, least, most, seed;
    const es_json *mix;
    mix_kind *kind;
    size_t kinds;
    es_lives *lives;
    es_trace_info info;
    uint64_t at;
    es_stream length, count, pick, size, life;
} synthetic;

static const char *const mix_untils[] = {"steps", "request", "never", NULL};

#define SYNTHETIC(field) offsetof(synthetic, field)

static const es_option synthetic_options[] = {
    {.name = "requests", .type = ES_OPT_INT, .offset = SYNTHETIC(requests), .def = 1, .min = 1, .max = 1e6, .help = "Requests in all."},
    {.name = "together", .type = ES_OPT_INT, .offset = SYNTHETIC(together), .def = 1, .min = 1, .max = 65536, .help = "Most that run at once; a step makes one token of each."},
    {.name = "tokens", .type = ES_OPT_INT, .offset = SYNTHETIC(tokens), .def = 256, .min = 1, .max = 1e6, .unit = "tokens", .help = "Tokens that a request generates, at least."},
    {.name = "tokens_most", .type = ES_OPT_INT, .offset = SYNTHETIC(tokens_most), .def = 0, .min = 0, .max = 1e6, .unit = "tokens", .help = "And at most, all equally likely; 0: all generate `tokens`."},
    {.name = "least", .type = ES_OPT_INT, .offset = SYNTHETIC(least), .def = 15, .min = 1, .max = 10000, .unit = "buffers", .help = "Buffers that a token asks for, at least."},
    {.name = "most", .type = ES_OPT_INT, .offset = SYNTHETIC(most), .def = 25, .min = 1, .max = 10000, .unit = "buffers", .help = "And at most, all equally likely."},
    {.name = "mix", .type = ES_OPT_JSON, .offset = SYNTHETIC(mix),
        .help = "Kinds of buffers: [{share, bytes, bytes_most, steps, steps_most, until}, ...]; absent: activations, workspaces, KV blocks and staging buffers (traces/FORMAT.md)."},
    {.name = "seed", .type = ES_OPT_INT, .offset = SYNTHETIC(seed), .def = 1, .min = 0, .max = 9e15, .help = "Other seeds draw other traces."},
    {0},
};

static const es_option mix_options[] = {
    {.name = "share", .type = ES_OPT_REAL, .offset = offsetof(mix_kind, share), .def = 1, .min = 1e-9, .max = 1e9, .help = "Weight of this kind among all."},
    {.name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(mix_kind, bytes), .min = 1, .max = 0x1p50, .required = true, .help = "Least size."},
    {.name = "bytes_most", .type = ES_OPT_BYTES, .offset = offsetof(mix_kind, bytes_most), .max = 0x1p50, .help = "Largest size; 0: all have the least."},
    {.name = "steps", .type = ES_OPT_INT, .offset = offsetof(mix_kind, steps), .max = 1e9, .help = "Steps beyond its own that it lives, at least."},
    {.name = "steps_most", .type = ES_OPT_INT, .offset = offsetof(mix_kind, steps_most), .max = 1e9, .help = "And at most; 0: all live the least."},
    {.name = "until", .type = ES_OPT_ENUM, .offset = offsetof(mix_kind, until), .choices = mix_untils, .help = "What ends it: its steps, the end of its request, or nothing (a leak)."},
    {0},
};

static const char mix_usual[] = "[{\"share\": 70, \"bytes\": \"64KiB\", \"bytes_most\": \"1MiB\"}, {\"share\": 20, \"bytes\": \"2MiB\", \"bytes_most\": \"32MiB\"},"
                                " {\"share\": 8, \"bytes\": \"1MiB\", \"bytes_most\": \"2MiB\", \"until\": \"request\"},"
                                " {\"share\": 2, \"bytes\": \"32MiB\", \"bytes_most\": \"64MiB\", \"steps\": 2, \"steps_most\": 8}]";

/* ---- set-up ---- */

static es_code mix_read(const es_json *row, mix_kind *kind, es_arena *arena, es_err *err)
{
    es_code code = es_options_parse(mix_options, kind, row, NULL, arena, err);
    if (code)
        return code;
    if (kind->bytes_most == 0)
        kind->bytes_most = kind->bytes;
    if (kind->steps_most == 0)
        kind->steps_most = kind->steps;
    if (kind->bytes_most < kind->bytes)
        return es_err_set(err, ES_EINPUT, "bytes_most: %lld is below bytes, %lld", (long long)kind->bytes_most, (long long)kind->bytes);
    if (kind->steps_most < kind->steps)
        return es_err_set(err, ES_EINPUT, "steps_most: %lld is below steps, %lld", (long long)kind->steps_most, (long long)kind->steps);
    return ES_OK;
}

static es_code synthetic_mix(synthetic *s, const es_json *list, es_arena *arena, es_err *err)
{
    const es_json *row;
    double below = 0.0;
    if (!cJSON_IsArray(list) || !list->child || cJSON_GetArraySize(list) > MIX_MOST)
        return es_err_set(err, ES_EINPUT, "mix: needs a list of 1 to %d kinds such as {\"share\": 70, \"bytes\": \"64KiB\", \"bytes_most\": \"1MiB\", \"steps\": 0}", MIX_MOST);
    s->kind = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), mix_kind);
    if (!s->kind)
        return es_err_nomem(err, "a generator");
    cJSON_ArrayForEach(row, list) {
        mix_kind *kind = &s->kind[s->kinds];
        es_code code = mix_read(row, kind, arena, err);
        if (code)
            return es_err_at(err, "mix.%zu", s->kinds), code;
        kind->below = below += kind->share;
        s->kinds++;
    }
    return ES_OK;
}

static es_code synthetic_kinds(synthetic *s, es_arena *arena, es_err *err)
{
    es_json *usual = NULL;
    if (s->mix && !cJSON_IsNull(s->mix))
        return synthetic_mix(s, s->mix, arena, err);
    es_code code = es_json_parse(&usual, mix_usual, sizeof mix_usual - 1, err);
    if (code == ES_OK)
        code = synthetic_mix(s, usual, arena, err);
    cJSON_Delete(usual);
    return code;
}

extern const es_source es_source_buffers_synthetic;

/* {"generator": "expertsim buffers_synthetic 1", "options": {...}}: all that is needed to make the trace again. */
static es_code synthetic_provenance(synthetic *s, es_arena *arena, es_err *err)
{
    es_json *note = cJSON_CreateObject();
    es_json *options = note ? (es_json_add_text(note, "generator", "expertsim buffers_synthetic 1"), es_json_add_object(note, "options")) : NULL;
    if (options)
        es_options_echo(es_source_buffers_synthetic.part.options, s, options);
    char *text = options ? es_json_text(note) : NULL, hex[65];
    cJSON_Delete(note);
    if (!text)
        return es_err_nomem(err, "a generator");
    es_sha256 sha;
    es_sha256_begin(&sha);
    es_sha256_add(&sha, text, strlen(text));
    es_sha256_hex(&sha, hex);
    s->info.provenance = es_arena_text(arena, text);
    s->info.sha256 = es_arena_text(arena, hex);
    free(text);
    return s->info.provenance && s->info.sha256 ? ES_OK : es_err_nomem(err, "a generator");
}

/* ---- draws ---- */

/* A whole number from least to most; ranges may be beyond 32 bits. */
static int64_t synthetic_between(es_stream stream, uint64_t a, uint64_t b, int64_t least, int64_t most)
{
    const uint64_t range = (uint64_t)(most - least) + 1;
    return least + (int64_t)(es_draw_real(stream, a, b, 0, 0) * (double)range);
}

/* Which doubling of the least size, then where in it: whole numbers throughout. */
static int64_t synthetic_bytes(const synthetic *s, const mix_kind *kind, uint64_t id)
{
    uint32_t doublings = 0;
    while (kind->bytes_most >> doublings > kind->bytes)
        doublings++;
    if (doublings == 0)
        return synthetic_between(s->size, id, 1, kind->bytes, kind->bytes_most);
    const int64_t low = kind->bytes << es_draw_below(s->size, doublings, id, 0, 0, 0);
    return synthetic_between(s->size, id, 1, low, 2 * low < kind->bytes_most ? 2 * low : kind->bytes_most);
}

static const mix_kind *synthetic_pick(const synthetic *s, uint64_t id)
{
    const double place = es_draw_real(s->pick, id, 0, 0, 0) * s->kind[s->kinds - 1].below;
    size_t i = 0;
    while (i + 1 < s->kinds && s->kind[i].below <= place)
        i++;
    return &s->kind[i];
}

/* ---- making it ---- */

typedef struct lane {           /* where requests run */
    uint64_t request;
    int64_t left;               /* tokens, this step's included; 0: free */
} lane;

static es_code synthetic_token(synthetic *s, const lane *at, uint64_t step, uint64_t *id, es_err *err)
{
    es_code code = ES_OK;
    const int64_t count = synthetic_between(s->count, at->request, (uint64_t)at->left, s->least, s->most);
    for (int64_t i = 0; i < count && code == ES_OK; i++) {
        const mix_kind *kind = synthetic_pick(s, *id);
        es_life life = {.step = step, .id = *id, .bytes = synthetic_bytes(s, kind, *id), .record = *id};
        life.steps = kind->until == MIX_NEVER ? ES_LIFE_OPEN : kind->until == MIX_REQUEST ? at->left - 1 : synthetic_between(s->life, *id, 0, kind->steps, kind->steps_most);
        ++*id;
        code = es_lives_ask(s->lives, &life, err);
    }
    return code;
}

/* Gives free lanes to requests that wait; how many run. */
static uint32_t synthetic_begin(const synthetic *s, lane *lanes, uint64_t *request)
{
    uint32_t run = 0;
    for (int64_t i = 0; i < s->together; i++) {
        if (lanes[i].left == 0 && *request < (uint64_t)s->requests) {
            lanes[i] = (lane){*request, synthetic_between(s->length, *request, 0, s->tokens, s->tokens_most > 0 ? s->tokens_most : s->tokens)};
            ++*request;
        }
        run += lanes[i].left > 0;
    }
    return run;
}

static es_code synthetic_make(synthetic *s, lane *lanes, es_err *err)
{
    uint64_t request = 0, id = 0;
    es_code code = ES_OK;
    for (uint64_t step = 0; code == ES_OK; step++) {
        const uint32_t run = synthetic_begin(s, lanes, &request);
        if (run == 0)
            return es_lives_finish(s->lives, err);
        code = es_lives_step(s->lives, step, run, err);
        for (int64_t i = 0; i < s->together && code == ES_OK; i++) {
            if (lanes[i].left == 0)
                continue;
            code = synthetic_token(s, &lanes[i], step, &id, err);
            lanes[i].left--;
        }
    }
    return code;
}

static es_code synthetic_check(const synthetic *s, es_err *err)
{
    const int64_t tokens = s->tokens_most > s->tokens ? s->tokens_most : s->tokens;
    if (s->tokens_most > 0 && s->tokens_most < s->tokens)
        return es_err_set(err, ES_EINPUT, "tokens_most: %lld is below tokens, %lld", (long long)s->tokens_most, (long long)s->tokens);
    if (s->most < s->least)
        return es_err_set(err, ES_EINPUT, "most: %lld is below least, %lld", (long long)s->most, (long long)s->least);
    if ((double)s->requests * (double)tokens * (double)s->most > 1e8)
        return es_err_set(err, ES_EINPUT, "requests: %lld of up to %lld tokens with up to %lld buffers each are more than 100 million, which a trace in memory can hold",
            (long long)s->requests, (long long)tokens, (long long)s->most);
    return ES_OK;
}

static es_code synthetic_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    synthetic *s = self;
    (void)ask;
    es_stream *const stream[] = {&s->length, &s->count, &s->pick, &s->size, &s->life};
    static const char *const purpose[] = {"length", "count", "pick", "size", "life"};
    for (int i = 0; i < 5; i++)
        *stream[i] = es_stream_of((uint64_t)s->seed, 0, "buffers_synthetic", purpose[i]);
    lane *lanes = ES_NEW_ARRAY(arena, s->together, lane);
    es_code code = lanes ? synthetic_check(s, err) : es_err_nomem(err, "a generator");
    if (code == ES_OK)
        code = synthetic_kinds(s, arena, err);
    if (code == ES_OK)
        code = es_lives_new(&s->lives, false, err);
    if (code == ES_OK)
        code = synthetic_make(s, lanes, err);
    if (code)
        return code;
    s->info = *es_lives_info(s->lives);
    s->info.format = "buffers_synthetic";
    s->info.model = "";
    s->info.requests = (uint64_t)s->requests;
    s->info.synthetic = true;
    return synthetic_provenance(s, arena, err);
}

/* ---- the source ---- */

static const es_trace_info *synthetic_info(void *self)
{
    return &((synthetic *)self)->info;
}

static es_code synthetic_next(void *self, es_step *step, bool *more, es_err *err)
{
    synthetic *s = self;
    (void)err;
    *more = es_lives_at(s->lives, s->at, step);
    s->at += *more;
    return ES_OK;
}

static es_code synthetic_rewind(void *self, es_err *err)
{
    (void)err;
    ((synthetic *)self)->at = 0;
    return ES_OK;
}

static void synthetic_fini(void *self)
{
    synthetic *s = self;
    es_lives_free(s->lives);
    s->lives = NULL;
}

const es_source es_source_buffers_synthetic = {
    .part = {.abi = ES_ABI, .name = "buffers_synthetic", .brief = "Buffers drawn at random: several requests at once, 15 to 25 per token, sizes and lifetimes from a mix.",
        .options = synthetic_options, .size = sizeof(synthetic), .fini = synthetic_fini},
    .open = synthetic_open,
    .info = synthetic_info,
    .next = synthetic_next,
    .rewind = synthetic_rewind,
};
