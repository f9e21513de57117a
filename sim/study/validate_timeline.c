/* Validate's timeline: the last performance of every log beside what the model says of it, for ui.perfetto.dev: two processes for each policy
 * and mode, a track for each queue. A step begins in both at the same place, when the slower of them has ended the one before, so what
 * lies apart within it is the model's error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/perfetto.h"
#include "sim/study/validate_inside.h"

enum { SIDE_MEASURED, SIDE_SIMULATED, SIDES, SIDE_LANES = 16, SIDE_TRACKS = 1000 /* of a process: numbers of tracks are unique */ };

typedef struct side {
    uint32_t process;
    const es_action_time *row;  /* of the log; and of the other side */
    const es_action_time *other;
    const int64_t *step_ns;
    es_time lane[ES_ACTION_QUEUES][SIDE_LANES];     /* its slices end here */
    bool named[ES_ACTION_QUEUES][SIDE_LANES];
} side;

typedef struct sketch {
    es_perfetto *out;
    const es_actions *log;
    size_t first, end;          /* rows of the step at hand */
    size_t *order;              /* [end - first] of them those with a queue, by queue and start */
    size_t count;
    uint32_t *track;            /* [end - first] where each is drawn; 0: nowhere */
    es_time at;                 /* the step begins here */
    side side[SIDES];
} sketch;

/* ---- rows of a step ---- */

/* Clocks of a device may say that what began first did so before the step. */
static es_time row_start(const es_action_time *row)
{
    return row->start > 0 ? row->start : 0;
}

static es_time row_end(const es_action_time *row)
{
    return row->end > row_start(row) ? row->end : row_start(row);
}

/* Places in a small list: those of one queue stand together, in the order in which they began. */
static void sketch_sort(sketch *s, const es_action_time *row)
{
    s->count = 0;
    for (size_t i = s->first; i < s->end; i++) {
        if (s->log->at[i].op >= ES_ACTION_QUEUES)
            continue;
        size_t k = s->count++;
        for (; k > 0; k--) {
            const size_t before = s->order[k - 1];
            const int op = s->log->at[i].op, other = s->log->at[before].op;
            if (other < op || (other == op && row_start(&row[before]) <= row_start(&row[i])))
                break;
            s->order[k] = before;
        }
        s->order[k] = i;
    }
}

static uint32_t sketch_lane(sketch *s, side *d, const es_action *action, es_time start)
{
    uint32_t lane = 0;
    while (lane < SIDE_LANES && d->lane[action->op][lane] > start)
        lane++;
    if (lane == SIDE_LANES)
        return 0;
    const uint32_t track = d->process * SIDE_TRACKS + 10 + (uint32_t)action->op * SIDE_LANES + lane;
    if (!d->named[action->op][lane]) {
        char name[64];
        snprintf(name, sizeof name, lane ? "%s lane %u" : "%s", es_action_names[action->op], lane + 1);
        es_perfetto_track(s->out, d->process, track, name);
        d->named[action->op][lane] = true;
    }
    return track;
}

static void sketch_row(sketch *s, side *d, size_t i, bool measured)
{
    const es_action *action = &s->log->at[i];
    const es_time start = s->at + row_start(&d->row[i]), end = s->at + row_end(&d->row[i]);
    const uint32_t track = s->track[i - s->first] = sketch_lane(s, d, action, start);
    if (track == 0)
        return;
    d->lane[action->op][(track - d->process * SIDE_TRACKS - 10) % SIDE_LANES] = end;
    es_perfetto_begin(s->out, &(es_perfetto_event){'X', d->process, track, start, end - start, es_action_names[action->op]}, "%s %u/%u", es_action_names[action->op],
        action->layer, action->expert);
    es_perfetto_int(s->out, "row", (int64_t)i);
    es_perfetto_int(s->out, "bytes", action->bytes);
    if (action->op == ES_ACTION_GEMM)
        es_perfetto_int(s->out, "tokens", action->tokens);
    es_perfetto_int(s->out, measured ? "simulated_ns" : "measured_ns", row_end(&d->other[i]) - row_start(&d->other[i]));
    es_perfetto_end(s->out);
}

