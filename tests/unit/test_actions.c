/* Actions: what was decided as a log, to the letter; the same log timed by a model gives what the core's clock gives; performed on a
 * machine that is the model, it takes what the model says, row by row, to the nanosecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "calib/perform.h"
#include "sim/base/file.h"
#include "sim/base/rng.h"
#include "sim/study/actions.h"
#include "sim/study/retime.h"
#include "tests/support/folder.h"
#include "tests/support/rig.h"

/* ---- stages ---- */

static void observe_actions(rig *r, const char *path)
{
    r->observer[r->plan.observer_count++] = rig_part(r, ES_KIND_OBSERVER, "actions", rig_text(r, "{\"path\": \"%s\"}", path), "observers.0");
}

/* A row per token, of the experts of its layers one after another. */
static void tokens(rig *r, size_t count, const uint16_t *ids)
{
    const size_t width = (size_t)r->trace.info.layers * r->trace.info.top_k;
    for (size_t t = 0; t < count; t++)
        memcpy(rig_token(r, 0, ES_DECODE, false), ids + t * width, width * sizeof *ids);
}

static void runs(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
}

/* Device, memory of the host, disk; experts of 81920 bytes. */
static void machine(rig *r, bool timed, const char *device, const char *host)
{
    r->plan.timed = timed;
    rig_tier(r, "cache", device, "gpu");
    if (host)
        rig_tier(r, "host", host, NULL);
    rig_tier(r, "home", NULL, NULL);
    rig_channel(r, "pcie", "affine", "{\"latency\": \"10us\", \"rate\": \"1GB/s\"}");
    rig_channel(r, "gpu", "compute", "{\"expert\": \"18192ns\"}");
    if (host) {
        rig_channel(r, "disk", "affine", "{\"latency\": \"50us\", \"rate\": \"25MB/s\"}");
        rig_link(r, "home", "host", "[\"disk\"]");
    }
    rig_link(r, host ? "host" : "home", "cache", "[\"pcie\"]");
    for (uint32_t l = 0; l < RIG_LAYERS; l++)
        r->trace.bytes[l] = 81920;
}

static void load(es_actions *log, const char *path)
{
    es_err err = {0};
    if (es_actions_load(log, path, &err) != ES_OK)
        fail_msg("%s", err.text);
}

static es_action_run room_for(const es_actions *log)
{
    return (es_action_run){calloc(log->count, sizeof(es_action_time)), calloc((size_t)log->steps, sizeof(int64_t)), calloc((size_t)log->steps, sizeof(int64_t))};
}

static void free_run(es_action_run *run)
{
    free(run->row);
    free(run->step_ns);
    free(run->host_ns);
}

/* ---- to the letter ---- */

/* Two slots. Token 1 uses expert 2 in layer 0 and 2 in layer 1; token 2 the same expert of layer 0 again, and 3 of layer 1, for which the
 * oldest leaves: that of layer 1. */
