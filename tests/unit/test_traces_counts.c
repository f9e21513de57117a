/* Counts of uses: the tokens that are drawn meet every count exactly, in any order; imatrix files; every fault by its words. */
#include "tests/support/bytes_kit.h"

extern const es_source es_source_counts, es_source_imatrix;

typedef struct tally_uses { uint64_t uses[4][8][16], rows[4][8], tokens; } tally_uses;   /* [request][layer][expert], [request][layer] */

/* Counts what a source gives. Rows must be full but for the last of a layer. */
static tally_uses *uses_of(opened *o)
{
    tally_uses *t = calloc(1, sizeof *t);
    const es_trace_info *info = o->source->info(o->self);
    es_err err = { 0 };
    es_tally counts = { 0 };
    good(es_trace_check(o->source, o->self, &counts, NULL, &err), &err);
    es_tally_free(&counts);
    good(o->source->rewind(o->self, &err), &err);
    for (bool more = true; more;) {
        es_step step;
        good(o->source->next(o->self, &step, &more, &err), &err);
        if (!more)
            break;
        assert_int_equal(step.tokens, 1);
        t->tokens++;
        for (uint32_t l = 0; l < info->layers; l++) {
            const uint16_t *row = step.ids + (size_t)l * info->top_k;
            t->rows[step.token->request][l] += row[0] != ES_NO_EXPERT;
            for (uint32_t i = 0; i < info->top_k && row[i] != ES_NO_EXPERT; i++)
                t->uses[step.token->request][l][row[i]]++;
        }
    }
    return t;
}

static opened open_counts(const es_source *source, const char *name, const pack *p, uint32_t top_k, int64_t tokens, int64_t seed)
{
    opened o = { .source = source };
    es_err err = { 0 };
    const es_source_ask ask = { .path = at(name), .top_k = top_k };
    char options[64];
    es_json *json = NULL;
    put_pack(name, p);
    snprintf(options, sizeof options, "{\"tokens\": %lld, \"seed\": %lld}", (long long)tokens, (long long)seed);
    o.self = es_arena_alloc(&o.arena, 1, source->part.size);
    good(es_json_parse(&json, options, strlen(options), &err), &err);
    good(es_options_parse(source->part.options, o.self, json, NULL, &o.arena, &err), &err);
    cJSON_Delete(json);
    good(source->open(o.self, &ask, &o.arena, &err), &err);
    return o;
}

/* Two layers of four experts: 20 uses each, two to a token. */
static const int even[] = { 10, 7, 2, 1, 3, 3, 4, 10 };

static void drawn_tokens_meet_every_count(void **state)
{
    (void)state;
    pack p = { 0 };
    pack_npy(&p, 1, "<i4", false, "(2, 4)");
    pack_numbers(&p, 4, 8, even);
    for (int64_t seed = 1; seed <= 20; seed++) {
        opened o = open_counts(&es_source_counts, "c.npy", &p, 2, 0, seed);
        const es_trace_info *info = es_source_counts.info(o.self);
        assert_int_equal(info->decode_tokens, 10);
        assert_int_equal(info->steps, 10);
        assert_int_equal(info->requests, 1);
        assert_int_equal(info->accesses, 40);
        assert_int_equal(info->missing_cells, 0);
        assert_int_equal(info->experts, 4);
        assert_true(info->synthetic && !info->uniform);
        assert_null(strstr(info->assumed, "different numbers of uses"));
        assert_non_null(strstr(info->assumed, "not when: tokens are drawn so that every count is met"));
        tally_uses *t = uses_of(&o);
        for (int i = 0; i < 8; i++)
            assert_int_equal(t->uses[0][i / 4][i % 4], even[i]);
        free(t);
        close_source(&o);
    }
}

static void another_seed_draws_another_order_and_the_same_seed_the_same(void **state)
{
    (void)state;
    pack p = { 0 };
    pack_npy(&p, 1, "<i4", false, "(2, 4)");
    pack_numbers(&p, 4, 8, even);
    char *text[3];
    for (int i = 0; i < 3; i++) {
        opened o = open_counts(&es_source_counts, "c.npy", &p, 2, 0, i == 2 ? 8 : 7);
        text[i] = source_text(o.source, o.self);
        close_source(&o);
    }
    assert_string_equal(text[0], text[1]);
    assert_string_not_equal(text[0], text[2]);
    for (int i = 0; i < 3; i++)
        free(text[i]);
}

