/* Scene: a small random machine, trace and set of parts, as knobs. The same seed gives the same scene; a test may turn a knob and
 * build it again, so that two runs differ in one thing. Sizes and times are round, so that many things happen at one instant. */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include "tests/support/rig.h"

enum { SCENE_LAYERS = 6, SCENE_TIERS = 3, SCENE_CHANNELS = 3, SCENE_TUNERS = 3 };

/* Draws in order: each call takes the next value of the seed. */
typedef struct dice {
    uint64_t seed, thrown;
} dice;
uint32_t dice_below(dice *d, uint32_t n);
bool dice_chance(dice *d, uint32_t percent);
uint32_t dice_between(dice *d, uint32_t low, uint32_t high);     /* high included */
int64_t dice_pick(dice *d, const int64_t *of, uint32_t count);

typedef struct scene_tier {     /* those before home, the serving one first */
    int64_t room;               /* bytes or slots */
    int64_t share;              /* percent of all experts, instead of room; 0: not so */
    bool bytes, counted, demotes, exclusive, yields;
    bool lets_go;               /* hold_reads false */
    int write_back;             /* es_write_rule */
    bool write_through;
    int64_t write_every;
    const char *write_buffer;   /* of a tier below the serving ones that writes back */
    const char *policy;         /* of its own; NULL: the run's */
    const char *pools;          /* options of allocator pools; NULL: another allocator */
    int64_t granularity;        /* of allocator bytes; 0: allocator left out, or slots when `counted` */
    int64_t grace;
} scene_tier;

typedef struct scene_channel {
    int discipline;
    int64_t lanes, chunk, latency, per_object, rate, batch;
    const char *timing;
    double cv;                  /* of jitter */
    bool gamma;
    bool fifo;                  /* scheduler */
    uint32_t slowed_by;         /* channel; SCENE_CHANNELS: none */
} scene_channel;

typedef enum scene_way { SCENE_DIRECT, SCENE_CHAIN, SCENE_BOTH } scene_way;

typedef struct scene {
    uint64_t seed;
    /* trace */
    uint32_t layers, experts, top_k, guesses;
    uint32_t requests, prompt, decode, together;    /* prompt and decode tokens of each; requests that share a step */
    uint32_t missing, cut, again;                   /* percent: rows left out, rows cut short, ids as the token before */
    bool counted;
    bool rests;                 /* the last step wants nothing: what is left to be done is done before it */
    int64_t bytes[SCENE_LAYERS];
    /* machine */
    bool timed, cpu;
    uint32_t tiers;             /* before home */
    scene_tier tier[SCENE_TIERS];
    scene_way way;
    int holds;                  /* es_holds of home; touched only where a chain leads there, and back */
    es_plan_training training;
    bool flush;                 /* where some tier writes back */
    uint32_t channels;
    scene_channel channel[SCENE_CHANNELS];
    uint32_t limit;             /* channel that limits every link besides its own; SCENE_CHANNELS: none */
    bool free_links;            /* no channels at all */
    int64_t dense, expert, token, host_expert, host_update;
    bool cpu_slowed;            /* by the first channel */
    int64_t access, predict, lookup, evict;         /* 0: costs nothing */
    es_plan_compute compute;
    es_contract contract;
    char prefill[16], quota[80];
    uint32_t slices;
    bool unequal;               /* slices weigh 1 : 2 : 3 */
    uint32_t variants;          /* precisions; 0: one, of which nothing is known */
    const char *importance;     /* options of the tuner that gives them to other experts; NULL: none does */
    const char *shares, *defrag;        /* of the pools of those tiers that have pools */
    bool heapless;              /* never heaps instead of pools */
    int64_t moves;              /* what a defragmentation costs there */
    uint32_t levels;            /* serving tiers, of `tiers` the first */
    bool shared;                /* catalog.key expert */
    /* parts */
    const char *policy, *predictor, *dispatcher;    /* NULL: none */
    const char *policy_options, *predictor_options, *dispatcher_options;
    const char *tuner[SCENE_TUNERS];
    char tuner_options[SCENE_TUNERS][400];
    uint32_t tuners;
    bool watched;               /* by audit and digest too, who hear of every copy; by summary and latency always */
    bool reported;              /* by all other observers that write no file */
    bool stream;                /* keeps no samples */
} scene;

void scene_draw(scene *s, uint64_t seed);
void scene_charge(scene *s);    /* what takes time besides copies and compute is drawn too, and when the predictor is asked */
void scene_precisions(scene *s);    /* each expert gets one of two or three precisions */
void scene_tune(scene *s);      /* tuners turn shares of tiers, guesses and thresholds */
void scene_pools(scene *s);     /* the same, and some tiers have a pool for each */
void scene_alike(scene *s);     /* all experts take the same */
/* Does a part need an option, such as a file made for one model? Then no scene has it, and tests of its own run it. */
bool scene_needs(const es_part *part);
/* A rig that is ready to run. */
void scene_build(const scene *s, rig *r);

/* Seed and number of cases of a test: ES_SEED, ES_CASES (of all tests of a program), ES_CASE (only this one, with its machine
 * printed) from the environment. Prints both. */
typedef struct scene_cases {
    uint64_t seed, from, to;
    bool one;
} scene_cases;
scene_cases scene_plan(const char *test, uint64_t cases);
uint64_t scene_seed(const scene_cases *c, uint64_t number);

#endif
