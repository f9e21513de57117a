/* The text logs of engines: what they are read as, and what is wrong with them, by place. */
#include "sim/part/registry.h"
#include "tests/support/trace_kit.h"

static const es_source *source_of(const char *name)
{
    const es_part *part = NULL;
    assert_int_equal(es_part_find(ES_KIND_SOURCE, name, &part, NULL), ES_OK);
    return (const es_source *)part;
}

static es_text read_steps(opened *o)
{
    es_text text = { 0 };
    es_err err = { 0 };
    for (bool more = true; more;) {
        es_step step;
        good(o->source->next(o->self, &step, &more, &err), &err);
        if (more)
            step_text(&text, o->source->info(o->self), &step);
    }
    return text;
}

/* What a log is read as, and a sentence that it says of itself. */
static void reads(const char *format, const char *log, uint32_t top_k, const char *steps, const char *assumed)
{
    const es_source *source = source_of(format);
    const es_source_ask ask = { .weights = true, .top_k = top_k };
    put("log.txt", log);
    opened o = open_good(source, "log.txt", &ask);
    es_text text = read_steps(&o);
    assert_string_equal(text.at, steps);
    const char *said = source->info(o.self)->assumed;
    if (!said || !strstr(said, assumed))
        fail_msg("assumed: %s\n  want: %s", said ? said : "nothing", assumed);
    es_text_free(&text);
    close_source(&o);
}

static void refuses(const char *format, const char *log, uint32_t top_k, const char *part)
{
    opened o;
    es_err err = { 0 };
    const es_source_ask ask = { .weights = true, .top_k = top_k };
    put("log.txt", log);
    expect_fault(open_source(&o, source_of(format), at("log.txt"), &ask, &err), &err, part);
    close_source(&o);
}

static void colibri_has_calls(void **state)
{
    (void)state;
    reads("colibri", "0 0 1 5:0.75 2:0.25\n0 1 1 3:1\n1 0 4 0:0.5 1:0.5\n1 1 4 7:1\n2 0 1 3:1\n3 0 4 3:1\n4 0 1 1:1\n4 1 1 2:1\n5 0 4 1:1\n5 1 4 2:1\n", 0,
        "P 0.0(5 2;0 1) 0.1(3;7)\nD 0.2(3;3)\nP 1.0(1;1) 1.1(2;2)\n", "rows list 1 to 2 experts; the first of another length than those before is line 2 (request 0, token 1, layer 1) with 1");
    reads("colibri", "0 0 0 5:0.25 2:0.25\n1 0 0 1:0.125 3:0.5\n", 0, "D 0.0(5 2)\nD 0.1(1 3)\n", "weights of a row sum to 0.5 to 0.625, as the engine wrote them");
    reads("colibri", "0 0 0 5:0.25 2:0.25\n1 0 0 1:0.125 3:0.5\n", 0, "D 0.0(5 2)\nD 0.1(1 3)\n", "ids of 1 rows do not stand by falling weight; the first is line 2 (request 0, token 1, layer 0)");
    refuses("colibri", "0 0 1 5:0.5\n0 1 1 5\n", 0, "log.txt: line 2: expert 1 of the line is \"5\", not id:weight");
    refuses("colibri", "0 0 1 5:0.5\n0 0 1 6:0.5\n", 0, "line 2: pos 0 of call 0 comes after pos 0");
    refuses("colibri", "0 0 1 5:0.5\n0 1 2 6:0.5\n", 0, "line 2: call 0 is of layer 2, but was of layer 1 before");
    refuses("colibri", "1 0 1 5:0.5\n0 0 1 6:0.5\n", 0, "line 2: call 0 comes after call 1");
    refuses("colibri", "0 0 1 5:0.5 5:0.25\n", 0, "expert 5 is listed twice");
    refuses("colibri", "0 0 1\n", 0, "line 1: lists no expert");
    refuses("colibri", "0 0 1 5:0.5 6:0.5\n1 0 1 5:0.5 6:nan\n", 0, "line 2: expert 2 of the line has the weight NaN");
    reads("colibri", "0 0 1 5:0.5 6:0.5\n1 0 1 5:0.5 6:0.5\n2 0 1 5:0.5 6:0.25\n", 0, "D 0.0(5 6)\nD 0.1(5 6)\nD 0.2(5 6)\n",
        "the first row with weights of another sum than those before is on line 3: 0.75 where the first row has 1");
}

static void nntrainer_ranks_more_than_are_used(void **state)
{
    (void)state;
    reads("nntrainer", "0 2 | 4 1 3 | 4 1 9 1 3 8\n0 1 | 7 6 | 7 6 5\n", 0, "P 0.0(4 1) 0.1(1 3)\nD 0.2(7 6)\n", "3 ids are ranked for each token, of which the first 2 are used");
    refuses("nntrainer", "0 1 | 7 6 | 7 6\n0 1 | 7 6 | 7 5\n", 0, "line 2: uses 2 distinct ids, which are not the first 2 of each token");
    refuses("nntrainer", "0 1 | 7 6 | 8 6\n", 0, "line 1: uses 2 distinct ids, which are not the first of its tokens for any number of them");
    refuses("nntrainer", "0 2 | 7 6 | 7 6 5\n", 0, "line 1: ranks 3 ids for 2 tokens");
    refuses("nntrainer", "0 1 | 7 6 | 7 6\n0 1 | 7 6 | 7 6 5\n", 0, "line 2: ranks 3 ids for each token, the lines before 2");
}

