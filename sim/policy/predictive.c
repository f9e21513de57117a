/* Predictive: who is least likely to be used soon leaves first.
 *
 * Soon is the next `horizon` tokens, and likely is counted: of n(i) tokens in which a layer used expert i, it used e for the next in
 * c(i, e). When a layer has used the set S, the uses of e to be expected are
 *
 *   value(e) = p(e) + (horizon - 1) * m(e),    p(e) = (sum over i in S of c(i, e) + prior * m(e)) / (sum over i in S of n(i) + prior)
 *
 * the next token by what followed S, those after it by m, the share of the layer's tokens that used e, of which the last `memory` or
 * so count. Of equals the least recently used leaves. It needs no training and looks at nothing that an engine does not know. What
 * ShiftCache calls foresight (shift_cache) knows only what followed the very same set of experts.
 *
 * Values of a layer change when its token is complete. Of each row of the masks the least is kept with what it was chosen from; it is
 * chosen anew when that has changed. */
#include "sim/part/policy.h"

typedef struct predictive_least {   /* of a row in a tier */
    es_oid object;              /* ES_NO_OBJECT: nobody may leave */
    uint64_t version;           /* of the row's values */
} predictive_least;

typedef struct predictive {
    int64_t horizon, memory;
    double prior;
    const es_view *view;
    uint32_t rows, words;       /* rows of words that have values of their own: layers, or 1 when all share theirs */
    uint32_t *pairs;            /* [rows][experts i][experts e] */
    uint32_t *seen;             /* [rows][experts i] */
    double *share;              /* [rows][experts] */
    double weight;              /* of the newest token in a share */
    double *value;              /* [objects] */
    uint64_t *version;          /* [rows] how often they were told anew, and used */
    uint64_t *stamp;            /* [objects] order of last use */
    uint64_t clock;
    uint64_t *now, *before;     /* [rows * words] what this token used, and the one before */
    uint64_t *listed;           /* [tiers * all words] what is in that tier, as far as facts and victims tell */
    uint64_t *chosen;           /* [tiers * all words] what the least was chosen from */
    predictive_least *least;    /* [tiers * rows] */
} predictive;

static const es_option predictive_options[] = {
    {.name = "horizon", .type = ES_OPT_INT, .offset = offsetof(predictive, horizon), .def = 4, .min = 1, .max = 1e6, .unit = "tokens",
        .help = "How far ahead uses are expected; 1: only what the next token will want."},
    {.name = "memory", .type = ES_OPT_INT, .offset = offsetof(predictive, memory), .def = 16, .min = 1, .max = 1e9, .unit = "tokens",
        .help = "How fast the share of tokens that use an expert is forgotten."},
    {.name = "prior", .type = ES_OPT_REAL, .offset = offsetof(predictive, prior), .def = 4, .min = 0.001, .max = 1e6, .unit = "uses",
        .help = "What followed is taken to have been as usual for so many uses."},
    {0},
};

static es_code predictive_init(void *self, const es_site *site, es_err *err)
{
    predictive *s = self;
    const es_view *view = s->view = site->view;
    const size_t experts = view->experts;
    s->words = view->words_per_layer;
    s->rows = view->words / s->words;
    s->weight = 1.0 / (double)s->memory;
    s->pairs = ES_NEW_ARRAY(site->arena, s->rows * experts * experts, uint32_t);
    s->seen = ES_NEW_ARRAY(site->arena, s->rows * experts, uint32_t);
    s->share = ES_NEW_ARRAY(site->arena, s->rows * experts, double);
    s->value = ES_NEW_ARRAY(site->arena, view->objects, double);
    s->version = ES_NEW_ARRAY(site->arena, s->rows, uint64_t);
    s->stamp = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->now = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->before = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->listed = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->chosen = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->least = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * s->rows, predictive_least);
    if (!s->pairs || !s->seen || !s->share || !s->value || !s->version || !s->stamp || !s->now || !s->before || !s->listed || !s->chosen || !s->least)
        return es_err_nomem(err, "counts of which expert followed which");
    for (uint32_t r = 0; r < s->rows; r++)
        s->version[r] = 1;
    return ES_OK;
}

