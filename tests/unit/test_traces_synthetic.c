/* Synthetic traces have the statistics that were asked for; recorded ones have what their README says. */
#include "tests/support/trace_kit.h"

/* --- synthetic ------------------------------------------------------------------------------------------------------------------ */

/* Mean number of experts that two neighbouring tokens of a layer share, and uses of each expert of layer 0. */
static double overlap(const char *options, unsigned uses[64])
{
    opened o;
    es_err err = { 0 };
    es_tally counts;
    good(open_synthetic(&o, options, &err), &err);
    good(es_trace_check(&es_source_synthetic, o.self, &counts, NULL, &err), &err);
    const es_trace_info *info = es_source_synthetic.info(o.self);
    uint16_t before[4096];
    uint64_t shared = 0, rows = 0;
    memset(uses, 0, 64 * sizeof *uses);
    good(es_source_synthetic.rewind(o.self, &err), &err);
    for (bool more = true; more;) {
        es_step step;
        good(es_source_synthetic.next(o.self, &step, &more, &err), &err);
        if (!more)
            break;
        uint32_t k = info->top_k, cells = info->layers * k;
        for (uint32_t i = 0; i < k; i++)
            uses[step.ids[i]]++;
        for (uint32_t i = 0; rows > 0 && i < cells; i++)
            for (uint32_t j = i / k * k; j < i / k * k + k; j++)
                shared += step.ids[i] == before[j];
        memcpy(before, step.ids, cells * sizeof *before);
        rows++;
    }
    double mean = (double)shared / (double)((rows - 1) * info->layers);
    close_source(&o);
    return mean;
}

#define SMALL "\"layers\": 4, \"experts\": 64, \"top_k\": 4, \"decode_tokens\": 2000"

static void reuse_makes_neighbours_alike_and_leaves_popularity(void **state)
{
    (void)state;
    unsigned none[64], half[64], most[64];
    static const char *const sampler[] = { "zipf_ar", "markov" };
    for (int i = 0; i < 2; i++) {
        char options[3][256];
        snprintf(options[0], sizeof options[0], "{" SMALL ", \"sampler\": \"%s\", \"reuse\": 0}", sampler[i]);
        snprintf(options[1], sizeof options[1], "{" SMALL ", \"sampler\": \"%s\", \"reuse\": 0.5}", sampler[i]);
        snprintf(options[2], sizeof options[2], "{" SMALL ", \"sampler\": \"%s\", \"reuse\": 0.9}", sampler[i]);
        double a = overlap(options[0], none), b = overlap(options[1], half), c = overlap(options[2], most);
        assert_true(a + 0.5 < b && b + 0.5 < c && c < 4.0);
    }
    unsigned first = 0, second = 0;
    overlap("{" SMALL ", \"reuse\": 0}", none);
    overlap("{" SMALL ", \"reuse\": 0.5}", half);
    for (int i = 0; i < 64; i++) {
        first = none[i] > first ? none[i] : first;
        second = half[i] > second ? half[i] : second;
    }
    assert_true(fabs((double)first - (double)second) < 0.1 * first);    /* the favourite is as popular as before */
}

static void uniform_uses_all_experts_alike(void **state)
{
    (void)state;
    unsigned uses[64];
    double shared = overlap("{" SMALL ", \"sampler\": \"uniform\"}", uses);
    assert_true(fabs(shared - 4.0 * 4.0 / 64.0) < 0.03);
    for (int i = 0; i < 64; i++)
        assert_in_range(uses[i], 125 - 50, 125 + 50);
    opened o;
    es_err err = { 0 };
    good(open_synthetic(&o, "{\"sampler\": \"uniform\"}", &err), &err);
    assert_true(es_source_synthetic.info(o.self)->uniform);
    close_source(&o);
}

