/* Table timing: measured times, interpolated between their sizes and counts.
 *
 * A point says: COUNT objects of BYTES bytes each took TIME. For compute the second axis is the TOKENS served instead. Points with
 * one count form a curve over bytes. Between points time is a straight line in the logarithms of both axes, which is exact
 * for any power law and keeps relative errors alike from kilobytes to gigabytes; outside, the slope at the end goes on (never
 * below 0: more is not faster, whatever the noise of the last two points says). At a point the time is the point's, exactly.
 *
 * One curve alone: a batch costs as many copies as it has objects; tokens cost nothing extra. A single size: the same rate for all. */
#include <math.h>
#include <stddef.h>

#include "sim/part/timing.h"

#define TABLE_LIMIT_NS 9e15     /* 104 days; keeps extrapolated times inside 64 bits */

typedef struct table_point {    /* one row of the option `points` */
    int64_t bytes, count, tokens;
    es_time time_ns;
    double rate;
} table_point;

typedef struct table_curve {    /* the points with one count, or one number of tokens */
    const double *log_bytes, *time;
    size_t points;
} table_curve;

typedef struct table {
    const es_json *list;
    es_time latency_ns;
    bool sized, by_tokens;      /* the first axis exists; the second is tokens */
    table_curve *curve;
    double *log_count;          /* [curves], ascending; of tokens likewise */
    size_t curves;
} table;

static const es_option table_options[] = {
    { .name = "points", .type = ES_OPT_JSON, .offset = offsetof(table, list), .required = true,
      .help = "Measured times: [{bytes, count or tokens, time or rate}, ...], ascending by count, then bytes." },
    { .name = "latency", .type = ES_OPT_TIME, .offset = offsetof(table, latency_ns), .max = 9e15,
      .help = "How much of every time is fixed: it passes even when the channel is shared." },
    { 0 },
};

static const es_option point_options[] = {
    { .name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(table_point, bytes), .max = 0x1p53, .help = "Size of one object." },
    { .name = "count", .type = ES_OPT_INT, .offset = offsetof(table_point, count), .max = 0x1p32, .help = "Objects in the batch." },
    { .name = "tokens", .type = ES_OPT_INT, .offset = offsetof(table_point, tokens), .max = 0x1p32, .help = "Tokens served." },
    { .name = "time", .type = ES_OPT_TIME, .offset = offsetof(table_point, time_ns), .max = TABLE_LIMIT_NS, .help = "What it took." },
    { .name = "rate", .type = ES_OPT_RATE, .offset = offsetof(table_point, rate), .max = 1e18,
      .help = "Instead of time: bytes of all objects per second." },
    { 0 },
};

static int64_t point_second(const table_point *p)
{
    return p->tokens ? p->tokens : p->count ? p->count : 1;
}

/* In ns; a point with a rate stands for count x bytes at that rate. */
static double point_time(const table_point *p)
{
    return p->rate > 0.0 ? (double)p->bytes * (double)(p->count ? p->count : 1) * 1e9 / p->rate : (double)p->time_ns;
}

/* Is a point sound, and does it agree with the first and follow the one before? */
static es_code point_check(const table_point *point, size_t i, es_err *err)
{
    const table_point *p = &point[i];
    if ((p->time_ns > 0) == (p->rate > 0.0))
        return es_err_set(err, ES_EINPUT, "needs either a time or a rate, above 0");
    if (p->rate > 0.0 && !p->bytes)
        return es_err_set(err, ES_EINPUT, "a rate needs bytes beside it");
    if (p->count && p->tokens)
        return es_err_set(err, ES_EINPUT, "has both count and tokens; a table has one of them");
    if (i == 0)
        return ES_OK;
    if ((p->bytes > 0) != (point[0].bytes > 0))
        return es_err_set(err, ES_EINPUT, "either all points have bytes above 0 or none has");
    if ((p->tokens > 0) != (point[0].tokens > 0))
        return es_err_set(err, ES_EINPUT, "either all points have tokens above 0 or none has");
    int64_t before = point_second(p - 1), now = point_second(p);
    if (now < before || (now == before && p->bytes <= p[-1].bytes))
        return es_err_set(err, ES_EINPUT, "points must ascend by %s, then by bytes", p->tokens ? "tokens" : "count");
    return ES_OK;
}

