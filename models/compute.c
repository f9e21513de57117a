/* Compute: what a layer costs on a gpu or cpu, and managing the cache of its experts. dense + dense_token * (tokens - 1) + context * position for the dense part,
 * expert + token * tokens served for an expert, or its bytes over a memory rate where that takes longer (a small batch reads all
 * weights of the expert: it is bound by memory, not by arithmetic; see Roofline, Williams et al. 2009). A backward pass takes `backward`
 * times its forward pass: it computes gradients of activations and of weights, two products for one.
 *
 * A measured unit says more: `points`, what experts of some sizes take for some numbers of tokens. Between them time is a straight line in
 * the bytes and in the tokens: exact while either reading or arithmetic is the limit, and it follows the steps that caches and kernels
 * make. Beyond the last the line goes on; nothing is faster for being more. `copied` says the same of experts that a copy brought just before,
 * `near` bytes ago at most: they are in a cache. Only who knows what went before asks for that (the times of an action log). */
#include "sim/part/timing.h"

typedef struct compute_point {
    int64_t tokens, bytes;
    es_time time;
} compute_point;

typedef struct compute_curve {  /* the points of one number of tokens */
    const compute_point *point; /* ascending by bytes */
    size_t points;
} compute_curve;

typedef struct compute_table {
    const compute_curve *curve; /* [curves], ascending by tokens */
    size_t curves;
} compute_table;

typedef struct compute {
    int64_t dense, dense_token, expert, token, predict, lookup, evict;
    int64_t update;
    double context, rate, backward;
    const es_json *list, *copied_list, *handed_list;
    compute_table measured;     /* no curves: the formula */
    compute_table copied, handed;       /* no curves: as the others */
    int64_t near;
} compute;

static const es_option compute_options[] = {
    {.name = "dense", .type = ES_OPT_TIME, .offset = offsetof(compute, dense), .min = 0, .max = 9e15, .help = "Attention, norms, gate and shared experts of one layer, for one token."},
    {.name = "dense_token", .type = ES_OPT_TIME, .offset = offsetof(compute, dense_token), .min = 0, .max = 9e15, .help = "Added to dense for each further token of the step."},
    {.name = "context", .type = ES_OPT_REAL, .offset = offsetof(compute, context), .min = 0, .max = 1e9, .unit = "ns per token", .help = "Added to dense for each token of context (attention over the KV cache)."},
    {.name = "expert", .type = ES_OPT_TIME, .offset = offsetof(compute, expert), .min = 0, .max = 9e15, .help = "Fixed part of computing one expert."},
    {.name = "token", .type = ES_OPT_TIME, .offset = offsetof(compute, token), .min = 0, .max = 9e15, .help = "Added for each token that the expert serves."},
    {.name = "rate", .type = ES_OPT_RATE, .offset = offsetof(compute, rate), .min = 0, .max = 1e15, .help = "Memory rate at which an expert's weights are read: its compute takes at least bytes / rate; 0: no such bound."},
    {.name = "points", .type = ES_OPT_JSON, .offset = offsetof(compute, list), .help = "Measured, instead of expert, token and rate: [{tokens, bytes, time}, ...], ascending by tokens, then bytes."},
    {.name = "copied", .type = ES_OPT_JSON, .offset = offsetof(compute, copied_list), .help = "The same of experts that were copied just before; needs near. Of action logs (`expertsim validate`); the simulated clock does not ask."},
    {.name = "handed", .type = ES_OPT_JSON, .offset = offsetof(compute, handed_list), .help = "The same where that copy ran while the unit computed something else: a copier beside it has another cache. Absent: as points."},
    {.name = "near", .type = ES_OPT_BYTES, .offset = offsetof(compute, near), .max = 0x1p53, .help = "Just before: so many bytes read or written since that copy began, at most."},
    {.name = "predict", .type = ES_OPT_TIME, .offset = offsetof(compute, predict), .min = 0, .max = 9e15, .help = "One question to the predictor; compute stands still."},
    {.name = "lookup", .type = ES_OPT_TIME, .offset = offsetof(compute, lookup), .min = 0, .max = 9e15, .help = "Looking up one expert; compute stands still."},
    {.name = "backward", .type = ES_OPT_REAL, .offset = offsetof(compute, backward), .def = 2, .min = 0, .max = 100, .help = "Times of the forward pass that a backward pass of the dense part or of an expert takes."},
    {.name = "update", .type = ES_OPT_TIME, .offset = offsetof(compute, update), .min = 0, .max = 9e15, .help = "One optimizer step of one expert, by the unit that makes it."},
    {.name = "evict", .type = ES_OPT_TIME, .offset = offsetof(compute, evict), .min = 0, .max = 9e15, .help = "Giving up one expert; paid before the next expert is computed."},
    {0},
};

