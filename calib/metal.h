/* Metal: what the probe of that name asks of an Apple GPU, as plain C. metal.m has the device, its memory and its streams,
 * metal_keep.m what it costs to get memory and to keep it resident; metal.c makes a probe of both.
 *
 * Memory of the device has no address that the processor could use. What is given out for it is a range of addresses that nothing lies
 * at: good for arithmetic and for naming a place, a fault when it is touched. */
#ifndef ES_CALIB_METAL_H
#define ES_CALIB_METAL_H

#include "sim/part/probe.h"

typedef struct metal metal;

typedef struct metal_facts {
    char device[128];
    bool unified;               /* processor and GPU share the memory */
    bool sets;                  /* there are residency sets: macOS 15 */
    int64_t memory_bytes;       /* that should be used at once */
} metal_facts;

es_time metal_now(void);                                /* ns; stands while the machine sleeps */
es_code metal_open(metal **out, es_err *err);           /* metal_close() in any case */
void metal_close(metal *m);                             /* NULL is fine */
const metal_facts *metal_about(const metal *m);

/* As the functions of a probe (probe.h). Copies from or to pageable memory are done when they return. */
es_code metal_alloc(metal *m, es_memory kind, int64_t bytes, void **out, es_err *err);
void metal_release(metal *m, void *at);
es_code metal_copy(metal *m, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err);
es_code metal_record(metal *m, unsigned stream, unsigned event, es_err *err);
es_code metal_hold(metal *m, es_err *err);
es_code metal_go(metal *m, es_err *err);
es_code metal_sync(metal *m, es_err *err);
es_code metal_elapsed(metal *m, unsigned from, unsigned to, es_time *ns, es_err *err);
es_code metal_get(metal *m, es_get how, int64_t bytes, es_got *out, es_err *err);
es_code metal_reside(metal *m, es_reside how, uint32_t count, int64_t bytes, es_time *ns, es_err *err);

#endif
