/* Export: see export.h. The source is read twice: to see which form loses nothing, and to write. */
#include "traces/export.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "traces/field.h"

enum { EXPORT_BUFFER = 256 * 1024, EXPORT_FIELD = 32 };

typedef enum export_form { EXPORT_BY_REQUEST, EXPORT_BATCHED, EXPORT_BOTH } export_form;

typedef struct export {
    const es_trace_info *info;
    es_source_ask ask;
    export_form form;
    gzFile file;                        /* transparent when the name does not end in .gz */
    char *buffer;
    size_t used;
    bool failed;
    bool confidence;
    uint64_t step;
    bool *occurs;                       /* [layers] some row of the layer has an id or a guess */
} export;

/* --- which form ----------------------------------------------------------------------------------------------------------------- */

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
static bool export_empty(const export *out, const es_step *step, uint64_t cell)
{
    bool guessed = out->ask.guesses && step->guess && step->guess[cell * out->info->guesses] != ES_NO_EXPERT;
    return step->ids[cell * out->info->top_k] == ES_NO_EXPERT && !guessed;
}

static void export_mark(export *out, const es_step *step)
{
    uint32_t layers = out->info->layers;
    for (uint32_t layer = 0; layer < layers; layer++)
        for (uint64_t token = 0; !out->occurs[layer] && token < step->tokens; token++)
            out->occurs[layer] = !export_empty(out, step, token * layers + layer);
}

static es_code export_choose(export *out, const es_source *source, void *self, es_err *err)
{
    bool by_request = true, batched = true, any = false;
    es_token last = { 0 };
    es_code code = source->rewind(self, err);
    for (bool more = true; !code && more;) {
        es_step step;
        code = source->next(self, &step, &more, err);
        if (code || !more)
            break;
        by_request = by_request && export_by_request(&step, any ? &last : NULL);
        batched = batched && export_batched(&step, any ? &last : NULL);
        last = step.token[step.tokens - 1];
        export_mark(out, &step);
        if (!any)
            out->confidence = step.guess_confidence != NULL;
        any = true;
    }
    out->form = by_request ? EXPORT_BY_REQUEST : batched ? EXPORT_BATCHED : EXPORT_BOTH;
    return code;
}

/* --- text ----------------------------------------------------------------------------------------------------------------------- */

static void export_flush(export *out)
{
    if (out->used > 0 && gzwrite(out->file, out->buffer, (unsigned)out->used) != (int)out->used)
        out->failed = true;
    out->used = 0;
}

static void export_text(export *out, const char *text, size_t length)
{
    if (out->used + length > EXPORT_BUFFER)
        export_flush(out);
    memcpy(out->buffer + out->used, text, length);
    out->used += length;
}

static void export_number(export *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    export_text(out, digits + at, sizeof digits - at);
}

/* The shortest text that the reader reads back to the same bits. */
static void export_real(export *out, float value)
{
    char text[EXPORT_FIELD];
    if (!isfinite(value)) {
        export_text(out, "nan", 3);
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        float back = NAN;
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (es_field_f32(text, &back) && memcmp(&back, &value, sizeof value) == 0)
            break;
    }
    export_text(out, text, strlen(text));
}

static void export_names(export *out, char letter, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[EXPORT_FIELD];
        int length = snprintf(name, sizeof name, ",%c%u", letter, i);
        export_text(out, name, (size_t)length);
    }
}

static void export_header(export *out)
{
    static const char *const begin[] = { "request_id,token_index,phase,layer", "step,batch_pos,phase,layer", "step,request_id,token_index,phase,layer" };
    const es_trace_info *info = out->info;
    export_text(out, begin[out->form], strlen(begin[out->form]));
    export_names(out, 'e', info->top_k);
    export_names(out, 'w', out->ask.weights && info->has_weights ? info->top_k : 0);
    export_names(out, 'r', out->ask.residency && info->has_residency ? info->top_k : 0);
    export_names(out, 'g', out->ask.guesses ? info->guesses : 0);
    export_names(out, 'c', out->ask.guesses && out->confidence ? info->guesses : 0);
    export_text(out, "\n", 1);
}

/* --- rows ----------------------------------------------------------------------------------------------------------------------- */

static void export_key(export *out, const es_token *token)
{
    if (out->form == EXPORT_BOTH) {
        export_number(out, out->step);
        export_text(out, ",", 1);
    }
    export_number(out, out->form == EXPORT_BATCHED ? token->position : token->request);
    export_text(out, ",", 1);
    export_number(out, out->form == EXPORT_BATCHED ? token->request : token->position);
}