static void an_episode_stays_in_its_working_set(void **state)
{
    (void)state;
    unsigned uses[64];
    unsigned distinct = 0;
    overlap("{\"layers\": 2, \"experts\": 64, \"top_k\": 4, \"decode_tokens\": 500, \"sampler\": \"episode\", \"working_set\": 10, \"reuse\": 0.3}", uses);
    for (int i = 0; i < 64; i++)
        distinct += uses[i] > 0;
    assert_int_equal(distinct, 10);
    distinct = 0;
    overlap("{\"layers\": 2, \"experts\": 64, \"top_k\": 4, \"decode_tokens\": 500, \"sampler\": \"episode\", \"working_set\": 10, \"topic_length\": 50}", uses);
    for (int i = 0; i < 64; i++)
        distinct += uses[i] > 0;
    assert_true(distinct > 20);
}

/* --- repeat, strata: their laws are known exactly ------------------------------------------------------------------------------------ */

typedef struct law {
    uint32_t layers, k;
    uint64_t rows;
    double uses[2][128];        /* of layers 0 and 1, any place in the row */
    double above, before;       /* rows of layer 1 like layer 0's of the token; rows of layer 0 like the token before's: first places */
    double pair[20][20];        /* the first two places of layer 0 */
} law;

static void law_read(law *l, const char *options)
{
    opened o;
    es_err err = { 0 };
    good(open_synthetic(&o, options, &err), &err);
    const es_trace_info *info = es_source_synthetic.info(o.self);
    *l = (law){ .layers = info->layers, .k = info->top_k };
    uint32_t last = UINT32_MAX;
    for (bool more = true; more;) {
        es_step step;
        good(es_source_synthetic.next(o.self, &step, &more, &err), &err);
        if (!more)
            break;
        const uint16_t *row = step.ids;
        for (uint32_t i = 0; i < l->k * (l->layers > 1 ? 2 : 1); i++)
            l->uses[i / l->k][row[i]]++;
        l->above += l->layers > 1 && row[l->k] == row[0];
        l->before += row[0] == last;
        last = row[0];
        if (l->k > 1 && row[0] < 20 && row[1] < 20)
            l->pair[row[0] < row[1] ? row[0] : row[1]][row[0] < row[1] ? row[1] : row[0]]++;
        l->rows++;
    }
    close_source(&o);
}

/* Pearson's statistic of counts that should be equal. */
static double chi_square(const double *count, uint32_t from, uint32_t to)
{
    double sum = 0.0, statistic = 0.0;
    for (uint32_t i = from; i < to; i++)
        sum += count[i];
    double mean = sum / (to - from);
    for (uint32_t i = from; i < to; i++)
        statistic += (count[i] - mean) * (count[i] - mean) / mean;
    return statistic;
}

#define REPEAT "{\"sampler\": \"repeat\", \"experts\": 128, \"top_k\": 1, \"skew\": [0], \"cross_layer\": 0.3, "

static void repeat_follows_the_layer_before_then_the_token_before(void **state)
{
    (void)state;
    law l;
    law_read(&l, REPEAT "\"layers\": 2, \"decode_tokens\": 60000, \"reuse\": 0.2}");
    /* Layer 0 repeats with .2 and by chance. Layer 1 is like it with c = .3 + .7 (.2 (.2 c + .8/128) + .8/128). Bounds: four deviations. */
    double n = (double)l.rows, before = 0.2 + 0.8 / 128, c = (0.3 + 0.7 * (0.2 * 0.8 / 128 + 0.8 / 128)) / (1.0 - 0.7 * 0.2 * 0.2);
    assert_true(fabs(l.before / n - before) < 4.0 * sqrt(before * (1.0 - before) / n));
    assert_true(fabs(l.above / n - c) < 4.0 * sqrt(c * (1.0 - c) / n));
    /* Popularity stays equal; a repeat with .2 makes counts 1.2/.8 times as uneven. 127 degrees of freedom, five deviations. */
    assert_true(chi_square(l.uses[0], 0, 128) < 1.5 * (127.0 + 5.0 * sqrt(254.0)));
    assert_true(chi_square(l.uses[1], 0, 128) < 1.5 * (127.0 + 5.0 * sqrt(254.0)));
}

