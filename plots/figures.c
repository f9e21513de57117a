/* Figures: see figures.h. Opens what was given, asks every kind what it can draw of it, and writes what is wanted. */
#include "plots/figures_inside.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the kinds ---- */

const figures_kind figures_kinds[] = {
    {"miss-ratio", "How many lookups miss at which capacity, and how far is that from what could be had?"},
    {"miss-layers", "Which layers need more room than others?"},
    {"speed", "How many tokens a second does memory buy?"},
    {"pareto", "Which points does no other beat in both memory and time, and where does more memory stop to pay?"},
    {"latency", "How long do tokens take, from the fastest to the slowest?"},
    {"stalls", "Where does the time of a token go?"},
    {"stalls-time", "Does that change in the course of the run?"},
    {"coverage", "How often is everything there that a layer needs, and what did tuners do about it?"},
    {"layers", "Which layers hit, and which miss?"},
    {"residency", "Which experts stay, and which are used?"},
    {"differences", "Which candidates differ by more than noise?"},
    {"warm-up", "From which token on is the cache warm?"},
    {"gains", "What would help: a better policy, more memory, another division, a faster link?"},
    {"agreement", "How far is what was simulated from what was measured?"},
    {"fit", "Does the fitted curve go through what was measured?"},
    {"residuals", "By how much do measurements miss the fit, at which sizes?"},
    {"qq", "Is the noise of the measurements normal, or does it have a tail?"},
    {"contention", "What does a copy take while another runs?"},
    {NULL, NULL},
};

#define NEEDS_RUNS "needs results of `expertsim run --out DIR` or of a sweep"
#define NEEDS_SAMPLES "needs the raw samples that `expertsim calibrate` writes beside a profile"

static const struct {
    es_code (*make)(figures *all, es_err *err);
    const char *needs;          /* said when it adds nothing */
} kind_makers[] = {
    {figures_miss_ratio, NEEDS_RUNS ", or the mrc.json of `expertsim mrc`"},
    {figures_miss_layers, "needs the mrc.json of `expertsim mrc --out DIR`"},
    {figures_speed, "needs runs that differ in a number, such as those of a sweep over tiers.NAME.capacity"},
    {figures_front, "needs runs that differ in their memory, or the search.json of `expertsim search --out DIR`"},
    {figures_latency, NEEDS_RUNS},
    {figures_stalls, NEEDS_RUNS},
    {figures_stalls_time, NEEDS_RUNS},
    {figures_coverage, NEEDS_RUNS},
    {figures_layers, NEEDS_RUNS},
    {figures_residency, NEEDS_RUNS},
    {figures_differences, "needs the compare.json of `expertsim compare --out DIR`"},
    {figures_warm_up, "needs the folder that `expertsim compare --out DIR` wrote, with its units.csv"},
    {figures_gains, "needs the verdict.json of `expertsim verdict --out DIR`"},
    {figures_agreement, "needs the validate.json of `expertsim validate --out DIR`"},
    {figures_fit, "needs a profile that `expertsim calibrate` wrote"},
    {NULL, NEEDS_SAMPLES},
    {NULL, NEEDS_SAMPLES},
    {figures_contention, "needs a profile that `expertsim calibrate` wrote"},
};

/* ---- what kinds ask for ---- */

double *figures_column(figures *all, size_t count)
{
    return ES_NEW_ARRAY(&all->arena, count, double);
}

const char *figures_keep(figures *all, es_text *text)
{
    const char *kept = text->at && !text->failed ? es_arena_text(&all->arena, text->at) : NULL;
    es_text_free(text);
    return kept ? kept : "";
}

