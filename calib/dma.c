/* DMA: see dma.h. */
#include "calib/dma.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DMA_JOBS = 512, DMA_ENGINES = 8 };

typedef struct dma_engine {
    struct dma *owner;
    pthread_t thread;
    pthread_cond_t wake;            /* there is a job, or the gate opens */
    bool runs;                      /* the thread is there */
    dma_job job[DMA_JOBS];
    size_t first, count;            /* a ring; the first is the one that runs */
} dma_engine;

struct dma {
    pthread_mutex_t lock;           /* of all below; no engine holds it while it works */
    pthread_cond_t stamped, idle;
    _Atomic unsigned waiting;       /* engines that wait for a stamp, or are about to */
    bool held, ends;
    unsigned engines;
    dma_engine engine[DMA_ENGINES];
};

es_time dma_clock(void)
{
    struct timespec now;
#ifdef CLOCK_MONOTONIC_RAW
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (es_time)now.tv_sec * ES_SECOND + now.tv_nsec;
}

/* A stamp that nobody waits for costs a store: waking threads that have nothing to do takes longer than a small expert. Who waits says so before
 * it looks at the stamp, and who stamps looks for them after it, so one of the two sees the other. */
static void stamp_write(dma *d, int64_t *stamp)
{
    __atomic_store_n(stamp, dma_clock(), __ATOMIC_SEQ_CST);
    if (atomic_load(&d->waiting) == 0)
        return;
    pthread_mutex_lock(&d->lock);
    pthread_cond_broadcast(&d->stamped);
    pthread_mutex_unlock(&d->lock);
}

static void stamp_wait(dma *d, const int64_t *stamp)
{
    if (__atomic_load_n(stamp, __ATOMIC_SEQ_CST) != 0)
        return;
    pthread_mutex_lock(&d->lock);
    atomic_fetch_add(&d->waiting, 1);
    while (!d->ends && __atomic_load_n(stamp, __ATOMIC_SEQ_CST) == 0)
        pthread_cond_wait(&d->stamped, &d->lock);
    atomic_fetch_sub(&d->waiting, 1);
    pthread_mutex_unlock(&d->lock);
}

static void job_do(dma *d, const dma_job *job)
{
    if (job->stamp)
        stamp_write(d, job->stamp);
    else if (job->until)
        stamp_wait(d, job->until);
    else if (job->call)
        job->call(job->arg);
    else
        memcpy(job->to, job->from, job->bytes);
}

static void *engine_main(void *arg)
{
    dma_engine *e = arg;
    dma *d = e->owner;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->ends && (e->count == 0 || d->held))
            pthread_cond_wait(&e->wake, &d->lock);
        if (e->count == 0 || d->held)
            break;
        dma_job job = e->job[e->first];
        pthread_mutex_unlock(&d->lock);
        job_do(d, &job);
        pthread_mutex_lock(&d->lock);
        e->first = (e->first + 1) % DMA_JOBS;
        if (--e->count == 0)
            pthread_cond_broadcast(&d->idle);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

es_code dma_open(dma **out, unsigned engines, es_err *err)
{
    dma *d = *out = calloc(1, sizeof *d);
    if (!d)
        return es_err_nomem(err, "the copy engines");
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->stamped, NULL);
    pthread_cond_init(&d->idle, NULL);
    d->engines = engines < DMA_ENGINES ? engines : DMA_ENGINES;
    for (unsigned i = 0; i < d->engines; i++) {
        d->engine[i].owner = d;
        pthread_cond_init(&d->engine[i].wake, NULL);
    }
    for (unsigned i = 0; i < d->engines; i++) {
        int failed = pthread_create(&d->engine[i].thread, NULL, engine_main, &d->engine[i]);
        if (failed)
            return es_err_set(err, ES_EINTERNAL, "cannot start a thread for a copy engine: %s", strerror(failed));
        d->engine[i].runs = true;
    }
    return ES_OK;
}

void dma_close(dma *d)
{
    if (!d)
        return;
    dma_hold(d, false);
    dma_sync(d);
    pthread_mutex_lock(&d->lock);
    d->ends = true;
    for (unsigned i = 0; i < d->engines; i++)
        pthread_cond_signal(&d->engine[i].wake);
    pthread_cond_broadcast(&d->stamped);
    pthread_mutex_unlock(&d->lock);
    for (unsigned i = 0; i < d->engines; i++) {
        if (d->engine[i].runs)
            pthread_join(d->engine[i].thread, NULL);
        pthread_cond_destroy(&d->engine[i].wake);
    }
    pthread_cond_destroy(&d->idle);
    pthread_cond_destroy(&d->stamped);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

es_code dma_push(dma *d, unsigned engine, const dma_job *job, es_err *err)
{
    dma_engine *e = &d->engine[engine];
    pthread_mutex_lock(&d->lock);
    bool full = e->count == DMA_JOBS;
    if (!full) {
        e->job[(e->first + e->count++) % DMA_JOBS] = *job;
        if (!d->held)
            pthread_cond_signal(&e->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return full ? es_err_set(err, ES_EINTERNAL, "a copy engine has more than %d jobs queued", DMA_JOBS) : ES_OK;
}

void dma_hold(dma *d, bool held)
{
    pthread_mutex_lock(&d->lock);
    d->held = held;
    for (unsigned i = 0; i < d->engines && !held; i++)
        if (d->engine[i].count)
            pthread_cond_signal(&d->engine[i].wake);
    pthread_mutex_unlock(&d->lock);
}

static bool dma_is_idle(const dma *d)
{
    for (unsigned i = 0; i < d->engines; i++)
        if (d->engine[i].count)
            return false;
    return true;
}

void dma_sync(dma *d)
{
    pthread_mutex_lock(&d->lock);
    while (!dma_is_idle(d))
        pthread_cond_wait(&d->idle, &d->lock);
    pthread_mutex_unlock(&d->lock);
}
