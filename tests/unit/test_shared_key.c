/* catalog.key expert: layers that share their experts are one layer that is passed more often. So a trace of L layers under that key is the
 * trace with its layers as steps of one layer, whatever the policy, and under either clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/base/rng.h"
#include "tests/support/rig.h"

enum { LAYERS = 5, EXPERTS = 70, TOP_K = 3, TOKENS = 60 };

/* Ids of token t in layer l; some layers of some tokens want nothing. */
static void shared_row(uint64_t seed, uint32_t t, uint32_t l, uint16_t *ids)
{
    es_stream stream = seed;
    uint32_t count = es_draw_below(stream, TOP_K + 1, t, l, 0, 0), n = 0;
    for (uint32_t i = 0; n < count; i++) {
        uint16_t id = (uint16_t)(es_draw_below(stream, 12, t, l, 1, i) * 6 + es_draw_below(stream, 2, t, l, 2, i));
        bool twice = false;
        for (uint32_t k = 0; k < n; k++)
            twice |= ids[k] == id;
        if (!twice && id < EXPERTS)
            ids[n++] = id;
    }
}

static void shared_open(rig *r, uint64_t seed, bool shared, bool timed, const char *policy)
{
    rig_open(r, shared ? LAYERS : 1, EXPERTS, TOP_K, 0, shared ? TOKENS : TOKENS * LAYERS);
    r->plan.catalog.key = shared ? ES_KEY_EXPERT : ES_KEY_LAYER_EXPERT;
    for (uint32_t t = 0; t < TOKENS; t++) {
        uint16_t *ids = shared ? rig_token(r, 0, ES_DECODE, false) : NULL;
        for (uint32_t l = 0; l < LAYERS; l++)
            shared_row(seed, t, l, shared ? ids + l * TOP_K : rig_token(r, 0, ES_DECODE, false));
    }
    rig_plain(r, timed, "9slots", "{\"latency\": \"1us\", \"rate\": \"1GB/s\"}", "{\"dense\": \"2us\", \"expert\": \"1us\"}");
    r->plan.policy = rig_part(r, ES_KIND_POLICY, policy, NULL, "policy");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
    assert_int_equal(rig_run(r), ES_OK);
}

static void layers_that_share_their_experts_are_one_layer(void **state)
{
    (void)state;
    static const char *const policies[] = {"lru", "lfu", "fifo", "belady", "static", "hybrid", "multi_factor", "predictive"};
    static const char *const counts[] = {"cache.lookups", "cache.hits", "cache.evictions", "cache.fetched_bytes", "capacity.objects"};
    for (uint64_t seed = 1; seed <= 20; seed++)
        for (size_t p = 0; p < sizeof policies / sizeof *policies; p++)
            for (int timed = 0; timed < 2; timed++) {
                rig shared, single;
                shared_open(&shared, seed, true, timed, policies[p]);
                shared_open(&single, seed, false, timed, policies[p]);
                for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
                    assert_int_equal(rig_count(&shared, counts[i]), rig_count(&single, counts[i]));
                assert_int_equal(rig_view(&shared)->times->total, rig_view(&single)->times->total);
                assert_true(rig_count(&shared, "cache.hits") > 0);
                rig_close(&shared);
                rig_close(&single);
            }
}

static void refused(rig *r, const char *words)
{
    assert_int_equal(rig_run(r), ES_EINPUT);
    assert_non_null(strstr(r->err.text, words));
    rig_close(r);
}

static rig *one_token(rig *r)
{
    rig_open(r, LAYERS, EXPERTS, TOP_K, 0, 1);
    rig_token(r, 0, ES_DECODE, false)[0] = 1;
    rig_plain(r, false, "9slots", NULL, NULL);
    r->plan.catalog.key = ES_KEY_EXPERT;
    return r;
}

static void a_room_of_its_own_needs_experts_of_its_own(void **state)
{
    (void)state;
    rig r;
    one_token(&r)->plan.contract.scope = ES_PER_LAYER;
    refused(&r, "contract.scope must be global");
}

static void shared_experts_have_one_size(void **state)
{
    (void)state;
    rig r;
    one_token(&r)->trace.bytes[2] = 1001;
    refused(&r, "those of layer 2 1001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_that_share_their_experts_are_one_layer),
        cmocka_unit_test(a_room_of_its_own_needs_experts_of_its_own),
        cmocka_unit_test(shared_experts_have_one_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