/* An MoE-Infinity store: a sequence, a free slot, a sequence with a dense layer and a layer that fewer tokens reach. */
static void sets_are_requests_and_empty_ones_are_left_out(void **state)
{
    (void)state;
    static const float sets[] = { 3, 3, 2, 0, 0, 0, 0, 0, 1, 1, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   1, 2, 3, 2, 0, 0, 0, 0, 2, 1, 0, 1 };
    pack p = { 0 };
    pack_npy(&p, 1, "<f4", false, "(3, 3, 4)");
    pack_bytes(&p, sets, sizeof sets);
    opened o = open_counts(&es_source_counts, "c.npy", &p, 2, 0, 1);
    const es_trace_info *info = es_source_counts.info(o.self);
    assert_int_equal(info->requests, 2);
    assert_int_equal(info->layers, 2);
    assert_int_equal(info->layer_number[1], 2);
    assert_int_equal(info->decode_tokens, 8);
    assert_int_equal(info->missing_cells, 3 + 2);
    assert_non_null(strstr(info->assumed, "1 of 3 sets of counts are all zeros"));
    assert_non_null(strstr(info->assumed, "1 of 3 layers were never used"));
    assert_non_null(strstr(info->assumed, "5 of 16 rows (token, layer) are missing and 10 of 32 places in rows stay empty; the first is layer 2 of set 0 with 2 uses, where 4 tokens have 8"));
    tally_uses *t = uses_of(&o);
    for (int e = 0; e < 4; e++) {
        assert_int_equal(t->uses[0][0][e], (int)sets[e]);
        assert_int_equal(t->uses[0][1][e], (int)sets[8 + e]);
        assert_int_equal(t->uses[1][0][e], (int)sets[24 + e]);
        assert_int_equal(t->uses[1][1][e], (int)sets[32 + e]);
    }
    assert_int_equal(t->rows[0][1], 1);
    assert_int_equal(t->rows[1][1], 2);
    free(t);
    close_source(&o);
}

static void shares_are_scaled_to_tokens(void **state)
{
    (void)state;
    static const double share[] = { 0.5, 0.3, 0.15, 0.05, 0.97, 0.01, 0.01, 0.01 };
    pack p = { 0 };
    pack_npy(&p, 2, "<f8", false, "(2, 4)");
    pack_bytes(&p, share, sizeof share);
    opened o = open_counts(&es_source_counts, "c.npy", &p, 2, 1000, 1);
    assert_int_equal(es_source_counts.info(o.self)->decode_tokens, 1000);
    assert_non_null(strstr(es_source_counts.info(o.self)->assumed, "scaled to 1000 tokens"));
    tally_uses *t = uses_of(&o);
    static const int want[] = { 1000, 600, 300, 100, 1000, 333, 334, 333 };     /* no expert more than once in a token */
    for (int i = 0; i < 8; i++)
        if (llabs((long long)t->uses[0][i / 4][i % 4] - want[i]) > 1)
            fail_msg("expert %d of layer %d was used %llu times, not %d", i % 4, i / 4, (unsigned long long)t->uses[0][i / 4][i % 4], want[i]);
    free(t);
    close_source(&o);
    o = open_counts(&es_source_counts, "c.npy", &p, 2, 0, 1);
    assert_int_equal(es_source_counts.info(o.self)->decode_tokens, 1024);
    close_source(&o);
}

static void counts_of_other_types_and_orders_are_the_same(void **state)
{
    (void)state;
    static const int fortran[] = { 10, 3, 7, 3, 2, 4, 1, 10 };
    pack half = { 0 }, turned = { 0 }, big = { 0 };
    pack_npy(&half, 1, "<f2", false, "(2, 4)");
    PACK(&half, 2, 0x4900, 0x4700, 0x4000, 0x3c00, 0x4200, 0x4200, 0x4400, 0x4900);
    pack_npy(&turned, 1, "<i8", true, "(2, 4)");
    pack_numbers(&turned, 8, 8, fortran);
    pack_npy(&big, 1, ">u2", false, "(2, 4)");
    for (int i = 0; i < 8; i++)
        PACK(&big, 1, 0, even[i]);
    const pack *const all[] = { &half, &turned, &big };
    for (int a = 0; a < 3; a++) {
        opened o = open_counts(&es_source_counts, "c.npy", all[a], 2, 0, 1);
        tally_uses *t = uses_of(&o);
        for (int i = 0; i < 8; i++)
            assert_int_equal(t->uses[0][i / 4][i % 4], even[i]);
        free(t);
        close_source(&o);
    }
}

