/* Points that one pass over the trace answers: runs without time of LRU or Belady that differ in the capacity of one cache. See sweep.h.
 *
 * Which points they are is not guessed from what looks harmless: a config counts when it is, member by member, the plain config of its trace, its
 * bytes, one cache before a home, its policy, contract event_atomic and clock none. Anything else that it says makes it a run of its own; so
 * does a metric that a curve does not tell (ONCE_PATHS). sweep_curve.c makes the results. */
#include <string.h>

#include "sim/study/formula.h"
#include "sim/study/sweep_inside.h"

/* What a curve tells. */
static const char *const once_paths[] = {
    "cache.events", "cache.lookups", "cache.hits", "cache.misses", "cache.late", "cache.hit_rate", "cache.assignments", "cache.foreseen", "cache.headline_hit_rate",
    "cache.decode.*", "cache.prefill.*", "cache.hits_resident", "cache.hits_prefetched", "cache.misses_compulsory", "cache.misses_capacity", "cache.misses_refused",
    "cache.fetched_bytes", "cache.decode_fetched_bytes", "cache.evictions", "cache.insertions", "cache.demotions", "cache.writeback_bytes", "cache.guess_copies",
    "cache.guess_bytes", "cache.cancelled", "cache.wasted", "cache.wasted_bytes", "cache.overflow_events", "time.*", "capacity.objects", "capacity.slots_or_bytes",
    "capacity.peak", "capacity.residents", "capacity.population_bytes", "traffic.decode_tokens", "traffic.prefill_tokens", "coverage.events", "coverage.perfect",
    "coverage.partial", "coverage.zero", NULL};

static bool once_in(const char *const *paths, const char *path)
{
    for (; *paths; paths++) {
        const size_t length = strlen(*paths);
        if ((*paths)[length - 1] == '*' ? strncmp(path, *paths, length - 1) == 0 : strcmp(path, *paths) == 0)
            return true;
    }
    return false;
}

/* ---- metrics ---- */

typedef struct once_look {
    es_json any;
    bool told;
} once_look;

static const es_json *once_path(void *self, const char *path)
{
    once_look *look = self;
    look->told = look->told && once_in(once_paths, path);
    return &look->any;
}

static bool once_told(const es_sweep *sweep)
{
    once_look look = {.any = {.type = cJSON_Number, .valuedouble = 1.5}, .told = true};
    const es_json *metric;
    double value;
    cJSON_ArrayForEach(metric, sweep->metrics)
        if (es_formula_measure(metric->valuestring, once_path, &look, &value, NULL) != ES_OK)
            return false;
    return look.told;
}

/* ---- configs ---- */

static bool once_observed(const es_json *config)
{
    static const char *const fine[] = {"summary", "coverage", "latency", "traffic", "memory", NULL};
    const es_json *observer;
    cJSON_ArrayForEach(observer, cJSON_GetObjectItemCaseSensitive(config, "observers")) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(observer, "name"));
        if (!name || !once_in(fine, name))
            return false;
    }
    return true;
}

const char *sweep_once_tier(const es_json *config)
{
    const es_json *tiers = cJSON_GetObjectItemCaseSensitive(config, "tiers"), *tier;
    const char *serving = NULL;
    bool home = false;
    cJSON_ArrayForEach(tier, tiers) {
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tier, "home")))
            home = true;
        else if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(tier, "compute")))
            serving = tier->string;
    }
    return home && cJSON_GetArraySize(tiers) == 2 ? serving : NULL;
}

/* The plain config with this one's trace, bytes, machine, observers, capacity and policy. */
static es_json *once_plain(const es_json *config)
{
    static const char *const kept[] = {"name", "brief", "about", "plugins", "machine", "trace", "model", "channels", "links", "observers", "seed", "replication", "noise", "force"};
    es_json *plain = cJSON_CreateObject();
    const es_json *tier;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const es_json *member = cJSON_GetObjectItemCaseSensitive(config, kept[i]);
        es_json *copy = member && !cJSON_IsNull(member) ? cJSON_Duplicate(member, true) : NULL;
        if (copy && !cJSON_AddItemToObject(plain, kept[i], copy))
            cJSON_Delete(copy);
    }
    es_json *tiers = es_json_add_object(plain, "tiers");
    cJSON_ArrayForEach(tier, cJSON_GetObjectItemCaseSensitive(config, "tiers")) {
        es_json *mine = es_json_add_object(tiers, tier->string);
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tier, "home"))) {
            es_json_add_bool(mine, "home", true);
        } else {
            es_json_add_text(mine, "capacity", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tier, "capacity")));
            es_json_add_text(mine, "compute", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tier, "compute")));
        }
    }
    es_json_add_text(plain, "policy", cJSON_GetStringValue(es_json_at(config, "policy.name")));
    es_json_add_text(plain, "contract", "event_atomic");
    es_json_add_text(plain, "clock", "none");
    es_json_add_bool(plain, "bounds", false);
    return plain;
}

static bool once_is_plain(const es_json *config)
{
    es_json *plain = once_plain(config);
    es_config *other = NULL;
    const bool same = plain && es_config_from(&other, plain, "a plain config", NULL, 0, NULL) == ES_OK && cJSON_Compare(es_config_resolved(other), config, true);
    es_config_free(other);
    cJSON_Delete(plain);
    return same;
}

bool sweep_once_fits(const es_sweep *sweep, const es_config *of)
{
    const es_json *config = es_config_resolved(of);
    const char *policy = cJSON_GetStringValue(es_json_at(config, "policy.name")), *clock = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "clock"));
    const bool lru = policy && strcmp(policy, "lru") == 0, belady = policy && strcmp(policy, "belady") == 0;
    return clock && strcmp(clock, "none") == 0 && (lru || belady) && cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(config, "plugins")) == 0 &&
        sweep_once_tier(config) && once_observed(config) && once_told(sweep) && once_is_plain(config);
}

/* ---- groups ---- */

const char *sweep_once_room(const es_config *config)
{
    const es_json *resolved = es_config_resolved(config);
    const char *clock = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(resolved, "clock"));
    return clock && strcmp(clock, "none") == 0 ? sweep_once_tier(resolved) : NULL;
}
