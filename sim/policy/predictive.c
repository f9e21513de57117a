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
 * Values of a layer change when its token is complete, but only those of experts that may leave are ever told, and told when they are
 * compared. Of each row of the masks the least is kept with what it was chosen from; it is chosen anew when that has changed. */
#include "sim/part/policy.h"

#include <math.h>

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
    double *value;              /* [objects] as it was told last */
    uint64_t *told;             /* [objects] after so many tokens of its row */
    uint64_t *tokens;           /* [rows] that are complete */
    double *known;              /* [rows] 1 / what p is divided by */
    uint32_t *last, *lasts;     /* [rows][experts] what the last of them used; [rows] how many */
    uint64_t *version;          /* [rows] how often it was used or completed */
    uint64_t *stamp;            /* [objects] order of last use */
    uint64_t clock;
    uint64_t *now;              /* [rows * words] what this token used so far */
    uint32_t *used;             /* [experts] scratch */
    uint64_t *listed;           /* [tiers * all words] what is in that tier, as far as facts and victims tell */
    uint64_t *chosen;           /* [tiers * all words] what the least was chosen from */
    predictive_least *least;    /* [tiers * rows] */
    double *lowest;             /* [tiers * rows] its value */
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
    s->told = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->tokens = ES_NEW_ARRAY(site->arena, s->rows, uint64_t);
    s->known = ES_NEW_ARRAY(site->arena, s->rows, double);
    s->last = ES_NEW_ARRAY(site->arena, s->rows * experts, uint32_t);
    s->lasts = ES_NEW_ARRAY(site->arena, s->rows, uint32_t);
    s->version = ES_NEW_ARRAY(site->arena, s->rows, uint64_t);
    s->stamp = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->now = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->used = ES_NEW_ARRAY(site->arena, experts, uint32_t);
    s->listed = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->chosen = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->least = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * s->rows, predictive_least);
    s->lowest = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * s->rows, double);
    if (!s->lowest || !s->pairs || !s->seen || !s->share || !s->value || !s->told || !s->tokens || !s->known || !s->last || !s->lasts || !s->version || !s->stamp || !s->now || !s->used || !s->listed || !s->chosen || !s->least)
        return es_err_nomem(err, "counts of which expert followed which");
    for (uint32_t r = 0; r < s->rows; r++)
        s->version[r] = 1;
    return ES_OK;
}

/* ---- learning ---- */

/* Every expert that the token before used was followed by all that this one uses: [count] in `used`. */
static void predictive_learn(predictive *s, uint32_t row, const uint32_t *used, uint32_t count)
{
    const size_t experts = s->view->experts;
    const uint32_t *last = s->last + row * experts;
    for (uint32_t k = 0; k < s->lasts[row]; k++) {
        uint32_t *pairs = s->pairs + (row * experts + last[k]) * experts;
        s->seen[row * experts + last[k]]++;
        for (uint32_t i = 0; i < count; i++)
            pairs[used[i]]++;
    }
}

/* A share nears 1 where the token used the expert, and 0 elsewhere. */
static void predictive_share(predictive *s, uint32_t row, const uint32_t *used, uint32_t count)
{
    double *share = s->share + (size_t)row * s->view->experts;
    for (uint32_t e = 0, i = 0; i <= count; i++) {
        for (const uint32_t end = i < count ? used[i] : s->view->experts; e < end; e++)
            share[e] -= s->weight * share[e];
        if (i < count) {
            share[e] += s->weight * (1.0 - share[e]);
            e++;
        }
    }
}

/* The value of an object after the last complete token of its row. */
static double predictive_value(predictive *s, uint32_t row, es_oid object)
{
    const size_t experts = s->view->experts, e = object - (size_t)row * s->words * 64;
    const uint32_t *last = s->last + row * experts, *pairs = s->pairs + row * experts * experts + e;
    const double share = s->share[row * experts + e];
    uint64_t followed = 0;
    if (s->told[object] == s->tokens[row])
        return s->value[object];
    for (uint32_t k = 0; k < s->lasts[row]; k++)
        followed += pairs[last[k] * experts];
    s->told[object] = s->tokens[row];
    return s->value[object] = ((double)followed + s->prior * share) * s->known[row] + (double)(s->horizon - 1) * share;
}

