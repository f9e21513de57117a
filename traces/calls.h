/* Calls: binary traces that list experts call by call, a call being one layer of one forward pass: a layer number and the ids of its tokens.
 *
 * The reader of a format finds where a pass ends and hands over its calls; here they become steps. A file is read twice, so that layers,
 * highest id and totals are known when it is open. Where the width of a row follows from the shortest one it is guessed from the beginning
 * first; if the guess was wrong, or something is, the file is read for the width alone and then anew. What is held is one step.
 *
 * Nothing says where requests begin, unless calls have positions: a prompt behind generated tokens begins the next. */
#ifndef ES_TRACES_CALLS_H
#define ES_TRACES_CALLS_H

#include "traces/assume.h"
#include "traces/bytes.h"
#include "traces/ids.h"

typedef struct es_calls es_calls;

/* A pass of one token in the layers that the one before had: what most of a long trace is, looked at as a whole. */
typedef struct es_calls_block {
    const unsigned char *at;            /* its bytes, if it is one */
    size_t bytes, got;                  /* of the pass; that are there, up to es_calls_form.ahead more */
    const uint16_t *layer;              /* [layers] their numbers */
    uint32_t layers, records, position; /* position: to be set where the form has positions */
    uint32_t bits;                      /* all that are set in one of the ids: to be set */
    uint16_t *ids;                      /* [layers][top_k] to be filled, with room for ES_IDS_EIGHT more */
} es_calls_block;

typedef struct es_calls_form {
    const char *format;
    uint64_t header;                    /* bytes before the first record */
    uint32_t top_k, experts, layers;    /* 0: not known; layers: what numbers are below */
    bool positions;                     /* passes have positions, and say whether they are prompts */
    bool weights;                       /* calls have them */
    /* Reads the calls of one pass (es_call) and ends it (es_calls_end); *more false: there is none. */
    es_code (*read)(es_calls *calls, bool *more, es_err *err);
    /* Is it such a pass, and does the next record begin another? Then `ids` are filled. NULL: passes are not looked at so. */
    bool (*block)(es_calls *calls, es_calls_block *block);
    uint32_t call_bytes, id_bytes;      /* of a call of one token: the head, and each id */
    uint32_t ahead;                     /* bytes of the next record that tell whether it begins a pass */
    uint32_t record_bytes;              /* where ids have records of their own, else 0: a call is a record */
} es_calls_form;

typedef struct es_call {
    uint32_t layer, first, ids;         /* first: token of the pass that the ids begin with; ids: how many, top_k to a token */
    uint64_t record, offset;            /* of the first id's record, for messages */
    const float *weights;               /* [ids] where the form has them */
} es_call;

typedef enum es_calls_mode { ES_CALLS_WIDTH, ES_CALLS_SCAN, ES_CALLS_READ } es_calls_mode;

typedef struct es_calls_place { uint64_t record, offset; } es_calls_place;

struct es_calls {                       /* a source's state begins with one */
    es_calls_form form;
    es_bytes bytes;
    uint64_t record;                    /* of the next record: the format counts it on */
    es_trace_info info;
    es_text notes;
    es_calls_mode mode;
    bool lenient, weighs;               /* weighs: weights are asked for and there */
    char sha256[65];
    es_ids_twice *twice;
    /* what occurs */
    uint8_t *occurs;                    /* [ES_TRACE_LAYERS_MAX] */
    uint16_t *rank;                     /* [ES_TRACE_LAYERS_MAX] place of a layer among those that occur */
    uint32_t shortest, held;            /* fewest ids of a call, but for the last one, which is held back */
    uint64_t highest, rows;
    uint32_t last_layer, usual_calls;   /* the highest last layer of a pass before; calls of the first pass */
    struct { uint64_t pass, record; uint32_t calls; } pruned, shortened;    /* the first pass with other calls than the first, with fewer tokens in a call; pass 0: none */
    bool doubtful;                      /* the pass at hand may be cut, thinks the format */
    /* the pass at hand */
    uint32_t tokens, called, layer;     /* layer: of the last call */
    uint64_t first_record;
    uint64_t cell_room, weight_room, token_room, scratch_room;
    uint16_t *ids;                      /* [tokens][layers][top_k] */
    uint16_t *scratch;
    float *weights;                     /* as ids, when they are asked for */
    es_token *token;                    /* [tokens] */
    es_calls_place *place;              /* [layers] of their calls, but for a pass that was looked at as a whole: */
    es_calls_place begin, each;         /* of its first call, and what one takes; each.offset 0: it was not */
    uint16_t *pattern;                  /* [patterns] layers of the last pass of one token that had no others and full rows */
    uint32_t patterns;
    bool plain;                         /* the pass at hand is such a one so far */
    /* requests */
    uint32_t request, position;         /* of the next token */
    bool begun, generated;              /* a request has begun; it has generated tokens */
    uint64_t at;                        /* steps given */
};

/* Opens the file; the format may look at its head then (peek, do not take). */
es_code es_calls_open(es_calls *calls, const es_source_ask *ask, es_err *err);
/* Reads it to its end and makes the source ready. */
es_code es_calls_scan(es_calls *calls, const es_calls_form *form, const es_source_ask *ask, es_arena *arena, es_err *err);

/* Ids of a call, as they stand in the file. */
es_code es_calls_add(es_calls *calls, const es_call *call, const unsigned char *ids, es_ids_type type, es_err *err);
/* All calls of the pass were given. `position` is that of its first token, or ES_NO_POSITION: it follows. */
es_code es_calls_end(es_calls *calls, uint8_t phase, uint32_t position, es_err *err);
/* What a format does where its last record is cut: an error, or with `lenient` a note. `got` of `want` bytes are there. */
es_code es_calls_torn(es_calls *calls, size_t got, size_t want, const char *what, es_err *err);

/* The reading half of es_source. */
const es_trace_info *es_calls_info(void *self);
es_code es_calls_next(void *self, es_step *step, bool *more, es_err *err);
es_code es_calls_rewind(void *self, es_err *err);
void es_calls_fini(void *self);

#endif
