/* Bounds beside the candidates: those of their results, or found for results that were made without. See compare.h.
 *
 * A bound is of a trace, a machine and a capacity, not of a policy: results whose configs differ in what bounds are made without (bounds.c) have
 * the same ones, and one of them stands for all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/sha256.h"
#include "sim/study/compare_inside.h"

/* ---- what a report says ---- */

static const struct { const char *name, *share; } bounds_known[] = {    /* share: of cache.lookups, of those of decode; NULL: seconds */
    {"belady_hits", "belady_hit_rate"}, {"belady_decode_hits", "belady_decode_hit_rate"}, {"belady_uniform_hits", "belady_uniform_hit_rate"},
    {"all_resident_s", NULL}, {"never_cache_s", NULL}, {"lower_bound_s", NULL}, {"clairvoyant_s", NULL},
};

static double bounds_number(const es_json *of, const char *path)
{
    const es_json *value = es_json_at(of, path);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

/* `found`: later, for a run without: who knows the future could also do as the run did. */
static void bounds_set(compare_cell *cell, const es_json *bounds, bool found)
{
    es_json *to = cJSON_CreateObject();
    const double total = bounds_number(cell->facts, "total_s");
    for (size_t i = 0; i < sizeof bounds_known / sizeof *bounds_known; i++) {
        const char *name = bounds_known[i].name, *share = bounds_known[i].share;
        const double value = bounds_number(bounds, name), below = strstr(name, "decode") ? cell->decode_lookups : cell->lookups;
        const bool own = found && strcmp(name, "clairvoyant_s") == 0 && total < value;
        es_json_add_real(to, share ? share : name, own ? total : share ? (below > 0.0 ? value / below : (double)NAN) : value);
    }
    if (!cJSON_ReplaceItemInObjectCaseSensitive(cell->facts, "bounds", to) && !cJSON_AddItemToObject(cell->facts, "bounds", to))
        cJSON_Delete(to);
}

/* ---- who has the same ---- */

static bool bounds_key(const es_json *report, uint64_t *key)
{
    static const char *const not_of_bounds[] = {"name", "brief", "about", "policy", "predictor", "dispatcher", "observers", "bounds"};
    char hex[65];
    es_json *config = cJSON_Duplicate(es_json_at(report, "provenance.config"), true);
    for (size_t i = 0; i < sizeof not_of_bounds / sizeof *not_of_bounds; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(config, not_of_bounds[i]);
    char *text = cJSON_PrintUnformatted(config);
    if (text) {
        es_sha256 sha;
        es_sha256_begin(&sha);
        es_sha256_add(&sha, text, strlen(text));
        es_sha256_hex(&sha, hex);
        hex[16] = '\0';
        *key = strtoull(hex, NULL, 16);
    }
    cJSON_free(text);
    cJSON_Delete(config);
    return text != NULL;
}

/* Were bounds off, and could there be some? What cannot have any (a closed loop, a stream) says another reason. */
static bool bounds_off(const es_json *report)
{
    const char *why = cJSON_GetStringValue(es_json_at(report, "bounds.reason.never_cache_s"));
    return why && strcmp(why, "bounds are off") == 0;
}

static es_code bounds_lack(es_compare *c, compare_cell *cell, const es_json *report, es_err *err)
{
    uint64_t key = 0;
    if (!bounds_key(report, &key))
        return es_err_nomem(err, "the bounds");
    for (size_t i = c->lacks; i-- > 0 && !cell->lacking;)
        if (c->lack[i].key == key)
            cell->lacking = i + 1;
    if (cell->lacking)
        return ES_OK;
    struct compare_lack *grown = realloc(c->lack, (c->lacks + 1) * sizeof *grown);
    if (!grown)
        return es_err_nomem(err, "the bounds");
    c->lack = grown;
    grown[c->lacks++] = (struct compare_lack){key, cell->path};
    cell->lacking = c->lacks;
    return ES_OK;
}

es_code compare_bounds_read(es_compare *c, compare_cell *cell, const es_json *report, es_err *err)
{
    cell->lookups = bounds_number(report, "cache.lookups");
    cell->decode_lookups = bounds_number(report, "cache.decode.lookups");
    bounds_set(cell, cJSON_GetObjectItemCaseSensitive(report, "bounds"), false);
    return bounds_off(report) ? bounds_lack(c, cell, report, err) : ES_OK;
}

/* ---- found later ---- */

const char *es_compare_lacking(const es_compare *c, size_t i)
{
    return i < c->lacks ? c->lack[i].path : NULL;
}

void es_compare_bounds(es_compare *c, size_t i, const es_json *bounds)
{
    for (size_t g = 0; g < c->groups; g++)
        for (size_t k = 0; k < c->group[g].candidates; k++)
            for (size_t r = 0; r < c->group[g].runs; r++) {
                compare_cell *cell = compare_at(&c->group[g], k, r);
                if (cell->lacking != i + 1)
                    continue;
                bounds_set(cell, bounds, true);
                es_json_add_text(cell->facts, "bounds_reason", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(bounds, "failed")));
            }
}
