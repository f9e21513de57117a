/* Mrc: see mrc.h. The trace is decoded once for all curves; each policy is one pass over its events. */
#include "sim/study/mrc.h"

#include <math.h>
#include <string.h>

#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "sim/curve/next_use.h"
#include "sim/curve/static.h"
#include "sim/study/curves.h"
#include "sim/study/mrc_inside.h"

typedef struct mrc_passes {     /* what the passes of one ask share */
    es_curve_ask ask;           /* in slots where experts weigh alike, else in bytes */
    const uint32_t *place;      /* [sizes] of mrc->capacity among the slots of the ask; NULL: they are the ask's own */
    uint32_t *next;             /* of belady; NULL until it is asked for */
} mrc_passes;

/* ---- one curve ---- */

/* Bytes that weigh alike are slots: several of them may be the same number. */
static es_code mrc_ask_sizes(es_mrc *mrc, mrc_passes *p, es_err *err)
{
    p->ask.capacity = mrc->capacity;
    p->ask.sizes = mrc->sizes;
    if (mrc->unequal)
        p->ask.bytes = mrc->bytes;
    if (mrc->unequal || mrc->unit == 1 || !mrc->capacity)
        return ES_OK;
    uint64_t *slots = ES_NEW_ARRAY(&mrc->arena, mrc->sizes, uint64_t);
    uint32_t *place = ES_NEW_ARRAY(&mrc->arena, mrc->sizes, uint32_t), count = 0;
    if (!slots || !place)
        return es_err_nomem(err, "the sizes");
    for (uint32_t i = 0; i < mrc->sizes; i++) {
        const uint64_t fits = mrc->capacity[i] / mrc->unit;
        if (count == 0 || slots[count - 1] != fits)
            slots[count++] = fits;
        place[i] = count - 1;
    }
    p->ask.capacity = slots;
    p->ask.sizes = count;
    p->place = place;
    return ES_OK;
}

/* A curve over slots as one over the capacities that were asked. */
static es_code mrc_relabel(es_mrc *mrc, const mrc_passes *p, es_curve *curve, es_err *err)
{
    const es_curve from = *curve;
    const uint32_t sizes = p->place ? mrc->sizes : from.sizes;
    uint64_t *row[5];
    const uint64_t *const source[] = {from.hits, from.decode_hits, from.hit_bytes, from.decode_hit_bytes};
    for (int r = 0; r < 5; r++)
        if (!(row[r] = ES_NEW_ARRAY(&mrc->arena, sizes, uint64_t)))
            return es_err_nomem(err, "a curve");
    for (uint32_t i = 0; i < sizes; i++) {
        const uint32_t at = p->place ? p->place[i] : i;
        row[4][i] = p->place ? mrc->capacity[i] : from.capacity[i] * mrc->unit;
        for (int r = 0; r < 4; r++)
            row[r][i] = source[r] ? source[r][at] : 0;
    }
    curve->sizes = sizes;
    curve->hits = row[0];
    curve->decode_hits = row[1];
    curve->hit_bytes = from.hit_bytes ? row[2] : NULL;
    curve->decode_hit_bytes = from.hit_bytes ? row[3] : NULL;
    curve->capacity = row[4];
    return ES_OK;
}

static bool mrc_weigh_alike(const es_mrc *mrc)
{
    for (uint32_t l = 0; l < mrc->events.layers; l++)
        if (!mrc->bytes || mrc->bytes[l] != mrc->bytes[0])
            return false;
    return true;
}

/* What hits weigh where all experts weigh the same. */
static es_code mrc_weigh(es_mrc *mrc, es_curve *curve, es_err *err)
{
    if (!mrc_weigh_alike(mrc))
        return ES_OK;
    const uint64_t each = (uint64_t)mrc->bytes[0];
    uint64_t *hits = ES_NEW_ARRAY(&mrc->arena, curve->sizes, uint64_t), *decode = ES_NEW_ARRAY(&mrc->arena, curve->sizes, uint64_t);
    if (!hits || !decode)
        return es_err_nomem(err, "a curve");
    for (uint32_t i = 0; i < curve->sizes; i++) {
        hits[i] = curve->hits[i] * each;
        decode[i] = curve->decode_hits[i] * each;
    }
    curve->hit_bytes = hits;
    curve->decode_hit_bytes = decode;
    curve->access_bytes = curve->accesses * each;
    curve->decode_access_bytes = curve->decode_accesses * each;
    return ES_OK;
}

