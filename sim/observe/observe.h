/* What the observers' reports share: members that several of them add to, ratios and seconds.
 *
 * NaN stands for "not known" and is written as null, so a report always has the same members. */
#ifndef ES_OBSERVE_OBSERVE_H
#define ES_OBSERVE_OBSERVE_H

#include <math.h>

#include "sim/part/observer.h"

/* The object `name` of a result; made when this observer is the first to add to it. */
static inline es_json *observe_object(es_json *out, const char *name)
{
    es_json *there = cJSON_GetObjectItemCaseSensitive(out, name);
    return there ? there : es_json_add_object(out, name);
}

static inline void observe_count(es_json *out, const char *name, uint64_t count)
{
    es_json_add_int(out, name, (int64_t)count);
}

static inline double observe_ratio(double part, double whole)
{
    return whole > 0.0 ? part / whole : (double)NAN;
}

/* One division by a whole number rounds once: 1500 ns is exactly the double nearest to 1.5e-06. */
static inline double observe_seconds(es_time ns)
{
    return (double)ns / 1e9;
}

#endif
