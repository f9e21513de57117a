/* Bytes: every object takes its size, rounded up to the granularity. */
#include "sim/part/allocator.h"

typedef struct bytes {
    int64_t granularity;
} bytes;

static const es_option bytes_options[] = {
    {.name = "granularity", .type = ES_OPT_BYTES, .offset = offsetof(bytes, granularity), .def = 1, .min = 1, .max = 1e12,
        .help = "Sizes are rounded up to a multiple of this."},
    {0},
};

static int64_t bytes_unit(void *self, int64_t size)
{
    const bytes *s = self;
    return (size + s->granularity - 1) / s->granularity * s->granularity;
}

const es_allocator es_allocator_bytes = {
    .part = {.abi = ES_ABI, .name = "bytes", .brief = "Capacity counts bytes: each expert takes its size.", .options = bytes_options, .size = sizeof(bytes)},
    .unit = bytes_unit,
    .counts = "bytes",
};
