/* Mrc, the sizes: what a capacity counts, and which ones are asked for; see mrc_inside.h.
 *
 * Slots are whole. A share is of all that one cache may be asked for, and of it the floor: of slots where sizes are slots, of bytes where
 * any size is bytes. Bytes hold as many experts as fit whole: where all weigh alike, floor(bytes / expert) of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/mrc_inside.h"

enum { SIZES_GRID = 100 };      /* budgets in bytes where sizes differ and none is named */

typedef enum sizes_kind { SIZES_NONE, SIZES_SLOTS, SIZES_SHARE, SIZES_BYTES } sizes_kind;

/* ---- what a capacity counts ---- */

/* "8", "8slots", "50%" or "4GiB", and its number. */
static sizes_kind sizes_word(const char *word, double *value)
{
    char text[64];
    const size_t length = strcspn(word, ","), digits = strspn(word, "0123456789.");
    if (digits == 0 || length >= sizeof text)
        return SIZES_NONE;
    snprintf(text, sizeof text, "%.*s", (int)length, word);
    char *end = NULL;
    *value = strtod(text, &end);
    if (end != text + digits)
        return SIZES_NONE;      /* with an exponent, hexadecimal, or with two points */
    if (strcmp(end, "%") == 0)
        return SIZES_SHARE;
    if (*end == '\0' || strcmp(end, "slots") == 0)
        return SIZES_SLOTS;
    return es_text_quantity(text, ES_UNIT_BYTES, value, NULL) == ES_OK ? SIZES_BYTES : SIZES_NONE;
}

/* What the words of a list count; they must not mix. */
static es_code sizes_kind_of(const es_mrc *mrc, const char *list, bool own_in_bytes, bool *bytes, es_err *err)
{
    const char *slots = NULL, *in_bytes = NULL;
    double value;
    for (const char *word = list; word; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
        const sizes_kind kind = sizes_word(word, &value);
        const int length = (int)strcspn(word, ",");
        if (kind == SIZES_NONE)
            return es_err_set(err, ES_EINPUT, "--sizes: found \"%.*s\", needs slots, bytes or a share of all experts, for example \"8,16,50%%\" or \"4GiB\"",
                length < 60 ? length : 60, word);
        slots = kind == SIZES_SLOTS ? word : slots;
        in_bytes = kind == SIZES_BYTES ? word : in_bytes;
    }
    *bytes = in_bytes || (own_in_bytes && !slots && mrc->bytes);
    if (in_bytes && slots)
        return es_err_set(err, ES_EINPUT, "--sizes: \"%.*s\" are slots and \"%.*s\" are bytes; a curve counts one of them", (int)strcspn(slots, ","), slots,
            (int)strcspn(in_bytes, ","), in_bytes);
    if (in_bytes && !mrc->bytes)
        return es_err_set(err, ES_EINPUT, "--sizes: \"%.*s\" is in bytes, and the trace does not say what an expert weighs; say it with --model FILE, "
            "--set model.expert_bytes=SIZE or --config FILE", (int)strcspn(in_bytes, ","), in_bytes);
    return ES_OK;
}

/* Bytes of all that one cache may be asked for; the largest one's where layers have caches of their own. */
static uint64_t sizes_most_bytes(const es_mrc *mrc)
{
    uint64_t sum = 0, most = 0;
    for (uint32_t l = 0; l < mrc->events.spaces; l++) {
        const uint64_t layer = (uint64_t)mrc->bytes[l] * mrc->events.experts;
        sum += layer;
        most = layer > most ? layer : most;
    }
    return mrc->per_layer ? most : sum;
}

/* The config's own capacity in what the curves count. */
static es_code sizes_own(es_mrc *mrc, bool own_in_bytes, es_err *err)
{
    if (!mrc->own || own_in_bytes == mrc->in_bytes)
        return ES_OK;
    for (uint32_t l = 0; l < mrc->events.layers; l++)
        if (!mrc->bytes || mrc->bytes[l] != mrc->bytes[0])
            return es_err_set(err, ES_EINPUT, "--sizes: are %s, the capacity of %s is in %s, and %s; give both in the same", mrc->in_bytes ? "bytes" : "slots",
                mrc->name, own_in_bytes ? "bytes" : "slots", mrc->bytes ? "experts differ in size" : "nobody says what an expert weighs");
    mrc->own = mrc->in_bytes ? mrc->own * (uint64_t)mrc->bytes[0] : mrc->own / (uint64_t)mrc->bytes[0];
    return ES_OK;
}

es_code mrc_units(es_mrc *mrc, const char *list, bool own_in_bytes, es_err *err)
{
    es_code code = sizes_kind_of(mrc, list, own_in_bytes, &mrc->in_bytes, err);
    if (code)
        return code;
    for (uint32_t l = 1; mrc->bytes && l < mrc->events.layers; l++)
        mrc->unequal = mrc->unequal || (mrc->in_bytes && mrc->bytes[l] != mrc->bytes[0]);
    mrc->unit = mrc->in_bytes && !mrc->unequal ? (uint64_t)mrc->bytes[0] : 1;
    mrc->most = mrc->in_bytes ? sizes_most_bytes(mrc) : (uint64_t)mrc->events.experts * (mrc->per_layer ? 1 : mrc->events.spaces);
    return sizes_own(mrc, own_in_bytes, err);
}

