/* Requests: see requests.h. */
#include "traces/requests.h"

#include <stdlib.h>

typedef struct requests_place { uint32_t request, position; uint64_t token; } requests_place;

static int requests_compare(const void *a, const void *b)
{
    const requests_place *x = a, *y = b;
    if (x->request != y->request)
        return x->request < y->request ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

es_code es_requests_of(es_requests *out, const es_trace *trace, es_arena *arena, es_err *err)
{
    requests_place *place = malloc((trace->tokens + 1) * sizeof *place);
    *out = (es_requests){0};
    out->token = ES_NEW_ARRAY(arena, trace->tokens, uint64_t);
    out->begin = ES_NEW_ARRAY(arena, trace->info.requests + 1, uint64_t);
    out->prompt = ES_NEW_ARRAY(arena, trace->info.requests, uint32_t);
    if (!place || !out->token || !out->begin || !out->prompt) {
        free(place);
        return es_err_nomem(err, "the requests of a trace");
    }
    for (uint64_t i = 0; i < trace->tokens; i++)
        place[i] = (requests_place){ trace->token[i].request, trace->token[i].position, i };
    qsort(place, trace->tokens, sizeof *place, requests_compare);
    for (uint64_t i = 0; i < trace->tokens; i++) {
        if (i == 0 || place[i].request != place[i - 1].request)
            out->begin[out->count++] = i;
        out->prompt[out->count - 1] += trace->token[place[i].token].phase == ES_PREFILL;
        out->token[i] = place[i].token;
    }
    out->begin[out->count] = trace->tokens;
    free(place);
    return ES_OK;
}