/* ---- learning ---- */

/* Every expert of the one set was followed by all of the other. */
static void predictive_learn(predictive *s, uint32_t row)
{
    const size_t experts = s->view->experts;
    const uint64_t *before = s->before + (size_t)row * s->words, *now = s->now + (size_t)row * s->words;
    for (uint32_t w = 0; w < s->words; w++)
        for (uint64_t i = before[w]; i; i &= i - 1) {
            const size_t first = row * experts + w * 64 + (size_t)__builtin_ctzll(i);
            uint32_t *pairs = s->pairs + first * experts;
            s->seen[first]++;
            for (uint32_t v = 0; v < s->words; v++)
                for (uint64_t e = now[v]; e; e &= e - 1)
                    pairs[v * 64 + (uint32_t)__builtin_ctzll(e)]++;
        }
}

/* What followed the set of now before, into the row's values; how often that was seen. */
static double predictive_followed(predictive *s, uint32_t row, double *value)
{
    const size_t experts = s->view->experts;
    const uint64_t *now = s->now + (size_t)row * s->words;
    uint64_t seen = 0;
    for (size_t e = 0; e < experts; e++)
        value[e] = 0.0;
    for (uint32_t w = 0; w < s->words; w++)
        for (uint64_t i = now[w]; i; i &= i - 1) {
            const size_t first = row * experts + w * 64 + (size_t)__builtin_ctzll(i);
            const uint32_t *pairs = s->pairs + first * experts;
            seen += s->seen[first];
            for (size_t e = 0; e < experts; e++)
                value[e] += pairs[e];
        }
    return (double)seen;
}

static void predictive_tell(predictive *s, uint32_t row)
{
    const size_t experts = s->view->experts;
    const uint64_t *now = s->now + (size_t)row * s->words;
    double *share = s->share + row * experts, *value = s->value + (size_t)row * s->words * 64;
    const double seen = predictive_followed(s, row, value), ahead = (double)(s->horizon - 1), known = 1.0 / (seen + s->prior);
    for (size_t e = 0; e < experts; e++) {
        share[e] += s->weight * ((double)es_mask_has(now, (es_oid)e) - share[e]);
        value[e] = (value[e] + s->prior * share[e]) * known + ahead * share[e];
    }
}

/* The token's row is complete. */
static void predictive_fold(predictive *s, uint32_t row)
{
    uint64_t *now = s->now + (size_t)row * s->words, *before = s->before + (size_t)row * s->words;
    predictive_learn(s, row);
    predictive_tell(s, row);
    for (uint32_t w = 0; w < s->words; w++) {
        before[w] = now[w];
        now[w] = 0;
    }
}

/* ---- facts ---- */

static inline uint64_t *predictive_listed(const predictive *s, uint32_t tier)
{
    return s->listed + (size_t)tier * s->view->words;
}

static inline void predictive_list(predictive *s, uint32_t tier, es_oid object, bool here)
{
    uint64_t *word = &predictive_listed(s, tier)[object >> 6], bit = 1ull << (object & 63);
    *word = here ? *word | bit : *word & ~bit;
}

static void predictive_use(predictive *s, const es_event *event)
{
    const uint32_t row = event->word / s->words;
    uint64_t *listed = predictive_listed(s, s->view->serving) + event->word, *now = s->now + event->word;
    for (uint32_t i = 0; i < event->count; i++)
        s->stamp[event->base + event->touch[i]] = ++s->clock;
    for (uint32_t w = 0; w < event->words; w++) {
        now[w] |= event->mask[w];
        listed[w] |= event->kept ? event->kept[w] : event->mask[w];
    }
    s->version[row]++;
    if (event->last)
        predictive_fold(s, row);
}

