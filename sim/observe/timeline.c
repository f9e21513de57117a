/* Timeline: the run as Chrome trace-event JSON for ui.perfetto.dev: what each unit and channel did when, why, and what waited for it.
 *
 *   steps               each with its layers; a layer's arguments say what its gate found
 *   GPU, CPU            dense parts, experts, and what else the units do
 *   stalls              compute waits for weights (for what, over which channel), or for the host
 *   memory management   lookups, evictions, copies that an allocator moves, where they cost time
 *   CHANNEL lane N      copies, or chunks of them. Cause: demand, prefetch, late (a prefetch that was demanded on its way), write-back
 *   counters            experts in each tier; copies that wait for each channel, and bytes on their way over it
 *   arrows              from the gate (where a guess was made, from there) to the copy, over its hops, to the compute of its expert
 *
 * Slices of GPU, stalls and memory management tile every step: none overlap, nothing is missing. Those of a channel add up to its
 * channels.NAME.busy_s, unless others slow it. */
#include <stdio.h>
#include <string.h>

#include "sim/observe/observe.h"
#include "sim/observe/timeline_draw.h"

typedef struct timeline_flight {    /* a copy into a tier, as far as it is under way */
    es_time since, due;
    uint16_t channel, lane, from;
    bool here;                  /* on a lane; else between chunks, or not at all */
    bool going;                 /* an earlier chunk has arrived */
    bool guessed, late;         /* it began as a guess; and was wanted since */
} timeline_flight;

typedef struct timeline_brought {   /* the copy that brought an object, for the arrow from there */
    es_time at;
    uint32_t track, to;
    bool drawn;                 /* it can be pointed from, and was not yet */
} timeline_brought;

typedef struct timeline {
    const char *path, *asked;
    int64_t limit;
    const es_view *view;
    drawing draw;
    timeline_flight *flight;    /* [tiers][objects] */
    timeline_brought *brought;  /* [objects] */
    uint32_t *residency, *waiting, *moving; /* counters of [tiers], [channels] */
    int64_t *bytes;             /* [channels] on their way */
    es_time now, from;          /* from: the layer at hand begins here */
    es_time end;
    bool ended;
} timeline;

enum { TIMELINE_AHEAD = ES_HEARS(ES_FACT_COMPUTE) | ES_HEARS(ES_FACT_CHARGE) | ES_HEARS(ES_FACT_DEPART) };  /* told before they have ended */

static const es_option timeline_options[] = {
    {.name = "path", .type = ES_OPT_TEXT, .offset = offsetof(timeline, path), .required = true, .help = "File to write; compressed when its name ends in .gz."},
    {.name = "window", .type = ES_OPT_TEXT, .offset = offsetof(timeline, asked), .def_text = "",
        .help = "What of the run: \"1ms..3ms\" of simulated time, \"steps=100..120\", \"tokens=500..510\" or \"requests=3\"; absent: all of it."},
    {.name = "limit", .type = ES_OPT_BYTES, .offset = offsetof(timeline, limit), .def = 50e6, .min = 1e5, .max = 1e12,
        .help = "Most bytes before they are compressed; what begins after they are used up is left out, and the result says so."},
    {0},
};

/* ---- opening ---- */

static void timeline_counters(timeline *s)
{
    const es_view *view = s->view;
    for (uint32_t t = 0; t < view->tiers; t++)
        if (!view->tier[t].home)
            s->residency[t] = drawing_counter_add(&s->draw, "residency", view->tier[t].name, "experts");
    for (uint32_t c = 0; c < view->channels; c++)
        if (!view->channel[c].compute) {
            s->waiting[c] = drawing_counter_add(&s->draw, "queue", view->channel[c].name, "copies");
            s->moving[c] = drawing_counter_add(&s->draw, "in flight", view->channel[c].name, "bytes");
        }
}

static es_code timeline_init(void *self, const es_site *site, es_err *err)
{
    timeline *s = self;
    const es_view *view = s->view = site->view;
    if (!view->timed)
        return es_err_set(err, ES_EINPUT, "a timeline needs a clock; set clock to \"simulated\"");
    es_code code = window_parse(&s->draw.window, s->asked, err);
    if (code)
        return code;
    s->flight = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->objects, timeline_flight);
    s->brought = ES_NEW_ARRAY(site->arena, view->objects, timeline_brought);
    s->residency = ES_NEW_ARRAY(site->arena, view->tiers, uint32_t);
    s->waiting = ES_NEW_ARRAY(site->arena, view->channels, uint32_t);
    s->moving = ES_NEW_ARRAY(site->arena, view->channels, uint32_t);
    s->bytes = ES_NEW_ARRAY(site->arena, view->channels, int64_t);
    if (!s->flight || !s->brought || !s->residency || !s->waiting || !s->moving || !s->bytes)
        return es_err_nomem(err, "a timeline");
    s->draw.limit = s->limit;
    code = drawing_begin(&s->draw, view, s->path, site->arena, view->tiers + 2 * view->channels, err);
    if (code == ES_OK)
        timeline_counters(s);
    return code;
}

