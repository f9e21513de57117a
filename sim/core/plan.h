/* Plan: a run as plain rows, ready to be assembled. Made by sim/study from a config; nothing in it needs a file any more.
 *
 * The option tables say what the config's `tiers.*`, `channels.*`, `links[*]`, `catalog`, `compute` and top level may hold; each fills
 * the row of the same name. Everything a plan points to lives in the arena of whoever made it, longer than the run. */
#ifndef ES_CORE_PLAN_H
#define ES_CORE_PLAN_H

#include "sim/core/contract.h"
#include "sim/part/dispatcher.h"
#include "sim/part/policy.h"
#include "sim/part/source.h"

typedef struct es_plan_part {   /* a part and its options, parsed into a state of part->size that assemble copies */
    const es_part *part;        /* NULL: none */
    const void *state;
    const char *path;           /* "policy", "channels.pcie.timing" */
    const uint64_t *popularity; /* [objects] with ES_POPULARITY and a calibration trace; NULL: the run's own trace is counted */
} es_plan_part;

/* What a copy that leaves a tier costs: nothing; a transfer where the tier below has none or it was changed; where it was changed, and
 * what was not is dropped; always a transfer, also of what is below unchanged. */
typedef enum es_write_rule { ES_WRITE_NEVER, ES_WRITE_ABSENT, ES_WRITE_DIRTY, ES_WRITE_ALWAYS } es_write_rule;

/* What the home tier holds: every expert from the start; those that were wanted before; nothing that it could give back. */
typedef enum es_holds { ES_HOLDS_ALL, ES_HOLDS_TOUCHED, ES_HOLDS_NOTHING } es_holds;

typedef struct es_plan_tier {   /* tiers.NAME */
    const char *name;
    const char *capacity;       /* "4000MiB", "192slots", "25%"; NULL only for home */
    double share;               /* of the capacity: what experts may take of it now (resize.c) */
    bool home;
    int holds;                  /* es_holds; home only */
    const char *compute;        /* channel that computes from here; makes it a serving tier (cpu on a host tier: HOST_COMPUTE) */
    const char *demote;         /* tier to which victims go; NULL: dropped (home has them) */
    bool exclusive;             /* a copy that goes up leaves this tier */
    bool hold_reads;            /* what is being read from here stays until it has been */
    int64_t grace;              /* ns after its layer ended for which a used expert should stay (serving tier) */
    bool grace_yields;          /* a demand may take it all the same when nothing else will do */
    int write_back;             /* es_write_rule: when a demotion is a transfer over the link to `demote` */
    bool write_through;         /* a change is written down at once */
    int64_t write_every;        /* steps after which changes are written down; 0: when they leave */
    const char *write_buffer;   /* "none", "unbounded" or a size: what is being written holds room there, not here; NULL: none */
    es_plan_part allocator;     /* NULL part: chosen by the unit of capacity */
    es_plan_part policy;        /* orders this tier alone; NULL part: the run's policy does (not for serving tiers) */
    es_plan_part allocation;    /* timing of allocations here (traces of buffers); NULL part: they cost nothing */
    es_plan_part access;        /* timing of ES_OP_ACCESS; NULL part: reading from here costs nothing beyond compute */
    es_plan_part moves;         /* timing of ES_OP_COPY inside the tier, when its allocator rearranges itself; NULL part: they cost nothing */
} es_plan_tier;

typedef enum es_discipline { ES_FIFO, ES_LANES, ES_SHARED } es_discipline;

typedef struct es_plan_channel { /* channels.NAME */
    const char *name;
    int discipline;
    int64_t lanes;
    int64_t chunk;              /* bytes after which a large copy may be overtaken; 0: never */
    const es_json *slowed_by;   /* {"channel": factor}: its rate while that channel is busy */
    es_time handover;           /* ns; of an action log alone: until its queue has noticed that another has done what it waits for */
    double onto;                /* of an action log alone: share of its time that a copy takes whose destination was used just before */
    int64_t onto_near;          /* just before: bytes of memory touched since that use ended, at most */
    es_plan_part timing, scheduler;
} es_plan_channel;

typedef struct es_plan_link {   /* links[i] */
    const char *from, *to;
    const es_json *channels;    /* names: the first queues, the rest are shared limits */
} es_plan_link;

typedef struct es_plan_start {  /* an expert that contract.start puts into the serving tier */
    uint32_t layer, expert;     /* ordinal, index */
    uint64_t line;              /* of the file, for messages */
} es_plan_start;

