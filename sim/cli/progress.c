/* Progress: see progress.h. */
#include "sim/cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "sim/base/text.h"

enum { PROGRESS_EVERY_MS = 100 };

static double progress_since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

/* Is it time for another line? */
static bool progress_due(progress *p)
{
    if (p->shown && progress_since(&p->last) * 1e3 < PROGRESS_EVERY_MS)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &p->last);
    p->shown = true;
    return true;
}

void progress_say(progress *p, const char *fmt, ...)
{
    va_list args;
    if (!progress_due(p))
        return;
    fputs("\r\033[K", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fflush(stderr);
}

static void progress_tell(void *self, uint64_t steps, uint64_t of_steps, es_time now)
{
    progress *p = self;
    if (!progress_due(p))
        return;
    es_text line = {0};
    es_text_add(&line, "%s: step ", p->name);
    es_text_count(&line, (int64_t)steps);
    if (of_steps) {
        es_text_add(&line, " of ");
        es_text_count(&line, (int64_t)of_steps);
        es_text_add(&line, " (%.0f %%)", 100.0 * (double)steps / (double)of_steps);
    }
    if (now > 0) {
        es_text_add(&line, ", simulated ");
        es_text_duration(&line, (double)now);
    }
    if (!line.failed)
        fprintf(stderr, "\r\033[K%s", line.at);
    fflush(stderr);
    es_text_free(&line);
}

const es_progress *progress_begin(progress *p, const char *name, bool quiet)
{
    *p = (progress){.name = name};
    p->told = (es_progress){progress_tell, p};
    clock_gettime(CLOCK_MONOTONIC, &p->start);
    return quiet || !isatty(STDERR_FILENO) ? NULL : &p->told;
}

void progress_end(progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = false;
}

double progress_seconds(const progress *p)
{
    return progress_since(&p->start);
}
