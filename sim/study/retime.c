/* Retime: see retime.h. */
#include "sim/study/retime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/part/timing.h"
#include "sim/study/touched.h"

enum { RETIME_CHANNELS = 64 };
#define RETIME_NEVER UINT64_MAX

typedef struct retime_channel {
    const es_plan_channel *row;             /* NULL: nothing of the log goes over it */
    const es_timing *timing;                /* NULL: takes no time */
    void *state;
    size_t slowers;
    size_t slower[RETIME_CHANNELS];         /* channels that slow it */
    double slowing[RETIME_CHANNELS];        /* to this share of its rate */
    int busy, working;                      /* rows that are served now; those of them that are beyond their fixed part */
} retime_channel;

struct es_retime {
    const es_plan *plan;
    es_arena arena;
    retime_channel channel[RETIME_CHANNELS];
    size_t channels;
    int of[ES_ACTION_QUEUES];               /* channel of each op; -1: none */
    uint64_t window;                        /* number of the window that is timed; one after another each row is one */
    touched *memory;                        /* what the rows so far have read or written */
    struct retime_came {
        uint64_t copied, used;              /* touches when its copy, and its last copy or gemm, had ended; RETIME_NEVER */
        uint64_t window;                    /* of the copy */
    } *came;                                /* [slots of the device] */
};

/* ---- opening ---- */

static int retime_place(const es_plan *plan, const es_plan_tier *tier)
{
    bool between = false;
    for (size_t t = 0; t < plan->tier_count; t++)
        between |= !plan->tiers[t].home && !plan->tiers[t].compute;
    return tier->compute ? ES_PLACE_DEVICE : tier->home && between ? ES_PLACE_DISK : ES_PLACE_HOST;
}

static const es_plan_tier *retime_tier(const es_plan *plan, const char *name)
{
    for (size_t t = 0; t < plan->tier_count; t++)
        if (strcmp(plan->tiers[t].name, name) == 0)
            return &plan->tiers[t];
    return NULL;
}

static int retime_find(const es_plan *plan, const char *name)
{
    for (size_t c = 0; c < plan->channel_count; c++)
        if (strcmp(plan->channels[c].name, name) == 0)
            return (int)c;
    return -1;
}

static int retime_op(int from, int to)
{
    for (int op = 0; op < ES_ACTION_GEMM; op++)
        if (es_action_ways[op].from == from && es_action_ways[op].to == to)
            return op;
    return -1;
}

static es_code retime_link(es_retime *r, size_t i, es_err *err)
{
    const es_plan_link *link = &r->plan->links[i];
    const es_plan_tier *from = retime_tier(r->plan, link->from), *to = retime_tier(r->plan, link->to);
    const es_json *name = link->channels ? link->channels->child : NULL;
    int op = from && to ? retime_op(retime_place(r->plan, from), retime_place(r->plan, to)) : -1;
    if (op < 0)
        return es_err_set(err, ES_EINPUT, "links[%zu]: no machine copies from %s to %s at once; put a tier of host memory between them", i, link->from, link->to);
    if (cJSON_GetArraySize(link->channels) > 1)
        return es_err_set(err, ES_EINPUT, "links[%zu]: channels: a log is timed by the first alone, found %d", i, cJSON_GetArraySize(link->channels));
    int channel = cJSON_IsString(name) ? retime_find(r->plan, name->valuestring) : -1;
    if (r->of[op] >= 0 && channel >= 0 && r->of[op] != channel)
        return es_err_set(err, ES_EINPUT, "links[%zu]: a machine has one queue for %s, and this config two channels, %s and %s", i, es_action_names[op],
            r->plan->channels[r->of[op]].name, r->plan->channels[channel].name);
    r->of[op] = channel >= 0 ? channel : r->of[op];
    return ES_OK;
}

static es_code retime_slowed(es_retime *r, size_t c, es_err *err)
{
    retime_channel *channel = &r->channel[c];
    const es_json *one;
    cJSON_ArrayForEach(one, channel->row->slowed_by) {
        int by = retime_find(r->plan, one->string);
        if (by < 0 || !cJSON_IsNumber(one))
            return es_err_set(err, ES_EINPUT, "channels.%s: slowed_by: \"%s\" is no channel with a factor", channel->row->name, one->string);
        channel->slower[channel->slowers] = (size_t)by;
        channel->slowing[channel->slowers++] = one->valuedouble;
    }
    return ES_OK;
}

