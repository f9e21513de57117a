/* Text: a growing string, numbers with units, and the nearest name. */
#ifndef ES_BASE_TEXT_H
#define ES_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

typedef struct es_text {        /* {0} is empty; `at` is always terminated once something was added */
    char *at;
    size_t length, room;
    bool failed;                /* memory ran out; what was added since is lost */
} es_text;

void es_text_add(es_text *text, const char *fmt, ...) ES_PRINTF(2, 3);
void es_text_put(es_text *text, const char *bytes, size_t count);
void es_text_cut(es_text *text, size_t length);      /* its first `length` bytes remain */
void es_text_free(es_text *text);

/* The candidate nearest to `word` by edit distance, NULL when none is near enough to be worth suggesting. */
const char *es_text_nearest(const char *word, const char *const *candidates, size_t count);

/* The kinds of quantity that configs write with a unit. A bare number is not accepted where a unit exists, except 0. */
typedef enum es_unit {
    ES_UNIT_BYTES,              /* "24GiB", "4000MiB", "64MB", "512B"; KiB MiB GiB TiB = 2^10.., KB MB GB TB = 10^3.. */
    ES_UNIT_TIME,               /* "3.4ms"; ns us ms s; value in ns */
    ES_UNIT_RATE                /* "12GB/s", "800MiB/s"; value in bytes per second */
} es_unit;

/* Parses "3.4ms" and the like. The error names the text found and the units that would be right. */
es_code es_text_quantity(const char *text, es_unit unit, double *value, es_err *err);
/* Shortest exact text of a quantity: 4194304000 -> "4000MiB", 10000 -> "10us". Parsing it gives the same value. */
void es_text_unit(es_text *out, double value, es_unit unit);
/* For people: "3.91 GiB", "12.3 ms", "1,763,712". */
void es_text_bytes(es_text *out, double bytes);
void es_text_duration(es_text *out, double ns);
void es_text_count(es_text *out, int64_t count);

/* Length of the UTF-8 character at p, 0 when it is none: cut short, overlong, half a surrogate pair or beyond U+10FFFF. */
size_t es_text_utf8(const char *p, size_t left);

#endif
