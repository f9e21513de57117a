/* Mrc: see mrc.h. The trace is decoded once; each policy is one pass over its events. */
#include "sim/study/mrc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "sim/curve/next_use.h"
#include "sim/curve/static.h"

static const char *const mrc_policies[] = {"lru", "belady", "belady_bypass", "static"};
static const char *const mrc_scopes[] = {"global", "layer"};
static const char *const mrc_contracts[] = {"event_atomic", "serialized", "keep_best", "after_batch"};
static const es_curve_rule mrc_rules[] = {ES_CURVE_WAVES, ES_CURVE_SERIALIZED, ES_CURVE_KEEP_BEST, ES_CURVE_PERSIST};
static const char *const mrc_phases[] = {"decode", "all"};
static const char *const mrc_resets[] = {"never", "request"};

const char *es_mrc_policy_name(es_mrc_policy policy)
{
    return mrc_policies[policy];
}

/* ---- what is asked ---- */

/* Which of the names a word is; NULL is the first. */
static es_code mrc_choice(const char *what, const char *word, size_t length, const char *const *names, size_t count, size_t *out, es_err *err)
{
    *out = 0;
    for (size_t i = 0; word && i < count; i++)
        if (strlen(names[i]) == length && memcmp(names[i], word, length) == 0)
            return *out = i, ES_OK;
    if (!word)
        return ES_OK;
    char found[64];
    es_text all = {0};
    snprintf(found, sizeof found, "%.*s", (int)(length < 60 ? length : 60), word);
    for (size_t i = 0; i < count; i++)
        es_text_add(&all, "%s%s", i ? ", " : "", names[i]);
    const char *nearest = es_text_nearest(found, names, count);
    es_code code = nearest ? es_err_set(err, ES_EINPUT, "%s: there is no \"%s\"; did you mean \"%s\"?", what, found, nearest)
                           : es_err_set(err, ES_EINPUT, "%s: there is no \"%s\"; there are %s", what, found, all.at ? all.at : "");
    es_text_free(&all);
    return code;
}

static es_code mrc_one(const char *what, const char *word, const char *const *names, size_t count, size_t *out, es_err *err)
{
    return mrc_choice(what, word, word ? strlen(word) : 0, names, count, out, err);
}

static es_code mrc_policies_read(es_mrc *mrc, const char *list, es_err *err)
{
    es_code code = ES_OK;
    size_t which;
    for (const char *word = list ? list : "lru,belady,static"; word && code == ES_OK; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
        code = mrc_choice("--policies", word, strcspn(word, ","), mrc_policies, ES_MRC_POLICIES, &which, err);
        if (code == ES_OK)
            mrc->policy[which] = true;
    }
    return code;
}

/* Everything but the sizes, for which the trace must be known. */
static es_code mrc_read(es_mrc *mrc, const es_mrc_ask *ask, es_curve_ask *curve, es_prefill *prefill, es_err *err)
{
    size_t scope = 0, contract = 0, phase = 0, reset = 0;
    es_code code = mrc_policies_read(mrc, ask->policies, err);
    if (code == ES_OK)
        code = mrc_one("--scope", ask->scope, mrc_scopes, 2, &scope, err);
    if (code == ES_OK)
        code = mrc_one("--contract", ask->contract, mrc_contracts, 4, &contract, err);
    if (code == ES_OK)
        code = mrc_one("--phase", ask->phase, mrc_phases, 2, &phase, err);
    if (code == ES_OK)
        code = mrc_one("--reset", ask->reset, mrc_resets, 2, &reset, err);
    if (code == ES_OK && es_prefill_read(prefill, ask->prefill ? ask->prefill : "union", err) != ES_OK)
        code = es_err_set(err, ES_EINPUT, "--prefill: \"%.60s\" is not one of union, tokens, tiles:N, skip", ask->prefill);
    mrc->path = ask->path;
    mrc->scope = mrc_scopes[scope];
    mrc->contract = mrc_contracts[contract];
    mrc->decode = phase == 0;
    mrc->per_layer = scope == 1;
    mrc->reset = reset == 1;
    *curve = (es_curve_ask){.rule = mrc_rules[contract], .per_layer = mrc->per_layer, .reset = mrc->reset};
    return code;
}

