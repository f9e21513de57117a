/* Mrc, the statistics: what decode steps ask of any cache; see mrc_inside.h. */
#include <math.h>

#include "sim/study/mrc_inside.h"

/* The layers' own histograms added up. */
static es_code statistics_reuse(es_mrc *mrc, es_err *err)
{
    const uint32_t count = mrc->per_layer ? mrc->events.layers : 1;
    es_reuse *all = ES_NEW_ARRAY(&mrc->arena, count, es_reuse);
    es_code code = all ? es_reuse_read(&mrc->events, mrc->per_layer, all, &mrc->arena, err) : es_err_nomem(err, "the reuse distances");
    for (uint32_t c = 0; c < count && code == ES_OK; c++) {
        mrc->reuse.first += all[c].first;
        mrc->reuse.buckets = all[c].buckets > mrc->reuse.buckets ? all[c].buckets : mrc->reuse.buckets;
        for (uint32_t b = 0; b < all[c].buckets; b++)
            mrc->reuse.count[b] += all[c].count[b];
    }
    return code;
}

es_code mrc_statistics(es_mrc *mrc, es_err *err)
{
    es_code code = es_statistics_read(&mrc->events, mrc->bytes, &mrc->statistics, &mrc->arena, err);
    if (code == ES_OK)
        code = es_working_set(&mrc->events, ES_MRC_WINDOWS, mrc->working_set, &mrc->arena, err);
    if (code == ES_OK)
        code = statistics_reuse(mrc, err);
    mrc->layer_overlap = ES_NEW_ARRAY(&mrc->arena, mrc->events.layers, double);
    if (code == ES_OK)
        code = mrc->layer_overlap ? es_layer_overlap(&mrc->events, mrc->layer_overlap, &mrc->overlap, &mrc->arena, err) : es_err_nomem(err, "the overlap of layers");
    for (uint32_t i = 0, length = 4; i < ES_MRC_SEGMENTS && code == ES_OK; i++, length *= 4)
        code = es_segments_read(&mrc->events, length, &mrc->segments[i], &mrc->arena, err);
    return code;
}

double es_mrc_ratio(const es_mrc *mrc, const es_mrc_size *size)
{
    return mrc->statistics.demand > 0.0 ? size->slots / mrc->statistics.demand : (double)NAN;
}

double es_mrc_sch(const es_mrc *mrc, const es_segments *segments, const es_mrc_size *size)
{
    const uint32_t experts = mrc->events.experts, layers = mrc->events.layers;
    const double most = (double)experts * (mrc->per_layer ? 1 : layers), slots = fmin(floor(size->slots), most);
    if (segments->windows == 0 || segments->lookups == 0)
        return NAN;
    if (slots < 1.0)
        return 0.0;
    uint64_t hits = mrc->per_layer ? 0 : segments->hits[(size_t)slots - 1];
    for (uint32_t l = 0; mrc->per_layer && l < layers; l++)
        hits += segments->layer_hits[(size_t)l * experts + (size_t)slots - 1];
    return (double)hits / (double)segments->lookups;
}
