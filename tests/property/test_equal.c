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

#include "sim/core/core.h"
#include "tests/support/scene.h"

typedef bool equal_pair(scene *first, scene *second);          /* makes two of one; false: does not apply */
typedef bool equal_same(const rig *first, const rig *second);

static void equal_show(const scene *s, rig *r)
{
    scene_build(s, r);
    rig_print(r, stdout);
    rig_close(r);
}

typedef struct equal_count {
    uint64_t ran, quick;        /* pairs that were compared; of them, those whose second run alone took the quick way */
} equal_count;

static bool equal_case(const scene_cases *cases, uint64_t number, equal_pair *pair, equal_same *same, equal_count *count)
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
    count->ran += one == ES_OK;
    count->quick += one == ES_OK && b.run->quick.fits && !a.run->quick.fits;
    if (!good || cases->one)
        printf("case %" PRIu64 ": codes %d %d %s%s\n", number, (int)one, (int)two, a.err.text, b.err.text);
    rig_close(&a);
    rig_close(&b);
    return good;
}

static equal_count equal_all(const char *test, uint64_t most, equal_pair *pair, equal_same *same)
{
    scene_cases cases = scene_plan(test, most);
    equal_count count = {0, 0};
    uint64_t failed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++)
        failed += !equal_case(&cases, i, pair, same, &count);
    printf("  %" PRIu64 " pairs were compared\n", count.ran);
    assert_int_equal(failed, 0);
    assert_true(count.ran * 10 >= (cases.to - cases.from) * 8 || cases.one);
    return count;
}

