/* Observers: each is told facts by hand and must report the numbers they imply. */
#include <hdf5.h>

#include "sim/base/h5.h"
#include "tests/support/observe_stage.h"

/* ---- summary ---- */

static void the_summary_adds_up_events_and_quotes_the_tally(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_summary, true, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x3);                      /* prefill: 2 misses */
    s.tally = (es_counts){.compulsory = 3, .refused = 1, .prefetch_hits = 1, .fetched_bytes = 500, .decode_fetched_bytes = 300, .foreseen = 1};
    s.mask[CACHE][2][0] = 0x7;
    s.mask[CACHE][1][0] = 0x8;
    s.event.phase = ES_DECODE;
    stage_gate(&s, 0, 0, 0xf);                      /* 3 hits, 1 late */
    s.tally.evictions = 5;
    stage_gate(&s, 0, 1, 0x3);                      /* 2 misses, the first warm event */
    s.tier[CACHE].insertions = 6;
    s.times = (es_times){.total = 4000000000, .decode_total = 2000000000, .dense = 1500000000, .stall = 2500000000};
    s.channel[0].wait_ns = 2500000000;
    stage_step(&s, 0, 0, 1, ES_DECODE, 3, 0);
    stage_step(&s, 1, 0, 1, ES_PREFILL, 7, 0);
    stage_report(&s);
    expect(&s, "cache.lookups", 8);
    expect(&s, "cache.hits", 3);
    expect(&s, "cache.late", 1);
    expect(&s, "cache.misses", 4);
    expect(&s, "cache.foreseen", 1);
    expect(&s, "cache.hit_rate", 3.0 / 8);
    expect(&s, "cache.headline_hit_rate", 0.5);
    expect(&s, "cache.decode.lookups", 6);
    expect(&s, "cache.decode.hits", 3);
    expect(&s, "cache.decode.hit_rate", 0.5);
    expect(&s, "cache.prefill.lookups", 2);
    expect(&s, "cache.prefill.hit_rate", 0);
    expect(&s, "cache.assignments", 8);
    expect(&s, "cache.hits_resident", 2);
    expect(&s, "cache.hits_prefetched", 1);
    expect(&s, "cache.misses_compulsory", 3);
    expect(&s, "cache.misses_refused", 1);
    expect(&s, "cache.misses_capacity", 0);
    expect(&s, "cache.fetched_bytes", 500);
    expect(&s, "cache.decode_fetched_bytes", 300);
    expect(&s, "cache.evictions", 5);
    expect(&s, "cache.insertions", 6);
    expect(&s, "cache.warm.lookups", 2);
    expect(&s, "cache.warm.hit_rate", 0);
    expect(&s, "time.tokens_per_s", 1.5);
    expect(&s, "time.total_s", 4);
    expect(&s, "time.stall_s", 2.5);
    expect(&s, "time.attribution.dense", 1.5);
    expect(&s, "time.attribution.wait.pcie", 2.5);
    assert_null(es_json_at(s.out, "time.attribution.wait.gpu"));
    stage_close(&s);
}

static void what_is_not_counted_is_left_out_of_the_summary(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_summary, false, "{}");
    s.view.count_prefill = true;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(&s, 0, 0, 0x3);
    s.tally = (es_counts){.evictions = 2, .initial_bytes = 50};
    s.tier[CACHE].insertions = 2;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x1);
    s.tally.evictions = 7;
    s.tier[CACHE].insertions = 3;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_report(&s);
    expect(&s, "cache.lookups", 1);
    expect(&s, "cache.evictions", 5);
    expect(&s, "cache.insertions", 1);
    expect(&s, "cache.initial_bytes", 50);
    expect(&s, "cache.headline_hit_rate", 0);
    expect(&s, "cache.decode.hit_rate", NAN);
    expect(&s, "time.tokens_per_s", NAN);
    expect(&s, "time.attribution", NAN);
    stage_close(&s);
}

/* ---- coverage ---- */

