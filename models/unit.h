/* Compute unit: what a layer costs on a gpu or cpu, and managing the cache of its experts. Shared by compute.c and empirical_compute.c.
 *
 * dense + dense_token * (tokens - 1) + context * position for the dense part, expert + token * tokens served for an expert, or its bytes
 * over a memory rate where that takes longer (a small batch reads all weights of the expert: it is bound by memory, not by arithmetic;
 * see Roofline, Williams et al. 2009). A backward pass takes `backward` times its forward pass: it computes gradients of activations
 * and of weights, two products for one.
 *
 * A measured unit says more: `points`, what experts of some sizes take for some numbers of tokens. Between them time is a straight line in
 * the bytes and in the tokens: exact while either reading or arithmetic is the limit, and it follows the steps that caches and kernels
 * make. Beyond the last the line goes on; nothing is faster for being more. `copied` says the same of experts right behind the copy that
 * brought them: they are in a cache; `fades` how that is lost. Only who knows what went before asks for it (the times of an action log). */
#ifndef ES_MODELS_UNIT_H
#define ES_MODELS_UNIT_H

#include <stddef.h>

#include "models/fades.h"
#include "sim/part/timing.h"

typedef struct es_compute_point {
    int64_t tokens, bytes;
    es_time time;
} es_compute_point;

typedef struct es_compute_curve {   /* the points of one number of tokens */
    const es_compute_point *point;  /* ascending by bytes */
    size_t points;
} es_compute_curve;

typedef struct es_compute_table {
    const es_compute_curve *curve;  /* [curves], ascending by tokens */
    size_t curves;
} es_compute_table;

typedef struct es_compute_unit {
    int64_t dense, dense_token, expert, token, predict, lookup, evict;
    int64_t update;
    double context, rate, backward;
    const es_json *list, *copied_list, *handed_list, *fades_list;
    es_compute_table measured;          /* no curves: the formula */
    es_compute_table copied, handed;    /* no curves: as the others */
    es_fades fades;                     /* of these two; none: neither was measured */
} es_compute_unit;

/* Reads the lists, after the options are parsed. */
es_code es_compute_unit_init(es_compute_unit *s, es_arena *arena, es_err *err);
/* `self` is an es_compute_unit. */
es_cost es_compute_unit_cost(void *self, const es_op *op);

/* The option rows of an es_compute_unit that is the member `at` of a part's state. */
#define ES_COMPUTE_UNIT_OPTIONS(state, at) \
    {.name = "dense", .type = ES_OPT_TIME, .offset = offsetof(state, at.dense), .min = 0, .max = 9e15, .help = "Attention, norms, gate and shared experts of one layer, for one token."}, \
    {.name = "dense_token", .type = ES_OPT_TIME, .offset = offsetof(state, at.dense_token), .min = 0, .max = 9e15, .help = "Added to dense for each further token of the step."}, \
    {.name = "context", .type = ES_OPT_REAL, .offset = offsetof(state, at.context), .min = 0, .max = 1e9, .unit = "ns per token", .help = "Added to dense for each token of context (attention over the KV cache)."}, \
    {.name = "expert", .type = ES_OPT_TIME, .offset = offsetof(state, at.expert), .min = 0, .max = 9e15, .help = "Fixed part of computing one expert."}, \
    {.name = "token", .type = ES_OPT_TIME, .offset = offsetof(state, at.token), .min = 0, .max = 9e15, .help = "Added for each token that the expert serves."}, \
    {.name = "rate", .type = ES_OPT_RATE, .offset = offsetof(state, at.rate), .min = 0, .max = 1e15, .help = "Memory rate at which an expert's weights are read: its compute takes at least bytes / rate; 0: no such bound."}, \
    {.name = "points", .type = ES_OPT_JSON, .offset = offsetof(state, at.list), .help = "Measured, instead of expert, token and rate: [{tokens, bytes, time}, ...], ascending by tokens, then bytes."}, \
    {.name = "copied", .type = ES_OPT_JSON, .offset = offsetof(state, at.copied_list), .help = "The same of experts right behind the copy that brought them; needs fades. Of action logs (`expertsim validate`); the simulated clock does not ask."}, \
    {.name = "handed", .type = ES_OPT_JSON, .offset = offsetof(state, at.handed_list), .help = "The same where that copy ran while the unit computed something else: a copier beside it has another cache. Absent: as points."}, \
    {.name = "fades", .type = ES_OPT_JSON, .offset = offsetof(state, at.fades_list), .help = "How much of what that saves is left by the memory touched between copy and expert: [{bytes, saved}, ...], ascending; all at 0, nothing beyond the last."}, \
    {.name = "predict", .type = ES_OPT_TIME, .offset = offsetof(state, at.predict), .min = 0, .max = 9e15, .help = "One question to the predictor; compute stands still."}, \
    {.name = "lookup", .type = ES_OPT_TIME, .offset = offsetof(state, at.lookup), .min = 0, .max = 9e15, .help = "Looking up one expert; compute stands still."}, \
    {.name = "backward", .type = ES_OPT_REAL, .offset = offsetof(state, at.backward), .def = 2, .min = 0, .max = 100, .help = "Times of the forward pass that a backward pass of the dense part or of an expert takes."}, \
    {.name = "update", .type = ES_OPT_TIME, .offset = offsetof(state, at.update), .min = 0, .max = 9e15, .help = "One optimizer step of one expert, by the unit that makes it."}, \
    {.name = "evict", .type = ES_OPT_TIME, .offset = offsetof(state, at.evict), .min = 0, .max = 9e15, .help = "Giving up one expert; paid before the next expert is computed."}

#endif
