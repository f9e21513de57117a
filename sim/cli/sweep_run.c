/* expertsim sweep run: simulates the points of a sweep that are not there yet, in processes of their own.
 *
 *     DIR/plan.json       what `sweep plan --json` prints: what status and collect go by
 *     DIR/points/ID.h5    result of a point, as `run --out` writes it; it is there whole or not at all
 *     DIR/points/ID.err   why a point failed the last time it was tried
 *
 * A point writes its result under a name of its own and ends; meanwhile another process flushes what was written before to the disk, all
 * of it in one go, and then gives it its name. So nobody waits for a disk but that one, and a name leads to a whole file whatever happens.
 *
 * Points are run trace by trace. One that many points read is decoded here, before they are started, and all of them walk the same
 * bytes; one that only a few read is left to them, for they can decode at the same time and this process cannot. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/cli/jobs.h"
#include "sim/cli/sweep_runner.h"

#define RUN_SPAN_NS UINT64_C(50000000)      /* points that take so long together share a process */

enum { RUN_ONCE_LEAST = 4 };    /* of fewer points a pass for all of them saves nothing: its ends are run */

/* ---- in the process of a point ---- */

static es_code run_point(sweep_runner *r, const es_sweep_point *point, es_err *err)
{
    char path[4096];
    es_config *config = NULL;
    es_json *result = NULL;
    es_run *kept = NULL;
    struct timespec start, end, busy;
    es_trace_cursor cursor = {.trace = r->trace};
    clock_gettime(CLOCK_MONOTONIC, &start);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &busy);
    es_code code = es_sweep_config(r->sweep, point, &config, err);
    if (code == ES_OK && r->trace)
        es_config_lend(config, &es_trace_source, &cursor);
    if (code == ES_OK && (code = es_result_run(config, NULL, &kept, &result, err)) != ES_OK)
        es_sweep_blame(r->sweep, err);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (code == ES_OK) {
        es_result_add_volatile(result, (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
        sweep_run_temporary(r, point->id, path, sizeof path);
        code = es_result_write_h5(result, kept, path, err);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    if (code == ES_OK && r->span) {
        __atomic_add_fetch(&r->span->ns, (uint64_t)((int64_t)(end.tv_sec - busy.tv_sec) * 1000000000 + end.tv_nsec - busy.tv_nsec), __ATOMIC_RELAXED);
        __atomic_add_fetch(&r->span->points, 1, __ATOMIC_RELAXED);
    }
    es_run_free(kept);
    cJSON_Delete(result);
    es_config_free(config);
    return code;
}

/* ---- in the process of several points ---- */

/* A process costs some milliseconds of its own, most of them for pages that it sees first, and so does each point in one of its own. So points that
 * take less share one, one after the other, for as long as nothing is limited and no plug-in can leave something behind. When it ends badly
 * the point it had begun is the one that failed; those behind it are run anew, each by itself. */
static es_code run_span(sweep_runner *r, size_t from, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = from; i < from + r->span->length[from] && code == ES_OK; i++) {
        r->span->state[i] = SPAN_BEGUN;
        code = run_point(r, es_sweep_at(r->sweep, r->todo[i]), err);
        if (code == ES_OK)
            r->span->state[i] = SPAN_WRITTEN;
    }
    return code;
}

/* How many of the `left` points from an entry on are to share a process: as many as take RUN_SPAN_NS, but so few that all processes have some. */
static size_t span_length(const sweep_runner *r, size_t from, size_t left)
{
    const uint64_t points = r->span ? __atomic_load_n(&r->span->points, __ATOMIC_RELAXED) : 0, ns = points ? __atomic_load_n(&r->span->ns, __ATOMIC_RELAXED) / points + 1 : 0;
    const size_t share = left / (4 * r->jobs) + 1, most = ns ? (size_t)(RUN_SPAN_NS / ns) + 1 : 1;
    size_t length = share < most ? share : most;
    for (size_t i = 1; i < length; i++)         /* not beyond points that one pass tells */
        length = es_sweep_at(r->sweep, r->todo[from + i])->once == es_sweep_at(r->sweep, r->todo[from])->once ? length : i;
    return r->spans ? length : 1;
}

static es_code span_new(sweep_runner *r, es_err *err)
{
    const size_t bytes = sizeof(sweep_span) + r->count * (sizeof *r->span->length + 1);
    if (r->limits.time || r->limits.memory || r->count < 2)
        return ES_OK;
    sweep_span *span = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (span == MAP_FAILED)
        return es_err_nomem(err, "the points");
    span->length = (uint32_t *)(void *)(span + 1);
    span->state = (unsigned char *)(span->length + r->count);
    span->bytes = bytes;
    r->span = span;
    return ES_OK;
}

/* ---- in the process of points that one pass tells ---- */

static es_code once_keep(void *self, size_t index, es_json *result, es_run *run, es_err *err)
{
    sweep_runner *r = self;
    char path[4096];
    sweep_run_temporary(r, es_sweep_at(r->sweep, index)->id, path, sizeof path);
    if (!cJSON_GetObjectItemCaseSensitive(result, "volatile"))      /* one report for all that are not run */
        es_result_add_volatile(result, 0.0);
    return run ? es_result_write_h5(result, run, path, err) : es_result_write_like(&r->like, result, path, err);
}

/* From an entry of `todo` on: how many one pass tells. 0: none, it is run by itself. */
static size_t once_count(const sweep_runner *r, size_t from)
{
    const es_sweep_point *first = es_sweep_at(r->sweep, r->todo[from]);
    size_t to = from;
    while (to < r->count && es_sweep_at(r->sweep, r->todo[to])->feed == first->feed && es_sweep_at(r->sweep, r->todo[to])->once == first->once)
        to++;
    return first->once && !r->args->simulate && to - from >= RUN_ONCE_LEAST ? to - from : 0;
}

static es_code run_once(sweep_runner *r, size_t from, es_err *err)
{
    es_trace_cursor cursor = {.trace = r->trace};
    es_code code = es_sweep_once(r->sweep, r->todo + from, once_count(r, from), r->trace ? &es_trace_source : NULL, &cursor, &(es_sweep_keep){once_keep, r}, err);
    es_result_like_free(&r->like);
    return code;
}

enum { RUN_NAMES = -1, RUN_BATCH = 64 };        /* the job of that process, as a number that no point has; so many points, or: */
#define RUN_BATCH_S 0.25

static es_code run_work(void *self, size_t job, es_err *err)
{
    sweep_runner *r = self;
    const size_t points = es_sweep_count(r->sweep);
    if (job == (size_t)RUN_NAMES)
        return sweep_run_name(r, r->named, r->batch, err);
    if (job < points)
        return run_point(r, es_sweep_at(r->sweep, job), err);
    return job < points + r->count ? run_once(r, job - points, err) : run_span(r, job - points - r->count, err);        /* entries of todo */
}

/* ---- when it has ended ---- */

/* One sentence: what happened, with the last line of what the point said. */
static void run_reason(const sweep_runner *r, const pool_end *end, es_text *out)
{
    size_t length = strlen(end->said);
    while (length > 0 && end->said[length - 1] == '\n')
        length--;
    size_t from = length;
    while (from > 0 && end->said[from - 1] != '\n')
        from--;
    if (end->late) {
        es_text_add(out, "took longer than ");
        es_text_duration(out, (double)r->limits.time);
        es_text_add(out, ", its limit");
    } else if (end->signal) {
        es_text_add(out, "was ended by signal %d (%s)", end->signal, strsignal(end->signal));
        if (r->limits.memory) {
            es_text_add(out, ", with no more memory than ");
            es_text_bytes(out, (double)r->limits.memory);
        }
    }
    es_text_add(out, "%s%.*s", out->length && length > from ? ": " : "", (int)(length - from), end->said + from);
    if (!out->length)
        es_text_add(out, "ended with exit code %d", (int)end->code);
}

static void run_failed(sweep_runner *r, const es_sweep_point *point, const pool_end *end)
{
    char path[4096];
    es_text reason = {0}, file = {0}, line = {0};
    run_reason(r, end, &reason);
    if (!r->first && reason.at)
        r->first = strdup(reason.at);
    es_text_add(&file, "%s\n%s", reason.at ? reason.at : "", end->said);
    sweep_run_path(r, point->id, ".err", path, sizeof path);
    if (!file.failed)
        es_file_save(path, file.at, file.length, NULL);
    es_text_add(&line, "failed: %s, ", point->id);
    es_sweep_describe(r->sweep, point, &line);
    es_text_add(&line, ": %s", reason.at ? reason.at : "");
    if (!line.failed)
        tally_line(&r->tally, line.at);
    es_text_free(&reason);
    es_text_free(&file);
    es_text_free(&line);
}

/* Those of the batch that have their names are done. */
static void run_named(sweep_runner *r, const pool_end *end)
{
    char path[4096];
    for (; r->named < r->batch; r->named++) {
        const es_sweep_point *point = es_sweep_at(r->sweep, r->written[r->named]);
        sweep_run_path(r, point->id, ".h5", path, sizeof path);
        if (access(path, F_OK) == 0) {
            r->tally.done++;
            sweep_run_path(r, point->id, ".err", path, sizeof path);
            unlink(path);
        } else {
            r->tally.failed++;
            run_failed(r, point, end);
        }
    }
}

/* All of them, or each is run by itself. */
static void run_ended_once(sweep_runner *r, size_t from, bool fine, bool stopped)
{
    for (size_t i = 0, count = once_count(r, from); i < count; i++) {
        const size_t point = r->todo[from + i];
        if (fine) {
            r->written[r->ended++] = point;
            continue;
        }
        char path[4096];
        sweep_run_temporary(r, es_sweep_at(r->sweep, point)->id, path, sizeof path);
        unlink(path);
        if (!stopped)
            r->again[r->agains++] = point;
    }
}

/* Those that were written; the one that failed; those that were not begun. */
static void run_ended_span(sweep_runner *r, size_t from, const pool_end *end, bool stopped)
{
    for (size_t i = from; i < from + r->span->length[from]; i++) {
        const es_sweep_point *point = es_sweep_at(r->sweep, r->todo[i]);
        char path[4096];
        if (r->span->state[i] == SPAN_WRITTEN) {
            r->written[r->ended++] = r->todo[i];
            continue;
        }
        sweep_run_temporary(r, point->id, path, sizeof path);
        unlink(path);
        if (stopped)
            continue;
        if (r->span->state[i] == SPAN_BEGUN) {
            r->tally.failed++;
            run_failed(r, point, end);
        } else {
            r->again[r->agains++] = r->todo[i];
        }
    }
}

static void run_ended(void *self, const pool_end *end)
{
    sweep_runner *r = self;
    bool stopped = pool_stopped(r->pool) && end->signal == SIGKILL && !end->late;       /* the pool did it */
    if (end->job == (size_t)RUN_NAMES) {
        if (!stopped)
            run_named(r, end);
        return;
    }
    if (end->job >= es_sweep_count(r->sweep) + r->count) {
        run_ended_span(r, end->job - es_sweep_count(r->sweep) - r->count, end, stopped);
        return;
    }
    if (end->job >= es_sweep_count(r->sweep)) {
        run_ended_once(r, end->job - es_sweep_count(r->sweep), end->code == ES_OK && !end->signal && !end->late, stopped);
        return;
    }
    const es_sweep_point *point = es_sweep_at(r->sweep, end->job);
    if (end->code == ES_OK && !end->signal && !end->late) {
        r->written[r->ended++] = end->job;
        return;
    }
    char path[4096];
    sweep_run_temporary(r, point->id, path, sizeof path);
    unlink(path);
    if (stopped)
        return;
    r->tally.failed++;
    run_failed(r, point, end);
}

/* What has been written since the last batch is the next one. */
static void run_next_batch(sweep_runner *r)
{
    r->batch = r->ended;
    r->batched = tally_seconds(&r->tally);
    if (pool_start_beside(r->pool, (size_t)RUN_NAMES, NULL) != ES_OK)
        sweep_run_name(r, r->named, r->batch, NULL), run_named(r, &(pool_end){.said = ""});
}

/* Not for every point: a flush costs the same for a few as for one. */
static void run_tick(void *self)
{
    sweep_runner *r = self;
    tally_tick(&r->tally);
    bool idle = r->named == r->batch && r->batch < r->ended && !pool_stopped(r->pool);
    if (idle && (r->ended - r->batch >= RUN_BATCH || tally_seconds(&r->tally) - r->batched > RUN_BATCH_S))
        run_next_batch(r);
}

/* The last batches; after a signal without another process, for those were ended. */
static void run_finish(sweep_runner *r)
{
    pool_wait(r->pool);
    while (!pool_stopped(r->pool) && r->named == r->batch && r->batch < r->ended) {
        run_next_batch(r);
        pool_wait(r->pool);
    }
    r->batch = r->ended;
    if (r->named < r->batch) {
        es_err err = {0};
        sweep_run_name(r, r->named, r->batch, &err);
        run_named(r, &(pool_end){.said = err.text});
    }
}

/* ---- traces ---- */

/* How many points from here on read the same trace. */
static size_t run_sharers(const sweep_runner *r, size_t from)
{
    size_t to = from;
    while (to < r->count && es_sweep_at(r->sweep, r->todo[to])->feed == es_sweep_at(r->sweep, r->todo[from])->feed)
        to++;
    return to - from;
}

/* A point whose memory must not grow with the trace reads it as it goes; and what a plug-in does to its process must not be done to this. */
static bool run_shareable(const es_config *config)
{
    return !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(es_config_resolved(config), "stream")) && !es_config_foreign_sources(config);
}