static const es_option point_options[] = {
    {.name = "tokens", .type = ES_OPT_INT, .offset = offsetof(compute_point, tokens), .min = 1, .max = 0x1p32, .required = true, .help = "That the expert serves."},
    {.name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(compute_point, bytes), .min = 1, .max = 0x1p53, .required = true, .help = "Of the expert."},
    {.name = "time", .type = ES_OPT_TIME, .offset = offsetof(compute_point, time), .min = 1, .max = 9e15, .required = true, .help = "What it took."},
    {0},
};

static es_code points_ascend(const compute_point *p, es_err *err)
{
    if (p->tokens < p[-1].tokens)
        return es_err_set(err, ES_EINPUT, "tokens: %lld comes after %lld; points ascend", (long long)p->tokens, (long long)p[-1].tokens);
    if (p->tokens == p[-1].tokens && p->bytes <= p[-1].bytes)
        return es_err_set(err, ES_EINPUT, "bytes: %lld comes after %lld; points of as many tokens ascend", (long long)p->bytes, (long long)p[-1].bytes);
    return ES_OK;
}

static es_code compute_points(compute_table *table, const char *key, const es_json *list, es_arena *arena, es_err *err)
{
    const es_json *item;
    size_t count = 0;
    compute_point *point = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), compute_point);
    compute_curve *curve = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), compute_curve);
    if (!point || !curve)
        return es_err_nomem(err, "the points of a compute unit");
    *table = (compute_table){.curve = curve};
    cJSON_ArrayForEach(item, list) {
        es_code code = es_options_parse(point_options, &point[count], item, NULL, arena, err);
        if (code == ES_OK && count)
            code = points_ascend(&point[count], err);
        if (code)
            return es_err_at(err, "%s.%zu", key, count), code;
        if (!count || point[count].tokens != point[count - 1].tokens)
            curve[table->curves++].point = &point[count];
        curve[table->curves - 1].points++;
        count++;
    }
    return ES_OK;
}

static es_code compute_list(compute_table *table, const char *key, const es_json *list, es_arena *arena, es_err *err)
{
    if (!list || cJSON_IsNull(list))
        return ES_OK;
    if (!cJSON_IsArray(list) || !list->child)
        return es_err_set(err, ES_EINPUT, "%s: needs a list of at least one point, found %s", key, cJSON_IsArray(list) ? "an empty one" : es_json_kind(list));
    return compute_points(table, key, list, arena, err);
}

static es_code compute_init(void *self, const es_site *site, es_err *err)
{
    compute *s = self;
    es_code code = compute_list(&s->measured, "points", s->list, site->arena, err);
    if (code == ES_OK && s->measured.curves && (s->expert || s->token || s->rate > 0.0))
        return es_err_set(err, ES_EINPUT, "points: found beside expert, token or rate, needs to be alone; null takes away what a profile says");
    if (code == ES_OK)
        code = compute_list(&s->copied, "copied", s->copied_list, site->arena, err);
    if (code == ES_OK && (s->copied.curves > 0) != (s->near > 0))
        return es_err_set(err, ES_EINPUT, "copied and near need each other");
    return code ? code : compute_list(&s->handed, "handed", s->handed_list, site->arena, err);
}