static void llama_cpp_computes_its_last_layer_for_outputs_only(void **state)
{
    (void)state;
    reads("llama_trace", "0,1\n0,2\n0,3\n0,4\n5,7\n5,8\n0,1\n0,3\n5,7\n5,9\n", 2, "P 0.0(1 2;-) 0.1(3 4;7 8)\nD 0.2(1 3;7 9)\n", "have its last tokens");
    refuses("llama_trace", "0,1\n0,2\n", 0, "log.txt: llama_trace does not say where a token ends; --top-k K says");
    refuses("llama_trace", "0,1\n0,2\n0,3\n1,4\n", 2, "line 4: begins layer 1 where expert 2 of 2 of a token of layer 0 is expected (its first is line 3)");
    refuses("llama_trace", "0,1\n0,1\n", 2, "expert 1 is listed twice");
    reads("okuvshynov", "layer_id,expert_ids\n3,52 40\n3,32 11\n4,7 8\n3,5 6\n4,5 6\n", 0, "P 0.0(52 40;-) 0.1(32 11;7 8)\nD 0.2(5 6;5 6)\n", "have its last tokens");
    refuses("okuvshynov", "layer_id,expert_ids\n3,52 x\n", 0, "line 2: an expert is \"x\", not a whole number below 65535");
    reads("kimi_linear", "prefill,2,1,0,4,0\nprefill,2,1,1,5,0\nprefill,2,2,0,5,3\ndecode,1,1,0,5,2\ndecode,1,2,0,1,2\n", 0, "P 0.0(4 0;-) 0.1(5 0;5 3)\nD 0.2(5 2;1 2)\n", "have its last tokens");
    reads("kimi_linear", "decode,1,1,0,5,2\ndecode,1,1,0,6,2\n", 0, "D 0.0(5 2)\nD 0.1(6 2)\n", "every token is a generated one of request 0");
    reads("kimi_linear", "decode,1,1.0,0,5.0,2e0\n", 0, "D 0.0(5 2)\n", "every token is a generated one");
    refuses("kimi_linear", "decode,1,1,0,5.5,2\n", 0, "line 1: an expert is \"5.5\", not a whole number below 65535");
    refuses("kimi_linear", "decode,1,1,1,5,2\n", 0, "line 1: token_idx 1 is not below n_tokens 1");
    refuses("kimi_linear", "decode,1,1,0,5,2\ndecode,1,2,0,5\n", 0, "line 2: lists 1 experts, not as many as the rows before");
    refuses("kimi_linear", "other,1,1,0,5,2\n", 0, "line 1: phase is \"other\", not prefill or decode");
}

static void moepager_has_columns_in_any_order(void **state)
{
    (void)state;
    reads("moepager", "t_ns,expert,layer,token\n9,1,0,0\n9,2,0,0\n9,3,0,1\n9,4,0,1\n9,5,1,0\n9,6,1,0\n9,7,1,1\n9,8,1,1\n", 0, "D 0.0(1 2;5 6)\nD 0.1(3 4;7 8)\n",
        "the log does not say which tokens are the prompt");
    refuses("moepager", "token,layer,expert\n0,0,1\n1,0,2\n2,0,3\n0,1,1\n1,1,2\n", 0, "log.txt: ends on line 6 in layer 1, which 1 of 3 tokens lack; --lenient takes them as missing");
    reads("moepager", "token,layer,expert\n0,0,1\n1,0,2\n0,1,1\n1,1,2\n1,2,5\n", 0, "D 0.0(1;1;-)\nD 0.1(2;2;5)\n", "1 of 6 rows (token, layer) are missing");
    refuses("moepager", "token,layer,expert\n0,0,1\n0,1,1\n1,0,2\n1,1,3\n2,0,3\n", 0, "ends inside request 0, token 2, which begins on line 6: layer 1 of it is missing");
    refuses("moepager", "token,layer,expert\n0,0\n", 0, "line 2: has fewer fields than the header, which has 3");
    refuses("moepager", "phase,token,layer,rank,expert\ndecode,0,0,1,5\n", 0, "line 2: rank is 1 where 0 is expected");
    refuses("moepager", "token,layer,expert\n0,0,1\n1,0,1\n0,0,2\n", 0, "request 0, token 0, layer 0 is listed twice, on line 2 and on line 4");
}

