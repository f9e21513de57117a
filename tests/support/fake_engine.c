/* Fake engine: see fake_engine.h. */
#include "tests/support/fake_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 4096, ENGINES = 5, COMPUTE = 4 };      /* engines: by cudaMemcpyKind, and what computes */

/* ---- the formula ---- */

typedef struct model {
    double alpha;               /* ns of a copy beside its bytes */
    double rate, rate_d2h;      /* bytes per ns; of the other way 0: the same */
    double knee, rate_beyond;   /* bytes from which the rate is another; 0: none */
    double switches;            /* ns more when an engine takes a copy of another stream than its last */
    double shared;              /* 1: copies of a way run at once, at a share each; 0: first come, first served */
    double single;              /* share of the rate that one copy alone reaches; several reach all */
    double issue;               /* 1: in the order they were queued, whatever is ready */
    double sticks;              /* 1: a stream that is served goes on while it has copies */
    double one_engine;          /* 1: both ways have the same */
    double h2d_opposite, d2h_opposite;          /* share of its rate that a way keeps while the other runs */
    double computing, multiplying;              /* that copies keep beside kernels that read much; that multiply */
    double copying, sending;    /* that kernels keep beside copies to the device; to the host */
    double launch, bandwidth, arithmetic;       /* ns, bytes per ns and operations per ns of a kernel */
    double spans;               /* bytes of a copy below which a batch call takes `slow` times as long */
    double slow;
} model;

#define TERM(name) {#name, offsetof(model, name)}
static const struct { const char *name; size_t offset; } terms[] = {
    TERM(alpha), TERM(rate), TERM(rate_d2h), TERM(knee), TERM(rate_beyond), TERM(switches), TERM(shared), TERM(single), TERM(issue), TERM(sticks), TERM(one_engine),
    TERM(h2d_opposite), TERM(d2h_opposite), TERM(computing), TERM(multiplying), TERM(copying), TERM(sending), TERM(launch), TERM(bandwidth), TERM(arithmetic),
    TERM(spans), TERM(slow),
};

/* A term that is misspelt would prove nothing. */
static model told(void)
{
    model m = {.alpha = 9000, .rate = 25, .rate_beyond = 25, .single = 1, .sticks = 1, .h2d_opposite = 1, .d2h_opposite = 1, .computing = 1, .multiplying = 1,
        .copying = 1, .sending = 1, .launch = 2000, .bandwidth = 2500, .arithmetic = 500000, .slow = 1};
    const char *at = getenv("FAKE_CUDART_MODEL");
    while (at && *at) {
        size_t length = strcspn(at, "="), i = 0;
        while (i < sizeof terms / sizeof *terms && (strlen(terms[i].name) != length || strncmp(terms[i].name, at, length) != 0))
            i++;
        if (i == sizeof terms / sizeof *terms || at[length] != '=')
            abort();
        *(double *)((char *)&m + terms[i].offset) = atof(at + length + 1);
        at += strcspn(at, ",");
        at += *at == ',';
    }
    return m;
}

/* ---- what is queued ---- */

typedef struct job {
    enum { COPY, KERNEL, RECORD, WAIT, CALL } kind;
    cudaStream_t stream;
    cudaEvent_t event;
    int engine;
    void *to;
    const void *from;
    size_t bytes;
    cudaHostFn_t call;
    size_t behind;              /* of a WAIT: its RECORD + 1; 0: none */
    bool multiplies;            /* of a KERNEL: arithmetic is its limit */
    double fixed, work;         /* ns that are left, of work at full rate */
    double ready;               /* since when it is the next of its stream; below 0: it is not */
    bool runs, done;
} job;

static job queue[JOBS];
static size_t queued;
static double now;              /* all streams stand here when nothing is queued */
static cudaStream_t served[ENGINES];

static cudaError_t push(job j)
{
    if (queued == JOBS)
        return cudaErrorUnknown;
    j.ready = -1.0;
    queue[queued++] = j;
    return cudaSuccess;
}

