/* Traces: every reader on files small enough to see through, every fault by its words, and round trips that lose nothing.
 *
 * A trace is compared as text, one line per step: "P 0.0(1 2;3) 0.1(-;4)" is a prompt step of request 0 with tokens 0 and 1, whose rows
 * for two layers list experts 1 2 and 3, none and 4. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <hdf5.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/base/sha256.h"
#include "sim/base/text.h"
#include "traces/export.h"
#include "traces/write.h"

extern const es_source es_source_csv, es_source_route_trace, es_source_native, es_source_synthetic;

/* libhdf5 loses a few blocks of its own when it meets a corrupt header. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static char folder[] = "/tmp/es_traces_XXXXXX";

/* --- the stage ------------------------------------------------------------------------------------------------------------------ */

static const char *at(const char *name)
{
    static char path[4][4096];
    static unsigned turn;
    char *to = path[turn++ % 4];
    snprintf(to, sizeof path[0], "%s/%s", folder, name);
    return to;
}

static void put(const char *name, const char *text)
{
    assert_int_equal(es_file_save(at(name), text, strlen(text), NULL), ES_OK);
}

static void good(es_code code, const es_err *err)
{
    if (code)
        fail_msg("%s", err->text);
}

static void expect_fault(es_code code, const es_err *err, const char *part)
{
    if (code != ES_EINPUT || !strstr(err->text, part))
        fail_msg("code %d, is: %s\n  want: %s", (int)code, err->text, part);
}

typedef struct opened { es_arena arena; const es_source *source; void *self; } opened;

static const es_source_ask ask_all = { .weights = true, .residency = true, .guesses = true }, ask_ids = { .path = NULL };

static es_code open_source(opened *o, const es_source *source, const char *path, const es_source_ask *ask, es_err *err)
{
    es_source_ask asked = *ask;
    asked.path = path;
    *o = (opened){ .source = source };
    o->self = es_arena_alloc(&o->arena, 1, source->part.size);
    assert_non_null(o->self);
    return source->open(o->self, &asked, &o->arena, err);
}

static void close_source(opened *o)
{
    if (o->source->part.fini)
        o->source->part.fini(o->self);
    es_arena_free(&o->arena);
}

static opened open_good(const es_source *source, const char *name, const es_source_ask *ask)
{
    opened o;
    es_err err = { 0 };
    good(open_source(&o, source, at(name), ask, &err), &err);
    return o;
}

static es_code open_synthetic(opened *o, const char *options, es_err *err)
{
    es_json *json = NULL;
    *o = (opened){ .source = &es_source_synthetic };
    o->self = es_arena_alloc(&o->arena, 1, es_source_synthetic.part.size);
    es_code code = es_json_parse(&json, options, strlen(options), err);
    if (!code)
        code = es_options_parse(es_source_synthetic.part.options, o->self, json, NULL, &o->arena, err);
    if (!code)
        code = es_source_synthetic.open(o->self, &ask_ids, &o->arena, err);
    cJSON_Delete(json);
    return code;
}

static void step_text(es_text *out, const es_trace_info *info, const es_step *step)
{
    es_text_add(out, "%c", step->token[0].phase == ES_PREFILL ? 'P' : 'D');
    for (uint32_t t = 0; t < step->tokens; t++) {
        es_text_add(out, " %u.%u(", step->token[t].request, step->token[t].position);
        for (uint32_t l = 0; l < info->layers; l++) {
            const uint16_t *row = step->ids + ((size_t)t * info->layers + l) * info->top_k;
            es_text_add(out, "%s%s", l ? ";" : "", row[0] == ES_NO_EXPERT ? "-" : "");
            for (uint32_t i = 0; i < info->top_k && row[i] != ES_NO_EXPERT; i++)
                es_text_add(out, "%s%u", i ? " " : "", row[i]);
        }
        es_text_add(out, ")");
    }
    es_text_add(out, "\n");
}

static char *source_text(const es_source *source, void *self)
{
    es_text out = { 0 };
    es_err err = { 0 };
    good(source->rewind(self, &err), &err);
    for (bool more = true; more;) {
        es_step step;
        good(source->next(self, &step, &more, &err), &err);
        if (more)
            step_text(&out, source->info(self), &step);
    }
    return out.at;
}

static void expect_steps(opened *o, const char *want)
{
    for (int again = 0; again < 2; again++) {   /* and the same after a rewind */
        char *is = source_text(o->source, o->self);
        if (strcmp(is, want) != 0)
            fail_msg("is:\n%swant:\n%s", is, want);
        free(is);
    }
}

static void expect_csv(const char *text, const char *want)
{
    put("t.csv", text);
    opened o = open_good(&es_source_csv, "t.csv", &ask_all);
    expect_steps(&o, want);
    close_source(&o);
}

static void digest_of(const es_source *source, const char *path, char hex[65])
{
    opened o;
    es_err err = { 0 };
    good(open_source(&o, source, path, &ask_all, &err), &err);
    good(es_trace_check(source, o.self, NULL, hex, &err), &err);
    close_source(&o);
}

static void expect_same_bytes(const char *a, const char *b)
{
    char *x, *y;
    size_t m, n;
    assert_int_equal(es_file_load(at(a), 1 << 28, &x, &m, NULL), ES_OK);
    assert_int_equal(es_file_load(at(b), 1 << 28, &y, &n, NULL), ES_OK);
    assert_int_equal(m, n);
    assert_memory_equal(x, y, m);
    free(x);
    free(y);
}

static void to_native(const es_source *source, const char *from, const char *to)
{
    es_err err = { 0 };
    opened o = open_good(source, from, &ask_all);
    good(es_trace_write(at(to), source, o.self, &ask_all, false, &err), &err);
    close_source(&o);
}

static void to_csv(const es_source *source, const char *from, const char *to)
{
    es_err err = { 0 };
    opened o = open_good(source, from, &ask_all);
    good(es_trace_export_csv(at(to), source, o.self, &ask_all, &err), &err);
    close_source(&o);
}

/* --- neutral CSV ---------------------------------------------------------------------------------------------------------------- */

static const char plain[] = "request_id,token_index,phase,layer,e0,e1\n"
                            "0,0,P,1,1,2\n0,0,P,3,0,5\n0,1,P,1,2,3\n0,1,P,3,4,5\n0,2,D,1,7,1\n0,2,D,3,0,1\n0,3,D,1,1,2\n0,3,D,3,3,4\n9,0,D,1,5,6\n9,0,D,3,6,5\n";
static const char plain_steps[] = "P 0.0(1 2;0 5) 0.1(2 3;4 5)\nD 0.2(7 1;0 1)\nD 0.3(1 2;3 4)\nD 9.0(5 6;6 5)\n";

static void a_prompt_is_one_step_and_every_generated_token_another(void **state)
{
    (void)state;
    expect_csv(plain, plain_steps);
    opened o = open_good(&es_source_csv, "t.csv", &ask_ids);
    const es_trace_info *info = es_source_csv.info(o.self);
    assert_int_equal(info->layers, 2);
    assert_int_equal(info->layer_number[1], 3);
    assert_int_equal(info->experts, 8);
    assert_int_equal(info->top_k, 2);
    assert_int_equal(info->requests, 2);
    assert_int_equal(info->steps, 4);
    assert_int_equal(info->prompt_tokens, 2);
    assert_int_equal(info->decode_tokens, 3);
    assert_int_equal(info->accesses, 20);
    assert_int_equal(info->missing_cells, 0);
    assert_true(info->counted);
    assert_null(info->expert_bytes);
    assert_int_equal(strlen(info->sha256), 64);
    close_source(&o);
}

static void a_prompt_may_come_layer_by_layer_and_its_tokens_in_any_order(void **state)
{
    (void)state;
    expect_csv("request_id,token_index,phase,layer,e0\n0,2,P,1,12\n0,0,P,1,10\n0,1,P,1,11\n0,0,P,0,0\n0,2,P,0,2\n0,1,P,0,1\n0,3,D,1,5\n0,3,D,0,6\n",
        "P 0.0(0;10) 0.1(1;11) 0.2(2;12)\nD 0.3(6;5)\n");
}

static void prompts_of_two_requests_are_two_steps_even_side_by_side(void **state)
{
    (void)state;
    expect_csv("request_id,token_index,phase,layer,e0\n0,0,P,0,1\n0,1,P,0,2\n1,0,P,0,3\n0,2,D,0,4\n1,1,D,0,5\n0,3,P,0,6\n0,4,P,0,7\n",
        "P 0.0(1) 0.1(2)\nP 1.0(3)\nD 0.2(4)\nD 1.1(5)\nP 0.3(6) 0.4(7)\n");
}

