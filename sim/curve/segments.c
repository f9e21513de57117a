/* Segments: SRP and SCH of statistics.h, for all thresholds and all sizes in one walk.
 *
 * What both need of a window is for each p how many experts at least p of its steps use, reach[p]: a set of c experts hits the sum over p of
 * min(c, reach[p]), and a threshold takes reach[p] experts. From one window to the next few of them change, so each is written down
 * only when it does, times the windows that it stood. */
#include "sim/curve/statistics.h"

typedef struct segments_row {   /* of a layer, or of all of them together */
    uint32_t *reach;            /* [length + 1] of the window at hand; [0] is not kept */
    uint64_t *since;            /* [length + 1] window from which it is so */
    uint64_t *sum;              /* [length + 1] reach over the windows before that */
    uint64_t *spread;           /* [experts + 1] windows by reach, of all p */
    uint32_t experts;
} segments_row;

typedef struct segments {
    const es_events *events;
    uint32_t length;
    uint64_t windows;           /* that are complete */
    segments_row *row;          /* [layers + 1] the last of all together */
    uint32_t *count;            /* [layers * experts] steps of the window at hand that use it */
    uint32_t *came, *went;      /* [layers * experts] step + 1 in which it was last counted in, out */
} segments;

static inline void segments_settle(segments_row *row, uint32_t p, uint64_t windows)
{
    const uint64_t stood = windows - row->since[p];
    row->sum[p] += stood * row->reach[p];
    row->spread[row->reach[p]] += stood;
    row->since[p] = windows;
}

/* The events [from, to) of one step come into the window or leave it. */
static void segments_step(segments *s, uint32_t from, uint32_t to, bool comes)
{
    const es_events *events = s->events;
    uint32_t *seen = comes ? s->came : s->went;
    for (uint32_t e = from; e < to; e++) {
        const uint32_t layer = events->layer[e];
        segments_row *row = &s->row[layer], *whole = &s->row[events->layers];
        for (uint64_t i = events->begin[e]; i < events->begin[e + 1]; i++) {
            const size_t cell = (size_t)layer * events->experts + events->id[i];
            if (seen[cell] == events->step[e] + 1)
                continue;
            seen[cell] = events->step[e] + 1;
            const uint32_t p = comes ? ++s->count[cell] : s->count[cell]--, by = comes ? 1 : UINT32_MAX;
            segments_settle(row, p, s->windows);
            segments_settle(whole, p, s->windows);
            row->reach[p] += by;
            whole->reach[p] += by;
        }
    }
}

/* Nothing is in the window. */
static void segments_empty(segments *s)
{
    const uint32_t layers = s->events->layers;
    for (uint32_t r = 0; r <= layers; r++)
        for (uint32_t p = 1; p <= s->length; p++) {
            segments_settle(&s->row[r], p, s->windows);
            s->row[r].reach[p] = 0;
        }
    memset(s->count, 0, (size_t)layers * s->events->experts * sizeof *s->count);
}

/* The event after the last of event `e`'s step. */
static uint32_t segments_end(const es_events *events, uint32_t e)
{
    const uint32_t step = events->step[e];
    while (e < events->count && events->step[e] == step)
        e++;
    return e;
}

static void segments_walk(segments *s)
{
    const es_events *events = s->events;
    uint32_t oldest = 0, steps = 0;     /* first event and steps of the window */
    for (uint32_t e = 0, end; e < events->count; e = end) {
        end = segments_end(events, e);
        const bool counts = es_events_kind(events, e) == ES_EVENT_DECODE;
        if (steps > 0 && (!counts || events->step[e - 1] + 1 != events->step[e] || events->request[e - 1] != events->request[e])) {
            segments_empty(s);
            steps = 0;
        }
        if (!counts)
            continue;
        if (steps == 0)
            oldest = e;
        if (steps == s->length) {
            const uint32_t next = segments_end(events, oldest);
            segments_step(s, oldest, next, false);
            oldest = next;
            steps--;
        }
        segments_step(s, e, end, true);
        s->windows += ++steps == s->length;
    }
    segments_empty(s);
}

