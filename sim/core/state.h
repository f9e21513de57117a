/* State: everything mutable of one run, and who may change it. Inside the core only; parts see view.h.
 *
 *   assemble.c  builds it from a plan, with catalog.c and topology.c
 *                                              store.c    moves a copy through its life (the only writer of masks and space)
 *   events.c    composes events from steps     room.c     makes space: victims, overflow
 *   replay.c    steps; clock none              fetch.c    serves the misses of an event under clock none
 *   layer.c     a layer in time: gate, release
 *   channel.c   queues                         guess.c    asks the predictor, keeps its guesses
 *   transfer.c  from a queue to the landing    grace.c    who should not leave yet
 *   share.c     rates of elastic transfers     unit.c     compute that copies slow, or that slows them
 *   charge.c    costs besides copies and compute
 *   start.c     before the first step          wake.c     periodic work of parts
 *   route.c     rows of a closed-loop router   knobs.c    what a tuner may turn
 *   bus.c       delivers facts                 run.c      begins, ends, reports
 *   levels.c    several serving tiers          rank.c     a lower tier's own policy
 *   dirty.c     what was changed is written    make.c     experts that home does not hold yet
 *   spool.c     writes that hold no room
 *   flush.c     behind the last step           resize.c   tiers whose room changes
 *   train.c     the way back, and updates      place.c    where copies lie in a tier whose allocator places, with
 *                                              place_hidden.c, place_over.c and place_report.c
 *   ahead.c     guesses into a lower tier
 *   quick.c     the plainest run in fewer instructions, quick_timed.c with a clock
 *   costs.c     the machine as plain numbers, for bounds on time; costs_cuts.c of what lies between tiers */
#ifndef ES_CORE_STATE_H
#define ES_CORE_STATE_H

#include "sim/core/calendar.h"
#include "sim/core/plan.h"
#include "sim/core/run.h"
#include "sim/part/allocator.h"
#include "sim/part/predictor.h"
#include "sim/part/prefill.h"
#include "sim/part/router.h"
#include "sim/part/scheduler.h"
#include "sim/part/timing.h"
#include "sim/part/tuner.h"

enum { ES_MOST_TIERS = 16, ES_MOST_CHANNELS = 32, ES_MOST_HOPS = 4 };

/* ---- transfers: one per (tier, object), because an object has at most one copy on its way into a tier ---- */

enum { ES_FILL_OPEN, ES_FILL_NOW, ES_FILL_DONE };

typedef struct es_xfer {
    es_due due;                 /* COMPLETE */
    struct es_xfer *next, *prev; /* in its channel's queue or among its running transfers */
    es_oid object;
    uint16_t tier, link;        /* where to, over which link */
    uint16_t source;            /* tier in which it was found when it was asked for */
    uint8_t kind;               /* es_class it is queued or running as */
    bool running, queued;       /* on a lane; in a channel's queue (between chunks too) */
    bool hopping;               /* asked for, but still on its way to the tier before */
    bool begun;                 /* its first chunk has started: it holds its room */
    bool holds_lane;            /* false for all but the last of a batch */
    bool transient;             /* takes no room: read in place, or let through a tier on its way that has none */
    bool via;                   /* a stage of a longer way: another tier asked for it */
    bool passing;               /* comes from a tier that let it through, or let it go, and does not hold it */
    bool changed;               /* write-back: of what is newer than below */
    bool gradient;              /* write-back: of a gradient, which new weights answer */
    bool again;                 /* write-back: something newer waits for this one to end */
    bool awaited;               /* a guess for which compute stands still (charge.c) */
    es_time asked;
    uint64_t order;             /* of asking, over all channels */
    int64_t bytes, left;        /* of the copy; of it behind the chunk at hand */
    uint32_t place;             /* among the elastic transfers that do their work now; ES_NONE: not there */
    double work;                /* elastic: work not yet done at `since`, ns at the full rate */
    double rate;                /* bytes per ns now */
    uint8_t filling;            /* while rates are being found */
    double ns_per_byte[ES_MOST_HOPS]; /* elastic: on each channel of its link, at that channel's full rate */
    es_time since;
} es_xfer;

