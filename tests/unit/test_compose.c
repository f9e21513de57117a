/* Compose: schedules worked out by hand, and what is counted of them. */
#include "tests/support/trace_kit.h"
#include "traces/compose.h"

/* Request 0: a prompt of 3 tokens and 3 generated; request 1: 1 and 2; request 2: 2 generated, recorded from position 40 on. One layer. */
static const char first[] = H "0,0,P,0,0,1\n0,1,P,0,1,2\n0,2,P,0,2,3\n0,3,D,0,3,4\n0,4,D,0,4,5\n0,5,D,0,5,6\n"
                              "1,0,P,0,1,0\n1,1,D,0,3,0\n1,2,D,0,2,0\n";
static const char second[] = H "7,40,D,0,6,5\n7,41,D,0,4,0\n";

static es_trace *loaded(const char *name, const char *text)
{
    es_err err = { 0 };
    es_trace *trace = NULL;
    es_source_ask ask = ask_all;
    ask.experts = 8;
    put(name, text);
    opened o = open_good(&es_source_csv, name, &ask);
    good(es_trace_load(&trace, o.source, o.self, &ask, &err), &err);
    close_source(&o);
    return trace;
}

static void expect(const es_compose_ask *ask, const char *want, const es_compose_counts *counts)
{
    es_err err = { 0 };
    es_compose *compose = NULL;
    es_trace *traces[2] = { loaded("first.csv", first), loaded("second.csv", second) };
    good(es_compose_new(&compose, traces, 2, ask, &err), &err);
    opened o = { .source = &es_compose_source, .self = compose };
    expect_steps(&o, want);
    const es_compose_counts is = es_compose_count(compose);
    if (counts && memcmp(&is, counts, sizeof is) != 0)
        fail_msg("counted %d listed, %d distinct, %d within, %d across, %d steps, %d tokens, %d requests, %d at most", (int)is.listed, (int)is.distinct,
            (int)is.within, (int)is.across, (int)is.steps, (int)is.tokens, (int)is.requests, (int)is.most_tokens);
    good(es_trace_check(&es_compose_source, compose, NULL, NULL, &err), &err);
    es_compose_free(compose);
    es_trace_free(traces[0]);
    es_trace_free(traces[1]);
}

/* Two at once: request 2 is admitted when request 1 has left. */
static void requests_are_served_as_there_is_room(void **state)
{
    (void)state;
    const es_compose_ask ask = { .batch = 2, .window = 1, .accept = 1.0 };
    expect(&ask,
        "P 0.0(0 1) 0.1(1 2) 0.2(2 3) 1.0(1 0)\n"      /* 0 1 2 3 distinct of 8: 1 and 2 again by request 0; 1 and 0 by request 1 */
        "D 0.3(3 4) 1.1(3 0)\n"                        /* 3 again, by another */
        "D 0.4(4 5) 1.2(2 0)\n"
        "D 0.5(5 6) 2.0(6 5)\n"                        /* both again, by another */
        "D 2.1(4 0)\n",
        &(es_compose_counts){ .listed = 22, .distinct = 15, .within = 2, .across = 5, .steps = 5, .tokens = 11, .requests = 3, .most_tokens = 4 });
    const es_compose_ask alone = { .batch = 1, .window = 1, .accept = 1.0 };
    expect(&alone, "P 0.0(0 1) 0.1(1 2) 0.2(2 3)\nD 0.3(3 4)\nD 0.4(4 5)\nD 0.5(5 6)\nP 1.0(1 0)\nD 1.1(3 0)\nD 1.2(2 0)\nD 2.0(6 5)\nD 2.1(4 0)\n", NULL);
}

/* Steps of three tokens: who generates goes first, prompts share what is left in the order of admission. */
static void prompts_come_in_chunks(void **state)
{
    (void)state;
    const es_compose_ask ask = { .batch = 3, .budget = 3, .window = 1, .accept = 1.0 };
    expect(&ask,
        "P 0.0(0 1) 0.1(1 2) 2.0(6 5)\n"
        "P 0.2(2 3) 1.0(1 0) 2.1(4 0)\n"
        "D 0.3(3 4) 1.1(3 0)\n"
        "D 0.4(4 5) 1.2(2 0)\n"
        "D 0.5(5 6)\n",
        NULL);
}

static void windows_take_several_tokens(void **state)
{
    (void)state;
    const es_compose_ask all = { .batch = 3, .window = 2, .accept = 1.0 }, none = { .batch = 3, .window = 2, .accept = 0.0 };
    expect(&all,
        "P 0.0(0 1) 0.1(1 2) 0.2(2 3) 1.0(1 0) 2.0(6 5) 2.1(4 0)\n"
        "D 0.3(3 4) 0.4(4 5) 1.1(3 0) 1.2(2 0)\n"
        "D 0.5(5 6)\n",
        NULL);
    expect(&none,
        "P 0.0(0 1) 0.1(1 2) 0.2(2 3) 1.0(1 0) 2.0(6 5)\n"
        "D 0.3(3 4) 1.1(3 0) 2.1(4 0)\n"
        "D 0.4(4 5) 1.2(2 0)\n"
        "D 0.5(5 6)\n",
        NULL);
}

/* Far apart they meet nobody; how far on the mean is what was asked for. */
static void arrivals_keep_their_distance(void **state)
{
    (void)state;
    const es_compose_ask far = { .batch = 3, .window = 1, .accept = 1.0, .gap = 1e6, .seed = 3 };
    expect(&far, "P 0.0(0 1) 0.1(1 2) 0.2(2 3)\nD 0.3(3 4)\nD 0.4(4 5)\nD 0.5(5 6)\nP 1.0(1 0)\nD 1.1(3 0)\nD 1.2(2 0)\nD 2.0(6 5)\nD 2.1(4 0)\n", NULL);
}

static void contradictions_are_named(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_compose *compose = NULL;
    es_trace *traces[3] = { loaded("first.csv", first), loaded("layer.csv", H "0,0,D,3,0,1\n"), loaded("wide.csv", H "0,0,D,0,0,1\n0,0,D,1,0,1\n") };
    const es_compose_ask narrow = { .batch = 4, .budget = 7, .window = 2, .accept = 1.0 }, good_ask = { .batch = 1, .window = 1 };
    expect_fault(es_compose_new(&compose, traces, 1, &narrow, &err), &err, "budget: 7 tokens a step are fewer than 4 requests of 2 tokens; it needs at least 8");
    es_compose_free(compose);
    expect_fault(es_compose_new(&compose, traces, 2, &good_ask, &err), &err, "trace 2 has other layer numbers than the first");
    es_compose_free(compose);
    es_trace *pair[2] = { traces[0], traces[2] };
    expect_fault(es_compose_new(&compose, pair, 2, &good_ask, &err), &err, "trace 2 has 2 layers of 8 experts, top-2, and the first 1 of 8, top-2");
    es_compose_free(compose);
    for (int i = 0; i < 3; i++)
        es_trace_free(traces[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_served_as_there_is_room),
        cmocka_unit_test(prompts_come_in_chunks),
        cmocka_unit_test(windows_take_several_tokens),
        cmocka_unit_test(arrivals_keep_their_distance),
        cmocka_unit_test(contradictions_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