static es_code segments_make(segments *s, es_segments *out, es_arena *arena, es_err *err)
{
    const es_events *events = s->events;
    const uint32_t layers = events->layers;
    const size_t cells = (size_t)layers * events->experts, width = (size_t)s->length + 1;
    s->row = ES_NEW_ARRAY(arena, layers + 1, segments_row);
    s->count = ES_NEW_ARRAY(arena, cells, uint32_t);
    s->came = ES_NEW_ARRAY(arena, cells, uint32_t);
    s->went = ES_NEW_ARRAY(arena, cells, uint32_t);
    out->layer_srp = ES_NEW_ARRAY(arena, layers, double);
    out->hits = ES_NEW_ARRAY(arena, cells, uint64_t);
    out->layer_lookups = ES_NEW_ARRAY(arena, layers, uint64_t);
    out->layer_hits = ES_NEW_ARRAY(arena, cells, uint64_t);
    bool enough = s->row && s->count && s->came && s->went && out->layer_srp && out->hits && out->layer_lookups && out->layer_hits;
    for (uint32_t r = 0; enough && r <= layers; r++) {
        segments_row *row = &s->row[r];
        row->experts = (uint32_t)(r < layers ? events->experts : cells);
        row->reach = ES_NEW_ARRAY(arena, width, uint32_t);
        row->since = ES_NEW_ARRAY(arena, width, uint64_t);
        row->sum = ES_NEW_ARRAY(arena, width, uint64_t);
        row->spread = ES_NEW_ARRAY(arena, (size_t)row->experts + 1, uint64_t);
        enough = row->reach && row->since && row->sum && row->spread;
    }
    return enough ? ES_OK : es_err_nomem(err, "the segments of a trace");
}

/* The best F1 = 2 * matches / (taken + wanted) over all thresholds. An expert that c steps use counts in the sums of 1 .. c. */
static double segments_srp(const segments *s, const segments_row *row, uint64_t *lookups)
{
    uint64_t beyond = 0, wanted = 0;
    double best = 0.0;
    for (uint32_t p = 1; p <= s->length; p++)
        wanted += row->sum[p];
    for (uint32_t p = s->length; p > 0 && wanted > 0; beyond += row->sum[p], p--) {
        const double matches = (double)p * (double)row->sum[p] + (double)beyond, taken = (double)s->length * (double)row->sum[p];
        const double f1 = 2.0 * matches / (taken + (double)wanted);
        best = f1 > best ? f1 : best;
    }
    *lookups = wanted;
    return best;
}

static void segments_hits(const segments_row *row, uint64_t *hits)
{
    uint64_t wider = 0;
    for (uint32_t c = row->experts; c > 0; c--) {
        wider += row->spread[c];
        hits[c - 1] = wider;
    }
    for (uint32_t c = 1; c < row->experts; c++)
        hits[c] += hits[c - 1];
}

es_code es_segments_read(const es_events *events, uint32_t length, es_segments *out, es_arena *arena, es_err *err)
{
    segments s = {.events = events, .length = length};
    *out = (es_segments){.length = length};
    es_code code = segments_make(&s, out, arena, err);
    if (code != ES_OK)
        return code;
    segments_walk(&s);
    out->windows = s.windows;
    out->srp = segments_srp(&s, &s.row[events->layers], &out->lookups);
    segments_hits(&s.row[events->layers], out->hits);
    for (uint32_t l = 0; l < events->layers; l++) {
        out->layer_srp[l] = segments_srp(&s, &s.row[l], &out->layer_lookups[l]);
        segments_hits(&s.row[l], out->layer_hits + (size_t)l * events->experts);
    }
    return ES_OK;
}
