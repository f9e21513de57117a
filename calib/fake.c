/* Fake: a probe that answers from a known model, by a clock of its own. What is calibrated on it must come out as it went in.
 *
 * A copy takes alpha + n / rate, beyond the knee at another rate; times a lognormal factor; plus, now and then, a stall. Streams
 * are first come, first served; copies of one way share an engine in their order, or its rate, as `discipline` says. Bytes are
 * really moved, so that a bench which compares them can be fooled by nothing.
 * What is not a copy between host and device costs a fixed multiple of these (fake_scale). */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/part/probe.h"

typedef enum fake_failure { FAIL_NEVER, FAIL_NO_DEVICE, FAIL_MEMORY, FAIL_LOST, FAIL_BYTES } fake_failure;
typedef enum fake_discipline { FAKE_FIFO, FAKE_SHARED } fake_discipline;

enum { FAKE_JOBS = 1024, FAKE_DISK_BYTES = 512 << 20, FAKE_COMPUTE = ES_WAYS, FAKE_IO, FAKE_NOTICE, FAKE_ENGINES, FAKE_CAME = 256, FAKE_TOUCHED = 1024 };

typedef struct fake_job {
    int engine;                 /* an es_way, FAKE_COMPUTE or FAKE_IO; FAKE_NOTICE: of its stream alone */
    unsigned stream, event;
    bool stamps, waits, done;   /* stamps: a record, waits: for one; both take no time */
    bool waited;                /* its event had not come when its turn had: noticing takes the hand-over */
    double ready, fixed, work;  /* ns; of the virtual clock, and what is left to do */
} fake_job;

typedef struct fake_touch {     /* memory that was read or written */
    const void *at;
    int64_t bytes;              /* 0: it was touched again since */
} fake_touch;

typedef struct fake_came {      /* what a copy brought to the device, or what there was used */
    const void *at;
    uint64_t touches;           /* when that had ended */
    uint64_t sync;              /* after how many syncs */
} fake_came;

typedef struct fake {
    es_time alpha, issue, handover;
    double rate, rate_beyond, noise, stalls, opposite, computing, copying, copied, handed, onto, drift;
    int64_t near, knee, fail_at, seed, memory;
    es_time jump, stall;
    int discipline, fail;

    es_stream random;
    double now;                 /* ns of the virtual clock */
    double stamp[ES_PROBE_EVENTS];
    fake_job job[FAKE_JOBS];
    size_t jobs;
    bool held;
    uint64_t calls, allocations, draws, syncs;
    fake_came came[FAKE_CAME];  /* a ring of the newest */
    size_t cames;
    fake_came use[FAKE_CAME];   /* the same of uses */
    size_t uses;
    fake_touch touched[FAKE_TOUCHED];   /* a ring of the newest */
    uint64_t touches;
    int64_t used;               /* bytes that are allocated */
    unsigned char *disk;        /* as far as it was reached */
    int64_t disk_bytes;
} fake;

static const char *const fake_disciplines[] = {"fifo", "shared", NULL};
static const char *const fake_failures[] = {"never", "no_device", "memory", "lost", "bytes", NULL};