static void a_log_says_what_is_done_and_what_it_waits_for(void **state)
{
    static const char want[] =
        "{\"schema\":\"actions/1\",\"layers\":2,\"experts\":4}\n"
        "{\"id\":0,\"step\":0,\"layer\":0,\"op\":\"alloc\",\"expert\":2,\"slot\":0,\"place\":\"device\",\"bytes\":81920,\"after\":[]}\n"
        "{\"id\":1,\"step\":0,\"layer\":0,\"op\":\"h2d\",\"expert\":2,\"slot\":0,\"source\":0,\"bytes\":81920,\"queue\":\"h2d\",\"after\":[]}\n"
        "{\"id\":2,\"step\":0,\"layer\":0,\"op\":\"gemm\",\"expert\":2,\"slot\":0,\"bytes\":81920,\"tokens\":1,\"queue\":\"gemm\",\"after\":[1]}\n"
        "{\"id\":3,\"step\":0,\"layer\":1,\"op\":\"alloc\",\"expert\":2,\"slot\":1,\"place\":\"device\",\"bytes\":81920,\"after\":[]}\n"
        "{\"id\":4,\"step\":0,\"layer\":1,\"op\":\"h2d\",\"expert\":2,\"slot\":1,\"source\":1,\"bytes\":81920,\"queue\":\"h2d\",\"after\":[2]}\n"
        "{\"id\":5,\"step\":0,\"layer\":1,\"op\":\"gemm\",\"expert\":2,\"slot\":1,\"bytes\":81920,\"tokens\":1,\"queue\":\"gemm\",\"after\":[4]}\n"
        "{\"id\":6,\"step\":1,\"layer\":0,\"op\":\"gemm\",\"expert\":2,\"slot\":0,\"bytes\":81920,\"tokens\":1,\"queue\":\"gemm\",\"after\":[]}\n"
        "{\"id\":7,\"step\":1,\"layer\":1,\"op\":\"free\",\"expert\":2,\"slot\":1,\"place\":\"device\",\"bytes\":81920,\"after\":[]}\n"
        "{\"id\":8,\"step\":1,\"layer\":1,\"op\":\"alloc\",\"expert\":3,\"slot\":1,\"place\":\"device\",\"bytes\":81920,\"after\":[]}\n"
        "{\"id\":9,\"step\":1,\"layer\":1,\"op\":\"h2d\",\"expert\":3,\"slot\":1,\"source\":2,\"bytes\":81920,\"queue\":\"h2d\",\"after\":[6]}\n"
        "{\"id\":10,\"step\":1,\"layer\":1,\"op\":\"gemm\",\"expert\":3,\"slot\":1,\"bytes\":81920,\"tokens\":1,\"queue\":\"gemm\",\"after\":[9]}\n";
    const char *path = at("letter.jsonl");
    char *text = NULL;
    size_t length = 0;
    rig r;
    (void)state;
    rig_open(&r, 2, 4, 1, 0, 2);
    tokens(&r, 2, (const uint16_t[]){2, 2, 2, 3});
    machine(&r, false, "2slots", NULL);
    observe_actions(&r, path);
    runs(&r);
    assert_int_equal(rig_count(&r, "actions.lines"), 11);
    assert_int_equal(rig_count(&r, "actions.device_slots"), 2);
    assert_int_equal(rig_count(&r, "actions.host_slots"), 3);
    rig_close(&r);
    assert_int_equal(es_file_load(path, 1 << 20, &text, &length, NULL), ES_OK);
    assert_string_equal(text, want);
    free(text);
}

/* One layer, top-2. Experts 0 and 1 come from the disk; for 2 and 0, where 0 is in memory and 2 is not, what needs no disk goes first. */
static void what_waits_for_the_disk_goes_behind_what_does_not(void **state)
{
    const char *path = at("disk.jsonl");
    es_actions log;
    rig r;
    (void)state;
    rig_open(&r, 1, 6, 2, 0, 4);
    tokens(&r, 4, (const uint16_t[]){0, 1, 3, 4, 2, 0, 2, 0});
    machine(&r, false, "2slots", "5slots");
    observe_actions(&r, path);
    runs(&r);
    rig_close(&r);
    load(&log, path);
    static const struct { es_action_op op; uint32_t expert; } want[] = {
        {ES_ACTION_DISK_READ, 2}, {ES_ACTION_H2D, 0}, {ES_ACTION_GEMM, 0}, {ES_ACTION_H2D, 2}, {ES_ACTION_GEMM, 2}, {ES_ACTION_GEMM, 2}, {ES_ACTION_GEMM, 0},
    };
    size_t found = 0;
    for (size_t i = 0; i < log.count; i++)
        if (log.at[i].step >= 2 && log.at[i].op < ES_ACTION_QUEUES) {
            assert_int_equal(log.at[i].op, want[found].op);
            assert_int_equal(log.at[i].expert, want[found++].expert);
        }
    assert_int_equal(found, 7);
    assert_int_equal(log.slots[ES_PLACE_DEVICE], 2);
    assert_int_equal(log.slots[ES_PLACE_HOST], 5);
    assert_int_equal(log.slots[ES_PLACE_DISK], 5);
    es_actions_scale(&log, 0.5);
    assert_int_equal(log.at[log.count - 1].bytes, 40960);
    assert_int_equal(log.most[ES_PLACE_DEVICE], 40960);
    es_actions_free(&log);
}

/* ---- a log that is wrong ---- */

