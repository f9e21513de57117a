/* Explain, what if: the same plan once more with one thing free. A timing is wrapped so that it charges nothing for some operations and
 * says the same as before of all others, draws included; a part that is left out is left out of the plan. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/part/timing.h"
#include "sim/study/explain_inside.h"

/* ---- a timing that charges nothing for some operations ---- */

typedef struct free_timing {
    const es_plan_part *inner;
    unsigned kinds;             /* bit per es_op_kind that is free */
    void *state;                /* of inner, in the run */
} free_timing;

static es_code free_init(void *self, const es_site *site, es_err *err)
{
    free_timing *s = self;
    const es_part *part = s->inner->part;
    s->state = es_arena_alloc(site->arena, 1, part->size ? part->size : 1);
    if (!s->state)
        return es_err_nomem(err, "a timing");
    if (s->inner->state && part->size)
        memcpy(s->state, s->inner->state, part->size);
    return part->init ? part->init(s->state, site, err) : ES_OK;
}

static void free_fini(void *self)
{
    const free_timing *s = self;
    if (s->state && s->inner->part->fini)
        s->inner->part->fini(s->state);
}

static es_cost free_cost(void *self, const es_op *op)
{
    const free_timing *s = self;
    if (s->kinds >> op->kind & 1)
        return (es_cost){0, 0};
    return ((const es_timing *)(const void *)s->inner->part)->cost(s->state, op);
}

/* `row`, a timing, becomes one that charges nothing for `kinds`. */
static bool free_wrap(es_arena *arena, es_plan_part *row, unsigned kinds)
{
    es_plan_part *inner = ES_NEW(arena, es_plan_part);
    es_timing *timing = ES_NEW(arena, es_timing);
    free_timing *state = ES_NEW(arena, free_timing);
    if (!inner || !timing || !state)
        return false;
    *inner = *row;
    *state = (free_timing){.inner = inner, .kinds = kinds};
    *timing = (es_timing){.part = {.abi = ES_ABI, .name = row->part->name, .size = sizeof *state, .flags = row->part->flags, .init = free_init, .fini = free_fini},
        .cost = free_cost};
    row->part = &timing->part;
    row->state = state;
    return true;
}

/* ---- one thing ---- */

typedef struct free_thing {     /* what is free, and what then is another plan */
    const char *name, *says;    /* "pcie", "copies over pcie took no time" */
    es_plan plan;
} free_thing;

typedef struct free_list {
    explain *x;
    es_json *out;
    es_err *err;
    es_code code;
} free_list;

static es_code free_nomem(free_list *list)
{
    return list->code = es_err_nomem(list->err, "an explanation");
}

static es_plan_channel *free_channels(free_list *list, es_plan *plan)
{
    es_plan_channel *channels = ES_NEW_ARRAY(&list->x->arena, plan->channel_count + 1, es_plan_channel);
    if (!channels) {
        free_nomem(list);
        return NULL;
    }
    memcpy(channels, plan->channels, plan->channel_count * sizeof *channels);
    plan->channels = channels;
    return channels;
}

static es_plan_tier *free_tiers(free_list *list, es_plan *plan)
{
    es_plan_tier *tiers = ES_NEW_ARRAY(&list->x->arena, plan->tier_count, es_plan_tier);
    if (!tiers) {
        free_nomem(list);
        return NULL;
    }
    memcpy(tiers, plan->tiers, plan->tier_count * sizeof *tiers);
    plan->tiers = tiers;
    return tiers;
}

/* Runs it and puts it into the list. What cannot run so is left out: a machine may need what it has. */
static void free_try(free_list *list, const free_thing *thing)
{
    explain *x = list->x;
    explain_ran ran;
    es_err why = {0};
    if (list->code)
        return;
    es_json *row = cJSON_CreateObject();
    es_json_add_text(row, "free", thing->name);
    es_json_add_text(row, "says", thing->says);
    const es_code code = explain_run(&thing->plan, x->progress, &ran, NULL, &why);
    const double before = explain_time(x, &x->ran), after = explain_time(x, &ran);
    const double gain = code == ES_OK && after > 0.0 ? before / after : 0.0;
    es_json_add_real(row, "time_s", code == ES_OK ? after : (double)NAN);
    es_json_add_real(row, "saved_s", code == ES_OK ? before - after : (double)NAN);
    es_json_add_real(row, "speedup", gain > 0.0 ? gain : (double)NAN);
    if (code)
        es_json_add_text(row, "reason", why.text);
    if (!cJSON_AddItemToArray(list->out, row)) {
        cJSON_Delete(row);
        free_nomem(list);
    }
}

