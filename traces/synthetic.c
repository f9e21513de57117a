/* Synthetic routing: a generator for when no recording fits the question, and for tests of length.
 *
 * Experts have ranks of popularity: rank r of layer l is chosen with a weight of (r + 1)^-skew (or the weights are given as counts). Which
 * expert has which rank is drawn once per topic and layer. A row is top_k distinct ranks, best first:
 *
 *     zipf_ar   Every (layer, rank) has an exponential clock E; the smallest E / weight are chosen. That is Gumbel top-k of log
 *               popularity (Efraimidis and Spirakis 2006). From token to token a clock is kept with probability `reuse` and drawn anew
 *               otherwise: a first-order autoregressive process whose marginal stays exponential (DAR(1), Jacobs and Lewis 1978), so
 *               the popularity of an expert does not depend on `reuse`, and its clock at lag n has correlation reuse^n.
 *     markov    Each expert of the token before stays with probability `reuse`; the rest is drawn by popularity.
 *     episode   As markov, but what is drawn comes, equally likely, from a working set which lasts `topic_length` tokens.
 *     uniform   Independent and equally likely: its hit rate is only capacity over population (info.uniform says so).
 *     repeat    Each expert repeats, with probability `cross_layer`, the expert in its place of the layer before; else, with
 *               probability `reuse`, that of the token before; else it is drawn by popularity. A number means the same expert in
 *               every layer: the layers share one order of ranks.
 *     strata    Independent: so many of each stratum of experts, equally likely within it.
 *
 * In zipf_ar, markov and episode a new draw repeats, with probability `cross_layer`, the rank of the layer before instead, which a
 * predictor can learn. Weights that do not follow from the rank may be samples of the Zipf law, one per rank for all layers. All draws are by counter, so a trace does not depend on what else is drawn, and its first tokens not on how many follow. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traces/generated.h"

typedef enum synthetic_sampler { SYNTHETIC_ZIPF_AR, SYNTHETIC_UNIFORM, SYNTHETIC_EPISODE, SYNTHETIC_MARKOV, SYNTHETIC_REPEAT, SYNTHETIC_STRATA } synthetic_sampler;

typedef enum synthetic_popularity { SYNTHETIC_BY_RANK, SYNTHETIC_SAMPLED } synthetic_popularity;

/* Experts [first, first + size) of every layer, of which a row takes so many. */
typedef struct synthetic_stratum { uint32_t first, size, picks; } synthetic_stratum;

typedef struct synthetic {
    /* options */
    int64_t layers, experts, top_k, requests, prompt_tokens, decode_tokens, expert_bytes, topics, topic_length, working_set, seed;
    int sampler, popularity;
    es_reals skew, strata_size, strata_picks;
    double reuse, cross_layer;
    const es_json *counts;
    /* what follows from them */
    es_trace_info info;
    uint32_t set;                       /* members of a working set */
    synthetic_stratum *stratum;         /* [strata] where no expert of a stratum is preferred; else none */
    uint32_t strata;
    uint16_t *expert_of;                /* [topics][layers][experts] by rank; with strata: [layers][experts], shuffled on */
    double *slowness;                   /* [layers][experts] by rank: 1 / weight */
    double *below;                      /* [layers][experts] by rank: sum of the weights up to and including it */
    es_stream refresh, clock, copy, topic, member, keep, pick;
    /* where it stands */
    uint64_t request, position;         /* of the next token */
    uint64_t record;                    /* tokens given */
    double *e;                          /* [layers][experts] the clocks */
    uint16_t *row;                      /* [layers][top_k] ranks of the token before */
    uint16_t *members;                  /* [layers][set] ranks of the working set */
    es_token *token;                    /* [longest step] */
    uint16_t *ids;                      /* [longest step][layers][top_k] */
} synthetic;

#define SYNTHETIC_SAMPLED_SKEW 1.01     /* at 1 the law has no finite sum, and just above it nearly all samples are too large */

/* --- set-up --------------------------------------------------------------------------------------------------------------------- */

typedef struct synthetic_order { uint64_t key; uint16_t expert; } synthetic_order;

static int synthetic_compare(const void *a, const void *b)
{
    const synthetic_order *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->expert > y->expert) - (x->expert < y->expert);
}

