/* A calibrated profile: what the fake was told is what a config is charged; what cannot be is refused by its key. */
#include <gsl/gsl_sort.h>

#include "calib/fit.h"
#include "calib/report.h"
#include "models/profile.h"
#include "sim/part/timing.h"
#include "tests/support/calib_kit.h"

extern const es_timing es_timing_piecewise, es_timing_empirical;

static es_json *json_of(const char *text)
{
    es_json *json = NULL;
    es_err err = {0};
    fine(es_json_parse(&json, text, strlen(text), &err), &err);
    return json;
}

/* ---- from samples to a profile ---- */

static es_code reported(const char *options, const report_ask *ask, es_time budget, es_json **profile, es_text *told, es_err *err)
{
    machine m;
    calib_samples samples;
    fine(machine_open(&m, &es_probe_fake, options, &(calib_ask){.most = 8 * MIB}, err), err);
    fine(machine_measure(&m, budget, &samples, err), err);
    es_json_add_text(samples.environment, "backend", "fake");
    es_code code = calib_report(&samples, ask, profile, told, err);
    calib_samples_free(&samples);
    machine_close(&m);
    return code;
}

static void what_the_fake_was_told_is_what_the_profile_says(void **state)
{
    (void)state;
    es_json *profile;
    es_text told = {0};
    es_err err = {0};
    es_arena arena = {0};
    es_profile read;
    const es_flow *flow;
    fine(reported("{\"alpha\": \"9us\", \"rate\": \"25GB/s\", \"knee\": \"1MiB\", \"rate_beyond\": \"10GB/s\"}", &(report_ask){.resamples = 20}, 60 * ES_SECOND, &profile, &told, &err), &err);
    fine(es_profile_parse(&read, cJSON_GetObjectItem(profile, "machine"), NULL, &arena, &err), &err);
    fine(es_profile_flow(&read, "pcie.h2d", &flow, &err), &err);
    assert_non_null(flow->fit);
    assert_int_equal(flow->fit->model, ES_FIT_KNEE);
    assert_int_equal(flow->rate_origin.provenance, ES_PROVENANCE_SYNTHETIC);
    for (double n = 4096; n <= 8388608; n *= 2) {
        double right = 9e-6 + fmin(n, 1048576) / 25e9 + fmax(0.0, n - 1048576) / 10e9;
        assert_true(fabs(es_fit_seconds(flow->fit, n) / right - 1.0) < 0.002);
    }
    /* The fake queues a copy in 1 us and runs it in 9 us and its bytes: of a batch the first waits for nothing, each costs 9 us. */
    assert_true(fabs(flow->fit->each_s - 9e-6) < 1e-7 && flow->fit->first_s < 1e-7);
    fine(es_profile_flow(&read, "disk.read", &flow, &err), &err);
    assert_int_equal(flow->lanes, 4);       /* four requests take all of the fake's disk */
    const es_profile_unit *gpu = es_profile_unit_find(&read, "gpu");
    assert_non_null(gpu);
    assert_true(gpu->token_ns > 0 && gpu->rate > 0.0 && gpu->points == 16 * 5 && gpu->point[0].tokens == 1);
    for (size_t i = 0; i < gpu->points; i++) {      /* reading at 250 GB/s, or two operations for each weight and token */
        double bytes = (double)gpu->point[i].bytes, right = 9000.0 + fmax(bytes / 250.0, bytes * (double)gpu->point[i].tokens / 1000.0);
        assert_true(fabs((double)gpu->point[i].time_ns / right - 1.0) < 0.002);
    }
    assert_true(fabs(gpu->rate / 250e9 - 1.0) < 0.002 && llabs(gpu->fixed_ns - 9000) < 30);
    if (told.at)
        fail_msg("%s", told.at);
    es_text_free(&told);
    cJSON_Delete(profile);
    es_arena_free(&arena);
}

