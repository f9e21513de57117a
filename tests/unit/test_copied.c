/* Experts that were copied just before: what the fake was told of them is found, to the nanosecond and within a distance that was measured. */
#include "calib/copied.h"
#include "calib/report.h"
#include "models/profile.h"
#include "tests/support/calib_kit.h"

static void copied_only(machine *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->plan.count; i++) {
        const char *name = calib_rows[m->plan.at[i].row].name;
        if (strncmp(name, "gpu.", 4) == 0 || strcmp(name, "pcie.h2d") == 0 || strcmp(name, "pcie.onto") == 0)
            m->plan.at[kept++] = m->plan.at[i];
    }
    m->plan.count = kept;
}

/* Of a fake with such options: its profile, as a reader has it; it points into the JSON that is returned. */
static es_json *profiled(const char *options, bool quick, es_arena *arena, es_profile *out, es_text *told)
{
    machine m;
    calib_samples samples;
    es_json *profile = NULL;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, options, &(calib_ask){.quick = quick, .most = 16 * MIB}, &err), &err);
    copied_only(&m);
    fine(machine_measure(&m, ES_SECOND, &samples, &err), &err);
    es_json_add_text(samples.environment, "backend", "fake");
    fine(calib_report(&samples, &(report_ask){0}, &profile, told, &err), &err);
    fine(es_profile_parse(out, cJSON_GetObjectItem(profile, "machine"), NULL, arena, &err), &err);
    calib_samples_free(&samples);
    machine_close(&m);
    return profile;
}

/* 100 ns, and 4 bytes a weight at ten times 25 GB/s, or an operation of each token for each weight at twenty times that. */
static es_time right(int64_t bytes, int64_t tokens, double read)
{
    double ns = (double)bytes / 250.0 * read, work = (double)bytes / 4.0 * 2.0 * (double)tokens / 500.0;
    return es_ns_round(100.0 + (ns > work ? ns : work));
}

static void what_the_fake_was_told_is_found(void **state)
{
    (void)state;
    static const struct { double copied; int64_t near, from, to; } cases[] = {     /* found half way between the distances around it */
        {0.5, 600 * KIB, 576 * KIB, 608 * KIB}, {0.25, 530 * KIB, 528 * KIB, 544 * KIB}, {0.9, 639 * KIB, 608 * KIB, 640 * KIB},
        {0.5, 20 * MIB, 640 * KIB - 1, 640 * KIB + 1},              /* the last that was measured */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int quick = 0; quick < 2; quick++) {
            char options[128];
            es_arena arena = {0};
            es_profile profile;
            es_text told = {0};
            snprintf(options, sizeof options, "{\"alpha\": \"100ns\", \"copied\": %g, \"handed\": 0.7, \"near\": \"%lldB\"}", cases[i].copied, (long long)cases[i].near);
            es_json *json = profiled(options, quick, &arena, &profile, &told);
            const es_profile_unit *gpu = es_profile_unit_find(&profile, "gpu");
            assert_non_null(gpu);
            assert_true(gpu->copieds > 20 && gpu->points > gpu->copieds - 1);
            if (!quick)
                assert_true(gpu->near_bytes > cases[i].from && gpu->near_bytes < cases[i].to);
            assert_true(gpu->near_bytes >= 528 * KIB && gpu->near_bytes <= 640 * KIB);
            for (size_t k = 0; k < gpu->copieds; k++)       /* what is larger than near is not near behind its own copy */
                assert_int_equal(gpu->copied[k].time_ns, right(gpu->copied[k].bytes, gpu->copied[k].tokens, 2 * gpu->copied[k].bytes <= cases[i].near ? cases[i].copied : 1.0));
            assert_int_equal(gpu->handeds, gpu->copieds);
            for (size_t k = 0; k < gpu->handeds; k++)       /* the other expert reads as much as it has itself */
                assert_int_equal(gpu->handed[k].time_ns, right(gpu->handed[k].bytes, gpu->handed[k].tokens, 2 * gpu->handed[k].bytes <= cases[i].near ? 0.7 : 1.0));
            for (size_t k = 0; k < gpu->points; k++)
                assert_int_equal(gpu->point[k].time_ns, right(gpu->point[k].bytes, gpu->point[k].tokens, 1.0));
            cJSON_Delete(json);
            es_text_free(&told);
            es_arena_free(&arena);
        }
}

