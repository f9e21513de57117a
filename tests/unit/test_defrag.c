/* Defrag: pools that give slots to each other, and who may leave them: the arithmetic and the scripts of seed 000. */
#include "tests/support/allocator_kit.h"
#include "tests/support/rig.h"

extern const es_allocator es_allocator_pools;

#define MIB 1048576.0
#define S 1000000000ll

enum { OBJECTS = 256 };
static const int64_t seed_bytes[] = {33816576, 67633152, 135266304};    /* 3 * 4096 * 11008 weights of 2, 4 and 8 bits */

/* ---- the allocator alone ---- */

static void alone_open(allocated *a, const char *options)
{
    const es_place_ask kind = {.bytes = seed_bytes[1], .bits = 4};
    allocated_open(a, &es_allocator_pools, options, 4096ll << 20, OBJECTS, &kind, 1);
}

static es_place alone_reserve(allocated *a, es_oid object, uint32_t bits, es_time now)
{
    const es_place_ask ask = {.bytes = seed_bytes[bits == 2 ? 0 : bits == 4 ? 1 : 2], .bits = bits, .pool = ES_NONE_POOL, .object = object, .now = now};
    return es_allocator_pools.reserve(a->self, &ask, &a->block[object]);
}

static int64_t alone_slots(const allocated *a, int p)
{
    return a->pool[p].capacity / a->pool[p].slot_bytes;
}

/* Experts of these bits until their pool is full; ids from `object` on. */
static es_oid alone_fill(allocated *a, es_oid object, uint32_t bits, es_time now)
{
    while (alone_reserve(a, object, bits, now) != ES_FULL)
        object++;
    return object;
}

static bool alone_compact(allocated *a, bool coded, es_time now)
{
    const es_place_ask ask = {.bytes = seed_bytes[1], .bits = 4, .pool = 1, .object = OBJECTS - 1, .now = now};
    return allocated_compact(a, coded ? &ask : NULL, now);
}

static double alone_reported(const allocated *a, const char *path)
{
    es_json *report = allocated_report(a);
    double value = allocated_said(report, path);
    cJSON_Delete(report);
    return value;
}

/* 4-bit always full, the others empty, once per 5 s. */
static void an_idle_pool_gives_until_its_share_is_too_small(void **state)
{
    (void)state;
    static const int64_t slots[][2] = {{28, 32}, {26, 33}, {24, 34}, {22, 35}, {20, 36}, {18, 37}};
    for (int coded = 0; coded <= 2; coded++) {
        allocated a;
        alone_open(&a, coded == 2 ? "{\"mode\": \"as_coded\"}" : coded ? "{\"defrag\": \"when_locked\"}" : "{}");
        es_oid next = alone_fill(&a, 0, 4, 0);
        assert_true(alone_slots(&a, 0) == 31 && alone_slots(&a, 1) == 31);
        for (int i = 0; i < 6; i++) {
            assert_true(alone_compact(&a, coded, (1 + 5 * i) * S));
            assert_int_equal(alone_slots(&a, 0), slots[i][0]);
            assert_int_equal(alone_slots(&a, 1), slots[i][1]);
            assert_int_equal(a.last.drops, 0);
            assert_int_equal(alone_fill(&a, next, 4, (1 + 5 * i) * S), next + 1);
            next++;
        }
        assert_false(alone_compact(&a, coded, 100 * S));        /* 58.05 MiB are one slot less and none more */
        assert_true(alone_reported(&a, "shifted_bytes") / MIB == 486.975 || alone_reported(&a, "shifted_bytes") / MIB - 486.975 > -1e-5);
        assert_true(alone_reported(&a, "shifted_bytes") / MIB <= 486.975);
        assert_true(alone_reported(&a, "lost_bytes") / MIB == 32.25);
        es_arena_free(&a.arena);
    }
}

static void the_widest_pool_gets_nothing_from_the_narrowest(void **state)
{
    (void)state;
    allocated a;
    alone_open(&a, "{\"mode\": \"as_coded\"}");
    alone_fill(&a, 0, 8, 0);
    for (es_oid o = 0; o < 16; o++)
        alone_reserve(&a, 100 + o, 4, 0);                       /* so that only 2 bits are idle */
    assert_false(alone_compact(&a, true, S));                   /* 99.975 MiB are less than one slot of 129 */
    es_arena_free(&a.arena);
}