/* "8", "8slots" or "50%". */
static es_code mrc_size(const char *word, uint64_t most, uint64_t *out, es_err *err)
{
    const int length = (int)strcspn(word, ",");
    char *end = NULL;
    const size_t digits = strspn(word, "0123456789.");
    double value = digits > 0 ? strtod(word, &end) : NAN;
    if (end != word + digits)
        end = NULL;         /* hexadecimal, or with an exponent */
    const size_t left = end ? (size_t)(word + length - end) : 0;
    const bool share = end && left == 1 && *end == '%', slots = end && (left == 0 || (left == 5 && memcmp(end, "slots", 5) == 0));
    if (!share && !slots)
        return es_err_set(err, ES_EINPUT, "--sizes: found \"%.*s\", needs slots or a share of all experts, for example \"8,16,50%%\"",
            length < 60 ? length : 60, word);
    value = share ? floor(value / 100.0 * (double)most + 1e-9) : value;
    if (value != floor(value) || value < 1 || (share && value > (double)most) || value > 4294967295.0)
        return es_err_set(err, ES_EINPUT, "--sizes: \"%.*s\" is no whole number of slots from 1 on; a cache may be asked for %llu experts",
            length < 60 ? length : 60, word, (unsigned long long)most);
    *out = (uint64_t)value;
    return ES_OK;
}

static int mrc_order(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static es_code mrc_sizes(es_mrc *mrc, const char *list, uint64_t most, es_err *err)
{
    es_code code = ES_OK;
    uint32_t count = 0, kept = 0;
    mrc->capacity = ES_NEW_ARRAY(&mrc->arena, strlen(list) + 1, uint64_t);
    if (!mrc->capacity)
        return es_err_nomem(err, "the sizes");
    for (const char *word = list; word && code == ES_OK; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL)
        code = mrc_size(word, most, &mrc->capacity[count++], err);
    qsort(mrc->capacity, count, sizeof *mrc->capacity, mrc_order);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || mrc->capacity[i] != mrc->capacity[kept - 1])
            mrc->capacity[kept++] = mrc->capacity[i];
    mrc->sizes = kept;
    return code;
}

/* ---- the passes ---- */

static es_code mrc_pass(es_mrc *mrc, es_mrc_policy policy, const es_curve_ask *ask, const uint32_t *next, es_err *err)
{
    const es_events *events = &mrc->events;
    const uint32_t count = es_curve_count(events, ask);
    es_curve *curves = ES_NEW_ARRAY(&mrc->arena, count, es_curve);
    es_code code = curves ? ES_OK : es_err_nomem(err, "a curve");
    if (code == ES_OK && policy == ES_MRC_LRU)
        code = es_curve_lru(events, ask, curves, &mrc->arena, err);
    else if (code == ES_OK && policy == ES_MRC_STATIC) {
        const uint64_t *uses = es_static_uses(events, &mrc->arena);
        code = uses ? es_static(events, uses, ask, curves, &mrc->arena, err) : es_err_nomem(err, "a static set");
    } else if (code == ES_OK)
        code = es_belady(events, next, ask, policy == ES_MRC_BELADY_BYPASS, curves, NULL, &mrc->arena, err);
    return code == ES_OK ? es_curve_sum(curves, count, &mrc->curve[policy], &mrc->arena, err) : code;
}

static es_code mrc_curves(es_mrc *mrc, const es_curve_ask *ask, es_err *err)
{
    es_code code = ES_OK;
    uint32_t *next = NULL;
    if (mrc->policy[ES_MRC_BELADY] || mrc->policy[ES_MRC_BELADY_BYPASS])
        code = es_next_use(&mrc->events, ask->rule == ES_CURVE_SERIALIZED, &next, &mrc->arena, err);
    for (int p = 0; p < ES_MRC_POLICIES && code == ES_OK; p++)
        if (mrc->policy[p])
            code = mrc_pass(mrc, (es_mrc_policy)p, ask, next, err);
    return code;
}

/* ---- the sizes of the text, the cliff and the split ---- */

/* Of the sizes asked at most ES_MRC_SHOWN, the ends among them; of all sizes halvings of the largest. */
static void mrc_show(es_mrc *mrc, uint64_t most)
{
    const uint32_t count = !mrc->capacity || mrc->sizes > ES_MRC_SHOWN ? ES_MRC_SHOWN : mrc->sizes;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = mrc->sizes <= ES_MRC_SHOWN ? i : (uint32_t)((uint64_t)i * (mrc->sizes - 1) / (count - 1));
        const uint64_t capacity = mrc->capacity ? mrc->capacity[at] : most >> (count - 1 - i);
        if (capacity > 0)
            mrc->shown[mrc->shown_count++] = (es_mrc_size){.capacity = capacity, .at = mrc->capacity ? at : (uint32_t)capacity - 1};
    }
}

