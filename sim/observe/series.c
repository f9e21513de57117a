/* Series: how a run went, as curves over simulated time and over tokens. Saved as /series/NAME of result.h5: hits, misses, bytes,
 * what each bounded tier and each of its pools holds, what each link carried, where the time of the steps went, and the options that
 * were turned, by a tuner or by their own part.
 *
 * A bin is the same number of whole steps in all series. When the bins are full, neighbours are merged two by two and each new bin
 * takes twice the steps, so memory does not grow with the trace and the sums over bins stay exact: hits add up to cache.hits, busy_ns
 * to channels.NAME.busy_s. Lookups before contract.skip_tokens are left out as they are there; time, tokens and evictions are not.
 *
 * Most of it is read from the core's own counters, and only when a bin is full; a step costs no more than a few additions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/h5.h"
#include "sim/part/observer.h"
#include "sim/part/tuner.h"

typedef struct series_column {
    const char *path, *units, *long_name;
    bool level;                 /* what is there when the bin ends; else what was added within it */
    int64_t last;               /* of a sum: all of it, when the last bin ended */
    int64_t *bin;               /* [most] */
} series_column;

typedef struct series_count {   /* what no counter of the core says */
    int64_t steps, tokens, decode_tokens, events, perfect, zero, lookups, hits, late;
} series_count;


typedef struct series {
    int64_t most;               /* option bins */
    const es_view *view;
    series_count count;         /* so far */
    int64_t *end, *tokens;      /* [most] time, and tokens so far, at the end of a bin */
    series_column *column;
    uint32_t columns;
    int64_t bins, width, left;  /* bins in use; steps to a bin; steps the open one still takes */
    int64_t *now;               /* [columns] scratch: every column's value as it stands */
    es_time at;                 /* end of the last step */
    double **knob;              /* [view->dials][most] each tunable option when the bin ends */
} series;

static const es_option series_options[] = {
    {.name = "bins", .type = ES_OPT_INT, .offset = offsetof(series, most), .def = 1024, .min = 2, .max = 1e6,
        .help = "Most points of a curve (an odd number: one less); when they are used up, neighbours are merged."},
    {0},
};

/* ---- the columns ---- */

typedef struct series_row {     /* a column of every run, read from an int64_t or uint64_t at `offset` */
    const char *name, *units, *long_name;
    enum { SERIES_OWN, SERIES_TALLY, SERIES_TIMES } from;
    size_t offset;
} series_row;

#define OWN(field) SERIES_OWN, offsetof(series_count, field)
#define TALLY(field) SERIES_TALLY, offsetof(es_counts, field)
#define TIMES(field) SERIES_TIMES, offsetof(es_times, field)

static const series_row series_rows[] = {
    {"steps", "1", "steps", OWN(steps)},
    {"decode_tokens", "1", "decode tokens", OWN(decode_tokens)},
    {"events", "1", "gates passed", OWN(events)},
    {"perfect", "1", "of these, all experts resident", OWN(perfect)},
    {"zero", "1", "of these, none resident", OWN(zero)},
    {"lookups", "1", "distinct experts looked up", OWN(lookups)},
    {"hits", "1", "resident at the gate", OWN(hits)},
    {"late", "1", "in flight at the gate", OWN(late)},
    {"evictions", "1", "victims, of all tiers", TALLY(evictions)},
    {"fetched_bytes", "B", "bytes that demands brought", TALLY(fetched_bytes)},
    {"guess_bytes", "B", "bytes that guesses brought", TALLY(guess_bytes)},
    {"wasted_bytes", "B", "bytes of guesses that left unused", TALLY(wasted_bytes)},
    {"total_ns", "ns", "time of the steps", TIMES(total)},
    {"stall_ns", "ns", "compute waited only for weights", TIMES(stall)},
    {"dense_ns", "ns", "compute of dense layers", TIMES(dense)},
    {"expert_gpu_ns", "ns", "compute of experts where demands hit", TIMES(expert_gpu)},
    {"expert_cpu_ns", "ns", "compute of experts on the host that nothing else hid", TIMES(expert_cpu)},
};

enum { SERIES_ROWS = sizeof series_rows / sizeof *series_rows, SERIES_TIER = 2, SERIES_POOL = 3, SERIES_CHANNEL = 5 };

static int64_t series_row_now(const series *s, const series_row *row)
{
    const void *const from[] = {[SERIES_OWN] = &s->count, [SERIES_TALLY] = s->view->tally, [SERIES_TIMES] = s->view->times};
    int64_t value;
    memcpy(&value, (const char *)from[row->from] + row->offset, sizeof value);
    return value;
}