#define FIELD(member) offsetof(fake, member)
static const es_option fake_options[] = {
    {.name = "alpha", .type = ES_OPT_TIME, .offset = FIELD(alpha), .def = 9000, .max = 1e9, .help = "Fixed time of a copy."},
    {.name = "rate", .type = ES_OPT_RATE, .offset = FIELD(rate), .def = 25e9, .min = 1e3, .max = 1e15, .help = "Of a copy, up to the knee."},
    {.name = "knee", .type = ES_OPT_BYTES, .offset = FIELD(knee), .max = 0x1p53, .help = "Size from which the rate is another; 0: none."},
    {.name = "rate_beyond", .type = ES_OPT_RATE, .offset = FIELD(rate_beyond), .def = 12e9, .min = 1e3, .max = 1e15, .help = "Of the bytes beyond the knee."},
    {.name = "jump", .type = ES_OPT_TIME, .offset = FIELD(jump), .max = 1e12, .help = "What a copy beyond the knee takes longer at once."},
    {.name = "issue", .type = ES_OPT_TIME, .offset = FIELD(issue), .def = 1000, .max = 1e9, .help = "What a call takes of the host."},
    {.name = "noise", .type = ES_OPT_REAL, .offset = FIELD(noise), .max = 2, .help = "Deviation of the logarithm of times; their median is the model's."},
    {.name = "stalls", .type = ES_OPT_REAL, .offset = FIELD(stalls), .max = 1e6, .unit = "per second", .help = "Stalls per second of copying."},
    {.name = "stall", .type = ES_OPT_TIME, .offset = FIELD(stall), .def = 4e6, .max = 1e12, .help = "Their median length."},
    {.name = "discipline", .type = ES_OPT_ENUM, .offset = FIELD(discipline), .choices = fake_disciplines, .help = "Copies of one way: one after another, or sharing the rate."},
    {.name = "opposite", .type = ES_OPT_REAL, .offset = FIELD(opposite), .def = 1, .min = 0.01, .max = 1, .help = "Rate of a way while the opposite one runs."},
    {.name = "computing", .type = ES_OPT_REAL, .offset = FIELD(computing), .def = 1, .min = 0.01, .max = 1, .help = "Rate of copies while an expert is computed."},
    {.name = "copying", .type = ES_OPT_REAL, .offset = FIELD(copying), .def = 1, .min = 0.01, .max = 1, .help = "Rate of experts while copies between host and device run."},
    {.name = "copied", .type = ES_OPT_REAL, .offset = FIELD(copied), .def = 1, .min = 0.01, .max = 1, .help = "Time of reading weights that a copy has just brought, of that of others."},
    {.name = "handed", .type = ES_OPT_REAL, .offset = FIELD(handed), .def = 1, .min = 0.01, .max = 1, .help = "The same where nothing was waited for since, but by streams for each other."},
    {.name = "onto", .type = ES_OPT_REAL, .offset = FIELD(onto), .def = 1, .min = 0.01, .max = 1, .help = "Time of a copy to where something was just used, of that of others."},
    {.name = "near", .type = ES_OPT_BYTES, .offset = FIELD(near), .def = 768 << 10, .max = 0x1p53, .help = "Just: bytes of memory touched since that copy, or use, ended."},
    {.name = "drift", .type = ES_OPT_REAL, .offset = FIELD(drift), .max = 1e6, .unit = "per second", .help = "Share by which everything takes longer with each second of its clock."},
    {.name = "handover", .type = ES_OPT_TIME, .offset = FIELD(handover), .max = 1e12, .help = "Until a stream that waits for another's event has noticed that it came."},
    {.name = "memory", .type = ES_OPT_BYTES, .offset = FIELD(memory), .def = 0x1p30, .min = 1 << 20, .max = 0x1p53, .help = "Bytes there are."},
    {.name = "fail", .type = ES_OPT_ENUM, .offset = FIELD(fail), .choices = fake_failures, .help = "What goes wrong."},
    {.name = "fail_at", .type = ES_OPT_INT, .offset = FIELD(fail_at), .def = 1, .min = 1, .max = 1e15, .help = "At which call: an allocation for memory, else a copy."},
    {.name = "seed", .type = ES_OPT_INT, .offset = FIELD(seed), .max = 0x1p53, .help = "Of the noise."},
    {0},
};

static es_code fake_init(void *self, const es_site *site, es_err *err)
{
    fake *f = self;
    f->random = es_stream_of((uint64_t)f->seed, site->replication, "fake", "noise");
    if (f->fail == FAIL_NO_DEVICE)
        return es_err_set(err, ES_EDEVICE, "no usable device: the fake was told to have none. Try --backend host.");
    return ES_OK;
}

