/* Knobs: the options marked tunable of the run's parts, by their path in the config, and the one way to turn them: inside their
 * bounds, told to everybody. Built only for a run with a tuner. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/core/core.h"

static double knob_read(const es_option *option, const void *field)
{
    switch (option->type) {
    case ES_OPT_BOOL:
        return *(const bool *)field;
    case ES_OPT_ENUM:
        return *(const int *)field;
    case ES_OPT_INT:
    case ES_OPT_TIME:
    case ES_OPT_BYTES:
        return (double)*(const int64_t *)field;
    default:
        return *(const double *)field;
    }
}

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
    return knob_read(knobs->knob[i].option, run->dial[i].field);
}

static double knobs_set(const es_knobs *knobs, size_t i, double value)
{
    es_run *run = knobs->core;
    es_dial *dial = &run->dial[i];
    const es_option *option = knobs->knob[i].option;
    double least, most, from = knob_read(option, dial->field);
    if (isnan(value) || !knob_bounds(option, &least, &most))
        return from;
    if (knob_whole(option))
        value = round(value);
    value = value < least ? least : value > most ? most : value;
    if (value == from)
        return from;
    knob_write(option, dial->field, value);
    dial->turns++;
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

static es_code knobs_add(es_run *run, es_knob *knob, const es_placed *p, const es_option *option, es_err *err)
{
    double least, most;
    es_dial *dial = &run->dial[run->knobs.count++];
    *knob = (es_knob){knobs_path(run, p->path, option->name), option};
    ES_NEED(knob->path, "a knob");
    if (!knob_bounds(option, &least, &most))
        return es_err_set(err, ES_EINTERNAL, "%s: option %s of part %s is tunable but has no bounds", p->path, option->name, p->part->name);
    dial->field = (char *)p->self + option->offset;
    dial->first = knob_read(option, dial->field);
    return ES_OK;
}

es_code es_knobs_open(es_run *run, es_err *err)
{
    size_t count = 0;
    for (const es_placed *p = run->placed; p; p = p->next)
        for (const es_option *option = p->part->options; option && option->name; option++)
            count += option->tunable;
    es_knob *knob = ES_NEW_ARRAY(&run->arena, count + 1, es_knob);
    run->dial = ES_NEW_ARRAY(&run->arena, count + 1, es_dial);
    ES_NEED(knob && run->dial, "knobs");
    run->knobs = (es_knobs){.knob = knob, .get = knobs_get, .set = knobs_set, .core = run};
    for (const es_placed *p = run->placed; p; p = p->next)
        for (const es_option *option = p->part->options; option && option->name; option++) {
            es_code code = option->tunable ? knobs_add(run, &knob[run->knobs.count], p, option, err) : ES_OK;
            if (code != ES_OK)
                return code;
        }
    return ES_OK;
}

/* Paths hold dots, so they are names of members as they are, not places in a tree. */
void es_knobs_report(const es_run *run, es_json *out)
{
    es_json *knobs = run->tuner ? es_json_add_object(out, "knobs") : NULL;
    for (size_t i = 0; knobs && i < run->knobs.count; i++) {
        es_json *one = es_json_add_object(knobs, run->knobs.knob[i].path);
        if (!one)
            return;
        es_json_add_int(one, "turns", (int64_t)run->dial[i].turns);
        es_json_add_real(one, "first", run->dial[i].first);
        es_json_add_real(one, "last", knobs_get(&run->knobs, i));
    }
}
