/* JSON formats: small files of every reader read as meant, cut anywhere, and every fault by its words and its place. */
#include "tests/support/json_formats.h"
#include "tests/support/trace_kit.h"

static es_source_ask ask_case(const json_format_case *c, bool lenient)
{
    es_source_ask ask = ask_all;
    ask.layers = c->layers;
    ask.top_k = c->top_k;
    ask.lenient = lenient;
    return ask;
}

/* Not put(): that waits for the disk. */
static void put_quick(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static es_code open_text(opened *o, const es_source *source, const char *text, const es_source_ask *ask, es_err *err)
{
    put_quick("t.json", text);
    return open_source(o, source, at("t.json"), ask, err);
}

static void every_format_is_read_as_meant(void **state)
{
    (void)state;
    for (int i = 0; i < JSON_FORMAT_CASES; i++) {
        const json_format_case *c = &json_format_cases[i];
        es_err err = { 0 };
        opened o;
        for (int ids = 0; ids < 2; ids++) {
            es_source_ask ask = ask_case(c, false);
            ask.weights = !ids;
            if (open_text(&o, c->source, c->text, &ask, &err))
                fail_msg("%s: %s", c->name, err.text);
            char *is = source_text(c->source, o.self);
            if (strcmp(is, c->steps) != 0)
                fail_msg("%s is:\n%swant:\n%s", c->name, is, c->steps);
            free(is);
            const es_trace_info *info = c->source->info(o.self);
            assert_string_equal(info->format, c->source->part.name);
            assert_int_equal(strlen(info->sha256), 64);
            assert_non_null(info->assumed);
            close_source(&o);
        }
    }
}

/* Nobody else takes a format's file for its own. */
static void every_format_knows_its_files(void **state)
{
    (void)state;
#define SOURCE(name) &es_source_##name,
    static const es_source *const all[] = { JSON_FORMATS(SOURCE) &es_source_csv, &es_source_route_trace, &es_source_native };
    for (int i = 0; i < JSON_FORMAT_CASES; i++) {
        const json_format_case *c = &json_format_cases[i];
        const es_source *surest = NULL;
        int most = 0;
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            int sure = all[k]->sniff((const unsigned char *)c->text, strlen(c->text));
            if (sure > most) {
                most = sure;
                surest = all[k];
            }
            assert_int_equal(all[k]->sniff((const unsigned char *)c->text, 0), 0);
        }
        if (surest != c->source)
            fail_msg("%s is taken for %s", c->name, surest ? surest->part.name : "nothing");
    }
}

/* The lines of `is` are the first of `want`, but that the last of them may lack rows. */
static void expect_beginning(const char *name, size_t cut, const char *is, const char *want)
{
    const char *last = is;
    for (const char *p = is; (p = strchr(p, '\n')) != NULL && p[1]; p++)
        last = p + 1;
    if (strncmp(is, want, (size_t)(last - is)) != 0)
        fail_msg("%s, cut to %zu bytes, is:\n%swant a beginning of:\n%s", name, cut, is, want);
}

/* What is read of the file as it is, which ends inside the case's text. */
static void expect_cut(const json_format_case *c, size_t cut, bool lenient)
{
    es_err err = { 0 };
    opened o;
    const es_source_ask ask = ask_case(c, lenient);
    es_code code = open_source(&o, c->source, at("t.json"), &ask, &err);
    if (code && (code != ES_EINPUT || !strstr(err.text, "t.json")))
        fail_msg("%s, cut to %zu bytes: code %d, %s", c->name, cut, (int)code, err.text);
    const bool between = c->lines && cut > 0 && (c->text[cut - 1] == '}' || c->text[cut - 1] == '\n');
    if (!code && !lenient && !between)
        fail_msg("%s, cut to %zu bytes, is read as if it were whole", c->name, cut);
    if (!code) {
        char *is = source_text(c->source, o.self);
        if (!c->any_order)
            expect_beginning(c->name, cut, is, c->steps);
        free(is);
    }
    close_source(&o);
}

/* A cut is an error, unless it lies between two records; then what is read is a beginning. Of each format's second forms: the first is
 * cut by test_traces_cut. */
