/* Mrc for people, the figures; see mrc_show.h. Titles say what is found, notes where it comes from. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots/plot.h"
#include "sim/cli/mrc_show.h"

enum { FIGURES_COLUMNS = 64 };  /* of the heat map, at most: more would not be told apart */

typedef struct figures {
    const es_mrc *mrc;
    es_arena arena;
    const char *note, *layers_note;
} figures;

static const char *figures_keep(figures *f, es_text *text)
{
    const char *kept = text->at && !text->failed ? es_arena_text(&f->arena, text->at) : NULL;
    es_text_free(text);
    return kept ? kept : "";
}

static double figures_miss(const es_mrc *mrc, const es_curve *curve, uint32_t at)
{
    const double of = (double)es_mrc_accesses(mrc, curve);
    return of > 0.0 ? 1.0 - (double)es_mrc_hits(mrc, curve, at) / of : (double)NAN;
}

static const es_mrc_line *figures_line(const es_mrc *mrc, const char *policy)
{
    for (uint32_t i = 0; i < mrc->lines; i++)
        if (strcmp(mrc->line[i].policy, policy) == 0 && strcmp(mrc->line[i].made, "config") != 0)
            return &mrc->line[i];
    return NULL;
}

static void figures_size(const es_mrc *mrc, uint64_t capacity, es_text *out)
{
    mrc_show_capacity(mrc, capacity, out);
    es_text_add(out, "%s%s", mrc->in_bytes ? "" : capacity == 1 ? " slot" : " slots", mrc->per_layer ? " per layer" : "");
}

static const char *figures_note(figures *f, const char *scope)
{
    const es_mrc *mrc = f->mrc;
    es_text note = {0};
    es_text_add(&note, "%s: %u layers x %u experts; scope %s, contract %s%s", mrc->path, mrc->info->layers, mrc->info->experts, scope, mrc->contract,
        mrc->warning ? "; too short to say much" : "");
    return figures_keep(f, &note);
}

/* ---- miss ratio against capacity ---- */

/* The line whose misses the title tells: the config's, else LRU, else the first. */
static const es_mrc_line *figures_subject(const es_mrc *mrc)
{
    const es_mrc_line *lru = figures_line(mrc, "lru");
    return mrc->own || !lru ? &mrc->line[0] : lru;
}

/* Among the sizes of the text the one at which it tells most: the config's own, else where the subject is farthest above the rival. */
static const es_mrc_size *figures_told(const es_mrc *mrc, const es_mrc_line *subject, const es_mrc_line *rival)
{
    const es_mrc_size *best = NULL;
    double most = -2.0;
    for (uint32_t i = 0; i < mrc->shown_count; i++) {
        const es_mrc_size *size = &mrc->shown[i];
        uint32_t at, other = 0;
        if (!es_mrc_at(mrc, subject, size->capacity, &at) || (rival && !es_mrc_at(mrc, rival, size->capacity, &other)))
            continue;
        const double gap = size->own ? 2.0 : rival ? figures_miss(mrc, &subject->curve, at) - figures_miss(mrc, &rival->curve, other) : 0.0;
        if (gap > most) {
            most = gap;
            best = size;
        }
    }
    return best;
}

static const char *figures_title(figures *f)
{
    const es_mrc *mrc = f->mrc;
    const es_mrc_line *subject = figures_subject(mrc), *rival = figures_line(mrc, "belady");
    rival = rival ? rival : figures_line(mrc, "belady_bypass");
    rival = rival == subject ? NULL : rival;
    const es_mrc_size *size = figures_told(mrc, subject, rival);
    es_text text = {0};
    uint32_t at;
    if (!size || !es_mrc_at(mrc, subject, size->capacity, &at))
        return "Miss ratio against capacity";
    es_text_add(&text, "At ");
    figures_size(mrc, size->capacity, &text);
    es_text_add(&text, " %s misses %.1f %% of %s lookups", subject->policy, 100.0 * figures_miss(mrc, &subject->curve, at), mrc->decode ? "decode" : "all");
    if (rival && es_mrc_at(mrc, rival, size->capacity, &at))
        es_text_add(&text, ", %s %.1f %%", rival->policy, 100.0 * figures_miss(mrc, &rival->curve, at));
    return figures_keep(f, &text);
}

