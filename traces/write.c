/* Writing the native format: see write.h and FORMAT.md.
 *
 * Steps are gathered in a buffer of some thousand tokens and appended to the datasets when it is full. The datasets are made at the
 * first such moment, for only then is it known whether a short trace needs less than one whole chunk. */
#include "traces/write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "traces/native.h"

enum { WRITE_TOKENS = 4096, WRITE_CHUNK = 1024 * 1024, WRITE_TOKEN_CHUNK = 16384, WRITE_DEFLATE = 1 };

typedef enum write_set { SET_REQUEST, SET_POSITION, SET_PHASE, SET_STEP, SET_IDS, SET_WEIGHTS, SET_RESIDENCY, SET_GUESS, SET_CONFIDENCE, SET_ATTENDED, SET_ATTENTION, SETS } write_set;

typedef struct write_column {           /* one dataset and the rows that are not in it yet */
    const char *path;
    es_h5_type type;
    uint32_t layers, width;             /* rows of a token and their cells; width 0: one number per token */
    size_t row_bytes;
    unsigned char *buffer;
    es_h5_data *data;
    bool used;
} write_column;

struct es_trace_writer {
    es_arena arena;
    es_trace_info info;
    const char *path;
    es_file_target target;
    es_h5 *file;
    write_column set[SETS];
    uint32_t room, held;                /* tokens the buffers can hold and hold */
    es_tally tally;
    es_trace_digest *digest;
    es_text origin;                     /* of all sources, where that is not the first one's */
};

static es_code writer_nomem(es_err *err)
{
    return es_err_nomem(err, "a trace writer");
}

/* --- datasets ------------------------------------------------------------------------------------------------------------------- */

static void writer_columns(es_trace_writer *w)
{
    const es_trace_info *info = &w->info;
    bool narrow = info->experts <= ES_NATIVE_NARROW;
    const write_column set[SETS] = {
        [SET_REQUEST] = { .path = "/tokens/request", .type = ES_H5_U32, .row_bytes = 4, .used = true },
        [SET_POSITION] = { .path = "/tokens/position", .type = ES_H5_U32, .row_bytes = 4, .used = true },
        [SET_PHASE] = { .path = "/tokens/phase", .type = ES_H5_U8, .row_bytes = 1, .used = true },
        [SET_STEP] = { .path = "/tokens/step", .type = ES_H5_U32, .row_bytes = 4, .used = true },
        [SET_IDS] = { .path = "/ids", .type = narrow ? ES_H5_U8 : ES_H5_U16, .width = info->top_k, .row_bytes = narrow ? 1 : 2, .used = true },
        [SET_WEIGHTS] = { .path = "/weights", .type = ES_H5_F32, .width = info->top_k, .row_bytes = 4, .used = info->has_weights },
        [SET_RESIDENCY] = { .path = "/residency", .type = ES_H5_U8, .width = info->top_k, .row_bytes = 1, .used = info->has_residency },
        [SET_GUESS] = { .path = "/guess", .type = narrow ? ES_H5_U8 : ES_H5_U16, .width = info->guesses, .row_bytes = narrow ? 1 : 2, .used = info->guesses > 0 },
        [SET_CONFIDENCE] = { .path = "/guess_confidence", .type = ES_H5_F32, .width = info->guesses, .row_bytes = 4 },
        [SET_ATTENDED] = { .path = "/attention/position", .type = ES_H5_U32, .width = info->attends, .row_bytes = 4, .used = info->attends > 0 },
        [SET_ATTENTION] = { .path = "/attention/weight", .type = ES_H5_F32, .width = info->attends, .row_bytes = 4, .used = info->attends > 0 },
    };
    memcpy(w->set, set, sizeof set);
    for (int i = SET_IDS; i < SETS; i++) {
        w->set[i].layers = i < SET_ATTENDED ? info->layers : 1;
        w->set[i].row_bytes *= (size_t)w->set[i].layers * w->set[i].width;
    }
}

static es_code writer_buffers(es_trace_writer *w, es_err *err)
{
    for (int i = 0; i < SETS; i++) {
        write_column *set = &w->set[i];
        if (set->used && !(set->buffer = es_arena_alloc(&w->arena, w->room, set->row_bytes)))
            return writer_nomem(err);
    }
    return ES_OK;
}