/* ---- the policies that have one ---- */

/* Uses in another trace, as objects of this one. */
static es_code mrc_frozen_uses(es_mrc *mrc, uint64_t **out, es_err *err)
{
    uint64_t *uses = NULL;
    es_code code = es_config_uses(mrc->config, mrc->calibrate, &uses, err);
    if (code)
        return es_err_at(err, "--calibrate-on"), code;
    *out = ES_NEW_ARRAY(&mrc->arena, mrc->events.objects, uint64_t);
    for (uint32_t s = 0; *out && s < mrc->events.spaces; s++)
        memcpy(*out + (size_t)s * mrc->events.stride, uses + (size_t)s * mrc->events.experts, mrc->events.experts * sizeof *uses);
    return *out ? ES_OK : es_err_nomem(err, "the calibration");
}

static es_code mrc_static(es_mrc *mrc, const mrc_passes *p, bool frozen, es_curve *curves, es_err *err)
{
    uint64_t *uses = NULL;
    es_code code = ES_OK;
    if (frozen)
        code = mrc_frozen_uses(mrc, &uses, err);
    else if (!(uses = es_static_uses(&mrc->events, &mrc->arena)))
        code = es_err_nomem(err, "a static set");
    return code ? code : es_static(&mrc->events, uses, &p->ask, curves, &mrc->arena, err);
}

static es_code mrc_belady(es_mrc *mrc, mrc_passes *p, bool bypass, es_curve *curves, es_err *err)
{
    es_code code = p->next ? ES_OK : es_next_use(&mrc->events, es_curve_serial(&p->ask), &p->next, &mrc->arena, err);
    return code ? code : es_belady(&mrc->events, p->next, &p->ask, bypass, curves, NULL, &mrc->arena, err);
}

static es_code mrc_lru(es_mrc *mrc, const mrc_passes *p, es_curve *curves, es_err *err)
{
    es_curve_ask ask = p->ask;
    for (uint32_t l = 1; mrc->bytes && l < mrc->events.layers; l++)
        if (mrc->bytes[l] != mrc->bytes[0])
            ask.weight = mrc->bytes;
    return es_curve_lru(&mrc->events, &ask, curves, &mrc->arena, err);
}

static es_code mrc_pass(es_mrc *mrc, mrc_passes *p, es_mrc_line *line, es_err *err)
{
    const uint32_t count = es_curve_count(&mrc->events, &p->ask);
    es_curve *curves = ES_NEW_ARRAY(&mrc->arena, count, es_curve);
    es_code code = curves ? ES_OK : es_err_nomem(err, "a curve");
    if (code == ES_OK && strcmp(line->policy, "lru") == 0)
        code = mrc_lru(mrc, p, curves, err);
    else if (code == ES_OK && strncmp(line->policy, "static", 6) == 0)
        code = mrc_static(mrc, p, strcmp(line->policy, "static") != 0, curves, err);
    else if (code == ES_OK)
        code = mrc_belady(mrc, p, strcmp(line->policy, "belady") != 0, curves, err);
    if (code == ES_OK)
        code = es_curve_sum(curves, count, &line->curve, &mrc->arena, err);
    if (code == ES_OK && (p->place || mrc->unit > 1))
        code = mrc_relabel(mrc, p, &line->curve, err);
    return code == ES_OK && !line->curve.hit_bytes ? mrc_weigh(mrc, &line->curve, err) : code;
}

/* ---- all lines ---- */

static es_code mrc_lines(es_mrc *mrc, bool named, const es_progress *progress, es_err *err)
{
    mrc_passes p = {.ask = es_curves_ask(mrc->plan)};
    es_code code = mrc_ask_sizes(mrc, &p, err);
    for (uint32_t i = 0; i < mrc->lines && code == ES_OK; i++) {
        es_mrc_line *line = &mrc->line[i];
        if (strcmp(line->made, "curve") == 0)
            code = mrc_pass(mrc, &p, line, err);
        else if ((code = mrc_run(mrc, line, named, progress, err)) == ES_OK && !line->curve.hit_bytes)
            code = mrc_weigh(mrc, &line->curve, err);
    }
    return code;
}

