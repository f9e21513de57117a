/* Compose: requests of other traces served together, as an engine with continuous batching does: the routing is theirs, the steps are new.
 *
 * A request waits until it has arrived and fewer than `batch` are served. While it is served each step takes up to `budget` tokens: first
 * the next ones of every request that generates, `window` of them, then prompts, in the order of admission, as much of each as there is
 * room for (chunked prefill, Agrawal and others 2023). A request is ready to generate in the step after the last of its prompt. Time is
 * counted in steps; while nobody is served it goes on to the next arrival.
 *
 * With a window, several tokens are verified at once: the first is taken, each next one as long as a draw is below `accept`. Drafts that
 * would be rejected are not in the traces, so the experts that they would have used are missing. */
#ifndef ES_TRACES_COMPOSE_H
#define ES_TRACES_COMPOSE_H

#include "traces/trace.h"

typedef struct es_compose_ask {
    uint32_t batch;             /* requests served at once, at most; from 1 */
    uint32_t budget;            /* tokens of a step, at most, at least batch * window; 0: no bound */
    uint32_t window;            /* tokens that a generating request passes in a step, at most; from 1 */
    double accept;              /* probability that the next token of a window is taken too, 0 to 1 */
    double gap;                 /* mean steps between arrivals, exponential; 0: all are there from the start */
    uint64_t seed;
} es_compose_ask;

typedef struct es_compose_counts {
    uint64_t listed;            /* experts over all rows */
    uint64_t distinct;          /* in the layers of steps: what a step has to have */
    uint64_t within, across;    /* the others: repeated by the same request in the step, or first used there by another one */
    uint64_t steps, tokens, requests, most_tokens;
} es_compose_counts;

typedef struct es_compose es_compose;

/* Traces of one shape (layers, layer numbers, experts); they stay the caller's and must live as long. ES_EINPUT: they differ, or the ask
 * contradicts itself. */
es_code es_compose_new(es_compose **out, es_trace *const *traces, uint32_t count, const es_compose_ask *ask, es_err *err);
/* A source to read steps from; `compose` is its state, and is not opened. Weights are kept where all traces have them. */
extern const es_source es_compose_source;
/* What was given so far. */
es_compose_counts es_compose_count(const es_compose *compose);
void es_compose_free(es_compose *compose);

#endif
