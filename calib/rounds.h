/* Rounds: which rounds a resample consists of. What disturbs one size of a round disturbs its neighbours, so a resample draws rounds, the same
 * for all sizes; and where a round tells something of the next, it draws blocks of them (Kuensch, Ann. Statist. 17, 1989). */
#ifndef ES_CALIB_ROUNDS_H
#define ES_CALIB_ROUNDS_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/rng.h"

/* A lag-1 autocorrelation above it makes blocks. */
#define ROUNDS_ALIKE 0.2

/* Rounds of a block: 1 up to ROUNDS_ALIKE, then what is best for a mean of an autoregressive series, (2 r / (1 - r^2))^(2/3) n^(1/3) (Carlstein,
 * Ann. Statist. 14, 1986), at most a quarter of the rounds. */
size_t rounds_block(double lag1, size_t rounds);
/* times[round]: how often it is in the n-th resample; as many as there are rounds, in all. Blocks go round at the end. */
void rounds_draw(es_stream draws, uint64_t n, size_t block, uint32_t *times, size_t rounds);

#endif