/* Which expert has which rank: sorted by a draw per topic and layer. Given counts belong to experts, so there ranks are experts. */
static es_code synthetic_ranks(synthetic *s, es_arena *arena, es_err *err)
{
    uint32_t experts = s->info.experts;
    uint64_t lists = (uint64_t)s->topics * s->info.layers;
    es_stream shuffle = es_stream_of((uint64_t)s->seed, 0, "synthetic", "rank");
    synthetic_order *order = malloc(experts * sizeof *order);
    s->expert_of = es_arena_alloc(arena, lists, experts * sizeof *s->expert_of);
    if (!s->expert_of || !order) {
        free(order);
        return es_err_nomem(err, "a generator");
    }
    for (uint64_t list = 0; list < lists; list++) {
        uint64_t layer = s->sampler == SYNTHETIC_REPEAT ? 0 : list % s->info.layers;
        for (uint32_t i = 0; i < experts; i++)
            order[i] = (synthetic_order){ s->counts ? i : es_draw(shuffle, list / s->info.layers, layer, i, 0), (uint16_t)i };
        qsort(order, experts, sizeof *order, synthetic_compare);
        for (uint32_t i = 0; i < experts; i++)
            s->expert_of[list * experts + i] = order[i].expert;
    }
    free(order);
    return ES_OK;
}

static es_code synthetic_count(const synthetic *s, uint32_t layer, uint32_t expert, double *weight, es_err *err)
{
    const es_json *row = cJSON_GetArrayItem(s->counts, (int)layer), *item = row ? cJSON_GetArrayItem(row, (int)expert) : NULL;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0.0) || item->valuedouble > 1e15)
        return es_err_set(err, ES_EINPUT, "counts.%u.%u: is not a number from 0 to 1e15", layer, expert);
    *weight = item->valuedouble;
    return ES_OK;
}

/* A sample of the Zipf law, P(x) ~ x^-skew: rejection from a power law (Devroye 1986, p. 551). */
static double synthetic_zipf(es_stream stream, uint32_t rank, double skew)
{
    double b = exp2(skew - 1.0);
    for (uint64_t attempt = 0;; attempt++) {
        double u = 1.0 - es_draw_real(stream, rank, attempt, 0, 0), v = es_draw_real(stream, rank, attempt, 1, 0);
        double x = floor(pow(u, -1.0 / (skew - 1.0)));
        if (x > 9.2e18)
            continue;                   /* no counter could hold it */
        double t = pow(1.0 + 1.0 / x, skew - 1.0);
        if (v * x * (t - 1.0) / (b - 1.0) <= t / b)
            return x;
    }
}

static es_code synthetic_layer_weights(synthetic *s, uint32_t layer, es_err *err)
{
    uint32_t experts = s->info.experts, positive = 0;
    double skew = s->skew.count == 0 ? 1.0 : s->skew.at[s->skew.count == 1 ? 0 : layer], sum = 0.0;
    if (s->counts && cJSON_GetArraySize(cJSON_GetArrayItem(s->counts, (int)layer)) != (int)experts)
        return es_err_set(err, ES_EINPUT, "counts.%u: is not a list of %u numbers, one per expert", layer, experts);
    if (s->popularity == SYNTHETIC_SAMPLED && !(skew >= SYNTHETIC_SAMPLED_SKEW))
        return es_err_set(err, ES_EINPUT, "skew: the Zipf law has no samples for %g; popularity sampled needs at least %g", skew, SYNTHETIC_SAMPLED_SKEW);
    es_stream sample = es_stream_of((uint64_t)s->seed, 0, "synthetic", "weight");
    for (uint32_t r = 0; r < experts; r++) {
        double weight = s->popularity == SYNTHETIC_SAMPLED ? synthetic_zipf(sample, r, skew) : pow((double)(r + 1), -skew);
        es_code code = s->counts ? synthetic_count(s, layer, r, &weight, err) : ES_OK;
        if (code)
            return code;
        positive += weight > 0.0;
        sum += weight;
        s->slowness[(size_t)layer * experts + r] = 1.0 / weight;
        s->below[(size_t)layer * experts + r] = sum;
    }
    uint32_t least = s->sampler == SYNTHETIC_EPISODE ? s->set : s->info.top_k;
    if (positive < least)
        return es_err_set(err, ES_EINPUT, "counts.%u: only %u experts were ever used, %u are needed", layer, positive, least);
    return ES_OK;
}

