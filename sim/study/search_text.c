/* What a search found, for people. See search.h. */
#include <math.h>
#include <string.h>

#include "sim/study/search.h"

enum { TEXT_FRONT = 16 };       /* points of the front that are shown */

static double text_number(const es_json *object, const char *key)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

static const char *text_word(const es_json *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

/* "tiers.cache.capacity=96slots, policy=lru" */
static void text_values(const es_json *point, es_text *out)
{
    const es_json *value;
    bool some = false;
    cJSON_ArrayForEach(value, cJSON_GetObjectItemCaseSensitive(point, "values")) {
        es_text_add(out, "%s%s=%s", some ? ", " : "", value->string, value->valuestring ? value->valuestring : "");
        some = true;
    }
}

static void text_memory(const es_json *found, double memory, es_text *out)
{
    const bool bytes = strcmp(text_word(cJSON_GetObjectItemCaseSensitive(found, "front"), "memory_in"), "bytes") == 0;
    if (isnan(memory))
        es_text_add(out, "-");
    else if (bytes)
        es_text_bytes(out, memory);
    else
        es_text_add(out, "%.0f slots", memory);
}

/* Times are told from the name of what is measured: the rest is numbers. */
static void text_measure(const char *name, double value, bool sign, es_text *out)
{
    const bool time = strstr(name, "latency") || strstr(name, "ttft") || strstr(name, "_s.") || strcmp(name, "stall") == 0 || strcmp(name, "total") == 0;
    const bool share = strstr(name, "hit") || strstr(name, "coverage");
    const char *before = value < 0.0 ? "-" : sign ? "+" : "";
    const double size = fabs(value);
    if (isnan(value)) {
        es_text_add(out, "-");
        return;
    }
    es_text_add(out, "%s", before);
    if (time && size > 0.0)
        es_text_duration(out, 1e9 * size);
    else if (share)
        es_text_add(out, sign ? "%.2f points" : "%.2f %%", 100.0 * size);
    else
        es_text_add(out, "%.4g", size);
}

static void text_metrics(const es_json *point, es_text *out)
{
    const es_json *metric;
    bool some = false;
    cJSON_ArrayForEach(metric, cJSON_GetObjectItemCaseSensitive(point, "metrics")) {
        es_text_add(out, "%s%s ", some ? ", " : "", metric->string);
        text_measure(metric->string, cJSON_IsNumber(metric) ? metric->valuedouble : (double)NAN, false, out);
        some = true;
    }
}

static void text_targets(const es_json *found, es_text *out)
{
    const es_json *target;
    bool some = false;
    cJSON_ArrayForEach(target, cJSON_GetObjectItemCaseSensitive(found, "targets")) {
        es_text_add(out, "%s%s", some ? " and " : "", target->valuestring);
        some = true;
    }
}

/* Of points that miss the target the nearest is worth knowing: the largest margin is not told, the last of the range is. */
static void text_answer(const es_json *found, es_text *out)
{
    const es_json *best = cJSON_GetObjectItemCaseSensitive(found, "found");
    if (!best)
        return;
    if (cJSON_IsNull(best)) {
        es_text_add(out, "Nothing that was run meets ");
        text_targets(found, out);
        es_text_add(out, ".\n");
        return;
    }
    text_targets(found, out);
    es_text_add(out, ": ");
    text_values(best, out);
    es_text_add(out, "\n  ");
    text_metrics(best, out);
    es_text_add(out, "; ");
    text_memory(found, text_number(best, "memory"), out);
    es_text_add(out, "\n");
}

static void text_how(const es_json *found, es_text *out)
{
    const double brief = text_number(found, "short_runs");
    const es_json *point;
    int failed = 0;
    cJSON_ArrayForEach(point, cJSON_GetObjectItemCaseSensitive(found, "points")) failed += cJSON_HasObjectItem(point, "reason");
    es_text_add(out, "  by %s, %.0f runs", text_word(found, "method"), text_number(found, "runs"));
    if (brief > 0.0)
        es_text_add(out, " and %.0f on part of the trace", brief);
    if (failed)
        es_text_add(out, "; %d points cannot be run", failed);
    es_text_add(out, "; cheapest: %s\n", text_word(found, "cost"));
    if (*text_word(found, "note"))
        es_text_add(out, "  note: %s\n", text_word(found, "note"));
}

static void text_front(const es_json *found, es_text *out)
{
    const es_json *front = cJSON_GetObjectItemCaseSensitive(found, "front"), *points = cJSON_GetObjectItemCaseSensitive(front, "points"), *one;
    const char *against = text_word(front, "against");
    const int count = cJSON_GetArraySize(points);
    int i = 0;
    if (count < 2)
        return;
    es_text_add(out, "What memory buys (points that no other beats in both):\n  %14s %14s %20s\n", "memory", against, "one GiB more");
    cJSON_ArrayForEach(one, points) {
        const bool knee = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "knee"));
        const bool shown = count <= TEXT_FRONT || knee || i == count - 1 || i * (TEXT_FRONT - 2) / count != (i - 1) * (TEXT_FRONT - 2) / count || i == 0;
        es_text memory = {0}, value = {0}, more = {0};
        i++;
        if (!shown)
            continue;
        text_memory(found, text_number(one, "memory"), &memory);
        text_measure(against, text_number(one, "against"), false, &value);
        text_measure(against, text_number(one, "per_gib"), true, &more);
        es_text_add(out, "  %14s %14s %20s  ", memory.at, value.at, more.at);
        text_values(one, out);
        es_text_add(out, "%s\n", knee ? "  <- knee" : "");
        es_text_free(&memory);
        es_text_free(&value);
        es_text_free(&more);
    }
}

void es_search_text(const es_json *found, es_text *out)
{
    text_answer(found, out);
    text_how(found, out);
    text_front(found, out);
}