static timeline_flight *timeline_flight_of(timeline *s, uint32_t tier, es_oid object)
{
    return &s->flight[(size_t)tier * s->view->objects + object];
}

/* ---- steps and layers ---- */

static void timeline_step(timeline *s, const es_fact *fact)
{
    static const char *const keys[] = {"tokens", "request", NULL};
    drawing_frame frame = {.at = fact->at, .keys = keys, .args = {fact->count, fact->to}};
    snprintf(frame.name, sizeof frame.name, "step %llu%s", (unsigned long long)fact->step, fact->from == ES_DECODE ? "" : " prefill");
    window_step(&s->draw.window, fact);
    s->from = fact->at;
    drawing_tick(&s->draw, fact->at);
    drawing_frame_begin(&s->draw, 0, &frame, fact->at);
}

/* What is wanted and was on its way as a guess is late. */
static void timeline_late(timeline *s, const es_event *event)
{
    for (uint32_t i = 0; i < event->count; i++)
        for (uint32_t t = 0; t < s->view->tiers && !es_mask_has(event->hit, event->list[i]); t++) {
            timeline_flight *f = timeline_flight_of(s, t, event->base + event->list[i]);
            f->late = (f->here || f->going) && f->guessed;
        }
}

static void timeline_use(timeline *s, const es_event *event)
{
    static const char *const keys[] = {"wanted", "hits", "late", "misses", "tokens", NULL};
    drawing_frame frame = {.at = s->from, .keys = keys,
        .args = {event->count, event->hits, event->late, (int64_t)event->count - event->hits - event->late, event->tokens}};
    snprintf(frame.name, sizeof frame.name, "layer %u%s", s->view->layer_number[event->layer], event->backward ? " back" : "");
    timeline_late(s, event);
    drawing_frame_begin(&s->draw, 1, &frame, s->now);
}

static void timeline_release(timeline *s)
{
    s->from = s->now;
    drawing_frame_end(&s->draw, 1, s->from);
}

static void timeline_step_end(timeline *s)
{
    drawing_frame_end(&s->draw, 0, s->now);
    window_step_end(&s->draw.window, s->now);
}

/* ---- compute ---- */

static void timeline_compute(timeline *s, const es_fact *fact)
{
    const es_oid object = fact->objects[0];
    const uint32_t track = fact->channel == s->view->gpu ? DRAWING_GPU : DRAWING_CPU;
    char name[DRAWING_NAME] = "dense";
    if (object != ES_NO_OBJECT)
        drawing_name(s->view, "expert", object, name);
    if (!drawing_slice(&s->draw, track, object == ES_NO_OBJECT ? "dense" : "expert", fact->since, fact->at, name))
        return;
    if (object != ES_NO_OBJECT)
        drawing_object(&s->draw, object);
    es_perfetto_end(s->draw.out);
    if (object == ES_NO_OBJECT || track != DRAWING_GPU || !s->brought[object].drawn)
        return;
    s->brought[object].drawn = false;
    if (s->view->tier[s->brought[object].to].serving)
        drawing_arrow(&s->draw, "use", s->brought[object].track, s->brought[object].at, track, fact->since);
}

static void timeline_stall(timeline *s, const es_fact *fact)
{
    const bool known = fact->channel < s->view->channels, one = fact->objects[0] < s->view->objects;
    char name[DRAWING_NAME];
    snprintf(name, sizeof name, "wait for %.38s", known ? s->view->channel[fact->channel].name : "copies");
    if (!drawing_slice(&s->draw, DRAWING_STALLS, "stall", fact->since, fact->at, name))
        return;
    if (one)
        drawing_object(&s->draw, fact->objects[0]);
    es_perfetto_end(s->draw.out);
}

