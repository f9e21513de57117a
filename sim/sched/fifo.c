/* FIFO: what was asked for first starts first, whatever it is. A head that lacks room is passed over, or it could wait for itself. */
#include "sim/part/scheduler.h"

static uint32_t fifo_pick(void *self, const es_queue *queue)
{
    (void)self;
    uint32_t best = ES_NONE;
    for (uint32_t k = 0; k < ES_CLASSES; k++)
        if (queue->waiting[k] && !queue->blocked[k] && (best == ES_NONE || queue->order[k] < queue->order[best]))
            best = k;
    return best;
}

const es_scheduler es_scheduler_fifo = {
    .part = {.abi = ES_ABI, .name = "fifo", .brief = "What was asked for first starts first, demand or guess."},
    .pick = fifo_pick,
};