/* As coded aliased slots make the 8-bit pool fuller than full, and the receiver that nothing fits: the second run of the script above does not come. */
static void aliases_mislead_it(void **state)
{
    (void)state;
    allocated a;
    alone_open(&a, "{\"mode\": \"as_coded\"}");
    alone_fill(&a, 0, 4, 0);
    alone_fill(&a, 100, 8, 0);
    assert_true(alone_compact(&a, true, S));                   /* 4 bits are the first of two that are full */
    alone_fill(&a, 31, 4, S);
    const es_block freed = a.block[103];
    es_allocator_pools.release(a.self, 103, &freed);
    const es_place_ask ask = {.bytes = seed_bytes[2], .bits = 8, .pool = 2, .object = 107, .freed = &freed};
    es_allocator_pools.reserve(a.self, &ask, &a.block[107]);
    alone_fill(&a, 108, 8, S);                                  /* 8 experts in 7 slots */
    assert_false(alone_compact(&a, true, 6 * S));
    es_arena_free(&a.arena);
}

/* The stamp begins at minus infinity and is set by what succeeds only. */
static void it_rests_after_a_success(void **state)
{
    (void)state;
    allocated a;
    alone_open(&a, "{}");
    es_oid next = alone_fill(&a, 0, 4, 0);
    assert_true(alone_compact(&a, false, 0));
    next = alone_fill(&a, next, 4, 0);
    assert_false(alone_compact(&a, false, 5 * S - 1));
    assert_true(alone_compact(&a, false, 5 * S));
    es_arena_free(&a.arena);
}

/* Above 90 %: 28 of 31 are enough, 27 are not. Below 45 %: 13 of 31 are, 14 are not. */
static void thresholds_are_strict(void **state)
{
    (void)state;
    for (uint32_t full = 27; full <= 28; full++)
        for (uint32_t idle = 13; idle <= 14; idle++) {
            allocated a;
            alone_open(&a, "{\"distribution\": {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}}");
            for (es_oid o = 0; o < full; o++)
                alone_reserve(&a, o, 4, 0);
            for (es_oid o = 0; o < idle; o++)
                alone_reserve(&a, 100 + o, 2, 0);
            for (es_oid o = 0; o < 4; o++)
                alone_reserve(&a, 200 + o, 8, 0);               /* 57 %: neither */
            assert_int_equal(alone_compact(&a, false, 0), full == 28 && idle == 13);
            es_arena_free(&a.arena);
        }
}

/* As documented nothing is dropped and only what lies in slots that go moves: 13 experts in slots 18 to 30, of which 28 to 30 go. */
static void documented_data_is_kept(void **state)
{
    (void)state;
    allocated a;
    alone_open(&a, "{}");
    alone_fill(&a, 0, 4, 0);
    for (es_oid o = 0; o < 13; o++)
        alone_reserve(&a, 100 + o, 2, 0);
    for (es_oid o = 0; o < 4; o++)
        alone_reserve(&a, 200 + o, 8, 0);
    assert_true(alone_compact(&a, false, 0));
    /* 25 % of 18 free slots are 145 MiB, 10 % of all are 99.975: three go */
    assert_int_equal(a.last.moves, 3);
    assert_int_equal(a.last.bytes, 3 * seed_bytes[0]);
    assert_int_equal(a.last.drops, 0);
    uint64_t seen = 0;
    for (es_oid o = 100; o < 113; o++) {
        assert_true(a.block[o].slot < 28 && !(seen >> a.block[o].slot & 1));
        assert_int_equal(a.block[o].at, a.block[o].slot * seed_bytes[0]);
        seen |= 1ull << a.block[o].slot;
    }
    es_arena_free(&a.arena);
}

