/* Knobs: the options marked tunable of the run's parts and of the core (compute, the share of each tier), by their path in the config,
 * and the one way to turn them: inside their bounds, told to everybody. Observers see them as they stand (view->dial). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/core/core.h"

static void knob_write(const es_option *option, void *field, double value)
{
    switch (option->type) {
    case ES_OPT_BOOL:
        *(bool *)field = value != 0.0;
        break;
    case ES_OPT_ENUM:
        *(int *)field = (int)value;
        break;
    case ES_OPT_INT:
    case ES_OPT_TIME:
    case ES_OPT_BYTES:
        *(int64_t *)field = (int64_t)value;
        break;
    default:
        *(double *)field = value;
    }
}

static bool knob_whole(const es_option *option)
{
    return option->type != ES_OPT_REAL && option->type != ES_OPT_RATE;
}

/* The least and the most of an option that may be turned; false: it has no bounds, or is no number at all. */
static bool knob_bounds(const es_option *option, double *least, double *most)
{
    *least = option->min;
    *most = option->max;
    switch (option->type) {
    case ES_OPT_BOOL:
        *least = 0.0;
        *most = 1.0;
        return true;
    case ES_OPT_ENUM:
        *least = 0.0;
        for (*most = -1.0; option->choices[(size_t)(*most + 1.0)];)
            *most += 1.0;
        return true;
    case ES_OPT_TEXT:
    case ES_OPT_REALS:
    case ES_OPT_JSON:
        return false;
    default:
        return option->min < option->max;
    }
}

static double knobs_get(const es_knobs *knobs, size_t i)
{
    const es_run *run = knobs->core;
    return es_knob_read(knobs->knob[i].option, run->dial[i].field);
}

static double knobs_set(const es_knobs *knobs, size_t i, double value)
{
    es_run *run = knobs->core;
    es_dial *dial = &run->dial[i];
    const es_option *option = knobs->knob[i].option;
    double least, most, from = es_knob_read(option, dial->field);
    if (isnan(value) || !knob_bounds(option, &least, &most))
        return from;
    if (knob_whole(option))
        value = round(value);
    value = value < least ? least : value > most ? most : value;
    if (value == from)
        return from;
    knob_write(option, dial->field, value);
    dial->turns++;
    run->resizing |= dial->resizes;
    es_assemble_conclude(run);
    es_channels_unblock(run);               /* who waits for room may be answered otherwise now */
    es_turn turn = {knobs->knob[i].path, option, from, value};
    if (es_bus_heard(run, ES_FACT_TURN))
        es_bus_deliver(run, &(es_fact){.kind = ES_FACT_TURN, .at = run->now, .since = run->now, .from = ES_NO_TIER, .to = ES_NO_TIER, .channel = ES_NONE,
            .step = run->composer.steps ? run->composer.steps - 1 : 0, .turn = &turn});
    return value;
}

static const char *knobs_path(es_run *run, const char *part, const char *option)
{
    size_t room = strlen(part) + strlen(option) + 2;
    char *path = ES_NEW_ARRAY(&run->arena, room, char);
    if (path)
        snprintf(path, room, "%s.%s", part, option);
    return path;
}

static es_code knobs_add(es_run *run, const char *path, const char *owner, const es_option *option, void *field, es_err *err)
{
    double least, most;
    size_t i = run->knobs.count++;
    es_knob *knob = &run->knob[i];
    *knob = (es_knob){knobs_path(run, path, option->name), option};
    ES_NEED(knob->path, "a knob");
    if (!knob_bounds(option, &least, &most))
        return es_err_set(err, ES_EINTERNAL, "%s: option %s of part %s is tunable but has no bounds", path, option->name, owner);
    run->dial[i] = (es_dial){.field = field, .first = es_knob_read(option, field)};
    run->dial_view[i] = (es_dial_view){knob->path, option, field};
    run->view.dials = (uint32_t)run->knobs.count;
    return ES_OK;
}

static size_t knobs_count(const es_option *option)
{
    size_t count = 0;
    for (; option && option->name; option++)
        count += option->tunable;
    return count;
}

/* The tunable ones among the options of what stands at `path`. */
static es_code knobs_rows(es_run *run, const char *path, const char *owner, const es_option *option, void *state, es_err *err)
{
    es_code code = ES_OK;
    for (; option && option->name && code == ES_OK; option++)
        if (option->tunable)
            code = knobs_add(run, path, owner, option, (char *)state + option->offset, err);
    return code;
}

/* What is not a part's: which guesses are fetched, and how much of each tier experts may take. */
static es_code knobs_core(es_run *run, es_err *err)
{
    const es_option *share = es_options_find(es_tier_options, "share");
    es_code code = run->predictor ? knobs_rows(run, "compute", "compute", es_compute_options, &run->compute, err) : ES_OK;
    for (uint32_t t = 0; t < run->tiers && code == ES_OK; t++) {
        es_tier *tier = &run->tier[t];
        if (tier->home || tier->ground)     /* what is laid out does not shrink */
            continue;
        const char *path = knobs_path(run, "tiers", tier->name);
        ES_NEED(path, "a knob");
        code = knobs_add(run, path, tier->name, share, &tier->share, err);
        run->dial[run->knobs.count - 1].resizes = true;
    }
    return code;
}

es_code es_knobs_open(es_run *run, es_err *err)
{
    size_t count = run->tiers + knobs_count(es_compute_options);
    es_code code = ES_OK;
    for (const es_placed *p = run->placed; p; p = p->next)
        count += knobs_count(p->part->options);
    run->knob = ES_NEW_ARRAY(&run->arena, count, es_knob);
    run->dial = ES_NEW_ARRAY(&run->arena, count, es_dial);
    run->dial_view = ES_NEW_ARRAY(&run->arena, count, es_dial_view);
    ES_NEED(run->knob && run->dial && run->dial_view, "knobs");
    run->view.dial = run->dial_view;
    run->knobs = (es_knobs){.knob = run->knob, .get = knobs_get, .set = knobs_set, .core = run};
    for (const es_placed *p = run->placed; p && code == ES_OK; p = p->next)
        code = knobs_rows(run, p->path, p->part->name, p->part->options, p->self, err);
    return code == ES_OK ? knobs_core(run, err) : code;
}

void es_knobs_step(es_run *run)
{
    run->view.now = run->now;
    for (const es_placed *p = run->placed; p; p = p->next)
        if (p->tuner && p->tuner->step)
            p->tuner->step(p->self, run->composer.steps - 1, &run->knobs);
    if (run->resizing)
        es_resize(run);
}

/* Paths hold dots, so they are names of members as they are, not places in a tree. */
void es_knobs_report(const es_run *run, es_json *out)
{
    es_json *knobs = run->tuners ? es_json_add_object(out, "knobs") : NULL;
    for (size_t i = 0; knobs && i < run->knobs.count; i++) {
        es_json *one = es_json_add_object(knobs, run->knobs.knob[i].path);
        if (!one)
            return;
        es_json_add_int(one, "turns", (int64_t)run->dial[i].turns);
        es_json_add_real(one, "first", run->dial[i].first);
        es_json_add_real(one, "last", knobs_get(&run->knobs, i));
    }
}
