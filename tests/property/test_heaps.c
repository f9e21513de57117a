/* Heaps: the allocator against a map that has one entry for every 256 bytes, and against the rules of the published pool written anew.
 *
 * The map knows nothing of lists and trees: it looks for the lowest hole by walking, counts what is free by counting, and notices when
 * two buffers overlap. Every answer of the allocator is compared with it, over millions of random requests and releases. */
#include <stdio.h>

#include "tests/support/allocator_kit.h"

extern const es_allocator es_allocator_heaps;

enum { GRAIN = 256, MOST_HEAPS = 16, MOST_GRAINS = 512, MOST_LIVE = MOST_HEAPS * MOST_GRAINS + 4096 };

static uint64_t operations(void)
{
    const char *cases = getenv("ES_CASES");
    return cases && *cases ? strtoull(cases, NULL, 10) * 10 : 200000;
}

/* ---- the allocator ---- */

static es_code pool_try(allocated *p, const char *options, int64_t capacity)
{
    return allocated_try(p, &es_allocator_heaps, options, capacity, 0, NULL, 0);
}

static void pool_open(allocated *p, const char *options)
{
    allocated_open(p, &es_allocator_heaps, options, INT64_MAX, 0, NULL, 0);
}

static es_place pool_reserve(const allocated *p, int64_t bytes, uint32_t owner, es_block *block)
{
    return es_allocator_heaps.reserve(p->self, &(es_place_ask){.bytes = bytes, .pool = ES_NONE_POOL, .object = owner}, block);
}

/* ---- the map ---- */

typedef enum choose { ROUND_ROBIN, BEST_FIT, LEAST_USED } choose;

typedef struct map {
    choose choose;
    bool all;                   /* try_all */
    uint32_t heaps, most, grains, next;
    double trigger;
    uint32_t owner[MOST_HEAPS][MOST_GRAINS];    /* 0: free, else owner + 1 */
} map;

typedef struct holes { uint32_t free, largest; } holes;

static holes map_holes(const map *m, uint32_t heap)
{
    holes h = {0, 0};
    for (uint32_t g = 0, run = 0; g < m->grains; g++) {
        run = m->owner[heap][g] ? 0 : run + 1;
        h.free += m->owner[heap][g] == 0;
        h.largest = run > h.largest ? run : h.largest;
    }
    return h;
}

/* The lowest hole of so many grains; UINT32_MAX: none. */
static uint32_t map_first_fit(const map *m, uint32_t heap, uint32_t grains)
{
    for (uint32_t g = 0, run = 0; g < m->grains; g++) {
        run = m->owner[heap][g] ? 0 : run + 1;
        if (run == grains)
            return g + 1 - grains;
    }
    return UINT32_MAX;
}

static uint32_t map_chosen(map *m, uint32_t grains)
{
    if (m->choose == ROUND_ROBIN) {
        const uint32_t turn = m->next % m->heaps;
        m->next = turn + 1;
        return turn;
    }
    uint32_t best = UINT32_MAX, score = 0;
    for (uint32_t i = 0; i < m->heaps; i++) {
        const holes h = map_holes(m, i);
        const uint32_t mine = m->choose == LEAST_USED ? h.free : h.largest < grains ? 0 : MOST_GRAINS + 1 - h.largest;
        if (mine > score || (best == UINT32_MAX && m->choose == LEAST_USED)) {
            best = i;
            score = mine;
        }
    }
    return best == UINT32_MAX ? 0 : best;
}

static void map_grow(map *m, uint32_t grains)
{
    uint32_t used = grains;
    for (uint32_t i = 0; i < m->heaps; i++)
        used += m->grains - map_holes(m, i).free;
    if (m->heaps < m->most && used > m->trigger * m->heaps * m->grains)
        m->heaps++;
}

/* Where a request belongs; false: beside the pool. */
static bool map_place(map *m, uint32_t grains, uint32_t owner, uint32_t *heap, uint32_t *at, bool *other)
{
    if (m->most > m->heaps)
        map_grow(m, grains);
    const uint32_t first = map_chosen(m, grains);
    for (uint32_t i = 0; i < (m->all ? m->heaps : 1); i++) {
        *heap = (first + i) % m->heaps;
        *at = map_first_fit(m, *heap, grains);
        *other = i > 0;
        if (*at == UINT32_MAX)
            continue;
        for (uint32_t g = 0; g < grains; g++)
            m->owner[*heap][*at + g] = owner + 1;
        return true;
    }
    return false;
}