static void timeline_charge(timeline *s, const es_fact *fact)
{
    static const struct { const char *name; uint32_t track; } charges[ES_CHARGES] = {
        [ES_CHARGED_ACCESS] = {"access", DRAWING_GPU}, [ES_CHARGED_LOOKUP] = {"lookup", DRAWING_MEMORY}, [ES_CHARGED_EVICT] = {"evict", DRAWING_MEMORY},
        [ES_CHARGED_MOVE] = {"defragment", DRAWING_MEMORY}, [ES_CHARGED_PREDICT] = {"predict", DRAWING_GPU},
        [ES_CHARGED_HOST] = {"wait for the host", DRAWING_STALLS},
    };
    if (drawing_slice(&s->draw, charges[fact->count].track, "charge", fact->since, fact->at, charges[fact->count].name))
        es_perfetto_end(s->draw.out);
}

/* ---- copies ---- */

static void timeline_moving(timeline *s, uint32_t channel, int64_t bytes)
{
    s->bytes[channel] += bytes;
    drawing_count(&s->draw, s->moving[channel], s->bytes[channel]);
}

static void timeline_depart(timeline *s, const es_fact *fact)
{
    const uint32_t lane = drawing_lane_take(&s->draw, fact->channel, fact->count, fact->bytes);
    for (uint32_t i = 0; i < fact->count; i++) {
        timeline_flight *f = timeline_flight_of(s, fact->to, fact->objects[i]);
        f->since = fact->since;
        f->due = fact->at;
        f->channel = (uint16_t)fact->channel;
        f->lane = (uint16_t)lane;
        f->from = (uint16_t)fact->from;
        f->here = true;
        f->guessed |= fact->why == ES_GUESS;
    }
    timeline_moving(s, fact->channel, fact->bytes);
}

static const char *timeline_cause(const timeline_flight *f, es_why begun)
{
    if (f->late)
        return "late";
    return begun == ES_GUESS ? "prefetch" : begun == ES_DEMOTE ? "write-back" : "demand";
}

static bool timeline_copy_slice(timeline *s, const timeline_flight *f, const es_fact *fact, uint32_t track, es_time since, const char *cause)
{
    char name[DRAWING_NAME];
    drawing_name(s->view, cause, fact->objects[0], name);
    if (!drawing_slice(&s->draw, track, cause, since, fact->at, name))
        return false;
    drawing_object(&s->draw, fact->objects[0]);
    es_perfetto_text(s->draw.out, "from", s->view->tier[f->from].name);
    es_perfetto_text(s->draw.out, "to", s->view->tier[fact->to].name);
    es_perfetto_int(s->draw.out, "bytes", fact->bytes);
    return true;
}

/* From where it was decided: the copy that brought it one tier nearer, else the layer in which it was asked for. */
static void timeline_copy_arrow(timeline *s, const timeline_flight *f, const es_fact *fact, uint32_t track, es_time since)
{
    const timeline_brought *before = &s->brought[fact->objects[0]];
    if (fact->copy->begun == ES_DEMOTE || f->going || fact->at == since)
        return;
    if (before->drawn && before->to == f->from)
        drawing_arrow(&s->draw, "hop", before->track, before->at, track, since);
    else if (drawing_has_step(&s->draw, fact->copy->asked))
        drawing_arrow(&s->draw, fact->copy->begun == ES_GUESS ? "guess" : "gate", DRAWING_STEPS, fact->copy->asked, track, since);
}

static void timeline_copy(timeline *s, const es_fact *fact)
{
    const es_oid object = fact->objects[0];
    timeline_flight *f = timeline_flight_of(s, fact->to, object);
    drawing_lane *lane = &s->draw.lane[(size_t)fact->channel * DRAWING_LANES + f->lane % DRAWING_LANES];
    timeline_moving(s, fact->channel, -fact->bytes);
    if (f->lane == DRAWING_LANES) {
        s->draw.left_out++;
        s->brought[object].drawn = false;
    } else {
        const uint32_t track = drawing_lane_track(&s->draw, fact->channel, f->lane);
        const es_time since = fact->since > lane->drawn ? fact->since : lane->drawn;    /* those of a batch move one behind another */
        const bool drawn = timeline_copy_slice(s, f, fact, track, since, timeline_cause(f, fact->copy->begun));
        if (drawn) {
            es_perfetto_int(s->draw.out, "queued_ns", fact->since - fact->copy->asked);
            if (fact->copy->alone != fact->at - fact->since)
                es_perfetto_int(s->draw.out, "alone_ns", fact->copy->alone);
            es_perfetto_end(s->draw.out);
            timeline_copy_arrow(s, f, fact, track, since);
        }
        lane->drawn = fact->at;
        lane->flights--;
        lane->bytes -= fact->bytes;
        if (fact->copy->begun != ES_DEMOTE)
            s->brought[object] = (timeline_brought){since, track, fact->to, drawn && fact->at > since};
    }
    f->here = false;
    f->going = !fact->copy->last;
    if (fact->copy->last)
        f->guessed = f->late = false;
}

