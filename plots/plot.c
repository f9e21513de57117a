/* Plot: see plot.h. Figures as data and script; draw.c runs what is written here. */
#include "plots/plot_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"

enum {
    PLOT_FEW = 3,               /* categories: fewer have room beside them */
    PLOT_TITLE = 105,           /* characters that fit one line at the size of the svg */
    PLOT_TICK = 40,             /* of the name of a category */
    PLOT_WIDE = 100,            /* of the axis */
    PLOT_LEGEND = 8             /* series; the names of more are smaller */
};

/* Okabe and Ito's palette without its yellow, which is not seen on white: black, blue, vermilion, green, purple, orange, sky. Darkness,
 * dashes and points differ from each to the next. */
static const char *const plot_colours[] = {"#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
static const int plot_points[] = {7, 4, 9, 12, 3, 10, 1, 6, 5, 8, 13};
static const char *const plot_dashes[] = {"solid", "(14,5)", "(3,4)", "(14,4,3,4)", "(24,6)", "(6,3)", "(14,4,3,4,3,4)", "(2,2)"};
static const char *const plot_bytes[] = {"B", "KiB", "MiB", "GiB", "TiB"};
static const int plot_fills[] = {4, 3, 5, 1, 2, 6, 7};      /* as gnuplot numbers them: 3 is full; 0 would be empty */

#define LENGTH(list) (sizeof(list) / sizeof *(list))

/* ---- texts ---- */

static size_t text_characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes && text[i]; i++)
        count += (text[i] & 0xc0) != 0x80;
    return count;
}

/* In single quotes gnuplot takes everything as it is: no commands in back quotes, no escapes. Only a quote would end it, and doubled
 * it does so at the beginning: it becomes an apostrophe. A line stays a line. */
void plot_put_quoted(es_text *out, const char *text)
{
    es_text_add(out, "'");
    for (; *text; text++) {
        if (*text == '\'')
            es_text_add(out, "\xe2\x80\x99");
        else
            es_text_add(out, "%c", *text == '\n' || *text == '\r' ? ' ' : *text);
    }
    es_text_add(out, "'");
}

/* A tick's text is a format; what is too long for a place on the axis is cut, between two characters. */
static void put_tick(es_text *out, const char *text)
{
    es_text doubled = {0};
    size_t left = PLOT_TICK;
    es_text_add(&doubled, "%s", "");
    for (; *text && (left > 0 || (*text & 0xc0) == 0x80); text++) {
        left -= (*text & 0xc0) != 0x80;
        es_text_add(&doubled, *text == '%' ? "%%%%" : "%c", *text);
    }
    if (*text)
        es_text_add(&doubled, "...");
    plot_put_quoted(out, doubled.failed ? "" : doubled.at);
    out->failed = out->failed || doubled.failed;
    es_text_free(&doubled);
}

/* Where a title that is too long for one line is parted: at the blank nearest to its middle; 0: it fits, or has none. */
static size_t title_parted(const char *title)
{
    const size_t length = strlen(title);
    size_t best = 0;
    if (text_characters(title, length) <= PLOT_TITLE)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (title[i] == ' ' && (best == 0 || labs((long)(2 * i) - (long)length) < labs((long)(2 * best) - (long)length)))
            best = i;
    return best;
}

void plot_put_title(es_text *out, const char *title, const char *note)
{
    const size_t parted = title_parted(title);
    es_text first = {0};
    es_text_add(out, "set title ");
    if (parted) {
        es_text_put(&first, title, parted);
        plot_put_quoted(out, first.failed ? "" : first.at);
        es_text_add(out, ".\"\\n\".");
    }
    plot_put_quoted(out, title + (parted ? parted + 1 : 0));
    if (note) {
        es_text_add(out, " offset 0, 1\nset tmargin %d\nset label 1 ", parted ? 6 : 5);
        plot_put_quoted(out, note);
        es_text_add(out, " at graph 0.5, graph 1.03 center font ',10' tc rgb '#555555'");
    }
    es_text_add(out, "\n");
    out->failed |= first.failed;
    es_text_free(&first);
}

