/* A comparison for people: a table of candidates with the bounds below it, and a table of pairs; at most 100 columns. See compare.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/study/compare.h"

enum { TEXT_NAME = 24, TEXT_PAIRS = 21 };       /* columns of a name; pairs that are shown (7 candidates), of more only those with the best */

static double text_number(const es_json *object, const char *key)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

static const char *text_word(const es_json *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* "12.3 ms", "61.24 %", "3.91 GiB", "18.2"; `sign`: of a difference. */
static void text_value(es_text *out, double value, const char *unit, bool sign)
{
    const char *before = value < 0.0 ? "-" : sign ? "+" : "";
    const double size = fabs(value);
    if (isnan(value)) {
        es_text_add(out, "-");
        return;
    }
    es_text_add(out, "%s", before);
    if (strcmp(unit, "share") == 0)
        es_text_add(out, sign ? "%.2f points" : "%.2f %%", 100.0 * size);
    else if (strcmp(unit, "s") == 0 && size > 0.0)
        es_text_duration(out, 1e9 * size);
    else if (strcmp(unit, "B") == 0)
        es_text_bytes(out, size);
    else
        es_text_add(out, "%.4g", size);
}

/* A name in its columns, cut where it is too long; its end says most ("..., tiers.cache.capacity=4GiB"). */
static void text_name(es_text *out, const char *name, size_t columns)
{
    const size_t length = strlen(name);
    if (length <= columns)
        es_text_add(out, "%-*s", (int)columns, name);
    else
        es_text_add(out, "..%s", name + length - columns + 2);
}

static void text_cell(es_text *out, double value, const char *unit, bool sign, int columns)
{
    es_text one = {0};
    text_value(&one, value, unit, sign);
    es_text_add(out, "%*s", columns, one.at ? one.at : "");
    es_text_free(&one);
}

/* ---- candidates ---- */

static bool text_same_bounds(const es_json *candidates)
{
    const es_json *first = cJSON_GetObjectItemCaseSensitive(candidates->child, "bounds"), *one;
    bool same = true;
    cJSON_ArrayForEach(one, candidates) same = same && cJSON_Compare(first, cJSON_GetObjectItemCaseSensitive(one, "bounds"), true);
    return same;
}

static void text_bounds(const es_json *candidate, const char *whose, es_text *out)
{
    static const struct { const char *key, *label, *unit; } rows[] = {
        {"belady_decode_hit_rate", "Belady's hits, decode", "share"}, {"belady_uniform_hit_rate", "hits, at most", "share"},
        {"all_resident_s", "all resident", "s"}, {"never_cache_s", "never cache", "s"}, {"clairvoyant_s", "clairvoyant, at most", "s"}, {"lower_bound_s", "nobody is below", "s"},
    };
    const es_json *bounds = cJSON_GetObjectItemCaseSensitive(candidate, "bounds");
    const char *why = text_word(candidate, "bounds_reason");
    es_text line = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double value = text_number(bounds, rows[i].key);
        if (isnan(value))
            continue;
        es_text one = {0};
        es_text_add(&one, "%s ", rows[i].label);
        text_value(&one, value, rows[i].unit, false);
        if (line.length && line.length + one.length + 2 > 84) {
            es_text_add(out, "    %s,\n", line.at);
            es_text_free(&line);
        }
        es_text_add(&line, "%s%s", line.length ? ", " : "", one.at ? one.at : "");
        es_text_free(&one);
    }
    if (line.length)
        es_text_add(out, "    %s\n", line.at);
    else
        es_text_add(out, "    bounds%s%.60s: none; %.300s\n", *whose ? " of " : "", whose, why ? why : "they were off, or there can be none");
    es_text_free(&line);
}

