/* Priority: the policy `coverage` as documented names the victims that it would name if it weighed all residents for each.
 *
 * The policy is compiled once more here, with the search that says what is meant: every resident that may leave, in order of number, the
 * first of those with the least priority. Whole runs of both must tell the same facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#define es_policy_coverage weighs_all_policy
#include "sim/policy/coverage.c"
#undef es_policy_coverage

#include "tests/support/scene.h"

static es_oid weighs_all_least(const coverage *s, const es_need *need, const es_oid *named, size_t count)
{
    const es_tier_view *tier = &s->view->tier[need->tier];
    es_oid least = ES_NO_OBJECT;
    double lowest = 0.0;
    for (uint32_t w = 0; w < s->view->words; w++)
        for (uint64_t left = tier->resident[w] & ~s->view->guard[w]; left; left &= left - 1) {
            es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            double weight = admission_priority(&s->rules, &s->expert[object], s->sure[object], s->now);
            bool taken = es_bucket_of(s->view, need->tier, object) != need->bucket;
            for (size_t i = 0; i < count; i++)
                taken |= named[i] == object;
            if (!taken && (least == ES_NO_OBJECT || weight < lowest)) {
                least = object;
                lowest = weight;
            }
        }
    return least;
}

static uint64_t weighed;        /* victims that were found so */

static size_t weighs_all_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    coverage *s = self;
    size_t count = 0;
    int64_t freed = 0;
    if (!s->documented || need->tier == s->view->serving)
        return recency_victims(&s->lists, need, out, most);
    while (freed < need->units && count < most) {
        es_oid object = weighs_all_least(s, need, out, count);
        if (object == ES_NO_OBJECT)
            break;
        out[count++] = object;
        freed += s->view->tier[need->tier].unit[object >> 6];
    }
    if (need->all && freed < need->units)
        return 0;
    for (size_t i = 0; i < count; i++)
        recency_forget(&s->lists, need->tier, out[i]);
    coverage_judge(s, out, count);
    weighed += count;
    return count;
}

/* Levels that are small against what is guessed; freshness lasts for some steps, for the whole run or for none of it. */
static bool levelled(scene *s, uint64_t seed)
{
    static const char *const options[] = {
        "{\"mode\": \"as_documented\", \"l2_threshold\": 0.5, \"l2_least\": 0.2, \"l3_threshold\": 0.1, \"l3_least\": 0, \"fresh_span\": \"200us\"}",
        "{\"mode\": \"as_documented\", \"l2_threshold\": 0.5, \"l2_least\": 0.2, \"l3_threshold\": 0.1, \"l3_least\": 0, \"fresh_span\": \"2ms\"}",
        "{\"mode\": \"as_documented\", \"l2_threshold\": 0.5, \"l2_least\": 0.2, \"l3_threshold\": 0.1, \"l3_least\": 0}",
        "{\"mode\": \"as_documented\", \"l2_threshold\": 0.3, \"l2_least\": 0.1, \"l3_threshold\": 0, \"l3_least\": 0, \"fresh\": 0, \"promotes\": false}",
        "{\"mode\": \"as_documented\", \"l2_threshold\": 0.3, \"l2_least\": 0.1, \"l3_threshold\": 0, \"l3_least\": 0, \"fresh_span\": \"1us\", \"popularity_per\": 1}",
    };
    static const char *const sure[] = {"{\"confidence_spread\": 0, \"confidence_spread_wrong\": 0, \"extra\": 3}", "{\"accuracy\": 0.5, \"extra\": 4}"};
    scene_draw(s, seed);
    if (seed % 3 == 0)
        scene_charge(s);
    if (s->tiers < 2 || s->contract.overflow == ES_BYPASS)
        return false;
    s->levels = s->tiers;
    for (uint32_t t = 0; t < s->tiers; t++)
        s->tier[t].write_back = false;
    s->decode = 40;
    s->policy = "coverage";
    s->policy_options = options[seed / 7 % 5];
    s->predictor = "noisy_oracle";          /* with all equally sure there are ties */
    s->predictor_options = sure[seed / 5 % 2];
    if (seed % 4 == 0)
        scene_tune(s);
    return true;
}

static es_code levelled_run(const scene *s, const es_policy *policy, rig *r)
{
    scene_build(s, r);
    if (policy)
        r->plan.policy.part = &policy->part;
    return rig_run(r);
}

static bool levelled_same(const scene *s, uint64_t number, uint64_t *compared)
{
    es_policy weighs_all = weighs_all_policy;
    rig quick, slow;
    weighs_all.victims = weighs_all_victims;
    es_code one = levelled_run(s, NULL, &quick), two = levelled_run(s, &weighs_all, &slow);
    bool same = one == two && (one != ES_OK || strcmp(rig_said(&quick, "digest.facts"), rig_said(&slow, "digest.facts")) == 0);
    *compared += one == ES_OK;
    if (!same)
        printf("case %" PRIu64 ": codes %d and %d%s\n", number, (int)one, (int)two, one == two ? ", the facts differ" : "");
    rig_close(&quick);
    rig_close(&slow);
    return same;
}

static void victims_are_those_of_a_search_among_all(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 8000);
    uint64_t compared = 0, failed = 0;
    weighed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        scene s;
        if (levelled(&s, scene_seed(&cases, i)))
            failed += !levelled_same(&s, i, &compared);
    }
    printf("  %" PRIu64 " pairs were compared, %" PRIu64 " victims named below the first level\n", compared, weighed);
    assert_int_equal(failed, 0);
    assert_true(weighed > 5 * compared || cases.one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(victims_are_those_of_a_search_among_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