static void fake_fini(void *self)
{
    free(((fake *)self)->disk);
}

static es_probe_facts fake_facts(void *self)
{
    const fake *f = self;
    return (es_probe_facts){ES_PROBE_PINS | ES_PROBE_EXPERT | ES_PROBE_DISK | ES_PROBE_DISK_QUEUE | ES_PROBE_DISK_BUFFERED | ES_PROBE_LOCKS | ES_PROBE_WAITS |
        ES_PROBE_GETS | ES_PROBE_RESIDES | ES_PROBE_THREADS, 64 << 10, f->memory, "fake", 8};
}

static void fake_environment(void *self, es_json *out)
{
    es_json *model = es_json_add_object(out, "fake");
    if (model)
        es_options_echo(fake_options, self, model);
}

static es_time fake_now(void *self)
{
    return es_ns_round(((const fake *)self)->now);
}

/* ---- the model ---- */

static double fake_draw(fake *f)
{
    return es_draw_real(f->random, f->draws++, 0, 0, 0) + 0x1p-54;
}

/* What an operation takes that needs `ns` by the model. */
static double fake_noisy(fake *f, double ns)
{
    ns *= 1.0 + f->drift * f->now / 1e9;
    double took = f->noise > 0.0 ? ns * exp(f->noise * gsl_cdf_ugaussian_Pinv(fake_draw(f))) : ns;
    if (f->stalls > 0.0 && fake_draw(f) < -expm1(-f->stalls * ns / 1e9))
        took += (double)f->stall * exp(0.2 * gsl_cdf_ugaussian_Pinv(fake_draw(f)));
    return took;
}

static double fake_model(const fake *f, double bytes)
{
    double ns = (double)f->alpha, knee = (double)f->knee;
    if (f->knee == 0 || bytes < knee)
        return ns + bytes * 1e9 / f->rate;
    return ns + (double)f->jump + knee * 1e9 / f->rate + (bytes - knee) * 1e9 / f->rate_beyond;
}

/* ---- what is near ---- */

static void fake_touches(fake *f, const void *at, int64_t bytes)
{
    for (uint64_t i = f->touches; i > 0 && f->touches - i < FAKE_TOUCHED; i--)
        if (f->touched[(i - 1) % FAKE_TOUCHED].at == at) {
            f->touched[(i - 1) % FAKE_TOUCHED].bytes = 0;
            break;
        }
    f->touched[f->touches++ % FAKE_TOUCHED] = (fake_touch){at, bytes};
}

/* No more memory than `near` was touched since: 0 is right behind it. */
static bool fake_near(const fake *f, uint64_t touches)
{
    int64_t bytes = 0;
    for (uint64_t i = touches; i < f->touches && f->touches - touches <= FAKE_TOUCHED; i++)
        bytes += f->touched[i % FAKE_TOUCHED].bytes;
    return f->touches - touches <= FAKE_TOUCHED && bytes <= f->near;
}

/* A copy there, or computing with it, is a use of memory of the device. */
static void fake_uses(fake *f, const void *at)
{
    f->use[f->uses++ % FAKE_CAME] = (fake_came){at, f->touches, f->syncs};
}

/* What is brought back has left the caches: no run finds what one before left. */
static void fake_forgets(fake *f, const void *at)
{
    for (size_t i = 0; i < FAKE_CAME; i++)
        if (f->use[i].at == at)
            f->use[i].at = NULL;
}

static void fake_moves(fake *f, es_way way, void *to, const void *from, int64_t bytes)
{
    if (way == ES_WAY_D2H)
        fake_forgets(f, from);
    fake_touches(f, from, bytes);
    fake_touches(f, to, bytes);
    if (way == ES_WAY_H2D || way == ES_WAY_D2D) {
        fake_uses(f, to);
        f->came[f->cames++ % FAKE_CAME] = (fake_came){to, f->touches, f->syncs};
    }
}

