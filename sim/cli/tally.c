/* Tally: see tally.h. */
#include "sim/cli/tally.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/text.h"

enum { TALLY_BAR = 24 };        /* characters */

static double tally_since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

double tally_seconds(const tally *t)
{
    return tally_since(&t->start);
}

void tally_begin(tally *t, const char *name, size_t count, size_t before, bool quiet)
{
    *t = (tally){.name = name, .count = count, .before = before, .quiet = quiet, .bar = isatty(STDERR_FILENO) == 1};
    clock_gettime(CLOCK_MONOTONIC, &t->start);
    t->last = t->start;
}

static void tally_erase(tally *t)
{
    if (t->shown && t->bar)
        fputs("\r\033[K", stderr);
    t->shown = false;
}

void tally_line(tally *t, const char *line)
{
    if (t->quiet)
        return;
    tally_erase(t);
    fprintf(stderr, "%s\n", line);
}

/* "[#####...] 12 of 36 points, 4.1 a second, 6 s left, 1 failed" */
static void tally_write(const tally *t, es_text *line)
{
    size_t ended = t->done + t->failed, all = t->before + ended;
    double seconds = tally_seconds(t), rate = seconds > 0.0 ? (double)ended / seconds : 0.0;
    if (t->bar) {
        int full = t->count ? (int)(all * TALLY_BAR / t->count) : TALLY_BAR;
        es_text_add(line, "[");
        for (int i = 0; i < TALLY_BAR; i++)
            es_text_add(line, "%s", i < full ? "#" : ".");
        es_text_add(line, "] ");
    }
    es_text_add(line, "%s: ", t->name);
    es_text_count(line, (int64_t)all);
    es_text_add(line, " of ");
    es_text_count(line, (int64_t)t->count);
    es_text_add(line, " points");
    if (rate > 0.0) {
        es_text_add(line, ", %.3g a second, ", rate);
        es_text_add(line, "%.0f s left", (double)(t->count - all) / rate);
    }
    if (t->failed)
        es_text_add(line, ", %zu failed", t->failed);
}

void tally_tick(tally *t)
{
    double every = t->bar ? 0.1 : 10.0;
    if (t->quiet || tally_since(&t->last) < every)
        return;
    clock_gettime(CLOCK_MONOTONIC, &t->last);
    es_text line = {0};
    tally_write(t, &line);
    tally_erase(t);
    if (!line.failed)
        fprintf(stderr, "%s%s", line.at, t->bar ? "" : "\n");
    fflush(stderr);
    t->shown = true;
    es_text_free(&line);
}

void tally_end(tally *t)
{
    tally_erase(t);
    fflush(stderr);
}