bool es_mrc_at(const es_mrc *mrc, const es_mrc_line *line, uint64_t capacity, uint32_t *at)
{
    const es_curve *curve = &line->curve;
    if (strcmp(line->made, "curve") == 0 && !mrc->capacity && curve->sizes > 0) {     /* every size */
        const uint64_t slots = capacity / mrc->unit < curve->sizes ? capacity / mrc->unit : curve->sizes;
        *at = slots > 0 ? (uint32_t)slots - 1 : 0;
        return slots > 0;
    }
    for (*at = 0; *at < curve->sizes; ++*at)
        if (curve->capacity[*at] == capacity)
            return true;
    return false;
}

uint64_t es_mrc_hits(const es_mrc *mrc, const es_curve *curve, uint32_t at)
{
    return mrc->decode ? curve->decode_hits[at] : curve->hits[at];
}

uint64_t es_mrc_accesses(const es_mrc *mrc, const es_curve *curve)
{
    return mrc->decode ? curve->decode_accesses : curve->accesses;
}

/* ---- the sizes of the text, the cliff and the split ---- */

static double mrc_mean_bytes(const es_mrc *mrc)
{
    double sum = 0.0;
    for (uint32_t l = 0; l < mrc->events.spaces; l++)
        sum += (double)mrc->bytes[l];
    return sum / mrc->events.spaces;
}

static void mrc_show_one(es_mrc *mrc, uint64_t capacity)
{
    uint32_t at = mrc->shown_count;
    for (uint32_t i = 0; i < mrc->shown_count; i++)
        if (mrc->shown[i].capacity == capacity)
            return;
    while (at > 0 && mrc->shown[at - 1].capacity > capacity) {
        mrc->shown[at] = mrc->shown[at - 1];
        at--;
    }
    const double slots = mrc->unequal ? (double)capacity / mrc_mean_bytes(mrc) : (double)(capacity / mrc->unit);
    mrc->shown[at] = (es_mrc_size){.capacity = capacity, .share = (double)capacity / (double)mrc->most, .slots = slots, .own = capacity == mrc->own};
    mrc->shown_count++;
}

/* Of the sizes asked at most ES_MRC_SHOWN, the ends among them; of all sizes halvings of the largest. */
static void mrc_show(es_mrc *mrc)
{
    const uint32_t count = !mrc->capacity || mrc->sizes > ES_MRC_SHOWN ? ES_MRC_SHOWN : mrc->sizes;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = mrc->sizes <= ES_MRC_SHOWN ? i : (uint32_t)((uint64_t)i * (mrc->sizes - 1) / (count - 1));
        const uint64_t capacity = mrc->capacity ? mrc->capacity[at] : (mrc->most / mrc->unit >> (count - 1 - i)) * mrc->unit;
        if (capacity > 0)
            mrc_show_one(mrc, capacity);
    }
    if (mrc->own)
        mrc_show_one(mrc, mrc->own);
}

/* The LRU curve, where it was asked for. */
static const es_curve *mrc_lru_curve(const es_mrc *mrc)
{
    for (uint32_t i = 0; i < mrc->lines; i++)
        if (strcmp(mrc->line[i].policy, "lru") == 0 && strcmp(mrc->line[i].made, "curve") == 0)
            return &mrc->line[i].curve;
    return NULL;
}

/* `whole`: LRU of the cache asked at every number of slots, capacities in units of `unit`. */
static void mrc_cliff(es_mrc *mrc, const es_curve *whole, uint64_t unit)
{
    mrc->cliff = es_curve_cliff(whole, 0.0) / unit;
    mrc->cliff_bytes = mrc_weigh_alike(mrc) ? (double)mrc->cliff * (double)mrc->bytes[0]
        : mrc->unequal && mrc_lru_curve(mrc) ? (double)es_curve_cliff(mrc_lru_curve(mrc), 0.0) : (double)NAN;
}