static void moe_beyond_has_texts(void **state)
{
    (void)state;
    reads("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,\"a \"\"q\"\", b\nc\n\nd\",\"[8, 2]\"\n1,0,x,\"[3, 4]\"\n1,1,y,\"[5, 6]\"\n7,0,\"\"\"\",\"[1, 0]\"\n7,0,x,\"[2, 3]\"\n7,1,y,\"[0, 1]\"\n", 0,
        "P 0.0(8 2;1 0) 0.1(3 4;2 3) 1.0(5 6;0 1)\n", "the text of tokens was left out");
    refuses("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,a,[8]\n1,0,b,[9]\n2,0,a,[8]\n2,0,b,[9]\n3,0,a,[8]\n", 0,
        "ends in layer 3 with 1 of 2 tokens; --lenient takes the others as missing");
    refuses("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,a,[8]\n2,0,a,[8]\n1,0,a,[8]\n", 0, "ends behind layer 1 of a pass; those before go on to layer 2; --lenient takes");
    reads("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,a,[8]\n2,0,a,[8]\n", 0, "P 0.0(8;8)\n", "nothing says whether layers stood behind layer 2: --layers N refuses another number");
    refuses("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,a,\"[8, 2\"\n", 0, "line 2: an expert is");
    refuses("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,a\n", 0, "line 2: lacks the ids");
    refuses("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,1,a,[8]\n1,0,a,[8]\n", 0, "line 3: batch 0 comes after batch 1 in layer 1");
    refuses("moe_beyond", "Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,a,[8]\n1,0,\"a,[8]\n", 0, "line 3: the file ends inside the text of a token that begins on line 3");
}

static void lark_has_slices(void **state)
{
    (void)state;
#define SLICE(expert, block, matrix) "1,9,0x0," #expert ",blk." #block ".ffn_" #matrix "_exps.weight\n"
    static const char log[] = "seq,expert_bytes,tensor_base,expert_idx,tensor\n" SLICE(4, 3, up) SLICE(2, 3, up) SLICE(7, 3, up) SLICE(4, 3, gate) SLICE(2, 3, down) SLICE(1, 5, up) SLICE(0, 5, up)
        SLICE(2, 3, up) SLICE(4, 3, up) SLICE(1, 5, up) SLICE(6, 5, up);
    reads("lark", log, 2, "P 0.0(4 2 7;1 0)\nD 0.1(2 4;1 6)\n", "a forward pass is read as one token");
    reads("lark", log, 0, "D 0.0(4 2 7;1 0)\nD 0.1(2 4;1 6)\n", "with --top-k those with longer rows are prompts");
    opened o = open_good(source_of("lark"), "log.txt", &ask_ids);
    assert_int_equal(source_of("lark")->info(o.self)->expert_bytes[0], 27);
    assert_int_equal(source_of("lark")->info(o.self)->expert_bytes[1], 9);
    close_source(&o);
    refuses("lark", "tensor,expert_idx,expert_bytes\nblk.3.attn.weight,4,9\n", 0, "line 2: tensor is \"blk.3.attn.weight\", not blk.N.ffn_");
    refuses("lark", "tensor,expert_idx,expert_bytes\nblk.3.ffn_up_exps.weight,4,9\nblk.3.ffn_up_exps.weight,5,8\n", 0, "line 3: expert_bytes is 8, but 9 for the same tensor before");
}

static void json_lines_say_all(void **state)
{
    (void)state;
#define HEAD "{\"expertsim\":\"trace\",\"version\":1,\"layers\":[2],\"experts\":4,\"top_k\":2,\"guesses\":0}\n"
#define ROW(token, ids, rest) "{\"step\":0,\"request\":3,\"token\":" #token ",\"phase\":\"P\",\"layer\":2,\"experts\":" ids rest "}\n"
    refuses("jsonl", HEAD ROW(0, "[0,1]", ",\"weights\":[1]"), 0, "line 2: weights has 1 entries for 2 ids");
    refuses("jsonl", HEAD ROW(0, "[0,1]", ",\"weights\":[1,2]") ROW(1, "[0,1]", ""), 0, "line 3: weights are missing, unlike the rows before");
    refuses("jsonl", HEAD ROW(0, "[0,4]", ""), 0, "line 2: expert 4 is above 3, the highest");
    refuses("jsonl", HEAD ROW(0, "[0,1,2]", ""), 0, "line 2: lists 3 experts, more than 2");
    refuses("jsonl", HEAD ROW(0.5, "[0]", ""), 0, "line 2: token is a number, needs a whole number");
    refuses("jsonl", HEAD "[1]\n", 0, "line 2: is a list, needs an object");
    refuses("jsonl", HEAD "{\"step\":0,\n", 0, "line 2: ");
    refuses("jsonl", "{\"expertsim\":\"trace\",\"version\":2}\n", 0, "line 1: version is 2, not 1");
    refuses("jsonl", "{\"expertsim\":\"trace\",\"version\":1,\"layers\":[1,2],\"experts\":4,\"top_k\":2,\"guesses\":0}\n" ROW(0, "[0,1]", ""), 0, "has rows of 1 layers that are not the 2 of its first line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colibri_has_calls),
        cmocka_unit_test(nntrainer_ranks_more_than_are_used),
        cmocka_unit_test(llama_cpp_computes_its_last_layer_for_outputs_only),
        cmocka_unit_test(moepager_has_columns_in_any_order),
        cmocka_unit_test(moe_beyond_has_texts),
        cmocka_unit_test(lark_has_slices),
        cmocka_unit_test(json_lines_say_all),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