typedef struct es_fifo {
    es_xfer *head, *tail;
    uint32_t count;
} es_fifo;

typedef struct es_job {
    es_oid object;              /* ES_NO_OBJECT: the dense part of a layer */
    es_time cost;               /* at the full rate */
} es_job;

typedef struct es_compute_unit { /* a compute unit that slows or is slowed (unit.c) */
    es_due due;                 /* end of the job at hand, or of all that is known */
    struct es_chan *chan;
    bool elastic;               /* is slowed: its work is a queue of jobs */
    es_job *job;                /* [head, count) wait or are at hand */
    uint32_t head, count;
    double work, rate;          /* of the job at hand: not yet done at `since`, and per ns */
    es_time since, began;
} es_compute_unit;

typedef struct es_chan {
    es_channel_view *view;      /* name, lanes, statistics */
    int discipline;
    uint32_t lanes, busy;
    es_fifo queue[ES_CLASSES];
    uint32_t blocked[ES_CLASSES]; /* bit per tier that lacked room: not asked again before the next landing or release */
    es_xfer *running;           /* transfers that hold a lane here, or share it */
    const es_timing *timing;
    void *timing_state;
    bool timing_varies;
    int64_t cost_bytes;         /* of the copy asked about last: nearly always the next one's too */
    uint32_t cost_count;
    es_cost cost;
    const es_scheduler *scheduler;
    void *scheduler_state;
    int64_t chunk;
    bool slows;                 /* others are slowed while it is busy */
    bool limits;                /* links that queue elsewhere share it */
    uint32_t slower_count;      /* slowed_by */
    uint32_t slower[4];
    double slowing[4];
    es_time depth_since;        /* of the last change of the number waiting */
    int64_t depth_area;         /* integral of the number waiting, ns */
    es_time free_at;            /* compute units: first come, first served with known service times is arithmetic */
    es_time tail;               /* busy time counted that lies behind the end of the run */
} es_chan;

typedef struct es_link {
    uint32_t from, to;
    uint32_t channel_count;
    uint32_t channel[ES_MOST_HOPS];
    uint32_t make;              /* from home: link that an expert takes which home does not hold yet; ES_NONE: this one */
    uint32_t counts;            /* link on which its copies are counted: itself, or for creations the one back to home */
    bool elastic;               /* its copies may be stretched: shared, limited or slowed (share.c) */
    int64_t weight;             /* sizes of an expert that go over it */
    uint64_t copies;            /* that went over it, counted when they began */
    int64_t bytes;
    es_time busy_ns;            /* they took, at the full rate */
} es_link;

typedef struct es_ground {      /* of a tier whose allocator places (place.c) */
    const es_allocator *allocator;
    void **state;               /* [buckets] of the allocator */
    uint32_t buckets, pools;    /* pools: of a bucket */
    const es_pool_view **pool;  /* [buckets][pools] */
    es_block *block;            /* [objects] of what is held, or about to be */
    es_block freed;             /* given back last */
    uint64_t *ready;            /* [words] room was made: the block waits for the copy to begin, which it does at once */
    uint64_t *member;           /* [pools][words] what lies there; a word has its bucket's pool */
    uint64_t *beyond;           /* [words] above the room there is, until the event ends */
    uint64_t *beside;           /* [words] pins that bring their own room, outside of all pools; NULL: they take room like others */
    int64_t beside_bytes;       /* of these, held now */
    uint64_t *fence, *guard;    /* [words] scratch */
    uint32_t *choice;           /* [pools] scratch */
    int64_t *count;             /* [pools] scratch: slots */
    int64_t outside;            /* bytes that lie outside of all pools, and the most there were */
    int64_t outside_peak;
    uint64_t placed, spills, fallbacks, overshoots;
    uint64_t *hidden;           /* [pools][words] has a copy there that lookups do not find; NULL: they find all */
    bool *missed;               /* [buckets * pools] has there ever been one? Then a use of it may be unknown to the policy */
    uint64_t hidden_hits;       /* lookups that did not find what was there */
    es_drop *dropped;           /* [pools * objects] scratch; NULL: the allocator never rearranges itself */
    uint64_t compactions, drops, moves;
    int64_t moved_bytes;
    const es_timing *moving;    /* what moves cost; NULL: nothing */
    void *moving_state;
    uint32_t unpaid;            /* moves that are not paid for yet */
    int64_t unpaid_bytes;
} es_ground;

