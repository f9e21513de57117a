/* Models: the shipped shapes and profiles are sound and say what the survey's tables say; timings compute what they promise. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/profile.h"
#include "models/shape.h"
#include "sim/base/json.h"
#include "sim/base/text.h"
#include "sim/part/timing.h"

extern const es_timing es_timing_constant, es_timing_affine, es_timing_table, es_timing_jitter;

#define MIB 1048576.0
#define GIB 1073741824.0

/* ---- helpers ---- */

static void fine(es_code code, const es_err *err)
{
    if (code != ES_OK)
        print_error("%s\n", err->text);
    assert_int_equal(code, ES_OK);
}

static void says(const es_err *err, const char *text)
{
    if (!strstr(err->text, text))
        print_error("\"%s\" does not say \"%s\"\n", err->text, text);
    assert_non_null(strstr(err->text, text));
}

static es_json *json_of(const char *text)
{
    es_json *json = NULL;
    es_err err = { 0 };
    fine(es_json_parse(&json, text, strlen(text), &err), &err);
    return json;
}

static es_json *json_file(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/models/%s/%s", ES_SOURCE_ROOT, folder, name);
    es_json *json = NULL;
    es_err err = { 0 };
    fine(es_json_load(&json, path, &err), &err);
    return json;
}

/* Calls `visit` with every *.json of models/FOLDER; returns how many there were. */
static size_t each_file(const char *folder, void (*visit)(const char *file))
{
    char path[512];
    snprintf(path, sizeof path, "%s/models/%s", ES_SOURCE_ROOT, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0) {
            visit(entry->d_name);
            count++;
        }
    }
    closedir(dir);
    return count;
}

/* ---- shapes ---- */

typedef struct row {            /* the survey's table of models; sizes as printed there, bf16 */
    const char *file;
    int64_t layers, moe_layers, experts, top_k, hidden, inter, matrices;
    double expert_mib, bank_gib, act_gib;
    es_basis basis;
} row;

static const row rows[] = {
    { "switch-base-128", 24, 12, 128, 1, 768, 3072, 2, 9.00, 13.5, 0.11, ES_BASIS_CONFIG_READ },
    { "nllb-moe-54b", 48, 12, 128, 2, 2048, 8192, 2, 64.00, 96.0, 1.50, ES_BASIS_CONFIG_READ },
    { "mixtral-8x7b", 32, 32, 8, 2, 4096, 14336, 3, 336.0, 84.0, 21.00, ES_BASIS_CONFIG_READ },
    { "mixtral-8x22b", 56, 56, 8, 2, 6144, 16384, 3, 576.0, 252.0, 63.00, ES_BASIS_KNOWN_UNVERIFIED },
    { "phi-3.5-moe", 32, 32, 16, 2, 4096, 6400, 3, 150.0, 75.0, 9.38, ES_BASIS_CONFIG_READ },
    { "grin-moe", 32, 32, 16, 2, 4096, 6400, 3, 150.0, 75.0, 9.38, ES_BASIS_CONFIG_READ },
    { "dbrx", 40, 40, 16, 4, 6144, 10752, 3, 378.0, 236.2, 59.06, ES_BASIS_KNOWN_UNVERIFIED },
    { "grok-1", 64, 64, 8, 2, 6144, 32768, 3, 1152.0, 576.0, 144.00, ES_BASIS_KNOWN_UNVERIFIED },
    { "jamba-mini", 32, 16, 16, 2, 4096, 14336, 3, 336.0, 84.0, 10.50, ES_BASIS_CONFIG_READ },
    { "jamba-1.5-large", 72, 36, 16, 2, 8192, 24576, 3, 1152.0, 648.0, 81.00, ES_BASIS_KNOWN_UNVERIFIED },
    { "olmoe-1b-7b", 16, 16, 64, 8, 2048, 1024, 3, 12.00, 12.0, 1.50, ES_BASIS_CONFIG_READ },
    { "deepseekmoe-16b", 28, 27, 64, 6, 2048, 1408, 3, 16.50, 27.8, 2.61, ES_BASIS_CONFIG_READ },
    { "deepseek-v2-lite", 27, 26, 64, 6, 2048, 1408, 3, 16.50, 26.8, 2.51, ES_BASIS_CONFIG_READ },
    { "deepseek-v2", 60, 59, 160, 6, 5120, 1536, 3, 45.00, 414.8, 15.56, ES_BASIS_KNOWN_UNVERIFIED },
    { "deepseek-v3", 61, 58, 256, 8, 7168, 2048, 3, 84.00, 1218.0, 38.06, ES_BASIS_KNOWN_UNVERIFIED },
    { "kimi-k2", 61, 60, 384, 8, 7168, 2048, 3, 84.00, 1890.0, 39.38, ES_BASIS_KNOWN_UNVERIFIED },
    { "qwen1.5-moe-a2.7b", 24, 24, 60, 4, 2048, 1408, 3, 16.50, 23.2, 1.55, ES_BASIS_CONFIG_READ },
    { "qwen2-57b-a14b", 28, 28, 64, 8, 3584, 2560, 3, 52.50, 91.9, 11.48, ES_BASIS_CONFIG_READ },
    { "qwen3-30b-a3b", 48, 48, 128, 8, 2048, 768, 3, 9.00, 54.0, 3.38, ES_BASIS_CONFIG_READ },
    { "qwen3-235b-a22b", 94, 94, 128, 8, 4096, 1536, 3, 36.00, 423.0, 26.44, ES_BASIS_KNOWN_UNVERIFIED },
    { "qwen3-next-80b-a3b", 48, 48, 512, 10, 2048, 512, 3, 6.00, 144.0, 2.81, ES_BASIS_KNOWN_UNVERIFIED },
    { "qwen3.5-35b-a3b", 40, 40, 256, 8, 2048, 512, 3, 6.00, 60.0, 1.88, ES_BASIS_PARTIAL },
    { "gemma-4-26b-a4b", 30, 30, 128, 8, 2816, 704, 3, 11.34, 42.5, 2.66, ES_BASIS_PARTIAL },
    { "qwen3.8-flash-next", 48, 48, 512, 10, 2560, 640, 3, 9.38, 225.0, 4.39, ES_BASIS_MODEL_CARD },
    { "gpt-oss-20b", 24, 24, 32, 4, 2880, 2880, 3, 47.46, 35.6, 4.45, ES_BASIS_PARTIAL },
    { "gpt-oss-120b", 36, 36, 128, 4, 2880, 2880, 3, 47.46, 213.6, 6.67, ES_BASIS_TRACE_CHECKED },
    { "llama-4-scout", 48, 48, 16, 1, 5120, 8192, 3, 240.0, 180.0, 11.25, ES_BASIS_KNOWN_UNVERIFIED },
    { "llama-4-maverick", 48, 24, 128, 1, 5120, 8192, 3, 240.0, 720.0, 5.62, ES_BASIS_KNOWN_UNVERIFIED },
    { "glm-4.5-air", 46, 45, 128, 8, 4096, 1408, 3, 33.00, 185.6, 11.60, ES_BASIS_KNOWN_UNVERIFIED },
    { "glm-4.5", 92, 89, 160, 8, 5120, 1536, 3, 45.00, 625.8, 31.29, ES_BASIS_KNOWN_UNVERIFIED },
    { "granite-3.1-3b-a800m", 32, 32, 40, 8, 1536, 512, 3, 4.50, 5.6, 1.12, ES_BASIS_CONFIG_READ },
};
#define ROWS (sizeof rows / sizeof rows[0])

