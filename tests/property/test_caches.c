/* Caches: what mathematics knows of hits and misses, on random traces.
 *
 *   infinite   where everything has room, what is missed is what is used for the first time
 *   inclusion  what LRU holds, it holds in a larger cache too (Mattson et al. 1970)
 *   optimum    nobody misses less than bypassing Belady, where one expert is asked for at a time
 *   bytes      what was missed is what went over the link */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#include "tests/support/scene.h"

/* One cache before home; whatever is missed is fetched, and nothing else is. */
static void caches_simple(scene *s)
{
    s->tiers = 1;
    s->holds = ES_HOLDS_ALL;
    s->training.steps = ES_TRAIN_NONE;
    s->tier[0].demotes = false;
    s->tier[0].write_back = ES_WRITE_NEVER;
    s->tier[0].share = s->tier[0].grace = 0;
    s->predictor = s->predictor_options = s->dispatcher = s->dispatcher_options = NULL;
    s->contract.skip_tokens = 0;
    s->contract.reset = 0;
    snprintf(s->quota, sizeof s->quota, "\"floor\"");
}

/* All experts take one slot; the tier has so many per layer. */
static void caches_slots(scene *s, uint32_t each)
{
    scene_alike(s);
    s->tier[0].bytes = s->tier[0].counted = false;
    s->tier[0].granularity = 0;
    s->tier[0].room = (int64_t)each * s->layers;
}

/* No event has more than one row, none exceeds a tier of top_k per layer. */
static void caches_rows(scene *s)
{
    s->together = 1;
    s->slices = 1;
    if (s->contract.unit == ES_SLICE)
        s->contract.unit = ES_UNION;
    if (!strcmp(s->prefill, "union") || !strcmp(s->prefill, "tiles:2"))
        snprintf(s->prefill, sizeof s->prefill, "tokens");
}

static uint64_t caches_misses(const rig *r)
{
    return (uint64_t)(rig_count(r, "cache.misses") + rig_count(r, "cache.initial_loads"));
}

static bool caches_run(const scene *s, rig *r)
{
    scene_build(s, r);
    es_code code = rig_run(r);
    if (code != ES_OK)
        printf("  code %d: %s\n", (int)code, r->err.text);
    return code == ES_OK;
}

typedef bool caches_property(scene *s, const char **wrong);     /* false: does not apply; *wrong says what is */

static void caches_all(const char *test, uint64_t most, caches_property *property)
{
    scene_cases cases = scene_plan(test, most);
    uint64_t applied = 0, failed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        scene s;
        const char *wrong = NULL;
        scene_draw(&s, scene_seed(&cases, i));
        s.shared = false;               /* what is counted here is experts of layers */
        applied += property(&s, &wrong);
        if (wrong)
            printf("case %" PRIu64 ", policy %s: %s\n", i, s.policy, wrong);
        failed += wrong != NULL;
    }
    assert_int_equal(failed, 0);
    assert_true(applied * 2 >= cases.to - cases.from || cases.one);
}

/* ---- infinite ---- */

/* Experts of the trace that are used at all, as far as the contract replays it. */
static uint64_t caches_used(const rig *r, bool prefill)
{
    const rig_trace *t = &r->trace;
    bool *seen = calloc((size_t)t->info.layers * t->info.experts, sizeof *seen);
    uint64_t count = 0;
    assert_non_null(seen);
    for (uint32_t i = 0; i < t->tokens; i++)
        for (uint32_t j = 0; j < t->info.layers * t->info.top_k; j++) {
            uint16_t id = t->ids[(size_t)i * t->info.layers * t->info.top_k + j];
            if (id == ES_NO_EXPERT || (t->token[i].phase == ES_PREFILL && !prefill))
                continue;
            bool *one = &seen[j / t->info.top_k * t->info.experts + id];
            count += !*one;
            *one = true;
        }
    free(seen);
    return count;
}

static bool property_infinite(scene *s, const char **wrong)
{
    rig r;
    caches_simple(s);
    caches_slots(s, s->experts * s->slices);
    if (!caches_run(s, &r)) {
        *wrong = "fails";
    } else if (strcmp(s->policy, "static") && strcmp(s->policy, "hybrid") && !(s->policy_options && strstr(s->policy_options, "bypass"))) {
        /* these have some before the first use, or refuse what will not be used again */
        uint64_t used = caches_used(&r, strcmp(s->prefill, "skip") != 0) * s->slices;
        if ((uint64_t)rig_count(&r, "cache.misses") != used)
            *wrong = "misses are not the experts that are used";
        else if ((uint64_t)rig_count(&r, "cache.misses_compulsory") != used)
            *wrong = "not all misses are called compulsory";
    }
    if (!*wrong && rig_count(&r, "cache.evictions") != 0)
        *wrong = "something left a cache that has room for everything";
    rig_close(&r);
    return true;
}

static void an_infinite_cache_has_compulsory_misses_only(void **state)
{
    (void)state;
    caches_all(__func__, 4000, property_infinite);
}

/* ---- inclusion ---- */

static bool caches_within(const rig *small, const rig *large)
{
    const es_view *a = rig_view(small), *b = rig_view(large);
    for (uint32_t w = 0; w < a->words; w++)
        if (a->tier[0].resident[w] & ~b->tier[0].resident[w])
            return false;
    return true;
}

