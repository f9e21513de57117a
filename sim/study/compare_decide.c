/* What a comparison finds: the difference of every pair with its interval, corrected for the number of pairs; who is ahead. See compare.h.
 *
 * A metric is a ratio of two sums over units, r = sum(above) / sum(below). A unit's part in it is r + (above - r below) / mean(below),
 * whose mean is r and whose scatter is, to first order, that of r; the difference of two candidates' parts is the series whose mean gets
 * the interval. Where below is alike for both (the lookups of the same requests) this is the paired difference itself.
 *
 * Where the difference drifts, its mean has no interval; who is better may be plain all the same. Then the sign of a unit's difference is the
 * series: +1, 0 or -1, by the same blocks, whose length follows from how alike the signs are. It ranks where it agrees with the mean. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/compare_inside.h"
#include "sim/study/compare_stats.h"

enum { DECIDE_COLD, DECIDE_WARM, DECIDE_PHASES };

typedef struct decide_pair {
    es_paired test;             /* of the difference of parts; of the signs where the first is the larger */
    double p_holm;
    size_t wins, ties, losses;  /* units in which the first is better, alike, worse */
} decide_pair;

typedef struct decide_units {   /* of one candidate, all runs one behind the other */
    double *above, *below, *part;
    size_t count;
    double value;
} decide_units;

typedef struct decide_group {
    decide_units *units[DECIDE_PHASES];         /* [candidates] */
    decide_pair *pair[DECIDE_PHASES];           /* [pairs] */
    size_t pairs;
    bool *settled;                              /* [candidates] in most runs */
} decide_group;

typedef struct decide_work {
    es_compare *c;
    es_arena arena;
    decide_group *group;
    size_t pairs;               /* of all groups: the family */
    es_resample how;
} decide_work;

/* ---- units ---- */

static void decide_settled(const compare_group *g, bool *settled)
{
    for (size_t k = 0; k < g->candidates; k++) {
        size_t some = 0;
        for (size_t r = 0; r < g->runs; r++)
            some += compare_at(g, k, r)->settled;
        settled[k] = 2 * some > g->runs;
    }
}

/* Rows of a run that the warm part leaves out: as many as the slowest of the settled candidates needs. False: one did not settle here. */
static bool decide_cut(const compare_group *g, const bool *settled, size_t run, size_t *cut)
{
    *cut = 0;
    for (size_t k = 0; k < g->candidates; k++) {
        const compare_cell *cell = compare_at(g, k, run);
        if (!settled[k])
            continue;
        if (!cell->settled)
            return false;
        *cut = cell->cut > *cut ? cell->cut : *cut;
    }
    return true;
}

/* Does another unit begin with row i of a cell? */
static bool decide_begins(const compare_cell *cell, compare_unit unit, size_t i)
{
    return i == 0 || unit == COMPARE_TOKEN || (unit == COMPARE_REQUEST && cell->request[i] != cell->request[i - 1]);
}

/* A request of which some rows are left out is left out; of a whole run the rest is a unit. */
static void decide_add(decide_units *u, const compare_cell *cell, compare_unit unit, size_t cut)
{
    bool some = unit == COMPARE_RUN && cut < cell->rows;
    u->count += some;
    for (size_t i = 0; i < cell->rows; i++) {
        if (i >= cut && unit != COMPARE_RUN && decide_begins(cell, unit, i)) {
            u->count++;
            some = true;
        }
        if (!some || i < cut)
            continue;
        u->above[u->count - 1] += cell->above[i];
        u->below[u->count - 1] += cell->below[i];
    }
}