static const row *row_of(const char *file)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(file) == strlen(rows[i].file) + 5 && strncmp(file, rows[i].file, strlen(rows[i].file)) == 0)
            return &rows[i];
    fail_msg("%s is not in the table of this test", file);
    return NULL;
}

static void shape_load(const char *file, es_shape *shape, es_json **json, es_arena *arena)
{
    es_err err = { 0 };
    *json = json_file("shapes", file);
    es_code code = es_shape_parse(shape, *json, NULL, arena, &err);
    if (code != ES_OK)
        es_err_at(&err, "%s", file);
    fine(code, &err);
}

/* Within half of the last printed digit; the table rounds halves either way. */
static void printed(double value, double table, double digit)
{
    if (fabs(value - table) > 0.5 * digit + 1e-9)
        print_error("%.6f is not printed as %g\n", value, table);
    assert_true(fabs(value - table) <= 0.5 * digit + 1e-9);
}

static void shape_meets_its_row(const char *file)
{
    const row *r = row_of(file);
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_shape s;
    es_json *json;
    shape_load(file, &s, &json, &arena);
    assert_int_equal(s.layers, r->layers);
    assert_int_equal(s.moe_layers, r->moe_layers);
    assert_int_equal(s.experts, r->experts);
    assert_int_equal(s.top_k, r->top_k);
    assert_int_equal(s.hidden, r->hidden);
    assert_int_equal(s.inter, r->inter);
    assert_int_equal(s.matrices, r->matrices);
    assert_int_equal(s.basis, r->basis);
    assert_non_null(s.source);
    assert_true(s.total_params > s.moe_layers * s.experts * s.params_per_expert);

    int64_t expert, bank, act;
    fine(es_shape_bytes(&s, "bf16", 0, &expert, &err), &err);
    fine(es_shape_cycle_bytes(&s, "bf16", s.experts, &bank, &err), &err);
    fine(es_shape_cycle_bytes(&s, "bf16", 0, &act, &err), &err);
    printed((double)expert / MIB, r->expert_mib, r->expert_mib < 100.0 ? 0.01 : 0.1);
    printed((double)bank / GIB, r->bank_gib, 0.1);
    printed((double)act / GIB, r->act_gib, 0.01);

    const char *const pure[] = { "8bit", "4bit", "2bit" };
    for (size_t i = 0; i < 3; i++) {
        int64_t bytes;
        fine(es_shape_bytes(&s, pure[i], s.moe_layers - 1, &bytes, &err), &err);
        assert_int_equal(bytes << (i + 1), expert);
    }
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void every_shape_file_loads_and_meets_the_table(void **state)
{
    (void)state;
    assert_int_equal(each_file("shapes", shape_meets_its_row), ROWS);
}

static void two_public_trace_headers_are_met_exactly(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_shape s;
    es_json *json;
    int64_t bytes;

    shape_load("gpt-oss-120b.json", &s, &json, &arena);
    assert_int_equal(s.params_per_expert, 24883200);
    fine(es_shape_bytes(&s, "mxfp4", 35, &bytes, &err), &err);
    assert_int_equal(bytes, 13219200);
    cJSON_Delete(json);

    shape_load("qwen3-30b-a3b.json", &s, &json, &arena);
    assert_int_equal(s.params_per_expert, 4718592);
    fine(es_shape_bytes(&s, "q4_k", 0, &bytes, &err), &err);
    assert_int_equal(bytes, 2654208);
    fine(es_shape_bytes(&s, "q4_k_m", 6, &bytes, &err), &err);
    assert_int_equal(bytes, 2654208);
    fine(es_shape_bytes(&s, "q4_k_m", 0, &bytes, &err), &err);
    assert_int_equal(bytes, 3059712);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void matrices_of_different_precision_are_known_apart(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_shape s;
    es_json *json;
    const es_shape_size *size;
    shape_load("qwen3-30b-a3b.json", &s, &json, &arena);
    fine(es_shape_size_of(&s, "q4_k_m", &size, &err), &err);
    assert_string_equal(size->matrix_name[2], "down");
    assert_int_equal(size->matrix[2 * 48 + 0], 1290240);    /* 2048 x 768 x 6.5625 / 8: Q6_K */
    assert_int_equal(size->matrix[2 * 48 + 6], 884736);     /* x 4.5 / 8: Q4_K */
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void cycle_bytes_stand_where_others_saw_the_lru_cliff(void **state)
{
    (void)state;
    static const struct {
        const char *file, *precision;
        int64_t top_k;
        double mib;
    } cliffs[] = {
        { "qwen3-30b-a3b.json", "q4_k_m", 6, 785 },
        { "gpt-oss-120b.json", "mxfp4", 2, 908 },
        { "gpt-oss-120b.json", "mxfp4", 4, 1815 },
    };
    for (size_t i = 0; i < 3; i++) {
        es_arena arena = { 0 };
        es_err err = { 0 };
        es_shape s;
        es_json *json;
        int64_t bytes;
        shape_load(cliffs[i].file, &s, &json, &arena);
        fine(es_shape_cycle_bytes(&s, cliffs[i].precision, cliffs[i].top_k, &bytes, &err), &err);
        printed((double)bytes / MIB, cliffs[i].mib, 1.0);
        cJSON_Delete(json);
        es_arena_free(&arena);
    }
}

static void an_unknown_precision_names_the_nearest(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_shape s;
    es_json *json;
    int64_t bytes;
    shape_load("qwen3-30b-a3b.json", &s, &json, &arena);
    assert_int_equal(es_shape_bytes(&s, "q4_km", 0, &bytes, &err), ES_EINPUT);
    says(&err, "Qwen3-30B-A3B has no precision \"q4_km\", did you mean \"q4_k");
    assert_int_equal(es_shape_bytes(&s, "bf16", 48, &bytes, &err), ES_EINPUT);
    says(&err, "no MoE layer 48");
    assert_int_equal(es_shape_bytes(&s, "bf16", -1, &bytes, &err), ES_EINPUT);
    assert_int_equal(es_shape_cycle_bytes(&s, "bf16", 129, &bytes, &err), ES_EINPUT);
    says(&err, "129 experts per token");
    assert_int_equal(es_shape_cycle_bytes(&s, "bf17", 0, &bytes, &err), ES_EINPUT);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

/* A sound small shape with one member replaced, which must be refused in these words. */
static void shape_refused(const char *path, const char *value, const char *words)
{
    es_json *json = json_of("{\"name\": \"toy\", \"layers\": 3, \"moe_layers\": 2, \"experts\": 4, \"top_k\": 2,"
                            " \"shared_experts\": \"1x8\", \"hidden\": 16, \"inter\": 8, \"matrices\": 3, \"params_per_expert\": 384,"
                            " \"bytes_per_expert\": {\"bf16\": 768, \"mine\": 5}}");
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_shape s;
    fine(es_shape_parse(&s, json, NULL, &arena, &err), &err);
    assert_string_equal(s.shared_experts, "1x8");
    assert_int_equal(s.basis, ES_BASIS_UNSTATED);
    fine(es_json_put(json, path, json_of(value), &err), &err);
    assert_int_equal(es_shape_parse(&s, json, NULL, &arena, &err), ES_EINPUT);
    says(&err, words);
    assert_int_equal(es_shape_parse(&s, json, NULL, &arena, NULL), ES_EINPUT);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void a_shape_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    shape_refused("params_per_expert", "385", "params_per_expert: 385 is not matrices x hidden x inter = 3 x 16 x 8 = 384");
    shape_refused("top_k", "5", "top_k: 5 is above 4");
    shape_refused("moe_layers", "4", "moe_layers: 4 is above 3");
    shape_refused("bytes_per_expert.bf16", "769", "bytes_per_expert: bf16: 769 bytes is above the 768");
    shape_refused("bytes_per_expert.bf16", "767", "767 bytes is below the 768");
    shape_refused("bytes_per_expert.q4_k", "215", "q4_k: 215 bytes is below the 216");
    shape_refused("bytes_per_expert.mine", "0", "mine: 0 is not a positive whole number of bytes");
    shape_refused("bytes_per_expert.mine", "1.5", "1.5 is not a positive whole number");
    shape_refused("bytes_per_expert.mine", "\"5\"", "mine: needs a number of bytes, found");
    shape_refused("bytes_per_expert", "{}", "no precision has a size");
    shape_refused("bytes_per_expert", "[]", "bytes_per_expert: needs an object");
    shape_refused("layer_bytes", "{\"mix\": [1, 2, 3]}", "layer_bytes: mix: has 3 numbers, the model has 2 MoE layers");
    shape_refused("layer_bytes", "{\"mix\": 3}", "mix: needs a list");
    shape_refused("layer_bytes", "{\"mix\": [1, -2]}", "mix: 1: -2 is not a positive");
    shape_refused("layer_bytes", "{\"8bit\": [384, 385]}", "8bit: 385 bytes is above the 384");
    shape_refused("layer_bytes", "{\"mine\": [1, 2]}", "mine: stands under bytes_per_expert too");
    shape_refused("matrix_bytes", "{\"mine\": {\"gate\": 1, \"up\": 1, \"down\": [3, 4]}}",
        "matrices of MoE layer 1 add up to 6 bytes, its expert has 5");
    shape_refused("matrix_bytes", "{\"mine\": {\"up\": 1, \"down\": 4}}", "names 2 matrices, an expert has 3");
    shape_refused("matrix_bytes", "{\"mine\": 5}", "matrix_bytes: mine: needs an object");
    shape_refused("matrix_bytes", "{\"mine\": {\"gate\": 1, \"up\": \"1\", \"down\": 3}}", "mine: up: needs a list");
    shape_refused("matrix_bytes", "{\"other\": {}}", "other: has no size");
    shape_refused("stages", "[{\"name\": \"encoder\", \"layers\": 2, \"moe_layers\": 2}]", "stages: they have 2 layers");
    shape_refused("stages", "[{\"name\": \"encoder\", \"layers\": 0, \"moe_layers\": 2}]", "stages.0: layers: 0 is below 1");
    shape_refused("stages", "7", "stages: needs a list");
    shape_refused("shared_experts", "true", "shared_experts: needs a number or a text");
    shape_refused("provenance", "{\"basis\": \"config_reed\"}", "provenance: basis: ");
    shape_refused("hiden", "16", "hiden");
}

static void what_the_caller_allows_is_left_to_it(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_shape s;
    const char *const allow[] = { "precision", NULL };
    es_json *json = json_file("shapes", "olmoe-1b-7b.json");
    es_json_add_text(json, "precision", "bf16");
    assert_int_equal(es_shape_parse(&s, json, NULL, &arena, &err), ES_EINPUT);
    fine(es_shape_parse(&s, json, allow, &arena, &err), &err);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

/* ---- profiles ---- */

static void profile_is_sound(const char *file)
{
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_profile p;
    es_json *json = json_file("profiles", file);
    assert_int_equal(cJSON_GetArraySize(json), 1);      /* merged into a config's root: nothing else may slip in */
    es_code code = es_profile_parse(&p, es_json_at(json, "machine"), NULL, &arena, &err);
    if (code != ES_OK)
        es_err_at(&err, "%s", file);
    fine(code, &err);
    assert_non_null(p.description);
    assert_true(p.links > 0);
    for (size_t l = 0; l < p.links; l++) {
        for (size_t i = 0; i < p.link[l].flows; i++) {
            const es_flow *flow = &p.link[l].flow[i];
            char path[128];
            const es_flow *found;
            snprintf(path, sizeof path, "%s.%s", p.link[l].name, flow->name);
            fine(es_profile_flow(&p, path, &found, &err), &err);
            assert_ptr_equal(found, flow);
            /* Nobody of this project has measured these machines. */
            assert_int_not_equal(flow->rate_origin.provenance, ES_PROVENANCE_MEASURED);
            assert_int_not_equal(flow->latency_origin.provenance, ES_PROVENANCE_MEASURED);
            assert_true(strlen(flow->rate_origin.source) > 3 && strlen(flow->latency_origin.source) > 3);
            assert_false(p.link[l].forced);
        }
    }
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void every_profile_loads_and_states_its_sources(void **state)
{
    (void)state;
    assert_true(each_file("profiles", profile_is_sound) >= 13);
}

static void a_profile_carries_rates_by_size_and_by_lanes(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_profile p;
    const es_flow *flow;
    es_json *json = json_file("profiles", "pcie5-x16.json");
    fine(es_profile_parse(&p, es_json_at(json, "machine"), NULL, &arena, &err), &err);
    fine(es_profile_flow(&p, "pcie.h2d", &flow, &err), &err);
    assert_int_equal(flow->points, 2);
    assert_int_equal(flow->point[0].bytes, 6 << 20);
    assert_true(flow->point[0].rate == 25.6e9);
    assert_int_equal(flow->latency_ns, 10000);
    assert_int_equal(flow->host_ns, 2800);
    fine(es_profile_flow(&p, "pcie.pageable", &flow, &err), &err);
    assert_true(flow->synchronous);
    assert_int_equal(es_profile_flow(&p, "pcie.d2d", &flow, &err), ES_EINPUT);
    says(&err, "no \"pcie.d2d\"; did you mean \"pcie.");
    cJSON_Delete(json);

    json = json_file("profiles", "oneplus-15r-ufs.json");
    fine(es_profile_parse(&p, es_json_at(json, "machine"), NULL, &arena, &err), &err);
    fine(es_profile_flow(&p, "ufs.read", &flow, &err), &err);
    assert_int_equal(flow->points, 4);
    assert_int_equal(flow->point[3].lanes, 32);
    assert_true(flow->point[1].rate == 2460.0 * MIB);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

static void a_rate_above_the_physics_is_refused_unless_forced(void **state)
{
    (void)state;
    es_err err = { 0 };
    fine(es_profile_check_rate("pcie4_x16", 31.5e9, false, &err), &err);
    assert_int_equal(es_profile_check_rate("pcie4_x16", 32e9, false, &err), ES_EINPUT);
    says(&err, "32GB/s is above 31.5GB/s, the most pcie4_x16 can physically carry");
    fine(es_profile_check_rate("pcie4_x16", 32e9, true, &err), &err);
    assert_int_equal(es_profile_check_rate("pcie4_x8", 16e9, false, &err), ES_EINPUT);
    assert_int_equal(es_profile_check_rate("pcie3_x4", 4e9, false, &err), ES_EINPUT);
    assert_int_equal(es_profile_check_rate("nvlink_c2c", 900e9, false, &err), ES_EINPUT);
    assert_int_equal(es_profile_check_rate("nvme_gen4_x4", 9e9, false, &err), ES_EINPUT);
    assert_int_equal(es_profile_check_rate("ufs_4", 6e9, false, &err), ES_EINPUT);
    fine(es_profile_check_rate("unified", 800e9, false, &err), &err);
    assert_int_equal(es_profile_check_rate("other", 0.0, false, &err), ES_EINPUT);
    assert_int_equal(es_profile_check_rate("other", (double)NAN, true, &err), ES_EINPUT);
    assert_int_equal(es_profile_check_rate("pcie4x16", 1e9, true, &err), ES_EINPUT);
    says(&err, "did you mean \"pcie4_x16\"?");
    double ceiling;
    fine(es_profile_ceiling("pcie5_x8", &ceiling, &err), &err);
    assert_true(ceiling == 31.5e9);
}

static void profile_refused(const char *links, const char *words)
{
    es_text text = { 0 };
    es_text_add(&text, "{\"name\": \"box\", \"links\": %s}", links);
    es_json *json = json_of(text.at);
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_profile p;
    assert_int_equal(es_profile_parse(&p, json, NULL, &arena, &err), ES_EINPUT);
    says(&err, words);
    cJSON_Delete(json);
    es_text_free(&text);
    es_arena_free(&arena);
}

#define SAID "\"provenance\": \"reported\", \"source\": \"me\""

static void a_profile_that_cannot_be_is_refused(void **state)
{
    (void)state;
    profile_refused("[]", "links: needs an object");
    profile_refused("{\"a\": {\"kind\": \"pcie4_x16\"}}", "links.a: has no flow");
    profile_refused("{\"a\": {\"kind\": \"pci4_x16\"}}",
        "links.a: kind: no kind of link is called \"pci4_x16\", did you mean \"pcie4_x16\"?");
    profile_refused("{\"a\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"32GB/s\", " SAID "}}}",
        "links.a: h2d: rate: 32GB/s is above 31.5GB/s");
    profile_refused("{\"a\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", \"source\": \"me\"}}}",
        "h2d: rate needs both a source and a provenance");
    profile_refused("{\"a\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", " SAID
                    ", \"latency\": \"1us\", \"latency_source\": \"x\"}}}",
        "latency needs both");
    profile_refused("{\"a\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", " SAID ", \"points\": 3}}}", "points: needs a list");
    profile_refused("{\"a\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", " SAID
                    ", \"points\": [{\"bytes\": \"2MiB\", \"rate\": \"1GB/s\"}, {\"bytes\": \"2MiB\", \"rate\": \"2GB/s\"}]}}}",
        "points: 1: points must ascend");
    profile_refused("{\"a\": {\"kind\": \"pcie4_x16\", \"h2d\": {\"rate\": \"1GB/s\", " SAID
                    ", \"points\": [{\"bytes\": \"2MiB\", \"rate\": \"50GB/s\"}]}}}",
        "points: 0: 50GB/s is above");
    profile_refused("{\"a\": {\"kind\": \"dram\", \"channels\": 2, \"read\": {\"rate\": \"1GB/s\", " SAID "}}}",
        "channels and mt_per_s need each other");
    profile_refused("{\"a\": {\"kind\": \"dram\", \"channels\": 2, \"mt_per_s\": 4800, \"read\": {\"rate\": \"1GB/s\", " SAID "}}}",
        "channels needs both a source");
    profile_refused("{\"a\": {\"kind\": \"dram\", \"channels\": 2, \"mt_per_s\": 4800, " SAID ", \"read\": {\"rate\": \"77GB/s\", " SAID
                    "}}}",
        "77GB/s is above 76.8GB/s");
    profile_refused("{\"a\": {\"kind\": \"ufs_4\", \"channels\": 2, \"mt_per_s\": 4800, " SAID "}}", "only dram and unified");
    profile_refused("{\"a\": {\"kind\": \"ufs_4\", \"reed\": {}}}", "links.a: ");
}

/* ---- timings ---- */

typedef struct bench {          /* one timing part with its state */
    const es_timing *timing;
    es_arena arena;
    es_json *json;
    void *self;
} bench;

static es_code bench_try(bench *b, const es_timing *timing, const char *options, uint64_t seed, es_err *err)
{
    *b = (bench){ .timing = timing, .json = json_of(options) };
    assert_int_equal(timing->part.abi, ES_ABI);
    b->self = es_arena_alloc(&b->arena, 1, timing->part.size);
    es_site site = { .arena = &b->arena, .path = "channels.pcie.timing", .seed = seed };
    es_code code = es_options_parse(timing->part.options, b->self, b->json, NULL, &b->arena, err);
    if (code == ES_OK && timing->part.init)
        code = timing->part.init(b->self, &site, err);
    return code;
}

static bench bench_new(const es_timing *timing, const char *options, uint64_t seed)
{
    bench b;
    es_err err = { 0 };
    fine(bench_try(&b, timing, options, seed, &err), &err);
    return b;
}

static void bench_free(bench *b)
{
    cJSON_Delete(b->json);
    es_arena_free(&b->arena);
}

static es_cost bench_cost(const bench *b, es_op op)
{
    return b->timing->cost(b->self, &op);
}

static void constant_takes_its_time_whatever_the_operation(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_constant, "{\"time\": \"3.4ms\"}", 1);
    es_cost cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 1 << 30, .count = 9 });
    assert_int_equal(cost.fixed, 3400000);
    assert_int_equal(cost.work, 0);
    bench_free(&b);
}

static void an_affine_copy_costs_what_the_oracle_of_the_timed_core_says(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_affine, "{\"latency\": \"10us\", \"rate\": \"25GB/s\"}", 1);
    static const struct { int64_t bytes, work; } cases[] = {    /* floor(bytes * 1e9 / 25e9 + 0.5) */
        { 0, 0 }, { 12, 0 }, { 13, 1 }, { 37, 1 }, { 38, 2 }, { 25, 1 },
        { 2654208, 106168 }, { 3059712, 122388 }, { 13219200, 528768 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        es_cost cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = cases[i].bytes, .count = 1 });
        assert_int_equal(cost.fixed, 10000);
        assert_int_equal(cost.work, cases[i].work);
    }
    bench_free(&b);
}

static void affine_terms_add_up_and_are_rounded_apart(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_affine,
        "{\"latency\": \"20us\", \"per_object\": \"3ns\", \"per_token\": \"7ns\", \"per_context\": 0.25, \"rate\": \"2GB/s\"}", 1);
    es_cost cost = bench_cost(&b, (es_op){ .kind = ES_OP_DENSE, .bytes = 3, .count = 4, .tokens = 5, .context = 6 });
    assert_int_equal(cost.fixed, 20012);
    assert_int_equal(cost.work, 2 + 35 + 8);        /* 1.5 and 7.5 round up each: 45, not 44 */
    bench_free(&b);

    b = bench_new(&es_timing_affine, "{}", 1);
    cost = bench_cost(&b, (es_op){ .kind = ES_OP_EXPERT, .bytes = INT64_MAX, .count = UINT32_MAX, .tokens = UINT32_MAX });
    assert_int_equal(cost.fixed, 0);
    assert_int_equal(cost.work, 0);
    bench_free(&b);

    b = bench_new(&es_timing_affine, "{\"rate\": \"1B/s\", \"per_token\": \"0.9s\"}", 1);
    cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = INT64_MAX, .count = 1, .tokens = UINT32_MAX });
    assert_true(cost.work > 0);                     /* bounded, not wrapped */
    bench_free(&b);
}

