/* What is measured, in which order, until when, and what is kept of it. */
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>

#include "calib/bench.h"
#include "tests/support/calib_kit.h"

/* ---- plan ---- */

static const es_probe_facts everything = {ES_PROBE_PINS | ES_PROBE_EXPERT | ES_PROBE_DISK | ES_PROBE_DISK_QUEUE | ES_PROBE_LOCKS, 1 << 16, 8LL << 30, "test", 0};

static calib_plan planned(es_arena *arena, const calib_ask *ask, const es_probe_facts *facts)
{
    calib_plan plan;
    es_err err = {0};
    fine(calib_plan_make(&plan, ask, facts, arena, &err), &err);
    return plan;
}

static bool has(const calib_plan *plan, const char *row, uint32_t count, int64_t bytes)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(calib_rows[plan->at[i].row].name, row) == 0 && plan->at[i].count == count && plan->at[i].bytes == bytes)
            return true;
    return false;
}

static void sizes_are_powers_of_two_and_half_as_much_again_and_real_experts(void **state)
{
    (void)state;
    es_arena arena = {0};
    const int64_t expert[] = {9437184, 27 * MIB, 1LL << 40};
    calib_plan plan = planned(&arena, &(calib_ask){.expert = expert, .experts = 3}, &everything);
    assert_true(has(&plan, "pcie.h2d", 1, 4 * KIB));
    assert_true(has(&plan, "pcie.h2d", 1, 6 * KIB));
    assert_true(has(&plan, "pcie.h2d", 1, 256 * MIB));
    assert_true(has(&plan, "pcie.h2d", 1, 9437184));
    assert_true(has(&plan, "disk.read", 8, 27 * MIB));
    assert_true(has(&plan, "pcie.batch", 4, 27 * MIB) && has(&plan, "pcie.batch", 20, 9437184));
    assert_false(has(&plan, "pcie.h2d", 1, 1LL << 40));
    assert_true(has(&plan, "gpu.expert", 256, 8LL * CALIB_HIDDEN * CALIB_INTER));
    for (size_t i = 1; i < plan.count; i++) {
        const calib_case *a = &plan.at[i - 1], *b = &plan.at[i];
        assert_true(a->row < b->row || (a->row == b->row && (a->count < b->count || (a->count == b->count && a->bytes < b->bytes))));
    }
    es_arena_free(&arena);
}

/* How what a copy saves fades is measured of the first expert that a quarter of the cache holds, else of an eighth of the cache. */
static void the_expert_that_is_simulated_is_the_one_that_fades(void **state)
{
    (void)state;
    const int64_t large[] = {27 * MIB, 11 * MIB / 4 - 1, MIB}, none[] = {9 * MIB};
    const struct { calib_ask ask; int64_t bytes; } cases[] = {
        {{0}, 4 * MIB}, {{.quick = true}, 4 * MIB}, {{.expert = large, .experts = 3}, 11 * MIB / 4}, {{.expert = none, .experts = 1}, 4 * MIB}, {{.most = 2 * MIB}, 256 * KIB},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_arena arena = {0};
        es_probe_facts host = everything;
        host.cache_bytes = 32 * MIB;
        calib_plan plan = planned(&arena, &cases[i].ask, &host);
        assert_true(has(&plan, "gpu.faded", KIB, cases[i].bytes) && has(&plan, "gpu.faded", 16 * KIB, cases[i].bytes));
        assert_int_equal(has(&plan, "gpu.faded", 32 * KIB, cases[i].bytes), !cases[i].ask.quick);
        es_arena_free(&arena);
    }
}

static int64_t largest_of(const calib_plan *plan, const char *row)
{
    int64_t largest = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(calib_rows[plan->at[i].row].name, row) == 0)
            largest = plan->at[i].bytes;
    return largest;
}

