/* trace fit: a trace told by numbers, from which as much as wanted is drawn that behaves alike (traces/likeness.h), and how alike it is.
 *
 * How alike is asked of requests that were not looked at: every fourth is held out, a likeness is estimated from the others, and drawn
 * four times, requests of the same lengths; then the next fourth, until each request was held out once. Hits of LRU and of Belady's
 * policy in one cache for all layers (contract event_atomic), added up over the four, are compared at every number of slots. What is
 * written is estimated from all requests. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/cli/trace_args.h"
#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "sim/curve/next_use.h"
#include "traces/likeness_draw.h"

enum { FIT_FOLDS = 4, FIT_TIMES = 4 };
#define FIT_AIM 0.02            /* of hits: what is farther off is named */

typedef struct fit_curves {     /* hits at 0, 1, ... slots, of decode lookups (of all, where none decodes) */
    uint32_t most;
    double lookups;
    double *lru, *belady;       /* [most + 1] */
} fit_curves;

typedef struct fit_farthest { double error; uint32_t slots; } fit_farthest;

typedef struct fit_likeness {
    es_likeness like;           /* of all requests */
    fit_curves held, drawn;     /* added up over the folds */
    uint32_t cycle;             /* experts that a token uses over all layers */
    bool compared;
    es_arena arena;
} fit_likeness;

/* --- parts of a trace ------------------------------------------------------------------------------------------------------------- */

/* Requests in the order of their first token; ordinal by request number. */
static es_code fit_ordinals(const es_trace *trace, uint32_t **ordinal, es_err *err)
{
    uint32_t next = 0;
    *ordinal = malloc(((size_t)trace->tally.highest_request + 1) * sizeof **ordinal);
    if (!*ordinal)
        return es_err_nomem(err, "a fit");
    memset(*ordinal, 0xff, ((size_t)trace->tally.highest_request + 1) * sizeof **ordinal);
    for (uint64_t t = 0; t < trace->tokens; t++)
        if ((*ordinal)[trace->token[t].request] == UINT32_MAX)
            (*ordinal)[trace->token[t].request] = next++;
    return ES_OK;
}

/* The tokens of the requests of a fold, or of all but it, in steps as they were. */
static es_code fit_part(const es_trace *trace, const uint32_t *ordinal, uint32_t fold, bool held, es_trace **out, es_err *err)
{
    const size_t row = (size_t)trace->info.layers * trace->info.top_k;
    es_trace_info info = trace->info;
    info.has_residency = false;
    info.guesses = info.attends = 0;
    es_code code = es_trace_new(out, &info, err);
    es_token *token = NULL;
    uint16_t *ids = NULL;
    float *weights = NULL;
    for (uint64_t s = 0, begin = 0; s < trace->info.steps && code == ES_OK; begin = trace->step_end[s++]) {
        const uint64_t most = trace->step_end[s] - begin;
        es_step step = {.record = s};
        if (!ES_TRACE_RESIZE(token, most, 1) || !ES_TRACE_RESIZE(ids, most, row) || !ES_TRACE_RESIZE(weights, most, row)) {
            code = es_err_nomem(err, "a fit");
            break;
        }
        for (uint64_t t = begin; t < trace->step_end[s]; t++) {
            if ((ordinal[trace->token[t].request] % FIT_FOLDS == fold) != held)
                continue;
            memcpy(ids + step.tokens * row, trace->ids + t * row, row * sizeof *ids);
            if (trace->keeps_weights)
                memcpy(weights + step.tokens * row, trace->weights + t * row, row * sizeof *weights);
            token[step.tokens++] = trace->token[t];
        }
        step.token = token;
        step.ids = ids;
        step.weights = trace->keeps_weights ? weights : NULL;
        if (step.tokens > 0)
            code = es_trace_append(*out, &step, err);
    }
    free(token);
    free(ids);
    free(weights);
    return code;
}

