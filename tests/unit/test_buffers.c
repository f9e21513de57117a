/* Buffers: traces of what is asked of an allocator, on files small enough to see through, and runs whose every figure is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/expertsim.h"
#include "sim/part/source.h"
#include "tests/support/folder.h"

extern const es_source es_source_buffers, es_source_buffers_synthetic;

/* ---- sources ---- */

typedef struct opened {
    es_arena arena;
    const es_source *source;
    void *self;
} opened;

static es_code open_with(opened *o, const es_source *source, const char *path, const char *options, es_err *err)
{
    es_json *json = NULL;
    *o = (opened){.source = source};
    o->self = es_arena_alloc(&o->arena, 1, source->part.size);
    es_code code = es_json_parse(&json, options, strlen(options), err);
    if (code == ES_OK)
        code = es_options_parse(source->part.options, o->self, json, NULL, &o->arena, err);
    if (code == ES_OK)
        code = source->open(o->self, &(es_source_ask){.path = path, .buffers = true}, &o->arena, err);
    cJSON_Delete(json);
    return code;
}

static void close_it(opened *o)
{
    o->source->part.fini(o->self);
    es_arena_free(&o->arena);
}

static void put(const char *name, const char *text)
{
    assert_int_equal(es_file_save(at(name), text, strlen(text), NULL), ES_OK);
}

/* A line per step: +id asked for, -id released, !id released again, ~id expired when the step had computed. */
static char *text_of(const opened *o)
{
    static const char sign[] = {'+', '-', '!', '~'};
    es_text out = {0};
    es_text_add(&out, "%s", "");
    for (;;) {
        es_step step;
        bool more = false;
        assert_int_equal(o->source->next(o->self, &step, &more, NULL), ES_OK);
        if (!more)
            return out.at;
        for (uint32_t i = 0; i < step.buffers; i++)
            es_text_add(&out, "%s%c%u", i ? " " : "", sign[step.buffer[i].kind], (unsigned)step.buffer[i].id);
        es_text_add(&out, "\n");
    }
}

#define HEAD "step,id,bytes,lifetime\n"

static void expect(const char *rows, const char *options, const char *want)
{
    opened o;
    es_err err = {0};
    put("t.csv", rows);
    if (open_with(&o, &es_source_buffers, at("t.csv"), options, &err) != ES_OK)
        fail_msg("%s", err.text);
    for (int again = 0; again < 2; again++) {
        char *is = text_of(&o);
        assert_string_equal(is, want);
        free(is);
        assert_int_equal(es_source_buffers.rewind(o.self, NULL), ES_OK);
    }
    close_it(&o);
}

static void lives_end_by_steps_by_another_or_by_a_row(void **state)
{
    (void)state;
    expect(HEAD "0,1,1048576,0\n0,2,4096,2\n0,3,65536,@9\n1,4,4194304,\n2,4,release,\n2,9,300,1\n3,,,\n", "{}", "+1 +2 +3 ~1\n+4\n-4 -3 +9 ~2\n~9\n");
    expect(HEAD "0,1,1,0\r\n\r\n1,1,1,0\r\n", "{}", "+1 ~1\n+1 ~1\n");                    /* an id may come again */
    expect("\xef\xbb\xbf" HEAD "0,1,1,9\n0,1,release,\n0,1,2,5\n1,,,\n", "{}", "+1 -1 +1\n~1\n"); /* the first one's nine steps are not the second one's */
    expect(HEAD "0,1,1,@3\n0,2,1,@3\n0,1,release,\n0,3,1,\n", "{}", "+1 +2 -1 -2 +3\n");
    expect(HEAD "0,1,1,\n0,1,release,\n0,1,release,\n", "{\"double_release\": \"keep\"}", "+1 -1 !1\n");
}

