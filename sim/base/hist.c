/* Samples and their quantiles: see hist.h.
 *
 * The histogram's bins: values below 128 have one bin each; above, every power of two [2^e, 2^(e+1)) is cut into 128 equal bins, so
 * a bin is at most 1/128 of its values wide and its middle at most 0.4 % away from any of them. */
#include "sim/base/hist.h"

#include <math.h>
#include <stdlib.h>

enum { HIST_STEP = 1024 };              /* samples of the first block; it doubles */

static size_t hist_bin(int64_t value)
{
    uint64_t v = (uint64_t)value;
    if (v < 128)
        return (size_t)v;
    int shift = 63 - __builtin_clzll(v) - 7;
    return (size_t)(shift + 1) * 128 + (size_t)((v >> shift) & 127);
}

static int64_t hist_middle(size_t bin)
{
    if (bin < 128)
        return (int64_t)bin;
    int shift = (int)(bin / 128) - 1;
    int64_t low = (int64_t)((bin % 128 + 128) << shift);
    return low + (((int64_t)1 << shift) - 1) / 2;
}

static void hist_count(es_hist *hist, int64_t value)
{
    uint32_t *bin = &hist->bin[hist_bin(value)];
    if (*bin < UINT32_MAX)
        (*bin)++;
}

/* From here on the histogram counts: what was kept exactly is poured into the bins. */
static void hist_spill(es_hist *hist)
{
    for (size_t i = 0; i < hist->kept; i++)
        hist_count(hist, hist->sample[i]);
    free(hist->sample);
    hist->sample = NULL;
    hist->kept = hist->room = 0;
    hist->exact = false;
}

static bool hist_grow(es_hist *hist)
{
    size_t room = hist->room ? 2 * hist->room : HIST_STEP;
    if (room > hist->limit)
        room = hist->limit;
    int64_t *sample = realloc(hist->sample, room * sizeof *sample);
    if (!sample)
        return false;
    hist->sample = sample;
    hist->room = room;
    return true;
}

bool es_hist_init(es_hist *hist, es_arena *arena, size_t limit)
{
    *hist = (es_hist){ .limit = limit < SIZE_MAX / 16 ? limit : SIZE_MAX / 16, .exact = true };
    hist->bin = ES_NEW_ARRAY(arena, ES_HIST_BINS, uint32_t);    /* taken now: after the first event nothing should be asked for */
    hist->failed = !hist->bin;
    return !hist->failed;
}

void es_hist_add(es_hist *hist, int64_t value)
{
    if (value < 0)
        value = 0;
    if (hist->count == 0 || value < hist->min)
        hist->min = value;
    if (value > hist->max)
        hist->max = value;
    hist->count++;
    hist->sum += (double)value;
    if (hist->exact && hist->kept == hist->room) {
        if (hist->kept == hist->limit) {
            if (hist->bin)
                hist_spill(hist);
        } else if (!hist_grow(hist)) {
            hist->failed = true;
            if (hist->bin)
                hist_spill(hist);
        }
    }
    if (hist->exact && hist->kept < hist->room)
        hist->sample[hist->kept++] = value;
    else if (hist->bin)
        hist_count(hist, value);
}

static int hist_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* ceil(q * n) as the decimal q means it: 0.07 * 100 is a hair above 7 in binary, and must not become rank 8. */
static uint64_t hist_rank(double q, uint64_t n)
{
    double rank = ceil(q * (double)n * (1.0 - 0x1p-50));
    if (!(rank >= 1.0))
        return 1;
    return rank >= (double)n ? n : (uint64_t)rank;
}

int64_t es_hist_quantile(es_hist *hist, double q)
{
    if (hist->count == 0)
        return 0;
    if (hist->exact) {
        if (hist->kept == 0)
            return hist->max;           /* no memory at all: the extremes are what is known */
        qsort(hist->sample, hist->kept, sizeof hist->sample[0], hist_compare);
        return hist->sample[hist_rank(q, hist->kept) - 1];
    }
    uint64_t rank = hist_rank(q, hist->count), seen = 0;
    if (rank == hist->count)
        return hist->max;
    for (size_t bin = 0; bin < ES_HIST_BINS; bin++) {
        seen += hist->bin[bin];
        if (seen >= rank) {
            int64_t middle = hist_middle(bin);
            return middle < hist->min ? hist->min : middle > hist->max ? hist->max : middle;
        }
    }
    return hist->max;
}

double es_hist_quantile_linear(es_hist *hist, double q)
{
    if (!hist->exact || hist->kept == 0)
        return (double)es_hist_quantile(hist, q);
    qsort(hist->sample, hist->kept, sizeof hist->sample[0], hist_compare);
    double place = q * (double)(hist->kept - 1);
    size_t below = (size_t)place;
    if (below + 1 >= hist->kept)
        return (double)hist->sample[hist->kept - 1];
    return (double)hist->sample[below] + (place - (double)below) * (double)(hist->sample[below + 1] - hist->sample[below]);
}

/* Smallest value of a bin; the last one in use ends at the largest value there is. */
static int64_t hist_low(size_t bin)
{
    if (bin < 128)
        return (int64_t)bin;
    if (bin / 128 > 56)
        return INT64_MAX;
    return (int64_t)((bin % 128 + 128) << (bin / 128 - 1));
}

bool es_hist_next(es_hist *hist, size_t *at, es_hist_part *part)
{
    size_t bin = *at;
    part->count = 0;
    if (hist->exact) {
        if (*at == 0 && hist->kept > 0)
            qsort(hist->sample, hist->kept, sizeof hist->sample[0], hist_compare);
        bin = *at < hist->kept ? hist_bin(hist->sample[*at]) : 0;
        for (; *at < hist->kept && hist_bin(hist->sample[*at]) == bin; (*at)++)
            part->count++;
    } else {
        while (bin < ES_HIST_BINS && hist->bin[bin] == 0)
            bin++;
        part->count = bin < ES_HIST_BINS ? hist->bin[bin] : 0;
        *at = bin + 1;
    }
    part->low = hist_low(bin);
    part->high = hist_low(bin + 1);
    return part->count > 0;
}

double es_hist_mean(const es_hist *hist)
{
    return hist->count ? hist->sum / (double)hist->count : 0.0;
}

void es_hist_free(es_hist *hist)
{
    free(hist->sample);
    hist->sample = NULL;
    hist->kept = hist->room = 0;
}
