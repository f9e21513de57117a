/* Pool: see pool.h. Each process holds one end of a pipe as its standard output and error. What comes out is kept for its obituary, and
 * the end of it is the end of the process; so one poll() waits for all of them, for the clock, and (by looking now and then) for signals. */
#include "sim/cli/pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { POOL_SAID = 2048, POOL_TICK_MS = 100 };

typedef struct pool_job {
    pid_t pid;
    size_t job;
    int pipe;                   /* our end */
    int64_t until;              /* ns on the monotonic clock; INT64_MAX: any time */
    bool late, beside;
    char said[POOL_SAID + 1];
    size_t length;
} pool_job;

struct pool {
    pool_owner owner;
    pool_limits limits;
    size_t at_once, running, beside;    /* `running` includes what is beside */
    pool_job *job;              /* [at_once + 1], the first `running` of them run */
    struct pollfd *poll;        /* [at_once + 1] */
    sigset_t before;            /* the signals that were blocked when the pool was made */
    bool stopped;
};

static int64_t pool_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

es_code pool_new(pool **out, const pool_owner *owner, size_t at_once, pool_limits limits, es_err *err)
{
    pool *p = *out = calloc(1, sizeof *p);
    sigset_t held;
    if (p) {
        p->job = calloc(at_once + 1, sizeof *p->job);
        p->poll = calloc(at_once + 1, sizeof *p->poll);
    }
    if (!p || !p->job || !p->poll) {
        if (p) {
            free(p->job);
            free(p->poll);
        }
        free(p);
        *out = NULL;
        return es_err_nomem(err, "the processes");
    }
    p->owner = *owner;
    p->limits = limits;
    p->at_once = at_once;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, &p->before);
    return ES_OK;
}

/* ---- in the job's process ---- */

/* What this process has mapped now, as far as the system tells. */
static uint64_t pool_mapped(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%llu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void pool_limit(const pool_limits *limits)
{
    if (limits->memory > 0) {
        rlim_t most = (rlim_t)(pool_mapped() + (uint64_t)limits->memory);
        setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
    }
    if (limits->time > 0) {     /* for the case that nobody is left to look at the clock */
        rlim_t most = (rlim_t)(limits->time / 1000000000 + 2);
        setrlimit(RLIMIT_CPU, &(struct rlimit){most, most});
    }
}

static _Noreturn void pool_work(pool *p, size_t job, bool beside, int out, pid_t parent)
{
    es_err err = {0};
    signal(SIGINT, SIG_IGN);    /* a terminal's goes to all processes; the pool decides */
    sigprocmask(SIG_SETMASK, &p->before, NULL);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent)    /* died before that */
        _exit(ES_EINTERNAL);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close(out);
    if (!beside)
        pool_limit(&p->limits);
    es_code code = p->owner.work(p->owner.self, job, &err);
    if (code)
        fprintf(stderr, "%s\n", err.text);
    fflush(stdout);
    _exit((int)code);
}

/* ---- waiting ---- */

/* Reads what there is; false: the end. */
static bool pool_listen(pool_job *job)
{
    char buffer[POOL_SAID];
    ssize_t got = read(job->pipe, buffer, sizeof buffer);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    size_t more = (size_t)got, most = POOL_SAID;
    size_t keep = job->length + more > most ? most - more : job->length;
    memmove(job->said, job->said + job->length - keep, keep);
    memcpy(job->said + keep, buffer, more);
    job->length = keep + more;
    return got > 0;
}

/* Takes a job that has ended out of the list and tells. */
static void pool_bury(pool *p, size_t i)
{
    pool_job job = p->job[i];
    int status = 0;
    close(job.pipe);
    while (waitpid(job.pid, &status, 0) < 0 && errno == EINTR) {
    }
    p->job[i] = p->job[--p->running];
    p->beside -= job.beside;
    job.said[job.length] = '\0';
    p->owner.ended(p->owner.self, &(pool_end){
        .job = job.job,
        .code = WIFEXITED(status) ? (es_code)WEXITSTATUS(status) : ES_OK,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .late = job.late,
        .said = job.said,
    });
}

static void pool_stop(pool *p)
{
    sigset_t waiting;
    sigpending(&waiting);
    if (p->stopped || !(sigismember(&waiting, SIGINT) || sigismember(&waiting, SIGTERM)))
        return;
    p->stopped = true;
    for (size_t i = 0; i < p->running; i++)
        kill(p->job[i].pid, SIGKILL);
}

/* Until something ends, or a tick has passed. */
static void pool_look(pool *p)
{
    for (size_t i = 0; i < p->running; i++)
        p->poll[i] = (struct pollfd){.fd = p->job[i].pipe, .events = POLLIN};
    size_t count = p->running;
    bool some = poll(p->poll, count, POOL_TICK_MS) > 0;
    for (size_t i = count; some && i-- > 0;)            /* from behind: the last one takes the place of one that has ended */
        if (p->poll[i].revents && !pool_listen(&p->job[i]))
            pool_bury(p, i);
    int64_t now = pool_now();
    for (size_t i = 0; i < p->running; i++)
        if (now >= p->job[i].until && !p->job[i].late) {
            p->job[i].late = true;
            kill(p->job[i].pid, SIGKILL);
        }
    pool_stop(p);
    p->owner.tick(p->owner.self);
}

static es_code pool_fork(pool *p, size_t job, bool beside, es_err *err)
{
    int ends[2];
    if (pipe(ends) != 0)
        return es_err_set(err, ES_EINTERNAL, "no pipe for a process: %s", strerror(errno));
    pid_t self = getpid(), pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return es_err_set(err, ES_EINTERNAL, "no process for a point: %s", strerror(errno));
    }
    if (pid == 0) {
        close(ends[0]);
        pool_work(p, job, beside, ends[1], self);
    }
    close(ends[1]);
    pool_job *mine = &p->job[p->running++];
    mine->pid = pid;
    mine->job = job;
    mine->pipe = ends[0];
    mine->until = p->limits.time > 0 && !beside ? pool_now() + p->limits.time : INT64_MAX;
    mine->late = false;
    mine->beside = beside;
    mine->length = 0;
    p->beside += beside;
    return ES_OK;
}

es_code pool_start(pool *p, size_t job, es_err *err)
{
    pool_stop(p);
    while (p->running - p->beside == p->at_once && !p->stopped)
        pool_look(p);
    return p->stopped ? ES_OK : pool_fork(p, job, false, err);
}

es_code pool_start_beside(pool *p, size_t job, es_err *err)
{
    while (p->beside > 0 && !p->stopped)
        pool_look(p);
    return p->stopped ? ES_OK : pool_fork(p, job, true, err);
}

void pool_wait(pool *p)
{
    while (p->running > 0)
        pool_look(p);
}

bool pool_stopped(const pool *p)
{
    return p->stopped;
}

void pool_free(pool *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->running; i++)
        kill(p->job[i].pid, SIGKILL);
    pool_wait(p);
    sigset_t before = p->before;
    free(p->job);
    free(p->poll);
    free(p);
    sigprocmask(SIG_SETMASK, &before, NULL);
}