static void a_file_that_is_cut_anywhere_is_never_silently_shorter(void **state)
{
    (void)state;
    for (int i = 0; i < JSON_FORMAT_CASES; i++) {
        const json_format_case *c = &json_format_cases[i];
        if (i == 0 || c->source != json_format_cases[i - 1].source)
            continue;
        size_t whole = strlen(c->text);
        put_quick("t.json", c->text);
        while (c->text[whole - 1] == '\n')
            whole--;
        while (whole-- > 0) {
            assert_int_equal(truncate(at("t.json"), (off_t)whole), 0);
            expect_cut(c, whole, false);
            expect_cut(c, whole, true);
        }
    }
}

/* --- faults --------------------------------------------------------------------------------------------------------------------- */

static void refused(const es_source *source, const char *text, const char *words)
{
    es_err err = { 0 };
    opened o;
    es_code code = open_text(&o, source, text, &ask_all, &err);
    expect_fault(code, &err, words);
    close_source(&o);
}

static void told_asked(const es_source *source, const char *text, const es_source_ask *asked, const char *words)
{
    es_err err = { 0 };
    opened o;
    const es_source_ask ask = *asked;
    good(open_text(&o, source, text, &ask, &err), &err);
    const char *assumed = source->info(o.self)->assumed;
    if (!assumed || !strstr(assumed, words))
        fail_msg("is: %s\nwant: %s", assumed, words);
    close_source(&o);
}

static void told(const es_source *source, const char *text, bool lenient, const char *words)
{
    es_source_ask ask = ask_all;
    ask.lenient = lenient;
    told_asked(source, text, &ask, words);
}

/* What is told of the case of this name. */
static void told_of(const char *name, const char *words)
{
    for (int i = 0; i < JSON_FORMAT_CASES; i++)
        if (strcmp(json_format_cases[i].name, name) == 0) {
            const es_source_ask ask = ask_case(&json_format_cases[i], false);
            told_asked(json_format_cases[i].source, json_format_cases[i].text, &ask, words);
            return;
        }
    fail_msg("there is no case %s", name);
}

#define L(layer, token, ids) "{\"layer_idx\":" #layer ",\"token_idx\":" #token ",\"selected_ids\":" ids "}\n"
#define LW(layer, token, ids, w) "{\"layer_idx\":" #layer ",\"token_idx\":" #token ",\"selected_ids\":" ids ",\"gate_weights\":" w "}\n"

