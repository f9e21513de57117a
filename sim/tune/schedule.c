/* Schedule: one option has the values of a list, from certain steps or simulated times on.
 *
 *     {"name": "schedule", "knob": "tiers.vram.share", "points": [{"step": 0, "value": 1}, {"step": 4000, "value": 0.5}], "between": "linear"}
 *
 * takes room from the experts as the KV cache of a growing context does. Before the first point nothing is turned, behind the last its
 * value stays. Between two points the value of the earlier one stays (hold, set once), or goes evenly from one to the other (linear, set
 * at the begin of every step). Values are written as the option itself is. Points that are steps go under either clock. */
#include "sim/tune/tune.h"

#include <string.h>

typedef struct schedule_point {
    es_time at;                 /* ns, or the number of a step */
    double value;
} schedule_point;

typedef struct schedule {
    const char *knob;
    const es_json *points;
    int linear;
    const es_view *view;
    size_t turns;               /* which knob */
    bool steps;                 /* points are steps */
    schedule_point *point;
    size_t count, next;         /* points; the first that has not been reached */
} schedule;

static const char *const schedule_ways[] = {"hold", "linear", NULL};

static const es_option schedule_options[] = {
    {.name = "knob", .type = ES_OPT_TEXT, .offset = offsetof(schedule, knob), .required = true, .help = "Option to turn, for example \"tiers.vram.share\"."},
    {.name = "points", .type = ES_OPT_JSON, .offset = offsetof(schedule, points), .required = true,
        .help = "[{\"step\": 100, \"value\": 0.5}, ...] or [{\"at\": \"2s\", \"value\": 0.5}, ...], one after another."},
    {.name = "between", .type = ES_OPT_ENUM, .offset = offsetof(schedule, linear), .choices = schedule_ways,
        .help = "Between two points the earlier value stays, or it goes evenly from one to the other, step by step."},
    {0},
};

/* Steps and times as they are written in a point; those of a part of its options, so that errors are worded alike. */
typedef struct schedule_when {
    int64_t step, at;
} schedule_when;

static const es_option schedule_whens[] = {
    {.name = "step", .type = ES_OPT_INT, .offset = offsetof(schedule_when, step), .def = -1, .min = 0, .max = 1e15},
    {.name = "at", .type = ES_OPT_TIME, .offset = offsetof(schedule_when, at), .def = -1, .min = 0, .max = 9e18},
    {0},
};

/* The value, read as the option itself would be. */
static es_code schedule_value(const es_option *option, const es_json *value, es_arena *arena, double *out, es_err *err)
{
    es_option row[] = {*option, {0}};
    double field = 0.0;         /* any number, switch or choice fits */
    es_json *object = cJSON_CreateObject(), *copy = cJSON_Duplicate(value, true);
    row->offset = 0;
    row->name = "value";
    es_code code = object && copy && cJSON_AddItemToObject(object, "value", copy) ? es_options_parse(row, &field, object, NULL, arena, err)
                                                                                 : es_err_nomem(err, "a schedule");
    cJSON_Delete(object);
    *out = es_knob_read(row, &field);
    return code;
}

static es_code schedule_point_read(schedule *s, const es_json *given, const es_option *option, es_arena *arena, es_err *err)
{
    static const char *const allow[] = {"value", NULL};
    schedule_when when;
    const es_json *value = cJSON_GetObjectItemCaseSensitive(given, "value");
    if (!cJSON_IsObject(given) || !value)
        return es_err_set(err, ES_EINPUT, "needs {\"step\": number, \"value\": ...} or {\"at\": time, \"value\": ...}");
    es_code code = es_options_parse(schedule_whens, &when, given, allow, arena, err);
    if (code != ES_OK)
        return code;
    schedule_point *point = &s->point[s->count];
    if ((when.step < 0) == (when.at < 0))
        return es_err_set(err, ES_EINPUT, "needs either a step or a time `at`");
    if (s->count == 0)
        s->steps = when.step >= 0;
    else if (s->steps != (when.step >= 0))
        return es_err_set(err, ES_EINPUT, "is a %s where those before are %s; all must be alike", when.step >= 0 ? "step" : "time", s->steps ? "steps" : "times");
    point->at = s->steps ? when.step : when.at;
    if (s->count > 0 && point->at <= point[-1].at)
        return es_err_set(err, ES_EINPUT, "is not behind the point before it; they must come one after another");
    s->count++;
    return schedule_value(option, value, arena, &point->value, err);
}

static es_code schedule_init(void *self, const es_site *site, es_err *err)
{
    schedule *s = self;
    const es_json *given;
    s->view = site->view;
    es_code code = tune_knob(site->knobs, "knob", s->knob, &s->turns, err);
    if (code != ES_OK)
        return code;
    if (!cJSON_IsArray(s->points) || cJSON_GetArraySize(s->points) == 0)
        return es_err_set(err, ES_EINPUT, "points: needs a list of at least one point, such as [{\"step\": 100, \"value\": 0.5}]");
    s->point = ES_NEW_ARRAY(site->arena, cJSON_GetArraySize(s->points), schedule_point);
    if (!s->point)
        return es_err_nomem(err, "a schedule");
    int i = 0;
    cJSON_ArrayForEach(given, s->points) {
        code = schedule_point_read(s, given, site->knobs->knob[s->turns].option, site->arena, err);
        if (code != ES_OK)
            return es_err_at(err, "points.%d", i);
        i++;
    }
    if (!s->steps && !s->view->timed)
        return es_err_set(err, ES_EINPUT, "points: times need clock \"simulated\"; under clock \"none\" give steps");
    return ES_OK;
}

/* The value between the point reached last and the next. */
static double schedule_between(const schedule *s, es_time now)
{
    const schedule_point *from = &s->point[s->next - 1], *to = from + 1;
    return from->value + (to->value - from->value) * ((double)(now - from->at) / (double)(to->at - from->at));
}

static void schedule_turn(schedule *s, es_time now, bool begins, const es_knobs *knobs)
{
    const size_t before = s->next;
    while (s->next < s->count && s->point[s->next].at <= now)
        s->next++;
    if (s->next == 0)
        return;
    if (s->linear && s->next < s->count && begins)
        knobs->set(knobs, s->turns, schedule_between(s, now));
    else if (s->next > before)
        knobs->set(knobs, s->turns, s->point[s->next - 1].value);
}

static void schedule_step(void *self, uint64_t step, const es_knobs *knobs)
{
    schedule *s = self;
    schedule_turn(s, s->steps ? (es_time)step : s->view->now, true, knobs);
}

static es_time schedule_wake(void *self, es_time now)
{
    const schedule *s = self;
    size_t next = s->next;
    while (next < s->count && s->point[next].at <= now)
        next++;
    return s->steps || next == s->count ? ES_NEVER : s->point[next].at;
}

static void schedule_adjust(void *self, const es_knobs *knobs)
{
    schedule *s = self;
    if (!s->steps)
        schedule_turn(s, s->view->now, false, knobs);
}

const es_tuner es_tuner_schedule = {
    .part = {
        .abi = ES_ABI,
        .name = "schedule",
        .brief = "Gives an option listed values at listed steps or times, such as less room for experts as a KV cache grows.",
        .options = schedule_options,
        .size = sizeof(schedule),
        .init = schedule_init,
        .wake = schedule_wake,
    },
    .adjust = schedule_adjust,
    .step = schedule_step,
};
