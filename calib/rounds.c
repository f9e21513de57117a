/* Rounds: see rounds.h. */
#include "calib/rounds.h"

#include <math.h>
#include <string.h>

size_t rounds_block(double lag1, size_t rounds)
{
    double r = fmin(lag1, 0.99), most = fmax(1.0, floor((double)rounds / 4.0));
    if (!(lag1 > ROUNDS_ALIKE))
        return 1;
    return (size_t)fmin(most, fmax(2.0, ceil(cbrt(pow(2.0 * r / (1.0 - r * r), 2.0) * (double)rounds))));
}

void rounds_draw(es_stream draws, uint64_t n, size_t block, uint32_t *times, size_t rounds)
{
    memset(times, 0, rounds * sizeof *times);
    for (size_t i = 0; i < rounds; i += block) {
        size_t start = es_draw_below(draws, (uint32_t)rounds, n, i / block, 0, 0);
        for (size_t k = 0; k < block && i + k < rounds; k++)
            times[(start + k) % rounds]++;
    }
}