static void faults_of_counts_are_named(void **state)
{
    (void)state;
    static const struct { const char *descr, *shape; int first; uint32_t top_k; const char *says; } bad[] = {
        { "<i4", "(2, 4)", 10, 0, "counts do not say how many experts a token uses; --top-k must" },
        { "<i4", "(2, 4)", 10, 5, "from 1 to the 4 that there are" },
        { "<i4", "(2, 4)", 11, 2, NULL },
        { "<i4", "(2, 4)", 90, 2, "set 0, layer 0: an expert was used 90 times, but 100 uses with 2 to a token are of 50 tokens only; is top-k right?" },
        { "<i4", "(2, 4)", -1, 2, "record 0 (byte 128): layer 0, expert 0: -1 is no number of uses" },
        { "<i4", "(8,)", 10, 2, "has 1 axes, where layers and experts are expected" },
        { "<c8", "(2, 4)", 10, 2, "which these are not" },
        { "<i4", "(3, 4)", 10, 2, "ends at byte 160, 16 bytes early" },
        { "<i4", "(1, 4)", 10, 2, "record 1 (byte 144): bytes follow the counts" },
        { "<i4", "(0, 4)", 10, 2, "counts of 0 layers and 4 experts" },
        { "<i4", "(2, 70000)", 10, 2, "70000 experts are not of 1 to" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pack p = { 0 };
        es_err err = { 0 };
        uint64_t tokens;
        pack_npy(&p, 1, bad[i].descr, false, bad[i].shape);
        pack_number(&p, bad[i].first, 4);
        pack_numbers(&p, 4, 7, even + 1);
        put_pack("bad", &p);
        es_code code = read_all(&es_source_counts, "bad", &(es_source_ask){ .top_k = bad[i].top_k }, &tokens, &err);
        if (bad[i].says)
            expect_fault(code, &err, bad[i].says);
        else
            good(code, &err);
    }
    pack none = { 0 };
    pack_npy(&none, 1, "<i4", false, "(2, 4)");
    for (int i = 0; i < 8; i++)
        pack_number(&none, 0, 4);
    expect_bad(&es_source_counts, &none, &(es_source_ask){ .top_k = 2 }, "no expert was ever used");
    pack many = { 0 };
    pack_npy(&many, 1, "<i8", false, "(1, 2)");
    pack_number(&many, 4000000000, 8);
    pack_number(&many, 4000000000, 8);
    expect_bad(&es_source_counts, &many, &(es_source_ask){ .top_k = 2 }, "its counts are of more than 4294967296 uses, which nobody would wait for; the option tokens");
    pack whole = { 0 };
    pack_npy(&whole, 1, "<i4", false, "(2, 4)");
    pack_numbers(&whole, 4, 8, even);
    for (size_t length = 0; length < whole.length; length++) {
        pack cut = whole;
        cut.length = length;
        expect_bad(&es_source_counts, &cut, &(es_source_ask){ .top_k = 2, .lenient = true }, "bad: ");
    }
}

static void counts_are_known_from_ids(void **state)
{
    (void)state;
    static const int uses[] = { 0, 0, 0, 7, 7, 2, 0, 0 };
    pack real = { 0 }, two = { 0 }, three = { 0 }, ids = { 0 };
    pack_npy(&real, 1, "<f4", false, "(3, 2, 4)");
    pack_npy(&two, 1, "<i8", false, "(2, 4)");
    pack_npy(&three, 1, "<i4", false, "(1, 2, 4)");
    pack_numbers(&three, 4, 8, uses);
    pack_npy(&ids, 1, "<i4", false, "(2, 2, 2)");
    pack_numbers(&ids, 4, 8, (const int[]){ 1, 2, 3, 4, 5, 6, 7, 0 });
    assert_int_equal(es_source_counts.sniff(real.at, real.length), 80);
    assert_int_equal(es_source_counts.sniff(two.at, two.length), 60);
    assert_int_equal(es_source_counts.sniff(three.at, three.length), 70);
    assert_int_equal(es_source_counts.sniff(ids.at, ids.length), 0);
}

/* --- imatrix -------------------------------------------------------------------------------------------------------------------- */

static void gguf_text_of(pack *p, const char *text)
{
    pack_number(p, (int64_t)strlen(text), 8);
    pack_bytes(p, text, strlen(text));
}

/* A tensor of 32-bit floats that is to come behind `*data` bytes of others. */
static void gguf_tensor_of(pack *p, const char *matrix, const char *what, int inputs, int count, int *data)
{
    char name[64];
    snprintf(name, sizeof name, "%s.weight.%s", matrix, what);
    gguf_text_of(p, name);
    pack_number(p, 2, 4);
    pack_number(p, inputs, 8);
    pack_number(p, count, 8);
    pack_number(p, 0, 4);
    pack_number(p, *data, 8);
    *data += (inputs * count * 4 + 31) / 32 * 32;
}

static void gguf_floats(pack *p, int count, float first, float step)
{
    for (int i = 0; i < count; i++, first += step)
        pack_bytes(p, &first, sizeof first);
    while (p->length % 32 != 0)
        pack_number(p, 0, 1);
}

enum { IMATRIX_INPUTS = 3, IMATRIX_MATRICES = 8 };

typedef struct imatrix_matrix { const char *name; int experts; const int *counts; } imatrix_matrix;     /* experts 1: a dense one, which has one count */

static const int dense_tokens[] = { 10 };
static const imatrix_matrix imatrix_matrices[IMATRIX_MATRICES] = {
    { "blk.0.attn_q", 1, dense_tokens }, { "blk.0.ffn_down", 1, dense_tokens }, { "blk.1.ffn_down_exps", 4, even }, { "blk.1.ffn_gate_inp", 1, dense_tokens },
    { "blk.1.ffn_up_exps", 4, even }, { "blk.1.ffn_up_shexp", 1, dense_tokens }, { "blk.3.ffn_down_exps", 4, even + 4 }, { "blk.3.ffn_up_exps", 4, NULL },
};

/* As llama-imatrix writes it: for every matrix, by name, in_sum2 of [inputs, experts] and counts of [1, experts], and of some in_sum. Ten tokens, experts in layers 1
 * and 3. `chunk`: tokens of the one chunk; `other`: counts of the last matrix. */
static void imatrix_of(pack *p, int chunk, const float other[4])
{
    int data = 0;
    pack_bytes(p, "GGUF", 4);
    pack_number(p, 3, 4);
    pack_number(p, 2 * IMATRIX_MATRICES + 1, 8);
    pack_number(p, 4, 8);
    gguf_text_of(p, "general.type");
    pack_number(p, 8, 4);
    gguf_text_of(p, "imatrix");
    gguf_text_of(p, "imatrix.datasets");
    pack_number(p, 9, 4);
    pack_number(p, 8, 4);
    pack_number(p, 1, 8);
    gguf_text_of(p, "wiki");
    gguf_text_of(p, "imatrix.chunk_count");
    pack_number(p, 4, 4);
    pack_number(p, 1, 4);
    gguf_text_of(p, "imatrix.chunk_size");
    pack_number(p, 4, 4);
    pack_number(p, chunk, 4);
    for (int i = 0; i < IMATRIX_MATRICES; i++) {
        const imatrix_matrix *m = &imatrix_matrices[i];
        gguf_tensor_of(p, m->name, "in_sum2", IMATRIX_INPUTS, m->experts, &data);
        gguf_tensor_of(p, m->name, "counts", 1, m->experts, &data);
        if (i == 2)
            gguf_tensor_of(p, m->name, "in_sum", IMATRIX_INPUTS, m->experts, &data);
    }
    while (p->length % 32 != 0)
        pack_number(p, 0, 1);
    for (int i = 0; i < IMATRIX_MATRICES; i++) {
        const imatrix_matrix *m = &imatrix_matrices[i];
        float counts[4];
        gguf_floats(p, IMATRIX_INPUTS * m->experts, 0.25f, 1.5f);
        for (int e = 0; e < m->experts; e++)
            counts[e] = m->counts ? (float)m->counts[e] : other[e];
        pack_bytes(p, counts, (size_t)m->experts * sizeof *counts);
        gguf_floats(p, 0, 0.0f, 0.0f);
        if (i == 2)
            gguf_floats(p, IMATRIX_INPUTS * m->experts, -3.0f, 0.5f);
    }
}

static void an_importance_matrix_has_the_tokens_of_each_expert(void **state)
{
    (void)state;
    static const float same[] = { 3, 3, 4, 10 };
    pack p = { 0 };
    imatrix_of(&p, 10, same);
    opened o = open_counts(&es_source_imatrix, "x.gguf", &p, 0, 0, 1);
    const es_trace_info *info = es_source_imatrix.info(o.self);
    assert_int_equal(info->layers, 2);
    assert_int_equal(info->layer_number[0], 1);
    assert_int_equal(info->layer_number[1], 3);
    assert_int_equal(info->top_k, 2);
    assert_int_equal(info->decode_tokens, 10);
    assert_non_null(strstr(info->assumed, "a token uses 2 experts: 20 uses of a layer in 10 tokens"));
    tally_uses *t = uses_of(&o);
    for (int i = 0; i < 8; i++)
        assert_int_equal(t->uses[0][i / 4][i % 4], even[i]);
    free(t);
    close_source(&o);
    assert_int_equal(es_source_imatrix.sniff(p.at, p.length), 70);
}

static void faults_of_an_importance_matrix_are_named(void **state)
{
    (void)state;
    static const float same[] = { 3, 3, 4, 10 }, other[] = { 3, 3, 5, 9 }, less[] = { 3, 3, -4, 10 };
    pack p = { 0 }, q = { 0 }, r = { 0 }, m = { 0 }, full = { 0 };
    imatrix_of(&p, 7, same);
    expect_bad(&es_source_imatrix, &p, &ask_ids, "20 uses in 7 tokens are 2.857 in each, no whole number; --top-k must say");
    imatrix_of(&full, 1, same);
    expect_bad(&es_source_imatrix, &full, &ask_ids, "20 uses of a layer in 1 tokens are 20 in each, but the layer has 4 experts");
    imatrix_of(&q, 10, other);
    expect_bad(&es_source_imatrix, &q, &ask_ids, "tensor blk.3.ffn_up_exps.weight.counts: expert 2 has 5 tokens, but 4 in another matrix");
    imatrix_of(&r, 10, less);
    expect_bad(&es_source_imatrix, &r, &ask_ids, "expert 2: -4 is no number of tokens");
    pack_bytes(&m, "GGUF", 4);
    pack_number(&m, 3, 4);
    pack_number(&m, 0, 8);
    pack_number(&m, 0, 8);
    expect_bad(&es_source_imatrix, &m, &ask_ids, "has no tensor blk.N.ffn_*_exps.weight.counts");
    m.at[4] = 9;
    expect_bad(&es_source_imatrix, &m, &ask_ids, "GGUF version 9 is not 2 or 3");
    pack whole = { 0 };
    imatrix_of(&whole, 10, same);
    for (size_t length = 0; length < whole.length - 16; length++) {      /* the last counts, and padding behind them */
        pack cut = whole;
        cut.length = length;
        expect_bad(&es_source_imatrix, &cut, &ask_ids, "bad: ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawn_tokens_meet_every_count),
        cmocka_unit_test(another_seed_draws_another_order_and_the_same_seed_the_same),
        cmocka_unit_test(sets_are_requests_and_empty_ones_are_left_out),
        cmocka_unit_test(shares_are_scaled_to_tokens),
        cmocka_unit_test(counts_of_other_types_and_orders_are_the_same),
        cmocka_unit_test(faults_of_counts_are_named),
        cmocka_unit_test(counts_are_known_from_ids),
        cmocka_unit_test(an_importance_matrix_has_the_tokens_of_each_expert),
        cmocka_unit_test(faults_of_an_importance_matrix_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