/* Of the time of a copy: what it takes where its destination was used just before. */
static double fake_onto(const fake *f, es_way way, const void *to)
{
    for (size_t i = f->uses; way == ES_WAY_H2D && i > 0 && f->uses - i < FAKE_CAME; i--)
        if (f->use[(i - 1) % FAKE_CAME].at == to)
            return fake_near(f, f->use[(i - 1) % FAKE_CAME].touches) ? f->onto : 1.0;
    return 1.0;
}

/* Of the time of reading weights: what they take where their copy is near. */
static double fake_read(const fake *f, const void *weights)
{
    for (size_t i = f->cames; i > 0 && f->cames - i < FAKE_CAME; i--) {
        const fake_came *came = &f->came[(i - 1) % FAKE_CAME];
        if (came->at == weights)
            return !fake_near(f, came->touches) ? 1.0 : came->sync == f->syncs ? f->handed : f->copied;
    }
    return 1.0;
}

/* How many times a copy between host and device the others take: what is pageable thrice, within the device a tenth. */
static double fake_scale(es_way way, bool pageable)
{
    return way == ES_WAY_D2D ? 0.1 : pageable ? 3.0 : 1.0;
}

/* ---- calls ---- */

static es_code fake_lost(fake *f, es_err *err)
{
    f->calls++;
    if (f->fail == FAIL_LOST && f->calls >= (uint64_t)f->fail_at)
        return es_err_set(err, ES_EDEVICE, "the device was lost at call %llu; nothing more can be measured", (unsigned long long)f->calls);
    return ES_OK;
}

static es_code fake_alloc(void *self, es_memory kind, int64_t bytes, void **out, es_err *err)
{
    static const char *const names[ES_MEMORIES] = {"pageable", "pinned", "device"};
    fake *f = self;
    uint64_t call = ++f->allocations;
    if (f->used + bytes > f->memory || (f->fail == FAIL_MEMORY && call >= (uint64_t)f->fail_at))
        return es_err_set(err, ES_EDEVICE, "out of memory: %lld bytes of %s memory at allocation %llu, %lld of %lld are used", (long long)bytes, names[kind],
            (unsigned long long)call, (long long)f->used, (long long)f->memory);
    if (posix_memalign(out, 4096, (size_t)bytes) != 0)
        return es_err_nomem(err, "memory of the fake");
    memset(*out, 0, (size_t)bytes);
    f->used += bytes;
    f->now += fake_noisy(f, 2.0 * fake_model(f, (double)bytes));
    return ES_OK;
}

static void fake_release(void *self, es_memory kind, void *at, int64_t bytes)
{
    (void)kind;
    fake *f = self;
    f->used -= bytes;
    f->now += (double)f->issue;
    free(at);
}

static es_code fake_queue(fake *f, const fake_job *job, es_err *err)
{
    if (f->jobs == FAKE_JOBS)
        return es_err_set(err, ES_EDEVICE, "the queue of the fake is full: more than %d operations without a sync", FAKE_JOBS);
    f->job[f->jobs++] = *job;
    f->now += (double)f->issue;
    return ES_OK;
}

static es_code fake_copy(void *self, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err)
{
    fake *f = self;
    es_code code = fake_lost(f, err);
    if (code)
        return code;
    memcpy(to, from, (size_t)bytes);
    const double scale = fake_scale(way, !f->held) * fake_onto(f, way, to);
    fake_moves(f, way, to, from, bytes);
    if (f->fail == FAIL_BYTES && f->calls >= (uint64_t)f->fail_at)
        ((unsigned char *)to)[bytes - 1] += 1;      /* so that bringing it back does not mend it */
    /* Without a gate around it the copy is one of pageable memory. */
    double ns = fake_noisy(f, scale * fake_model(f, (double)bytes));
    double fixed = fmin(ns, scale * (double)f->alpha);
    return fake_queue(f, &(fake_job){.engine = (int)way, .stream = stream, .ready = f->now, .fixed = fixed, .work = ns - fixed}, err);
}

