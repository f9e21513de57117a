/* JSON formats: a small file of each, and what it holds, for tests that go through all of them. Every file has all that its reader
 * reads. Steps are written as trace_kit.h has them. */
#ifndef ES_TESTS_JSON_FORMATS_H
#define ES_TESTS_JSON_FORMATS_H

#include "sim/part/source.h"

#define JSON_FORMATS(X) X(lattice) X(imp) X(moe_cache_lab) X(stratamoe) X(onnx_genai) X(routed_experts) X(vllm_log) X(megatron) X(speculative_moe) \
    X(moe_sim) X(step_lists) X(moelens) X(expert_fingerprint) X(ik_llama)
#define JSON_FORMAT_DECLARE(name) extern const es_source es_source_##name;
JSON_FORMATS(JSON_FORMAT_DECLARE)

typedef struct json_format_case {
    const es_source *source;
    const char *name, *text, *steps;
    bool lines;                         /* records, so that a cut between two of them makes a shorter file */
    uint32_t layers, top_k;             /* as --layers and --top-k */
    bool any_order;                     /* a later record may add to an earlier step */
} json_format_case;

#define LAB1 "{\"record_type\":\"metadata\",\"format\":\"moe-cache-lab.routing-jsonl\",\"format_version\":1,\"model_id\":\"m\",\"num_experts\":8,\"experts_per_token\":2}\n"
#define LAB2 "{\"record_type\":\"metadata\",\"format\":\"moe-cache-lab.routing-jsonl\",\"format_version\":2,\"model_id\":\"m\",\"routing_stages\":[" \
    "{\"routing_stage\":\"encoder\",\"num_experts\":8,\"assigned_experts_per_token\":1,\"allows_unassigned\":true}," \
    "{\"routing_stage\":\"decoder\",\"num_experts\":4,\"assigned_experts_per_token\":1,\"allows_unassigned\":true}]}\n"
#define EVENT(phase, token, layer, ids) "{\"record_type\":\"routing_selection\",\"phase\":\"" phase "\",\"token_position\":" #token ",\"layer\":" #layer ",\"selected_experts\":" ids "}\n"
#define STAGED(stage, phase, token, layer, ids, state) "{\"record_type\":\"routing_selection\",\"routing_stage\":\"" stage "\",\"phase\":\"" phase "\",\"token_position\":" #token \
    ",\"layer\":" #layer ",\"assignment_state\":\"" state "\",\"selected_experts\":" ids ",\"selected_probabilities\":[]}\n"
#define ROUTE(token, layer, ids) "{\"type\":\"route\",\"req_id\":\"r0\",\"token_idx\":" #token ",\"layer\":" #layer ",\"topk_ids\":" ids ",\"topk_weights\":[0.5,0.25]}\n"
#define PASS(step, layer, tokens, ids) "{\"step\":" #step ",\"stage\":\"pre_dispatch\",\"block\":\"decoder\",\"layer\":" #layer ",\"rank\":0,\"num_tokens\":" #tokens \
    ",\"topk\":2,\"top_indices\":" ids "}\n"
#define IK(pos, layer, a, b) "{\"type\":\"route\",\"batch_index\":0,\"pos\":" #pos ",\"input_token_id\":9,\"layer\":" #layer ",\"n_expert\":8,\"selected\":[" \
    "{\"expert\":" #a ",\"selection_score\":1.5,\"weight\":0.75},{\"expert\":" #b ",\"selection_score\":0.5,\"weight\":0.25}]}\n"

/* numpy.save of [[[1,2],[3,4]],[[5,6],[7,0]],[[1,0],[2,0]]] as int16, of [[[3,0],[4,0]]] as uint8 */
#define ROUTED_NPY "k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC" \
    "AgICAgICAgICAgICAgIAoBAAIAAwAEAAUABgAHAAAAAQAAAAIAAAA="
#define ROUTED_NPY8 "k05VTVBZAQB2AHsnZGVzY3InOiAnfHUxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIsIDIpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC" \
    "AgICAgICAgICAgICAgIAoDAAQA"

