/* Axes and targets of a search as the user writes them. See search.h. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/formula.h"
#include "sim/study/search_inside.h"

enum { READ_STEPS = 64 };       /* of a range that does not say its step */

/* How a value is written; a plain number always is one, in seconds or as a share of 1. */
typedef enum read_kind { READ_PLAIN, READ_TIME, READ_SHARE, READ_BYTES, READ_RATE } read_kind;
static const char *const read_kinds[] = {"a plain number", "a time", "a share", "a size", "a rate"};

static const struct { const char *name, *formula; read_kind kind; } read_metrics[] = {
    {"tokens_per_s", "time.tokens_per_s", READ_PLAIN}, {"latency", "time.token_latency_s.mean", READ_TIME}, {"latency_p50", "time.token_latency_s.p50", READ_TIME},
    {"latency_p95", "time.token_latency_s.p95", READ_TIME}, {"latency_p99", "time.token_latency_s.p99", READ_TIME}, {"ttft", "time.ttft_s", READ_TIME},
    {"ttft_p95", "time.ttft_quantiles_s.p95", READ_TIME}, {"stall", "time.stall_s", READ_TIME}, {"total", "time.total_s", READ_TIME},
    {"hit_rate", "cache.hit_rate", READ_SHARE}, {"decode_hit_rate", "cache.decode.hits / cache.decode.lookups", READ_SHARE},
    {"perfect_coverage", "coverage.perfect / coverage.events", READ_SHARE}, {"price", "provenance.config.machine.price", READ_PLAIN},
};

bool es_search_metric_at(size_t i, const char **name, const char **formula)
{
    if (i >= sizeof read_metrics / sizeof *read_metrics)
        return false;
    *name = read_metrics[i].name;
    *formula = read_metrics[i].formula;
    return true;
}

static const char *read_alias(const char *text)
{
    const char *name, *formula;
    for (size_t i = 0; es_search_metric_at(i, &name, &formula); i++)
        if (strcmp(name, text) == 0)
            return formula;
    return text;
}

/* ---- targets ---- */

/* Would it be a formula if every path led to a number? A word alone that is no metric is a slip of the pen. */
static const es_json *read_any(void *self, const char *path)
{
    (void)path;
    return self;
}

static es_code read_formula(const char *text, const char **formula, es_err *err)
{
    const char *names[sizeof read_metrics / sizeof *read_metrics];
    size_t count = 0;
    double value;
    es_json any = {.type = cJSON_Number, .valuedouble = 1.5};
    for (const char *ignored; es_search_metric_at(count, &names[count < sizeof names / sizeof *names ? count : 0], &ignored);)
        count++;
    *formula = read_alias(text);
    if (*formula == text && !isdigit((unsigned char)*text) && text[strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0') {
        const char *nearest = es_text_nearest(text, names, count);
        return es_err_set(err, ES_EINPUT, "there is no metric \"%s\"%s%s%s", text, nearest ? "; did you mean \"" : "; `expertsim help search` lists them", nearest ? nearest : "",
            nearest ? "\"?" : "");
    }
    return es_formula_with(*formula, read_any, &any, &value, err);
}

/* "20", "50ms", "80%", "4GiB", "12GB/s". */
static bool read_quantity(const char *text, double *value, read_kind *kind)
{
    char *end;
    static const struct { es_unit unit; read_kind kind; } units[] = {{ES_UNIT_BYTES, READ_BYTES}, {ES_UNIT_TIME, READ_TIME}, {ES_UNIT_RATE, READ_RATE}};
    *value = strtod(text, &end);
    *kind = READ_PLAIN;
    if (end != text && *end == '\0' && isfinite(*value))
        return true;
    if (end != text && strcmp(end, "%") == 0 && isfinite(*value)) {
        *value /= 100.0;
        *kind = READ_SHARE;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (es_text_quantity(text, units[i].unit, value, NULL) == ES_OK) {
            *value = units[i].unit == ES_UNIT_TIME ? *value / 1e9 : *value;
            *kind = units[i].kind;
            return true;
        }
    return false;
}

/* A metric by name is told in its own unit; what a formula is nobody knows. */
static es_code read_fits(const char *name, const char *text, read_kind kind, es_err *err)
{
    for (size_t i = 0; i < sizeof read_metrics / sizeof *read_metrics; i++)
        if (strcmp(read_metrics[i].name, name) == 0 && kind != READ_PLAIN && kind != read_metrics[i].kind)
            return es_err_set(err, ES_EINPUT, "%s is %s, \"%s\" is %s", name, read_kinds[read_metrics[i].kind], text, read_kinds[kind]);
    return ES_OK;
}

static char *read_trimmed(es_arena *arena, const char *from, size_t length)
{
    while (length > 0 && isspace((unsigned char)*from)) {
        from++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)from[length - 1]))
        length--;
    char *copy = es_arena_alloc(arena, length + 1, 1);
    if (copy)
        memcpy(copy, from, length);
    return copy;
}

