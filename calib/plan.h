/* Plan: what is measured. A row is one way of moving or computing; a case is a row at one size.
 *
 * Sizes are 2^k and 1.5 * 2^k, and the sizes that real experts have. Rounds are outermost: every case is measured once per
 * round, in an order that is shuffled anew for each, so that drift of the machine becomes noise of every case and not bias of some. */
#ifndef ES_CALIB_PLAN_H
#define ES_CALIB_PLAN_H

#include "sim/part/probe.h"

typedef enum calib_op {
    CALIB_COPY,                 /* one copy of `bytes` */
    CALIB_BATCH,                /* `count` copies of `bytes` each, queued at once */
    CALIB_ALLOC,                /* allocation and first touch */
    CALIB_EXPERT,               /* `count` tokens through one expert */
    CALIB_READ, CALIB_WRITE,    /* `bytes` from or to the disk, `count` requests at a time */
    CALIB_SEEN,                 /* one copy, as the host sees it: from the call until it is known to be done */
    CALIB_PRICE,                /* getting `bytes`, or giving them back */
    CALIB_LAUNCH,               /* starting a kernel */
    CALIB_GET,                  /* memory of the device, by calib_row.which: the call, the first use, the second */
    CALIB_RESIDE,               /* `count` buffers of `bytes` each resident, by calib_row.which */
    CALIB_MOVE,                 /* `bytes` within the host's memory by `count` threads, memory by calib_row.which */
    CALIB_FETCH,                /* `bytes` from the disk to memory of the device, by calib_row.which */
    CALIB_ONTO                  /* one copy of `bytes` to where another went, with copies of `count` KiB in between */
} calib_op;

typedef enum calib_before {     /* what went before an expert that is timed */
    CALIB_COLD,                 /* other experts: its weights are in no cache */
    CALIB_USED,                 /* itself */
    CALIB_COPIED,               /* the copy that brought its weights, and nothing else at that time */
    CALIB_HANDED,               /* that copy, while this stream computed another; it was waited for */
    CALIB_FADED                 /* that copy, and copies of `count` KiB behind it; computed for one token */
} calib_before;

typedef struct calib_row {      /* a constant: plan.c has all of them */
    const char *name;           /* "pcie.h2d": also the flow of the profile */
    calib_op op;
    es_way way;
    es_memory memory;           /* of the host's side of a copy; what is allocated */
    unsigned needs;             /* ES_PROBE_ bits */
    const char *what;           /* for people */
    int which;                  /* es_form of a batch, es_weights of an expert, es_price, es_get, es_reside, es_ram, es_fetch */
    int part;                   /* ES_PRICED_ of a price; calib_before of an expert */
} calib_row;

typedef struct calib_case {
    uint32_t row;               /* in calib_rows */
    uint32_t count;
    int64_t bytes;              /* of one copy */
} calib_case;

typedef struct calib_ask {
    bool quick;                 /* powers of 2 only, smaller, fewer depths */
    int64_t most;               /* bytes of the largest copy; 0: 256 MiB (quick: 16 MiB), or the largest expert up to 512 MiB, and 1 GiB between
                                   pinned memory and a card; never more than the memory allows */
    const int64_t *expert;      /* sizes of experts that will be simulated; those above the largest copy are not measured */
    size_t experts;
    uint64_t seed;
} calib_ask;

typedef struct calib_plan {
    calib_case *at;             /* ascending by row, count, bytes */
    size_t count;
    int64_t most;               /* bytes of the largest case */
    int64_t largest;            /* what no copy is larger than, but for those between pinned memory and a card */
    int64_t pinned;             /* and what these are not larger than; the same where there is no card */
    es_stream shuffle;
} calib_plan;

enum { CALIB_ROWS = 66 };
extern const calib_row calib_rows[CALIB_ROWS];
/* The expert that is computed: Qwen3-30B-A3B's, in FP32 without its gate; other sizes of it are narrower or wider inside. */
enum { CALIB_HIDDEN = 2048, CALIB_INTER = 768 };

/* Of that expert's weights in an es_weights, scales included. */
int64_t calib_expert_bytes(int precision);
/* The inner width of the expert that has so many bytes. */
uint32_t calib_expert_inter(int precision, int64_t bytes);

/* The row of that name; NULL when there is none. */
const calib_row *calib_row_find(const char *name);
es_code calib_plan_make(calib_plan *plan, const calib_ask *ask, const es_probe_facts *facts, es_arena *arena, es_err *err);
/* The order of one round: a permutation of 0 .. plan->count - 1, the same for the same seed. */
void calib_plan_shuffle(const calib_plan *plan, uint32_t round, uint32_t *order);

#endif