static es_time table_ns(const bench *b, int64_t bytes, uint32_t count, uint32_t tokens)
{
    es_cost cost = bench_cost(b, (es_op){ .kind = ES_OP_COPY, .bytes = bytes, .count = count, .tokens = tokens });
    return cost.fixed + cost.work;
}

static void a_table_is_exact_at_its_points_and_a_power_law_between(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_table,
        "{\"latency\": \"3us\", \"points\": [{\"bytes\": \"1000B\", \"time\": \"10us\"}, {\"bytes\": \"4000B\", \"time\": \"20us\"},"
        " {\"bytes\": \"16000B\", \"time\": \"80us\"}]}", 1);
    assert_int_equal(table_ns(&b, 1000, 1, 0), 10000);
    assert_int_equal(table_ns(&b, 4000, 1, 0), 20000);
    assert_int_equal(table_ns(&b, 16000, 1, 0), 80000);
    assert_int_equal(table_ns(&b, 2000, 1, 0), 14142);      /* slope 1/2: 10000 * sqrt 2 */
    assert_int_equal(table_ns(&b, 8000, 1, 0), 40000);      /* slope 1 */
    assert_int_equal(table_ns(&b, 250, 1, 0), 5000);        /* the first slope goes on */
    assert_int_equal(table_ns(&b, 160000, 1, 0), 800000);   /* and the last */
    assert_int_equal(table_ns(&b, 0, 1, 0), 0);
    assert_int_equal(table_ns(&b, 40000, 10, 0), 200000);   /* ten copies of 4000 bytes */
    es_cost cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 1000, .count = 1 });
    assert_int_equal(cost.fixed, 3000);
    assert_int_equal(cost.work, 7000);
    cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 40, .count = 1 });
    assert_int_equal(cost.fixed, 2000);                     /* never more than the whole */
    assert_int_equal(cost.work, 0);
    bench_free(&b);
}