static void rows_are_checked_whatever_the_format(void **state)
{
    (void)state;
    const es_source *s = &es_source_lattice;
    refused(s, L(0, 0, "[1,2]") L(1, 0, "[1]"), "t.json: line 2, column 49: lists 1 experts where line 1 lists 2");
    refused(s, L(0, 0, "[1,2]") L(1, 0, "[3,3]"), "line 2, column 51: expert 3 is listed twice");
    refused(s, L(0, 0, "[1,2]") L(1, 0, "[3,65535]"), "line 2, column 48: selected_ids[1]: found 65535, needs an expert id from 0 to 65534");
    refused(s, LW(0, 0, "[1,2]", "[0.5]"), "line 1, column 72: lists 1 weights for 2 experts");
    refused(s, LW(0, 0, "[1,2]", "[0.5,0.5]") L(1, 0, "[1,2]"), "line 2, column 51: has no weights, while the rows before it have some");
    refused(s, L(0, 0, "[1,2]") LW(1, 0, "[1,2]", "[0.5,0.5]"), "has some weights, while the rows before it have none");
    refused(s, L(0, 0, "[1]") L(1, 0, "[1]") L(0, 0, "[2]"), "request 0, token 0, layer 0 is listed twice, on line 1 and on line 3");
    refused(s, L(70000, 0, "[1]"), "layer 70000 is above 65535, the highest");
    refused(s, "{\"layer_idx\":0,\"selected_ids\":[1]}\n", "line 1, column 35: the key \"token_idx\" is missing");
    refused(s, "\n\n", "t.json: there are no rows of routing");
    refused(s, "", "t.json: there are no rows of routing");
    refused(s, L(0, 0, "[1]") L(1, 0, "[1]") L(0, 1, "[1]") L(1, 1, "[1]") L(0, 2, "[1]"), "ends inside request 0, token 2, which begins on line 5: layer 1 of it is missing");
    refused(s, L(0, 0, "[1]") L(1, 0, "[1]") L(0, 1, "[1]") L(0, 2, "[1]") L(1, 2, "[1]"),
        "t.json: 1 of 6 rows (token, layer) are missing; the first is layer 1 of request 0, token 1, a generated token in the step that begins on line 3; --lenient takes");
    told(s, L(0, 0, "[1]") L(1, 0, "[1]") L(0, 1, "[1]") L(0, 2, "[1]") L(1, 2, "[1]"), true, "1 of 6 rows (token, layer) are missing; the first is layer 1 of request 0, token 1");
    told(s, L(0, 0, "[1,2]") L(1, 0, "[1]"), true, "rows list 1 to 2 experts; the first of another length than those before is line 2");
    told(s, L(0, 0, "[1]") "{\"layer_idx\":0,\"tok", true, "the file ends inside a record, on line 2; it was left out");
    told(s, LW(0, 0, "[1,2]", "[0.5,0.25]") LW(0, 1, "[1,2]", "[0.25,0.5]"), false, "ids do not stand in order of weight (first on line 2)");
    told(s, LW(0, 0, "[1,2]", "[0.5,0.25]"), false, "the weights of a row sum to 0.75 to 0.75: they are not normalised");
    told(s, LW(0, 0, "[1,2]", "[0.75,0.25]"), false, "the weights of a row sum to 1: they are normalised over the chosen experts");
    told(s, LW(0, 0, "[1,2]", "[0.75,0.25]"), false, "ids of a row stand by falling weight");
    told(s, LW(0, 0, "[1,2]", "[0.75,0.25]") LW(0, 1, "[1,2]", "[0.75,0.25]") LW(0, 2, "[1,2]", "[0.5,0.25]"), false,
        "the first row with weights of another sum than those before is on line 3: 0.75 where the first row has 1");
    refused(s, LW(0, 0, "[1,2]", "[0.5,0.25]") LW(0, 1, "[1,2]", "[0.25,NaN]"), "line 2, column 76: gate_weights: place 1 is NaN, needs a weight");
    told(s, LW(0, 0, "[1,2]", "null"), false, "there are no weights");
    told(s, L(0.0, 0, "[1e0,2.0]") L(0, 1.0, "[3,4]"), false, "there are no weights");
    refused(s, L(0, 0, "[1]") "{\"layer_idx\":0,\"tok", "the file ends here, where the rest of a string is needed; --lenient takes what is there before");
}

static void weights_are_kept_and_a_population_may_be_given(void **state)
{
    (void)state;
    es_err err = { 0 };
    opened o;
    es_step step;
    bool more;
    es_source_ask ask = ask_all;
    ask.experts = 16;
    good(open_text(&o, &es_source_lattice, LW(0, 0, "[1,2]", "[0.75,0.25]"), &ask, &err), &err);
    assert_int_equal(o.source->info(o.self)->experts, 16);
    assert_true(o.source->info(o.self)->has_weights);
    good(o.source->next(o.self, &step, &more, &err), &err);
    assert_true(step.weights[0] == 0.75f && step.weights[1] == 0.25f);
    close_source(&o);
    ask.experts = 2;
    expect_fault(open_text(&o, &es_source_lattice, L(0, 0, "[1,2]"), &ask, &err), &err, "expert 2 is above 1, the highest");
    close_source(&o);
    ask.weights = false;
    ask.experts = 0;
    good(open_text(&o, &es_source_lattice, LW(0, 0, "[1,2]", "[0.75,0.25]"), &ask, &err), &err);
    good(o.source->next(o.self, &step, &more, &err), &err);
    assert_true(o.source->info(o.self)->has_weights && !step.weights);
    close_source(&o);
    expect_fault(open_text(&o, &es_source_lattice, LW(0, 0, "[1,2]", "[0.75]"), &ask, &err), &err, "lists 1 weights for 2 experts");
    close_source(&o);
}

