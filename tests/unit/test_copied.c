/* Experts that were copied just before: what the fake was told of them is found, to the nanosecond and between two distances that were measured. */
#include "calib/copied.h"

#include <math.h>

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

/* What an expert of gpu.faded took, times `times` by its distance. */
static void fading(calib_samples *samples, const double *times)
{
    int64_t between[COPIED_DISTANCES];
    calib_series *faded = &samples->row[calib_row_find("gpu.faded") - calib_rows];
    copied_between(64 * KIB, false, between);
    for (size_t i = 0; i < faded->count; i++)
        for (size_t d = 0; d < COPIED_DISTANCES; d++)
            if (between[d] == (int64_t)faded->at[i].count * KIB)
                faded->at[i].ns = es_ns_round((double)faded->at[i].ns * times[d]);
}

/* Of a fake with such options: its profile, as a reader has it; it points into the JSON that is returned. `times`: see fading(); NULL: none. */
static es_json *profiled(const char *options, bool quick, const double *times, es_arena *arena, es_profile *out, es_text *told)
{
    machine m;
    calib_samples samples;
    es_json *profile = NULL;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, options, &(calib_ask){.quick = quick, .most = 3 * MIB}, &err), &err);
    copied_only(&m);
    fine(machine_measure(&m, ES_SECOND / 10, &samples, &err), &err);
    es_json_add_text(samples.environment, "backend", "fake");
    if (times)
        fading(&samples, times);
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

/* A copier that is near up to a distance: all of it is saved at the distances before, nothing at the next. */
static void fades_are(const es_profile_unit *gpu, int64_t near, bool quick)
{
    int64_t between[COPIED_DISTANCES];
    size_t count = copied_between(64 * KIB, quick, between), at = 0;
    for (bool left = true; at < count && left; at++) {
        left = 2 * between[at] <= near;
        assert_true(at < gpu->fades.count);
        assert_int_equal(gpu->fades.at[at].bytes, 2 * between[at]);
        assert_true(fabs(gpu->fades.at[at].saved - (left ? 1.0 : 0.0)) < 0.011);      /* the clock's nanosecond is 0.01 of what 0.9 saves */
    }
    assert_int_equal(gpu->fades.count, at);
}