static void a_table_interpolates_over_batches(void **state)
{
    (void)state;
    /* Four objects at once take twice as long as one, sixteen eight times. */
    bench b = bench_new(&es_timing_table,
        "{\"points\": [{\"count\": 1, \"bytes\": \"1000B\", \"time\": \"1us\"}, {\"count\": 1, \"bytes\": \"2000B\", \"time\": \"2us\"},"
        " {\"count\": 4, \"bytes\": \"1000B\", \"time\": \"2us\"}, {\"count\": 16, \"bytes\": \"1000B\", \"time\": \"8us\"}]}", 1);
    assert_int_equal(table_ns(&b, 4000, 4, 0), 2000);
    assert_int_equal(table_ns(&b, 16000, 16, 0), 8000);
    assert_int_equal(table_ns(&b, 8000, 8, 0), 4000);
    assert_int_equal(table_ns(&b, 2000, 2, 0), 1414);
    assert_int_equal(table_ns(&b, 64000, 64, 0), 32000);
    assert_int_equal(table_ns(&b, 8000, 4, 0), 4000);       /* 2000 bytes each: the lone point of that curve gives the rate */
    bench_free(&b);
}

static void a_table_may_run_over_tokens_or_rates(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_table, "{\"points\": [{\"tokens\": 1, \"time\": \"5us\"}, {\"tokens\": 16, \"time\": \"5us\"},"
                                          " {\"tokens\": 32, \"time\": \"10us\"}]}", 1);
    assert_int_equal(table_ns(&b, 99, 1, 1), 5000);
    assert_int_equal(table_ns(&b, 99, 1, 7), 5000);
    assert_int_equal(table_ns(&b, 99, 1, 24), 7500);
    assert_int_equal(table_ns(&b, 99, 1, 64), 20000);
    bench_free(&b);
    b = bench_new(&es_timing_table, "{\"points\": [{\"tokens\": 4, \"time\": \"5us\"}]}", 1);
    assert_int_equal(table_ns(&b, 99, 3, 400), 5000);
    bench_free(&b);
    b = bench_new(&es_timing_table,
        "{\"points\": [{\"bytes\": \"6MiB\", \"rate\": \"25.6GB/s\"}, {\"bytes\": \"64MiB\", \"rate\": \"50.6GB/s\"}]}", 1);
    assert_int_equal(table_ns(&b, 6 << 20, 1, 0), 245760);
    assert_int_equal(table_ns(&b, 64 << 20, 1, 0), 1326262);
    bench_free(&b);
}

