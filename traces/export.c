/* Export: see export.h. What all formats share: the file, numbers, and a first look at the trace, which shows what loses nothing. */
#include "traces/export_inside.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/json.h"
#include "traces/assume.h"
#include "traces/field.h"

extern const es_trace_form es_form_csv, es_form_jsonl, es_form_npy, es_form_route_trace;

static const es_trace_form *const export_forms[] = { &es_form_csv, &es_form_jsonl, &es_form_npy, &es_form_route_trace };

enum { EXPORT_FORMS = sizeof export_forms / sizeof *export_forms };

const es_trace_form *es_trace_form_at(size_t i)
{
    return i < EXPORT_FORMS ? export_forms[i] : NULL;
}

/* The ending that says how a file is compressed; "": it is not. */
static const char *export_packed(const char *path)
{
    static const char *const ending[] = { ".gz", ".zst" };
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (length > strlen(ending[i]) && strcmp(path + length - strlen(ending[i]), ending[i]) == 0)
            return ending[i];
    return "";
}

const es_trace_form *es_trace_form_of(const char *path)
{
    size_t length = strlen(path);
    if (strcmp(path, "-") == 0)
        return &es_form_csv;
    length -= strlen(export_packed(path));
    for (size_t i = 0; i < EXPORT_FORMS; i++) {
        const size_t end = export_forms[i]->ending ? strlen(export_forms[i]->ending) : 0;
        if (end > 0 && length > end && strncmp(path + length - end, export_forms[i]->ending, end) == 0)
            return export_forms[i];
    }
    return NULL;
}

/* --- text ----------------------------------------------------------------------------------------------------------------------- */

/* What the frame has come to goes to the file, with `last` all of it and its end. */
static bool export_frame(es_export *out, bool last)
{
    ZSTD_inBuffer in = { out->buffer, out->used, 0 };
    size_t left = 1;
    while (in.pos < in.size || (last && left > 0)) {
        ZSTD_outBuffer to = { out->packed, EXPORT_BUFFER, 0 };
        left = ZSTD_compressStream2(out->zstd, &to, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left) || gzwrite(out->file, out->packed, (unsigned)to.pos) != (int)to.pos)
            return false;
    }
    return true;
}

static void export_flush(es_export *out)
{
    const bool good = out->zstd ? export_frame(out, false) : out->used == 0 || gzwrite(out->file, out->buffer, (unsigned)out->used) == (int)out->used;
    out->failed = out->failed || !good;
    out->used = 0;
}

void es_export_text(es_export *out, const void *text, size_t length)
{
    if (out->used + length > EXPORT_BUFFER)
        export_flush(out);
    memcpy(out->buffer + out->used, text, length);
    out->used += length;
    out->bytes += length;
}

void es_export_number(es_export *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    es_export_text(out, digits + at, sizeof digits - at);
}

void es_export_real(es_export *out, float value)
{
    char text[EXPORT_FIELD];
    if (!isfinite(value)) {
        es_export_text(out, "nan", 3);
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        float back = NAN;
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (es_field_f32(text, &back) && memcmp(&back, &value, sizeof value) == 0)
            break;
    }
    es_export_text(out, text, strlen(text));
}

void es_export_quoted(es_export *out, const char *text)
{
    cJSON *json = cJSON_CreateString(text);
    char *quoted = json ? cJSON_PrintUnformatted(json) : NULL;
    es_export_word(out, quoted ? quoted : "\"\"");
    out->failed = out->failed || !quoted;
    cJSON_free(quoted);
    cJSON_Delete(json);
}