static void text_candidates(const es_json *group, const char *unit, es_text *out)
{
    const es_json *candidates = cJSON_GetObjectItemCaseSensitive(group, "candidates"), *one;
    const bool same = text_same_bounds(candidates);
    bool foresight = false, unsettled = false;
    es_text_add(out, "  %-*s %5s %14s %14s %14s %9s\n", TEXT_NAME, "", "rank", "cold", "warm", "total time", "warm-up");
    cJSON_ArrayForEach(one, candidates) {
        const bool causal = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "causal")), settled = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "settled"));
        char name[256];
        snprintf(name, sizeof name, "%s%s", text_word(one, "name"), causal ? "" : " *");
        foresight = foresight || !causal;
        unsettled = unsettled || !settled;
        es_text_add(out, "  ");
        text_name(out, name, TEXT_NAME);
        es_text_add(out, " %5.0f", text_number(one, "rank"));
        text_cell(out, text_number(one, "cold"), unit, false, 15);
        text_cell(out, text_number(one, "warm"), unit, false, 15);
        text_cell(out, text_number(one, "total_s"), "s", false, 15);
        if (settled)
            es_text_add(out, " %9.0f\n", text_number(one, "warm_up"));
        else
            es_text_add(out, " %9s\n", "-");
        if (!same)
            text_bounds(one, text_word(one, "name"), out);
    }
    if (same) {
        es_text_add(out, "  bounds, which no engine can know beforehand:\n");
        text_bounds(candidates->child, "", out);
    }
    if (foresight)
        es_text_add(out, "  * reads the future: what could be had, nothing an engine can do\n");
    if (unsettled)
        es_text_add(out, "  - in the last column: did not settle, or is too short to tell (MSER-5)\n");
}

/* ---- pairs ---- */

static void text_pair(const es_json *pair, const char *unit, const char *phase, es_text *out)
{
    const es_json *one = cJSON_GetObjectItemCaseSensitive(pair, phase);
    const char *better = text_word(one, "better"), *reason = text_word(one, "reason");
    char score[64];
    if (!cJSON_IsObject(one))
        return;
    snprintf(score, sizeof score, "%.0f/%.0f/%.0f", text_number(one, "wins"), text_number(one, "ties"), text_number(one, "losses"));
    es_text_add(out, "    %-4s", phase);
    text_cell(out, text_number(one, "difference"), unit, true, 14);
    es_text interval = {0};
    es_text_add(&interval, "[");
    text_value(&interval, text_number(one, "low"), unit, true);
    es_text_add(&interval, ", ");
    text_value(&interval, text_number(one, "high"), unit, true);
    es_text_add(&interval, "]");
    es_text_add(out, "  %-28s %15s %8.4f  ", interval.at ? interval.at : "", score, text_number(one, "p_holm"));
    es_text_free(&interval);
    if (better)
        text_name(out, better, strlen(better) < 20 ? strlen(better) : 20);
    else
        es_text_add(out, "tie");
    es_text_add(out, "\n");
    const char *by = text_word(one, "by");
    if (by && strcmp(by, "wins") == 0) {
        es_text_add(out, "         by units won less those lost: %.1f %%", 100.0 * text_number(one, "won"));
        es_text_add(out, " [%.1f, %.1f]; the mean has no interval:\n         %s\n", 100.0 * text_number(one, "won_low"), 100.0 * text_number(one, "won_high"), reason);
    } else if (reason) {
        es_text_add(out, "         tie because %s\n", reason);
    }
}

static bool text_about(const es_json *pair, const char *name)
{
    return strcmp(text_word(pair, "a"), name) == 0 || strcmp(text_word(pair, "b"), name) == 0;
}

/* The candidate with the best value: the one whose pairs are shown when there are many. */
static const char *text_best(const es_json *compared, const es_json *group)
{
    const bool higher = strcmp(text_word(compared, "better"), "higher") == 0;
    const es_json *best = NULL, *one;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(group, "candidates")) {
        const double value = text_number(one, "cold"), most = text_number(best, "cold");
        if (!best || (higher ? value > most : value < most))
            best = one;
    }
    return text_word(best, "name");
}

/* Why none of several pairs is ranked, where that is the same for all of them. */
static const char *text_why_none(const es_json *pairs)
{
    const char *why = NULL;
    const es_json *pair, *one;
    if (cJSON_GetArraySize(pairs) < 2)
        return NULL;
    cJSON_ArrayForEach(pair, pairs) {
        for (int phase = 0; phase < 2; phase++) {
            one = cJSON_GetObjectItemCaseSensitive(pair, phase ? "warm" : "cold");
            const char *reason = text_word(one, "reason");
            if (!cJSON_IsObject(one))
                continue;
            if (text_word(one, "by") || !reason || (why && strcmp(why, reason) != 0))
                return NULL;
            why = reason;
        }
    }
    return why;
}