static es_code synthetic_weights(synthetic *s, es_arena *arena, es_err *err)
{
    if (s->counts && (!cJSON_IsArray(s->counts) || cJSON_GetArraySize(s->counts) != (int)s->info.layers))
        return es_err_set(err, ES_EINPUT, "counts: is not a list of %u lists, one per layer", s->info.layers);
    s->slowness = es_arena_alloc(arena, s->info.layers, s->info.experts * sizeof *s->slowness);
    s->below = es_arena_alloc(arena, s->info.layers, s->info.experts * sizeof *s->below);
    if (!s->slowness || !s->below)
        return es_err_nomem(err, "a generator");
    for (uint32_t layer = 0; layer < s->info.layers; layer++) {
        es_code code = synthetic_layer_weights(s, layer, err);
        if (code)
            return code;
    }
    return ES_OK;
}

static es_code synthetic_whole(const es_reals *list, const char *name, double most, double *sum, es_err *err)
{
    *sum = 0.0;
    for (size_t i = 0; i < list->count; i++) {
        if (!(list->at[i] >= 1.0 && list->at[i] <= most && list->at[i] == floor(list->at[i])))
            return es_err_set(err, ES_EINPUT, "%s: %g is not a whole number from 1 to %g", name, list->at[i], most);
        *sum += list->at[i];
    }
    return ES_OK;
}

static es_code synthetic_check_strata(const es_reals *size, const es_reals *picks, const synthetic *s, es_err *err)
{
    double all = 0.0, taken = 0.0;
    es_code code = synthetic_whole(size, "strata", ES_TRACE_EXPERTS_MAX, &all, err);
    if (!code)
        code = synthetic_whole(picks, "picks", ES_TRACE_TOP_K_MAX, &taken, err);
    if (code)
        return code;
    if (size->count != picks->count)
        return es_err_set(err, ES_EINPUT, "picks: %zu numbers for %zu strata; each stratum needs one", picks->count, size->count);
    if (all != (double)s->experts)
        return es_err_set(err, ES_EINPUT, "strata: they hold %g experts together, not %lld as there are", all, (long long)s->experts);
    if (taken != (double)s->top_k)
        return es_err_set(err, ES_EINPUT, "picks: they are %g together, not top_k, %lld", taken, (long long)s->top_k);
    for (size_t i = 0; i < size->count; i++)
        if (picks->at[i] > size->at[i])
            return es_err_set(err, ES_EINPUT, "picks: %g of a stratum of %g experts", picks->at[i], size->at[i]);
    return ES_OK;
}

/* Popular, middling and rare: what is taken where the options say nothing. All experts are one stratum of the sampler uniform. */
static es_code synthetic_strata(synthetic *s, es_arena *arena, es_err *err)
{
    static const double sizes[] = { 20, 30, 10 }, picks[] = { 2, 1, 1 };
    const double all = (double)s->experts, top_k = (double)s->top_k;
    es_reals size = s->strata_size.count ? s->strata_size : (es_reals){ sizes, 3 }, pick = s->strata_picks.count ? s->strata_picks : (es_reals){ picks, 3 };
    if (s->sampler == SYNTHETIC_UNIFORM) {
        size = (es_reals){ &all, 1 };
        pick = (es_reals){ &top_k, 1 };
    } else if (s->sampler != SYNTHETIC_STRATA) {
        return ES_OK;
    }
    es_code code = synthetic_check_strata(&size, &pick, s, err);
    if (code)
        return code;
    s->stratum = ES_NEW_ARRAY(arena, size.count, synthetic_stratum);
    if (!s->stratum)
        return es_err_nomem(err, "a generator");
    for (uint32_t first = 0; s->strata < size.count; first += s->stratum[s->strata++].size)
        s->stratum[s->strata] = (synthetic_stratum){ first, (uint32_t)size.at[s->strata], (uint32_t)pick.at[s->strata] };
    return ES_OK;
}

