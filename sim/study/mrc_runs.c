/* Mrc, the runs: policies that have no curve, and the config as it is, at each of a few capacities; see mrc_inside.h. */
#include <stdio.h>
#include <string.h>

#include "sim/study/curves.h"
#include "sim/study/mrc_inside.h"

/* The capacity of one cache as that of the tier: quotas of whole multiples come out the same under every rule. */
static void runs_capacity(const es_mrc *mrc, uint64_t capacity, char *text, size_t room)
{
    const uint64_t total = capacity * (mrc->per_layer ? mrc->events.layers : 1);
    snprintf(text, room, "%llu%s", (unsigned long long)total, mrc->in_bytes ? "B" : "slots");
}

/* The plan at each capacity; a config at its own is run to the letter. */
static es_code runs_sizes(es_mrc *mrc, const es_plan *plan, es_mrc_line *line, const uint64_t *capacity, uint32_t count, const es_progress *progress, es_err *err)
{
    uint64_t *hits = ES_NEW_ARRAY(&mrc->arena, count, uint64_t), *decode = ES_NEW_ARRAY(&mrc->arena, count, uint64_t);
    es_code code = hits && decode ? ES_OK : es_err_nomem(err, "the runs");
    es_curves_ran ran = {0};
    const bool config = strcmp(line->made, "config") == 0;
    for (uint32_t i = 0; i < count && code == ES_OK; i++) {
        char text[48];
        runs_capacity(mrc, capacity[i], text, sizeof text);
        code = es_curves_run(plan, config && capacity[i] == mrc->own ? NULL : text, progress, &ran, err);
        hits[i] = ran.hits;
        decode[i] = ran.decode_hits;
    }
    line->curve = (es_curve){.sizes = count, .capacity = capacity, .hits = hits, .decode_hits = decode, .accesses = ran.lookups,
        .decode_accesses = ran.decode_lookups};
    mrc->runs += count;
    return code;
}

/* ---- a policy by name ---- */

/* The config with one cache before home, without time and without guesses: what a curve stands for. */
static es_code runs_tree(const es_mrc *mrc, const char *policy, es_json **out, es_err *err)
{
    static const char *const kept[] = {"plugins", "trace", "model", "catalog", "training", "contract", "seed", "replication"};
    static const char text[] = "{\"clock\": \"none\", \"bounds\": false, \"tiers\": {\"cache\": {\"capacity\": \"100%\", \"compute\": \"gpu\"}, \"host\": {\"home\": true}}}";
    const es_json *resolved = es_config_resolved(mrc->config);
    es_code code = es_json_parse(out, text, sizeof text - 1, err);
    for (size_t i = 0; code == ES_OK && i < sizeof kept / sizeof *kept; i++) {
        es_json *copy = cJSON_Duplicate(es_json_at(resolved, kept[i]), true);
        if (copy && !cJSON_AddItemToObject(*out, kept[i], copy)) {
            cJSON_Delete(copy);
            code = es_err_nomem(err, "a config");
        }
    }
    if (code == ES_OK)
        es_json_add_text(*out, "policy", policy);
    return code;
}

static es_code runs_policy(es_mrc *mrc, es_mrc_line *line, const es_progress *progress, es_err *err)
{
    es_config *config = NULL;
    const es_plan *plan = NULL;
    es_json *tree = NULL;
    uint32_t count = 0;
    const uint64_t *grid = mrc_grid(mrc, &count);
    es_code code = grid ? runs_tree(mrc, line->policy, &tree, err) : es_err_nomem(err, "the sizes");
    if (code == ES_OK)
        code = es_config_from(&config, tree, "mrc", NULL, 0, err);
    if (code == ES_OK)
        code = es_config_plan(config, &plan, err);
    if (code == ES_OK)
        code = runs_sizes(mrc, plan, line, grid, count, progress, err);
    es_config_free(config);
    cJSON_Delete(tree);
    return code;
}

/* ---- the config's own ---- */

/* The same plan, watched by the summary alone: the capacity is only known when it is assembled. */
es_code mrc_own(es_mrc *mrc, bool *in_bytes, const es_progress *progress, es_err *err)
{
    es_curves_ran ran = {0};
    uint64_t *row = ES_NEW_ARRAY(&mrc->arena, 3, uint64_t);
    es_code code = row ? es_curves_run(mrc->plan, NULL, progress, &ran, err) : es_err_nomem(err, "a run");
    if (code)
        return es_config_blame(mrc->config, err), code;
    mrc->own = ran.capacity / (mrc->per_layer ? mrc->events.layers : 1);
    *in_bytes = ran.in_bytes;
    if (mrc->own == 0)
        return ES_OK;
    row[1] = ran.hits;
    row[2] = ran.decode_hits;
    mrc->own_at = row;          /* in what the curves count, once that is known */
    memmove(mrc->line + 1, mrc->line, mrc->lines++ * sizeof *mrc->line);
    mrc->line[0] = (es_mrc_line){.policy = mrc->plan->policy.part->name, .made = "config",
        .curve = {.sizes = 1, .capacity = row, .hits = row + 1, .decode_hits = row + 2, .accesses = ran.lookups, .decode_accesses = ran.decode_lookups}};
    mrc->runs++;
    return ES_OK;
}

/* A config is run at its own capacity, and at those sizes that were named; each may take its time. */
es_code mrc_run(es_mrc *mrc, es_mrc_line *line, bool named, const es_progress *progress, es_err *err)
{
    if (strcmp(line->made, "config") != 0)
        return runs_policy(mrc, line, progress, err);
    if (!named)
        return *mrc->own_at = mrc->own, ES_OK;
    es_code code = runs_sizes(mrc, mrc->plan, line, mrc->capacity, mrc->sizes, progress, err);
    return code ? (es_config_blame(mrc->config, err), code) : ES_OK;
}
