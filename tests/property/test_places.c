/* Places: where all experts are alike, a pool of slots for the one precision there is holds what a cache that counts bytes holds.
 *
 * Each case draws a scene with one cache, gives it allocator bytes and then pools, and runs both. Left out is what differs by definition:
 * an event larger than the tier under `trim` and `persist` (nothing can lie above a room that is laid out, so what exceeds it leaves
 * first), a call whose ids are judged one by one but are all pinned, and the room of pins that a reset has driven out. */
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

typedef struct places_count {
    uint64_t ran, layered, best, bypassed, beside, exceeded;
} places_count;

/* false: the case says nothing. */
static bool places_pair(scene *bytes, scene *pools, uint64_t number)
{
    static const int overflows[] = {ES_WAVES, ES_KEEP_BEST, ES_BYPASS};
    scene_alike(bytes);
    if (bytes->slices > 1 || bytes->shared)
        return false;
    bytes->variants = 1;
    bytes->contract.overflow = overflows[number % 3];
    bytes->contract.pins_take_room = number % 5 != 0;
    bytes->contract.reset = 0;
    bytes->contract.scope = number % 2 ? ES_PER_LAYER : ES_GLOBAL;
    snprintf(bytes->quota, sizeof bytes->quota, "\"floor\"");
    bytes->levels = 1;
    bytes->tiers = 1;
    bytes->predictor = NULL;
    if (!strcmp(bytes->policy, "random") || !strcmp(bytes->policy, "shift_cache"))
        bytes->policy = "lru";              /* they name several at once otherwise than one by one */
    bytes->policy_options = !strcmp(bytes->policy, "lru") ? NULL : bytes->policy_options;
    bytes->contract.judge = ES_JUDGE_EVENT;
    for (uint32_t t = 0; t < bytes->tiers; t++) {
        scene_tier *tier = &bytes->tier[t];
        const int64_t each = bytes->bytes[0] >> 2, lots = bytes->contract.scope == ES_PER_LAYER ? bytes->layers : 1;
        tier->room = lots * each * (int64_t)(1 + number / 8 % (bytes->experts + 1));
        tier->bytes = true;
        tier->counted = false;
        tier->granularity = tier->share = 0;
        tier->grace = 0;
        tier->write_back = ES_WRITE_NEVER;
    }
    *pools = *bytes;
    pools->heapless = true;
    pools->shares = ", \"distribution\": {\"4\": 1}";
    pools->defrag = ", \"defrag\": \"off\"";
    for (uint32_t t = 0; t < pools->tiers; t++)
        pools->tier[t].pools = "\"min_pool\": 0";
    return true;
}

static const char *places_differ(const rig *a, const rig *b)
{
    static const char *const figures[] = {"cache.hits", "cache.misses", "cache.evictions", "cache.insertions", "cache.misses_refused", "cache.hits_prefetched", "cache.wasted"};
    const es_view *x = rig_view(a), *y = rig_view(b);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (rig_count(a, figures[i]) != rig_count(b, figures[i]))
            return figures[i];
    for (uint32_t t = 0; t < x->tiers; t++)
        if (memcmp(x->tier[t].resident, y->tier[t].resident, x->words * sizeof(uint64_t)) != 0)
            return "who is there at the end";
    return x->now == y->now ? NULL : "when it ends";
}

static bool places_case(const scene_cases *cases, uint64_t number, places_count *count)
{
    scene bytes, pools;
    rig a, b;
    scene_draw(&bytes, scene_seed(cases, number));
    if (!places_pair(&bytes, &pools, number))
        return true;
    scene_build(&bytes, &a);
    scene_build(&pools, &b);
    const es_code one = rig_run(&a), two = rig_run(&b);
    const bool small = a.plan.contract.overflow == ES_BYPASS && two == ES_EINPUT;   /* a pool has a slot, or all would be read in place */
    const char *differ = one != two && !small ? "whether it runs" : one == ES_OK && two == ES_OK ? places_differ(&a, &b) : NULL;
    if (one == ES_OK && two == ES_OK) {
        count->ran++;
        count->layered += a.plan.contract.scope == ES_PER_LAYER;
        count->best += a.plan.contract.overflow == ES_KEEP_BEST && rig_count(&b, "tiers.cache.allocator.overshoots") > 0;
        count->bypassed += a.plan.contract.overflow == ES_BYPASS && rig_count(&b, "cache.overflow_events") > 0;
        count->beside += !a.plan.contract.pins_take_room && rig_count(&b, "tiers.cache.allocator.pinned_bytes") > 0;
        count->exceeded += rig_count(&b, "cache.overflow_events") > 0;
    }
    if (differ || cases->one)
        printf("case %" PRIu64 ": %s; codes %d %d %s%s\n", number, differ ? differ : "equal", (int)one, (int)two, a.err.text, b.err.text);
    if (cases->one)
        rig_print(&b, stdout);
    rig_close(&a);
    rig_close(&b);
    return !differ;
}

static void a_pool_of_one_precision_is_a_cache_of_bytes(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 3000);
    places_count count = {0};
    uint64_t failed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++)
        failed += !places_case(&cases, i, &count);
    printf("  %" PRIu64 " pairs were compared: %" PRIu64 " per layer; %" PRIu64 " exceeded the tier, of which %" PRIu64 " bypassed it; %" PRIu64 " kept the best, %" PRIu64
        " had pins beside\n", count.ran, count.layered, count.exceeded, count.bypassed, count.best, count.beside);
    assert_int_equal(failed, 0);
    assert_true(cases.to - cases.from < 1000 || (count.ran * 4 > cases.to - cases.from && count.layered > 0 && count.best > 0 && count.bypassed > 0 && count.beside > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_pool_of_one_precision_is_a_cache_of_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
