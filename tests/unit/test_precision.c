/* Precision: experts of one layer that have different bits weigh, move and compute as what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/study/config.h"
#include "tests/support/folder.h"
#include "tests/support/rig.h"

/* ---- the core ---- */

/* Two layers; expert 0 and 69 have 2 bits, expert 1 has 8 in layer 0 and 2 in layer 1, all others 8. */
enum { LAYERS = 2, EXPERTS = 70 };

static void stage(rig *r, bool timed, const char *capacity, const uint16_t *ids, uint32_t tokens, uint32_t guesses)
{
    static const int64_t bytes[] = {100, 200, 400, 800};        /* 2 bits in layer 0 and 1, 8 bits in both */
    static uint8_t variant[LAYERS * EXPERTS];
    rig_open(r, LAYERS, EXPERTS, 1, guesses, tokens);
    for (uint32_t i = 0; i < tokens; i++)
        memcpy(rig_token(r, 0, ES_DECODE, false), ids + (size_t)LAYERS * i, LAYERS * sizeof *ids);
    rig_plain(r, timed, capacity, "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": 0, \"expert\": \"50ns\"}");
    for (uint32_t e = 0; e < LAYERS * EXPERTS; e++)
        variant[e] = e % EXPERTS != 0 && e % EXPERTS != 69 && e != EXPERTS + 1;
    r->plan.variants = 2;
    r->plan.bits[0] = 2;
    r->plan.bits[1] = 8;
    r->plan.variant = variant;
    r->plan.variant_bytes = bytes;
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

static void an_expert_is_fetched_with_the_bytes_of_its_precision(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 69, 1, 1, 5, 5, 0, 69};
    for (int timed = 0; timed <= 1; timed++) {
        rig r;
        stage(&r, timed, "5000B", ids, 4, 0);
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.misses"), 6);
        assert_int_equal(rig_count(&r, "cache.hits"), 2);
        assert_int_equal(rig_count(&r, "cache.fetched_bytes"), (100 + 200) + (400 + 200) + (400 + 800));
        assert_int_equal(rig_count(&r, "capacity.peak"), 2100);
        rig_close(&r);
    }
}

/* 2 of 70 experts have 2 bits in layer 0 and 3 in layer 1. */
static void there_are_as_many_objects_as_experts(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 0};
    rig r;
    stage(&r, false, "50%", ids, 1, 0);
    expect_ok(&r);
    const es_view *view = rig_view(&r);
    assert_int_equal(view->stride, 256);
    assert_int_equal(view->bits[1], 2);
    assert_int_equal(view->bits[2], 8);
    assert_int_equal(es_object_of(view, 1, 1), 256 + 1);
    assert_int_equal(es_object_of(view, 0, 1), 128 + 1);
    assert_int_equal(es_expert_of(view, 128 + 69), 69);
    assert_int_equal(es_object_now(view, 1, 128 + 1), 256 + 1);     /* named at 8 bits, has 2 */
    assert_int_equal(rig_count(&r, "capacity.objects"), LAYERS * EXPERTS);
    assert_int_equal(rig_count(&r, "capacity.slots_or_bytes"), LAYERS * EXPERTS / 2);
    assert_int_equal(rig_count(&r, "capacity.population_bytes"), 2 * 100 + 68 * 400 + 3 * 200 + 67 * 800);
    assert_int_equal(rig_count(&r, "capacity.cycle_bytes"), (2 * 100 + 68 * 400) / 70 + (3 * 200 + 67 * 800) / 70);
    rig_close(&r);
}

/* Room for 1000 bytes: 400 and 200 are there, 800 more need 400: expert 1 of layer 0, the oldest, leaves and is enough. */
static void room_is_made_for_bytes(void **state)
{
    (void)state;
    static const uint16_t ids[] = {1, 1, ES_NO_EXPERT, 7};
    for (int timed = 0; timed <= 1; timed++) {
        rig r;
        stage(&r, timed, "1000B", ids, 2, 0);
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.evictions"), 1);
        assert_int_equal(rig_count(&r, "tiers.cache.held"), 1000);
        rig_close(&r);
    }
}

/* 100 bytes at one byte a nanosecond and 50 to compute; in layer 1 it is 200. */
static void a_copy_takes_the_time_of_its_precision(void **state)
{
    (void)state;
    static const uint16_t ids[] = {69, 69};
    rig r;
    stage(&r, true, "5000B", ids, 1, 0);
    expect_ok(&r);
    assert_int_equal((int64_t)(es_json_at(r.report, "time.total_s")->valuedouble * 1e9 + 0.5), 150 + 250);
    rig_close(&r);
}

