/* Recency: the queue of a bucket stays short even when its oldest entry may never leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/policy/recency.h"

static void what_was_passed_over_is_written_out(void **state)
{
    (void)state;
    uint64_t resident = 0xf, guard = 1, room[2] = {4, 4};
    const int64_t unit = 1;
    const uint32_t layer_of = 0;
    const es_tier_view tier[2] = {{.resident = &resident, .unit = &unit}, {.first_bucket = 1, .resident = &resident, .unit = &unit}};
    const es_view view = {.layers = 1, .stride = 64, .objects = 64, .words = 1, .words_per_layer = 1, .tiers = 2, .buckets = 2, .tier = tier,
        .layer_of = &layer_of, .guard = &guard, .bucket_room = room};
    es_arena arena = {0};
    recency r = {0};
    assert_int_equal(recency_init(&r, &(es_site){.view = &view, .arena = &arena}, &(es_err){0}), ES_OK);
    recency_touch(&r, 0, 0);        /* guarded: stays in front */
    for (int i = 0; i < 1000; i++) {
        es_oid out[4];
        for (es_oid o = 1; o < 4; o++)
            recency_touch(&r, 0, o);
        recency_touch(&r, 0, 1);
        assert_int_equal(recency_victims(&r, &(es_need){.units = 1}, out, 4), 1);
        assert_int_equal(out[0], 2);
        assert_in_range(r.queue->next - r.queue->oldest, 3, 24);
    }
    es_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_passed_over_is_written_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