/* What the bounds of single options cannot say. */
static es_code synthetic_check(const synthetic *s, es_err *err)
{
    if (s->top_k > s->experts)
        return es_err_set(err, ES_EINPUT, "top_k: %lld is above experts, %lld", (long long)s->top_k, (long long)s->experts);
    if (s->prompt_tokens + s->decode_tokens == 0)
        return es_err_set(err, ES_EINPUT, "decode_tokens: 0 makes no tokens, for prompt_tokens is 0 as well");
    if (s->skew.count > 1 && s->skew.count != (size_t)s->layers)
        return es_err_set(err, ES_EINPUT, "skew: %zu numbers are neither one nor one per layer, %lld", s->skew.count, (long long)s->layers);
    if (s->working_set != 0 && (s->working_set < s->top_k || s->working_set > s->experts))
        return es_err_set(err, ES_EINPUT, "working_set: %lld is not top_k, %lld, to experts, %lld", (long long)s->working_set, (long long)s->top_k, (long long)s->experts);
    if (s->counts && s->topics > 1)
        return es_err_set(err, ES_EINPUT, "topics: counts give one popularity, so there is one topic");
    if ((s->sampler == SYNTHETIC_UNIFORM || s->sampler == SYNTHETIC_STRATA) && s->counts)
        return es_err_set(err, ES_EINPUT, "counts: the sampler %s has no popularity", s->sampler == SYNTHETIC_UNIFORM ? "uniform" : "strata");
    if (s->popularity == SYNTHETIC_SAMPLED && s->counts)
        return es_err_set(err, ES_EINPUT, "popularity: counts give it, so it is not sampled");
    return ES_OK;
}

extern const es_source es_source_synthetic;

static es_code synthetic_describe(synthetic *s, es_arena *arena, es_err *err)
{
    uint32_t layers = (uint32_t)s->layers;
    uint32_t *number = ES_NEW_ARRAY(arena, layers, uint32_t);
    int64_t *bytes = ES_NEW_ARRAY(arena, layers, int64_t);
    if (!number || !bytes)
        return es_err_nomem(err, "a generator");
    for (uint32_t i = 0; i < layers; i++) {
        number[i] = i;
        bytes[i] = s->expert_bytes;
    }
    uint64_t requests = (uint64_t)s->requests, prompt = (uint64_t)s->prompt_tokens, decode = (uint64_t)s->decode_tokens;
    s->info = (es_trace_info){
        .format = "synthetic", .model = "", .layers = layers, .layer_number = number, .experts = (uint32_t)s->experts, .top_k = (uint32_t)s->top_k,
        .expert_bytes = s->expert_bytes > 0 ? bytes : NULL, .requests = requests, .steps = requests * ((prompt > 0) + decode),
        .prompt_tokens = requests * prompt, .decode_tokens = requests * decode, .counted = true, .synthetic = true, .uniform = s->sampler == SYNTHETIC_UNIFORM,
    };
    s->info.accesses = requests * (prompt + decode) * layers * (uint64_t)s->top_k;
    return es_generated_provenance(&s->info, &es_source_synthetic.part, s, arena, err);
}

static es_code synthetic_rewind(void *self, es_err *err);

static es_code synthetic_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    synthetic *s = self;
    (void)ask;
    es_code code = synthetic_check(s, err);
    if (!code)
        code = synthetic_describe(s, arena, err);
    if (code)
        return code;
    uint64_t longest = s->prompt_tokens > 0 ? (uint64_t)s->prompt_tokens : 1, layers = s->info.layers;
    s->set = (uint32_t)(s->working_set ? s->working_set : 2 * s->top_k < s->experts ? 2 * s->top_k : s->experts);
    code = synthetic_strata(s, arena, err);
    if (code)
        return code;
    if (s->stratum)
        s->topics = 1;
    code = synthetic_ranks(s, arena, err);
    if (!code)
        code = synthetic_weights(s, arena, err);
    if (code)
        return code;
    const char *const purpose[] = { "refresh", "clock", "copy", "topic", "member", "keep", "pick" };
    es_stream *const stream[] = { &s->refresh, &s->clock, &s->copy, &s->topic, &s->member, &s->keep, &s->pick };
    for (int i = 0; i < 7; i++)
        *stream[i] = es_stream_of((uint64_t)s->seed, 0, "synthetic", purpose[i]);
    s->e = es_arena_alloc(arena, layers, s->info.experts * sizeof *s->e);
    s->row = es_arena_alloc(arena, layers, s->info.top_k * sizeof *s->row);
    s->members = es_arena_alloc(arena, layers, s->set * sizeof *s->members);
    s->token = es_arena_alloc(arena, longest, sizeof *s->token);
    s->ids = es_arena_alloc(arena, longest, layers * s->info.top_k * sizeof *s->ids);
    if (!s->e || !s->row || !s->members || !s->token || !s->ids)
        return es_err_nomem(err, "a generator");
    return synthetic_rewind(s, err);
}

