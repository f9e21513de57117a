/* Passes: rows of logs that do not say which token they belong to, only the layer. An engine computes a batch of tokens layer by layer,
 * so a forward pass ends where the layer number goes back; within it the rows of a layer are its tokens in order.
 *
 * A pass of several tokens is read as part of a prompt, one of a single token as a generated token; a prompt behind generated tokens
 * begins another request. With `outputs`, where a layer has fewer rows than the pass has tokens they are its last ones: llama.cpp
 * computes the last layer only for tokens whose output is wanted. (Not in the last pass of a file, which may have been cut there.) One pass
 * is held in memory, as a step is. */
#ifndef ES_TRACES_PASSES_H
#define ES_TRACES_PASSES_H

#include "traces/stream.h"

typedef struct es_passes es_passes;

#define ES_PASSES_NEXT UINT32_MAX       /* the token behind the last one of the layer */
enum { ES_PASSES_BY_SIZE = 2 };         /* the phase follows from the number of tokens; else an es_phase_of that the log says */

typedef struct es_pass_row {
    uint32_t layer, token;              /* token: in the pass, or ES_PASSES_NEXT */
    uint8_t phase;
    uint32_t count;
    const uint16_t *ids;
    const float *weights;               /* NULL: none */
    uint64_t record;
} es_pass_row;

es_code es_passes_new(es_passes **out, es_row_stream *stream, bool outputs, es_err *err);
/* A row of another pass when its layer is below that of the row before. */
es_code es_passes_add(es_passes *passes, const es_pass_row *row, es_err *err);
/* Says of the pass at hand what its rows so far could not know. */
void es_passes_phase(es_passes *passes, es_phase_of phase);
/* Ends the pass, whatever comes next; the last pass of the file. */
es_code es_passes_end(es_passes *passes, es_err *err);
es_code es_passes_finish(es_passes *passes, es_err *err);
/* The sentences above, as far as they were used. */
void es_passes_tell(const es_passes *passes, es_text *notes);
void es_passes_free(es_passes *passes);

#endif
