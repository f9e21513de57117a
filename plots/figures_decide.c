/* Decide: differences between candidates, and what a verdict found to help. See figures_inside.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { DECIDE_CANDIDATES = 24, DECIDE_GROUPS = 12, DECIDE_BARS = 12 };

plot_unit figures_unit(const es_json *compared)
{
    const char *unit = figures_word(compared, "metric_unit");
    return strcmp(unit, "s") == 0 ? PLOT_SECONDS : strcmp(unit, "share") == 0 ? PLOT_SHARE : strcmp(unit, "B") == 0 ? PLOT_BYTES : PLOT_NUMBER;
}

static void decide_say(const es_json *compared, double value, es_text *out)
{
    const plot_unit unit = figures_unit(compared);
    if (unit == PLOT_SECONDS)
        figures_say_time(out, value);
    else if (unit == PLOT_SHARE)
        figures_say_share(out, value);
    else if (unit == PLOT_BYTES)
        figures_say_memory(out, value, true);
    else
        figures_say_number(out, value);
}

/* ---- differences ---- */

typedef struct decide_bars {
    const char *name[DECIDE_CANDIDATES];
    double x[DECIDE_CANDIDATES], y[DECIDE_CANDIDATES], low[DECIDE_CANDIDATES], high[DECIDE_CANDIDATES];
    bool tie[DECIDE_CANDIDATES];
    size_t count, best;
} decide_bars;

static void decide_candidates(decide_bars *bars, const es_json *compared, const es_json *group)
{
    const bool higher = strcmp(figures_word(compared, "better"), "higher") == 0;
    const es_json *one;
    double most = NAN;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(group, "candidates")) {
        const double value = figures_number(one, "cold");
        if (bars->count == DECIDE_CANDIDATES)
            break;
        if (isnan(most) || (higher ? value > most : value < most)) {
            most = value;
            bars->best = bars->count;
        }
        bars->name[bars->count] = figures_word(one, "name");
        bars->x[bars->count] = (double)bars->count;
        bars->count++;
    }
}

/* A pair has the difference a - b; a bar has its candidate less the best. */
static void decide_pairs(decide_bars *bars, const es_json *group)
{
    const char *best = bars->name[bars->best];
    const es_json *pair;
    cJSON_ArrayForEach(pair, cJSON_GetObjectItemCaseSensitive(group, "pairs")) {
        const bool turned = strcmp(figures_word(pair, "a"), best) == 0;
        const es_json *cold = cJSON_GetObjectItemCaseSensitive(pair, "cold");
        const char *other = figures_word(pair, turned ? "b" : "a");
        if (!turned && strcmp(figures_word(pair, "b"), best) != 0)
            continue;
        for (size_t i = 0; i < bars->count; i++) {
            if (strcmp(bars->name[i], other) != 0)
                continue;
            const double y = figures_number(cold, "difference"), low = figures_number(cold, "low"), high = figures_number(cold, "high");
            bars->y[i] = turned ? -y : y;
            bars->low[i] = isnan(low) ? bars->y[i] : turned ? -high : low;
            bars->high[i] = isnan(high) ? bars->y[i] : turned ? -low : high;
            bars->tie[i] = !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(cold, "better"));
        }
    }
}

/* The one next to the best, and whether that is more than noise. */
static const char *decide_title(figures *all, const es_json *compared, const es_json *group, const decide_bars *bars)
{
    const char *where = figures_word(group, "where");
    size_t next = bars->best;
    es_text title = {0};
    for (size_t i = 0; i < bars->count; i++)
        if (i != bars->best && (next == bars->best || fabs(bars->y[i]) < fabs(bars->y[next])))
            next = i;
    es_text_add(&title, "%s%s%s", where, *where ? ": " : "", bars->name[bars->best]);
    if (next != bars->best && bars->tie[next]) {
        es_text_add(&title, " and %s are a tie in %s", bars->name[next], figures_word(compared, "metric"));
    } else if (next != bars->best) {
        es_text_add(&title, " is best: the next, %s, has ", bars->name[next]);
        decide_say(compared, fabs(bars->y[next]), &title);
        es_text_add(&title, " %s %s", bars->y[next] < 0.0 ? "less" : "more", figures_word(compared, "metric"));
    }
    return figures_keep(all, &title);
}