/* The token's row is complete. */
static void predictive_fold(predictive *s, uint32_t row)
{
    const size_t experts = s->view->experts;
    uint64_t *now = s->now + (size_t)row * s->words, seen = 0;
    uint32_t *used = s->used, count = 0;
    for (uint32_t w = 0; w < s->words; w++) {
        for (uint64_t left = now[w]; left; left &= left - 1)
            used[count++] = w * 64 + (uint32_t)__builtin_ctzll(left);
        now[w] = 0;
    }
    predictive_learn(s, row, used, count);
    predictive_share(s, row, used, count);
    for (uint32_t i = 0; i < count; i++) {
        s->last[row * experts + i] = used[i];
        seen += s->seen[row * experts + used[i]];
    }
    s->lasts[row] = count;
    s->known[row] = 1.0 / ((double)seen + s->prior);
    s->tokens[row]++;
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

typedef struct predictive_best {
    double value;
    uint64_t stamp;
    es_oid object;              /* ES_NO_OBJECT: nobody yet */
} predictive_best;

static inline void predictive_weigh(const predictive *s, double value, es_oid object, predictive_best *best)
{
    if (best->object == ES_NO_OBJECT || value < best->value || (value == best->value && s->stamp[object] < best->stamp))
        *best = (predictive_best){value, s->stamp[object], object};
}

/* The least of a row among what may leave a tier is chosen anew; INFINITY: there is nobody. */
static __attribute__((noinline)) double predictive_choose(predictive *s, uint32_t row, const uint64_t *chosen, predictive_least *least)
{
    predictive_best best = {INFINITY, 0, ES_NO_OBJECT};
    for (uint32_t w = row * s->words; w < (row + 1) * s->words; w++)
        for (uint64_t open = chosen[w]; open; open &= open - 1) {
            const es_oid object = w * 64 + (es_oid)__builtin_ctzll(open);
            predictive_weigh(s, predictive_value(s, row, object), object, &best);
        }
    *least = (predictive_least){best.object, s->version[row]};
    return best.value;
}

/* Some rows, and in which of them what may leave has changed since they were chosen from, or the values. */
static void predictive_look(predictive *s, uint32_t tier, uint32_t from, uint32_t end)
{
    const uint64_t *resident = s->view->tier[tier].resident, *guard = s->view->guard, *listed = predictive_listed(s, tier), *version = s->version;
    uint64_t *chosen = s->chosen + (size_t)tier * s->view->words;
    predictive_least *least = s->least + (size_t)tier * s->rows;
    const uint32_t words = s->words;
    for (uint32_t row = from, w = from * words; row < end; row++) {
        uint64_t other = least[row].version ^ version[row];
        for (const uint32_t last = w + words; w < last; w++) {
            const uint64_t open = listed[w] & resident[w] & ~guard[w];
            other |= chosen[w] ^ open;
            chosen[w] = open;
        }
        if (other)
            s->lowest[(size_t)tier * s->rows + row] = predictive_choose(s, row, chosen, &least[row]);
    }
}

/* The row whose least is the least of the rows from .. end - 1; end: nobody may leave. */
static uint32_t predictive_next(const predictive *s, uint32_t tier, uint32_t from, uint32_t end)
{
    const predictive_least *least = s->least + (size_t)tier * s->rows;
    const double *lowest = s->lowest + (size_t)tier * s->rows;
    uint32_t best = end;
    double low = INFINITY;
    for (uint32_t row = from; row < end; row++) {
        if (lowest[row] > low || least[row].object == ES_NO_OBJECT || (lowest[row] == low && best < end && s->stamp[least[row].object] > s->stamp[least[best].object]))
            continue;
        best = row;
        low = lowest[row];
    }
    return best;
}

static size_t predictive_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    predictive *s = self;
    const es_tier_view *tier = &s->view->tier[need->tier];
    const uint32_t from = s->view->per_layer ? need->bucket - tier->first_bucket : 0, end = s->view->per_layer ? from + 1 : s->rows;
    uint64_t *chosen = s->chosen + (size_t)need->tier * s->view->words;
    int64_t lacking = need->units;
    size_t count = 0;
    uint32_t row;
    predictive_look(s, need->tier, from, end);
    while (lacking > 0 && count < most && (row = predictive_next(s, need->tier, from, end)) < end) {
        const size_t place = (size_t)need->tier * s->rows + row;
        const es_oid object = s->least[place].object;
        predictive_list(s, need->tier, object, false);
        chosen[object >> 6] &= ~(1ull << (object & 63));
        s->lowest[place] = predictive_choose(s, row, chosen, &s->least[place]);
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
