/* Max rank: cache-aware routing after the Max-Rank rule of "Mixture of Cache-Conditional Experts" (Skliar et al., 2024).
 *
 * The recorded row is a ranking of candidates. Of it
 *   1. the first `keep` are used whatever is resident (J)
 *   2. then those that are resident, among the first `within` (M) and, of these, the fewest that carry `mass` of the row's weight (P)
 *   3. then the others, in their order, until there are as many as the model uses.
 * What is used stays in the order of the row. The gate weights are the recorded ones: a promoted expert brings its own. */
#include "sim/part/router.h"

typedef struct max_rank {
    int64_t experts, keep, within;
    double mass;
} max_rank;

static const es_option max_rank_options[] = {
    {.name = "experts", .type = ES_OPT_INT, .offset = offsetof(max_rank, experts), .min = 1, .max = 1023, .unit = "experts", .required = true,
        .help = "How many a token uses: the model's top_k. The rows of the trace must list more."},
    {.name = "keep", .type = ES_OPT_INT, .offset = offsetof(max_rank, keep), .def = 1, .min = 0, .max = 1023, .unit = "experts", .tunable = true,
        .help = "So many of the first are used whatever is resident."},
    {.name = "within", .type = ES_OPT_INT, .offset = offsetof(max_rank, within), .def = 1024, .min = 1, .max = 1024, .unit = "experts", .tunable = true,
        .help = "Resident experts are preferred down to this rank; as many as are used, or fewer: none is."},
    {.name = "mass", .type = ES_OPT_REAL, .offset = offsetof(max_rank, mass), .def = 1, .min = 0, .max = 1, .tunable = true,
        .help = "And only among the fewest candidates that carry so much of the row's gate weight; below 1 it needs a trace with weights."},
    {0},
};

static es_code max_rank_init(void *self, const es_site *site, es_err *err)
{
    const max_rank *s = self;
    const es_view *view = site->view;
    if (view->top_k && s->experts >= view->top_k)
        return es_err_set(err, ES_EINPUT, "experts: %lld of rows of %u leave nothing to choose from; the trace must list more candidates than a token uses",
            (long long)s->experts, view->top_k);
    if (s->mass < 1 && !view->weights)
        return es_err_set(err, ES_EINPUT, "mass: %.15g needs gate weights, which the trace has not", s->mass);
    return ES_OK;
}

static uint32_t max_rank_least(int64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

/* How far down the row resident experts are preferred. */
static uint32_t max_rank_eligible(const max_rank *s, const es_route_ask *ask)
{
    uint32_t most = max_rank_least(s->within, ask->count), n = 0;
    double all = 0, sum = 0;
    if (!(s->mass < 1) || !ask->weights)
        return most;
    for (uint32_t i = 0; i < ask->count; i++)
        all += (double)ask->weights[i];
    while (n < most && !(sum >= s->mass * all))
        sum += (double)ask->weights[n++];
    return n;
}

static uint32_t max_rank_route(void *self, const es_route_ask *ask, uint16_t *out)
{
    const max_rank *s = self;
    const uint32_t used = max_rank_least(s->experts, ask->count), keep = max_rank_least(s->keep, used), eligible = max_rank_eligible(s, ask);
    uint32_t promoted = 0, count = 0;
    for (uint32_t i = keep; i < eligible; i++)
        promoted += es_mask_has(ask->resident, ask->ids[i]);
    if (promoted > used - keep)
        promoted = used - keep;
    uint32_t others = used - keep - promoted;
    /* in the order of the row: a rank is used when it is kept, promoted or among the first of the others */
    for (uint32_t i = 0; i < ask->count && count < used; i++) {
        bool prefers = i >= keep && i < eligible && es_mask_has(ask->resident, ask->ids[i]);
        uint32_t *left = prefers ? &promoted : &others;
        if (i >= keep && *left == 0)
            continue;
        *left -= i >= keep;
        out[count++] = ask->ids[i];
    }
    return count;
}

static uint32_t max_rank_uses(const void *self, uint32_t count)
{
    return max_rank_least(((const max_rank *)self)->experts, count);
}

const es_router es_router_max_rank = {
    .part = {
        .abi = ES_ABI,
        .name = "max_rank",
        .brief = "Cache-aware: resident experts go before others of the first ranks.",
        .options = max_rank_options,
        .size = sizeof(max_rank),
        .init = max_rank_init,
        .flags = ES_WEIGHTS,
    },
    .route = max_rank_route,
    .uses = max_rank_uses,
};
