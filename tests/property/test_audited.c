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

static bool audited_case(const scene_cases *cases, uint64_t number, uint64_t *refused)
{
    scene s;
    rig r;
    scene_draw(&s, scene_seed(cases, number));
    if (number % 4 == 0)
        scene_charge(&s);
    scene_build(&s, &r);
    if (cases->one)
        rig_print(&r, stdout);
    es_code code = rig_run(&r);
    const char *fault = code == ES_OK ? audited_balance(&r) : NULL;
    bool input = code == ES_EINPUT;
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
    for (size_t i = 0; i < plan->tier_count; i++)
        audited_note(parts, plan->tiers[i].allocator.part);
    for (size_t i = 0; i < plan->channel_count; i++) {
        audited_note(parts, plan->channels[i].timing.part);
        audited_note(parts, plan->channels[i].scheduler.part);
    }
}

/* Or a part would pass for tested that never ran. */
static void every_part_that_decides_is_drawn(void **state)
{
    (void)state;
    const es_kind kinds[] = {ES_KIND_POLICY, ES_KIND_PREDICTOR, ES_KIND_DISPATCHER, ES_KIND_SCHEDULER, ES_KIND_ALLOCATOR, ES_KIND_TIMING};
    audited_parts parts = {.count = 0};
    for (uint64_t i = 0; i < 400; i++) {
        scene s;
        rig r;
        scene_draw(&s, scene_seed(&(scene_cases){.seed = 1}, i));
        scene_build(&s, &r);
        audited_machine(&parts, &r.plan);
        rig_close(&r);
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; es_part_at(kinds[k], i); i++)
            if (!audited_has(&parts, es_part_at(kinds[k], i)) && !scene_needs(es_part_at(kinds[k], i)))
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