typedef enum es_key { ES_KEY_LAYER_EXPERT, ES_KEY_EXPERT } es_key;

enum { ES_MOST_VARIANTS = 8 };  /* precisions that the experts of a model come in */

typedef enum es_assign { ES_ASSIGN_INDEX, ES_ASSIGN_POPULARITY, ES_ASSIGN_RARITY, ES_ASSIGN_RANDOM, ES_ASSIGN_FILE } es_assign;

typedef struct es_plan_catalog { /* catalog; of it the core reads the key, the rest has become variants, bits and bytes of the plan */
    int key;                    /* es_key: expert e of two layers is two objects, or one */
    int assign;                 /* es_assign */
    const es_json *bits, *bytes, *decode;
    const char *file, *calibrate;
} es_plan_catalog;

typedef enum es_overlap { ES_RESIDENT_FIRST, ES_IN_ORDER, ES_BARRIER } es_overlap;

typedef enum es_access { ES_ACCESS_FIRST, ES_ACCESS_EVERY } es_access;
typedef enum es_guess_cost { ES_GUESS_LINK, ES_GUESS_SERIAL, ES_GUESS_FREE } es_guess_cost;

typedef struct es_plan_compute { /* compute */
    int overlap;
    int access;                 /* es_access */
    bool protect_guesses;       /* what was guessed is not given up for another guess before the gate of its layer */
    int64_t lookahead;          /* layers ahead for which the predictor is asked at each gate */
    int guess_cost;             /* es_guess_cost: what copies of guesses cost */
    int64_t guess_top;          /* only so many of each answer; 0: all */
    double guess_confidence;    /* only those at least so sure */
    const char *guess_tier;     /* they are brought there; NULL: to the serving tier */
} es_plan_compute;

typedef enum es_train_steps { ES_TRAIN_AS_TRACED, ES_TRAIN_ALL, ES_TRAIN_NONE } es_train_steps;
typedef enum es_update_on { ES_UPDATE_DEVICE, ES_UPDATE_HOST } es_update_on;
typedef enum es_train_exceed { ES_EXCEED_RECOMPUTE, ES_EXCEED_REFUSE } es_train_exceed;

typedef struct es_plan_training { /* training */
    int steps;                  /* es_train_steps */
    int update;                 /* es_update_on: where the optimizer steps */
    int optimizer;              /* its state, in sizes of the weights: 0 none, 1 momentum, 2 adam */
    bool state_on_device;       /* it goes up with the weights */
    int exceed;                 /* es_train_exceed */
} es_plan_training;

typedef struct es_plan {
    const char *name;
    bool timed;                 /* clock: simulated */
    uint64_t seed, replication;
    bool stream;                /* keep no samples beyond a histogram */
    bool buffers;               /* the source is a trace of buffers: buffers.h runs it */
    const es_source *source;    /* opened */
    void *source_state;
    const int64_t *expert_bytes; /* [layers] of the trace; NULL: nobody said and nobody needs to know */
    uint32_t slices;            /* matrices of an expert, with contract.unit slice; 0: not cut */
    const int64_t *matrix_bytes; /* [slices][layers], they add up to expert_bytes; NULL: all alike */
    uint32_t variants;          /* precisions; 0: one */
    uint32_t bits[ES_MOST_VARIANTS]; /* of each; 0: nobody said */
    const uint8_t *variant;     /* [layers][experts] which of them an expert has; NULL: the first */
    const int64_t *variant_bytes; /* [variants][slices][layers] bytes of an object; NULL with one precision: as above */
    const es_time *decode_ns;   /* [variants][slices][layers] added to computing an object; NULL: nothing */
    es_contract contract;
    const es_plan_start *start;         size_t start_count;
    es_plan_catalog catalog;
    es_plan_compute compute;
    es_plan_training training;
    const es_plan_tier *tiers;          size_t tier_count;
    const es_plan_channel *channels;    size_t channel_count;
    const es_plan_link *links;          size_t link_count;
    es_plan_part policy, predictor, dispatcher, router;
    const es_plan_part *tuners;         size_t tuner_count;
    const es_plan_part *observers;      size_t observer_count;
} es_plan;

extern const es_option es_tier_options[], es_channel_options[], es_link_options[], es_catalog_options[], es_compute_options[], es_training_options[];

#endif
