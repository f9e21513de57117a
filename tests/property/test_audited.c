/* Audited: whatever machine, trace and parts are put together, the run ends, the audit finds no fault and nothing is lost.
 *
 * A case that fails prints its number; ES_SEED and ES_CASE run it alone and print its machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#include "tests/support/scene.h"

static uint64_t audited_held(const es_view *view, uint32_t t)
{
    uint64_t count = 0;
    for (uint32_t w = 0; w < view->words; w++)
        count += (uint64_t)__builtin_popcountll(view->tier[t].resident[w] | view->tier[t].outbound[w]);
    return count;
}

/* What was changed was written down, is still to be, or was lost where nothing writes it. */
static const char *audited_changes(const rig *r)
{
    for (size_t t = 0; t + 1 < r->plan.tier_count; t++) {
        const es_plan_tier *tier = &r->plan.tiers[t];
        const char *names[] = {"dirtied", "cleaned", "lost_changes", "dirty"};
        int64_t count[4];
        for (size_t i = 0; i < 4; i++) {
            char path[64];
            snprintf(path, sizeof path, "tiers.%s.%s", tier->name, names[i]);
            count[i] = rig_count(r, path);
        }
        if (count[0] != count[1] + count[2] + count[3])
            return "what was changed was neither written nor lost nor is it there";
        if (count[2] > 0 && tier->write_back != ES_WRITE_NEVER && !r->plan.contract.reset && r->plan.tiers[t + 1].home)
            return "a tier that writes to home has lost a change";
    }
    return NULL;
}

/* What came in and did not leave is there; what was counted as moved went over the channels. */
static const char *audited_balance(const rig *r)
{
    const es_view *view = rig_view(r);
    const char *changes = r->plan.training.steps == ES_TRAIN_ALL ? audited_changes(r) : NULL;
    if (changes)
        return changes;
    if (r->plan.contract.flush) {               /* the counts are from before it, the contents from behind it */
        if (r->plan.tiers[0].write_back != ES_WRITE_NEVER && !((const es_policy *)(const void *)r->plan.policy.part)->initial && audited_held(view, 0) > 0)
            return "the flush has left something in the first tier";
        for (size_t t = 0; t < r->plan.tier_count; t++)
            if (!r->plan.tiers[t].home && r->plan.tiers[t].write_back == ES_WRITE_NEVER)
                return NULL;
        return rig_count(r, "flush.unsaved") > 0 ? "the flush has left something dirty" : NULL;
    }
    for (uint32_t t = 0; t < view->tiers; t++)
        if (!view->tier[t].home && !r->plan.contract.reset && !r->plan.tiers[t].exclusive && view->tier[t].insertions != view->tier[t].evictions + audited_held(view, t))
            return "insertions are not evictions and residents";
    if (r->allocations[0] != r->allocations[1])
        return "memory was taken after the first event";
    return NULL;
}

/* What is drawn under this number: some with more costs, some with several precisions, some of these with a pool for each. */
static void audited_scene(scene *s, uint64_t seed, uint64_t number)
{
    scene_draw(s, seed);
    if (number % 4 == 0)
        scene_charge(s);
    if (number % 6 == 1)
        scene_precisions(s);
    if (number % 6 == 3)
        scene_pools(s);
    else if (number % 4 < 2)
        scene_tune(s);
}

/* What tiers with write buffers and with pools went through, over all cases. */
static struct audited_buffers { uint64_t entered, recalled, refused, flushed; } audited_buffers_sum;
static struct audited_pools { uint64_t spills, overshoots, compactions, moves, drops, hidden, reassigned; } audited_pools_sum;

static void audited_count(const rig *r)
{
    const es_json *tier;
    audited_pools_sum.reassigned += rig_view(r)->tally->reassigned > 0;
    cJSON_ArrayForEach(tier, es_json_at(r->report, "tiers")) {
        const es_json *allocator = es_json_at(tier, "allocator"), *buffer = es_json_at(tier, "write_buffer");
        if (buffer) {
            audited_buffers_sum.entered += es_json_at(buffer, "entered")->valuedouble > 0;
            audited_buffers_sum.recalled += es_json_at(buffer, "recalled")->valuedouble > 0;
            audited_buffers_sum.refused += es_json_at(buffer, "refused")->valuedouble > 0;
            audited_buffers_sum.flushed += r->plan.contract.flush && es_json_at(buffer, "bytes")->valuedouble > 0;
        }
        struct audited_pools *sum = &audited_pools_sum;
        if (!allocator)
            continue;
        sum->spills += es_json_at(allocator, "spills")->valuedouble > 0;
        sum->overshoots += es_json_at(allocator, "overshoots")->valuedouble > 0;
        sum->compactions += es_json_at(allocator, "compactions")->valuedouble > 0;
        sum->moves += es_json_at(allocator, "compaction_moves")->valuedouble > 0;
        sum->hidden += es_json_at(allocator, "hidden_hits") && es_json_at(allocator, "hidden_hits")->valuedouble > 0;
        sum->drops += es_json_at(allocator, "compaction_drops")->valuedouble > 0;
    }
}

