/* Timings compute what they promise, to the nanosecond where that is exact. */
#include "tests/support/models_kit.h"

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

static void expect_cost(const bench *b, es_op op, es_time fixed, es_time work)
{
    es_cost cost = bench_cost(b, op);
    assert_int_equal(cost.fixed, fixed);
    assert_int_equal(cost.work, work);
}

static void constant_takes_its_time_whatever_the_operation(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_constant, "{\"time\": \"3.4ms\"}", 1);
    expect_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 1 << 30, .count = 9 }, 3400000, 0);
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
        expect_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = cases[i].bytes, .count = 1 }, 10000, cases[i].work);
    }
    bench_free(&b);
}

static void affine_terms_add_up_and_are_rounded_apart(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_affine,
        "{\"latency\": \"20us\", \"per_object\": \"3ns\", \"per_token\": \"7ns\", \"per_context\": 0.25, \"rate\": \"2GB/s\"}", 1);
    expect_cost(&b, (es_op){ .kind = ES_OP_DENSE, .bytes = 3, .count = 4, .tokens = 5, .context = 6 }, 20012, 2 + 35 + 8);        /* 1.5 and 7.5 round up each: 45, not 44 */
    bench_free(&b);

    b = bench_new(&es_timing_affine, "{}", 1);
    expect_cost(&b, (es_op){ .kind = ES_OP_EXPERT, .bytes = INT64_MAX, .count = UINT32_MAX, .tokens = UINT32_MAX }, 0, 0);
    bench_free(&b);

    b = bench_new(&es_timing_affine, "{\"rate\": \"1B/s\", \"per_token\": \"0.9s\"}", 1);
    es_cost cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = INT64_MAX, .count = 1, .tokens = UINT32_MAX });
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
    expect_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 1000, .count = 1 }, 3000, 7000);
    expect_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 40, .count = 1 }, 2000, 0);        /* never more than the whole */
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
    expect_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 3059712, .count = 1 }, 10000, 122388);
    bench_free(&b);
}

static void an_allocation_takes_a_time_of_its_range(void **state)
{
    (void)state;
    static const struct { es_op_kind kind; es_time least, most; } rows[] = {{ES_OP_ALLOC, 10000, 20000}, {ES_OP_ALLOC_DEVICE, 200000, 500000}, {ES_OP_ALLOC_HOST, 50000, 100000}};
    bench b = bench_new(&es_timing_alloc, "{}", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double sum = 0.0;
        for (uint64_t n = 0; n < 20000; n++) {
            es_cost cost = bench_cost(&b, (es_op){ .kind = rows[i].kind, .bytes = 100, .occurrence = n });
            assert_in_range(cost.fixed, rows[i].least, rows[i].most);
            assert_int_equal(cost.work, 0);
            sum += (double)cost.fixed;
        }
        double middle = (double)(rows[i].least + rows[i].most) / 2.0;
        assert_true(fabs(sum / 20000 - middle) < 0.01 * middle);
    }
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_WARM, .count = 8 }).fixed, 80000000);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_HEAP, .bytes = 1 << 28 }).fixed, 0);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 1 << 28 }).work, 0);
    bench_free(&b);
    b = bench_new(&es_timing_alloc, "{\"touch\": \"100ns\", \"page\": \"4KiB\", \"heap\": \"7us\", \"move\": \"1us\", \"move_rate\": \"2GB/s\", \"pool_most\": 0}", 1);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_HEAP, .bytes = 4097 }).work, 200);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_HEAP, .bytes = 4097 }).fixed, 7000);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_ALLOC_DEVICE, .bytes = 40960 }).work, 1000);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_MOVE, .bytes = 4000 }).work, 2000);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_MOVE, .bytes = 4000, .count = 3 }).fixed, 3000);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_ALLOC, .bytes = 4000 }).fixed, 10000);
    bench_free(&b);
    b = bench_new(&es_timing_alloc, "{\"touch\": \"100ns\", \"page\": \"4KiB\", \"huge\": \"2MiB\", \"huge_touch\": \"9us\", \"device_most\": 0}", 1);
    expect_cost(&b, (es_op){ .kind = ES_OP_ALLOC_DEVICE, .bytes = 4097 }, 200000, 200);
    expect_cost(&b, (es_op){ .kind = ES_OP_ALLOC_DEVICE, .bytes = 2 << 20 }, 200000, 9000);
    expect_cost(&b, (es_op){ .kind = ES_OP_ALLOC_DEVICE, .bytes = (4 << 20) + 4097 }, 200000, 18200);
    bench_free(&b);
}

