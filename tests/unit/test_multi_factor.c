/* Multi-factor: the published numbers, its options, and a hundred thousand victims against a search through everybody. */
#include "tests/support/policy_stage.h"

extern const es_policy es_policy_multi_factor;

static void stage_timed(stage *s, const char *options)
{
    stage_open(s, &es_policy_multi_factor, (setting){.options = options});
    s->view.timed = true;
}

static void stage_at(stage *s, double seconds, const char *wanted)
{
    s->view.now = (es_time)(seconds * 1e9 + 0.5);
    stage_use(s, wanted);
}

/* 0 used fifty times up to .049 s, 1 once at .149 s. */
static void stage_often_and_once(stage *s, const char *options)
{
    stage_timed(s, options);
    for (int i = 0; i < 50; i++)
        stage_at(s, i * 0.001, "0");
    stage_at(s, 0.149, "1");
}

static void one_used_once_just_now_leaves_before_one_used_fifty_times_a_tenth_of_a_second_ago(void **state)
{
    (void)state;
    stage s;
    stage_often_and_once(&s, NULL);             /* .15 against .7 * .1 + .3 / 51 = .076 */
    expect_victims(&s, 0, 2, "1 0");
    stage_close(&s);
}

static void age_decides_beyond_what_frequency_is_worth(void **state)
{
    (void)state;
    stage s;
    stage_timed(&s, NULL);
    for (int i = 0; i < 2; i++)
        stage_at(&s, 0.0, "0");                 /* .1 and its age; the other .15 at once: equal after 1/14 s */
    stage_at(&s, 0.0714, "1");
    expect_victims(&s, 0, 1, "1");
    stage_at(&s, 0.0715, "1");                  /* forgotten, so once again */
    expect_victims(&s, 0, 2, "0 1");
    stage_close(&s);
}