/* Requests drawn from a likeness, of the lengths that `held` has. */
static es_code fit_drawn(const es_likeness *like, const es_likeness *held, const es_trace *as, uint64_t seed, es_trace **out, es_arena *arena, es_err *err)
{
    es_like_draw d;
    es_trace_info info = as->info;
    const size_t row = (size_t)like->layers * like->top_k;
    uint32_t longest = 1;
    for (uint32_t i = 0; i < held->lengths; i++)
        longest = held->length[i].prompt > longest ? held->length[i].prompt : longest;
    info.has_weights = info.has_residency = false;
    info.guesses = info.attends = 0;
    uint16_t *ids = ES_NEW_ARRAY(arena, longest * row, uint16_t);
    es_token *token = ES_NEW_ARRAY(arena, longest, es_token);
    es_code code = ids && token ? es_trace_new(out, &info, err) : es_err_nomem(err, "a fit");
    if (code == ES_OK)
        code = es_like_draw_init(&d, like, seed, arena, err);
    for (uint32_t r = 0; r < held->lengths && code == ES_OK; r++) {
        const es_like_length length = held->length[r];
        for (uint32_t at = 0; at < length.prompt + length.decode && code == ES_OK;) {
            const bool prefill = at < length.prompt;
            es_step step = {.tokens = prefill ? length.prompt : 1, .token = token, .ids = ids};
            for (uint32_t t = 0; t < step.tokens; t++, at++) {
                token[t] = (es_token){r, at, prefill ? ES_PREFILL : ES_DECODE};
                es_like_draw_token(&d, r, at, ids + t * row);
            }
            code = es_trace_append(*out, &step, err);
        }
    }
    return code;
}

/* --- curves ------------------------------------------------------------------------------------------------------------------------ */

/* Adds the hits of a trace to `to`, whose arrays are made at the first. */
static es_code fit_curve(es_trace *trace, fit_curves *to, es_arena *arena, es_err *err)
{
    es_arena own = {0};
    es_trace_cursor cursor = {.trace = trace};
    es_events events = {0};
    const es_events_ask ask = {0};
    const es_curve_ask curve_ask = {.rule = ES_CURVE_WAVES};
    es_curve lru = {0};
    es_hits belady = {0};
    uint32_t *next = NULL;
    es_code code = es_events_read(&events, &es_trace_source, &cursor, &ask, &own, err);
    if (code == ES_OK)
        code = es_curve_lru(&events, &curve_ask, &lru, &own, err);
    if (code == ES_OK)
        code = es_next_use(&events, false, &next, &own, err);
    if (code == ES_OK)
        code = es_belady_stack(&events, next, &curve_ask, false, &belady, &own, err);
    if (code == ES_OK && !to->lru) {
        to->most = lru.sizes;
        to->lru = ES_NEW_ARRAY(arena, (size_t)to->most + 1, double);
        to->belady = ES_NEW_ARRAY(arena, (size_t)to->most + 1, double);
    }
    if (code == ES_OK && (!to->lru || !to->belady))
        code = es_err_nomem(err, "a fit");
    const bool decode = trace->info.decode_tokens > 0;
    to->lookups += (double)(decode ? lru.decode_accesses : lru.accesses);
    for (uint32_t s = 1; s <= to->most && code == ES_OK; s++) {
        to->lru[s] += (double)(decode ? lru.decode_hits : lru.hits)[s - 1];
        to->belady[s] += (double)*es_hits_row(&belady, s, true) + (decode ? 0.0 : (double)*es_hits_row(&belady, s, false));
    }
    es_arena_free(&own);
    return code;
}

static void fit_rates(fit_curves *curves)
{
    for (uint32_t s = 0; s <= curves->most && curves->lookups > 0.0; s++) {
        curves->lru[s] /= curves->lookups;
        curves->belady[s] /= curves->lookups;
    }
}

/* Where two curves are farthest from each other, from `first` slots on. */
static fit_farthest fit_far(const double *a, const double *b, uint32_t first, uint32_t most)
{
    fit_farthest far = {0.0, first};
    for (uint32_t s = first; s <= most; s++)
        if (fabs(a[s] - b[s]) > fabs(far.error))
            far = (fit_farthest){a[s] - b[s], s};
    return far;
}

