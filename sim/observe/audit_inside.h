/* Inside the audit: what its files share.
 *
 *     audit.c            facts: life, pins, space, waits, agreement, balances      audit_rooms.c      places and rooms */
#ifndef ES_OBSERVE_AUDIT_INSIDE_H
#define ES_OBSERVE_AUDIT_INSIDE_H

#include "sim/part/observer.h"

typedef enum audit_state { ABSENT, QUEUED, INBOUND, RESIDENT, OUTBOUND, AUDIT_STATES } audit_state;

typedef struct audit_tier {
    uint64_t *mask[AUDIT_STATES];        /* [words] by audit_state, none for ABSENT */
    uint64_t *down;             /* [words] what left for another tier and may arrive there */
    uint64_t *spooled;          /* [words] of OUTBOUND, in a write buffer: holds no space */
} audit_tier;

typedef struct audit {
    const es_view *view;
    audit_tier *tier;
    int64_t *used;              /* [buckets] units */
    uint64_t *room, *most;      /* [buckets] as told; what may be held while it is above a room that has become smaller */
    bool *above;                /* [buckets] it was so at the begin of the event at hand or later: what leaves for that is not yet gone */
    bool shrank;                /* any room at all became smaller so far */
    bool shrinking;             /* a room is smaller than what is held: residents are about to leave */
    int64_t came;               /* units that came into the serving tier, or back, since then */
    uint64_t *pin, *keep, *here;/* [words] of the event at hand: wanted; to stay; there at the gate or landed since */
    es_oid *placed;             /* [words * 64] scratch: what has a block, in the order of blocks; NULL: no allocator places */
    es_time *computed;          /* [words * 64] end of its compute in this event; 0: not known */
    es_fact_kind kind;          /* of the fact at hand, its time */
    es_time at;
    bool begun, pinned, counted, exceeded;
    uint64_t event;             /* index */
    uint32_t word, words;
    uint64_t overflows;         /* tally.overflow_events at the last release */
    es_time steps_ns, stall_ns;
    es_time line, step_began;   /* end of what the step at hand went through so far; its begin */
    es_time attributed;         /* all attributed time when it began */
    int64_t started_bytes, guess_bytes, transient_bytes;
    uint64_t checks, faults, overcommitted;
    char first[512];
} audit;

/* Counts it; the first is kept as a sentence. */
void audit_fault(audit *s, const char *fmt, ...) ES_PRINTF(2, 3);
/* "layer 3 expert 17 in tier cache is absent, expected resident" */
void audit_copy_fault(audit *s, uint32_t tier, es_oid object, const char *found, const char *expected);

/* Blocks lie inside their pools, none on another, and add up to what the pools say is used. Needs s->placed. */
void audit_blocks(audit *s);
/* Nobody's room changes untold. What is still above a room that has become smaller is to leave now; what once fitted may not be above it again. */
void audit_rooms(audit *s);
/* A room has changed, and that is told. */
void audit_room(audit *s, const es_fact *fact);
/* Whoever had to leave the serving tier for a smaller room has left, or is on its way out. */
void audit_shrunk(audit *s);
/* An event that exceeded its room and does not count as an overflow must have given all of it back. */
void audit_settled(audit *s);

#endif