/* One read of the weights at ten times the rate of a copy, sooner where a copy brought them just before, or twenty times as many operations. */
static es_code fake_expert(void *self, unsigned stream, const es_probe_expert *ask, es_err *err)
{
    fake *f = self;
    double weights = 2.0 * ask->hidden * ask->inter, read = fake_read(f, ask->weights);
    double ns = (double)f->alpha + fmax(read * weights * 4.0 / (10.0 * f->rate), 2.0 * weights * ask->tokens / (20.0 * f->rate)) * 1e9;
    es_code code = fake_lost(f, err);
    fake_touches(f, ask->weights, (int64_t)weights * 4);
    fake_uses(f, ask->weights);
    return code ? code : fake_queue(f, &(fake_job){.engine = FAKE_COMPUTE, .stream = stream, .ready = f->now, .work = fake_noisy(f, ns)}, err);
}

static es_code fake_record(void *self, unsigned stream, unsigned event, es_err *err)
{
    fake *f = self;
    es_code code = fake_lost(f, err);
    return code ? code : fake_queue(f, &(fake_job){.stream = stream, .event = event, .stamps = true, .ready = f->now}, err);
}

static es_code fake_hold(void *self, es_err *err)
{
    fake *f = self;
    f->held = true;
    return fake_lost(f, err);
}

static es_code fake_go(void *self, es_err *err)
{
    fake *f = self;
    (void)err;
    for (size_t i = 0; i < f->jobs; i++)
        f->job[i].ready = f->now;
    f->held = false;
    return ES_OK;
}

/* ---- time ---- */

static bool fake_marks(const fake_job *job)
{
    return job->stamps || job->waits;
}

/* May the i-th job run at `at`: the first of its stream, ready, and the first of its engine where that has an order. */
static bool job_runs(fake *f, size_t i, double at)
{
    fake_job *job = &f->job[i];
    bool comes = true;
    if (job->done || job->ready > at)
        return false;
    for (size_t j = 0; j < i; j++) {
        const fake_job *before = &f->job[j];
        if (before->done)
            continue;
        if (before->stream == job->stream)
            return false;
        if (job->waits && before->stamps && before->event == job->event)
            comes = false;
        if (!fake_marks(job) && !fake_marks(before) && before->engine == job->engine && job->engine != FAKE_NOTICE && (f->discipline == FAKE_FIFO || job->engine >= FAKE_COMPUTE))
            return false;
    }
    job->waited |= !comes;
    return comes;
}

/* A mark takes no time, but for a wait that was in vain at first. */
static bool job_marks(fake *f, fake_job *job, double at)
{
    if (!fake_marks(job))
        return false;
    if (job->waits && job->waited && f->handover > 0) {
        job->waits = false;
        job->engine = FAKE_NOTICE;
        job->fixed = (double)f->handover;
        return false;
    }
    if (job->stamps)
        f->stamp[job->event] = at;
    return job->done = true;
}

/* What runs on each engine: all of it, and what is beyond its fixed part and shares the rate. */
typedef struct fake_load {
    unsigned busy[FAKE_ENGINES], works[FAKE_ENGINES];
} fake_load;

static double engine_rate(const fake *f, int engine, const fake_load *load)
{
    const bool h2d = load->busy[ES_WAY_H2D], d2h = load->busy[ES_WAY_D2H];
    if (engine >= FAKE_COMPUTE)
        return engine == FAKE_COMPUTE && (h2d || d2h) ? f->copying : 1.0;
    double rate = 1.0 / load->works[engine];
    if ((engine == ES_WAY_H2D && d2h) || (engine == ES_WAY_D2H && h2d))
        rate *= f->opposite;
    return load->busy[FAKE_COMPUTE] ? rate * f->computing : rate;
}