static void map_clear(map *m, uint32_t heap, uint32_t at, uint32_t grains, uint32_t owner)
{
    for (uint32_t g = 0; g < grains; g++) {
        assert_int_equal(m->owner[heap][at + g], owner + 1);
        m->owner[heap][at + g] = 0;
    }
}

/* ---- one against the other ---- */

typedef struct live {
    es_block block;
    bool beside;
} live;

typedef struct bout {
    allocated pool;
    map map;
    live *live;                 /* [MOST_LIVE] by owner */
    uint32_t *owner, count;     /* those that live, in no order */
    uint32_t *vacant, vacants;
    uint64_t placed, spilled, beside, moved;
} bout;

static void bout_begin(bout *b, const char *options, const map *m)
{
    memset(b, 0, sizeof *b);
    b->map = *m;
    b->live = calloc(MOST_LIVE, sizeof *b->live);
    b->owner = calloc(MOST_LIVE, sizeof *b->owner);
    b->vacant = calloc(MOST_LIVE, sizeof *b->vacant);
    for (uint32_t i = 0; i < MOST_LIVE; i++)
        b->vacant[b->vacants++] = MOST_LIVE - 1 - i;
    pool_open(&b->pool, options);
}

static void bout_end(bout *b)
{
    es_arena_free(&b->pool.arena);
    free(b->live);
    free(b->owner);
    free(b->vacant);
}

static void bout_reserve(bout *b, int64_t bytes)
{
    const uint32_t owner = b->vacant[--b->vacants], grains = (uint32_t)((bytes + GRAIN - 1) / GRAIN);
    live *l = &b->live[owner];
    uint32_t heap = 0, at = 0;
    bool other = false;
    const bool fits = map_place(&b->map, grains, owner, &heap, &at, &other);
    const es_place place = pool_reserve(&b->pool, bytes, owner, &l->block);
    assert_int_equal(place, fits ? (other ? ES_SPILLED : ES_PLACED) : ES_FALLBACK);
    assert_int_equal(l->block.bytes, (int64_t)grains * GRAIN);
    l->beside = !fits;
    if (fits) {
        assert_int_equal(l->block.pool, heap);
        assert_int_equal(l->block.at, (int64_t)at * GRAIN);
        b->placed++;
        b->spilled += other;
    } else {
        assert_int_equal(l->block.pool, ES_NONE_POOL);
        b->beside++;
    }
    b->owner[b->count++] = owner;
}

static void bout_release(bout *b, uint32_t which)
{
    const uint32_t owner = b->owner[which];
    const live *l = &b->live[owner];
    if (!l->beside)
        map_clear(&b->map, l->block.pool, (uint32_t)(l->block.at / GRAIN), (uint32_t)(l->block.bytes / GRAIN), owner);
    es_allocator_heaps.release(b->pool.self, 0, &l->block);
    b->owner[which] = b->owner[--b->count];
    b->vacant[b->vacants++] = owner;
}

/* What is free, in how large a piece, and so how fragmented every heap is. */
static void bout_compare(const bout *b)
{
    const es_pool_view *view = NULL;
    assert_int_equal(es_allocator_heaps.pools(b->pool.self, &view), b->map.heaps);
    for (uint32_t i = 0; i < b->map.heaps; i++) {
        const holes h = map_holes(&b->map, i);
        assert_int_equal(view[i].capacity - view[i].used, (int64_t)h.free * GRAIN);
        assert_int_equal(view[i].largest, (int64_t)h.largest * GRAIN);
    }
}

/* The map's own compaction: buffers of a heap in order of address, one behind the other. */
static void map_slide(map *m, uint32_t heap)
{
    uint32_t to = 0;
    for (uint32_t g = 0; g < m->grains; g++)
        if (m->owner[heap][g])
            m->owner[heap][to++] = m->owner[heap][g];
    while (to < m->grains)
        m->owner[heap][to++] = 0;
}

/* Asks for a compaction: how many moved. `block` is by owner. */
static uint32_t pool_compact(const allocated *p, es_block *block, es_time now, int64_t *bytes)
{
    es_compaction c = {.block = block};
    *bytes = 0;
    if (!es_allocator_heaps.due(p->self, NULL, now))
        return 0;
    const bool changed = es_allocator_heaps.compact(p->self, &c, now);
    assert_int_equal(changed, c.moves > 0);
    assert_int_equal(c.drops, 0);
    *bytes = c.bytes;
    return c.moves;
}

