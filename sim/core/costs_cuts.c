/* Costs of cuts: see costs.h. Every set of tiers that has the serving ones in it and not home is tried; those over which something may come
 * in otherwise than as a copy of known cost are left out, which leaves the bound lower and true. */
#include <string.h>

#include "sim/core/channel.h"
#include "sim/core/costs.h"

enum {
    CUTS_MOST = 64,             /* of six tiers between home and the serving ones; of more tiers the first sets are looked at */
    CUTS_FINE = 1024            /* lanes of several ways as one, so that times are kept to a part of a nanosecond */
};

typedef struct cuts_way {       /* what a copy, or a host unit in place of one, may hold */
    es_chan *chan;              /* NULL: the host unit */
    uint32_t lanes;
    double weight;              /* y of bound.h, times the lanes that the cut is said to have */
} cuts_way;

typedef struct cuts {
    es_costs *out;
    es_run *run;
    es_arena *arena;
    uint32_t inside;            /* bit per tier */
    cuts_way way[ES_MOST_CHANNELS + 1];
    uint32_t ways;
    es_costs_cut *cut;
} cuts;

static bool cuts_inside(const cuts *c, uint32_t t)
{
    return c->inside >> t & 1;
}

/* ---- which ---- */

/* Could a copy be in the hands of a link, held by no tier, since before its last use? Only a guess waits in a queue behind the end of an
 * event, and only where the tier that it is read from, or goes through, lies inside and gives it up meanwhile. */
static bool cuts_loose(const cuts *c)
{
    const es_run *run = c->run;
    uint32_t between = 0;
    bool lets_go = false;
    for (uint32_t t = 0; t < run->tiers; t++)
        if (cuts_inside(c, t) && !run->tier[t].serving) {
            between++;
            lets_go |= run->tier[t].lets_go;
        }
    return run->predictor && (between > 1 || lets_go);
}

static bool cuts_sound(const cuts *c)
{
    const es_run *run = c->run;
    for (const es_tier *tier = run->tier; tier < run->tier + run->tiers; tier++) {
        const bool inside = cuts_inside(c, (uint32_t)(tier - run->tier));
        if (inside && tier->ground)
            return false;       /* what it holds is more than a number of units */
        if (!inside && tier->demote != ES_NONE && cuts_inside(c, tier->demote))
            return false;       /* demoted inwards */
    }
    return !cuts_loose(c);
}

/* A channel that leads in; its host unit is no channel. false: what it takes is not known. */
static bool cuts_add(cuts *c, es_chan *chan)
{
    for (uint32_t i = 0; i < c->ways; i++)
        if (c->way[i].chan == chan)
            return true;
    if (chan && (chan->timing_varies || (chan->scheduler->batch && strcmp(chan->scheduler->part.name, "demand_first") != 0)))
        return false;
    c->way[c->ways++] = (cuts_way){.chan = chan, .lanes = chan && chan->discipline == ES_LANES ? chan->lanes : 1};
    return true;
}

/* All ways in. */
static bool cuts_ways(cuts *c)
{
    es_run *run = c->run;
    const es_link *first = NULL;
    c->ways = 0;
    for (uint32_t i = 0; i < run->links; i++) {
        const es_link *link = &run->link[i];
        if (cuts_inside(c, link->from) || !cuts_inside(c, link->to))
            continue;
        if (!cuts_add(c, &run->chan[link->channel[0]]))
            return false;
        if (!first) {
            first = link;
            c->cut->from = run->tier[link->from].name;
            c->cut->to = run->tier[link->to].name;
        }
    }
    return first && (!c->out->host_ns || cuts_add(c, NULL));
}

/* ---- what a copy costs ---- */

/* How many copies go as one, at most. */
static uint32_t cuts_batch(const es_chan *chan)
{
    return chan->scheduler->batch ? chan->scheduler->batch(chan->scheduler_state, ES_CLASS_DEMAND, NULL) : 1;
}

static es_time cuts_piece_ns(es_run *run, es_chan *chan, int64_t bytes, uint32_t count)
{
    const es_cost cost = es_channel_cost(run, chan, 0, bytes, count);
    return (chan->discipline == ES_SHARED ? 0 : cost.fixed) + cost.work;
}

/* A copy alone, in its chunks, or its least share of a batch. On a channel that copies share, the fixed parts of several pass at once. */
static es_time cuts_copy_ns(es_run *run, es_chan *chan, int64_t bytes)
{
    const int64_t chunk = chan->chunk > 0 && chan->chunk < bytes ? chan->chunk : bytes, rest = bytes % chunk;
    es_time least = bytes / chunk * cuts_piece_ns(run, chan, chunk, 1) + (rest ? cuts_piece_ns(run, chan, rest, 1) : 0);
    for (uint32_t n = 1; n <= cuts_batch(chan); n++) {
        const es_time share = cuts_piece_ns(run, chan, bytes * n, n) / n;
        least = share < least ? share : least;
    }
    return least;
}

