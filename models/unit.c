/* Compute unit: see unit.h. */
#include "models/unit.h"

static const es_option point_options[] = {
    {.name = "tokens", .type = ES_OPT_INT, .offset = offsetof(es_compute_point, tokens), .min = 1, .max = 0x1p32, .required = true, .help = "That the expert serves."},
    {.name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(es_compute_point, bytes), .min = 1, .max = 0x1p53, .required = true, .help = "Of the expert."},
    {.name = "time", .type = ES_OPT_TIME, .offset = offsetof(es_compute_point, time), .min = 1, .max = 9e15, .required = true, .help = "What it took."},
    {0},
};

static es_code points_ascend(const es_compute_point *p, es_err *err)
{
    if (p->tokens < p[-1].tokens)
        return es_err_set(err, ES_EINPUT, "tokens: %lld comes after %lld; points ascend", (long long)p->tokens, (long long)p[-1].tokens);
    if (p->tokens == p[-1].tokens && p->bytes <= p[-1].bytes)
        return es_err_set(err, ES_EINPUT, "bytes: %lld comes after %lld; points of as many tokens ascend", (long long)p->bytes, (long long)p[-1].bytes);
    return ES_OK;
}

static es_code unit_points(es_compute_table *table, const char *key, const es_json *list, es_arena *arena, es_err *err)
{
    const es_json *item;
    size_t count = 0;
    es_compute_point *point = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), es_compute_point);
    es_compute_curve *curve = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), es_compute_curve);
    if (!point || !curve)
        return es_err_nomem(err, "the points of a compute unit");
    *table = (es_compute_table){.curve = curve};
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

static es_code unit_list(es_compute_table *table, const char *key, const es_json *list, es_arena *arena, es_err *err)
{
    if (!list || cJSON_IsNull(list))
        return ES_OK;
    if (!cJSON_IsArray(list) || !list->child)
        return es_err_set(err, ES_EINPUT, "%s: needs a list of at least one point, found %s", key, cJSON_IsArray(list) ? "an empty one" : es_json_kind(list));
    return unit_points(table, key, list, arena, err);
}

static es_code unit_fades(es_compute_unit *s, es_arena *arena, es_err *err)
{
    if (!s->fades_list || cJSON_IsNull(s->fades_list))
        return ES_OK;
    es_code code = es_fades_parse(&s->fades, s->fades_list, arena, err);
    return code ? es_err_at(err, "fades"), code : code;
}

es_code es_compute_unit_init(es_compute_unit *s, es_arena *arena, es_err *err)
{
    es_code code = unit_list(&s->measured, "points", s->list, arena, err);
    if (code == ES_OK && s->measured.curves && (s->expert || s->token || s->rate > 0.0))
        return es_err_set(err, ES_EINPUT, "points: found beside expert, token or rate, needs to be alone; null takes away what a profile says");
    if (code == ES_OK)
        code = unit_list(&s->copied, "copied", s->copied_list, arena, err);
    if (code == ES_OK)
        code = unit_fades(s, arena, err);
    if (code == ES_OK && (s->copied.curves > 0) != (s->fades.count > 0))
        return es_err_set(err, ES_EINPUT, "copied and fades need each other");
    return code ? code : unit_list(&s->handed, "handed", s->handed_list, arena, err);
}

/* One size alone says nothing of what is fixed: its time grows with the bytes. */
static double curve_ns(const es_compute_curve *curve, double bytes)
{
    const es_compute_point *p = curve->point;
    size_t high = 1;
    if (curve->points == 1)
        return (double)p->time * bytes / (double)p->bytes;
    while (high + 1 < curve->points && (double)p[high].bytes < bytes)
        high++;
    const es_compute_point *a = &p[high - 1], *b = &p[high];
    double slope = (double)(b->time - a->time) / (double)(b->bytes - a->bytes), first = (double)a->time / (double)a->bytes;
    if (bytes > (double)b->bytes)
        return (double)b->time + (slope > 0.0 ? slope : 0.0) * (bytes - (double)b->bytes);
    if (bytes < (double)a->bytes)               /* what is fixed is not below 0 */
        slope = slope < 0.0 ? 0.0 : slope > first ? first : slope;
    return (double)a->time + slope * (bytes - (double)a->bytes);
}

/* Of fewer tokens than the first curve has, as of these. */
static es_time unit_measured(const es_compute_table *s, const es_op *op)
{
    double bytes = (double)op->bytes, tokens = (double)op->tokens;
    size_t high = 1;
    while (high + 1 < s->curves && (double)s->curve[high].point->tokens < tokens)
        high++;
    const es_compute_curve *a = &s->curve[high - 1], *b = &s->curve[high];
    double low = curve_ns(a, bytes), from = (double)a->point->tokens;
    if (s->curves == 1 || tokens <= from)
        return es_ns_round(low);
    double rise = (curve_ns(b, bytes) - low) / ((double)b->point->tokens - from);
    if (tokens > (double)b->point->tokens && rise < 0.0)
        return es_ns_round(curve_ns(b, bytes));
    return es_ns_round(low + rise * (tokens - from));
}

static es_time unit_cold(const es_compute_unit *s, const es_op *op)
{
    if (s->measured.curves)
        return unit_measured(&s->measured, op);
    es_time work = s->expert + s->token * op->tokens, read = s->rate > 0 ? es_ns_round((double)op->bytes * 1e9 / s->rate) : 0;
    return read > work ? read : work;
}

static es_time unit_expert(const es_compute_unit *s, const es_op *op)
{
    const es_compute_table *near = op->handed ? &s->handed : &s->copied;
    const double saved = op->copied && near->curves ? es_fades_saved(&s->fades, op->since) : 0.0;
    const es_time cold = unit_cold(s, op);
    return saved > 0.0 ? cold - es_ns_round(saved * (double)(cold - unit_measured(near, op))) : cold;
}

es_cost es_compute_unit_cost(void *self, const es_op *op)
{
    const es_compute_unit *s = self;
    es_cost cost = {0, 0};
    if (op->kind == ES_OP_PREDICT || op->kind == ES_OP_LOOKUP || op->kind == ES_OP_EVICT) {
        cost.work = op->count * (op->kind == ES_OP_PREDICT ? s->predict : op->kind == ES_OP_LOOKUP ? s->lookup : s->evict);
    } else if (op->kind == ES_OP_DENSE) {
        cost.work = s->dense + s->dense_token * (int64_t)(op->tokens ? op->tokens - 1 : 0) + es_ns_round(s->context * op->context);
    } else if (op->kind == ES_OP_EXPERT) {
        cost.work = unit_expert(s, op);
    } else if (op->kind == ES_OP_UPDATE) {
        cost.work = s->update;
    }
    if (op->backward)
        cost.work = es_ns_round((double)cost.work * s->backward);
    return cost;
}