static void what_the_fake_was_told_is_found(void **state)
{
    (void)state;
    static const struct { double copied; int64_t near; } cases[] = {{0.5, 100 * KIB}, {0.25, 12 * KIB}, {0.9, 64 * KIB}, {0.5, 64 * KIB - 1}, {0.5, 20 * MIB}, {0.5, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int quick = 0; quick < 2; quick++) {
            char options[128];
            es_arena arena = {0};
            es_profile profile;
            es_text told = {0};
            snprintf(options, sizeof options, "{\"alpha\": \"100ns\", \"copied\": %g, \"handed\": 0.7, \"near\": \"%lldB\"}", cases[i].copied, (long long)cases[i].near);
            es_json *json = profiled(options, quick, NULL, &arena, &profile, &told);
            const es_profile_unit *gpu = es_profile_unit_find(&profile, "gpu");
            assert_non_null(gpu);
            assert_true(gpu->copieds > 20 && gpu->points > gpu->copieds - 1);
            fades_are(gpu, cases[i].near, quick);
            for (size_t k = 0; k < gpu->copieds; k++)
                assert_int_equal(gpu->copied[k].time_ns, right(gpu->copied[k].bytes, gpu->copied[k].tokens, cases[i].copied));
            assert_int_equal(gpu->handeds, gpu->copieds);
            for (size_t k = 0; k < gpu->handeds; k++)       /* the other expert was begun before the copy */
                assert_int_equal(gpu->handed[k].time_ns, right(gpu->handed[k].bytes, gpu->handed[k].tokens, 0.7));
            for (size_t k = 0; k < gpu->points; k++)
                assert_int_equal(gpu->point[k].time_ns, right(gpu->point[k].bytes, gpu->point[k].tokens, 1.0));
            cJSON_Delete(json);
            es_text_free(&told);
            es_arena_free(&arena);
        }
}

/* An expert of 256 KiB takes 100 + 1048.6 ns, behind its copy 100 + 524.3. */
static void what_is_saved_fades_little_by_little(void **state)
{
    (void)state;
    const double cold = 1148.576, near = 624.288, quarter = (near + 0.25 * (cold - near)) / near, half = (near + 0.5 * (cold - near)) / near, all = cold / near;
    const struct { double times[COPIED_DISTANCES], saved[COPIED_DISTANCES]; size_t fades; } cases[] = {
        {{1.0, 1.0, quarter, half, half, half}, {1.0, 1.0, 0.75, 0.5, 0.5, 0.5}, 6},
        {{0.8, 1.0, quarter, half, all, all}, {1.0, 1.0, 0.75, 0.5, 0.0}, 5},       /* nothing saves more than all */
        {{1.0, half, quarter, half, all, half}, {1.0, 0.625, 0.625, 0.5, 0.25, 0.25}, 6},   /* what falls is noise: the mean of both */
        {{2.0, 2.0, 2.0, 2.0, 2.0, 2.0}, {0.0}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_arena arena = {0};
        es_profile profile;
        es_text told = {0};
        es_json *json = profiled("{\"alpha\": \"100ns\", \"copied\": 0.5, \"near\": \"20MiB\"}", false, cases[i].times, &arena, &profile, &told);
        const es_profile_unit *gpu = es_profile_unit_find(&profile, "gpu");
        assert_non_null(gpu);
        assert_int_equal(gpu->fades.count, cases[i].fades);
        for (size_t k = 0; k < gpu->fades.count; k++)
            assert_true(fabs(gpu->fades.at[k].saved - cases[i].saved[k]) < 0.0021);     /* the clock's nanosecond is 0.002 of what is saved */
        cJSON_Delete(json);
        es_text_free(&told);
        es_arena_free(&arena);
    }
}

/* Copies of 1 KiB and of 2 to 64 KiB between: distances of 2 to 128 KiB, half way between two of them. */
static void what_the_fake_was_told_of_copies_onto_is_found(void **state)
{
    (void)state;
    static const struct { double onto; int64_t near, found; } cases[] = {
        {0.4, 60 * KIB, 48 * KIB}, {0.75, 18 * KIB, 24 * KIB}, {0.4, 90 * KIB, 96 * KIB}, {0.4, 300 * KIB, 128 * KIB}, {0.97, 300 * KIB, 0}, {0.4, 1 * KIB, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char options[128];
        es_arena arena = {0};
        es_profile profile;
        es_text told = {0};
        const es_flow *flow = NULL;
        es_err err = {0};
        snprintf(options, sizeof options, "{\"alpha\": \"10us\", \"onto\": %g, \"near\": \"%lldB\"}", cases[i].onto, (long long)cases[i].near);
        es_json *json = profiled(options, false, NULL, &arena, &profile, &told);
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
    static const char *const options[] = {"{\"alpha\": \"100ns\"}", "{\"alpha\": \"100ns\", \"copied\": 0.98, \"near\": \"600KiB\"}"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        es_arena arena = {0};
        es_profile profile;
        es_text told = {0};
        es_json *json = profiled(options[i], true, NULL, &arena, &profile, &told);
        const es_profile_unit *gpu = es_profile_unit_find(&profile, "gpu");
        assert_true(gpu && gpu->points > 20 && gpu->copieds == 0 && gpu->fades.count == 0);
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
    assert_int_equal(bytes[0], MIB);
    assert_int_equal(bytes[5], 32 * MIB);
    assert_int_equal(copied_between(32 * MIB, true, bytes), 3);
    assert_int_equal(bytes[0], MIB);
    assert_int_equal(bytes[2], 16 * MIB);
    assert_int_equal(copied_expert(32 * MIB, 256 * KIB), 4 * MIB);
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
    refused("\"copied\": {\"points\": []}", "copied: fades: is missing");
    refused("\"copied\": {\"near\": \"1MiB\", \"points\": []}", "near");
    refused("\"copied\": {\"fades\": [], \"points\": []}", "copied: fades: needs a list of at least one point, found an empty one");
    refused("\"copied\": {\"fades\": [{\"bytes\": \"1MiB\", \"saved\": 1.5}], \"points\": []}", "saved");
    refused("\"copied\": {\"fades\": [{\"bytes\": \"1MiB\", \"saved\": 0.5}, {\"bytes\": \"1MiB\", \"saved\": 0.25}], \"points\": []}", "copied: fades: 1: bytes: 1048576 comes after 1048576; points ascend");
    refused("\"copied\": {\"fades\": [{\"bytes\": \"1MiB\", \"saved\": 0.5}, {\"bytes\": \"2MiB\", \"saved\": 0.75}], \"points\": []}", "copied: fades: 1: saved: 0.75 comes after 0.5; what is saved does not grow");
    refused("\"copied\": {\"fades\": [{\"bytes\": \"1MiB\", \"saved\": 1}], \"points\": [{\"tokens\": 1, \"bytes\": 8, \"time\": \"0ns\"}]}", "copied");
    refused("\"copied\": {\"fades\": [{\"bytes\": \"1MiB\", \"saved\": 1}], \"points\": [{\"tokens\": 2, \"bytes\": \"8B\", \"time\": \"1ns\"}, {\"tokens\": 1, \"bytes\": \"8B\", \"time\": \"1ns\"}]}", "ascend");
    refused("\"handover\": \"-1ns\"", "handover");
    refused_as("\"pcie\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", \"provenance\": \"measured\", \"source\": \"s\", \"onto\": 0.5}}", "",
        "h2d: onto: a share of 0.5 needs onto_near, the bytes up to which it holds");
    refused_as("\"pcie\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", \"provenance\": \"measured\", \"source\": \"s\", \"onto\": 0}}", "", "onto");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_fake_was_told_is_found),
        cmocka_unit_test(what_is_saved_fades_little_by_little),
        cmocka_unit_test(what_the_fake_was_told_of_copies_onto_is_found),
        cmocka_unit_test(a_copy_that_saves_nothing_is_no_price),
        cmocka_unit_test(distances_ascend_to_the_cache),
        cmocka_unit_test(a_wrong_profile_is_refused_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