static void coverage_is_of_decode_events_unless_prefill_counts(void **state)
{
    (void)state;
    for (int count = 0; count <= 1; count++) {
        stage s;
        stage_open(&s, &es_observer_coverage, false, "{}");
        s.view.count_prefill = count;
        s.event.counted = true;
        s.mask[CACHE][2][0] = 0x3;
        stage_gate(&s, 0, 0, 0x3);                  /* prefill, perfect */
        s.event.phase = ES_DECODE;
        s.event.step = 1;
        stage_gate(&s, 0, 0, 0x7);                  /* 2 of 3 */
        stage_gate(&s, 0, 1, 0x1);                  /* 0 of 1 */
        s.event.step = 2;
        stage_gate(&s, 0, 0, 0x1);                  /* perfect */
        stage_report(&s);
        expect(&s, "coverage.perfect", 1 + count);
        expect(&s, "coverage.partial", 1);
        expect(&s, "coverage.zero", 1);
        expect(&s, "coverage.events", 3 + count);
        expect(&s, "coverage.mean", (2.0 / 3 + 1 + count) / (3 + count));
        expect(&s, "coverage.token.tokens", 2 + count);
        expect(&s, "coverage.token.perfect", 1 + count);
        expect(&s, "coverage.token.partial", 1);
        expect(&s, "coverage.token.mean", (0.5 + 1 + count) / (2 + count));
        stage_close(&s);
    }
}

static void units_below_the_union_are_joined_into_their_layer(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_coverage, false, "{}");
    static const struct { uint32_t hits, count, row; bool first, last; } units[] = {{2, 2, 0, true, false}, {0, 2, 1, false, false}, {2, 2, 2, false, true}};
    for (size_t i = 0; i < 3; i++) {
        es_event event = {.counted = true, .phase = ES_DECODE, .tokens = 1, .row = units[i].row, .hits = units[i].hits, .count = units[i].count,
            .first = units[i].first, .last = units[i].last};
        stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &event});
    }
    stage_report(&s);
    expect(&s, "coverage.events", 1);
    expect(&s, "coverage.partial", 1);
    expect(&s, "coverage.mean", 4.0 / 6);
    expect(&s, "coverage.token.perfect", 2);
    expect(&s, "coverage.token.zero", 1);
    stage_close(&s);
}

static void the_tokens_of_a_batch_are_covered_one_by_one(void **state)
{
    (void)state;
    for (int known = 0; known <= 1; known++) {
        stage s;
        stage_open(&s, &es_observer_coverage, false, "{}");
        s.view.top_k = known ? 2 : 0;
        const es_token token[] = {{.phase = ES_DECODE}, {.phase = ES_DECODE}, {.phase = ES_PREFILL}};
        const uint16_t ids[] = {0, 1, 0, 1, 2, ES_NO_EXPERT, 0, 2, 3, 3, 3, 3};     /* [token][layer][2] */
        const es_step step = {.tokens = 3, .token = token, .ids = ids};
        static const uint64_t hit[] = {0x3, 0x2};
        for (uint32_t layer = 0; layer < 2; layer++) {
            es_event event = {.counted = true, .phase = ES_DECODE, .tokens = 3, .layer = layer, .hits = 1, .count = 4, .first = true, .last = true,
                .hit = &hit[layer], .rows = &step};
            stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &event});
        }
        stage_report(&s);
        expect(&s, "coverage.events", 2);
        expect(&s, "coverage.token.tokens", known ? 2 : 0);
        expect(&s, "coverage.token.perfect", 0);
        expect(&s, "coverage.token.partial", known ? 1 : 0);    /* token 0: 0 1 | 0 1, hits 0 1 | 1 */
        expect(&s, "coverage.token.zero", known ? 1 : 0);       /* token 1: 2 | 0 2, no hits */
        expect(&s, "coverage.token.mean", known ? 0.75 / 2 : (double)NAN);
        expect(&s, "coverage.token.left_out", known ? 0 : 3);
        stage_close(&s);
    }
}

/* ---- latency, traffic, memory ---- */

