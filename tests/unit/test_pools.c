/* Pools: the sub-pools of seed 000 (Metal Marlin's enhanced expert pool), alone and under the core. */
#include <stdio.h>

#include "sim/base/rng.h"
#include "tests/support/allocator_kit.h"
#include "tests/support/rig.h"

extern const es_allocator es_allocator_pools;

#define MIB 1048576.0

enum { OBJECTS = 4096 };
static const int64_t seed_bytes[] = {33816576, 67633152, 135266304};    /* 3 * 4096 * 11008 weights of 2, 4 and 8 bits */

/* ---- the allocator alone ---- */

static es_code alone_try(allocated *a, const char *options, int64_t capacity, const es_place_ask *kind, uint32_t kinds)
{
    return allocated_try(a, &es_allocator_pools, options, capacity, OBJECTS, kind, kinds);
}

/* 4 GiB in the seed's shares; only 4-bit experts are known, as in its example. */
static void alone_seed(allocated *a, const char *options)
{
    const es_place_ask kind = {.bytes = seed_bytes[1], .bits = 4};
    if (alone_try(a, options, 4096ll << 20, &kind, 1) != ES_OK)
        fail_msg("%s", a->err.text);
}

static es_place alone_reserve(allocated *a, es_oid object, uint32_t bits, uint32_t pool)
{
    const es_place_ask ask = {.bytes = seed_bytes[bits == 2 ? 0 : bits == 4 ? 1 : 2], .bits = bits, .pool = pool, .object = object};
    return es_allocator_pools.reserve(a->self, &ask, &a->block[object]);
}

static void the_seeds_shares_give_its_slots(void **state)
{
    (void)state;
    static const int64_t slots[] = {31, 31, 7};
    static const double tail[] = {24.25, 48.5, 121};
    allocated a;
    alone_seed(&a, "{}");
    es_json *report = allocated_report(&a);
    for (int p = 0; p < 3; p++) {
        assert_int_equal(a.pool[p].slot_bytes, seed_bytes[p]);
        assert_int_equal(a.pool[p].capacity, slots[p] * seed_bytes[p]);
        const es_json *row = cJSON_GetArrayItem(cJSON_GetObjectItem(report, "pools"), p);
        assert_true(es_json_at(row, "tail_bytes")->valuedouble / MIB == tail[p]);
    }
    assert_true(es_json_at(report, "tail_bytes")->valuedouble / MIB == 193.75);
    assert_true(es_json_at(report, "pool_bytes")->valuedouble == 4294967296.0);
    cJSON_Delete(report);
    es_arena_free(&a.arena);
}

static void free_slots_are_a_stack(void **state)
{
    (void)state;
    allocated a;
    alone_seed(&a, "{}");
    for (es_oid o = 0; o < 31; o++) {
        assert_int_equal(alone_reserve(&a, o, 4, ES_NONE_POOL), ES_PLACED);
        assert_int_equal(a.block[o].slot, 30 - o);
        assert_int_equal(a.block[o].at, (30 - o) * seed_bytes[1]);
    }
    assert_int_equal(alone_reserve(&a, 31, 4, ES_NONE_POOL), ES_FULL);
    es_allocator_pools.release(a.self, 7, &a.block[7]);
    es_allocator_pools.release(a.self, 3, &a.block[3]);
    assert_int_equal(a.pool[1].used, 29 * seed_bytes[1]);
    alone_reserve(&a, 31, 4, ES_NONE_POOL);
    alone_reserve(&a, 32, 4, ES_NONE_POOL);
    assert_int_equal(a.block[31].slot, 30 - 3);
    assert_int_equal(a.block[32].slot, 30 - 7);
    es_arena_free(&a.arena);
}