static void repeat_without_reuse_knows_only_the_layer_before(void **state)
{
    (void)state;
    law l;
    law_read(&l, REPEAT "\"layers\": 2, \"decode_tokens\": 60000}");
    double n = (double)l.rows, above = 0.3 + 0.7 / 128, before = 1.0 / 128;
    assert_true(fabs(l.above / n - above) < 4.0 * sqrt(above * (1.0 - above) / n));
    assert_true(fabs(l.before / n - before) < 4.0 * sqrt(before * (1.0 - before) / n));
    assert_true(chi_square(l.uses[0], 0, 128) < 127.0 + 5.0 * sqrt(254.0));
    assert_true(chi_square(l.uses[1], 0, 128) < 127.0 + 5.0 * sqrt(254.0));
}

static void repeat_never_lists_an_expert_twice(void **state)
{
    (void)state;
    opened o;
    es_err err = { 0 };
    es_tally counts;
    good(open_synthetic(&o, "{\"sampler\": \"repeat\", \"layers\": 3, \"experts\": 5, \"top_k\": 4, \"cross_layer\": 0.6, \"reuse\": 0.6}", &err), &err);
    good(es_trace_check(&es_source_synthetic, o.self, &counts, NULL, &err), &err);
    close_source(&o);
}

/* Of two samples of the Zipf law with exponent 1.5 one is more than nine times the other in .315 of all cases (summed over the law);
 * of two ranks never. */
static void sampled_weights_are_samples_of_the_zipf_law(void **state)
{
    (void)state;
    unsigned uneven = 0, seeds = 400;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        char options[256];
        law l;
        snprintf(options, sizeof options, "{\"sampler\": \"repeat\", \"experts\": 2, \"top_k\": 1, \"layers\": 1, \"decode_tokens\": 1000, "
            "\"popularity\": \"sampled\", \"skew\": [1.5], \"seed\": %u}", seed);
        law_read(&l, options);
        uneven += l.uses[0][0] > 900 || l.uses[0][1] > 900;
    }
    assert_true(fabs(uneven / (double)seeds - 0.315) < 4.0 * sqrt(0.315 * 0.685 / seeds));
}

static void strata_take_so_many_of_each(void **state)
{
    (void)state;
    law l;
    law_read(&l, "{\"sampler\": \"strata\", \"layers\": 1, \"experts\": 60, \"top_k\": 4, \"decode_tokens\": 40000}");
    static const uint32_t edge[] = { 0, 20, 50, 60 }, picks[] = { 2, 1, 1 };
    for (int i = 0; i < 3; i++) {
        double sum = 0.0, df = edge[i + 1] - edge[i] - 1;
        for (uint32_t e = edge[i]; e < edge[i + 1]; e++)
            sum += l.uses[0][e];
        assert_true(sum == 40000.0 * picks[i]);                 /* of every row, so exactly */
        assert_true(chi_square(l.uses[0], edge[i], edge[i + 1]) < df + 5.0 * sqrt(2.0 * df));
    }
    double pairs[190];
    uint32_t n = 0;
    for (uint32_t a = 0; a < 20; a++)
        for (uint32_t b = a + 1; b < 20; b++)
            pairs[n++] = l.pair[a][b];
    assert_true(chi_square(pairs, 0, 190) < 189.0 + 5.0 * sqrt(2.0 * 189.0));
    assert_true(fabs(l.before / 40000.0 - 1.0 / 20) < 4.0 * sqrt(0.05 * 0.95 / 40000.0));      /* no memory */
}

static void counts_give_the_popularity_and_zero_is_never_used(void **state)
{
    (void)state;
    unsigned uses[64];
    overlap("{\"layers\": 2, \"experts\": 4, \"top_k\": 1, \"decode_tokens\": 4000, \"counts\": [[0, 300, 100, 0], [1, 1, 1, 1]]}", uses);
    assert_int_equal(uses[0] + uses[3], 0);
    assert_in_range(uses[1], 2850, 3150);
}

