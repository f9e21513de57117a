/* Calendar: the pending events of one run, earliest first.
 *
 * Events at the same time fire in phase order, then in the order they were added. An event is embedded in the thing it happens
 * to, so adding one allocates nothing and an event is in at most one place. Expect 40-60 million additions and removals a
 * second with 16 to 64 pending (tests/bench/bench_calendar.c). */
#ifndef ES_CORE_CALENDAR_H
#define ES_CORE_CALENDAR_H

#include "sim/part/part.h"

struct es_run;

typedef enum es_phase {
    ES_PHASE_COMPLETE,          /* a copy lands: data landing now is a hit now */
    ES_PHASE_RELEASE,           /* a layer ends: overflow leaves, pins and grace go */
    ES_PHASE_GATE,              /* a gate is passed: lookups */
    ES_PHASE_ARRIVE,            /* a request arrives */
    ES_PHASE_TUNE, ES_PHASE_REPORT, ES_PHASE_STOP
} es_phase;

typedef struct es_due {
    es_time at;
    uint32_t slot;              /* position in the heap; 0 when not pending */
    void (*fire)(struct es_run *run, struct es_due *due);
} es_due;

typedef struct es_calendar_entry {
    es_time at;
    uint64_t order;             /* phase in the top bits, then the order of adding */
    es_due *due;
} es_calendar_entry;

typedef struct es_calendar {
    es_calendar_entry *entry;   /* 4-ary heap in [3, 3 + count), so that the four children of i begin at a multiple of four */
    uint32_t count, room;
    bool hole;                  /* the root was taken and not yet replaced: the next addition goes there */
    uint64_t seq;
} es_calendar;

bool    es_calendar_init(es_calendar *c, es_arena *arena, uint32_t room);  /* for at most `room` pending; false: no memory */
void    es_calendar_add(es_calendar *c, es_due *due, es_time at, es_phase phase);
bool    es_calendar_cancel(es_calendar *c, es_due *due);        /* false when it was not pending */
es_due *es_calendar_pop(es_calendar *c);                        /* NULL when nothing is left */
/* Is anything pending at this time (or before)? */
bool    es_calendar_holds(es_calendar *c, es_time at);

#endif