static void predictive_notify(void *self, const es_fact *fact)
{
    predictive *s = self;
    switch (fact->kind) {
    case ES_FACT_USE:
        predictive_use(s, fact->event);
        break;
    case ES_FACT_START_GUESS:
        for (uint32_t i = 0; i < fact->count; i++) {
            s->stamp[fact->objects[i]] = ++s->clock;
            s->version[(fact->objects[i] >> 6) / s->words]++;
            predictive_list(s, fact->to, fact->objects[i], true);
        }
        break;
    case ES_FACT_ARRIVE_LOW:
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            predictive_list(s, fact->kind == ES_FACT_ARRIVE_LOW ? fact->to : fact->from, fact->objects[i], fact->kind == ES_FACT_ARRIVE_LOW);
        break;
    default:        /* RESET */
        for (size_t w = 0; w < (size_t)s->view->tiers * s->view->words; w++)
            s->listed[w] = 0;
    }
}

/* ---- victims ---- */

static inline bool predictive_before(const predictive *s, es_oid a, es_oid b)
{
    return s->value[a] < s->value[b] || (s->value[a] == s->value[b] && s->stamp[a] < s->stamp[b]);
}

/* The least of a row that may leave a tier. */
static es_oid predictive_row(predictive *s, uint32_t tier, uint32_t row)
{
    const es_tier_view *t = &s->view->tier[tier];
    const uint64_t *listed = predictive_listed(s, tier);
    uint64_t *chosen = s->chosen + (size_t)tier * s->view->words;
    predictive_least *least = &s->least[(size_t)tier * s->rows + row];
    bool same = least->version == s->version[row];
    for (uint32_t w = row * s->words; w < (row + 1) * s->words; w++) {
        const uint64_t open = listed[w] & t->resident[w] & ~s->view->guard[w];
        same = same && chosen[w] == open;
        chosen[w] = open;
    }
    if (same)
        return least->object;
    *least = (predictive_least){ES_NO_OBJECT, s->version[row]};
    for (uint32_t w = row * s->words; w < (row + 1) * s->words; w++)
        for (uint64_t open = chosen[w]; open; open &= open - 1) {
            const es_oid object = w * 64 + (es_oid)__builtin_ctzll(open);
            if (least->object == ES_NO_OBJECT || predictive_before(s, object, least->object))
                least->object = object;
        }
    return least->object;
}

static es_oid predictive_next(predictive *s, const es_need *need)
{
    es_oid best = ES_NO_OBJECT;
    for (uint32_t row = 0; row < s->rows; row++) {
        if (es_bucket_of(s->view, need->tier, row * s->words * 64) != need->bucket)
            continue;
        const es_oid object = predictive_row(s, need->tier, row);
        if (object != ES_NO_OBJECT && (best == ES_NO_OBJECT || predictive_before(s, object, best)))
            best = object;
    }
    return best;
}

static size_t predictive_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    predictive *s = self;
    const es_tier_view *tier = &s->view->tier[need->tier];
    int64_t lacking = need->units;
    size_t count = 0;
    es_oid object;
    while (lacking > 0 && count < most && (object = predictive_next(s, need)) != ES_NO_OBJECT) {
        predictive_list(s, need->tier, object, false);
        out[count++] = object;
        lacking -= tier->unit[object >> 6];
    }
    if (!need->all || lacking <= 0)
        return count;
    while (count > 0)
        predictive_list(s, need->tier, out[--count], true);
    return 0;
}

const es_policy es_policy_predictive = {
    .part = {
        .abi = ES_ABI,
        .name = "predictive",
        .brief = "Who is least likely to be used soon leaves first, by counts of which expert followed which.",
        .options = predictive_options,
        .size = sizeof(predictive),
        .init = predictive_init,
        .notify = predictive_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = predictive_victims,
};
