/* Fades: how much of what a copy saves is left to the expert that it brought, by the memory that was touched in between. A cache that others use
 * too loses it little by little. Straight lines between points: all of it at 0 bytes, nothing beyond the last. */
#ifndef ES_MODELS_FADES_H
#define ES_MODELS_FADES_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/json.h"

typedef struct es_fade {
    int64_t bytes;                  /* touched in between, 1 and more */
    double saved;                   /* share that is left, 0 to 1 */
} es_fade;

typedef struct es_fades {
    const es_fade *at;              /* [count], of the arena; ascending by bytes, none saves more than the one before */
    size_t count;
} es_fades;

/* From [{"bytes": ..., "saved": ...}, ...], at least one. Errors name the point and its key. */
es_code es_fades_parse(es_fades *out, const es_json *list, es_arena *arena, es_err *err);
double es_fades_saved(const es_fades *fades, int64_t bytes);

#endif