static void a_longer_trace_begins_like_a_shorter_one(void **state)
{
    (void)state;
    static const char *const sampler[] = { "zipf_ar", "uniform", "episode", "markov", "repeat", "strata" };
    for (int i = 0; i < 6; i++) {
        char options[256];
        char *text[2];
        for (int j = 0; j < 2; j++) {
            opened o;
            es_err err = { 0 };
            snprintf(options, sizeof options, "{\"layers\": 3, \"experts\": 16, \"top_k\": 2, \"prompt_tokens\": 3, \"decode_tokens\": %d, \"sampler\": \"%s\", \"reuse\": 0.4, "
                "\"topics\": 3, \"topic_length\": 4, \"cross_layer\": 0.3, \"strata\": [6, 10], \"picks\": [1, 1]}", j ? 40 : 20, sampler[i]);
            good(open_synthetic(&o, options, &err), &err);
            text[j] = source_text(&es_source_synthetic, o.self);
            char *again = source_text(&es_source_synthetic, o.self);
            assert_string_equal(text[j], again);
            free(again);
            close_source(&o);
        }
        assert_memory_equal(text[0], text[1], strlen(text[0]));
        free(text[0]);
        free(text[1]);
    }
}

/* The same on every compiler and at every optimisation level: golden digests of the content. */
static void generated_traces_are_the_same_everywhere(void **state)
{
    static const struct { const char *sampler, *hex; } golden[] = {
        { "zipf_ar", "4a4874df8f489b5b7a36737d745c9b1f0aa1d357497c14bdb68f8667201e412f" }, { "uniform", "812579caa263da7b041cfb7a87c6b0fb440e29959640c224c506ce24472a3bd0" }, { "episode", "90d1ead700625f39db013e0c6e53afc776722409e349197ea31b99a08b004b6e" }, { "markov", "9962f5484ec43c3014da9ead10d2b402fc16f24883386445f9591bf08f7c5844" },
        { "repeat", "1d883c4b3c141ae545e8a2b182b30a85663a2c5e451fdc420e0d0e73321fe975" }, { "strata", "c586ef69f6064699358adc3cef309f10809d4457522a9bcd4753e568bdd77235" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        opened o;
        es_err err = { 0 };
        char options[384], hex[65];
        snprintf(options, sizeof options, "{\"layers\": 5, \"experts\": 40, \"top_k\": 6, \"requests\": 2, \"prompt_tokens\": 30, \"decode_tokens\": 300, \"sampler\": \"%s\", "
            "\"reuse\": 0.6, \"topics\": 4, \"topic_length\": 64, \"cross_layer\": 0.2, \"skew\": [0.9], \"expert_bytes\": \"1MiB\", \"seed\": 7, \"strata\": [10, 30], \"picks\": [2, 4]}", golden[i].sampler);
        good(open_synthetic(&o, options, &err), &err);
        good(es_trace_check(&es_source_synthetic, o.self, NULL, hex, &err), &err);
        assert_string_equal(hex, golden[i].hex);
        close_source(&o);
    }
}

static void a_generator_says_how_to_make_its_trace_again(void **state)
{
    (void)state;
    opened o, again;
    es_err err = { 0 };
    good(open_synthetic(&o, "{\"layers\": 2, \"experts\": 8, \"top_k\": 2, \"decode_tokens\": 50, \"reuse\": 0.25, \"expert_bytes\": \"3MiB\", \"counts\": [[1,2,3,4,5,6,7,8],[8,7,6,5,4,3,2,1]]}", &err), &err);
    good(es_trace_write(at("syn.h5"), &es_source_synthetic, o.self, &ask_all, false, &err), &err);
    opened file = open_good(&es_source_native, "syn.h5", &ask_all);
    const es_trace_info *info = es_source_native.info(file.self);
    assert_true(info->synthetic);
    assert_false(info->uniform);
    assert_int_equal(info->expert_bytes[1], 3 << 20);
    es_json *note;
    good(es_json_parse(&note, info->provenance, strlen(info->provenance), &err), &err);
    char *options = es_json_text(es_json_at(note, "options"));
    good(open_synthetic(&again, options, &err), &err);
    char *a = source_text(&es_source_synthetic, o.self), *b = source_text(&es_source_synthetic, again.self);
    assert_string_equal(a, b);
    assert_string_equal(es_source_synthetic.info(o.self)->sha256, es_source_synthetic.info(again.self)->sha256);
    free(a);
    free(b);
    free(options);
    cJSON_Delete(note);
    close_source(&file);
    close_source(&again);
    close_source(&o);
}

static void a_generator_refuses_what_cannot_be(void **state)
{
    static const struct { const char *options, *fault; } bad[] = {
        { "{\"top_k\": 9, \"experts\": 8}", "top_k: 9 is above experts, 8" },
        { "{\"decode_tokens\": 0}", "decode_tokens: 0 makes no tokens, for prompt_tokens is 0 as well" },
        { "{\"layers\": 3, \"skew\": [1, 2]}", "skew: 2 numbers are neither one nor one per layer, 3" },
        { "{\"working_set\": 3, \"top_k\": 4}", "working_set: 3 is not top_k, 4, to experts, 64" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"topics\": 2, \"counts\": [[1, 2]]}", "topics: counts give one popularity, so there is one topic" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"sampler\": \"uniform\", \"counts\": [[1, 2]]}", "counts: the sampler uniform has no popularity" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"counts\": [[1, 2]], \"popularity\": \"sampled\"}", "popularity: counts give it, so it is not sampled" },
        { "{\"popularity\": \"sampled\", \"skew\": [1]}", "skew: the Zipf law has no samples for 1; popularity sampled needs at least 1.01" },
        { "{\"sampler\": \"strata\"}", "strata: they hold 60 experts together, not 64 as there are" },
        { "{\"sampler\": \"strata\", \"experts\": 60, \"top_k\": 3}", "picks: they are 4 together, not top_k, 3" },
        { "{\"sampler\": \"strata\", \"strata\": [32.5, 31.5]}", "strata: 32.5 is not a whole number from 1 to" },
        { "{\"sampler\": \"strata\", \"strata\": [32, 32]}", "picks: 3 numbers for 2 strata; each stratum needs one" },
        { "{\"sampler\": \"strata\", \"strata\": [1, 63], \"picks\": [2, 2]}", "picks: 2 of a stratum of 1 experts" },
        { "{\"sampler\": \"strata\", \"experts\": 60, \"layers\": 1, \"counts\": [[1]]}", "counts: the sampler strata has no popularity" },
        { "{\"layers\": 2, \"experts\": 2, \"top_k\": 1, \"counts\": [[1, 2]]}", "counts: is not a list of 2 lists, one per layer" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"counts\": [[1]]}", "counts.0: is not a list of 2 numbers, one per expert" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 1, \"counts\": [[1, -2]]}", "counts.0.1: is not a number from 0 to 1e15" },
        { "{\"layers\": 1, \"experts\": 2, \"top_k\": 2, \"counts\": [[1, 0]]}", "counts.0: only 1 experts were ever used, 2 are needed" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        opened o;
        es_err err = { 0 };
        expect_fault(open_synthetic(&o, bad[i].options, &err), &err, bad[i].fault);
        close_source(&o);
    }
}

/* --- real traces ---------------------------------------------------------------------------------------------------------------- */

static const char *real_path(const char *name)
{
    static char path[4096];
    const char *where = getenv("EXPERTSIM_TRACES");
    snprintf(path, sizeof path, "%s/%s", where ? where : "../shared/traces", name);
    return path;
}

static bool real_there(void)
{
    if (access(real_path("README.md"), R_OK) == 0)
        return true;
    print_message("[  NOTE    ] %s is absent: skipped\n", real_path("README.md"));
    return false;
}

static void recorded_traces_have_the_totals_their_readme_gives(void **state)
{
    static const struct { const char *path; uint32_t layers, top_k; uint64_t requests, steps, prompt, decode, accesses, missing; } want[] = {
        { "bigmoeonedge-qwen3-30b-k6/trace.csv.gz", 48, 6, 1, 129, 28, 128, 36864 + 7902, 27 },
        { "bigmoeonedge-gpt-oss-120b-k2/trace.csv.gz", 36, 2, 1, 65, 85, 64, 4608 + 5952, 84 },
        { "gpt-oss-20b-decode/trace.csv.gz", 24, 4, 64, 18372, 0, 18372, 1763712, 0 },
        { "deepseek-moe-16b-prefill/trace.csv.gz", 27, 6, 10, 10, 87, 0, 14094, 0 },
        { "switch-base-8-encoder/trace.csv.gz", 6, 1, 1, 1, 215, 0, 1290, 0 },
        { "oversize-case/trace.csv.gz", 1, 2, 1, 2, 2, 1, 6, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0] && real_there(); i++) {
        opened o;
        es_err err = { 0 };
        char hex[65], back[65];
        good(open_source(&o, &es_source_csv, real_path(want[i].path), &ask_all, &err), &err);
        const es_trace_info *info = es_source_csv.info(o.self);
        assert_int_equal(info->layers, want[i].layers);
        assert_int_equal(info->top_k, want[i].top_k);
        assert_int_equal(info->requests, want[i].requests);
        assert_int_equal(info->steps, want[i].steps);
        assert_int_equal(info->prompt_tokens, want[i].prompt);
        assert_int_equal(info->decode_tokens, want[i].decode);
        assert_int_equal(info->accesses, want[i].accesses);
        assert_int_equal(info->missing_cells, want[i].missing);
        good(es_trace_check(&es_source_csv, o.self, NULL, hex, &err), &err);
        good(es_trace_write(at("real.h5"), &es_source_csv, o.self, &ask_all, false, &err), &err);
        close_source(&o);
        digest_of(&es_source_native, at("real.h5"), back);
        assert_string_equal(hex, back);
        to_csv(&es_source_native, "real.h5", "real.csv.gz");
        char *a, *b;
        size_t m, n;
        good(es_file_load(real_path(want[i].path), 1 << 28, &a, &m, &err), &err);
        good(es_file_load(at("real.csv.gz"), 1 << 28, &b, &n, &err), &err);
        assert_int_equal(m, n);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
    }
}

static void a_route_trace_says_the_same_as_the_neutral_form_made_from_it(void **state)
{
    static const char *const name[] = { "bigmoeonedge-qwen3-30b-k6", "bigmoeonedge-gpt-oss-120b-k2" };
    (void)state;
    for (int i = 0; i < 2 && real_there(); i++) {
        opened route, csv;
        es_err err = { 0 };
        char path[256];
        const es_source_ask ask = { .weights = true, .residency = true, .experts = 128 };
        snprintf(path, sizeof path, "%s/route.csv.gz", name[i]);
        good(open_source(&route, &es_source_route_trace, real_path(path), &ask, &err), &err);
        snprintf(path, sizeof path, "%s/trace.csv.gz", name[i]);
        good(open_source(&csv, &es_source_csv, real_path(path), &ask, &err), &err);
        good(es_trace_export_csv(at("x.csv"), &es_source_route_trace, route.self, &ask, &err), &err);
        good(es_trace_export_csv(at("y.csv"), &es_source_csv, csv.self, &ask, &err), &err);
        expect_same_bytes("x.csv", "y.csv");
        assert_int_equal(es_source_route_trace.info(route.self)->expert_bytes[6], i == 0 ? 2654208 : 13219200);
        close_source(&route);
        close_source(&csv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reuse_makes_neighbours_alike_and_leaves_popularity),
        cmocka_unit_test(uniform_uses_all_experts_alike),
        cmocka_unit_test(an_episode_stays_in_its_working_set),
        cmocka_unit_test(repeat_follows_the_layer_before_then_the_token_before),
        cmocka_unit_test(repeat_without_reuse_knows_only_the_layer_before),
        cmocka_unit_test(repeat_never_lists_an_expert_twice),
        cmocka_unit_test(sampled_weights_are_samples_of_the_zipf_law),
        cmocka_unit_test(strata_take_so_many_of_each),
        cmocka_unit_test(counts_give_the_popularity_and_zero_is_never_used),
        cmocka_unit_test(a_longer_trace_begins_like_a_shorter_one),
        cmocka_unit_test(generated_traces_are_the_same_everywhere),
        cmocka_unit_test(a_generator_says_how_to_make_its_trace_again),
        cmocka_unit_test(a_generator_refuses_what_cannot_be),
        cmocka_unit_test(recorded_traces_have_the_totals_their_readme_gives),
        cmocka_unit_test(a_route_trace_says_the_same_as_the_neutral_form_made_from_it),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
