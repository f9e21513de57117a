/* Facts: what the core tells its parts. One per event with lists and masks, not one per access.
 *
 * A part says in es_part.hears which kinds it wants (ES_HEARS(kind) | ...); others cost it nothing. */
#ifndef ES_PART_FACT_H
#define ES_PART_FACT_H

#include "sim/part/part.h"
#include "sim/part/source.h"
#include "sim/part/view.h"

typedef enum es_fact_kind {
    ES_FACT_STEP,               /* a step begins: step, count tokens, `from` their es_phase_of, `to` the request of the first; tokens[count] */
    ES_FACT_USE,                /* the gate of a layer was passed: event; follows the lookups and the dispatcher's verdicts */
    ES_FACT_QUEUE,              /* objects[count] were asked for, to tier, why */
    ES_FACT_START,              /* demands objects[count] begin to arrive in tier `to` from `from` (space is held from now on) */
    ES_FACT_START_GUESS,        /* the same for guesses on their way into the serving tier; in tiers between, START has why GUESS */
    ES_FACT_LAND,               /* objects[count] are resident in `to` */
    ES_FACT_EVICT,              /* objects[count] left the serving tier `from`; `to` is where they go (demotion) or ES_NO_TIER (dropped) */
    ES_FACT_ARRIVE_LOW,         /* objects[count] are now in the lower tier `to`, by demotion from `from` */
    ES_FACT_LEAVE_LOW,          /* objects[count] left the lower tier `from`: upwards (why TOUCH), as victims (DEMOTE), to `to` or ES_NO_TIER */
    ES_FACT_OUTBOUND,           /* objects[count] begin to leave `from` for `to` by write-back; EVICT or LEAVE_LOW follows when they have left */
    ES_FACT_RECALL,             /* objects[count] were wanted again and stay in `from` */
    ES_FACT_CANCEL,             /* queued guesses objects[count] for tier `to` died */
    ES_FACT_RELEASE,            /* the event's layer ended: event; its pins are gone */
    ES_FACT_STALL,              /* compute waited from `since` to `at` only for weights, delivered by channel */
    ES_FACT_COMPUTE,            /* unit `channel` computes from `since` to `at`: object, or ES_NO_OBJECT for the dense part; `to` the serving tier, or the one
                                 * where the host makes an optimizer step of it */
    ES_FACT_STEP_END,           /* it ended: the same, since = its start */
    ES_FACT_RESET,              /* the caches were emptied (contract.reset) */
    ES_FACT_END,                /* the run ended */
    ES_FACT_GUESS,              /* the predictor was asked: event at whose gate, ask, guesses[count] as it gave them; before they are queued */
    ES_FACT_TURN,               /* a tuner gave an option another value: turn */
    ES_FACT_ROOM,               /* the room of tier `to` is another from now on (view->bucket_room); who has to leave leaves next, why SHRINK
                                 * (or, where an allocator has rearranged itself, why RELEASE) */
    ES_FACT_COPY,               /* simulated clock: objects[1] have been on their way from `from` to `to` over channel from `since` to `at`, all of them
                                 * or a chunk: copy. Told of every transfer, also of what takes no room; `why` is its class at the end */
    ES_FACT_CHARGE,             /* simulated clock: from `since` to `at` the step went through what is neither the dense part nor an expert nor a stall:
                                 * count is its es_charged. With COMPUTE of the gpu and STALL this tiles every step without gap or overlap */
    ES_FACT_WAITING,            /* simulated clock: from now on `count` copies wait in the queue of channel */
    ES_FACT_DEPART,             /* simulated clock: objects[count] (or a chunk of one) begin to move from `from` to `to` on one lane of channel, one
                                 * behind another: COPY follows for each; bytes together. Left undisturbed the last arrives at `at`; since: now */
    ES_FACTS                    /* a new kind goes before this line: digests of earlier runs hash the numbers of the others */
} es_fact_kind;

#define ES_HEARS(kind) (1u << (kind))

typedef enum es_why { ES_DEMAND, ES_GUESS, ES_TOUCH, ES_IDLE, ES_RELEASE, ES_INITIAL, ES_DEMOTE, ES_SHRINK } es_why;

