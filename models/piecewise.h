/* Piecewise cost: a latency, then bytes at rates that change with the size of the object. Shared by piecewise.c and empirical.c.
 *
 *     fixed = latency + per_object * count
 *     work  = count * (bytes up to the first knee over its rate + bytes beyond it over the next ...)
 *
 * With a page there are two pieces: whole pages of an object go at the rate of the second, the rest at that of the first, as memory does
 * that is taken in huge pages and small ones.
 *
 * A piece with a latency of its own starts anew: from its size on, time is that latency and all bytes at its rate (another
 * protocol). Measured curves of memory bend where a cache or a page size ends; one rate would be off by half on either side. */
#ifndef ES_MODELS_PIECEWISE_H
#define ES_MODELS_PIECEWISE_H

#include "sim/part/timing.h"

enum { ES_PIECES = 8 };

typedef struct es_piece {
    int64_t from;               /* bytes of one object */
    double rate;                /* bytes per second */
    es_time latency_ns;         /* -1: goes on from the piece before */
} es_piece;

typedef struct es_piecewise {
    es_time latency_ns, per_object_ns;
    int64_t page;               /* bytes; 0: pieces by size */
    const es_json *list;
    es_piece piece[ES_PIECES];
    size_t pieces;
} es_piecewise;

/* Reads `list`, after the options are parsed. */
es_code es_piecewise_init(es_piecewise *p, es_arena *arena, es_err *err);
es_cost es_piecewise_cost(const es_piecewise *p, const es_op *op);

/* The option rows of an es_piecewise that is the member `at` of a part's state. */
#define ES_PIECEWISE_OPTIONS(state, at) \
    { .name = "latency", .type = ES_OPT_TIME, .offset = offsetof(state, at.latency_ns), .max = 9e15, \
      .help = "Fixed time of one operation, paid once per batch." }, \
    { .name = "per_object", .type = ES_OPT_TIME, .offset = offsetof(state, at.per_object_ns), .max = 9e8, \
      .help = "Fixed time of each object of a batch." }, \
    { .name = "pieces", .type = ES_OPT_JSON, .offset = offsetof(state, at.list), .required = true, \
      .help = "Rates by size: [{from, rate, latency}, ...], ascending by from, the first from 0; a latency starts anew." }, \
    { .name = "page", .type = ES_OPT_BYTES, .offset = offsetof(state, at.page), .max = 0x1p53, \
      .help = "Of two pieces: what fills whole pages of this size goes at the second rate, the rest at the first; 0: pieces are by size." }

#endif