static void token_latency_counts_a_step_for_each_of_its_tokens(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_latency, true, "{}");
    stage_step(&s, 0, 0, 100, ES_PREFILL, 8, 0);    /* request 0: a prefill of two steps */
    stage_step(&s, 1, 100, 150, ES_PREFILL, 8, 0);
    stage_step(&s, 2, 150, 160, ES_DECODE, 1, 0);
    stage_step(&s, 3, 160, 190, ES_DECODE, 3, 0);
    stage_step(&s, 4, 190, 200, ES_PREFILL, 8, 1);  /* request 1, then request 2 with a prompt only */
    stage_step(&s, 5, 200, 230, ES_PREFILL, 8, 2);
    s.times.prefill_total = 190;
    stage_report(&s);
    expect(&s, "time.token_latency_s.samples", 4);
    expect(&s, "time.token_latency_s.mean", 25e-9);
    expect(&s, "time.token_latency_s.p50", 30e-9);
    expect(&s, "time.token_latency_s.max", 30e-9);
    expect(&s, "time.ttft_quantiles_s.samples", 3);
    expect(&s, "time.ttft_s", (150 + 10 + 30) / 3.0 * 1e-9);
    expect(&s, "time.ttft_quantiles_s.p50", 30e-9);
    expect(&s, "time.ttft_quantiles_s.p99", 150e-9);
    expect(&s, "time.prefill_s", 190e-9);
    stage_report(&s);                               /* asking twice changes nothing */
    expect(&s, "time.ttft_quantiles_s.samples", 3);
    stage_close(&s);
}

static void latency_is_null_where_nothing_is_known(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_latency, false, "{}");
    stage_step(&s, 0, 0, 0, ES_DECODE, 1, 0);
    stage_report(&s);
    expect(&s, "time.token_latency_s", NAN);
    expect(&s, "time.ttft_s", NAN);
    expect(&s, "time.prefill_s", NAN);
    stage_close(&s);
    stage_open(&s, &es_observer_latency, true, "{}");
    stage_step(&s, 0, 0, 7, ES_DECODE, 1, 0);
    stage_report(&s);
    expect(&s, "time.token_latency_s.p99", 7e-9);
    expect(&s, "time.ttft_s", NAN);
    stage_close(&s);
}

static void traffic_is_per_channel_and_per_token(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_traffic, true, "");
    s.channel[0].lanes = 2;
    s.channel[0].busy_ns = 1000000000;
    s.channel[0].bytes = 4000;
    s.times.total = 2000000000;
    s.tally.decode_fetched_bytes = 3000;
    s.tally.guess_bytes = 100;
    s.tally.wasted_bytes = 25;
    stage_step(&s, 0, 0, 0, ES_DECODE, 4, 0);
    stage_report(&s);
    expect(&s, "channels.pcie.busy_fraction", 0.25);
    expect(&s, "channels.pcie.mean_bytes_per_s", 2000);
    expect(&s, "traffic.bytes_per_decode_token", 750);
    expect(&s, "traffic.wasted_fraction", 0.25);
    stage_close(&s);
    stage_open(&s, &es_observer_traffic, false, "");
    stage_report(&s);
    expect(&s, "channels", NAN);
    expect(&s, "traffic.bytes_per_decode_token", NAN);
    stage_close(&s);
}

static void memory_tells_turnover_and_the_age_of_residents(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_memory, false, "");
    s.mask[CACHE][2][1] = 0x4;                      /* there from the start */
    stage_gate(&s, 0, 0, 0x1);
    stage_copy(&s, ES_FACT_START, 0, 0);
    stage_copy(&s, ES_FACT_LAND, 0, 0);
    stage_release(&s, 0);
    stage_step(&s, 0, 0, 0, ES_DECODE, 1, 0);
    s.event.step = 9;
    stage_gate(&s, 0, 0, 0x1);
    stage_release(&s, 0);
    stage_copy(&s, ES_FACT_START_GUESS, 0, L1);
    stage_copy(&s, ES_FACT_LAND, 0, L1);
    stage_step(&s, 9, 0, 0, ES_DECODE, 1, 0);
    s.tier[CACHE].evictions = 3;
    s.tally.evictions = 5;                          /* two of them from the tier below */
    stage_report(&s);
    expect(&s, "capacity.turnover_per_token", 1.5);
    expect(&s, "capacity.residents", 3);
    expect(&s, "capacity.resident_age_steps", (10 + 9 + 0) / 3.0);
    stage_close(&s);
}

/* ---- digest ---- */

static const char *digest_of(stage *s, const char *which)
{
    stage_report(s);
    return es_json_at(s->out, which)->valuestring;
}