static void faults_of_imp(void **state)
{
    (void)state;
    const es_source *s = &es_source_imp;
    refused(s, "[0, 3, 5]", "a list without rows needs top_k, in the file or as --top-k");
    refused(s, "{\"trace\": [0, 3, 5, 1, 2], \"top_k\": 2}", "trace: the list ends inside a row: 2 of 3 numbers");
    refused(s, "{\"top_k\": 2, \"trace\": [[0, 3]]}", "trace[0]: lists 1 experts where the file declares 2");
    refused(s, "[[0, 3], []]", "[1]: is an empty row, needs a layer and its experts");
    refused(s, "[[0, 3], [1]]", "[1]: lists 0 experts where row 1 lists 1");
    refused(s, "[[0, 70000]]", "[0][1]: expert 70000 is above 65534, the highest");
    refused(s, "[[0, 3]] 5", "more stands behind the trace");
    refused(s, "{\"top_k\": 0}", "top_k: is 0, needs 1 or more");
    refused(s, "{\"top_k\": 1}", "there are no rows of routing");
}

static void faults_of_moe_cache_lab(void **state)
{
    (void)state;
    const es_source *s = &es_source_moe_cache_lab;
    refused(s, EVENT("prompt", 0, 1, "[1,2]"), "line 1, column 107: an event comes before the metadata record");
    refused(s, LAB1 LAB1, "line 2, column 138: is a second metadata record");
    refused(s, LAB1 EVENT("source", 0, 1, "[1,2]"), "phase source does not belong to version 1");
    refused(s, LAB1 EVENT("prompt", 1, 1, "[1,2]") EVENT("prompt", 0, 1, "[1,2]"), "line 3, column 107: layer 1 of token 0 comes after layer 1 of token 1; a prompt stands layer by layer");
    refused(s, LAB1 EVENT("generated", 1, 1, "[1,2]") EVENT("generated", 1, 0, "[1,2]"), "layer 0 of token 1 comes after layer 1 of token 1; generated tokens stand one after");
    refused(s, LAB1 EVENT("generated", 1, 1, "[1,2]") EVENT("prompt", 2, 1, "[1,2]"), "phase prompt comes after phase generated");
    refused(s, LAB1 EVENT("prompt", 0, 1, "[1,8]"), "expert 8 is above 7, the highest");
    refused(s, LAB1 EVENT("prompt", 0, 1, "[1]"), "lists 1 experts where the file declares 2");
    refused(s, LAB1 EVENT("prefill", 0, 1, "[1,2]"), "phase: is \"prefill\", needs one of prompt, generated, source, decoder_prompt, decoder_generated");
    refused(s, LAB2 EVENT("prompt", 0, 1, "[1,2]"), "the key \"routing_stage\" is missing");
    refused(s, LAB2 STAGED("encoder", "decoder_prompt", 0, 1, "[1]", "assigned"), "phase decoder_prompt does not belong to the encoder");
    refused(s, LAB2 STAGED("decoder", "decoder_prompt", 0, 1, "[4]", "assigned"), "expert 4 is above 3, the highest of the decoder");
    refused(s, LAB2 STAGED("decoder", "decoder_prompt", 0, 1, "[]", "assigned"), "lists 0 experts where the file declares 1");
    refused(s, LAB2 STAGED("decoder", "decoder_prompt", 0, 1, "[1]", "unassigned"), "is unassigned, but lists 1 experts");
    refused(s, "{\"record_type\":\"metadata\",\"format\":\"moe-cache-lab.routing-jsonl\",\"format_version\":3}", "format_version: is 3; versions 1 and 2 are what is read");
}

