/* Trace: the routing of whole requests, packed in memory: 16 bits per listed expert, [token][layer][top_k], cut into steps.
 *
 * A sweep loads one from any source so that all its points walk the same decoded bytes. A trace is read through cursors, of which
 * there may be many at once; it does not change then.
 *
 * What every step must satisfy, whoever made it (es_tally_step checks it, and counts):
 *   - tokens stand in ascending order of (request, position), none twice; tokens of one request have one phase;
 *   - from step to step the positions of a request ascend;
 *   - ids are below `experts`, differ within a row, and ES_NO_EXPERT stands only at the end of a row. */
#ifndef ES_TRACES_TRACE_H
#define ES_TRACES_TRACE_H

#include "sim/part/source.h"

enum {                                  /* the most that is read; beyond lies a broken file rather than a model */
    ES_TRACE_LAYERS_MAX = 4096,
    ES_TRACE_EXPERTS_MAX = 65535,       /* 65535 is ES_NO_EXPERT */
    ES_TRACE_TOP_K_MAX = 1024
};

/* What may be behind an id that is too high, for messages: placed.h. `known`: how many experts there are was said, not only what a file can hold. */
static inline const char *es_trace_places(bool known)
{
    return known ? "; if ids are places of a load balancer, trace import --map makes experts of them" : "";
}

/* --- counting and checking ------------------------------------------------------------------------------------------------------ */

typedef struct es_tally_request { uint32_t request; uint32_t next; } es_tally_request;

typedef struct es_tally {               /* {0} is a start; totals of the steps seen so far */
    uint64_t requests, steps, prompt_tokens, decode_tokens, accesses, missing_cells;
    uint32_t highest_request;
    es_tally_request *slot;             /* hash of the requests met: the position that may come next, 0: free slot */
    uint64_t slots;
    struct es_ids_twice *twice;         /* looks through rows many at a time (ids.h) */
} es_tally;

/* Are layers, experts, top_k and the layer numbers such as a trace may have? */
es_code es_trace_check_shape(const es_trace_info *info, es_err *err);
/* Copies an info with all it points to. */
es_code es_trace_copy_info(es_trace_info *to, const es_trace_info *from, es_arena *arena, es_err *err);

/* The part of es_tally_step that is about tokens: their order and phases, and that the positions of a request ascend. Counts them. */
es_code es_tally_tokens(es_tally *tally, const es_step *step, es_err *err);
/* The position that may come next in a request; 0: it has none yet. */
uint32_t es_tally_next(const es_tally *tally, uint32_t request);
/* Checks one step against the rules above and counts it. Errors name request, position and layer; the caller adds the file. */
es_code es_tally_step(es_tally *tally, const es_trace_info *info, const es_step *step, es_err *err);
/* The part of it that is about attention, for those who read nothing else: positions before or at the token's own, each once, then
 * empty places; weights from 0 to 1. */
es_code es_tally_attention(const es_trace_info *info, const es_step *step, es_err *err);
/* Writes the totals into `info`. */
void es_tally_into(const es_tally *tally, es_trace_info *info);
void es_tally_free(es_tally *tally);

/* --- a trace in memory ---------------------------------------------------------------------------------------------------------- */

typedef struct es_trace {
    es_trace_info info;                 /* totals are kept up to date by es_trace_append */
    es_arena arena;                     /* holds the info's strings and arrays */
    es_tally tally;
    es_token *token;                    /* [tokens] */
    uint16_t *ids, *guess;              /* [tokens][layers][top_k], [tokens][layers][guesses] */
    float *weights, *guess_confidence, *attention;  /* attention: [tokens][attends], as attended */
    uint32_t *attended;
    uint8_t *residency;
    bool keeps_weights, keeps_residency, keeps_guesses, keeps_confidence, keeps_attention;
    uint64_t tokens, room;
    uint64_t *step_end, *step_record;   /* [steps] first token behind the step; first line of the step */
    uint64_t step_room;
} es_trace;

/* An empty trace of the shape and with the strings of `info` (copied); has_weights, has_residency, guesses and attends say what it keeps
 * (confidences when the first step has them). */
es_code es_trace_new(es_trace **out, const es_trace_info *info, es_err *err);
/* Copies a step in. It is checked first. */
es_code es_trace_append(es_trace *trace, const es_step *step, es_err *err);
/* All steps of an open source, from its present place; `ask` says what to keep beside the ids. */
es_code es_trace_load(es_trace **out, const es_source *source, void *self, const es_source_ask *ask, es_err *err);
void es_trace_free(es_trace *trace);

/* Makes a malloc'ed array, given by the address of its pointer, `count` times `cells` members long. false: no memory, nothing changed. */
bool es_trace_resize(void *array, uint64_t count, uint64_t cells, size_t size);
#define ES_TRACE_RESIZE(array, count, cells) es_trace_resize(&(array), (count), (cells), sizeof *(array))

/* --- cursors: the reading half of es_source over a trace; a source's state may begin with one ------------------------------------- */

typedef struct es_trace_cursor {
    es_trace *trace;
    uint64_t at;                        /* the step that next gives */
} es_trace_cursor;

const es_trace_info *es_trace_cursor_info(void *self);
es_code es_trace_cursor_next(void *self, es_step *step, bool *more, es_err *err);
es_code es_trace_cursor_rewind(void *self, es_err *err);
void es_trace_cursor_fini(void *self);  /* frees the trace */

/* A source over a trace that somebody else owns: set the cursor's trace, do not open. */
extern const es_source es_trace_source;

#endif