static es_code retime_channel_open(es_retime *r, size_t c, uint64_t replication, es_err *err)
{
    retime_channel *channel = &r->channel[c];
    const es_plan_part *timing = &r->plan->channels[c].timing;
    channel->row = &r->plan->channels[c];
    if (channel->row->onto > 0.0 && channel->row->onto < 1.0 && channel->row->onto_near == 0)
        return es_err_set(err, ES_EINPUT, "channels.%s: onto: a share of %g needs onto_near, the bytes up to which it holds", channel->row->name, channel->row->onto);
    if (channel->row->chunk > 0)
        return es_err_set(err, ES_EINPUT, "channels.%s: chunk: copies are performed whole; needs 0", channel->row->name);
    es_code code = retime_slowed(r, c, err);
    if (code || !timing->part)
        return code;
    channel->timing = (const es_timing *)timing->part;
    channel->state = es_arena_alloc(&r->arena, 1, timing->part->size);
    if (!channel->state)
        return es_err_nomem(err, "a timing");
    memcpy(channel->state, timing->state, timing->part->size);
    es_site site = {.arena = &r->arena, .path = timing->path, .seed = r->plan->seed, .replication = replication};
    return timing->part->init ? timing->part->init(channel->state, &site, err) : ES_OK;
}

es_code es_retime_open(es_retime **out, const es_plan *plan, uint64_t replication, es_err *err)
{
    es_retime *r = *out = calloc(1, sizeof *r);
    if (!r)
        return es_err_nomem(err, "the timing of a log");
    r->plan = plan;
    memset(r->of, 0xff, sizeof r->of);
    if (plan->channel_count > RETIME_CHANNELS)
        return es_err_set(err, ES_EINPUT, "channels: found %zu, a log is timed by at most %d", plan->channel_count, RETIME_CHANNELS);
    es_code code = ES_OK;
    for (size_t i = 0; i < plan->link_count && code == ES_OK; i++)
        code = retime_link(r, i, err);
    for (size_t t = 0; t < plan->tier_count; t++)
        if (plan->tiers[t].compute && r->of[ES_ACTION_GEMM] < 0)
            r->of[ES_ACTION_GEMM] = retime_find(plan, plan->tiers[t].compute);
    for (r->channels = 0; r->channels < plan->channel_count && code == ES_OK; r->channels++)
        code = retime_channel_open(r, r->channels, replication, err);
    return code;
}

void es_retime_free(es_retime *r)
{
    if (!r)
        return;
    for (size_t c = 0; c < r->channels; c++)
        if (r->channel[c].state && r->channel[c].timing->part.fini)
            r->channel[c].timing->part.fini(r->channel[c].state);
    es_arena_free(&r->arena);
    free(r->came);
    touched_close(r->memory);
    free(r);
}

const es_plan_channel *es_retime_channel(const es_retime *r, es_action_op op)
{
    return (int)op < ES_ACTION_QUEUES && r->of[op] >= 0 ? r->channel[r->of[op]].row : NULL;
}

/* ---- what a row costs ---- */

typedef struct retime_near {
    bool before;                            /* of a gemm: a copy brought its weights; of a copy to the device: its slot was used */
    bool handed;                            /* that was in the same window */
    int64_t since;                          /* bytes of memory that were touched since then */
} retime_near;

/* What a row finds near, in the order of the log; each is asked once. The disk is no memory. */
static retime_near retime_look(es_retime *r, const es_action *row)
{
    const bool gemm = row->op == ES_ACTION_GEMM;
    const int from = gemm ? ES_PLACE_DISK : es_action_ways[row->op].from, to = gemm ? ES_PLACE_DEVICE : es_action_ways[row->op].to;
    struct retime_came *slot = to == ES_PLACE_DEVICE ? &r->came[row->slot] : NULL;
    retime_near near = {0};
    if (slot && (gemm ? slot->copied : slot->used) != RETIME_NEVER)
        near = (retime_near){true, slot->window == r->window, touched_since(r->memory, gemm ? slot->copied : slot->used)};
    if (from != ES_PLACE_DISK)
        touched_add(r->memory, from, row->source, row->bytes);
    if (to != ES_PLACE_DISK)
        touched_add(r->memory, to, row->slot, row->bytes);
    if (slot)
        slot->used = touched_count(r->memory);
    if (slot && !gemm) {
        slot->copied = slot->used;
        slot->window = r->window;
    }
    return near;
}

static double retime_factor(const retime_channel *channel, bool gemm, const retime_near *near, double asked)
{
    const bool onto = !gemm && near->before && channel->row->onto_near > 0 && near->since <= channel->row->onto_near;
    return (asked > 0.0 ? asked : 1.0) * (onto ? channel->row->onto : 1.0);
}