/* The first other pool in declared order whose slots are large enough: for 4 bits that is 8, for 2 bits 4. */
static void what_spills_goes_into_wider_slots(void **state)
{
    (void)state;
    allocated a;
    uint32_t pool[3];
    alone_seed(&a, "{}");
    assert_int_equal(es_allocator_pools.choices(a.self, &(es_place_ask){.bytes = seed_bytes[0], .bits = 2}, pool), 3);
    assert_true(pool[0] == 0 && pool[1] == 1 && pool[2] == 2);
    assert_int_equal(es_allocator_pools.choices(a.self, &(es_place_ask){.bytes = seed_bytes[1], .bits = 4}, pool), 2);
    assert_true(pool[0] == 1 && pool[1] == 2);
    assert_int_equal(es_allocator_pools.choices(a.self, &(es_place_ask){.bytes = seed_bytes[2], .bits = 8}, pool), 1);
    assert_int_equal(alone_reserve(&a, 0, 4, 2), ES_SPILLED);
    assert_int_equal(a.block[0].slot, 6);
    assert_int_equal(a.block[0].bytes, seed_bytes[2]);
    es_arena_free(&a.arena);
}

static void a_spill_may_come_before_eviction_or_never(void **state)
{
    (void)state;
    allocated a;
    uint32_t pool[3];
    alone_seed(&a, "{\"spill\": \"before_eviction\"}");
    for (es_oid o = 0; o < 31; o++)
        assert_int_equal(alone_reserve(&a, o, 4, ES_NONE_POOL), ES_PLACED);
    for (es_oid o = 31; o < 38; o++)
        assert_int_equal(alone_reserve(&a, o, 4, ES_NONE_POOL), ES_SPILLED);
    assert_int_equal(alone_reserve(&a, 38, 4, ES_NONE_POOL), ES_FULL);
    es_arena_free(&a.arena);
    alone_seed(&a, "{\"spill\": \"never\"}");
    assert_int_equal(es_allocator_pools.choices(a.self, &(es_place_ask){.bytes = seed_bytes[0], .bits = 2}, pool), 1);
    es_arena_free(&a.arena);
}

/* As coded: the victim's slot is the newcomer's, and the next newcomer's. */
static void as_coded_two_experts_lie_in_one_slot(void **state)
{
    (void)state;
    for (int coded = 0; coded <= 1; coded++) {
        allocated a;
        alone_seed(&a, coded ? "{\"mode\": \"as_coded\"}" : "{}");
        for (es_oid o = 0; o < 31; o++)
            alone_reserve(&a, o, 4, ES_NONE_POOL);
        es_block freed = a.block[12];
        es_allocator_pools.release(a.self, 12, &freed);
        const es_place_ask ask = {.bytes = seed_bytes[1], .bits = 4, .pool = 1, .object = 31, .freed = &freed};
        assert_int_equal(es_allocator_pools.reserve(a.self, &ask, &a.block[31]), ES_PLACED);
        assert_int_equal(a.block[31].slot, 18);
        assert_int_equal(alone_reserve(&a, 32, 4, ES_NONE_POOL), coded ? ES_PLACED : ES_FULL);
        if (coded) {
            assert_int_equal(a.block[32].slot, 18);
            assert_int_equal(a.pool[1].used, 32 * seed_bytes[1]);
        }
        assert_int_equal(es_allocator_pools.overcommits(a.self), coded);
        es_arena_free(&a.arena);
    }
}

