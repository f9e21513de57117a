/* Arrays of expert ids: .npy in every type and order, arrays without a head, requests beside them, and every fault by its words and byte. */
#include "tests/support/bytes_kit.h"

extern const es_source es_source_npy, es_source_raw_int16, es_source_raw_int32, es_source_raw_uint8, es_source_ds4, es_source_demand;

/* Three tokens, two layers, rows of two. */
static const int cube[] = { 1, 2, 3, 4, 5, 6, 7, 0, 2, 1, 4, 3 };
static const char cube_steps[] = "D 0.0(1 2;3 4)\nD 0.1(5 6;7 0)\nD 0.2(2 1;4 3)\n";

static pack cube_npy(const char *descr, bool fortran, const char *shape, const int *ids, size_t size)
{
    pack p = { 0 };
    pack_npy(&p, 1, descr, fortran, shape);
    pack_numbers(&p, size, 12, ids);
    return p;
}

static void expect_array(const es_source *source, const pack *p, const es_source_ask *ask, const char *want)
{
    opened o = open_pack(source, "x.npy", p, ask);
    expect_steps(&o, want);
    close_source(&o);
}

static void an_array_of_any_integer_type_loads_the_same(void **state)
{
    (void)state;
    static const struct { const char *descr; size_t size; } type[] = {
        { "|u1", 1 }, { "|i1", 1 }, { "<u2", 2 }, { "<i2", 2 }, { "<u4", 4 }, { "<i4", 4 }, { "<u8", 8 }, { "<i8", 8 },
    };
    for (size_t t = 0; t < sizeof type / sizeof type[0]; t++) {
        pack p = cube_npy(type[t].descr, false, "(3, 2, 2)", cube, type[t].size);
        expect_array(&es_source_npy, &p, &ask_ids, cube_steps);
    }
}

static void an_array_says_its_shape_and_what_was_assumed(void **state)
{
    (void)state;
    pack p = cube_npy("<i2", false, "(3, 2, 2)", cube, 2);
    opened o = open_pack(&es_source_npy, "x.npy", &p, &ask_ids);
    const es_trace_info *info = es_source_npy.info(o.self);
    assert_int_equal(info->layers, 2);
    assert_int_equal(info->experts, 8);
    assert_int_equal(info->top_k, 2);
    assert_int_equal(info->decode_tokens, 3);
    assert_int_equal(info->steps, 3);
    assert_int_equal(info->requests, 1);
    assert_int_equal(info->accesses, 12);
    assert_int_equal(info->missing_cells, 0);
    assert_true(info->counted);
    assert_int_equal(strlen(info->sha256), 64);
    static const char *const says[] = { "[tokens][layers][top_k]", "--axes", "every token is taken as generated", "layers are numbered by their place", "the router's order", "8 experts", "one request" };
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        assert_non_null(strstr(info->assumed, says[i]));
    assert_non_null(strstr(info->provenance, "\"imported_from\": \"npy\""));
    close_source(&o);
}

static void an_array_of_other_byte_order_or_version_loads_the_same(void **state)
{
    (void)state;
    pack big = { 0 };
    pack_npy(&big, 2, ">i4", false, "(3, 2, 2)");
    for (size_t i = 0; i < 12; i++)
        PACK(&big, 1, 0, 0, 0, cube[i]);
    expect_array(&es_source_npy, &big, &ask_ids, cube_steps);
    pack third = { 0 };
    pack_npy(&third, 3, "<i8", false, "(3, 2, 2)");
    pack_numbers(&third, 8, 12, cube);
    expect_array(&es_source_npy, &third, &ask_ids, cube_steps);
}

static void layers_may_come_first_and_the_first_axis_may_be_the_fastest(void **state)
{
    (void)state;
    static const int layer_first[] = { 1, 2, 5, 6, 2, 1, 3, 4, 7, 0, 4, 3 };
    const es_source_ask ltk = { .layer_first = true };
    pack p = cube_npy("<i2", false, "(2, 3, 2)", layer_first, 2);
    expect_array(&es_source_npy, &p, &ltk, cube_steps);
    static const int fortran[] = { 1, 5, 2, 3, 7, 4, 2, 6, 1, 4, 0, 3 };     /* place slowest, token fastest */
    pack f = cube_npy("<i2", true, "(3, 2, 2)", fortran, 2);
    expect_array(&es_source_npy, &f, &ask_ids, cube_steps);
    static const int both[] = { 1, 3, 5, 7, 2, 4, 2, 4, 6, 0, 1, 3 };        /* place slowest, then token, layer fastest */
    pack b = cube_npy("<i2", true, "(2, 3, 2)", both, 2);
    expect_array(&es_source_npy, &b, &ltk, cube_steps);
}

