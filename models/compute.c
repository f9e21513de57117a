/* Compute: what a layer costs on a gpu or cpu, and managing the cache of its experts. dense + dense_token * (tokens - 1) + context * position for the dense part,
 * expert + token * tokens served for an expert, or its bytes over a memory rate where that takes longer (a small batch reads all
 * weights of the expert: it is bound by memory, not by arithmetic; see Roofline, Williams et al. 2009). A backward pass takes `backward`
 * times its forward pass: it computes gradients of activations and of weights, two products for one. */
#include "sim/part/timing.h"

typedef struct compute {
    int64_t dense, dense_token, expert, token, predict, lookup, evict;
    int64_t update;
    double context, rate, backward;
} compute;

static const es_option compute_options[] = {
    {.name = "dense", .type = ES_OPT_TIME, .offset = offsetof(compute, dense), .min = 0, .max = 9e15, .help = "Attention, norms, gate and shared experts of one layer, for one token."},
    {.name = "dense_token", .type = ES_OPT_TIME, .offset = offsetof(compute, dense_token), .min = 0, .max = 9e15, .help = "Added to dense for each further token of the step."},
    {.name = "context", .type = ES_OPT_REAL, .offset = offsetof(compute, context), .min = 0, .max = 1e9, .unit = "ns per token", .help = "Added to dense for each token of context (attention over the KV cache)."},
    {.name = "expert", .type = ES_OPT_TIME, .offset = offsetof(compute, expert), .min = 0, .max = 9e15, .help = "Fixed part of computing one expert."},
    {.name = "token", .type = ES_OPT_TIME, .offset = offsetof(compute, token), .min = 0, .max = 9e15, .help = "Added for each token that the expert serves."},
    {.name = "rate", .type = ES_OPT_RATE, .offset = offsetof(compute, rate), .min = 0, .max = 1e15, .help = "Memory rate at which an expert's weights are read: its compute takes at least bytes / rate; 0: no such bound."},
    {.name = "predict", .type = ES_OPT_TIME, .offset = offsetof(compute, predict), .min = 0, .max = 9e15, .help = "One question to the predictor; compute stands still."},
    {.name = "lookup", .type = ES_OPT_TIME, .offset = offsetof(compute, lookup), .min = 0, .max = 9e15, .help = "Looking up one expert; compute stands still."},
    {.name = "backward", .type = ES_OPT_REAL, .offset = offsetof(compute, backward), .def = 2, .min = 0, .max = 100, .help = "Times of the forward pass that a backward pass of the dense part or of an expert takes."},
    {.name = "update", .type = ES_OPT_TIME, .offset = offsetof(compute, update), .min = 0, .max = 9e15, .help = "One optimizer step of one expert, by the unit that makes it."},
    {.name = "evict", .type = ES_OPT_TIME, .offset = offsetof(compute, evict), .min = 0, .max = 9e15, .help = "Giving up one expert; paid before the next expert is computed."},
    {0},
};

static es_cost compute_cost(void *self, const es_op *op)
{
    const compute *s = self;
    es_cost cost = {0, 0};
    if (op->kind == ES_OP_PREDICT || op->kind == ES_OP_LOOKUP || op->kind == ES_OP_EVICT) {
        cost.work = op->count * (op->kind == ES_OP_PREDICT ? s->predict : op->kind == ES_OP_LOOKUP ? s->lookup : s->evict);
    } else if (op->kind == ES_OP_DENSE) {
        cost.work = s->dense + s->dense_token * (int64_t)(op->tokens ? op->tokens - 1 : 0) + es_ns_round(s->context * op->context);
    } else if (op->kind == ES_OP_EXPERT) {
        cost.work = s->expert + s->token * op->tokens;
        es_time read = s->rate > 0 ? es_ns_round((double)op->bytes * 1e9 / s->rate) : 0;
        if (read > cost.work)
            cost.work = read;
    } else if (op->kind == ES_OP_UPDATE) {
        cost.work = s->update;
    }
    if (op->backward)
        cost.work = es_ns_round((double)cost.work * s->backward);
    return cost;
}

const es_timing es_timing_compute = {
    .part = {.abi = ES_ABI, .name = "compute", .brief = "Compute unit: dense part per layer, experts by tokens served and bytes read.",
        .options = compute_options, .size = sizeof(compute), .flags = ES_TIMING_CONTEXT | ES_TIMING_MANAGES},
    .cost = compute_cost,
};
