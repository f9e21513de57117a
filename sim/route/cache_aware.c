/* Cache-aware: what is resident gets a bonus on its gate probability, and the most wanted after that are used.
 *
 * The recorded row is a list of candidates with their gate weights. An expert's score is its weight, plus `bonus` where all of it is
 * resident. The `experts` with the highest scores are used, those that the model prefers first among equals; they keep the order of the row
 * and their own weights, so that what a choice loses is told by the core. With a bonus of 0 nothing changes; with 1, which no probability
 * exceeds, residents go before all others.
 *
 * Preferring what is there keeps it there, so load drifts to few experts. `limit` bounds that: an expert which the last `window` rows
 * of its layer used more than `limit` times as often as an even share would have it gets no bonus until others were used. A row without
 * finite weights is used as it was recorded. */
#include <math.h>

#include "sim/part/router.h"

typedef struct cache_aware {
    /* options */
    int64_t experts, window;
    double bonus, limit;
    /* what follows from them */
    uint32_t stride, width;             /* ids of a layer are below; most ids of a row that are used */
    double most;                        /* uses within the window above which there is no bonus */
    double *score;                      /* [candidates] of the row that is decided, the chosen ones -INFINITY */
    /* what was used lately; none without a limit */
    uint16_t *ring;                     /* [layers][window][width], unused cells NONE */
    uint64_t *rows;                     /* [layers] rows decided */
    uint32_t *uses;                     /* [layers][stride] in the window */
} cache_aware;

#define CACHE_AWARE_NONE UINT16_MAX
#define CACHE_AWARE_CANDIDATES 1024     /* widest row of a trace */

static const es_option cache_aware_options[] = {
    {.name = "experts", .type = ES_OPT_INT, .offset = offsetof(cache_aware, experts), .min = 1, .max = 1023, .unit = "experts", .required = true,
        .help = "How many a token uses: the model's top_k. The rows of the trace must list more, with gate weights."},
    {.name = "bonus", .type = ES_OPT_REAL, .offset = offsetof(cache_aware, bonus), .def = 0.1, .min = 0, .max = 1, .tunable = true,
        .help = "Added to the gate weight of an expert that is resident; 0: as the model has it, 1: residents first."},
    {.name = "limit", .type = ES_OPT_REAL, .offset = offsetof(cache_aware, limit), .def = 0, .min = 0, .max = 1e6,
        .help = "An expert used more than so many times its even share lately gets no bonus; 0: no limit."},
    {.name = "window", .type = ES_OPT_INT, .offset = offsetof(cache_aware, window), .def = 256, .min = 1, .max = 65536, .unit = "rows",
        .help = "Rows of a layer, one per token, over which uses are counted for the limit."},
    {0},
};

static es_code cache_aware_ring(cache_aware *s, const es_site *site, es_err *err)
{
    const es_view *view = site->view;
    const size_t layers = view->layers, cells = (size_t)s->window * s->width;
    const uint32_t population = (view->experts - 1) % view->slice + 1;
    s->stride = view->slice;
    s->most = s->limit * (double)s->window * (double)s->experts / population;
    s->ring = es_arena_alloc(site->arena, layers, cells * sizeof *s->ring);
    s->rows = ES_NEW_ARRAY(site->arena, layers, uint64_t);
    s->uses = ES_NEW_ARRAY(site->arena, layers * s->stride, uint32_t);
    if (!s->ring || !s->rows || !s->uses)
        return es_err_nomem(err, "what was used lately");
    for (size_t i = 0; i < layers * cells; i++)
        s->ring[i] = CACHE_AWARE_NONE;
    return ES_OK;
}

static es_code cache_aware_init(void *self, const es_site *site, es_err *err)
{
    cache_aware *s = self;
    const es_view *view = site->view;
    if (view->top_k && s->experts >= view->top_k)
        return es_err_set(err, ES_EINPUT, "experts: %lld of rows of %u leave nothing to choose from; the trace must list more candidates than a token uses",
            (long long)s->experts, view->top_k);
    if (!view->weights)
        return es_err_set(err, ES_EINPUT, "bonus: %.15g is added to gate weights, which the trace has not", s->bonus);
    s->width = (uint32_t)s->experts;
    s->score = ES_NEW_ARRAY(site->arena, CACHE_AWARE_CANDIDATES, double);
    if (!s->score)
        return es_err_nomem(err, "scores of a row");
    return s->limit > 0 ? cache_aware_ring(s, site, err) : ES_OK;
}

static uint32_t cache_aware_uses(const void *self, uint32_t count)
{
    const cache_aware *s = self;
    return s->width < count ? s->width : count;
}

static bool cache_aware_prefers(const cache_aware *s, const es_route_ask *ask, uint16_t expert)
{
    return es_mask_has(ask->resident, expert) && !(s->uses && s->uses[(size_t)ask->layer * s->stride + expert] > s->most);
}

/* false: a weight is unknown, or no number. */
static bool cache_aware_score(cache_aware *s, const es_route_ask *ask)
{
    for (uint32_t i = 0; i < ask->count; i++) {
        double weight = ask->weights ? (double)ask->weights[i] : (double)NAN;
        if (!isfinite(weight))
            return false;
        s->score[i] = weight + (cache_aware_prefers(s, ask, ask->ids[i]) ? s->bonus : 0);
    }
    return true;
}

/* Takes the rank with the highest score, the first of equals. */
static void cache_aware_take(cache_aware *s, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (s->score[i] > s->score[best])
            best = i;
    s->score[best] = -INFINITY;
}

/* The row's ids take the place of those of `window` rows ago. */
static void cache_aware_note(cache_aware *s, uint32_t layer, const uint16_t *ids, uint32_t count)
{
    const uint64_t row = s->rows[layer]++ % (uint64_t)s->window;
    uint16_t *cell = s->ring + ((size_t)layer * (size_t)s->window + row) * s->width;
    uint32_t *uses = s->uses + (size_t)layer * s->stride;
    for (uint32_t i = 0; i < s->width; i++) {
        if (cell[i] != CACHE_AWARE_NONE)
            uses[cell[i]]--;
        cell[i] = i < count ? ids[i] : CACHE_AWARE_NONE;
        if (i < count)
            uses[ids[i]]++;
    }
}

static uint32_t cache_aware_route(void *self, const es_route_ask *ask, uint16_t *out)
{
    cache_aware *s = self;
    const uint32_t used = cache_aware_uses(s, ask->count);
    const bool scored = cache_aware_score(s, ask);
    uint32_t count = 0;
    for (uint32_t i = 0; i < used && scored; i++)
        cache_aware_take(s, ask->count);
    for (uint32_t i = 0; i < ask->count && count < used; i++)
        if (!scored || isinf(s->score[i]))
            out[count++] = ask->ids[i];
    if (s->uses)
        cache_aware_note(s, ask->layer, out, count);
    return count;
}

const es_router es_router_cache_aware = {
    .part = {
        .abi = ES_ABI,
        .name = "cache_aware",
        .brief = "Cache-aware: a bonus on the gate weights of resident experts, within a limit of load.",
        .options = cache_aware_options,
        .size = sizeof(cache_aware),
        .init = cache_aware_init,
        .flags = ES_READS_WEIGHTS,
    },
    .route = cache_aware_route,
    .uses = cache_aware_uses,
};