void plot_put_head(es_text *out, const char *name, unsigned formats)
{
    const bool svg = formats != PLOT_PNG, png = formats != PLOT_SVG;
    es_text_add(out, "# Draws %s%s%s%s%s from %s.dat: gnuplot %s.gp, in this folder.\n", svg ? name : "", svg ? ".svg" : "", svg && png ? " and " : "",
        png ? name : "", png ? ".png" : "", name, name);
    es_text_add(out, "reset\nset encoding utf8\nset termoption noenhanced\n");
}

void plot_put_terminals(es_text *out, const char *name, unsigned formats, const es_text *plot)
{
    if (formats != PLOT_PNG)
        es_text_add(out, "set terminal svg noenhanced size 900,600 font 'Arial,14' background '#ffffff'\nset output '%s.svg'\n%s", name, plot->at);
    if (formats != PLOT_SVG)
        es_text_add(out, "if (strstrt(GPVAL_TERMINALS, 'pngcairo') > 0) set terminal pngcairo noenhanced size 1350,900 font 'Sans,15' linewidth 1.5; "
            "else set terminal png noenhanced size 1350,900\nset output '%s.png'\n%s", name, formats == PLOT_PNG ? plot->at : "replot\n");
    es_text_add(out, "set output\n");
    out->failed |= plot->failed;
}

bool plot_name_is_sound(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = name ? strlen(name) : 0;
    return length > 0 && length < 128 && name[0] != '.' && name[0] != '-' && strspn(name, letters) == length;
}

/* ---- what can be drawn ---- */

static bool axis_takes(const plot_axis *axis, double value)
{
    return isfinite(value) && (!axis->log || value > 0.0);
}

static bool style_has_y(plot_style style)
{
    return style != PLOT_BAND && style != PLOT_MARKS && style != PLOT_STACK && style != PLOT_AREA;
}

static bool style_is_span(plot_style style)             /* from low to high, without a middle */
{
    return style == PLOT_BAND || style == PLOT_STACK || style == PLOT_AREA;
}

static bool style_has_range(const plot_series *s)
{
    return style_is_span(s->style) || s->style == PLOT_RANGES || (s->style == PLOT_BARS && s->low && s->high);
}

static bool series_has(const plot_figure *f, const plot_series *s, size_t i)
{
    return axis_takes(&f->x, s->x[i]) && (!style_has_y(s->style) || axis_takes(&f->y, s->y[i])) &&
        (!style_is_span(s->style) || (axis_takes(&f->y, s->low[i]) && axis_takes(&f->y, s->high[i])));
}

/* Marks alone span no axis. */
bool plot_has(const plot_figure *f)
{
    for (size_t s = 0; s < f->count; s++)
        for (size_t i = 0; i < f->series[s].count && f->series[s].style != PLOT_MARKS; i++)
            if (series_has(f, &f->series[s], i))
                return true;
    return false;
}

/* ---- data ---- */

void plot_put_number(es_text *out, double value)
{
    if (isfinite(value))
        es_text_add(out, " %.9g", value);
    else
        es_text_add(out, " NaN");
}

static void data_series(es_text *out, const plot_figure *f, const plot_series *s)
{
    es_text_add(out, "# ");
    for (const char *c = s->label ? s->label : "no label"; *c; c++)
        es_text_add(out, "%c", *c == '\n' || *c == '\r' ? ' ' : *c);
    es_text_add(out, "\n# x%s%s\n", style_has_y(s->style) ? " y" : "", style_has_range(s) ? " low high" : "");
    for (size_t i = 0; i < s->count; i++) {
        bool has = series_has(f, s, i);
        plot_put_number(out, s->x[i]);
        if (style_has_y(s->style))
            plot_put_number(out, has ? s->y[i] : NAN);
        if (style_has_range(s)) {
            plot_put_number(out, has ? s->low[i] : NAN);
            plot_put_number(out, has ? s->high[i] : NAN);
        }
        es_text_add(out, "\n");
    }
    if (s->count == 0)              /* an empty block is none, and would shift the others */
        es_text_add(out, "NaN%s%s\n", style_has_y(s->style) ? " NaN" : "", style_has_range(s) ? " NaN NaN" : "");
    es_text_add(out, "\n\n");
}

/* ---- axes ---- */

typedef struct axis_scale {     /* what a linear axis is drawn in */
    double by;                  /* numbers are multiplied by it */
    char unit[16];
} axis_scale;

