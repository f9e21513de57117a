/* Inside a report: what its files share. See report.h.
 *
 *     report.c          the page, figures, how to make it again      report_figures.c  a figure of gnuplot inside a page
 *     report_run.c      sections of a run                            report_say.c      what a run means, in words
 *     report_time.c     where the time went                          report_buffers.c  a run over a trace of buffers
 *     report_compare.c  a comparison                                 report_sweep.c, report_sweep_tables.c   a sweep */
#ifndef ES_PLOTS_REPORT_INSIDE_H
#define ES_PLOTS_REPORT_INSIDE_H

#include <math.h>
#include <stdlib.h>

#include "plots/html.h"
#include "plots/report.h"

extern const char report_css[], report_js[];    /* report.css and report.js, made texts by embed.py */

static inline double report_value(const es_json *value)
{
    return cJSON_IsNumber(value) ? value->valuedouble : cJSON_IsRaw(value) ? strtod(value->valuestring, NULL) : (double)NAN;
}

/* NaN, NULL: there is none. */
static inline double report_number(const es_json *result, const char *path)
{
    return report_value(es_json_at(result, path));
}

static inline const char *report_text(const es_json *result, const char *path)
{
    const es_json *value = es_json_at(result, path);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

static inline const char *report_word(const es_json *result, const char *path, const char *otherwise)
{
    const char *text = report_text(result, path);
    return text ? text : otherwise;
}

/* ---- report.c ---- */

typedef struct report_row {     /* a number of a result that is shown beside its meaning */
    const char *path, *label;
    html_unit unit;
    const char *meaning;
    bool some;                  /* of interest only where it is not 0 */
} report_row;

/* A table of what is there of the rows; false, and nothing is written, where nothing is. */
bool report_rows(const es_json *result, const char *caption, const report_row *rows, size_t count, es_text *page);
/* A number that stands out at the top, with what it is and a word on it. */
void report_tile(es_text *page, double value, html_unit unit, const char *label, const char *more);
/* Everything in a value, key by key, for what no section shows. */
void report_all(const es_json *value, const char *caption, es_text *page);
/* The unit of a number by the end of its key: "_s" are seconds. */
html_unit report_unit(const char *key);

/* ---- report_figures.c ---- */

/* The elements of a figure inside a page: its ids become `prefix`ed, texts that gnuplot adds for nobody are left out, and nothing in it runs
 * or is fetched. `title` says to who does not see it what it shows. */
void report_svg(const char *svg, const char *prefix, const char *title, es_text *page);

/* ---- report_time.c ---- */

typedef struct report_cause {   /* a share of the time */
    char key[96];               /* "wait.pcie" */
    double seconds;
} report_cause;

enum { REPORT_CAUSES = 64 };    /* the most that are shown */

const es_json *report_attribution(const es_json *result);
/* What is in an attribution, greatest first, without what took no time; returns how many. */
size_t report_causes(const es_json *attribution, report_cause *causes);
/* "waiting for pcie" */
void report_cause_words(const char *key, es_text *out);
/* What colours a cause: compute, waiting, all else. */
const char *report_cause_kind(const char *key);
bool report_cause_waits(const char *key);
void report_time(const report_ask *ask, es_text *page);

/* ---- sections by kind ---- */

void report_run_verdict(const report_ask *ask, es_text *page);
void report_run(const report_ask *ask, es_text *page);
void report_buffers_verdict(const report_ask *ask, es_text *page);
void report_buffers(const report_ask *ask, es_text *page);
void report_compare_verdict(const report_ask *ask, es_text *page);
void report_compare(const report_ask *ask, es_text *page);
void report_sweep_verdict(const report_ask *ask, es_text *page);
void report_sweep(const report_ask *ask, es_text *page);

#endif
