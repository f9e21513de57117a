/* Copied: what an expert costs whose weights a copy brought just before. They are still in a cache, and reading them is faster than the price
 * of cold weights says: a step that misses computes faster than one that hits. In which cache they are depends on who copied: a thread that had
 * nothing beside it works where the next one will, one that copied beside an expert has a cache of its own.
 *
 * Three rows tell it: gpu.copied, sizes and numbers of tokens right behind the copy, waited for; gpu.handed, the same behind a copy that ran while
 * the stream computed something else; and gpu.faded, one expert for one token with so many KiB copied in between, which tells how what is saved
 * fades. A cache that others use too loses it little by little: there is no distance up to which all of it is there. Distances are bytes of memory
 * that were touched in between: twice the bytes of each copy. */
#ifndef ES_CALIB_COPIED_H
#define ES_CALIB_COPIED_H

#include "calib/batch.h"
#include "calib/sample.h"
#include "sim/base/text.h"

#define COPIED_SAVES 0.05       /* share of a time, or of what is saved: less is noise */

enum { COPIED_DISTANCES = 6 };

/* The distances that are measured, as bytes copied in between, each twice the one before: from a 32nd of the last-level cache to all of it, which is
 * twice as much read and written. `quick`: every second. */
size_t copied_between(int64_t cache_bytes, bool quick, int64_t bytes[COPIED_DISTANCES]);
/* Bytes of the expert that is measured at them where nobody says which is simulated: an eighth of the cache, in steps of `unit`. A smaller one lies
 * in nearer caches too, and what is saved of it fades faster. */
int64_t copied_expert(int64_t cache_bytes, int64_t unit);
/* The medians of a series whose counts are KiB copied in between, ascending by these; returns how many. At most SOLVE_ROWS. */
size_t copied_medians(const calib_series *series, batch_point *point, es_arena *arena);
/* Bytes of memory that were touched in between. */
double copied_distance(const batch_point *point);
/* Adds "copied": {"fades": [...], "points": [...], "handed": [...]} to the compute unit gpu of a profile that has one; where a copy saves nothing, nothing. */
es_code copied_report(const calib_samples *samples, es_json *machine, es_text *told, es_err *err);

#endif