/* `last`: no more tokens will come, so a chunk need not be longer than what is there. Tokens and ids are stored plain: every run reads
 * them, and inflating the numbers of a token costs as much as two lookups. */
static es_code writer_make_sets(es_trace_writer *w, bool last, es_err *err)
{
    es_code code = ES_OK;
    for (int i = 0; !code && i < SETS; i++) {
        write_column *set = &w->set[i];
        const bool flat = i >= SET_ATTENDED;
        uint64_t dims[3] = { 0, flat ? set->width : set->layers, set->width }, rows = set->width ? WRITE_CHUNK / set->row_bytes : WRITE_TOKEN_CHUNK;
        if (!set->used)
            continue;
        rows = rows < 1 ? 1 : rows > WRITE_TOKEN_CHUNK ? WRITE_TOKEN_CHUNK : rows;
        if (last && rows > w->held)
            rows = w->held ? w->held : 1;
        code = es_h5_data_create(&set->data, w->file, set->path, set->type, set->width ? 3 - flat : 1, dims, rows, i <= SET_IDS ? 0 : WRITE_DEFLATE, err);
    }
    return code;
}

static es_code writer_flush(es_trace_writer *w, bool last, es_err *err)
{
    es_code code = w->set[SET_IDS].data ? ES_OK : writer_make_sets(w, last, err);
    for (int i = 0; !code && i < SETS; i++)
        if (w->set[i].used)
            code = es_h5_data_append(w->set[i].data, w->set[i].type, w->held, w->set[i].buffer, err);
    w->held = 0;
    return code;
}

/* --- attributes ----------------------------------------------------------------------------------------------------------------- */

static es_code writer_list(es_trace_writer *w, const char *path, es_h5_type type, const void *values, es_err *err)
{
    es_h5_data *data;
    if (!values)
        return ES_OK;
    es_code code = es_h5_data_create(&data, w->file, path, type, 1, (const uint64_t[]){ 0 }, w->info.layers, 0, err);
    if (!code)
        code = es_h5_data_append(data, type, w->info.layers, values, err);
    es_h5_data_close(data);
    return code;
}

static es_code writer_head(es_trace_writer *w, es_err *err)
{
    const es_trace_info *info = &w->info;
    es_code code = es_h5_put_text(w->file, "/", "format", ES_NATIVE_FORMAT, err);
    const struct { const char *name; int64_t value; } number[] = {
        { "version", ES_NATIVE_VERSION }, { "layers", info->layers }, { "experts", info->experts }, { "top_k", info->top_k },
        { "synthetic", info->synthetic }, { "uniform", info->uniform },
    };
    for (size_t i = 0; !code && i < sizeof number / sizeof number[0]; i++)
        code = es_h5_put_int(w->file, "/", number[i].name, number[i].value, err);
    if (!code)
        code = es_h5_put_text(w->file, "/", "model", info->model, err);
    if (!code)
        code = writer_list(w, "/layer_number", ES_H5_U32, info->layer_number, err);
    if (!code)
        code = writer_list(w, "/expert_bytes", ES_H5_I64, info->expert_bytes, err);
    return code ? code : writer_list(w, "/dense_bytes", ES_H5_I64, info->dense_bytes, err);
}

/* Where it comes from is known only at the end, when several sources were joined. */
static es_code writer_origin(es_trace_writer *w, es_err *err)
{
    const es_trace_info *info = &w->info;
    const char *origin = w->origin.length ? w->origin.at : info->provenance;
    char note[256];
    if (w->origin.failed)
        return writer_nomem(err);
    if (origin[0] == '\0' && info->format[0] != '\0') {
        snprintf(note, sizeof note, "{\"imported_from\": \"%.32s\", \"sha256\": \"%.64s\"}", info->format, info->sha256);
        origin = note;
    }
    return es_h5_put_text(w->file, "/", "provenance", origin, err);
}