static void decisions_do_not_depend_on_grouping_interleaving_or_time(void **state)
{
    (void)state;
    static const es_oid in[] = {1, 2, 65}, out[] = {3, 66};
    stage a, b, c;
    stage_open(&a, &es_observer_digest, true, "");
    stage_open(&b, &es_observer_digest, true, "");
    stage_open(&c, &es_observer_digest, true, "");
    stage_tell(&a, (es_fact){.kind = ES_FACT_EVICT, .objects = out, .count = 2, .from = CACHE});
    stage_tell(&a, (es_fact){.kind = ES_FACT_START, .objects = in, .count = 3, .to = CACHE});
    for (uint32_t i = 0; i < 3; i++) {
        stage_tell(&b, (es_fact){.kind = i == 1 ? ES_FACT_START_GUESS : ES_FACT_START, .at = i * 10, .objects = &in[i], .count = 1, .to = CACHE});
        if (i < 2)
            stage_tell(&b, (es_fact){.kind = ES_FACT_EVICT, .at = i * 10, .objects = &out[i], .count = 1, .from = CACHE});
    }
    stage_tell(&c, (es_fact){.kind = ES_FACT_EVICT, .objects = out, .count = 2, .from = CACHE});
    stage_tell(&c, (es_fact){.kind = ES_FACT_START, .objects = in, .count = 2, .to = CACHE});
    stage_tell(&c, (es_fact){.kind = ES_FACT_START, .objects = &in[2], .count = 1, .to = DRAM});
    assert_string_equal(digest_of(&a, "digest.decisions"), digest_of(&b, "digest.decisions"));
    assert_string_not_equal(digest_of(&a, "digest.decisions"), digest_of(&c, "digest.decisions"));
    assert_string_not_equal(digest_of(&a, "digest.facts"), digest_of(&b, "digest.facts"));
    assert_int_equal(strlen(digest_of(&a, "digest.facts")), 16);
    stage_close(&a);
    stage_close(&b);
    stage_close(&c);
}

/* A digest that someone wrote down must come out again from a later version. */
static void kinds_of_facts_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(ES_FACT_STEP, 0);
    assert_int_equal(ES_FACT_STEP_END, 15);
    assert_int_equal(ES_FACT_RESET, 16);
    assert_int_equal(ES_FACT_END, 17);
    assert_int_equal(ES_FACT_GUESS, 18);
    assert_int_equal(ES_FACT_TURN, 19);
}

/* ---- events ---- */

static void a_log_gets_its_name_when_the_run_has_ended(void **state)
{
    (void)state;
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], options[128];
    assert_non_null(mkdtemp(folder));
    for (int jsonl = 0; jsonl <= 1; jsonl++) {
        stage s;
        es_err err = {0};
        snprintf(path, sizeof path, "%s/log", folder);
        snprintf(options, sizeof options, "{\"path\": \"%s\", \"limit\": 5, \"format\": \"%s\"}", path, jsonl ? "jsonl" : "csv");
        stage_open(&s, &es_observer_events, true, options);
        stage_tell(&s, (es_fact){.kind = ES_FACT_STEP, .step = 4});
        stage_gate(&s, 10, 1, 0x3);
        stage_tell(&s, (es_fact){.kind = ES_FACT_EVICT, .at = 20, .objects = (const es_oid[]){2, L1 + 1}, .count = 2, .from = CACHE, .to = DRAM});
        stage_span(&s, ES_FACT_STALL, 20, 30, 0);
        stage_release(&s, 30);
        stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 30});
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(s.observer->verdict(s.self, &err), ES_OK);
        stage_report(&s);
        expect(&s, "events.lines", 5);
        expect(&s, "events.left_out", 2);
        char *text;
        size_t length;
        assert_int_equal(es_file_load(path, 4096, &text, &length, &err), ES_OK);
        assert_string_equal(text, jsonl ?
            "{\"t_ns\":0,\"kind\":\"step\",\"step\":4}\n"
            "{\"t_ns\":10,\"kind\":\"use\",\"step\":0,\"layer\":4,\"count\":2}\n"
            "{\"t_ns\":20,\"kind\":\"evict\",\"layer\":3,\"expert\":2,\"from\":\"cache\",\"to\":\"dram\",\"why\":\"demand\",\"bytes\":100,\"count\":1}\n"
            "{\"t_ns\":20,\"kind\":\"evict\",\"layer\":4,\"expert\":1,\"from\":\"cache\",\"to\":\"dram\",\"why\":\"demand\",\"bytes\":100,\"count\":1}\n"
            "{\"t_ns\":30,\"kind\":\"stall\",\"channel\":\"pcie\",\"since_ns\":20}\n" :
            "t_ns,kind,step,layer,expert,from,to,channel,why,since_ns,bytes,count,knob,value\n"
            "0,step,4,,,,,,,,,,,\n"
            "10,use,0,4,,,,,,,,2,,\n"
            "20,evict,,3,2,cache,dram,,demand,,100,1,,\n"
            "20,evict,,4,1,cache,dram,,demand,,100,1,,\n"
            "30,stall,,,,,,pcie,,20,,,,\n");
        free(text);
        stage_close(&s);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

