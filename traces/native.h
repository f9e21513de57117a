/* The native trace format (FORMAT.md): what its reader and its writer must agree on, and the state of the reader, whose two halves are
 * native_open.c (what is checked once) and native.c (the stream). */
#ifndef ES_TRACES_NATIVE_H
#define ES_TRACES_NATIVE_H

#include "sim/base/h5.h"
#include "traces/trace.h"

#define ES_NATIVE_MAGIC "\211HDF\r\n\032\n"    /* the 8 bytes that an HDF5 file begins with */
#define ES_NATIVE_FORMAT "expertsim-trace"

enum {
    ES_NATIVE_VERSION = 1,
    ES_NATIVE_NARROW = 255              /* up to so many experts an id is one byte, and 255 is an empty place */
};

typedef enum es_native_set {
    ES_NATIVE_REQUEST, ES_NATIVE_POSITION, ES_NATIVE_PHASE, ES_NATIVE_STEP, ES_NATIVE_IDS, ES_NATIVE_WEIGHTS, ES_NATIVE_RESIDENCY,
    ES_NATIVE_GUESS, ES_NATIVE_CONFIDENCE, ES_NATIVE_ATTENDED, ES_NATIVE_ATTENTION, ES_NATIVE_SETS
} es_native_set;

extern const char *const es_native_path[ES_NATIVE_SETS];

typedef struct es_native {
    es_h5 *file;
    const char *path;
    es_trace_info info;
    es_h5_data *set[ES_NATIVE_SETS];              /* those that are read */
    uint64_t tokens, width, guesses;    /* of the file; cells of a token */
    /* the window: tokens [first, first + count) */
    uint64_t first, count, room;
    es_token *token;
    uint32_t *column, *step;            /* one column as it comes from the file; the step of each token */
    uint8_t *narrow;                    /* phases, and ids of one byte, as they come */
    uint16_t *ids, *guess;
    float *weights, *guess_confidence, *attention;
    uint32_t *attended;
    uint8_t *residency;
    /* what was handed out and seen */
    uint64_t at, steps;                 /* the token and the step that come next */
    uint64_t counted;                   /* tokens that the totals include */
    uint64_t decode_tokens, accesses, missing_cells;
} es_native;

/* "FILE: DATASET: ...", always ES_EINPUT. */
es_code es_native_fault(const es_native *state, es_native_set set, es_err *err, const char *fmt, ...) ES_PRINTF(4, 5);

/* Opens state->path: attributes, lists and shapes are checked and in state->info, datasets that were asked for are open. */
es_code es_native_open(es_native *state, const es_source_ask *ask, es_arena *arena, es_err *err);

#endif