typedef struct es_rank {        /* a tier's own policy (rank.c) */
    struct es_run *run;
    uint32_t tier;
    const es_policy *policy;
    void *state;
    es_view view;               /* of the run, but this tier serves */
    es_event event;             /* of one object: it was read from here or put here */
    uint16_t index;
    uint64_t *mask, *hit;       /* [words_per_layer] of the event */
} es_rank;

struct es_flush;
typedef struct es_flush es_flush;

typedef struct es_spool {       /* write-backs that hold no room of their tier (spool.c) */
    uint64_t *holds;            /* [words] of OUTBOUND; NULL: what is written back keeps its room until then */
    int64_t most;               /* bytes it may hold */
    int64_t bytes, peak;
    uint64_t entered, refused, recalled;
} es_spool;

typedef struct es_tier {
    es_tier_view *view;
    const char *name;
    bool home, serving, exclusive;
    bool lets_go;               /* what is being read from here may leave: who reads it has it in hand */
    int write_back;             /* es_write_rule */
    bool write_through;
    int64_t write_every;        /* steps; 0: never */
    int64_t weight;             /* sizes of an expert that are kept here: its weights and the state of the optimizer */
    uint64_t *dirty;            /* [words] newer than what is below; NULL: nothing ever is */
    uint64_t dirtied, cleaned, lost;    /* copies that became dirty, were written down, left without having been */
    uint64_t written;           /* write-backs out of here */
    uint64_t unsaved;           /* dirty before the flush */
    es_spool spool;
    es_rank *rank;              /* NULL: the run's policy orders it */
    uint32_t compute;           /* channel, or ES_NONE */
    uint32_t demote;            /* tier, or ES_NO_TIER */
    int64_t *room, *used;       /* [buckets of this tier] in units */
    int64_t *full;              /* [buckets of this tier] the room when its share is 1; pins that stand beside it left out */
    double share;
    bool *shrinking;            /* [buckets of this tier] above a room that has become smaller */
    int64_t *unit;              /* [words] */
    bool uniform;               /* every object takes the same */
    int64_t peak;               /* most units ever held, all buckets */
    int64_t held;
    const char *counts;         /* "slots" or "bytes" */
    es_ground *ground;          /* NULL: its allocator only counts */
    uint32_t way[ES_MOST_TIERS]; /* first link on the shortest way to here from each tier, or ES_NONE */
    uint32_t hops[ES_MOST_TIERS]; /* how many links that way has; ES_NONE: there is none */
    uint32_t touched;           /* objects of the event at hand that are paid for here (levels.c) */
    int64_t touched_bytes;      /* they weigh */
    uint64_t present;           /* hits that were here, be it behind another serving tier */
    uint64_t risen;             /* objects that went up from here to the first serving tier */
    int64_t *settled;           /* [buckets of this tier] units that the policy put there at the start and will not give up */
    int64_t *leaving;           /* [buckets of this tier] units of OUTBOUND copies: still held, but going */
    es_xfer *xfer;              /* [objects]; timed runs */
    const es_timing *access;    /* what an event pays for what it finds here; NULL: nothing */
    void *access_state;
    es_oid *victims;            /* [objects] scratch: one per tier, because a demotion asks the tier below while victims are held */
} es_tier;

/* ---- events ---- */