static void rows_of_one_step_number_are_one_batched_step(void **state)
{
    (void)state;
    expect_csv("step,batch_pos,phase,layer,e0\n0,1,P,0,1\n0,0,P,0,2\n0,1,P,1,3\n0,0,P,1,4\n5,1,D,0,5\n5,1,D,1,6\n5,0,P,0,7\n5,0,P,1,8\n",
        "P 0.0(2;4) 1.0(1;3)\nP 0.5(7;8) 1.5(5;6)\n");
    expect_csv("step,request_id,token_index,phase,layer,e0\n0,7,0,P,0,1\n0,7,1,P,0,2\n0,3,40,D,0,3\n4,3,41,D,0,4\n4,7,2,D,0,5\n", "D 3.40(3) 7.0(1) 7.1(2)\nD 3.41(4) 7.2(5)\n");
}

static void empty_ids_make_a_short_row_and_absent_rows_are_counted(void **state)
{
    (void)state;
    expect_csv("request_id,token_index,phase,layer,e0,e1,e2\n0,0,P,0,1,2,3\n0,0,P,1,4,5,\n0,1,P,0,6,,\n0,1,P,2,,,\n", "P 0.0(1 2 3;4 5;-) 0.1(6;-;-)\n");
    opened o = open_good(&es_source_csv, "t.csv", &ask_ids);
    assert_int_equal(es_source_csv.info(o.self)->missing_cells, 3);
    assert_int_equal(es_source_csv.info(o.self)->accesses, 6);
    close_source(&o);
}

static void weights_residency_and_guesses_are_read_when_asked_for(void **state)
{
    (void)state;
    es_step step;
    bool more;
    put("w.csv", "request_id,token_index,phase,layer,e0,e1,w0,w1,r0,r1,g0,g1,g2,c0,c1,c2\r\n0,0,D,0,1,2,0.75,1e-3,0,2,4,4,,0.5,nan,\r\n0,0,D,1,3,,-0.5,,1,,,,,,,\r\n");
    opened o = open_good(&es_source_csv, "w.csv", &ask_all);
    good(es_source_csv.next(o.self, &step, &more, NULL), NULL);
    assert_true(step.weights[0] == 0.75f && step.weights[1] == 1e-3f && step.weights[2] == -0.5f && step.weights[3] == 0.0f);
    assert_int_equal(step.residency[1], 2);
    assert_int_equal(step.residency[2], 1);
    assert_int_equal(es_source_csv.info(o.self)->guesses, 3);
    assert_int_equal(step.guess[0], 4);
    assert_int_equal(step.guess[1], 4);
    assert_int_equal(step.guess[2], ES_NO_EXPERT);
    assert_int_equal(step.guess[3], ES_NO_EXPERT);
    assert_true(step.guess_confidence[0] == 0.5f && isnan(step.guess_confidence[1]) && step.guess_confidence[2] == 0.0f);
    assert_int_equal(step.record, 2);
    close_source(&o);
    o = open_good(&es_source_csv, "w.csv", &ask_ids);
    good(es_source_csv.next(o.self, &step, &more, NULL), NULL);
    assert_null(step.weights);
    assert_null(step.residency);
    assert_null(step.guess);
    assert_null(step.guess_confidence);
    assert_true(es_source_csv.info(o.self)->has_weights && es_source_csv.info(o.self)->has_residency);
    close_source(&o);
}

static void columns_may_stand_in_another_order_and_behind_a_byte_order_mark(void **state)
{
    (void)state;
    expect_csv("\xef\xbb\xbflayer,e0,e1,w1,w0,phase,token_index,request_id\n4,1,2,0.1,0.2,D,0,3\n", "D 3.0(1 2)\n");
}

static void the_population_is_what_is_asked_for_or_the_highest_id_and_one(void **state)
{
    (void)state;
    es_source_ask ask = { .experts = 128 };
    es_err err = { 0 };
    put("t.csv", plain);
    opened o = open_good(&es_source_csv, "t.csv", &ask);
    assert_int_equal(es_source_csv.info(o.self)->experts, 128);
    close_source(&o);
    ask.experts = 7;
    expect_fault(open_source(&o, &es_source_csv, at("t.csv"), &ask, &err), &err, "t.csv: line 6: expert 7 is above 6, the highest");
    close_source(&o);
}

static void compressed_text_reads_as_plain_text(void **state)
{
    (void)state;
    unsigned char packed[4096];
    gzFile gz = gzopen(at("t.any"), "wb");
    assert_int_equal(gzwrite(gz, plain, sizeof plain - 1), sizeof plain - 1);
    gzclose(gz);
    opened o = open_good(&es_source_csv, "t.any", &ask_all);
    expect_steps(&o, plain_steps);
    close_source(&o);
    size_t size = ZSTD_compress(packed, sizeof packed, plain, sizeof plain - 1, 3);
    assert_int_equal(es_file_save(at("t.any"), packed, size, NULL), ES_OK);
    o = open_good(&es_source_csv, "t.any", &ask_all);
    expect_steps(&o, plain_steps);
    close_source(&o);
}

#define H "request_id,token_index,phase,layer,e0,e1\n"
#define W "request_id,token_index,phase,layer,e0,w0,r0\n"
#define B "step,batch_pos,phase,layer,e0\n"