static es_code read_target(search_work *w, const char *text, es_err *err)
{
    search_target *t = &w->target[w->targets];
    const size_t place = strcspn(text, "<>"), sign = text[place] ? 1 + (text[place + 1] == '=') : 0;
    if (!sign || place == 0)
        return es_err_set(err, ES_EINPUT, "--target: \"%s\" is no target; write for example \"tokens_per_s>=20\" or \"latency_p95<=50ms\"", text);
    char *left = read_trimmed(&w->arena, text, place), *right = read_trimmed(&w->arena, text + place + sign, strlen(text + place + sign));
    if (!left || !right)
        return es_err_nomem(err, "the targets");
    *t = (search_target){.text = text, .least = text[place] == '>', .strict = sign == 1};
    es_code code = read_formula(left, &t->formula, err);
    read_kind kind;
    if (code == ES_OK && !read_quantity(right, &t->value, &kind))
        code = es_err_set(err, ES_EINPUT, "\"%s\" is no number, time, size or share", right);
    if (code == ES_OK)
        code = read_fits(left, right, kind, err);
    if (code)
        return es_err_at(err, "--target %s", text);
    w->targets++;
    return ES_OK;
}

/* ---- axes ---- */

void search_value(const search_axis *axis, size_t i, es_text *out)
{
    static const struct { const char *suffix; es_unit unit; } units[] = {{"B", ES_UNIT_BYTES}, {"ns", ES_UNIT_TIME}, {"B/s", ES_UNIT_RATE}};
    const double value = axis->from + (double)i * axis->step;
    if (!axis->range) {
        es_text_add(out, "%s", axis->text[i]);
        return;
    }
    for (size_t k = 0; k < sizeof units / sizeof *units; k++)
        if (strcmp(axis->suffix, units[k].suffix) == 0) {
            es_text_unit(out, value, units[k].unit);
            return;
        }
    if (axis->whole)
        es_text_add(out, "%.0f%s", value, axis->suffix);
    else
        es_text_add(out, "%.10g%s", value, axis->suffix);
}

void search_setting(const search_axis *axis, size_t i, es_text *out)
{
    es_text_add(out, "%s=", axis->path);
    search_value(axis, i, out);
}

/* A number with one of the units that a range can have, in that unit's smallest: B, ns, B/s. */
static bool read_end(const char *text, double *value, const char **suffix)
{
    static const struct { es_unit unit; const char *suffix; } units[] = {{ES_UNIT_BYTES, "B"}, {ES_UNIT_TIME, "ns"}, {ES_UNIT_RATE, "B/s"}};
    static const char *const plain[] = {"", "%", "slots"};
    char *end;
    *value = strtod(text, &end);
    for (size_t i = 0; i < sizeof plain / sizeof *plain && end != text; i++)
        if (strcmp(end, plain[i]) == 0 && isfinite(*value)) {
            *suffix = plain[i];
            return true;
        }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (es_text_quantity(text, units[i].unit, value, NULL) == ES_OK) {
            *suffix = units[i].suffix;
            return true;
        }
    return false;
}

/* Steps of slots, bytes and whole numbers are whole; a range of more than READ_STEPS of them takes larger ones unless it is of slots. */
static double read_step(const search_axis *axis, double to)
{
    const double span = to - axis->from;
    if (strcmp(axis->suffix, "slots") == 0 || strcmp(axis->suffix, "%") == 0 || (*axis->suffix == '\0' && axis->whole && span <= READ_STEPS))
        return 1.0;
    return axis->whole || *axis->suffix ? fmax(1.0, ceil(span / READ_STEPS)) : span > 0.0 ? span / READ_STEPS : 1.0;
}

static es_code read_range(search_axis *axis, const char *from, const char *to, const char *step, es_err *err)
{
    double end, each = 0.0;
    const char *suffix, *other;
    if (!read_end(from, &axis->from, &axis->suffix))
        return es_err_set(err, ES_EINPUT, "\"%s\" is no number, size, time, rate, share or count of slots", from);
    if (!read_end(to, &end, &suffix) || strcmp(suffix, axis->suffix) != 0)
        return es_err_set(err, ES_EINPUT, "\"%s\" is not of the same kind as \"%s\"", to, from);
    if (step && (!read_end(step, &each, &other) || strcmp(other, axis->suffix) != 0 || !(each > 0.0)))
        return es_err_set(err, ES_EINPUT, "the step \"%s\" is not above 0 and of the same kind as \"%s\"", step, from);
    axis->whole = axis->from == floor(axis->from) && end == floor(end) && (!step || each == floor(each));
    if (end < axis->from)
        return es_err_set(err, ES_EINPUT, "it ends below its beginning");
    axis->step = step ? each : read_step(axis, end);
    axis->range = true;
    const double steps = floor((end - axis->from) / axis->step * (1.0 + 1e-12) + 1e-9);
    if (steps >= SEARCH_VALUES)
        return es_err_set(err, ES_EINPUT, "it has more than %d values", SEARCH_VALUES);
    axis->count = (size_t)steps + 1;
    return ES_OK;
}