static void what_is_not_stable_is_said_by_row(void **state)
{
    (void)state;
    es_json *profile;
    es_text told = {0};
    es_err err = {0};
    fine(reported("{\"noise\": 0.2}", &(report_ask){0}, 1, &profile, &told, &err), &err);
    const char *line = strstr(told.at, "unstable: the budget ended before so many of their sizes were known to 2 %: ");
    assert_non_null(line);
    const char *end = strchr(line, '\n');
    assert_non_null(end);
    for (size_t i = 0; i < CALIB_ROWS; i++)
        if ((calib_rows[i].op == CALIB_COPY || calib_rows[i].op == CALIB_EXPERT || calib_rows[i].op == CALIB_ONTO) &&
            !(calib_rows[i].needs & (ES_PROBE_FLAVOURS | ES_PROBE_UNIFIED | ES_PROBE_BF16 | ES_PROBE_INT8 | ES_PROBE_INT4))) {
            char text[64];
            snprintf(text, sizeof text, " %s (", calib_rows[i].name);
            const char *named = strstr(line, text);
            if (!named || named > end)
                fail_msg("%s is not named in %.*s", calib_rows[i].name, (int)(end - line), line);
        }
    es_text_free(&told);
    cJSON_Delete(profile);
}

static void a_link_faster_than_its_kind_is_refused_with_both_numbers(void **state)
{
    (void)state;
    es_json *profile = NULL;
    es_text told = {0};
    es_err err = {0};
    report_kind kind = {"pcie", "pcie3_x16"};
    assert_int_equal(reported("{\"rate\": \"25GB/s\"}", &(report_ask){.kind = &kind, .kinds = 1}, ES_SECOND, &profile, &told, &err), ES_EINPUT);
    says(&err, "links.pcie: h2d: rate: 25");
    says(&err, "GB/s is above 15750MB/s, the most pcie3_x16 can physically carry in one direction");
    assert_null(profile);
    es_text_free(&told);
}

/* ---- what takes no time ---- */

/* Three times of each size: 4 KiB, 8 KiB ... */
static void measured(calib_samples *samples, const char *row, const int64_t *ns, size_t sizes, es_err *err)
{
    for (size_t s = 0; s < sizes; s++)
        for (uint32_t round = 0; round < 3; round++)
            fine(calib_series_add(&samples->row[calib_row_find(row) - calib_rows],
                &(calib_sample){.bytes = 4096LL << s, .count = 1, .ns = ns[s], .round = round}, err), err);
}