/* Or the quick way would be compared with nothing. */
static void equal_quick(equal_count count)
{
    printf("  %" PRIu64 " went the quick way\n", count.quick);
    assert_true(count.quick * 10 >= count.ran * 3 || count.ran <= 1);
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

static bool same_tier(const es_view *x, const es_view *y, uint32_t t)
{
    const es_tier_view *a = &x->tier[t], *b = &y->tier[t];
    return a->insertions == b->insertions && a->evictions == b->evictions && a->found == b->found && a->guessed == b->guessed &&
        memcmp(a->resident, b->resident, x->words * sizeof(uint64_t)) == 0 && memcmp(a->inbound, b->inbound, x->words * sizeof(uint64_t)) == 0 &&
        memcmp(a->queued, b->queued, x->words * sizeof(uint64_t)) == 0;
}

static bool same_channel(const es_channel_view *a, const es_channel_view *b)
{
    return a->busy_ns == b->busy_ns && a->queue_ns == b->queue_ns && a->wait_ns == b->wait_ns && a->active == b->active && a->transfers == b->transfers &&
        a->batches == b->batches && a->bytes == b->bytes && a->depth_area == b->depth_area;
}

/* What the second says in its report the first says too; it may say more. */
static bool same_members(const rig *a, const rig *b)
{
    bool same = true;
    const es_json *member;
    cJSON_ArrayForEach(member, b->report)
    {
        const es_json *other = cJSON_GetObjectItemCaseSensitive(a->report, member->string);
        char *one = other ? es_json_text(other) : NULL, *two = es_json_text(member);
        same &= one && two && strcmp(one, two) == 0;
        if (!same)
            printf("  report.%s differs: %.400s\n  and %.400s\n", member->string, one ? one : "missing", two ? two : "missing");
        free(one);
        free(two);
        if (!same)
            break;
    }
    return same;
}

/* What the core counts and times, what is where at the end, and what is reported. */
static bool same_account(const rig *a, const rig *b)
{
    const es_view *x = rig_view(a), *y = rig_view(b);
    bool same = memcmp(x->tally, y->tally, sizeof *x->tally) == 0 && memcmp(x->times, y->times, sizeof *x->times) == 0;
    for (uint32_t t = 0; t < x->tiers; t++)
        same &= same_tier(x, y, t);
    for (uint32_t c = 0; c < x->channels; c++)
        same &= same_channel(&x->channel[c], &y->channel[c]);
    return same && same_members(a, b);
}

/* ---- time ---- */

/* Everything that takes or needs time is taken away but compute, without which no guess could start. Copies start in the order of
 * asking: one channel, demands first, straight from where they are. */
static bool pair_clocks(scene *none, scene *timed)
{
    if (none->dispatcher && none->dispatcher_options == NULL && strcmp(none->dispatcher, "host_compute") == 0)
        return false;                   /* `cheaper` compares times */
    if (!strcmp(none->policy, "random") || !strcmp(none->policy, "shift_cache")) {
        none->contract.unit = ES_ID;    /* whom they name depends on how many are asked for at once, and only in time copies ask one by one */
        none->slices = 1;
        scene_alike(none);
    }
    if (!strcmp(none->policy, "random"))
        none->predictor = NULL;         /* a guess that asks in vain stirs its bag, and how often one asks is a matter of time */
    if (!strcmp(none->policy, "multi_factor"))
        none->policy_options = "{\"time\": \"events\"}";      /* or it would go by a clock that the other has not */
    none->rests = true;
    none->way = SCENE_DIRECT;
    none->channels = 1;
    none->limit = SCENE_CHANNELS;
    none->channel[0].slowed_by = SCENE_CHANNELS;
    none->channel[0].latency = none->channel[0].per_object = none->channel[0].rate = 0;
    none->channel[0].timing = "affine";
    none->channel[0].fifo = false;
    if (none->predictor) {              /* guesses that are in flight together cannot displace each other, one after another they can */
        none->channel[0].discipline = ES_FIFO;
        none->channel[0].batch = 1;
        if (none->contract.overflow == ES_WAVES)
            none->contract.overflow = ES_TRIM;  /* between two waves compute takes time, in which a guess may find room */
    }
    none->compute.guess_tier = NULL;    /* in time what a demand reads from that tier stays there, and a guess finds no room */
    none->dense = 1000;
    none->expert = none->host_expert = 100;
    for (uint32_t t = 0; t < none->tiers; t++) {
        if (none->tier[t].policy && (!strcmp(none->tier[t].policy, "random") || !strcmp(none->tier[t].policy, "shift_cache")))
            none->tier[t].policy = "lru";       /* as above */
        none->tier[t].write_back = ES_WRITE_NEVER;
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
    equal_all(__func__, 8000, pair_clocks, same_decisions);
}

/* Guesses that cost nothing are as many and as soon as without a clock, whatever lookups, victims and reads cost. A
 * question that takes time is answered when demands have changed what is there. */
static bool pair_free(scene *none, scene *timed)
{
    scene_charge(none);
    none->compute.guess_cost = ES_GUESS_FREE;
    none->predict = 0;
    return pair_clocks(none, timed);
}

static void free_guesses_decide_as_clock_none(void **state)
{
    (void)state;
    equal_all(__func__, 8000, pair_free, same_decisions);
}

/* Two tiers that write back over home, as an out-of-core store has them: expert by expert, since in time those of one event come side by
 * side and meet in the tier below in another order. */
static bool pair_written(scene *none, scene *timed)
{
    none->predictor = none->dispatcher = none->policy_options = NULL;
    none->policy = "lru";
    none->tiers = 2;
    none->levels = 1;
    if (!pair_clocks(none, timed))
        return false;
    none->way = SCENE_CHAIN;
    none->holds = ES_HOLDS_ALL;
    none->training.steps = ES_TRAIN_NONE;
    none->contract.unit = ES_ID;
    none->contract.judge = ES_SERIALIZED;
    none->contract.overflow = ES_TRIM;
    none->contract.scope = ES_GLOBAL;
    none->contract.reset = 0;
    snprintf(none->quota, sizeof none->quota, "\"floor\"");
    none->slices = 1;
    for (uint32_t t = 0; t < 2; t++) {
        const uint64_t drawn = none->seed >> 16 * t & 0xffff;
        none->tier[t] = (scene_tier){.room = 1 + t + (int64_t)(drawn % 12), .demotes = true, .write_back = ES_WRITE_ABSENT + (int)(drawn / 12 % 3),
            .policy = t > 0 ? "lru" : NULL, .yields = true, .write_buffer = t > 0 && drawn & 0x8000 ? "unbounded" : NULL};
    }
    *timed = *none;
    none->timed = false;
    timed->timed = true;
    return true;
}

static bool same_demotions(const rig *a, const rig *b)
{
    const es_counts *x = rig_view(a)->tally, *y = rig_view(b)->tally;
    const bool same = x->demotions == y->demotions && x->evictions == y->evictions && x->writeback_bytes == y->writeback_bytes;
    if (!same)
        printf("  demotions %" PRIu64 " %" PRIu64 ", evictions %" PRIu64 " %" PRIu64 ", bytes %" PRId64 " %" PRId64 "\n", x->demotions, y->demotions,
            x->evictions, y->evictions, x->writeback_bytes, y->writeback_bytes);
    return same;
}

static void victims_that_are_written_down_are_as_many_as_without_a_clock(void **state)
{
    (void)state;
    equal_all(__func__, 4000, pair_written, same_demotions);
}

/* ---- nobody listens ---- */

/* A run that nobody watches copy by copy may take shorter ways. */
static bool pair_unwatched(scene *watched, scene *unwatched)
{
    watched->reported = false;
    *unwatched = *watched;
    unwatched->watched = false;
    return true;
}

static void a_run_that_nobody_watches_comes_to_the_same(void **state)
{
    (void)state;
    equal_all(__func__, 8000, pair_unwatched, same_account);
}

/* The plainest machine, for which the shortest way was made (sim/core/quick.c). */
static void equal_plainest(scene *s)
{
    s->tiers = 1;
    s->holds = ES_HOLDS_ALL;
    s->training.steps = ES_TRAIN_NONE;
    s->dispatcher = NULL;
    s->tier[0].demotes = false;
    s->tier[0].write_back = ES_WRITE_NEVER;
    s->tier[0].share = 0;
    s->tier[0].grace = 0;
    s->contract.scope = ES_GLOBAL;
    s->contract.overflow = s->contract.overflow == ES_TRIM ? ES_TRIM : ES_WAVES;
    s->contract.judge = ES_JUDGE_EVENT;
    s->contract.unit = ES_UNION;
    s->compute.overlap = ES_RESIDENT_FIRST;
    s->compute.protect_guesses = false;
    s->slices = 1;
    s->together = 1;
    if (s->experts > 128)
        s->experts = 128;
    scene_alike(s);
    int64_t each = s->tier[0].bytes ? s->bytes[0] : 1;
    if (s->tier[0].granularity)
        each = (each + s->tier[0].granularity - 1) / s->tier[0].granularity * s->tier[0].granularity;
    if (s->tier[0].room < each * s->top_k)
        s->tier[0].room = each * s->top_k;
}

static bool pair_quick(scene *general, scene *quick)
{
    equal_plainest(general);
    general->timed = false;
    general->predictor = NULL;
    return pair_unwatched(general, quick);
}

static void the_quick_way_counts_as_the_general_one(void **state)
{
    (void)state;
    equal_quick(equal_all(__func__, 6000, pair_quick, same_account));
}

/* A policy that refuses every third expert it is asked for and would keep more of an event than there is room for: that goes in
 * waves, or is trimmed. Of those that may leave the lowest leave first. */
typedef struct picky {
    const es_view *view;
    uint64_t asked;
} picky;

static es_code picky_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((picky *)self)->view = site->view;
    return ES_OK;
}

static size_t picky_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    const es_view *view = ((const picky *)self)->view;
    size_t count = 0;
    for (es_oid o = 0; o < view->objects && (int64_t)count < need->units && count < most; o++)
        if (es_may_evict(view, o, need->tier))
            out[count++] = o;
    return need->all && (int64_t)count < need->units ? 0 : count;
}

