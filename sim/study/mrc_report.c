/* Mrc, the report: rows and statistics as JSON and CSV; see mrc.h. */
#include "sim/study/mrc.h"

static void mrc_add_row(es_json *rows, const es_mrc *mrc, es_mrc_policy policy, uint32_t at)
{
    const es_curve *curve = &mrc->curve[policy];
    es_json *row = cJSON_CreateObject();
    es_json_add_text(row, "policy", es_mrc_policy_name(policy));
    es_json_add_text(row, "scope", mrc->scope);
    es_json_add_text(row, "contract", mrc->contract);
    es_json_add_int(row, "capacity", (int64_t)curve->capacity[at]);
    es_json_add_int(row, "accesses", (int64_t)es_mrc_accesses(mrc, policy));
    es_json_add_int(row, "hits", (int64_t)es_mrc_hits(mrc, policy, at));
    es_json_add_int(row, "all_accesses", (int64_t)curve->accesses);
    es_json_add_int(row, "all_hits", (int64_t)curve->hits[at]);
    es_json_add_int(row, "decode_accesses", (int64_t)curve->decode_accesses);
    es_json_add_int(row, "decode_hits", (int64_t)curve->decode_hits[at]);
    if (!cJSON_AddItemToArray(rows, row))
        cJSON_Delete(row);
}

static void mrc_add_statistics(es_json *out, const es_mrc *mrc)
{
    const es_statistics *s = &mrc->statistics;
    es_json *to = es_json_add_object(out, "statistics");
    es_json_add_int(to, "decode_steps", (int64_t)s->steps);
    es_json_add_int(to, "decode_lookups", (int64_t)s->lookups);
    es_json_add_real(to, "cycle_slots", s->cycle);
    if (mrc->info->expert_bytes)
        es_json_add_real(to, "cycle_bytes", s->cycle_bytes);
    else
        cJSON_AddNullToObject(to, "cycle_bytes");
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
}

static void mrc_add_splits(es_json *out, const es_mrc *mrc)
{
    es_json *splits = es_json_add_array(out, "splits");
    for (uint32_t i = 0; i < mrc->shown_count; i++) {
        const es_split *split = &mrc->shown[i].split;
        es_json *one = cJSON_CreateObject();
        es_json_add_int(one, "total_slots", (int64_t)split->total);
        es_json_add_int(one, "equal_decode_hits", (int64_t)split->equal);
        es_json_add_int(one, "best_decode_hits", (int64_t)split->best);
        es_json *slots = es_json_add_array(one, "layer_slots");
        for (uint32_t l = 0; l < mrc->events.layers; l++)
            cJSON_AddItemToArray(slots, cJSON_CreateNumber(split->slots[l]));
        if (!cJSON_AddItemToArray(splits, one))
            cJSON_Delete(one);
    }
}

es_json *es_mrc_json(const es_mrc *mrc)
{
    es_json *out = cJSON_CreateObject();
    if (!out)
        return NULL;
    es_json_add_text(out, "trace", mrc->path);
    es_json_add_int(out, "layers", mrc->info->layers);
    es_json_add_int(out, "experts", mrc->info->experts);
    es_json_add_int(out, "tokens", (int64_t)mrc->events.tokens);
    es_json_add_text(out, "phase", mrc->decode ? "decode" : "all");
    es_json_add_text(out, "reset", mrc->reset ? "request" : "never");
    es_json_add_text(out, "warning", mrc->warning);
    mrc_add_statistics(out, mrc);
    mrc_add_splits(out, mrc);
    es_json *rows = es_json_add_array(out, "rows");
    for (int p = 0; p < ES_MRC_POLICIES; p++)
        for (uint32_t i = 0; i < mrc->curve[p].sizes; i++)
            mrc_add_row(rows, mrc, (es_mrc_policy)p, i);
    return out;
}

void es_mrc_csv(const es_mrc *mrc, es_text *out)
{
    es_text_add(out, "policy,scope,contract,capacity,accesses,hits,all_accesses,all_hits,decode_accesses,decode_hits\n");
    for (int p = 0; p < ES_MRC_POLICIES; p++) {
        const es_curve *c = &mrc->curve[p];
        for (uint32_t i = 0; i < c->sizes; i++)
            es_text_add(out, "%s,%s,%s,%llu,%llu,%llu,%llu,%llu,%llu,%llu\n", es_mrc_policy_name((es_mrc_policy)p), mrc->scope, mrc->contract,
                (unsigned long long)c->capacity[i], (unsigned long long)es_mrc_accesses(mrc, (es_mrc_policy)p),
                (unsigned long long)es_mrc_hits(mrc, (es_mrc_policy)p, i), (unsigned long long)c->accesses, (unsigned long long)c->hits[i],
                (unsigned long long)c->decode_accesses, (unsigned long long)c->decode_hits[i]);
    }
}