static void slots_are_given_anew(void **state)
{
    (void)state;
    opened o;
    es_step step;
    bool more;
    put("t.csv", HEAD "0,10,1,0\n0,11,1,1\n1,12,1,0\n2,13,1,\n");
    assert_int_equal(open_with(&o, &es_source_buffers, at("t.csv"), "{\"tokens\": 3}", NULL), ES_OK);
    const es_trace_info *info = es_source_buffers.info(o.self);
    assert_int_equal(info->buffers, 2);
    assert_int_equal(info->steps, 3);
    assert_int_equal(info->accesses, 4);
    assert_int_equal(info->decode_tokens, 9);
    assert_int_equal(strlen(info->sha256), 64);
    assert_int_equal(es_source_buffers.next(o.self, &step, &more, NULL), ES_OK);
    const uint32_t slot = step.buffer[0].slot;
    assert_int_equal(es_source_buffers.next(o.self, &step, &more, NULL), ES_OK);
    assert_int_equal(step.buffer[0].slot, slot);
    assert_int_equal(step.tokens, 3);
    close_it(&o);
}

static void a_fault_is_told_with_its_line(void **state)
{
    (void)state;
    static const char *const faults[][2] = {
        {"", "t.csv: has no steps"}, {HEAD, "t.csv: has no steps"}, {HEAD "0,,,\n", "asks for no buffer in any of its 1 steps"},
        {"step,id,size,lifetime\n", "line 1: the header is \"step,id,size,lifetime\", not step,id,bytes,lifetime"},
        {HEAD "0,1,5,-2\n", "line 2: lifetime is \"-2\", not a number of steps from 0"}, {HEAD "0,1,5,@x\n", "line 2: lifetime is \"@x\""},
        {HEAD "0,1,0,1\n", "line 2: bytes is \"0\", not a whole number from 1"}, {HEAD "0,1,-5,1\n", "line 2: bytes is \"-5\""},
        {HEAD "0,x,5,1\n", "line 2: id is \"x\""}, {HEAD "z,1,5,1\n", "line 2: step is \"z\""}, {HEAD "0,1,5\n", "line 2: has 3 fields, not 4"},
        {HEAD "0,1,5,0,0\n", "line 2: has 5 fields, not 4"}, {HEAD "0,1,release,3\n", "line 2: bytes is \"release\""},
        {HEAD "1,1,5,0\n", "line 2: step 1 follows step -1; steps begin with 0"}, {HEAD "0,1,5,0\n2,2,5,0\n", "line 3: step 2 follows step 0"},
        {HEAD "0,1,5,0\n1,2,5,0\n0,3,5,0\n", "line 4: step 0 follows step 1"},
        {HEAD "0,1,5,3\n0,1,5,3\n", "line 3: buffer 1 is asked for while it lives, since line 2"},
        {HEAD "0,1,5,3\n0,2,release,\n", "line 3: buffer 2 is released, but it was never asked for"},
        {HEAD "0,1,5,3\n0,1,release,\n0,1,release,\n", "line 4: buffer 1 is released, but that was done in line 3 already"},
        {HEAD "0,1,5,0\n1,1,release,\n", "line 3: buffer 1 of line 2 is released, but the steps it was to live are over"},
        {HEAD "0,1,5,@1\n", "line 2: buffer 1 cannot live until it is asked for itself"},
        {HEAD "0,1,5,@7\n", "line 2: buffer 1 lives until 7 is asked for, which does not happen behind it"},
        {HEAD "0,1,5,", "line 2: ends behind a comma and without a line feed"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        opened o;
        es_err err = {0};
        put("t.csv", faults[i][0]);
        assert_int_equal(open_with(&o, &es_source_buffers, at("t.csv"), "{}", &err), ES_EINPUT);
        if (!strstr(err.text, faults[i][1]))
            fail_msg("is: %s\nwant: %s", err.text, faults[i][1]);
        close_it(&o);
    }
}

static void a_second_release_that_is_kept_must_be_of_something(void **state)
{
    (void)state;
    opened o;
    es_err err = {0};
    put("t.csv", HEAD "0,1,5,3\n0,2,release,\n");
    assert_int_equal(open_with(&o, &es_source_buffers, at("t.csv"), "{\"double_release\": \"keep\"}", &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "line 3: buffer 2 is released, but it was never asked for"));
    close_it(&o);
}

/* ---- the generator ---- */

static void a_token_asks_for_fifteen_to_twenty_five(void **state)
{
    (void)state;
    opened o;
    es_err err = {0};
    assert_int_equal(open_with(&o, &es_source_buffers_synthetic, NULL, "{\"requests\": 6, \"together\": 2, \"tokens\": 20, \"tokens_most\": 60}", &err), ES_OK);
    uint64_t tokens = 0, asked = 0, ended = 0, steps = 0;
    bool two = false, one = false;
    for (;;) {
        es_step step;
        bool more;
        uint64_t mine = 0;
        assert_int_equal(es_source_buffers_synthetic.next(o.self, &step, &more, NULL), ES_OK);
        if (!more)
            break;
        for (uint32_t i = 0; i < step.buffers; i++) {
            const es_buffer_op *op = &step.buffer[i];
            mine += op->kind == ES_BUFFER_REQUEST;
            ended += op->kind == ES_BUFFER_EXPIRE;
            assert_in_range(op->bytes, 65536, 64 << 20);
        }
        assert_in_range(mine, 15 * step.tokens, 25 * step.tokens);
        two |= step.tokens == 2;
        one |= step.tokens == 1;
        tokens += step.tokens;
        asked += mine;
        steps++;
    }
    assert_true(one && two);
    const es_trace_info *info = es_source_buffers_synthetic.info(o.self);
    assert_int_equal(info->decode_tokens, tokens);
    assert_int_equal(info->accesses, asked);
    assert_int_equal(info->steps, steps);
    assert_int_equal(ended, asked);             /* all have an end, with the trace at the latest */
    assert_in_range(tokens, 6 * 20, 6 * 60);
    close_it(&o);
}

static void a_seed_draws_the_same_again_and_another_something_else(void **state)
{
    (void)state;
    char *text[3];
    static const char *const options[] = {"{\"seed\": 4}", "{\"seed\": 4}", "{\"seed\": 5}"};
    for (int i = 0; i < 3; i++) {
        opened o;
        assert_int_equal(open_with(&o, &es_source_buffers_synthetic, NULL, options[i], NULL), ES_OK);
        text[i] = text_of(&o);
        close_it(&o);
    }
    assert_string_equal(text[0], text[1]);
    assert_string_not_equal(text[0], text[2]);
    for (int i = 0; i < 3; i++)
        free(text[i]);
}

static void a_mix_says_sizes_and_lives(void **state)
{
    (void)state;
    opened o;
    es_err err = {0};
    assert_int_equal(open_with(&o, &es_source_buffers_synthetic, NULL,
        "{\"tokens\": 3, \"least\": 1, \"most\": 1, \"mix\": [{\"bytes\": \"100B\", \"until\": \"request\"}]}", &err), ES_OK);
    char *text = text_of(&o);
    assert_string_equal(text, "+0\n+1\n+2 ~0 ~1 ~2\n");
    free(text);
    close_it(&o);
    assert_int_equal(open_with(&o, &es_source_buffers_synthetic, NULL,
        "{\"tokens\": 4, \"least\": 1, \"most\": 1, \"mix\": [{\"bytes\": \"100B\", \"steps\": 1}]}", &err), ES_OK);
    text = text_of(&o);
    assert_string_equal(text, "+0\n+1 ~0\n+2 ~1\n+3 ~2 ~3\n");
    free(text);
    close_it(&o);
    static const char *const wrong[][2] = {
        {"{\"mix\": []}", "mix: needs a list of 1 to 64 kinds"}, {"{\"mix\": [{}]}", "mix.0: bytes: is missing"},
        {"{\"mix\": [{\"bytes\": \"2KiB\", \"bytes_most\": \"1KiB\"}]}", "mix.0: bytes_most: 1024 is below bytes, 2048"},
        {"{\"mix\": [{\"bytes\": \"2KiB\", \"steps\": -1}]}", "mix.0: steps"}, {"{\"least\": 9, \"most\": 8}", "most: 8 is below least, 9"},
        {"{\"tokens\": 9, \"tokens_most\": 8}", "tokens_most: 8 is below tokens, 9"}, {"{\"requests\": 1000000, \"tokens\": 1000}", "100 million"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(open_with(&o, &es_source_buffers_synthetic, NULL, wrong[i][0], &err), ES_EINPUT);
        if (!strstr(err.text, wrong[i][1]))
            fail_msg("is: %s\nwant: %s", err.text, wrong[i][1]);
        close_it(&o);
    }
}

/* ---- runs ---- */

/* Two heaps of 1 MiB; a piece costs 10 us, the device 300 us, malloc 70 us, warming up 1 ms; a step computes 1 ms. */
#define MACHINE \
    "\"channels\": {\"gpu\": {\"timing\": {\"name\": \"compute\", \"dense\": \"1ms\"}}}," \
    "\"tiers\": {\"memory\": {\"home\": true, \"compute\": \"gpu\"," \
    "\"allocation\": {\"name\": \"alloc\", \"pool\": \"10us\", \"pool_most\": 0, \"device\": \"300us\", \"device_most\": 0, \"host\": \"70us\", \"host_most\": 0," \
    "\"warm\": \"1ms\", \"heap\": \"5us\", \"move\": \"1us\", \"move_rate\": \"1GB/s\"}, \"allocator\": {\"name\": \"heaps\", %s}}}"

static es_code simulate(const char *allocator, const char *more, es_json **result, es_err *err)
{
    es_text config = {0};
    char *json = NULL;
    es_text_add(&config, "{\"trace\": {\"path\": \"%s\"%s}, " MACHINE "}", at("t.csv"), more, allocator);
    es_code code = es_simulate_text(config.at, NULL, 0, &json, err);
    *result = NULL;
    if (code == ES_OK)
        assert_int_equal(es_json_parse(result, json, strlen(json), NULL), ES_OK);
    es_free(json);
    es_text_free(&config);
    return code;
}

static es_json *run(const char *allocator, const char *more)
{
    es_json *result = NULL;
    es_err err = {0};
    if (simulate(allocator, more, &result, &err) != ES_OK)
        fail_msg("%s", err.text);
    return result;
}

static void says(const es_json *result, const char *path, double want)
{
    const es_json *value = es_json_at(result, path);
    if (!cJSON_IsNumber(value) || fabs(value->valuedouble - want) > 1e-12 * fabs(want))
        fail_msg("%s is %.15g, not %.15g", path, cJSON_IsNumber(value) ? value->valuedouble : NAN, want);
}

static bool finds(const es_json *result, const char *text)
{
    const es_json *one;
    cJSON_ArrayForEach(one, es_json_at(result, "findings"))
        if (strstr(es_json_at(one, "text")->valuestring, text))
            return true;
    return false;
}

static const char *band(const es_json *result, const char *about)
{
    const es_json *one;
    cJSON_ArrayForEach(one, es_json_at(result, "findings"))
        if (strcmp(es_json_at(one, "about")->valuestring, about) == 0)
            return es_json_at(one, "band")->valuestring;
    return "";
}

static void every_figure_of_a_small_run_is_known(void **state)
{
    (void)state;
    put("t.csv", HEAD "0,1,524288,1\n0,2,524288,0\n0,3,1048576,0\n1,4,262144,\n1,5,2097152,0\n2,,,\n");
    es_json *r = run("\"heaps\": 2, \"heap_size\": \"1MiB\", \"warm\": [\"512KiB\", \"4MiB\"], \"oversize\": \"skip\"", "");
    says(r, "time.setup_s", 2 * 5e-6 + 2 * 1e-3);
    says(r, "buffers.warmed", 2);
    says(r, "buffers.requests", 5);
    says(r, "buffers.placed", 3);           /* 1 in heap 0, 2 in heap 1, 3 does not fit heap 0 whose turn it is, 4 in heap 1, 5 fits none */
    says(r, "buffers.fallback", 2);
    says(r, "buffers.hit_rate", 0.6);
    says(r, "buffers.fallback_rate", 0.4);
    says(r, "buffers.hit_rate_bytes", (524288 + 524288 + 262144.) / (524288 + 524288 + 1048576 + 262144 + 2097152));
    says(r, "buffers.released", 4);
    says(r, "buffers.leaked", 1);
    says(r, "buffers.leaked_bytes", 262144);
    says(r, "buffers.live_peak", 3);
    says(r, "buffers.live_peak_bytes", 524288 + 262144 + 2097152);
    says(r, "buffers.largest_bytes", 2097152);
    says(r, "buffers.mean_bytes", (524288 + 524288 + 1048576 + 262144 + 2097152) / 5.0);
    says(r, "buffers.utilization.peak", 0.5);
    says(r, "buffers.utilization.mean", (0.5 + 0.375 + 0.125) / 3);
    says(r, "buffers.fragmentation.peak", 0);
    says(r, "time.total_s", 3e-3 + 3 * 10e-6 + 2 * 300e-6);
    says(r, "time.attribution.allocate", 3 * 10e-6 + 2 * 300e-6);
    says(r, "time.cold_first_token_s", 2010e-6 + 1320e-6);
    says(r, "time.token_latency_s.max", 1320e-6);
    says(r, "buffers.per_token_s.all", 630e-6 / 3);
    says(r, "buffers.exhaustion.events", 2);
    says(r, "buffers.exhaustion.first.1.id", 5);
    says(r, "buffers.allocator.warm_skipped", 1);
    assert_string_equal(band(r, "hit_rate"), "poor");
    assert_string_equal(band(r, "utilization"), "over-provisioned");
    assert_string_equal(band(r, "fallback_rate"), "frequent");
    assert_true(finds(r, "largest allocation 2 MiB exceeds the heap of 1 MiB: raise heap_size"));
    assert_true(finds(r, "memory leak: acquired 5, released 4, leaked 1 buffers of 256 KiB"));
    assert_true(finds(r, "1 warm-up size is larger than a heap and was skipped"));
    cJSON_Delete(r);
}

static void without_a_pool_the_device_and_the_host_allocate(void **state)
{
    (void)state;
    put("t.csv", HEAD "0,1,524288,1\n0,2,524288,0\n1,4,262144,0\n");
    es_json *r = run("\"mode\": \"none\"", "");
    says(r, "time.attribution.allocate", 3 * 370e-6);
    says(r, "buffers.per_token_s.host", 3 * 70e-6 / 2);
    says(r, "buffers.heaps_last", 0);
    says(r, "buffers.exhaustion.events", 0);
    assert_true(cJSON_IsNull(es_json_at(r, "buffers.utilization")));
    assert_int_equal(cJSON_GetArraySize(es_json_at(r, "findings")), 0);
    cJSON_Delete(r);
}

/* A heap is one thing to make resident, however many buffers lie in it. */
static void residency_is_paid_by_heap_and_by_buffer_beside_them(void **state)
{
    (void)state;
    static const struct { const char *allocator; double things; } rows[] = {{"\"heaps\": 2, \"heap_size\": \"1MiB\"", 2 + 3}, {"\"mode\": \"none\"", 3 + 2}};
    put("t.csv", HEAD "0,1,5,1\n0,2,5,0\n0,3,5,0\n1,4,2097152,0\n");
    for (size_t i = 0; i < 2; i++) {
        char config[1024], *json = NULL;
        es_json *r = NULL;
        snprintf(config, sizeof config, "{\"trace\": {\"path\": \"%s\"}, \"channels\": {\"gpu\": {\"timing\": \"compute\"}}, \"tiers\": {\"memory\": {\"home\": true,"
            "\"compute\": \"gpu\", \"allocation\": {\"name\": \"alloc\", \"resident\": \"1ms\"}, \"allocator\": {\"name\": \"heaps\", %s}}}}", at("t.csv"), rows[i].allocator);
        assert_int_equal(es_simulate_text(config, NULL, 0, &json, NULL), ES_OK);
        assert_int_equal(es_json_parse(&r, json, strlen(json), NULL), ES_OK);
        says(r, "time.attribution.resident", 1e-3 * rows[i].things);
        es_free(json);
        cJSON_Delete(r);
    }
}

static void growth_and_compaction_are_paid(void **state)
{
    (void)state;
    put("t.csv", HEAD "0,1,524288,\n0,2,262144,0\n0,3,262144,5\n1,4,524288,\n");
    es_json *r = run("\"heaps\": 1, \"heap_size\": \"1MiB\", \"growth\": true, \"max_heaps\": 2, \"compaction\": true, \"compaction_threshold\": 0,"
                     "\"compaction_interval\": \"1us\", \"choose\": \"best_fit\"", "");
    says(r, "buffers.heaps_last", 2);       /* 3 would fill the heap */
    says(r, "buffers.per_token_s.growth", 5e-6 / 2);
    says(r, "time.attribution.allocate", 45e-6);
    says(r, "buffers.fallback", 0);
    says(r, "buffers.moves", 0);
    cJSON_Delete(r);
    r = run("\"heaps\": 1, \"heap_size\": \"2MiB\", \"compaction\": true, \"compaction_threshold\": 0, \"compaction_interval\": \"1us\"", "");
    says(r, "buffers.moves", 2);            /* 2 left a hole before 3, and that one before 4 when the trace ended */
    says(r, "buffers.moved_bytes", 262144 + 524288);
    says(r, "time.attribution.compact", 2e-6 + 262144e-9 + 524288e-9);
    says(r, "buffers.fragmentation.last", 0);
    cJSON_Delete(r);
}

static void checkout_lends_heaps_and_counts_what_the_source_counts(void **state)
{
    (void)state;
    put("t.csv", HEAD "0,1,5,0\n0,2,5,\n0,3,5,0\n1,2,release,\n1,2,release,\n1,4,5,0\n1,5,5,0\n1,6,5,0\n");
    es_json *r = run("\"mode\": \"checkout\", \"heaps\": 2, \"heap_size\": \"64MiB\"", ", \"source\": {\"name\": \"buffers\", \"double_release\": \"keep\"}");
    says(r, "buffers.fallback", 1);
    says(r, "buffers.released_again", 1);
    says(r, "buffers.allocator.checkout.acquired", 6);
    says(r, "buffers.allocator.checkout.released", 7);
    says(r, "buffers.allocator.checkout.leaked", -1);
    says(r, "buffers.allocator.checkout.exhaustion", 1);
    says(r, "buffers.allocator.checkout.available", 3);     /* more than there are */
    says(r, "buffers.allocator.checkout.utilization", -0.5);
    says(r, "buffers.allocator.checkout.shared", 1);
    assert_true(finds(r, "1 release of what was released before"));
    assert_true(finds(r, "up to 3 buffers live at once, but only 2 heaps can be lent"));
    cJSON_Delete(r);
}

/* Its points merge when there are more steps than points, and lose nothing. */
static void the_curve_adds_up(void **state)
{
    (void)state;
    static const struct { int tokens; double stride; int points; } rows[] = {{100, 1, 100}, {128, 1, 128}, {129, 2, 65}, {1000, 8, 125}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char config[512], *json = NULL;
        es_json *r = NULL;
        snprintf(config, sizeof config, "{\"trace\": {\"source\": {\"name\": \"buffers_synthetic\", \"tokens\": %d}}, \"tiers\": {\"memory\": {\"home\": true,"
            "\"allocator\": {\"name\": \"heaps\", \"heap_size\": \"40MiB\"}}}}", rows[i].tokens);
        assert_int_equal(es_simulate_text(config, NULL, 0, &json, NULL), ES_OK);
        assert_int_equal(es_json_parse(&r, json, strlen(json), NULL), ES_OK);
        says(r, "buffers.curve.steps_per_point", rows[i].stride);
        assert_int_equal(cJSON_GetArraySize(es_json_at(r, "buffers.curve.missed")), rows[i].points);
        double missed = 0.0, used = 0.0;
        for (int p = 0; p < rows[i].points; p++) {
            const double left = rows[i].tokens - p * rows[i].stride, steps = left < rows[i].stride ? left : rows[i].stride;
            missed += steps * cJSON_GetArrayItem(es_json_at(r, "buffers.curve.missed"), p)->valuedouble;
            used += steps * cJSON_GetArrayItem(es_json_at(r, "buffers.curve.utilization"), p)->valuedouble;
        }
        assert_true(missed > 0.0);
        assert_true(fabs(missed - es_json_at(r, "buffers.fallback")->valuedouble) < 1e-6);
        assert_true(fabs(used / rows[i].tokens - es_json_at(r, "buffers.utilization.mean")->valuedouble) < 1e-9);
        assert_true(cJSON_IsNull(es_json_at(r, "time.total_s")));       /* nothing costs anything, so there is no clock */
        es_free(json);
        cJSON_Delete(r);
    }
}

static void what_cannot_run_says_why(void **state)
{
    (void)state;
    es_json *r = NULL;
    es_err err = {0};
    put("t.csv", HEAD "0,1,5,0\n0,1,release,\n0,1,release,\n");
    assert_int_equal(simulate("\"heaps\": 2", "", &r, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "line 4: buffer 1 is released, but that was done in line 3 already"));
    put("t.csv", HEAD "0,1,5,0\n");
    static const char *const wrong[][2] = {
        {"\"warm\": [\"512MiB\"]", "tiers.memory.allocator: warm.0: 512MiB is more than heap_size, 268435456 bytes"},
        {"\"memory\": \"512MiB\"", "tiers.memory.allocator: heap_size: 4 heaps of 268435456 bytes are more than the memory there is"},
        {"\"choose\": \"worst_fit\"", "choose"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(simulate(wrong[i][0], "", &r, &err), ES_EINPUT);
        if (!strstr(err.text, wrong[i][1]))
            fail_msg("is: %s\nwant: %s", err.text, wrong[i][1]);
    }
    char *json = NULL, config[8192];
    static const char *const tiers[][2] = {
        {"{\"memory\": {\"home\": true, \"allocator\": \"bytes\"}}", "tiers.memory.allocator: bytes only counts"},
        {"{\"memory\": {\"home\": true}}", "tiers.memory.allocator: is missing"},
        {"{\"memory\": {\"home\": true, \"allocator\": \"heaps\"}, \"more\": {\"capacity\": \"1GiB\"}}", "tiers: a trace of buffers runs over one tier; there are 2"},
        {"{\"memory\": {\"home\": true, \"allocator\": \"heaps\", \"compute\": \"gpu\"}}", "tiers.memory.compute: there is no channel \"gpu\" with a timing"},
    };
    assert_int_equal(es_simulate_text("{\"trace\": {\"source\": \"buffers_synthetic\"}, \"predictor\": \"previous_token\", \"tiers\": {\"memory\": {\"home\": true,"
        "\"allocator\": \"heaps\"}}}", NULL, 0, &json, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "predictor: a trace of buffers has no experts"));
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        snprintf(config, sizeof config, "{\"trace\": {\"source\": \"buffers_synthetic\"}, \"tiers\": %s}", tiers[i][0]);
        assert_int_equal(es_simulate_text(config, NULL, 0, &json, &err), ES_EINPUT);
        if (!strstr(err.text, tiers[i][1]))
            fail_msg("is: %s\nwant: %s", err.text, tiers[i][1]);
        es_free(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_end_by_steps_by_another_or_by_a_row),
        cmocka_unit_test(slots_are_given_anew),
        cmocka_unit_test(a_fault_is_told_with_its_line),
        cmocka_unit_test(a_second_release_that_is_kept_must_be_of_something),
        cmocka_unit_test(a_token_asks_for_fifteen_to_twenty_five),
        cmocka_unit_test(a_seed_draws_the_same_again_and_another_something_else),
        cmocka_unit_test(a_mix_says_sizes_and_lives),
        cmocka_unit_test(every_figure_of_a_small_run_is_known),
        cmocka_unit_test(without_a_pool_the_device_and_the_host_allocate),
        cmocka_unit_test(residency_is_paid_by_heap_and_by_buffer_beside_them),
        cmocka_unit_test(growth_and_compaction_are_paid),
        cmocka_unit_test(checkout_lends_heaps_and_counts_what_the_source_counts),
        cmocka_unit_test(the_curve_adds_up),
        cmocka_unit_test(what_cannot_run_says_why),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
