/* View: everything a part may know of the run, as plain arrays owned by the core. Asking costs a load, not a call.
 *
 * Masks are arrays of 64-bit words over object ids: object o is bit (o & 63) of word (o >> 6). All objects of a word belong to
 * one layer and have one size and one precision, because the stride between layers is a multiple of 64. */
#ifndef ES_PART_VIEW_H
#define ES_PART_VIEW_H

#include "sim/part/part.h"

typedef struct es_block {       /* where a copy lies in a tier whose allocator places */
    uint32_t pool;              /* of its bucket, below es_tier_view.pools; ES_NONE_POOL: outside of all */
    uint32_t slot;              /* of a pool of equal slots */
    int64_t at, bytes;          /* address in the pool, and what it takes there (alignment, tail of a slot) */
} es_block;
#define ES_NONE_POOL UINT32_MAX

typedef struct es_pool_view {
    const char *name;
    int64_t capacity, used;     /* bytes; of slots their full size */
    int64_t slot_bytes;         /* 0: not cut into slots */
    int64_t largest;            /* free bytes in one piece; not of slots */
    uint32_t warmed;            /* allocations made to warm it up */
} es_pool_view;

typedef struct es_tier_view {
    const char *name;
    bool home;                  /* unbounded, holds everything at the start */
    bool serving;               /* has a compute unit: a demand hits when the object is resident here */
    uint32_t first_bucket;      /* of its buckets; scope global: one bucket, scope layer: one per layer */
    uint64_t *resident;         /* [words] */
    uint64_t *inbound;          /* [words]: a copy is on its way, space is held */
    uint64_t *queued;           /* [words]: a copy is asked for, nothing has moved */
    uint64_t *outbound;         /* [words]: a write-back is asked for or running, space is held until it has landed */
    const uint64_t *spooled;    /* [words] of these, those in a write buffer, which hold none; NULL: there is no buffer */
    const int64_t *unit;        /* [words]: what one object takes of the capacity (1 for slots, its bytes for bytes) */
    const es_pool_view *const *pool; /* [buckets of the tier][pools] of an allocator that places; NULL: it only counts */
    uint32_t pools;
    const es_block *block;      /* [objects] of what is inbound, resident or outbound; NULL: the same */
    uint64_t found, guessed;    /* misses of the serving tier that were found here; guesses that were copied from here */
    uint64_t insertions, evictions;
} es_tier_view;

enum es_coming { ES_COMING_STEP = 1, ES_COMING_BACK = 2 };     /* the first event of its step; on the way back of a step that trains */

typedef struct es_future {      /* for oracles only */
    const uint32_t *next;       /* [position]: index of the event that uses this object next; UINT32_MAX: none */
    const uint32_t *start;      /* [objects]: index of the event that uses it first; UINT32_MAX: none */
    uint64_t positions;
    const uint16_t *list;       /* every event's union one after another; NULL unless a part peeks */
    const uint64_t *first;      /* [events + 1]: where each event's union begins in list */
    const uint32_t *layer;      /* [events] */
    const uint8_t *kind;        /* [events] bits of es_coming */
    uint64_t events;
} es_future;

typedef struct es_counts {       /* counted by the core, per run; what the summary quotes */
    uint64_t evictions, refused, cancelled, foreseen, late, guess_copies, prefetch_hits, wasted, demotions;
    uint64_t overflow_events, compulsory, initial_loads;
    uint64_t reassigned;        /* experts that got another precision */
    int64_t fetched_bytes, decode_fetched_bytes, guess_bytes, wasted_bytes, writeback_bytes, initial_bytes;
} es_counts;

typedef struct es_channel_view { /* what went over one channel or compute unit so far */
    const char *name;
    bool compute;
    es_time busy_ns;            /* service given, as time at the full rate, over all lanes; divide by lanes and the time of the run */
    es_time queue_ns;           /* waiting time of what has started, added up */
    es_time wait_ns;            /* compute stalled for what this channel delivered last */
    uint32_t lanes;
    uint32_t active;            /* transfers that occupy it now */
    uint64_t transfers, batches;
    int64_t bytes;
    double depth_area;          /* integral of the number waiting over time, ns; Little's law: = queue_ns when all have started */
} es_channel_view;

typedef struct es_times {       /* where the wall time of the steps went; all in ns */
    es_time total, dense, expert_gpu, expert_cpu, stall, access, manage, predict;
    es_time decode_total, prefill_total;    /* of steps of either phase */
} es_times;

struct es_option;
typedef struct es_dial_view {   /* an option marked tunable, as it stands: es_knob_read(option, field) of tuner.h. Tuners turn some, parts their own */
    const char *path;           /* "policy.l2_threshold" */
    const struct es_option *option;
    const void *field;
} es_dial_view;

