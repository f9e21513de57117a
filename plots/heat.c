/* Heat: a heat map as data and script; see plot.h.
 *
 * Dark is much: the palette goes from white to a dark blue, evenly in lightness, so that it reads the same without colour. Cells are
 * drawn as rectangles, for an image would be a file of its own beside the svg. */
#include <math.h>

#include "plots/plot_inside.h"
#include "sim/base/file.h"

enum { HEAT_TICKS = 12 };       /* so few cells have one each */

bool plot_has_heat(const plot_heat *h)
{
    bool has = false;
    for (size_t i = 0; i < h->columns * h->rows; i++) {
        if (isfinite(h->value[i]) && (h->value[i] < 0.0 || h->value[i] > 1.0))
            return false;
        has = has || isfinite(h->value[i]);
    }
    return has;
}

static void heat_data(es_text *out, const plot_heat *h)
{
    es_text_add(out, "# x y value\n");
    for (size_t r = 0; r < h->rows; r++)
        for (size_t c = 0; c < h->columns; c++) {
            plot_put_number(out, h->x[c]);
            plot_put_number(out, h->y[r]);
            plot_put_number(out, h->value[r * h->columns + c]);
            es_text_add(out, "\n");
        }
}

/* Half a cell on each side: a single column or row is one wide. */
static void heat_range(es_text *out, char which, const double *at, size_t count)
{
    const double half = count > 1 ? (at[count - 1] - at[0]) / (double)(count - 1) / 2.0 : 0.5;
    es_text_add(out, "%c_half = %.9g\nset %crange [%.9g:%.9g]\n", which, half, which, at[0] - half, at[count - 1] + half);
    if (count > HEAT_TICKS)
        return;
    es_text_add(out, "set %ctics (", which);        /* left alone gnuplot would put some between the cells */
    for (size_t i = 0; i < count; i++)
        es_text_add(out, "%s%.9g", i ? ", " : "", at[i]);
    es_text_add(out, ")\n");
}

static void heat_label(es_text *out, const char *which, const char *text)
{
    es_text_add(out, "set %slabel ", which);
    plot_put_quoted(out, text ? text : "");
    es_text_add(out, "\n");
}

static void heat_script(es_text *out, const plot_heat *h)
{
    es_text plot = {0};
    plot_put_head(out, h->name, h->formats);
    plot_put_title(out, h->title ? h->title : h->name, h->note);
    es_text_add(out, "set border 3\nset tics nomirror out\nunset key\nset rmargin 12\nset bmargin 4\n");
    heat_label(out, "x", h->x_label);
    heat_label(out, "y", h->y_label);
    heat_label(out, "cb", h->value_label);
    heat_range(out, 'x', h->x, h->columns);
    heat_range(out, 'y', h->y, h->rows);
    es_text_add(out, "set palette defined (0 '#ffffff', 25 '#c6dbef', 50 '#6baed6', 75 '#2171b5', 100 '#08204a')\nset cbrange [0:100]\n");
    es_text_add(out, "set style fill solid 1 noborder\n");
    es_text_add(&plot, "plot '%s.dat' using 1:2:(x_half):(y_half):($3*100) with boxxyerror lc palette\n", h->name);
    plot_put_terminals(out, h->name, h->formats, &plot);
    es_text_free(&plot);
}

es_code plot_write_heat(const plot_heat *h, const char *folder, es_err *err)
{
    es_text data = {0}, script = {0};
    if (!plot_name_is_sound(h->name) || !plot_has_heat(h))
        return es_err_set(err, ES_EINTERNAL, "heat map %s: needs a name of letters, digits, \"-\", \"_\" and \".\", a cell, and shares from 0 to 1",
            h->name ? h->name : "");
    heat_data(&data, h);
    heat_script(&script, h);
    es_code code = es_file_make_dirs(folder, err);
    if (code == ES_OK)
        code = plot_save(&data, folder, h->name, "dat", err);
    if (code == ES_OK)
        code = plot_save(&script, folder, h->name, "gp", err);
    es_text_free(&data);
    es_text_free(&script);
    return code;
}
