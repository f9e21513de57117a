/* Raw: arrays of expert ids without any head, [tokens][layers][top_k] (or [layers][tokens][top_k], asked for): what is left of
 * routed_experts after base64, and what small C programs write. How many layers there are, and of how many ids a row is, must be asked for. */
#ifndef ES_TRACES_RAW_H
#define ES_TRACES_RAW_H

#include "traces/dense.h"

/* Opens a source whose state is an es_dense. `top_k`: of a format that knows it, else 0. */
es_code es_raw_open(es_dense *dense, const char *format, es_ids_type type, uint32_t top_k, const es_source_ask *ask, es_arena *arena, es_err *err);

#endif
