/* Constant timing: every operation takes the same time, whatever else goes on. For published systems that state one number. */
#include <stddef.h>

#include "sim/part/timing.h"

typedef struct constant {
    es_time time_ns;
} constant;

static const es_option constant_options[] = {
    { .name = "time", .type = ES_OPT_TIME, .offset = offsetof(constant, time_ns), .max = 9e15, .help = "Time of one operation." },
    { 0 },
};

static es_cost constant_cost(void *self, const es_op *op)
{
    (void)op;
    const constant *c = self;
    return (es_cost){ .fixed = c->time_ns };
}

const es_timing es_timing_constant = {
    .part = {
        .abi = ES_ABI,
        .name = "constant",
        .brief = "The same time for every operation.",
        .options = constant_options,
        .size = sizeof(constant),
    },
    .cost = constant_cost,
};