static es_code decide_group(figures *all, const es_json *compared, const es_json *group, es_err *err)
{
    decide_bars *bars = ES_NEW(&all->arena, decide_bars);
    es_text note = {0};
    if (!bars)
        return es_err_nomem(err, "a figure");
    decide_candidates(bars, compared, group);
    if (bars->count < 2)
        return ES_OK;
    decide_pairs(bars, group);
    es_text_add(&note, "%s; each less %s; %.3g %% intervals of paired %ss", figures_word(compared, "meaning"), bars->name[bars->best], 100.0 * figures_number(compared, "confidence"),
        figures_word(compared, "unit"));
    const plot_series series = {.style = PLOT_BARS, .x = bars->x, .y = bars->y, .low = bars->low, .high = bars->high, .count = bars->count};
    es_text label = {0};
    es_text_add(&label, "%s, less that of the best", figures_word(compared, "metric"));
    const plot_figure figure = {.title = decide_title(all, compared, group, bars), .note = figures_keep(all, &note), .x = {.label = "candidate"},
        .y = {.label = figures_keep(all, &label), .unit = figures_unit(compared)}, .category = bars->name, .categories = bars->count, .series = &series, .count = 1};
    return figures_add(all, "differences", &figure, err);
}

es_code figures_differences(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_COMPARE);
    const es_json *group;
    es_code code = ES_OK;
    size_t drawn = 0;
    if (!source)
        return ES_OK;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(source->json, "groups"))
        if (code == ES_OK && drawn++ < DECIDE_GROUPS)
            code = decide_group(all, source->json, group, err);
    return code;
}

/* ---- a verdict ---- */

typedef struct decide_gain {
    const char *name, *path;
} decide_gain;

/* What the run would be otherwise; what is not known has no bar. */
static const decide_gain decide_times[] = {{"as run", "time.total_s"}, {"one GiB more", "one_more_gib.total_s"}, {"best division of layers", "layer_split.total_s"},
    {"who knows the future", "time.clairvoyant_s"}, {"lower bound", "time.lower_bound_s"}, {"compute alone", "time.compute_s"}};
static const decide_gain decide_rates[] = {{"as run", "hit_rate.achieved"}, {"LRU", "hit_rate.lru"}, {"one GiB more", "one_more_gib.hit_rate"},
    {"best division of layers", "layer_split.best"}, {"Belady (knows the future)", "hit_rate.belady"}};

es_code figures_gains(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_VERDICT);
    const char *category[DECIDE_BARS];
    double *x = figures_column(all, DECIDE_BARS), *y = figures_column(all, DECIDE_BARS);
    size_t count = 0;
    if (!source)
        return ES_OK;
    if (!x || !y)
        return es_err_nomem(err, "a figure");
    const bool time = strcmp(figures_word(source->json, "decided_by"), "time") == 0;
    const decide_gain *gain = time ? decide_times : decide_rates;
    const size_t gains = time ? sizeof decide_times / sizeof *decide_times : sizeof decide_rates / sizeof *decide_rates;
    for (size_t i = 0; i < gains; i++) {
        const double value = figures_number(source->json, gain[i].path);
        if (!isfinite(value))
            continue;
        category[count] = gain[i].name;
        x[count] = (double)count;
        y[count++] = value;
    }
    const plot_series series = {.style = PLOT_BARS, .x = x, .y = y, .count = count};
    const char *sentence = figures_word(source->json, "sentences.0");
    const plot_figure figure = {.title = *sentence ? sentence : "What would help", .note = figures_word(source->json, "name"), .x = {.label = ""},
        .y = {.label = time ? "time of the run" : "hit rate", .unit = time ? PLOT_SECONDS : PLOT_SHARE}, .category = category, .categories = count, .series = &series, .count = 1};
    return count ? figures_add(all, "gains", &figure, err) : ES_OK;
}
