/* Report: a result as one HTML file for people, to be read, printed and sent: what it means in words first, then the numbers that say so,
 * figures, and how to make it again. It takes nothing from the network; without JavaScript only the sorting of tables is missing. */
#ifndef ES_PLOTS_REPORT_H
#define ES_PLOTS_REPORT_H

#include "sim/base/json.h"
#include "sim/base/text.h"

typedef enum report_kind { REPORT_RUN, REPORT_COMPARISON, REPORT_SWEEP } report_kind;

typedef struct report_figure {
    const char *asks;           /* the question that it answers; NULL: none */
    const char *title;          /* the finding; of a missing one its name */
    const char *svg;            /* as gnuplot wrote it; NULL: it is missing */
    const char *missing;        /* why */
} report_figure;

typedef struct report_ask {
    report_kind kind;
    const es_json *result;      /* result.json; compare.json; of a sweep es_sweep_table */
    const es_json *verdict;     /* verdict.json of the same config; NULL: none */
    const es_json *explained;   /* explain.json of the same config: what would be if things were free; NULL: none */
    const char *path;           /* of the result, as commands that are shown name it */
    const report_figure *figure;
    size_t figures;
    const char *undrawn;        /* why none is drawn and how to get them; NULL: they are */
    const char *(*meaning)(const char *key);    /* of an option of the contract, in a sentence; NULL where nothing is known */
} report_ask;

/* Adds the whole page; `failed` of it says whether memory ran out. The same input gives the same bytes. */
void report_write(const report_ask *ask, es_text *page);

#endif
