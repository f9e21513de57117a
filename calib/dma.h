/* DMA: threads that stand for the copy engines of a device. Each takes its jobs first come, first served; what is queued runs by
 * itself, and a gate can hold all of them so that what was queued meanwhile starts at one instant. */
#ifndef ES_CALIB_DMA_H
#define ES_CALIB_DMA_H

#include "sim/part/probe.h"

typedef struct dma dma;

typedef struct dma_job {
    void (*call)(void *arg);        /* NULL: copies */
    void *arg;
    void *to;
    const void *from;
    size_t bytes;
    int64_t *stamp;                 /* not NULL: only writes the clock there */
    const int64_t *until;           /* not NULL: only waits until a stamp was written there */
} dma_job;

es_time dma_clock(void);            /* ns, not bent by anybody who sets clocks */
es_code dma_open(dma **out, unsigned engines, es_err *err);
void dma_close(dma *d);             /* waits for what is queued; NULL is fine */
es_code dma_push(dma *d, unsigned engine, const dma_job *job, es_err *err);
void dma_hold(dma *d, bool held);   /* holds, or lets go */
void dma_sync(dma *d);              /* until all engines are idle */

#endif
