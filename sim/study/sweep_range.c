/* Ranges of values for an axis, and designs that take points from several ranges at once. See sweep_inside.h. */
#include <gsl/gsl_qrng.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/sweep_inside.h"

enum { DESIGN_SOBOL, DESIGN_RANDOM, DESIGN_SOBOL_DIMENSIONS = 40 /* gsl_qrng_sobol has no more */ };

static const char *const design_kinds[] = {"sobol", "random", NULL};

const es_option sweep_design_options[] = {
    {.name = "kind", .type = ES_OPT_ENUM, .offset = offsetof(sweep_design, kind), .choices = design_kinds,
        .help = "sobol: a low-discrepancy sequence, which covers the ranges more evenly than chance does; random: independent draws."},
    {.name = "points", .type = ES_OPT_INT, .offset = offsetof(sweep_design, points), .min = 1, .max = 1e8, .required = true,
        .help = "So many are taken from all ranges at once; axes with a list are crossed with them."},
    {.name = "seed", .type = ES_OPT_INT, .offset = offsetof(sweep_design, seed), .def = 1, .min = 1, .max = 4294967295.0, .help = "Of the random draws."},
    {0},
};

/* ---- ends and steps ---- */

/* Twelve digits: 0.1 + 2 * 0.1 is meant to be 0.3. */
static double range_tidy(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.12g", value);
    return strtod(text, NULL);
}

static bool range_suffix(const char *text, const char *suffix, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && strcmp(end, suffix) == 0 && isfinite(*value);
}

static es_code range_end(const es_json *json, double *value, sweep_unit *unit, es_err *err)
{
    static const es_unit units[] = {ES_UNIT_BYTES, ES_UNIT_TIME, ES_UNIT_RATE};
    static const sweep_unit mine[] = {SWEEP_BYTES, SWEEP_TIME, SWEEP_RATE};
    if (cJSON_IsNumber(json)) {
        *value = json->valuedouble;
        *unit = SWEEP_PLAIN;
        return ES_OK;
    }
    const char *text = cJSON_IsString(json) ? json->valuestring : NULL;
    if (!text)
        return es_err_set(err, ES_EINPUT, "%s, needs a number or a text such as \"4GiB\", \"5%%\" or \"16slots\"", json ? "is no number and no text" : "is missing");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (es_text_quantity(text, units[i], value, NULL) == ES_OK) {
            *unit = mine[i];
            return ES_OK;
        }
    *unit = range_suffix(text, "%", value) ? SWEEP_PERCENT : range_suffix(text, "slots", value) ? SWEEP_SLOTS : SWEEP_PLAIN;
    if (*unit == SWEEP_PLAIN)
        return es_err_set(err, ES_EINPUT, "\"%s\" is no quantity; ranges go over numbers, bytes (\"4GiB\"), times, rates, shares (\"5%%\") and slots", text);
    return ES_OK;
}

es_code sweep_range_read(sweep_range *range, const es_json *from, const es_json *to, const es_json *step, int64_t count, bool log, es_err *err)
{
    sweep_unit other;
    *range = (sweep_range){.count = count, .log = log};
    es_code code = range_end(from, &range->from, &range->unit, err);
    if (code)
        return es_err_at(err, "from"), code;
    code = range_end(to, &range->to, &other, err);
    if (code == ES_OK && other != range->unit)
        code = es_err_set(err, ES_EINPUT, "is of another unit than from");
    if (code)
        return es_err_at(err, "to"), code;
    code = step ? range_end(step, &range->step, &other, err) : ES_OK;
    if (code == ES_OK && step && other != range->unit)
        code = es_err_set(err, ES_EINPUT, "is of another unit than from");
    if (code == ES_OK && step && !(range->step > 0.0))
        code = es_err_set(err, ES_EINPUT, "is not above 0");
    if (code)
        return es_err_at(err, "step"), code;
    if (range->to < range->from)
        return es_err_set(err, ES_EINPUT, "to: is below from, so there is nothing between");
    if (range->log && !(range->from > 0.0))
        return es_err_set(err, ES_EINPUT, "scale: log needs a from above 0");
    return ES_OK;
}