static es_code fit_fold(fit_likeness *f, const es_trace *trace, const uint32_t *ordinal, uint32_t fold, es_err *err)
{
    es_arena own = {0};
    es_trace *rest = NULL, *held = NULL;
    es_likeness from_rest, of_held = {0};
    es_code code = fit_part(trace, ordinal, fold, false, &rest, err);
    if (code == ES_OK)
        code = fit_part(trace, ordinal, fold, true, &held, err);
    if (code == ES_OK)
        code = es_likeness_fit(&from_rest, rest, &own, err);
    if (code == ES_OK)
        code = es_likeness_lengths(&of_held, held, &own, err);
    if (code == ES_OK)
        code = fit_curve(held, &f->held, &f->arena, err);
    for (uint32_t time = 0; time < FIT_TIMES && code == ES_OK; time++) {
        es_trace *drawn = NULL;
        code = fit_drawn(&from_rest, &of_held, held, 2 + fold * FIT_TIMES + time, &drawn, &own, err);
        if (code == ES_OK)
            code = fit_curve(drawn, &f->drawn, &f->arena, err);
        es_trace_free(drawn);
    }
    es_trace_free(rest);
    es_trace_free(held);
    es_arena_free(&own);
    return code;
}

static es_code fit_compare(fit_likeness *f, const es_trace *trace, const uint32_t *ordinal, es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t fold = 0; fold < FIT_FOLDS && code == ES_OK; fold++)
        code = fit_fold(f, trace, ordinal, fold, err);
    f->compared = code == ES_OK;
    if (f->compared) {
        fit_rates(&f->held);
        fit_rates(&f->drawn);
    }
    return code;
}

/* --- telling ----------------------------------------------------------------------------------------------------------------------- */

static double fit_held(const es_likeness *like)
{
    double sum = 0.0;
    for (uint32_t l = 0; l < like->layers; l++)
        sum += like->hold[l] / like->layers;
    return sum;
}

/* What is too far off is named. */
static void fit_short(const char *policy, fit_farthest far, es_text *out)
{
    if (fabs(far.error) > FIT_AIM)
        es_text_add(out, "  not alike: %s hits are %.2f points too %s at %u slots, more than %g; docs/likeness.md says what a likeness does not keep\n", policy, 100 * fabs(far.error),
            far.error > 0.0 ? "many" : "few", far.slots, 100 * FIT_AIM);
}

static void fit_text(const fit_likeness *f, const char *path, es_text *out)
{
    const es_likeness *like = &f->like;
    es_text_add(out, "%s: %u layers x %u experts, top-%u; %u factors common to layers\n", path, like->layers, like->experts, like->top_k, like->factors);
    if (like->hold[0] > 0.0)
        es_text_add(out, "  scores jump: what an expert does by itself stays as it is with probability %.2f, mean over layers, unlike in recorded routing\n", fit_held(like));
    if (!f->compared) {
        es_text_add(out, "  fewer than %d requests: none could be held out, so nothing says how alike it is\n", FIT_FOLDS);
        return;
    }
    es_text_add(out, "  hits of decode lookups, one cache for all layers; each request held out once, and drawn after the others\n");
    es_text_add(out, "  %9s %9s %9s %9s   %9s %9s %9s\n", "slots", "lru", "drawn", "error", "belady", "drawn", "error");
    for (uint32_t part = 128; part >= 1; part /= 2) {
        const uint32_t s = f->held.most / part;
        if (s > 0)
            es_text_add(out, "  %9u %7.2f %% %7.2f %% %+9.2f   %7.2f %% %7.2f %% %+9.2f\n", s, 100 * f->held.lru[s], 100 * f->drawn.lru[s],
                100 * (f->drawn.lru[s] - f->held.lru[s]), 100 * f->held.belady[s], 100 * f->drawn.belady[s], 100 * (f->drawn.belady[s] - f->held.belady[s]));
    }
    const fit_farthest lru = fit_far(f->drawn.lru, f->held.lru, f->cycle, f->held.most), belady = fit_far(f->drawn.belady, f->held.belady, f->cycle, f->held.most);
    es_text_add(out, "  farthest at or above one token's %u experts: lru %+.2f points at %u slots, belady %+.2f at %u\n", f->cycle, 100 * lru.error, lru.slots,
        100 * belady.error, belady.slots);
    fit_short("lru", lru, out);
    fit_short("belady", belady, out);
}