static void faults_of_nested_files(void **state)
{
    (void)state;
    refused(&es_source_stratamoe, "{\"version\":1,\"selections\":[]}", "version: is 1; version 2 is what is read");
    refused(&es_source_stratamoe, "{\"version\":2,\"tokens\":2,\"selections\":[[[1]]]}", "selections: has 1 tokens, the file declares 2");
    refused(&es_source_stratamoe, "{\"version\":2,\"selections\":[[[1]]],\"tokens\":2}", "tokens: is 2 here and 1 before");
    refused(&es_source_stratamoe, "{\"version\":2,\"selections\":[[[1]],[[1],[2]]]}", "selections[1]: has 2 layers, others have 1");
    refused(&es_source_stratamoe, "{\"version\":2,\"selections\":[[[1]]],\"expertsPerLayer\":1}", "expert 1 occurs, but the file declares 1 experts");
    refused(&es_source_stratamoe, "{\"version\":2,\"selections\":[[[1,1]]]}", "selections[0][0]: expert 1 is listed twice");
    refused(&es_source_onnx_genai, "{\"prompts\":{\"p\":{\"prompt_len\":2,\"prefill\":[[[1]]],\"decode\":[]}}}", "prompts.p: prefill has 1 tokens, prompt_len says 2");
    refused(&es_source_onnx_genai, "{\"prompts\":{\"p\":{\"decode\":[[[1]],[[1],[2]]]}}}", "prompts.p.decode[1]: has 2 layers, needs 1");
    refused(&es_source_onnx_genai, "{\"prompts\":{\"p\":{\"prefill\":[[[1]]]}}}", "the key \"decode\" is missing");
    told(&es_source_stratamoe, "{\"version\":2,\"selections\":[[[1]],[[2]]", true, "the file is cut on line 1: the brackets that close it are missing");
    told(&es_source_stratamoe, "{\"version\":2,\"selections\":[[[1]],[[2]],", true, "the file ends inside a record, on line 1; it was left out");
    refused(&es_source_stratamoe, "{\"version\":2,\"selections\":[[[1]],[[2]]", "where a comma or ] is needed; --lenient takes what is there before");
    told(&es_source_onnx_genai, "{\"prompts\":{\"p\":{\"prefill\":[[[1]]],\"decode\":[[[1]]]\n}", true, "the file is cut on line 2: the brackets that close it are missing");
    refused(&es_source_onnx_genai, "{\"num_layers\":2}", "the key \"prompts\" is missing");
    refused(&es_source_step_lists, "[{\"0\":[[1],[2]],\"1\":[[1]]}]", "[0].1: layer 1 has 1 tokens, layer 0 has 2");
    refused(&es_source_step_lists, "[{\"a\":[[1]]}]", "[0].a: the key is \"a\", needs a layer's number");
    refused(&es_source_step_lists, "[{\"0\":[[1],2]}]", "[0].0[1]: an expert stands among lists");
    refused(&es_source_step_lists, "[{\"0\":[1,[2]]}]", "[0].0[1]: a list stands among experts");
    refused(&es_source_moelens, "{\"layers\":[{\"layer\":0,\"tokens\":[{\"top_experts\":[1]}]}]}", "layers[0].tokens[0]: the key \"token_index\" is missing");
    refused(&es_source_moelens, "{\"layers\":[{\"is_dense\":true,\"tokens\":[{\"token_index\":0,\"top_experts\":[1]}]}]}", "layer 0 is dense, but 1 tokens of it are routed");
    refused(&es_source_moelens, "{\"layers\":[{\"tokens\":[{\"token_index\":0,\"top_experts\":[1]}],\"layer\":4}]}", "layer 4 is number 0 of the list, and is named behind its tokens");
    refused(&es_source_moelens, "{\"layers\":[{\"tokens\":[{\"token_index\":0,\"top_experts\":[1]}]},{\"tokens\":[]}]}", "layer 1 has 0 tokens, the layers before it have 1");
#define LENS(layer, tokens) "{\"layer\":" #layer ",\"tokens\":[" tokens
#define LENS_TOKEN(t, ids) "{\"token_index\":" #t ",\"top_experts\":" ids "}"
    told(&es_source_moelens, "{\"layers\":[" LENS(4, LENS_TOKEN(0, "[1]") "," LENS_TOKEN(1, "[2]")) "]}," LENS(5, LENS_TOKEN(0, "[1]") ",{\"tok"), true,
        "the file ends in layer 5, number 1 of the list of request 0, with 1 of 2 tokens of it; the layers behind it are missing for all tokens of that prompt");
    told(&es_source_moelens, "{\"layers\":[" LENS(4, LENS_TOKEN(0, "[1]")) "]}," LENS(5, LENS_TOKEN(0, "[1]")) "]}", true, "the file ends behind 2 layers of request 0; whether others");
    refused(&es_source_expert_fingerprint, "{\"router_data\":[{\"token_x\":{}}]}", "router_data[0].token_x: the key is \"token_x\", needs token_ and a number");
    refused(&es_source_expert_fingerprint, "{\"router_data\":[{\"token_1\":{\"layer_0\":{}}}]}", "router_data[0].token_1.layer_0: the key \"selected_experts\" is missing");
    refused(&es_source_expert_fingerprint, "{\"full_text\":\"x\"}", "the key \"router_data\" is missing");
}