/* `settled` NULL: cold. */
static es_code decide_collect(decide_work *w, const compare_group *g, size_t candidate, const bool *settled, decide_units *u, es_err *err)
{
    size_t rows = 0, cut = 0;
    for (size_t r = 0; r < g->runs; r++)
        rows += compare_at(g, candidate, r)->rows;
    u->above = ES_NEW_ARRAY(&w->arena, rows + 1, double);
    u->below = ES_NEW_ARRAY(&w->arena, rows + 1, double);
    u->part = ES_NEW_ARRAY(&w->arena, rows + 1, double);
    if (!u->above || !u->below || !u->part)
        return es_err_nomem(err, "the units");
    for (size_t r = 0; r < g->runs; r++)
        if (!settled || decide_cut(g, settled, r, &cut))
            decide_add(u, compare_at(g, candidate, r), w->c->unit, cut);
    double above = 0.0, below = 0.0;
    for (size_t i = 0; i < u->count; i++) {
        above += u->above[i];
        below += u->below[i];
    }
    u->value = below > 0.0 ? above / below : (double)NAN;
    for (size_t i = 0; i < u->count; i++)
        u->part[i] = u->value + (u->above[i] - u->value * u->below[i]) * (double)u->count / below;
    return ES_OK;
}

/* ---- pairs ---- */

/* Does a pair exist in this phase? Warm only between those that have settled. */
static bool decide_has(const decide_group *d, int phase, size_t a, size_t b)
{
    return phase == DECIDE_COLD || (d->settled[a] && d->settled[b] && d->units[phase][a].count > 0);
}

static void decide_count(const es_compare *c, const decide_units *a, const decide_units *b, decide_pair *pair)
{
    for (size_t i = 0; i < a->count; i++) {
        const double left = a->above[i] * b->below[i], right = b->above[i] * a->below[i];      /* the ratios, without dividing by 0 */
        if (left == right)
            pair->ties++;
        else if ((left > right) == c->metric->higher)
            pair->wins++;
        else
            pair->losses++;
    }
}

/* `scratch`: twice as many as there are units. */
static es_code decide_pair_of(decide_work *w, const decide_units *a, const decide_units *b, decide_pair *pair, double *scratch, es_err *err)
{
    decide_count(w->c, a, b, pair);
    for (size_t i = 0; i < a->count; i++)
        scratch[i] = a->part[i] - b->part[i];
    return es_paired_test(&pair->test, scratch, a->count, &w->how, scratch + a->count, err);
}

static es_code decide_phase(decide_work *w, const compare_group *g, decide_group *d, int phase, es_err *err)
{
    size_t at = 0;
    d->units[phase] = ES_NEW_ARRAY(&w->arena, g->candidates, decide_units);
    d->pair[phase] = ES_NEW_ARRAY(&w->arena, d->pairs, decide_pair);
    es_code code = d->units[phase] && d->pair[phase] ? ES_OK : es_err_nomem(err, "the pairs");
    for (size_t k = 0; k < g->candidates && code == ES_OK; k++)
        code = decide_collect(w, g, k, phase == DECIDE_WARM ? d->settled : NULL, &d->units[phase][k], err);
    const decide_units *units = d->units[phase];
    if (code)
        return code;
    if (phase == DECIDE_COLD && !isfinite(units[0].value))
        return es_err_set(err, ES_EINPUT, "%s has nothing to measure %s by (%zu units)", compare_at(g, 0, 0)->path, w->c->metric->name, units[0].count);
    double *scratch = malloc((2 * units[0].count + 1) * sizeof *scratch);
    code = scratch ? ES_OK : es_err_nomem(err, "the pairs");
    for (size_t a = 0; a < g->candidates; a++)
        for (size_t b = a + 1; b < g->candidates && code == ES_OK; b++, at++)
            if (decide_has(d, phase, a, b))
                code = decide_pair_of(w, &units[a], &units[b], &d->pair[phase][at], scratch, err);
    free(scratch);
    return code;
}

/* Hands every pair that exists to `go`. */
static void decide_each(decide_work *w, int phase, void (*go)(decide_pair *pair, double *p), double *p)
{
    for (size_t g = 0; g < w->c->groups; g++) {
        const size_t candidates = w->c->group[g].candidates;
        decide_pair *pair = w->group[g].pair[phase];
        for (size_t a = 0; a < candidates; a++)
            for (size_t b = a + 1; b < candidates; b++, pair++)
                if (decide_has(&w->group[g], phase, a, b))
                    go(pair, p++);
    }
}

static void family_count(decide_pair *pair, double *p)
{
    *p = pair->test.p;
}

static void family_correct(decide_pair *pair, double *p)
{
    pair->p_holm = *p;
}

