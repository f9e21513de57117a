/* Requests: the tokens of a trace in memory by request and position, however steps mix them. */
#ifndef ES_TRACES_REQUESTS_H
#define ES_TRACES_REQUESTS_H

#include "traces/trace.h"

typedef struct es_requests {
    uint32_t count;
    uint64_t *token;            /* [tokens] of the trace: request after request in the order of their numbers, positions ascending */
    uint64_t *begin;            /* [count + 1] where a request begins in `token` */
    uint32_t *prompt;           /* [count] how many of its tokens, from the first on, are of the prompt */
} es_requests;

/* Everything is in the arena. */
es_code es_requests_of(es_requests *out, const es_trace *trace, es_arena *arena, es_err *err);

#endif