static void every_fault_of_a_csv_is_told_with_its_line(void **state)
{
    static const struct { const char *text, *fault; } bad[] = {
        { "", "bad.csv: line 1: the header is missing" },
        { "request_id,token_index,phase,e0\n", "line 1: column layer is missing" },
        { "request_id,token_index,layer,e0\n", "line 1: column phase is missing" },
        { "request_id,token_index,phase,layer\n", "line 1: column e0 is missing" },
        { "request_id,token_index,phase,layer,e0,e2\n", "line 1: columns e0 to e2 are not all there" },
        { "request_id,token_index,phase,layer,e0,e0\n", "line 1: column 6 is there twice" },
        { "request_id,token_index,phase,layer,e0,e1,w0\n", "line 1: there are 2 columns e0.. but 1 columns w0.." },
        { "request_id,token_index,phase,layer,e0,g0,g1,c0\n", "line 1: there are 2 columns g0.. but 1 columns c0.." },
        { "request_id,token_index,phase,layer,e0,expert\n", "line 1: column \"expert\" is unknown; columns are step, request_id" },
        { "request_id,batch_pos,phase,layer,e0\n", "line 1: column 2 is there twice" },
        { "batch_pos,phase,layer,e0\n", "line 1: batch_pos goes with step and without token_index" },
        { H, "bad.csv: there are no rows" },
        { H "0,0,P,0,1,2\n0,1,P,0,1\n", "bad.csv: line 3: has 5 fields, the header has 6" },
        { H "0,0,P,0,1,2,3\n", "line 2: has more fields than the header, which has 6" },
        { H "0,0,P,0,1,x\n", "line 2: e1 is \"x\", not a whole number below 65535" },
        { H "0,0,P,0,1,65535\n", "line 2: e1 is \"65535\", not a whole number below 65535" },
        { H "0,0,P,0,1,-1\n", "line 2: e1 is \"-1\", not a whole number below 65535" },
        { H "0,0,P,0,1,2.5\n", "line 2: e1 is \"2.5\", not a whole number below 65535" },
        { H "0,0,P,0,,2\n", "line 2: e1 is \"2\", not empty, as the id before it is" },
        { H "0,0,X,0,1,2\n", "line 2: phase is \"X\", not P (prompt) or D (generated)" },
        { H "0,0,PD,0,1,2\n", "line 2: phase is \"PD\", not P (prompt) or D (generated)" },
        { H "0,4294967296,P,0,1,2\n", "line 2: token_index is \"4294967296\", not a whole number" },
        { H ",0,P,0,1,2\n", "line 2: request_id is \"\", not a whole number" },
        { H "0,0,P,70000,1,2\n", "line 2: layer 70000 is above 65535, the highest" },
        { H "0,0,P,0,5,5\n", "line 2: expert 5 is listed twice" },
        { H "0,0,P,0,1,2\n0,0,P,0,1,2\n", "bad.csv: request 0, token 0, layer 0 is listed twice" },
        { H "0,5,D,0,1,2\n0,4,D,0,1,2\n", "bad.csv: the step that begins on line 3: request 0: token 4 comes after token 5; positions must ascend" },
        { H "0,5,D,0,1,2\n0,6,D,0,1,2\n0,5,D,1,1,2\n", "line 4: request 0: token 5 comes after token 6" },
        { W "0,0,P,0,1,zero,0\n", "line 2: w0 is \"zero\", not a number" },
        { W "0,0,P,0,1,0.5,3\n", "line 2: r0 is \"3\", not 0 (miss), 1 (hit) or 2 (prefetched)" },
        { B "4,0,P,0,1\n3,0,P,0,1\n", "line 3: step 3 comes after step 4; steps must ascend" },
        { B "4,0,P,0,1\n4,0,D,1,1\n", "line 3: request 0, token 4 was of the other phase before" },
        { "step,request_id,token_index,phase,layer,e0\n0,1,0,P,0,1\n0,1,1,D,0,1\n", "request 1: tokens 0 and 1 of one step have different phases" },
        { "step,request_id,token_index,phase,layer,e0\n0,1,4294967295,P,0,1\n", "request 1: token 4294967295 is above 4294967294, the highest" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        opened o;
        es_err err = { 0 };
        put("bad.csv", bad[i].text);
        expect_fault(open_source(&o, &es_source_csv, at("bad.csv"), &ask_all, &err), &err, bad[i].fault);
        close_source(&o);
    }
}

static void a_torn_csv_is_no_shorter_trace(void **state)
{
    (void)state;
    char *data;
    size_t length;
    opened o;
    es_err err = { 0 };
    gzFile gz = gzopen(at("torn.gz"), "wb");
    assert_int_equal(gzwrite(gz, plain, sizeof plain - 1), sizeof plain - 1);
    gzclose(gz);
    assert_int_equal(truncate(at("torn.gz"), 90), 0);
    expect_fault(open_source(&o, &es_source_csv, at("torn.gz"), &ask_all, &err), &err, "torn.gz: the gzip stream ends early, after ");
    close_source(&o);
    put("zero.csv", plain);
    assert_int_equal(es_file_load(at("zero.csv"), 9999, &data, &length, NULL), ES_OK);
    data[length - 1] = '\0';
    assert_int_equal(es_file_save(at("zero.csv"), data, length, NULL), ES_OK);
    expect_fault(open_source(&o, &es_source_csv, at("zero.csv"), &ask_all, &err), &err, "zero.csv: line 11: holds a byte 0");
    close_source(&o);
    free(data);
}

static void a_small_file_cannot_ask_for_any_amount_of_memory(void **state)
{
    (void)state;
    opened o;
    es_err err = { 0 };
    es_text text = { 0 };
    es_text_add(&text, B);
    for (int i = 0; i < 4000; i++)
        es_text_add(&text, "%d,0,D,%d,1\n", i, i);
    put("sparse.csv", text.at);
    es_text_free(&text);
    expect_fault(open_source(&o, &es_source_csv, at("sparse.csv"), &ask_all, &err), &err, "sparse.csv: 4000 rows are too few for 4000 tokens of 4000 layers");
    close_source(&o);
}

/* --- route_trace ---------------------------------------------------------------------------------------------------------------- */

#define ROUTE_HEAD "# route_trace v1\n# model=/data/my model.gguf arch=qwen3moe n_layer=3 n_expert=8 n_expert_used=2\n"
#define ROUTE_SIZES "# layer=0 expert_bytes=10 dense_bytes=100\n# layer=1 expert_bytes=20 dense_bytes=200\n# layer=2 expert_bytes=30 dense_bytes=300\n"
#define ROUTE_COLUMNS "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes"

static void a_route_trace_keeps_sizes_weights_and_residency(void **state)
{
    (void)state;
    es_step step;
    bool more;
    put("route.csv", ROUTE_HEAD ROUTE_SIZES ROUTE_COLUMNS ",dropped\n"
        "0,0,0,1,0,5,0.7,0,20,0\n0,0,0,1,1,6,nan,1,0,1\n0,0,1,1,0,1,1,2,0,0\n0,0,0,2,0,0,0.5,0,30,0\n0,0,0,2,1,1,0.5,0,30,0\n"
        "0,1,2,1,0,3,0.6,1,0,0\n0,1,2,1,1,2,0.4,1,0,0\n0,1,2,2,0,7,1,0,30,0\n1,0,3,2,0,4,1,0,30,0\n");
    opened o = open_good(&es_source_route_trace, "route.csv", &ask_all);
    expect_steps(&o, "P 0.0(5 6;0 1) 0.1(1;-)\nD 0.2(3 2;7)\nP 1.3(-;4)\n");
    const es_trace_info *info = es_source_route_trace.info(o.self);
    assert_string_equal(info->model, "/data/my model.gguf");
    assert_int_equal(info->layers, 2);
    assert_int_equal(info->layer_number[0], 1);
    assert_int_equal(info->experts, 8);
    assert_int_equal(info->expert_bytes[0], 20);
    assert_int_equal(info->expert_bytes[1], 30);
    assert_int_equal(info->dense_bytes[1], 300);
    assert_int_equal(info->missing_cells, 2);
    assert_non_null(strstr(info->provenance, "\"dropped\": 1"));
    good(es_source_route_trace.rewind(o.self, NULL), NULL);
    good(es_source_route_trace.next(o.self, &step, &more, NULL), NULL);
    assert_true(step.weights[0] == 0.7f && isnan(step.weights[1]));
    assert_int_equal(step.residency[1], 1);
    assert_int_equal(step.residency[4], 2);
    close_source(&o);
}

static void every_fault_of_a_route_trace_is_told_with_its_line(void **state)
{
    static const struct { const char *text, *fault; } bad[] = {
        { "", "bad.csv: line 0: \"# route_trace v1\" is expected" },
        { "# route_trace v2\n", "bad.csv: line 1: \"# route_trace v1\" is expected" },
        { "# route_trace v1\n", "the file ends before the header \"turn,phase,step" },
        { "# route_trace v1\n" ROUTE_COLUMNS "\n", "line 2: the line \"# model=... n_layer=" },
        { "# route_trace v1\n# model=x arch=y n_layer=3 n_expert=8\n", "line 2: n_layer=, n_expert= and n_expert_used= with whole numbers are expected" },
        { "# route_trace v1\n# model=x arch=y n_layer=3 n_expert=8 n_expert_used=9\n", "line 2: n_layer=3 n_expert=8 n_expert_used=9 are not" },
        { ROUTE_HEAD "# layer=3 expert_bytes=1 dense_bytes=1\n", "line 3: layer=3 is not below n_layer=3" },
        { ROUTE_HEAD "# layer=1 expert_bytes=x dense_bytes=1\n", "line 3: layer=, expert_bytes= and dense_bytes= with whole numbers are expected" },
        { ROUTE_HEAD "turn,phase\n", "line 3: the header \"turn,phase,step,layer,slot" },
        { ROUTE_HEAD ROUTE_COLUMNS ",color\n", "line 3: column \"color\" is unknown; \"dropped\" may follow expert_bytes" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n", "bad.csv: there are no rows" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,0,5,0.7,0\n", "line 4: has fewer than 9 fields" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,0,5,0.7,0,1,1\n", "line 4: has more than 9 fields" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,2,0,1,0,5,0.7,0,1\n", "line 4: phase is 2, above 1, the highest" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,3,0,5,0.7,0,1\n", "line 4: layer is 3, above 2, the highest" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,0,8,0.7,0,1\n", "line 4: expert is 8, above 7, the highest" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,2,5,0.7,0,1\n", "line 4: slot is 2, above 1, the highest" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,1,5,0.7,0,1\n", "line 4: slot 1 comes where slot 0 is expected" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,0,5,heavy,0,1\n", "line 4: weight is \"heavy\", not a number" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,0,5,1,3,1\n", "line 4: residency is 3, above 2, the highest" },
        { ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,0,5,1,0,1\n0,0,0,1,1,5,1,0,1\n", "line 4: expert 5 is listed twice" },
        { ROUTE_HEAD "# layer=0 expert_bytes=1 dense_bytes=1\n" ROUTE_COLUMNS "\n0,0,0,1,0,5,1,0,1\n", "bad.csv: layer 1 occurs, but has no line \"# layer=1" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        opened o;
        es_err err = { 0 };
        put("bad.csv", bad[i].text);
        expect_fault(open_source(&o, &es_source_route_trace, at("bad.csv"), &ask_all, &err), &err, bad[i].fault);
        close_source(&o);
    }
}

static void sources_know_their_files_by_the_first_bytes(void **state)
{
    (void)state;
    const unsigned char *csv = (const unsigned char *)plain, *route = (const unsigned char *)"# route_trace v1\n# mod", *h5 = (const unsigned char *)"\211HDF\r\n\032\nmore";
    assert_true(es_source_csv.sniff(csv, 40) > 50);
    assert_true(es_source_csv.sniff((const unsigned char *)"step,batch_pos,phase", 20) > 50);
    assert_int_equal(es_source_csv.sniff(route, 22), 0);
    assert_int_equal(es_source_csv.sniff(csv, 5), 0);
    assert_int_equal(es_source_route_trace.sniff(route, 22), 100);
    assert_int_equal(es_source_route_trace.sniff(csv, 40), 0);
    assert_true(es_source_native.sniff(h5, 12) > 50);
    assert_int_equal(es_source_native.sniff(h5, 4), 0);
    assert_null(es_source_synthetic.sniff);
}

/* --- native --------------------------------------------------------------------------------------------------------------------- */

static const char *const lossless[] = {
    plain,
    H "0,0,P,0,1,2\n0,0,P,7,4,\n0,1,P,0,6,\n0,2,D,0,5,6\n0,2,D,7,5,6\n",
    "request_id,token_index,phase,layer,e0,e1,w0,w1,r0,r1\n0,0,P,0,1,2,0.221297,0.19184402,0,1\n0,0,P,1,1,,3.4028235e+38,,2,\n0,1,D,0,1,0,1.4013e-45,nan,0,1\n0,1,D,1,300,0,-0,0.1,0,0\n",
    "request_id,token_index,phase,layer,e0,g0,g1,c0,c1\n0,0,D,0,1,2,2,0.5,0.25\n0,0,D,1,1,,,,\n0,1,D,0,,3,,1,\n0,1,D,1,4,,,,\n",
    "step,batch_pos,phase,layer,e0\n0,0,P,0,1\n0,0,P,1,2\n0,1,P,0,3\n0,1,P,1,4\n2,0,D,0,1\n2,0,D,1,2\n2,1,D,0,3\n2,1,D,1,4\n",
    "step,request_id,token_index,phase,layer,e0\n0,3,40,D,0,3\n0,7,0,P,0,1\n0,7,1,P,0,2\n1,3,41,D,0,4\n1,7,2,D,0,5\n",
    "step,request_id,token_index,phase,layer,e0\n0,3,0,P,0,3\n0,3,1,P,0,1\n1,3,2,P,0,2\n2,3,3,D,0,4\n",
    H "0,0,P,0,1,2\n0,0,P,4,,\n0,1,P,0,6,\n0,2,D,4,,\n",
};

static void csv_to_native_to_csv_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lossless / sizeof lossless[0]; i++) {
        char a[65], b[65];
        put("in.csv", lossless[i]);
        to_native(&es_source_csv, "in.csv", "mid.h5");
        to_csv(&es_source_native, "mid.h5", "out.csv");
        expect_same_bytes("in.csv", "out.csv");
        to_csv(&es_source_native, "mid.h5", "out.csv.gz");
        expect_same_bytes("in.csv", "out.csv.gz");
        digest_of(&es_source_csv, at("in.csv"), a);
        digest_of(&es_source_native, at("mid.h5"), b);
        assert_string_equal(a, b);
    }
}

static void native_keeps_what_a_route_trace_knows(void **state)
{
    (void)state;
    put("route.csv", ROUTE_HEAD ROUTE_SIZES ROUTE_COLUMNS "\n0,0,0,1,0,5,0.7,0,20\n0,0,0,1,1,6,nan,1,0\n0,1,1,2,0,0,0.5,0,30\n");
    to_native(&es_source_route_trace, "route.csv", "route.h5");
    opened o = open_good(&es_source_native, "route.h5", &ask_all);
    const es_trace_info *info = es_source_native.info(o.self);
    expect_steps(&o, "P 0.0(5 6;-)\nD 0.1(-;0)\n");
    assert_string_equal(info->model, "/data/my model.gguf");
    assert_int_equal(info->experts, 8);
    assert_int_equal(info->expert_bytes[1], 30);
    assert_int_equal(info->dense_bytes[0], 200);
    assert_int_equal(info->layer_number[1], 2);
    assert_int_equal(info->missing_cells, 2);
    assert_non_null(strstr(info->provenance, "route_trace"));
    assert_true(info->has_weights && info->has_residency);
    close_source(&o);
    o = open_good(&es_source_native, "route.h5", &ask_ids);
    es_step step;
    bool more;
    good(es_source_native.next(o.self, &step, &more, NULL), NULL);
    assert_null(step.weights);
    assert_null(step.residency);
    close_source(&o);
}

static void the_digest_is_the_one_that_format_md_defines(void **state)
{
    (void)state;
    static const uint32_t head[] = { 2, 8, 1, 0, 3, 5, 0, 0 }, first[] = { 2, 0, 0, 0, 0, 1, 0 }, second[] = { 1, 0, 2, 1 }, none[] = { 0, 0, 0, 0 };
    static const uint16_t ids[] = { 1, 7, 2, 65535 }, more[] = { 3, 0 };
    char want[65], is[65];
    es_sha256 sha;
    es_sha256_begin(&sha);
    es_sha256_add(&sha, "expertsim-trace 1\n", 18);
    es_sha256_add(&sha, head, sizeof head);
    es_sha256_add(&sha, first, sizeof first);
    es_sha256_add(&sha, ids, sizeof ids);
    es_sha256_add(&sha, none, sizeof none);
    es_sha256_add(&sha, second, sizeof second);
    es_sha256_add(&sha, more, sizeof more);
    es_sha256_add(&sha, none, sizeof none);
    es_sha256_hex(&sha, want);
    put("d.csv", "request_id,token_index,phase,layer,e0\n0,0,P,3,1\n0,0,P,5,7\n0,1,P,3,2\n0,2,D,3,3\n0,2,D,5,0\n");
    to_native(&es_source_csv, "d.csv", "d.h5");
    digest_of(&es_source_native, at("d.h5"), is);
    assert_string_equal(is, want);
}

/* A generated trace with prompts longer than a window: what is streamed must be what memory holds. */
static void a_step_longer_than_the_window_is_given_whole(void **state)
{
    (void)state;
    opened generated;
    es_err err = { 0 };
    good(open_synthetic(&generated, "{\"layers\": 2, \"experts\": 300, \"top_k\": 3, \"requests\": 3, \"prompt_tokens\": 9000, \"decode_tokens\": 4100}", &err), &err);
    good(es_trace_write(at("long.h5"), &es_source_synthetic, generated.self, &ask_ids, false, &err), &err);
    opened o = open_good(&es_source_native, "long.h5", &ask_all);
    char *want = source_text(&es_source_synthetic, generated.self);
    expect_steps(&o, want);
    free(want);
    assert_int_equal(es_source_native.info(o.self)->steps, 3 * 4101);
    close_source(&o);
    close_source(&generated);
}

static void the_same_steps_make_the_same_file_and_appending_is_writing_on(void **state)
{
    (void)state;
    es_err err = { 0 };
    char text[sizeof plain + 200];
    put("a.csv", plain);
    put("b.csv", H "0,0,P,1,1,2\n0,1,D,1,1,2\n0,1,D,3,1,7\n");
    snprintf(text, sizeof text, "%s10,0,P,1,1,2\n10,1,D,1,1,2\n10,1,D,3,1,7\n", plain);
    put("ab.csv", text);
    to_native(&es_source_csv, "a.csv", "a.h5");
    to_native(&es_source_csv, "a.csv", "a2.h5");
    expect_same_bytes("a.h5", "a2.h5");
    opened o = open_good(&es_source_csv, "b.csv", &ask_all);
    good(es_trace_write(at("a.h5"), &es_source_csv, o.self, &ask_all, true, &err), &err);
    close_source(&o);
    to_csv(&es_source_native, "a.h5", "ab2.csv");
    expect_same_bytes("ab.csv", "ab2.csv");
    put("c.csv", H "0,0,P,1,1,2\n0,0,P,4,1,7\n");
    o = open_good(&es_source_csv, "c.csv", &ask_all);
    expect_fault(es_trace_write(at("a.h5"), &es_source_csv, o.self, &ask_all, true, &err), &err, "a.h5: cannot be continued: what is added has other layer numbers");
    close_source(&o);
    put("c.csv", "request_id,token_index,phase,layer,e0\n0,0,P,1,7\n0,0,P,3,1\n");
    o = open_good(&es_source_csv, "c.csv", &ask_all);
    expect_fault(es_trace_write(at("a.h5"), &es_source_csv, o.self, &ask_all, true, &err), &err, "a.h5: cannot be continued: it has top_k 2, what is added has 1");
    close_source(&o);
    assert_int_not_equal(access(at("a.h5.tmp"), F_OK), 0);
}

static void a_writer_refuses_steps_that_break_the_rules_and_leaves_no_file(void **state)
{
    (void)state;
    static const struct { es_token token[2]; uint16_t ids[4]; const char *fault; } bad[] = {
        { { { 0, 0, 0 }, { 0, 1, 0 } }, { 1, 2, 3, 8 }, "w.h5: request 0, token 1, layer 5: expert 8 is above the highest of the trace" },
        { { { 0, 0, 0 }, { 0, 1, 0 } }, { 1, 2, 3, 3 }, "request 0, token 1, layer 5: expert 3 is listed twice" },
        { { { 0, 0, 0 }, { 0, 1, 0 } }, { 1, 2, 65535, 3 }, "request 0, token 1, layer 5: expert 3 stands behind an empty place" },
        { { { 0, 1, 0 }, { 0, 1, 0 } }, { 1, 2, 3, 4 }, "request 0: token 1 follows token 1 in one step" },
        { { { 2, 1, 0 }, { 0, 1, 0 } }, { 1, 2, 3, 4 }, "request 0 follows request 2 in one step" },
        { { { 0, 1, 0 }, { 0, 2, 1 } }, { 1, 2, 3, 4 }, "request 0: tokens 1 and 2 of one step have different phases" },
        { { { 0, 1, 2 }, { 0, 2, 2 } }, { 1, 2, 3, 4 }, "request 0, token 1: phase 2 is neither 0 (prompt) nor 1 (generated)" },
    };
    const uint32_t layer = 5;
    es_trace_info info = { .format = "", .model = "", .sha256 = "", .provenance = "", .layers = 1, .layer_number = &layer, .experts = 8, .top_k = 2 };
    es_trace_writer *w;
    es_err err = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        es_step step = { .tokens = 2, .token = bad[i].token, .ids = bad[i].ids };
        good(es_trace_writer_open(&w, at("w.h5"), &info, &err), &err);
        expect_fault(es_trace_writer_step(w, &step, &err), &err, bad[i].fault);
        good(es_trace_writer_close(w, false, &err), &err);
    }
    const es_token token = { 0, 3, 1 };
    es_step step = { .tokens = 1, .token = &token, .ids = (const uint16_t[]){ 1, 2 } };
    good(es_trace_writer_open(&w, at("w.h5"), &info, &err), &err);
    good(es_trace_writer_step(w, &step, &err), &err);
    expect_fault(es_trace_writer_step(w, &step, &err), &err, "request 0: token 3 comes after token 3; positions must ascend from step to step");
    good(es_trace_writer_close(w, false, &err), &err);
    good(es_trace_writer_open(&w, at("w.h5"), &info, &err), &err);
    expect_fault(es_trace_writer_close(w, true, &err), &err, "w.h5: there are no steps to write");
    info.has_weights = true;
    good(es_trace_writer_open(&w, at("w.h5"), &info, &err), &err);
    assert_int_equal(es_trace_writer_step(w, &step, &err), ES_EINTERNAL);
    good(es_trace_writer_close(w, false, &err), &err);
    info.experts = 70000;
    expect_fault(es_trace_writer_open(&w, at("w.h5"), &info, &err), &err, "w.h5: 70000 experts are not 1 to 65535");
    assert_int_not_equal(access(at("w.h5"), F_OK), 0);
    assert_int_not_equal(access(at("w.h5.tmp"), F_OK), 0);
}

/* --- native files that lie ------------------------------------------------------------------------------------------------------- */

static void poke(const char *set, hsize_t row, hsize_t cell, int rank, unsigned value)
{
    hid_t file = H5Fopen(at("lie.h5"), H5F_ACC_RDWR, H5P_DEFAULT), data = H5Dopen2(file, set, H5P_DEFAULT), space = H5Dget_space(data);
    hid_t one = H5Screate_simple(1, (const hsize_t[]){ 1 }, NULL);
    hsize_t point[3] = { row, cell / 2, cell % 2 };
    H5Sselect_elements(space, H5S_SELECT_SET, 1, rank == 1 ? &row : point);
    assert_true(H5Dwrite(data, H5T_NATIVE_UINT, one, space, H5P_DEFAULT, &value) >= 0);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(file);
}

static void set_int(const char *name, int64_t value)
{
    es_h5 *file;
    assert_int_equal(es_h5_open(&file, at("lie.h5"), true, NULL), ES_OK);
    assert_int_equal(es_h5_put_int(file, "/", name, value, NULL), ES_OK);
    assert_int_equal(es_h5_close(file, NULL), ES_OK);
}

static void set_text(const char *name, const char *value)
{
    es_h5 *file;
    assert_int_equal(es_h5_open(&file, at("lie.h5"), true, NULL), ES_OK);
    assert_int_equal(es_h5_put_text(file, "/", name, value, NULL), ES_OK);
    assert_int_equal(es_h5_close(file, NULL), ES_OK);
}

static void drop(const char *what, bool attribute)
{
    hid_t file = H5Fopen(at("lie.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true((attribute ? H5Adelete(file, what) : H5Ldelete(file, what, H5P_DEFAULT)) >= 0);
    H5Fclose(file);
}

static void replace(const char *what, es_h5_type type, int rank, const uint64_t *dims, uint64_t rows)
{
    es_h5 *file;
    es_h5_data *data;
    unsigned char zero[4096] = { 0 };
    drop(what, false);
    assert_int_equal(es_h5_open(&file, at("lie.h5"), true, NULL), ES_OK);
    assert_int_equal(es_h5_data_create(&data, file, what, type, rank, dims, 64, 0, NULL), ES_OK);
    assert_int_equal(es_h5_data_append(data, type, rows, zero, NULL), ES_OK);
    es_h5_data_close(data);
    assert_int_equal(es_h5_close(file, NULL), ES_OK);
}

static void a_true_file(void)
{
    put("lie.csv", "request_id,token_index,phase,layer,e0,e1,w0,w1,r0,r1,g0\n"
                   "0,0,P,1,1,2,1,1,0,0,1\n0,0,P,3,0,5,1,1,0,0,2\n0,1,P,1,2,3,1,1,0,0,3\n0,1,P,3,4,5,1,1,0,0,4\n0,2,D,1,7,1,1,1,0,0,5\n0,2,D,3,0,,1,,0,,6\n");
    to_native(&es_source_csv, "lie.csv", "lie.h5");
}

static void expect_lie(const char *fault)
{
    opened o;
    es_err err = { 0 };
    es_code code = open_source(&o, &es_source_native, at("lie.h5"), &ask_all, &err);
    for (bool more = true; !code && more;) {
        es_step step;
        code = es_source_native.next(o.self, &step, &more, &err);
    }
    expect_fault(code, &err, fault);
    close_source(&o);
    a_true_file();
}

static void every_lie_of_a_native_file_is_found(void **state)
{
    (void)state;
    a_true_file();
    set_text("format", "other");
    expect_lie("lie.h5: attribute format is \"other\", not \"expertsim-trace\"");
    drop("format", true);
    expect_lie("lie.h5: is HDF5, but has no attribute format = \"expertsim-trace\"");
    set_int("version", 2);
    expect_lie("lie.h5: attribute version is 2, not 1 to 1");
    drop("experts", true);
    expect_lie("lie.h5: / attribute experts: is missing");
    set_int("layers", 5000);
    expect_lie("lie.h5: attribute layers is 5000, not 1 to 4096");
    set_int("layers", 3);
    expect_lie("lie.h5: /layer_number: is not a list of 3 numbers of type u32");
    set_int("top_k", 3);
    expect_lie("lie.h5: /ids: has rows of 2 x 2, not 2 layers x 3");
    set_int("tokens", 4);
    expect_lie("lie.h5: /tokens/request: has 3 rows, but attribute tokens is 4");
    set_int("tokens", 0);
    expect_lie("lie.h5: attribute tokens is 0, not 1 to ");
    set_int("tokens", -1);
    expect_lie("lie.h5: attribute tokens is -1, not 1 to ");
    set_int("prompt_tokens", 1);
    expect_lie("lie.h5: attributes prompt_tokens 1 and decode_tokens 1 do not sum to tokens 3");
    set_int("steps", 3);
    expect_lie("lie.h5: attribute steps is 3, but the data have 2");
    set_int("steps", 4);
    expect_lie("lie.h5: attribute steps is 4, not 1 to 3");
    set_int("accesses", 12);
    expect_lie("lie.h5: attribute accesses is 12, but the data have 11");
    set_int("missing_cells", 1);
    expect_lie("lie.h5: attribute missing_cells is 1, but the data have 0");
    set_int("uniform", 7);
    expect_lie("lie.h5: attribute uniform is 7, not 0 to 1");
    set_text("sha256", "abc");
    expect_lie("lie.h5: attribute sha256 is not 64 hexadecimal digits");
    drop("/tokens/phase", false);
    expect_lie("lie.h5: /tokens/phase: is missing");
    replace("/tokens/phase", ES_H5_U16, 1, (const uint64_t[]){ 0 }, 3);
    expect_lie("lie.h5: /tokens/phase: is of type u16, not u8");
    replace("/ids", ES_H5_U16, 3, (const uint64_t[]){ 0, 2, 2 }, 3);
    expect_lie("lie.h5: /ids: is of type u16, not u8");
    replace("/ids", ES_H5_U8, 2, (const uint64_t[]){ 0, 4 }, 3);
    expect_lie("lie.h5: /ids: has rank 2, not 3");
    replace("/weights", ES_H5_F32, 3, (const uint64_t[]){ 0, 2, 2 }, 2);
    expect_lie("lie.h5: /weights: has 2 rows, but attribute tokens is 3");
    replace("/guess", ES_H5_U8, 2, (const uint64_t[]){ 0, 2 }, 3);
    expect_lie("lie.h5: /guess: is not [tokens][layers][1 to 1024]");
    poke("/layer_number", 0, 0, 1, 3);
    expect_lie("lie.h5: /layer_number: layer numbers must ascend, but 3 follows 3");
    poke("/tokens/phase", 1, 0, 1, 2);
    expect_lie("lie.h5: /tokens/phase: row 1: phase 2 is neither 0 (prompt) nor 1 (generated)");
    poke("/tokens/phase", 1, 0, 1, 1);
    expect_lie("lie.h5: /tokens/phase: row 1: request 0 has tokens of both phases in one step");
    poke("/tokens/phase", 2, 0, 1, 0);
    expect_lie("lie.h5: attribute decode_tokens is 1, but the data have 0");
    poke("/tokens/step", 0, 0, 1, 1);
    expect_lie("lie.h5: /tokens/step: row 0: step 1 stands where step 0 is expected; steps count from 0 without a gap");
    poke("/tokens/step", 2, 0, 1, 2);
    expect_lie("lie.h5: /tokens/step: row 2: step 2 follows step 0; steps count from 0 without a gap");
    poke("/tokens/position", 1, 0, 1, 0);
    expect_lie("lie.h5: /tokens/position: row 1: request 0 token 0 follows request 0 token 0 in one step, which is not ascending");
    poke("/ids", 1, 2, 3, 9);
    expect_lie("lie.h5: /ids: row 1, layer 3, place 0: expert 9 is above 7, the highest");
    poke("/ids", 2, 2, 3, 255);
    expect_lie("lie.h5: attribute accesses is 11, but the data have 10");
    poke("/ids", 1, 2, 3, 255);
    expect_lie("lie.h5: /ids: row 1, layer 3, place 1: expert 5 stands behind an empty place");
    poke("/residency", 1, 2, 3, 3);
    expect_lie("lie.h5: /residency: row 1: 3 is not 0 (miss), 1 (hit) or 2 (prefetched)");
    poke("/guess", 1, 2, 3, 8);
    expect_lie("lie.h5: /guess: row 1, layer 3, place 0: expert 8 is above 7, the highest");
}

static void check_finds_what_the_hot_path_leaves_out(void **state)
{
    (void)state;
    es_err err = { 0 };
    a_true_file();
    poke("/ids", 1, 3, 3, 4);
    opened o = open_good(&es_source_native, "lie.h5", &ask_all);
    expect_fault(es_trace_check(&es_source_native, o.self, NULL, NULL, &err), &err, "request 0, token 1, layer 3: expert 4 is listed twice");
    close_source(&o);
    a_true_file();
    poke("/ids", 1, 3, 3, 6);
    o = open_good(&es_source_native, "lie.h5", &ask_all);
    expect_fault(es_trace_check(&es_source_native, o.self, NULL, NULL, &err), &err, "says sha256 ");
    close_source(&o);
    a_true_file();
    set_int("requests", 2);
    o = open_good(&es_source_native, "lie.h5", &ask_all);
    expect_fault(es_trace_check(&es_source_native, o.self, NULL, NULL, &err), &err, "says requests 2, but has 1");
    close_source(&o);
}

static void a_torn_native_file_is_refused(void **state)
{
    (void)state;
    opened o;
    es_err err = { 0 };
    a_true_file();
    assert_int_equal(truncate(at("lie.h5"), 5000), 0);
    expect_fault(open_source(&o, &es_source_native, at("lie.h5"), &ask_all, &err), &err, "lie.h5: cannot open as HDF5: truncated file");
    close_source(&o);
    put("text.h5", "no HDF5 at all");
    expect_fault(open_source(&o, &es_source_native, at("text.h5"), &ask_all, &err), &err, "text.h5: cannot open as HDF5: ");
    close_source(&o);
}

static void any_byte_of_a_native_file_may_be_wrong_without_harm(void **state)
{
    (void)state;
    char *data;
    size_t length;
    a_true_file();
    assert_int_equal(es_file_load(at("lie.h5"), 1 << 20, &data, &length, NULL), ES_OK);
    for (size_t i = 0; i < length; i += 1 + length / 2000) {
        opened o;
        es_err err = { 0 };
        data[i] ^= (char)(1 << (i % 8));
        assert_int_equal(es_file_save(at("flip.h5"), data, length, NULL), ES_OK);
        data[i] ^= (char)(1 << (i % 8));
        if (!open_source(&o, &es_source_native, at("flip.h5"), &ask_all, &err))
            (void)!es_trace_check(&es_source_native, o.self, NULL, NULL, &err);
        close_source(&o);
    }
    free(data);
}

/* --- in memory ------------------------------------------------------------------------------------------------------------------ */

static void a_loaded_trace_is_read_by_many_cursors_at_once(void **state)
{
    (void)state;
    es_trace *trace;
    es_err err = { 0 };
    es_step step;
    bool more;
    put("t.csv", plain);
    opened o = open_good(&es_source_csv, "t.csv", &ask_ids);
    good(es_trace_load(&trace, &es_source_csv, o.self, &ask_ids, &err), &err);
    close_source(&o);
    es_trace_cursor a = { trace, 0 }, b = { trace, 0 };
    good(es_trace_source.next(&a, &step, &more, &err), &err);
    char *text = source_text(&es_trace_source, &b);
    assert_string_equal(text, plain_steps);
    free(text);
    good(es_trace_source.next(&a, &step, &more, &err), &err);
    assert_int_equal(step.token[0].position, 2);
    assert_int_equal(es_trace_source.info(&a)->accesses, 20);
    assert_string_equal(es_trace_source.info(&a)->format, "csv");
    es_trace_free(trace);
}

/* --- synthetic ------------------------------------------------------------------------------------------------------------------ */

/* Mean number of experts that two neighbouring tokens of a layer share, and uses of each expert of layer 0. */
static double overlap(const char *options, unsigned uses[64])
{
    opened o;
    es_err err = { 0 };
    es_tally counts;
    good(open_synthetic(&o, options, &err), &err);
    good(es_trace_check(&es_source_synthetic, o.self, &counts, NULL, &err), &err);
    const es_trace_info *info = es_source_synthetic.info(o.self);
    uint16_t before[4096];
    uint64_t shared = 0, rows = 0;
    memset(uses, 0, 64 * sizeof *uses);
    good(es_source_synthetic.rewind(o.self, &err), &err);
    for (bool more = true; more;) {
        es_step step;
        good(es_source_synthetic.next(o.self, &step, &more, &err), &err);
        if (!more)
            break;
        uint32_t k = info->top_k, cells = info->layers * k;
        for (uint32_t i = 0; i < k; i++)
            uses[step.ids[i]]++;
        for (uint32_t i = 0; rows > 0 && i < cells; i++)
            for (uint32_t j = i / k * k; j < i / k * k + k; j++)
                shared += step.ids[i] == before[j];
        memcpy(before, step.ids, cells * sizeof *before);
        rows++;
    }
    double mean = (double)shared / (double)((rows - 1) * info->layers);
    close_source(&o);
    return mean;
}

#define SMALL "\"layers\": 4, \"experts\": 64, \"top_k\": 4, \"decode_tokens\": 2000"

static void reuse_makes_neighbours_alike_and_leaves_popularity(void **state)
{
    (void)state;
    unsigned none[64], half[64], most[64];
    static const char *const sampler[] = { "zipf_ar", "markov" };
    for (int i = 0; i < 2; i++) {
        char options[3][256];
        snprintf(options[0], sizeof options[0], "{" SMALL ", \"sampler\": \"%s\", \"reuse\": 0}", sampler[i]);
        snprintf(options[1], sizeof options[1], "{" SMALL ", \"sampler\": \"%s\", \"reuse\": 0.5}", sampler[i]);
        snprintf(options[2], sizeof options[2], "{" SMALL ", \"sampler\": \"%s\", \"reuse\": 0.9}", sampler[i]);
        double a = overlap(options[0], none), b = overlap(options[1], half), c = overlap(options[2], most);
        assert_true(a + 0.5 < b && b + 0.5 < c && c < 4.0);
    }
    unsigned first = 0, second = 0;
    overlap("{" SMALL ", \"reuse\": 0}", none);
    overlap("{" SMALL ", \"reuse\": 0.5}", half);
    for (int i = 0; i < 64; i++) {
        first = none[i] > first ? none[i] : first;
        second = half[i] > second ? half[i] : second;
    }
    assert_true(fabs((double)first - (double)second) < 0.1 * first);    /* the favourite is as popular as before */
}

static void uniform_uses_all_experts_alike(void **state)
{
    (void)state;
    unsigned uses[64];
    double shared = overlap("{" SMALL ", \"sampler\": \"uniform\"}", uses);
    assert_true(fabs(shared - 4.0 * 4.0 / 64.0) < 0.03);
    for (int i = 0; i < 64; i++)
        assert_in_range(uses[i], 125 - 50, 125 + 50);
    opened o;
    es_err err = { 0 };
    good(open_synthetic(&o, "{\"sampler\": \"uniform\"}", &err), &err);
    assert_true(es_source_synthetic.info(o.self)->uniform);
    close_source(&o);
}

static void an_episode_stays_in_its_working_set(void **state)
{
    (void)state;
    unsigned uses[64];
    unsigned distinct = 0;
    overlap("{\"layers\": 2, \"experts\": 64, \"top_k\": 4, \"decode_tokens\": 500, \"sampler\": \"episode\", \"working_set\": 10, \"reuse\": 0.3}", uses);
    for (int i = 0; i < 64; i++)
        distinct += uses[i] > 0;
    assert_int_equal(distinct, 10);
    distinct = 0;
    overlap("{\"layers\": 2, \"experts\": 64, \"top_k\": 4, \"decode_tokens\": 500, \"sampler\": \"episode\", \"working_set\": 10, \"topic_length\": 50}", uses);
    for (int i = 0; i < 64; i++)
        distinct += uses[i] > 0;
    assert_true(distinct > 20);
}

static void counts_give_the_popularity_and_zero_is_never_used(void **state)
{
    (void)state;
    unsigned uses[64];
    overlap("{\"layers\": 2, \"experts\": 4, \"top_k\": 1, \"decode_tokens\": 4000, \"counts\": [[0, 300, 100, 0], [1, 1, 1, 1]]}", uses);
    assert_int_equal(uses[0] + uses[3], 0);
    assert_in_range(uses[1], 2850, 3150);
}

static void a_longer_trace_begins_like_a_shorter_one(void **state)
{
    (void)state;
    static const char *const sampler[] = { "zipf_ar", "uniform", "episode", "markov" };
    for (int i = 0; i < 4; i++) {
        char options[256];
        char *text[2];
        for (int j = 0; j < 2; j++) {
            opened o;
            es_err err = { 0 };
            snprintf(options, sizeof options, "{\"layers\": 3, \"experts\": 16, \"top_k\": 2, \"prompt_tokens\": 3, \"decode_tokens\": %d, \"sampler\": \"%s\", \"reuse\": 0.4, "
                "\"topics\": 3, \"topic_length\": 4, \"cross_layer\": 0.3}", j ? 40 : 20, sampler[i]);
            good(open_synthetic(&o, options, &err), &err);
            text[j] = source_text(&es_source_synthetic, o.self);
            char *again = source_text(&es_source_synthetic, o.self);
            assert_string_equal(text[j], again);
            free(again);
            close_source(&o);
        }
        assert_memory_equal(text[0], text[1], strlen(text[0]));
        free(text[0]);
        free(text[1]);
    }
}

/* The same on every compiler and at every optimisation level: golden digests of the content. */
static void generated_traces_are_the_same_everywhere(void **state)
{
    static const struct { const char *sampler, *hex; } golden[] = {
        { "zipf_ar", "4a4874df8f489b5b7a36737d745c9b1f0aa1d357497c14bdb68f8667201e412f" }, { "uniform", "812579caa263da7b041cfb7a87c6b0fb440e29959640c224c506ce24472a3bd0" }, { "episode", "90d1ead700625f39db013e0c6e53afc776722409e349197ea31b99a08b004b6e" }, { "markov", "9962f5484ec43c3014da9ead10d2b402fc16f24883386445f9591bf08f7c5844" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        opened o;
        es_err err = { 0 };
        char options[256], hex[65];
        snprintf(options, sizeof options, "{\"layers\": 5, \"experts\": 40, \"top_k\": 6, \"requests\": 2, \"prompt_tokens\": 30, \"decode_tokens\": 300, \"sampler\": \"%s\", "
            "\"reuse\": 0.6, \"topics\": 4, \"topic_length\": 64, \"cross_layer\": 0.2, \"skew\": [0.9], \"expert_bytes\": \"1MiB\", \"seed\": 7}", golden[i].sampler);
        good(open_synthetic(&o, options, &err), &err);
        good(es_trace_check(&es_source_synthetic, o.self, NULL, hex, &err), &err);
        assert_string_equal(hex, golden[i].hex);
        close_source(&o);
    }
}

static void a_generator_says_how_to_make_its_trace_again(void **state)
{
    (void)state;
    opened o, again;
    es_err err = { 0 };
    good(open_synthetic(&o, "{\"layers\": 2, \"experts\": 8, \"top_k\": 2, \"decode_tokens\": 50, \"reuse\": 0.25, \"expert_bytes\": \"3MiB\", \"counts\": [[1,2,3,4,5,6,7,8],[8,7,6,5,4,3,2,1]]}", &err), &err);
    good(es_trace_write(at("syn.h5"), &es_source_synthetic, o.self, &ask_all, false, &err), &err);
    opened file = open_good(&es_source_native, "syn.h5", &ask_all);
    const es_trace_info *info = es_source_native.info(file.self);
    assert_true(info->synthetic);
    assert_false(info->uniform);
    assert_int_equal(info->expert_bytes[1], 3 << 20);
    es_json *note;
    good(es_json_parse(&note, info->provenance, strlen(info->provenance), &err), &err);
    char *options = es_json_text(es_json_at(note, "options"));
    good(open_synthetic(&again, options, &err), &err);
    char *a = source_text(&es_source_synthetic, o.self), *b = source_text(&es_source_synthetic, again.self);
    assert_string_equal(a, b);
    assert_string_equal(es_source_synthetic.info(o.self)->sha256, es_source_synthetic.info(again.self)->sha256);
    free(a);
    free(b);
    free(options);
    cJSON_Delete(note);
    close_source(&file);
    close_source(&again);
    close_source(&o);
}

static void a_generator_refuses_what_cannot_be(void **state)
{
    static const struct { const char *options, *fault; } bad[] = {
        { "{\"top_k\": 9, \"experts\": 8}", "top_k: 9 is above experts, 8" },
        { "{\"decode_tokens\": 0}", "decode_tokens: 0 makes no tokens, for prompt_tokens is 0 as well" },
        { "{\"layers\": 3, \"skew\": [1, 2]}", "skew: 2 numbers are neither one nor one per layer, 3" },
        { "{\"working_set\": 3, \"top_k\": 4}", "working_set: 3 is not top_k, 4, to experts, 64" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"topics\": 2, \"counts\": [[1, 2]]}", "topics: counts give one popularity, so there is one topic" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"sampler\": \"uniform\", \"counts\": [[1, 2]]}", "counts: the sampler uniform has no popularity" },
        { "{\"layers\": 2, \"experts\": 2, \"top_k\": 1, \"counts\": [[1, 2]]}", "counts: is not a list of 2 lists, one per layer" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"counts\": [[1]]}", "counts.0: is not a list of 2 numbers, one per expert" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"counts\": [[1, -2]]}", "counts.0.1: is not a number from 0 to 1e15" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 2, \"counts\": [[1, 0]]}", "counts.0: only 1 experts were ever used, 2 are needed" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        opened o;
        es_err err = { 0 };
        expect_fault(open_synthetic(&o, bad[i].options, &err), &err, bad[i].fault);
        close_source(&o);
    }
}

/* --- real traces ---------------------------------------------------------------------------------------------------------------- */

static const char *real_path(const char *name)
{
    static char path[4096];
    const char *where = getenv("EXPERTSIM_TRACES");
    snprintf(path, sizeof path, "%s/%s", where ? where : "../shared/traces", name);
    return path;
}

static bool real_there(void)
{
    if (access(real_path("README.md"), R_OK) == 0)
        return true;
    print_message("[  NOTE    ] %s is absent: skipped\n", real_path("README.md"));
    return false;
}

static void recorded_traces_have_the_totals_their_readme_gives(void **state)
{
    static const struct { const char *path; uint32_t layers, top_k; uint64_t requests, steps, prompt, decode, accesses, missing; } want[] = {
        { "bigmoeonedge-qwen3-30b-k6/trace.csv.gz", 48, 6, 1, 129, 28, 128, 36864 + 7902, 27 },
        { "bigmoeonedge-gpt-oss-120b-k2/trace.csv.gz", 36, 2, 1, 65, 85, 64, 4608 + 5952, 84 },
        { "gpt-oss-20b-decode/trace.csv.gz", 24, 4, 64, 18372, 0, 18372, 1763712, 0 },
        { "deepseek-moe-16b-prefill/trace.csv.gz", 27, 6, 10, 10, 87, 0, 14094, 0 },
        { "switch-base-8-encoder/trace.csv.gz", 6, 1, 1, 1, 215, 0, 1290, 0 },
        { "oversize-case/trace.csv.gz", 1, 2, 1, 2, 2, 1, 6, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0] && real_there(); i++) {
        opened o;
        es_err err = { 0 };
        char hex[65], back[65];
        good(open_source(&o, &es_source_csv, real_path(want[i].path), &ask_all, &err), &err);
        const es_trace_info *info = es_source_csv.info(o.self);
        assert_int_equal(info->layers, want[i].layers);
        assert_int_equal(info->top_k, want[i].top_k);
        assert_int_equal(info->requests, want[i].requests);
        assert_int_equal(info->steps, want[i].steps);
        assert_int_equal(info->prompt_tokens, want[i].prompt);
        assert_int_equal(info->decode_tokens, want[i].decode);
        assert_int_equal(info->accesses, want[i].accesses);
        assert_int_equal(info->missing_cells, want[i].missing);
        good(es_trace_check(&es_source_csv, o.self, NULL, hex, &err), &err);
        good(es_trace_write(at("real.h5"), &es_source_csv, o.self, &ask_all, false, &err), &err);
        close_source(&o);
        digest_of(&es_source_native, at("real.h5"), back);
        assert_string_equal(hex, back);
        to_csv(&es_source_native, "real.h5", "real.csv.gz");
        char *a, *b;
        size_t m, n;
        good(es_file_load(real_path(want[i].path), 1 << 28, &a, &m, &err), &err);
        good(es_file_load(at("real.csv.gz"), 1 << 28, &b, &n, &err), &err);
        assert_int_equal(m, n);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
    }
}

static void a_route_trace_says_the_same_as_the_neutral_form_made_from_it(void **state)
{
    static const char *const name[] = { "bigmoeonedge-qwen3-30b-k6", "bigmoeonedge-gpt-oss-120b-k2" };
    (void)state;
    for (int i = 0; i < 2 && real_there(); i++) {
        opened route, csv;
        es_err err = { 0 };
        char path[256];
        const es_source_ask ask = { .weights = true, .residency = true, .experts = 128 };
        snprintf(path, sizeof path, "%s/route.csv.gz", name[i]);
        good(open_source(&route, &es_source_route_trace, real_path(path), &ask, &err), &err);
        snprintf(path, sizeof path, "%s/trace.csv.gz", name[i]);
        good(open_source(&csv, &es_source_csv, real_path(path), &ask, &err), &err);
        good(es_trace_export_csv(at("x.csv"), &es_source_route_trace, route.self, &ask, &err), &err);
        good(es_trace_export_csv(at("y.csv"), &es_source_csv, csv.self, &ask, &err), &err);
        expect_same_bytes("x.csv", "y.csv");
        assert_int_equal(es_source_route_trace.info(route.self)->expert_bytes[6], i == 0 ? 2654208 : 13219200);
        close_source(&route);
        close_source(&csv);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    char command[4200];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_one_step_and_every_generated_token_another),
        cmocka_unit_test(a_prompt_may_come_layer_by_layer_and_its_tokens_in_any_order),
        cmocka_unit_test(prompts_of_two_requests_are_two_steps_even_side_by_side),
        cmocka_unit_test(rows_of_one_step_number_are_one_batched_step),
        cmocka_unit_test(empty_ids_make_a_short_row_and_absent_rows_are_counted),
        cmocka_unit_test(weights_residency_and_guesses_are_read_when_asked_for),
        cmocka_unit_test(columns_may_stand_in_another_order_and_behind_a_byte_order_mark),
        cmocka_unit_test(the_population_is_what_is_asked_for_or_the_highest_id_and_one),
        cmocka_unit_test(compressed_text_reads_as_plain_text),
        cmocka_unit_test(every_fault_of_a_csv_is_told_with_its_line),
        cmocka_unit_test(a_torn_csv_is_no_shorter_trace),
        cmocka_unit_test(a_small_file_cannot_ask_for_any_amount_of_memory),
        cmocka_unit_test(a_route_trace_keeps_sizes_weights_and_residency),
        cmocka_unit_test(every_fault_of_a_route_trace_is_told_with_its_line),
        cmocka_unit_test(sources_know_their_files_by_the_first_bytes),
        cmocka_unit_test(csv_to_native_to_csv_loses_nothing),
        cmocka_unit_test(native_keeps_what_a_route_trace_knows),
        cmocka_unit_test(the_digest_is_the_one_that_format_md_defines),
        cmocka_unit_test(a_step_longer_than_the_window_is_given_whole),
        cmocka_unit_test(the_same_steps_make_the_same_file_and_appending_is_writing_on),
        cmocka_unit_test(a_writer_refuses_steps_that_break_the_rules_and_leaves_no_file),
        cmocka_unit_test(every_lie_of_a_native_file_is_found),
        cmocka_unit_test(check_finds_what_the_hot_path_leaves_out),
        cmocka_unit_test(a_torn_native_file_is_refused),
        cmocka_unit_test(any_byte_of_a_native_file_may_be_wrong_without_harm),
        cmocka_unit_test(a_loaded_trace_is_read_by_many_cursors_at_once),
        cmocka_unit_test(reuse_makes_neighbours_alike_and_leaves_popularity),
        cmocka_unit_test(uniform_uses_all_experts_alike),
        cmocka_unit_test(an_episode_stays_in_its_working_set),
        cmocka_unit_test(counts_give_the_popularity_and_zero_is_never_used),
        cmocka_unit_test(a_longer_trace_begins_like_a_shorter_one),
        cmocka_unit_test(generated_traces_are_the_same_everywhere),
        cmocka_unit_test(a_generator_says_how_to_make_its_trace_again),
        cmocka_unit_test(a_generator_refuses_what_cannot_be),
        cmocka_unit_test(recorded_traces_have_the_totals_their_readme_gives),
        cmocka_unit_test(a_route_trace_says_the_same_as_the_neutral_form_made_from_it),
    };
    return cmocka_run_group_tests_name("traces", tests, make_folder, drop_folder);
}