/* The host's unit instead of a copy of the object. */
static es_time cuts_host_ns(es_run *run, es_oid object, uint32_t served)
{
    es_time least = ES_NEVER;
    for (uint32_t n = 1; n <= served; n++) {
        const es_time cost = es_channel_expert_ns(run, run->cpu, object, n);
        least = cost < least ? cost : least;
    }
    return least;
}

/* An object on a way. */
static es_time cuts_cost(const cuts *c, const cuts_way *way, es_oid object)
{
    es_run *run = c->run;
    return way->chan ? cuts_copy_ns(run, way->chan, run->bytes[object >> 6]) : cuts_host_ns(run, object, c->out->served);
}

/* Weights under which the ways cost alike, as far as they can. false: one of them costs nothing, so that nothing bounds what comes in. */
static bool cuts_weigh(cuts *c)
{
    const es_view *view = &c->run->view;
    double sum = 0.0;
    for (uint32_t i = 0; i < c->ways; i++) {
        double cost = 0.0;
        for (uint32_t w = 0; w < view->words; w++)
            cost += (double)cuts_cost(c, &c->way[i], w * 64);
        if (cost <= 0.0)
            return false;
        c->way[i].weight = 1.0 / cost;
        sum += c->way[i].lanes / cost;
    }
    c->cut->lanes = c->ways == 1 ? c->way[0].lanes : CUTS_FINE;
    for (uint32_t i = 0; i < c->ways; i++)
        c->way[i].weight *= CUTS_FINE * (1.0 - 1e-12) / sum;        /* so that rounding leaves it below */
    return true;
}

/* On whichever way it weighs least. */
static es_time cuts_least_ns(const cuts *c, es_oid object)
{
    double least = 1e300;
    if (c->ways == 1)
        return cuts_cost(c, &c->way[0], object);
    for (uint32_t i = 0; i < c->ways; i++) {
        const double cost = c->way[i].weight * (double)cuts_cost(c, &c->way[i], object);
        least = cost < least ? cost : least;
    }
    return (es_time)least;
}

/* ---- what there is room for ---- */

/* The most that bucket b of a tier may have room for. */
static int64_t cuts_room(const es_run *run, const es_tier *tier, uint32_t b)
{
    if (run->plan->tuner_count == 0)
        return tier->room[b];
    const int64_t full = tier->full[b] + (run->view.pins_beside ? tier->settled[b] : 0);
    return full > tier->room[b] ? full : tier->room[b];
}

/* Measures: a tier's own units; objects, where all take the same; else bytes. */
typedef enum cuts_measure { CUTS_OWN, CUTS_OBJECTS, CUTS_BYTES } cuts_measure;

static cuts_measure cuts_choose(const cuts *c)
{
    uint32_t count = 0;
    bool uniform = true;
    for (uint32_t t = 0; t < c->run->tiers; t++)
        if (cuts_inside(c, t)) {
            count++;
            uniform &= c->run->tier[t].uniform;
        }
    return uniform ? CUTS_OBJECTS : count == 1 ? CUTS_OWN : CUTS_BYTES;
}

/* So many units of the tier in the measure, rounded up where they need not fit it. */
static int64_t cuts_measured(const cuts *c, const es_tier *tier, cuts_measure measure, int64_t units)
{
    const es_run *run = c->run;
    __int128 most = 0;
    if (measure == CUTS_OWN)
        return units;
    if (measure == CUTS_OBJECTS)
        return units / tier->unit[0];
    for (uint32_t w = 0; w < run->view.words; w++) {
        const __int128 bytes = ((__int128)units * run->bytes[w] + tier->unit[w] - 1) / tier->unit[w];
        most = bytes > most ? bytes : most;
    }
    return most > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)most;
}

static es_code cuts_capacity(cuts *c, cuts_measure measure, es_err *err)
{
    const es_run *run = c->run;
    const uint32_t buckets = run->view.per_layer ? run->view.layers : 1;
    int64_t *serving = ES_NEW_ARRAY(c->arena, buckets, int64_t);
    if (!serving)
        return es_err_nomem(err, "the machine's costs");
    for (uint32_t t = 0; t < run->tiers; t++)
        for (uint32_t b = 0; cuts_inside(c, t) && b < buckets; b++) {
            const int64_t room = cuts_measured(c, &run->tier[t], measure, cuts_room(run, &run->tier[t], b));
            c->cut->capacity += room;
            if (t == run->serving)
                serving[b] = room;
        }
    c->cut->overshoots = run->contract->overflow == ES_PERSIST ? serving : NULL;
    return ES_OK;
}