/* Under either clock: what is looked up and who leaves does not depend on times where nobody guesses. Events fit, or what the overflow
 * leaves behind would depend on the room. */
static bool property_inclusion(scene *s, const char **wrong)
{
    rig r[2];
    int64_t hits = -1;
    caches_simple(s);
    caches_rows(s);
    s->policy = "lru";
    s->policy_options = NULL;
    s->contract.ties = ES_TIES_POLICY;
    for (uint32_t each = s->top_k, i = 0; each <= s->experts && each < s->top_k + 8 && !*wrong; each++, i++) {
        caches_slots(s, each);
        rig *now = &r[i % 2], *before = &r[(i + 1) % 2];
        if (!caches_run(s, now))
            *wrong = "fails";
        else if (i > 0 && rig_count(now, "cache.hits") < hits)
            *wrong = "a larger cache has fewer hits";
        else if (i > 0 && !caches_within(before, now))
            *wrong = "a larger cache lacks what a smaller one holds";
        hits = *wrong ? hits : rig_count(now, "cache.hits");
        if (i > 0)
            rig_close(before);
        if (*wrong || each == s->experts || each + 1 == s->top_k + 8)
            rig_close(now);
    }
    return true;
}

static void a_larger_lru_cache_holds_what_a_smaller_one_holds(void **state)
{
    (void)state;
    caches_all(__func__, 1200, property_inclusion);
}

/* ---- the optimum ---- */

/* Experts that are there from the start count as missed: nobody else has them for nothing. One at a time, because for unions it is no
 * theorem even where every event fits: hits may not leave while their event lasts, so which of two experts with the same next use is
 * there decides what can be kept after it. With room for 2, {2,1} {2,0} {0,2} {0,2} {0,1} {1,2} {1,0} {1,2} {2,1} costs a cache that
 * pins 2 from the start 6 misses, bypassing Belady 7. */
static bool property_optimum(scene *s, const char **wrong)
{
    rig r;
    caches_simple(s);
    s->timed = false;
    s->slices = 1;
    s->contract.unit = ES_ID;
    s->contract.judge = s->contract.judge == ES_SERIALIZED ? ES_SERIALIZED : ES_JUDGE_EVENT;
    s->contract.overflow = s->contract.overflow == ES_TRIM ? ES_TRIM : s->contract.overflow == ES_WAVES ? ES_WAVES : ES_BYPASS;
    caches_slots(s, 1 + (uint32_t)(s->seed % (2 * s->top_k)));
    if (!caches_run(s, &r)) {
        *wrong = "fails";
        rig_close(&r);
        return true;
    }
    uint64_t misses = caches_misses(&r);
    rig_close(&r);
    scene best = *s;
    best.policy = "belady";
    best.policy_options = "{\"bypass\": true}";
    if (!caches_run(&best, &r))
        *wrong = "the optimum fails";
    else if (caches_misses(&r) > misses)
        *wrong = "misses less than bypassing Belady";
    rig_close(&r);
    return true;
}

static void nobody_misses_less_than_bypassing_belady(void **state)
{
    (void)state;
    caches_all(__func__, 6000, property_optimum);
}

/* ---- bytes ---- */

typedef struct tellers {        /* what must have moved: misses of each event, by its layer's size */
    const es_view *view;
    int64_t *bytes;
} tellers;

static es_code tellers_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((tellers *)self)->view = site->view;
    return ES_OK;
}

static void tellers_notify(void *self, const es_fact *fact)
{
    const tellers *t = self;
    const es_event *event = fact->event;
    *t->bytes += es_event_sum(event, event->mask, t->view->bytes) - es_event_sum(event, event->hit, t->view->bytes);
}

static const es_observer tellers_observer = {
    .part = {.abi = ES_ABI, .name = "tellers", .size = sizeof(tellers), .init = tellers_init, .notify = tellers_notify, .hears = ES_HEARS(ES_FACT_USE)}};

static bool property_bytes(scene *s, const char **wrong)
{
    rig r;
    int64_t bytes = 0;
    tellers t = {.bytes = &bytes};
    caches_simple(s);
    s->timed = true;
    s->free_links = false;
    scene_build(s, &r);
    r.observer[r.plan.observer_count++] = rig_own(&tellers_observer.part, &t, "observers.tellers");
    if (rig_run(&r) != ES_OK) {
        bool refused = !r.run;
        *wrong = refused ? NULL : "fails";
        rig_close(&r);
        return !refused;
    }
    if (rig_view(&r)->channel[0].bytes != bytes)
        *wrong = "the link moved other bytes than were missed";
    if (rig_count(&r, "cache.fetched_bytes") != bytes)
        *wrong = "other bytes are reported than were missed";
    rig_close(&r);
    return true;
}

static void what_was_missed_went_over_the_link(void **state)
{
    (void)state;
    caches_all(__func__, 4000, property_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_infinite_cache_has_compulsory_misses_only),
        cmocka_unit_test(a_larger_lru_cache_holds_what_a_smaller_one_holds),
        cmocka_unit_test(nobody_misses_less_than_bypassing_belady),
        cmocka_unit_test(what_was_missed_went_over_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
