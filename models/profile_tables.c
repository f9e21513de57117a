/* Profile tables: see profile_tables.h. */
#include "models/profile_tables.h"

#include <math.h>
#include <string.h>

#include "models/profile_fit.h"

/* What a table is over: ascending, as long as the times. */
static es_code table_ascends(const es_json *over, const es_json *times, es_err *err)
{
    const es_json *item, *before = NULL;
    if (!cJSON_IsArray(over) || !cJSON_IsArray(times) || cJSON_GetArraySize(over) != cJSON_GetArraySize(times))
        return es_err_set(err, ES_EINPUT, "time_s: has %d numbers, needs as many as %s: %d", cJSON_GetArraySize(times), over->string, cJSON_GetArraySize(over));
    cJSON_ArrayForEach(item, over) {
        if (before && !(item->valuedouble > before->valuedouble))
            return es_err_set(err, ES_EINPUT, "%s: %g comes after %g; tables ascend", over->string, item->valuedouble, before->valuedouble);
        before = item;
    }
    return ES_OK;
}

/* Nothing that is measured is negative, and nothing is missing. */
static es_code table_numbers(const es_json *item, es_err *err)
{
    const es_json *child;
    if (cJSON_IsNull(item) || (cJSON_IsNumber(item) && !(isfinite(item->valuedouble) && item->valuedouble >= 0.0)))
        return es_err_set(err, ES_EINPUT, "found %s, needs a number that is not below 0", cJSON_IsNull(item) ? "null" : "a negative number");
    cJSON_ArrayForEach(child, item) {   /* logarithms may be below 0 */
        bool apart = child->string && (strcmp(child->string, "fit") == 0 || strcmp(child->string, "noise") == 0);
        es_code code = apart ? ES_OK : table_numbers(child, err);
        if (code)
            return child->string ? es_err_at(err, "%s", child->string) : code;
    }
    return ES_OK;
}

/* {"size_B" or "tokens": [...], "time_s": [...], "fit": {...}}, or objects of such. */
static es_code table_check(const es_json *object, es_arena *arena, es_err *err)
{
    const es_json *times = cJSON_GetObjectItemCaseSensitive(object, "time_s"), *child;
    const es_json *over = cJSON_GetObjectItemCaseSensitive(object, "tokens"), *fit = cJSON_GetObjectItemCaseSensitive(object, "fit");
    es_fit parsed = {0};
    if (!over)
        over = cJSON_GetObjectItemCaseSensitive(object, "size_B");
    es_code code = over && times && !cJSON_GetObjectItemCaseSensitive(object, "count") ? table_ascends(over, times, err) : ES_OK;
    if (code == ES_OK && fit && (code = es_fit_parse(&parsed, fit, false, arena, err)) != ES_OK)
        es_err_at(err, "fit");
    const es_json *noise = cJSON_GetObjectItemCaseSensitive(object, "noise");
    if (code == ES_OK && noise && (code = es_fit_parse_noise(&parsed, noise, arena, err)) != ES_OK)
        es_err_at(err, "noise");
    if (code || times)
        return code;
    cJSON_ArrayForEach(child, object)
        if (cJSON_IsObject(child) && (code = table_check(child, arena, err)) != ES_OK)
            return es_err_at(err, "%s", child->string);
    return ES_OK;
}

es_code es_profile_table_check(const es_json *section, es_arena *arena, es_err *err)
{
    if (!section)
        return ES_OK;
    if (!cJSON_IsObject(section))
        return es_err_set(err, ES_EINPUT, "found %s, needs an object of tables by name", es_json_kind(section));
    es_code code = table_numbers(section, err);
    return code ? code : table_check(section, arena, err);
}

es_code es_profile_waits_check(const es_json *waits, es_err *err)
{
    const es_json *item;
    if (waits && !cJSON_IsObject(waits))
        return es_err_set(err, ES_EINPUT, "found %s, needs {\"behind\": true, ...}", es_json_kind(waits));
    cJSON_ArrayForEach(item, waits)
        if (!cJSON_IsBool(item))
            return es_err_set(err, ES_EINPUT, "%s: found %s, needs true or false", item->string, es_json_kind(item));
    return ES_OK;
}
