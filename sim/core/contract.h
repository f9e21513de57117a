/* Contract: the switches by which today's replay scripts differ. Each changes published numbers, so each is named, stored in the
 * result and printed in every report. */
#ifndef ES_CORE_CONTRACT_H
#define ES_CORE_CONTRACT_H

#include "sim/base/option.h"

typedef enum es_unit_of { ES_UNION, ES_TOKEN, ES_ID, ES_SLICE } es_unit_of;
typedef enum es_duplicates { ES_REFRESH, ES_HIT, ES_IGNORE } es_duplicates;
typedef enum es_judge { ES_JUDGE_EVENT, ES_SERIALIZED, ES_SERIALIZED_PINNED } es_judge;
typedef enum es_overflow { ES_WAVES, ES_TRIM, ES_PERSIST, ES_KEEP_BEST, ES_BYPASS } es_overflow;
typedef enum es_scope { ES_GLOBAL, ES_PER_LAYER } es_scope;
typedef enum es_ties { ES_TIES_POLICY, ES_TIES_INSERTION, ES_TIES_KEY, ES_TIES_RANDOM } es_ties;

typedef struct es_contract {
    int unit, duplicates, judge, overflow, scope, ties;
    const es_json *quota;       /* "floor", "round", "remainder_low" or a list of one number per layer */
    const char *prefill;        /* "union", "tokens", "tiles:N", "skip" */
    int prefill_counts;         /* 0 apart, 1 together */
    const char *start;          /* "cold" or a file */
    int reset;                  /* 0 never, 1 request */
    int64_t skip_tokens;
    int pins;                   /* 0 charged, 1 free */
    bool pins_take_room;
    bool flush;
} es_contract;

extern const es_option es_contract_options[];

/* What a preset stands for, as JSON text; NULL when there is none of that name. `i` walks the presets. */
typedef struct es_preset { const char *name, *brief, *json; } es_preset;
const es_preset *es_contract_preset(size_t i);

#endif