static void faults_of_routed_experts(void **state)
{
    (void)state;
    const es_source *s = &es_source_routed_experts;
    refused(s, "{\"routed_experts\":\"AQAAAA==\"}", "1 numbers without a shape: how many layers and experts per token they are of must be given as --layers and --top-k");
    refused(s, "{\"routed_experts\":\"AQAA\"}", "routed_experts: the base64 text ends inside an int32: it has 3 bytes");
    refused(s, "{\"routed_experts\":\"AQ!AAA==\"}", "character 3 of the text, with code 33, is not base64");
    refused(s, "{\"routed_experts\":\"AQ==AAA=\"}", "character 5 of the text, with code 65, is not base64");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAIAAwA=\"}",
        "the shape is of 4 numbers, there are 3");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAIAAwAEAHg=\"}",
        "routed_experts: the base64 text ends inside an int16: it has 9 bytes");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAIAAwD5/w==\"}",
        "routed_experts: number 3 of the base64 text is -7, needs an expert from 0 to 65534 (or -1)");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAIAAwAEAA==\"}",
        "routed_experts: the .npy file has 2 axes, needs three, tokens, layers and rank, of whole numbers in C order");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hhcGUnOiAoMSwgMiwgMiksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAIAAwAEAA==\"}",
        "routed_experts: the .npy file has 3 axes, needs three, tokens, layers and rank, of whole numbers in C order");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDEsIDEpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAIA/\"}",
        "of whole numbers in C order");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDAsIDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAAIA\"}",
        "routed_experts: the shape is of 0 numbers, there are 2");
    refused(s, "{\"routed_experts\":\"k05VTVBZAQB2AHsn\"}",
        "routed_experts: byte 8: the head has 128 bytes, but the file ends before");
    refused(s, "{\"routed_experts\":\"AAABAA==\"}", "number 0 of the base64 text is 65536, needs an expert from 0 to 65534 (or -1)");
    refused(s, "{\"routed_experts\":{\"data\":\"AQAAAA==\",\"shape\":[1,1,2]}}", "the shape is of 2 numbers, there are 1");
    refused(s, "{\"routed_experts\":{\"data\":\"\",\"shape\":[2,1,2],\"dtype\":\"int32\"}}", "the shape is of 4 numbers, there are 0");
    refused(s, "{\"routed_experts\":\"\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":3}}", "there are no rows of routing");
    refused(s, "{\"routed_experts\":{\"data\":\"AQAAAA==\",\"shape\":[1,1]}}", "shape has 2 numbers, needs tokens, layers and rank");
    refused(s, "{\"routed_experts\":{\"data\":\"AQAAAA==\",\"shape\":[1,1,1],\"dtype\":\"float16\"}}", "dtype: is \"float16\", needs one of int32");
    refused(s, "{\"routed_experts\":{\"data\":\"AQA=\",\"shape\":[1,1,1],\"dtype\":\"int32\"}}", "the base64 text ends inside an int32: it has 2 bytes");
    refused(s, "{\"routed_experts\":{\"data\":\"AQAAAA==\",\"shape\":[1,1,1],\"start\":4294967294},\"usage\":{\"prompt_tokens\":1}}", "1 rows from 4294967294 on are beyond the last position");
    refused(s, "{\"routed_experts\":[[[1]]],\"prompt_routed_experts\":\"AQAAAA==\",\"usage\":{\"prompt_tokens\":1}}", "1 numbers without a shape");
    refused(s, "{\"routed_experts\":[[[1,2],[3]]]}", "routed_experts[0][1]: lists 1 experts where those before it list 2");
    refused(s, "{\"routed_experts\":[[[1,2]],[[1,2],[3,4]]]}", "routed_experts[1]: has 2 layers, needs 1");
    refused(s, "{\"routed_experts\":[[[1,2]]]} {\"routed_experts\":[[[1,2],[3,4]]]}", "tokens of 2 layers with 2 experts each, after such of 1 layers with 2");
    refused(s, "{\"routed_experts\":[[[1,2]],[[3,3]]]}", "expert 3 is listed twice");
    refused(s, "{\"routed_experts\":[[[1]],[[1]],[[1]]],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}", "has 3 rows, but 1 prompt and 1 generated tokens");
    refused(s, "{\"routed_experts\":[[[1]]],\"prompt_routed_experts\":[[[1]],[[1]]],\"usage\":{\"prompt_tokens\":1}}", "prompt_routed_experts has 2 rows, but the prompt has 1 tokens");
    refused(s, "{\"choices\":[{\"text\":\"x\"}]}", "there are no rows of routing");
    told(s, "{\"routed_experts\":[[[1]]]} {\"text\":\"x\"}", false, "1 answers without routed_experts were left out");
    told(s, "{\"routed_experts\":[[[1]],[[2]]],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}", false, "1 requests have fewer rows than tokens");
    told(s, "{\"routed_experts\":[[[1]]],\"prompt_routed_experts\":[[[1]]],\"usage\":{\"prompt_tokens\":3}}", false, "1 prompts have fewer rows than tokens: their beginning was cached");
    refused(s, "{\"text\":\"x\"}\n{\"choices\":[{},{\"routed_experts\":[[[1,2],[3,4]],\n[[5,6],[7,7]]]}]}\n", "t.json: line 2: choices[1].routed_experts[1][1]: expert 7 is listed twice");
    refused(s, "{\"routed_experts\":[[[1,-1],[3,4]],[[5,6],[-1,7]]]}\n", "line 1: routed_experts[1][1]: expert 7 stands behind -1, which is no expert");
    refused(s, "{\"meta_info\":{\"routed_experts\":{\"data\":\"AQACAAMAAwA=\",\"shape\":[2,1,2],\"dtype\":\"int16\"}}}", "line 1: meta_info.routed_experts[1][0]: expert 3 is listed twice");
    es_source_ask few = ask_all;
    few.experts = 7;
    es_err err = { 0 };
    opened o;
    expect_fault(open_text(&o, s, "[{\"routed_experts\":[[[1,2],[3,7]]]}]", &few, &err), &err, "line 1: [0].routed_experts[0][1]: expert 7 is above 6, the highest");
    close_source(&o);
    good(open_text(&o, s, "{\"routed_experts\":[[[1,2],[3,-1]],[[-1,-1],[5,4.0]]]}", &ask_all, &err), &err);
    expect_steps(&o, "D 0.0(1 2;3)\nD 0.1(-;5 4)\n");
    close_source(&o);
    told_of("routed_experts of SGLang", "1 of 2 layers list one expert all over");
}