/* Decodes the trace of a point for all that share it. What goes wrong here goes wrong in each of them, and is told there. */
static es_trace *run_decode(sweep_runner *r, const es_sweep_point *point)
{
    es_config *config = NULL;
    es_trace *trace = NULL;
    const es_plan *plan = NULL;
    if (es_sweep_config(r->sweep, point, &config, NULL) == ES_OK)
        r->spans = r->span && cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(es_config_resolved(config), "plugins")) == 0;
    if (config && run_shareable(config) && es_config_plan(config, &plan, NULL) == ES_OK) {
        es_source_ask ask = es_config_ask(config);
        es_trace_load(&trace, plan->source, plan->source_state, &ask, NULL);
    }
    es_config_free(config);
    return trace;
}

/* A process for a point, or for some; *took: how many. */
static es_code run_start(sweep_runner *r, size_t from, size_t left, size_t *took, es_err *err)
{
    const size_t points = es_sweep_count(r->sweep), once = once_count(r, from);
    *took = once ? once : span_length(r, from, left);
    if (once || *took == 1)
        return pool_start(r->pool, once ? points + from : r->todo[from], err);
    r->span->length[from] = (uint32_t)*took;
    return pool_start(r->pool, points + r->count + from, err);
}

/* With as many points as processes or fewer, each process decodes it once at most: that is no slower than to wait for one. */
static es_code run_group(sweep_runner *r, size_t from, size_t count, es_err *err)
{
    es_code code = ES_OK;
    r->spans = false;
    r->trace = count > r->jobs ? run_decode(r, es_sweep_at(r->sweep, r->todo[from])) : NULL;
    for (size_t i = from, took; i < from + count && code == ES_OK && !pool_stopped(r->pool); i += took)
        code = run_start(r, i, from + count - i, &took, err);
    es_trace_free(r->trace);    /* those that run have it still */
    r->trace = NULL;
    return code;
}

