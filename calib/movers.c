/* Movers: see movers.h. */
#include "calib/movers.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calib/bench.h"
#include "calib/dma.h"
#include "calib/pages.h"

enum { MOVERS = 64, MOVERS_LINE = 64, MOVERS_TAIL = 64 };
enum { MOVE_WAIT, MOVE_GO, MOVE_LEAVE };

struct movers {
    int64_t cold;
    bench_pool from[ES_RAMS], to[ES_RAMS];
    int processor[MOVERS];      /* that may be used */
    unsigned processors;
};

typedef struct mover {          /* one of them */
    pthread_t thread;
    atomic_int *go;             /* MOVE_ */
    atomic_uint *ready;
    unsigned char *to;
    const unsigned char *from;
    size_t bytes;
    int processor;              /* -1: any */
    es_time end;
} mover;

/* ---- processors ---- */

static unsigned movers_list(int *processor)
{
    unsigned count = 0;
#ifdef __linux__
    cpu_set_t may;
    CPU_ZERO(&may);
    if (sched_getaffinity(0, sizeof may, &may) == 0)
        for (int i = 0; i < CPU_SETSIZE && count < MOVERS; i++)
            if (CPU_ISSET((size_t)i, &may))
                processor[count++] = i;
#else
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    while (count < MOVERS && (long)count < online)
        processor[count++] = -1;
#endif
    return count ? count : (processor[0] = -1, 1u);
}

unsigned movers_most(void)
{
    int processor[MOVERS];
    return movers_list(processor);
}

/* ---- memory ---- */

static void arena_free(bench_pool *pool)
{
    if (pool->at)
        munmap(pool->at, (size_t)pool->bytes);
    *pool = (bench_pool){0};
}

/* Over and over the same words, but with a length that no share of a copy is a multiple of. */
static void arena_fill(bench_pool *pool, es_stream random)
{
    const int64_t block = (1 << 20) - MOVERS_LINE, first = pool->bytes < block ? pool->bytes : block;
    for (int64_t i = 0; i + 8 <= first; i += 8) {
        uint64_t word = es_mix(random ^ (uint64_t)i);
        memcpy(pool->at + i, &word, sizeof word);
    }
    for (int64_t at = first; at < pool->bytes; at += block)
        memcpy(pool->at + at, pool->at, (size_t)(pool->bytes - at < block ? pool->bytes - at : block));
}

/* An arena of which `bytes` are a third at most. What is far lies on the last node; where it is refused, that is the answer of this machine. */
static es_code arena_ready(const movers *m, bench_pool *pool, es_ram kind, bool far, int64_t bytes, es_err *err)
{
    void *at = NULL;
    int64_t size = (m->cold > 3 * bytes ? m->cold : 3 * bytes) + (far ? 3 : 1) * 4096;
    if (pool->bytes >= 3 * bytes)
        return ES_OK;
    arena_free(pool);
    es_code code = pages_map(size, kind != ES_RAM_SMALL, &at, err);
    if (code)
        return code;
    *pool = (bench_pool){at, size, 0};
    if (kind == ES_RAM_SMALL)
        pages_small(at, (size_t)size);
    if (far && kind == ES_RAM_FAR && (code = pages_bind(at, (size_t)size, pages_last_node(), err)) != ES_OK)
        return code;
    pages_touch(at, (size_t)size);
    if (!far)
        arena_fill(pool, es_stream_of(0, 0, "calibrate", "movers"));
    return ES_OK;
}

es_code movers_open(movers **out, int64_t cold, es_err *err)
{
    movers *m = *out = calloc(1, sizeof *m);
    if (!m)
        return es_err_nomem(err, "threads that copy");
    m->cold = cold;
    m->processors = movers_list(m->processor);
    return ES_OK;
}

void movers_close(movers *m)
{
    for (int kind = 0; m && kind < ES_RAMS; kind++) {
        arena_free(&m->from[kind]);
        arena_free(&m->to[kind]);
    }
    free(m);
}

/* ---- copying ---- */

static void *mover_run(void *arg)
{
    mover *m = arg;
    int go;
#ifdef __linux__
    cpu_set_t mine;
    CPU_ZERO(&mine);
    if (m->processor >= 0) {
        CPU_SET((size_t)m->processor, &mine);
        pthread_setaffinity_np(pthread_self(), sizeof mine, &mine);
    }
#endif
    atomic_fetch_add(m->ready, 1u);
    while ((go = atomic_load_explicit(m->go, memory_order_acquire)) == MOVE_WAIT)
        sched_yield();          /* awake: waking up is no part of a copy */
    if (go == MOVE_GO)
        memcpy(m->to, m->from, m->bytes);
    m->end = dma_clock();
    return NULL;
}

static void movers_share(mover *team, unsigned threads, unsigned char *to, const unsigned char *from, int64_t bytes)
{
    for (unsigned i = 0; i < threads; i++) {
        int64_t first = bytes * i / threads / MOVERS_LINE * MOVERS_LINE, end = i + 1 == threads ? bytes : bytes * (i + 1) / threads / MOVERS_LINE * MOVERS_LINE;
        team[i].to = to + first;
        team[i].from = from + first;
        team[i].bytes = (size_t)(end - first);
    }
}

static es_code movers_check(const mover *team, unsigned threads, es_err *err)
{
    for (unsigned i = 0; i < threads; i++) {
        size_t tail = team[i].bytes < MOVERS_TAIL ? team[i].bytes : MOVERS_TAIL, before = team[i].bytes - tail;
        if (memcmp(team[i].to + before, team[i].from + before, tail) != 0)
            return es_err_set(err, ES_ECHECK, "thread %u of %u brought other bytes than it was to copy", i + 1, threads);
    }
    return ES_OK;
}

es_code movers_copy(movers *m, es_ram kind, unsigned threads, int64_t bytes, es_time *ns, es_err *err)
{
    mover team[MOVERS] = {{0}};
    atomic_int go = MOVE_WAIT;
    atomic_uint ready = 0;
    unsigned started = 0;
    int why = 0;
    es_code code = arena_ready(m, &m->from[kind], kind, false, bytes, err);
    if (code == ES_OK)
        code = arena_ready(m, &m->to[kind], kind, true, bytes, err);
    if (code)
        return code;
    threads = threads < m->processors ? threads : m->processors;
    movers_share(team, threads, bench_next(&m->to[kind], bytes), bench_next(&m->from[kind], bytes), bytes);
    for (; started < threads && !why; started += !why) {
        mover *one = &team[started];
        one->go = &go;
        one->ready = &ready;
        one->processor = m->processor[started];
        why = pthread_create(&one->thread, NULL, mover_run, one);
    }
    while (!why && atomic_load(&ready) < threads)
        sched_yield();
    es_time start = dma_clock();
    atomic_store_explicit(&go, why ? MOVE_LEAVE : MOVE_GO, memory_order_release);
    es_time end = start;
    for (unsigned i = 0; i < started; i++) {
        pthread_join(team[i].thread, NULL);
        end = team[i].end > end ? team[i].end : end;
    }
    *ns = end - start;
    return why ? es_err_set(err, ES_EINTERNAL, "cannot start a thread that copies: %s", strerror(why)) : movers_check(team, threads, err);
}