static void picky_admit(void *self, const es_admit_ask *ask, bool *keep)
{
    picky *p = self;
    for (uint32_t i = 0; i < ask->count; i++)
        keep[i] = ++p->asked % 3 != 0;
}

static const es_policy picky_policy = {
    .part = {.abi = ES_ABI, .name = "picky", .size = sizeof(picky), .init = picky_init},
    .victims = picky_victims,
    .admit = picky_admit,
};

static void picky_run(rig *r, uint32_t experts, uint32_t slots, int overflow, bool watched)
{
    picky p = {0};
    rig_open(r, 3, experts, 4, 0, 60);
    for (uint32_t t = 0; t < 60; t++) {
        uint16_t *ids = rig_token(r, 0, ES_DECODE, false);
        for (uint32_t j = 0; j < 3 * 4; j++)    /* now and then a row is short */
            ids[j] = (uint16_t)(j % 4 == 3 && t % 7 == 0 ? ES_NO_EXPERT : (t * t + t / 3 + j % 4 * (1 + t % 2 * 4) + j / 4) * (experts / 12) % experts);
    }
    rig_plain(r, false, rig_text(r, "%uslots", slots), "{}", "{}");
    r->plan.policy = rig_own(&picky_policy.part, &p, "policy");
    r->plan.contract.overflow = overflow;
    if (watched)
        rig_observe(r, "audit");
    assert_int_equal(rig_run(r), ES_OK);
    assert_int_equal(r->run->quick.fits, !watched);
}