/* As coded both pools are laid out anew, the most recent in slot 0; what finds no slot is gone, and only what is pinned is sure to stay. */
static void coded_the_most_recent_come_first(void **state)
{
    (void)state;
    allocated a;
    alone_open(&a, "{\"mode\": \"as_coded\", \"defrag_idle\": 0.9, \"defrag_free_share\": 1, \"defrag_slot_share\": 0.5}");
    alone_fill(&a, 0, 4, 0);
    for (es_oid o = 0; o < 20; o++)
        alone_reserve(&a, 100 + o, 2, o);
    for (es_oid o = 0; o < 7; o++)
        alone_reserve(&a, 200 + o, 8, 0);
    a.fixed[100 / 64] |= 1ull << 100 % 64;
    assert_true(alone_compact(&a, true, S));
    /* min(11 free slots, half of 31) = 354.75 MiB: 11 slots go, 5 come; 20 experts fit into 20 */
    assert_int_equal(alone_slots(&a, 0), 20);
    assert_int_equal(alone_slots(&a, 1), 36);
    assert_int_equal(a.last.drops, 0);
    assert_int_equal(a.block[100].slot, 0);                     /* the oldest, but pinned */
    assert_int_equal(a.block[119].slot, 1);
    assert_int_equal(a.block[101].slot, 19);
    es_arena_free(&a.arena);
}

/* Two experts in one slot count twice for the pool, and compaction finds out: 4-bit has 31 slots and 32 experts, and gives. */
static void coded_what_no_longer_fits_is_dropped(void **state)
{
    (void)state;
    allocated a;
    alone_open(&a, "{\"mode\": \"as_coded\", \"distribution\": {\"4\": 0.5, \"2\": 0.5}, \"defrag_idle\": 1, \"defrag_full\": 0.99, \"defrag_free_share\": 1, "
        "\"defrag_slot_share\": 0.5}");
    for (es_oid o = 0; o < 22; o++)
        alone_reserve(&a, o, 4, o);
    alone_fill(&a, 100, 2, 0);
    const es_block freed = a.block[5];
    es_allocator_pools.release(a.self, 5, &freed);
    const es_place_ask ask = {.bytes = seed_bytes[1], .bits = 4, .pool = 0, .object = 22, .freed = &freed, .now = 50};
    es_allocator_pools.reserve(a.self, &ask, &a.block[22]);     /* in the slot of 5, which is on the stack too: ten are free of nine */
    assert_true(alone_compact(&a, true, S));
    assert_int_equal(alone_slots(&a, 0), 31 - 10);
    assert_int_equal(a.last.drops, 1);
    assert_int_equal(a.dropped[0].object, 0);                          /* the least recent of 22 */
    assert_int_equal(a.block[22].slot, 0);
    es_allocator_pools.release(a.self, 0, &a.block[0]);         /* the core evicts it; its slot is another's */
    assert_int_equal(a.pool[0].used, 21 * seed_bytes[1]);
    es_arena_free(&a.arena);
}

/* ---- under the core ---- */

/* What a step takes, by its number: compute lasts from the time of one demand to the next. */
typedef struct clockwork {
    const es_time *at;          /* of the demands */
} clockwork;

static es_cost clockwork_cost(void *self, const es_op *op)
{
    const clockwork *s = self;
    if (op->kind != ES_OP_DENSE)
        return (es_cost){0, 0};
    return (es_cost){op->step > 1 ? s->at[op->step - 1] - s->at[op->step - 2] : s->at[0], 0};
}

static const es_timing clockwork_timing = {.part = {.abi = ES_ABI, .name = "clockwork", .brief = "Steps at given times.", .size = sizeof(clockwork)}, .cost = clockwork_cost};

/* All that lie in their own pool are locked; of the others the oldest goes. */
typedef struct locks {
    const es_view *view;
} locks;

static es_code locks_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((locks *)self)->view = site->view;
    return ES_OK;
}

static size_t locks_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    const locks *s = self;
    (void)most;
    for (es_oid o = 0; o < s->view->objects; o++)
        if (es_may_evict(s->view, o, need->tier) && s->view->tier[need->tier].block[o].pool != 1) {
            *out = o;
            return 1;
        }
    return 0;
}

static const es_policy locks_policy = {.part = {.abi = ES_ABI, .name = "locks", .brief = "Who is at home is locked.", .size = sizeof(locks), .init = locks_init},
    .victims = locks_victims};

