/* Profile: the flows of a machine's profile, as time over size, and what copies take beside each other. See figures_inside.h.
 *
 * A profile has fits, not what they were fitted to: points, residuals and noise are drawn from the raw samples (calib/pictures.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { PROFILE_GRID = 160, PROFILE_FLOWS = 8, PROFILE_PIECES = 8, PROFILE_QUESTIONS = 24 };
#define PROFILE_LEAST 4096.0
#define PROFILE_MOST (256.0 * 1024.0 * 1024.0)

/* ---- a flow ---- */

typedef struct profile_flow {   /* time = start + size / rate, the rate another beyond each knee */
    const char *name;
    double alpha, beyond;       /* s; beyond: behind the knee of model jump, NaN: the curve has no jump */
    double rate[PROFILE_PIECES], knee[PROFILE_PIECES];
    size_t pieces;
} profile_flow;

static double profile_quantity(const es_json *flow, const char *key, es_unit unit)
{
    const char *text = figures_word(flow, key);
    double value;
    if (*text && es_text_quantity(text, unit, &value, NULL) == ES_OK)
        return value;
    return figures_number(flow, key);
}

static bool profile_flow_of(const es_json *json, profile_flow *flow)
{
    const es_json *fit = cJSON_GetObjectItemCaseSensitive(json, "fit"), *one;
    *flow = (profile_flow){.name = json->string, .beyond = NAN};
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(fit, "beta_Bps"))
        if (flow->pieces < PROFILE_PIECES)
            flow->rate[flow->pieces++] = cJSON_IsNumber(one) ? one->valuedouble : (double)NAN;
    size_t knees = 1;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(fit, "knee_B"))
        if (knees < PROFILE_PIECES)
            flow->knee[knees++] = cJSON_IsNumber(one) ? one->valuedouble : (double)NAN;
    if (flow->pieces > 0) {
        flow->alpha = figures_number(fit, "alpha_s");
        flow->beyond = figures_number(fit, "alpha_beyond_s");
        flow->pieces = flow->pieces < knees ? flow->pieces : knees;
        return isfinite(flow->alpha);
    }
    const double latency = profile_quantity(json, "latency", ES_UNIT_TIME);
    flow->rate[0] = profile_quantity(json, "rate", ES_UNIT_RATE);
    flow->alpha = isfinite(latency) ? latency / 1e9 : 0.0;
    flow->pieces = 1;
    return flow->rate[0] > 0.0;
}

static double profile_time(const profile_flow *f, double bytes)
{
    double time = f->alpha;
    if (isfinite(f->beyond) && f->pieces == 2)
        return bytes > f->knee[1] ? f->beyond + bytes / f->rate[1] : f->alpha + bytes / f->rate[0];
    for (size_t i = 0; i < f->pieces; i++) {
        const double end = i + 1 < f->pieces ? fmin(bytes, f->knee[i + 1]) : bytes;
        time += end > f->knee[i] ? (end - f->knee[i]) / f->rate[i] : 0.0;
    }
    return time;
}

/* ---- a link ---- */

static es_code profile_curve(figures *all, const profile_flow *f, const char *label, plot_series *out, es_err *err)
{
    double *x = figures_column(all, PROFILE_GRID), *y = figures_column(all, PROFILE_GRID);
    if (!x || !y)
        return es_err_nomem(err, "a curve");
    for (size_t i = 0; i < PROFILE_GRID; i++) {
        x[i] = PROFILE_LEAST * pow(PROFILE_MOST / PROFILE_LEAST, (double)i / (PROFILE_GRID - 1));
        y[i] = profile_time(f, x[i]);
    }
    *out = (plot_series){.label = label, .style = PLOT_LINE, .x = x, .y = y, .count = PROFILE_GRID};
    return ES_OK;
}