/* ---- which ones ---- */

/* A cache must hold the largest expert, unless what an event used may stay although there is no room. */
static uint64_t sizes_least(const es_mrc *mrc)
{
    uint64_t least = 1;
    for (uint32_t l = 0; mrc->in_bytes && mrc->plan->contract.overflow != ES_PERSIST && l < mrc->events.layers; l++)
        least = (uint64_t)mrc->bytes[l] > least ? (uint64_t)mrc->bytes[l] : least;
    return least;
}

static es_code sizes_read(const es_mrc *mrc, const char *word, uint64_t *out, es_err *err)
{
    const int length = (int)strcspn(word, ",");
    double value = 0.0;
    const bool share = sizes_word(word, &value) == SIZES_SHARE;
    if (share && value > 100.0)
        return es_err_set(err, ES_EINPUT, "--sizes: \"%.*s\" is more than all; a share is from 0%% to 100%%", length, word);
    if (share)
        value = floor(value / 100.0 * (double)mrc->most + 1e-9);
    if (!mrc->in_bytes && (value != floor(value) || value < 1.0 || value > 4294967295.0))
        return es_err_set(err, ES_EINPUT, "--sizes: \"%.*s\" is no whole number of slots from 1 on; a cache may be asked for %llu experts", length, word,
            (unsigned long long)mrc->most);
    if (mrc->in_bytes && (value < (double)sizes_least(mrc) || value > 0x1p53))
        return es_err_set(err, ES_EINPUT, "--sizes: \"%.*s\" is %.0f bytes; a cache needs %llu for its largest expert, and all that it may be asked for are %llu",
            length, word, floor(value), (unsigned long long)sizes_least(mrc), (unsigned long long)mrc->most);
    *out = (uint64_t)value;
    return ES_OK;
}

static int sizes_order(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Ascending, each once. */
static uint32_t sizes_sort(uint64_t *capacity, uint32_t count)
{
    uint32_t kept = 0;
    qsort(capacity, count, sizeof *capacity, sizes_order);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || capacity[i] != capacity[kept - 1])
            capacity[kept++] = capacity[i];
    return kept;
}

/* Every hundredth of the whole that holds an expert. */
static uint32_t sizes_hundredths(const es_mrc *mrc, uint64_t *capacity)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i <= SIZES_GRID; i++) {
        const uint64_t one = (uint64_t)floor((double)i / SIZES_GRID * (double)mrc->most);
        if (one >= sizes_least(mrc))
            capacity[count++] = one;
    }
    return count;
}

/* Where sizes are equal and none is named, a curve has every size and needs no list. */
es_code mrc_sizes(es_mrc *mrc, const char *list, es_err *err)
{
    uint32_t count = 0;
    if (!list && !mrc->unequal)
        return ES_OK;
    uint64_t *capacity = ES_NEW_ARRAY(&mrc->arena, (list ? strlen(list) : SIZES_GRID) + 2, uint64_t);
    es_code code = capacity ? ES_OK : es_err_nomem(err, "the sizes");
    for (const char *word = list; word && code == ES_OK; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL)
        code = sizes_read(mrc, word, &capacity[count++], err);
    if (code)
        return code;
    if (!list)
        count = sizes_hundredths(mrc, capacity);
    if (mrc->own)
        capacity[count++] = mrc->own;
    mrc->sizes = sizes_sort(capacity, count);
    mrc->capacity = capacity;
    return ES_OK;
}

const uint64_t *mrc_grid(es_mrc *mrc, uint32_t *count)
{
    static const double shares[] = {1.0 / 128, 1.0 / 64, 1.0 / 32, 1.0 / 16, 1.0 / 8, 2.0 / 8, 3.0 / 8, 4.0 / 8, 5.0 / 8, 6.0 / 8, 7.0 / 8, 1.0};
    const size_t all = sizeof shares / sizeof *shares;
    uint64_t *capacity = ES_NEW_ARRAY(&mrc->arena, all + 1, uint64_t);
    *count = mrc->sizes;
    if (mrc->capacity && mrc->sizes < SIZES_GRID / 2)
        return mrc->capacity;
    *count = 0;
    for (size_t i = 0; capacity && i < all; i++) {
        const uint64_t units = (uint64_t)(shares[i] * (double)(mrc->most / mrc->unit)) * mrc->unit;
        if (units >= sizes_least(mrc))
            capacity[(*count)++] = units;
    }
    if (capacity && mrc->own)
        capacity[(*count)++] = mrc->own;
    *count = capacity ? sizes_sort(capacity, *count) : 0;
    return capacity;
}