static void a_policy_may_refuse_on_the_quick_way(void **state)
{
    static const struct {
        uint32_t experts;
        int overflow;
    } cases[] = {{12, ES_WAVES}, {12, ES_TRIM}, {96, ES_WAVES}, {96, ES_TRIM}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint32_t slots = 2; slots < 30; slots++) {
            rig general, quick;
            picky_run(&general, cases[i].experts, slots, cases[i].overflow, true);
            picky_run(&quick, cases[i].experts, slots, cases[i].overflow, false);
            assert_true(rig_view(&quick)->tally->refused > 0);
            assert_true(rig_view(&quick)->tally->overflow_events > 0 || slots > 2);
            assert_true(same_account(&general, &quick));
            rig_close(&general);
            rig_close(&quick);
        }
}

/* One first-come-first-served link; half of the cases with guesses, for which the other half of the fast path is. */
static bool pair_quick_timed(scene *general, scene *quick)
{
    equal_plainest(general);
    general->timed = true;
    general->free_links = false;
    general->channels = 1;
    general->limit = SCENE_CHANNELS;
    general->channel[0].discipline = ES_FIFO;
    general->channel[0].chunk = 0;
    general->channel[0].batch = 1;
    general->channel[0].slowed_by = SCENE_CHANNELS;
    if (general->predictor) {
        general->predictor = "previous_token";
        general->predictor_options = NULL;
    }
    return pair_unwatched(general, quick);
}

static void the_quick_way_takes_the_time_of_the_general_one(void **state)
{
    (void)state;
    equal_quick(equal_all(__func__, 12000, pair_quick_timed, same_account));
}

/* ---- chunks ---- */

static bool pair_chunks(scene *whole, scene *cut)
{
    whole->timed = true;
    whole->tiers = 1;
    whole->free_links = false;
    whole->predictor = NULL;
    whole->limit = SCENE_CHANNELS;
    whole->channels = 1;
    whole->channel[0] = (scene_channel){.discipline = ES_FIFO, .lanes = 1, .timing = "affine", .rate = 1000000000, .batch = 1, .slowed_by = SCENE_CHANNELS};
    whole->tier[0].demotes = false;
    whole->tier[0].write_back = ES_WRITE_NEVER;
    *cut = *whole;
    cut->channel[0].chunk = (const int64_t[]){130, 200, 250, 700}[whole->seed % 4];     /* with and without a rest */
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
    equal_all(__func__, 3000, pair_rows, same_facts);
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
    equal_all(__func__, 3000, pair_lanes, same_facts);
}

/* ---- tuners ---- */

