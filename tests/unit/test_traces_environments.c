/* Batches drawn from environments that last: the published prototype's own streams, and the laws that both streams follow. */
#include "tests/support/trace_kit.h"

#define MOST_STEPS 20000

typedef struct drawn { uint32_t steps, tokens; uint16_t id[MOST_STEPS][4]; } drawn;

static void draw(drawn *d, const char *options)
{
    opened o;
    es_err err = { 0 };
    good(open_generator(&o, &es_source_environments, options, &err), &err);
    good(es_trace_check(&es_source_environments, o.self, NULL, NULL, &err), &err);
    const es_trace_info *info = es_source_environments.info(o.self);
    *d = (drawn){ .steps = (uint32_t)info->steps, .tokens = (uint32_t)info->requests };
    assert_in_range(d->steps, 1, MOST_STEPS);
    assert_in_range(d->tokens, 1, 4);
    good(es_source_environments.rewind(o.self, &err), &err);
    for (uint32_t i = 0; i < d->steps; i++) {
        es_step step;
        bool more;
        good(es_source_environments.next(o.self, &step, &more, &err), &err);
        assert_true(more);
        assert_int_equal(step.tokens, d->tokens);
        memcpy(d->id[i], step.ids, step.tokens * sizeof *step.ids);
    }
    close_source(&o);
}

/* A walk as it is: one token, and the environment's own expert. */
#define WALK "\"tokens\": 1, \"spread\": 1"

static const char *const both[] = { "counter", "mt19937" };

static void expect_text(const char *options, const char *want)
{
    opened o;
    es_err err = { 0 };
    good(open_generator(&o, &es_source_environments, options, &err), &err);
    expect_steps(&o, want);
    close_source(&o);
}

/* Environments 235, 1932 and 1096 after one that is not used, jitter 0 7 5 0 and 6 3 2 3: words of std::mt19937 of seeds 1 and 2. */
static void the_published_streams_are_met_word_for_word(void **state)
{
    (void)state;
    expect_text("{\"stream\": \"mt19937\", \"seed\": 0, \"experts\": 2048, \"episode_length\": 2, \"steps\": 5, " WALK "}",
        "D 0.0(235)\nD 0.1(235)\nD 0.2(1932)\nD 0.3(1932)\nD 0.4(1096)\n");
    expect_text("{\"stream\": \"mt19937\", \"seed\": 0, \"experts\": 2048, \"episode_length\": 50, \"steps\": 2}",
        "D 0.0(235) 1.0(235) 2.0(240) 3.0(242)\nD 0.1(237) 1.1(238) 2.1(238) 3.1(241)\n");
    expect_text("{\"stream\": \"mt19937\", \"seed\": 0, \"experts\": 237, \"envs\": 2048, \"episode_length\": 50, \"steps\": 1}",
        "D 0.0(3) 1.0(5) 2.0(235) 3.0(235)\n");
    /* the first word of seed 1 is 1791095845, one above a multiple of 4 */
    expect_text("{\"stream\": \"mt19937\", \"seed\": 0, \"experts\": 4, \"sampler\": \"markov\", \"stay\": 1, \"steps\": 2, " WALK "}", "D 0.0(1)\nD 0.1(1)\n");
}

static void an_episode_changes_only_at_its_end(void **state)
{
    static drawn d;
    (void)state;
    for (int s = 0; s < 2; s++) {
        char options[256];
        unsigned changes = 0;
        snprintf(options, sizeof options, "{\"stream\": \"%s\", \"experts\": 50, \"episode_length\": 7, \"steps\": 7000, " WALK "}", both[s]);
        draw(&d, options);
        for (uint32_t i = 1; i < d.steps; i++) {
            bool change = d.id[i][0] != d.id[i - 1][0];
            changes += change;
            if (change)
                assert_int_equal(i % 7, 0);
        }
        assert_in_range(changes, 979 - 25, 979 + 20);       /* 999 draws, one in 50 of which repeats: 4.4 at one deviation */
    }
}