static const char *text_of(const es_json *profile, const char *path)
{
    const es_json *value = es_json_at(profile, path);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static void expect_told(const char *environment, const char *says)
{
    calib_samples samples = {.environment = json_of(environment)};
    es_json *profile;
    es_text told = {0};
    es_err err = {0};
    const int64_t times[6] = {1000, 2000, 4000, 8000, 16000, 32000};
    measured(&samples, "pcie.h2d", times, 6, &err);
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    assert_int_equal(strncmp(told.at ? told.at : "", says, strlen(says)), 0);
    assert_true(*says || !told.at || !strstr(told.at, "disturbed"));
    es_text_free(&told);
    cJSON_Delete(profile);
    calib_samples_free(&samples);
}

static void who_took_the_machine_away_is_said(void **state)
{
    (void)state;
    expect_told("{\"backend\": \"host\", \"steal_s\": 2.13, \"elapsed_s\": 62.4, \"load_before\": 0.4, \"processors\": 2, \"priority\": \"nice 0\"}",
        "disturbed: the host of this virtual machine took 2.1 s of 62.4 s from its processors (steal): no option keeps that out, a calmer hour does\n");
    expect_told("{\"backend\": \"host\", \"steal_s\": 0.6, \"elapsed_s\": 62.4, \"load_before\": 3.94, \"processors\": 2, \"priority\": \"nice 0\"}",
        "disturbed: other processes ran before it began (load 3.9, 2 processors): `chrt -f 10 expertsim calibrate ...` goes before them\n");
    expect_told("{\"backend\": \"host\", \"steal_s\": 0.6, \"elapsed_s\": 62.4, \"load_before\": 3.94, \"processors\": 2, \"priority\": \"real time\"}", "");
    expect_told("{\"backend\": \"host\", \"steal_s\": 2.13, \"load_before\": 0.4, \"processors\": 2}", "");      /* samples of before it was kept */
    expect_told("{\"backend\": \"fake\", \"steal_s\": 2.13, \"elapsed_s\": 62.4, \"load_before\": 3.94, \"processors\": 2, \"priority\": \"nice 0\"}", "");
}

/* Memory may be free; bytes that move are not, and a clock that saw nothing of them has measured nothing. */
static void what_takes_no_time_is_a_price_of_none_or_left_out_with_the_reason(void **state)
{
    (void)state;
    calib_samples samples = {.environment = cJSON_CreateObject()};
    es_json *profile;
    es_text told = {0}, shown = {0};
    es_err err = {0};
    const int64_t none[6] = {0}, some[6] = {0, 0, 4000, 8000, 16000, 32000}, few[6] = {0, 0, 0, 0, 900, 1800};
    measured(&samples, "device.alloc", none, 6, &err);
    measured(&samples, "device.take", none, 6, &err);
    measured(&samples, "pcie.h2d", some, 6, &err);
    measured(&samples, "pcie.d2h", few, 6, &err);
    measured(&samples, "device.read", none, 6, &err);
    measured(&samples, "gpu.expert", none, 6, &err);
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    assert_string_equal(told.at, "pcie.h2d: 2 of its 6 sizes took 0 ns, less than the clock tells, and are not in the fit\n"
        "pcie.d2h: left out: 4 of its 6 sizes took 0 ns, less than the clock tells; 2 are too few for a fit, 3 are the least\n"
        "device.read: left out: all 18 samples took 0 ns, less than the clock tells, which cannot be of a copy within the device\n"
        "device.alloc: all 18 samples took 0 ns, less than the clock tells: its price is 0\n"
        "gpu.expert: left out: all samples took 0 ns, less than the clock tells, which cannot be of computing\n");
    assert_string_equal(text_of(profile, "machine.links.device.alloc.latency"), "0");
    assert_string_equal(text_of(profile, "machine.links.device.alloc.rate"), "1e+18B/s");
    assert_string_equal(text_of(profile, "machine.links.device.alloc.note"), "allocating device memory, first touch included: less than the clock tells, a price of 0");
    assert_int_equal(es_json_at(profile, "machine.links.pcie.h2d.fit.sizes")->valueint, 4);
    assert_null(es_json_at(profile, "machine.links.pcie.d2h"));
    assert_string_equal(cJSON_GetObjectItem(es_json_at(profile, "machine.skipped"), "pcie.d2h")->valuestring,
        "4 of its 6 sizes took 0 ns, less than the clock tells; 2 are too few for a fit, 3 are the least");
    for (int i = 0; i < 6; i++)
        assert_true(cJSON_GetArrayItem(es_json_at(profile, "machine.alloc.device.take.time_s"), i)->valuedouble == 0.0);
    fine(calib_report_table(profile, &shown, &err), &err);
    assert_non_null(strstr(shown.at, "  device.alloc            0 ns  allocating device memory, first touch included: less than the clock tells, a price of 0\n"));
    es_text_free(&told);
    es_text_free(&shown);
    cJSON_Delete(profile);
    calib_samples_free(&samples);
}

/* Linux maps 2 MiB at once where they are asked for, and what fills no huge page in small ones: 3 MiB cost more than 4. */
static void what_fills_huge_pages_has_a_price_of_its_own(void **state)
{
    (void)state;
    calib_samples samples = {.environment = json_of("{\"backend\": \"host\", \"page_B\": 4096}")};
    es_arena arena = {0};
    es_json *profile;
    es_text told = {0}, shown = {0};
    es_err err = {0};
    es_profile read;
    const size_t row = (size_t)(calib_row_find("get.buffer") - calib_rows), wrap = (size_t)(calib_row_find("get.wrap") - calib_rows);
    for (int64_t i = 0; i < 5 * 21; i++) {
        const int64_t round = i / 21, size = i % 21, bytes = (64 * KIB << size / 2) + size % 2 * (32 * KIB << size / 2), again = bytes / 10;
        const int64_t pages = 2000 * (bytes % (2 * MIB) / 4096) + 150000 * (bytes / (2 * MIB));
        const calib_sample got = {.bytes = bytes, .count = 1, .ns = 20000 + 10 * round, .issue_ns = pages + again, .host_ns = again, .round = (uint32_t)round};
        const calib_sample wrapped = {.bytes = bytes, .count = 1, .ns = 5000, .issue_ns = bytes / 40 + again, .host_ns = again, .round = (uint32_t)round};
        fine(calib_series_add(&samples.row[row], &got, &err), &err);
        fine(calib_series_add(&samples.row[wrap], &wrapped, &err), &err);
    }
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    assert_null(told.at ? strstr(told.at, "get.") : NULL);
    fine(es_profile_parse(&read, cJSON_GetObjectItem(profile, "machine"), NULL, &arena, &err), &err);
    const es_profile_memory *memory = es_profile_memory_find(read.memory, read.memories, "device");
    assert_non_null(memory);
    assert_int_equal(memory->huge, 2 * MIB);
    assert_in_range(memory->huge_touch, 149500, 150500);
    assert_in_range(memory->touch, 1990, 2010);
    assert_in_range(memory->device, 19900, 20100);
    assert_in_range(memory->fault, 102, 103);
    fine(calib_report_table(profile, &shown, &err), &err);
    assert_non_null(strstr(shown.at, "memory in pages of 4KiB, huge ones of 2MiB\n"));
    assert_non_null(strstr(shown.at, "at its first use each page 2 us, each huge page 150 us"));
    es_text_free(&told);
    es_text_free(&shown);
    cJSON_Delete(profile);
    es_arena_free(&arena);
    calib_samples_free(&samples);
}

/* A clock that ticks in microseconds: what it gives as 0 counts to the median as much as what it gives as 1 us. */
static void a_coarse_clock_makes_no_time_longer(void **state)
{
    (void)state;
    calib_samples samples = {.environment = cJSON_CreateObject()};
    calib_fit fit;
    es_arena arena = {0};
    es_err err = {0};
    for (uint32_t round = 0; round < 9; round++)
        for (size_t s = 0; s < 5; s++)      /* 0.4, 1.2, 2.0 ... us, cut to whole ones with a phase that goes round */
            fine(calib_series_add(&samples.row[0], &(calib_sample){.bytes = 4096LL << s, .count = 1, .round = round,
                .ns = (int64_t)(400 + 800 * s + 1000 * round / 9) / 1000 * 1000}, &err), &err);
    fine(calib_fit_series(&fit, &samples.row[0], &(fit_ask){.count = 1}, &arena, &err), &err);
    assert_int_equal(fit.instant, 1);
    assert_int_equal(fit.instant_samples, 9);
    assert_int_equal(fit.sizes, 4);
    assert_true(fit.size[0].bytes == 8192 && fit.size[0].median == 1000.0 && fit.fitted);
    assert_true(isfinite(fit.noise.log_quantile[0][0]) && isfinite(fit.mean_over_median));
    es_arena_free(&arena);
    calib_samples_free(&samples);
}

/* ---- what is refused ---- */

#define Q33(first) "[" first ",-2,-1,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29]"
#define MACHINE(fit) "{\"name\": \"m\", \"schema\": \"calib/1\", \"links\": {\"pcie\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"9GB/s\", " \
    "\"provenance\": \"measured\", \"source\": \"s\", \"fit\": " fit "}}}}"
#define FIT(more) MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9]" more "}")

#define UNIT(more) "{\"name\": \"m\", \"links\": {}, \"compute\": {\"gpu\": {\"source\": \"s\", \"provenance\": \"measured\", " more "}}}"

static void a_profile_that_cannot_be_is_refused_by_its_key(void **state)
{
    (void)state;
    static const struct { const char *machine, *says; } cases[] = {
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": -1e-6, \"beta_Bps\": [9e9]}"), "links.pcie: h2d: fit: alpha_s: -1e-06 is below 0, the least it may be"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [0]}"), "links.pcie: h2d: fit: beta_Bps"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [-3]}"), "links.pcie: h2d: fit: beta_Bps"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": null, \"beta_Bps\": [9e9]}"), "links.pcie: h2d: fit: alpha_s: "},
        {MACHINE("{\"model\": \"affine\", \"alpha_ms\": 1e-3, \"beta_Bps\": [9e9]}"), "links.pcie: h2d: fit: unknown option \"alpha_ms\"; did you mean \"alpha_s\"?"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9, 8e9]}"), "beta_Bps: has 2 rates, needs one more than knee_B has sizes: 1"},
        {MACHINE("{\"model\": \"knee\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9, 8e9]}"), "knee_B: has 0 sizes, \"knee\" has 1"},
        {MACHINE("{\"model\": \"knees\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9, 8e9, 7e9], \"knee_B\": [5e6, 4e6]}"), "knee_B: 4e+06 comes after 5e+06; sizes ascend"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [33e9]}"), "fit: beta_Bps: 33GB/s is above 31.5GB/s, the most pcie4_x16 can physically carry"},
        {FIT(", \"error\": {\"holdout_median\": 0.16}"), "fit: error: holdout_median: 0.16 is above 0.15"},
        {FIT(", \"noise\": {\"classes\": [{\"log_quantiles\": " Q33("3") "}]}"), "fit: noise: classes.0: log_quantiles: -2 comes after 3; quantiles ascend"},
        {FIT(", \"noise\": {\"classes\": [{\"log_quantiles\": [0, 1]}]}"), "log_quantiles: has 2 numbers, needs 33: at 0, 1/32 ... 1"},
        {FIT(", \"noise\": {\"classes\": [{\"log_quantiles\": " Q33("-3") "}], \"stall\": {\"rate_Hz\": 1, \"quantiles_s\": " Q33("-3") "}}"), "noise: stall: quantiles_s"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9]}, \"slowed_by\": {\"pcie.d2h\": 1.5}"), "h2d: slowed_by: pcie.d2h: needs a factor above 0 and at most 1"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9]}, \"discipline\": \"fair\""), "h2d: discipline: \"fair\" is not one of unstated, fifo, shared"},
        {"{\"name\": \"m\", \"schema\": \"calib/2\", \"links\": {}}", "schema: \"calib/2\" is unknown, needs \"calib/1\""},
        {"{\"name\": \"m\", \"links\": {}, \"skipped\": {\"disk.read\": 3}}", "skipped: needs {\"ROW\": \"why it was not measured\"}, found a number"},
        {"{\"name\": \"m\", \"links\": {}, \"skipped\": [\"disk.read\"]}", "skipped: needs {\"ROW\": \"why it was not measured\"}, found a text"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9]}, \"max_rate\": {\"alpha_s\": 0, \"one_Bps\": 1e9, \"link_Bps\": 33e9}"),
            "h2d: max_rate: link_Bps: 33GB/s is above 31.5GB/s, the most pcie4_x16 can physically carry"},
        {MACHINE("{\"model\": \"affine\", \"alpha_s\": 1e-6, \"beta_Bps\": [9e9]}, \"max_rate\": {\"alpha_s\": 0, \"one_Bps\": 0, \"link_Bps\": 3e9}"), "h2d: max_rate: one_Bps"},
        {UNIT("\"points\": 3"), "compute: gpu: points: needs a list, found a number"},
        {UNIT("\"points\": [{\"tokens\": 2, \"bytes\": \"4KiB\", \"time\": \"1us\"}, {\"tokens\": 2, \"bytes\": \"4KiB\", \"time\": \"1us\"}]"), "compute: gpu: points: 1: points must ascend by tokens, then by bytes"},
        {UNIT("\"points\": [{\"tokens\": 1, \"bytes\": \"4KiB\", \"time\": \"-1us\"}]"), "compute: gpu: points: 0: time"},
        {UNIT("\"points\": [{\"tokens\": 1, \"bytes\": \"4KiB\", \"time\": \"0\"}]"), "compute: gpu: points: 0: time"},
        {UNIT("\"error\": {\"holdout_median\": 0.2}"), "compute: gpu: error: holdout_median: 0.2 is above 0.15"},
        {"{\"name\": \"m\", \"links\": {}, \"compute\": {\"gpu\": {\"source\": \"s\"}}}", "compute: gpu: a compute unit needs both a source and a provenance"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_arena arena = {0};
        es_err err = {0};
        es_profile profile;
        es_json *json = json_of(cases[i].machine);
        assert_int_equal(es_profile_parse(&profile, json, NULL, &arena, &err), ES_EINPUT);
        says(&err, cases[i].says);
        cJSON_Delete(json);
        es_arena_free(&arena);
    }
    es_err err = {0};
    es_json *json = NULL;
    assert_int_equal(es_json_parse(&json, "{\"alpha_s\": NaN}", 16, &err), ES_EINPUT);
    es_arena arena = {0};
    es_profile profile;
    json = json_of(FIT(", \"noise\": {\"classes\": [{\"log_quantiles\": " Q33("-3") "}]}"));
    fine(es_profile_parse(&profile, json, NULL, &arena, &err), &err);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