static void a_wrong_log_is_refused_by_line(void **state)
{
    static const struct { const char *row, *said; } wrong[] = {
        {"", "has no row"},
        {"{\"id\":1}", "line 2: op: \"\" is none of disk_read"},
        {"{\"id\":1,\"op\":\"gemm\",\"after\":[]}", "line 2: id: found a number, needs a whole number from 0 to 0"},
        {"{\"id\":0,\"op\":\"gemm\",\"step\":0,\"layer\":0,\"expert\":0,\"slot\":0,\"bytes\":0,\"tokens\":1,\"after\":[]}", "line 2: bytes: found a number, needs"},
        {"{\"id\":0,\"op\":\"gemm\",\"step\":0,\"layer\":0,\"expert\":0,\"slot\":0,\"bytes\":1,\"tokens\":1,\"after\":[0]}", "line 2: after: 0 is not below 0"},
        {"{\"id\":0,\"op\":\"free\",\"step\":0,\"layer\":0,\"expert\":0,\"slot\":0,\"bytes\":1,\"after\":[]}", "line 2: place: needs one of"},
        {"{\"id\":0,\"op\":\"gemm\",\"step\":0,\"layer\":0,\"expert\":0,\"slot\":0,\"bytes\":1,\"tokens\":1,\"after\":[]}",
            "row 0: gemm of expert 0 of layer 0 from a slot that holds nothing"},
        {"{\"id\":0", "line 2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[512];
        es_err err = {0};
        es_actions log;
        snprintf(text, sizeof text, "{\"schema\":\"actions/1\"}\n%s%s", wrong[i].row, *wrong[i].row ? "\n" : "");
        assert_int_equal(es_file_save(at("wrong.jsonl"), text, strlen(text), &err), ES_OK);
        assert_int_equal(es_actions_load(&log, at("wrong.jsonl"), &err), ES_EINPUT);
        if (!strstr(err.text, wrong[i].said))
            fail_msg("\"%s\" does not say \"%s\"", err.text, wrong[i].said);
        es_actions_free(&log);
    }
    es_err err = {0};
    es_actions log;
    assert_int_equal(es_file_save(at("wrong.jsonl"), "{\"schema\":\"actions/2\"}\n", 23, &err), ES_OK);
    assert_int_equal(es_actions_load(&log, at("wrong.jsonl"), &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "schema: \"actions/2\" is unknown, needs \"actions/1\""));
    es_actions_free(&log);
}

static void a_run_with_a_clock_gives_no_log(void **state)
{
    rig r;
    (void)state;
    rig_open(&r, 1, 4, 1, 0, 1);
    tokens(&r, 1, (const uint16_t[]){0});
    machine(&r, true, "2slots", NULL);
    observe_actions(&r, at("timed.jsonl"));
    assert_int_equal(rig_run(&r), ES_EINPUT);
    assert_non_null(strstr(r.err.text, "needs clock \"none\""));
    rig_close(&r);
    assert_int_not_equal(access(at("timed.jsonl"), F_OK), 0);
}

/* ---- the same by the core, by the model, by a machine ---- */

typedef struct scene {
    uint32_t layers, experts, top_k, tokens;
    const char *device, *host, *policy;
    uint64_t seed;
    bool prompt;                /* all tokens are one step */
} scene;

static void scene_open(rig *r, const scene *s, bool timed)
{
    es_stream random = es_stream_of(s->seed, 0, "test", "ids");
    rig_open(r, s->layers, s->experts, s->top_k, 0, s->tokens);
    for (uint32_t t = 0; t < s->tokens; t++) {
        uint16_t *ids = rig_token(r, 0, s->prompt ? ES_PREFILL : ES_DECODE, s->prompt && t > 0);
        for (uint32_t l = 0; l < s->layers; l++)
            for (uint32_t k = 0; k < s->top_k; k++) {       /* distinct, the lower ones more often */
                uint32_t e = es_draw_below(random, s->experts, t, l, k, 0) * es_draw_below(random, s->experts, t, l, k, 1) / s->experts;
                for (uint32_t j = 0; j < k; j++)
                    if (ids[l * s->top_k + j] == e) {
                        e = (e + 1) % s->experts;
                        j = UINT32_MAX;
                    }
                ids[l * s->top_k + k] = (uint16_t)e;
            }
    }
    machine(r, timed, s->device, s->host);
    if (s->policy)
        r->plan.policy = rig_part(r, ES_KIND_POLICY, s->policy, NULL, "policy");
}

static const scene scenes[] = {
    {2, 8, 2, 30, "6slots", NULL, NULL, 1, false},
    {3, 12, 3, 30, "10slots", NULL, "fifo", 2, false},
    {2, 16, 4, 25, "12slots", NULL, "lfu", 3, false},
    {2, 8, 2, 4, "16slots", NULL, NULL, 6, true},
    {2, 16, 4, 20, "9slots", "40slots", NULL, 7, false},
    {3, 16, 2, 30, "7slots", "50slots", "lfu", 8, false},
    {2, 16, 4, 20, "9slots", "20slots", NULL, 4, false},
    {3, 16, 2, 30, "7slots", "12slots", "lfu", 5, false},
};
enum { SCENES = sizeof scenes / sizeof *scenes, TIMELESS = SCENES - 2 };    /* in the others memory of the host is short: who leaves it depends on who came when */

/* Where every copy is asked for at the gate and lands in that order, nothing is left to decide. */
static void the_model_says_what_the_core_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < TIMELESS; i++)
        for (int slowed = 0; slowed < 2; slowed++) {
            rig r;
            es_actions log;
            es_retime *model = NULL;
            es_err err = {0};
            scene_open(&r, &scenes[i], false);
            observe_actions(&r, at("core.jsonl"));
            runs(&r);
            rig_close(&r);
            load(&log, at("core.jsonl"));
            scene_open(&r, &scenes[i], true);
            if (slowed) {
                r.channel[0].slowed_by = rig_json(&r, "{\"gpu\": 0.5}");
                r.channel[1].slowed_by = rig_json(&r, "{\"pcie\": 0.8}");
            }
            runs(&r);
            es_action_run run = room_for(&log);
            assert_int_equal(es_retime_open(&model, &r.plan, 0, &err), ES_OK);
            assert_int_equal(es_retime_run(model, &log, &(es_retime_ask){.overlapped = true, .computes = true}, &run, &err), ES_OK);
            es_time total = 0;
            for (int64_t s = 0; s < log.steps; s++)
                total += run.step_ns[s];
            assert_int_equal(total, rig_view(&r)->times->total);
            assert_string_equal(es_retime_channel(model, ES_ACTION_H2D)->name, "pcie");
            assert_null(es_retime_channel(model, ES_ACTION_D2H));
            es_retime_free(model);
            free_run(&run);
            es_actions_free(&log);
            rig_close(&r);
        }
}