static void more_is_never_faster_outside_a_table(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_table,
        "{\"points\": [{\"bytes\": \"1000B\", \"time\": \"20us\"}, {\"bytes\": \"2000B\", \"time\": \"10us\"}]}", 1);
    assert_int_equal(table_ns(&b, 500, 1, 0), 20000);
    assert_int_equal(table_ns(&b, 1000, 1, 0), 20000);
    assert_int_equal(table_ns(&b, 2000, 1, 0), 10000);
    assert_int_equal(table_ns(&b, 4000000, 1, 0), 10000);
    bench_free(&b);
}

static void a_table_that_is_not_one_is_refused(void **state)
{
    (void)state;
    static const struct { const char *points, *words; } cases[] = {
        { "3", "points: needs a list" },
        { "[]", "points: needs a list of at least one point, found an empty one" },
        { "[{\"bytes\": \"1B\"}]", "points.0: needs either a time or a rate" },
        { "[{\"bytes\": \"1B\", \"time\": \"1us\", \"rate\": \"1B/s\"}]", "points.0: needs either" },
        { "[{\"rate\": \"1B/s\"}]", "a rate needs bytes" },
        { "[{\"bytes\": \"2B\", \"time\": \"1us\"}, {\"bytes\": \"2B\", \"time\": \"1us\"}]", "points.1: points must ascend by count" },
        { "[{\"tokens\": 2, \"time\": \"1us\"}, {\"tokens\": 1, \"time\": \"1us\"}]", "points must ascend by tokens" },
        { "[{\"tokens\": 2, \"count\": 2, \"time\": \"1us\"}]", "both count and tokens" },
        { "[{\"bytes\": \"2B\", \"time\": \"1us\"}, {\"time\": \"1us\"}]", "have bytes" },
        { "[{\"count\": 2, \"time\": \"1us\"}, {\"tokens\": 3, \"time\": \"1us\"}]", "have tokens" },
        { "[{\"bytes\": \"2B\", \"time\": \"-1us\"}]", "points.0: time: " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        es_text text = { 0 };
        es_err err = { 0 };
        bench b;
        es_text_add(&text, "{\"points\": %s}", cases[i].points);
        assert_int_equal(bench_try(&b, &es_timing_table, text.at, 1, &err), ES_EINPUT);
        says(&err, cases[i].words);
        bench_free(&b);
        es_text_free(&text);
    }
}

/* Mean and coefficient of variation of many draws of a 1 ms operation. */
static void jitter_moments(const char *options, double *mean, double *cv)
{
    enum { DRAWS = 40000 };
    bench b = bench_new(&es_timing_jitter, options, 7);
    double sum = 0.0, squares = 0.0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double ns = (double)bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 1000000, .count = 1, .step = i, .object = i % 128 }).work;
        sum += ns;
        squares += ns * ns;
    }
    bench_free(&b);
    *mean = sum / DRAWS;
    *cv = sqrt(squares / DRAWS - *mean * *mean) / *mean;
}