/* A timing of the channel charges nothing for these operations. */
static void free_channel(free_list *list, size_t channel, unsigned kinds, const char *name, const char *says)
{
    free_thing thing = {.name = name, .says = says, .plan = *list->x->plan};
    es_plan_channel *channels = list->code == ES_OK && thing.plan.channels[channel].timing.part ? free_channels(list, &thing.plan) : NULL;
    if (!channels)
        return;
    if (free_wrap(&list->x->arena, &channels[channel].timing, kinds))
        free_try(list, &thing);
    else
        free_nomem(list);
}

/* ---- what there is ---- */

/* Does anything of the run's time, or of its chain, stand under this? */
static bool free_took(const explain *x, const char *path)
{
    char whole[256];
    static const char *const groups[] = {"causes", "path"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        snprintf(whole, sizeof whole, "attribution.%s%s.%s", x->decodes ? "decode_" : "", groups[i], path);
        const es_json *there = es_json_at(x->report, whole), *one;
        if (explain_number(x->report, whole) > 0.0)
            return true;
        cJSON_ArrayForEach(one, there) if (one->valuedouble > 0.0) return true;
    }
    return false;
}

static void free_copies(free_list *list)
{
    const explain *x = list->x;
    for (size_t c = 0; c < x->plan->channel_count; c++) {
        const char *name = x->plan->channels[c].name;
        char wait[160], copy[160], says[192];
        snprintf(wait, sizeof wait, "wait.%.140s", name);
        snprintf(copy, sizeof copy, "copy.%.140s", name);
        snprintf(says, sizeof says, "copies over %.140s took no time", name);
        if (free_took(x, wait) || free_took(x, copy))
            free_channel(list, c, 1u << ES_OP_COPY | 1u << ES_OP_READ | 1u << ES_OP_WRITE, name, says);
    }
}

/* The channel that is the compute unit of the tier demands hit in, or of another; channel_count: there is none. */
static size_t free_unit(const es_plan *plan, bool serving)
{
    const char *first = NULL, *unit = NULL;
    for (size_t t = 0; t < plan->tier_count; t++) {
        if (!plan->tiers[t].compute)
            continue;
        const bool serves = !first && !(plan->tiers[t].home && plan->tier_count > 1);
        if (serves)
            first = plan->tiers[t].compute;
        else if (!first || strcmp(plan->tiers[t].compute, first) != 0)
            unit = plan->tiers[t].compute;
    }
    const char *wanted = serving ? first : unit;
    size_t c = 0;
    while (c < plan->channel_count && !(wanted && strcmp(plan->channels[c].name, wanted) == 0))
        c++;
    return c;
}