static void a_card_is_copied_to_in_pieces_of_up_to_one_gibibyte_where_memory_has_room(void **state)
{
    (void)state;
    const struct { calib_ask ask; int64_t memory, pinned, others; } cases[] = {
        {{0}, 128LL << 30, 1024 * MIB, 256 * MIB},
        {{0}, 8LL << 30, 512 * MIB, 256 * MIB},
        {{0}, 2LL << 30, 128 * MIB, 128 * MIB},
        {{.quick = true}, 128LL << 30, 16 * MIB, 16 * MIB},
        {{.most = 64 * MIB}, 128LL << 30, 64 * MIB, 64 * MIB},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_arena arena = {0};
        es_probe_facts card = everything;
        card.can |= ES_PROBE_FLAVOURS;
        card.memory_bytes = cases[i].memory;
        calib_plan plan = planned(&arena, &cases[i].ask, &card);
        assert_int_equal(largest_of(&plan, "pcie.h2d"), cases[i].pinned);
        assert_int_equal(largest_of(&plan, "pcie.d2h"), cases[i].pinned);
        assert_int_equal(largest_of(&plan, "pcie.pageable"), cases[i].others);
        assert_int_equal(largest_of(&plan, "device.read"), cases[i].others);
        assert_int_equal(largest_of(&plan, "pcie.h2d_registered"), cases[i].others / 4);
        assert_int_equal(plan.most, cases[i].pinned);
        assert_int_equal(plan.largest, cases[i].others);
        assert_int_equal(plan.pinned, cases[i].pinned);
        es_arena_free(&arena);
    }
}

static void what_a_machine_cannot_do_is_not_asked_for(void **state)
{
    (void)state;
    es_arena arena = {0};
    es_probe_facts poor = everything;
    poor.can = ES_PROBE_DISK;
    calib_plan plan = planned(&arena, &(calib_ask){.quick = true}, &poor);
    for (size_t i = 0; i < plan.count; i++) {
        assert_int_equal(calib_rows[plan.at[i].row].needs & ~poor.can, 0);
        assert_true(calib_rows[plan.at[i].row].op != CALIB_READ || plan.at[i].count == 1);
    }
    es_arena_free(&arena);
}

static void memory_is_copied_by_one_thread_to_all_that_there_are(void **state)
{
    (void)state;
    static const uint32_t threads[] = {1, 2, 4, 6}, quick[] = {1, 6};
    es_arena arena = {0};
    es_probe_facts six = everything;
    six.can |= ES_PROBE_THREADS;
    six.threads = 6;
    for (int q = 0; q < 2; q++) {
        calib_plan plan = planned(&arena, &(calib_ask){.quick = q}, &six);
        size_t next = 0, count = q ? 2 : 4;
        for (size_t i = 0; i < plan.count; i++)
            if (strcmp(calib_rows[plan.at[i].row].name, "dram.copy") == 0 && plan.at[i].bytes == MIB)
                assert_int_equal(plan.at[i].count, (q ? quick : threads)[next++]);
        assert_int_equal(next, count);
        assert_true(has(&plan, "dram.copy", 1, 64 * KIB) && !has(&plan, "dram.copy_huge", 1, MIB));
    }
    es_arena_free(&arena);
}

static void each_round_is_an_order_of_its_own(void **state)
{
    (void)state;
    es_arena arena = {0};
    calib_plan plan = planned(&arena, &(calib_ask){.quick = true, .seed = 7}, &everything);
    uint32_t *a = ES_NEW_ARRAY(&arena, plan.count, uint32_t), *b = ES_NEW_ARRAY(&arena, plan.count, uint32_t);
    bool *seen = ES_NEW_ARRAY(&arena, plan.count, bool);
    calib_plan_shuffle(&plan, 3, a);
    calib_plan_shuffle(&plan, 3, b);
    assert_memory_equal(a, b, plan.count * sizeof *a);
    for (size_t i = 0; i < plan.count; i++) {
        assert_true(a[i] < plan.count && !seen[a[i]]);
        seen[a[i]] = true;
    }
    calib_plan_shuffle(&plan, 4, b);
    assert_memory_not_equal(a, b, plan.count * sizeof *a);
    es_arena_free(&arena);
}

/* ---- when to stop ---- */

/* The formula of sample.h against what it stands for. */
static void the_interval_of_a_median_is_the_one_that_resampling_gives(void **state)
{
    (void)state;
    enum { TIMES = 20000 };
    static double median[TIMES];
    for (size_t n = 9; n <= 41; n += 32) {
        double value[64], draw[64];
        for (size_t i = 0; i < n; i++)
            value[i] = (double)(i * i);
        for (uint64_t t = 0; t < TIMES; t++) {
            for (size_t i = 0; i < n; i++)
                draw[i] = value[es_draw_below(1, (uint32_t)n, t, i, n, 0)];
            gsl_sort(draw, 1, n);
            median[t] = draw[(n - 1) / 2];
        }
        gsl_sort(median, 1, TIMES);
        calib_interval interval = calib_median(value, n);
        assert_true(interval.median == value[n / 2]);
        assert_true((interval.low == gsl_stats_quantile_from_sorted_data(median, 1, TIMES, 0.025)));
        assert_true((interval.high == gsl_stats_quantile_from_sorted_data(median, 1, TIMES, 0.975)));
    }
}

