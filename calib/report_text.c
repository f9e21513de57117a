/* Report text: a profile as a table for people; see report.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "calib/memory.h"
#include "calib/report.h"
#include "models/profile.h"

static const char *show_text(const es_json *object, const char *key, const char *otherwise)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(value) ? value->valuestring : otherwise;
}

#define TABLE_UNLIMITED 1e18    /* bytes per second: the most a profile takes stands for no limit */

static double table_number(const es_json *object, const char *path)
{
    const es_json *value = es_json_at(object, path);
    return cJSON_IsNumber(value) ? value->valuedouble : 0.0;
}

/* A duration of the profile, "71702ns", for people: 71.7 us. */
static void table_time(const es_json *object, const char *key, es_text *out)
{
    double ns = 0.0;
    es_text_quantity(show_text(object, key, "0"), ES_UNIT_TIME, &ns, NULL);
    es_text_duration(out, ns);
}

/* The same as a column. */
static void table_fixed(const char *name, double ns, es_text *out)
{
    es_text fixed = {0};
    es_text_duration(&fixed, round(ns));
    es_text_add(out, "  %-14s %13s  ", name, fixed.at ? fixed.at : "?");
    es_text_free(&fixed);
}

/* "fifo; at 80 % of the rate beside gpu", on a line of its own; nothing where nobody asked. */
static void table_sharing(const es_json *object, es_text *out)
{
    const char *discipline = show_text(object, "discipline", NULL), *comma = discipline ? "; " : "";
    const es_json *slowed = cJSON_GetObjectItemCaseSensitive(object, "slowed_by"), *by;
    if (!discipline && !slowed)
        return;
    es_text_add(out, "  %-14s %s", "", discipline ? discipline : "");
    cJSON_ArrayForEach(by, slowed) {
        es_text_add(out, "%sat %.0f %% of the rate beside %s", comma, 100.0 * by->valuedouble, by->string);
        comma = ", ";
    }
    es_text_add(out, "\n");
}

/* A flow without a curve: nobody calibrated it, or there was nothing to fit. */
static void table_plain(const char *name, const es_json *flow, es_text *out)
{
    double ns = 0.0, rate = 0.0;
    es_text_quantity(show_text(flow, "latency", "0"), ES_UNIT_TIME, &ns, NULL);
    es_text_quantity(show_text(flow, "rate", "0"), ES_UNIT_RATE, &rate, NULL);
    table_fixed(name, ns, out);
    if (rate < TABLE_UNLIMITED)
        es_text_add(out, "%.3g GB/s   ", rate / 1e9);
    es_text_add(out, "%s\n", cJSON_GetObjectItemCaseSensitive(flow, "note") ? show_text(flow, "note", "measured") : show_text(flow, "provenance", "unstated"));
}

static void table_flow(const char *link, const es_json *flow, es_text *out)
{
    const es_json *fit = cJSON_GetObjectItemCaseSensitive(flow, "fit"), *beta = es_json_at(fit, "beta_Bps"), *knee = es_json_at(fit, "knee_B"), *rate;
    int used = 0;
    bool pages = strcmp(show_text(fit, "model", ""), "pages") == 0;
    char name[64];
    snprintf(name, sizeof name, "%.30s.%.30s", link, flow->string);
    if (!fit) {
        table_plain(name, flow, out);
        return;
    }
    table_fixed(name, 1e9 * table_number(fit, "alpha_s"), out);
    cJSON_ArrayForEach(rate, beta) {
        if (used > 0 && pages) {
            es_text_add(out, ", whole pages of ");
            es_text_bytes(out, cJSON_GetArrayItem(knee, used - 1)->valuedouble);
            es_text_add(out, " ");
        } else if (used > 0) {
            es_text_add(out, " | ");
            es_text_bytes(out, cJSON_GetArrayItem(knee, used - 1)->valuedouble);
            es_text_add(out, " | ");
        }
        es_text_add(out, "%.3g GB/s", rate->valuedouble / 1e9);
        used++;
    }
    double holdout = table_number(fit, "error.holdout_median");
    if (holdout > 0.0)
        es_text_add(out, "   held-out %.1f %%", 100.0 * holdout);
    es_text_add(out, "   all %.1f %%, p95 %.1f %%; %.0f samples, %s\n", 100.0 * table_number(fit, "error.median"), 100.0 * table_number(fit, "error.p95"),
        table_number(fit, "samples"), show_text(fit, "stop", "?"));
    table_sharing(flow, out);
}

static void table_point(const es_json *point, const char *before, es_text *out)
{
    double tokens = table_number(point, "tokens");
    es_text_add(out, "%s", before);
    table_time(point, "time", out);
    es_text_add(out, " for %.0f token%s", tokens, tokens == 1.0 ? "" : "s");
}

/* The largest expert, for the fewest and for the most tokens. */
static void table_unit(const es_json *unit, es_text *out)
{
    const es_json *few = es_json_at(unit, "points.0"), *many = few;
    double holdout = table_number(unit, "error.holdout_median");
    if (!few) {
        es_text_add(out, "  %-14s an expert of %s takes ", unit->string, show_text(unit, "expert_bytes", "?"));
        table_time(unit, "fixed", out);
        es_text_add(out, " and ");
        table_time(unit, "per_token", out);
        es_text_add(out, " for each token\n");
        return;
    }
    while (few->next && table_number(few->next, "tokens") == table_number(few, "tokens"))
        few = few->next;
    while (many->next)
        many = many->next;
    es_text_add(out, "  %-14s an expert of %s takes ", unit->string, show_text(unit, "expert_bytes", "?"));
    table_point(few, "", out);
    if (many != few)
        table_point(many, ", ", out);
    if (holdout > 0.0)
        es_text_add(out, "   held-out %.1f %%", 100.0 * holdout);
    es_text_add(out, "\n");
}

es_code calib_report_table(const es_json *profile, es_text *out, es_err *err)
{
    const es_json *machine = cJSON_GetObjectItemCaseSensitive(profile, "machine"), *link, *flow, *unit;
    es_arena arena = {0};
    if (!machine)
        return es_err_set(err, ES_EINPUT, "machine: is missing; needs a profile, such as `expertsim calibrate -o FILE` writes");
    es_profile parsed;
    es_code code = es_profile_parse(&parsed, machine, NULL, &arena, err);
    es_arena_free(&arena);
    if (code)
        return es_err_at(err, "machine"), code;
    es_text_add(out, "%s\n  %-14s %13s   rate | from this size on | rate\n", show_text(machine, "name", ""), "flow", "fixed time");
    cJSON_ArrayForEach(link, cJSON_GetObjectItemCaseSensitive(machine, "links"))
        cJSON_ArrayForEach(flow, link)
            if (cJSON_IsObject(flow))
                table_flow(link->string, flow, out);
    cJSON_ArrayForEach(unit, cJSON_GetObjectItemCaseSensitive(machine, "compute")) {
        table_unit(unit, out);
        table_sharing(unit, out);
    }
    memory_table(machine, out);
    return ES_OK;
}
