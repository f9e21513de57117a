/* Tally: how far a list of points is: a bar on a terminal, otherwise a line now and then, on standard error. */
#ifndef ES_CLI_TALLY_H
#define ES_CLI_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

typedef struct tally {
    const char *name;
    size_t count, before;       /* points in all; of these, done before we began */
    size_t done, failed;        /* since then; a point that failed is not done */
    bool quiet, bar;            /* says nothing; redraws one line */
    bool shown;
    struct timespec start, last;
} tally;

void tally_begin(tally *t, const char *name, size_t count, size_t before, bool quiet);
/* A line of its own, above the bar. */
void tally_line(tally *t, const char *line);
/* Shows how far it is, when it is time to. */
void tally_tick(tally *t);
void tally_end(tally *t);
double tally_seconds(const tally *t);

#endif