static size_t decide_members(const decide_work *w, int phase)
{
    size_t count = 0;
    for (size_t g = 0; g < w->c->groups; g++)
        for (size_t a = 0; a < w->c->group[g].candidates; a++)
            for (size_t b = a + 1; b < w->c->group[g].candidates; b++)
                count += decide_has(&w->group[g], phase, a, b);
    return count;
}

static es_code decide_family(decide_work *w, int phase, es_err *err)
{
    const size_t members = decide_members(w, phase);
    double *p = ES_NEW_ARRAY(&w->arena, 2 * members + 1, double);
    if (!p)
        return es_err_nomem(err, "the pairs");
    decide_each(w, phase, family_count, p);
    es_code code = es_holm(p, members, p + members, err);
    decide_each(w, phase, family_correct, p + members);
    return code;
}

/* Who of a pair is better: > 0 the first, < 0 the second, 0 nobody knows. */
static int decide_better(const decide_work *w, const decide_pair *pair)
{
    const es_interval *mean = &pair->test.mean;
    if ((mean->none && !pair->test.by_sign) || pair->p_holm > 1.0 - w->how.confidence + 1e-12 || mean->mean == 0.0)
        return 0;
    return (mean->mean > 0.0) == w->c->metric->higher ? 1 : -1;
}

/* 1 and one more for everyone who is better. */
static size_t decide_rank(const decide_work *w, const compare_group *g, const decide_group *d, size_t candidate)
{
    size_t rank = 1, at = 0;
    for (size_t a = 0; a < g->candidates; a++)
        for (size_t b = a + 1; b < g->candidates; b++, at++) {
            const int better = decide_better(w, &d->pair[DECIDE_COLD][at]);
            rank += (b == candidate && better > 0) || (a == candidate && better < 0);
        }
    return rank;
}

/* ---- what is told ---- */

static void decide_add_pair(const decide_work *w, const compare_group *g, const decide_pair *pair, size_t a, size_t b, es_json *out, const char *key)
{
    const int better = decide_better(w, pair);
    const es_interval *in = &pair->test.mean, *sign = &pair->test.sign, *told = pair->test.by_sign ? sign : in;
    const double units = (double)(pair->wins + pair->ties + pair->losses), way = w->c->metric->higher ? 1.0 : -1.0;     /* signs as they are better */
    const double low = way > 0.0 ? sign->low : -sign->high, high = way > 0.0 ? sign->high : -sign->low;
    es_json *one = es_json_add_object(out, key);
    es_json_add_real(one, "difference", in->mean);
    es_json_add_real(one, "low", in->low);
    es_json_add_real(one, "high", in->high);
    es_json_add_real(one, "p", pair->test.p);
    es_json_add_real(one, "p_holm", pair->p_holm);
    es_json_add_int(one, "wins", (int64_t)pair->wins);
    es_json_add_int(one, "ties", (int64_t)pair->ties);
    es_json_add_int(one, "losses", (int64_t)pair->losses);
    es_json_add_text(one, "by", pair->test.by_sign ? "wins" : in->none ? NULL : "mean");
    es_json_add_real(one, "won", ((double)pair->wins - (double)pair->losses) / units);
    es_json_add_real(one, "won_low", pair->test.by_sign ? fmax(-1.0, low) : (double)NAN);
    es_json_add_real(one, "won_high", pair->test.by_sign ? fmin(1.0, high) : (double)NAN);
    es_json_add_int(one, "block", (int64_t)told->block);
    es_json_add_int(one, "blocks", (int64_t)told->blocks);
    es_json_add_text(one, "better", better == 0 ? NULL : g->candidate[better > 0 ? a : b]);
    if (in->none)
        es_json_add_text(one, "reason", in->none);
}

static void decide_add_pairs(const decide_work *w, const compare_group *g, const decide_group *d, es_json *pairs)
{
    size_t at = 0;
    for (size_t a = 0; a < g->candidates; a++)
        for (size_t b = a + 1; b < g->candidates; b++, at++) {
            es_json *out = cJSON_CreateObject();
            es_json_add_text(out, "a", g->candidate[a]);
            es_json_add_text(out, "b", g->candidate[b]);
            decide_add_pair(w, g, &d->pair[DECIDE_COLD][at], a, b, out, "cold");
            if (decide_has(d, DECIDE_WARM, a, b))
                decide_add_pair(w, g, &d->pair[DECIDE_WARM][at], a, b, out, "warm");
            else
                cJSON_AddNullToObject(out, "warm");
            if (!cJSON_AddItemToArray(pairs, out))
                cJSON_Delete(out);
        }
}