/* Lets everything that runs at `at` go on until the first of it ends, or the next becomes ready; returns when that is. */
static double fake_advance(fake *f, double at, const bool *runs)
{
    fake_load load = {0};
    double until = INFINITY;
    for (size_t i = 0; i < f->jobs; i++) {
        const bool serves = runs[i] && !fake_marks(&f->job[i]);
        load.busy[f->job[i].engine] += serves;
        load.works[f->job[i].engine] += serves && f->job[i].fixed <= 0.0;
        if (!f->job[i].done && f->job[i].ready > at)
            until = fmin(until, f->job[i].ready);
    }
    for (size_t i = 0; i < f->jobs; i++) {
        const fake_job *job = &f->job[i];
        if (runs[i])
            until = fmin(until, job->fixed > 0.0 ? at + job->fixed : at + job->work / engine_rate(f, job->engine, &load));
    }
    for (size_t i = 0; i < f->jobs; i++) {
        fake_job *job = &f->job[i];
        if (!runs[i])
            continue;
        double *left = job->fixed > 0.0 ? &job->fixed : &job->work;
        *left -= (until - at) * (left == &job->fixed ? 1.0 : engine_rate(f, job->engine, &load));
        if (*left < 1e-3)
            *left = 0.0;
        job->done = job->fixed <= 0.0 && job->work <= 0.0;
    }
    return until;
}

static es_code fake_sync(void *self, es_err *err)
{
    fake *f = self;
    bool runs[FAKE_JOBS];
    double at = 0.0;
    for (size_t left = f->jobs; left > 0;) {
        left = 0;
        bool stamped = false;
        for (size_t i = 0; i < f->jobs; i++) {
            runs[i] = job_runs(f, i, at);
            if (runs[i] && job_marks(f, &f->job[i], at)) {
                stamped = true;
                runs[i] = false;
            }
            left += !f->job[i].done;
        }
        if (left && !stamped)
            at = fake_advance(f, at, runs);
    }
    f->jobs = 0;
    f->syncs++;
    f->now = fmax(f->now, at) + (double)f->issue;
    return fake_lost(f, err);
}

static es_code fake_elapsed(void *self, unsigned from, unsigned to, es_time *ns, es_err *err)
{
    const fake *f = self;
    (void)err;
    *ns = es_ns_round(f->stamp[to] - f->stamp[from]);
    return ES_OK;
}

/* Makes the disk as long as that; what was never written is zero. */
static es_code fake_reaches(fake *f, int64_t end, es_err *err)
{
    if (end > FAKE_DISK_BYTES)
        return es_err_set(err, ES_EINPUT, "the disk of the fake has %d bytes, asked for what ends at %lld", FAKE_DISK_BYTES, (long long)end);
    if (end <= f->disk_bytes)
        return ES_OK;
    int64_t bytes = end > 2 * f->disk_bytes ? end : 2 * f->disk_bytes;
    unsigned char *disk = realloc(f->disk, (size_t)bytes);
    if (!disk)
        return es_err_nomem(err, "the disk of the fake");
    memset(disk + f->disk_bytes, 0, (size_t)(bytes - f->disk_bytes));
    f->disk = disk;
    f->disk_bytes = bytes;
    return ES_OK;
}

/* One request runs at a quarter of the disk's rate, four at all of it, one through the page cache at an eighth; the disk's rate is a tenth of a copy's. The bytes move at once. */
static es_code fake_io(fake *f, const es_probe_io *io, double *took, es_err *err)
{
    es_code code = fake_lost(f, err);
    if (code == ES_OK)
        code = fake_reaches(f, io->offset + io->bytes, err);
    *took = 0.0;
    if (code || io->way == ES_DISK_FORGET)
        return code;
    unsigned char *place = f->disk + io->offset;
    fake_touches(f, io->buffer, io->bytes);
    memcpy(io->write ? place : io->buffer, io->write ? io->buffer : place, (size_t)io->bytes);
    double rate = f->rate / 10.0 * (io->way == ES_DISK_BUFFERED ? 1.0 / 8.0 : fmin(1.0, io->depth / 4.0));
    *took = fake_noisy(f, 5.0 * (double)f->alpha + (double)io->bytes * 1e9 / rate);
    return ES_OK;
}