static calib_case_state taken(double spread, uint32_t rounds)
{
    calib_case_state state = {0};
    for (uint32_t i = 0; i < rounds && !state.stopped; i++)
        calib_case_take(&state, 1000.0 * (1.0 + spread * (es_draw_real(5, i, 0, 0, 0) - 0.5)));
    return state;
}

static void a_case_stops_when_it_is_precise_or_its_noise_is_known(void **state)
{
    (void)state;
    calib_case_state quiet = taken(0.01, 100), loud = taken(1.2, 240), cut = taken(1.2, 20);
    assert_int_equal(quiet.stop, CALIB_PRECISE);
    assert_int_equal(quiet.count, 10);
    assert_int_equal(loud.stop, CALIB_STABLE);
    assert_in_range(loud.count, 60, 239);
    assert_int_equal(cut.stop, CALIB_BUDGET);
    assert_false(cut.stopped);
}

/* ---- measuring ---- */

static void every_case_of_every_round_is_kept(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{}", &(calib_ask){.quick = true, .most = MIB}, &err), &err);
    fine(machine_measure(&m, ES_SECOND, &samples, &err), &err);
    size_t total = 0;
    unsigned can = es_probe_fake.facts(m.self).can;
    for (size_t i = 0; i < CALIB_ROWS; i++) {
        total += samples.row[i].count;
        assert_int_equal(samples.row[i].count > 0, (calib_rows[i].needs & can) == calib_rows[i].needs);
        assert_int_equal(samples.row[i].stop, CALIB_PRECISE);
    }
    assert_int_equal(total, 10 * m.plan.count);     /* without noise the first ten rounds are enough */
    const calib_series *h2d = series_of(&samples, "pcie.h2d");
    for (size_t i = 0; i < h2d->count; i++) {
        assert_int_equal(h2d->at[i].ns, llround(9000.0 + (double)h2d->at[i].bytes / 25.0));
        assert_int_equal(h2d->at[i].issue_ns, 3000);
        assert_true(h2d->at[i].host_ns >= h2d->at[i].ns);
    }
    calib_samples_free(&samples);
    machine_close(&m);
}

/* Where the disk's bytes went in its calls, by a probe that is the fake but for that. */
enum { NOTED = 4096 };
typedef struct noted { const void *at[NOTED]; es_disk_way way[NOTED]; size_t count; } noted;

static noted *noted_here(void)
{
    static noted here;
    return &here;
}

static es_code disk_noted(void *self, const es_probe_io *io, es_err *err)
{
    noted *n = noted_here();
    if (n->count < NOTED && !io->write) {
        n->way[n->count] = io->way;
        n->at[n->count++] = io->buffer;
    }
    return es_probe_fake.disk(self, io, err);
}

/* A cache reads into memory of its slots, which is pinned and another one each time; one buffer that is read into again and again is near the
 * processor, and pages that nobody asked to be huge or pinned take longer. */
static void the_disk_is_read_into_pinned_memory_that_was_not_just_used(void **state)
{
    (void)state;
    machine m;
    calib_bench *bench;
    calib_sample sample;
    es_err err = {0};
    es_probe probe = es_probe_fake;
    probe.disk = disk_noted;
    fine(machine_open(&m, &probe, "{}", &(calib_ask){.quick = true, .most = MIB}, &err), &err);
    fine(calib_bench_open(&bench, m.probe, m.self, &m.plan, 1, &err), &err);
    const bench_pool *pinned = &bench->pool[ES_MEMORY_PINNED];
    const calib_case read = {(uint32_t)(calib_row_find("disk.read") - calib_rows), 1, 256 * KIB};
    noted_here()->count = 0;
    for (int i = 0; i < 8; i++)
        fine(bench_perform(bench, &read, i == 0, &sample, &err), &err);
    assert_int_equal(noted_here()->count, 8);
    for (size_t i = 0; i < 8; i++) {
        const unsigned char *at = noted_here()->at[i];
        assert_true(at >= pinned->at && at + read.bytes <= pinned->at + pinned->bytes);
        assert_true(i == 0 || at != noted_here()->at[i - 1]);
    }
    const calib_case buffered = {(uint32_t)(calib_row_find("disk.buffered") - calib_rows), 1, 256 * KIB};
    noted_here()->count = 0;
    fine(bench_perform(bench, &buffered, true, &sample, &err), &err);
    assert_int_equal(noted_here()->count, 2);       /* what the page cache has of it is forgotten first, and that is not timed */
    assert_true(noted_here()->way[0] == ES_DISK_FORGET && noted_here()->way[1] == ES_DISK_BUFFERED);
    assert_int_equal(sample.ns, 5 * 9000 + llround(256.0 * 1024.0 / (25.0 / 80.0)));
    calib_bench_close(bench);
    machine_close(&m);
}

