/* Inside the attribution: what its files share.
 *
 *     attribution.c       sums per step, layer, request and over time     attribution_walk.c      what a stall was for, and the chain behind a step
 *     attribution_save.c  curves over time, tables and report */
#ifndef ES_OBSERVE_ATTRIBUTION_INSIDE_H
#define ES_OBSERVE_ATTRIBUTION_INSIDE_H

#include "sim/part/observer.h"

/* What a step can be doing, one at a time. The first of them are there once, the others for every channel. */
typedef enum attribution_cause {
    CAUSE_DENSE, CAUSE_EXPERT_GPU, CAUSE_EXPERT_CPU, CAUSE_ACCESS, CAUSE_LOOKUP, CAUSE_EVICT, CAUSE_MOVE, CAUSE_PREDICT,
    CAUSES_ONCE,
} attribution_cause;

typedef enum attribution_wait { /* compute stands still, because what it needs ... */
    WAIT_TRANSFER,              /* is being copied */
    WAIT_LATE,                  /* is being copied, by a guess that came too late */
    WAIT_SHARED,                /* takes longer than it would alone: others have part of the channel or slow it */
    WAIT_BEHIND_DEMAND,         /* stands in the queue behind another demand */
    WAIT_BEHIND_GUESS,          /* behind a guess */
    WAIT_BEHIND_WRITE,          /* behind a write-back; or that makes its room; or its newest version is on its way down */
    WAIT_BEHIND_DEVICE,         /* behind a demand of another serving tier */
    WAIT_ROOM,                  /* finds no room, and nothing is on its way out for it */
    WAITS
} attribution_wait;

typedef enum attribution_way {  /* links of the chain behind a step, besides CAUSES_ONCE */
    WAY_DEMAND, WAY_GUESS, WAY_WRITE, WAY_ROOM,
    WAYS
} attribution_way;

extern const char *const attribution_causes[CAUSES_ONCE], *const attribution_waits[WAITS], *const attribution_ways[WAYS];

typedef struct attribution_copy { /* a transfer of the step at hand, or a chunk of one */
    es_time since, at, asked, alone;
    es_oid object;
    uint32_t channel, from, to;
    es_why why, begun;
} attribution_copy;

typedef struct attribution_span { /* on the line of the step at hand, or on the host's compute unit */
    es_time since, at;
    uint32_t cause;             /* CAUSES_ONCE: a stall for `object` */
    es_oid object;
    uint32_t channel;           /* of the stall */
} attribution_span;

typedef struct attribution_log { /* grows as far as the longest step needs */
    void *at;
    size_t size;                /* of an entry */
    uint64_t count, room;
} attribution_log;

typedef struct attribution_row { /* of all tables; [columns] follow */
    uint32_t request, index;
    int64_t prompt_tokens, decode_tokens, start_ns, end_ns;
} attribution_row;

typedef struct attribution {
    int64_t most, points;       /* options rows, points */
    const es_view *view;
    uint32_t waits;             /* channels: so many columns of waits and ways follow CAUSES_ONCE */
    uint32_t width;             /* columns of causes; those of the chain stand behind them */
    uint32_t columns;           /* of both */
    attribution_log copy, line, host;   /* of the step at hand, by the time at which they ended (copy), one behind another (line) */
    es_time began, settled;     /* of the step at hand; until then its time is in sums of layers */
    uint32_t layer;             /* ordinal, at hand */
    int64_t *now;               /* [columns] causes of the layer at hand so far */
    int64_t *step;              /* [columns] of the step at hand: its layers so far, and at its end the chain */
    int64_t *total, *decode;    /* [columns] of all steps; of decode steps */
    int64_t *layers;            /* [layers][width] */
    attribution_log tokens, requests;   /* rows: attribution_row and [columns] */
    attribution_log bins;       /* the same */
    int64_t bin_width, bin_left;/* steps of a bin; those that the bin at hand still takes */
    attribution_row bin_row;    /* of the bin at hand: its tokens, begin and end */
    int64_t *bin;               /* [columns] */
    attribution_row slowest_row;/* of the slowest decode step so far: its last token */
    int64_t *slowest;           /* [columns] */
    uint64_t left_out, off;     /* tokens without a row; layers and steps that did not add up */
    es_time off_by;             /* the first of these */
    bool failed;                /* memory ran out */
} attribution;

static inline int64_t *attribution_values(attribution_row *row)
{
    return (int64_t *)(void *)(row + 1);
}

static inline uint32_t attribution_wait_column(const attribution *s, uint32_t channel, attribution_wait wait)
{
    return CAUSES_ONCE + (channel < s->waits ? channel : 0) * WAITS + wait;
}

static inline uint32_t attribution_way_column(const attribution *s, uint32_t channel, attribution_way way)
{
    return s->width + CAUSES_ONCE + (channel < s->waits ? channel : 0) * WAYS + way;
}

/* Room for one more entry; NULL: there is no memory (s->failed) */
void *attribution_log_add(attribution *s, attribution_log *log);

/* Adds the stall to s->now, split by what was waited for. Every nanosecond goes somewhere. */
void attribution_split(attribution *s, const attribution_span *stall);
/* Adds the chain that ends at `at` and begins with the step to `step`. */
void attribution_chain(attribution *s, es_time at, int64_t *step);

/* Curves over time: a step more, and the end of them. */
void attribution_bins_add(attribution *s, const es_fact *fact);
void attribution_bins_end(attribution *s);

void attribution_report(void *self, es_json *out);
es_code attribution_save(void *self, struct es_h5 *file, es_err *err);

#endif