/* What is on its way when the run ends, as if it came undisturbed: one slice for all that is left of a batch. */
static void timeline_unfinished(timeline *s, uint32_t tier, es_oid object)
{
    const timeline_flight *f = timeline_flight_of(s, tier, object);
    drawing_lane *lane = &s->draw.lane[(size_t)f->channel * DRAWING_LANES + f->lane % DRAWING_LANES];
    if (!f->here || f->lane == DRAWING_LANES || lane->flights == 0)
        return;
    const es_time since = f->since > lane->drawn ? f->since : lane->drawn;
    const es_fact fact = {.objects = &object, .to = tier, .at = f->due, .bytes = lane->bytes};
    if (timeline_copy_slice(s, f, &fact, drawing_lane_track(&s->draw, f->channel, f->lane), since, f->guessed ? "prefetch" : "demand")) {
        es_perfetto_int(s->draw.out, "unfinished", lane->flights);
        es_perfetto_end(s->draw.out);
    }
    lane->flights = 0;
}

/* ---- tiers ---- */

static void timeline_resident(timeline *s, uint32_t tier)
{
    const es_view *view = s->view;
    int64_t count = 0;
    if (tier >= view->tiers || view->tier[tier].home)
        return;
    for (uint32_t w = 0; w < view->words; w++)
        count += __builtin_popcountll(view->tier[tier].resident[w]);
    drawing_count(&s->draw, s->residency[tier], count);
}

static void timeline_leave(timeline *s, const es_fact *fact)
{
    for (uint32_t i = 0; i < fact->count && fact->why != ES_TOUCH; i++) {
        char name[DRAWING_NAME];
        drawing_name(s->view, fact->to == ES_NO_TIER ? "evict" : "demote", fact->objects[i], name);
        if (!drawing_slice(&s->draw, DRAWING_TIERS, "evict", s->now, s->now, name))
            continue;
        drawing_object(&s->draw, fact->objects[i]);
        es_perfetto_text(s->draw.out, "from", s->view->tier[fact->from].name);
        if (fact->to != ES_NO_TIER)
            es_perfetto_text(s->draw.out, "to", s->view->tier[fact->to].name);
        es_perfetto_end(s->draw.out);
    }
}

static void timeline_initial(timeline *s, const es_fact *fact)
{
    if (fact->why != ES_INITIAL || fact->count == 0 || !drawing_slice(&s->draw, DRAWING_TIERS, "initial", s->now, s->now, "initial load"))
        return;
    es_perfetto_text(s->draw.out, "to", s->view->tier[fact->to].name);
    es_perfetto_int(s->draw.out, "experts", fact->count);
    es_perfetto_int(s->draw.out, "bytes", fact->bytes);
    es_perfetto_end(s->draw.out);
}

static void timeline_cancel(timeline *s, const es_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        timeline_flight *f = timeline_flight_of(s, fact->to, fact->objects[i]);
        f->going = f->guessed = f->late = false;
    }
}

static void timeline_tiers(timeline *s, const es_fact *fact)
{
    if (fact->kind == ES_FACT_EVICT || fact->kind == ES_FACT_LEAVE_LOW)
        timeline_leave(s, fact);
    if (fact->kind == ES_FACT_START)
        timeline_initial(s, fact);
    if (fact->kind == ES_FACT_CANCEL)
        timeline_cancel(s, fact);
    if (fact->kind == ES_FACT_RESET && drawing_slice(&s->draw, DRAWING_TIERS, "reset", s->now, s->now, "caches are emptied"))
        es_perfetto_end(s->draw.out);
    for (uint32_t t = 0; t < s->view->tiers; t++)
        if (fact->kind == ES_FACT_RESET || t == fact->from || t == fact->to)
            timeline_resident(s, t);
}

/* ---- the end ---- */