static const char *figures_label(figures *f, const es_mrc_line *line)
{
    const es_mrc *mrc = f->mrc;
    es_text text = {0};
    if (strcmp(line->made, "config") == 0)
        es_text_add(&text, "%s, as %s has it", line->policy, mrc->name);
    else if (strncmp(line->policy, "belady", 6) == 0 && mrc->unequal)
        es_text_add(&text, "%s (uniform-size optimum, no bound)", line->policy);
    else
        es_text_add(&text, "%s", line->policy);
    return figures_keep(f, &text);
}

static bool figures_series(figures *f, const es_mrc_line *line, plot_series *out)
{
    const es_curve *curve = &line->curve;
    double *x = ES_NEW_ARRAY(&f->arena, curve->sizes, double), *y = ES_NEW_ARRAY(&f->arena, curve->sizes, double);
    if (!x || !y)
        return false;
    for (uint32_t i = 0; i < curve->sizes; i++) {
        x[i] = (double)curve->capacity[i];
        y[i] = figures_miss(f->mrc, curve, i);
    }
    const plot_style style = strcmp(line->made, "config") == 0 ? PLOT_POINTS : curve->sizes < FIGURES_COLUMNS ? PLOT_BOTH : PLOT_LINE;
    *out = (plot_series){.label = figures_label(f, line), .style = style, .large = style == PLOT_POINTS, .x = x, .y = y, .count = curve->sizes};
    return true;
}

/* Experts that a step looks up of one cache, and the cliff, in what the curves count; NaN: not known, or none. */
static double figures_cycle(const es_mrc *mrc)
{
    const es_statistics *s = &mrc->statistics;
    const double cycle = mrc->in_bytes ? s->cycle_bytes : s->cycle;
    return mrc->per_layer ? s->demand * (double)mrc->unit : cycle;
}

static double figures_cliff(const es_mrc *mrc)
{
    const double cliff = mrc->in_bytes ? mrc->cliff_bytes : (double)mrc->cliff;
    return cliff > 0.0 ? cliff : (double)NAN;
}

static bool figures_mark(figures *f, double at, const char *what, plot_series *out)
{
    double *x = ES_NEW(&f->arena, double);
    es_text text = {0};
    if (!x)
        return false;
    *x = at;
    es_text_add(&text, "%s: ", what);
    figures_size(f->mrc, (uint64_t)llround(at), &text);
    *out = (plot_series){.label = figures_keep(f, &text), .style = PLOT_MARKS, .x = x, .count = 1};
    return true;
}

/* The smallest capacity of any line. */
static double figures_least(const es_mrc *mrc)
{
    double least = (double)mrc->most;
    for (uint32_t i = 0; i < mrc->lines; i++)
        least = mrc->line[i].curve.sizes ? fmin(least, (double)mrc->line[i].curve.capacity[0]) : least;
    return least;
}

static es_code figures_curves(figures *f, const char *dir, es_err *err)
{
    const es_mrc *mrc = f->mrc;
    plot_series series[ES_MRC_LINES + 2];
    size_t count = 0;
    bool enough = true;
    const double cliff = figures_cliff(mrc), cycle = figures_cycle(mrc);
    const uint32_t own = mrc->own > 0;      /* the first line, drawn above the others */
    for (uint32_t i = 0; i < mrc->lines && enough; i++)
        enough = figures_series(f, &mrc->line[(i + own) % mrc->lines], &series[count++]);
    if (enough && isfinite(cliff))
        enough = figures_mark(f, cliff, "cliff of LRU", &series[count++]);
    if (enough && cycle > 0.0 && cycle <= (double)mrc->most && !(mrc->per_layer && mrc->unequal))
        enough = figures_mark(f, cycle, mrc->per_layer ? "one event" : "one cycle", &series[count++]);
    if (!enough)
        return es_err_nomem(err, "a figure");
    const bool log = cycle > 0.0 && cycle < (double)mrc->most / 16.0;
    const plot_figure figure = {.name = "mrc", .title = figures_title(f), .note = f->note,
        .x = {.label = mrc->in_bytes ? mrc->per_layer ? "capacity of a layer's cache" : "capacity" : mrc->per_layer ? "capacity of a layer's cache, slots" : "capacity, slots",
            .unit = mrc->in_bytes ? PLOT_BYTES : PLOT_NUMBER, .log = log, .low = log && !mrc->in_bytes ? figures_least(mrc) : 0.0,
            .high = log && !mrc->in_bytes ? (double)mrc->most : 0.0},
        .y = {.label = mrc->decode ? "miss ratio, decode" : "miss ratio", .unit = PLOT_SHARE, .low = 0.0, .high = 1.0},
        .series = series, .count = count};
    return plot_write(&figure, dir, err);
}