static void faults_of_logs(void **state)
{
    (void)state;
    const es_source *s = &es_source_vllm_log;
    refused(s, ROUTE(0, 5, "[1,2]") ROUTE(2, 5, "[1,2]"), "line 2, column 98: token_idx 2 of layer 5 comes where 1 or 0 is expected");
    refused(s, ROUTE(1, 5, "[1,2]"), "token_idx 1 of layer 5 comes where 0 is expected");
    refused(s, ROUTE(0, 5, "[1,1]") ROUTE(1, 5, "[3,2]"), "of the row on line 1: expert 1 is listed twice");
    refused(s, ROUTE(0, 5, "[1,0,2]"), "lists 2 weights for 3 experts");
    refused(s, ROUTE(0, 1, "[1,2]") ROUTE(1, 1, "[3,4]") ROUTE(0, 2, "[1,2]") ROUTE(0, 1, "[1,2]"), "layer 2 has 1 tokens, the layer before it in the same pass has 2");
    refused(s, "{\"type\":\"other\"}", "type: is \"other\", needs one of meta, route");
    refused(s, "{\"type\":\"route\",\"layer\":1}", "the key \"token_idx\" is missing");
    told_of("vllm_log", "5 rows of 2 passes of start-up, each of equal rows, were left out at the beginning");
    s = &es_source_megatron;
    refused(s, PASS(0, 1, 2, "[[1,2]]"), "line 1, column 117: top_indices has 1 rows, num_tokens says 2");
    refused(s, PASS(0, 1, 1, "[[1,2,3]]"), "top_indices lists 3 experts, topk says 2");
    refused(s, PASS(0, 1, 2, "[[1,2],[3]]"), "top_indices[1]: lists 1 experts where those before it list 2");
    refused(s, PASS(0, 1, 2, "[[1,2],[3,4]]") PASS(0, 2, 1, "[[1,2]]"), "layer 2 of step 0 has 1 tokens, layer 1 has 2");
    refused(s, PASS(1, 1, 1, "[[1,2]]") PASS(0, 1, 1, "[[1,2]]"), "step 0 comes after step 1");
    refused(s, PASS(0, 1, 1, "[[1,2]]") "{\"step\":0,\"layer\":2,\"rank\":1,\"top_indices\":[[1,2]]}\n", "is of rank 1, the records before are of rank 0; every rank has a file of its own");
    told_of("megatron", "1 records of multi-token prediction (mtp) were left out");
    s = &es_source_ik_llama;
    refused(s, IK(0, 1, 1, 2), "the file has no end record, so it is cut; --lenient takes what is there");
    refused(s, "{\"type\":\"end\",\"complete\":true}\n" IK(0, 1, 1, 2), "a record stands behind the end");
    refused(s, "{\"type\":\"route\",\"pos\":0,\"layer\":0,\"selected\":[{\"weight\":1}]}", "selected[0]: names no expert: the key \"expert\" is missing");
    refused(s, IK(0, 1, 1, 1) "{\"type\":\"end\"}\n", "of the row on line 1: expert 1 is listed twice");
    refused(s, "{\"type\":\"model\",\"n_expert\":4}\n" IK(0, 1, 1, 1), "n_expert: is 8 here and 4 before");
    told(s, IK(0, 1, 1, 2), true, "the end record is missing: the log is cut");
    told(s, IK(0, 1, 1, 2) "{\"type\":\"end\",\"complete\":false}\n", false, "the log says of itself that it is not complete");
    s = &es_source_moe_sim;
    refused(s, "{\"request_id\":1,\"phase\":\"decode\",\"step_id\":0,\"token_position\":0,\"layer_id\":0}", "the key \"expert_ids\" is missing");
    refused(s, "{\"request_id\":1,\"phase\":\"late\"}", "phase: is \"late\", needs one of prefill, decode, unknown");
    s = &es_source_speculative_moe;
    refused(s, "{\"problem_id\":1,\"layer\":0,\"experts\":[1,2],\"gating_probs\":[1],\"token_idx\":0}", "lists 1 weights for 2 experts");
    refused(s, "{\"problem_id\":[],\"layer\":0}", "problem_id: found [, needs a whole number");
}

