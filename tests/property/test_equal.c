/* Equal: two ways of saying the same thing give the same run.
 *
 * Each case draws a scene, turns the knobs that make both ways the same by definition, and runs it twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#include "tests/support/scene.h"

typedef bool equal_pair(scene *first, scene *second);          /* makes two of one; false: does not apply */
typedef bool equal_same(const rig *first, const rig *second);

static void equal_show(const scene *s, rig *r)
{
    scene_build(s, r);
    rig_print(r, stdout);
    rig_close(r);
}

static bool equal_case(const scene_cases *cases, uint64_t number, equal_pair *pair, equal_same *same, uint64_t *ran)
{
    scene first, second;
    rig a, b;
    scene_draw(&first, scene_seed(cases, number));
    second = first;
    if (!pair(&first, &second))
        return true;
    if (cases->one)
        equal_show(&first, &a);
    scene_build(&first, &a);
    scene_build(&second, &b);
    es_code one = rig_run(&a), two = rig_run(&b);
    bool good = one == two && (one != ES_OK || same(&a, &b));
    *ran += one == ES_OK;
    if (!good || cases->one)
        printf("case %" PRIu64 ": codes %d %d %s%s\n", number, (int)one, (int)two, a.err.text, b.err.text);
    rig_close(&a);
    rig_close(&b);
    return good;
}

static void equal_all(const char *test, uint64_t most, equal_pair *pair, equal_same *same)
{
    scene_cases cases = scene_plan(test, most);
    uint64_t ran = 0, failed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++)
        failed += !equal_case(&cases, i, pair, same, &ran);
    printf("  %" PRIu64 " pairs were compared\n", ran);
    assert_int_equal(failed, 0);
    assert_true(ran * 20 >= cases.to - cases.from || cases.one);
}

static bool same_decisions(const rig *a, const rig *b)
{
    return strcmp(rig_said(a, "digest.decisions"), rig_said(b, "digest.decisions")) == 0;
}

static bool same_facts(const rig *a, const rig *b)
{
    return strcmp(rig_said(a, "digest.facts"), rig_said(b, "digest.facts")) == 0;
}

static bool same_report(const rig *a, const rig *b)
{
    char *one = es_json_text(a->report), *two = es_json_text(b->report);
    bool same = one && two && strcmp(one, two) == 0;
    free(one);
    free(two);
    return same;
}

/* What the core counts, and what is resident at the end. */
static bool same_counts(const rig *a, const rig *b)
{
    const es_view *x = rig_view(a), *y = rig_view(b);
    bool same = memcmp(x->tally, y->tally, sizeof *x->tally) == 0;
    for (uint32_t t = 0; t < x->tiers; t++) {
        same &= x->tier[t].insertions == y->tier[t].insertions && x->tier[t].evictions == y->tier[t].evictions && x->tier[t].found == y->tier[t].found;
        same &= memcmp(x->tier[t].resident, y->tier[t].resident, x->words * sizeof(uint64_t)) == 0;
    }
    return same;
}

/* ---- time ---- */

/* Everything that takes or needs time is taken away but compute, without which no guess could start. Copies start in the order of
 * asking: one channel, demands first, straight from where they are. */
static bool pair_clocks(scene *none, scene *timed)
{
    if (none->tiers == 0 || (none->dispatcher && none->dispatcher_options == NULL && strcmp(none->dispatcher, "host_compute") == 0))
        return false;                   /* `cheaper` compares times */
    if (!strcmp(none->policy, "random") || !strcmp(none->policy, "shift_cache"))
        return false;                   /* what they name depends on how many are asked for at once */
    none->rests = true;
    none->way = SCENE_DIRECT;
    none->channels = 1;
    none->limit = SCENE_CHANNELS;
    none->channel[0].slowed_by = SCENE_CHANNELS;
    none->channel[0].latency = none->channel[0].per_object = none->channel[0].rate = 0;
    none->channel[0].cv = 0;
    none->channel[0].fifo = false;
    if (none->predictor) {              /* guesses that are in flight together cannot displace each other, one after another they can */
        none->channel[0].discipline = ES_FIFO;
        none->channel[0].batch = 1;
        if (none->contract.overflow == ES_WAVES)
            none->contract.overflow = ES_TRIM;  /* between two waves compute takes time, in which a guess may find room */
    }
    none->dense = 1000;
    none->expert = none->host_expert = 100;
    for (uint32_t t = 0; t < none->tiers; t++) {
        none->tier[t].write_back = false;
        none->tier[t].grace = 0;
    }
    *timed = *none;
    none->timed = false;
    timed->timed = true;
    return true;
}