/* A redraw may repeat: of n environments the chance to stay is p + (1 - p) / n. */
static void a_markov_walk_stays_with_its_chance(void **state)
{
    static drawn d;
    (void)state;
    for (int s = 0; s < 2; s++) {
        char options[256];
        unsigned stays = 0;
        snprintf(options, sizeof options, "{\"stream\": \"%s\", \"sampler\": \"markov\", \"stay\": 0.6, \"experts\": 5, \"steps\": 20000, " WALK "}", both[s]);
        draw(&d, options);
        for (uint32_t i = 1; i < d.steps; i++)
            stays += d.id[i][0] == d.id[i - 1][0];
        assert_in_range(stays, 13600 - 330, 13600 + 330);   /* 66 is one deviation */
    }
}

static void a_step_uses_its_environments_and_their_neighbours_alike(void **state)
{
    static drawn d;
    (void)state;
    for (int s = 0; s < 2; s++) {
        char options[256];
        unsigned uses[10] = { 0 };
        /* environments 8 and 9 of ten experts reach round to 0 and 1 */
        snprintf(options, sizeof options, "{\"stream\": \"%s\", \"experts\": 10, \"spread\": 3, \"tokens\": 3, \"episode_length\": 1, \"steps\": 20000}", both[s]);
        draw(&d, options);
        for (uint32_t i = 0; i < d.steps; i++) {
            for (uint32_t t = 0; t < 3; t++)
                uses[d.id[i][t]]++;
            assert_true(d.id[i][0] <= d.id[i][1] && d.id[i][1] <= d.id[i][2]);
        }
        for (int e = 0; e < 10; e++)
            assert_in_range(uses[e], 6000 - 500, 6000 + 500);
    }
}

static void a_batch_mixes_so_many_environments(void **state)
{
    static drawn d;
    (void)state;
    for (int s = 0; s < 2; s++) {
        char options[256];
        unsigned two = 0;
        /* two calls a step and episodes of two: both calls name the same one. Of three calls the third is another, but for one in 1000. */
        snprintf(options, sizeof options, "{\"stream\": \"%s\", \"experts\": 1000, \"spread\": 1, \"envs_per_batch\": 2, \"episode_length\": 2, \"steps\": 2000}", both[s]);
        draw(&d, options);
        for (uint32_t i = 0; i < d.steps; i++)
            assert_int_equal(d.id[i][0], d.id[i][3]);
        snprintf(options, sizeof options, "{\"stream\": \"%s\", \"experts\": 1000, \"spread\": 1, \"envs_per_batch\": 2, \"episode_length\": 1, \"steps\": 2000}", both[s]);
        draw(&d, options);
        for (uint32_t i = 0; i < d.steps; i++) {
            uint32_t kinds = 1;
            for (uint32_t t = 1; t < 4; t++)
                kinds += d.id[i][t] != d.id[i][t - 1];
            assert_in_range(kinds, 1, 2);
            two += kinds == 2;
        }
        assert_in_range(two, 1748 - 75, 1748 + 75);         /* 4 tokens are of one of two with 1/8, and 1 in 1000 pairs is one: 15 at one deviation */
    }
}