static es_code writer_totals(es_trace_writer *w, es_err *err)
{
    const es_tally *t = &w->tally;
    char hex[65];
    const struct { const char *name; uint64_t value; } number[] = {
        { "tokens", t->prompt_tokens + t->decode_tokens }, { "steps", t->steps }, { "requests", t->requests }, { "prompt_tokens", t->prompt_tokens },
        { "decode_tokens", t->decode_tokens }, { "accesses", t->accesses }, { "missing_cells", t->missing_cells },
    };
    es_code code = ES_OK;
    for (size_t i = 0; !code && i < sizeof number / sizeof number[0]; i++)
        code = es_h5_put_int(w->file, "/", number[i].name, (int64_t)number[i].value, err);
    es_trace_digest_hex(w->digest, hex);
    if (!code)
        code = es_h5_put_text(w->file, "/", "sha256", hex, err);
    return code ? code : writer_origin(w, err);
}

/* --- opening and closing -------------------------------------------------------------------------------------------------------- */

static es_code writer_begin(es_trace_writer *w, const char *path, const es_trace_info *info, es_err *err)
{
    es_code code = es_trace_check_shape(info, err);
    if (code) {
        es_err_at(err, "%s", path);
        return code;
    }
    code = es_trace_copy_info(&w->info, info, &w->arena, err);
    if (code)
        return code;
    w->path = es_arena_text(&w->arena, path);
    if (!w->path)
        return writer_nomem(err);
    code = es_file_target_find(&w->target, path, err);
    if (code)
        return code;
    writer_columns(w);
    w->room = (uint32_t)(4 * (uint64_t)WRITE_CHUNK / w->set[SET_IDS].row_bytes);    /* a few MiB, whatever the model's width */
    w->room = w->room < 1 ? 1 : w->room > WRITE_TOKENS ? WRITE_TOKENS : w->room;
    code = writer_buffers(w, err);
    if (!code)
        code = es_trace_digest_new(&w->digest, &w->info, err);
    if (!code)
        code = es_h5_create(&w->file, w->target.name, err);
    return code ? code : writer_head(w, err);
}

es_code es_trace_writer_open(es_trace_writer **out, const char *path, const es_trace_info *info, es_err *err)
{
    *out = NULL;
    es_trace_writer *w = calloc(1, sizeof *w);
    if (!w)
        return writer_nomem(err);
    es_code code = writer_begin(w, path, info, err);
    if (code) {
        (void)!es_trace_writer_close(w, false, NULL);
        return code;
    }
    *out = w;
    return ES_OK;
}

static es_code writer_finish(es_trace_writer *w, es_err *err)
{
    if (w->tally.steps == 0)
        return es_err_set(err, ES_EINPUT, "%s: there are no steps to write", w->path);
    es_code code = writer_flush(w, true, err);
    return code ? code : writer_totals(w, err);
}

es_code es_trace_writer_close(es_trace_writer *w, bool keep, es_err *err)
{
    if (!w)
        return ES_OK;
    es_code code = keep ? writer_finish(w, err) : ES_OK;
    for (int i = 0; i < SETS; i++)
        es_h5_data_close(w->set[i].data);
    if (w->file) {
        es_code closed = es_h5_close(w->file, code ? NULL : err);
        code = code ? code : closed;
        if (keep && !code)
            code = es_file_target_keep(&w->target, err);
        if (!keep || code)
            es_file_target_drop(&w->target);
    }
    es_file_target_free(&w->target);
    es_tally_free(&w->tally);
    es_trace_digest_free(w->digest);
    es_text_free(&w->origin);
    es_arena_free(&w->arena);
    free(w);
    return code;
}

const es_trace_info *es_trace_writer_info(const es_trace_writer *w)
{
    return &w->info;
}

void es_trace_writer_origin(es_trace_writer *w, const char *provenance)
{
    es_text_free(&w->origin);
    es_text_add(&w->origin, "%s", provenance);
}

