/* Checkout: heaps that are lent whole, against the published pool written anew from its description. */
#include "sim/base/rng.h"
#include "tests/support/allocator_kit.h"

extern const es_allocator es_allocator_heaps;

static void pool_open(allocated *p, const char *options)
{
    allocated_open(p, &es_allocator_heaps, options, INT64_MAX, 0, NULL, 0);
}

static es_place pool_reserve(const allocated *p, int64_t bytes, uint32_t owner, es_block *block)
{
    return es_allocator_heaps.reserve(p->self, &(es_place_ask){.bytes = bytes, .pool = ES_NONE_POOL, .object = owner}, block);
}

/* The published pool, from its description alone: a vector of available heaps, four counters. */
typedef struct published {
    uint32_t available[20000], count;
    int64_t acquired, released, exhaustion, fallback;
} published;

static uint32_t published_acquire(published *p)
{
    p->acquired++;
    if (p->count == 0) {
        p->exhaustion++;
        p->fallback++;
        return ES_NONE_POOL;
    }
    return p->available[--p->count];
}

static void published_release(published *p, uint32_t heap)
{
    p->released++;
    if (heap != ES_NONE_POOL)
        p->available[p->count++] = heap;
}

static void published_compare(const published *m, const allocated *p)
{
    es_json *report = allocated_report(p);
    assert_int_equal((int64_t)allocated_said(report, "checkout.acquired"), m->acquired);
    assert_int_equal((int64_t)allocated_said(report, "checkout.released"), m->released);
    assert_int_equal((int64_t)allocated_said(report, "checkout.leaked"), m->acquired - m->released);
    assert_int_equal((int64_t)allocated_said(report, "checkout.exhaustion"), m->exhaustion);
    assert_int_equal((int64_t)allocated_said(report, "checkout.fallback"), m->fallback);
    assert_int_equal((int64_t)allocated_said(report, "checkout.available"), m->count);
    assert_true(allocated_said(report, "checkout.utilization") == 1.0 - (double)m->count / 5.0);
    assert_true(allocated_said(report, "checkout.hit_rate") == (m->acquired ? 1.0 - (double)m->fallback / (double)m->acquired : 0.0));
    cJSON_Delete(report);
}

static void checkout_counts_as_it_was_coded(void **state)
{
    (void)state;
    published *m = calloc(1, sizeof *m);
    allocated p;
    es_block held[16], last = {.pool = ES_NONE_POOL};
    uint32_t count = 0;
    uint64_t asked = 0;
    bool any = false;
    const es_stream draw = es_stream_of(6, 0, "test_heaps", "checkout");
    pool_open(&p, "{\"mode\": \"checkout\", \"heaps\": 5, \"reset_after\": 700}");
    for (uint32_t i = 0; i < 5; i++)
        m->available[m->count++] = i;
    for (uint64_t i = 0; i < 20000; i++) {
        const uint32_t what = es_draw_below(draw, 100, i, 0, 0, 0);
        if (what < 50 && count < 16) {
            if (asked++ == 700)                 /* the pool is asked for the 701st time: its counters begin anew, nothing else does */
                m->acquired = m->released = m->exhaustion = m->fallback = 0;
            const uint32_t heap = published_acquire(m);
            const es_place place = pool_reserve(&p, 1 + (int64_t)i, 0, &held[count]);
            assert_int_equal(place, heap == ES_NONE_POOL ? ES_FALLBACK : ES_PLACED);
            assert_int_equal(held[count++].pool, heap);
        } else if (what < 98 && count > 0) {
            last = held[--count];
            any = true;
            published_release(m, last.pool);
            es_allocator_heaps.release(p.self, 0, &last);
        } else if (any && what >= 98) {         /* given back a second time: in the list a second time */
            published_release(m, last.pool);
            es_allocator_heaps.release_again(p.self, 0, &last);
        }
        if (i % 97 == 0)
            published_compare(m, &p);
    }
    assert_true(m->count > 5);
    published_compare(m, &p);
    es_arena_free(&p.arena);
    free(m);
}

static void the_heap_given_back_last_is_lent_first(void **state)
{
    (void)state;
    allocated p;
    es_block a, b, c;
    pool_open(&p, "{\"mode\": \"checkout\", \"heaps\": 2}");
    assert_int_equal(pool_reserve(&p, 1, 0, &a), ES_PLACED);
    assert_int_equal(a.pool, 1);
    assert_int_equal(pool_reserve(&p, 1, 1, &b), ES_PLACED);
    assert_int_equal(pool_reserve(&p, 1, 2, &c), ES_FALLBACK);
    assert_int_equal(c.bytes, 1 << 28);         /* as large as the others, whatever was asked for */
    es_allocator_heaps.release(p.self, 0, &a);
    es_allocator_heaps.release_again(p.self, 0, &a);
    assert_int_equal(pool_reserve(&p, 1, 3, &a), ES_PLACED);
    assert_int_equal(pool_reserve(&p, 1, 4, &c), ES_PLACED);
    assert_int_equal(a.pool, c.pool);           /* lent to two at once */
    es_json *report = allocated_report(&p);
    assert_int_equal((int)allocated_said(report, "checkout.shared"), 1);
    cJSON_Delete(report);
    es_arena_free(&p.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkout_counts_as_it_was_coded),
        cmocka_unit_test(the_heap_given_back_last_is_lent_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
