/* Bench: a probe and the memory it is measured with. Inside calib/: measure.c performs cases on it, contention.c two at once. */
#ifndef ES_CALIB_BENCH_H
#define ES_CALIB_BENCH_H

#include "calib/measure.h"

typedef struct bench_pool {     /* memory of one kind that is gone through from end to end, again and again */
    unsigned char *at;
    int64_t bytes, next;
} bench_pool;

struct calib_bench {
    const es_probe *probe;
    void *self;                 /* the probe's state */
    es_probe_facts facts;
    bench_pool pool[ES_MEMORIES];
    unsigned char *check;       /* pageable: what came back from the device; the disk's buffer */
    int64_t check_bytes, disk_bytes, disk_next;
    uint32_t inter;             /* of the expert that contention asks about */
    es_stream random;           /* the bytes of the pools and of the scratch file */
};

/* The next `bytes` of a pool, aligned to 4096. */
unsigned char *bench_next(bench_pool *pool, int64_t bytes);
/* Performs a case once and times it. `whole`: for the first time: compares all that arrived, otherwise its last bytes. A time of -1: it does not apply. */
es_code bench_perform(calib_bench *bench, const calib_case *c, bool whole, calib_sample *sample, es_err *err);

#endif