static cudaError_t push_copy(cudaStream_t stream, int way, void *to, const void *from, size_t bytes, double share, double slow)
{
    const model m = told();
    double rate = way == cudaMemcpyDeviceToHost && m.rate_d2h > 0.0 ? m.rate_d2h : m.rate, scale = way == cudaMemcpyDeviceToDevice ? 0.1 : 1.0;
    double below = m.knee > 0.0 && (double)bytes > m.knee ? m.knee : (double)bytes;
    double work = below / rate + ((double)bytes - below) / m.rate_beyond;
    int engine = m.one_engine > 0.0 && way == cudaMemcpyDeviceToHost ? cudaMemcpyHostToDevice : way;
    return push((job){.kind = COPY, .stream = stream, .engine = engine, .to = to, .from = from, .bytes = bytes, .fixed = share * scale * m.alpha,
        .work = slow * scale * work});
}

cudaError_t engine_copy(cudaStream_t stream, int way, void *to, const void *from, size_t bytes)
{
    return push_copy(stream, way, to, from, bytes, 1.0, 1.0);
}

cudaError_t engine_batch(cudaStream_t stream, void *const *to, const void *const *from, size_t bytes, size_t count, bool kernel)
{
    const model m = told();
    double slow = kernel ? 2.0 : (double)bytes < m.spans ? m.slow : 1.0;
    cudaError_t error = cudaSuccess;
    for (size_t i = 0; i < count && error == cudaSuccess; i++)
        error = push_copy(stream, cudaMemcpyHostToDevice, to[i], from[i], bytes, i == 0, slow);
    return error;
}

cudaError_t engine_kernel(cudaStream_t stream, double bytes, double operations)
{
    const model m = told();
    double read = bytes / m.bandwidth, compute = operations / m.arithmetic;
    return push((job){.kind = KERNEL, .stream = stream, .engine = COMPUTE, .multiplies = compute > read, .fixed = m.launch, .work = fmax(read, compute)});
}

cudaError_t engine_record(cudaStream_t stream, cudaEvent_t event)
{
    return push((job){.kind = RECORD, .stream = stream, .event = event});
}

cudaError_t engine_wait(cudaStream_t stream, cudaEvent_t event)
{
    size_t behind = queued;
    while (behind > 0 && !(queue[behind - 1].kind == RECORD && queue[behind - 1].event == event))
        behind--;
    return push((job){.kind = WAIT, .stream = stream, .behind = behind});
}

cudaError_t engine_call(cudaStream_t stream, cudaHostFn_t call, void *arg)
{
    return push((job){.kind = CALL, .stream = stream, .call = call, .to = arg});
}

/* ---- whose turn it is ---- */

static bool takes_time(const job *j)
{
    return j->kind == COPY || j->kind == KERNEL;
}

/* Finds the next of every stream; what takes no time is done at once. Says whether anything was. */
static bool pass(double at)
{
    static int turn;
    bool moved = false;
    turn++;
    for (size_t i = 0; i < queued; i++) {
        job *j = &queue[i];
        if (j->done || j->stream->turn == turn)
            continue;
        j->stream->turn = turn;
        if (takes_time(j)) {
            j->ready = j->ready < 0.0 ? at : j->ready;
            continue;
        }
        if (j->kind == WAIT && j->behind > 0 && !queue[j->behind - 1].done)
            continue;
        if (j->kind == CALL)
            j->call(j->to);
        if (j->kind == RECORD)
            j->event->at = at;
        j->done = moved = true;
    }
    return moved;
}

/* Of those that wait for an engine. NULL: none is ready, or in the order of issue an earlier one is not. */
static job *next_of(const model *m, int engine)
{
    job *next = NULL;
    for (size_t i = 0; i < queued; i++) {
        job *j = &queue[i];
        if (!takes_time(j) || j->done || j->runs || j->engine != engine)
            continue;
        if (m->issue > 0.0)
            return j->ready < 0.0 ? NULL : j;
        if (j->ready < 0.0)
            continue;
        if (m->sticks > 0.0 && j->stream == served[engine])
            return j;
        if (!next || j->ready < next->ready)
            next = j;
    }
    return next;
}