/* 15 us and 2 % of it; what the device or the host gives is not the pool's to count. A share of the same draw, to the nanosecond. */
static void counting_takes_its_share_of_an_allocation_from_the_pool(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_alloc, "{\"statistics\": 0.02, \"pool\": \"15us\", \"pool_most\": 0, \"device_most\": 0, \"host_most\": 0}", 1);
    expect_cost(&b, (es_op){ .kind = ES_OP_ALLOC, .bytes = 100 }, 15300, 0);
    expect_cost(&b, (es_op){ .kind = ES_OP_ALLOC_DEVICE, .bytes = 100 }, 200000, 0);
    expect_cost(&b, (es_op){ .kind = ES_OP_ALLOC_HOST, .bytes = 100 }, 50000, 0);
    expect_cost(&b, (es_op){ .kind = ES_OP_WARM, .count = 8 }, 80000000, 0);
    bench_free(&b);
    bench bare = bench_new(&es_timing_alloc, "{}", 1), counts = bench_new(&es_timing_alloc, "{\"statistics\": 0.25}", 1);
    for (uint64_t n = 0; n < 1000; n++) {
        const es_op op = { .kind = ES_OP_ALLOC, .bytes = 100, .occurrence = n };
        const es_time was = bench_cost(&bare, op).fixed;
        assert_in_range(4 * bench_cost(&counts, op).fixed, 5 * was - 2, 5 * was + 2);
    }
    bench_free(&counts);
    bench_free(&bare);
}

static void paging_maps_whole_pages_and_reads_those_that_are_not_there(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_paging, "{\"fault\": \"1us\", \"wire\": \"20us\", \"cluster\": 4}", 1);
    es_cost cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 16384 * 9 + 1, .count = 1 });   /* 10 pages, 3 faults */
    assert_int_equal(cost.fixed, 23000);
    assert_int_equal(cost.work, 0);
    cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 2 * 100, .count = 2 });                 /* a page for each */
    assert_int_equal(cost.fixed, 2 * 21000);
    assert_int_equal(bench_cost(&b, (es_op){ .kind = ES_OP_DENSE, .tokens = 1 }).fixed, 0);
    bench_free(&b);
    b = bench_new(&es_timing_paging, "{\"fault\": \"1us\", \"latency\": \"61us\", \"rate\": \"16384B/s\"}", 1);
    cost = bench_cost(&b, (es_op){ .kind = ES_OP_COPY, .bytes = 16385, .count = 1 });
    assert_int_equal(cost.fixed, 63000);
    assert_int_equal(cost.work, 2000000000);
    bench_free(&b);
}

/* ---- compute ---- */

static es_op expert_of(int64_t bytes, uint32_t tokens)
{
    return (es_op){.kind = ES_OP_EXPERT, .bytes = bytes, .tokens = tokens, .count = 1};
}