static void links_that_cost_nothing_decide_as_clock_none(void **state)
{
    (void)state;
    equal_all(__func__, 6000, pair_clocks, same_decisions);
}

/* ---- the quick way ---- */

static bool pair_quick(scene *general, scene *quick)
{
    general->timed = false;
    general->tiers = 1;
    general->predictor = general->dispatcher = NULL;
    general->tier[0].demotes = general->tier[0].write_back = false;
    general->contract.scope = ES_GLOBAL;
    general->contract.overflow = general->contract.overflow == ES_TRIM ? ES_TRIM : ES_WAVES;
    general->contract.judge = ES_JUDGE_EVENT;
    general->contract.unit = ES_UNION;
    general->slices = 1;
    general->together = 1;
    if (general->experts > 64)
        general->experts = 64;
    for (uint32_t l = 0; l < general->layers; l++)
        general->bytes[l] = general->bytes[0];
    int64_t each = general->tier[0].bytes ? general->bytes[0] : 1;
    if (general->tier[0].granularity)
        each = (each + general->tier[0].granularity - 1) / general->tier[0].granularity * general->tier[0].granularity;
    if (general->tier[0].room < each * general->top_k)
        general->tier[0].room = each * general->top_k;
    *quick = *general;
    quick->watched = false;
    return true;
}

static void the_quick_way_counts_as_the_general_one(void **state)
{
    (void)state;
    equal_all(__func__, 6000, pair_quick, same_counts);
}

/* ---- chunks ---- */

static bool pair_chunks(scene *whole, scene *cut)
{
    whole->timed = true;
    whole->tiers = 1;
    whole->free_links = false;
    whole->predictor = NULL;
    whole->limit = SCENE_CHANNELS;
    whole->channel[0] = (scene_channel){.discipline = ES_FIFO, .lanes = 1, .rate = 1000000000, .batch = 1, .slowed_by = SCENE_CHANNELS};
    whole->tier[0].demotes = whole->tier[0].write_back = false;
    *cut = *whole;
    cut->channel[0].chunk = 200;
    return true;
}

static void chunks_change_nothing_where_nothing_overtakes(void **state)
{
    (void)state;
    equal_all(__func__, 3000, pair_chunks, same_facts);
}

/* ---- the same again ---- */

static bool pair_twice(scene *first, scene *second)
{
    (void)first, (void)second;
    return true;
}

static void the_same_run_twice_gives_the_same_bytes(void **state)
{
    (void)state;
    equal_all(__func__, 3000, pair_twice, same_report);
}

/* One token per step: its row is the union of its rows. */
static bool pair_rows(scene *one, scene *other)
{
    one->together = 1;
    snprintf(one->prefill, sizeof one->prefill, "tokens");
    one->contract.unit = ES_UNION;
    one->slices = 1;
    *other = *one;
    other->contract.unit = ES_TOKEN;
    other->contract.duplicates = ES_HIT;
    return true;
}

static void a_step_of_one_token_is_its_row_whatever_the_unit(void **state)
{
    (void)state;
    equal_all(__func__, 2000, pair_rows, same_facts);
}

/* A channel with as many lanes as there can be copies is one that is never waited for; with one lane it is fifo. */
static bool pair_lanes(scene *fifo, scene *lanes)
{
    fifo->timed = true;
    for (uint32_t c = 0; c < fifo->channels; c++) {
        fifo->channel[c].discipline = ES_FIFO;
        fifo->channel[c].slowed_by = SCENE_CHANNELS;
        fifo->channel[c].lanes = 1;
    }
    *lanes = *fifo;
    for (uint32_t c = 0; c < fifo->channels; c++)
        lanes->channel[c].discipline = ES_LANES;
    return true;
}

static void one_lane_is_fifo(void **state)
{
    (void)state;
    equal_all(__func__, 2000, pair_lanes, same_facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_that_cost_nothing_decide_as_clock_none),
        cmocka_unit_test(the_quick_way_counts_as_the_general_one),
        cmocka_unit_test(chunks_change_nothing_where_nothing_overtakes),
        cmocka_unit_test(the_same_run_twice_gives_the_same_bytes),
        cmocka_unit_test(a_step_of_one_token_is_its_row_whatever_the_unit),
        cmocka_unit_test(one_lane_is_fifo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