/* One layer of 4-bit experts of the seed's size; each token wants one, at the given time. Copies take no time. */
static void script(rig *r, const char *options, const uint16_t *ids, const es_time *at, uint32_t tokens)
{
    static uint8_t variant[64];
    static const int64_t bytes[] = {67633152, 135266304};
    clockwork *state = NULL;
    rig_open(r, 1, 64, 1, 0, tokens);
    for (uint32_t i = 0; i < tokens; i++)
        *rig_token(r, 0, ES_DECODE, false) = ids[i];
    rig_plain(r, true, "4096MiB", "{\"latency\": 0}", "{}");
    state = rig_room(r, 1, sizeof *state);
    state->at = at;
    for (size_t c = 0; c < r->plan.channel_count; c++)
        if (!strcmp(r->channel[c].name, "gpu"))
            r->channel[c].timing = rig_own(&clockwork_timing.part, state, "channels.gpu.timing");
    r->tier[0].allocator = rig_part(r, ES_KIND_ALLOCATOR, "pools", options, "tiers.cache.allocator");
    r->plan.variants = 2;
    r->plan.bits[0] = 4;
    r->plan.bits[1] = 8;
    r->plan.variant = variant;
    r->plan.variant_bytes = bytes;
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

/* 31 locked experts 1 ms apart, the 32nd at 1.0 s, then one every half second to 7.0: defragmented at 1.0 and 6.0, overflow into 8 bits
 * between and behind, where from the eighth on each drives out another. */
static void a_pool_full_of_locks_is_defragmented(void **state)
{
    (void)state;
    static const int64_t narrow[] = {31, 28, 26};
    for (uint32_t tokens = 31; tokens <= 45; tokens++) {
        uint16_t ids[64];
        es_time at[64];
        rig r;
        for (uint32_t i = 0; i < tokens; i++) {
            ids[i] = (uint16_t)i;
            at[i] = i < 31 ? (i + 1) * 1000000 : i == 31 ? S : S + (i - 31) * S / 2;
        }
        script(&r, "{\"defrag\": \"when_locked\"}", ids, at, tokens);
        r.plan.policy = rig_own(&locks_policy.part, NULL, "policy");
        if (rig_run(&r) != ES_OK)
            fail_msg("%s", r.err.text);
        const uint32_t runs = tokens < 32 ? 0 : tokens < 42 ? 1 : 2, native = tokens < 32 ? tokens : tokens < 42 ? 32 : 33;
        const uint32_t overflow = tokens - native;
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.compactions"), runs);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.2bit.slots"), narrow[runs]);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.slots"), 31 + runs);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.allocations"), native);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.8bit.spilled_in"), overflow);
        assert_int_equal(rig_count(&r, "cache.evictions") > 0, overflow > 7);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.overshoots"), 0);
        if (tokens == 31)
            assert_int_equal(rig_view(&r)->tier[0].block[0].slot, 30);
        rig_close(&r);
    }
}

/* As documented the same pressure is met by utilisation: the 29th newcomer finds the pool above 90 %. */
static void documented_pressure_is_enough(void **state)
{
    (void)state;
    uint16_t ids[29];
    es_time at[29];
    for (uint32_t tokens = 28; tokens <= 29; tokens++) {
        rig r;
        for (uint32_t i = 0; i < tokens; i++) {
            ids[i] = (uint16_t)i;
            at[i] = (i + 1) * 1000000;
        }
        script(&r, "{}", ids, at, tokens);
        assert_int_equal(rig_run(&r), ES_OK);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.compactions"), tokens == 29);
        assert_int_equal(rig_count(&r, "tiers.cache.capacity"), tokens == 29 ? 28 * seed_bytes[0] + 32 * seed_bytes[1] + 7 * seed_bytes[2] :
            31 * seed_bytes[0] + 31 * seed_bytes[1] + 7 * seed_bytes[2]);
        rig_close(&r);
    }
}

/* A pool of one slot. Its expert's layer ends at 1.0; grace of 2 s keeps it at 2.9 and no longer at 3.0. */
static void grace_ends_on_the_second(void **state)
{
    (void)state;
    for (int late = 0; late <= 1; late++) {
        static const uint16_t ids[] = {0, 1};
        const es_time at[] = {S, late ? 3 * S : 2900000000};
        rig r;
        script(&r, "{\"distribution\": {\"4\": 1}, \"spill\": \"never\"}", ids, at, 2);
        r.tier[0].capacity = "65MiB";
        r.tier[0].grace = 2 * S;
        r.tier[0].grace_yields = false;
        r.plan.contract.overflow = ES_TRIM;
        assert_int_equal(rig_run(&r), ES_OK);
        assert_int_equal(rig_count(&r, "tiers.cache.allocator.overshoots"), !late);
        assert_int_equal(rig_view(&r)->tier[0].resident[0], late ? 2 : 1);
        rig_close(&r);
    }
}

