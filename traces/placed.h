/* Placed: a trace whose ids are places, read as one of experts.
 *
 * A load balancer (EPLB) keeps replicas of experts that are used much, so an engine behind it has more places, or physical experts, than the
 * model has experts, and some of its dumps list places. A map says which expert stands in each place of each layer. It is of one
 * moment: a recording over several rebalancings needs the map of each and is cut there. */
#ifndef ES_TRACES_PLACED_H
#define ES_TRACES_PLACED_H

#include "traces/trace.h"

typedef struct es_places {
    const char *path;
    uint32_t layers, places, experts;   /* experts: as many as there are; the highest in the map and one, or what was asked for */
    const uint16_t *expert;             /* [layers][places]; ES_NO_EXPERT: nothing stands there */
    bool applied;                       /* set by a source that made experts of places itself, where rows are too late (counts) */
} es_places;

/* A map from a file: NumPy's [layers][places], or JSON, such a list or an object with it as physical_to_logical_map,
 * last_physical_to_logical_map or phy2log. -1 is an empty place. `experts`: how many there are, 0: the highest and one. `path` must live as long. */
es_code es_places_load(es_places *out, const char *path, uint32_t experts, es_arena *arena, es_err *err);
/* Which row of the map is a layer's. It has one for each layer of the trace, in order, or one for each number of a layer. */
uint32_t es_places_row(const es_places *map, const es_trace_info *info, uint32_t layer);

typedef struct es_placed {
    const es_source *inner;
    void *state;                        /* of the inner one, opened */
    const es_places *map;
    const char *path;                   /* for messages */
    es_trace_info info;
    uint16_t *ids, *guess;
    uint64_t room, guess_room;
} es_placed;

/* Makes `placed` the state of es_placed_source, over a source that is open; its state is freed with it, and strings live in the arena; `path` is
 * the trace's, for messages. */
es_code es_placed_over(es_placed *placed, const es_source *inner, void *state, const es_places *map, const char *path, es_arena *arena, es_err *err);
extern const es_source es_placed_source;

#endif
