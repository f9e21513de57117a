/* Drawing: a timeline while it is made: which of it lies in the window, on which track, and that it does not grow beyond its limit.
 *
 * Tracks of one process: steps with the layers inside them, each compute unit, stalls, management, what leaves the tiers, and one per lane
 * of every channel. A lane is what one copy takes at a time; a channel that is shared has as many as copies are on it together. */
#ifndef ES_OBSERVE_TIMELINE_DRAW_H
#define ES_OBSERVE_TIMELINE_DRAW_H

#include "sim/base/perfetto.h"
#include "sim/observe/timeline_window.h"

enum { DRAWING_PROCESS = 1, DRAWING_STEPS = 11, DRAWING_GPU, DRAWING_STALLS, DRAWING_CPU, DRAWING_MEMORY, DRAWING_TIERS, DRAWING_CHANNELS = 100,
    DRAWING_LANES = 1024 /* of a channel; what is on it beyond them is counted, not drawn */, DRAWING_FRAMES = 2, DRAWING_ARGS = 6, DRAWING_NAME = 48 };

typedef struct drawing_lane {
    uint32_t flights;           /* copies that have it now: several of one batch */
    int64_t bytes;              /* of them */
    es_time drawn;              /* its slices end here */
    bool named;
} drawing_lane;

typedef struct drawing_counter {
    const char *of, *what, *key;/* "cache", "residency", "experts" */
    int64_t value, written;
} drawing_counter;

typedef struct drawing_frame {  /* a step, or a layer in it: a slice that is open while others are drawn */
    bool open, written;
    es_time at;
    char name[DRAWING_NAME];
    const char *const *keys;    /* ends with NULL */
    int64_t args[DRAWING_ARGS];
} drawing_frame;

typedef struct drawing {
    const es_view *view;
    es_perfetto *out;
    window window;
    int64_t limit;              /* bytes */
    drawing_lane *lane;         /* [channels][DRAWING_LANES] */
    drawing_counter *counter;
    uint32_t counters;
    bool levels;                /* the counters were written when the window opened */
    es_time tick;               /* changes of counters are of this instant */
    drawing_frame frame[DRAWING_FRAMES];    /* step, layer */
    es_time latest;             /* begin of the last slice drawn */
    es_time first_frame, last_frame;        /* the steps drawn lie in here; last_frame: end of the last that has ended */
    uint64_t slices, arrows, left_out;
} drawing;

es_code drawing_begin(drawing *d, const es_view *view, const char *path, es_arena *arena, uint32_t counters, es_err *err);

/* A slice, or an instant when since = at; false: it is not in the window. The caller adds arguments and ends the event. */
bool drawing_slice(drawing *d, uint32_t track, const char *category, es_time since, es_time at, const char *name);
/* "demand 3/17": layer and expert as the model numbers them, and the matrix of one that is cut. */
void drawing_name(const es_view *view, const char *what, es_oid object, char out[DRAWING_NAME]);
void drawing_object(drawing *d, es_oid object);         /* arguments layer, expert, bits */
void drawing_arrow(drawing *d, const char *name, uint32_t from, es_time left, uint32_t to, es_time arrived);
/* Was a step drawn that was at hand then? */
bool drawing_has_step(const drawing *d, es_time at);

/* Steps and layers: the frame before it is open. */
void drawing_frame_begin(drawing *d, int frame, const drawing_frame *what, es_time now);
void drawing_frame_end(drawing *d, int frame, es_time at);

uint32_t drawing_lane_take(drawing *d, uint32_t channel, uint32_t flights, int64_t bytes);  /* DRAWING_LANES: there is none left */
uint32_t drawing_lane_track(drawing *d, uint32_t channel, uint32_t lane);

uint32_t drawing_counter_add(drawing *d, const char *what, const char *of, const char *key);
static inline void drawing_count(drawing *d, uint32_t counter, int64_t value)
{
    d->counter[counter].value = value;
}
/* It is `now`: before anything of this instant is told. */
void drawing_tick(drawing *d, es_time now);

#endif
