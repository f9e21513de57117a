/* Dense: routing as one array of expert ids with three axes, token, layer and place in the row, in any order and integer type.
 *
 * With the tokens slowest the array is read as a stream: once through for its extremes, its length and its hash, then in windows of
 * tokens. Any other order has a token's ids all over the file, so the array is kept in memory, two bytes per id.
 *
 * -1 is an empty place. A layer in which no token has an id, or whose rows are all zeros, is taken for a dense one and left out. A list
 * of requests may stand beside the array (lens.h). */
#ifndef ES_TRACES_DENSE_H
#define ES_TRACES_DENSE_H

#include "traces/bytes.h"
#include "traces/ids.h"
#include "traces/lens.h"

typedef enum es_dense_axis { ES_DENSE_TOKEN, ES_DENSE_LAYER, ES_DENSE_PLACE, ES_DENSE_AXES } es_dense_axis;

#define ES_DENSE_OPEN UINT64_MAX        /* so many tokens as the file has */

typedef struct es_dense_form {          /* what the header of a format says, or the person */
    const char *format;
    es_ids_type type;
    bool big_endian;
    uint64_t header, tokens;            /* bytes before the first id; tokens of the array or ES_DENSE_OPEN */
    uint32_t layers, top_k, experts;    /* experts 0: the highest id + 1 */
    es_dense_axis axis[ES_DENSE_AXES];  /* slowest first */
} es_dense_form;

typedef struct es_dense_holes { uint64_t rows, first; uint32_t ids; } es_dense_holes;    /* first: token of the first of them; how many it lists */

typedef struct es_dense {               /* a source's state may begin with one */
    es_dense_form form;
    es_bytes bytes;
    es_trace_info info;
    es_text notes;
    es_lens lens;
    bool lenient, whole;                /* whole: `ids` holds all of the array */
    uint32_t *kept;                     /* [info.layers] layers of the file that route */
    uint8_t *zeros, *routes;            /* [form.layers] rows are zeros as far as the first token shows; some row has an id */
    es_dense_holes *none, *fewer;       /* [form.layers] rows without an id; with fewer than top_k */
    es_ids_twice *twice;
    uint64_t highest;
    /* the window: tokens [first, first + count) */
    uint16_t *ids;                      /* [room][layers][top_k] */
    es_token *token;                    /* [longest step] */
    uint64_t first, count, room, block; /* block: tokens that are read together */
    uint64_t at;                        /* the token that comes next */
    es_lens_place place;                /* of the token `at` */
} es_dense;

/* Opens ask->path, which must be of that form: every id is in range then, totals are known. */
es_code es_dense_open(es_dense *dense, const es_dense_form *form, const es_source_ask *ask, es_arena *arena, es_err *err);

/* The reading half of es_source; `self` begins with an es_dense. */
const es_trace_info *es_dense_info(void *self);
es_code es_dense_next(void *self, es_step *step, bool *more, es_err *err);
es_code es_dense_rewind(void *self, es_err *err);
void es_dense_fini(void *self);

#endif