static void bout_compact(bout *b, es_time now, es_block *block, double threshold)
{
    int64_t bytes = 0, moved = 0;
    uint32_t moves = 0;
    for (uint32_t i = 0; i < b->count; i++)
        block[b->owner[i]] = b->live[b->owner[i]].block;
    const uint32_t told = pool_compact(&b->pool, block, now, &bytes);
    for (uint32_t i = 0; i < b->count; i++) {
        live *l = &b->live[b->owner[i]];
        const es_block was = l->block;
        l->block = block[b->owner[i]];
        moves += l->block.at != was.at;
        moved += l->block.at != was.at ? was.bytes : 0;
        assert_true(l->block.at <= was.at && l->block.pool == was.pool && l->block.slot == was.slot && l->block.bytes == was.bytes);
    }
    assert_int_equal(told, moves);
    assert_int_equal(bytes, moved);
    b->moved += moves;
    for (uint32_t i = 0; i < b->map.heaps; i++) {
        const holes h = map_holes(&b->map, i);
        if (h.free > 0 && 1.0 - (double)h.largest / h.free > threshold)
            map_slide(&b->map, i);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        const live *l = &b->live[b->owner[i]];
        for (int64_t g = l->block.at / GRAIN; !l->beside && g < (l->block.at + l->block.bytes) / GRAIN; g++)
            assert_int_equal(b->map.owner[l->block.pool][g], b->owner[i] + 1);
    }
    bout_compare(b);
}

/* Mostly small, now and then large, seldom more than a heap holds. */
static int64_t some_bytes(es_stream draw, uint64_t i, uint32_t grains)
{
    const uint32_t kind = es_draw_below(draw, 100, i, 1, 0, 0), most = kind < 70 ? 8 : kind < 97 ? grains / 4 : grains + 16;
    return 1 + es_draw_below(draw, most * GRAIN, i, 2, 0, 0);
}

static void fight(const char *options, const map *m, uint64_t seed, double compact_above)
{
    bout *b = malloc(sizeof *b);
    es_block *block = calloc(MOST_LIVE, sizeof *block);
    const es_stream draw = es_stream_of(seed, 0, "test_heaps", "requests");
    const uint64_t all = operations();
    bout_begin(b, options, m);
    for (uint64_t i = 0; i < all; i++) {
        /* the tide rises and falls, so that heaps are full and empty in turn */
        const uint32_t tide = (uint32_t)(i / 512 % 5) * m->most * 10, more = b->count < tide ? 70 : 30;
        if (b->count == 0 || es_draw_below(draw, 100, i, 0, 0, 0) < more)
            bout_reserve(b, some_bytes(draw, i, m->grains));
        else
            bout_release(b, es_draw_below(draw, b->count, i, 3, 0, 0));
        if (i % 64 == 0)
            bout_compare(b);
        if (compact_above >= 0.0 && i % 1000 == 999)
            bout_compact(b, (es_time)(i + 1), block, compact_above);
    }
    assert_true(b->placed > all / 20 && b->beside > 0);
    assert_int_equal(b->spilled > 0, m->all);
    assert_int_equal(b->moved > 0, compact_above >= 0.0);
    assert_int_equal(b->map.heaps, m->most);
    while (b->count > 0)
        bout_release(b, b->count - 1);
    const es_pool_view *view = NULL;
    uint32_t heaps = es_allocator_heaps.pools(b->pool.self, &view);
    for (uint32_t i = 0; i < heaps; i++) {      /* nothing leaked, and all holes became one */
        assert_int_equal(view[i].used, 0);
        assert_int_equal(view[i].largest, view[i].capacity);
    }
    es_json *report = allocated_report(&b->pool);
    assert_int_equal((int64_t)allocated_said(report, "beside_bytes"), 0);
    cJSON_Delete(report);
    bout_end(b);
    free(b);
    free(block);
}