/* One size alone says nothing of what is fixed: its time grows with the bytes. */
static double curve_ns(const compute_curve *curve, double bytes)
{
    const compute_point *p = curve->point;
    size_t high = 1;
    if (curve->points == 1)
        return (double)p->time * bytes / (double)p->bytes;
    while (high + 1 < curve->points && (double)p[high].bytes < bytes)
        high++;
    const compute_point *a = &p[high - 1], *b = &p[high];
    double slope = (double)(b->time - a->time) / (double)(b->bytes - a->bytes), first = (double)a->time / (double)a->bytes;
    if (bytes > (double)b->bytes)
        return (double)b->time + (slope > 0.0 ? slope : 0.0) * (bytes - (double)b->bytes);
    if (bytes < (double)a->bytes)               /* what is fixed is not below 0 */
        slope = slope < 0.0 ? 0.0 : slope > first ? first : slope;
    return (double)a->time + slope * (bytes - (double)a->bytes);
}

/* Of fewer tokens than the first curve has, as of these. */
static es_time compute_measured(const compute_table *s, const es_op *op)
{
    double bytes = (double)op->bytes, tokens = (double)op->tokens;
    size_t high = 1;
    while (high + 1 < s->curves && (double)s->curve[high].point->tokens < tokens)
        high++;
    const compute_curve *a = &s->curve[high - 1], *b = &s->curve[high];
    double low = curve_ns(a, bytes), from = (double)a->point->tokens;
    if (s->curves == 1 || tokens <= from)
        return es_ns_round(low);
    double rise = (curve_ns(b, bytes) - low) / ((double)b->point->tokens - from);
    if (tokens > (double)b->point->tokens && rise < 0.0)
        return es_ns_round(curve_ns(b, bytes));
    return es_ns_round(low + rise * (tokens - from));
}

static es_time compute_expert(const compute *s, const es_op *op)
{
    const compute_table *near = op->handed ? &s->handed : &s->copied;
    if (near->curves && op->since > 0 && op->since <= s->near)
        return compute_measured(near, op);
    if (s->measured.curves)
        return compute_measured(&s->measured, op);
    es_time work = s->expert + s->token * op->tokens, read = s->rate > 0 ? es_ns_round((double)op->bytes * 1e9 / s->rate) : 0;
    return read > work ? read : work;
}

static es_cost compute_cost(void *self, const es_op *op)
{
    const compute *s = self;
    es_cost cost = {0, 0};
    if (op->kind == ES_OP_PREDICT || op->kind == ES_OP_LOOKUP || op->kind == ES_OP_EVICT) {
        cost.work = op->count * (op->kind == ES_OP_PREDICT ? s->predict : op->kind == ES_OP_LOOKUP ? s->lookup : s->evict);
    } else if (op->kind == ES_OP_DENSE) {
        cost.work = s->dense + s->dense_token * (int64_t)(op->tokens ? op->tokens - 1 : 0) + es_ns_round(s->context * op->context);
    } else if (op->kind == ES_OP_EXPERT) {
        cost.work = compute_expert(s, op);
    } else if (op->kind == ES_OP_UPDATE) {
        cost.work = s->update;
    }
    if (op->backward)
        cost.work = es_ns_round((double)cost.work * s->backward);
    return cost;
}

const es_timing es_timing_compute = {
    .part = {.abi = ES_ABI, .name = "compute", .brief = "Compute unit: dense part per layer, experts by tokens served and bytes read.",
        .options = compute_options, .size = sizeof(compute), .init = compute_init, .flags = ES_TIMING_CONTEXT | ES_TIMING_MANAGES},
    .cost = compute_cost,
};