static void free_compute(free_list *list)
{
    static const struct { const char *cause, *says; unsigned kinds; bool serving; } rows[] = {
        {"dense", "dense layers took no time", 1u << ES_OP_DENSE, true},
        {"expert_gpu", "experts on the gpu took no time", 1u << ES_OP_EXPERT | 1u << ES_OP_UPDATE, true},
        {"expert_cpu", "experts on the host took no time", 1u << ES_OP_EXPERT | 1u << ES_OP_UPDATE, false},
        {"predict", "asking the predictor took no time", 1u << ES_OP_PREDICT, true},
        {"lookup", "looking experts up took no time", 1u << ES_OP_LOOKUP, true},
        {"evict", "evictions took no time", 1u << ES_OP_EVICT, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t channel = free_unit(list->x->plan, rows[i].serving);
        if (channel < list->x->plan->channel_count && free_took(list->x, rows[i].cause))
            free_channel(list, channel, rows[i].kinds, rows[i].cause, rows[i].says);
    }
}

static void free_guesses(free_list *list)
{
    free_thing thing = {.name = "no_prefetch", .says = "nothing were prefetched", .plan = *list->x->plan};
    const es_part *predictor = thing.plan.predictor.part;
    if (!predictor || strcmp(predictor->name, "none") == 0)
        return;
    thing.plan.predictor = (es_plan_part){0};
    thing.plan.compute.guess_cost = ES_GUESS_LINK;
    free_try(list, &thing);
    if (list->x->plan->compute.guess_cost == ES_GUESS_FREE)
        return;
    thing = (free_thing){.name = "guesses", .says = "copies of guesses took no time", .plan = *list->x->plan};
    thing.plan.compute.guess_cost = ES_GUESS_FREE;
    free_try(list, &thing);
}

/* Costs that tiers have: reading in place, moving inside, getting memory. */
static void free_tier_costs(free_list *list)
{
    static const struct { const char *cause, *says; size_t offset; } rows[] = {
        {"access", "reading experts from their tier took no time", offsetof(es_plan_tier, access)},
        {"move", "moving copies inside a tier took no time", offsetof(es_plan_tier, moves)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        free_thing thing = {.name = rows[i].cause, .says = rows[i].says, .plan = *list->x->plan};
        es_plan_tier *tiers = list->code == ES_OK && free_took(list->x, rows[i].cause) ? free_tiers(list, &thing.plan) : NULL;
        if (!tiers)
            continue;
        for (size_t t = 0; t < thing.plan.tier_count; t++)
            memset((char *)&tiers[t] + rows[i].offset, 0, sizeof(es_plan_part));
        free_try(list, &thing);
    }
}

static bool free_trains(const es_plan *plan)
{
    const int steps = plan->training.steps;
    return steps == ES_TRAIN_ALL || (steps == ES_TRAIN_AS_TRACED && plan->source->info(plan->source_state)->has_training);
}

/* Victims leave at once. Where steps train what was changed would be lost: there the channels say what writing costs. */
static void free_writes(free_list *list)
{
    free_thing thing = {.name = "write_back", .says = "nothing were written back", .plan = *list->x->plan};
    bool any = false;
    for (size_t t = 0; t < thing.plan.tier_count; t++)
        any |= thing.plan.tiers[t].write_back != ES_WRITE_NEVER && thing.plan.tiers[t].demote;
    es_plan_tier *tiers = any && !free_trains(&thing.plan) && list->code == ES_OK ? free_tiers(list, &thing.plan) : NULL;
    if (!tiers)
        return;
    for (size_t t = 0; t < thing.plan.tier_count; t++) {
        tiers[t].write_back = ES_WRITE_NEVER;
        tiers[t].write_buffer = NULL;
        tiers[t].write_through = false;
        tiers[t].write_every = 0;
    }
    free_try(list, &thing);
}

/* ---- a trace of buffers ---- */

static void free_memory(free_list *list)
{
    static const struct { const char *cause, *says; unsigned kinds; } rows[] = {
        {"allocate", "getting memory took no time", 1u << ES_OP_ALLOC | 1u << ES_OP_ALLOC_DEVICE | 1u << ES_OP_ALLOC_HOST | 1u << ES_OP_HEAP},
        {"resident", "making buffers resident took no time", 1u << ES_OP_ACCESS},
        {"compact", "moving buffers took no time", 1u << ES_OP_MOVE},
    };
    char path[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        free_thing thing = {.name = rows[i].cause, .says = rows[i].says, .plan = *list->x->plan};
        snprintf(path, sizeof path, "time.attribution.%s", rows[i].cause);
        es_plan_tier *tiers = list->code == ES_OK && explain_number(list->x->report, path) > 0.0 ? free_tiers(list, &thing.plan) : NULL;
        for (size_t t = 0; tiers && t < thing.plan.tier_count && list->code == ES_OK; t++)
            if (tiers[t].allocation.part && !free_wrap(&list->x->arena, &tiers[t].allocation, rows[i].kinds))
                free_nomem(list);
        if (tiers)
            free_try(list, &thing);
    }
}

es_code explain_what_if(explain *x, es_json *out, es_err *err)
{
    free_list list = {.x = x, .out = cJSON_CreateArray(), .err = err};
    if (!list.out)
        return free_nomem(&list);
    if (x->plan->buffers) {
        free_memory(&list);
    } else {
        free_copies(&list);
        free_compute(&list);
        free_guesses(&list);
        free_writes(&list);
        free_tier_costs(&list);
    }
    explain_sorted(out, "what_if", list.out, "saved_s");
    return list.code;
}