static bool decide_ends(const char *path, const char *end)
{
    const size_t length = strlen(path), size = strlen(end);
    return length >= size && strcmp(path + length - size, end) == 0;
}

/* A fact over all runs: shares are averaged, all else is added up; null where one run has none. */
static double decide_fact(const compare_group *g, size_t candidate, const char *path)
{
    const bool share = decide_ends(path, "_rate") || decide_ends(path, "_coverage");
    double sum = 0.0;
    for (size_t r = 0; r < g->runs; r++) {
        const es_json *value = es_json_at(compare_at(g, candidate, r)->facts, path);
        sum += cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
    }
    return share ? sum / (double)g->runs : sum;
}

/* All facts under a path, those of objects in it too. */
static void decide_add_facts(const compare_group *g, size_t candidate, const char *path, const char *name, es_json *out)
{
    const es_json *facts = es_json_at(compare_at(g, candidate, 0)->facts, path), *one;
    es_json *to = es_json_add_object(out, name);
    cJSON_ArrayForEach(one, facts) {
        char below[256];
        snprintf(below, sizeof below, "%s.%s", path, one->string);
        if (cJSON_IsObject(one))
            decide_add_facts(g, candidate, below, one->string, to);
        else
            es_json_add_real(to, one->string, decide_fact(g, candidate, below));
    }
}

static void decide_add_candidate(const decide_work *w, const compare_group *g, const decide_group *d, size_t k, es_json *list)
{
    size_t cut = 0;
    for (size_t r = 0; r < g->runs; r++)
        cut = compare_at(g, k, r)->settled && compare_at(g, k, r)->cut > cut ? compare_at(g, k, r)->cut : cut;
    es_json *out = cJSON_CreateObject();
    es_json_add_text(out, "name", g->candidate[k]);
    es_json_add_int(out, "rank", (int64_t)decide_rank(w, g, d, k));
    es_json_add_real(out, "cold", d->units[DECIDE_COLD][k].value);
    es_json_add_real(out, "warm", d->settled[k] ? d->units[DECIDE_WARM][k].value : (double)NAN);
    es_json_add_bool(out, "settled", d->settled[k]);
    es_json_add_int(out, "warm_up", (int64_t)cut);
    es_json_add_bool(out, "causal", !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(compare_at(g, k, 0)->facts, "causal")));
    es_json_add_real(out, "total_s", decide_fact(g, k, "total_s"));
    decide_add_facts(g, k, "bounds", "bounds", out);
    es_json_add_bool(out, "bounds_causal", false);
    es_json_add_text(out, "bounds_reason", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(compare_at(g, k, 0)->facts, "bounds_reason")));
    decide_add_facts(g, k, "why", "why", out);
    if (!cJSON_AddItemToArray(list, out))
        cJSON_Delete(out);
}

/* How many requests the runs have: what lies behind tokens. */
static size_t decide_requests(const compare_group *g)
{
    size_t count = 0;
    for (size_t r = 0; r < g->runs; r++) {
        const compare_cell *cell = compare_at(g, 0, r);
        for (size_t i = 0; i < cell->rows && cell->tables; i++)
            count += decide_begins(cell, COMPARE_REQUEST, i);
    }
    return count;
}

static void decide_add_group(const decide_work *w, const compare_group *g, const decide_group *d, es_json *groups)
{
    es_json *out = cJSON_CreateObject();
    es_json_add_text(out, "where", *g->name ? g->name : NULL);
    es_json_add_int(out, "runs", (int64_t)g->runs);
    es_json_add_int(out, "requests", (int64_t)decide_requests(g));
    es_json_add_int(out, "units", (int64_t)d->units[DECIDE_COLD][0].count);
    es_json_add_int(out, "units_warm", (int64_t)d->units[DECIDE_WARM][0].count);
    es_json *candidates = es_json_add_array(out, "candidates");
    for (size_t k = 0; k < g->candidates; k++)
        decide_add_candidate(w, g, d, k, candidates);
    decide_add_pairs(w, g, d, es_json_add_array(out, "pairs"));
    if (!cJSON_AddItemToArray(groups, out))
        cJSON_Delete(out);
}

