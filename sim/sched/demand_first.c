/* Demand first: write-backs that demands wait for, then demands, then guesses; each class first come, first served. */
#include "sim/part/scheduler.h"

static uint32_t demand_first_pick(void *self, const es_queue *queue)
{
    static const es_class order[] = {ES_CLASS_WRITE, ES_CLASS_DEMAND, ES_CLASS_GUESS};
    (void)self;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (queue->waiting[order[i]] && !queue->blocked[order[i]])
            return order[i];
    return ES_NONE;
}

const es_scheduler es_scheduler_demand_first = {
    .part = {.abi = ES_ABI, .name = "demand_first", .brief = "Demands go before guesses, each first come, first served."},
    .pick = demand_first_pick,
};
