/* Drawing: see timeline_draw.h. */
#include "sim/observe/timeline_draw.h"

#include <stdio.h>

es_code drawing_begin(drawing *d, const es_view *view, const char *path, es_arena *arena, uint32_t counters, es_err *err)
{
    static const struct { uint32_t track; const char *name; } tracks[] = {
        {DRAWING_STEPS, "steps"}, {DRAWING_STALLS, "stalls"}, {DRAWING_MEMORY, "memory management"}, {DRAWING_TIERS, "leaving a tier"},
    };
    d->view = view;
    d->first_frame = -1;
    d->lane = ES_NEW_ARRAY(arena, (size_t)view->channels * DRAWING_LANES, drawing_lane);
    d->counter = ES_NEW_ARRAY(arena, counters, drawing_counter);
    if (!d->lane || !d->counter)
        return es_err_nomem(err, "a timeline");
    es_code code = es_perfetto_open(&d->out, path, err);
    if (code)
        return es_err_at(err, "path"), code;
    es_perfetto_process(d->out, DRAWING_PROCESS, "simulated");
    for (size_t i = 0; i < sizeof tracks / sizeof *tracks; i++)
        es_perfetto_track(d->out, DRAWING_PROCESS, tracks[i].track, tracks[i].name);
    for (uint32_t c = 0; c < view->channels; c++)
        if (view->channel[c].compute)
            es_perfetto_track(d->out, DRAWING_PROCESS, c == view->gpu ? DRAWING_GPU : DRAWING_CPU, view->channel[c].name);
    return ES_OK;
}

/* ---- slices ---- */

/* A little is left for what has begun by now. */
static void drawing_limit(drawing *d)
{
    if (!d->window.cut && es_perfetto_bytes(d->out) > d->limit - d->limit / 16)
        window_cut(&d->window, d->latest + 1);
}

bool drawing_slice(drawing *d, uint32_t track, const char *category, es_time since, es_time at, const char *name)
{
    drawing_limit(d);
    if (!window_has(&d->window, since, at) && !window_ends(&d->window, since, at)) {
        d->left_out++;
        return false;
    }
    d->slices++;
    d->latest = since > d->latest ? since : d->latest;
    es_perfetto_begin(d->out, &(es_perfetto_event){since == at ? 'i' : 'X', DRAWING_PROCESS, track, since, at - since, category}, "%s", name);
    return true;
}

void drawing_name(const es_view *view, const char *what, es_oid object, char out[DRAWING_NAME])
{
    const uint32_t layer = view->layer_number[view->layer_of[object >> 6]], expert = es_expert_of(view, object);
    const uint32_t matrix = object % view->stride / view->slice % view->matrices;
    char cut[16] = "";
    if (view->matrices > 1)
        snprintf(cut, sizeof cut, ".%u", matrix);
    if (view->spaces == view->layers)
        snprintf(out, DRAWING_NAME, "%s %u/%u%s", what, layer, expert, cut);
    else
        snprintf(out, DRAWING_NAME, "%s %u%s", what, expert, cut);
}

void drawing_object(drawing *d, es_oid object)
{
    const es_view *view = d->view;
    if (view->spaces == view->layers)
        es_perfetto_int(d->out, "layer", view->layer_number[view->layer_of[object >> 6]]);
    es_perfetto_int(d->out, "expert", es_expert_of(view, object));
    if (view->variants > 1)
        es_perfetto_int(d->out, "bits", view->bits[object >> 6]);
}

void drawing_arrow(drawing *d, const char *name, uint32_t from, es_time left, uint32_t to, es_time arrived)
{
    d->arrows++;
    es_perfetto_arrow(d->out, DRAWING_PROCESS, name, from, left, to, arrived);
}

/* ---- steps and layers ---- */

static void frame_write(drawing *d, drawing_frame *f)
{
    f->written = true;
    d->first_frame = d->first_frame < 0 ? f->at : d->first_frame;
    d->slices++;
    d->latest = f->at > d->latest ? f->at : d->latest;
    es_perfetto_begin(d->out, &(es_perfetto_event){'B', DRAWING_PROCESS, DRAWING_STEPS, f->at, 0, NULL}, "%s", f->name);
    for (int i = 0; i < DRAWING_ARGS && f->keys[i]; i++)
        es_perfetto_int(d->out, f->keys[i], f->args[i]);
    es_perfetto_end(d->out);
}

