/* npy: an array of expert ids [tokens][layers][top_k] as NumPy saves it, -1 in empty places, requests one behind the other; and beside
 * X.npy the file X.lens.json, {"lens": [[prompt tokens, generated tokens], ...]}, one pair for each request. The layers of the array
 * are the model's, from 0; those without experts have only empty places. */
#include "traces/export_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "traces/assume.h"

typedef struct npy_out {
    es_export *base;
    es_text lens;
    uint32_t rows, wide;                /* layers of the array; bytes of an id */
    unsigned char *token;               /* [rows][top_k] ids, as they are written */
    bool any;
    es_token last;
    uint64_t prompt, generated, requests, tokens;
} npy_out;

/* --- what it can hold ----------------------------------------------------------------------------------------------------------- */

static void npy_request(npy_out *out)
{
    if (out->any)
        es_text_add(&out->lens, "%s[%llu, %llu]", out->requests++ ? ", " : "{\"lens\": [", (unsigned long long)out->prompt, (unsigned long long)out->generated);
    out->prompt = out->generated = 0;
}

/* Requests one behind the other, each a prompt in one step and then a token at a time. */
static es_code npy_look(void *to, const es_step *step, es_err *err)
{
    npy_out *out = to;
    const es_token *first = &step->token[0], *last = &step->token[step->tokens - 1];
    const bool other = !out->any || first->request != out->last.request;
    if (first->request != last->request || (first->phase == ES_DECODE && step->tokens > 1) || (first->phase == ES_PREFILL && !other))
        return es_err_set(err, ES_EINPUT, "npy holds requests one behind the other, each a prompt and then a token at a time; the step that begins with request %u, token %u is "
            "another: --as csv or jsonl holds it", first->request, first->position);
    if (other && out->any && first->request < out->last.request)
        return es_err_set(err, ES_EINPUT, "npy holds requests in the order of their numbers; request %u comes after request %u", first->request, out->last.request);
    if (other)
        npy_request(out);
    if (first->position != out->prompt + out->generated || last->position - first->position + 1 != step->tokens)
        es_assume(out->base->notes, "positions cannot be held by the format: tokens of a request are counted from 0");
    if (other && first->request != out->requests)
        es_assume(out->base->notes, "request numbers cannot be held by the format: they are counted from 0");
    *(first->phase == ES_PREFILL ? &out->prompt : &out->generated) += step->tokens;
    out->tokens += step->tokens;
    out->last = *last;
    out->any = true;
    return ES_OK;
}

/* --- the array ------------------------------------------------------------------------------------------------------------------ */

static void npy_head(const npy_out *out, uint64_t tokens)
{
    char head[256], line[200];
    int length = snprintf(line, sizeof line, "{'descr': '<i%u', 'fortran_order': False, 'shape': (%llu, %u, %u), }", out->wide, (unsigned long long)tokens, out->rows,
        out->base->info->top_k);
    const int whole = (10 + length + 1 + 63) / 64 * 64;     /* the data begins at a multiple of 64 */
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = (char)((whole - 10) & 0xff);
    head[9] = (char)((whole - 10) >> 8);
    memset(head + 10, ' ', (size_t)(whole - 10));
    memcpy(head + 10, line, (size_t)length);
    head[whole - 1] = '\n';
    es_export_text(out->base, head, (size_t)whole);
}

static es_code npy_step(void *to, const es_step *step, es_err *err)
{
    npy_out *out = to;
    const es_trace_info *info = out->base->info;
    (void)err;
    for (uint32_t t = 0; t < step->tokens; t++) {
        memset(out->token, 0xff, (size_t)out->rows * info->top_k * out->wide);
        for (uint32_t l = 0; l < info->layers; l++) {
            const uint16_t *row = step->ids + ((size_t)t * info->layers + l) * info->top_k;
            unsigned char *place = out->token + (size_t)info->layer_number[l] * info->top_k * out->wide;
            for (uint32_t k = 0; k < info->top_k && row[k] != ES_NO_EXPERT; k++) {
                memset(place + (size_t)k * out->wide, 0, out->wide);
                place[(size_t)k * out->wide] = (unsigned char)(row[k] & 0xff);
                place[(size_t)k * out->wide + 1] = (unsigned char)(row[k] >> 8);
            }
        }
        for (size_t at = 0, all = (size_t)out->rows * info->top_k * out->wide; at < all; at += EXPORT_BUFFER)
            es_export_text(out->base, out->token + at, all - at < EXPORT_BUFFER ? all - at : EXPORT_BUFFER);
    }
    return ES_OK;
}

/* "X.npy" has "X.lens.json". */
static es_code npy_save_lens(npy_out *out, es_err *err)
{
    es_text path = { 0 };
    const char *end = strrchr(out->base->path, '.');
    const bool npy = end && strcmp(end, ".npy") == 0;
    es_text_add(&path, "%.*s.lens.json", npy ? (int)(end - out->base->path) : (int)strlen(out->base->path), out->base->path);
    es_code code = path.failed || out->lens.failed ? es_err_nomem(err, "an export") : es_file_save(path.at, out->lens.at, out->lens.length, err);
    es_text_free(&path);
    return code;
}

static es_code npy_write(es_export *base, es_err *err)
{
    const es_trace_info *info = base->info;
    npy_out out = { .base = base, .rows = info->layer_number[info->layers - 1] + 1, .wide = info->experts <= INT16_MAX ? 2 : 4 };
    if (out.rows > 2 * info->layers + 64)
        return es_err_set(err, ES_EINPUT, "npy has a place for every layer from 0; the layers of this trace are up to %u, but only %u have experts", out.rows - 1, info->layers);
    es_export_leaves(base, EXPORT_WEIGHTS | EXPORT_RESIDENCY | EXPORT_GUESSES | EXPORT_ATTENTION | EXPORT_BYTES | EXPORT_MODEL);
    out.token = malloc((size_t)out.rows * info->top_k * out.wide);
    es_code code = out.token ? es_export_each(base, npy_look, &out, err) : es_err_nomem(err, "an export");
    if (!code) {
        npy_request(&out);
        es_text_add(&out.lens, "], \"experts\": %u}\n", info->experts);
        npy_head(&out, out.tokens);
        code = es_export_each(base, npy_step, &out, err);
    }
    if (!code)
        code = npy_save_lens(&out, err);
    es_text_free(&out.lens);
    free(out.token);
    return code;
}

const es_trace_form es_form_npy = {
    .name = "npy", .brief = "NumPy array of ids [tokens][layers][top_k], with X.lens.json beside it.", .lacks = "all but ids, layers, prompt and generated tokens of requests in a row",
    .ending = ".npy", .plain = true, .write = npy_write,
};