static void perform_on_the_fake(const es_actions *log, const char *text, bool overlapped, es_action_run *run)
{
    es_json *options = NULL;
    es_err err = {0};
    perform *p = NULL;
    assert_int_equal(es_json_parse(&options, text, strlen(text), &err), ES_OK);
    es_code code = perform_open(&p, &(perform_ask){.backend = "fake", .options = options, .logs = &log, .count = 1, .overlapped = overlapped}, &err);
    for (int again = 0; again < 2 && code == ES_OK; again++)    /* what the first left behind is no harm to the second */
        code = perform_run(p, 0, run, &err);
    perform_close(p);
    cJSON_Delete(options);
    if (code != ES_OK)
        fail_msg("%s", err.text);
}

/* `near` bytes behind a copy; behind one that was not waited for since, what the fake takes at a half. */
#define COPIED "{\"points\": [{\"tokens\": 1, \"bytes\": \"80KiB\", \"time\": \"18192ns\"}], " \
    "\"copied\": [{\"tokens\": 1, \"bytes\": \"80KiB\", \"time\": \"12048ns\"}, {\"tokens\": 4, \"bytes\": \"80KiB\", \"time\": \"18192ns\"}], " \
    "\"handed\": [{\"tokens\": 1, \"bytes\": \"80KiB\", \"time\": \"14096ns\"}, {\"tokens\": 2, \"bytes\": \"80KiB\", \"time\": \"14096ns\"}, " \
    "{\"tokens\": 4, \"bytes\": \"80KiB\", \"time\": \"18192ns\"}], \"fades\": [{\"bytes\": \"%lldB\", \"saved\": 1}]}"

/* What the fake was told, and the config's channels by the same numbers; the first is pcie, the second the gpu. near 0: no price of what was
 * copied just before; onto_near 0: none of copies to where something was used just before. */
