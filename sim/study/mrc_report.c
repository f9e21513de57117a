/* Mrc, the report: rows and statistics as JSON and CSV; see mrc.h. */
#include <math.h>
#include <string.h>

#include "sim/study/mrc_inside.h"

/* ---- rows ---- */

mrc_row mrc_row_at(const es_mrc *mrc, const es_mrc_line *line, uint32_t at)
{
    const es_curve *c = &line->curve;
    const uint64_t *bytes = mrc->decode ? c->decode_hit_bytes : c->hit_bytes;
    return (mrc_row){.capacity = (int64_t)c->capacity[at], .accesses = (int64_t)es_mrc_accesses(mrc, c), .hits = (int64_t)es_mrc_hits(mrc, c, at),
        .all_accesses = (int64_t)c->accesses, .all_hits = (int64_t)c->hits[at], .decode_accesses = (int64_t)c->decode_accesses,
        .decode_hits = (int64_t)c->decode_hits[at], .access_bytes = bytes ? (int64_t)(mrc->decode ? c->decode_access_bytes : c->access_bytes) : -1,
        .hit_bytes = bytes ? (int64_t)bytes[at] : -1};
}

static void report_known(es_json *to, const char *key, int64_t value)
{
    if (value < 0)
        cJSON_AddNullToObject(to, key);
    else
        es_json_add_int(to, key, value);
}

static void report_row(es_json *rows, const es_mrc *mrc, const es_mrc_line *line, uint32_t at)
{
    const mrc_row r = mrc_row_at(mrc, line, at);
    es_json *row = cJSON_CreateObject();
    es_json_add_text(row, "policy", line->policy);
    es_json_add_text(row, "made", line->made);
    es_json_add_text(row, "scope", mrc->scope);
    es_json_add_text(row, "contract", mrc->contract);
    es_json_add_int(row, "capacity", r.capacity);
    es_json_add_int(row, "accesses", r.accesses);
    es_json_add_int(row, "hits", r.hits);
    es_json_add_int(row, "all_accesses", r.all_accesses);
    es_json_add_int(row, "all_hits", r.all_hits);
    es_json_add_int(row, "decode_accesses", r.decode_accesses);
    es_json_add_int(row, "decode_hits", r.decode_hits);
    report_known(row, "access_bytes", r.access_bytes);
    report_known(row, "hit_bytes", r.hit_bytes);
    if (!cJSON_AddItemToArray(rows, row))
        cJSON_Delete(row);
}

/* ---- what is said beside them ---- */

static void report_reals(es_json *to, const char *key, const double *value, uint32_t count)
{
    es_json *list = es_json_add_array(to, key);
    for (uint32_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, isfinite(value[i]) ? cJSON_CreateNumber(value[i]) : cJSON_CreateNull());
}

static void report_reuse(es_json *to, const es_mrc *mrc)
{
    es_json *reuse = es_json_add_object(to, "reuse_distance");
    es_json_add_int(reuse, "first_uses", (int64_t)mrc->reuse.first);
    es_json *buckets = es_json_add_array(reuse, "buckets");
    for (uint32_t b = 0; b < mrc->reuse.buckets; b++) {
        es_json *one = cJSON_CreateObject();
        es_json_add_int(one, "up_to_slots", (int64_t)1 << b);
        es_json_add_int(one, "lookups", (int64_t)mrc->reuse.count[b]);
        if (!cJSON_AddItemToArray(buckets, one))
            cJSON_Delete(one);
    }
}

static void report_consistency(es_json *to, const es_mrc *mrc)
{
    es_json *all = es_json_add_array(to, "consistency");
    for (uint32_t i = 0; i < ES_MRC_SEGMENTS; i++) {
        const es_segments *s = &mrc->segments[i];
        double sch[ES_MRC_SHOWN + 1];
        if (s->windows == 0)
            continue;
        es_json *one = cJSON_CreateObject();
        es_json_add_int(one, "window_steps", s->length);
        es_json_add_int(one, "windows", (int64_t)s->windows);
        es_json_add_real(one, "srp", s->srp);
        report_reals(one, "layer_srp", s->layer_srp, mrc->events.layers);
        for (uint32_t c = 0; c < mrc->shown_count; c++)
            sch[c] = es_mrc_sch(mrc, s, &mrc->shown[c]);
        report_reals(one, "sch", sch, mrc->shown_count);
        if (!cJSON_AddItemToArray(all, one))
            cJSON_Delete(one);
    }
}