/* Experts and bytes that a tier holds. */
static void series_tier_now(const es_view *view, const es_tier_view *tier, int64_t now[SERIES_TIER])
{
    now[0] = now[1] = 0;
    for (uint32_t w = 0; w < view->words; w++) {
        int64_t count = __builtin_popcountll(tier->resident[w]);
        now[0] += count;
        now[1] += count * view->bytes[w];
    }
}

/* What a pool has and what is taken of it, and the experts in it; where layers have pools of their own, in all of them. */
static void series_pool_now(const es_view *view, const es_tier_view *tier, uint32_t p, int64_t now[SERIES_POOL])
{
    now[0] = now[1] = 0;
    now[2] = es_pool_of(view, tier, p).capacity;
    for (uint32_t w = 0; w < view->words; w++)
        for (uint64_t left = tier->resident[w]; left; left &= left - 1) {
            const es_block *block = &tier->block[w * 64 + (es_oid)__builtin_ctzll(left)];
            now[0] += block->pool == p;
            now[1] += block->pool == p ? block->bytes : 0;
        }
}

static void series_channel_now(const es_channel_view *channel, int64_t now[SERIES_CHANNEL])
{
    now[0] = channel->busy_ns;
    now[1] = channel->queue_ns;
    now[2] = channel->wait_ns;
    now[3] = channel->bytes;
    now[4] = (int64_t)channel->transfers;
}

/* What is written of a tier: a home tier always holds everything. Compute units stand in the steps' own columns. */
static bool series_has_tier(const es_tier_view *tier)
{
    return !tier->home;
}

static bool series_has_channel(const es_view *view, const es_channel_view *channel)
{
    return view->timed && !channel->compute;
}

static bool series_column_add(series *s, const es_site *site, const char *group, const char *of, const char *name, const char *units,
    const char *long_name, bool level)
{
    char path[512];
    snprintf(path, sizeof path, "/series/%s%s%s%s%s", group, *group ? "/" : "", of, *of ? "/" : "", name);
    s->column[s->columns] = (series_column){es_arena_text(site->arena, path), units, long_name, level, 0, ES_NEW_ARRAY(site->arena, s->most, int64_t)};
    return s->column[s->columns].path && s->column[s->columns++].bin;
}

static bool series_tier_columns(series *s, const es_site *site, const char *name)
{
    return series_column_add(s, site, "tiers", name, "resident", "1", "experts that are there when the bin ends", true)
        && series_column_add(s, site, "tiers", name, "resident_bytes", "B", "bytes that are there when the bin ends", true);
}

static bool series_pool_columns(series *s, const es_site *site, const es_tier_view *tier)
{
    bool fine = true;
    for (uint32_t p = 0; fine && p < tier->pools; p++) {
        char of[256];
        snprintf(of, sizeof of, "%.120s/pools/%.100s", tier->name, tier->pool[0][p].name);
        fine = series_column_add(s, site, "tiers", of, "resident", "1", "experts that are there when the bin ends", true)
            && series_column_add(s, site, "tiers", of, "resident_bytes", "B", "bytes of their blocks", true)
            && series_column_add(s, site, "tiers", of, "capacity_bytes", "B", "what the pool has when the bin ends", true);
    }
    return fine;
}

static bool series_channel_columns(series *s, const es_site *site, const char *name)
{
    return series_column_add(s, site, "channels", name, "busy_ns", "ns", "service of the copies that began, over all lanes", false)
        && series_column_add(s, site, "channels", name, "queue_ns", "ns", "waiting time of the copies that began", false)
        && series_column_add(s, site, "channels", name, "wait_ns", "ns", "compute waited for what was delivered here", false)
        && series_column_add(s, site, "channels", name, "bytes", "B", "bytes of the copies that began", false)
        && series_column_add(s, site, "channels", name, "transfers", "1", "copies that began", false);
}

static bool series_columns(series *s, const es_site *site)
{
    const es_view *view = s->view;
    bool fine = true;
    for (size_t i = 0; fine && i < SERIES_ROWS; i++)
        if (view->timed || series_rows[i].from != SERIES_TIMES)
            fine = series_column_add(s, site, "", "", series_rows[i].name, series_rows[i].units, series_rows[i].long_name, false);
    for (uint32_t t = 0; fine && t < view->tiers; t++)
        if (series_has_tier(&view->tier[t]))
            fine = series_tier_columns(s, site, view->tier[t].name) && series_pool_columns(s, site, &view->tier[t]);
    for (uint32_t c = 0; fine && c < view->channels; c++)
        if (series_has_channel(view, &view->channel[c]))
            fine = series_channel_columns(s, site, view->channel[c].name);
    return fine;
}