static void of_equals_the_first_that_came_leaves(void **state)
{
    (void)state;
    static const struct { int ties; const char *order; } cases[] = {{0, "3 0 1 64"}, {1, "3 0 1 64"}, {2, "0 1 3 64"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_timed(&s, NULL);
        s.view.ties = cases[i].ties;
        stage_at(&s, 1.0, "3 0 1");
        stage_at(&s, 1.0, "64");
        expect_victims(&s, 0, 4, cases[i].order);
        stage_close(&s);
    }
}

/* 2 came before 1, but among the uses of the last event it stands behind it. */
static void the_order_of_coming_is_not_that_of_the_last_event(void **state)
{
    (void)state;
    stage s;
    stage_timed(&s, NULL);
    stage_at(&s, 1.0, "2 1");
    stage_at(&s, 2.0, "0 1 2");
    expect_victims(&s, 0, 3, "0 2 1");
    stage_close(&s);
}

/* .7 * .1 = .3 / 3 - .3 / 10: exactly as good a victim, so the first that came. */
static void age_and_frequency_may_make_equals(void **state)
{
    (void)state;
    stage s;
    stage_timed(&s, NULL);
    for (int i = 0; i < 9; i++)
        stage_at(&s, 1.0, "0");
    stage_at(&s, 1.1, "1");
    stage_at(&s, 1.1, "1");
    expect_victims(&s, 0, 2, "0 1");
    stage_at(&s, 1.8, "1");
    for (int i = 0; i < 9; i++)
        stage_at(&s, 1.9, "0");
    stage_at(&s, 2.0, "1");
    expect_victims(&s, 0, 2, "1 0");
    stage_close(&s);
}

static void uses_are_forgotten_with_the_expert_or_kept(void **state)
{
    (void)state;
    static const struct { const char *options, *victim; } cases[] = {{NULL, "0"}, {"{\"counts\": \"persistent\"}", "1"}};
    for (size_t i = 0; i < 2; i++) {
        stage s;
        stage_often_and_once(&s, cases[i].options);
        expect_victims(&s, 0, 2, "1 0");
        stage_at(&s, 0.2, "0");
        stage_at(&s, 0.2, "1");
        expect_victims(&s, 0, 1, cases[i].victim);
        stage_close(&s);
    }
}

static void weights_are_options(void **state)
{
    (void)state;
    static const struct { const char *options, *order; } cases[] = {
        {"{\"frequency_weight\": 0}", "0 1"}, {"{\"age_weight\": 0}", "1 0"}, {"{\"age_weight\": 1.5}", "0 1"}, {"{\"age_weight\": 1.4}", "1 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {     /* 1.4 * .1 + .3 / 51 = .146 */
        stage s;
        stage_often_and_once(&s, cases[i].options);
        expect_victims(&s, 0, 2, cases[i].order);
        stage_close(&s);
    }
}

static void without_a_clock_each_event_takes_a_stated_time(void **state)
{
    (void)state;
    static const struct { const char *options, *victim; } cases[] = {{NULL, "1"}, {"{\"event_time\": \"20ms\"}", "0"}};
    for (size_t i = 0; i < 2; i++) {
        stage s;
        stage_open(&s, &es_policy_multi_factor, (setting){.options = cases[i].options});
        stage_use(&s, "0");
        stage_use(&s, "0");
        for (int j = 0; j < 4; j++)
            stage_use(&s, "64");
        stage_use(&s, "1");                     /* .1 + 5 events of age against .15 */
        s.guard[1] = UINT64_MAX;
        expect_victims(&s, 0, 1, cases[i].victim);
        stage_close(&s);
    }
}

static void who_is_to_be_avoided_leaves_last(void **state)
{
    (void)state;
    stage s;
    es_oid out[OBJECTS];
    stage_timed(&s, "{\"avoid\": [[1, 0], [1, 2], [2, 3]]}");
    stage_at(&s, 0.0, "0 1 2");
    stage_at(&s, 0.0, "67");
    stage_at(&s, 5.0, "1 2");
    expect_victims(&s, 0, 1, "1");
    expect_victims(&s, 0, 2, "0 67");
    assert_int_equal(stage_victims(&s, (es_need){.units = 2, .all = true}, out), 0);
    expect_victims(&s, 0, 2, "2");
    stage_close(&s);
}

static void avoid_names_experts_that_exist(void **state)
{
    (void)state;
    static const struct { const char *options, *words; } cases[] = {
        {"{\"avoid\": 3}", "avoid: needs a list of [layer, expert]"},
        {"{\"avoid\": [[1]]}", "avoid: an entry is not [layer, expert]"},
        {"{\"avoid\": [[1, \"0\"]]}", "avoid: an entry is not [layer, expert]"},
        {"{\"avoid\": [[0, 1]]}", "avoid: the model has no expert [0, 1]"},
        {"{\"avoid\": [[2, 8]]}", "avoid: the model has no expert [2, 8]"},
        {"{\"avoid\": [[2, 0.5]]}", "avoid: the model has no expert [2, 0.5]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        es_err err = {0};
        assert_int_equal(stage_try(&s, &es_policy_multi_factor, (setting){.options = cases[i].options}, &err), ES_EINPUT);
        assert_string_equal(err.text, cases[i].words);
        stage_close(&s);
    }
}

static void what_comes_down_keeps_its_uses_and_its_age(void **state)
{
    (void)state;
    stage s;
    stage_timed(&s, NULL);
    for (int i = 0; i < 3; i++)
        stage_at(&s, 1.0, "0");
    stage_at(&s, 1.01, "1");
    stage_move(&s, ES_FACT_ARRIVE_LOW, 0, CACHE, DRAM);
    stage_move(&s, ES_FACT_ARRIVE_LOW, 1, CACHE, DRAM);
    stage_at(&s, 1.02, "2");
    stage_move(&s, ES_FACT_ARRIVE_LOW, 2, CACHE, DRAM);
    expect_need(&s, (es_need){.tier = DRAM, .bucket = DRAM, .units = 3}, "1 2 0");
    stage_close(&s);
}

/* ---- against a search through everybody ---- */

typedef struct naive {
    bool here[OBJECTS];
    int64_t aged[OBJECTS];
    uint64_t count[OBJECTS], order[OBJECTS], clock;
} naive;

static void naive_use(naive *n, const uint16_t *list, uint32_t count, es_oid base, es_time now)
{
    for (uint32_t i = 0; i < count; i++) {
        es_oid o = base + list[i];
        if (!n->here[o]) {
            n->here[o] = true;
            n->count[o] = 0;
            n->order[o] = ++n->clock;
        }
        n->count[o]++;
        n->aged[o] = (int64_t)(0.7 * (double)now + 0.5);
    }
}

static es_oid naive_next(const naive *n, const stage *s)
{
    es_oid best = ES_NO_OBJECT;
    int64_t least = 0;
    for (es_oid o = 0; o < OBJECTS; o++) {
        int64_t key = n->aged[o] - (int64_t)(3e8 / ((double)n->count[o] + 1.0) + 0.5);
        if (!n->here[o] || !es_may_evict(&s->view, o, CACHE))
            continue;
        if (best == ES_NO_OBJECT || key < least || (key == least && n->order[o] < n->order[best])) {
            best = o;
            least = key;
        }
    }
    return best;
}

/* Events of up to four experts of a layer of 8 or of 64, a millisecond or up to 60 apart, or as many of another scale; six to sixty stay; a quarter of the searches
 * find some of them pinned. */
static uint64_t naive_play(uint64_t seed, uint64_t events)
{
    stage s;
    naive n = {.clock = 0};
    static const es_time scale[] = {1000000, 1000, 100000000, 7};       /* spans of keys from nothing to many times the wheel */
    uint64_t victims = 0, room = 6 + seed % 55;
    stage_timed(&s, NULL);
    for (uint64_t i = 0; i < events; i++) {
        char wanted[64] = "";
        uint16_t list[4];
        uint32_t count = 0, held = 0, layer = es_draw_below(seed, 2, i, 1, 0, 0);
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t wide = es_draw_below(seed, 64, i, 2, j, 0), e = layer == 0 ? wide % 8 : wide & es_draw_below(seed, 64, i, 2, j, 1);
            bool twice = false;
            for (uint32_t k = 0; k < count; k++)
                twice |= list[k] == e;
            if (!twice)
                list[count++] = (uint16_t)e;
        }
        for (uint32_t j = 0; j < count; j++)
            snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%u", j ? " " : "", layer * STRIDE + list[j]);
        s.view.now += scale[seed / 2 % 4] * (seed & 1 ? 1 : es_draw_below(seed, 60, i, 3, 0, 0));
        naive_use(&n, list, count, layer * STRIDE, s.view.now);
        stage_use(&s, wanted);
        for (uint32_t w = 0; w < WORDS; w++) {
            s.guard[w] = es_draw_below(seed, 4, i, 4, w, 0) ? 0 : es_draw(seed, i, 5, w, 0) & es_draw(seed, i, 6, w, 0);
            held += (uint32_t)__builtin_popcountll(s.tier[CACHE].resident[w]);
        }
        for (; held > room; held--) {
            es_oid out[OBJECTS], want = naive_next(&n, &s);
            size_t named = stage_victims(&s, (es_need){.tier = CACHE, .bucket = 0, .units = 1}, out);
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
    for (uint64_t seed = 1; seed <= 60; seed++)
        victims += naive_play(seed, 4000);
    assert_true(victims > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_used_once_just_now_leaves_before_one_used_fifty_times_a_tenth_of_a_second_ago),
        cmocka_unit_test(age_decides_beyond_what_frequency_is_worth),
        cmocka_unit_test(of_equals_the_first_that_came_leaves),
        cmocka_unit_test(the_order_of_coming_is_not_that_of_the_last_event),
        cmocka_unit_test(age_and_frequency_may_make_equals),
        cmocka_unit_test(uses_are_forgotten_with_the_expert_or_kept),
        cmocka_unit_test(weights_are_options),
        cmocka_unit_test(without_a_clock_each_event_takes_a_stated_time),
        cmocka_unit_test(who_is_to_be_avoided_leaves_last),
        cmocka_unit_test(avoid_names_experts_that_exist),
        cmocka_unit_test(what_comes_down_keeps_its_uses_and_its_age),
        cmocka_unit_test(victims_are_those_of_a_search_through_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
