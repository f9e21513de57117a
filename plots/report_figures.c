/* A figure of gnuplot inside a page. See report_inside.h.
 *
 * gnuplot writes whole files: a declaration, names that every figure shares, titles such as "gnuplot_plot_1" that a browser shows as if they
 * meant something. A walk over its tags keeps elements and their attributes, changes ids and what refers to them, and drops the rest. */
#include <string.h>

#include "plots/report_inside.h"

typedef struct figure_walk {
    const char *at;
    const char *prefix, *title;
    bool begun;                 /* the svg element was met */
} figure_walk;

/* Of a name at the beginning; 0: there is none. */
static size_t figure_name(const char *at)
{
    return strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.");
}

static bool figure_is(const char *at, const char *word)
{
    const size_t length = strlen(word);
    return figure_name(at) == length && strncmp(at, word, length) == 0;
}

/* Elements that are left out with all that is in them. */
static const char *figure_dropped(const char *at)
{
    static const char *const names[] = {"title", "desc", "script", "foreignObject", "image", "a", "style"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (figure_is(at + 1, names[i]))
            return names[i];
    return NULL;
}

/* Behind the end of an element without others of its name inside. */
static const char *figure_past(const char *at, const char *name)
{
    const char *close = strchr(at, '>');
    if (!close)
        return at + strlen(at);
    if (close[-1] == '/')
        return close + 1;
    for (const char *end = close; (end = strstr(end, "</")) != NULL; end += 2)
        if (figure_is(end + 2, name)) {
            close = strchr(end, '>');
            return close ? close + 1 : end + strlen(end);
        }
    return at + strlen(at);
}

/* Attributes that name the outside, or run something. */
static bool figure_kept(const char *name, size_t length, const char *value)
{
    const bool refers = length >= 4 && strncmp(name + length - 4, "href", 4) == 0;
    return strncmp(name, "xmlns", 5) != 0 && strncmp(name, "on", 2) != 0 && (!refers || *value == '#');
}

/* A value with the prefix behind "#" where it refers to an id, and before an id itself. */
static void figure_value(const figure_walk *w, const char *name, size_t length, const char *value, size_t size, es_text *page)
{
    const bool id = length == 2 && strncmp(name, "id", 2) == 0, refers = length >= 4 && strncmp(name + length - 4, "href", 4) == 0;
    if (id)
        html_put(page, w->prefix);
    for (size_t i = 0; i < size; i++) {
        if (value[i] == '"')
            es_text_put(page, "&quot;", 6);
        else if (value[i] == '<')
            es_text_put(page, "&lt;", 4);
        else
            es_text_put(page, value + i, 1);
        if (value[i] == '#' && ((refers && i == 0) || (i >= 4 && strncmp(value + i - 4, "url(", 4) == 0)))
            html_put(page, w->prefix);
    }
}

/* One attribute at `at`; returns behind it. */
static const char *figure_attribute(const figure_walk *w, const char *at, es_text *page)
{
    const size_t length = figure_name(at);
    const char *equals = at + length + strspn(at + length, " \t\r\n");
    if (length == 0 || *equals != '=')
        return at + (length ? length : 1);
    const char *open = equals + 1 + strspn(equals + 1, " \t\r\n");
    if (*open != '"' && *open != '\'')
        return open;
    const char *close = strchr(open + 1, *open);
    if (!close)
        return open + strlen(open);
    if (figure_kept(at, length, open + 1)) {
        es_text_put(page, " ", 1);
        const char *colon = memchr(at, ':', length);
        const char *name = colon ? colon + 1 : at;      /* "xlink:href" is "href" by now */
        es_text_put(page, name, length - (size_t)(name - at));
        es_text_put(page, "=\"", 2);
        figure_value(w, at, length, open + 1, (size_t)(close - open - 1), page);
        es_text_put(page, "\"", 1);
    }
    return close + 1;
}

/* A tag at `at`, which is at "<"; returns behind it. */
static const char *figure_tag(figure_walk *w, const char *at, es_text *page)
{
    const char *name = at + 1 + (at[1] == '/');
    const size_t length = figure_name(name);
    es_text_put(page, at, (size_t)(name - at) + length);
    if (!w->begun)
        html_add(page, " role=\"img\" aria-label=\"%s\"", w->title);
    w->begun = true;
    for (at = name + length; *at && *at != '>';) {
        at += strspn(at, " \t\r\n");
        if (*at == '/') {
            es_text_put(page, "/", 1);
            at++;
        } else if (*at && *at != '>') {
            at = figure_attribute(w, at, page);
        }
    }
    es_text_put(page, ">", 1);
    return *at ? at + 1 : at;
}

void report_svg(const char *svg, const char *prefix, const char *title, es_text *page)
{
    figure_walk w = {.at = strstr(svg, "<svg"), .prefix = prefix, .title = title};
    while (w.at && *w.at) {
        const size_t plain = strcspn(w.at, "<");
        es_text_put(page, w.at, plain);
        w.at += plain;
        if (!*w.at)
            break;
        const char *drop = figure_dropped(w.at);
        if (drop)
            w.at = figure_past(w.at, drop);
        else if (strncmp(w.at, "<!--", 4) == 0)
            w.at = strstr(w.at, "-->") ? strstr(w.at, "-->") + 3 : NULL;
        else if (w.at[1] == '!' || w.at[1] == '?')
            w.at = strchr(w.at, '>') ? strchr(w.at, '>') + 1 : NULL;
        else
            w.at = figure_tag(&w, w.at, page);
    }
}