static es_code points_read(const es_json *list, table_point **out, size_t *count, es_arena *arena, es_err *err)
{
    if (!cJSON_IsArray(list) || !list->child)
        return es_err_set(err, ES_EINPUT, "points: needs a list of at least one point, found %s",
            cJSON_IsArray(list) ? "an empty one" : es_json_kind(list));
    table_point *point = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), table_point);
    if (!point)
        return es_err_nomem(err, "the points of a table");
    size_t i = 0;
    const es_json *item;
    cJSON_ArrayForEach(item, list) {
        es_code code = es_options_parse(point_options, &point[i], item, NULL, arena, err);
        if (code == ES_OK)
            code = point_check(point, i, err);
        if (code != ES_OK) {
            es_err_at(err, "points.%zu", i);
            return code;
        }
        i++;
    }
    *out = point;
    *count = i;
    return ES_OK;
}

static es_code table_init(void *self, const es_site *site, es_err *err)
{
    table *t = self;
    table_point *point = NULL;
    size_t count = 0;
    es_code code = points_read(t->list, &point, &count, site->arena, err);
    if (code != ES_OK)
        return code;
    t->sized = point[0].bytes > 0;
    t->by_tokens = point[0].tokens > 0;
    t->curve = ES_NEW_ARRAY(site->arena, count, table_curve);
    t->log_count = ES_NEW_ARRAY(site->arena, count, double);
    double *log_bytes = ES_NEW_ARRAY(site->arena, count, double), *time = ES_NEW_ARRAY(site->arena, count, double);
    if (!t->curve || !t->log_count || !log_bytes || !time)
        return es_err_nomem(err, "the curves of a table");
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || point_second(&point[i]) != point_second(&point[i - 1])) {
            t->log_count[t->curves] = log((double)point_second(&point[i]));
            t->curve[t->curves++] = (table_curve){ log_bytes + i, time + i, 0 };
        }
        log_bytes[i] = t->sized ? log((double)point[i].bytes) : 0.0;
        time[i] = point_time(&point[i]);
        t->curve[t->curves - 1].points++;
    }
    return ES_OK;
}

/* Where x lies among n > 1 ascending places. */
typedef struct table_place {
    size_t at;                  /* the last place not above x, the first when all are; interpolation starts and is exact here */
    size_t from;                /* the segment from .. from + 1 whose slope holds */
    bool outside;
} table_place;

static table_place place_of(const double *place, size_t n, double x)
{
    size_t low = 0, high = n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (place[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return (table_place){ low, low + 1 < n ? low : n - 2, x < place[0] || low + 1 == n };
}

/* The power law that rises from y0 to y1 over `width`, `step` away from where it is y_at; widths and steps are logarithms. */
static double power_law(const table_place *place, double y_at, double step, double y0, double y1, double width)
{
    double slope = log(y1 / y0) / width;
    return y_at * exp((place->outside ? fmax(slope, 0.0) : slope) * step);
}

static double curve_time(const table_curve *c, double log_bytes)
{
    const double *x = c->log_bytes, *y = c->time;
    if (c->points == 1)
        return y[0] * exp(log_bytes - x[0]);
    table_place p = place_of(x, c->points, log_bytes);
    return power_law(&p, y[p.at], log_bytes - x[p.at], y[p.from], y[p.from + 1], x[p.from + 1] - x[p.from]);
}

static double table_time(const table *t, const es_op *op)
{
    double second = t->by_tokens ? (double)op->tokens : (double)op->count;
    if (!(second > 0.0))
        second = 1.0;
    double log_bytes = 0.0;
    if (t->sized) {
        if (op->bytes <= 0)
            return 0.0;
        log_bytes = log(t->by_tokens ? (double)op->bytes : (double)op->bytes / second);
    }
    if (t->curves == 1)
        return curve_time(&t->curve[0], log_bytes) * (t->by_tokens ? 1.0 : second);
    const double *x = t->log_count;
    double log_second = log(second);
    table_place p = place_of(x, t->curves, log_second);
    double low = curve_time(&t->curve[p.from], log_bytes), high = curve_time(&t->curve[p.from + 1], log_bytes);
    return power_law(&p, p.at == p.from ? low : high, log_second - x[p.at], low, high, x[p.from + 1] - x[p.from]);
}

static es_cost table_cost(void *self, const es_op *op)
{
    const table *t = self;
    double ns = table_time(t, op);
    es_time total = es_ns_round(ns < TABLE_LIMIT_NS ? ns : TABLE_LIMIT_NS);
    es_time fixed = t->latency_ns < total ? t->latency_ns : total;
    return (es_cost){ fixed, total - fixed };
}

const es_timing es_timing_table = {
    .part = {
        .abi = ES_ABI,
        .name = "table",
        .brief = "Measured times, interpolated over size and batch count or tokens.",
        .options = table_options,
        .size = sizeof(table),
        .init = table_init,
    },
    .cost = table_cost,
};