static void what_cannot_be_cut_is_refused(void **state)
{
    (void)state;
    static const es_place_ask four = {.bytes = 67633152, .bits = 4}, unknown = {.bytes = 67633152}, three = {.bytes = 50000000, .bits = 3};
    static const struct { const char *options; const es_place_ask *kind; const char *says; } wrong[] = {
        {"{\"distribution\": {\"2\": 0.25, \"4\": 0.5, \"8\": 0.5}}", &four, "distribution: the shares add up to 1.25, but the whole capacity is 1"},
        {"{\"distribution\": {\"4\": 0.99, \"8\": 0.01}}", &four, "the pool of 8 bits has 67108864 bytes, less than one expert (135266304); give it a larger share or raise min_pool"},
        {"{\"distribution\": {\"2\": 0.5, \"8\": 0.5}}", &four, "distribution: there are experts of 4 bits, but no pool for them"},
        {"{\"distribution\": {\"2\": 0.5, \"02\": 0.5}}", &four, "distribution: 2 bits stand there twice"},
        {"{\"distribution\": {\"wide\": 1}}", &four, "distribution: \"wide\" is no precision"},
        {"{\"distribution\": {\"4\": -1, \"8\": 2}}", &four, "distribution.4: found a number, needs a share from 0 to 1"},
        {"{\"distribution\": 4}", &four, "distribution: found a number, needs shares by bits"},
        {"{}", &unknown, "nobody says how many bits a weight has; set catalog.bits"},
        {"{}", &three, "distribution: there are experts of 3 bits, but no pool for them"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        allocated a;
        if (alone_try(&a, wrong[i].options, 4096ll << 20, wrong[i].kind, 1) != ES_EINPUT || !strstr(a.err.text, wrong[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", wrong[i].options, a.err.text, wrong[i].says);
        es_arena_free(&a.arena);
    }
}

/* The max() of the source: 64 MiB for a share of 41 MiB, so the pools are larger than the capacity; as coded even a slot that does not fit. */
static void a_minimum_may_exceed_the_capacity(void **state)
{
    (void)state;
    static const es_place_ask four = {.bytes = 67633152, .bits = 4};
    allocated a;
    assert_int_equal(alone_try(&a, "{\"distribution\": {\"2\": 0.01, \"4\": 0.98, \"8\": 0.01}, \"mode\": \"as_coded\"}", 4096ll << 20, &four, 1), ES_OK);
    assert_int_equal(a.pool[0].capacity, 33816576);             /* of 64 MiB: one slot of 32.25 MiB */
    assert_int_equal(a.pool[2].capacity, 135266304);            /* of 64 MiB: one slot all the same */
    es_arena_free(&a.arena);
}

/* ---- under the core ---- */

/* One layer of experts that all have 4 bits and 1000 bytes, one per token; `slots` of them in a pool, and as many again of 8 bits. */
static void stage(rig *r, uint32_t experts, uint32_t slots, const char *options, uint32_t tokens)
{
    static uint8_t variant[OBJECTS];
    static const int64_t bytes[] = {1000, 2000};
    rig_open(r, 1, experts, 1, 0, tokens);
    rig_plain(r, false, rig_text(r, "%u000B", slots * 3), "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": 0, \"expert\": \"50ns\"}");
    r->tier[0].allocator = rig_part(r, ES_KIND_ALLOCATOR, "pools", options, "tiers.cache.allocator");
    r->plan.variants = 2;
    r->plan.bits[0] = 4;
    r->plan.bits[1] = 8;
    r->plan.variant = variant;
    r->plan.variant_bytes = bytes;
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

/* MEASURED upstream: 20 000 accesses to 64 experts, 31 slots: as coded always 97 misses and 64 residents in 31 slots; as documented 48.5 % hits. */
static void aliased_slots_make_hits_that_are_none(void **state)
{
    (void)state;
    for (int coded = 0; coded <= 1; coded++) {
        rig r;
        stage(&r, 64, 31, coded ? "{\"distribution\": {\"4\": 1}, \"min_pool\": \"31000B\", \"mode\": \"as_coded\"}" :
            "{\"distribution\": {\"4\": 1}, \"min_pool\": \"31000B\"}", 20000);
        r.tier[0].capacity = "31000B";
        for (uint32_t i = 0; i < 20000; i++)
            *rig_token(&r, 0, ES_DECODE, false) = (uint16_t)es_draw_below(1, 64, i, 0, 0, 0);
        expect_ok(&r);
        if (coded) {
            assert_int_equal(rig_count(&r, "cache.misses"), 97);
            assert_int_equal(rig_count(&r, "tiers.cache.held"), 64 * 1000);
            assert_true(rig_count(&r, "audit.overcommitted") > 0);
        } else {
            assert_in_range(rig_count(&r, "cache.hits"), 9500, 9900);
            assert_int_equal(rig_count(&r, "tiers.cache.held"), 31 * 1000);
            assert_int_equal(rig_count(&r, "audit.overcommitted"), 0);
        }
        rig_close(&r);
    }
}

/* Two slots of 4 bits, one of 8. A third 4-bit expert drives the oldest out; with spill before_eviction it goes into the slot of 8 bits. */
static void an_expert_spills_when_it_is_told_to(void **state)
{
    (void)state;
    for (int before = 0; before <= 1; before++) {
        rig r;
        stage(&r, 4, 2, before ? "{\"distribution\": {\"4\": 0.5, \"8\": 0.5}, \"min_pool\": \"2000B\", \"spill\": \"before_eviction\"}" :
            "{\"distribution\": {\"4\": 0.5, \"8\": 0.5}, \"min_pool\": \"2000B\"}", 4);
        r.tier[0].capacity = "4000B";
        for (uint16_t i = 0; i < 4; i++)
            *rig_token(&r, 0, ES_DECODE, false) = i < 3 ? i : 0;
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.misses"), before ? 3 : 4);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.spills"), before);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.8bit.experts"), before);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.slot_waste_bytes"), before ? 1000 : 0);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.placed"), before ? 3 : 4);
        rig_close(&r);
    }
}

/* One event of three experts: two fill their pool, and as both are pinned the third spills. Of four the last lies outside until the event ends. */
static void what_is_pinned_makes_others_spill(void **state)
{
    (void)state;
    for (uint16_t wanted = 3; wanted <= 4; wanted++) {
        rig r;
        stage(&r, 5, 2, "{\"distribution\": {\"4\": 0.5, \"8\": 0.5}, \"min_pool\": \"2000B\"}", 4);
        r.tier[0].capacity = "4000B";
        r.plan.contract.overflow = ES_TRIM;
        for (uint16_t i = 0; i < wanted; i++)
            *rig_token(&r, 0, ES_PREFILL, i > 0) = i;
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.spills"), 1);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.overshoots"), wanted - 3);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.outside_peak_bytes"), (wanted - 3) * 1000);
        assert_int_equal(rig_count(&r, "cache.overflow_events"), wanted - 3);
        assert_int_equal(rig_count(&r, "tiers.cache.insertions") - rig_count(&r, "tiers.cache.evictions"), 3);
        rig_close(&r);
    }
}