static void jitter_keeps_the_mean_and_has_the_variation_asked_for(void **state)
{
    (void)state;
    static const char *const kinds[] = { "lognormal", "gamma" };
    static const double cvs[] = { 0.05, 0.3, 1.5 };
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < 3; i++) {
            es_text text = { 0 };
            double mean, cv;
            es_text_add(&text, "{\"rate\": \"1GB/s\", \"distribution\": \"%s\", \"cv\": %g}", kinds[k], cvs[i]);
            jitter_moments(text.at, &mean, &cv);
            /* Five standard errors of the mean; the spread of the lognormal's tail converges slowly. */
            assert_true(fabs(mean / 1e6 - 1.0) < 5.0 * cvs[i] / 200.0);
            assert_true(fabs(cv / cvs[i] - 1.0) < (cvs[i] > 1.0 ? 0.25 : 0.03));
            es_text_free(&text);
        }
    }
}

static void jitter_depends_on_seed_and_coordinates_only(void **state)
{
    (void)state;
    const char *options = "{\"latency\": \"1ms\", \"rate\": \"1GB/s\", \"cv\": 0.2}";
    bench one = bench_new(&es_timing_jitter, options, 7), same = bench_new(&es_timing_jitter, options, 7);
    bench other = bench_new(&es_timing_jitter, options, 8);
    es_op op = { .kind = ES_OP_COPY, .bytes = 1000000, .count = 1, .step = 3, .object = 5, .occurrence = 0 }, next = op;
    next.occurrence = 1;
    es_cost a = bench_cost(&one, op);
    bench_cost(&one, next);
    es_cost again = bench_cost(&one, op);
    assert_int_equal(a.work, again.work);                           /* there is no state to advance */
    assert_int_equal(a.fixed, a.work);                              /* one factor for the operation */
    assert_int_equal(bench_cost(&same, op).work, a.work);
    assert_int_not_equal(bench_cost(&one, next).work, a.work);
    assert_int_not_equal(bench_cost(&other, op).work, a.work);
    bench_free(&one);
    bench_free(&same);
    bench_free(&other);
}