/* Both are read off LRU curves at every size: of the cache asked, and of each layer. */
static es_code mrc_lru_facts(es_mrc *mrc, const es_curve_ask *asked, es_err *err)
{
    es_curve_ask ask = *asked;
    ask.capacity = NULL;
    ask.per_layer = true;
    const uint32_t layers = mrc->events.layers;
    es_curve *curves = ES_NEW_ARRAY(&mrc->arena, layers, es_curve), whole = {0};
    es_code code = curves ? es_curve_lru(&mrc->events, &ask, curves, &mrc->arena, err) : es_err_nomem(err, "a curve");
    ask.per_layer = asked->per_layer;
    if (code == ES_OK)
        code = mrc->per_layer ? es_curve_sum(curves, layers, &whole, &mrc->arena, err) : es_curve_lru(&mrc->events, &ask, &whole, &mrc->arena, err);
    mrc->cliff = code == ES_OK && mrc->events.decode_accesses > 0 ? es_curve_cliff(&whole, 0.0) : 0;
    for (uint32_t i = 0; i < mrc->shown_count && code == ES_OK; i++)
        code = es_split_slots(curves, layers, mrc->shown[i].capacity * (mrc->per_layer ? layers : 1), true, &mrc->shown[i].split, &mrc->arena, err);
    return code;
}

static es_code mrc_all(es_mrc *mrc, const char *sizes, es_curve_ask *ask, es_err *err)
{
    const uint64_t most = es_curve_most(&mrc->events, ask);
    es_code code = sizes ? mrc_sizes(mrc, sizes, most, err) : ES_OK;
    if (code || mrc->events.lookups == 0)
        return code;
    ask->capacity = mrc->capacity;
    ask->sizes = mrc->sizes;
    mrc_show(mrc, most);
    code = mrc_curves(mrc, ask, err);
    if (code == ES_OK)
        code = mrc_lru_facts(mrc, ask, err);
    if (code == ES_OK)
        code = es_statistics_read(&mrc->events, mrc->info->expert_bytes, &mrc->statistics, &mrc->arena, err);
    return code == ES_OK ? es_working_set(&mrc->events, ES_MRC_WINDOWS, mrc->working_set, &mrc->arena, err) : code;
}

es_code es_mrc_make(es_mrc *mrc, const es_mrc_ask *ask, es_err *err)
{
    es_curve_ask curve = {0};
    es_events_ask events = {0};
    const es_source_ask source = {.path = ask->path};
    *mrc = (es_mrc){0};
    es_code code = mrc_read(mrc, ask, &curve, &events.prefill, err);
    events.by_token = curve.rule == ES_CURVE_SERIALIZED;    /* the preset's unit is id: rows of a prompt are looked up one after the other */
    if (code == ES_OK)
        code = es_feed_open_file(&mrc->feed, NULL, ask->path, NULL, &source, err);
    if (code == ES_OK && (code = es_events_read(&mrc->events, mrc->feed.source, mrc->feed.state, &events, &mrc->arena, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    if (code)
        return code;
    mrc->info = mrc->feed.source->info(mrc->feed.state);
    if (mrc->events.lookups == 0)
        mrc->warning = "the trace has no lookups; there is nothing to cache";
    else if (mrc->events.decode_accesses == 0)
        mrc->warning = "the trace has no decode lookups, of which the statistics are; --phase all counts those of prompts";
    else if (mrc->events.tokens < ES_MRC_SHORT)
        mrc->warning = "the trace has fewer than 64 tokens: most misses are first uses (cold start), and hit rates say little about longer runs";
    return mrc_all(mrc, ask->sizes, &curve, err);
}

void es_mrc_free(es_mrc *mrc)
{
    es_feed_close(&mrc->feed);
    es_arena_free(&mrc->arena);
}

uint64_t es_mrc_hits(const es_mrc *mrc, es_mrc_policy policy, uint32_t at)
{
    return mrc->decode ? mrc->curve[policy].decode_hits[at] : mrc->curve[policy].hits[at];
}

uint64_t es_mrc_accesses(const es_mrc *mrc, es_mrc_policy policy)
{
    return mrc->decode ? mrc->curve[policy].decode_accesses : mrc->curve[policy].accesses;
}