static void a_budget_that_is_too_short_says_what_it_left_open(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{\"noise\": 0.3}", &(calib_ask){.quick = true, .most = MIB}, &err), &err);
    fine(machine_measure(&m, 1, &samples, &err), &err);
    const calib_series *h2d = series_of(&samples, "pcie.h2d");
    assert_int_equal(h2d->stop, CALIB_BUDGET);
    assert_int_equal(h2d->open, 9);
    assert_int_equal(h2d->count, 3 * 9);            /* three rounds are the least */
    calib_samples_free(&samples);
    machine_close(&m);
}

static void the_same_seed_gives_the_same_samples(void **state)
{
    (void)state;
    calib_samples samples[2];
    es_err err = {0};
    for (int i = 0; i < 2; i++) {
        machine m;
        fine(machine_open(&m, &es_probe_fake, "{\"noise\": 0.05, \"stalls\": 20}", &(calib_ask){.quick = true, .most = MIB, .seed = 3}, &err), &err);
        fine(machine_measure(&m, ES_SECOND / 10, &samples[i], &err), &err);
        machine_close(&m);
    }
    for (size_t i = 0; i < CALIB_ROWS; i++) {
        assert_int_equal(samples[0].row[i].count, samples[1].row[i].count);
        for (size_t k = 0; k < samples[0].row[i].count; k++)
            assert_int_equal(samples[0].row[i].at[k].ns, samples[1].row[i].at[k].ns);
    }
    calib_samples_free(&samples[0]);
    calib_samples_free(&samples[1]);
}

/* ---- what goes wrong ---- */

static void failing(const char *options, es_code code, const char *text)
{
    machine m;
    calib_samples samples = {0};
    es_err err = {0};
    es_code got = machine_open(&m, &es_probe_fake, options, &(calib_ask){.quick = true, .most = MIB}, &err);
    if (got == ES_OK)
        got = machine_measure(&m, ES_SECOND, &samples, &err);
    assert_int_equal(got, code);
    says(&err, text);
    calib_samples_free(&samples);
    machine_close(&m);
}

static void a_machine_that_fails_says_so_and_keeps_nothing(void **state)
{
    (void)state;
    failing("{\"fail\": \"no_device\"}", ES_EDEVICE, "no usable device: the fake was told to have none. Try --backend host.");
    for (int call = 1; call < 12; call += 3) {
        char options[64], text[64];
        snprintf(options, sizeof options, "{\"fail\": \"memory\", \"fail_at\": %d}", call);
        snprintf(text, sizeof text, "memory at allocation %d, ", call);
        failing(options, ES_EDEVICE, text);
    }
    failing("{\"memory\": \"4MiB\"}", ES_EDEVICE, "out of memory: ");
    for (int call = 1; call < 4000; call = 3 * call + 1) {
        char options[64], text[64];
        snprintf(options, sizeof options, "{\"fail\": \"lost\", \"fail_at\": %d}", call);
        snprintf(text, sizeof text, "the device was lost at call %d;", call);
        failing(options, ES_EDEVICE, text);
    }
}

static void a_copy_that_brings_other_bytes_is_found(void **state)
{
    (void)state;
    failing("{\"fail\": \"bytes\"}", ES_ECHECK, "bytes brought other bytes than were sent");
    failing("{\"fail\": \"bytes\", \"fail_at\": 900}", ES_ECHECK, "bytes brought other bytes than were sent");
}

static void memory_for_nothing_worth_measuring_is_refused(void **state)
{
    (void)state;
    failing("{\"memory\": \"1MiB\", \"fail\": \"never\"}", ES_EDEVICE, "out of memory");
    es_arena arena = {0};
    calib_plan plan;
    es_err err = {0};
    es_probe_facts tiny = everything;
    tiny.memory_bytes = 256 * KIB;
    assert_int_equal(calib_plan_make(&plan, &(calib_ask){0}, &tiny, &arena, &err), ES_EINPUT);
    says(&err, "copies of at most 21845 bytes are too few to fit a line through");
    es_arena_free(&arena);
}

