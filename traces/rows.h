/* Rows: builds a trace from rows of text, one (token, layer) each, in the order a file happens to have them.
 *
 * Within a step rows may come token by token or layer by layer; its tokens are sorted by (request, position). The layers are those
 * that occur. Either the rows say to which step they belong, or the steps follow from the requests: the prompt tokens of a request that
 * stand together are one step, every generated token is one. */
#ifndef ES_TRACES_ROWS_H
#define ES_TRACES_ROWS_H

#include "traces/trace.h"

typedef struct es_row {
    uint32_t step, request, position, layer;    /* step: ES_ROWS_NO_STEP when it follows from the requests */
    uint8_t phase;
    uint32_t count, guesses;                    /* ids that the row lists, at most top_k; recorded guesses */
    const uint16_t *ids, *guess;
    const float *weights, *guess_confidence;    /* NULL: not kept */
    const uint8_t *residency;
    uint64_t record;                            /* line, for messages */
} es_row;

#define ES_ROWS_NO_STEP UINT32_MAX

typedef struct es_rows es_rows;

/* `info` gives top_k, guesses, experts (0: highest id + 1) and what is kept (has_weights, has_residency). */
es_code es_rows_new(es_rows **out, const es_trace_info *info, es_err *err);
/* Ids out of range, listed twice, rows out of order are errors; the caller adds file and line. */
es_code es_rows_add(es_rows *rows, const es_row *row, es_err *err);
/* Makes the trace. `rows` can only be freed then. */
es_code es_rows_finish(es_rows *rows, es_trace **out, es_err *err);
void es_rows_free(es_rows *rows);

#endif