static const json_format_case json_format_cases[] = {
    { &es_source_lattice, "lattice",
        "{\"layer_idx\": 1, \"token_idx\": 0, \"selected_ids\": [4, 2], \"gate_weights\": [0.75, 0.25], \"more\": {\"x\": [1]}}\n\n"
        "{\"gate_weights\": [0.5, 0.5], \"selected_ids\": [1, 0], \"token_idx\": 0, \"layer_idx\": 3}\n"
        "{\"layer_idx\": 1, \"token_idx\": 1, \"selected_ids\": [5, 6], \"gate_weights\": [0.75, 0.25]}\n"
        "{\"layer_idx\": 3, \"token_idx\": 1, \"selected_ids\": [7, 0], \"gate_weights\": [0.75, 0.25]}\n",
        "D 0.0(4 2;1 0)\nD 0.1(5 6;7 0)\n", true, 0, 0, false },
    { &es_source_lattice, "lattice, layer by layer",
        "{\"layer_idx\":1,\"token_idx\":0,\"selected_ids\":[4]}\n{\"layer_idx\":1,\"token_idx\":1,\"selected_ids\":[5]}\n"
        "{\"layer_idx\":2,\"token_idx\":0,\"selected_ids\":[6]}\n{\"layer_idx\":2,\"token_idx\":1,\"selected_ids\":[7]}\n",
        "D 0.0(4;6)\nD 0.1(5;7)\n", true, 0, 0, true },
    { &es_source_imp, "imp", "{\"top_k\": 2, \"trace\": [[0, 3, 5], [2, 1, 0], [0, 4, 5], [2, 6, 7]]}", "D 0.0(3 5;1 0)\nD 0.1(4 5;6 7)\n", false, 0, 0, false },
    { &es_source_imp, "imp, rows alone", "[[0, 3, 5], [2, 1, 0], [0, 4, 5], [2, 6, 7]]", "D 0.0(3 5;1 0)\nD 0.1(4 5;6 7)\n", false, 0, 0, false },
    { &es_source_imp, "imp, one list", "{\"entries\": [0, 3, 5, 2, 1, 0, 0, 4, 5, 2, 6, 7], \"top_k\": 2}", "D 0.0(3 5;1 0)\nD 0.1(4 5;6 7)\n", false, 0, 0, false },
    { &es_source_imp, "imp, one list alone", "[0, 3, 5, 2, 1, 0]", "D 0.0(3 5;1 0)\n", false, 0, 2, false },
    { &es_source_moe_cache_lab, "moe_cache_lab",
        LAB1 EVENT("prompt", 0, 1, "[1,2]") EVENT("prompt", 1, 1, "[3,4]") EVENT("prompt", 0, 4, "[5,6]") EVENT("prompt", 1, 4, "[7,0]") EVENT("generated", 2, 1, "[1,0]")
            EVENT("generated", 2, 4, "[2,0]") EVENT("generated", 3, 1, "[3,0]") EVENT("generated", 3, 4, "[4,0]"),
        "P 0.0(1 2;5 6) 0.1(3 4;7 0)\nD 0.2(1 0;2 0)\nD 0.3(3 0;4 0)\n", true, 0, 0, false },
    { &es_source_moe_cache_lab, "moe_cache_lab, version 2",
        LAB2 STAGED("encoder", "source", 0, 1, "[3]", "assigned") STAGED("encoder", "source", 1, 1, "[7]", "assigned") STAGED("decoder", "decoder_prompt", 0, 1, "[3]", "assigned")
            STAGED("decoder", "decoder_generated", 1, 1, "[]", "unassigned") STAGED("decoder", "decoder_generated", 2, 1, "[2]", "assigned"),
        "P 0.0(3;-) 0.1(7;-)\nP 0.2(-;3)\nD 0.3(-;-)\nD 0.4(-;2)\n", true, 0, 0, false },
    { &es_source_stratamoe, "stratamoe",
        "{\"version\": 2, \"source\": {\"kind\": \"recorded\"}, \"seed\": 1, \"tokens\": 2, \"layers\": 2, \"expertsPerLayer\": 8, \"topK\": 2, "
        "\"selections\": [[[3, 5], [1, 0]], [[4, 5], [6, 7]]], \"model\": null}\n",
        "D 0.0(3 5;1 0)\nD 0.1(4 5;6 7)\n", false, 0, 0, false },
    { &es_source_onnx_genai, "onnx_genai",
        "{\"num_layers\": 2, \"num_experts\": 8, \"top_k\": 2, \"prompts\": {\"p\": {\"prompt_len\": 2, \"prefill\": [[[1, 2], [3, 4]], [[5, 6], [7, 0]]], "
        "\"decode\": [[[1, 0], [2, 0]]]}, \"q\": {\"decode\": [[[3, 0], [4, 0]]], \"prefill\": [[[5, 0], [6, 0]]], \"prompt_len\": 1}}}",
        "P 0.0(1 2;3 4) 0.1(5 6;7 0)\nD 0.2(1 0;2 0)\nP 1.0(5 0;6 0)\nD 1.1(3 0;4 0)\n", false, 0, 0, false },
    { &es_source_routed_experts, "routed_experts of vLLM",
        "{\"id\": \"c\", \"model\": \"m\", \"choices\": [{\"text\": \"x\", \"routed_experts\": [[[1, 0], [2, 0]]]}, {\"routed_experts\": [[[3, 0], [4, 0]]]}], "
        "\"usage\": {\"prompt_tokens\": 2, \"completion_tokens\": 4}, \"prompt_routed_experts\": [[[1, 2], [3, 4]], [[5, 6], [7, 0]]]}\n"
        "{\"outputs\": [{\"routed_experts\": [[[1, 2], [3, 4]], [[5, 6], [7, 0]]]}], \"prompt_token_ids\": [150000]}\n",
        "P 0.0(1 2;3 4) 0.1(5 6;7 0)\nD 0.2(1 0;2 0)\nD 1.2(3 0;4 0)\nP 2.0(1 2;3 4)\nD 2.1(5 6;7 0)\n", true, 0, 0, false },
    { &es_source_routed_experts, "routed_experts of SGLang",       /* 0 0 0 1 2 3, 0 0 0 4 5 6: the first of two layers is dense */
        "{\"text\": \"x\", \"meta_info\": {\"routed_experts\": \"AAAAAAAAAAAAAAAAAQAAAAIAAAADAAAAAAAAAAAAAAAAAAAABAAAAAUAAAAGAAAA\", \"prompt_tokens\": 1, \"completion_tokens\": 2}}",
        "P 0.0(1 2 3)\nD 0.1(4 5 6)\n", false, 2, 0, false },
    { &es_source_routed_experts, "routed_experts of LightLLM",
        "[{\"routed_experts\": {\"data\": \"AQAAAAIAAAADAAAABAAAAA==\", \"shape\": [1, 2, 2], \"dtype\": \"int32\"}}, {\"routed_experts\": null, \"prompt_routed_experts\": null}]",
        "D 0.0(1 2;3 4)\n", false, 0, 0, false },
    { &es_source_routed_experts, "routed_experts of vLLM as .npy",  /* int16 of prompt and text; uint8 of the second choice, whose prompt was cached */
        "{\"object\": \"chat.completion\", \"choices\": [{\"routed_experts\": \"" ROUTED_NPY "\"}], \"usage\": {\"prompt_tokens\": 2, \"completion_tokens\": 2}}\n"
        "{\"choices\": [{\"routed_experts\": \"" ROUTED_NPY8 "\"}], \"usage\": {\"prompt_tokens\": 5, \"completion_tokens\": 2}}\n",
        "P 0.0(1 2;3 4) 0.1(5 6;7 0)\nD 0.2(1 0;2 0)\nD 1.5(3 0;4 0)\n", true, 0, 0, false },
    { &es_source_routed_experts, "routed_experts of Dynamo",        /* int16; the first of two prompt tokens is left out */
        "{\"choices\": [{\"routed_experts\": {\"data\": \"AQACAAMABAAFAAYABwAAAA==\", \"start\": 1, \"shape\": [2, 2, 2], \"dtype\": \"int16\"}}], "
        "\"usage\": {\"prompt_tokens\": 2, \"completion_tokens\": 2}}\n",
        "P 0.1(1 2;3 4)\nD 0.2(5 6;7 0)\n", false, 0, 0, false },
    { &es_source_vllm_log, "vllm_log",
        "{\"type\":\"meta\",\"model_id\":\"m\",\"layers_logged\":[5],\"top_k\":2,\"num_experts\":8}\n"
        ROUTE(0, 5, "[1,0]") ROUTE(1, 5, "[1,0]") ROUTE(2, 5, "[1,0]") ROUTE(0, 5, "[1,0]") ROUTE(1, 5, "[1,0]") ROUTE(0, 5, "[3,4]") ROUTE(1, 5, "[3,4]") ROUTE(2, 5, "[5,6]")
            ROUTE(0, 5, "[7,0]") ROUTE(0, 5, "[2,0]") ROUTE(0, 5, "[1,2]") ROUTE(1, 5, "[1,2]"),
        "P 0.0(3 4) 0.1(3 4) 0.2(5 6)\nD 0.3(7 0)\nD 0.4(2 0)\nP 1.0(1 2) 1.1(1 2)\n", true, 0, 0, false },
    { &es_source_vllm_log, "vllm_log, two layers",
        ROUTE(0, 1, "[3,4]") ROUTE(1, 1, "[5,6]") ROUTE(0, 2, "[1,4]") ROUTE(1, 2, "[2,6]") ROUTE(0, 1, "[7,0]") ROUTE(0, 2, "[2,0]"),
        "P 0.0(3 4;1 4) 0.1(5 6;2 6)\nD 0.2(7 0;2 0)\n", true, 0, 0, false },
    { &es_source_megatron, "megatron",
        PASS(0, 1, 2, "[[1,2],[3,4]]") "{\"step\":0,\"block\":\"mtp\",\"mtp_idx\":0,\"layer\":1,\"rank\":0,\"top_indices\":[[9,9]]}\n" PASS(0, 3, 2, "[[5,6],[7,0]]")
            PASS(1, 1, 1, "[[1,0]]") "{\"top_indices\":[[2,0]],\"layer\":3,\"step\":1,\"rank\":0}\n" PASS(1, 1, 1, "[[3,0]]") PASS(1, 3, 1, "[[4,0]]"),
        "P 0.0(1 2;5 6) 0.1(3 4;7 0)\nD 0.2(1 0;2 0)\nD 0.3(3 0;4 0)\n", true, 0, 0, false },
    { &es_source_speculative_moe, "speculative_moe",
        "{\"dataset\":\"a\",\"problem_id\":3,\"layer\":0,\"experts\":[7,0],\"gating_probs\":[0.8,0.2],\"token_idx\":0}\n"
        "{\"dataset\":\"a\",\"problem_id\":3,\"layer\":0,\"experts\":[6,1],\"gating_probs\":[0.8,0.2],\"token_idx\":1}\n"
        "{\"dataset\":\"a\",\"problem_id\":3,\"layer\":1,\"experts\":[5,2],\"gating_probs\":[0.8,0.2],\"token_idx\":0}\n"
        "{\"dataset\":\"b\",\"problem_id\":3,\"layer\":1,\"experts\":[4,3],\"gating_probs\":[0.8,0.2],\"token_idx\":0}\n",
        "D 0.0(7 0;5 2)\nD 0.1(6 1;-)\nD 1.0(-;4 3)\n", true, 0, 0, true },
    { &es_source_moe_sim, "moe_sim",
        "{\"request_id\":1,\"phase\":\"prefill\",\"step_id\":0,\"token_position\":0,\"layer_id\":0,\"expert_ids\":[0,1]}\n"
        "{\"request_id\":1,\"phase\":\"prefill\",\"step_id\":0,\"token_position\":0,\"layer_id\":1,\"expert_ids\":[0]}\n"
        "{\"request_id\":1,\"phase\":\"decode\",\"step_id\":1,\"token_position\":1,\"layer_id\":0,\"expert_ids\":[1]}\n"
        "{\"request_id\":7,\"phase\":\"unknown\",\"step_id\":1,\"token_position\":4,\"layer_id\":0,\"expert_ids\":[2,0]}\n"
        "{\"request_id\":1,\"phase\":\"decode\",\"step_id\":1,\"token_position\":1,\"layer_id\":1,\"expert_ids\":[1,2]}\n"
        "{\"request_id\":7,\"phase\":\"decode\",\"step_id\":1,\"token_position\":4,\"layer_id\":1,\"expert_ids\":[3]}\n",
        "P 1.0(0 1;0)\nD 1.1(1;1 2) 7.4(2 0;3)\n", true, 0, 0, true },
    { &es_source_step_lists, "step_lists",
        "[{\"0\": null, \"3\": [[1, 2], [3, 4]], \"4\": [[5, 6], [7, 0]]}, {\"0\": null, \"3\": [[1, 0]], \"4\": [[2, 0]]}, {\"0\": null, \"3\": [3, 0], \"4\": [4, 0]}]",
        "P 0.0(1 2;5 6) 0.1(3 4;7 0)\nD 0.2(1 0;2 0)\nD 0.3(3 0;4 0)\n", false, 0, 0, false },
    { &es_source_moelens, "moelens",
        "{\"prompt\": \"x\", \"layers\": [{\"layer\": 0, \"is_dense\": true, \"tokens\": []}, {\"layer\": 1, \"is_dense\": false, \"tokens\": ["
        "{\"token_index\": 0, \"top_experts\": [3, 5], \"top_weights\": [0.6, 0.4], \"all_probs\": [0.1, 0.2]}, {\"token_index\": 1, \"top_experts\": [1, 0], \"top_weights\": [0.6, 0.4]}]}]}",
        "P 0.0(3 5) 0.1(1 0)\n", false, 0, 0, false },
    { &es_source_expert_fingerprint, "expert_fingerprint",
        "[{\"full_text\": [\"a\"], \"router_data\": [{\"token_195\": {\"layer_0\": {\"selected_experts\": [15, 2], \"selected_probs\": [0.6, 0.4]}, "
        "\"layer_2\": {\"selected_probs\": [0.6, 0.4], \"selected_experts\": [3, 4]}}}, {\"token_196\": {\"layer_0\": {\"selected_experts\": [1, 2], \"selected_probs\": [0.5, 0.5]}, "
        "\"layer_2\": {\"selected_experts\": [5, 6], \"selected_probs\": [0.5, 0.5]}}}]}]",
        "D 0.195(15 2;3 4)\nD 0.196(1 2;5 6)\n", false, 0, 0, false },
    { &es_source_ik_llama, "ik_llama",
        "{\"type\":\"meta\",\"version\":1}\n{\"type\":\"model\",\"model\":\"m\",\"n_expert_used\":2}\n" IK(0, 1, 1, 2) IK(1, 1, 3, 4) IK(0, 2, 5, 6) IK(1, 2, 7, 0) IK(2, 1, 1, 0)
            IK(2, 2, 2, 0) IK(0, 1, 3, 0) IK(0, 2, 4, 0) "{\"type\":\"end\",\"complete\":true}\n",
        "P 0.0(1 2;5 6) 0.1(3 4;7 0)\nD 0.2(1 0;2 0)\nD 1.0(3 0;4 0)\n", true, 0, 0, false },
};

enum { JSON_FORMAT_CASES = sizeof json_format_cases / sizeof *json_format_cases };

#endif