static void two_axes_are_one_layer(void **state)
{
    (void)state;
    pack p = cube_npy("<i2", false, "(6, 2)", cube, 2);
    expect_array(&es_source_npy, &p, &ask_ids, "D 0.0(1 2)\nD 0.1(3 4)\nD 0.2(5 6)\nD 0.3(7 0)\nD 0.4(2 1)\nD 0.5(4 3)\n");
}

static void minus_one_is_an_empty_place(void **state)
{
    (void)state;
    static const int ids[] = { 1, -1, 3, 4, -1, -1, 7, 0, 2, 1, -1, -1 };
    pack p = cube_npy("<i4", false, "(3, 2, 2)", ids, 4);
    opened o = open_pack(&es_source_npy, "x.npy", &p, &ask_ids);
    assert_int_equal(es_source_npy.info(o.self)->missing_cells, 2);
    assert_int_equal(es_source_npy.info(o.self)->accesses, 7);
    assert_non_null(strstr(es_source_npy.info(o.self)->assumed, "1 of 6 rows list fewer than 2 experts; the first is layer 0 of token 0 with 1"));
    assert_non_null(strstr(es_source_npy.info(o.self)->assumed, "2 of 6 rows (token, layer) are missing; the first is layer 0 of token 1"));
    expect_steps(&o, "D 0.0(1;3 4)\nD 0.1(-;7 0)\nD 0.2(2 1;-)\n");
    close_source(&o);
}

/* SGLang gives all decoder layers; what its dense ones hold was never written. */
static void layers_of_zeros_or_of_minus_one_are_dense(void **state)
{
    (void)state;
    static const int zeros[] = { 0, 0, 3, 4, 0, 0, 7, 0, 0, 0, 4, 3 }, none[] = { 1, 2, -1, -1, 5, 6, -1, -1, 2, 1, -1, -1 };
    static const es_source_ask ltk = { .layer_first = true };
    pack p = cube_npy("<i4", false, "(3, 2, 2)", zeros, 4);
    opened o = open_pack(&es_source_npy, "x.npy", &p, &ask_ids);
    const es_trace_info *info = es_source_npy.info(o.self);
    assert_int_equal(info->layers, 1);
    assert_int_equal(info->layer_number[0], 1);
    assert_int_equal(info->accesses, 6);
    assert_int_equal(info->missing_cells, 0);
    assert_non_null(strstr(info->assumed, "1 of 2 layers hold only zeros"));
    expect_steps(&o, "D 0.0(3 4)\nD 0.1(7 0)\nD 0.2(4 3)\n");
    close_source(&o);
    p = cube_npy("<i4", false, "(3, 2, 2)", none, 4);
    o = open_pack(&es_source_npy, "x.npy", &p, &ask_ids);
    info = es_source_npy.info(o.self);
    assert_int_equal(info->layers, 1);
    assert_int_equal(info->layer_number[0], 0);
    assert_int_equal(info->missing_cells, 0);
    assert_non_null(strstr(info->assumed, "1 of 2 layers hold only -1"));
    expect_steps(&o, "D 0.0(1 2)\nD 0.1(5 6)\nD 0.2(2 1)\n");
    close_source(&o);
    static const int turned[] = { 0, 0, 0, 0, 0, 0, 3, 4, 7, 0, 4, 3 };
    p = cube_npy("<i4", false, "(2, 3, 2)", turned, 4);
    expect_array(&es_source_npy, &p, &ltk, "D 0.0(3 4)\nD 0.1(7 0)\nD 0.2(4 3)\n");
}

