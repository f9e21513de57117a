/* Health: what about a trace would distort a result, found in one pass over its steps. Nothing here is an error of the file: such a trace
 * can be run, and the result is right for what is in it; it is not what its reader takes it for.
 *
 *     es_health_new, es_health_step for every step, es_health_end, then the findings; es_health_free in any case */
#ifndef ES_TRACES_HEALTH_H
#define ES_TRACES_HEALTH_H

#include "sim/base/json.h"
#include "sim/base/text.h"
#include "sim/part/source.h"

typedef struct es_health es_health;

typedef struct es_health_model {        /* what the model is known to have; 0: not known */
    const char *name;                   /* NULL: no model is known */
    int64_t moe_layers, experts, top_k;
} es_health_model;

typedef struct es_health_place {        /* known false: the finding is about the whole */
    bool known;
    uint64_t request, position;
    int64_t layer;                      /* the model's own number; -1: of no single layer */
} es_health_place;

typedef struct es_health_finding {
    const char *kind;                   /* one word: see health_say.c */
    double figure;
    const char *unit;                   /* of the figure */
    es_health_place first;
    char *found, *distorts;             /* a sentence each */
} es_health_finding;

/* `info` and the model's name stay the caller's and have to live as long. */
es_code es_health_new(es_health **out, const es_trace_info *info, const es_health_model *model, es_err *err);
es_code es_health_step(es_health *h, const es_step *step, es_err *err);
es_code es_health_end(es_health *h, es_err *err);
/* In the order in which one should know them. */
const es_health_finding *es_health_findings(const es_health *h, size_t *count);
void es_health_text(const es_health *h, es_text *out);          /* two lines or more each; one that says so where there are none */
void es_health_json(const es_health *h, es_json *out);          /* "findings" */
void es_health_free(es_health *h);

#endif
