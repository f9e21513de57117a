/* Native traces: round trips that lose nothing, and files that lie. */
#include "tests/support/trace_kit.h"

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
    put("route.csv", ROUTE_HEAD ROUTE_SIZES ROUTE_COLUMNS "\n0,0,0,1,0,5,0.7,0,20\n0,0,0,1,1,6,nan,1,0\n0,1,1,2,0,0,0.5,0,30\n0,1,1,2,1,3,0.5,0,30\n");
    to_native(&es_source_route_trace, "route.csv", "route.h5");
    opened o = open_good(&es_source_native, "route.h5", &ask_all);
    const es_trace_info *info = es_source_native.info(o.self);
    expect_steps(&o, "P 0.0(5 6;-)\nD 0.1(-;0 3)\n");
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
    expect_fault(open_source(&o, &es_source_native, at("lie.h5"), &ask_all, &err), &err, "lie.h5: cannot open as HDF5: the file is cut, it has 5000 of ");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
