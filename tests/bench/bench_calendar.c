/* Hold benchmark of the calendar (Jones 1986): with n pending, take the earliest and add one at a random later time.
 * Expected on the machines we know: 30 to 60 million pairs a second with 16 to 64 pending. Prints a row per n. */
#include <stdio.h>
#include <time.h>

#include "sim/core/calendar.h"

enum { PAIRS = 10000000, MOST = 1024 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(void)
{
    static es_due due[MOST];
    static uint32_t jump[4096];
    es_stream s = es_stream_of(1, 0, "bench", "calendar");
    for (uint32_t i = 0; i < 4096; i++)
        jump[i] = es_draw_below(s, 100000, i, 0, 0, 0);
    printf("%8s %16s\n", "pending", "M events/s");
    for (uint32_t n = 4; n <= MOST; n *= 4) {
        es_arena arena = {0};
        es_calendar c;
        if (!es_calendar_init(&c, &arena, MOST))
            return 1;
        for (uint32_t i = 0; i < n; i++) {
            due[i] = (es_due){0};
            es_calendar_add(&c, &due[i], jump[i], ES_PHASE_COMPLETE);
        }
        double start = seconds();
        for (uint32_t i = 0; i < PAIRS; i++) {
            es_due *d = es_calendar_pop(&c);
            es_calendar_add(&c, d, d->at + jump[i & 4095], ES_PHASE_COMPLETE);
        }
        printf("%8u %16.1f\n", n, PAIRS / (seconds() - start) * 1e-6);
        es_arena_free(&arena);
    }
    return 0;
}
