/* Html: see html.h. */
#include "plots/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- text ---- */

static const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_put(es_text *out, const char *text)
{
    size_t left = text ? strlen(text) : 0;
    while (left > 0) {
        const char *entity = html_entity(*text);
        const unsigned char c = (unsigned char)*text;
        size_t length = es_text_utf8(text, left);
        if (entity)
            es_text_put(out, entity, strlen(entity));
        else if (length == 0)
            es_text_put(out, "\xef\xbf\xbd", 3);
        else if ((c < 0x20 && c != '\n') || c == 0x7f)
            es_text_put(out, " ", 1);
        else
            es_text_put(out, text, length);
        length = length ? length : 1;
        text += length;
        left -= length;
    }
}

/* One conversion at `at`, which begins behind the "%"; returns where it ends. */
static const char *html_convert(es_text *out, const char *at, va_list args)
{
    char spec[32], text[400];
    const size_t length = strspn(at, "-+ #0123456789.z") + 1;
    const char kind = at[length - 1];
    if (kind == '%') {
        es_text_put(out, "%", 1);
        return at + length;
    }
    snprintf(spec, sizeof spec, "%%%.*s", (int)length, at);
    if (kind == 's') {
        html_put(out, va_arg(args, const char *));
        return at + length;
    }
    /* the compiler has checked the caller's format, and this is a piece of it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (kind == 'u')
        snprintf(text, sizeof text, spec, va_arg(args, size_t));
    else if (kind == 'd')
        snprintf(text, sizeof text, spec, va_arg(args, int));
    else
        snprintf(text, sizeof text, spec, va_arg(args, double));
#pragma GCC diagnostic pop
    es_text_put(out, text, strlen(text));
    return at + length;
}

void html_add(es_text *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    while (*fmt) {
        const size_t plain = strcspn(fmt, "%");
        es_text_put(out, fmt, plain);
        fmt += plain;
        if (*fmt)
            fmt = html_convert(out, fmt + 1, args);
    }
    va_end(args);
}

/* ---- numbers ---- */

/* "0 %" and "100 %" are none and all, never nearly so. */
static void html_share(es_text *out, double share)
{
    const double percent = 100.0 * share, size = fabs(percent);
    if (size > 0.0 && size < 0.005)
        es_text_add(out, "< 0.01 %%");
    else if (size > 99.95 && size < 100.0)
        es_text_add(out, size < 99.99 ? "%.2f %%" : "> 99.99 %%", percent);
    else
        es_text_add(out, "%.*f %%", size >= 99.95 || size == 0.0 ? 0 : size < 1.0 ? 2 : 1, percent);
}

static void html_rate(es_text *out, double rate)
{
    static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
    size_t at = 0;
    while (fabs(rate) >= 999.5 && at + 1 < sizeof units / sizeof *units) {
        rate /= 1000.0;
        at++;
    }
    es_text_add(out, "%.3g %s", rate, units[at]);
}

/* Four digits that count, so that a column of like numbers has its points below each other. */
static void html_real(es_text *out, double value)
{
    const double size = fabs(value);
    if (size < 0x1p53 && (value == floor(value) || size >= 1000.0))
        es_text_count(out, (int64_t)round(value));
    else if (size < 0.001 || size >= 0x1p53)
        es_text_add(out, "%.3g", value);
    else
        es_text_add(out, "%.*f", size >= 100.0 ? 1 : size >= 10.0 ? 2 : size >= 1.0 ? 3 : 4, value);
}

static void html_number_text(es_text *out, double value, html_unit unit)
{
    switch (unit) {
    case HTML_NUMBER:
    case HTML_COUNT:
        html_real(out, value);
        break;
    case HTML_SECONDS:
        es_text_duration(out, 1e9 * value);
        break;
    case HTML_BYTES:
        es_text_bytes(out, value);
        break;
    case HTML_RATE:
        html_rate(out, value);
        break;
    case HTML_SHARE:
        html_share(out, value);
        break;
    }
}

/* Number and unit stay on one line. */
void html_number(es_text *out, double value, html_unit unit)
{
    es_text text = {0};
    if (!isfinite(value)) {
        es_text_add(out, "\xe2\x80\x93");
        return;
    }
    html_number_text(&text, value, unit);
    for (const char *c = text.at ? text.at : ""; *c; c++)
        if (*c == ' ')
            es_text_put(out, "\xc2\xa0", 2);
        else
            html_put(out, (char[]){*c, '\0'});
    out->failed = out->failed || text.failed;
    es_text_free(&text);
}

/* ---- tables ---- */

enum { HTML_WIDE = 11 };         /* more columns than that do not fit on paper in the usual letters */

static void html_table_of(es_text *out, const char *kind, const char *caption, const html_column *columns, size_t count)
{
    html_add(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">\n<table class=\"%s%s\">\n<caption>%s</caption>\n<thead><tr>", caption, kind,
        count > HTML_WIDE ? " wide" : "", caption);
    for (size_t i = 0; i < count; i++) {
        es_text_add(out, "<th scope=\"col\"%s>", columns[i].number ? " class=\"n\"" : "");
        html_put(out, columns[i].head);
        es_text_add(out, "</th>");
    }
    es_text_add(out, "</tr></thead>\n<tbody>\n");
}

void html_table(es_text *out, const char *caption, const html_column *columns, size_t count)
{
    html_table_of(out, "sorts", caption, columns, count);
}

void html_facts(es_text *out, const char *caption, const html_column *columns, size_t count)
{
    html_table_of(out, "facts", caption, columns, count);
}

void html_row(es_text *out, const char *head)
{
    html_add(out, "<tr><th scope=\"row\">%s</th>", head);
}

void html_cell(es_text *out, const char *text)
{
    html_add(out, "<td>%s</td>", text);
}

/* What is sorted by stands beside what is read. */
static void html_cell_value(es_text *out, double value)
{
    if (isfinite(value))
        html_add(out, " data-v=\"%.17g\"", value);
}

void html_cell_number(es_text *out, double value, html_unit unit)
{
    es_text_add(out, "<td class=\"n\"");
    html_cell_value(out, value);
    es_text_add(out, ">");
    html_number(out, value, unit);
    es_text_add(out, "</td>");
}

void html_cell_bar(es_text *out, double share, const char *kind)
{
    const double width = isfinite(share) ? 100.0 * fmin(fmax(share, 0.0), 1.0) : 0.0;
    es_text_add(out, "<td class=\"n bar\"");
    html_cell_value(out, share);
    html_add(out, "><span class=\"track\"><span class=\"fill %s\" style=\"width:%.2f%%\"></span></span><span class=\"share\">", kind, width);
    html_number(out, share, HTML_SHARE);
    es_text_add(out, "</span></td>");
}

void html_row_end(es_text *out)
{
    es_text_add(out, "</tr>\n");
}

void html_table_end(es_text *out)
{
    es_text_add(out, "</tbody>\n</table>\n</div>\n");
}

/* ---- sections ---- */

void html_section(es_text *out, const char *id, const char *heading)
{
    html_add(out, "<section id=\"%s\" aria-labelledby=\"%s-h\">\n<h2 id=\"%s-h\">%s</h2>\n", id, id, id, heading);
}

void html_section_end(es_text *out)
{
    es_text_add(out, "</section>\n\n");
}

void html_fold(es_text *out, const char *summary, bool lengthy)
{
    es_text_add(out, "<details%s>\n", lengthy ? " class=\"long\"" : "");
    html_add(out, "<summary>%s</summary>\n", summary);
}

void html_fold_end(es_text *out)
{
    es_text_add(out, "</details>\n");
}
