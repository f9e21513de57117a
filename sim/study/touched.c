/* Touched: see touched.h. A slot's bytes stand at its last touch, in sums by powers of two (Fenwick 1994). */
#include "sim/study/touched.h"

#include <stdbool.h>
#include <stdlib.h>

struct touched {
    uint64_t *last[ES_PLACES];      /* [slots] number of its last touch, from 1; 0: none */
    int64_t *bytes;                 /* [most + 1] of the slot whose last touch it is */
    int64_t *sum;                   /* [most + 1] */
    uint64_t most, count;
    int64_t all;
};

es_code touched_open(touched **out, const es_actions *log, es_err *err)
{
    touched *t = *out = calloc(1, sizeof *t);
    bool there = t != NULL;
    for (int place = 0; there && place < ES_PLACES; place++)
        there = place == ES_PLACE_DISK || (t->last[place] = calloc((size_t)log->slots[place] + 1, sizeof *t->last[place])) != NULL;
    if (there) {
        t->most = 2 * (uint64_t)log->count;
        t->bytes = calloc(t->most + 1, sizeof *t->bytes);
        t->sum = calloc(t->most + 1, sizeof *t->sum);
    }
    return there && t->bytes && t->sum ? ES_OK : es_err_nomem(err, "the memory of a log");
}

void touched_close(touched *t)
{
    for (int place = 0; t && place < ES_PLACES; place++)
        free(t->last[place]);
    if (t) {
        free(t->bytes);
        free(t->sum);
    }
    free(t);
}

static void touched_put(touched *t, uint64_t at, int64_t bytes)
{
    t->all += bytes;
    for (; at <= t->most; at += at & -at)
        t->sum[at] += bytes;
}

void touched_add(touched *t, int place, uint32_t slot, int64_t bytes)
{
    uint64_t *last = &t->last[place][slot];
    if (*last)
        touched_put(t, *last, -t->bytes[*last]);
    *last = ++t->count;
    t->bytes[t->count] = bytes;
    touched_put(t, t->count, bytes);
}

uint64_t touched_count(const touched *t)
{
    return t->count;
}

int64_t touched_since(const touched *t, uint64_t count)
{
    int64_t before = 0;
    for (; count > 0; count -= count & -count)
        before += t->sum[count];
    return t->all - before;
}