/* 100 bytes and 200, computed in 50 ns, of which each needs 30 ns more to be decoded at 2 bits. */
static void decoding_is_part_of_computing(void **state)
{
    (void)state;
    static const uint16_t ids[] = {69, 69, 69, 5};
    static const es_time decode[] = {30, 30, 0, 0};
    rig r;
    stage(&r, true, "5000B", ids, 2, 0);
    r.plan.decode_ns = decode;
    expect_ok(&r);
    assert_int_equal((int64_t)(es_json_at(r.report, "time.total_s")->valuedouble * 1e9 + 0.5), 180 + 280 + 80 + 850);
    assert_true(rig_view(&r)->times->expert_gpu == 3 * 80 + 50);
    rig_close(&r);
}

/* A guess names an expert; what comes is the object that its layer will ask for. */
static void a_guess_comes_at_the_precision_that_is_wanted(void **state)
{
    (void)state;
    static const char *const predictors[] = {"recorded", "noisy_oracle", "ranked", "transition", "previous_token"};
    for (size_t p = 0; p < sizeof predictors / sizeof *predictors; p++) {
        static const uint16_t ids[] = {0, 1, 5, 1, 0, 1, 7, 1};
        rig r;
        stage(&r, false, "64slots", ids, 4, 1);
        for (uint32_t t = 0; t < 4; t++)
            r.trace.guess[t * LAYERS + 1] = 1;
        r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, predictors[p],
            !strcmp(predictors[p], "noisy_oracle") ? "{\"accuracy\": 1}" : !strcmp(predictors[p], "ranked") ? "{\"length\": 70}" : NULL, "predictor");
        expect_ok(&r);
        for (uint32_t w = 0; w < rig_view(&r)->words; w++)      /* nothing that nobody can ask for */
            assert_int_equal(rig_view(&r)->tier[0].resident[w] & ~rig_view(&r)->exists[w], 0);
        assert_true(es_mask_has(rig_view(&r)->tier[0].resident, 256 + 1));
        if (p == 0)
            assert_int_equal(rig_count(&r, "cache.guess_copies"), 1);
        rig_close(&r);
    }
}

/* What one run of 40 steps of up to three tokens reports; `cut`: every other expert has another precision, of the same bytes. */
static char *report_of(bool cut, bool timed, const char *const *sections, size_t count)
{
    static uint8_t variant[LAYERS * EXPERTS];
    static const int64_t bytes[] = {500, 300, 500, 300};
    es_json *kept = cJSON_CreateObject();
    rig r;
    rig_open(&r, LAYERS, EXPERTS, 2, 0, 120);
    for (uint32_t i = 0; i < 40; i++)
        for (uint32_t t = 0; t <= i % 3; t++) {
            uint16_t *ids = rig_token(&r, 0, i % 7 ? ES_DECODE : ES_PREFILL, t > 0);
            for (uint32_t l = 0; l < LAYERS; l++) {
                ids[2 * l] = (uint16_t)((i * 5 + t * 3 + l) % 11);
                ids[2 * l + 1] = (uint16_t)(60 + (i * i + t + l) % 9);
            }
        }
    rig_plain(&r, timed, "6000B", "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": 0, \"expert\": \"50ns\"}");
    r.trace.bytes[0] = 500;
    r.trace.bytes[1] = 300;
    for (uint32_t e = 0; e < LAYERS * EXPERTS; e++)
        variant[e] = e % 2;
    if (cut) {
        r.plan.variants = 2;
        r.plan.variant = variant;
        r.plan.variant_bytes = bytes;
    }
    rig_observe(&r, "summary");
    rig_observe(&r, "coverage");
    rig_observe(&r, "latency");
    rig_observe(&r, "traffic");
    expect_ok(&r);
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToObject(kept, sections[i], cJSON_Duplicate(es_json_at(r.report, sections[i]), true));
    char *text = es_json_text(kept);
    cJSON_Delete(kept);
    rig_close(&r);
    return text;
}

/* Where the ids of objects make no difference (lru), sections of one size change nothing: not a hit, not a nanosecond, not a token's coverage. */
static void precisions_of_the_same_size_change_nothing(void **state)
{
    (void)state;
    static const char *const sections[] = {"cache", "coverage", "time", "capacity", "tiers", "channels"};
    for (int timed = 0; timed <= 1; timed++) {
        char *whole = report_of(false, timed, sections, timed ? 6 : 2), *cut = report_of(true, timed, sections, timed ? 6 : 2);
        assert_string_equal(whole, cut);
        assert_non_null(strstr(whole, "\"token\""));
        free(whole);
        free(cut);
    }
}

/* ---- the config ---- */

static const char config_head[] = "{\"trace\": {\"path\": \"t.csv\"}, \"clock\": \"none\", \"tiers\": {\"cache\": {\"capacity\": \"4GiB\", \"compute\": \"gpu\"}, "
    "\"host\": {\"home\": true}}, \"model\": {\"expert_bytes\": \"270532608B\"}, ";

