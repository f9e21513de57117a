/* Drawn: steps from counts of uses, which say how often each expert of a layer was used, but not when.
 *
 * Every count is met exactly: the uses of a layer stand on a line, experts in random order, and token t takes the places p, p + n, p + 2n
 * ... of it, n being the tokens of the layer and p a random permutation of t. An expert has at most n uses in n tokens, so no row lists
 * it twice. Which tokens are near each other is chance: what depends on order is not in counts and not in such a trace.
 *
 * A set of counts is a request. Counts that are no whole numbers, and those of which another number of tokens is wanted, are scaled
 * first and rounded to the nearest total. */
#ifndef ES_TRACES_DRAWN_H
#define ES_TRACES_DRAWN_H

#include "sim/base/rng.h"
#include "traces/assume.h"
#include "traces/trace.h"

typedef struct es_drawn_options { int64_t tokens, seed; } es_drawn_options;     /* begin the state of the source */

typedef struct es_drawn_form {
    const char *format, *sha256, *path;
    uint64_t sets;
    uint32_t layers, experts, top_k;    /* of the counts */
    /* Reads the next set into [layers][experts] numbers, none below 0. */
    es_code (*load)(void *self, double *counts, es_err *err);
    es_code (*again)(void *self, es_err *err);      /* the first set is next */
} es_drawn_form;

typedef struct es_drawn {               /* stands first in the state of the source */
    es_drawn_options options;
    es_drawn_form form;
    es_trace_info info;
    es_text notes;
    bool whole;                         /* all counts are whole numbers */
    uint32_t *kept;                     /* [info.layers] layers of the counts that have uses */
    es_stream order, place;
    /* the set at hand */
    uint64_t set, requests;             /* the next set; requests begun */
    uint64_t tokens, at;                /* of the request; the token that comes next */
    double *counts;                     /* [layers][experts] */
    uint16_t *expert;                   /* [layers][experts] in their order on the line */
    uint64_t *end;                      /* [layers][experts] where each ends on it */
    uint64_t *rows;                     /* [layers] tokens of the layer */
    uint64_t given;
    es_token token;
    uint16_t *ids;                      /* [info.layers][top_k] */
} es_drawn;

extern const es_option es_drawn_table[];

/* Goes through all sets once. */
es_code es_drawn_open(es_drawn *drawn, const es_drawn_form *form, es_arena *arena, es_err *err);

/* The reading half of es_source. */
const es_trace_info *es_drawn_info(void *self);
es_code es_drawn_next(void *self, es_step *step, bool *more, es_err *err);
es_code es_drawn_rewind(void *self, es_err *err);
void es_drawn_fini(void *self);

#endif
