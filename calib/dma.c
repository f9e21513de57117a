/* DMA: see dma.h. */
#include "calib/dma.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DMA_JOBS = 512, DMA_ENGINES = 8 };

typedef struct dma_engine {
    struct dma *owner;
    pthread_t thread;
    bool runs;                      /* the thread is there */
    dma_job job[DMA_JOBS];
    size_t first, count;            /* a ring; the first is the one that runs */
} dma_engine;

struct dma {
    pthread_mutex_t lock;           /* of all below; no engine holds it while it works */
    pthread_cond_t wake, idle;
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

/* Stamps are written and looked at under the lock: other engines wait for them. */
static void job_do(dma *d, const dma_job *job)
{
    if (job->stamp) {
        int64_t now = dma_clock();
        pthread_mutex_lock(&d->lock);
        *job->stamp = now;
        pthread_cond_broadcast(&d->wake);
        pthread_mutex_unlock(&d->lock);
    } else if (job->until) {
        pthread_mutex_lock(&d->lock);
        while (!d->ends && *job->until == 0)
            pthread_cond_wait(&d->wake, &d->lock);
        pthread_mutex_unlock(&d->lock);
    } else if (job->call) {
        job->call(job->arg);
    } else {
        memcpy(job->to, job->from, job->bytes);
    }
}

static void *engine_main(void *arg)
{
    dma_engine *e = arg;
    dma *d = e->owner;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->ends && (e->count == 0 || d->held))
            pthread_cond_wait(&d->wake, &d->lock);
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
    pthread_cond_init(&d->wake, NULL);
    pthread_cond_init(&d->idle, NULL);
    d->engines = engines < DMA_ENGINES ? engines : DMA_ENGINES;
    for (unsigned i = 0; i < d->engines; i++) {
        d->engine[i].owner = d;
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
    pthread_cond_broadcast(&d->wake);
    pthread_mutex_unlock(&d->lock);
    for (unsigned i = 0; i < d->engines; i++)
        if (d->engine[i].runs)
            pthread_join(d->engine[i].thread, NULL);
    pthread_cond_destroy(&d->idle);
    pthread_cond_destroy(&d->wake);
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
        pthread_cond_broadcast(&d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return full ? es_err_set(err, ES_EINTERNAL, "a copy engine has more than %d jobs queued", DMA_JOBS) : ES_OK;
}

void dma_hold(dma *d, bool held)
{
    pthread_mutex_lock(&d->lock);
    d->held = held;
    if (!held)
        pthread_cond_broadcast(&d->wake);
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
