/* Calendar: order, cancellation, the hole a pop leaves, against a plain sorted list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "sim/core/calendar.h"

enum { MOST = 200 };

typedef struct item {
    es_due due;
    es_phase phase;
    uint64_t added;
    bool pending;
} item;

static void earliest_first_then_phase_then_order_of_adding(void **state)
{
    (void)state;
    static const struct { es_time at; es_phase phase; } script[] = {
        {5, ES_PHASE_GATE}, {5, ES_PHASE_COMPLETE}, {3, ES_PHASE_STOP}, {5, ES_PHASE_RELEASE}, {5, ES_PHASE_COMPLETE}, {3, ES_PHASE_GATE},
    };
    static const size_t expected[] = {5, 2, 1, 4, 3, 0};
    es_arena arena = {0};
    es_calendar c;
    item items[6] = {0};
    assert_true(es_calendar_init(&c, &arena, 6));
    for (size_t i = 0; i < 6; i++)
        es_calendar_add(&c, &items[i].due, script[i].at, script[i].phase);
    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(es_calendar_pop(&c), &items[expected[i]].due);
    assert_null(es_calendar_pop(&c));
    assert_null(es_calendar_pop(&c));
    es_arena_free(&arena);
}

static item *earliest(item *items)
{
    item *best = NULL;
    for (int i = 0; i < MOST; i++) {
        item *one = &items[i];
        if (!one->pending)
            continue;
        if (!best || one->due.at < best->due.at || (one->due.at == best->due.at && (one->phase < best->phase ||
            (one->phase == best->phase && one->added < best->added))))
            best = one;
    }
    return best;
}

static void random_additions_pops_and_cancellations_agree_with_a_plain_search(void **state)
{
    (void)state;
    es_arena arena = {0};
    es_calendar c;
    static item items[MOST];
    memset(items, 0, sizeof items);
    assert_true(es_calendar_init(&c, &arena, MOST));
    es_stream s = es_stream_of(7, 0, "test", "calendar");
    es_time now = 0;
    uint64_t added = 0;
    for (uint64_t step = 0; step < 200000; step++) {
        item *one = &items[es_draw_below(s, MOST, step, 0, 0, 0)];
        uint32_t what = es_draw_below(s, 4, step, 1, 0, 0);
        if (what < 2 && !one->pending) {
            one->phase = (es_phase)es_draw_below(s, 3, step, 2, 0, 0);
            one->added = added++;
            one->pending = true;
            es_calendar_add(&c, &one->due, now + es_draw_below(s, 8, step, 3, 0, 0), one->phase);
        } else if (what == 2) {
            assert_int_equal(es_calendar_cancel(&c, &one->due), one->pending);
            one->pending = false;
        } else {
            item *want = earliest(items);
            assert_int_equal(es_calendar_holds(&c, now), want && want->due.at <= now);
            es_due *got = es_calendar_pop(&c);
            assert_ptr_equal(got, want ? &want->due : NULL);
            if (want) {
                now = want->due.at;
                want->pending = false;
            }
        }
    }
    es_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(earliest_first_then_phase_then_order_of_adding),
        cmocka_unit_test(random_additions_pops_and_cancellations_agree_with_a_plain_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