static void profile_say(const profile_flow *f, es_text *out)
{
    const double half = f->alpha * f->rate[0];
    es_text_add(out, "%s starts after ", f->name);
    figures_say_time(out, f->alpha);
    es_text_add(out, " and carries ");
    figures_say_number(out, f->rate[f->pieces - 1] / 1e9);
    es_text_add(out, " GB/s; half of its speed at ");
    figures_say_memory(out, half, true);
}

static es_code profile_link(figures *all, const es_json *profile, const es_json *link, es_err *err)
{
    plot_series series[PROFILE_FLOWS];
    size_t count = 0;
    es_text title = {0}, note = {0};
    const es_json *one;
    es_code code = ES_OK;
    es_text_add(&title, "%s: ", link->string);
    cJSON_ArrayForEach(one, link) {
        profile_flow flow;
        if (code || !cJSON_IsObject(one) || !one->string || count == PROFILE_FLOWS || !profile_flow_of(one, &flow))
            continue;
        if (count == 0)
            profile_say(&flow, &title);
        es_text label = {0};
        es_text_add(&label, "%s (%s)", flow.name, *figures_word(one, "provenance") ? figures_word(one, "provenance") : "no provenance");
        code = profile_curve(all, &flow, figures_keep(all, &label), &series[count], err);
        count += code == ES_OK;
    }
    es_text_add(&note, "%s; what was measured and what the fit leaves of it is drawn from the raw samples", figures_word(profile, "machine.name"));
    const plot_figure figure = {.title = figures_keep(all, &title), .note = figures_keep(all, &note), .x = {.label = "size", .unit = PLOT_BYTES, .log = true},
        .y = {.label = "time", .unit = PLOT_SECONDS, .log = true}, .series = series, .count = count};
    return code || count == 0 ? code : figures_add(all, "fit", &figure, err);
}

es_code figures_fit(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_PROFILE);
    const es_json *link;
    es_code code = ES_OK;
    if (!source)
        return ES_OK;
    cJSON_ArrayForEach(link, es_json_at(source->json, "machine.links"))
        if (code == ES_OK)
            code = profile_link(all, source->json, link, err);
    return code;
}

/* ---- two at once ---- */

es_code figures_contention(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_PROFILE);
    const char *category[PROFILE_QUESTIONS];
    double *x = figures_column(all, PROFILE_QUESTIONS), *y = figures_column(all, PROFILE_QUESTIONS);
    size_t count = 0, worst = 0;
    const es_json *one;
    es_text title = {0};
    if (!x || !y)
        return es_err_nomem(err, "a figure");
    if (!source)
        return ES_OK;
    cJSON_ArrayForEach(one, es_json_at(source->json, "machine.contention")) {
        const double together = figures_number(one, "together_s"), alone = figures_number(one, "alone_s");
        const bool interferes = !strstr(one->string, "_streams_") && !strstr(one->string, "_waiting");  /* these take their turn: nothing is slowed */
        if (!(alone > 0.0 && together > 0.0) || !interferes || count == PROFILE_QUESTIONS)
            continue;
        category[count] = one->string;
        x[count] = (double)count;
        y[count] = together / alone;
        worst = y[count] > y[worst] ? count : worst;
        count++;
    }
    if (count == 0)
        return figures_lack(all, "contention", err, "the profile has no measurements of two things at once; `expertsim calibrate` makes them");
    es_text_add(&title, "Beside another a copy takes up to ");
    figures_say_number(&title, y[worst]);
    es_text_add(&title, "x as long as alone (%s)", category[worst]);
    const plot_series series = {.style = PLOT_BARS, .x = x, .y = y, .count = count};
    const plot_figure figure = {.title = figures_keep(all, &title), .note = "behind, across, first: what a small copy takes, as a share of the large one before it; others: of the same alone",
        .x = {.label = "question"}, .y = {.label = "time beside another / alone", .unit = PLOT_SHARE}, .category = category, .categories = count, .series = &series, .count = 1};
    return figures_add(all, "contention", &figure, err);
}