static es_cost retime_cost(es_retime *r, const es_actions *log, size_t i, const es_retime_ask *ask)
{
    const es_action *row = &log->at[i];
    const retime_near near = retime_look(r, row);
    const retime_channel *channel = &r->channel[r->of[row->op]];
    const bool gemm = row->op == ES_ACTION_GEMM;
    es_cost cost = {0, 0};
    if (!channel->timing || (gemm && !ask->computes))
        return cost;
    es_op op = {.kind = gemm ? ES_OP_EXPERT : ES_OP_COPY, .bytes = row->bytes, .count = 1, .tokens = row->tokens,
        .step = (uint64_t)(row->step < 0 ? 0 : row->step), .object = (uint64_t)row->layer << 32 | row->expert, .occurrence = i,
        .copied = gemm && near.before, .handed = near.handed, .since = near.since};
    cost = channel->timing->cost(channel->state, &op);
    const double factor = retime_factor(channel, gemm, &near, ask->factor[row->op]);
    if (factor != 1.0)
        cost = (es_cost){es_ns_round((double)cost.fixed * factor), es_ns_round((double)cost.work * factor)};
    return cost;
}

static es_code retime_known(const es_retime *r, const es_actions *log, es_err *err)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->at[i].op < ES_ACTION_QUEUES && r->of[log->at[i].op] < 0)
            return es_err_set(err, ES_EINPUT, "the log has %s, and no link of the config with a channel goes that way", es_action_names[log->at[i].op]);
    return ES_OK;
}

/* ---- overlapped: a window ---- */

typedef enum serving { SERVING_NOT, SERVING_NOTICES, SERVING_FIXED, SERVING_WORK, SERVING_DONE } serving;

typedef struct served {                     /* a row of the window */
    serving state;
    es_time turn;                           /* when it was the first of its queue; ES_NEVER: not yet */
    es_time due, since;
    es_cost cost;
    double left, rate;                      /* ns of work at the full rate, and the share of it that passes */
} served;

typedef struct window {
    es_retime *r;
    const es_actions *log;
    es_action_run *run;
    size_t first, end;
    es_time now;
    served row[ES_ACTION_WINDOW];           /* those with a queue, in order */
    size_t id[ES_ACTION_WINDOW], rows;
} window;

static retime_channel *window_channel(const window *w, size_t k)
{
    return &w->r->channel[w->r->of[w->log->at[w->id[k]].op]];
}

/* All before it in its queue have begun, and its channel serves one more. */
static bool window_turn(const window *w, size_t k)
{
    const uint8_t op = w->log->at[w->id[k]].op;
    for (size_t j = 0; j < k; j++)
        if (w->log->at[w->id[j]].op == op && w->row[j].state <= SERVING_NOTICES)
            return false;
    const retime_channel *channel = window_channel(w, k);
    return channel->row->discipline == ES_SHARED || channel->busy < (channel->row->discipline == ES_LANES ? channel->row->lanes : 1);
}

static bool window_waits(const window *w, size_t k)
{
    const es_action *row = &w->log->at[w->id[k]];
    for (uint8_t a = 0; a < row->afters; a++)
        for (size_t j = 0; j < k; j++)
            if (row->after[a] == w->id[j] && w->row[j].state != SERVING_DONE)
                return true;
    return false;
}

/* When it notices that all it waits for is done, queue by queue: what was done before it looked takes no time. */
static es_time window_noticed(const window *w, size_t k)
{
    const es_action *row = &w->log->at[w->id[k]];
    es_time last[ES_ACTION_QUEUES] = {0}, at = w->row[k].turn;
    for (uint8_t a = 0; a < row->afters; a++)
        if (row->after[a] >= w->first && w->log->at[row->after[a]].op < ES_ACTION_QUEUES && w->run->row[row->after[a]].end > last[w->log->at[row->after[a]].op])
            last[w->log->at[row->after[a]].op] = w->run->row[row->after[a]].end;
    for (int q = 0; q < ES_ACTION_QUEUES; q++)
        if (q != row->op && last[q] > at)
            at = last[q] + window_channel(w, k)->row->handover;
    return at;
}

static void window_works(window *w, size_t k)
{
    served *s = &w->row[k];
    s->state = SERVING_WORK;
    s->left = (double)s->cost.work;
    s->rate = 1.0;
    s->since = w->now;
    s->due = w->now + s->cost.work;
    window_channel(w, k)->working++;
}

static void window_begin(window *w, size_t k)
{
    served *s = &w->row[k];
    w->run->row[w->id[k]].start = w->now;
    window_channel(w, k)->busy++;
    s->state = SERVING_FIXED;
    s->due = w->now + s->cost.fixed;
    if (s->cost.fixed == 0)
        window_works(w, k);
}

