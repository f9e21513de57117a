/* One routing in every binary format: all samples load equal, id by id, and as route_trace v1 has it. */
#include "sim/study/feed.h"
#include "tests/support/bytes_kit.h"

extern const es_source es_source_npy, es_source_raw_int32, es_source_ds4, es_source_demand, es_source_moet, es_source_rtrc, es_source_q4rt, es_source_k3_pairs, es_source_fuctrace,
    es_source_ggml_fnv;

static char *sample_text(const es_source *source, const char *name, bool decode_only, uint64_t *accesses)
{
    char path[4096];
    opened o;
    es_err err = { 0 };
    const es_source_ask ask = { .layers = source == &es_source_ds4 || source == &es_source_raw_int32 ? 30 : 0, .top_k = source == &es_source_raw_int32 ? 6 : 0 };
    snprintf(path, sizeof path, "%s/formats/%s", getenv("EXPERTSIM_TRACES"), name);
    good(open_source(&o, source, path, &ask, &err), &err);
    const es_trace_info *info = source->info(o.self);
    assert_int_equal(info->layers, 30);
    assert_int_equal(info->layer_number[29], 29);
    assert_int_equal(info->experts, 128);
    assert_int_equal(info->top_k, 6);
    assert_int_equal(info->decode_tokens, 6);
    assert_int_equal(info->missing_cells, 0);
    *accesses = info->accesses;
    /* positions of generated tokens follow the prompt where there is one, so steps are compared without them */
    es_text out = { 0 };
    for (bool more = true; more;) {
        es_step step;
        good(source->next(o.self, &step, &more, &err), &err);
        if (!more || (decode_only && step.token[0].phase == ES_PREFILL))
            continue;
        es_text_add(&out, "%u:", step.tokens);
        for (size_t i = 0; i < (size_t)step.tokens * info->layers * info->top_k; i++)
            es_text_add(&out, " %u", step.ids[i]);
        es_text_add(&out, "\n");
    }
    close_source(&o);
    return out.at;
}

static void all_samples_of_one_routing_load_equal(void **state)
{
    (void)state;
    static const struct { const es_source *source; const char *name; bool prompt; } sample[] = {
        { &es_source_moet, "moet.trace", true }, { &es_source_rtrc, "rtrc.bin", true }, { &es_source_k3_pairs, "k3_pairs.bin", true }, { &es_source_fuctrace, "fuctrce1.bin", true },
        { &es_source_npy, "routing.npy", false }, { &es_source_ds4, "ds4.ids.bin", false }, { &es_source_raw_int32, "ds4.ids.bin", false },
        { &es_source_demand, "demand_u32hdr_u16.bin", false }, { &es_source_q4rt, "q4rt.bin", false }, { &es_source_ggml_fnv, "ggml_moe_trace_fnv.bin", false },
    };
    char path[4096];
    const char *traces = getenv("EXPERTSIM_TRACES");
    snprintf(path, sizeof path, "%s/formats", traces ? traces : "");
    if (!traces || access(path, R_OK) != 0)
        skip();
    uint64_t accesses;
    char *all = sample_text(&es_source_route_trace, "bigmoeonedge.route.csv", false, &accesses), *decode = sample_text(&es_source_route_trace, "bigmoeonedge.route.csv", true, &accesses);
    assert_non_null(strstr(decode, "1: 33 50 68 7 126 102 "));
    for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        char *is = sample_text(sample[i].source, sample[i].name, false, &accesses);
        assert_int_equal(accesses, sample[i].prompt ? 2160 : 1080);
        if (strcmp(is, sample[i].prompt ? all : decode) != 0)
            fail_msg("%s as %s is not the routing of the others", sample[i].name, sample[i].source->part.name);
        free(is);
    }
    free(all);
    free(decode);
}

/* By content, not by name: each of the ten that has a mark of its own is known, and no two formats claim it alike. */
static void samples_are_known_by_their_content(void **state)
{
    (void)state;
    static const struct { const char *name, *format; } sample[] = {
        { "moet.trace", "moet" }, { "rtrc.bin", "rtrc" }, { "k3_pairs.bin", "k3_pairs" }, { "fuctrce1.bin", "fuctrace" }, { "routing.npy", "npy" }, { "ds4.ids.bin", "ds4" },
        { "demand_u32hdr_u16.bin", "demand" }, { "q4rt.bin", "q4rt" }, { "ggml_moe_trace_fnv.bin", "ggml_fnv" },
    };
    for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        char path[4096];
        es_err err = { 0 };
        const es_source *found = NULL;
        snprintf(path, sizeof path, "%s/formats/%s", getenv("EXPERTSIM_TRACES") ? getenv("EXPERTSIM_TRACES") : "", sample[i].name);
        if (access(path, R_OK) != 0)
            skip();
        good(es_feed_find(NULL, path, NULL, &found, &err), &err);
        assert_string_equal(found->part.name, sample[i].format);
    }
}

/* Two formats that are equally sure of a file are named, and neither is taken; one that is surer is. */
static int sure_40(const unsigned char *head, size_t length)
{
    return length > 0 && head[0] == 'x' ? 40 : 0;
}

static int sure_60(const unsigned char *head, size_t length)
{
    return length > 1 && head[0] == 'x' && head[1] == 'y' ? 60 : 0;
}

static void formats_that_are_equally_sure_are_named(void **state)
{
    (void)state;
    static const es_source one = { .part = { .abi = ES_ABI, .name = "one" }, .sniff = sure_40 }, two = { .part = { .abi = ES_ABI, .name = "two" }, .sniff = sure_40 },
        surer = { .part = { .abi = ES_ABI, .name = "surer" }, .sniff = sure_60 };
    const es_plugin_entry entries[] = { { ES_KIND_SOURCE, &one.part }, { ES_KIND_SOURCE, &two.part }, { ES_KIND_SOURCE, &surer.part } };
    const es_plugin plugin = { ES_ABI, entries, 3 }, *list[] = { &plugin };
    const es_plugins plugins = { NULL, list, 1 };
    const es_source *found = NULL;
    es_err err = { 0 };
    put_bytes("x", "x!", 2);
    expect_fault(es_feed_find(&plugins, at("x"), NULL, &found, &err), &err, "x: could be one or two; --as or trace.format says which");
    put_bytes("x", "xy", 2);
    good(es_feed_find(&plugins, at("x"), NULL, &found, &err), &err);
    assert_string_equal(found->part.name, "surer");
    good(es_feed_find(&plugins, at("x"), "two", &found, &err), &err);
    assert_string_equal(found->part.name, "two");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_samples_of_one_routing_load_equal),
        cmocka_unit_test(samples_are_known_by_their_content),
        cmocka_unit_test(formats_that_are_equally_sure_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