static es_code series_init(void *self, const es_site *site, es_err *err)
{
    series *s = self;
    s->view = site->view;
    s->most -= s->most % 2;
    s->width = s->left = 1;
    size_t pools = 0;
    for (uint32_t t = 0; t < s->view->tiers; t++)
        pools += s->view->tier[t].pools;
    size_t room = SERIES_ROWS + SERIES_POOL * pools + SERIES_TIER * (size_t)s->view->tiers + SERIES_CHANNEL * (size_t)s->view->channels;
    s->column = ES_NEW_ARRAY(site->arena, room, series_column);
    s->now = ES_NEW_ARRAY(site->arena, room, int64_t);
    s->end = ES_NEW_ARRAY(site->arena, s->most, int64_t);
    s->tokens = ES_NEW_ARRAY(site->arena, s->most, int64_t);
    s->knob = ES_NEW_ARRAY(site->arena, s->view->dials, double *);
    bool fine = s->column && s->now && s->end && s->tokens && s->knob && series_columns(s, site);
    for (uint32_t k = 0; k < s->view->dials && fine; k++)
        fine = (s->knob[k] = ES_NEW_ARRAY(site->arena, s->most, double)) != NULL;
    return fine ? ES_OK : es_err_nomem(err, "series");
}

/* Every column as it stands now, in the order of series_columns. */
static void series_read(series *s)
{
    const es_view *view = s->view;
    int64_t *now = s->now;
    for (size_t i = 0; i < SERIES_ROWS; i++)
        if (view->timed || series_rows[i].from != SERIES_TIMES)
            *now++ = series_row_now(s, &series_rows[i]);
    for (uint32_t t = 0; t < view->tiers; t++)
        if (series_has_tier(&view->tier[t])) {
            series_tier_now(view, &view->tier[t], now);
            now += SERIES_TIER;
            for (uint32_t p = 0; p < view->tier[t].pools; p++, now += SERIES_POOL)
                series_pool_now(view, &view->tier[t], p, now);
        }
    for (uint32_t c = 0; c < view->channels; c++)
        if (series_has_channel(view, &view->channel[c])) {
            series_channel_now(&view->channel[c], now);
            now += SERIES_CHANNEL;
        }
}

/* ---- bins ---- */

/* Two neighbours are one: sums add up, of what ends a bin the second stays. */
static void series_merge(series *s)
{
    s->bins /= 2;
    s->width *= 2;
    for (int64_t i = 0; i < s->bins; i++) {
        s->end[i] = s->end[2 * i + 1];
        s->tokens[i] = s->tokens[2 * i + 1];
        for (uint32_t c = 0; c < s->columns; c++) {
            series_column *column = &s->column[c];
            column->bin[i] = column->bin[2 * i + 1] + (column->level ? 0 : column->bin[2 * i]);
        }
        for (uint32_t k = 0; k < s->view->dials; k++)
            s->knob[k][i] = s->knob[k][2 * i + 1];
    }
}

/* Puts what was added since the last bin ended into bin `i`; when that is the last bin `again`, on top of what it holds. */
static void series_fill(series *s, int64_t i, bool again)
{
    series_read(s);
    s->end[i] = s->at;
    s->tokens[i] = s->count.tokens;
    for (uint32_t c = 0; c < s->columns; c++) {
        series_column *column = &s->column[c];
        column->bin[i] = s->now[c] - column->last + (again && !column->level ? column->bin[i] : 0);
        column->last = column->level ? 0 : s->now[c];
    }
    for (uint32_t k = 0; k < s->view->dials; k++)
        s->knob[k][i] = es_knob_read(s->view->dial[k].option, s->view->dial[k].field);
}

static void series_close(series *s)
{
    series_fill(s, s->bins++, false);
    if (s->bins == s->most)
        series_merge(s);
    s->left = s->width;
}

/* A bin that is not full stays as it is; what happened behind the last step (copies that still wait) belongs to the last bin. */
static void series_ended(series *s)
{
    if (s->left < s->width)
        series_close(s);
    else if (s->bins > 0)
        series_fill(s, s->bins - 1, true);
}

static void series_step_ended(series *s, const es_fact *fact)
{
    s->count.steps++;
    s->count.tokens += fact->count;
    s->count.decode_tokens += fact->from == ES_DECODE ? fact->count : 0;
    s->at = fact->at;
    if (--s->left == 0)
        series_close(s);
}

