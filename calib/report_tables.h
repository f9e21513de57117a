/* Report tables: what a profile says beside curves (models/profile_tables.h). */
#ifndef ES_CALIB_REPORT_TABLES_H
#define ES_CALIB_REPORT_TABLES_H

#include "calib/noise.h"
#include "calib/sample.h"

/* Adds alloc, batches, gemm and launch to a machine, as far as they were measured. */
es_code report_tables(const calib_samples *samples, es_json *machine, es_arena *arena, es_err *err);
/* Adds "noise": {classes, stall}. */
void report_noise(const calib_noise *noise, es_json *out);

#endif