static void requests_stand_in_a_list_beside_the_array(void **state)
{
    (void)state;
    pack p = cube_npy("<i2", false, "(3, 2, 2)", cube, 2);
    put("x.lens.json", "[2, 0, 1]");
    opened o = open_pack(&es_source_npy, "x.npy", &p, &ask_ids);
    assert_int_equal(es_source_npy.info(o.self)->requests, 2);
    assert_non_null(strstr(es_source_npy.info(o.self)->assumed, "x.lens.json"));
    expect_steps(&o, "D 0.0(1 2;3 4)\nD 0.1(5 6;7 0)\nD 1.0(2 1;4 3)\n");
    close_source(&o);
    put("x.lens.json", "{\"lens\": [[2, 1]]}");
    o = open_pack(&es_source_npy, "x.npy", &p, &ask_ids);
    assert_int_equal(es_source_npy.info(o.self)->prompt_tokens, 2);
    assert_int_equal(es_source_npy.info(o.self)->steps, 2);
    expect_steps(&o, "P 0.0(1 2;3 4) 0.1(5 6;7 0)\nD 0.2(2 1;4 3)\n");
    close_source(&o);
    static const struct { const char *list, *fault; } bad[] = {
        { "[2]", "x.lens.json: its requests have 2 tokens together, the array has 3" },
        { "[2, \"a\"]", "entry 1 is neither a number of tokens nor [prompt tokens, generated tokens]" },
        { "[2, 1.5]", "entry 1 is neither" },
        { "[[1, 2, 3]]", "entry 0 is neither" },
        { "{\"a\": 1}", "nor an object with such a list as \"lens\"" },
        { "[0]", "no request has a token" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        es_err err = { 0 };
        uint64_t tokens;
        put("x.lens.json", bad[i].list);
        put_pack("x.npy", &p);
        expect_fault(read_all(&es_source_npy, "x.npy", &ask_ids, &tokens, &err), &err, bad[i].fault);
    }
    unlink(at("x.lens.json"));
}

/* Windows, blocks of rows and what is left of them: all must say the same as one id after the other. */
static void a_long_array_is_read_in_windows(void **state)
{
    (void)state;
    enum { TOKENS = 700, LAYERS = 3 };
    for (int k = 1; k <= 19; k++) {
        pack *p = calloc(1, sizeof *p);
        es_text want = { 0 };
        const es_source_ask ask = { .layers = LAYERS, .top_k = (uint32_t)k };
        for (int t = 0; t < TOKENS; t++) {
            es_text_add(&want, "D 0.%d(", t);
            for (int l = 0; l < LAYERS; l++)
                for (int i = 0; i < k; i++) {
                    int id = (7 * t + 5 * l + 3 * i) % 101 + 1;
                    pack_number(p, id, 1);
                    es_text_add(&want, "%s%d", i ? " " : l ? ";" : "", id);
                }
            es_text_add(&want, ")\n");
        }
        put_pack("x.bin", p);
        opened o = open_good(&es_source_raw_uint8, "x.bin", &ask);
        expect_steps(&o, want.at);
        close_source(&o);
        /* one id twice, in every place that a row can have */
        for (int t = 0; k > 1 && t < TOKENS; t += 53)
            for (int i = 1; i < k; i++) {
                size_t row = (size_t)(t * LAYERS + t % LAYERS) * (size_t)k, place = row + (size_t)i;
                unsigned char held = p->at[place];
                char says[64];
                p->at[place] = p->at[row + (size_t)(t % i)];
                snprintf(says, sizeof says, "token %d, layer %d, place %d: expert %d is listed twice", t, t % LAYERS, i, p->at[place]);
                expect_bad(&es_source_raw_uint8, p, &ask, says);
                p->at[place] = held;
            }
        es_text_free(&want);
        free(p);
    }
}

static void arrays_without_a_head_need_their_shape(void **state)
{
    (void)state;
    static const struct { const es_source *source; size_t size; } raw[] = { { &es_source_raw_int16, 2 }, { &es_source_raw_int32, 4 }, { &es_source_raw_uint8, 1 }, { &es_source_ds4, 4 } };
    const es_source_ask ask = { .layers = 2, .top_k = 2 }, no_layers = { .top_k = 2 }, no_k = { .layers = 2 }, ltk = { .layers = 2, .top_k = 2, .layer_first = true };
    static const int layer_first[] = { 1, 2, 5, 6, 2, 1, 3, 4, 7, 0, 4, 3 };
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) {
        pack p = { 0 }, turned = { 0 };
        pack_numbers(&p, raw[i].size, 12, cube);
        pack_numbers(&turned, raw[i].size, 12, layer_first);
        expect_array(raw[i].source, &p, &ask, cube_steps);
        expect_array(raw[i].source, &turned, &ltk, cube_steps);
        expect_bad(raw[i].source, &p, &no_layers, "--layers must say how many layers there are");
        if (raw[i].source != &es_source_ds4)
            expect_bad(raw[i].source, &p, &no_k, "--top-k must say how many experts a row lists");
        expect_torn(raw[i].source, &p, &ask, 0, 4 * raw[i].size, true);
        p.length--;
        expect_bad(raw[i].source, &p, &ltk, "in this order of axes no part can be left out");
    }
    pack six = { 0 };
    PACK(&six, 4, 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1);
    opened o = open_pack(&es_source_ds4, "x.bin", &six, &(es_source_ask){ .layers = 2 });
    expect_steps(&o, "D 0.0(1 2 3 4 5 6;6 5 4 3 2 1)\n");
    assert_non_null(strstr(es_source_ds4.info(o.self)->assumed, "6 experts, as is usual"));
    close_source(&o);
}