/* The smallest and the largest number of an axis, to choose milliseconds or seconds by, and ticks. */
static void axis_span(const plot_figure *f, bool upright, double *least, double *most)
{
    const plot_axis *axis = upright ? &f->y : &f->x;
    *least = axis->low;
    *most = axis->high;
    if (axis->low != 0.0 || axis->high != 0.0)
        return;
    *least = INFINITY;
    *most = -INFINITY;
    for (size_t s = 0; s < f->count; s++)
        for (size_t i = 0; i < f->series[s].count; i++) {
            const plot_series *series = &f->series[s];
            const double *value = !upright ? series->x : style_is_span(series->style) ? series->high : series->style == PLOT_MARKS ? NULL : series->y;
            if (value && axis_takes(axis, value[i])) {
                *least = fmin(*least, value[i]);
                *most = fmax(*most, value[i]);
            }
        }
}

/* On a logarithmic axis each tick has its own prefix. */
static axis_scale axis_scaled(const plot_figure *f, bool upright)
{
    static const char *const times[] = {"ns", "us", "ms", "s"};
    static const char *const rates[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
    const plot_axis *axis = upright ? &f->y : &f->x;
    axis_scale scale = {1.0, ""};
    double least, most;
    int at = 0;
    axis_span(f, upright, &least, &most);
    most = fmax(fabs(least), fabs(most));
    if (axis->log && axis->unit != PLOT_SHARE)
        return scale;
    switch (axis->unit) {
    case PLOT_NUMBER:
        break;
    case PLOT_BYTES:
        while (at < 4 && most >= ldexp(1.0, 10 * (at + 1)))
            at++;
        scale.by = ldexp(1.0, -10 * at);
        snprintf(scale.unit, sizeof scale.unit, "%s", plot_bytes[at]);
        break;
    case PLOT_SECONDS:
        at = most >= 1.0 ? 3 : most >= 1e-3 ? 2 : most >= 1e-6 ? 1 : 0;
        scale.by = pow(10.0, 9 - 3 * at);
        snprintf(scale.unit, sizeof scale.unit, "%s", times[at]);
        break;
    case PLOT_BYTES_PER_SECOND:
        at = most >= 1e12 ? 4 : most >= 1e9 ? 3 : most >= 1e6 ? 2 : most >= 1e3 ? 1 : 0;
        scale.by = pow(10.0, -3 * at);
        snprintf(scale.unit, sizeof scale.unit, "%s", rates[at]);
        break;
    case PLOT_SHARE:
        scale = (axis_scale){100.0, "%"};
        break;
    }
    return scale;
}

/* Powers of two with the names that they have elsewhere: gnuplot writes kiB. The range is a little wider, or rounding drops the last. */
static void axis_ticks_bytes(es_text *out, char which, double least, double most)
{
    int low = (int)floor(log2(least)), high = (int)ceil(log2(most)), step = 1 + (high - low) / 11;
    const char *comma = "";
    es_text_add(out, "set %ctics (", which);
    for (int i = low + (step - low % step) % step; i <= high; i += step) {
        es_text_add(out, "%s'%d %s' %.0f", comma, 1 << i % 10, plot_bytes[i / 10], ldexp(1.0, i));
        comma = ", ";
    }
    es_text_add(out, ")\nset %crange [%.9g:%.9g]\n", which, least / 1.05, most * 1.05);
}

/* 1, 2 and 5 of each decade, where gnuplot would name only the decades and there are two or less. The names are those of `set format`. */
static void axis_ticks_few(es_text *out, char which, const char *format, double least, double most)
{
    static const double steps[] = {1.0, 2.0, 5.0};
    const char *comma = "";
    es_text_add(out, "set %ctics (", which);
    for (int decade = (int)floor(log10(least)); decade <= (int)ceil(log10(most)); decade++)
        for (size_t i = 0; i < LENGTH(steps); i++) {
            const double at = steps[i] * pow(10.0, decade);
            if (at < least / 1.2 || at > most * 1.2)
                continue;
            es_text_add(out, "%sgprintf('%s', %.9g) %.9g", comma, format, at, at);
            comma = ", ";
        }
    es_text_add(out, ")\nset %crange [%.9g:%.9g]\n", which, least / 1.2, most * 1.2);
}

static void axis_ticks(es_text *out, char which, const plot_figure *f, const plot_axis *axis)
{
    static const char *const formats[] = {[PLOT_NUMBER] = "%g", [PLOT_BYTES] = "%g", [PLOT_SECONDS] = "%.0s %cs", [PLOT_BYTES_PER_SECOND] = "%.0s %cB/s", [PLOT_SHARE] = "%g"};
    double least, most;
    if (!axis->log)
        return;
    es_text_add(out, "set logscale %c %d\nset format %c '%s'\n", which, axis->unit == PLOT_BYTES ? 2 : 10, which, formats[axis->unit]);
    axis_span(f, which == 'y', &least, &most);
    if (axis->unit == PLOT_BYTES && least >= 1.0 && most < 0x1p49)
        axis_ticks_bytes(out, which, least, most);
    else if (axis->unit != PLOT_BYTES && axis->unit != PLOT_SHARE && least > 0.0 && most <= 100.0 * least)
        axis_ticks_few(out, which, formats[axis->unit], least, most);
}

static void axis_script(es_text *out, const plot_figure *f, bool upright)
{
    const plot_axis *axis = upright ? &f->y : &f->x;
    axis_scale scale = axis_scaled(f, upright);
    char which = upright ? 'y' : 'x', label[256];
    snprintf(label, sizeof label, "%.200s%s%s", axis->label ? axis->label : "", scale.unit[0] ? ", " : "", scale.unit);
    es_text_add(out, "set %clabel ", which);
    plot_put_quoted(out, label);
    es_text_add(out, "\n");
    axis_ticks(out, which, f, axis);
    if (axis->low != 0.0 || axis->high != 0.0)
        es_text_add(out, "set %crange [%.9g:%.9g]\n", which, axis->low * scale.by, axis->high * scale.by);
    else if (!upright && !axis->log && f->categories == 0)
        es_text_add(out, "set autoscale xfix\nset offsets graph 0.02, graph 0.02, 0, 0\n");
}

/* Names that lean to the left of their bars need room there: in characters, as `set lmargin` has it. */
static double category_room(const plot_figure *f)
{
    double room = 0.0;
    for (size_t i = 0; i < f->categories; i++) {
        const size_t length = text_characters(f->category[i], strlen(f->category[i]));
        room = fmax(room, 0.8 * (double)(length < PLOT_TICK ? length : PLOT_TICK + 3) - ((double)i + 0.5) * (double)PLOT_WIDE / (double)f->categories);
    }
    return room;
}

/* Does a bar, or what is said to be known of it, go below 0? */
static bool category_below(const plot_figure *f)
{
    for (size_t s = 0; s < f->count; s++)
        for (size_t i = 0; i < f->series[s].count; i++)
            if ((style_has_y(f->series[s].style) && f->series[s].y[i] < 0.0) || (style_has_range(&f->series[s]) && f->series[s].low[i] < 0.0))
                return true;
    return false;
}

static void category_script(es_text *out, const plot_figure *f)
{
    if (f->categories == 0)
        return;
    if (f->categories > 4 && category_room(f) > 8.0)
        es_text_add(out, "set lmargin %.0f\n", ceil(category_room(f)) + 2.0);
    es_text_add(out, "set xtics (");
    for (size_t i = 0; i < f->categories; i++) {
        put_tick(out, f->category[i]);
        es_text_add(out, " %zu%s", i, i + 1 < f->categories ? ", " : "");
    }
    const double aside = f->categories < PLOT_FEW ? 0.5 * (double)(PLOT_FEW - f->categories) : 0.0;    /* one bar alone would fill the page */
    es_text_add(out, ")%s\nset xrange [%g:%g]\n%s", f->categories > 4 ? " rotate by 25 right" : "", -0.6 - aside, (double)f->categories - 0.4 + aside,
        f->y.log ? "" : category_below(f) ? "set yrange [*<0:0<*]\n" : "set yrange [0:*]\n");
}

/* ---- series ---- */

typedef struct series_place {   /* where a series is among those it must differ from */
    size_t index, lines, bars, bar_count;
    axis_scale x, y;
} series_place;

static void series_look(es_text *out, const plot_series *s, const series_place *p)
{
    const char *colour = plot_colours[p->lines % LENGTH(plot_colours)], *dash = plot_dashes[p->lines % LENGTH(plot_dashes)];
    int point = plot_points[p->lines % LENGTH(plot_points)];
    switch (s->style) {
    case PLOT_LINE:
        es_text_add(out, "with lines lc rgb '%s' lw 2 dt %s", colour, dash);
        break;
    case PLOT_POINTS:
        es_text_add(out, "with points lc rgb '%s' pt %d ps %d", colour, point, s->large ? 2 : 1);
        break;
    case PLOT_BOTH:
        es_text_add(out, "with linespoints lc rgb '%s' lw 2 dt %s pt %d ps 1", colour, dash, point);
        break;
    case PLOT_STEPS:
        es_text_add(out, "with steps lc rgb '%s' lw 2 dt %s", colour, dash);
        break;
    case PLOT_BAND:
        es_text_add(out, "with filledcurves fc rgb '%s' fs transparent solid 0.25 noborder", colour);
        break;
    case PLOT_RANGES:
        es_text_add(out, "with yerrorbars lc rgb '%s' pt %d ps 1", colour, point);
        break;
    case PLOT_BARS:
        es_text_add(out, "with %s lc rgb '%s' fs pattern %d border lc rgb '%s'", style_has_range(s) ? "boxerrorbars" : "boxes", colour,
            plot_fills[p->bars % LENGTH(plot_fills)], colour);
        break;
    case PLOT_MARKS:
        es_text_add(out, "with lines lc rgb '%s' lw 1 dt %s", colour, dash);
        break;
    case PLOT_STACK:
        es_text_add(out, "with boxxyerror lc rgb '%s' fs pattern %d border lc rgb '%s'", colour, plot_fills[p->bars % LENGTH(plot_fills)], colour);
        break;
    case PLOT_AREA:
        es_text_add(out, "with filledcurves fc rgb '%s' fs pattern %d border lc rgb '%s'", colour, plot_fills[p->bars % LENGTH(plot_fills)], colour);
        break;
    }
}

/* Bars of one category stand side by side. */
static void series_using(es_text *out, const plot_series *s, const series_place *p)
{
    double width = 0.8 / (double)(p->bar_count ? p->bar_count : 1), shift = ((double)p->bars - 0.5 * (double)(p->bar_count - 1)) * width;
    if (s->style == PLOT_BARS && style_has_range(s))
        es_text_add(out, "using ($1%+.4f):($2*%.9g):($3*%.9g):($4*%.9g):(%.4f) ", shift, p->y.by, p->y.by, p->y.by, width);
    else if (s->style == PLOT_BARS)
        es_text_add(out, "using ($1%+.4f):($2*%.9g):(%.4f) ", shift, p->y.by, width);
    else if (s->style == PLOT_STACK)
        es_text_add(out, "using 1:(($2+$3)/2*%.9g):($1-0.35):($1+0.35):($2*%.9g):($3*%.9g) ", p->y.by, p->y.by, p->y.by);
    else if (style_is_span(s->style))
        es_text_add(out, "using ($1*%.9g):($2*%.9g):($3*%.9g) ", p->x.by, p->y.by, p->y.by);
    else if (s->style == PLOT_RANGES)
        es_text_add(out, "using ($1*%.9g):($2*%.9g):($3*%.9g):($4*%.9g) ", p->x.by, p->y.by, p->y.by, p->y.by);
    else
        es_text_add(out, "using ($1*%.9g):($2*%.9g) ", p->x.by, p->y.by);
}

/* An upright line has no numbers of its own on the other axis: an arrow from edge to edge, and its place in the legend. */
static void marks_script(es_text *out, const plot_figure *f, const series_place *places)
{
    for (size_t s = 0; s < f->count; s++)
        for (size_t i = 0; i < f->series[s].count && f->series[s].style == PLOT_MARKS; i++)
            if (series_has(f, &f->series[s], i)) {
                double x = f->series[s].x[i] * places[s].x.by;
                es_text_add(out, "set arrow from first %.9g, graph 0 to first %.9g, graph 1 nohead lc rgb '%s' lw 1 dt %s\n", x, x,
                    plot_colours[places[s].lines % LENGTH(plot_colours)], plot_dashes[places[s].lines % LENGTH(plot_dashes)]);
            }
}

/* A band without a label belongs to the line that follows it and has its colour. */
static void figure_places(const plot_figure *f, series_place *places)
{
    size_t lines = 0, bars = 0;
    axis_scale x = axis_scaled(f, false), y = axis_scaled(f, true);
    for (size_t s = 0; s < f->count; s++) {
        places[s] = (series_place){.index = s, .lines = lines, .bars = bars, .x = x, .y = y};
        bars += f->series[s].style == PLOT_BARS || f->series[s].style == PLOT_STACK || f->series[s].style == PLOT_AREA;
        lines += f->series[s].style != PLOT_BAND || f->series[s].label;
    }
    for (size_t s = 0; s < f->count; s++)
        places[s].bar_count = bars;
}

static void figure_series(es_text *out, const plot_figure *f, const series_place *places)
{
    es_text_add(out, "plot");
    for (size_t s = 0; s < f->count; s++) {
        const plot_series *series = &f->series[s];
        es_text_add(out, "%s \\\n    ", s ? "," : "");
        if (series->style == PLOT_MARKS) {
            es_text_add(out, "NaN ");
        } else {
            es_text_add(out, "'%s.dat' index %zu ", f->name, s);
            series_using(out, series, &places[s]);
        }
        series_look(out, series, &places[s]);
        if (series->label) {
            es_text_add(out, " title ");
            plot_put_quoted(out, series->label);
        } else {
            es_text_add(out, " notitle");
        }
        if (series->style == PLOT_AREA)     /* gnuplot gives it no edge of its own */
            es_text_add(out, ", \\\n    '%s.dat' index %zu using ($1*%.9g):($3*%.9g) with lines lc rgb '%s' lw 1 notitle", f->name, s, places[s].x.by, places[s].y.by,
                plot_colours[places[s].lines % LENGTH(plot_colours)]);
    }
    es_text_add(out, "\n");
}

static void figure_script(es_text *out, const plot_figure *f)
{
    series_place places[PLOT_SERIES];
    es_text plot = {0};
    figure_places(f, places);
    plot_put_head(out, f->name, f->formats);
    plot_put_title(out, f->title ? f->title : f->name, f->note);
    es_text_add(out, "set grid lc rgb '#dddddd' lt 1 lw 0.5\nset border 3\nset tics nomirror\nset errorbars small lw 1.5\nset rmargin 6\n"
        "set key outside below center horizontal Left reverse samplen 3 spacing 1.2 height 1\n");
    if (f->count > PLOT_LEGEND)
        es_text_add(out, "set key font ',11' spacing 1\n");
    category_script(out, f);
    axis_script(out, f, false);
    axis_script(out, f, true);
    marks_script(out, f, places);
    figure_series(&plot, f, places);
    plot_put_terminals(out, f->name, f->formats, &plot);
    es_text_free(&plot);
}

/* ---- files ---- */

es_code plot_save(const es_text *text, const char *folder, const char *name, const char *ending, es_err *err)
{
    es_text path = {0};
    es_text_add(&path, "%s/%s.%s", folder, name, ending);
    es_code code = path.failed || text->failed ? es_err_nomem(err, "a figure") : es_file_save(path.at, text->at, text->length, err);
    es_text_free(&path);
    return code;
}

es_code plot_write(const plot_figure *f, const char *folder, es_err *err)
{
    es_text data = {0}, script = {0};
    if (!plot_name_is_sound(f->name))
        return es_err_set(err, ES_EINTERNAL, "a figure cannot be called \"%s\": needs letters, digits, \"-\", \"_\" and \".\"", f->name ? f->name : "");
    if (f->count > PLOT_SERIES || !plot_has(f))
        return es_err_set(err, ES_EINTERNAL, "figure %s: has %zu series, needs at least one with a point to draw, and at most %d", f->name, f->count, PLOT_SERIES);
    es_code code = es_file_make_dirs(folder, err);
    for (size_t s = 0; s < f->count; s++)
        data_series(&data, f, &f->series[s]);
    figure_script(&script, f);
    if (code == ES_OK)
        code = plot_save(&data, folder, f->name, "dat", err);
    if (code == ES_OK)
        code = plot_save(&script, folder, f->name, "gp", err);
    es_text_free(&data);
    es_text_free(&script);
    return code;
}
