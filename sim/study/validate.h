/* Validate: what the model says of a machine beside what the machine does. Each candidate (a policy) is frozen as an action log, all logs are
 * performed again and again, in turns, and the same logs are timed by the config's channels. docs/validation.md says what the numbers mean. */
#ifndef ES_STUDY_VALIDATE_H
#define ES_STUDY_VALIDATE_H

#include "sim/base/json.h"
#include "sim/base/text.h"
#include "sim/part/action.h"

/* What performs logs. open and close once for each mode. */
typedef struct es_validate_machine {
    void *self;
    es_code (*open)(void *self, const es_actions *const *logs, size_t count, bool overlapped, es_err *err);
    bool (*computes)(void *self);           /* false: gemms take no time */
    es_code (*run)(void *self, size_t log, es_action_run *run, es_err *err);
    void (*environment)(void *self, es_json *out);
    void (*close)(void *self);
} es_validate_machine;

enum { ES_VALIDATE_POLICIES = 8, ES_VALIDATE_REPEATS = 100 };

typedef struct es_validate_ask {
    const char *config;
    const char *const *sets;                /* "PATH=VALUE" */
    size_t set_count;
    const char *const *policies;            /* values of `policy`; none: the config's own */
    size_t policy_count;                    /* up to ES_VALIDATE_POLICIES */
    size_t repeat;                          /* 2 to ES_VALIDATE_REPEATS; one more of each goes before and does not count */
    bool serial, overlapped;                /* modes */
    double scale;                           /* of the experts' bytes; 0: 1 */
    const char *folder;                     /* where the logs are written: N-POLICY.jsonl */
    const char *timeline;                   /* file that measured beside simulated is drawn to; NULL: none */
    int64_t timeline_limit;                 /* bytes, before it is compressed */
    const es_validate_machine *machine;
    void (*tell)(void *self, const char *what, size_t done, size_t of);     /* NULL: nobody */
    void *tell_self;
} es_validate_ask;

/* {"held_out", "environment", "repeat", "scale", "modes": [...]}; the caller's. */
es_code es_validate(const es_validate_ask *ask, es_json **out, es_err *err);
/* ES_ECHECK when a criterion is not met: names mode, policy and criteria. Invalid ones are none of these. */
es_code es_validate_verdict(const es_json *result, es_err *err);
/* At most 24 lines a mode. */
void es_validate_text(const es_json *result, es_text *out);

#endif
