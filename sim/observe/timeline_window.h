/* Window: which part of a run a timeline shows. Whatever is there within it is kept whole: a copy that began before it, too.
 *
 *   1ms..3ms          simulated time, the end not in it; either side may be left out
 *   steps=100..120    both in it; steps=100 is one of them. The same with tokens (counted over the run) and requests (as the trace
 *                     numbers them: every step that has a token of theirs) */
#ifndef ES_OBSERVE_TIMELINE_WINDOW_H
#define ES_OBSERVE_TIMELINE_WINDOW_H

#include "sim/part/fact.h"

enum { WINDOW_TIME, WINDOW_STEPS, WINDOW_TOKENS, WINDOW_REQUESTS };

typedef struct window {
    int kind;
    int64_t first, last;
    bool open, cut;             /* the step at hand is in it; nothing that begins from `closed` on is */
    es_time opened, closed;     /* the last stretch of it; both 0: there was none yet */
    int64_t tokens;             /* of the steps so far */
} window;

/* NULL or "": all of the run. */
es_code window_parse(window *w, const char *text, es_err *err);
void window_step(window *w, const es_fact *step);       /* STEP */
void window_step_end(window *w, es_time at);
/* Nothing that begins at `at` or later any more. */
void window_cut(window *w, es_time at);

static inline bool window_begun(const window *w, es_time now)
{
    return w->closed > w->opened && now >= w->opened;
}

/* Does [since, at) reach into it, or lie in it when it is an instant (since = at)? */
static inline bool window_has(const window *w, es_time since, es_time at)
{
    return since < w->closed && (at > w->opened || since >= w->opened);
}

/* What takes no time between two steps belongs to both. */
static inline bool window_ends(const window *w, es_time since, es_time at)
{
    return w->kind != WINDOW_TIME && !w->cut && since == at && since == w->closed && w->closed > w->opened;
}

#endif
