/* Affine cost: a fixed time per operation, and work in proportion to what it moves or serves. Shared by affine.c and jitter.c.
 *
 *     fixed = latency + per_object * count
 *     work  = bytes / rate + per_token * tokens + per_context * tokens * context
 *
 * A copy has latency and rate; a batch adds per_object; an expert has latency and per_token; attention adds per_context. A term
 * whose constant is 0 does not exist. Every term is rounded by itself, so one that is whole stays exact beside one that is not. */
#ifndef ES_MODELS_AFFINE_H
#define ES_MODELS_AFFINE_H

#include <stddef.h>

#include "sim/part/timing.h"

typedef struct es_affine {
    es_time latency_ns, per_object_ns, per_token_ns;
    double rate;                /* bytes per second; 0: no cost by bytes */
    double per_context_ns;      /* per token and position of its context */
} es_affine;

/* Rounds one term. The bound (63 years) keeps sums of terms inside 64 bits. */
static inline es_time es_affine_term(double ns)
{
    return es_ns_round(ns < 2e18 ? ns : 2e18);
}

static inline es_cost es_affine_cost(const es_affine *a, const es_op *op)
{
    es_cost cost = { a->latency_ns + a->per_object_ns * (es_time)op->count, a->per_token_ns * (es_time)op->tokens };
    if (a->rate > 0.0)          /* multiplied first, then divided: other orders differ in the last bit, and oracles meet this one */
        cost.work += es_affine_term((double)op->bytes * 1e9 / a->rate);
    if (a->per_context_ns > 0.0)
        cost.work += es_affine_term(a->per_context_ns * (double)op->tokens * (double)op->context);
    return cost;
}

/* The option rows of an es_affine that is the member `at` of a part's state. */
#define ES_AFFINE_OPTIONS(state, at) \
    { .name = "latency", .type = ES_OPT_TIME, .offset = offsetof(state, at.latency_ns), .max = 9e15, \
      .help = "Fixed time of one operation, paid once per batch." }, \
    { .name = "per_object", .type = ES_OPT_TIME, .offset = offsetof(state, at.per_object_ns), .max = 9e8, \
      .help = "Fixed time of each object of a batch, or of each lookup, eviction or guess." }, \
    { .name = "rate", .type = ES_OPT_RATE, .offset = offsetof(state, at.rate), .max = 1e18, \
      .help = "Bytes per second; 0: bytes cost nothing." }, \
    { .name = "per_token", .type = ES_OPT_TIME, .offset = offsetof(state, at.per_token_ns), .max = 9e8, \
      .help = "Work for each token served." }, \
    { .name = "per_context", .type = ES_OPT_REAL, .offset = offsetof(state, at.per_context_ns), .max = 1e9, .unit = "ns", \
      .help = "Work for each token and position of its context." }

#endif
