/* Curves: what a pass of sim/curve over a trace costs, reading it included.
 *
 *     curves TRACE.h5 PASS [compiled]     prints {"lookups": N, "hits": N}
 *
 * PASS is `read` (the trace as events and no more), `lru` or `lru_layer` (hits and bytes at every size; one cache, or one for each layer), `belady`,
 * `bypass`, `belady_layer` or `bypass_layer` (every size). Contract event_atomic. Hits are those of half the experts. `compiled`: without what
 * the processor has beyond what the compiler was told. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/curve/belady.h"
#include "sim/curve/lru.h"

extern const es_source es_source_native;

enum { EXPERT_BYTES = 13219200 };       /* of gpt-oss-20b; only that bytes are asked for matters */

static int fail(const char *what)
{
    fprintf(stderr, "curves: %s\n", what);
    return EXIT_FAILURE;
}

/* Is PASS `name`, with or without _layer? */
static bool is(const char *pass, const char *name, bool *per_layer)
{
    const size_t length = strlen(name);
    *per_layer = strcmp(pass + strcspn(pass, "_"), "_layer") == 0;
    return strncmp(pass, name, length) == 0 && (pass[length] == '\0' || *per_layer);
}

static int measure(const es_source *source, void *state, const char *pass, bool compiled, es_arena *arena, es_err *err)
{
    es_events events;
    es_curve all = {0};
    es_curve_ask ask = {.rule = ES_CURVE_WAVES, .means = compiled ? ES_CURVE_COMPILED : ES_CURVE_QUICKEST};
    uint32_t *next;
    es_code code = es_events_read(&events, source, state, &(es_events_ask){0}, arena, err);
    if (code != ES_OK)
        return fail(err->text);
    es_curve *curves = ES_NEW_ARRAY(arena, events.layers, es_curve);
    int64_t *weight = ES_NEW_ARRAY(arena, events.layers, int64_t);
    if (!curves || !weight)
        return fail("out of memory");
    for (uint32_t l = 0; l < events.layers; l++)
        weight[l] = EXPERT_BYTES;
    ask.weight = weight;
    if (is(pass, "lru", &ask.per_layer))
        code = es_curve_lru(&events, &ask, curves, arena, err);
    else if (is(pass, "belady", &ask.per_layer) || is(pass, "bypass", &ask.per_layer)) {
        if ((code = es_next_use(&events, false, &next, arena, err)) == ES_OK)
            code = es_belady(&events, next, &ask, is(pass, "bypass", &ask.per_layer), curves, NULL, arena, err);
    } else if (strcmp(pass, "read") != 0)
        return fail("PASS is one of read, lru, lru_layer, belady, belady_layer, bypass, bypass_layer");
    if (code == ES_OK && strcmp(pass, "read") != 0)
        code = es_curve_sum(curves, es_curve_count(&events, &ask), &all, arena, err);
    if (code != ES_OK)
        return fail(err->text);
    printf("{\"lookups\": %" PRIu64 ", \"hits\": %" PRIu64 "}\n", events.lookups, all.hits ? all.hits[all.sizes / 2 - 1] : 0);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    es_err err = {0};
    es_arena arena = {0};
    if (argc < 3 || argc > 4 || (argc == 4 && strcmp(argv[3], "compiled") != 0))
        return fail("needs a native trace and a pass; then perhaps: compiled");
    const es_source *source = &es_source_native;
    void *state = es_arena_alloc(&arena, 1, source->part.size);
    if (!state || source->open(state, &(es_source_ask){.path = argv[1]}, &arena, &err) != ES_OK)
        return fail(err.text);
    const int status = measure(source, state, argv[2], argc == 4, &arena, &err);
    source->part.fini(state);
    es_arena_free(&arena);
    return status;
}