static const struct fake_case { const char *options, *pcie_slowed, *gpu_slowed; es_time handover; long long near; double onto; long long onto_near; } fake_cases[] = {
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\"}", NULL, NULL, 0, 0, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"handover\": \"7us\"}", NULL, NULL, 7000, 0, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"handover\": \"200us\"}", NULL, NULL, 200000, 0, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"computing\": 0.5, \"copying\": 0.25, \"handover\": \"7us\"}", "{\"gpu\": 0.5}", "{\"pcie\": 0.25}", 7000, 0, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"copied\": 0.25, \"handed\": 0.5, \"near\": \"1KiB\"}", NULL, NULL, 0, 1 << 10, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"copied\": 0.25, \"handed\": 0.5, \"near\": \"479KiB\"}", NULL, NULL, 0, 479 << 10, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"copied\": 0.25, \"handed\": 0.5, \"near\": \"480KiB\"}", NULL, NULL, 0, 480 << 10, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"copied\": 0.25, \"handed\": 0.5, \"near\": \"1TiB\"}", NULL, NULL, 0, 1LL << 40, 1, 0},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"onto\": 0.5, \"near\": \"160KiB\"}", NULL, NULL, 0, 0, 0.5, 160 << 10},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"onto\": 0.5, \"near\": \"1120KiB\"}", NULL, NULL, 0, 0, 0.5, 1120 << 10},
    {"{\"alpha\": \"10us\", \"rate\": \"1GB/s\", \"onto\": 0.25, \"copied\": 0.25, \"handed\": 0.5, \"near\": \"1TiB\"}", NULL, NULL, 0, 1LL << 40, 0.25, 1LL << 40},
};

static void a_fake_case_is_the_model(const scene *s, const struct fake_case *c, bool overlapped, es_time *total)
{
    rig r;
    es_actions log;
    es_retime *model = NULL;
    es_err err = {0};
    scene_open(&r, s, false);
    observe_actions(&r, at("fake.jsonl"));
    runs(&r);
    load(&log, at("fake.jsonl"));
    if (c->near) {
        char timing[512];
        snprintf(timing, sizeof timing, COPIED, c->near);
        r.channel[1].timing = rig_part(&r, ES_KIND_TIMING, "compute", timing, "timing");
    }
    for (size_t i = 0; i < r.plan.channel_count; i++)
        r.channel[i].handover = c->handover;
    r.channel[0].onto = c->onto;
    r.channel[0].onto_near = c->onto_near;
    r.channel[0].slowed_by = c->pcie_slowed ? rig_json(&r, c->pcie_slowed) : NULL;
    r.channel[1].slowed_by = c->gpu_slowed ? rig_json(&r, c->gpu_slowed) : NULL;
    es_action_run want = room_for(&log), got = room_for(&log);
    assert_int_equal(es_retime_open(&model, &r.plan, 0, &err), ES_OK);
    assert_int_equal(es_retime_run(model, &log, &(es_retime_ask){.overlapped = overlapped, .computes = true}, &want, &err), ES_OK);
    perform_on_the_fake(&log, c->options, overlapped, &got);
    for (size_t k = 0; k < log.count; k++) {
assert_int_equal(got.row[k].start, want.row[k].start);
        assert_int_equal(got.row[k].end, want.row[k].end);
    }
    for (int64_t step = 0; step < log.steps; step++) {
        assert_int_equal(got.step_ns[step], want.step_ns[step]);
        assert_true(got.host_ns[step] >= got.step_ns[step]);
        *total += got.step_ns[step];
    }
    free_run(&want);
    free_run(&got);
    es_retime_free(model);
    es_actions_free(&log);
    rig_close(&r);
}

static void a_machine_that_is_the_model_takes_what_the_model_says(void **state)
{
    (void)state;
    enum { CASES = sizeof fake_cases / sizeof *fake_cases };
    es_time total[2][CASES] = {{0}};
    for (size_t i = 0; i < SCENES; i++)
        for (int overlapped = 0; overlapped < 2; overlapped++)
            for (size_t c = 0; c < CASES; c++)
                a_fake_case_is_the_model(&scenes[i], &fake_cases[c], overlapped, &total[overlapped][c]);
    es_time least = total[0][0];
    for (size_t c = 1; c < CASES; c++) {
        if (fake_cases[c].near) {                       /* the farther near is, the more of them are: 479 KiB less than 480, at a copy of a layer ahead */
            assert_true(total[0][c] < least);
            least = total[0][c];
            continue;
        }
        if (fake_cases[c].onto_near) {
            assert_true(total[0][c] < total[0][0]);
            continue;
        }
        assert_int_equal(total[0][c], total[0][0]);     /* one after another nobody waits for another queue or runs beside one */
        assert_true(total[1][c] > total[1][0]);
    }
}