/* One slot of 4 bits, one of 8. 0 and 1 are wanted together, so 1 spills. When it is wanted again it is there; as coded it is looked up at
 * home only, loaded a second time into the place of 0, and its first copy stays where it is. */
static void as_coded_what_spilled_is_not_found(void **state)
{
    (void)state;
    for (int coded = 0; coded <= 1; coded++) {
        rig r;
        stage(&r, 5, 1, coded ? "{\"distribution\": {\"4\": 0.4, \"8\": 0.6}, \"min_pool\": \"1000B\", \"mode\": \"as_coded\", \"defrag\": \"off\"}" :
            "{\"distribution\": {\"4\": 0.4, \"8\": 0.6}, \"min_pool\": \"1000B\", \"defrag\": \"off\"}", 8);
        r.tier[0].capacity = "3400B";
        r.plan.contract.overflow = ES_TRIM;
        *rig_token(&r, 0, ES_PREFILL, false) = 0;
        *rig_token(&r, 0, ES_PREFILL, true) = 1;
        *rig_token(&r, 0, ES_DECODE, false) = 1;
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.misses"), coded ? 3 : 2);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.8bit.experts"), 1);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.experts"), 1);
        if (coded)
            assert_int_equal(rig_count(&r, "tiers.cache.allocator.hidden_hits"), 1);
        assert_int_equal(rig_view(&r)->tier[0].block[1].pool, coded ? 0 : 1);
        assert_int_equal(rig_view(&r)->tier[0].resident[0], coded ? 2 : 3);
        rig_close(&r);
    }
}

