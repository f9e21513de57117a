/* Lives: a trace of buffers in memory. Rows say what is asked for and how long it lives; steps come out that say what happens when.
 *
 * A buffer's life ends in one of three ways: so many steps after its own (0: with its own, when that has computed), just before another
 * buffer is asked for, or by a row that releases it. What has a number of steps ends with the trace at the latest; the others may leak.
 *
 * Rules, each with an error that names the buffer: steps begin with 0 and rise by at most 1; what lives is not asked for again; only what
 * lives is released, unless `again` lets a second release pass. */
#ifndef ES_TRACES_LIVES_H
#define ES_TRACES_LIVES_H

#include "sim/part/source.h"

typedef struct es_lives es_lives;

typedef struct es_life {
    uint64_t step, id;
    int64_t bytes;              /* at least 1 */
    int64_t steps;              /* beyond its own; ES_LIFE_OPEN: as long as nothing ends it */
    bool until_given;
    uint64_t until;             /* ends when this one is asked for */
    uint64_t record;            /* line or row, for messages */
} es_life;
#define ES_LIFE_OPEN (-1)

enum { ES_LIVES_TOKENS_MAX = 1 << 20 };

/* `again`: a second release of a buffer is part of the trace, not an error. */
es_code es_lives_new(es_lives **out, bool again, es_err *err);
void es_lives_free(es_lives *lives);
/* Goes on to a step, which makes so many tokens. Every step is begun before anything happens in it. */
es_code es_lives_step(es_lives *lives, uint64_t step, uint32_t tokens, es_err *err);
es_code es_lives_ask(es_lives *lives, const es_life *life, es_err *err);
es_code es_lives_release(es_lives *lives, uint64_t id, uint64_t record, es_err *err);
/* Ends the last step. An empty trace, and a life that ends with a buffer that does not come, are errors. */
es_code es_lives_finish(es_lives *lives, es_err *err);

/* Totals, after the end; the caller adds format and hash. */
const es_trace_info *es_lives_info(const es_lives *lives);
/* Step number `at`; false: there is none. */
bool es_lives_at(const es_lives *lives, uint64_t at, es_step *step);

#endif
