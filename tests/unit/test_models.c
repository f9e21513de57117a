/* Models: the shipped shapes and profiles are sound and say what the survey's tables say. */
#include <unistd.h>

#include "tests/support/models_kit.h"

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

/* What this project measured itself has its samples beside it, and says when, where and by which command. */
static bool profile_is_measured(const char *file, const es_json *machine)
{
    static const char *const told[] = {"environment.date", "environment.command", "environment.kernel", "environment.calibrated_on.trace"};
    char path[512];
    if (!cJSON_GetObjectItemCaseSensitive(machine, "schema"))
        return false;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        assert_true(cJSON_IsString(es_json_at(machine, told[i])));
    snprintf(path, sizeof path, "%s/models/profiles/%.*s.h5", ES_SOURCE_ROOT, (int)(strlen(file) - 5), file);
    assert_int_equal(access(path, R_OK), 0);
    return true;
}

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
    bool measured = profile_is_measured(file, es_json_at(json, "machine"));
    for (size_t l = 0; l < p.links; l++) {
        for (size_t i = 0; i < p.link[l].flows; i++) {
            const es_flow *flow = &p.link[l].flow[i];
            char path[128];
            const es_flow *found;
            snprintf(path, sizeof path, "%s.%s", p.link[l].name, flow->name);
            fine(es_profile_flow(&p, path, &found, &err), &err);
            assert_ptr_equal(found, flow);
            assert_int_equal(flow->rate_origin.provenance == ES_PROVENANCE_MEASURED, measured);
            assert_int_equal(flow->latency_origin.provenance == ES_PROVENANCE_MEASURED, measured);
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
    assert_true(each_file("profiles", profile_is_sound) >= 16);
}

/* Its points are rates, the studies give times: bytes over rate is the time again. */
static void the_profile_of_the_two_studies_gives_their_times(void **state)
{
    static const struct { const char *flow; int64_t expert_mib; size_t points; struct { int64_t experts; double ms; } at[5]; } table[] = {
        { "pcie.pageable", 27, 5, { { 1, 3.428 }, { 3, 11.661 }, { 5, 20.018 }, { 10, 40.041 }, { 20, 80.085 } } },
        { "vram.read", 27, 5, { { 1, .0748 }, { 3, .2085 }, { 5, .3428 }, { 10, .6786 }, { 20, 1.3525 } } },
        { "pcie_allocating.pageable", 28, 3, { { 1, 4.35 }, { 4, 19.14 }, { 20, 97.16 } } },
    };
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_profile p;
    const es_flow *flow;
    es_json *json = json_file("profiles", "rtx3090-seed.json");
    fine(es_profile_parse(&p, es_json_at(json, "machine"), NULL, &arena, &err), &err);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        fine(es_profile_flow(&p, table[i].flow, &flow, &err), &err);
        assert_int_equal(flow->points, table[i].points);
        assert_int_equal(flow->points_origin.provenance, ES_PROVENANCE_REPORTED);
        for (size_t n = 0; n < flow->points; n++) {
            const es_point *point = &flow->point[n];
            assert_int_equal(point->bytes, table[i].at[n].experts * (table[i].expert_mib << 20));
            printed((double)point->bytes / point->rate * 1e3, table[i].at[n].ms, table[i].at[n].ms < 2 ? 1e-4 : 1e-3);
        }
    }
    fine(es_profile_flow(&p, "vram_random.read", &flow, &err), &err);
    printed(28.0 * MIB / flow->rate * 1e3, 0.541, 1e-3);
    fine(es_profile_flow(&p, "vram_sequential.read", &flow, &err), &err);
    printed(28.0 * MIB / flow->rate * 1e3, 0.047, 1e-3);
    cJSON_Delete(json);
    es_arena_free(&arena);
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
        cmocka_unit_test(the_profile_of_the_two_studies_gives_their_times),
        cmocka_unit_test(a_profile_carries_rates_by_size_and_by_lanes),
        cmocka_unit_test(a_rate_above_the_physics_is_refused_unless_forced),
        cmocka_unit_test(a_profile_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