static void report_statistics(es_json *out, const es_mrc *mrc)
{
    const es_statistics *s = &mrc->statistics;
    es_json *to = es_json_add_object(out, "statistics");
    es_json_add_int(to, "decode_steps", (int64_t)s->steps);
    es_json_add_int(to, "decode_lookups", (int64_t)s->lookups);
    es_json_add_real(to, "cycle_slots", s->cycle);
    es_json_add_real(to, "cycle_bytes", mrc->bytes ? s->cycle_bytes : (double)NAN);
    es_json_add_real(to, "event_demand", s->demand);
    cJSON_AddItemToObject(to, "top_share", cJSON_CreateDoubleArray(s->share, ES_SHARES));
    es_json_add_real(to, "layer_entropy_bits", s->entropy);
    es_json_add_real(to, "step_overlap", s->overlap);
    es_json_add_real(to, "step_turnover", s->turnover);
    es_json *windows = es_json_add_array(to, "working_set");
    for (uint32_t w = 1; w <= ES_MRC_WINDOWS && w <= s->steps; w *= 2) {
        es_json *one = cJSON_CreateObject();
        es_json_add_int(one, "window_steps", w);
        es_json_add_real(one, "slots", mrc->working_set[w - 1]);
        if (!cJSON_AddItemToArray(windows, one))
            cJSON_Delete(one);
    }
    es_json_add_int(to, "cliff_slots", (int64_t)mrc->cliff);
    es_json_add_real(to, "cliff_bytes", mrc->statistics.lookups > 0 ? mrc->cliff_bytes : (double)NAN);
    es_json_add_real(to, "layer_overlap", mrc->overlap);
    report_reals(to, "layer_overlap_by_layer", mrc->layer_overlap, mrc->layer_overlap ? mrc->events.layers : 0);
    report_reuse(to, mrc);
    report_consistency(to, mrc);
}

static void report_sizes(es_json *out, const es_mrc *mrc)
{
    es_json *sizes = es_json_add_array(out, "sizes");
    for (uint32_t i = 0; i < mrc->shown_count; i++) {
        const es_mrc_size *size = &mrc->shown[i];
        const double ratio = es_mrc_ratio(mrc, size);
        es_json *one = cJSON_CreateObject();
        es_json_add_int(one, "capacity", (int64_t)size->capacity);
        es_json_add_real(one, "share", size->share);
        es_json_add_real(one, "slots", size->slots);
        es_json_add_real(one, "ratio", ratio);
        es_json_add_bool(one, "hopeless", ratio < ES_MRC_HOPELESS);
        if (!cJSON_AddItemToArray(sizes, one))
            cJSON_Delete(one);
    }
}

static void report_splits(es_json *out, const es_mrc *mrc)
{
    es_json *splits = es_json_add_array(out, "splits");
    for (uint32_t i = 0; i < mrc->shown_count; i++) {
        const es_split *split = &mrc->shown[i].split;
        if (!mrc->shown[i].has_split)
            continue;
        es_json *one = cJSON_CreateObject();
        es_json_add_int(one, mrc->unequal ? "total_bytes" : "total_slots", (int64_t)split->total);
        es_json_add_int(one, "equal_decode_hits", (int64_t)split->equal);
        es_json_add_int(one, "best_decode_hits", (int64_t)split->best);
        es_json_add_int(one, "bound_decode_hits", (int64_t)mrc->shown[i].split_bound);
        es_json *slots = es_json_add_array(one, "layer_slots");
        for (uint32_t l = 0; l < mrc->events.layers; l++)
            cJSON_AddItemToArray(slots, cJSON_CreateNumber(split->slots[l]));
        if (!cJSON_AddItemToArray(splits, one))
            cJSON_Delete(one);
    }
}

/* LRU with a cache for each layer, every number of slots, by the phase asked. */
static void report_layers(es_json *out, const es_mrc *mrc)
{
    es_json *layers = es_json_add_array(out, "layer_lru");
    for (uint32_t l = 0; mrc->layer && l < mrc->events.layers; l++) {
        const es_curve *curve = &mrc->layer[l];
        es_json *one = cJSON_CreateObject();
        es_json_add_int(one, "layer", mrc->events.layer_number[l]);
        es_json_add_int(one, "accesses", (int64_t)es_mrc_accesses(mrc, curve));
        es_json *hits = es_json_add_array(one, "hits");
        for (uint32_t i = 0; i < curve->sizes; i++)
            cJSON_AddItemToArray(hits, cJSON_CreateNumber((double)es_mrc_hits(mrc, curve, i)));
        if (!cJSON_AddItemToArray(layers, one))
            cJSON_Delete(one);
    }
}