typedef struct es_event {       /* a layer of a step, with the union of the experts its tokens need */
    uint64_t index;             /* of the event in the run, from 0 */
    uint64_t at;                /* position of list[0] in es_future.next */
    uint64_t step;              /* index of the step */
    uint32_t layer;             /* ordinal */
    uint32_t request;           /* of its first token */
    uint8_t phase;              /* es_phase_of of its first token */
    bool first, last;           /* of the events of its (step, layer); both true but for units below the union */
    bool counted;               /* behind contract.skip_tokens */
    uint32_t tokens;            /* rows */
    uint32_t assignments;       /* ids before duplicates were removed */
    es_oid base;                /* object = base + index */
    uint32_t count;             /* distinct objects */
    const uint16_t *list;       /* [count] indices, in order of first appearance (token, rank) */
    const uint16_t *touch;      /* [count] the same in the order in which they become most recent (contract.duplicates) */
    const uint16_t *served;     /* [count] tokens served by list[i]; NULL: one each */
    const uint16_t *repeats;    /* [count] times list[i] counts as used; NULL: once each */
    uint32_t word, words;       /* masks are for words [word, word + words) of all objects */
    const uint64_t *mask;       /* [words] wanted */
    const uint64_t *hit;        /* [words] resident at the gate */
    const uint64_t *kept;       /* [words] wanted and kept afterwards: hits and what will be fetched to stay; NULL: all wanted */
    uint32_t hits, late, foreseen;  /* resident / in flight / queued at the gate; misses = count - hits - late */
    const es_step *rows;        /* the tokens [row, row + tokens) of this step */
    uint32_t row;
    bool backward;              /* of the backward pass of a training step; never counted */
} es_event;

typedef enum es_charged {       /* ES_FACT_CHARGE */
    ES_CHARGED_ACCESS,          /* reading what was found from its tier */
    ES_CHARGED_LOOKUP,          /* managing the cache: looking experts up, */
    ES_CHARGED_EVICT,           /* victims, */
    ES_CHARGED_MOVE,            /* copies that an allocator has moved */
    ES_CHARGED_PREDICT,         /* asking the predictor */
    ES_CHARGED_HOST,            /* experts or optimizer steps on the host, beyond what gpu and copies hide */
    ES_CHARGES
} es_charged;

typedef struct es_copy {        /* ES_FACT_COPY */
    es_time asked;              /* since when it stood in the queue of its channel; between chunks, since the one before */
    es_time alone;              /* what it takes with the channel to itself, at the full rate */
    es_why begun;               /* its class when it started: a guess may have been demanded since */
    bool last;                  /* nothing is left of it */
} es_copy;

typedef struct es_turn {
    const char *path;           /* "policy.l2_threshold" */
    const es_option *option;
    double from, to;            /* in the unit of the option's field; of an enum the place among its choices */
} es_turn;

struct es_guess;
struct es_predict_ask;

typedef struct es_fact {
    es_fact_kind kind;
    es_why why;
    es_time at, since;
    const es_event *event;
    const es_oid *objects;
    uint32_t count;
    uint32_t from, to;          /* tiers */
    uint32_t channel;
    int64_t bytes;              /* of all objects together */
    uint64_t step;
    const es_turn *turn;
    const es_copy *copy;
    const es_token *tokens;
    const struct es_predict_ask *ask;
    const struct es_guess *guesses;
} es_fact;

static inline bool es_event_keeps(const es_event *event, uint16_t index)
{
    return !event->kept || (event->kept[index >> 6] >> (index & 63) & 1);
}

/* The index at which the event lists an expert of its rows, at whatever precision it was asked for; of several matrices the first. */
static inline uint32_t es_event_index(const es_view *view, const es_event *event, uint32_t expert)
{
    uint32_t index = expert;
    for (uint32_t v = 1; v < view->variants && !(event->mask[index >> 6] >> (index & 63) & 1); v++)
        index = v * view->matrices * view->slice + expert;
    return index;
}

/* Adds up what some of the event's objects weigh or take: `some` is a mask of its words, `each` has a number per word of all. */
static inline int64_t es_event_sum(const es_event *event, const uint64_t *some, const int64_t *each)
{
    int64_t sum = 0;
    for (uint32_t w = 0; w < event->words; w++)
        sum += (int64_t)__builtin_popcountll(some[w]) * each[event->word + w];
    return sum;
}

#endif
