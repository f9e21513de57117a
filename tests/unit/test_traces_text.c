/* Text traces: neutral CSV and route_trace on files small enough to see through; every fault by its words and line. */
#include "tests/support/trace_kit.h"

/* --- neutral CSV ---------------------------------------------------------------------------------------------------------------- */

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

#define WEIGHED "request_id,token_index,phase,layer,e0,e1,w0,w1\n"
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
        { WEIGHED "0,0,P,0,1,2,0.5,0.5\n0,1,P,0,1,2,0.5,\n", "line 3: has 1 weights for 2 experts" },
        { WEIGHED "0,0,P,0,1,,0.5,0.5\n", "line 2: has 2 weights for 1 experts" },
        { WEIGHED "0,0,P,0,1,,,0.5\n", "line 2: has a weight w1, but no expert e1" },
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

/* A row of two ids, cut at each of its bytes: the whole row reads, and so does any part that ends in a digit and has all fields; that a
 * digit is missing cannot be seen. No other part may pass, or the row would be taken for a short one. */
static void a_csv_is_cut_where_its_last_line_feed_is_missing(void **state)
{
    (void)state;
    static const char row[] = "0,1,D,0,12,34\n";
    char text[256];
    opened o;
    for (size_t length = 1; length < sizeof row; length++) {
        es_err err = { 0 };
        snprintf(text, sizeof text, H "0,0,D,0,12,\n%.*s", (int)length, row);
        put("cut.csv", text);
        es_code code = open_source(&o, &es_source_csv, at("cut.csv"), &ask_all, &err);
        if (length < sizeof row - 1)
            expect_fault(code, &err, "cut.csv: line 3: the file ends here without a line feed: it was cut, or one is missing");
        else
            good(code, &err);
        close_source(&o);
    }
    expect_csv(H "0,0,D,0,12,\n", "D 0.0(12)\n");
    expect_csv(H "0,0,D,0,12,\r\n", "D 0.0(12)\n");
    expect_csv(H "0.0,0,D,0e0,12.0,33e0\n", "D 0.0(12 33)\n");
    es_err err = { 0 };
    put("cut.csv", H "0,0,D,0,12,\r");
    expect_fault(open_source(&o, &es_source_csv, at("cut.csv"), &ask_all, &err), &err, "line 2: the file ends here without a line feed");
    close_source(&o);
}

static void a_route_trace_is_cut_where_its_last_line_feed_is_missing(void **state)
{
    (void)state;
    static const char row[] = "0,0,0,1,0,5,0.7,0,1\n";
    char text[512];
    opened o;
    for (size_t length = 1; length < sizeof row; length++) {
        es_err err = { 0 };
        snprintf(text, sizeof text, ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,0,5,0.7,0,1\n0,0,0,2,0,5,0.7,0,1\n1%.*s", (int)length, row);
        put("cut.csv", text);
        es_code code = open_source(&o, &es_source_route_trace, at("cut.csv"), &ask_all, &err);
        if (length < sizeof row - 1)
            expect_fault(code, &err, "cut.csv: line 6: ");
        else
            good(code, &err);
        close_source(&o);
    }
}

static void a_generated_token_that_lacks_its_last_layers_is_torn(void **state)
{
    (void)state;
    opened o;
    es_err err = { 0 };
    es_source_ask lenient = ask_all;
    lenient.lenient = true;
    put("cut.csv", "request_id,token_index,phase,layer,e0\n0,0,D,0,1\n0,0,D,1,2\n0,1,D,0,3\n0,1,D,1,3\n0,2,D,0,4\n");
    expect_fault(open_source(&o, &es_source_csv, at("cut.csv"), &ask_all, &err), &err, "cut.csv: ends inside request 0, token 2, which begins on line 6: layer 1 of it is missing");
    close_source(&o);
    good(open_source(&o, &es_source_csv, at("cut.csv"), &lenient, &err), &err);
    expect_steps(&o, "D 0.0(1;2)\nD 0.1(3;3)\n");
    close_source(&o);
}

/* Engines write the experts of a prompt's layer one after the other, and a line of totals at the end. */
static void slots_of_a_layer_may_stand_in_any_order(void **state)
{
    (void)state;
    opened o;
    es_err err = { 0 };
    put("t.csv", ROUTE_HEAD ROUTE_COLUMNS "\n0,0,1,1,1,6,0.3,1,0\n0,0,0,1,0,5,0.7,0,1\n0,0,1,1,0,4,0.7,0,1\n0,0,0,1,1,3,0.3,1,0\n"
        "0,1,2,1,1,2,0.25,1,0\n0,1,2,1,0,1,0.75,1,0\n# summary hits=3\n");
    good(open_source(&o, &es_source_route_trace, at("t.csv"), &ask_all, &err), &err);
    expect_steps(&o, "P 0.0(5 3) 0.1(4 6)\nD 0.2(1 2)\n");
    close_source(&o);
    put("t.csv", ROUTE_HEAD ROUTE_COLUMNS "\n0,0,0,1,1,6,0.3,1,0\n0,0,0,1,0,5,0.7,0,1\n0,0,0,1,1,4,0.7,0,1\n");
    expect_fault(open_source(&o, &es_source_route_trace, at("t.csv"), &ask_all, &err), &err, "t.csv: line 6: slot 1 comes where slot 2 is expected");
    close_source(&o);
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
    assert_non_null(strstr(info->provenance, "1 experts are marked dropped; they were routed and count as such"));
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
        { "", "bad.csv: line 1: \"# route_trace v1\" is expected" },
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
        cmocka_unit_test(a_csv_is_cut_where_its_last_line_feed_is_missing),
        cmocka_unit_test(a_route_trace_is_cut_where_its_last_line_feed_is_missing),
        cmocka_unit_test(a_generated_token_that_lacks_its_last_layers_is_torn),
        cmocka_unit_test(slots_of_a_layer_may_stand_in_any_order),
        cmocka_unit_test(a_torn_csv_is_no_shorter_trace),
        cmocka_unit_test(a_small_file_cannot_ask_for_any_amount_of_memory),
        cmocka_unit_test(a_route_trace_keeps_sizes_weights_and_residency),
        cmocka_unit_test(every_fault_of_a_route_trace_is_told_with_its_line),
        cmocka_unit_test(sources_know_their_files_by_the_first_bytes),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