/* ---- all of it ---- */

static es_code decide_all(decide_work *w, es_err *err)
{
    es_compare *c = w->c;
    w->group = ES_NEW_ARRAY(&w->arena, c->groups, decide_group);
    if (!w->group)
        return es_err_nomem(err, "the pairs");
    for (size_t g = 0; g < c->groups; g++) {
        w->group[g].pairs = c->group[g].candidates * (c->group[g].candidates - 1) / 2;
        w->pairs += w->group[g].pairs;
        w->group[g].settled = ES_NEW_ARRAY(&w->arena, c->group[g].candidates, bool);
        if (!w->group[g].settled)
            return es_err_nomem(err, "the pairs");
        decide_settled(&c->group[g], w->group[g].settled);
    }
    /* the least p-value that resamples can give must be small enough for the least of the family, with some to spare */
    const double least = 4.0 * (double)w->pairs / (1.0 - c->ask.confidence);
    w->how = (es_resample){.times = (double)c->ask.resamples > least ? c->ask.resamples : (size_t)least, .confidence = c->ask.confidence,
        .stream = es_stream_of(c->ask.seed, 0, "compare", "blocks")};
    es_code code = ES_OK;
    for (int phase = 0; phase < DECIDE_PHASES && code == ES_OK; phase++) {
        for (size_t g = 0; g < c->groups && code == ES_OK; g++)
            code = decide_phase(w, &c->group[g], &w->group[g], phase, err);
        if (code == ES_OK)
            code = decide_family(w, phase, err);
    }
    return code;
}

es_code compare_json(es_compare *c, es_json *out, es_err *err)
{
    static const char *const units[] = {[COMPARE_TOKEN] = "token", [COMPARE_REQUEST] = "request", [COMPARE_RUN] = "run"};
    decide_work w = {.c = c};
    es_code code = decide_all(&w, err);
    if (code == ES_OK) {
        es_json_add_text(out, "metric", c->metric->name);
        es_json_add_text(out, "meaning", c->metric->brief);
        es_json_add_text(out, "metric_unit", c->metric->unit);
        es_json_add_text(out, "better", c->metric->higher ? "higher" : "lower");
        es_json_add_text(out, "unit", units[c->unit]);
        es_json_add_real(out, "confidence", c->ask.confidence);
        es_json_add_int(out, "resamples", (int64_t)w.how.times);
        es_json_add_int(out, "seed", (int64_t)c->ask.seed);
        es_json_add_int(out, "family", (int64_t)w.pairs);
        es_json *groups = es_json_add_array(out, "groups");
        for (size_t g = 0; g < c->groups; g++)
            decide_add_group(&w, &c->group[g], &w.group[g], groups);
    }
    es_arena_free(&w.arena);
    return code;
}

/* A text of CSV: in quotes, and quotes twice. */
static void decide_quote(es_text *csv, const char *text)
{
    es_text_add(csv, "\"");
    for (; *text; text++)
        es_text_add(csv, *text == '"' ? "\"\"" : "%c", *text);
    es_text_add(csv, "\",");
}

void es_compare_units(const es_compare *c, es_text *csv)
{
    es_text_add(csv, "group,run,candidate,row,request,above,below,settled,cut\n");
    for (size_t at = 0; at < c->groups; at++) {
        const compare_group *g = &c->group[at];
        for (size_t r = 0; r < g->runs; r++)
            for (size_t k = 0; k < g->candidates; k++) {
                const compare_cell *cell = compare_at(g, k, r);
                for (size_t i = 0; i < cell->rows; i++) {
                    decide_quote(csv, g->name);
                    decide_quote(csv, g->run[r]);
                    decide_quote(csv, g->candidate[k]);
                    es_text_add(csv, "%zu,%u,%.17g,%.17g,%d,%zu\n", i, cell->request[i], cell->above[i], cell->below[i], cell->settled, cell->cut);
                }
            }
    }
}
