/* Generated: what the sources that draw their routing share. */
#ifndef ES_TRACES_GENERATED_H
#define ES_TRACES_GENERATED_H

#include "traces/trace.h"

/* Sets the provenance of a generated trace, {"generator": "expertsim NAME 1", "options": {...}}, all that is needed to make it again,
 * and as its sha256 the digest of that text. `state` holds the options of `part`; the strings live in the arena. */
es_code es_generated_provenance(es_trace_info *info, const es_part *part, const void *state, es_arena *arena, es_err *err);

#endif