static es_code fake_disk(void *self, const es_probe_io *io, es_err *err)
{
    fake *f = self;
    double took = 0.0;
    es_code code = fake_io(f, io, &took, err);
    f->now += took;
    return code;
}

static es_code fake_queue_disk(void *self, unsigned stream, const es_probe_io *io, es_err *err)
{
    fake *f = self;
    double took = 0.0;
    es_code code = fake_io(f, io, &took, err);
    return code ? code : fake_queue(f, &(fake_job){.engine = FAKE_IO, .stream = stream, .ready = f->now, .work = took}, err);
}

static es_code fake_wait(void *self, unsigned stream, unsigned event, es_err *err)
{
    fake *f = self;
    es_code code = fake_lost(f, err);
    return code ? code : fake_queue(f, &(fake_job){.stream = stream, .event = event, .waits = true, .ready = f->now}, err);
}

/* A buffer costs twenty fixed times of a copy, a heap forty, a piece one; a page comes at a tenth of a copy's rate. */
static es_code fake_get(void *self, es_get how, int64_t bytes, es_got *out, es_err *err)
{
    static const double times[ES_GETS] = {20.0, 20.0, 40.0, 1.0, 5.0};
    fake *f = self;
    double write = (double)bytes * 1e9 / f->rate, pages = how == ES_GET_PIECE ? 0.0 : 10.0 * write;
    es_code code = fake_lost(f, err);
    *out = (es_got){es_ns_round(fake_noisy(f, times[how] * (double)f->alpha)), es_ns_round(fake_noisy(f, pages + write)), es_ns_round(fake_noisy(f, write))};
    f->now += (double)(out->call + out->first + out->again);
    return code;
}

/* A hundredth of a copy's fixed time for each buffer, nothing for those of a heap. */
static es_code fake_reside(void *self, es_reside how, uint32_t count, int64_t bytes, es_time *ns, es_err *err)
{
    fake *f = self;
    (void)bytes;
    *ns = es_ns_round(fake_noisy(f, (double)f->alpha * (1.0 + (how == ES_RESIDE_BUFFERS ? 0.01 * count : 0.0))));
    f->now += (double)*ns;
    return fake_lost(f, err);
}

/* One thread gets the rate of a copy, all of them two and a half times that. */
static es_code fake_move(void *self, es_ram kind, uint32_t threads, int64_t bytes, es_time *ns, es_err *err)
{
    fake *f = self;
    (void)kind;
    *ns = es_ns_round(fake_noisy(f, (double)f->alpha + (double)bytes * 1e9 / (f->rate * fmin(2.5, threads))));
    f->now += (double)*ns;
    return fake_lost(f, err);
}

const es_probe es_probe_fake = {
    .part = {
        .abi = ES_ABI,
        .name = "fake",
        .brief = "A machine by formula: what is calibrated on it must come out as it went in.",
        .options = fake_options,
        .size = sizeof(fake),
        .init = fake_init,
        .fini = fake_fini,
    },
    .facts = fake_facts,
    .environment = fake_environment,
    .now = fake_now,
    .alloc = fake_alloc,
    .release = fake_release,
    .copy = fake_copy,
    .expert = fake_expert,
    .record = fake_record,
    .hold = fake_hold,
    .go = fake_go,
    .sync = fake_sync,
    .elapsed = fake_elapsed,
    .disk = fake_disk,
    .wait = fake_wait,
    .queue_disk = fake_queue_disk,
    .get = fake_get,
    .reside = fake_reside,
    .move = fake_move,
};