/* ---- timings ---- */

typedef struct timed {
    const es_timing *timing;
    es_arena arena;
    es_json *json;
    void *self;
} timed;

static es_code timed_open(timed *t, const es_timing *timing, const char *options, uint64_t seed, es_err *err)
{
    *t = (timed){.timing = timing, .json = json_of(options)};
    t->self = es_arena_alloc(&t->arena, 1, timing->part.size);
    es_site site = {.arena = &t->arena, .path = "channels.pcie.timing", .seed = seed};
    es_code code = es_options_parse(timing->part.options, t->self, t->json, NULL, &t->arena, err);
    return code ? code : timing->part.init(t->self, &site, err);
}

static void timed_close(timed *t)
{
    cJSON_Delete(t->json);
    es_arena_free(&t->arena);
}

static es_cost cost_of(const timed *t, int64_t bytes, uint32_t count)
{
    return t->timing->cost(t->self, &(es_op){.kind = ES_OP_COPY, .bytes = bytes, .count = count});
}

static void pieces_add_up(void **state)
{
    (void)state;
    timed t;
    es_err err = {0};
    fine(timed_open(&t, &es_timing_piecewise, "{\"latency\": \"9us\", \"per_object\": \"1us\", \"pieces\": [{\"rate\": \"1GB/s\"}, {\"from\": \"1000B\", \"rate\": \"2GB/s\"}, "
        "{\"from\": \"3000B\", \"rate\": \"4GB/s\", \"latency\": \"100us\"}, {\"from\": \"5000B\", \"rate\": \"1GB/s\"}]}", 1, &err), &err);
    static const struct { int64_t bytes; uint32_t count; es_time fixed, work; } cases[] = {
        {0, 1, 10000, 0},       {999, 1, 10000, 999},   {1000, 1, 10000, 1000},     {2999, 1, 10000, 2000},     /* 1000 + 1999 / 2 */
        {3000, 1, 101000, 750}, {4999, 1, 101000, 1250}, {6000, 1, 101000, 2250},   /* 5000 / 4 + 1000 */
        {4000, 4, 13000, 4000}, {12000, 4, 104000, 3000},   /* a batch is judged by the size of its objects */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_cost cost = cost_of(&t, cases[i].bytes, cases[i].count);
        assert_int_equal(cost.fixed, cases[i].fixed);
        assert_int_equal(cost.work, cases[i].work);
    }
    timed_close(&t);
    fine(timed_open(&t, &es_timing_piecewise, "{\"latency\": \"9us\", \"page\": \"1000B\", \"pieces\": [{\"rate\": \"1GB/s\"}, {\"from\": \"1000B\", \"rate\": \"4GB/s\"}]}", 1, &err), &err);
    static const struct { int64_t bytes; uint32_t count; es_time work; } paged[] = {{999, 1, 999}, {1000, 1, 250}, {3500, 1, 1250}, {7000, 2, 2500}};
    for (size_t i = 0; i < sizeof paged / sizeof *paged; i++)
        assert_int_equal(cost_of(&t, paged[i].bytes, paged[i].count).work, paged[i].work);
    timed_close(&t);
}

