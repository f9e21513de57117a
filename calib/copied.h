/* Copied: what an expert costs whose weights a copy brought just before. They are still in a cache, and reading them is faster than the price
 * of cold weights says: a step that misses computes faster than one that hits. In which cache they are depends on who copied: a thread that had
 * nothing beside it works where the next one will, one that copied beside an expert has a cache of its own.
 *
 * Three rows tell it: gpu.copied, sizes and numbers of tokens right behind the copy, waited for; gpu.handed, the same behind a copy that ran while
 * the stream computed something else; and gpu.faded, one expert for one token with so many KiB
 * copied in between, which tells how near is near. Distances are bytes of memory that were touched since the copy began, that copy included: twice
 * the bytes of each copy. */
#ifndef ES_CALIB_COPIED_H
#define ES_CALIB_COPIED_H

#include "calib/sample.h"
#include "sim/base/text.h"

enum { COPIED_DISTANCES = 6 };

/* The distances that are measured, as bytes copied in between, ascending: from an eighth of the last-level cache to all of it, which is twice as
 * much read and written. `quick`: fewer. */
size_t copied_between(int64_t cache_bytes, bool quick, int64_t bytes[COPIED_DISTANCES]);
/* Bytes of the expert that is measured at them: a small part of the cache, in steps of `unit`. */
int64_t copied_expert(int64_t cache_bytes, int64_t unit);
/* The distance at which half of what the copy saves is lost, by a line between two that were measured, of a series of gpu.faded; the last of them
 * where it is not lost by then; 0: it saves no more than a twentieth. `cold_ns`: of that expert when nothing brought it near. */
double copied_near(const calib_series *faded, double cold_ns, es_arena *arena);
/* Adds "copied": {"near": ..., "points": [...], "handed": [...]} to the compute unit gpu of a profile that has one; where a copy saves nothing, nothing. */
es_code copied_report(const calib_samples *samples, es_json *machine, es_text *told, es_err *err);

#endif
