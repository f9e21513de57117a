/* Profile memory: what getting memory costs on a machine, and keeping it resident, as the timings `alloc` and `paging` take it.
 *
 *     "memory": {"device": {"pool": "9us", "device": "180us", "page": "16KiB", "touch": "400ns", "resident": "90ns", "wire": "20us",
 *                           "provenance": "measured", "source": "..."}}
 *
 * A tier takes its allocations from it, a channel that only maps its pages, by `"profile": "device"`. What is absent costs nothing. */
#ifndef ES_MODELS_PROFILE_MEMORY_H
#define ES_MODELS_PROFILE_MEMORY_H

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/option.h"
#include "sim/base/time.h"

typedef struct es_profile_memory {
    const char *name;                       /* "device" */
    es_time pool, pool_most;                /* a piece of a heap: every time in between is equally likely */
    es_time device, device_most;            /* a buffer of the device */
    es_time shared, shared_most;            /* one that the host can write */
    es_time heap;                           /* making one, beside its pages */
    int64_t page;                           /* bytes */
    es_time touch;                          /* mapping a page at its first use */
    int64_t huge;                           /* bytes of a huge page: what fills whole ones is mapped by them, the rest by pages; 0: none */
    es_time huge_touch;                     /* mapping one */
    es_time resident, resident_heap, resident_set;  /* in every step, for each buffer that may be read: by itself, in a heap, in a residency set */
    es_time wire, fault;                    /* host memory made usable where it lies: once for each buffer, and for each page */
    int provenance;                         /* es_provenance */
    const char *source, *note;
} es_profile_memory;

/* Reads {"NAME": {...}, ...}; NULL: there is none. */
es_code es_profile_memory_parse(const es_profile_memory **out, size_t *count, const es_json *section, es_arena *arena, es_err *err);
/* The memory of that name; NULL when there is none. */
const es_profile_memory *es_profile_memory_find(const es_profile_memory *memory, size_t count, const char *name);

extern const es_option es_profile_memory_options[];

#endif
