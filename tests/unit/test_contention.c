/* Two things at once: the fake that was told to share is told from the one that was told to wait, and what slows copies is found. */
#include "calib/bench.h"
#include "calib/contention.h"
#include "tests/support/calib_kit.h"

static void asked(const es_probe *probe, const char *options, uint32_t pairs, calib_samples *samples)
{
    machine m;
    calib_bench *bench = NULL;
    es_err err = {0};
    *samples = (calib_samples){0};
    fine(machine_open(&m, probe, options, &(calib_ask){.quick = true, .most = 2 * MIB}, &err), &err);
    machine_only(&m, "pcie.h2d");
    fine(calib_bench_open(&bench, m.probe, m.self, &m.plan, 1, &err), &err);
    fine(contention_measure(bench, &(contention_ask){MIB, 0, pairs}, NULL, samples, &err), &err);
    unsigned can = bench->facts.can;
    calib_bench_close(bench);
    machine_close(&m);
    for (int q = 0; q < CALIB_QUESTIONS; q++)
        assert_int_equal(samples->pairs[q].count, contention_needs((calib_question)q) & ~can ? 0 : pairs);
}

static bool waits(const calib_samples *samples, calib_question question)
{
    contention_answer answer = contention_of(samples, question);
    assert_true(answer.asked);
    return contention_waits(&answer);
}

/* 9 us are the fake's fixed time of a copy. */
static double factor(const calib_samples *samples, calib_question question, double fixed_ns)
{
    contention_answer answer = contention_of(samples, question);
    return contention_factor(&answer, fixed_ns);
}

static void waiting_is_told_from_sharing(void **state)
{
    (void)state;
    static const char *const noises[] = {"0", "0.2"};
    for (int shared = 0; shared < 2; shared++)
        for (int n = 0; n < 2; n++) {
            char options[128];
            snprintf(options, sizeof options, "{\"discipline\": \"%s\", \"noise\": %s}", shared ? "shared" : "fifo", noises[n]);
            calib_samples samples;
            asked(&es_probe_fake, options, 16, &samples);
            assert_int_equal(waits(&samples, CALIB_H2D_BEHIND), !shared);
            assert_int_equal(waits(&samples, CALIB_D2H_BEHIND), !shared);
            assert_false(waits(&samples, CALIB_D2H_ACROSS));        /* the other way has an engine of its own */
            assert_false(waits(&samples, CALIB_H2D_FIRST));
            for (int way = 0; way < 2; way++) {
                contention_streams streams = contention_streams_of(&samples, way ? CALIB_D2H_STREAMS_1 : CALIB_H2D_STREAMS_1, 9000);
                assert_true(streams.asked && streams.together == shared && (n > 0 || streams.lanes == 1));     /* noise may gain a tenth */
            }
        }
}

static void what_slows_copies_is_found_with_its_factor(void **state)
{
    (void)state;
    calib_samples samples;
    asked(&es_probe_fake, "{\"opposite\": 0.6, \"computing\": 0.9}", 16, &samples);
    assert_true(fabs(factor(&samples, CALIB_H2D_OPPOSITE, 9000) - 0.6) < 0.003);
    assert_true(fabs(factor(&samples, CALIB_D2H_OPPOSITE, 9000) - 0.6) < 0.003);
    assert_true(fabs(factor(&samples, CALIB_H2D_COMPUTING, 9000) - 0.9) < 0.003);
    assert_true(factor(&samples, CALIB_EXPERT_COPYING, 0) == 1.0);
}

/* Many experts beside many copies: as many as it takes, each counted once. */
static void what_slows_experts_is_found_with_its_factor(void **state)
{
    (void)state;
    static const struct { double computing, copying; } cases[] = {{1.0, 0.5}, {0.5, 0.5}, {0.8, 0.25}, {0.3, 1.0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char options[128];
        calib_samples samples;
        snprintf(options, sizeof options, "{\"computing\": %g, \"copying\": %g}", cases[i].computing, cases[i].copying);
        asked(&es_probe_fake, options, 8, &samples);
        assert_true(fabs(factor(&samples, CALIB_H2D_COMPUTING, 9000) - cases[i].computing) < 0.003);
        assert_true(fabs(factor(&samples, CALIB_D2H_COMPUTING, 9000) - cases[i].computing) < 0.003);
        assert_true(fabs(factor(&samples, CALIB_EXPERT_COPYING, 0) - cases[i].copying) < 0.003);
        assert_true(fabs(factor(&samples, CALIB_EXPERT_SENDING, 0) - cases[i].copying) < 0.003);
        assert_int_equal(contention_of(&samples, CALIB_EXPERT_COPYING).alone.median, 59332);    /* of one: 9 us and 12 MiB at 250 GB/s */
    }
}

static void a_hand_over_is_found_to_the_nanosecond(void **state)
{
    (void)state;
    static const double right[] = {0, 700, 31000};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        char options[64];
        double h2d = -1, d2h = -1, expert = -1, read = -1;
        calib_samples samples;
        snprintf(options, sizeof options, "{\"handover\": \"%gns\"}", right[i]);
        asked(&es_probe_fake, options, 8, &samples);
        assert_true(contention_handover(&samples, CALIB_H2D_WAITING, &h2d) && contention_handover(&samples, CALIB_D2H_WAITING, &d2h) &&
            contention_handover(&samples, CALIB_EXPERT_WAITING, &expert) && contention_handover(&samples, CALIB_READ_WAITING, &read));
        assert_true(h2d == right[i] && d2h == right[i] && expert == right[i] && read == right[i]);
    }
    assert_false(contention_handover(&(calib_samples){0}, CALIB_H2D_WAITING, &(double){0}));
}

static void noise_slows_nothing(void **state)
{
    (void)state;
    int slower = 0;
    for (int seed = 0; seed < 20; seed++) {
        char options[64];
        calib_samples samples;
        snprintf(options, sizeof options, "{\"noise\": 0.3, \"seed\": %d}", seed);
        asked(&es_probe_fake, options, 16, &samples);
        slower += contention_of(&samples, CALIB_H2D_OPPOSITE).slower + contention_of(&samples, CALIB_D2H_COMPUTING).slower;
    }
    assert_in_range(slower, 0, 2);      /* of 40: intervals of 95 % that do not even touch */
}

static void the_hosts_engines_are_first_come_first_served(void **state)
{
    (void)state;
    calib_samples samples;
    asked(&es_probe_host, "{}", 8, &samples);
    assert_true(waits(&samples, CALIB_H2D_BEHIND));
    assert_true(waits(&samples, CALIB_D2H_BEHIND));
    for (int q = 0; q < CALIB_QUESTIONS; q++)
        if (samples.pairs[q].count > 0)
            assert_in_range(1e6 * factor(&samples, (calib_question)q, 0), 1, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_is_told_from_sharing),
        cmocka_unit_test(what_slows_copies_is_found_with_its_factor),
        cmocka_unit_test(what_slows_experts_is_found_with_its_factor),
        cmocka_unit_test(a_hand_over_is_found_to_the_nanosecond),
        cmocka_unit_test(noise_slows_nothing),
        cmocka_unit_test(the_hosts_engines_are_first_come_first_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