/* The machine under the test: every slot holds what the log put there, no row begins before what it waits for has ended. How long it took is
 * nobody's business here. */
static void the_host_does_what_the_log_says(void **state)
{
    rig r;
    es_actions log;
    (void)state;
    scene_open(&r, &scenes[6], false);
    observe_actions(&r, at("host.jsonl"));
    runs(&r);
    rig_close(&r);
    load(&log, at("host.jsonl"));
    es_action_run run = room_for(&log);
    bool diskless = false;
    for (int overlapped = 0; overlapped < 2 && !diskless; overlapped++) {
        es_err err = {0};
        perform *p = NULL;
        const es_actions *one = &log;
        es_json *options = cJSON_CreateObject();
        es_json_add_text(options, "folder", ".");
        es_code code = perform_open(&p, &(perform_ask){.backend = "host", .options = options, .logs = &one, .count = 1, .overlapped = overlapped}, &err);
        if (code == ES_OK)
            code = perform_run(p, 0, &run, &err);
        perform_close(p);
        cJSON_Delete(options);
        diskless = code == ES_EDEVICE && strstr(err.text, "has no disk");
        if (code != ES_OK && !diskless)
            fail_msg("%s", err.text);
        for (size_t i = 0; i < log.count && !diskless; i++) {
            assert_true(run.row[i].end >= run.row[i].start);
            for (uint8_t a = 0; a < log.at[i].afters && log.at[i].op < ES_ACTION_QUEUES; a++)
                if (log.at[log.at[i].after[a]].step == log.at[i].step)
                    assert_true(run.row[i].start >= run.row[log.at[i].after[a]].end);
        }
    }
    free_run(&run);
    es_actions_free(&log);
    if (diskless)
        skip();
}

/* ---- what goes wrong ---- */

static void expect_failure(const es_actions *log, const char *options, bool overlapped, bool pageable, es_code want, const char *said)
{
    es_json *json = NULL;
    es_err err = {0};
    perform *p = NULL;
    es_action_run run = room_for(log);
    assert_int_equal(es_json_parse(&json, options, strlen(options), &err), ES_OK);
    es_code code = perform_open(&p, &(perform_ask){.backend = "fake", .options = json, .logs = &log, .count = 1, .overlapped = overlapped, .pageable = pageable}, &err);
    if (code == ES_OK)
        code = perform_run(p, 0, &run, &err);
    perform_close(p);
    cJSON_Delete(json);
    free_run(&run);
    assert_int_equal(code, want);
    if (!strstr(err.text, said))
        fail_msg("\"%s\" does not say \"%s\"", err.text, said);
}

static void what_goes_wrong_on_the_machine_is_told(void **state)
{
    rig r;
    es_actions log;
    (void)state;
    scene_open(&r, &scenes[6], false);
    observe_actions(&r, at("failure.jsonl"));
    runs(&r);
    rig_close(&r);
    load(&log, at("failure.jsonl"));
    expect_failure(&log, "{\"fail\": \"no_device\"}", true, false, ES_EDEVICE, "fake: no usable device");
    expect_failure(&log, "{\"fail\": \"memory\", \"fail_at\": 2}", true, false, ES_EDEVICE, "fake: out of memory: 1638400 bytes of pinned memory at allocation 2");
    expect_failure(&log, "{\"fail\": \"lost\", \"fail_at\": 300}", true, false, ES_EDEVICE, "fake: the device was lost at call 300");
    expect_failure(&log, "{\"fail\": \"lost\", \"fail_at\": 300}", false, false, ES_EDEVICE, "fake: the device was lost at call 300");
    expect_failure(&log, "{\"memory\": \"1MiB\"}", true, false, ES_EINPUT,
        "fake: the experts need 2.42 MiB (9 slots of the device and 22 of the host of 80 KiB), and 1 MiB may be taken; with --scale 0.37 they would fit");
    expect_failure(&log, "{}", true, true, ES_EINPUT, "fake: copies of pageable memory hold the thread that asks for them, so nothing overlaps; needs --mode serial");
    es_actions_scale(&log, 400);
    expect_failure(&log, "{\"memory\": \"1TiB\"}", true, false, ES_EINPUT, "fake: the disk of the fake has 536870912 bytes");
    es_actions_free(&log);
}