static void a_longer_trace_begins_like_a_shorter_one(void **state)
{
    static const char *const sampler[] = { "episode", "markov" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        char *text[2];
        for (int j = 0; j < 2; j++) {
            opened o;
            es_err err = { 0 };
            char options[256];
            snprintf(options, sizeof options, "{\"experts\": 16, \"envs\": 40, \"steps\": %d, \"tokens\": 3, \"envs_per_batch\": 2, \"sampler\": \"%s\", \"stream\": \"%s\", \"seed\": 4}",
                j ? 700 : 20, sampler[i / 2], both[i % 2]);
            good(open_generator(&o, &es_source_environments, options, &err), &err);
            text[j] = source_text(&es_source_environments, o.self);
            char *again = source_text(&es_source_environments, o.self);
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
    static const struct { const char *sampler, *stream, *hex; } golden[] = {
        { "episode", "counter", "b7fedded9f74dbd46eadedf792bd55328ab4303406f8fec02434c1446c47d395" },
        { "episode", "mt19937", "57fc606d506fe3d9954e78a57321af294defcf29ef55bf450bb59ae67a64b4f3" },
        { "markov", "counter", "a121601f10960215ff1e51411a781b2bbe5981afec501bede52e03bcff571c7f" },
        { "markov", "mt19937", "03a544b518338a07b772d6e258456ff0cb51486e0a4fb69608432478d34c31d7" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        opened o;
        es_err err = { 0 };
        char options[256], hex[65];
        snprintf(options, sizeof options, "{\"experts\": 300, \"envs\": 1000, \"steps\": 900, \"tokens\": 5, \"envs_per_batch\": 2, \"sampler\": \"%s\", \"stream\": \"%s\", \"seed\": 7}",
            golden[i].sampler, golden[i].stream);
        good(open_generator(&o, &es_source_environments, options, &err), &err);
        good(es_trace_check(&es_source_environments, o.self, NULL, hex, &err), &err);
        assert_string_equal(hex, golden[i].hex);
        close_source(&o);
    }
}

static void a_generator_says_how_to_make_its_trace_again(void **state)
{
    opened o, again;
    es_err err = { 0 };
    (void)state;
    good(open_generator(&o, &es_source_environments, "{\"experts\": 30, \"steps\": 50, \"sampler\": \"markov\", \"stay\": 0.3, \"expert_bytes\": \"3MiB\", \"stream\": \"mt19937\"}", &err), &err);
    good(es_trace_write(at("env.h5"), &es_source_environments, o.self, &ask_all, false, &err), &err);
    opened file = open_good(&es_source_native, "env.h5", &ask_all);
    const es_trace_info *info = es_source_native.info(file.self);
    assert_true(info->synthetic);
    assert_int_equal(info->expert_bytes[0], 3 << 20);
    assert_int_equal(info->steps, 50);
    assert_int_equal(info->decode_tokens, 200);
    es_json *note;
    good(es_json_parse(&note, info->provenance, strlen(info->provenance), &err), &err);
    assert_string_equal(es_json_at(note, "generator")->valuestring, "expertsim environments 1");
    char *options = es_json_text(es_json_at(note, "options"));
    good(open_generator(&again, &es_source_environments, options, &err), &err);
    char *a = source_text(&es_source_native, file.self), *b = source_text(&es_source_environments, again.self);
    assert_string_equal(a, b);
    assert_string_equal(es_source_environments.info(o.self)->sha256, es_source_environments.info(again.self)->sha256);
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
        { "{\"experts\": 7}", "spread: 8 is above experts, 7" },
        { "{\"stream\": \"mt19937\", \"seed\": 4294967294}", "seed: 4294967294 is above 4294967293, the highest for stream mt19937" },
        { "{\"steps\": 0}", "steps: 0 is below 1, the least it may be" },
        { "{\"tokens\": 0}", "tokens: 0 is below 1, the least it may be" },
        { "{\"episode_length\": 0}", "episode_length: 0 is below 1, the least it may be" },
        { "{\"stay\": 1.1}", "stay: 1.1 is above 1, the most it may be" },
        { "{\"sampler\": \"markow\"}", "sampler: \"markow\" is not one of episode, markov; did you mean \"markov\"?" },
        { "{\"stream\": \"mt\"}", "stream: \"mt\" is not one of counter, mt19937" },
        { "{\"episode_len\": 5}", "unknown option \"episode_len\"; did you mean \"episode_length\"?" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        opened o;
        es_err err = { 0 };
        expect_fault(open_generator(&o, &es_source_environments, bad[i].options, &err), &err, bad[i].fault);
        close_source(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_streams_are_met_word_for_word),
        cmocka_unit_test(an_episode_changes_only_at_its_end),
        cmocka_unit_test(a_markov_walk_stays_with_its_chance),
        cmocka_unit_test(a_step_uses_its_environments_and_their_neighbours_alike),
        cmocka_unit_test(a_batch_mixes_so_many_environments),
        cmocka_unit_test(a_longer_trace_begins_like_a_shorter_one),
        cmocka_unit_test(generated_traces_are_the_same_everywhere),
        cmocka_unit_test(a_generator_says_how_to_make_its_trace_again),
        cmocka_unit_test(a_generator_refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