static void every_way_of_choosing_agrees_with_the_map(void **state)
{
    (void)state;
    static const char *const names[] = {"round_robin", "best_fit", "least_used"};
    char options[256];
    for (uint64_t seed = 1; seed <= 2; seed++)
        for (choose c = ROUND_ROBIN; c <= LEAST_USED; c++)
            for (int all = 0; all < 2; all++) {
                const map m = {.choose = c, .all = all, .heaps = 4, .most = 4, .grains = seed == 1 ? 97 : 256};
                snprintf(options, sizeof options, "{\"heap_size\": \"%uB\", \"choose\": \"%s\", \"try_all\": %s}", m.grains * GRAIN, names[c], all ? "true" : "false");
                if (all && c == BEST_FIT)       /* it looked at all of them already */
                    continue;
                fight(options, &m, seed, -1.0);
            }
}

static void the_pool_grows_when_the_map_says_so(void **state)
{
    (void)state;
    const map m = {.choose = LEAST_USED, .heaps = 2, .most = 7, .grains = 128, .trigger = 0.9};
    fight("{\"heaps\": 2, \"heap_size\": \"32KiB\", \"choose\": \"least_used\", \"growth\": true, \"max_heaps\": 7}", &m, 3, -1.0);
}

static void compaction_keeps_order_and_owners(void **state)
{
    (void)state;
    const map m = {.choose = ROUND_ROBIN, .heaps = 3, .most = 3, .grains = 300};
    fight("{\"heaps\": 3, \"heap_size\": \"76800B\", \"compaction\": true, \"compaction_interval\": \"1ns\"}", &m, 4, 0.5);
    fight("{\"heaps\": 3, \"heap_size\": \"76800B\", \"compaction\": true, \"compaction_interval\": \"1ns\", \"compaction_threshold\": 0}", &m, 5, 0.0);
}

static void compaction_waits_for_its_interval(void **state)
{
    (void)state;
    allocated p;
    es_block block[6];
    int64_t bytes;
    pool_open(&p, "{\"heaps\": 1, \"heap_size\": \"1024B\", \"compaction\": true, \"compaction_threshold\": 0.4}");
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(pool_reserve(&p, 256, i, &block[i]), ES_PLACED);
    es_allocator_heaps.release(p.self, 0, &block[0]);
    es_allocator_heaps.release(p.self, 2, &block[2]);
    assert_int_equal(pool_reserve(&p, 512, 4, &block[4]), ES_FALLBACK);    /* 512 bytes are free, but not in one piece */
    assert_int_equal(pool_compact(&p, block, 59999999999, &bytes), 0);
    assert_int_equal(pool_compact(&p, block, 60000000000, &bytes), 2);
    assert_int_equal(bytes, 512);
    assert_int_equal(block[1].at, 0);
    assert_int_equal(block[3].at, 256);
    assert_int_equal(pool_reserve(&p, 512, 5, &block[5]), ES_PLACED);
    assert_int_equal(block[5].at, 512);
    es_arena_free(&p.arena);
}

/* ---- what it may take ---- */

static void memory_bounds_heaps_and_what_lies_beside(void **state)
{
    (void)state;
    allocated p;
    es_block a, b;
    assert_int_equal(pool_try(&p, "{\"heaps\": 2, \"heap_size\": \"1MiB\"}", (2 << 20) + 1024), ES_OK);
    assert_int_equal(pool_reserve(&p, 2 << 20, 0, &a), ES_FULL);            /* no heap holds it, and beside them 1024 bytes are left */
    assert_int_equal(pool_reserve(&p, 1 << 20, 0, &a), ES_PLACED);
    assert_int_equal(a.pool, 1);                                            /* the turn of heap 0 is over, though it gave nothing */
    assert_int_equal(pool_reserve(&p, 1, 1, &a), ES_PLACED);
    assert_int_equal(pool_reserve(&p, 1025, 2, &b), ES_FULL);               /* heap 1 is full, and heap 0 is not asked */
    assert_int_equal(pool_reserve(&p, 1 << 20, 3, &b), ES_FULL);
    assert_int_equal(pool_reserve(&p, 1024, 4, &b), ES_FALLBACK);
    es_arena_free(&p.arena);
    assert_int_equal(pool_try(&p, "{\"heaps\": 2, \"heap_size\": \"1MiB\"}", 1 << 20), ES_EINPUT);
    assert_non_null(strstr(p.err.text, "heap_size: 2 heaps of 1048576 bytes are more than the memory there is"));
    es_arena_free(&p.arena);
    assert_int_equal(pool_try(&p, "{\"heaps\": 1, \"heap_size\": \"1MiB\", \"fallback\": false}", INT64_MAX), ES_OK);
    assert_int_equal(pool_reserve(&p, (1 << 20) + 1, 0, &a), ES_FULL);
    es_arena_free(&p.arena);
    assert_int_equal(pool_try(&p, "{\"heaps\": 1, \"heap_size\": \"1MiB\", \"buffers\": 1}", INT64_MAX), ES_OK);
    assert_int_equal(pool_reserve(&p, 1, 0, &a), ES_PLACED);
    assert_int_equal(pool_reserve(&p, 1, 1, &b), ES_FALLBACK);
    es_json *report = allocated_report(&p);
    assert_int_equal((int)allocated_said(report, "table_full"), 1);
    cJSON_Delete(report);
    es_arena_free(&p.arena);
}

