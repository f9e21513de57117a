/* Ids that are places of a load balancer: mapped by hand here, refused by place without a map that fits. */
#include "sim/part/registry.h"
#include "tests/support/bytes_kit.h"
#include "traces/placed.h"

extern const es_source es_source_counts;

/* Three layers, 0 dense; 4 experts on 6 places, so two experts of each layer have a replica. */
#define MAP "[[0,1,2,3,0,1],[3,2,1,0,3,2],[0,1,2,3,3,-1]]"
#define HEAD "request_id,token_index,phase,layer,e0,e1,g0\n"

typedef struct stage { es_arena arena; es_places map; es_placed placed; opened inner; } stage;

static es_code stage_open(stage *s, const char *rows, const char *map, es_err *err)
{
    *s = (stage){ 0 };
    put("map.json", map);
    es_code code = es_places_load(&s->map, at("map.json"), 0, &s->arena, err);
    put("t.csv", rows);
    if (!code) {
        s->inner = open_good(&es_source_csv, "t.csv", &ask_all);
        code = es_placed_over(&s->placed, &es_source_csv, s->inner.self, &s->map, "t.csv", &s->arena, err);
    }
    return code;
}

static void stage_close(stage *s)
{
    es_arena_free(&s->arena);
    if (!s->inner.source)
        return;
    if (s->placed.inner)
        es_placed_source.part.fini(&s->placed);
    else
        s->inner.source->part.fini(s->inner.self);
    es_arena_free(&s->inner.arena);
}

static char *stage_text(stage *s)
{
    char *text = source_text(&es_placed_source, &s->placed);
    return text;
}

/* Worked out with the map above: layer 1 holds 3 2 1 0 3 2, layer 2 holds 0 1 2 3 3. */
static void places_become_experts(void **state)
{
    (void)state;
    static const char rows[] = HEAD "0,0,P,1,4,2,5\n0,0,P,2,0,4,1\n0,1,P,1,3,5,0\n0,1,P,2,,,4\n0,2,D,1,1,0,3\n0,2,D,2,3,2,2\n";
    stage s;
    es_err err = { 0 };
    good(stage_open(&s, rows, MAP, &err), &err);
    const es_trace_info *info = es_placed_source.info(&s.placed);
    assert_int_equal(info->experts, 4);
    assert_non_null(strstr(info->assumed, "map.json: 6 places, 4 experts"));
    assert_non_null(strstr(info->provenance, "physical_to_logical_map"));
    for (int again = 0; again < 2; again++) {
        char *text = stage_text(&s);
        assert_string_equal(text, "P 0.0(3 1;0 3) 0.1(0 2;-)\nD 0.2(2 3;3 2)\n");
        free(text);
    }
    bool more;
    es_step step;
    good(es_placed_source.rewind(&s.placed, &err), &err);
    good(es_placed_source.next(&s.placed, &step, &more, &err), &err);
    static const uint16_t guess[] = { 2, 1, 3, 3 };
    assert_memory_equal(step.guess, guess, sizeof guess);
    stage_close(&s);
}

/* A map has a row for each layer of the trace, or for each number; both say the same of the same trace. */
static void maps_of_all_layers_and_of_moe_layers_agree(void **state)
{
    (void)state;
    static const char rows[] = "request_id,token_index,phase,layer,e0\n0,0,D,1,4\n0,0,D,2,4\n";
    static const char *const maps[] = { MAP, "[[3,2,1,0,3,2],[0,1,2,3,3,-1]]", "{\"last_physical_to_logical_map\": " MAP "}", "{\"rank\": 0, \"physical_to_logical_map\": " MAP "}" };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        stage s;
        es_err err = { 0 };
        good(stage_open(&s, rows, maps[i], &err), &err);
        char *text = stage_text(&s);
        assert_string_equal(text, "D 0.0(3;3)\n");
        free(text);
        stage_close(&s);
    }
}

static void numpy_maps_are_the_same(void **state)
{
    (void)state;
    static const struct { const char *descr; size_t size; } types[] = { { "<i8", 8 }, { "<i4", 4 }, { "<i2", 2 } };
    static const uint16_t want[] = { 3, 2, 1, 0, 3, ES_NO_EXPERT };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        pack p = { 0 };
        es_places map;
        es_arena arena = { 0 };
        es_err err = { 0 };
        pack_npy(&p, 1, types[i].descr, false, "(1, 6)");
        PACK(&p, types[i].size, 3, 2, 1, 0, 3, -1);
        put_pack("map.npy", &p);
        good(es_places_load(&map, at("map.npy"), 8, &arena, &err), &err);
        assert_int_equal(map.layers, 1);
        assert_int_equal(map.places, 6);
        assert_int_equal(map.experts, 8);
        assert_memory_equal(map.expert, want, sizeof want);
        es_arena_free(&arena);
    }
}