typedef struct es_composer {
    const es_source *source;
    void *source_state;
    const es_trace_info *info;
    es_step step;               /* as the source gave it */
    uint32_t row, rows;         /* of it, the part that runs as one step now: prefill may be cut */
    es_prefill prefill;         /* how prompts are cut */
    uint64_t steps, events, positions, tokens;  /* so far */
    uint32_t request;           /* of the step now, for contract.reset */
    bool fresh_request;         /* the step now belongs to another request than the one before */
    bool routes;                /* the rows of a step are rewritten at their gates (route.c) */
    bool plain;                 /* every event of the step is one row as it stands in the trace (row.h) */
    uint32_t layer;             /* ordinal, while its events are walked */
    bool train, backward;       /* the step goes back through its layers; it is on its way back */
    uint32_t place, places;     /* of a layer in the step, of those: a step that trains passes each twice */
    uint32_t slices;            /* matrices that an expert is cut into; 1: it is not */
    bool whole;                 /* an expert's id is its index and a layer's objects are alike: not cut, of one precision */
    /* the union of the rows at hand; sub-events are cut from it */
    uint32_t unit_row;          /* unit token, id: next row */
    uint32_t cut, cut_count;    /* judge serialized, unit id: next element of the list */
    const uint16_t *cut_served; /* tokens that it serves; NULL: one */
    uint16_t *list, *touch, *served, *repeats, *scratch;
    uint64_t *mask;             /* [words_per_layer] of the event */
    uint64_t *call;             /* [words_per_layer] of the whole call: what serialized_pinned protects */
    uint64_t *seen;             /* [words_per_layer] scratch */
    uint16_t *slot;             /* [stride] place of an index in list */
    es_event event;
} es_composer;

typedef struct es_routing {     /* closed loop (route.c) */
    uint32_t most;              /* tokens of the largest step of the source */
    uint16_t *ids;              /* [most][layers][top_k] the step at hand as the router has it */
    float *weights;
    const uint16_t *recorded;   /* the same as the source has it */
    const float *recorded_weights;
    uint16_t *chosen;           /* [top_k] its answer */
    uint64_t *listed, *resident; /* [words_per_layer] scratch */
    uint64_t rows, changed, experts, replaced, dropped, weighed;
    double lost, lost_most;     /* gate mass, of `weighed` rows */
} es_routing;

/* ---- the run ---- */

typedef struct es_placed {      /* a part of the run */
    es_due due;                 /* its next wake */
    struct es_placed *next;     /* in the order of assembling */
    const es_part *part;
    void *self;
    const char *path;
    es_phase phase;             /* of its wakes: observers see what the others have made of it */
    const es_tuner *tuner;      /* NULL: it is none */
} es_placed;

typedef struct es_dial {        /* a knob and what it turns */
    void *field;
    bool resizes;               /* it is the share of a tier */
    double first;
    uint64_t turns;
} es_dial;

typedef struct es_listener {
    void *self;
    void (*notify)(void *self, const es_fact *fact);
    unsigned hears;
} es_listener;

typedef struct es_computed {    /* waves: the end of an expert's compute, after which it may leave */
    es_due due;
    es_oid object;
} es_computed;

typedef struct es_wanted {      /* timed: what the layer at hand still waits for */
    uint64_t *waiting;          /* [words_per_layer] wanted and not yet there */
    uint32_t count;
    uint32_t next;              /* in_order, barrier: first element of the list not yet computed */
    es_computed *computed;      /* [stride] */
    uint32_t computing;         /* waves: experts whose compute has not ended */
    bool waves;                 /* this event is larger than its room: each expert is unpinned when its compute ends */
    int overlap;
    es_time cpu_end;            /* of the experts computed on the host; 0: none */
} es_wanted;

enum { ES_QUICK_WORDS = 2 };    /* of a layer, at most */

typedef struct es_quick {       /* the plainest run (quick.c): what changes at every event */
    bool fits;
    bool roomy;                 /* whatever an event keeps, it has room */
    uint64_t mask[ES_QUICK_WORDS], hit[ES_QUICK_WORDS], kept[ES_QUICK_WORDS];   /* of the event */
    uint64_t missing[ES_QUICK_WORDS];   /* of it, what is to be copied (with a clock) */
    int64_t unit;               /* of the serving tier: what an object takes */
    int64_t spare;              /* room not used (without a clock) */
    uint64_t *resident;
    es_need need;
    size_t (*victims)(void *self, const es_need *need, es_oid *out, size_t most);
    es_oid *victim;             /* its answer */
    uint64_t fetched;           /* of the step, to stay */
    int64_t bytes;
    es_time queue_ns, stall_ns, busy_ns;
    uint32_t link, channel;     /* from home */
    uint64_t bit[ES_QUICK_WORDS][64 * ES_QUICK_WORDS];  /* [w] of the mask of expert i alone */
} es_quick;