/* Copies of 8 KiB, an eighth of the fake's cache, 1 KiB and 8 to 64 KiB between: distances of 18 to 144 KiB, half way between two of them. */
static void what_the_fake_was_told_of_copies_onto_is_found(void **state)
{
    (void)state;
    static const struct { double onto; int64_t near, found; } cases[] = {
        {0.4, 60 * KIB, 56 * KIB}, {0.75, 18 * KIB, 25 * KIB}, {0.4, 90 * KIB, 96 * KIB}, {0.4, 300 * KIB, 144 * KIB}, {0.97, 300 * KIB, 0}, {0.4, 17 * KIB, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char options[128];
        es_arena arena = {0};
        es_profile profile;
        es_text told = {0};
        const es_flow *flow = NULL;
        es_err err = {0};
        snprintf(options, sizeof options, "{\"alpha\": \"10us\", \"onto\": %g, \"near\": \"%lldB\"}", cases[i].onto, (long long)cases[i].near);
        es_json *json = profiled(options, false, &arena, &profile, &told);
        fine(es_profile_flow(&profile, "pcie.h2d", &flow, &err), &err);
        assert_true(flow->onto == (cases[i].found ? cases[i].onto : 1.0));
        assert_int_equal(flow->onto_near_bytes, cases[i].found);
        cJSON_Delete(json);
        es_text_free(&told);
        es_arena_free(&arena);
    }
}

static void a_copy_that_saves_nothing_is_no_price(void **state)
{
    (void)state;
    static const char *const options[] = {"{\"alpha\": \"100ns\"}", "{\"alpha\": \"100ns\", \"copied\": 0.98, \"near\": \"600KiB\"}", "{\"alpha\": \"100ns\", \"copied\": 0.5, \"near\": \"1KiB\"}"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        es_arena arena = {0};
        es_profile profile;
        es_text told = {0};
        es_json *json = profiled(options[i], true, &arena, &profile, &told);
        const es_profile_unit *gpu = es_profile_unit_find(&profile, "gpu");
        assert_true(gpu && gpu->points > 20 && gpu->copieds == 0 && gpu->near_bytes == 0);
        cJSON_Delete(json);
        es_text_free(&told);
        es_arena_free(&arena);
    }
}

static void distances_ascend_to_the_cache(void **state)
{
    (void)state;
    int64_t bytes[COPIED_DISTANCES];
    assert_int_equal(copied_between(32 * MIB, false, bytes), 6);
    assert_int_equal(bytes[0], 4 * MIB);
    assert_int_equal(bytes[5], 32 * MIB);
    assert_int_equal(copied_between(32 * MIB, true, bytes), 4);
    assert_int_equal(bytes[3], 32 * MIB);
    assert_int_equal(copied_expert(32 * MIB, 256 * KIB), MIB);
    assert_int_equal(copied_expert(64 * KIB, 256 * KIB), 256 * KIB);
}

static void refused_as(const char *links, const char *unit, const char *said)
{
    es_json *json = NULL;
    es_arena arena = {0};
    es_profile profile;
    es_err err = {0};
    char text[512];
    snprintf(text, sizeof text, "{\"name\": \"m\", \"links\": {%s}, \"compute\": {\"gpu\": {\"provenance\": \"measured\", \"source\": \"s\"%s}}}", links, unit);
    fine(es_json_parse(&json, text, strlen(text), &err), &err);
    assert_int_equal(es_profile_parse(&profile, json, NULL, &arena, &err), ES_EINPUT);
    says(&err, said);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void refused(const char *unit, const char *said)
{
    char text[512];
    snprintf(text, sizeof text, ", %s", unit);
    refused_as("", text, said);
}

static void a_wrong_profile_is_refused_by_key(void **state)
{
    (void)state;
    refused("\"copied\": {\"points\": []}", "copied");
    refused("\"copied\": {\"near\": 0, \"points\": []}", "near");
    refused("\"copied\": {\"near\": \"1MiB\", \"points\": [{\"tokens\": 1, \"bytes\": 8, \"time\": \"0ns\"}]}", "copied");
    refused("\"copied\": {\"near\": \"1MiB\", \"points\": [{\"tokens\": 2, \"bytes\": \"8B\", \"time\": \"1ns\"}, {\"tokens\": 1, \"bytes\": \"8B\", \"time\": \"1ns\"}]}", "ascend");
    refused("\"handover\": \"-1ns\"", "handover");
    refused_as("\"pcie\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", \"provenance\": \"measured\", \"source\": \"s\", \"onto\": 0.5}}", "",
        "h2d: onto: a share of 0.5 needs onto_near, the bytes up to which it holds");
    refused_as("\"pcie\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", \"provenance\": \"measured\", \"source\": \"s\", \"onto\": 0}}", "", "onto");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_fake_was_told_is_found),
        cmocka_unit_test(what_the_fake_was_told_of_copies_onto_is_found),
        cmocka_unit_test(a_copy_that_saves_nothing_is_no_price),
        cmocka_unit_test(distances_ascend_to_the_cache),
        cmocka_unit_test(a_wrong_profile_is_refused_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