static void text_pairs(const es_json *compared, const es_json *group, const char *unit, es_text *out)
{
    const char *why = text_why_none(cJSON_GetObjectItemCaseSensitive(group, "pairs"));
    if (why) {
        es_text_add(out, "  no pair is ranked: %s\n", why);
        return;
    }
    const es_json *pairs = cJSON_GetObjectItemCaseSensitive(group, "pairs"), *pair;
    const bool many = cJSON_GetArraySize(pairs) > TEXT_PAIRS;
    const char *best = text_best(compared, group);
    es_text_add(out, "  %-6s %13s  %-28s %15s %8s  %s\n", "", "difference", "confidence interval", "win/tie/loss", "p (Holm)", "better");
    cJSON_ArrayForEach(pair, pairs) {
        if (many && !text_about(pair, best))
            continue;
        es_text_add(out, "  ");
        text_name(out, text_word(pair, "a"), strlen(text_word(pair, "a")) < 46 ? strlen(text_word(pair, "a")) : 46);
        es_text_add(out, " - ");
        text_name(out, text_word(pair, "b"), strlen(text_word(pair, "b")) < 46 ? strlen(text_word(pair, "b")) : 46);
        es_text_add(out, "\n");
        text_pair(pair, unit, "cold", out);
        text_pair(pair, unit, "warm", out);
    }
    if (many)
        es_text_add(out, "  only pairs with %.60s, which has the best value; --json has all %d\n", best, cJSON_GetArraySize(pairs));
}

/* What is repeated, and of what an interval does not speak. */
static void text_units(const es_json *compared, const es_json *group, es_text *out)
{
    const double units = text_number(group, "units"), runs = text_number(group, "runs"), requests = text_number(group, "requests");
    const char *unit = text_word(compared, "unit");
    es_text_add(out, "  %.0f %s%s of %.0f run%s", units, unit, units == 1.0 ? "" : "s", runs, runs == 1.0 ? "" : "s");
    if (requests > 0.0 && strcmp(unit, "request") != 0)
        es_text_add(out, ", %.0f request%s", requests, requests == 1.0 ? "" : "s");
    es_text_add(out, "; %.0f of them warm\n", text_number(group, "units_warm"));
    if (strcmp(unit, "token") == 0)
        es_text_add(out, "  what is repeated is the token: the intervals speak of more tokens of such requests, not of others\n");
}

void es_compare_text(const es_json *compared, es_text *out)
{
    const char *unit = text_word(compared, "metric_unit");
    const es_json *groups = cJSON_GetObjectItemCaseSensitive(compared, "groups"), *group;
    bool none = false;
    es_text_add(out, "%s (%s; %s is better), unit by unit: a unit is a %s\n", text_word(compared, "metric"), text_word(compared, "meaning"), text_word(compared, "better"),
        text_word(compared, "unit"));
    cJSON_ArrayForEach(group, groups) {
        const char *where = text_word(group, "where");
        if (where)
            es_text_add(out, "\n%.98s\n", where);
        text_units(compared, group, out);
        text_candidates(group, unit, out);
        text_pairs(compared, group, unit, out);
        none = none || text_why_none(cJSON_GetObjectItemCaseSensitive(group, "pairs"));
    }
    if (none)
        es_text_add(out, "  more can be ranked with %s\n", strcmp(text_word(compared, "unit"), "run") == 0
            ? "replications or traces in the sweep, or with tokens, which it keeps where its base has the observer tables" : "longer or more traces");
    es_text_add(out, "  %.3g %% intervals: block bootstrap, %.0f resamples; p over all %.0f pairs; what could be noise is a tie\n", 100.0 * text_number(compared, "confidence"),
        text_number(compared, "resamples"), text_number(compared, "family"));
}