es_code sweep_range_count(const sweep_range *range, size_t *count, es_err *err)
{
    *count = (size_t)range->count;
    if (range->count == 0 && range->step > 0.0 && !range->log) {
        double steps = floor((range->to - range->from) / range->step * (1.0 + 1e-12) + 1e-9);
        if (steps >= 1e8)
            return es_err_set(err, ES_EINPUT, "step: makes %.3g values, more than anyone can run", steps);
        *count = (size_t)steps + 1;
    }
    return ES_OK;
}

/* ---- values ---- */

/* On the next step that is within the range. */
static double range_step(const sweep_range *range, double value)
{
    if (range->step > 0.0)
        value = range->from + range->step * round((value - range->from) / range->step);
    while (range->step > 0.0 && value > range->to * (1.0 + 1e-12))
        value -= range->step;
    return value < range->from ? range->from : value > range->to ? range->to : value;
}

static es_json *range_json(const sweep_range *range, double value)
{
    static const es_unit units[] = {[SWEEP_BYTES] = ES_UNIT_BYTES, [SWEEP_TIME] = ES_UNIT_TIME, [SWEEP_RATE] = ES_UNIT_RATE};
    es_text text = {0};
    value = range_step(range, value);
    if (range->unit == SWEEP_PLAIN)
        return cJSON_CreateNumber(range_tidy(value));
    if (range->unit == SWEEP_PERCENT)
        es_text_add(&text, "%.9g%%", value);
    else if (range->unit == SWEEP_SLOTS)
        es_text_add(&text, "%.0fslots", round(value));
    else
        es_text_unit(&text, range->unit == SWEEP_RATE ? range_tidy(value) : round(value), units[range->unit]);
    es_json *json = text.failed ? NULL : cJSON_CreateString(text.at);
    es_text_free(&text);
    return json;
}

es_json *sweep_range_share(const sweep_range *range, double u)
{
    return range_json(range, range->log ? range->from * pow(range->to / range->from, u) : range->from + u * (range->to - range->from));
}

es_json *sweep_range_at(const sweep_range *range, size_t i, size_t count)
{
    if (range->count == 0)
        return range_json(range, range->from + range->step * (double)i);
    return sweep_range_share(range, count > 1 ? (double)i / (double)(count - 1) : 0.0);
}

/* ---- designs ---- */

static es_code design_sobol(const sweep_design *design, size_t dimensions, double *u, es_err *err)
{
    if (dimensions > DESIGN_SOBOL_DIMENSIONS)
        return es_err_set(err, ES_EINPUT, "kind: sobol has at most %d dimensions, there are %zu ranges; random has no such bound", DESIGN_SOBOL_DIMENSIONS, dimensions);
    gsl_qrng *sequence = gsl_qrng_alloc(gsl_qrng_sobol, (unsigned)dimensions);
    if (!sequence)
        return es_err_nomem(err, "a design");
    for (int64_t i = 0; i < design->points; i++)
        gsl_qrng_get(sequence, u + (size_t)i * dimensions);
    gsl_qrng_free(sequence);
    return ES_OK;
}

static es_code design_random(const sweep_design *design, size_t dimensions, double *u, es_err *err)
{
    gsl_rng *draws = gsl_rng_alloc(gsl_rng_mt19937);
    if (!draws)
        return es_err_nomem(err, "a design");
    gsl_rng_set(draws, (unsigned long)design->seed);
    for (size_t i = 0; i < (size_t)design->points * dimensions; i++)
        u[i] = gsl_rng_uniform(draws);
    gsl_rng_free(draws);
    return ES_OK;
}

es_code sweep_design_fill(const sweep_design *design, size_t dimensions, double *u, es_err *err)
{
    return design->kind == DESIGN_SOBOL ? design_sobol(design, dimensions, u, err) : design_random(design, dimensions, u, err);
}
