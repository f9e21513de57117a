/* Routed array: an array of expert ids, [tokens][layers][rank], in any of the ways in which an answer of a server has it.
 *
 *     [[[12, 5], ...], ...]                                      lists
 *     "base64"                                                   of a NumPy .npy file (vLLM from 0.22), known by its first bytes, or of bare
 *                                                                little-endian int32 (SGLang)
 *     {"data": "base64", "shape": [..3..], "dtype": "int16"}     of bare numbers (LightLLM, Dynamo; "start": rows left out before the first)
 *
 * Both alphabets of base64 (RFC 4648) are read. -1 is no expert. */
#ifndef ES_TRACES_ROUTED_ARRAY_H
#define ES_TRACES_ROUTED_ARRAY_H

#include "traces/ids.h"
#include "traces/json_hold.h"

typedef struct es_routed_array {        /* {0} is empty */
    es_json_hold hold;                  /* its shape is that of lists; else es_routed_array_shape sets it */
    bool flat;                          /* numbers without a shape in `hold` so far */
    uint32_t tokens, layers, top_k;     /* the shape, where it is given; 0: it is not */
    uint32_t start;                     /* rows left out before the first */
    unsigned char *bytes;               /* what base64 says */
    uint64_t byte_count, byte_room;
} es_routed_array;

/* Reads the value that comes next. */
bool es_routed_array_read(es_json_import *in, es_routed_array *array);
/* Is anything in it? */
bool es_routed_array_any(const es_routed_array *array);
/* Gives numbers without lists a shape: their own, or else what is known of it, 0 being nothing. */
bool es_routed_array_shape(es_json_import *in, es_routed_array *array, uint64_t tokens, uint32_t layers, uint32_t top_k);
/* Forgets what it holds, not its room. */
void es_routed_array_clear(es_routed_array *array);
void es_routed_array_free(es_routed_array *array);

#endif
