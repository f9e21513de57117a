/* What all formats share that list experts call by call: passes that are looked at as a whole, sniffing, compression. */
#include "tests/support/calls_kit.h"

/* --- long ones -------------------------------------------------------------------------------------------------------------------- */

enum { LONG_PASSES = 120, LONG_LAYERS = 3 };

/* Id of a place; five apart within a row, so that none is there twice. */
static int long_id(int pass, int layer, int i)
{
    return (7 * pass + 3 * layer + 5 * i) % 97;
}

/* Passes 40 and 80 lack a layer: the first, or the last but one; what is looked at as a whole must see it. */
static bool long_lacks(int pass, int layer)
{
    return (pass == 40 && layer == 0) || (pass == 80 && layer == 1);
}

static void long_call(pack *p, const es_source *source, int pass, int layer, int k)
{
    static const int number[LONG_LAYERS] = { 2, 3, 7 };
    int ids[16];
    for (int i = 0; i < k; i++)
        ids[i] = long_id(pass, layer, i);
    if (source == &es_source_moet)
        PACK(p, 4, number[layer], 1);
    if (source == &es_source_rtrc) {
        PACK(p, 1, 1);
        PACK(p, 4, pass);
        PACK(p, 1, number[layer]);
    }
    if (source == &es_source_ggml_fnv)
        ggml_call(p, number[layer], three, 3, (size_t)k, ids);
    for (int i = 0; i < k && source != &es_source_ggml_fnv; i++) {
        if (source == &es_source_k3_pairs)
            PACK(p, 4, number[layer]);
        PACK(p, source == &es_source_rtrc ? 1 : 4, ids[i]);
    }
}

static void passes_that_are_looked_at_as_a_whole_are_the_same(void **state)
{
    (void)state;
    const es_source *const source[] = { &es_source_moet, &es_source_k3_pairs, &es_source_rtrc, &es_source_ggml_fnv };
    static const int width[] = { 3, 8, 11 };
    for (int n = 0; n < 12; n++) {
        const es_source *one = source[n % 4];
        const int k = one == &es_source_ggml_fnv ? 3 : width[n / 4];
        pack *p = calloc(1, sizeof *p);
        es_text want = { 0 };
        size_t at90 = 0, twice = 0;
        if (one == &es_source_moet) {
            pack_bytes(p, "MOET", 4);
            PACK(p, 4, 97, k);
        }
        if (one == &es_source_rtrc) {
            pack_bytes(p, "RTRC", 4);
            PACK(p, 1, 1, 8, k, 97, 0);
        }
        for (int pass = 0; pass < LONG_PASSES; pass++) {
            es_text_add(&want, "D 0.%d(", pass);
            for (int layer = 0; layer < LONG_LAYERS; layer++) {
                es_text_add(&want, "%s%s", layer ? ";" : "", long_lacks(pass, layer) ? "-" : "");
                if (long_lacks(pass, layer))
                    continue;
                at90 = pass == 90 && layer == 1 ? p->length : at90;
                long_call(p, one, pass, layer, k);
                twice = pass == 90 && layer == 1 ? p->length : twice;
                for (int i = 0; i < k; i++)
                    es_text_add(&want, "%s%d", i ? " " : "", long_id(pass, layer, i));
            }
            es_text_add(&want, ")\n");
        }
        const es_source_ask ask = { .top_k = (uint32_t)k };
        opened o = open_pack(one, "x.bin", p, &ask);
        expect_steps(&o, want.at);
        assert_int_equal(one->info(o.self)->missing_cells, 2);
        close_source(&o);
        if (one != &es_source_ggml_fnv) {       /* the last id of layer 3 in pass 90 is that before it */
            const size_t size = one == &es_source_rtrc ? 1 : 4, step = one == &es_source_k3_pairs ? 8 : size;
            char says[96];
            memcpy(p->at + twice - size, p->at + twice - step - size, size);
            snprintf(says, sizeof says, "(byte %zu): layer 3, token 0 from here, place %d: expert %d is listed twice", at90, k - 1, long_id(90, 1, k - 2));
            expect_bad(one, p, &ask, says);
            p->at[twice - 1] = 0xff;
            snprintf(says, sizeof says, "(byte %zu): layer 3, place %d: expert ", at90, k - 1);
            expect_bad(one, p, &ask, says);
        }
        es_text_free(&want);
        free(p);
    }
}

/* --- all of them ----------------------------------------------------------------------------------------------------------------- */

static void formats_know_their_own_and_no_others(void **state)
{
    (void)state;
    const es_source *const source[] = { &es_source_moet, &es_source_rtrc, &es_source_q4rt, &es_source_k3_pairs, &es_source_fuctrace, &es_source_ggml_fnv };
    pack file[6] = { { 0 } };
    moet_talk(&file[0]);
    rtrc_talk(&file[1]);
    q4rt_two(&file[2], 2);
    pairs_talk(&file[3]);
    pack_bytes(&file[4], "FUCTRCE1", 8);
    pack_number(&file[4], 5, 4);
    pack_number(&file[4], 28, 8);
    pairs_talk(&file[4]);
    GGML(&file[5], 1, 1, 2);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            assert_int_equal(source[i]->sniff(file[j].at, file[j].length) > 0, i == j);
}

static void compressed_files_read_as_plain_ones(void **state)
{
    (void)state;
    pack p = { 0 };
    moet_talk(&p);
    gzFile file = gzopen(at("x.gz"), "wb");
    assert_int_equal(gzwrite(file, p.at, (unsigned)p.length), p.length);
    gzclose(file);
    opened o = open_good(&es_source_moet, "x.gz", &ask_ids);
    expect_steps(&o, talk);
    close_source(&o);
    pack z = { 0 };
    z.length = ZSTD_compress(z.at, sizeof z.at, p.at, p.length, 3);
    expect_trace(&es_source_moet, &z, &ask_ids, talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_that_are_looked_at_as_a_whole_are_the_same),
        cmocka_unit_test(formats_know_their_own_and_no_others),
        cmocka_unit_test(compressed_files_read_as_plain_ones),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
