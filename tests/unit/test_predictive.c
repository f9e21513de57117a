/* Predictive: what followed is what decides, then shares, then recency; and victims against a search through everybody. */
#include "tests/support/policy_stage.h"

extern const es_policy es_policy_predictive;

/* 0 and 1 in turn ten times, then 2 and 3 in turn, and 0 once more; 64 is used with each of them. */
static void stage_turns(stage *s, const char *options)
{
    stage_open(s, &es_policy_predictive, (setting){.options = options});
    for (int i = 0; i < 10; i++) {
        stage_use(s, i & 1 ? "1" : "0");
        stage_use(s, "64");
    }
    for (int i = 0; i < 10; i++) {
        stage_use(s, i & 1 ? "3" : "2");
        stage_use(s, "64");
    }
    stage_use(s, "0");
    s->guard[0] = 1;                    /* 0 is in use */
    s->guard[1] = UINT64_MAX;
}

static void what_followed_the_last_token_is_kept(void **state)
{
    (void)state;
    stage s;
    stage_turns(&s, "{\"horizon\": 1, \"memory\": 1000}");
    expect_victims(&s, 0, 3, "2 3 1");  /* after 0 came 1, the oldest; 2 and 3 never did, and of them 3 was used later */
    stage_close(&s);
}

static void beyond_the_next_token_shares_decide(void **state)
{
    (void)state;
    stage s;
    stage_turns(&s, "{\"horizon\": 1000, \"memory\": 4}");
    expect_victims(&s, 0, 3, "1 2 3");  /* 1 was used long ago, and 3 last */
    stage_close(&s);
}

static void of_equals_the_least_recently_used_leaves(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_predictive, (setting){0});
    stage_use(&s, "5 3 4");
    expect_victims(&s, 0, 3, "5 3 4");
    stage_close(&s);
}

static void a_layer_in_its_own_row(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_predictive, (setting){.per_layer = true});
    for (int i = 0; i < 3; i++) {
        stage_use(&s, "1 2");
        stage_use(&s, "64");
    }
    stage_use(&s, "1");
    expect_victims(&s, 64, 1, "64");
    expect_victims(&s, 0, 1, "2");
    stage_close(&s);
}

/* ---- against a search through everybody ---- */

enum { EXPERTS = 8 };

typedef struct naive {
    bool here[OBJECTS];
    uint64_t stamp[OBJECTS], clock;
    double share[OBJECTS], value[OBJECTS];
    unsigned pairs[LAYERS][EXPERTS][EXPERTS], seen[LAYERS][EXPERTS];
    bool before[LAYERS][EXPERTS];
} naive;

static void naive_use(naive *n, uint32_t layer, const bool *used)
{
    for (uint32_t i = 0; i < EXPERTS; i++)
        if (n->before[layer][i]) {
            n->seen[layer][i]++;
            for (uint32_t e = 0; e < EXPERTS; e++)
                n->pairs[layer][i][e] += used[e];
        }
    for (uint32_t e = 0; e < EXPERTS; e++) {
        const es_oid o = layer * STRIDE + e;
        double followed = 0, seen = 0;
        for (uint32_t i = 0; i < EXPERTS; i++)
            if (used[i]) {
                followed += n->pairs[layer][i][e];
                seen += n->seen[layer][i];
            }
        n->share[o] += 1.0 / 16 * ((double)used[e] - n->share[o]);
        n->value[o] = (followed + 4 * n->share[o]) * (1.0 / (seen + 4)) + 3 * n->share[o];
        n->before[layer][e] = used[e];
    }
}

static es_oid naive_next(const naive *n, const stage *s)
{
    es_oid best = ES_NO_OBJECT;
    for (es_oid o = 0; o < OBJECTS; o++)
        if (n->here[o] && es_may_evict(&s->view, o, CACHE) &&
            (best == ES_NO_OBJECT || n->value[o] < n->value[best] || (n->value[o] == n->value[best] && n->stamp[o] < n->stamp[best])))
            best = o;
    return best;
}

static uint64_t naive_play(uint64_t seed)
{
    stage s;
    naive n = {.clock = 0};
    uint64_t victims = 0;
    stage_open(&s, &es_policy_predictive, (setting){0});
    for (uint64_t i = 0; i < 2000; i++) {
        bool used[EXPERTS] = {false};
        char wanted[64] = "";
        const uint32_t layer = i & 1;
        uint32_t held = 0;
        for (uint32_t j = 0; j < 2; j++) {
            const uint32_t e = es_draw_below(seed, EXPERTS, i, j, 0, 0) & es_draw_below(seed, EXPERTS, i, j, 1, 0);
            if (!used[e])
                snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%u", *wanted ? " " : "", layer * STRIDE + e);
            if (!used[e]) {
                n.stamp[layer * STRIDE + e] = ++n.clock;
                n.here[layer * STRIDE + e] = true;
            }
            used[e] = true;
        }
        naive_use(&n, layer, used);
        stage_use(&s, wanted);
        for (uint32_t w = 0; w < WORDS; w++) {
            s.guard[w] = es_draw(seed, i, 5, w, 0) & es_draw(seed, i, 6, w, 0);
            held += (uint32_t)__builtin_popcountll(s.tier[CACHE].resident[w]);
        }
        for (; held > 5; held--) {
            es_oid out[OBJECTS], want = naive_next(&n, &s);
            const size_t named = stage_victims(&s, (es_need){.tier = CACHE, .bucket = 0, .units = 1}, out);
            if (want == ES_NO_OBJECT) {
                assert_int_equal(named, 0);
                break;
            }
            assert_int_equal(named, 1);
            assert_int_equal(out[0], want);
            n.here[want] = false;
            victims++;
        }
    }
    stage_close(&s);
    return victims;
}

static void victims_are_those_of_a_search_through_everybody(void **state)
{
    (void)state;
    uint64_t victims = 0;
    for (uint64_t seed = 1; seed <= 30; seed++)
        victims += naive_play(seed);
    assert_true(victims > 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_followed_the_last_token_is_kept),
        cmocka_unit_test(beyond_the_next_token_shares_decide),
        cmocka_unit_test(of_equals_the_least_recently_used_leaves),
        cmocka_unit_test(a_layer_in_its_own_row),
        cmocka_unit_test(victims_are_those_of_a_search_through_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