/* ---- what there is to do ---- */

typedef struct run_order {
    uint32_t feed, once;
    size_t point;
} run_order;

static int run_by_feed(const void *a, const void *b)
{
    const run_order *x = a, *y = b;
    if (x->feed != y->feed)
        return x->feed < y->feed ? -1 : 1;
    if (x->once != y->once)
        return x->once < y->once ? -1 : 1;
    return x->point < y->point ? -1 : x->point > y->point;
}

static es_code run_list(sweep_runner *r, es_err *err)
{
    size_t all = es_sweep_count(r->sweep);
    run_order *order = calloc(all + 1, sizeof *order);
    r->todo = calloc(all + 1, sizeof *r->todo);
    for (size_t i = 0; i < all && order && r->todo; i++) {
        char path[4096];
        const es_sweep_point *point = es_sweep_at(r->sweep, i);
        if (!shard_has(&r->part, i))
            continue;
        sweep_run_path(r, point->id, ".h5", path, sizeof path);
        if (access(path, F_OK) == 0)
            r->there++;
        else
            order[r->count++] = (run_order){point->feed, point->once, i};
    }
    r->written = calloc(r->count + 1, sizeof *r->written);
    r->again = calloc(r->count + 1, sizeof *r->again);
    bool fine = order && r->todo && r->written && r->again;
    if (fine)
        qsort(order, r->count, sizeof *order, run_by_feed);
    for (size_t i = 0; i < r->count && fine; i++)
        r->todo[i] = order[i].point;
    free(order);
    return fine ? ES_OK : es_err_nomem(err, "the points");
}

