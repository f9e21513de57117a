/* Profile tables: what a calibration of a GPU knows beside curves, by size or by count, in seconds and bytes.
 *
 *     "alloc": {"device": {"take": {"size_B": [65536, ...], "time_s": [4.1e-06, ...], "fit": {...}}, "give": {...}}, "pinned": ...}
 *     "gemm": {"bf16": {"hidden": 2048, "inter": 768, "weights_B": ..., "cold": {"tokens": [1, ...], "time_s": [...], "noise": {...}}, "warm": {...}}}
 *     "batches": {"call": {"count": [1, ...], "size_B": [...], "time_s": [...], "loggp": {"o_s": ..., "g_s": ..., "G_spB": ...}}}
 *     "launch": {"latency": {"time_s": ..., "ci95_s": [..., ...]}}
 *     "contention": {"h2d_behind": {"alone_s": ..., "together_s": ..., "slower": false}} */
#ifndef ES_MODELS_PROFILE_TABLES_H
#define ES_MODELS_PROFILE_TABLES_H

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/json.h"

/* Refuses negative numbers, and tables that do not ascend or whose lists differ in length; NULL is fine. A "noise" is as that of a fit. Errors begin
 * with the key. */
es_code es_profile_table_check(const es_json *section, es_arena *arena, es_err *err);
/* Of a flow: who waits for whom, each true or false. */
es_code es_profile_waits_check(const es_json *waits, es_err *err);

#endif