/* A share that is said to be all of the capacity, which it is. */
static bool pair_shares(scene *untouched, scene *told)
{
    if (untouched->tiers == 0)
        return false;
    *told = *untouched;
    snprintf(told->tuner_options[0], sizeof told->tuner_options[0], "{\"knob\": \"tiers.cache.share\", \"between\": \"linear\", "
        "\"points\": [{\"step\": 0, \"value\": 1}, {\"step\": 9, \"value\": 1}]}");
    told->tuner[0] = "schedule";
    told->tuners = 1;
    return true;
}

static void a_share_of_one_changes_nothing(void **state)
{
    (void)state;
    equal_all(__func__, 3000, pair_shares, same_facts);
}

/* The general way with a tuner that turns nothing, and the quick one without. */
static bool pair_shares_quick(scene *general, scene *quick)
{
    scene told;
    if (!pair_quick_timed(general, quick) || !pair_shares(quick, &told))
        return false;
    *general = told;
    return true;
}

static void a_share_of_one_is_the_quick_way(void **state)
{
    (void)state;
    equal_quick(equal_all(__func__, 3000, pair_shares_quick, same_account));
}

/* ---- capacity ---- */

/* Whoever counts bytes counts experts where all have the same size. */
static bool pair_units(scene *slots, scene *bytes)
{
    scene_alike(slots);
    slots->training.optimizer = 0;      /* its state weighs, but takes no slot */
    snprintf(slots->quota, sizeof slots->quota, "\"floor\"");
    for (uint32_t t = 0; t < slots->tiers; t++) {
        scene_tier *tier = &slots->tier[t];
        int64_t each = tier->bytes ? slots->bytes[0] : 1;
        tier->room = (tier->room / each / slots->layers + 1) * slots->layers;  /* so that scope layer shares it without a rest */
        tier->bytes = tier->counted = false;
        tier->granularity = tier->share = 0;
    }
    *bytes = *slots;
    for (uint32_t t = 0; t < slots->tiers; t++) {
        bytes->tier[t].bytes = true;
        bytes->tier[t].room *= bytes->bytes[0] / bytes->slices;
    }
    return true;
}

static void slots_are_bytes_where_all_experts_are_alike(void **state)
{
    (void)state;
    equal_all(__func__, 3000, pair_units, same_facts);
}

/* The share of an only layer is all. */
static bool pair_scopes(scene *global, scene *layer)
{
    global->layers = 1;
    global->shared = false;             /* scope layer does not go with it */
    snprintf(global->quota, sizeof global->quota, "\"round\"");
    global->contract.scope = ES_GLOBAL;
    *layer = *global;
    layer->contract.scope = ES_PER_LAYER;
    for (uint32_t t = 0; t < global->tiers; t++)
        global->tier[t].share = layer->tier[t].share = 0;
    return true;
}

static void an_only_layer_has_the_whole_cache(void **state)
{
    (void)state;
    equal_all(__func__, 3000, pair_scopes, same_facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_that_cost_nothing_decide_as_clock_none),
        cmocka_unit_test(free_guesses_decide_as_clock_none),
        cmocka_unit_test(victims_that_are_written_down_are_as_many_as_without_a_clock),
        cmocka_unit_test(a_run_that_nobody_watches_comes_to_the_same),
        cmocka_unit_test(the_quick_way_counts_as_the_general_one),
        cmocka_unit_test(a_policy_may_refuse_on_the_quick_way),
        cmocka_unit_test(the_quick_way_takes_the_time_of_the_general_one),
        cmocka_unit_test(chunks_change_nothing_where_nothing_overtakes),
        cmocka_unit_test(the_same_run_twice_gives_the_same_bytes),
        cmocka_unit_test(a_step_of_one_token_is_its_row_whatever_the_unit),
        cmocka_unit_test(one_lane_is_fifo),
        cmocka_unit_test(a_share_of_one_changes_nothing),
        cmocka_unit_test(a_share_of_one_is_the_quick_way),
        cmocka_unit_test(slots_are_bytes_where_all_experts_are_alike),
        cmocka_unit_test(an_only_layer_has_the_whole_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