static void report_expert_bytes(es_json *out, const es_mrc *mrc)
{
    es_json *bytes = mrc->bytes ? es_json_add_array(out, "expert_bytes") : cJSON_AddNullToObject(out, "expert_bytes");
    for (uint32_t l = 0; mrc->bytes && l < mrc->events.layers; l++)
        cJSON_AddItemToArray(bytes, cJSON_CreateNumber((double)mrc->bytes[l]));
}

es_json *es_mrc_json(const es_mrc *mrc, bool rows)
{
    es_json *out = cJSON_CreateObject();
    if (!out)
        return NULL;
    es_json_add_text(out, "trace", mrc->path);
    es_json_add_text(out, "config", mrc->name);
    es_json_add_text(out, "calibrated_on", mrc->calibrate);
    es_json_add_int(out, "layers", mrc->info->layers);
    es_json_add_int(out, "experts", mrc->info->experts);
    es_json_add_int(out, "tokens", (int64_t)mrc->events.tokens);
    es_json_add_text(out, "phase", mrc->decode ? "decode" : "all");
    es_json_add_text(out, "reset", mrc->reset ? "request" : "never");
    es_json_add_text(out, "prefill", mrc->prefill);
    es_json_add_text(out, "counts", mrc->in_bytes ? "bytes" : "slots");
    report_expert_bytes(out, mrc);
    es_json_add_text(out, "belady", mrc->unequal ? "uniform-size optimum" : "optimum");
    es_json_add_int(out, "configured_capacity", (int64_t)mrc->own);
    es_json_add_int(out, "runs", mrc->runs);
    es_json_add_text(out, "warning", mrc->warning);
    report_statistics(out, mrc);
    report_sizes(out, mrc);
    report_splits(out, mrc);
    if (rows)
        report_layers(out, mrc);
    es_json *all = rows ? es_json_add_array(out, "rows") : NULL;
    for (uint32_t l = 0; all && l < mrc->lines; l++)
        for (uint32_t i = 0; i < mrc->line[l].curve.sizes; i++)
            report_row(all, mrc, &mrc->line[l], i);
    return out;
}

/* ---- CSV ---- */

static void csv_known(es_text *out, int64_t value)
{
    es_text_add(out, value < 0 ? "," : ",%lld", (long long)value);
}

/* A label with commas stands in quotes; there are no others in it. */
void es_mrc_csv(const es_mrc *mrc, es_text *out)
{
    const char *quote = strchr(mrc->contract, ',') ? "\"" : "";
    es_text_add(out, "policy,made,scope,contract,capacity,accesses,hits,all_accesses,all_hits,decode_accesses,decode_hits,access_bytes,hit_bytes\n");
    for (uint32_t l = 0; l < mrc->lines; l++)
        for (uint32_t i = 0; i < mrc->line[l].curve.sizes; i++) {
            const mrc_row r = mrc_row_at(mrc, &mrc->line[l], i);
            es_text_add(out, "%s,%s,%s,%s%s%s,%lld,%lld,%lld,%lld,%lld,%lld,%lld", mrc->line[l].policy, mrc->line[l].made, mrc->scope, quote, mrc->contract, quote,
                (long long)r.capacity, (long long)r.accesses, (long long)r.hits, (long long)r.all_accesses, (long long)r.all_hits,
                (long long)r.decode_accesses, (long long)r.decode_hits);
            csv_known(out, r.access_bytes);
            csv_known(out, r.hit_bytes);
            es_text_add(out, "\n");
        }
}

void es_mrc_layers_csv(const es_mrc *mrc, es_text *out)
{
    es_text_add(out, "layer,capacity,accesses,hits\n");
    for (uint32_t l = 0; mrc->layer && l < mrc->events.layers; l++)
        for (uint32_t i = 0; i < mrc->layer[l].sizes; i++)
            es_text_add(out, "%u,%llu,%llu,%llu\n", mrc->events.layer_number[l], (unsigned long long)mrc->layer[l].capacity[i],
                (unsigned long long)es_mrc_accesses(mrc, &mrc->layer[l]), (unsigned long long)es_mrc_hits(mrc, &mrc->layer[l], i));
}