/* The same, and while 0 is pinned at home 1 comes to lie where it lay. */
static void as_coded_it_is_loaded_again_where_it_lies(void **state)
{
    (void)state;
    rig r;
    stage(&r, 5, 1, "{\"distribution\": {\"4\": 0.4, \"8\": 0.6}, \"min_pool\": \"1000B\", \"mode\": \"as_coded\", \"defrag\": \"off\"}", 8);
    r.tier[0].capacity = "3400B";
    r.plan.contract.overflow = ES_TRIM;
    for (int i = 0; i < 2; i++) {
        *rig_token(&r, 0, ES_PREFILL, false) = 0;
        *rig_token(&r, 0, ES_PREFILL, true) = 1;
    }
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.misses"), 3);
    assert_int_equal(rig_count(&r, "cache.fetched_bytes"), 3000);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.hidden_hits"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.8bit.spilled_in"), 1);     /* its block was its own */
    assert_int_equal(rig_view(&r)->tier[0].resident[0], 3);
    rig_close(&r);
}

/* One slot of 4 bits, two of 8. 1 spills while 0 is at home, and as coded is not found: it is loaded again where it lies, not into the other slot. */
static void an_expert_lies_in_a_pool_once(void **state)
{
    (void)state;
    rig r;
    stage(&r, 5, 1, "{\"distribution\": {\"4\": 0.2, \"8\": 0.8}, \"min_pool\": 0, \"mode\": \"as_coded\", \"defrag\": \"off\", \"spill\": \"before_eviction\"}", 8);
    r.tier[0].capacity = "5000B";
    for (uint16_t i = 0; i < 4; i++)
        *rig_token(&r, 0, ES_DECODE, false) = i > 0;
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.misses"), 4);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.hidden_hits"), 2);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.8bit.experts"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.8bit.spilled_in"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.experts"), 1);
    rig_close(&r);
}

/* Pools of one slot each for 2, 4 and 8 bits. While 0 and 4 are wanted, 2 goes to 8 bits. Then 1 takes the place of 0 and 3 the same once more, but 4
 * may leave, and 2 lies in its place too. Lookups know of neither, and when all is emptied both slots are free again. */
static void what_is_not_found_may_lie_in_several_pools(void **state)
{
    (void)state;
    static const int64_t bytes[] = {500, 1000, 2000};
    static uint8_t variant[] = {0, 0, 0, 0, 1};
    static const struct { uint16_t expert; bool with; uint32_t request; } want[] = {
        {0, false, 0}, {4, true, 0}, {2, true, 0},
        {1, false, 0}, {3, true, 0}, {2, true, 0},
        {1, false, 0}, {2, true, 0},
        {3, false, 1},
    };
    rig r;
    stage(&r, 5, 1, "{\"distribution\": {\"2\": 0.1, \"4\": 0.2, \"8\": 0.7}, \"min_pool\": 0, \"mode\": \"as_coded\", \"defrag\": \"off\"}", 9);
    r.tier[0].capacity = "5000B";
    r.plan.variants = 3;
    r.plan.bits[0] = 2;
    r.plan.bits[1] = 4;
    r.plan.bits[2] = 8;
    r.plan.variant_bytes = bytes;
    r.plan.variant = variant;
    r.plan.contract.overflow = ES_TRIM;
    r.plan.contract.reset = 1;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        *rig_token(&r, want[i].request, ES_PREFILL, want[i].with) = want[i].expert;
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.8bit.spilled_in"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.spilled_in"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.hidden_hits"), 2);
    for (int p = 0; p < 3; p++)
        assert_int_equal(rig_count(&r, rig_text(&r, "tiers.cache.allocator.pools.%dbit.experts", 2 << p)), p == 0);
    rig_close(&r);
}