/* A plan for 8 experts in layers 3 and 5, of which 6, then 2, then 0 of layer 3 are used most. */
static es_code plan_of(const char *catalog, es_config **config, const es_plan **plan, es_err *err)
{
    char text[2048];
    snprintf(text, sizeof text, "%s\"catalog\": %s}", config_head, catalog);
    FILE *file = fopen(at("c.json"), "w");
    fputs(text, file);
    fclose(file);
    file = fopen(at("t.csv"), "w");
    fputs("request_id,token_index,phase,layer,e0\n0,0,D,3,6\n0,0,D,5,7\n0,1,D,3,6\n0,1,D,5,7\n0,2,D,3,6\n0,2,D,5,1\n0,3,D,3,2\n0,3,D,5,0\n0,4,D,3,2\n0,4,D,5,0\n0,5,D,3,0\n0,5,D,5,0\n", file);
    fclose(file);
    es_code code = es_config_load(config, at("c.json"), NULL, 0, err);
    return code ? code : es_config_plan(*config, plan, err);
}

static void expect_variants(const char *catalog, const char *expected)
{
    es_config *config = NULL;
    const es_plan *plan = NULL;
    es_err err = {0};
    char found[64] = "";
    if (plan_of(catalog, &config, &plan, &err) != ES_OK)
        fail_msg("%s", err.text);
    for (uint32_t e = 0; e < 16; e++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%u", e == 8 ? " " : "", plan->bits[plan->variant[e]]);
    assert_string_equal(found, expected);
    es_config_free(config);
}

static void shares_become_experts(void **state)
{
    (void)state;
    expect_variants("{\"bits\": 4}", "44444444 44444444");
    expect_variants("{\"bits\": {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}}", "22444488 22444488");
    expect_variants("{\"bits\": {\"8\": 0.25, \"2\": 0.75}}", "88222222 88222222");
    expect_variants("{\"bits\": {\"2\": 0.3, \"4\": 0.7}}", "22444444 22444444");      /* 2.4 and 5.6: the larger rest gets the last */
}

static void the_most_used_get_the_widest_or_the_narrowest(void **state)
{
    (void)state;
    expect_variants("{\"bits\": {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}, \"assign\": \"popularity\"}", "44844282 84444228");
    expect_variants("{\"bits\": {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}, \"assign\": \"rarity\"}", "44244828 24444882");
    expect_variants("{\"bits\": {\"2\": 0.25, \"4\": 0.75}, \"assign\": \"rarity\", \"key\": \"expert\"}", "24444424 22444444");    /* the first row stands for all layers */
}

static void a_file_says_it_of_each(void **state)
{
    (void)state;
    FILE *file = fopen(at("bits.csv"), "w");
    fputs("# mixed\nlayer,expert,bits\n", file);
    for (int e = 0; e < 16; e++)
        fprintf(file, "%d, %d, %d\n", e < 8 ? 3 : 5, e % 8, e % 3 ? 8 : 2);
    fclose(file);
    expect_variants("{\"bits\": [2, 8], \"assign\": \"file\", \"file\": \"bits.csv\"}", "28828828 82882882");
}

static void chance_keeps_the_shares(void **state)
{
    (void)state;
    es_config *config = NULL;
    const es_plan *plan = NULL;
    es_err err = {0};
    uint32_t count[2][2] = {{0}};
    bool moved = false;
    assert_int_equal(plan_of("{\"bits\": {\"2\": 0.25, \"8\": 0.75}, \"assign\": \"random\"}", &config, &plan, &err), ES_OK);
    for (uint32_t e = 0; e < 16; e++) {
        count[e / 8][plan->variant[e]]++;
        moved |= plan->variant[e] != (e % 8 >= 2);
    }
    for (int l = 0; l < 2; l++)
        assert_int_equal(count[l][0], 2);
    assert_true(moved);
    es_config_free(config);
}

/* The seed's expert: 3 * 4096 * 11008 weights. */
static void bytes_follow_the_bits(void **state)
{
    (void)state;
    es_config *config = NULL;
    const es_plan *plan = NULL;
    es_err err = {0};
    assert_int_equal(plan_of("{\"bits\": {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}, \"bytes\": {\"8\": \"130MiB\"}}", &config, &plan, &err), ES_OK);
    assert_int_equal(plan->variant_bytes[0], 33816576);         /* 32.25 MiB */
    assert_int_equal(plan->variant_bytes[3], 67633152);         /* 64.5 MiB, layer 5 */
    assert_int_equal(plan->variant_bytes[4], 130 << 20);
    es_config_free(config);
}

static void decoding_is_a_time_or_a_rate(void **state)
{
    (void)state;
    es_config *config = NULL;
    const es_plan *plan = NULL;
    es_err err = {0};
    assert_int_equal(plan_of("{\"bits\": {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}, \"decode\": {\"2\": \"30us\", \"4\": \"1GB/s\"}}", &config, &plan, &err), ES_OK);
    assert_true(plan->decode_ns[1] == 30000 && plan->decode_ns[2] == 67633152 && plan->decode_ns[4] == 0);
    es_config_free(config);
}

static void what_is_no_distribution_is_refused(void **state)
{
    (void)state;
    static const struct { const char *catalog, *says; } wrong[] = {
        {"{\"bits\": {\"2\": 0.25, \"4\": 0.5}}", "catalog.bits: the shares add up to 0.75, but all experts together are 1"},
        {"{\"bits\": {\"2\": 0.5, \"02\": 0.5}}", "catalog.bits: 2 stands there twice"},
        {"{\"bits\": {\"0\": 1}}", "catalog.bits: 0 is no precision"},
        {"{\"bits\": 4.5}", "catalog.bits: the number is no precision"},
        {"{\"bits\": {\"q4\": 1}}", "catalog.bits: q4 is no precision"},
        {"{\"bits\": {\"4\": \"all\"}}", "catalog.bits.4: found a text, needs the share"},
        {"{\"bits\": [2, 4]}", "a list of bits goes with catalog.assign \"file\""},
        {"{\"bits\": [2, 4], \"assign\": \"file\"}", "catalog.file: is missing"},
        {"{\"bits\": 4, \"bytes\": {\"8\": \"1MiB\"}}", "catalog.bytes.8: is none of catalog.bits"},
        {"{\"bits\": 4, \"decode\": {\"2\": \"1us\"}}", "catalog.decode.2: is none of catalog.bits"},
        {"{\"bits\": 4, \"decode\": {\"4\": \"1GiB\"}}", "catalog.decode.4: \"1GiB\" is neither a time such as \"30us\" nor a rate such as \"200GB/s\""},
        {"{\"bits\": 4, \"decode\": {\"4\": 5}}", "catalog.decode.4: found a number, needs a time"},
        {"{\"bits\": {\"4\": 1}, \"assign\": \"popularity\", \"calibrate\": \"none.csv\"}", "catalog.calibrate: "},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        es_config *config = NULL;
        const es_plan *plan = NULL;
        es_err err = {0};
        if (plan_of(wrong[i].catalog, &config, &plan, &err) != ES_EINPUT || !strstr(err.text, wrong[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", wrong[i].catalog, err.text, wrong[i].says);
        es_config_free(config);
    }
}

static void a_file_that_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } wrong[] = {
        {"3,1,2\n3,1,8\n", "bits.csv: line 2: layer 3 expert 1 is listed twice"},
        {"3,1\n", "line 1: \"3,1\" is not a layer, an expert and its bits"},
        {"4,1,2\n", "line 1: the trace has no layer 4 expert 1"},
        {"3,1,3\n", "line 1: 3 bits are none of catalog.bits"},
        {"3,0,2\n", "bits.csv: says nothing of layer 3 expert 1"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        es_config *config = NULL;
        const es_plan *plan = NULL;
        es_err err = {0};
        FILE *file = fopen(at("bits.csv"), "w");
        fputs(wrong[i].text, file);
        fclose(file);
        if (plan_of("{\"bits\": [2, 8], \"assign\": \"file\", \"file\": \"bits.csv\"}", &config, &plan, &err) != ES_EINPUT || !strstr(err.text, wrong[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, wrong[i].says);
        es_config_free(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expert_is_fetched_with_the_bytes_of_its_precision),
        cmocka_unit_test(there_are_as_many_objects_as_experts),
        cmocka_unit_test(room_is_made_for_bytes),
        cmocka_unit_test(a_copy_takes_the_time_of_its_precision),
        cmocka_unit_test(decoding_is_part_of_computing),
        cmocka_unit_test(decoding_is_a_time_or_a_rate),
        cmocka_unit_test(a_guess_comes_at_the_precision_that_is_wanted),
        cmocka_unit_test(precisions_of_the_same_size_change_nothing),
        cmocka_unit_test(shares_become_experts),
        cmocka_unit_test(the_most_used_get_the_widest_or_the_narrowest),
        cmocka_unit_test(a_file_says_it_of_each),
        cmocka_unit_test(chance_keeps_the_shares),
        cmocka_unit_test(bytes_follow_the_bits),
        cmocka_unit_test(what_is_no_distribution_is_refused),
        cmocka_unit_test(a_file_that_is_wrong_is_named_with_its_line),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