/* --- draws ---------------------------------------------------------------------------------------------------------------------- */

/* Exponential with mean 1; never 0, so that no clock wins for certain. */
static double synthetic_exponential(uint64_t draw)
{
    return -log(((double)(draw >> 12) + 0.5) * 0x1p-52);
}

/* The `want` ranks with the smallest clock / weight, best first; equal scores keep the order of ranks. */
static void synthetic_smallest(const double *e, const double *slowness, uint32_t experts, uint32_t want, uint16_t *out)
{
    double best[ES_TRACE_TOP_K_MAX * 2];
    uint32_t have = 0;
    if (want > ES_TRACE_TOP_K_MAX * 2)
        want = ES_TRACE_TOP_K_MAX * 2;
    for (uint32_t r = 0; r < experts; r++) {
        double score = e[r] * slowness[r];
        if (have == want && !(score < best[want - 1]))
            continue;
        uint32_t at = have < want ? have++ : want - 1;
        for (; at > 0 && score < best[at - 1]; at--) {
            best[at] = best[at - 1];
            out[at] = out[at - 1];
        }
        best[at] = score;
        out[at] = (uint16_t)r;
    }
}

/* Coordinates of a token for draws: its request and position, so that longer requests begin like shorter ones. */
static uint64_t synthetic_key(uint64_t request, uint64_t position)
{
    return request << 32 | position;
}

/* zipf_ar: keeps or redraws every clock of a layer, then takes the smallest. */
static void synthetic_clocks(synthetic *s, uint64_t key, uint32_t layer, bool fresh)
{
    uint32_t experts = s->info.experts;
    double *e = s->e + (size_t)layer * experts;
    const double *above = layer > 0 ? e - experts : NULL;
    for (uint32_t r = 0; r < experts; r++) {
        if (!fresh && s->reuse > 0.0 && es_draw_real(s->refresh, key, layer, r, 0) < s->reuse)
            continue;
        if (above && s->cross_layer > 0.0 && es_draw_real(s->copy, key, layer, r, 0) < s->cross_layer)
            e[r] = above[r];
        else
            e[r] = synthetic_exponential(es_draw(s->clock, key, layer, r, 0));
    }
    synthetic_smallest(e, s->slowness + (size_t)layer * experts, experts, s->info.top_k, s->row + (size_t)layer * s->info.top_k);
}

static bool synthetic_holds(const uint16_t *row, uint32_t count, uint16_t rank)
{
    for (uint32_t i = 0; i < count; i++)
        if (row[i] == rank)
            return true;
    return false;
}

/* A rank by popularity: the first whose summed weight is above the draw. */
static uint16_t synthetic_popular(const synthetic *s, uint32_t layer, double draw)
{
    const double *below = s->below + (size_t)layer * s->info.experts;
    double target = draw * below[s->info.experts - 1];
    uint32_t low = 0, high = s->info.experts - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (below[middle] > target)
            high = middle;
        else
            low = middle + 1;
    }
    return (uint16_t)low;
}

/* A rank that is not in the row, by popularity. After 64 vain draws (a few ranks may hold nearly all weight) the first rank that is
 * free and may be used. */
static uint16_t synthetic_drawn(const synthetic *s, uint64_t key, uint32_t layer, const uint16_t *row, uint32_t count)
{
    const uint16_t *members = s->members + (size_t)layer * s->set;
    bool episode = s->sampler == SYNTHETIC_EPISODE;
    for (uint64_t attempt = 0; attempt < 64; attempt++) {
        double draw = es_draw_real(s->pick, key, layer, count, attempt);
        uint16_t rank = episode ? members[(uint32_t)(draw * s->set)] : synthetic_popular(s, layer, draw);
        if (!synthetic_holds(row, count, rank))
            return rank;
    }
    for (uint32_t i = 0; i < (episode ? s->set : s->info.experts); i++) {
        uint16_t rank = episode ? members[i] : (uint16_t)i;
        if (!synthetic_holds(row, count, rank) && isfinite(s->slowness[(size_t)layer * s->info.experts + rank]))
            return rank;
    }
    return row[0];                      /* cannot be: set-up saw to it that enough ranks may be used */
}