/* A policy knows of no pools: lru names the oldest of those who would help. Expert 3 has 8 bits. */
static void victims_come_from_the_pool_that_is_full(void **state)
{
    (void)state;
    static uint8_t variant[] = {0, 0, 0, 1, 1};
    rig r;
    stage(&r, 5, 2, "{\"distribution\": {\"4\": 0.5, \"8\": 0.5}, \"min_pool\": \"2000B\"}", 6);
    r.tier[0].capacity = "4000B";
    r.plan.variant = variant;
    static const uint16_t ids[] = {3, 0, 1, 2, 3, 4};           /* 3 is the oldest, but 2 takes the place of 0; 4 takes that of 3 */
    for (uint16_t i = 0; i < 6; i++)
        *rig_token(&r, 0, ES_DECODE, false) = ids[i];
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.hits"), 1);
    assert_int_equal(rig_count(&r, "cache.evictions"), 2);
    const es_view *view = rig_view(&r);
    assert_int_equal(view->tier[0].resident[0], 1ull << 1 | 1ull << 2);
    assert_int_equal(view->tier[0].resident[1], 1ull << 4);
    assert_int_equal(view->tier[0].block[64 + 4].pool, 1);
    rig_close(&r);
}

/* Two layers of two slots each. Layer 0 wants 0, 1, 2 in turn and keeps two; layer 1 wants 0 alone, which nobody drives out. */
static void each_layer_has_pools_of_its_own(void **state)
{
    (void)state;
    static uint8_t variant[8];
    static const int64_t bytes[] = {1000, 1000, 2000, 2000};
    for (int layer = 0; layer <= 1; layer++) {
        rig r;
        stage(&r, 4, 2, "{\"distribution\": {\"4\": 1}, \"min_pool\": 0}", 0);
        rig_close(&r);
        rig_open(&r, 2, 4, 1, 0, 6);
        rig_plain(&r, false, "4000B", NULL, NULL);
        r.tier[0].allocator = rig_part(&r, ES_KIND_ALLOCATOR, "pools", "{\"distribution\": {\"4\": 1}, \"min_pool\": 0}", "tiers.cache.allocator");
        r.plan.variants = 1;
        r.plan.bits[0] = 4;
        r.plan.variant = variant;
        r.plan.variant_bytes = bytes;
        r.plan.contract.scope = layer ? ES_PER_LAYER : ES_GLOBAL;
        rig_observe(&r, "summary");
        rig_observe(&r, "audit");
        for (uint16_t i = 0; i < 6; i++) {
            uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);
            ids[0] = i % 3;
            ids[1] = 0;
        }
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.hits"), layer ? 5 : 8);       /* alone all four find room; shares of two thrash under LRU */
        assert_int_equal(rig_count(&r, "tiers.cache.held"), layer ? 3000 : 4000);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.slots"), 4);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.experts"), layer ? 3 : 4);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.configured_bytes"), 4000);
        const es_view *view = rig_view(&r);
        assert_int_equal(view->tier[0].pool[0][0].used, layer ? 2000 : 4000);
        assert_int_equal(es_pool_of(view, &view->tier[0], 0).used, layer ? 3000 : 4000);
        rig_close(&r);
    }
}

/* A share that holds no expert of some bits says whose it is. */
static void a_share_too_small_names_its_layer(void **state)
{
    (void)state;
    rig r;
    stage(&r, 5, 2, "{\"min_pool\": 0}", 1);
    *rig_token(&r, 0, ES_DECODE, false) = 0;
    r.plan.contract.scope = ES_PER_LAYER;
    r.tier[0].capacity = "3000B";
    assert_int_equal(rig_run(&r), ES_EINPUT);
    if (!strstr(r.err.text, "tiers.cache.allocator (the share of layer 0): the pool of 8 bits"))
        fail_msg("%s", r.err.text);
    rig_close(&r);
}

