/* Demand first: write-backs that demands wait for, then demands, then guesses; each class first come, first served. */
#include "sim/part/scheduler.h"

typedef struct demand_first {
    int64_t batch;
} demand_first;

static const es_option demand_first_options[] = {
    {.name = "batch", .type = ES_OPT_INT, .offset = offsetof(demand_first, batch), .def = 1, .min = 1, .max = 64, .unit = "copies",
        .help = "So many copies of one class that wait for the same link start together and pay the fixed cost once."},
    {0},
};

static uint32_t demand_first_pick(void *self, const es_queue *queue)
{
    static const es_class order[] = {ES_CLASS_WRITE, ES_CLASS_DEMAND, ES_CLASS_GUESS};
    (void)self;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (queue->waiting[order[i]] && !queue->blocked[order[i]])
            return order[i];
    return ES_NONE;
}

static uint32_t demand_first_batch(void *self, es_class which, const es_queue *queue)
{
    const demand_first *s = self;
    (void)which, (void)queue;
    return (uint32_t)s->batch;
}

const es_scheduler es_scheduler_demand_first = {
    .part = {.abi = ES_ABI, .name = "demand_first", .brief = "Demands go before guesses, each first come, first served.",
        .options = demand_first_options, .size = sizeof(demand_first)},
    .demands_first = true,
    .pick = demand_first_pick,
    .batch = demand_first_batch,
};