/* ---- one cut ---- */

static int64_t cuts_unit(const cuts *c, cuts_measure measure, es_oid object)
{
    return measure == CUTS_OBJECTS ? 1 : measure == CUTS_OWN ? c->run->tier[c->run->serving].unit[object >> 6] : c->run->bytes[object >> 6];
}

/* A matrix of an expert is the cheapest so far for what it takes? */
static void cuts_cheaper(es_costs_cut *cut, es_time ns, int64_t units)
{
    if (cut->piece_units == 0 || (__int128)ns * cut->piece_units < (__int128)cut->piece_ns * units) {
        cut->piece_ns = ns;
        cut->piece_units = units;
    }
}

/* Units and copy of each expert: of all its matrices, at its precision or the one of which each is least. */
static es_code cuts_experts(cuts *c, cuts_measure measure, es_err *err)
{
    const es_run *run = c->run;
    const es_view *view = &run->view;
    const uint32_t stride = c->out->stride, section = view->matrices * view->slice;
    int64_t *unit = ES_NEW_ARRAY(c->arena, (size_t)view->spaces * stride, int64_t);
    es_time *copy = ES_NEW_ARRAY(c->arena, (size_t)view->spaces * stride, es_time);
    if (!unit || !copy)
        return es_err_nomem(err, "the machine's costs");
    for (uint32_t s = 0; s < view->spaces; s++)
        for (uint32_t v = 0; v < view->variants; v++) {
            const es_oid first = s * view->stride + v * section;
            int64_t units = 0;
            es_time ns = 0;
            for (uint32_t m = 0; m < view->matrices; m++) {
                const es_oid object = first + m * view->slice;
                const es_time took = cuts_least_ns(c, object);
                units += cuts_unit(c, measure, object);
                ns += took;
                if (view->matrices > 1)
                    cuts_cheaper(c->cut, took, cuts_unit(c, measure, object));
            }
            for (uint32_t i = 0; i < view->ids; i++) {
                const uint32_t o = s * stride + i;
                if (c->out->kind && c->out->kind[o] != v)
                    continue;
                unit[o] = v == 0 || c->out->kind || units < unit[o] ? units : unit[o];
                copy[o] = v == 0 || c->out->kind || ns < copy[o] ? ns : copy[o];
            }
        }
    c->cut->unit = unit;
    c->cut->copy_ns = copy;
    return ES_OK;
}

/* The cut's numbers, or no cut more. */
static es_code cuts_try(cuts *c, es_err *err)
{
    es_run *run = c->run;
    *c->cut = (es_costs_cut){.passes = run->predictor && c->inside != 1u << run->serving};
    if (!cuts_sound(c) || !cuts_ways(c) || !cuts_weigh(c))
        return run->code;
    const cuts_measure measure = cuts_choose(c);
    es_code code = cuts_capacity(c, measure, err);
    if (code == ES_OK)
        code = cuts_experts(c, measure, err);
    c->out->cuts += code == ES_OK;
    return code ? code : run->code;
}

es_code es_costs_cuts(es_costs *out, es_run *run, es_arena *arena, es_err *err)
{
    uint32_t serving = 0, between[ES_MOST_TIERS], count = 0;
    es_costs_cut *cut = ES_NEW_ARRAY(arena, CUTS_MOST, es_costs_cut);
    es_code code = cut ? ES_OK : es_err_nomem(err, "the machine's costs");
    out->cut = cut;
    for (uint32_t t = 0; t < run->tiers; t++)
        if (run->tier[t].serving)
            serving |= 1u << t;
        else if (!run->tier[t].home)
            between[count++] = t;
    if (run->view.as_coded || run->tier[run->serving].home || run->plan->compute.guess_cost == ES_GUESS_FREE)
        return code;            /* tiers may hold more than they have room for; nothing comes; copies may cost nothing */
    for (uint32_t set = 0; set < CUTS_MOST && set >> count == 0 && code == ES_OK; set++) {
        cuts c = {.out = out, .run = run, .arena = arena, .inside = serving, .cut = &cut[out->cuts]};
        for (uint32_t i = 0; i < count; i++)
            c.inside |= set >> i & 1 ? 1u << between[i] : 0;
        code = cuts_try(&c, err);
    }
    return code;
}