static void demand_says_its_shape_first(void **state)
{
    (void)state;
    pack p = { 0 };
    PACK(&p, 4, 3, 2, 2);
    pack_numbers(&p, 2, 12, cube);
    expect_array(&es_source_demand, &p, &ask_ids, cube_steps);
    expect_torn(&es_source_demand, &p, &ask_ids, 12, 8, false);
    pack_number(&p, 0, 1);
    expect_bad(&es_source_demand, &p, &ask_ids, "bad: record 3 (byte 36): bytes follow the array");
}

static void a_torn_array_is_an_error_or_told(void **state)
{
    (void)state;
    pack p = cube_npy("<i2", false, "(3, 2, 2)", cube, 2);
    expect_torn(&es_source_npy, &p, &ask_ids, 128, 8, false);
    p.length -= 3;
    expect_bad(&es_source_npy, &p, &ask_ids, "record 2 (byte 144): the file ends with 5 of 8 bytes of token 2; the header promises 3 tokens");
    opened o = open_pack(&es_source_npy, "x.npy", &p, &(es_source_ask){ .lenient = true });
    expect_steps(&o, "D 0.0(1 2;3 4)\nD 0.1(5 6;7 0)\n");
    assert_non_null(strstr(es_source_npy.info(o.self)->assumed, "5 bytes of token 2 are left out"));
    close_source(&o);
    p.length += 4;
    expect_bad(&es_source_npy, &p, &ask_ids, "record 3 (byte 152): bytes follow the array");
}