static void fit_row(es_json *out, const char *key, const double *at, uint32_t most)
{
    es_json *list = es_json_add_array(out, key);
    for (uint32_t s = 0; s <= most; s++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(round(at[s] * 1e6) / 1e6));
}

/* What the file says of itself beside the likeness. */
static void fit_report(const fit_likeness *f, bool curves, es_json *out)
{
    if (!f->compared) {
        cJSON_AddNullToObject(out, "held_out");
        return;
    }
    es_json *held = es_json_add_object(out, "held_out");
    es_json_add_int(held, "folds", FIT_FOLDS);
    es_json_add_int(held, "cycle_slots", f->cycle);
    es_json_add_real(held, "lru_error", fit_far(f->drawn.lru, f->held.lru, f->cycle, f->held.most).error);
    es_json_add_real(held, "belady_error", fit_far(f->drawn.belady, f->held.belady, f->cycle, f->held.most).error);
    if (!curves)
        return;
    fit_row(held, "lru", f->held.lru, f->held.most);
    fit_row(held, "lru_drawn", f->drawn.lru, f->held.most);
    fit_row(held, "belady", f->held.belady, f->held.most);
    fit_row(held, "belady_drawn", f->drawn.belady, f->held.most);
}

static es_code fit_save(const fit_likeness *f, const char *out, es_err *err)
{
    es_json *json = cJSON_CreateObject();
    const bool whole = json && es_likeness_write(&f->like, json);
    if (whole)
        fit_report(f, false, json);
    char *text = whole ? es_json_text(json) : NULL;
    const es_code code = text ? es_file_save(out, text, strlen(text), err) : es_err_nomem(err, "a likeness");
    free(text);
    cJSON_Delete(json);
    return code;
}

static es_code fit_show(const fit_likeness *f, const char *path, bool json, es_err *err)
{
    es_text text = {0};
    if (json) {
        es_json *report = cJSON_CreateObject();
        fit_report(f, true, report);
        char *words = es_json_text(report);
        es_text_add(&text, "%s", words ? words : "");
        free(words);
        cJSON_Delete(report);
    } else {
        fit_text(f, path, &text);
    }
    return cmd_print(ES_OK, &text, err);
}

es_code trace_fit(const trace_args *args, es_err *err)
{
    fit_likeness f = {0};
    es_feed feed = {0};
    es_trace *trace = NULL;
    uint32_t *ordinal = NULL;
    es_source_ask ask;
    if (args->words.count != 2)
        return cmd_misused(&cmd_trace, err, args->words.count < 2 ? "which file?" : "one file at a time");
    const char *path = args->words.at[1];
    es_code code = trace_ask(args, path, false, &ask, err);
    ask.weights = true;
    if (code == ES_OK)
        code = trace_open(&ask, args->as, &feed, err);
    if (code == ES_OK)
        code = es_trace_load(&trace, feed.source, feed.state, &ask, err);
    if (code == ES_OK)
        code = fit_ordinals(trace, &ordinal, err);
    if (code == ES_OK && (code = es_likeness_fit(&f.like, trace, &f.arena, err)) != ES_OK)
        es_err_at(err, "%s", path);
    f.cycle = f.like.layers * f.like.top_k;
    if (code == ES_OK && trace->info.requests >= FIT_FOLDS)
        code = fit_compare(&f, trace, ordinal, err);
    if (code == ES_OK && args->out)
        code = fit_save(&f, args->out, err);
    if (code == ES_OK)
        code = fit_show(&f, path, args->json, err);
    free(ordinal);
    es_trace_free(trace);
    es_feed_close(&feed);
    es_arena_free(&f.arena);
    return code;
}