static inline void series_use(series *s, const es_event *event)
{
    if (!event->counted)
        return;
    s->count.events++;
    s->count.perfect += event->hits == event->count;
    s->count.zero += event->hits == 0;
    s->count.lookups += event->count;
    s->count.hits += event->hits;
    s->count.late += event->late;
}

static void series_notify(void *self, const es_fact *fact)
{
    series *s = self;
    if (fact->kind == ES_FACT_USE) {
        series_use(s, fact->event);
    } else if (fact->kind == ES_FACT_STEP_END) {
        series_step_ended(s, fact);
    } else {
        series_ended(s);
    }
}

/* ---- keeping them ---- */

typedef struct series_point {
    int64_t t_ns, tokens, value;
} series_point;

static es_code series_save_column(const series *s, const series_column *column, series_point *point, es_h5 *file, es_err *err)
{
    const es_h5_column columns[] = {
        {"t_ns", ES_H5_I64, offsetof(series_point, t_ns), 0, "ns", "end of the bin"},
        {"tokens", ES_H5_I64, offsetof(series_point, tokens), 0, "1", "prompt and decode tokens so far"},
        {"value", ES_H5_I64, offsetof(series_point, value), 0, column->units, column->long_name},
    };
    es_h5_data *table = NULL;
    for (int64_t i = 0; i < s->bins; i++)
        point[i] = (series_point){s->end[i], s->tokens[i], column->bin[i]};
    es_code code = es_h5_table_create(&table, file, column->path, columns, sizeof columns / sizeof *columns, sizeof *point, (uint64_t)s->bins, err);
    if (code == ES_OK)
        code = es_h5_table_append(table, (uint64_t)s->bins, point, err);
    es_h5_data_close(table);
    if (code == ES_OK)
        code = es_h5_put_text(file, column->path, "units", column->units, err);
    return code ? code : es_h5_put_text(file, column->path, "long_name", column->long_name, err);
}

typedef struct series_level {
    int64_t t_ns, tokens;
    double value;
} series_level;

static bool series_knob_turned(const series *s, const double *knob)
{
    for (int64_t i = 1; i < s->bins; i++)
        if (knob[i] != knob[0])
            return true;
    return false;
}

static es_code series_save_knob(const series *s, const es_dial_view *dial, const double *knob, es_h5 *file, es_err *err)
{
    static const es_h5_column columns[] = {
        {"t_ns", ES_H5_I64, offsetof(series_level, t_ns), 0, "ns", "end of the bin"},
        {"tokens", ES_H5_I64, offsetof(series_level, tokens), 0, "1", "prompt and decode tokens so far"},
        {"value", ES_H5_F64, offsetof(series_level, value), 0, "1", "its value when the bin ends"},
    };
    char path[512];
    series_level *level = calloc((size_t)s->bins + 1, sizeof *level);
    es_h5_data *table = NULL;
    if (!level)
        return es_err_nomem(err, "series");
    snprintf(path, sizeof path, "/series/knobs/%.480s", dial->path);
    for (int64_t i = 0; i < s->bins; i++)
        level[i] = (series_level){s->end[i], s->tokens[i], knob[i]};
    es_code code = es_h5_table_create(&table, file, path, columns, sizeof columns / sizeof *columns, sizeof *level, (uint64_t)s->bins, err);
    if (code == ES_OK)
        code = es_h5_table_append(table, (uint64_t)s->bins, level, err);
    es_h5_data_close(table);
    free(level);
    return code ? code : es_h5_put_text(file, path, "long_name", "an option that was turned, by a tuner or by its own part, in the unit of its field", err);
}

static es_code series_save(void *self, es_h5 *file, es_err *err)
{
    const series *s = self;
    series_point *point = calloc((size_t)s->bins + 1, sizeof *point);
    es_code code = point ? es_h5_group(file, "/series", err) : es_err_nomem(err, "series");
    for (uint32_t c = 0; c < s->columns && code == ES_OK; c++)
        code = series_save_column(s, &s->column[c], point, file, err);
    for (uint32_t k = 0; k < s->view->dials && code == ES_OK; k++)
        if (series_knob_turned(s, s->knob[k]))
            code = series_save_knob(s, &s->view->dial[k], s->knob[k], file, err);
    free(point);
    return code ? code : es_h5_put_int(file, "/series", "steps_per_bin", s->width, err);
}

const es_observer es_observer_series = {
    .part = {
        .abi = ES_ABI,
        .name = "series",
        .brief = "Curves over time and tokens in result.h5: hits, bytes, residents, links, where the time went.",
        .options = series_options,
        .size = sizeof(series),
        .init = series_init,
        .notify = series_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_STEP_END) | ES_HEARS(ES_FACT_END),
    },
    .save = series_save,
};