/* Two slots, an event of three. Bypass reads the third in place: it never had a slot. */
static void what_bypasses_the_pools_is_read_in_place(void **state)
{
    (void)state;
    rig r;
    stage(&r, 5, 2, "{\"distribution\": {\"4\": 1}, \"min_pool\": 0}", 4);
    r.tier[0].capacity = "2000B";
    r.plan.contract.overflow = ES_BYPASS;
    for (uint16_t i = 0; i < 3; i++)
        *rig_token(&r, 0, ES_PREFILL, i > 0) = i;
    *rig_token(&r, 0, ES_DECODE, false) = 0;
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.misses_refused"), 1);
    assert_int_equal(rig_count(&r, "cache.overflow_events"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.insertions"), 2);
    assert_int_equal(rig_count(&r, "cache.decode.hits"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.overshoots"), 0);
    rig_close(&r);
}

/* Two slots, 0 used three times, 1 once; then 2 and 3 at once, each a use. The least used leave, here 1 and, of the newcomers, the one that came first; the
 * other moves into the slot of 1. */
static void the_best_of_residents_and_newcomers_stay(void **state)
{
    (void)state;
    rig r;
    stage(&r, 5, 2, "{\"distribution\": {\"4\": 1}, \"min_pool\": 0}", 6);
    r.tier[0].capacity = "2000B";
    r.plan.contract.overflow = ES_KEEP_BEST;
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lfu", NULL, "policy");
    static const uint16_t ids[] = {0, 0, 0, 1, 2, 3};
    for (uint16_t i = 0; i < 6; i++)
        *rig_token(&r, 0, ES_DECODE, i == 5) = ids[i];
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.overshoots"), 2);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.compaction_moves"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.held"), 2000);
    assert_int_equal(rig_view(&r)->tier[0].resident[0], 1ull << 0 | 1ull << 3);
    assert_int_equal(rig_view(&r)->tier[0].block[3].slot, 0);       /* that of 1: the stack gives the highest first */
    rig_close(&r);
}

/* One pin and two slots: beside them it leaves both to others, else one. */
static void pins_may_stand_beside_the_pools(void **state)
{
    (void)state;
    for (int beside = 0; beside <= 1; beside++) {
        rig r;
        stage(&r, 5, 2, "{\"distribution\": {\"4\": 1}, \"min_pool\": 0}", 8);
        r.tier[0].capacity = "2000B";
        r.plan.contract.pins_take_room = !beside;
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "hybrid", "{\"pins\": 1}", "policy");
        static const uint16_t ids[] = {4, 4, 4, 4, 0, 1, 0, 1};
        for (uint16_t i = 0; i < 8; i++)
            *rig_token(&r, 0, ES_DECODE, false) = ids[i];
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.hits"), beside ? 6 : 4);
        assert_int_equal(rig_count(&r, "tiers.cache.capacity"), 2000);
        assert_int_equal(rig_count(&r, "tiers.cache.held"), 2000);
        if (beside)
            assert_int_equal(rig_count(&r, "tiers.cache.allocator.pinned_bytes"), 1000);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeds_shares_give_its_slots),
        cmocka_unit_test(free_slots_are_a_stack),
        cmocka_unit_test(what_spills_goes_into_wider_slots),
        cmocka_unit_test(a_spill_may_come_before_eviction_or_never),
        cmocka_unit_test(as_coded_two_experts_lie_in_one_slot),
        cmocka_unit_test(what_cannot_be_cut_is_refused),
        cmocka_unit_test(a_minimum_may_exceed_the_capacity),
        cmocka_unit_test(aliased_slots_make_hits_that_are_none),
        cmocka_unit_test(an_expert_spills_when_it_is_told_to),
        cmocka_unit_test(what_is_pinned_makes_others_spill),
        cmocka_unit_test(as_coded_what_spilled_is_not_found),
        cmocka_unit_test(as_coded_it_is_loaded_again_where_it_lies),
        cmocka_unit_test(an_expert_lies_in_a_pool_once),
        cmocka_unit_test(what_is_not_found_may_lie_in_several_pools),
        cmocka_unit_test(victims_come_from_the_pool_that_is_full),
        cmocka_unit_test(each_layer_has_pools_of_its_own),
        cmocka_unit_test(a_share_too_small_names_its_layer),
        cmocka_unit_test(what_bypasses_the_pools_is_read_in_place),
        cmocka_unit_test(the_best_of_residents_and_newcomers_stay),
        cmocka_unit_test(pins_may_stand_beside_the_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