typedef struct es_view {
    es_time now;
    bool timed;                 /* clock: simulated */
    bool stream;                /* keep nothing that grows with the length of the trace */
    bool count_prefill;         /* contract.prefill_counts: together */
    bool pins_beside;           /* contract.pins_take_room is off: what a policy starts with stands beside the capacity, not in it */
    bool trains;                /* some steps go back through their layers: not every event of a step is counted */
    bool as_coded;              /* some part may overcommit as a published source does (ES_AS_CODED) */
    uint32_t top_k;             /* width of a row of the trace; 0 where ids are not those of the trace (contract.unit: slice) */
    uint32_t layers, experts, stride; /* indices of a layer are below `experts`, ids of the next begin a stride later */
    uint32_t ids;               /* experts of a layer, as the trace numbers them; where nothing is cut these are the indices */
    uint32_t matrices, variants;/* of an expert (contract.unit: slice) and precisions of experts (catalog.bits), 1 and 1 where nothing is cut */
    uint32_t slice;             /* a layer's indices are cut into [variants][matrices] sections of so many, each of all experts */
    uint32_t population;        /* objects of a layer that events can ask for */
    const uint64_t *exists;     /* [words] objects there are: each section fills up its last word with none */
    const uint64_t *current;    /* [words] those that events ask for: of each expert the precision it has now */
    const uint16_t *index_of;   /* [spaces][ids] index of an expert's (first) object of the precision it has now; NULL: its number */
    const uint8_t *bits;        /* [words] of a weight; 0: nobody said */
    uint32_t objects;           /* ids are below this */
    uint32_t words, words_per_layer;
    uint32_t spaces;            /* layers that have experts of their own: `layers`, or 1 when all share theirs (catalog.key: expert) */
    uint32_t tiers, serving;    /* `serving`: the tier that answers demands */
    uint32_t buckets;           /* over all tiers */
    bool per_layer;             /* contract.scope: layer */
    uint32_t guesses;           /* width of a row of recorded predictions; 0: the trace has none */
    uint32_t attends;           /* width of a row of attended positions; 0 likewise */
    bool weights, residency;    /* rows carry gate weights; what the recording engine saw */
    const es_tier_view *tier;   /* [tiers] */
    const uint32_t *layer_of;   /* [words]: layer ordinal; all 0 when the layers share their experts */
    const uint32_t *layer_number; /* [layers]: the model's own numbers, for reports */
    const int64_t *bytes;       /* [words]: bytes of one object */
    uint64_t *guard;            /* [words]: pinned by the event or held back by grace: may not leave */
    int ties;                   /* contract.ties: 0 the policy's own rule, 1 first to have become resident, 2 lowest id, 3 a seeded draw */
    const uint64_t *bucket_room;/* [buckets]: room in units; a tuner may change it (ES_FACT_ROOM) */
    uint32_t channels;
    const es_channel_view *channel; /* [channels] */
    const es_times *times;
    const es_future *future;    /* NULL unless the part has ES_ORACLE */
    const es_counts *tally;
    uint32_t dials;
    const es_dial_view *dial;   /* [dials] of all parts but observers, and of the core */
} es_view;

static inline bool es_mask_has(const uint64_t *mask, es_oid object)
{
    return mask[object >> 6] >> (object & 63) & 1;
}

/* Which expert of its layer an object is, or is a matrix of. */
static inline uint32_t es_expert_of(const es_view *view, es_oid object)
{
    return object % view->stride % view->slice;
}

/* Where the experts of a layer of the model begin; under catalog.key expert all layers have the same. */
static inline es_oid es_layer_base(const es_view *view, uint32_t layer)
{
    return view->spaces == 1 ? 0 : layer * view->stride;
}

/* The object that an event would ask for to have this expert, at the precision it has now; of several matrices the first. */
static inline es_oid es_object_of(const es_view *view, uint32_t layer, uint32_t expert)
{
    const size_t row = view->spaces == 1 ? 0 : (size_t)layer * view->ids;
    return es_layer_base(view, layer) + (view->index_of ? view->index_of[row + expert] : expert);
}

/* The same for an index that an earlier event listed: whatever precision it was, what would be asked for now. */
static inline es_oid es_object_now(const es_view *view, uint32_t layer, uint32_t index)
{
    if (!view->index_of)
        return es_layer_base(view, layer) + index;
    return es_object_of(view, layer, index % view->slice) + index / view->slice % view->matrices * view->slice;
}

/* Which indices of a layer events can ask for: [words_per_layer]. */
static inline const uint64_t *es_current_of(const es_view *view, uint32_t layer)
{
    return view->current + es_layer_base(view, layer) / 64;
}

/* Bits of a weight at a precision. */
static inline uint32_t es_bits_of(const es_view *view, uint32_t variant)
{
    return view->bits[variant * view->matrices * view->slice / 64];
}

static inline uint32_t es_bucket_of(const es_view *view, uint32_t tier, es_oid object)
{
    return view->tier[tier].first_bucket + (view->per_layer ? view->layer_of[object >> 6] : 0);
}

/* Room of the tier in units, all its buckets together. */
static inline uint64_t es_room_of(const es_view *view, uint32_t tier)
{
    uint64_t room = 0;
    for (uint32_t b = 0; b < (view->per_layer ? view->layers : 1); b++)
        room += view->bucket_room[view->tier[tier].first_bucket + b];
    return room;
}

/* What all buckets of the tier have of a pool together. */
static inline es_pool_view es_pool_of(const es_view *view, const es_tier_view *tier, uint32_t index)
{
    es_pool_view all = tier->pool[0][index];
    for (uint32_t b = 1; b < (view->per_layer ? view->layers : 1); b++) {
        all.capacity += tier->pool[b][index].capacity;
        all.used += tier->pool[b][index].used;
        all.largest = tier->pool[b][index].largest > all.largest ? tier->pool[b][index].largest : all.largest;
        all.warmed += tier->pool[b][index].warmed;
    }
    return all;
}

/* May this object leave the tier now? Resident, not pinned, not in grace. */
static inline bool es_may_evict(const es_view *view, es_oid object, uint32_t tier)
{
    size_t w = object >> 6;
    return (view->tier[tier].resident[w] & ~view->guard[w]) >> (object & 63) & 1;
}

#endif