/* A flow in pages, from the profile to the time of a copy. */
static void whole_pages_have_a_rate_of_their_own(void **state)
{
    (void)state;
    es_arena arena = {0};
    es_err err = {0};
    es_fit fit;
    es_json *json = json_of("{\"model\": \"pages\", \"alpha_s\": 1e-6, \"beta_Bps\": [1e9, 4e9], \"knee_B\": [2000], \"bic_model\": \"jump\"}");
    fine(es_fit_parse(&fit, json, false, &arena, &err), &err);
    assert_true(fabs(es_fit_seconds(&fit, 1500) - 2.5e-6) < 1e-15 && fabs(es_fit_seconds(&fit, 4000) - 2e-6) < 1e-15 && fabs(es_fit_seconds(&fit, 5000) - 3e-6) < 1e-15);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void pieces_that_make_no_curve_are_refused(void **state)
{
    (void)state;
    static const struct { const char *options, *says; } cases[] = {
        {"{\"pieces\": []}", "pieces: needs a list of at least one piece, found an empty one"},
        {"{\"pieces\": 3}", "pieces: needs a list of at least one piece, found a number"},
        {"{\"pieces\": [{\"from\": \"4KiB\", \"rate\": \"1GB/s\"}]}", "pieces.0: from: the first piece is from 0"},
        {"{\"pieces\": [{\"rate\": \"1GB/s\"}, {\"rate\": \"2GB/s\"}]}", "pieces.1: from: pieces must ascend"},
        {"{\"pieces\": [{\"rate\": \"0\"}]}", "pieces.0: rate"},
        {"{\"page\": \"1KiB\", \"pieces\": [{\"rate\": \"1GB/s\"}]}", "page: needs two pieces without latencies: of what fills no page, of what does"},
        {"{\"page\": \"1KiB\", \"pieces\": [{\"rate\": \"1GB/s\"}, {\"from\": \"1KiB\", \"rate\": \"2GB/s\", \"latency\": \"1us\"}]}", "page: needs two pieces"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        timed t;
        es_err err = {0};
        assert_int_equal(timed_open(&t, &es_timing_piecewise, cases[i].options, 1, &err), ES_EINPUT);
        says(&err, cases[i].says);
        timed_close(&t);
    }
}

/* Where a value lies in the distribution that has these quantiles at 0, 1/32 ... 1. */
static double place_in(const double *q, double value)
{
    size_t at = 0;
    while (at < 31 && value > q[at + 1])
        at++;
    return ((double)at + (value - q[at]) / (q[at + 1] - q[at])) / 32.0;
}

static void empirical_noise_has_the_distribution_that_was_measured(void **state)
{
    (void)state;
    enum { N = 4000 };
    double q[33], place[N];
    es_text options = {0};
    es_text_add(&options, "{\"latency\": \"1ms\", \"pieces\": [{\"rate\": \"1GB/s\"}], \"noise\": {\"classes\": [{\"log_quantiles\": [");
    for (int i = 0; i < 33; i++) {      /* skewed: the upper end is far out */
        q[i] = -0.2 + 0.01 * i + pow(i / 32.0, 6.0);
        es_text_add(&options, "%s%.17g", i ? ", " : "", q[i]);
    }
    es_text_add(&options, "]}]}}");
    timed a, b;
    es_err err = {0};
    fine(timed_open(&a, &es_timing_empirical, options.at, 5, &err), &err);
    fine(timed_open(&b, &es_timing_empirical, options.at, 5, &err), &err);
    for (uint32_t i = 0; i < N; i++) {
        es_op op = {.kind = ES_OP_COPY, .bytes = 4000000, .count = 1, .step = i};
        es_cost one = a.timing->cost(a.self, &op), two = b.timing->cost(b.self, &op);
        assert_int_equal(one.fixed, two.fixed);
        assert_int_equal(one.work, two.work);
        place[i] = place_in(q, log((double)(one.fixed + one.work) / 5e6));
    }
    gsl_sort(place, 1, N);
    double distance = 0.0;              /* Kolmogorov and Smirnov's */
    for (int i = 0; i < N; i++)
        distance = fmax(distance, fmax(fabs(place[i] - (double)i / N), fabs(place[i] - (i + 1.0) / N)));
    assert_true(distance < 1.358 / sqrt(N));
    timed_close(&a);
    timed_close(&b);
    es_text_free(&options);
}

static void stalls_come_as_often_as_they_were_seen(void **state)
{
    (void)state;
    timed t;
    es_err err = {0};
    es_text options = {0};
    es_text_add(&options, "{\"latency\": \"0\", \"pieces\": [{\"rate\": \"1GB/s\"}], \"noise\": {\"classes\": [{\"log_quantiles\": [0");
    for (int i = 1; i < 33; i++)
        es_text_add(&options, ", 0");
    es_text_add(&options, "]}], \"stall\": {\"rate_Hz\": 100, \"quantiles_s\": [0.004");
    for (int i = 1; i < 33; i++)
        es_text_add(&options, ", 0.004");
    es_text_add(&options, "]}}}");
    fine(timed_open(&t, &es_timing_empirical, options.at, 1, &err), &err);
    int stalls = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        es_cost cost = t.timing->cost(t.self, &(es_op){.kind = ES_OP_COPY, .bytes = 1000000, .count = 1, .step = i});
        assert_int_equal(cost.work, 1000000);
        assert_true(cost.fixed == 0 || cost.fixed == 4000000);
        stalls += cost.fixed > 0;
    }
    assert_in_range(stalls, 800, 1200);     /* 1 - exp(-0.1) of them is 952 */
    timed_close(&t);
    es_text_free(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_fake_was_told_is_what_the_profile_says),
        cmocka_unit_test(what_is_not_stable_is_said_by_row),
        cmocka_unit_test(a_link_faster_than_its_kind_is_refused_with_both_numbers),
        cmocka_unit_test(what_takes_no_time_is_a_price_of_none_or_left_out_with_the_reason),
        cmocka_unit_test(what_fills_huge_pages_has_a_price_of_its_own),
        cmocka_unit_test(who_took_the_machine_away_is_said),
        cmocka_unit_test(a_coarse_clock_makes_no_time_longer),
        cmocka_unit_test(a_profile_that_cannot_be_is_refused_by_its_key),
        cmocka_unit_test(pieces_add_up),
        cmocka_unit_test(whole_pages_have_a_rate_of_their_own),
        cmocka_unit_test(pieces_that_make_no_curve_are_refused),
        cmocka_unit_test(empirical_noise_has_the_distribution_that_was_measured),
        cmocka_unit_test(stalls_come_as_often_as_they_were_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