void es_export_leaves(es_export *out, unsigned what)
{
    const es_trace_info *info = out->info;
    const struct { bool has; const char *name; } all[] = {
        { info->has_weights && out->ask.weights, "gate weights" }, { info->has_residency && out->ask.residency, "recorded residency" },
        { info->guesses > 0 && out->ask.guesses, "recorded predictions" }, { info->attends > 0 && out->ask.attention, "attended positions" },
        { info->expert_bytes || info->dense_bytes, "bytes of experts and layers" }, { info->model && *info->model, "the model's name" },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (what >> i & 1 && all[i].has)
            es_assume(out->notes, "%s cannot be held by the format: left out", all[i].name);
}

void es_export_word(es_export *out, const char *text)
{
    es_export_text(out, text, strlen(text));
}

/* --- a first look ----------------------------------------------------------------------------------------------------------------- */

/* By request: a step is the prompt tokens of one request or one generated token, and no prompt is cut in two neighbouring steps. */
static bool export_by_request(const es_step *step, const es_token *last)
{
    const es_token *first = &step->token[0];
    if (first->phase == ES_DECODE)
        return step->tokens == 1;
    if (last && last->phase == ES_PREFILL && last->request == first->request)
        return false;
    return step->token[step->tokens - 1].request == first->request;
}

/* Batched: all tokens of a step have its number as position. */
static bool export_batched(const es_step *step, const es_token *last)
{
    for (uint32_t i = 0; i < step->tokens; i++)
        if (step->token[i].position != step->token[0].position)
            return false;
    return !last || last->position < step->token[0].position;
}

/* Has the row anything to say? */
static bool export_empty(const es_export *out, const es_step *step, uint64_t cell)
{
    bool guessed = out->ask.guesses && step->guess && step->guess[cell * out->info->guesses] != ES_NO_EXPERT;
    return step->ids[cell * out->info->top_k] == ES_NO_EXPERT && !guessed;
}

/* How many rows a token lacks at its end. */
static uint32_t export_lacks(const es_export *out, const es_step *step, uint32_t token)
{
    const uint32_t layers = out->info->layers;
    uint32_t lacks = 0;
    while (lacks < layers && export_empty(out, step, (uint64_t)token * layers + layers - 1 - lacks))
        lacks++;
    return lacks;
}

static void export_mark(const es_export *out, es_export_look *look, const es_step *step)
{
    uint32_t layers = out->info->layers;
    for (uint32_t layer = 0; layer < layers; layer++)
        for (uint64_t token = 0; !look->occurs[layer] && token < step->tokens; token++)
            look->occurs[layer] = !export_empty(out, step, token * layers + layer);
}

/* The highest id that a list of them has; no id is as high as ES_NO_EXPERT. */
static uint32_t export_highest(const uint16_t *ids, uint64_t count, uint32_t highest)
{
    for (uint64_t i = 0; ids && i < count; i++)
        highest = ids[i] != ES_NO_EXPERT && ids[i] > highest ? ids[i] : highest;
    return highest;
}

typedef struct export_looking { const es_export *out; es_export_look *look; } export_looking;

static es_code export_look(void *to, const es_step *step, es_err *err)
{
    const export_looking *looking = to;
    es_export_look *look = looking->look;
    (void)err;
    look->by_request = look->by_request && export_by_request(step, look->any ? &look->last : NULL);
    look->batched = look->batched && export_batched(step, look->any ? &look->last : NULL);
    look->last = step->token[step->tokens - 1];
    export_mark(looking->out, look, step);
    const es_trace_info *info = looking->out->info;
    const uint64_t cells = (uint64_t)step->tokens * info->layers;
    look->highest = export_highest(step->ids, cells * info->top_k, look->highest);
    look->highest = export_highest(looking->out->ask.guesses ? step->guess : NULL, cells * info->guesses, look->highest);
    look->confidence = look->confidence || step->guess_confidence;
    look->any = true;
    look->tokens += step->tokens;
    look->lacks = export_lacks(looking->out, step, step->tokens - 1);
    return ES_OK;
}

void es_export_rows(const es_export *out, es_export_look *look, const es_step *step, void (*row)(void *to, const es_step *step, uint32_t token, uint32_t layer), void *to)
{
    const uint32_t layers = out->info->layers;
    const bool alone = step->tokens == 1 && step->token[0].phase == ES_DECODE;
    for (uint32_t token = 0; token < step->tokens; token++) {
        const bool first = look->written == 0, last = ++look->written == look->tokens && alone;
        const uint32_t rows = layers - (last ? export_lacks(out, step, token) : 0);
        bool any = false;
        for (uint32_t layer = 0; layer < layers; layer++) {
            const bool needed = (any && layer >= rows) || (first && !look->occurs[layer]) || (!any && layer + 1 == layers);
            if (!needed && export_empty(out, step, (uint64_t)token * layers + layer))
                continue;
            row(to, step, token, layer);
            any = true;
        }
    }
}

es_code es_export_look_at(es_export *out, es_export_look *look, es_err *err)
{
    *look = (es_export_look){ .by_request = true, .batched = true, .occurs = calloc(out->info->layers, sizeof *look->occurs) };
    return look->occurs ? es_export_each(out, export_look, &(export_looking){ out, look }, err) : es_err_nomem(err, "an export");
}

/* --- the file ------------------------------------------------------------------------------------------------------------------- */

es_code es_export_each(es_export *out, es_code (*take)(void *to, const es_step *step, es_err *err), void *to, es_err *err)
{
    es_code code = out->source->rewind(out->self, err);
    for (bool more = true; !code && more;) {
        es_step step;
        code = out->source->next(out->self, &step, &more, err);
        if (!code && more)
            code = take(to, &step, err);
    }
    return code;
}

static es_code export_to(es_export *out, const es_trace_form *form, const char *name, es_err *err)
{
    const char *packed = export_packed(out->path);
    const bool standard = strcmp(out->path, "-") == 0;
    out->file = standard ? gzdopen(dup(1), "wT") : gzopen(name, strcmp(packed, ".gz") == 0 ? "wb6" : "wbT");
    if (!out->file)
        return es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", standard ? "standard output" : name, strerror(errno));
    if (strcmp(packed, ".zst") == 0 && (!(out->zstd = ZSTD_createCCtx()) || !(out->packed = malloc(EXPORT_BUFFER)))) {
        gzclose(out->file);
        return es_err_nomem(err, "an export");
    }
    es_code code = form->write(out, err);
    export_flush(out);
    if (out->zstd && !export_frame(out, true))
        out->failed = true;
    const bool closed = gzclose(out->file) == Z_OK;
    if (!code && (out->failed || !closed))
        code = es_err_set(err, ES_EINPUT, "%s: cannot be written to its end", standard ? "standard output" : name);
    return code;
}

static es_code export_plain(const es_export *out, es_err *err)
{
    return es_err_set(err, ES_EINPUT, "%s: an array is written to a plain file, with its lengths beside it", out->path);
}

static es_code export_file(es_export *out, const es_trace_form *form, es_err *err)
{
    es_file_target target = { 0 };
    es_code code = es_file_target_find(&target, out->path, err);
    if (code)
        return code;
    code = target.through && form->plain ? export_plain(out, err) : export_to(out, form, target.name, err);
    if (!code)
        code = es_file_target_keep(&target, err);
    if (code)
        es_file_target_drop(&target);
    es_file_target_free(&target);
    return code;
}

es_code es_trace_export(const es_trace_form *form, const char *path, const es_source *source, void *self, const es_source_ask *ask, es_text *notes, es_err *err)
{
    es_text unread = { 0 };
    es_export out = { .source = source, .self = self, .info = source->info(self), .ask = *ask, .path = path, .notes = notes ? notes : &unread };
    out.buffer = malloc(EXPORT_BUFFER);
    const bool standard = strcmp(path, "-") == 0;
    es_code code = !out.buffer ? es_err_nomem(err, "an export") : form->plain && (standard || *export_packed(path)) ? export_plain(&out, err) : ES_OK;
    if (!code)
        code = standard ? export_to(&out, form, path, err) : export_file(&out, form, err);
    ZSTD_freeCCtx(out.zstd);
    free(out.packed);
    free(out.buffer);
    es_text_free(&unread);
    return code;
}

es_code es_trace_export_csv(const char *path, const es_source *source, void *self, const es_source_ask *ask, es_err *err)
{
    return es_trace_export(&es_form_csv, path, source, self, ask, NULL, err);
}
