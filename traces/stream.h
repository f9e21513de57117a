/* Stream: makes the steps of a source from rows, one (token, layer) each, in memory that does not grow with the file.
 *
 * The reader of a format parses its file once, from front to back, gives every row to es_stream_add and ends with es_stream_finish.
 * Rows are checked, cut into steps, counted, and packed into a spool, from which the steps are then given as often as somebody reads
 * them. So totals, layers, the highest id and the widest row are known once the source is open, whatever the format says about them,
 * and standard input will do for a file.
 *
 * Within a step rows may come token by token or layer by layer; its tokens are sorted by (request, position). The layers are those
 * that occur. Either the rows say to which step they belong, or the steps follow from the requests: the prompt tokens of a request that
 * stand together are one step, every generated token is one.
 *
 *     state begins with    es_row_stream *stream;
 *     open:                es_stream_new, es_stream_add ..., es_stream_finish, es_imported (assume.h)
 *     the table:           .info = es_stream_info, .next = es_stream_next, .rewind = es_stream_rewind, .part.fini = es_stream_fini
 *
 * What is held in memory: one step; and with `any_order`, when rows do go back (a file that has all tokens of a layer, then of the next
 * layer), 16 bytes per row, 32 while they are sorted, and the spool mapped: about the size of the packed trace. */
#ifndef ES_TRACES_STREAM_H
#define ES_TRACES_STREAM_H

#include "sim/base/text.h"
#include "traces/trace.h"

#define ES_ROW_NO_STEP UINT32_MAX

typedef struct es_row {
    uint32_t step, request, position, layer;    /* step: ES_ROW_NO_STEP when it follows from the requests */
    uint8_t phase;
    uint32_t count, guesses;                    /* ids that the row lists; recorded guesses */
    const uint16_t *ids, *guess;
    const float *weights, *guess_confidence;    /* NULL: not kept */
    const uint8_t *residency;
    uint64_t record;                            /* line, for messages */
} es_row;

typedef struct es_row_stream es_row_stream;

typedef struct es_stream_rules {
    bool any_order;             /* rows of a token may stand anywhere; its steps follow from the requests. Else they stand together */
    bool whole_tokens;          /* a last generated token that lacks the last layers, which every other one has, is a torn record; where layers come one after the
                                 * other, so is a last one that only the tokens behind its last row lack */
    bool whole_rows;            /* one line is one expert: a last row shorter than all others is a torn record */
    bool carried;               /* whether rows carry weights and residency is seen at the first */
    bool weigh;                 /* notes say what weights of a row sum to, and whether ids stand by falling weight */
    bool lenient;               /* a torn record is left out and told; else it is an error */
    uint32_t layers;            /* as many must occur; 0: not known */
    const char *unit;           /* what es_row.record counts, for messages; NULL: "line" */
} es_stream_rules;

/* `shape` gives what is known: experts (0: highest id + 1), top_k (0: the longest row; else longer ones are errors), guesses (likewise),
 * and what rows carry and is kept: has_weights, has_residency, and whether guesses have confidences (from the first row that has any). */
es_code es_stream_new(es_row_stream **out, const es_trace_info *shape, const es_stream_rules *rules, es_err *err);
/* Says of the shape what was read only now, before the first row; 0: as before. */
es_code es_stream_expect(es_row_stream *stream, uint32_t experts, uint32_t top_k, uint32_t guesses, es_err *err);
/* The caller adds file and line. An empty row is a missing cell. */
es_code es_stream_add(es_row_stream *stream, const es_row *row, es_err *err);
/* Ends the file. What was met on the way goes to `notes`: layers that some tokens lack, rows of different length, a torn end, each with
 * the first place where it occurs. */
es_code es_stream_finish(es_row_stream *stream, es_text *notes, es_err *err);
/* After that: shape and totals; the caller adds format, model, sha256 and so on (strings are not copied). */
es_trace_info *es_stream_about(es_row_stream *stream);
void es_stream_free(es_row_stream *stream);

/* --- the reading half of es_source; `self` begins with es_row_stream * ---------------------------------------------------------------- */

const es_trace_info *es_stream_info(void *self);
es_code es_stream_next(void *self, es_step *step, bool *more, es_err *err);
es_code es_stream_rewind(void *self, es_err *err);
void es_stream_fini(void *self);

#endif