/* ---- the command ---- */

static es_code run_quantity(const char *text, es_unit unit, const char *flag, int64_t *value, es_err *err)
{
    double quantity = 0.0;
    es_code code = text ? es_text_quantity(text, unit, &quantity, err) : ES_OK;
    if (code == ES_OK && quantity > 9e18)
        code = es_err_set(err, ES_EINPUT, "%s is more than can be counted", text);
    if (code)
        return es_err_at(err, "%s", flag), code;
    if (text)
        *value = (int64_t)quantity;
    return ES_OK;
}

static es_code run_arguments(sweep_runner *r, es_err *err)
{
    const sweep_args *args = r->args;
    es_sweep_limits limits = es_sweep_limits_of(r->sweep);
    r->limits = (pool_limits){limits.time, limits.memory};
    if (!args->out || !*args->out)
        return cmd_misused(&cmd_sweep, err, "-o DIR says where the results go");
    if (gethostname(r->host, sizeof r->host) != 0)
        r->host[0] = '\0';
    r->host[sizeof r->host - 1] = '\0';
    r->pid = (long)getpid();
    es_code code = jobs_count(args->jobs, &r->jobs, err);
    if (code == ES_OK)
        code = shard_find(&r->part, args->shard, err);
    if (code == ES_OK)
        code = run_quantity(args->time, ES_UNIT_TIME, "--time", &r->limits.time, err);
    return code ? code : run_quantity(args->memory, ES_UNIT_BYTES, "--memory", &r->limits.memory, err);
}