static void measured_experts_are_exact_at_their_points_and_lines_between(void **state)
{
    (void)state;
    bench b = bench_new(&es_timing_compute, "{\"dense\": \"7us\", \"points\": [{\"tokens\": 2, \"bytes\": \"1000B\", \"time\": \"2us\"}, "
        "{\"tokens\": 2, \"bytes\": \"3000B\", \"time\": \"4us\"}, {\"tokens\": 2, \"bytes\": \"4000B\", \"time\": \"6us\"}, "
        "{\"tokens\": 4, \"bytes\": \"1000B\", \"time\": \"4us\"}, {\"tokens\": 4, \"bytes\": \"2000B\", \"time\": \"9us\"}, "
        "{\"tokens\": 8, \"bytes\": \"1000B\", \"time\": \"2us\"}]}", 1);
    expect_cost(&b, expert_of(1000, 2), 0, 2000);
    expect_cost(&b, expert_of(3000, 2), 0, 4000);
    expect_cost(&b, expert_of(2000, 2), 0, 3000);
    expect_cost(&b, expert_of(3500, 2), 0, 5000);
    expect_cost(&b, expert_of(5000, 2), 0, 8000);           /* on with the last line */
    expect_cost(&b, expert_of(500, 2), 0, 1500);            /* back with the first: 1 us is fixed */
    expect_cost(&b, expert_of(500, 4), 0, 2000);            /* it would be -1 us: nothing is */
    expect_cost(&b, expert_of(1000, 1), 0, 2000);           /* fewer tokens than were measured are not faster */
    expect_cost(&b, expert_of(1000, 3), 0, 3000);
    expect_cost(&b, expert_of(2000, 3), 0, 6000);
    expect_cost(&b, expert_of(2000, 8), 0, 4000);           /* of one size alone: all grows with the bytes */
    expect_cost(&b, expert_of(1000, 16), 0, 2000);          /* the last two fall: it stays where it is */
    expect_cost(&b, (es_op){.kind = ES_OP_EXPERT, .bytes = 1000, .tokens = 4, .count = 1, .backward = true}, 0, 8000);
    expect_cost(&b, (es_op){.kind = ES_OP_DENSE, .tokens = 1}, 0, 7000);
    bench_free(&b);
    b = bench_new(&es_timing_compute, "{\"points\": [{\"tokens\": 1, \"bytes\": \"1000B\", \"time\": \"1us\"}, {\"tokens\": 3, \"bytes\": \"1000B\", \"time\": \"2us\"}]}", 1);
    expect_cost(&b, expert_of(1000, 7), 0, 4000);           /* half a microsecond for each token more */
    bench_free(&b);
    b = bench_new(&es_timing_compute, "{\"expert\": \"1us\", \"token\": \"1us\", \"rate\": \"1GB/s\", \"points\": null}", 1);
    expect_cost(&b, expert_of(1000, 1), 0, 2000);
    expect_cost(&b, expert_of(9000, 1), 0, 9000);
    bench_free(&b);
}

/* 100 ns behind its copy, 500 anywhere else: 400 are saved, 100 of them 2000 bytes later, none beyond 4000. */
static void what_a_copy_saves_fades_by_lines(void **state)
{
    (void)state;
#define TABLE(time) "[{\"tokens\": 1, \"bytes\": \"1000B\", \"time\": \"" #time "ns\"}]"
#define FADES "\"fades\": [{\"bytes\": \"1000B\", \"saved\": 1}, {\"bytes\": \"2000B\", \"saved\": 0.25}, {\"bytes\": \"4000B\", \"saved\": 0.25}]"
    static const struct { int64_t since; es_time copied, handed; } cases[] = {
        {0, 100, 300}, {1000, 100, 300}, {1500, 250, 375}, {1999, 400, 450}, {2000, 400, 450}, {4000, 400, 450}, {4001, 500, 500}, {1LL << 50, 500, 500},
    };
    bench b = bench_new(&es_timing_compute, "{\"points\": " TABLE(500) ", \"copied\": " TABLE(100) ", \"handed\": " TABLE(300) ", " FADES "}", 1);
    bench without = bench_new(&es_timing_compute, "{\"points\": " TABLE(500) ", \"copied\": " TABLE(100) ", " FADES "}", 1);
#undef TABLE
#undef FADES
    es_op op = expert_of(1000, 1);
    expect_cost(&b, op, 0, 500);                            /* nobody knows of a copy */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op = (es_op){.kind = ES_OP_EXPERT, .bytes = 1000, .tokens = 1, .count = 1, .copied = true, .since = cases[i].since};
        expect_cost(&b, op, 0, cases[i].copied);
        op.handed = true;
        expect_cost(&b, op, 0, cases[i].handed);
        expect_cost(&without, op, 0, 500);                  /* in the cache of another */
    }
    bench_free(&b);
    bench_free(&without);
    b = bench_new(&es_timing_compute, "{\"expert\": \"500ns\", \"copied\": [{\"tokens\": 1, \"bytes\": \"1000B\", \"time\": \"100ns\"}], \"fades\": [{\"bytes\": \"1000B\", \"saved\": 0}]}", 1);
    op = (es_op){.kind = ES_OP_EXPERT, .bytes = 1000, .tokens = 1, .count = 1, .copied = true, .since = 250};
    expect_cost(&b, op, 0, 200);                            /* from all at 0 */
    bench_free(&b);
}

