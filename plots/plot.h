/* Plot: figures as files, drawn by gnuplot.
 *
 * A figure becomes NAME.dat (its numbers, in SI units, one block for each series) and NAME.gp (a script that draws NAME.svg and
 * NAME.png from them); both can be kept, read and drawn again: `cd FOLDER && gnuplot NAME.gp`. The same figure is the same bytes.
 *
 * Series differ by colour (Okabe and Ito's, for the colour-blind), by dashes and by the shape of their points, so that a print
 * without colour can be read. Texts are UTF-8 and are drawn as they stand, quotes as apostrophes: nothing in them is a command. */
#ifndef ES_PLOTS_PLOT_H
#define ES_PLOTS_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

typedef enum plot_unit {        /* of the numbers of an axis; ticks and label follow it */
    PLOT_NUMBER,
    PLOT_BYTES,                 /* KiB, MiB, GiB */
    PLOT_SECONDS,               /* us, ms */
    PLOT_BYTES_PER_SECOND,      /* MB/s, GB/s */
    PLOT_SHARE                  /* 0.25 is drawn as 25 % */
} plot_unit;

typedef enum plot_style {
    PLOT_LINE,
    PLOT_POINTS,
    PLOT_BOTH,                  /* points, joined */
    PLOT_STEPS,                 /* a value holds until the next one */
    PLOT_BAND,                  /* what lies between low and high; y is not used */
    PLOT_RANGES,                /* points, each with a bar from low to high */
    PLOT_BARS,                  /* over the categories of the figure, x = 0, 1, ...; bars of low to high on them where these are given */
    PLOT_MARKS,                 /* upright lines at x; y is not used */
    PLOT_STACK,                 /* parts of bars over categories, from low to high; y is not used */
    PLOT_AREA                   /* as PLOT_BAND, filled with a pattern: what lies on what below it */
} plot_style;

typedef struct plot_axis {
    const char *label;          /* "size"; the unit is added */
    plot_unit unit;
    bool log;                   /* what is not above 0 is not drawn */
    double low, high;           /* both 0: as the numbers need */
} plot_axis;

typedef struct plot_series {
    const char *label;          /* NULL: not in the legend */
    plot_style style;
    bool large;                 /* points of twice the size, to be found among lines */
    const double *x, *y;        /* [count]; in the unit of the axis, SI. NaN: a gap */
    const double *low, *high;   /* [count], where the style has them */
    size_t count;
} plot_series;

typedef struct plot_figure {
    const char *name;           /* of its files: letters, digits, "-", "_" and "." */
    const char *title, *note;   /* note: small, below: where the numbers come from; NULL: none. A long title becomes two lines */
    plot_axis x, y;
    const char *const *category; /* [categories], of PLOT_BARS */
    size_t categories;
    const plot_series *series;  /* [count], at most PLOT_SERIES; drawn in their order */
    size_t count;
    unsigned formats;           /* PLOT_SVG | PLOT_PNG; 0: both */
} plot_figure;

enum { PLOT_SERIES = 32, PLOT_SVG = 1, PLOT_PNG = 2 };

/* Is there a point to draw? */
bool plot_has(const plot_figure *figure);
/* Writes NAME.dat and NAME.gp into the folder, and makes the folder. ES_EINPUT: the folder cannot be written. A figure without any
 * point to draw, or with a name that is none, is ES_EINTERNAL: whoever made it should have known. */
es_code plot_write(const plot_figure *figure, const char *folder, es_err *err);

typedef struct plot_heat {      /* a rectangle of cells, each the darker the greater its value */
    const char *name, *title, *note;    /* as of a figure */
    const char *x_label, *y_label, *value_label;
    const double *x, *y;        /* [columns], [rows]: where cells are, evenly spaced and ascending */
    const double *value;        /* [rows][columns], shares: 0.25 is 25 %; NaN: blank */
    size_t columns, rows;
    unsigned formats;
} plot_heat;

bool plot_has_heat(const plot_heat *heat);      /* a cell to draw, and no value that is no share */
/* As plot_write; a heat map without a cell, or of a value that is no share, is ES_EINTERNAL. */
es_code plot_write_heat(const plot_heat *heat, const char *folder, es_err *err);
/* Runs gnuplot on NAME.gp in the folder. *drawn is false, and all else is well, where there is no gnuplot on the PATH.
 * ES_EDEVICE: gnuplot failed; the message has what it said. */
es_code plot_draw(const char *name, const char *folder, bool *drawn, es_err *err);

#endif
