/* Validate, inside: what validate.c and validate_score.c share. */
#ifndef ES_STUDY_VALIDATE_INSIDE_H
#define ES_STUDY_VALIDATE_INSIDE_H

#include "sim/base/json.h"
#include "sim/base/perfetto.h"
#include "sim/core/plan.h"
#include "sim/part/action.h"
#include "sim/study/config.h"

typedef struct validate_candidate {
    const char *policy;
    es_config *config;
    const es_plan *plan;
    es_actions log;
    size_t runs;                /* performances */
    es_action_time *row;        /* [1 + runs][rows]; the first are the model's */
    int64_t *step_ns;           /* [1 + runs][steps] */
    int64_t *host_ns;           /* [steps] of the last performance */
} validate_candidate;

/* Draws its last performance and what the model says of it, as the number-th of this file, until that has `limit` bytes. */
es_code validate_draw(es_perfetto *out, const validate_candidate *c, const char *mode, uint32_t number, int64_t limit, int64_t *drawn, es_err *err);
/* Adds "candidates" and "ranking" to a mode. */
es_code validate_score(const validate_candidate *candidate, size_t count, bool virtual_machine, es_json *out, es_err *err);

#endif
