/* Sums: what the weights of the rows of a log sum to, and the first row of which they sum to something else than before. */
#ifndef ES_TRACES_SUMS_H
#define ES_TRACES_SUMS_H

#include "traces/assume.h"

typedef struct es_sums {                /* {0} is a start */
    float least, most;
    uint64_t rows, other;               /* other: record of the first row that is not as those before it; 0: none */
    float usual, is;                    /* what those sum to, and what it does */
} es_sums;

static inline void es_sums_row(es_sums *sums, float sum, uint64_t record)
{
    const float apart = sum - sums->usual;
    if (sums->rows++ == 0)
        sums->least = sums->most = sums->usual = sum;
    else if (sums->other == 0 && !(apart < 0.02f && apart > -0.02f)) {
        sums->other = record;
        sums->is = sum;
    }
    sums->least = sum < sums->least ? sum : sums->least;
    sums->most = sum > sums->most ? sum : sums->most;
}

static inline void es_sums_tell(const es_sums *sums, const char *unit, es_text *notes)
{
    if (sums->other > 0)
        es_assume(notes, "the first row with weights of another sum than those before is on %s %llu: %.3g where the first row has %.3g", unit, (unsigned long long)sums->other, (double)sums->is,
            (double)sums->usual);
}

#endif