static void window_start(window *w)
{
    for (size_t k = 0; k < w->rows; k++) {
        served *s = &w->row[k];
        if (s->state != SERVING_NOT || !window_turn(w, k))
            continue;
        s->turn = s->turn == ES_NEVER ? w->now : s->turn;
        if (window_waits(w, k))
            continue;
        s->due = window_noticed(w, k);
        s->state = SERVING_NOTICES;
        if (s->due <= w->now)
            window_begin(w, k);
    }
}

/* The share of its full rate that a row has now. */
static double window_rate(const window *w, size_t k)
{
    const retime_channel *channel = window_channel(w, k);
    double rate = channel->row->discipline == ES_SHARED && channel->working > 1 ? 1.0 / channel->working : 1.0;
    for (size_t i = 0; i < channel->slowers; i++)
        if (w->r->channel[channel->slower[i]].busy > 0)
            rate *= channel->slowing[i];
    return rate;
}

static void window_settle(window *w)
{
    for (size_t k = 0; k < w->rows; k++) {
        served *s = &w->row[k];
        double rate = s->state == SERVING_WORK ? window_rate(w, k) : s->rate;
        if (rate == s->rate || s->state != SERVING_WORK)
            continue;
        s->left = fmax(0.0, s->left - s->rate * (double)(w->now - s->since));
        s->since = w->now;
        s->rate = rate;
        s->due = w->now + es_ns_round(s->left / rate);
    }
}

/* The instant at which something ends next; all that ends then does. False: nothing is served any more. */
static bool window_advance(window *w)
{
    es_time next = ES_NEVER;
    for (size_t k = 0; k < w->rows; k++)
        if (w->row[k].state != SERVING_NOT && w->row[k].state != SERVING_DONE && w->row[k].due < next)
            next = w->row[k].due;
    if (next == ES_NEVER)
        return false;
    w->now = next;
    for (size_t k = 0; k < w->rows; k++) {
        served *s = &w->row[k];
        if (s->state == SERVING_NOTICES && s->due == next)
            window_begin(w, k);
        if (s->state == SERVING_FIXED && s->due == next)
            window_works(w, k);
        if (s->state == SERVING_WORK && s->due == next) {
            s->state = SERVING_DONE;
            w->run->row[w->id[k]].end = next;
            window_channel(w, k)->busy--;
            window_channel(w, k)->working--;
        }
    }
    return true;
}

static es_time retime_window(es_retime *r, const es_actions *log, size_t first, size_t end, es_time base, const es_retime_ask *ask, es_action_run *run)
{
    window w = {.r = r, .log = log, .run = run, .first = first, .end = end, .now = base};
    r->window++;
    for (size_t i = first; i < end; i++)
        if (log->at[i].op < ES_ACTION_QUEUES) {
            w.id[w.rows] = i;
            w.row[w.rows++] = (served){.turn = ES_NEVER, .cost = retime_cost(r, log, i, ask)};
        }
    do {
        window_start(&w);
        window_settle(&w);
    } while (window_advance(&w));
    return w.now;
}

/* ---- a log ---- */

static es_time retime_serial(es_retime *r, const es_actions *log, size_t first, size_t end, es_time at, const es_retime_ask *ask, es_action_run *run)
{
    for (size_t i = first; i < end; i++) {
        if (log->at[i].op >= ES_ACTION_QUEUES)
            continue;
        r->window++;
        es_cost cost = retime_cost(r, log, i, ask);
        run->row[i].start = at;
        run->row[i].end = at += cost.fixed + cost.work;
    }
    return at;
}

es_code es_retime_run(es_retime *r, const es_actions *log, const es_retime_ask *ask, es_action_run *run, es_err *err)
{
    es_code code = retime_known(r, log, err);
    if (code)
        return code;
    free(r->came);
    touched_close(r->memory);
    r->window = 0;
    r->came = NULL;
    if ((code = touched_open(&r->memory, log, err)) != ES_OK)
        return code;
    if (!(r->came = malloc(((size_t)log->slots[ES_PLACE_DEVICE] + 1) * sizeof *r->came)))
        return es_err_nomem(err, "the slots of a log");
    memset(r->came, 0xff, ((size_t)log->slots[ES_PLACE_DEVICE] + 1) * sizeof *r->came);
    memset(run->row, 0, log->count * sizeof *run->row);
    es_time at = 0;
    for (size_t first = 0, end; first < log->count; first = end) {
        const bool begins = first == 0 || log->at[first].step != log->at[first - 1].step;
        end = es_actions_window(log, first);
        at = begins ? 0 : at;
        at = (ask->overlapped ? retime_window : retime_serial)(r, log, first, end, at, ask, run);
        if (log->at[first].step >= 0)
            run->step_ns[log->at[first].step] = at;
    }
    return ES_OK;
}