/* ---- the file ---- */

static void samples_come_back_from_their_file(void **state)
{
    (void)state;
    machine m;
    calib_samples samples, again;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{\"noise\": 0.2}", &(calib_ask){.quick = true, .most = MIB}, &err), &err);
    fine(machine_measure(&m, ES_SECOND / 20, &samples, &err), &err);
    machine_close(&m);
    es_json_add_text(samples.environment, "device", "fake");
    fine(calib_samples_save(&samples, "calib_samples.h5", &err), &err);
    fine(calib_samples_load(&again, "calib_samples.h5", &err), &err);
    for (size_t i = 0; i < CALIB_ROWS; i++) {
        assert_int_equal(samples.row[i].count, again.row[i].count);
        assert_int_equal(samples.row[i].stop, again.row[i].stop);
        assert_int_equal(samples.row[i].open, again.row[i].open);
        for (size_t k = 0; k < samples.row[i].count; k++)
            assert_memory_equal(&samples.row[i].at[k], &again.row[i].at[k], sizeof(calib_sample));
    }
    assert_string_equal(es_json_at(again.environment, "device")->valuestring, "fake");
    calib_samples_free(&samples);
    calib_samples_free(&again);
    unlink("calib_samples.h5");
}

static void a_file_of_something_else_is_refused(void **state)
{
    (void)state;
    calib_samples samples;
    es_err err = {0};
    assert_int_equal(calib_samples_load(&samples, ES_SOURCE_ROOT "/models/predictors/quickstart.h5", &err), ES_EINPUT);
    says(&err, "models/predictors/quickstart.h5: ");
    calib_samples_free(&samples);
    assert_int_equal(calib_samples_load(&samples, "calib_none.h5", &err), ES_EINPUT);
    says(&err, "calib_none.h5");
    calib_samples_free(&samples);
}

static void a_round_that_cannot_be_is_refused(void **state)
{
    (void)state;
    calib_samples samples = {.environment = cJSON_CreateObject()}, again;
    es_err err = {0};
    for (uint32_t i = 0; i < 3; i++)
        fine(calib_series_add(&samples.row[0], &(calib_sample){.bytes = 4096, .count = 1, .ns = 1000, .host_ns = 1000, .round = i < 2 ? CALIB_ROUNDS - 1 : CALIB_ROUNDS}, &err), &err);
    fine(calib_samples_save(&samples, "calib_rounds.h5", &err), &err);
    assert_int_equal(calib_samples_load(&again, "calib_rounds.h5", &err), ES_EINPUT);
    says(&err, "calib_rounds.h5: /samples/pcie.h2d/round: sample 2 is of round 240, needs one below 240");
    calib_samples_free(&samples);
    calib_samples_free(&again);
    unlink("calib_rounds.h5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_two_and_half_as_much_again_and_real_experts),
        cmocka_unit_test(the_expert_that_is_simulated_is_the_one_that_fades),
        cmocka_unit_test(a_card_is_copied_to_in_pieces_of_up_to_one_gibibyte_where_memory_has_room),
        cmocka_unit_test(what_a_machine_cannot_do_is_not_asked_for),
        cmocka_unit_test(memory_is_copied_by_one_thread_to_all_that_there_are),
        cmocka_unit_test(each_round_is_an_order_of_its_own),
        cmocka_unit_test(the_interval_of_a_median_is_the_one_that_resampling_gives),
        cmocka_unit_test(a_case_stops_when_it_is_precise_or_its_noise_is_known),
        cmocka_unit_test(every_case_of_every_round_is_kept),
        cmocka_unit_test(the_disk_is_read_into_pinned_memory_that_was_not_just_used),
        cmocka_unit_test(a_budget_that_is_too_short_says_what_it_left_open),
        cmocka_unit_test(the_same_seed_gives_the_same_samples),
        cmocka_unit_test(a_machine_that_fails_says_so_and_keeps_nothing),
        cmocka_unit_test(a_copy_that_brings_other_bytes_is_found),
        cmocka_unit_test(memory_for_nothing_worth_measuring_is_refused),
        cmocka_unit_test(samples_come_back_from_their_file),
        cmocka_unit_test(a_file_of_something_else_is_refused),
        cmocka_unit_test(a_round_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