/* The layer before's where it is repeated, or one drawn. */
static uint16_t synthetic_new(const synthetic *s, uint64_t key, uint32_t layer, const uint16_t *row, uint32_t count)
{
    const uint16_t *members = s->members + (size_t)layer * s->set;
    bool episode = s->sampler == SYNTHETIC_EPISODE;
    if (layer > 0 && s->cross_layer > 0.0 && es_draw_real(s->copy, key, layer, count, 0) < s->cross_layer) {
        uint16_t rank = s->row[(size_t)(layer - 1) * s->info.top_k + count];
        bool allowed = episode ? synthetic_holds(members, s->set, rank) : isfinite(s->slowness[(size_t)layer * s->info.experts + rank]);
        if (allowed && !synthetic_holds(row, count, rank))
            return rank;
    }
    return synthetic_drawn(s, key, layer, row, count);
}

/* markov, episode: those that stay come first, in their order. */
static void synthetic_stay(synthetic *s, uint64_t key, uint32_t layer, bool fresh)
{
    uint16_t *row = s->row + (size_t)layer * s->info.top_k;
    uint32_t count = 0;
    for (uint32_t i = 0; !fresh && i < s->info.top_k; i++)
        if (es_draw_real(s->keep, key, layer, i, 0) < s->reuse)
            row[count++] = row[i];
    for (; count < s->info.top_k; count++)
        row[count] = synthetic_new(s, key, layer, row, count);
}

/* repeat: what is in the row already is not repeated, and no expert of weight 0. */
static void synthetic_repeat(synthetic *s, uint64_t key, uint32_t layer, bool fresh)
{
    uint32_t k = s->info.top_k;
    uint16_t *row = s->row + (size_t)layer * k;
    const uint16_t *above = layer > 0 ? row - k : NULL;
    const double *slowness = s->slowness + (size_t)layer * s->info.experts;
    for (uint32_t i = 0; i < k; i++) {
        if (above && es_draw_real(s->copy, key, layer, i, 0) < s->cross_layer && isfinite(slowness[above[i]]) && !synthetic_holds(row, i, above[i]))
            row[i] = above[i];
        else if (fresh || !(es_draw_real(s->keep, key, layer, i, 0) < s->reuse) || synthetic_holds(row, i, row[i]))
            row[i] = synthetic_drawn(s, key, layer, row, i);
    }
}

/* A new working set in every layer, by popularity, its clocks partly those of the layer before. */
static void synthetic_episode(synthetic *s, uint64_t segment)
{
    uint32_t experts = s->info.experts;
    for (uint32_t layer = 0; layer < s->info.layers; layer++) {
        double *e = s->e + (size_t)layer * experts;
        for (uint32_t r = 0; r < experts; r++) {
            bool copied = layer > 0 && es_draw_real(s->member, segment, layer, r, 1) < s->cross_layer;
            e[r] = copied ? e[(ptrdiff_t)r - (ptrdiff_t)experts] : synthetic_exponential(es_draw(s->member, segment, layer, r, 0));
        }
        synthetic_smallest(e, s->slowness + (size_t)layer * experts, experts, s->set, s->members + (size_t)layer * s->set);
    }
}