typedef struct es_held {        /* a guess whose turn has not come (compute.guess_cost serial) */
    es_guess guess;
    uint32_t tier, layer;       /* it should arrive in; it is for */
    bool at_gate;               /* the event at hand was looked up before */
} es_held;

typedef struct es_charge {      /* what takes time besides copies and compute (charge.c) */
    bool on;                    /* anything of it at all */
    unsigned costs;             /* bit per es_op_kind that the compute unit charges for */
    bool serial, free;          /* compute.guess_cost */
    bool accesses;              /* some tier has a cost of access */
    bool moves;                 /* some tier has a cost of moving copies inside it */
    bool accessed;              /* the event at hand has paid for its hits */
    bool asking;                /* the question of the gate at hand takes time: its guesses are not known yet */
    uint64_t evictions;         /* paid for */
    uint32_t awaited;           /* guesses, and a question, that compute or the end of the layer waits for */
    void (*then)(es_run *run, es_due *due); /* what goes on when they are there; NULL: the layer ends */
    es_due asked;               /* the end of a question */
    es_held *held;              /* [next, held_count) have not had their turn */
    uint32_t next, held_count;
} es_charge;

typedef struct es_ahead {       /* ahead.c */
    uint64_t *held;             /* [words] came to run->guess_tier by a guess, and no demand since; NULL: guesses go to the serving tier */
    uint64_t copies, used, waited;
} es_ahead;

typedef struct es_training {    /* train.c */
    uint64_t *updated, *used;   /* [words] in the step at hand; scratch */
    uint32_t host;              /* tier that the serving one is filled from */
    uint32_t unit;              /* its compute unit, which makes the optimizer steps there; ES_NONE: they cost nothing */
    es_computed *stepping;      /* [stride] ends of these */
    uint64_t steps, updates, again, gradients, resyncs;
} es_training;

typedef struct es_grace_node {
    uint32_t prev, next;        /* in order of ending; linked to itself when not in grace */
    es_time until;
} es_grace_node;

typedef struct es_grace {       /* preferences (grace.c) */
    bool on, yields, avoids;    /* any preference at all; demands override grace; guessed objects are avoided by guesses */
    es_time ns;
    uint32_t sentinel;
    es_grace_node *node;        /* [objects + 1] */
    uint64_t *held, *avoided;   /* [words] in grace; guessed and its gate not yet passed */
    uint64_t *pins;             /* [words] view.guard without preferences, while they are asked for */
    es_due due;
} es_grace;

struct es_run {
    es_arena arena;
    const es_plan *plan;
    const es_contract *contract;
    es_view view;
    es_counts tally;
    es_times times;
    es_future future;
    es_calendar calendar;
    es_time now;
    bool stopped, oracle;
    es_err *err;                /* of es_run_go, for faults found inside an event */
    es_code code;

    es_tier tier[ES_MOST_TIERS];
    es_tier_view tier_view[ES_MOST_TIERS];
    uint32_t tiers, serving, home;
    uint32_t levels, level[ES_MOST_TIERS]; /* tiers that the gpu reads experts from, in the order of the config; the first is `serving` */
    es_chan chan[ES_MOST_CHANNELS];
    es_channel_view chan_view[ES_MOST_CHANNELS];
    uint32_t chans, gpu, cpu;   /* compute units or ES_NONE */
    es_compute_unit *gpu_unit, *cpu_unit;   /* NULL: neither slowed nor slowing */
    es_link *link;
    uint32_t links;
    bool singly;                /* copies are followed one by one under clock none too: lower tiers, write-backs */
    bool writes;                /* some tier writes back */
    uint64_t *made;             /* [words] created so far; NULL: home holds all */
    uint64_t created, remade, forgotten;    /* first made; made anew; left the last tier that had it, for a home that holds nothing */
    es_flush *flush;            /* NULL: it has not come to that */
    bool ended;                 /* the last step is over: parts no longer wake */
    uint32_t host;              /* tier with a cpu compute unit, or ES_NO_TIER */