uint32_t es_trace_writer_next_request(const es_trace_writer *w)
{
    return w->tally.requests ? w->tally.highest_request + 1 : 0;
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------- */

static void writer_narrow(uint8_t *to, const uint16_t *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        to[i] = (uint8_t)from[i];       /* ES_NO_EXPERT becomes 255 */
}

/* Tokens [first, first + count) of a step into the buffers. */
static void writer_put(es_trace_writer *w, const es_step *step, uint32_t first, uint32_t count)
{
    const void *from[SETS] = { [SET_IDS] = step->ids, [SET_WEIGHTS] = step->weights, [SET_RESIDENCY] = step->residency,
        [SET_GUESS] = step->guess, [SET_CONFIDENCE] = step->guess_confidence,
        [SET_ATTENDED] = step->attended, [SET_ATTENTION] = step->attention };
    for (uint32_t i = 0; i < count; i++) {
        const es_token *token = &step->token[first + i];
        size_t at = w->held + i;
        uint32_t number[3] = { token->request, token->position, (uint32_t)(w->tally.steps - 1) };
        memcpy(w->set[SET_REQUEST].buffer + at * 4, &number[0], 4);
        memcpy(w->set[SET_POSITION].buffer + at * 4, &number[1], 4);
        memcpy(w->set[SET_STEP].buffer + at * 4, &number[2], 4);
        w->set[SET_PHASE].buffer[at] = token->phase;
    }
    for (int i = SET_IDS; i < SETS; i++) {
        const write_column *set = &w->set[i];
        uint64_t cells = (uint64_t)set->layers * set->width;
        if (!set->used)
            continue;
        unsigned char *to = set->buffer + w->held * set->row_bytes;
        if ((i == SET_IDS || i == SET_GUESS) && set->type == ES_H5_U8)
            writer_narrow(to, (const uint16_t *)from[i] + first * cells, count * cells);
        else
            memcpy(to, (const unsigned char *)from[i] + first * set->row_bytes, count * set->row_bytes);
    }
    w->held += count;
}

/* Whether guesses come with a confidence is seen at the first step. */
static es_code writer_confidence(es_trace_writer *w, es_err *err)
{
    write_column *set = &w->set[SET_CONFIDENCE];
    set->used = true;
    set->buffer = es_arena_alloc(&w->arena, w->room, set->row_bytes);
    return set->buffer ? ES_OK : writer_nomem(err);
}

/* Guessed ids are numbers from the same population, but may repeat. */
static es_code writer_guesses(const es_trace_writer *w, const es_step *step, es_err *err)
{
    uint64_t cells = (uint64_t)step->tokens * w->info.layers * w->info.guesses;
    for (uint64_t i = 0; i < cells; i++)
        if (step->guess[i] != ES_NO_EXPERT && step->guess[i] >= w->info.experts)
            return es_err_set(err, ES_EINPUT, "guessed expert %u is above %u, the highest", step->guess[i], w->info.experts - 1);
    return ES_OK;
}

es_code es_trace_writer_step(es_trace_writer *w, const es_step *step, es_err *err)
{
    es_code code = ES_OK;
    if (w->tally.steps == 0 && w->set[SET_GUESS].used && step->guess_confidence)
        code = writer_confidence(w, err);
    if ((w->set[SET_WEIGHTS].used && !step->weights) || (w->set[SET_RESIDENCY].used && !step->residency) || (w->set[SET_GUESS].used && !step->guess) ||
        (w->set[SET_CONFIDENCE].used && !step->guess_confidence) || (w->set[SET_ATTENDED].used && !step->attended))
        return es_err_set(err, ES_EINTERNAL, "%s: a step lacks the weights, residency, guesses or attention that the trace is written with", w->path);
    if (!code && w->tally.steps == UINT32_MAX)
        code = es_err_set(err, ES_EINPUT, "there are more than %u steps", UINT32_MAX);
    if (!code && w->set[SET_GUESS].used)
        code = writer_guesses(w, step, err);
    if (!code)
        code = es_tally_step(&w->tally, &w->info, step, err);
    if (code) {
        es_err_at(err, "%s", w->path);
        return code;
    }
    es_trace_digest_step(w->digest, step);
    for (uint32_t first = 0, count; !code && first < step->tokens; first += count) {
        count = w->room - w->held < step->tokens - first ? w->room - w->held : step->tokens - first;
        writer_put(w, step, first, count);
        if (w->held == w->room)
            code = writer_flush(w, false, err);
    }
    return code;
}