static bool audited_case(const scene_cases *cases, uint64_t number, uint64_t *refused)
{
    scene s;
    rig r;
    audited_scene(&s, scene_seed(cases, number), number);
    scene_build(&s, &r);
    if (cases->one)
        rig_print(&r, stdout);
    es_code code = rig_run(&r);
    const char *fault = code == ES_OK ? audited_balance(&r) : NULL;
    bool input = code == ES_EINPUT;
    if (code == ES_OK)
        audited_count(&r);
    *refused += input;
    if (cases->one || fault || (code != ES_OK && !input))
        printf("case %" PRIu64 ": code %d %s%s\n", number, (int)code, code ? r.err.text : "", fault ? fault : "");
    rig_close(&r);
    return !fault && (code == ES_OK || input);
}

static void every_random_run_ends_without_a_fault_of_the_audit(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 20000);
    uint64_t refused = 0, failed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++)
        failed += !audited_case(&cases, i, &refused);
    printf("  %" PRIu64 " were refused as machines that cannot be\n", refused);
    assert_int_equal(failed, 0);
    assert_true(refused * 10 <= cases.to - cases.from || cases.one);
    const struct audited_pools *sum = &audited_pools_sum;
    printf("  of runs with pools %" PRIu64 " spilled, %" PRIu64 " overshot, %" PRIu64 " compacted, %" PRIu64 " moved copies, %" PRIu64 " dropped and %" PRIu64 " hid some; %" PRIu64 " runs changed precisions\n", sum->spills,
        sum->overshoots, sum->compactions, sum->moves, sum->drops, sum->hidden, sum->reassigned);
    const struct audited_buffers *written = &audited_buffers_sum;
    printf("  of runs with write buffers %" PRIu64 " used them, %" PRIu64 " took some back, %" PRIu64 " filled them, %" PRIu64 " had some in them when the flush began\n",
        written->entered, written->recalled, written->refused, written->flushed);
    assert_true(cases.to - cases.from < 1000 || (written->entered > 0 && written->recalled > 0 && written->refused > 0));
    assert_true(cases.to - cases.from < 1000 || (sum->spills > 0 && sum->overshoots > 0 && sum->compactions > 0 && sum->moves > 0 && sum->hidden > 0 && sum->reassigned > 0));
}

/* ---- what is drawn ---- */

enum { AUDITED_PARTS = 64 };

typedef struct audited_parts {  /* which parts were part of some machine */
    const es_part *seen[AUDITED_PARTS];
    size_t count;
} audited_parts;

static bool audited_has(const audited_parts *parts, const es_part *part)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->seen[i] == part)
            return true;
    return false;
}

static void audited_note(audited_parts *parts, const es_part *part)
{
    if (part && !audited_has(parts, part) && parts->count < AUDITED_PARTS)
        parts->seen[parts->count++] = part;
}

static void audited_machine(audited_parts *parts, const es_plan *plan)
{
    audited_note(parts, plan->policy.part);
    audited_note(parts, plan->predictor.part);
    audited_note(parts, plan->dispatcher.part);
    for (size_t i = 0; i < plan->tuner_count; i++)
        audited_note(parts, plan->tuners[i].part);
    for (size_t i = 0; i < plan->tier_count; i++)
        audited_note(parts, plan->tiers[i].allocator.part);
    for (size_t i = 0; i < plan->channel_count; i++) {
        audited_note(parts, plan->channels[i].timing.part);
        audited_note(parts, plan->channels[i].scheduler.part);
    }
}

/* For traces of buffers, which test_heaps and test_buffers look at. */
static bool audited_elsewhere(const es_part *part)
{
    return !strcmp(part->name, "heaps") || !strcmp(part->name, "alloc");
}

/* Or a part would pass for tested that never ran. */
static void every_part_that_decides_is_drawn(void **state)
{
    (void)state;
    const es_kind kinds[] = {ES_KIND_POLICY, ES_KIND_PREDICTOR, ES_KIND_DISPATCHER, ES_KIND_SCHEDULER, ES_KIND_ALLOCATOR, ES_KIND_TIMING, ES_KIND_TUNER};
    audited_parts parts = {.count = 0};
    for (uint64_t i = 0; i < 400; i++) {
        scene s;
        rig r;
        audited_scene(&s, scene_seed(&(scene_cases){.seed = 1}, i), i);
        scene_build(&s, &r);
        audited_machine(&parts, &r.plan);
        rig_close(&r);
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; es_part_at(kinds[k], i); i++)
            if (!audited_has(&parts, es_part_at(kinds[k], i)) && !scene_needs(es_part_at(kinds[k], i))
                && !audited_elsewhere(es_part_at(kinds[k], i)))
                fail_msg("no machine has %s %s: teach it to tests/support/scene.c", es_kind_name(kinds[k]), es_part_at(kinds[k], i)->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_random_run_ends_without_a_fault_of_the_audit),
        cmocka_unit_test(every_part_that_decides_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