    uint64_t *bucket_room;      /* of view, to be changed */
    uint64_t *exists, *current; /* of view */
    uint16_t *index_of;
    const es_tuner *assigner;   /* the tuner that gives experts other precisions; NULL: none does */
    void *assigner_state;
    uint8_t *variant;           /* [spaces][ids] its scratch */
    uint64_t *seen;             /* [words] used before: what is missed for the first time is compulsory */
    uint64_t *settled;          /* [words] in the serving tier from the start; NULL: the policy put nothing there */
    uint64_t *fresh;            /* [words] came into the serving tier by a guess and was not used since */
    int64_t *bytes;             /* [words] */
    es_time *decode_ns;         /* [words] added to computing an object; NULL: nothing */

    const es_policy *policy;
    void *policy_state;
    bool decides;               /* how misses are served is a question: dispatcher, admit, or overflow bypass */
    bool admits;                /* the policy may refuse to keep what is fetched */
    const es_predictor *predictor;
    void *predictor_state;
    uint32_t points;            /* bit per es_point at which it is asked */
    const es_dispatcher *dispatcher;
    void *dispatcher_state;
    const es_router *router;
    void *router_state;
    es_routing routing;
    uint32_t tuners;
    es_plan_compute compute;    /* of the plan, as tuners have turned it */
    bool resizing;              /* some tier has not yet the room of its share */
    es_placed *placed, **place; /* every part, and where the next is put */
    uint32_t wakes, waking;     /* parts that have periodic work; wakes in the calendar */
    es_knobs knobs;
    es_knob *knob;              /* [knobs.count] of knobs, to be changed */
    es_dial *dial;              /* [knobs.count] */
    es_dial_view *dial_view;    /* [knobs.count] the same for observers */
    es_listener *listener;      /* [listeners] */
    uint32_t listeners;
    es_listener *hears[ES_FACTS]; /* by kind: those who hear it, in order, ended by one without notify */
    es_fact use, release;       /* as told at every gate and release: only times and step change */
    unsigned heard;             /* union of what anybody hears */
    const es_observer **observer;
    void **observer_state;
    uint32_t observers;

    es_composer composer;
    uint64_t *coming;           /* [words_per_layer] several serving tiers: of the event, in flight to any of them */
    uint64_t *hit, *kept, *stay; /* [words_per_layer] of the event: resident at its gate; kept afterwards; newly so */
    es_oid *moved;              /* [objects] scratch for facts */
    bool *keep;                 /* [stride] scratch for the policy's admit */
    es_guess *guesses;          /* scratch for the predictor */
    uint32_t *places;           /* scratch for the policy: where they go */
    uint32_t guesses_most;
    es_oid *pending;            /* [serving tiers * objects] clock none: guesses that wait for room, in order */
    uint8_t *pending_to;        /* their tiers */
    uint32_t pending_count;
    uint32_t *aim;              /* [objects] layer for whose gate a guess waits; NULL: the layer of the object */
    bool exceeded;              /* the event at hand took more than the room there is */
    bool hides;                 /* lookups of the serving tier may not find what is there (place.c) */
    uint64_t *reading;          /* [words] scratch: what may not leave a lower tier; NULL with two tiers */
    es_oid in_hand;             /* clock none: on its way to the serving tier, be it still below or not; or ES_NO_OBJECT */

    uint32_t guess_tier;        /* where guesses go, with one serving tier */
    es_ahead ahead;
    bool trains;                /* some steps train */
    es_training train;
    es_quick quick;
    es_grace grace;
    es_charge charge;

    /* timed */
    es_due turn;                /* next gate or release */
    es_wanted wanted;
    uint64_t asks;
    uint64_t dirty;             /* bit per channel that may be able to start something */
    bool blocked;               /* some channel may have a class that waits for room */
    es_xfer **elastic;          /* transfers that do elastic work now */
    double *rate_before;        /* scratch: of each of them */
    uint32_t elastic_count;
    bool reshare;               /* something began or ended that changes rates */
    es_time step_start, gate;
    es_time dense_ns;           /* of a layer of the step at hand */
    es_time *expert_ns;         /* [layers] gpu cost of an expert that serves one token, or NULL when it varies */
    es_verdict *verdicts;       /* [stride] of missing[i] */
    uint32_t missing_count;
    es_time *serve_ns;          /* scratch for the dispatcher: 3 * stride */
    uint16_t *missing;

    const es_progress *progress;
};

#endif