/* A size of the text divided over layers, whose LRU curves hold every number of slots. */
static es_code mrc_split(es_mrc *mrc, const es_curve *curves, es_mrc_size *size, es_err *err)
{
    const uint32_t layers = mrc->events.layers, caches = mrc->per_layer ? layers : 1;
    es_split_bytes in_bytes = {0};
    es_code code = mrc->unequal ? es_split_in_bytes(curves, layers, mrc->bytes, size->capacity * caches, true, &in_bytes, &mrc->arena, err)
                                : es_split_slots(curves, layers, (uint64_t)size->slots * caches, true, &size->split, &mrc->arena, err);
    if (mrc->unequal)
        size->split = (es_split){.total = size->capacity * caches, .best = in_bytes.best, .equal = in_bytes.equal, .slots = in_bytes.slots};
    size->split_bound = mrc->unequal ? in_bytes.bound : size->split.best;
    size->has_split = true;
    return code;
}

/* Read off LRU curves at every number of slots: of the cache asked, and of each layer. */
static es_code mrc_lru_facts(es_mrc *mrc, es_err *err)
{
    es_curve_ask ask = es_curves_ask(mrc->plan);
    const uint32_t layers = mrc->events.layers;
    es_curve *curves = ES_NEW_ARRAY(&mrc->arena, layers, es_curve), whole = {0};
    ask.per_layer = true;
    es_code code = curves ? es_curve_lru(&mrc->events, &ask, curves, &mrc->arena, err) : es_err_nomem(err, "a curve");
    ask.per_layer = mrc->per_layer;
    const es_curve *every = mrc->capacity ? NULL : mrc_lru_curve(mrc);
    if (code == ES_OK && every)
        whole = *every;
    else if (code == ES_OK)
        code = mrc->per_layer ? es_curve_sum(curves, layers, &whole, &mrc->arena, err) : es_curve_lru(&mrc->events, &ask, &whole, &mrc->arena, err);
    mrc->layer = curves;
    mrc->cliff_bytes = NAN;
    if (code == ES_OK && mrc->events.decode_accesses > 0)
        mrc_cliff(mrc, &whole, every ? mrc->unit : 1);
    for (uint32_t i = 0; i < mrc->shown_count && code == ES_OK && mrc->events.spaces > 1; i++)
        code = mrc_split(mrc, curves, &mrc->shown[i], err);
    return code;
}

/* ---- all of it ---- */

static es_code mrc_all(es_mrc *mrc, const char *sizes, const es_progress *progress, es_err *err)
{
    bool own_in_bytes = false;
    const char *none = cJSON_IsArray(mrc->plan->contract.quota) ? "layers have quotas of their own (contract.quota)" : es_curves_none(mrc->plan);
    if (none)
        return es_err_set(err, ES_EINPUT, "%s: there are no curves: %s", mrc->name ? mrc->name : mrc->path, none);
    es_code code = mrc->name && mrc->events.lookups > 0 ? mrc_own(mrc, &own_in_bytes, progress, err) : ES_OK;
    if (code == ES_OK)
        code = mrc_units(mrc, sizes, own_in_bytes, err);
    if (code == ES_OK)
        code = mrc_sizes(mrc, sizes, err);
    if (code != ES_OK || mrc->events.lookups == 0)
        return code;
    mrc_show(mrc);
    code = mrc_lines(mrc, sizes != NULL, progress, err);
    if (code == ES_OK)
        code = mrc_lru_facts(mrc, err);
    return code ? code : mrc_statistics(mrc, err);
}

es_code es_mrc_make(es_mrc *mrc, const es_mrc_ask *ask, const es_progress *progress, es_err *err)
{
    *mrc = (es_mrc){0};
    es_code code = mrc_read(mrc, ask, err);
    if (code == ES_OK && (code = es_curves_events(mrc->plan, &mrc->events, &mrc->arena, err)) != ES_OK)
        es_err_at(err, "%s", mrc->path);
    if (code)
        return code;
    if (mrc->events.lookups == 0)
        mrc->warning = "the trace has no lookups; there is nothing to cache";
    else if (mrc->events.decode_accesses == 0)
        mrc->warning = "the trace has no decode lookups, of which the statistics are; --phase all counts those of prompts";
    else if (mrc->events.tokens < ES_MRC_SHORT)
        mrc->warning = "the trace has fewer than 64 tokens: most misses are first uses (cold start), and hit rates say little about longer runs";
    return mrc_all(mrc, ask->sizes, progress, err);
}

void es_mrc_free(es_mrc *mrc)
{
    es_config_free(mrc->config);
    es_arena_free(&mrc->arena);
}