/* Those that are open are drawn as soon as they reach into the window. */
static void frames_write(drawing *d, es_time now)
{
    for (int i = 0; i < DRAWING_FRAMES; i++)
        if (d->frame[i].open && !d->frame[i].written && window_has(&d->window, d->frame[i].at, now))
            frame_write(d, &d->frame[i]);
}

void drawing_frame_begin(drawing *d, int frame, const drawing_frame *what, es_time now)
{
    drawing_limit(d);
    d->frame[frame] = *what;
    d->frame[frame].open = true;
    frames_write(d, now);
}

void drawing_frame_end(drawing *d, int frame, es_time at)
{
    drawing_frame *f = &d->frame[frame];
    if (!f->open)
        return;
    frames_write(d, at);
    f->open = false;
    if (!f->written) {
        d->left_out++;
        return;
    }
    d->last_frame = at;
    es_perfetto_begin(d->out, &(es_perfetto_event){'E', DRAWING_PROCESS, DRAWING_STEPS, at, 0, NULL}, "%s", f->name);
    es_perfetto_end(d->out);
}

bool drawing_has_step(const drawing *d, es_time at)
{
    const drawing_frame *step = &d->frame[0];
    if (step->open && step->written && at >= step->at)
        return true;
    return window_has(&d->window, at, at) && at >= d->first_frame && at < d->last_frame;
}

/* ---- lanes ---- */

uint32_t drawing_lane_take(drawing *d, uint32_t channel, uint32_t flights, int64_t bytes)
{
    drawing_lane *lane = d->lane + (size_t)channel * DRAWING_LANES;
    uint32_t i = 0;
    while (i < DRAWING_LANES && lane[i].flights > 0)
        i++;
    if (i < DRAWING_LANES) {
        lane[i].flights = flights;
        lane[i].bytes = bytes;
    }
    return i;
}

uint32_t drawing_lane_track(drawing *d, uint32_t channel, uint32_t lane)
{
    const uint32_t track = DRAWING_CHANNELS + channel * DRAWING_LANES + lane;
    const es_channel_view *of = &d->view->channel[channel];
    drawing_lane *l = &d->lane[(size_t)channel * DRAWING_LANES + lane];
    if (!l->named) {
        char name[256];
        snprintf(name, sizeof name, lane > 0 || of->lanes > 1 ? "%.200s lane %u" : "%.200s", of->name, lane + 1);
        es_perfetto_track(d->out, DRAWING_PROCESS, track, name);
        l->named = true;
    }
    return track;
}

/* ---- counters ---- */

uint32_t drawing_counter_add(drawing *d, const char *what, const char *of, const char *key)
{
    d->counter[d->counters] = (drawing_counter){.what = what, .of = of, .key = key, .written = -1};
    return d->counters++;
}

static void counter_write(drawing *d, drawing_counter *c, es_time at)
{
    c->written = c->value;
    es_perfetto_begin(d->out, &(es_perfetto_event){'C', DRAWING_PROCESS, DRAWING_PROCESS, at, 0, NULL}, "%s %s", c->what, c->of);
    es_perfetto_int(d->out, c->key, c->value);
    es_perfetto_end(d->out);
}

static void counters_write(drawing *d, es_time at, bool all)
{
    for (uint32_t i = 0; i < d->counters; i++)
        if (all || d->counter[i].value != d->counter[i].written)
            counter_write(d, &d->counter[i], at);
}

void drawing_tick(drawing *d, es_time now)
{
    const window *w = &d->window;
    if (now > d->tick) {
        if (d->levels && window_has(w, d->tick, d->tick))
            counters_write(d, d->tick, false);
        d->levels &= d->tick < w->closed;
        d->tick = now;
        frames_write(d, now);
    }
    if (!d->levels && window_begun(w, now)) {
        if (w->opened < w->closed && now < w->closed)
            counters_write(d, w->opened, true);
        d->levels = now < w->closed;
    }
}
