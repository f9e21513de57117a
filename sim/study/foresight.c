/* Foresight: see foresight.h. */
#include "sim/study/foresight.h"

#include <string.h>

#include "sim/part/predictor.h"
#include "sim/part/registry.h"

/* A part with its defaults, of which the caller may change some. */
static es_code foresight_part(es_plan_part *out, es_kind kind, const char *name, const char *path, void **state, es_arena *arena, es_err *err)
{
    es_code code = es_part_find(kind, name, &out->part, err);
    if (code != ES_OK)
        return code;
    *state = es_arena_alloc(arena, 1, out->part->size);
    if (!*state)
        return es_err_nomem(err, "a bound");
    es_options_default(out->part->options, *state);
    out->state = *state;
    out->path = path;
    return ES_OK;
}

es_code es_foresight_belady(es_plan_part *out, es_arena *arena, es_err *err)
{
    void *state = NULL;
    *out = (es_plan_part){0};
    es_code code = foresight_part(out, ES_KIND_POLICY, "belady", "policy", &state, arena, err);
    const es_option *bypass = code == ES_OK ? es_options_find(out->part->options, "bypass") : NULL;
    if (bypass)
        *(bool *)((char *)state + bypass->offset) = true;
    return code;
}

/* Names everything that is wanted, and nothing else; or, blind to all, nothing. */
static es_code foresight_oracle(es_plan_part *out, bool sees, es_arena *arena, es_err *err)
{
    void *state = NULL;
    *out = (es_plan_part){0};
    es_code code = foresight_part(out, ES_KIND_PREDICTOR, sees ? "noisy_oracle" : "none", "predictor", &state, arena, err);
    if (!sees)
        return code;
    const es_option *accuracy = code == ES_OK ? es_options_find(out->part->options, "accuracy") : NULL;
    if (accuracy)
        *(double *)(void *)((char *)state + accuracy->offset) = 1.0;
    return code;
}

static es_code foresight_run(es_time *least_ns, const es_plan *plan, const es_progress *progress, es_err *err)
{
    es_run *run = NULL;
    es_code code = plan->source->rewind(plan->source_state, err);
    if (code == ES_OK)
        code = es_run_new(&run, plan, err);
    if (code == ES_OK)
        code = es_run_go(run, progress, err);
    if (code == ES_OK && es_run_view(run)->times->total < *least_ns)
        *least_ns = es_run_view(run)->times->total;
    es_run_free(run);
    return code;
}

/* Belady orders all tiers. Of tuners those stay that say how the machine changes; the others decide, which is Belady's part here. */
static es_code foresight_plan(es_plan *p, const es_plan *plan, es_arena *arena, es_err *err)
{
    es_plan_tier *tiers = ES_NEW_ARRAY(arena, plan->tier_count, es_plan_tier);
    es_plan_part *tuners = ES_NEW_ARRAY(arena, plan->tuner_count, es_plan_part);
    *p = *plan;
    if (!tiers || !tuners)
        return es_err_nomem(err, "a bound");
    for (size_t i = 0; i < plan->tier_count; i++) {
        tiers[i] = plan->tiers[i];
        tiers[i].policy = (es_plan_part){0};
    }
    p->tiers = tiers;
    p->tuners = tuners;
    p->tuner_count = 0;
    for (size_t i = 0; i < plan->tuner_count; i++)
        if (!strcmp(plan->tuners[i].part->name, "schedule"))
            tuners[p->tuner_count++] = plan->tuners[i];
    p->observers = NULL;
    p->observer_count = 0;
    p->compute.guess_tier = NULL;
    p->compute.guess_top = 0;
    p->compute.guess_confidence = 0.0;
    p->compute.protect_guesses = true;
    return es_foresight_belady(&p->policy, arena, err);
}

static es_code foresight_runs(es_time *least_ns, const es_plan *plan, const es_progress *progress, es_arena *arena, es_err *err)
{
    static const int64_t ahead[] = {0, 4, 16};
    es_plan p;
    es_code code = foresight_plan(&p, plan, arena, err);
    for (size_t i = 0; i < sizeof ahead / sizeof *ahead && code == ES_OK; i++) {
        code = foresight_oracle(&p.predictor, ahead[i] > 0, arena, err);
        p.compute.lookahead = ahead[i] ? ahead[i] : 1;
        if (code == ES_OK)
            code = foresight_run(least_ns, &p, progress, err);
    }
    return code;
}

es_code es_foresight_find(es_time *least_ns, const es_plan *plan, const es_progress *progress, es_err *err)
{
    es_arena arena = {0};
    *least_ns = ES_NEVER;
    es_code code = foresight_runs(least_ns, plan, progress, &arena, err);
    es_arena_free(&arena);
    return code;
}
