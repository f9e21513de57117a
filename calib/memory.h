/* Memory: what getting memory of a device costs, and keeping it resident: the terms of the timings `alloc` and `paging`. */
#ifndef ES_CALIB_MEMORY_H
#define ES_CALIB_MEMORY_H

#include "calib/sample.h"
#include "sim/base/text.h"

typedef struct memory_get {     /* one way to get memory */
    bool known;
    double least_ns, most_ns;   /* of a call, whatever its size: the uniform distribution with the quartiles that were measured */
    double ns_per_byte;         /* of its pages, in the call or at the first use; with huge pages of the rest that fills none of them */
    double huge_bytes;          /* of a huge page; 0: there are none */
    double huge_ns_per_byte;    /* of what fills huge pages */
    double error_median;        /* relative, over the sizes */
} memory_get;

typedef struct memory_reside {  /* one way to keep buffers resident */
    bool known;
    double fixed_ns, each_ns;   /* of a kernel; and for each buffer that it may read */
} memory_reside;

typedef struct memory_terms {
    memory_get get[ES_GETS];
    memory_reside reside[ES_RESIDES];
} memory_terms;

/* What the samples say; not known where they have fewer than three sizes. The only error is that there is no memory. */
es_code memory_fit(const calib_samples *samples, memory_terms *terms, es_err *err);
/* Adds "memory": {"device": ...} to a profile when anything is known, and lines to `told` for what is left out. */
typedef struct memory_origin { const char *provenance, *source; } memory_origin;

es_code memory_report(const calib_samples *samples, const memory_origin *origin, es_json *machine, es_text *told, bool *kept, es_err *err);
/* What `calibrate show` says of the memories of "machine", and whether its numbers are to be believed. */
void memory_table(const es_json *machine, es_text *out);

#endif
