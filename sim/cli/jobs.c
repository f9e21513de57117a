/* Jobs: see jobs.h. */
#include "sim/cli/jobs.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/cli/pool.h"

enum { JOBS_MOST = 4096 };

static size_t jobs_processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (size_t)CPU_COUNT(&set);
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (size_t)count : 1;
}

es_code jobs_count(const char *text, size_t *count, es_err *err)
{
    char *end = NULL;
    const long jobs = text ? strtol(text, &end, 10) : (long)jobs_processors();
    if (text && (end == text || *end || jobs < 1 || jobs > JOBS_MOST))
        return es_err_set(err, ES_EINPUT, "--jobs: \"%s\" is not a number of processes from 1 to %d", text, JOBS_MOST);
    *count = (size_t)jobs;
    return ES_OK;
}

typedef struct jobs_state {
    const jobs_owner *owner;
    size_t done;
    size_t first;               /* of those with an error */
    es_err err;
} jobs_state;

static es_code jobs_work(void *self, size_t job, es_err *err)
{
    const jobs_state *s = self;
    return s->owner->work(s->owner->self, job, err);
}

/* The error's text is the last line of what the process said. */
static void jobs_ended(void *self, const pool_end *end)
{
    jobs_state *s = self;
    s->done++;
    if (s->owner->done)
        s->owner->done(s->owner->self, s->done);
    if ((end->code == ES_OK && !end->signal) || end->job > s->first)
        return;
    size_t length = strlen(end->said);
    while (length > 0 && end->said[length - 1] == '\n')
        length--;
    size_t from = length;
    while (from > 0 && end->said[from - 1] != '\n')
        from--;
    s->first = end->job;
    if (end->signal)
        es_err_set(&s->err, ES_EINTERNAL, "a run was ended by signal %d (%s)", end->signal, strsignal(end->signal));
    else
        es_err_set(&s->err, end->code, "%.*s", (int)(length - from), end->said + from);
}

static void jobs_tick(void *self)
{
    (void)self;
}

static es_code jobs_here(const jobs_owner *owner, size_t count, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < count && code == ES_OK; i++) {
        code = owner->work(owner->self, i, err);
        if (owner->done)
            owner->done(owner->self, i + 1);
    }
    return code;
}

es_code jobs_run(const jobs_owner *owner, size_t count, size_t at_once, es_err *err)
{
    if (count < 2 || at_once < 2)
        return jobs_here(owner, count, err);
    jobs_state s = {.owner = owner, .first = count};
    pool *p = NULL;
    fflush(stdout);
    es_code code = pool_new(&p, &(pool_owner){.work = jobs_work, .ended = jobs_ended, .tick = jobs_tick, .self = &s}, at_once < count ? at_once : count, (pool_limits){0}, err);
    if (code)
        return code;
    for (size_t i = 0; i < count && code == ES_OK && !pool_stopped(p); i++)
        code = pool_start(p, i, err);
    pool_wait(p);
    const bool stopped = pool_stopped(p);
    pool_free(p);            /* with a signal that waits, this is the end */
    if (code == ES_OK && stopped)
        return es_err_set(err, ES_EINTERNAL, "stopped");
    if (code == ES_OK && s.first < count) {
        code = s.err.code;
        if (err)
            *err = s.err;
    }
    return code;
}