/* Every kind of fact has a name, and a turn says what was turned to what. */
static void every_kind_of_fact_has_a_line(void **state)
{
    (void)state;
    static const es_option option = {.name = "share", .type = ES_OPT_REAL, .max = 1};
    const es_turn turn = {"policy.share", &option, 0.25, 0.75};
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], options[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(options, sizeof options, "{\"path\": \"%s\"}", path);
    stage s;
    es_err err = {0};
    stage_open(&s, &es_observer_events, true, options);
    s.event.list = s.list;
    for (int kind = 0; kind < ES_FACTS; kind++)
        stage_tell(&s, (es_fact){.kind = (es_fact_kind)kind, .event = &s.event, .objects = (const es_oid[]){1}, .count = 1, .turn = &turn, .step = 9});
    assert_int_equal(s.observer->verdict(s.self, &err), ES_OK);
    char *text;
    size_t length;
    assert_int_equal(es_file_load(path, 4096, &text, &length, &err), ES_OK);
    assert_null(strstr(text, "null"));
    assert_non_null(strstr(text, "\n0,turn,9,,,,,,,,,,policy.share,0.75\n"));
    free(text);
    stage_close(&s);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_log_of_a_failed_run_does_not_get_its_name(void **state)
{
    (void)state;
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], partial[72], options[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(partial, sizeof partial, "%s.tmp", path);
    snprintf(options, sizeof options, "{\"path\": \"%s\"}", path);
    stage s;
    stage_open(&s, &es_observer_events, true, options);
    stage_close(&s);                                /* the run never began: nothing is left */
    stage_open(&s, &es_observer_events, true, options);
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_close(&s);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(unlink(partial), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_log_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    stage s = {0};
    es_err err = {0};
    assert_int_equal(stage_try(&s, &es_observer_events, "{\"path\": \"/no/such/folder/log\"}", &err), ES_EINPUT);
    assert_string_equal(err.text, "path: cannot write \"/no/such/folder/log.tmp\": No such file or directory");
    stage_close(&s);
    assert_int_equal(stage_try(&s, &es_observer_events, "{\"path\": \"\"}", &err), ES_EINPUT);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_summary_adds_up_events_and_quotes_the_tally),
        cmocka_unit_test(what_is_not_counted_is_left_out_of_the_summary),
        cmocka_unit_test(coverage_is_of_decode_events_unless_prefill_counts),
        cmocka_unit_test(units_below_the_union_are_joined_into_their_layer),
        cmocka_unit_test(the_tokens_of_a_batch_are_covered_one_by_one),
        cmocka_unit_test(token_latency_counts_a_step_for_each_of_its_tokens),
        cmocka_unit_test(latency_is_null_where_nothing_is_known),
        cmocka_unit_test(traffic_is_per_channel_and_per_token),
        cmocka_unit_test(memory_tells_turnover_and_the_age_of_residents),
        cmocka_unit_test(decisions_do_not_depend_on_grouping_interleaving_or_time),
        cmocka_unit_test(kinds_of_facts_keep_their_numbers),
        cmocka_unit_test(a_log_gets_its_name_when_the_run_has_ended),
        cmocka_unit_test(every_kind_of_fact_has_a_line),
        cmocka_unit_test(a_log_of_a_failed_run_does_not_get_its_name),
        cmocka_unit_test(a_log_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
