/* Pairs: traces that are nothing but pairs of 32 bits, layer and expert, in the order of use. What follows from them: a run of one layer
 * is a call, a layer that does not rise begins the next pass, and a run of more than one row of experts is a prompt. */
#ifndef ES_TRACES_PAIRS_H
#define ES_TRACES_PAIRS_H

#include "traces/calls.h"

typedef struct es_pairs {               /* a source's state begins with one */
    es_calls calls;
    uint64_t count, room;
    uint32_t *run;                      /* [room] experts of the run at hand */
    bool pruned;                        /* a pass ended with fewer tokens than it began with */
} es_pairs;

/* es_calls_form.read of such a source. */
es_code es_pairs_read(es_calls *calls, bool *more, es_err *err);
/* And its block, with call_bytes 0 and ES_PAIR for the other sizes. */
bool es_pairs_block(es_calls *calls, es_calls_block *block);
void es_pairs_fini(void *self);

/* How sure: layers that stand in runs of equal length or multiples of it, that rise and begin again with the first. */
int es_pairs_sniff(const unsigned char *pairs, size_t length);

enum { ES_PAIR = 8 };                   /* bytes of one */

#endif