static void requests_may_have_names(void **state)
{
    (void)state;
    char *text = NULL, *want = NULL;
    es_text in = { 0 }, steps = { 0 };
    for (int i = 0; i < 200; i++) {     /* more than the first table of names has room for; each is met twice */
        es_text_add(&in, "{\"request_id\":\"r-%d\",\"phase\":\"decode\",\"step_id\":%d,\"token_position\":%d,\"layer_id\":0,\"expert_ids\":[%d]}\n", i % 100 * 7, i, i, i % 5);
        es_text_add(&steps, "D %d.%d(%d)\n", i % 100, i, i % 5);
    }
    text = in.at;
    want = steps.at;
    opened o;
    es_err err = { 0 };
    good(open_text(&o, &es_source_moe_sim, text, &ask_all, &err), &err);
    expect_steps(&o, want);
    close_source(&o);
    es_text_free(&in);
    es_text_free(&steps);
    refused(&es_source_moe_sim, "{\"request_id\":\"a\",\"phase\":\"decode\",\"step_id\":0,\"token_position\":0,\"layer_id\":0,\"expert_ids\":[1]}\n{\"request_id\":1}",
        "request_id: is the number 1, while requests before it have names");
    refused(&es_source_moe_sim, "{\"request_id\":1,\"phase\":\"decode\",\"step_id\":0,\"token_position\":0,\"layer_id\":0,\"expert_ids\":[1]}\n{\"request_id\":\"a\"}",
        "request_id: is a name, \"a\", while requests before it are numbers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_read_as_meant),
        cmocka_unit_test(every_format_knows_its_files),
        cmocka_unit_test(a_file_that_is_cut_anywhere_is_never_silently_shorter),
        cmocka_unit_test(rows_are_checked_whatever_the_format),
        cmocka_unit_test(weights_are_kept_and_a_population_may_be_given),
        cmocka_unit_test(faults_of_imp),
        cmocka_unit_test(faults_of_moe_cache_lab),
        cmocka_unit_test(faults_of_nested_files),
        cmocka_unit_test(faults_of_routed_experts),
        cmocka_unit_test(faults_of_logs),
        cmocka_unit_test(requests_may_have_names),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