static void points_that_measure_nothing_are_refused(void **state)
{
    (void)state;
#define POINT(tokens, bytes) "{\"tokens\": " #tokens ", \"bytes\": \"" #bytes "B\", \"time\": \"1us\"}"
    static const struct { const char *options, *says; } cases[] = {
        {"{\"points\": []}", "points: needs a list of at least one point, found an empty one"},
        {"{\"points\": \"x\"}", "points: needs a list of at least one point, found a text"},
        {"{\"points\": [{\"bytes\": \"1B\", \"time\": \"1us\"}]}", "points.0: tokens"},
        {"{\"points\": [{\"tokens\": 1, \"bytes\": \"1B\"}]}", "points.0: time"},
        {"{\"points\": [" POINT(4, 1) ", " POINT(2, 1) "]}", "points.1: tokens: 2 comes after 4; points ascend"},
        {"{\"points\": [" POINT(4, 9) ", " POINT(4, 9) "]}", "points.1: bytes: 9 comes after 9; points of as many tokens ascend"},
        {"{\"token\": \"1us\", \"points\": [" POINT(4, 9) "]}", "points: found beside expert, token or rate, needs to be alone; null takes away what a profile says"},
        {"{\"copied\": [" POINT(4, 9) "]}", "copied and fades need each other"},
        {"{\"fades\": [{\"bytes\": \"1B\", \"saved\": 1}]}", "copied and fades need each other"},
        {"{\"copied\": [" POINT(4, 9) "], \"fades\": 3}", "fades: needs a list of at least one point, found a number"},
        {"{\"copied\": [" POINT(4, 9) "], \"fades\": [{\"bytes\": \"1B\"}]}", "fades: 0: saved"},
        {"{\"copied\": [" POINT(4, 9) "], \"fades\": [{\"bytes\": \"2B\", \"saved\": 1}, {\"bytes\": \"2B\", \"saved\": 1}]}", "fades: 1: bytes: 2 comes after 2; points ascend"},
    };
#undef POINT
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench b;
        es_err err = {0};
        assert_int_equal(bench_try(&b, &es_timing_compute, cases[i].options, 1, &err), ES_EINPUT);
        says(&err, cases[i].says);
        bench_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(an_allocation_takes_a_time_of_its_range),
        cmocka_unit_test(counting_takes_its_share_of_an_allocation_from_the_pool),
        cmocka_unit_test(measured_experts_are_exact_at_their_points_and_lines_between),
        cmocka_unit_test(what_a_copy_saves_fades_by_lines),
        cmocka_unit_test(points_that_measure_nothing_are_refused),
        cmocka_unit_test(paging_maps_whole_pages_and_reads_those_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
