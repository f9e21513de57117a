/* Source: where steps come from. A trace file of any format, or a generator.
 *
 * A step is a forward pass of routed tokens, or, in a trace of buffers, what a step asks of an allocator: such a trace has no layers.
 *
 * A source checks what it reads: ids in range, tokens in order, rows of the declared width. It reports what is missing. It may
 * stream: what a step points to is valid until the next call of next or rewind. */
#ifndef ES_PART_SOURCE_H
#define ES_PART_SOURCE_H

#include "sim/part/part.h"

#define ES_NO_EXPERT UINT16_MAX         /* fills a row that is missing or shorter than top_k; only ever at the end of a row */
#define ES_NO_POSITION UINT32_MAX       /* the same in a row of attended positions */

typedef enum es_phase_of { ES_PREFILL = 0, ES_DECODE = 1 } es_phase_of;

typedef struct es_token {
    uint32_t request;                   /* as the trace numbers it */
    uint32_t position;                  /* of the token in its request, from 0 */
    uint8_t phase;                      /* es_phase_of */
} es_token;

typedef enum es_buffer_kind {
    ES_BUFFER_REQUEST,
    ES_BUFFER_RELEASE,                  /* before the step computes */
    ES_BUFFER_RELEASE_AGAIN,            /* of what was released: only where the source was told to let that pass */
    ES_BUFFER_EXPIRE                    /* released when the step has computed; these stand last */
} es_buffer_kind;

typedef struct es_buffer_op {
    uint8_t kind;                       /* es_buffer_kind */
    uint32_t slot;                      /* below es_trace_info.buffers: of this buffer while it lives, then of another */
    uint64_t id;                        /* as the trace names it */
    int64_t bytes;
    uint64_t record;                    /* line or row of its request */
} es_buffer_op;

typedef struct es_step {                /* one forward pass */
    uint32_t tokens;                    /* of a trace of buffers only counted: nothing but `buffer` below is set then */
    const es_token *token;              /* [tokens] */
    const uint16_t *ids;                /* [tokens][layers][top_k], router order, ES_NO_EXPERT at the end of short rows */
    const float *weights;               /* same shape, gate weights; NULL when the trace has none or they were not asked for */
    const uint8_t *residency;           /* same shape, what the recording engine saw: 0 miss, 1 hit, 2 prefetched; NULL likewise */
    const uint16_t *guess;              /* [tokens][layers][guesses], recorded predictions FOR that layer; ES_NO_EXPERT fills; NULL likewise */
    const float *guess_confidence;      /* same shape; NULL likewise */
    const uint32_t *attended;           /* [tokens][attends], positions of its request that the token attends to; ES_NO_POSITION fills; NULL likewise */
    const float *attention;             /* same shape, their weights; NULL likewise */
    bool train;                         /* forward, backward and update; else forward only */
    uint64_t record;                    /* first line or row of the step in its file, for messages */
    const es_buffer_op *buffer;         /* [buffers] in order */
    uint32_t buffers;
} es_step;

typedef struct es_trace_info {          /* strings and arrays live as long as the source */
    const char *format;                 /* "native", "csv", "route_trace", "synthetic" */
    const char *model;                  /* as the trace names it, or "" */
    uint32_t layers;                    /* MoE layers that occur */
    const uint32_t *layer_number;       /* [layers], ascending: the model's own layer numbers */
    uint32_t experts;                   /* per layer */
    uint32_t top_k;                     /* width of a row */
    uint32_t guesses;                   /* width of a recorded prediction row, 0: none */
    uint32_t attends;                   /* width of a row of attended positions, 0: none */
    const int64_t *expert_bytes;        /* [layers] bytes of one expert; NULL when the trace does not say */
    const int64_t *dense_bytes;         /* [layers]; NULL likewise */
    uint64_t requests, steps, prompt_tokens, decode_tokens;
    uint64_t accesses;                  /* ids listed, duplicates between tokens included */
    uint64_t missing_cells;             /* (token, layer) pairs without a row */
    bool counted;                       /* the totals above are known; a stream may learn them only at its end */
    bool has_weights, has_residency;
    bool has_training;                  /* some steps train */
    bool synthetic, uniform;            /* uniform: independent and equally likely ids, its hit rate is only capacity / population */
    const char *sha256;                 /* of the file, or for the native format of its content as recorded when written */
    const char *provenance;             /* JSON text: generator and its options, or where it was imported from; "" when unknown */
    const char *assumed;                /* sentences, a line each: what the format did not say and how it was read, what was left out; NULL: nothing */
    uint32_t buffers;                   /* a trace of buffers: most that live at once; 0: of routing. Then layers is 0, accesses counts requests */
} es_trace_info;

struct es_places;

typedef struct es_source_ask {
    const char *path;                   /* NULL for generators */
    bool weights, residency, guesses, attention;    /* what the run will read besides ids; anything else may stay unread */
    uint32_t experts;                   /* population when the format does not say (0: highest id seen + 1) */
    uint32_t layers, top_k;             /* what other formats do not say; 0: not given, and an error where there is no reading without */
    bool layer_first;                   /* arrays are [layer][token][top_k] where the format does not say; else [token][layer][top_k] */
    bool lenient;                       /* a torn last record is left out and told in `assumed`; else it is an error */
    bool buffers;                       /* a trace of buffers will do; else it is an error */
    struct es_places *places;           /* ids are places of a load balancer, and this says of which experts; who asks maps rows, a source of counts does it itself */
} es_source_ask;

typedef struct es_source {
    es_part part;                                       /* state is zeroed, filled from options, then opened; no notify */
    /* How sure it is that a file beginning with these bytes (decompressed) is its own: 0 no ... 100 certain. NULL: takes no file. */
    int (*sniff)(const unsigned char *head, size_t length);
    es_code (*open)(void *self, const es_source_ask *ask, es_arena *arena, es_err *err);
    const es_trace_info *(*info)(void *self);
    es_code (*next)(void *self, es_step *step, bool *more, es_err *err);    /* *more false: the end, step is empty */
    es_code (*rewind)(void *self, es_err *err);
    const char *lacks;                                  /* what a file of it does not say, for `trace formats`; NULL: nothing, or no file */
} es_source;

#endif