static void export_ids(export *out, const uint16_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        export_text(out, ",", 1);
        if (ids[i] != ES_NO_EXPERT)
            export_number(out, ids[i]);
    }
}

/* Numbers that go with ids; those of empty places are empty. */
static void export_reals(export *out, const uint16_t *ids, const float *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        export_text(out, ",", 1);
        if (ids[i] != ES_NO_EXPERT)
            export_real(out, values[i]);
    }
}

static void export_row(export *out, const es_step *step, uint32_t token, uint32_t layer)
{
    const es_trace_info *info = out->info;
    uint64_t cell = (uint64_t)token * info->layers + layer;
    uint32_t k = info->top_k, g = info->guesses;
    const uint16_t *ids = step->ids + cell * k;
    export_key(out, &step->token[token]);
    export_text(out, step->token[token].phase == ES_PREFILL ? ",P," : ",D,", 3);
    export_number(out, info->layer_number[layer]);
    export_ids(out, ids, k);
    if (out->ask.weights && step->weights)
        export_reals(out, ids, step->weights + cell * k, k);
    for (uint32_t i = 0; out->ask.residency && step->residency && i < k; i++) {
        export_text(out, ",", 1);
        if (ids[i] != ES_NO_EXPERT)
            export_number(out, step->residency[cell * k + i]);
    }
    if (out->ask.guesses && step->guess)
        export_ids(out, step->guess + cell * g, g);
    if (out->ask.guesses && step->guess_confidence)
        export_reals(out, step->guess + cell * g, step->guess_confidence + cell * g, g);
    export_text(out, "\n", 1);
}

/* Missing cells are not written, except those without which a token or a layer would not occur at all. */
static void export_step(export *out, const es_step *step)
{
    uint32_t layers = out->info->layers;
    for (uint32_t token = 0; token < step->tokens; token++) {
        bool written = false, first = out->step == 0 && token == 0;
        for (uint32_t layer = 0; layer < layers; layer++) {
            bool needed = (first && !out->occurs[layer]) || (!written && layer + 1 == layers);
            if (!needed && export_empty(out, step, (uint64_t)token * layers + layer))
                continue;
            export_row(out, step, token, layer);
            written = true;
        }
    }
    out->step++;
}

/* --- the file ------------------------------------------------------------------------------------------------------------------- */

static es_code export_all(export *out, const es_source *source, void *self, es_err *err)
{
    es_code code = source->rewind(self, err);
    export_header(out);
    for (bool more = true; !code && more;) {
        es_step step;
        code = source->next(self, &step, &more, err);
        if (!code && more)
            export_step(out, &step);
    }
    export_flush(out);
    return code;
}

static es_code export_to(export *out, const char *path, const char *name, const es_source *source, void *self, es_err *err)
{
    size_t length = strlen(path);
    bool gzip = length > 3 && strcmp(path + length - 3, ".gz") == 0, standard = strcmp(path, "-") == 0;
    out->file = standard ? gzdopen(dup(1), "wT") : gzopen(name, gzip ? "wb6" : "wbT");
    if (!out->file)
        return es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", standard ? "standard output" : name, strerror(errno));
    es_code code = export_all(out, source, self, err);
    bool closed = gzclose(out->file) == Z_OK;
    if (!code && (out->failed || !closed))
        code = es_err_set(err, ES_EINPUT, "%s: cannot be written to its end", standard ? "standard output" : name);
    if (!code && !standard && rename(name, path) != 0)
        code = es_err_set(err, ES_EINPUT, "%s: cannot be replaced: %s", path, strerror(errno));
    if (code && !standard)
        unlink(name);
    return code;
}

es_code es_trace_export_csv(const char *path, const es_source *source, void *self, const es_source_ask *ask, es_err *err)
{
    export out = { .info = source->info(self), .ask = *ask };
    size_t length = strlen(path);
    char *name = malloc(length + 5);
    out.buffer = malloc(EXPORT_BUFFER);
    out.occurs = calloc(out.info->layers, sizeof *out.occurs);
    es_code code = name && out.buffer && out.occurs ? export_choose(&out, source, self, err) : es_err_nomem(err, "an export");
    if (!code) {
        memcpy(name, path, length);
        memcpy(name + length, ".tmp", 5);
        code = export_to(&out, path, name, source, self, err);
    }
    free(name);
    free(out.buffer);
    free(out.occurs);
    return code;
}