/* Swaps so many of each stratum to its front; whatever order the others are in, every set is equally likely. */
static void synthetic_shuffle(synthetic *s, uint64_t key, uint32_t layer, uint16_t *ids)
{
    uint32_t slot = 0;
    for (uint32_t n = 0; n < s->strata; n++) {
        const synthetic_stratum *stratum = &s->stratum[n];
        uint16_t *list = s->expert_of + (size_t)layer * s->info.experts + stratum->first;
        for (uint32_t i = 0; i < stratum->picks; i++, slot++) {
            uint32_t j = i + es_draw_below(s->pick, stratum->size - i, key, layer, slot, 0);
            uint16_t id = list[j];
            list[j] = list[i];
            list[i] = ids[slot] = id;
        }
    }
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------- */

static void synthetic_token(synthetic *s, uint64_t request, uint64_t position, uint16_t *ids)
{
    uint64_t segment = s->topic_length > 0 ? position / (uint64_t)s->topic_length : 0, key = synthetic_key(request, position);
    bool first = s->topic_length > 0 ? position % (uint64_t)s->topic_length == 0 : position == 0;
    bool fresh = position == 0 || (s->sampler == SYNTHETIC_EPISODE && first);
    uint32_t topic = s->topics > 1 ? es_draw_below(s->topic, (uint32_t)s->topics, request, segment, 0, 0) : 0, k = s->info.top_k;
    if (s->sampler == SYNTHETIC_EPISODE && first)
        synthetic_episode(s, synthetic_key(request, segment));
    for (uint32_t layer = 0; layer < s->info.layers; layer++, ids += k) {
        if (s->stratum) {
            synthetic_shuffle(s, key, layer, ids);
            continue;
        }
        if (s->sampler == SYNTHETIC_ZIPF_AR)
            synthetic_clocks(s, key, layer, fresh);
        else if (s->sampler == SYNTHETIC_REPEAT)
            synthetic_repeat(s, key, layer, fresh);
        else
            synthetic_stay(s, key, layer, fresh);
        const uint16_t *expert = s->expert_of + ((size_t)topic * s->info.layers + layer) * s->info.experts, *row = s->row + (size_t)layer * k;
        for (uint32_t i = 0; i < k; i++)
            ids[i] = expert[row[i]];
    }
}

static const es_trace_info *synthetic_info(void *self)
{
    return &((synthetic *)self)->info;
}

static es_code synthetic_next(void *self, es_step *step, bool *more, es_err *err)
{
    synthetic *s = self;
    uint64_t length = (uint64_t)(s->prompt_tokens + s->decode_tokens), prompt = (uint64_t)s->prompt_tokens;
    (void)err;
    *step = (es_step){ 0 };
    *more = s->request < (uint64_t)s->requests;
    if (!*more)
        return ES_OK;
    bool prefill = s->position < prompt;
    step->tokens = prefill ? (uint32_t)prompt : 1;
    step->token = s->token;
    step->ids = s->ids;
    step->record = s->record;
    for (uint32_t i = 0; i < step->tokens; i++) {
        s->token[i] = (es_token){ (uint32_t)s->request, (uint32_t)(s->position + i), prefill ? ES_PREFILL : ES_DECODE };
        synthetic_token(s, s->request, s->position + i, s->ids + (size_t)i * s->info.layers * s->info.top_k);
    }
    s->position += step->tokens;
    s->record += step->tokens;
    if (s->position == length) {
        s->position = 0;
        s->request++;
    }
    return ES_OK;
}

static es_code synthetic_rewind(void *self, es_err *err)
{
    synthetic *s = self;
    (void)err;
    s->request = s->position = s->record = 0;
    for (uint64_t i = 0; s->stratum && i < (uint64_t)s->info.layers * s->info.experts; i++)
        s->expert_of[i] = (uint16_t)(i % s->info.experts);     /* the shuffle goes on from where it stood */
    return ES_OK;
}

/* --- table ---------------------------------------------------------------------------------------------------------------------- */

static const char *const synthetic_samplers[] = { "zipf_ar", "uniform", "episode", "markov", "repeat", "strata", NULL };
static const char *const synthetic_popularities[] = { "rank", "sampled", NULL };

static const es_option synthetic_options[] = {
    { .name = "layers", .type = ES_OPT_INT, .offset = offsetof(synthetic, layers), .def = 24, .min = 1, .max = ES_TRACE_LAYERS_MAX, .help = "MoE layers." },
    { .name = "experts", .type = ES_OPT_INT, .offset = offsetof(synthetic, experts), .def = 64, .min = 1, .max = ES_TRACE_EXPERTS_MAX, .help = "Experts per layer." },
    { .name = "top_k", .type = ES_OPT_INT, .offset = offsetof(synthetic, top_k), .def = 4, .min = 1, .max = ES_TRACE_TOP_K_MAX, .help = "Experts that a token uses in a layer." },
    { .name = "requests", .type = ES_OPT_INT, .offset = offsetof(synthetic, requests), .def = 1, .min = 1, .max = 1e9, .help = "Requests, one after the other." },
    { .name = "prompt_tokens", .type = ES_OPT_INT, .offset = offsetof(synthetic, prompt_tokens), .def = 0, .min = 0, .max = 1e6, .unit = "tokens", .help = "Tokens of each prompt; they are one step." },
    { .name = "decode_tokens", .type = ES_OPT_INT, .offset = offsetof(synthetic, decode_tokens), .def = 256, .min = 0, .max = 1e9, .unit = "tokens", .help = "Tokens that each request generates, one per step." },
    { .name = "expert_bytes", .type = ES_OPT_BYTES, .offset = offsetof(synthetic, expert_bytes), .def = 0, .min = 0, .max = 1e15, .help = "Size of one expert; 0: the trace does not say." },
    { .name = "sampler", .type = ES_OPT_ENUM, .offset = offsetof(synthetic, sampler), .def = SYNTHETIC_ZIPF_AR, .choices = synthetic_samplers,
      .help = "How a row is drawn: by popularity with memory, equally likely, from a working set, as a Markov chain, repeating the layer or token before, or from strata." },
    { .name = "skew", .type = ES_OPT_REALS, .offset = offsetof(synthetic, skew), .min = 0, .max = 10, .help = "Zipf exponent of popularity: one number, or one per layer; none: 1." },
    { .name = "popularity", .type = ES_OPT_ENUM, .offset = offsetof(synthetic, popularity), .def = SYNTHETIC_BY_RANK, .choices = synthetic_popularities,
      .help = "Whether an expert's weight follows from its rank or is one sample of the Zipf law with that exponent." },
    { .name = "reuse", .type = ES_OPT_REAL, .offset = offsetof(synthetic, reuse), .def = 0, .min = 0, .max = 1,
      .help = "Memory from token to token: correlation of an expert's score (zipf_ar), or probability that an expert stays (markov, episode, repeat)." },
    { .name = "topics", .type = ES_OPT_INT, .offset = offsetof(synthetic, topics), .def = 1, .min = 1, .max = 4096, .help = "Different assignments of popularity to experts." },
    { .name = "topic_length", .type = ES_OPT_INT, .offset = offsetof(synthetic, topic_length), .def = 0, .min = 0, .max = 1e9, .unit = "tokens", .help = "Tokens until topic and working set are drawn anew; 0: once per request." },
    { .name = "working_set", .type = ES_OPT_INT, .offset = offsetof(synthetic, working_set), .def = 0, .min = 0, .max = 2 * ES_TRACE_TOP_K_MAX, .help = "Experts per layer in an episode's working set; 0: twice top_k." },
    { .name = "cross_layer", .type = ES_OPT_REAL, .offset = offsetof(synthetic, cross_layer), .def = 0, .min = 0, .max = 1, .help = "Probability that a draw repeats the rank of the layer before (repeat: its expert)." },
    { .name = "strata", .type = ES_OPT_REALS, .offset = offsetof(synthetic, strata_size), .min = 1, .max = ES_TRACE_EXPERTS_MAX, .help = "Experts of each stratum, from id 0 on; none: 20, 30 and 10." },
    { .name = "picks", .type = ES_OPT_REALS, .offset = offsetof(synthetic, strata_picks), .min = 1, .max = ES_TRACE_TOP_K_MAX, .help = "Experts that a row takes of each stratum; none: 2, 1 and 1." },
    { .name = "seed", .type = ES_OPT_INT, .offset = offsetof(synthetic, seed), .def = 1, .min = 0, .max = 9e15, .help = "Other seeds draw other traces." },
    { .name = "counts", .type = ES_OPT_JSON, .offset = offsetof(synthetic, counts), .help = "Popularity as measured: [layers][experts] uses of each expert, instead of skew." },
    { 0 },
};

const es_source es_source_synthetic = {
    .part = { .abi = ES_ABI, .name = "synthetic", .brief = "Routing drawn at random, with popularity, memory and topics.", .options = synthetic_options, .size = sizeof(synthetic) },
    .open = synthetic_open,
    .info = synthetic_info,
    .next = synthetic_next,
    .rewind = synthetic_rewind,
};
