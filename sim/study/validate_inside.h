/* Validate, inside: what its files share. */
#ifndef ES_STUDY_VALIDATE_INSIDE_H
#define ES_STUDY_VALIDATE_INSIDE_H

#include "sim/base/json.h"
#include "sim/base/perfetto.h"
#include "sim/core/plan.h"
#include "sim/part/action.h"
#include "sim/study/actions.h"
#include "sim/study/config.h"

typedef struct validate_candidate {
    const char *policy;
    es_config *config;
    const es_plan *plan;
    es_config *noisy;           /* the same with noise drawn; NULL where the machine does not say what noise it has */
    const es_plan *noisy_plan;
    es_actions log;
    size_t runs;                /* performances */
    es_action_time *row;        /* [1 + runs][rows]; the first are the model's */
    int64_t *step_ns;           /* [1 + runs][steps] */
    es_action_time *drawn_row;  /* [runs][rows] of the model with noise, as many draws as performances; NULL: no noise */
    int64_t *drawn_ns;          /* [runs][steps] */
    int64_t *host_ns;           /* [steps] of the last performance */
} validate_candidate;

typedef struct validate_drift {     /* a short recalibration, performed between the runs of a mode */
    es_actions log;
    es_action_time *row;        /* [1 + runs][rows]; the first are the model's */
    int64_t *step_ns, *host_ns; /* [steps] of the last */
} validate_drift;

/* Rows of a candidate's log for `runs` recalibrations; validate_drift_close() in any case. */
es_code validate_drift_open(validate_drift *d, const validate_candidate *c, size_t runs, es_err *err);
void validate_drift_close(validate_drift *d);
/* Where the run-th is written, from 1; 0 is the model's place, or a rehearsal's. */
es_action_run validate_drift_run(validate_drift *d, size_t run);
es_code validate_drift_model(validate_drift *d, const es_plan *plan, bool overlapped, bool computes, es_err *err);
/* Adds "recalibration" to a mode. */
es_code validate_drift_score(const validate_drift *d, size_t runs, es_json *out, es_err *err);

/* Draws its last performance and what the model says of it, as the number-th of this file, until that has `limit` bytes. */
es_code validate_draw(es_perfetto *out, const validate_candidate *c, const char *mode, uint32_t number, int64_t limit, int64_t *drawn, es_err *err);
/* Adds "candidates" and "ranking" to a mode. */
es_code validate_score(const validate_candidate *candidate, size_t count, bool virtual_machine, es_json *out, es_err *err);

#endif
