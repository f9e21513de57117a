/* JSON passes: requests made of forward passes that name none. Engines that log their router where it runs see a pass at a time: how
 * many rows it has is all that tells a prompt from a generated token.
 *
 * A pass of several rows is a prompt, or a piece of one; a pass of one row generates a token; a prompt behind generated tokens begins
 * another request. So several requests that generate side by side look like prompts; what is read says so. (passes.h makes passes of
 * rows that have none; here they are known.) */
#ifndef ES_TRACES_JSON_PASSES_H
#define ES_TRACES_JSON_PASSES_H

#include "traces/json_import.h"

typedef struct es_json_passes {         /* {0} is a start */
    uint32_t position;                  /* of the pass's first row */
    uint32_t rows;                      /* of the pass */
    uint64_t passes, requests;
    uint8_t phase;
} es_json_passes;

/* A pass of `rows` rows begins; the members of the one before must be final. */
static inline void es_json_passes_begin(es_json_passes *passes, uint32_t rows)
{
    const bool another = passes->requests == 0 || (rows > 1 && passes->phase == ES_DECODE);
    passes->position = another ? 0 : passes->position + passes->rows;
    passes->requests += another;
    passes->phase = rows > 1 ? ES_PREFILL : ES_DECODE;
    passes->rows = rows;
    passes->passes++;
}

/* Where row `row` of the pass belongs. */
static inline void es_json_passes_row(const es_json_passes *passes, uint32_t row, es_row *out)
{
    out->request = (uint32_t)(passes->requests - 1);
    out->position = passes->position + row;
    out->phase = passes->phase;
}

static inline void es_json_passes_note(es_text *notes)
{
    es_assume(notes, "requests are not told apart: a pass of several tokens was taken as prompt, one of a single token as generated, a prompt behind generated tokens as the beginning of another request");
}

#endif