/* ---- miss ratio by layer ---- */

static const char *figures_layers_title(figures *f, const double *value, size_t columns, size_t at, double slots)
{
    const es_mrc *mrc = f->mrc;
    uint32_t least = UINT32_MAX, most = UINT32_MAX;
    es_text text = {0};
    for (uint32_t l = 0; l < mrc->events.layers; l++) {
        const double miss = value[l * columns + at];
        if (!isfinite(miss))
            continue;
        least = least == UINT32_MAX || miss < value[least * columns + at] ? l : least;
        most = most == UINT32_MAX || miss > value[most * columns + at] ? l : most;
    }
    if (least == UINT32_MAX)
        return "Miss ratio of LRU by layer";
    es_text_add(&text, "With %.0f of %u slots LRU misses %.1f %% in layer %u", slots, mrc->events.experts, 100.0 * value[least * columns + at],
        mrc->events.layer_number[least]);
    if (most != least)
        es_text_add(&text, " and %.1f %% in layer %u", 100.0 * value[most * columns + at], mrc->events.layer_number[most]);
    return figures_keep(f, &text);
}

static es_code figures_layers(figures *f, const char *dir, es_err *err)
{
    const es_mrc *mrc = f->mrc;
    const uint32_t layers = mrc->events.layers, experts = mrc->layer[0].sizes;
    const size_t columns = experts < FIGURES_COLUMNS ? experts : FIGURES_COLUMNS;
    double *x = ES_NEW_ARRAY(&f->arena, columns, double), *y = ES_NEW_ARRAY(&f->arena, layers, double);
    double *value = ES_NEW_ARRAY(&f->arena, columns * layers, double);
    if (!x || !y || !value)
        return es_err_nomem(err, "a figure");
    for (size_t c = 0; c < columns; c++)
        x[c] = (double)(c + 1) * experts / (double)columns;
    for (uint32_t l = 0; l < layers; l++) {
        y[l] = l;
        for (size_t c = 0; c < columns; c++)
            value[l * columns + c] = figures_miss(mrc, &mrc->layer[l], (uint32_t)x[c] - 1);
    }
    const size_t quarter = columns >= 4 ? columns / 4 - 1 : 0;
    const plot_heat heat = {.name = "mrc-layers", .title = figures_layers_title(f, value, columns, quarter, floor(x[quarter])), .note = f->layers_note,
        .x_label = "capacity of a layer's cache, slots", .y_label = "layer, in the trace's order", .value_label = "miss ratio of LRU, %", .x = x, .y = y, .value = value,
        .columns = columns, .rows = layers};
    return plot_write_heat(&heat, dir, err);
}

/* ---- both ---- */

static es_code figures_draw(const char *dir, es_text *out, es_err *err)
{
    static const char *const names[] = {"mrc", "mrc-layers"};
    bool drawn = false;
    es_code code = ES_OK;
    for (size_t i = 0; i < 2 && code == ES_OK; i++)
        code = plot_draw(names[i], dir, &drawn, err);
    if (code == ES_OK && drawn)
        es_text_add(out, "  figures: %s/mrc.svg and mrc-layers.svg, also as .png; each is drawn anew by its .gp\n", dir);
    else if (code == ES_OK)
        es_text_add(out, "  figures: there is no gnuplot here; draw them with: cd %s && gnuplot mrc.gp mrc-layers.gp\n", dir);
    return code;
}

es_code mrc_show_figures(const es_mrc *mrc, const char *dir, es_text *out, es_err *err)
{
    figures f = {.mrc = mrc};
    if (mrc->events.lookups == 0 || es_mrc_accesses(mrc, &mrc->line[0].curve) == 0)
        return ES_OK;
    f.note = figures_note(&f, mrc->scope);
    f.layers_note = figures_note(&f, "layer");
    es_code code = figures_curves(&f, dir, err);
    if (code == ES_OK)
        code = figures_layers(&f, dir, err);
    es_arena_free(&f.arena);
    return code == ES_OK ? figures_draw(dir, out, err) : code;
}