/* The end of a value of a list: a comma outside of brackets, braces and quotes. */
static size_t read_length(const char *text)
{
    size_t depth = 0, i = 0;
    bool quoted = false;
    for (; text[i] && (text[i] != ',' || depth > 0 || quoted); i++) {
        if (quoted && text[i] == '\\' && text[i + 1])
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && strchr("[{", text[i]))
            depth++;
        else if (!quoted && strchr("]}", text[i]) && depth > 0)
            depth--;
    }
    return i;
}

static es_code read_list(search_work *w, search_axis *axis, const char *values, es_err *err)
{
    axis->text = ES_NEW_ARRAY(&w->arena, strlen(values) + 1, const char *);
    if (!axis->text)
        return es_err_nomem(err, "the values");
    for (;;) {
        const size_t length = read_length(values);
        axis->text[axis->count] = read_trimmed(&w->arena, values, length);
        if (!axis->text[axis->count])
            return es_err_nomem(err, "the values");
        if (!*axis->text[axis->count])
            return es_err_set(err, ES_EINPUT, "value %zu is empty", axis->count + 1);
        axis->count++;
        values += length;
        if (!*values)
            return ES_OK;
        values++;
    }
}

static es_code read_values(search_work *w, search_axis *axis, const char *values, es_err *err)
{
    const char *dots = strstr(values, "..");
    if (!dots || values[read_length(values)])
        return read_list(w, axis, values, err);
    const char *slash = strrchr(dots, '/');
    if (slash && slash[1] == 's' && slash[2] == '\0')   /* "1GB/s..4GB/s": the unit's */
        slash = NULL;
    char *from = read_trimmed(&w->arena, values, (size_t)(dots - values));
    char *to = read_trimmed(&w->arena, dots + 2, slash ? (size_t)(slash - dots - 2) : strlen(dots + 2));
    return from && to ? read_range(axis, from, to, slash ? slash + 1 : NULL, err) : es_err_nomem(err, "the values");
}

static es_code read_axis(search_work *w, const char *over, es_err *err)
{
    search_axis *axis = &w->axis[w->axes];
    const size_t length = strcspn(over, "=");
    axis->path = read_trimmed(&w->arena, over, length);
    if (!axis->path)
        return es_err_nomem(err, "the axes");
    if (!*axis->path)
        return es_err_set(err, ES_EINPUT, "--over: \"%s\" names no key", over);
    for (size_t i = 0; i < w->axes; i++)
        if (strcmp(w->axis[i].path, axis->path) == 0)
            return es_err_set(err, ES_EINPUT, "--over: %s is there twice", axis->path);
    const size_t end = strlen(axis->path), tail = strlen(".capacity");
    es_code code = ES_OK;
    if (over[length])
        code = read_values(w, axis, over + length + 1, err);
    else if (end > tail && strcmp(axis->path + end - tail, ".capacity") == 0)
        *axis = (search_axis){.path = axis->path, .range = true, .count = 1, .from = 100.0, .step = 1.0, .suffix = "%", .whole = true, .population = true};
    else
        code = es_err_set(err, ES_EINPUT, "needs values: %s=A..B, %s=A..B/STEP or %s=V,V,V; only a capacity can do without", axis->path, axis->path, axis->path);
    if (code)
        return es_err_at(err, "--over %s", axis->path);
    w->ranges += axis->range;
    w->axes++;
    return ES_OK;
}

/* ---- all of it ---- */

es_code search_read(search_work *w, es_err *err)
{
    const es_search_ask *ask = w->ask;
    es_code code = ES_OK;
    if (ask->over_count == 0 || ask->over_count > SEARCH_AXES)
        return es_err_set(err, ES_EINPUT, "--over: there %s; from 1 to %d say what is searched", ask->over_count ? "are too many" : "is none", SEARCH_AXES);
    if (ask->target_count > SEARCH_TARGETS)
        return es_err_set(err, ES_EINPUT, "--target: there are more than %d", SEARCH_TARGETS);
    for (size_t i = 0; i < ask->over_count && code == ES_OK; i++)
        code = read_axis(w, ask->over[i], err);
    for (size_t i = 0; i < ask->target_count && code == ES_OK; i++)
        code = read_target(w, ask->targets[i], err);
    if (code == ES_OK && ask->cost && (code = read_formula(ask->cost, &w->cost, err)) != ES_OK)
        es_err_at(err, "--cost");
    if (code == ES_OK && ask->against && (code = read_formula(ask->against, &w->against, err)) != ES_OK)
        es_err_at(err, "--against");
    const char *method = ask->method;
    if (code == ES_OK && method && strcmp(method, "bisect") != 0 && strcmp(method, "halving") != 0 && strcmp(method, "grid") != 0)
        code = es_err_set(err, ES_EINPUT, "--method: there is no \"%s\"; there are bisect, halving and grid", method);
    if (code == ES_OK && method && strcmp(method, "bisect") == 0 && w->ranges != 1)
        code = es_err_set(err, ES_EINPUT, "--method: bisect needs one range, there are %zu", w->ranges);
    if (code == ES_OK && method && strcmp(method, "grid") != 0 && w->targets == 0)
        code = es_err_set(err, ES_EINPUT, "--method: %s needs a target; without one a grid is run", method);
    return code;
}
