/* Statistics: see statistics.h. */
#include "sim/curve/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "sim/curve/lru.h"

static bool statistics_counts(const es_events *events, uint32_t e)
{
    return es_events_kind(events, e) == ES_EVENT_DECODE;
}

static int statistics_order(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

static double statistics_entropy(const es_events *events, const uint64_t *uses)
{
    double sum = 0.0;
    uint32_t used = 0;
    for (uint32_t s = 0; s < events->spaces; s++) {
        const uint64_t *row = uses + (size_t)s * events->stride;
        double all = 0.0, bits = 0.0;
        for (uint32_t i = 0; i < events->experts; i++)
            all += (double)row[i];
        for (uint32_t i = 0; i < events->experts; i++)
            bits -= row[i] > 0 ? (double)row[i] / all * log2((double)row[i] / all) : 0.0;
        sum += bits;
        used += all > 0.0;
    }
    return used > 0 ? sum / used : 0.0;
}

/* Sorts the uses. */
static void statistics_shares(const es_events *events, uint64_t *uses, es_statistics *out)
{
    const uint64_t objects = (uint64_t)events->spaces * events->experts;
    qsort(uses, events->objects, sizeof *uses, statistics_order);
    for (uint32_t i = 0; i < ES_SHARES; i++) {
        uint64_t top = objects * (i + 1) / 10, sum = 0;
        for (uint64_t o = 0; o < (top > 0 ? top : 1); o++)
            sum += uses[o];
        out->share[i] = out->lookups > 0 ? (double)sum / (double)out->lookups : 0.0;
    }
}

es_code es_statistics_read(const es_events *events, const int64_t *bytes, es_statistics *out, es_arena *arena, es_err *err)
{
    const size_t cells = (size_t)events->layers * events->stride;
    uint64_t *uses = ES_NEW_ARRAY(arena, events->objects, uint64_t), repeated = 0, followed = 0, follows = 0;
    uint32_t *last = ES_NEW_ARRAY(arena, cells, uint32_t);      /* step + 1 of the last use in this layer */
    uint32_t *before = ES_NEW_ARRAY(arena, events->layers, uint32_t);   /* event + 1 of the layer's last */
    double weight = 0.0;
    if (!uses || !last || !before)
        return es_err_nomem(err, "the statistics of a trace");
    *out = (es_statistics){0};
    for (uint32_t e = 0, step = UINT32_MAX; e < events->count; e++) {
        const uint32_t layer = events->layer[e], width = es_events_width(events, e);
        if (!statistics_counts(events, e))
            continue;
        const uint32_t b = before[layer];
        const bool next = b > 0 && events->step[b - 1] + 1 == events->step[e] && events->request[b - 1] == events->request[e];
        out->steps += events->step[e] != step;
        step = events->step[e];
        out->events++;
        out->lookups += width;
        weight += bytes ? (double)bytes[layer] * width : 0.0;
        for (uint64_t i = events->begin[e]; i < events->begin[e + 1]; i++) {
            uint32_t *use = &last[(size_t)layer * events->stride + events->id[i]];
            uses[es_events_base(events, e) + events->id[i]]++;
            repeated += next && *use == step;
            *use = step + 1;
        }
        follows += next;
        followed += next ? width : 0;
        before[layer] = e + 1;
    }
    if (out->steps > 0) {
        out->cycle = (double)out->lookups / (double)out->steps;
        out->cycle_bytes = weight / (double)out->steps;
        out->demand = (double)out->lookups / (double)out->events;
    }
    out->overlap = followed > 0 ? (double)repeated / (double)followed : 0.0;
    out->turnover = follows > 0 ? (double)(followed - repeated) / (double)follows * events->layers : 0.0;
    out->entropy = statistics_entropy(events, uses);
    statistics_shares(events, uses, out);
    return ES_OK;
}

/* An object misses a window of w steps that lies in a gap of g steps between its uses: g - w + 1 of them. */
es_code es_working_set(const es_events *events, uint32_t windows, double *distinct, es_arena *arena, es_err *err)
{
    uint64_t steps = 0;
    for (uint32_t e = 0, step = UINT32_MAX; e < events->count; e++)
        if (statistics_counts(events, e) && events->step[e] != step) {
            step = events->step[e];
            steps++;
        }
    uint64_t *gaps = ES_NEW_ARRAY(arena, steps + 2, uint64_t), *last = ES_NEW_ARRAY(arena, events->objects, uint64_t), at = 0, used = 0;
    if (!gaps || !last)
        return es_err_nomem(err, "the working set");
    for (uint32_t e = 0, step = UINT32_MAX; e < events->count; e++) {
        if (!statistics_counts(events, e))
            continue;
        at += events->step[e] != step;
        step = events->step[e];
        for (uint64_t i = events->begin[e]; i < events->begin[e + 1]; i++) {
            uint64_t *use = &last[es_events_base(events, e) + events->id[i]];
            gaps[at > *use ? at - *use - 1 : 0]++;
            used += *use == 0;
            *use = at;
        }
    }
    for (uint32_t o = 0; o < events->objects; o++)
        gaps[last[o] > 0 ? steps - last[o] : 0]++;
    for (uint32_t w = 1; w <= windows; w++) {
        double missed = 0.0;
        for (uint64_t g = w; g <= steps; g++)
            missed += (double)gaps[g] * (double)(g - w + 1);
        distinct[w - 1] = w <= steps ? (double)used - missed / (double)(steps - w + 1) : 0.0;
    }
    return ES_OK;
}

es_code es_layer_overlap(const es_events *events, double *share, double *whole, es_arena *arena, es_err *err)
{
    uint32_t *last = ES_NEW_ARRAY(arena, (size_t)events->layers * events->stride, uint32_t);     /* step + 1 of the last use in this layer */
    uint64_t *same = ES_NEW_ARRAY(arena, events->layers, uint64_t), *of = ES_NEW_ARRAY(arena, events->layers, uint64_t), all = 0, all_same = 0;
    if (!last || !same || !of)
        return es_err_nomem(err, "the overlap of layers");
    for (uint32_t e = 0; e < events->count; e++) {
        const uint32_t layer = events->layer[e], now = events->step[e] + 1;
        uint32_t *row = last + (size_t)layer * events->stride;
        const uint32_t *before = layer > 0 ? row - events->stride : NULL;
        for (uint64_t i = events->begin[e]; statistics_counts(events, e) && i < events->begin[e + 1]; i++) {
            row[events->id[i]] = now;
            of[layer] += before != NULL;
            same[layer] += before && before[events->id[i]] == now;
        }
    }
    for (uint32_t l = 0; l < events->layers; l++) {
        share[l] = of[l] > 0 ? (double)same[l] / (double)of[l] : 0.0;
        all += of[l];
        all_same += same[l];
    }
    *whole = all > 0 ? (double)all_same / (double)all : 0.0;
    return ES_OK;
}

/* An LRU curve over powers of two, read off as what lies between two of them. */
es_code es_reuse_read(const es_events *events, bool per_layer, es_reuse *out, es_arena *arena, es_err *err)
{
    es_curve_ask ask = {.rule = ES_CURVE_SERIALIZED, .per_layer = per_layer};
    const uint32_t count = es_curve_count(events, &ask);
    const uint64_t most = es_curve_most(events, &ask);
    uint64_t capacity[ES_REUSE_BUCKETS];
    es_curve *curves = ES_NEW_ARRAY(arena, count, es_curve);
    if (!curves)
        return es_err_nomem(err, "reuse distances");
    do
        capacity[ask.sizes] = 1ull << ask.sizes;
    while (capacity[ask.sizes++] < most);
    ask.capacity = capacity;
    es_code code = es_curve_lru(events, &ask, curves, arena, err);
    for (uint32_t c = 0; c < count && code == ES_OK; c++) {
        out[c] = (es_reuse){.buckets = ask.sizes, .first = curves[c].decode_accesses - curves[c].decode_hits[ask.sizes - 1]};
        for (uint32_t b = 0; b < ask.sizes; b++)
            out[c].count[b] = curves[c].decode_hits[b] - (b > 0 ? curves[c].decode_hits[b - 1] : 0);
    }
    return code;
}

uint64_t es_curve_cliff(const es_curve *curve, double share)
{
    uint64_t most = 0;
    for (uint32_t s = 0; s < curve->sizes && (double)curve->decode_hits[s] <= share * (double)curve->decode_accesses; s++)
        most = curve->capacity[s];
    return most;
}
