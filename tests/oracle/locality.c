/* Locality: what sim/curve/statistics.h says of a trace, as JSON, for locality.py.
 *
 *     locality TRACE LENGTH...        window lengths of SRP and SCH */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/curve/statistics.h"
#include "sim/study/feed.h"

static int fail(const char *what)
{
    fprintf(stderr, "locality: %s\n", what);
    return EXIT_FAILURE;
}

static void put_counts(const char *name, const uint64_t *count, size_t n)
{
    printf("\"%s\": [", name);
    for (size_t i = 0; i < n; i++)
        printf("%s%" PRIu64, i ? ", " : "", count[i]);
    printf("]");
}

static void put_reals(const char *name, const double *value, size_t n)
{
    printf("\"%s\": [", name);
    for (size_t i = 0; i < n; i++)
        printf("%s%.17g", i ? ", " : "", value[i]);
    printf("]");
}

static void put_reuse(const char *name, const es_reuse *reuse, uint32_t count)
{
    printf("\"%s\": [", name);
    for (uint32_t i = 0; i < count; i++) {
        printf("%s{\"first\": %" PRIu64 ", ", i ? ", " : "", reuse[i].first);
        put_counts("count", reuse[i].count, reuse[i].buckets);
        printf("}");
    }
    printf("], ");
}

static es_code put_all(const es_events *events, char *const *length, int lengths, es_arena *arena, es_err *err)
{
    const uint32_t layers = events->layers, experts = events->experts;
    es_reuse *reuse = ES_NEW_ARRAY(arena, layers + 1, es_reuse);
    double *share = ES_NEW_ARRAY(arena, layers, double), whole;
    if (!reuse || !share)
        return es_err_nomem(err, "the figures");
    es_code code = es_reuse_read(events, false, reuse, arena, err);
    if (code != ES_OK || (code = es_reuse_read(events, true, reuse + 1, arena, err)) != ES_OK ||
        (code = es_layer_overlap(events, share, &whole, arena, err)) != ES_OK)
        return code;
    printf("{");
    put_reuse("reuse", reuse, 1);
    put_reuse("layer_reuse", reuse + 1, layers);
    printf("\"overlap\": %.17g, ", whole);
    put_reals("layer_overlap", share, layers);
    printf(", \"segments\": [");
    for (int i = 0; i < lengths; i++) {
        es_segments s;
        if ((code = es_segments_read(events, (uint32_t)strtoul(length[i], NULL, 10), &s, arena, err)) != ES_OK)
            return code;
        printf("%s{\"length\": %u, \"windows\": %" PRIu64 ", \"srp\": %.17g, \"lookups\": %" PRIu64 ", ", i ? ", " : "", s.length, s.windows, s.srp, s.lookups);
        put_reals("layer_srp", s.layer_srp, layers);
        printf(", ");
        put_counts("hits", s.hits, (size_t)layers * experts);
        printf(", ");
        put_counts("layer_lookups", s.layer_lookups, layers);
        printf(", ");
        put_counts("layer_hits", s.layer_hits, (size_t)layers * experts);
        printf("}");
    }
    printf("]}\n");
    return ES_OK;
}

int main(int argc, char **argv)
{
    es_err err = {0};
    es_arena arena = {0};
    es_feed feed = {0};
    es_events events;
    if (argc < 3)
        return fail("needs a trace and window lengths");
    es_code code = es_feed_open_file(&feed, NULL, argv[1], NULL, &(es_source_ask){.path = argv[1]}, &err);
    if (code == ES_OK)
        code = es_events_read(&events, feed.source, feed.state, &(es_events_ask){0}, &arena, &err);
    if (code == ES_OK)
        code = put_all(&events, argv + 2, argc - 2, &arena, &err);
    es_feed_close(&feed);
    es_arena_free(&arena);
    return code == ES_OK ? EXIT_SUCCESS : fail(err.text);
}