static void faults_of_ids_are_named_with_their_place(void **state)
{
    (void)state;
    static const int twice[] = { 1, 2, 3, 4, 5, 6, 7, 7, 2, 1, 4, 3 }, behind[] = { 1, 2, -1, 4, 5, 6, 7, 0, 2, 1, 4, 3 }, low[] = { 1, 2, 3, 4, 5, -6, 7, 0, 2, 1, 4, 3 };
    static const int dense[] = { 0, 0, 3, 4, 0, 0, 7, 0, 0, 1, 4, 3 }, nothing[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, high[] = { 1, 2, 3, 4, 5, 6, 7, 0, 2, 65535, 4, 3 };
    static const int turned[] = { 1, 2, 5, 6, 2, 1, 3, 4, 7, 0, 3, 3 };
    pack p = cube_npy("<i4", false, "(3, 2, 2)", twice, 4);
    expect_bad(&es_source_npy, &p, &ask_ids, "record 1 (byte 156): token 1, layer 1, place 1: expert 7 is listed twice");
    p = cube_npy("<i4", false, "(3, 2, 2)", behind, 4);
    expect_bad(&es_source_npy, &p, &ask_ids, "record 0 (byte 140): token 0, layer 1, place 1: expert 4 stands behind an empty place");
    p = cube_npy("<i4", false, "(3, 2, 2)", low, 4);
    expect_bad(&es_source_npy, &p, &ask_ids, "record 1 (byte 148): token 1, layer 0, place 1: -6 is neither an expert nor -1");
    p = cube_npy("<i4", false, "(3, 2, 2)", high, 4);
    expect_bad(&es_source_npy, &p, &ask_ids, "record 2 (byte 164): token 2, layer 0, place 1: expert 65535 is above 65534, the highest");
    p = cube_npy("<i4", false, "(3, 2, 2)", cube, 4);
    expect_bad(&es_source_npy, &p, &(es_source_ask){ .experts = 7 }, "record 1 (byte 152): token 1, layer 1, place 0: expert 7 is above 6, the highest");
    p = cube_npy("<i4", false, "(3, 2, 2)", dense, 4);
    expect_bad(&es_source_npy, &p, &ask_ids, "record 2 (byte 164): token 2, layer 0, place 1: expert 1, where the first token has a row of zeros");
    p = cube_npy("<i4", false, "(3, 2, 2)", nothing, 4);
    expect_bad(&es_source_npy, &p, &ask_ids, "no layer of any token lists an expert");
    p = cube_npy("<i4", false, "(2, 3, 2)", turned, 4);
    expect_bad(&es_source_npy, &p, &(es_source_ask){ .layer_first = true }, "record 2 (byte 172): token 2, layer 1, place 1: expert 3 is listed twice");
}

static void other_arrays_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct { const char *descr, *shape, *says; } bad[] = {
        { "|O", "(3,)", "Python objects (pickle)" },
        { "<f4", "(3, 2, 2)", "real numbers, not expert ids" },
        { "<c8", "(3, 2, 2)", "not of integers of 1, 2, 4 or 8 bytes" },
        { "<i2", "(3, 2, 2, 1)", "has 4 axes" },
        { "<i2", "(12,)", "has 1 axes" },
        { "<i2", "(3, 5000, 2)", "5000 layers and 2 experts in a row is too large" },
        { "<i2", "(0, 2, 2)", "holds no token" },
        { "<i2", "(3, 0, 2)", "0 layers are not 1 to 4096" },
        { "<i2", "(3, 2, 0)", "rows of 0 experts are not 1 to 1024" },
        { "<i2", "(3, -2, 2)", "is not a list of numbers" },
        { "<i2", "3", "has no 'shape' in parentheses" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pack p = cube_npy(bad[i].descr, false, bad[i].shape, cube, 2);
        expect_bad(&es_source_npy, &p, &ask_ids, bad[i].says);
    }
    pack p = cube_npy("<i2", false, "(3, 2, 2)", cube, 2);
    expect_bad(&es_source_npy, &p, &(es_source_ask){ .layers = 3 }, "the array has 2 layers and rows of 2 experts, not 3 and 2 as asked for");
    p.at[6] = 9;
    expect_bad(&es_source_npy, &p, &ask_ids, "is no .npy file of version 1 to 3");
    p.at[6] = 1;
    p.at[9] = 0xff;
    expect_bad(&es_source_npy, &p, &ask_ids, "the head has 65408 bytes, but the file ends before");
}

static void formats_know_their_own(void **state)
{
    (void)state;
    pack npy = cube_npy("<i2", false, "(3, 2, 2)", cube, 2), demand = { 0 }, six = { 0 };
    static const int uses[] = { 0, 0, 0, 7, 7, 2, 0, 0, 9, 0, 0, 1 };
    PACK(&demand, 4, 3, 2, 2);
    pack_numbers(&demand, 2, 12, cube);
    PACK(&six, 4, 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1);
    pack counts = cube_npy("<i4", false, "(1, 3, 4)", uses, 4);
    assert_int_equal(es_source_npy.sniff(npy.at, npy.length), 90);
    assert_int_equal(es_source_npy.sniff(counts.at, counts.length), 0);
    assert_int_equal(es_source_npy.sniff(demand.at, demand.length), 0);
    assert_int_equal(es_source_demand.sniff(demand.at, demand.length), 60);
    assert_int_equal(es_source_demand.sniff(six.at, six.length), 0);
    assert_int_equal(es_source_ds4.sniff(six.at, six.length), 20);
    assert_int_equal(es_source_ds4.sniff(demand.at, demand.length), 0);
    assert_int_equal(es_source_raw_int16.sniff(npy.at, npy.length), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_of_any_integer_type_loads_the_same),
        cmocka_unit_test(an_array_says_its_shape_and_what_was_assumed),
        cmocka_unit_test(an_array_of_other_byte_order_or_version_loads_the_same),
        cmocka_unit_test(layers_may_come_first_and_the_first_axis_may_be_the_fastest),
        cmocka_unit_test(two_axes_are_one_layer),
        cmocka_unit_test(minus_one_is_an_empty_place),
        cmocka_unit_test(layers_of_zeros_or_of_minus_one_are_dense),
        cmocka_unit_test(requests_stand_in_a_list_beside_the_array),
        cmocka_unit_test(a_long_array_is_read_in_windows),
        cmocka_unit_test(arrays_without_a_head_need_their_shape),
        cmocka_unit_test(demand_says_its_shape_first),
        cmocka_unit_test(a_torn_array_is_an_error_or_told),
        cmocka_unit_test(faults_of_ids_are_named_with_their_place),
        cmocka_unit_test(other_arrays_are_refused_with_the_reason),
        cmocka_unit_test(formats_know_their_own),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
