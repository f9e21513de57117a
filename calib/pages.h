/* Pages: memory of the host, mapped, with or without huge pages, on a NUMA node. */
#ifndef ES_CALIB_PAGES_H
#define ES_CALIB_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

/* Anonymous memory without its pages; munmap() it. `huge`: asks for huge pages where the system gives them, and begins where one does: else how many
 * fit into 3 MiB is a matter of luck. Without it both are the system's choice. */
es_code pages_map(int64_t bytes, bool huge, void **out, es_err *err);
void pages_small(void *at, size_t bytes);       /* asks for no huge ones, before its pages are there */
void pages_touch(void *at, size_t bytes);       /* brings all of them */
/* The highest number of a node that is online; 0 where there is one, or nobody tells. */
int pages_last_node(void);
/* Binds memory whose pages are not there yet. ES_EDEVICE: the kernel refuses, or has no such call. */
es_code pages_bind(void *at, size_t bytes, int64_t node, es_err *err);

#endif