/* A log that forgets to wait is found out: two copies into a slot, and what is looked for is what the last of them put there. */
static void a_slot_with_the_wrong_expert_is_found(void **state)
{
    es_action rows[] = {
        {.op = ES_ACTION_H2D, .place = ES_PLACE_DEVICE, .bytes = 4096, .expert = 1},
        {.op = ES_ACTION_H2D, .place = ES_PLACE_DEVICE, .bytes = 4096, .expert = 2},        /* from the same source, which has expert 1 */
    };
    es_actions log = {.at = rows, .count = 2, .slots = {1, 1, 0}, .most = {4096, 4096, 0}, .steps = 1};
    (void)state;
    expect_failure(&log, "{}", true, false, ES_ECHECK, "fake: slot 0 of the device holds expert 1, and the log put expert 2 there");
}

/* From whichever call on the machine changes the last byte of what it copies: it is found, in the first run or in the second, until nothing is
 * copied any more. Three pages, of which the later runs look at two; one expert goes over another, so a step has more copies than slots. */
static void bytes_that_change_on_their_way_are_found(void **state)
{
    es_action rows[] = {
        {.op = ES_ACTION_H2D, .place = ES_PLACE_DEVICE, .bytes = 12288, .expert = 1},
        {.op = ES_ACTION_H2D, .place = ES_PLACE_DEVICE, .slot = 1, .source = 1, .bytes = 12288, .expert = 2, .step = 0},
        {.op = ES_ACTION_D2H, .place = ES_PLACE_HOST, .slot = 2, .bytes = 12288, .expert = 1, .step = 1},
        {.op = ES_ACTION_H2D, .place = ES_PLACE_DEVICE, .source = 1, .bytes = 12288, .expert = 2, .step = 2},
    };
    const es_actions log = {.at = rows, .count = 4, .slots = {2, 3, 0}, .most = {12288, 12288, 0}, .steps = 3}, *logs = &log;
    es_action_run run = room_for(&log);
    (void)state;
    for (int overlapped = 0; overlapped < 2; overlapped++) {
        int first = 0, second = 0;
        for (int from = 1; from < 1000; from++) {
            char options[64];
            es_json *json = NULL;
            es_err err = {0};
            perform *p = NULL;
            snprintf(options, sizeof options, "{\"fail\": \"bytes\", \"fail_at\": %d}", from);
            assert_int_equal(es_json_parse(&json, options, strlen(options), &err), ES_OK);
            assert_int_equal(perform_open(&p, &(perform_ask){.backend = "fake", .options = json, .logs = &logs, .count = 1, .overlapped = overlapped}, &err), ES_OK);
            es_code one = perform_run(p, 0, &run, &err), two = one ? one : perform_run(p, 0, &run, &err);
            perform_close(p);
            cJSON_Delete(json);
            if (two == ES_OK)
                break;
            first += one != ES_OK;
            second += one == ES_OK;
            assert_int_equal(two, ES_ECHECK);
            assert_non_null(strstr(err.text, "with other bytes than were sent, from byte "));
            if (from == 1)
                assert_string_equal(err.text, "fake: slot 1 of the device: expert 2 came there with other bytes than were sent, from byte 12280 of 12288 on");
        }
        assert_true(first > 10 && second > 10);
    }
    free_run(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_says_what_is_done_and_what_it_waits_for),
        cmocka_unit_test(what_waits_for_the_disk_goes_behind_what_does_not),
        cmocka_unit_test(a_wrong_log_is_refused_by_line),
        cmocka_unit_test(a_run_with_a_clock_gives_no_log),
        cmocka_unit_test(the_model_says_what_the_core_says),
        cmocka_unit_test(a_machine_that_is_the_model_takes_what_the_model_says),
        cmocka_unit_test(the_host_does_what_the_log_says),
        cmocka_unit_test(what_goes_wrong_on_the_machine_is_told),
        cmocka_unit_test(a_slot_with_the_wrong_expert_is_found),
        cmocka_unit_test(bytes_that_change_on_their_way_are_found),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