/* From what a row waited for, where that is of this step. */
static void sketch_arrows(sketch *s, const side *d, size_t i)
{
    const es_action *action = &s->log->at[i];
    for (uint8_t a = 0; a < action->afters; a++) {
        const size_t before = action->after[a];
        if (before < s->first || s->track[before - s->first] == 0 || s->track[i - s->first] == 0)
            continue;
        const es_time left = row_start(&d->row[before]), arrived = row_start(&d->row[i]);
        if (left < row_end(&d->row[before]) && left <= arrived && arrived < row_end(&d->row[i]))
            es_perfetto_arrow(s->out, d->process, "after", s->track[before - s->first], s->at + left, s->track[i - s->first], s->at + arrived);
    }
}

/* How long the step takes on this side. */
static es_time side_takes(const sketch *s, const side *d, int64_t step)
{
    es_time takes = d->step_ns[step];
    for (size_t k = 0; k < s->count; k++)
        takes = row_end(&d->row[s->order[k]]) > takes ? row_end(&d->row[s->order[k]]) : takes;
    return takes;
}

static es_time sketch_side(sketch *s, side *d, int64_t step, bool measured)
{
    sketch_sort(s, d->row);
    const es_time takes = side_takes(s, d, step);
    memset(s->track, 0, (s->end - s->first) * sizeof *s->track);
    es_perfetto_begin(s->out, &(es_perfetto_event){'X', d->process, d->process * SIDE_TRACKS + 1, s->at, takes, "step"}, "step %lld", (long long)step);
    es_perfetto_int(s->out, "step_ns", d->step_ns[step]);
    es_perfetto_end(s->out);
    for (size_t k = 0; k < s->count; k++)
        sketch_row(s, d, s->order[k], measured);
    for (size_t k = 0; k < s->count; k++)
        sketch_arrows(s, d, s->order[k]);
    return takes;
}

/* ---- a log ---- */

static void sketch_names(sketch *s, const validate_candidate *c, const char *mode)
{
    static const char *const names[SIDES] = {"measured", "simulated"};
    for (int k = 0; k < SIDES; k++) {
        char name[160];
        snprintf(name, sizeof name, "%s: %.80s, %s", names[k], c->policy, mode);
        es_perfetto_process(s->out, s->side[k].process, name);
        es_perfetto_track(s->out, s->side[k].process, s->side[k].process * SIDE_TRACKS + 1, "steps");
    }
}

/* The longest step has so many rows. */
static size_t sketch_most(const es_actions *log)
{
    size_t most = 0, first = 0;
    for (size_t i = 0; i <= log->count; i++)
        if (i == log->count || log->at[i].step != log->at[first].step) {
            most = i - first > most ? i - first : most;
            first = i;
        }
    return most;
}

/* Returns the steps that were drawn. */
static int64_t sketch_steps(sketch *s, int64_t limit)
{
    int64_t drawn = 0;
    for (s->first = 0; s->first < s->log->count; s->first = s->end) {
        const int64_t step = s->log->at[s->first].step;
        for (s->end = s->first; s->end < s->log->count && s->log->at[s->end].step == step; s->end++)
            ;
        if (step < 0)
            continue;
        if (es_perfetto_bytes(s->out) > limit)
            break;
        es_time takes = 0;
        for (int k = 0; k < SIDES; k++) {
            const es_time one = sketch_side(s, &s->side[k], step, k == SIDE_MEASURED);
            takes = one > takes ? one : takes;
        }
        s->at += takes;
        drawn++;
    }
    return drawn;
}

es_code validate_draw(es_perfetto *out, const validate_candidate *c, const char *mode, uint32_t number, int64_t limit, int64_t *drawn, es_err *err)
{
    const size_t rows = c->log.count, steps = (size_t)c->log.steps, most = sketch_most(&c->log);
    sketch *s = calloc(1, sizeof *s);
    if (!s || !(s->order = calloc(most + 1, sizeof *s->order)) || !(s->track = calloc(most + 1, sizeof *s->track))) {
        if (s)
            free(s->order);
        free(s);
        return es_err_nomem(err, "a timeline");
    }
    const es_action_time *model = c->row, *last = c->row + c->runs * rows;
    s->out = out;
    s->log = &c->log;
    s->side[SIDE_MEASURED] = (side){.process = 2 * number + 1, .row = last, .other = model, .step_ns = c->step_ns + c->runs * steps};
    s->side[SIDE_SIMULATED] = (side){.process = 2 * number + 2, .row = model, .other = last, .step_ns = c->step_ns};
    sketch_names(s, c, mode);
    *drawn = sketch_steps(s, limit);
    free(s->order);
    free(s->track);
    free(s);
    return ES_OK;
}
