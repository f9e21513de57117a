/* Html: pages put together as text. Whatever comes from outside is escaped by the function that writes it; markup stands in formats only.
 *
 * Everything is added to an es_text, whose `failed` says at the end whether memory ran out. */
#ifndef ES_PLOTS_HTML_H
#define ES_PLOTS_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/text.h"

/* As es_text_add, but what stands for a %s is text: it is escaped, for elements and for attributes in double quotes. Conversions are those
 * of int, size_t (%zu) and double, with flags, width and precision; %s takes no precision. */
void html_add(es_text *out, const char *fmt, ...) ES_PRINTF(2, 3);
/* Escaped text. Bytes that are no UTF-8 become U+FFFD, control characters blanks. */
void html_put(es_text *out, const char *text);

typedef enum html_unit {        /* how a number is written; sizes and times in SI, shares of 1 */
    HTML_NUMBER,
    HTML_COUNT,                 /* 22,340 */
    HTML_SECONDS,               /* 16.7 ms */
    HTML_BYTES,                 /* 4 GiB */
    HTML_RATE,                  /* 15.9 GB/s */
    HTML_SHARE                  /* 71.2 % */
} html_unit;

/* A number for people; what is no number is a dash. */
void html_number(es_text *out, double value, html_unit unit);

typedef struct html_column {
    const char *head;
    bool number;                /* right-aligned; its cells begin with greatest when sorted */
} html_column;

/* A table that can be scrolled by itself; with a script that knows the class, sorted by its heads. Rows are html_row and cells; the first cell
 * of a row is its head. */
void html_table(es_text *out, const char *caption, const html_column *columns, size_t count);
/* The same of facts of different kinds, which have an order of their own. */
void html_facts(es_text *out, const char *caption, const html_column *columns, size_t count);
void html_row(es_text *out, const char *head);
void html_cell(es_text *out, const char *text);
void html_cell_number(es_text *out, double value, html_unit unit);
/* A share of 1 as a number with a bar behind it; `kind` colours it as html_kind does. */
void html_cell_bar(es_text *out, double share, const char *kind);
void html_row_end(es_text *out);
void html_table_end(es_text *out);

/* A section with its heading; `id` is for links. Ended by html_section_end. */
void html_section(es_text *out, const char *id, const char *heading);
void html_section_end(es_text *out);
/* What is shown on demand; on paper it is unfolded where it is not `lengthy`, as whole config files are. */
void html_fold(es_text *out, const char *summary, bool lengthy);
void html_fold_end(es_text *out);

#endif