static es_code run_points(sweep_runner *r, es_err *err)
{
    es_code code = ES_OK;
    fflush(stdout);
    for (size_t i = 0, count; i < r->count && code == ES_OK && !pool_stopped(r->pool); i += count) {
        count = run_sharers(r, i);
        code = run_group(r, i, count, err);
    }
    pool_wait(r->pool);
    for (size_t i = 0; i < r->agains && code == ES_OK && !pool_stopped(r->pool); i++)
        code = pool_start(r->pool, r->again[i], err);
    run_finish(r);
    return code;
}

static void run_summary(const sweep_runner *r)
{
    double seconds = tally_seconds(&r->tally);
    es_text text = {0};
    es_text_add(&text, "%s: ", es_sweep_name(r->sweep));
    if (r->part.count > 1)
        es_text_add(&text, "part %zu/%zu (%s), ", r->part.index, r->part.count, r->part.from);
    es_text_count(&text, (int64_t)r->tally.done);
    es_text_add(&text, " points in ");
    es_text_duration(&text, seconds * 1e9);
    if (r->tally.done)
        es_text_add(&text, ", %.3g a second", (double)r->tally.done / seconds);
    if (r->there)
        es_text_add(&text, "; %zu were there", r->there);
    if (r->tally.failed)
        es_text_add(&text, "; %zu failed", r->tally.failed);
    if (!r->args->quiet && !text.failed)
        printf("%s; in %s\n", text.at, r->args->out);
    es_text_free(&text);
}

static es_code run_outcome(const sweep_runner *r, es_err *err)
{
    run_summary(r);
    if (pool_stopped(r->pool) && !r->args->quiet)
        fputs("stopped; the same command goes on\n", stderr);
    if (r->tally.failed)
        return es_err_set(err, ES_ECHECK, "%zu of %zu points failed (%s: %.400s); `expertsim sweep status %s` says why", r->tally.failed, r->there + r->count,
            r->tally.failed > 1 ? "the first" : "it", r->first ? r->first : "no memory", r->args->out);
    return ES_OK;
}

es_code sweep_run(const sweep_args *args, const char *file, es_err *err)
{
    sweep_runner r = {.args = args, .folder = -1};
    es_code code = es_sweep_load(&r.sweep, file, args->many, err);
    if (code == ES_OK)
        code = run_arguments(&r, err);
    if (code == ES_OK)          /* from here on a signal waits until nothing half done is left */
        code = pool_new(&r.pool, &(pool_owner){.work = run_work, .ended = run_ended, .tick = run_tick, .self = &r}, r.jobs, r.limits, err);
    if (code == ES_OK)
        code = sweep_run_folder(&r, err);
    if (code == ES_OK) {
        r.folder = open(r.args->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        sweep_run_clean(&r);
        code = run_list(&r, err);
    }
    if (code == ES_OK && r.count)
        code = sweep_run_try(&r, err);
    if (code == ES_OK)
        code = span_new(&r, err);
    if (code == ES_OK) {
        tally_begin(&r.tally, es_sweep_name(r.sweep), r.there + r.count, r.there, args->quiet);
        code = run_points(&r, err);
        tally_end(&r.tally);
        sweep_run_clean(&r);
        if (code == ES_OK)
            code = run_outcome(&r, err);
    }
    fflush(stdout);
    pool_free(r.pool);          /* with a signal that waits, this is the end */
    if (r.folder >= 0)
        close(r.folder);
    if (r.span)
        munmap(r.span, r.span->bytes);
    free(r.todo);
    free(r.written);
    free(r.again);
    free(r.first);
    es_sweep_free(r.sweep);
    return code;
}