/* Under overflow `waves` the newcomer of 2.9 waits for the end of the grace instead: a tenth of a second of stall. */
static void who_waits_for_a_grace_gets_the_slot(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 1};
    const es_time at[] = {S, 2900000000};
    rig r;
    script(&r, "{\"distribution\": {\"4\": 1}, \"spill\": \"never\"}", ids, at, 2);
    r.tier[0].capacity = "65MiB";
    r.tier[0].grace = 2 * S;
    r.tier[0].grace_yields = false;
    assert_int_equal(rig_run(&r), ES_OK);
    assert_int_equal(rig_view(&r)->tier[0].resident[0], 2);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.overshoots"), 0);
    assert_true(rig_view(&r)->times->stall == S / 10);
    rig_close(&r);
}

/* Who was never used has no grace: a guess leaves at once for a demand that grace would make wait. */
static void what_was_never_locked_has_no_grace(void **state)
{
    (void)state;
    static const uint16_t ids[] = {ES_NO_EXPERT, 1};
    const es_time at[] = {S, 2 * S};
    rig r;
    script(&r, "{\"distribution\": {\"4\": 1}, \"spill\": \"never\"}", ids, at, 2);
    static const es_plan_start start[] = {{.layer = 0, .expert = 5}};
    r.plan.start = start;
    r.plan.start_count = 1;
    r.tier[0].capacity = "65MiB";
    r.tier[0].grace = 2 * S;
    r.tier[0].grace_yields = false;
    if (rig_run(&r) != ES_OK)
        fail_msg("%s", r.err.text);
    assert_int_equal(rig_view(&r)->tier[0].resident[0], 2);
    assert_int_equal(rig_view(&r)->times->stall, 0);
    rig_close(&r);
}

/* 63 slots of 2 bits, 31 of 4. When 28 of these are taken, 10 % of the others go: six slots, in which the first six experts lie. Whoever is
 * computed next pays for their moves, at a byte a nanosecond. */
static void moves_take_time_as_management(void **state)
{
    (void)state;
    uint16_t ids[42];
    es_time at[42];
    static uint8_t variant[64];
    static const int64_t bytes[] = {33816576, 67633152};
    rig r;
    for (uint32_t i = 0; i < 42; i++) {
        ids[i] = (uint16_t)i;
        at[i] = (i + 1) * S;
        variant[i] = i >= 13;
    }
    script(&r, "{\"distribution\": {\"2\": 0.5, \"4\": 0.5}}", ids, at, 42);
    r.plan.bits[0] = 2;
    r.plan.bits[1] = 4;
    r.plan.variant = variant;
    r.plan.variant_bytes = bytes;
    r.tier[0].moves = rig_part(&r, ES_KIND_TIMING, "affine", "{\"latency\": 0, \"rate\": \"1GB/s\"}", "tiers.cache.moves");
    r.plan.tiers = r.tier;
    if (rig_run(&r) != ES_OK)
        fail_msg("%s", r.err.text);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.compactions"), 1);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.2bit.slots"), 57);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.pools.4bit.slots"), 34);
    assert_int_equal(rig_count(&r, "tiers.cache.allocator.compaction_moves"), 6);
    assert_true(rig_view(&r)->times->manage == 6 * seed_bytes[0]);
    assert_true(rig_view(&r)->times->move == 6 * seed_bytes[0]);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_pool_gives_until_its_share_is_too_small),
        cmocka_unit_test(the_widest_pool_gets_nothing_from_the_narrowest),
        cmocka_unit_test(aliases_mislead_it),
        cmocka_unit_test(it_rests_after_a_success),
        cmocka_unit_test(thresholds_are_strict),
        cmocka_unit_test(documented_data_is_kept),
        cmocka_unit_test(coded_the_most_recent_come_first),
        cmocka_unit_test(coded_what_no_longer_fits_is_dropped),
        cmocka_unit_test(a_pool_full_of_locks_is_defragmented),
        cmocka_unit_test(documented_pressure_is_enough),
        cmocka_unit_test(grace_ends_on_the_second),
        cmocka_unit_test(who_waits_for_a_grace_gets_the_slot),
        cmocka_unit_test(what_was_never_locked_has_no_grace),
        cmocka_unit_test(moves_take_time_as_management),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
