/* Slots: every object takes one, whatever its size. */
#include "sim/part/allocator.h"

static int64_t slots_unit(void *self, int64_t bytes)
{
    (void)self;
    (void)bytes;
    return 1;
}

const es_allocator es_allocator_slots = {
    .part = {.abi = ES_ABI, .name = "slots", .brief = "Capacity counts experts: each takes one slot."},
    .unit = slots_unit,
    .counts = "slots",
};