static void jitter_of_no_variation_is_the_affine_cost(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_jitter, "{\"latency\": \"10us\", \"rate\": \"25GB/s\", \"cv\": 0}", 1);
    es_cost cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 3059712, .count = 1 });
    assert_int_equal(cost.fixed, 10000);
    assert_int_equal(cost.work, 122388);
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_file_loads_and_meets_the_table),
        cmocka_unit_test(two_public_trace_headers_are_met_exactly),
        cmocka_unit_test(matrices_of_different_precision_are_known_apart),
        cmocka_unit_test(cycle_bytes_stand_where_others_saw_the_lru_cliff),
        cmocka_unit_test(an_unknown_precision_names_the_nearest),
        cmocka_unit_test(a_shape_that_contradicts_itself_is_refused),
        cmocka_unit_test(what_the_caller_allows_is_left_to_it),
        cmocka_unit_test(every_profile_loads_and_states_its_sources),
        cmocka_unit_test(a_profile_carries_rates_by_size_and_by_lanes),
        cmocka_unit_test(a_rate_above_the_physics_is_refused_unless_forced),
        cmocka_unit_test(a_profile_that_cannot_be_is_refused),
        cmocka_unit_test(constant_takes_its_time_whatever_the_operation),
        cmocka_unit_test(an_affine_copy_costs_what_the_oracle_of_the_timed_core_says),
        cmocka_unit_test(affine_terms_add_up_and_are_rounded_apart),
        cmocka_unit_test(a_table_is_exact_at_its_points_and_a_power_law_between),
        cmocka_unit_test(a_table_interpolates_over_batches),
        cmocka_unit_test(a_table_may_run_over_tokens_or_rates),
        cmocka_unit_test(more_is_never_faster_outside_a_table),
        cmocka_unit_test(a_table_that_is_not_one_is_refused),
        cmocka_unit_test(jitter_keeps_the_mean_and_has_the_variation_asked_for),
        cmocka_unit_test(jitter_depends_on_seed_and_coordinates_only),
        cmocka_unit_test(jitter_of_no_variation_is_the_affine_cost),
    };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