static void what_a_map_cannot_say_is_named_by_its_first_place(void **state)
{
    (void)state;
    static const struct { const char *rows, *says; } bad[] = {
        { "0,0,D,1,0,1\n0,0,D,2,0,1\n0,1,D,1,0,6\n0,1,D,2,0,1\n", "t.csv: request 0, token 1, layer 1: place 6 is not in" },
        { "0,0,D,1,0,1\n0,0,D,2,5,1\n", "request 0, token 0, layer 2: place 5 is empty in" },
        { "0,0,D,1,1,5\n", "request 0, token 0, layer 1: places 1 and 5 both hold expert 2, which a token uses once; is " },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        stage s;
        es_err err = { 0 };
        es_tally counts = { 0 };
        char rows[256];
        snprintf(rows, sizeof rows, "request_id,token_index,phase,layer,e0,e1\n%s", bad[i].rows);
        good(stage_open(&s, rows, MAP, &err), &err);
        expect_fault(es_trace_check(&es_placed_source, &s.placed, &counts, NULL, &err), &err, bad[i].says);
        es_tally_free(&counts);
        stage_close(&s);
    }
}

static void faults_of_maps_are_named(void **state)
{
    (void)state;
    static const struct { const char *map, *says; uint32_t experts; } bad[] = {
        { "[0,1]", "map.json: is no list of lists, [layer][place]", 0 },
        { "{\"map\": [[0]]}", "map.json: is no list of lists", 0 },
        { "[[0,1],[0]]", "map.json: layer 1 is no list of 2 places, as layer 0 is", 0 },
        { "[[0,1],[0,-2]]", "map.json: layer 1, place 1: found -2, needs an expert from 0 to 65534, or -1", 0 },
        { "[[0,1.5]]", "map.json: layer 0, place 1: found 1.5, needs", 0 },
        { "[[0,4],[7,1]]", "map.json: layer 1, place 0: expert 7 is above 3, the highest", 4 },
        { "[[]]", "map.json: a map of 1 layers and 0 places is not of 1 to", 0 },
        { "[[0", "map.json: line 1", 0 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_places map;
        es_arena arena = { 0 };
        es_err err = { 0 };
        put("map.json", bad[i].map);
        expect_fault(es_places_load(&map, at("map.json"), bad[i].experts, &arena, &err), &err, bad[i].says);
        es_arena_free(&arena);
    }
    stage s;
    es_err err = { 0 };
    expect_fault(stage_open(&s, "request_id,token_index,phase,layer,e0\n0,0,D,1,0\n0,0,D,3,0\n", MAP, &err), &err, "map.json: has 3 layers; the trace has 2, the last with number 3");
    stage_close(&s);
}

/* Loads of places, as EPLB's windows hold them: refused where there are fewer experts, added up with a map. */
static void loads_of_places_are_those_of_experts(void **state)
{
    (void)state;
    pack p = { 0 };
    opened o;
    es_err err = { 0 };
    es_arena arena = { 0 };
    es_places map;
    pack_npy(&p, 1, "<i4", false, "(2, 6)");
    PACK(&p, 4, 4, 2, 3, 1, 2, 0,   5, 0, 3, 2, 1, 1);
    put_pack("load.npy", &p);
    expect_fault(open_source(&o, &es_source_counts, at("load.npy"), &(es_source_ask){ .top_k = 2, .experts = 4 }, &err), &err,
        "layer 0, place 4: has 2 uses, but there are 4 experts: these are loads of places of a load balancer");
    close_source(&o);
    put("map.json", "[[0,1,2,3,0,1],[3,2,1,0,3,2]]");
    good(es_places_load(&map, at("map.json"), 4, &arena, &err), &err);
    const es_source_ask ask = { .top_k = 2, .places = &map };
    o = open_good(&es_source_counts, "load.npy", &ask);
    const es_trace_info *info = es_source_counts.info(o.self);
    assert_true(map.applied);
    assert_int_equal(info->experts, 4);
    uint64_t uses[2][4] = { 0 };
    for (bool more = true; more;) {
        es_step step;
        good(es_source_counts.next(o.self, &step, &more, &err), &err);
        for (uint32_t i = 0; more && i < 4; i++)
            if (step.ids[i] != ES_NO_EXPERT)
                uses[i / 2][step.ids[i]]++;
    }
    static const uint64_t want[2][4] = { { 6, 2, 3, 1 }, { 2, 3, 1, 6 } };
    assert_memory_equal(uses, want, sizeof want);
    close_source(&o);
    put("map.json", "[[0,1,2],[0,1,2]]");
    good(es_places_load(&map, at("map.json"), 4, &arena, &err), &err);
    expect_fault(open_source(&o, &es_source_counts, at("load.npy"), &ask, &err), &err, "map.json: has 2 layers of 3 places, the counts are of 2 layers and 6 places");
    close_source(&o);
    es_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_become_experts),
        cmocka_unit_test(maps_of_all_layers_and_of_moe_layers_agree),
        cmocka_unit_test(numpy_maps_are_the_same),
        cmocka_unit_test(what_a_map_cannot_say_is_named_by_its_first_place),
        cmocka_unit_test(faults_of_maps_are_named),
        cmocka_unit_test(loads_of_places_are_those_of_experts),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