static void start(const model *m)
{
    for (int engine = 0; engine < ENGINES; engine++) {
        bool busy = false, many = m->shared > 0.0 && engine != COMPUTE;
        for (size_t i = 0; i < queued; i++)
            busy = busy || (queue[i].runs && queue[i].engine == engine);
        for (job *j = busy && !many ? NULL : next_of(m, engine); j; j = many ? next_of(m, engine) : NULL) {
            j->runs = true;
            if (j->kind == COPY && served[engine] && served[engine] != j->stream)
                j->fixed += m->switches;
            served[engine] = j->stream;
        }
    }
}

/* ---- how fast ---- */

typedef struct busy {           /* what works now, past its fixed time */
    int copies[ENGINES];
    bool reads, multiplies;
} busy;

static double rate_of(const model *m, const job *j, const busy *b)
{
    int to_device = b->copies[cudaMemcpyHostToDevice], to_host = b->copies[cudaMemcpyDeviceToHost];
    if (j->fixed > 0.0)
        return 1.0;
    if (j->kind == KERNEL)
        return (to_device ? m->copying : 1.0) * (to_host ? m->sending : 1.0);
    double rate = fmin(1.0, b->copies[j->engine] * m->single) / b->copies[j->engine];
    if (j->engine == cudaMemcpyDeviceToDevice)
        return rate;
    if (j->engine == cudaMemcpyHostToDevice && to_host)
        rate *= m->h2d_opposite;
    if (j->engine == cudaMemcpyDeviceToHost && to_device)
        rate *= m->d2h_opposite;
    return rate * (b->reads ? m->computing : 1.0) * (b->multiplies ? m->multiplying : 1.0);
}

static void finish(job *j)
{
    j->done = true;
    j->runs = false;
    if (j->kind == COPY)
        memcpy(j->to, j->from, j->bytes);
}

/* Lets all that runs go on until the first of it is through with its fixed time or its work; returns when that is. */
static double advance(const model *m, double at)
{
    busy b = {{0}, false, false};
    double step = INFINITY;
    for (size_t i = 0; i < queued; i++) {
        const job *j = &queue[i];
        if (!j->runs || j->fixed > 0.0)
            continue;
        b.copies[j->engine] += j->kind == COPY;
        b.reads = b.reads || (j->kind == KERNEL && !j->multiplies);
        b.multiplies = b.multiplies || (j->kind == KERNEL && j->multiplies);
    }
    for (size_t i = 0; i < queued; i++)
        if (queue[i].runs)
            step = fmin(step, (queue[i].fixed > 0.0 ? queue[i].fixed : queue[i].work) / rate_of(m, &queue[i], &b));
    if (isinf(step))
        abort();                /* streams that wait for each other for ever */
    for (size_t i = 0; i < queued; i++) {
        job *j = &queue[i];
        if (!j->runs)
            continue;
        double *left = j->fixed > 0.0 ? &j->fixed : &j->work;
        *left -= step * rate_of(m, j, &b);
        if (*left < 1e-6)
            *left = 0.0;
        if (j->fixed <= 0.0 && j->work <= 0.0)
            finish(j);
    }
    return at + step;
}

static bool all_done(void)
{
    for (size_t i = 0; i < queued; i++)
        if (!queue[i].done)
            return false;
    return true;
}

void engine_drain(void)
{
    const model m = told();
    while (!all_done()) {
        while (pass(now))
            ;
        if (all_done())
            break;
        start(&m);
        now = advance(&m, now);
    }
    queued = 0;
    memset(served, 0, sizeof served);
}

/* ---- objects, failures ---- */

static long live;
static const char *newest;

void engine_made(const char *what)
{
    live++;
    newest = what;
}

void engine_gone(void)
{
    live--;
}

/* The library is closed: who leaks is told at once, also where no sanitiser looks. */
__attribute__((destructor)) static void engine_close(void)
{
    if (live == 0)
        return;
    fprintf(stderr, "fake CUDA runtime: %ld objects were not given back; the newest made is %s\n", live, newest);
    abort();
}

bool engine_fails(const char *name, long n)
{
    const char *at = getenv("FAKE_CUDART");
    size_t length = strlen(name);
    if (!at || strncmp(at, name, length) != 0 || (at[length] != '@' && at[length] != '\0'))
        return false;
    return at[length] != '@' || n >= atol(at + length + 1);
}