static void timeline_end(timeline *s)
{
    drawing *d = &s->draw;
    s->end = s->now;
    s->ended = true;
    for (uint32_t t = 0; t < s->view->tiers; t++)
        for (es_oid object = 0; object < s->view->objects; object++)
            timeline_unfinished(s, t, object);
    drawing_tick(d, s->end + 1);
    es_perfetto_other(d->out);
    es_perfetto_text(d->out, "made_by", "expertsim " ES_VERSION);
    es_perfetto_text(d->out, "window", s->asked && *s->asked ? s->asked : "all");
    es_perfetto_int(d->out, "run_ns", s->end);
    es_perfetto_int(d->out, "cut_at_ns", d->window.cut ? d->window.closed : -1);
    es_perfetto_int(d->out, "left_out", (int64_t)d->left_out);
}

static void timeline_notify(void *self, const es_fact *fact)
{
    timeline *s = self;
    if (!s->draw.out || s->ended)
        return;
    s->now = ES_HEARS(fact->kind) & TIMELINE_AHEAD ? s->view->now : fact->at;
    if (fact->kind != ES_FACT_STEP)             /* which may open the window */
        drawing_tick(&s->draw, s->now);
    switch (fact->kind) {
    case ES_FACT_STEP: timeline_step(s, fact); break;
    case ES_FACT_USE: timeline_use(s, fact->event); break;
    case ES_FACT_RELEASE: timeline_release(s); break;
    case ES_FACT_STEP_END: timeline_step_end(s); break;
    case ES_FACT_COMPUTE: timeline_compute(s, fact); break;
    case ES_FACT_STALL: timeline_stall(s, fact); break;
    case ES_FACT_CHARGE: timeline_charge(s, fact); break;
    case ES_FACT_WAITING: drawing_count(&s->draw, s->waiting[fact->channel], fact->count); break;
    case ES_FACT_DEPART: timeline_depart(s, fact); break;
    case ES_FACT_COPY: timeline_copy(s, fact); break;
    case ES_FACT_END: timeline_end(s); break;
    default: timeline_tiers(s, fact); break;
    }
}

static void timeline_report(void *self, es_json *out)
{
    const timeline *s = self;
    const window *w = &s->draw.window;
    es_json *members = observe_object(out, "timeline");
    es_json_add_text(members, "path", s->path);
    observe_count(members, "slices", s->draw.slices);
    observe_count(members, "arrows", s->draw.arrows);
    observe_count(members, "left_out", s->draw.left_out);
    es_json_add_bool(members, "limited", w->cut);
    es_json_add_real(members, "from_s", observe_seconds(w->kind == WINDOW_TIME ? w->opened : s->draw.first_frame));
    es_json_add_real(members, "to_s", observe_seconds(w->closed < s->end ? w->closed : s->end));
}

static es_code timeline_verdict(void *self, es_err *err)
{
    timeline *s = self;
    const bool empty = s->ended && s->draw.slices == 0;
    es_code code = es_perfetto_close(s->draw.out, s->ended && !empty, err);
    s->draw.out = NULL;
    if (code == ES_OK && empty)
        code = es_err_set(err, ES_EINPUT, "timeline: nothing of the run lies in the window \"%s\"; it takes %.9g s", s->asked, observe_seconds(s->end));
    return code;
}

static void timeline_fini(void *self)
{
    es_err ignored = {0};
    timeline_verdict(self, &ignored);
}

const es_observer es_observer_timeline = {
    .part = {
        .abi = ES_ABI,
        .name = "timeline",
        .brief = "Draws what happened when, for ui.perfetto.dev (run --timeline).",
        .options = timeline_options,
        .size = sizeof(timeline),
        .init = timeline_init,
        .notify = timeline_notify,
        .fini = timeline_fini,
        .hears = ES_HEARS(ES_FACT_STEP) | ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_RELEASE) | ES_HEARS(ES_FACT_STEP_END) | ES_HEARS(ES_FACT_COMPUTE) |
            ES_HEARS(ES_FACT_STALL) | ES_HEARS(ES_FACT_CHARGE) | ES_HEARS(ES_FACT_WAITING) | ES_HEARS(ES_FACT_DEPART) | ES_HEARS(ES_FACT_COPY) |
            ES_HEARS(ES_FACT_START) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_LAND) | ES_HEARS(ES_FACT_EVICT) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
            ES_HEARS(ES_FACT_OUTBOUND) | ES_HEARS(ES_FACT_RECALL) | ES_HEARS(ES_FACT_CANCEL) | ES_HEARS(ES_FACT_RESET) | ES_HEARS(ES_FACT_END),
    },
    .report = timeline_report,
    .verdict = timeline_verdict,
};
