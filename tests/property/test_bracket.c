/* Bracket: on random machines of every kind no run is faster than the bound that sim/study/bracket.h finds for it, whatever policy,
 * predictor, dispatcher, grace, precision, number of tiers or links it has.
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

#include "sim/study/bracket.h"
#include "tests/support/scene.h"

typedef struct bracket_sum {    /* over all cases */
    uint64_t runs, bounded, tight;
    uint64_t reason[64];
    const char *why[64];
} bracket_sum;

static void bracket_note(bracket_sum *sum, const char *why)
{
    for (size_t i = 0; i < 64; i++)
        if (!sum->why[i] || !strcmp(sum->why[i], why)) {
            sum->why[i] = why;
            sum->reason[i]++;
            return;
        }
}

static bool bracket_case(const scene_cases *cases, uint64_t number, bracket_sum *sum)
{
    scene s;
    rig r;
    es_bracket bracket;
    es_err err = {0};
    scene_draw(&s, scene_seed(cases, number));
    s.timed = true;
    s.watched = s.reported = false;
    if (number % 4 == 0)
        scene_charge(&s);
    if (number % 6 == 1)
        scene_precisions(&s);
    if (number % 6 == 3)
        scene_pools(&s);
    else if (number % 4 < 2)
        scene_tune(&s);
    scene_build(&s, &r);
    if (cases->one)
        rig_print(&r, stdout);
    bool sound = true;
    if (rig_run(&r) == ES_OK) {
        const es_time total = rig_view(&r)->times->total;
        assert_int_equal(es_bracket_find(&bracket, &r.plan, &err), ES_OK);
        sum->runs++;
        if (bracket.no_bound) {
            bracket_note(sum, bracket.no_bound);
        } else {
            sum->bounded++;
            sum->tight += bracket.bound.total_ns * 10 >= total * 9;
            sound = bracket.bound.total_ns <= total;
        }
        if (!sound || cases->one)
            printf("case %" PRIu64 ": bound %lld, run %lld, compute %lld, link %lld, %s\n", number, (long long)bracket.bound.total_ns, (long long)total,
                (long long)bracket.bound.compute_ns, (long long)bracket.bound.link_ns, bracket.no_bound ? bracket.no_bound : "bounded");
    }
    rig_close(&r);
    return sound;
}

static void no_random_run_is_faster_than_its_bound(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 12000);
    bracket_sum sum = {0};
    uint64_t failed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++)
        failed += !bracket_case(&cases, i, &sum);
    printf("  %" PRIu64 " runs, %" PRIu64 " with a bound, %" PRIu64 " of these at most 1/9 above it\n", sum.runs, sum.bounded, sum.tight);
    for (size_t i = 0; i < 64 && sum.why[i]; i++)
        printf("  %6" PRIu64 " without: %s\n", sum.reason[i], sum.why[i]);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_random_run_is_faster_than_its_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