double figures_number(const es_json *json, const char *path)
{
    const es_json *value = es_json_at(json, path);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

const char *figures_word(const es_json *json, const char *path)
{
    const char *text = cJSON_GetStringValue(es_json_at(json, path));
    return text ? text : "";
}

const figures_source *figures_of(const figures *all, figures_form form)
{
    for (size_t i = 0; i < all->sources; i++)
        if (all->source[i].form == form)
            return &all->source[i];
    return NULL;
}

/* ---- the list ---- */

/* Room for one more; its name is that of the kind, and a number from the second on. */
static figures_drawing *drawing_new(figures *all, const char *kind)
{
    size_t alike = 1;
    char name[64];
    if (all->drawings == all->drawing_room) {
        const size_t room = all->drawing_room ? 2 * all->drawing_room : 32;
        figures_drawing *more = ES_NEW_ARRAY(&all->arena, room, figures_drawing);
        if (!more)
            return NULL;
        if (all->drawings)
            memcpy(more, all->drawing, all->drawings * sizeof *more);
        all->drawing = more;
        all->drawing_room = room;
    }
    for (size_t i = 0; i < all->drawings; i++)
        alike += strcmp(all->drawing[i].entry.kind, kind) == 0;
    snprintf(name, sizeof name, alike > 1 ? "%.40s-%zu" : "%.40s", kind, alike);
    figures_drawing *drawing = &all->drawing[all->drawings];
    *drawing = (figures_drawing){.entry = {.kind = kind, .name = es_arena_text(&all->arena, name)}};
    all->drawings += drawing->entry.name != NULL;
    return drawing->entry.name ? drawing : NULL;
}

#define NOTHING_TO_DRAW "the result has no numbers for it"

es_code figures_add(figures *all, const char *kind, const plot_figure *figure, es_err *err)
{
    if (!plot_has(figure))
        return figures_lack(all, kind, err, NOTHING_TO_DRAW);
    figures_drawing *drawing = drawing_new(all, kind);
    plot_figure *copy = ES_NEW(&all->arena, plot_figure);
    plot_series *series = ES_NEW_ARRAY(&all->arena, figure->count, plot_series);
    const char **category = ES_NEW_ARRAY(&all->arena, figure->categories, const char *);
    if (!drawing || !copy || !series || !category)
        return es_err_nomem(err, "a figure");
    memcpy(series, figure->series, figure->count * sizeof *series);
    if (figure->categories)
        memcpy(category, figure->category, figure->categories * sizeof *category);
    *copy = *figure;
    copy->name = drawing->entry.name;
    copy->series = series;
    copy->category = category;
    copy->formats = all->formats;
    drawing->figure = copy;
    drawing->entry.title = figure->title;
    return ES_OK;
}

es_code figures_add_heat(figures *all, const char *kind, const plot_heat *heat, es_err *err)
{
    if (!plot_has_heat(heat))
        return figures_lack(all, kind, err, NOTHING_TO_DRAW);
    figures_drawing *drawing = drawing_new(all, kind);
    plot_heat *copy = ES_NEW(&all->arena, plot_heat);
    if (!drawing || !copy)
        return es_err_nomem(err, "a figure");
    *copy = *heat;
    copy->name = drawing->entry.name;
    copy->formats = all->formats;
    drawing->heat = copy;
    drawing->entry.title = heat->title;
    return ES_OK;
}

es_code figures_lack(figures *all, const char *kind, es_err *err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    figures_drawing *drawing = drawing_new(all, kind);
    if (!drawing || !(drawing->entry.missing = es_arena_text(&all->arena, text)))
        return es_err_nomem(err, "a figure");
    return ES_OK;
}

/* ---- opening ---- */

/* Runs may stand beside each other, and a sweep or a table by itself; everything else is drawn alone. */
static es_code figures_fit_together(const figures *all, es_err *err)
{
    for (size_t i = 1; i < all->sources; i++)
        if (all->source[i].form != FORM_RUN || all->source[0].form != FORM_RUN)
            return es_err_set(err, ES_EINPUT, "%s and %s cannot be drawn together; needs one path, or several that are results of runs", all->source[0].path, all->source[i].path);
    return ES_OK;
}

static es_code figures_make(figures *all, es_err *err)
{
    es_code code = ES_OK;
    for (size_t k = 0; k < sizeof kind_makers / sizeof *kind_makers && code == ES_OK; k++) {
        const size_t before = all->drawings;
        if (kind_makers[k].make)
            code = kind_makers[k].make(all, err);
        if (code == ES_OK && all->drawings == before)
            code = figures_lack(all, figures_kinds[k].name, err, "%s", kind_makers[k].needs);
    }
    return code;
}

es_code figures_open(figures **out, const figures_ask *ask, es_err *err)
{
    figures *all = *out = calloc(1, sizeof *all);
    if (!all)
        return es_err_nomem(err, "the figures");
    all->formats = (ask->svg ? PLOT_SVG : 0u) | (ask->png ? PLOT_PNG : 0u);
    all->source = ES_NEW_ARRAY(&all->arena, ask->count, figures_source);
    es_code code = all->source ? ES_OK : es_err_nomem(err, "the figures");
    if (code == ES_OK && ask->count == 0)
        code = es_err_set(err, ES_EINPUT, "nothing is to be drawn; needs the path of a result");
    for (size_t i = 0; i < ask->count && code == ES_OK; i++)
        code = figures_read(all, ask->path[i], err);
    if (code == ES_OK)
        code = figures_fit_together(all, err);
    if (code == ES_OK)
        code = figures_points(all, err);
    return code ? code : figures_make(all, err);
}

void figures_free(figures *all)
{
    if (!all)
        return;
    for (size_t i = 0; i < all->sources; i++)
        cJSON_Delete(all->source[i].json);
    for (size_t i = 0; i < all->points; i++)
        cJSON_Delete(all->point[i].attribution);
    es_arena_free(&all->arena);
    free(all);
}

size_t figures_count(const figures *all)
{
    return all->drawings;
}

const figures_entry *figures_at(const figures *all, size_t i)
{
    return &all->drawing[i].entry;
}

es_code figures_save(const figures *all, size_t i, const char *folder, bool *drawn, es_err *err)
{
    const figures_drawing *drawing = &all->drawing[i];
    *drawn = false;
    if (drawing->entry.missing)
        return es_err_set(err, ES_EINPUT, "%s: %s", drawing->entry.kind, drawing->entry.missing);
    es_code code = drawing->heat ? plot_write_heat(drawing->heat, folder, err) : plot_write(drawing->figure, folder, err);
    return code ? code : plot_draw(drawing->entry.name, folder, drawn, err);
}

es_code figures_draw(const char *path, const char *folder, size_t *written, bool *drawn, es_err *err)
{
    figures *all = NULL;
    *written = 0;
    *drawn = true;
    es_code code = figures_open(&all, &(figures_ask){.path = &path, .count = 1}, err);
    for (size_t i = 0; code == ES_OK && i < figures_count(all); i++) {
        if (figures_at(all, i)->missing)
            continue;
        code = figures_save(all, i, folder, drawn, err);
        *written += code == ES_OK;
    }
    figures_free(all);
    return code;
}