static void the_size_of_a_heap_may_follow_from_weights_or_capacity(void **state)
{
    (void)state;
    allocated p;
    const es_pool_view *view = NULL;
    pool_open(&p, "{\"heap_size\": 0, \"weights\": \"8192MiB\"}");      /* the guide's own example: 8192 / 4 * 1.5 = 3072 */
    assert_int_equal(es_allocator_heaps.pools(p.self, &view), 4);
    assert_int_equal(view[3].capacity, 3072ll << 20);
    es_arena_free(&p.arena);
    assert_int_equal(pool_try(&p, "{\"heap_size\": 0, \"heaps\": 3}", 10000), ES_OK);
    assert_int_equal(es_allocator_heaps.pools(p.self, &view), 3);
    assert_int_equal(view[0].capacity, 13 * 256);                          /* a third, rounded down to the alignment */
    es_arena_free(&p.arena);
}

static void a_warm_up_size_above_the_heap_is_an_error_unless_skipped(void **state)
{
    (void)state;
    allocated p;
    const es_pool_view *view = NULL;
    assert_int_equal(pool_try(&p, "{\"warm\": [\"32MiB\", \"128MiB\", \"512MiB\"]}", INT64_MAX), ES_EINPUT);
    assert_non_null(strstr(p.err.text, "warm.2: 512MiB is more than heap_size, 268435456 bytes"));
    es_arena_free(&p.arena);
    pool_open(&p, "{\"warm\": [\"32MiB\", \"128MiB\", \"512MiB\"], \"oversize\": \"skip\"}");
    es_json *report = allocated_report(&p);
    assert_int_equal((int)allocated_said(report, "warm_skipped"), 1);
    cJSON_Delete(report);
    assert_int_equal(es_allocator_heaps.pools(p.self, &view), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(view[i].warmed, 2);    /* 80 ms, not 120: two of three sizes */
        assert_int_equal(view[i].used, 0);      /* given back at once */
    }
    es_arena_free(&p.arena);
    static const char *const wrong[][2] = {
        {"{\"warm\": \"32MiB\"}", "warm: needs a list"}, {"{\"warm\": [32]}", "warm.0: found a number"}, {"{\"warm\": [\"0B\"]}", "warm.0: \"0B\" is no size"},
        {"{\"mode\": \"checkout\", \"heaps\": 1}", "heaps: 1 is not 2 to 16"}, {"{\"mode\": \"checkout\", \"heap_size\": \"32MiB\"}", "heap_size: 33554432 is not 64MiB to 4096MiB"},
        {"{\"heap_size\": 0}", "heap_size: 0 means the capacity of the tier"}, {"{\"weights\": \"8GiB\"}", "weights: heap_size stands beside it"}, {"{\"heap_size\": \"255B\"}", "heap_size: nothing is left of it"},
        {"{\"growth\": true, \"max_heaps\": 2}", "max_heaps: 2 is below heaps, 4"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(pool_try(&p, wrong[i][0], INT64_MAX), ES_EINPUT);
        if (!strstr(p.err.text, wrong[i][1]))
            fail_msg("%s: %s", wrong[i][0], p.err.text);
        es_arena_free(&p.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_choosing_agrees_with_the_map),
        cmocka_unit_test(the_pool_grows_when_the_map_says_so),
        cmocka_unit_test(compaction_keeps_order_and_owners),
        cmocka_unit_test(compaction_waits_for_its_interval),
        cmocka_unit_test(memory_bounds_heaps_and_what_lies_beside),
        cmocka_unit_test(the_size_of_a_heap_may_follow_from_weights_or_capacity),
        cmocka_unit_test(a_warm_up_size_above_the_heap_is_an_error_unless_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
