/* Tiers: HBM slots over a DRAM cache over disk files, against a second machine that is nothing but ordered lists: the expert store
 * of ewc_moe_atari (cefcd10), from its description. Every touch is served before the next: load to DRAM, free a slot (its expert is
 * written back into DRAM as the newest, always), copy up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/base/rng.h"
#include "tests/support/rig.h"

enum { TIERS_MOST = 4096, TIERS_BYTES = 526848 };      /* 4 (2 d h + d + h), d = 128, h = 512 */

/* ---- the second machine ---- */

typedef struct order {          /* the oldest first */
    uint16_t id[TIERS_MOST];
    uint32_t count;
} order;

static bool order_take(order *o, uint16_t id)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->id[i] == id) {
            memmove(o->id + i, o->id + i + 1, (o->count - i - 1) * sizeof *o->id);
            o->count--;
            return true;
        }
    return false;
}

static bool order_refresh(order *o, uint16_t id)
{
    bool had = order_take(o, id);
    if (had)
        o->id[o->count++] = id;
    return had;
}

typedef struct store {
    uint32_t slots, states;
    int home;                   /* es_holds */
    bool made[TIERS_MOST];
    order gpu, cpu;
    uint64_t hits, misses, cpu_hits, created, remade, reads, writes, evictions, d2h, h2d;
} store;

static void store_put(store *s, uint16_t id)
{
    const bool disk = s->home != ES_HOLDS_NOTHING;
    if (s->states == 0) {
        s->writes += disk;
        return;
    }
    order_take(&s->cpu, id);
    s->cpu.id[s->cpu.count++] = id;
    if (s->cpu.count > s->states) {
        order_take(&s->cpu, s->cpu.id[0]);
        s->writes += disk;
    }
}

static void store_load(store *s, uint16_t id)
{
    if (order_refresh(&s->cpu, id)) {
        s->cpu_hits++;
        return;
    }
    if (s->home == ES_HOLDS_ALL || s->made[id]) {
        s->reads += s->home != ES_HOLDS_NOTHING;
        s->remade += s->home == ES_HOLDS_NOTHING;
    } else {
        s->created++;
        s->writes += s->home == ES_HOLDS_TOUCHED;
    }
    s->made[id] = true;
    if (s->states > 0)
        store_put(s, id);
}

static void store_touch(store *s, uint16_t id)
{
    if (order_refresh(&s->gpu, id)) {
        s->hits++;
        return;
    }
    s->misses++;
    store_load(s, id);
    if (s->gpu.count == s->slots) {
        uint16_t victim = s->gpu.id[0];
        order_take(&s->gpu, victim);
        s->evictions++;
        s->d2h++;
        store_put(s, victim);
    }
    s->h2d++;
    s->gpu.id[s->gpu.count++] = id;
}

static void store_flush(store *s)
{
    while (s->gpu.count > 0) {
        uint16_t id = s->gpu.id[0];
        order_take(&s->gpu, id);
        s->d2h++;
        store_put(s, id);
    }
    s->writes += s->home != ES_HOLDS_NOTHING ? s->cpu.count : 0;
}

/* ---- the workload: bench_cache.py on torch's CPU generator ---- */

typedef struct mersenne {       /* mt19937 */
    uint32_t word[624];
    uint32_t at;
} mersenne;

static void mersenne_seed(mersenne *m, uint32_t seed)
{
    m->word[0] = seed;
    for (uint32_t i = 1; i < 624; i++)
        m->word[i] = 1812433253u * (m->word[i - 1] ^ (m->word[i - 1] >> 30)) + i;
    m->at = 624;
}

static uint32_t mersenne_next(mersenne *m)
{
    for (uint32_t i = 0; m->at == 624 && i < 624; i++) {
        uint32_t y = (m->word[i] & 0x80000000u) | (m->word[(i + 1) % 624] & 0x7fffffffu);
        m->word[i] = m->word[(i + 397) % 624] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    m->at = m->at == 624 ? 0 : m->at;
    uint32_t y = m->word[m->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static int by_id(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* A step touches the sorted unique set of what was drawn. */
static void tiers_step(rig *r, store *s, uint16_t drawn[4])
{
    uint16_t *ids = rig_token(r, 0, ES_DECODE, false);
    uint32_t n = 0;
    qsort(drawn, 4, sizeof *drawn, by_id);
    for (uint32_t i = 0; i < 4; i++)
        if (i == 0 || drawn[i] != drawn[i - 1])
            ids[n++] = drawn[i];
    for (uint32_t i = 0; i < n; i++)
        store_touch(s, ids[i]);
}

static void tiers_episodes(rig *r, store *s, uint32_t experts, uint32_t length, uint32_t steps, uint32_t seed)
{
    mersenne env, jitter;
    mersenne_seed(&env, seed + 1);
    mersenne_seed(&jitter, seed + 2);
    mersenne_next(&env);                /* drawn at construction, never used */
    for (uint32_t t = 0, base = 0; t < steps; t++) {
        uint16_t drawn[4];
        if (t % length == 0)
            base = mersenne_next(&env) % experts;
        for (uint32_t i = 0; i < 4; i++)
            drawn[i] = (uint16_t)((base + mersenne_next(&jitter) % 8) % experts);
        tiers_step(r, s, drawn);
    }
}

/* ---- the machine ---- */

static void tiers_machine(rig *r, const store *s, bool timed)
{
    const bool disk = s->home != ES_HOLDS_NOTHING;
    r->plan.timed = timed;
    r->plan.contract.unit = ES_ID;
    r->plan.contract.judge = ES_SERIALIZED;
    r->plan.contract.flush = true;
    r->trace.bytes[0] = TIERS_BYTES;
    es_plan_tier *hbm = rig_tier(r, "hbm", rig_text(r, "%uslots", s->slots), "gpu");
    hbm->demote = "dram";
    hbm->write_back = ES_WRITE_ALWAYS;
    es_plan_tier *dram = rig_tier(r, "dram", rig_text(r, "%uslots", s->states), NULL);
    dram->policy = rig_part(r, ES_KIND_POLICY, "lru", NULL, "tiers.dram.policy");
    dram->hold_reads = false;   /* of one place the seed gives away what it has just read: it has that in hand */
    dram->demote = disk ? "disk" : NULL;
    dram->write_back = disk ? ES_WRITE_ALWAYS : ES_WRITE_NEVER;
    rig_tier(r, "disk", NULL, NULL)->holds = s->home;
    rig_channel(r, "h2d", "affine", "{\"rate\": \"12GB/s\"}");
    rig_channel(r, "d2h", "affine", "{\"rate\": \"12GB/s\"}");
    rig_channel(r, "read", "affine", "{\"rate\": \"3GB/s\", \"latency\": \"200us\"}");
    rig_channel(r, "write", "affine", "{\"rate\": \"2GB/s\", \"latency\": \"200us\"}");
    rig_channel(r, "gpu", "compute", "{\"dense\": \"0ns\", \"expert\": \"0ns\"}");
    rig_link(r, "dram", "hbm", "[\"h2d\"]");
    rig_link(r, "hbm", "dram", "[\"d2h\"]");
    rig_link(r, "disk", "dram", disk ? "[\"read\"]" : NULL);
    if (disk)
        rig_link(r, "dram", "disk", "[\"write\"]");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static uint64_t tiers_ops(const rig *r, const char *link, bool flush)
{
    char path[64];
    snprintf(path, sizeof path, "%slinks.%s.operations", flush ? "flush." : "", link);
    return (uint64_t)rig_count(r, path);
}

/* Runs the rig and compares every count with the store's, before and behind the flush. */
static void tiers_compare(rig *r, store *s)
{
    const bool disk = s->home != ES_HOLDS_NOTHING;
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(rig_count(r, "cache.hits"), s->hits);
    assert_int_equal(rig_count(r, "cache.misses"), s->misses);
    assert_int_equal(rig_count(r, "tiers.hbm.evictions"), s->evictions);
    assert_int_equal(rig_count(r, "tiers.dram.found"), s->cpu_hits);
    assert_int_equal(tiers_ops(r, "dram-hbm", false), s->h2d);
    assert_int_equal(tiers_ops(r, "hbm-dram", false), s->d2h);
    if (s->home != ES_HOLDS_ALL) {
        assert_int_equal(rig_count(r, "tiers.disk.created"), s->created);
        assert_int_equal(rig_count(r, "tiers.disk.remade"), s->remade);
    }
    if (disk) {
        assert_int_equal(tiers_ops(r, "disk-dram", false), s->reads);
        assert_int_equal(tiers_ops(r, "dram-disk", false), s->writes);
    }
    const uint64_t written = s->writes, down = s->d2h;
    store_flush(s);
    assert_int_equal(tiers_ops(r, "hbm-dram", true), s->d2h - down);
    if (disk)
        assert_int_equal(tiers_ops(r, "dram-disk", true), s->writes - written);
    assert_int_equal(rig_count(r, "flush.unsaved"), 0);
}

static double tiers_seconds(const rig *r, const char *where)
{
    static const char *const links[] = {"disk-dram", "dram-disk", "dram-hbm", "hbm-dram"};
    double sum = 0;
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "%slinks.%s.busy_s", where, links[i]);
        sum += es_json_at(r->report, path)->valuedouble;
    }
    return sum;
}

typedef struct bench_case {
    uint32_t experts, length, slots, states;
    int home;
    uint64_t hits, misses, reads, writes, written;      /* written: behind the flush */
    double seconds, flushed;    /* 0: not known */
} bench_case;

/* The seed's own command, a second run on what the first has left, and a machine without a DRAM cache, one with a single
 * place: 301 creations; of the 318 experts that come through it and 302 victims all but the last are pushed out. */
static const bench_case bench_cases[] = {
    {2048, 50, 16, 64, ES_HOLDS_TOUCHED, 6333, 318, 15, 553, 617, .2891, .3195},
    {2048, 50, 16, 64, ES_HOLDS_ALL, 6333, 318, 316, 252, 316, 0, .2931},
    {2048, 50, 16, 0, ES_HOLDS_TOUCHED, 6333, 318, 17, 603, 619, 0, 0},
    {2048, 50, 16, 1, ES_HOLDS_TOUCHED, 6333, 318, 17, 920, 937, .4600, .4685},
};

static void tiers_bench(const bench_case *c, bool timed)
{
    static store s;
    rig r;
    s = (store){.slots = c->slots, .states = c->states, .home = c->home};
    rig_open(&r, 1, c->experts, 4, 0, 2000);
    tiers_episodes(&r, &s, c->experts, c->length, 2000, 0);
    tiers_machine(&r, &s, timed);
    tiers_compare(&r, &s);
    assert_int_equal(s.hits, c->hits);
    assert_int_equal(s.misses, c->misses);
    assert_int_equal(tiers_ops(&r, "disk-dram", false), c->reads);
    assert_int_equal(tiers_ops(&r, "dram-disk", false), c->writes);
    assert_int_equal(s.writes, c->written);
    if (timed && c->seconds > 0) {
        assert_true(fabs(tiers_seconds(&r, "") - c->seconds) < 5e-5);
        assert_true(fabs((double)rig_view(&r)->times->total * 1e-9 - c->seconds) < 5e-5);     /* nothing overlaps */
    }
    if (timed && c->flushed > 0)
        assert_true(fabs(tiers_seconds(&r, "") + tiers_seconds(&r, "flush.") - c->flushed) < 5e-5);
    rig_close(&r);
}

static void the_command_of_the_readme(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof bench_cases / sizeof *bench_cases; i++)
        tiers_bench(&bench_cases[i / 2], i % 2);
}

/* Any sizes, any touches: the same counts under both clocks. */
static void every_order_is_that_of_the_lists(void **state)
{
    static store s;
    (void)state;
    for (uint64_t seed = 0; seed < 600; seed++) {
        rig r;
        s = (store){.slots = 1 + es_draw_below(seed, 6, 0, 0, 0, 0), .states = es_draw_below(seed, 9, 1, 0, 0, 0),
            .home = (int)es_draw_below(seed, 3, 2, 0, 0, 0)};
        if (s.states == 0 && s.home == ES_HOLDS_NOTHING)
            s.home = ES_HOLDS_TOUCHED;
        const uint32_t experts = 4 + es_draw_below(seed, 20, 3, 0, 0, 0);
        rig_open(&r, 1, experts, 4, 0, 120);
        for (uint32_t t = 0; t < 120; t++) {
            uint16_t drawn[4];
            for (uint32_t i = 0; i < 4; i++)
                drawn[i] = (uint16_t)es_draw_below(seed, experts, 4, t, i, 0);
            tiers_step(&r, &s, drawn);
        }
        tiers_machine(&r, &s, seed % 2);
        tiers_compare(&r, &s);
        rig_close(&r);
    }
}

/* ---- other machines ---- */

/* Four experts of one step from disk straight to the device, over a disk that serves so many reads at once: its queue depth. */
static void tiers_direct(rig *r, int64_t lanes)
{
    rig_open(r, 1, 8, 4, 0, 1);
    r->plan.timed = true;
    rig_tier(r, "hbm", "4slots", "gpu");
    rig_tier(r, "disk", NULL, NULL);
    es_plan_channel *disk = rig_channel(r, "nvme", "affine", "{\"rate\": \"1GB/s\", \"latency\": \"80us\"}");
    disk->discipline = ES_LANES;
    disk->lanes = lanes;
    rig_channel(r, "gpu", "compute", "{}");
    rig_link(r, "disk", "hbm", "[\"nvme\"]");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
    uint16_t *ids = rig_token(r, 0, ES_DECODE, false);
    for (uint16_t i = 0; i < 4; i++)
        ids[i] = i;
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
}

static void a_disk_straight_to_the_device_with_a_queue_depth(void **state)
{
    rig r;
    (void)state;
    tiers_direct(&r, 1);
    assert_int_equal(rig_view(&r)->times->total, 4 * 81000);
    rig_close(&r);
    tiers_direct(&r, 4);
    assert_int_equal(rig_view(&r)->times->total, 81000);
    rig_close(&r);
}

/* One expert a step, each from disk (1000 ns) and DRAM (1000 ns); the trace names the next step's. What is read ahead into DRAM while
 * 1500 ns are computed is there at its gate; within 500 ns it is on its way, and the demand waits for the rest of it only. */
static void tiers_ahead(rig *r, const char *expert, const uint16_t ids[4], bool timed)
{
    rig_open(r, 1, 8, 1, 0, 4);
    r->plan.timed = timed;
    rig_tier(r, "hbm", "2slots", "gpu");
    rig_tier(r, "dram", "4slots", NULL)->policy = rig_part(r, ES_KIND_POLICY, "lru", NULL, "tiers.dram.policy");
    rig_tier(r, "disk", NULL, NULL);
    rig_channel(r, "up", "affine", "{\"rate\": \"1GB/s\"}");
    rig_channel(r, "read", "affine", "{\"rate\": \"1GB/s\"}");
    rig_channel(r, "gpu", "compute", rig_text(r, "{\"expert\": \"%s\"}", expert));
    rig_link(r, "disk", "dram", "[\"read\"]");
    rig_link(r, "dram", "hbm", "[\"up\"]");
    r->plan.compute.guess_tier = "dram";
    r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, "noisy_oracle", "{\"accuracy\": 1}", "predictor");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
    for (uint16_t i = 0; i < 4; i++)
        rig_token(r, 0, ES_DECODE, false)[0] = ids[i];
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
}

static void what_is_read_ahead_into_dram(void **state)
{
    rig r;
    (void)state;
    tiers_ahead(&r, "1500ns", (uint16_t[]){0, 1, 2, 3}, true);
    assert_int_equal(rig_count(&r, "tiers.dram.prefetched"), 3);
    assert_int_equal(rig_count(&r, "tiers.dram.prefetch_used"), 3);
    assert_int_equal(rig_count(&r, "tiers.dram.prefetch_waited"), 0);
    assert_int_equal(rig_count(&r, "cache.misses"), 4);
    assert_int_equal(rig_view(&r)->times->total, 4 * 1500 + 2000 + 3 * 1000);
    rig_close(&r);
    tiers_ahead(&r, "500ns", (uint16_t[]){0, 0, 0, 1}, true);
    assert_int_equal(rig_count(&r, "tiers.dram.prefetched"), 1);
    assert_int_equal(rig_count(&r, "tiers.dram.prefetch_used"), 0);
    assert_int_equal(rig_count(&r, "tiers.dram.prefetch_waited"), 1);
    assert_int_equal(rig_view(&r)->times->total, 4 * 500 + 2000 + 500 + 1000);
    rig_close(&r);
    tiers_ahead(&r, "1500ns", (uint16_t[]){0, 1, 2, 3}, false);
    assert_int_equal(rig_count(&r, "tiers.dram.prefetch_used"), 3);
    assert_int_equal(rig_count(&r, "links.disk-dram.operations"), 4);
    rig_close(&r);
}

/* Two small tiers that let go of what is read, one over the other, write back what leaves them over the channel that reads. What has left
 * them on its way up is in somebody's hands: it is not read again, or two experts of a layer throw each other out for ever. */
static void what_is_let_go_of_on_its_way_arrives(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        rig r;
        rig_open(&r, 2, 6, 3, 0, 24);
        r.plan.timed = true;
        r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "noisy_oracle", "{\"accuracy\": 0.7}", "predictor");
        r.plan.compute.lookahead = 1;
        es_plan_tier *hbm = rig_tier(&r, "hbm", "4slots", "gpu"), *dram = rig_tier(&r, "dram", "2slots", NULL), *disk = rig_tier(&r, "disk", "2slots", NULL);
        hbm->demote = "dram";
        dram->demote = "disk";
        disk->demote = "home";
        hbm->write_back = dram->write_back = ES_WRITE_ABSENT;
        disk->write_back = ES_WRITE_ALWAYS;
        dram->exclusive = true;
        dram->hold_reads = disk->hold_reads = false;
        rig_tier(&r, "home", NULL, NULL);
        rig_channel(&r, "up", "jitter", "{\"rate\": \"1GB/s\", \"cv\": 0.5}");
        es_plan_channel *down = rig_channel(&r, "down", "affine", "{\"rate\": \"2GB/s\", \"latency\": \"200ns\"}");
        down->discipline = ES_LANES;
        down->lanes = 3;
        rig_channel(&r, "gpu", "compute", "{\"expert\": \"1200ns\"}");
        rig_link(&r, "home", "disk", "[\"up\"]");
        rig_link(&r, "disk", "dram", "[\"up\"]");
        rig_link(&r, "dram", "hbm", "[\"up\"]");
        rig_link(&r, "disk", "home", "[\"down\", \"up\"]");
        rig_link(&r, "dram", "disk", "[\"down\", \"up\"]");
        rig_link(&r, "hbm", "dram", "[\"down\", \"up\"]");
        rig_observe(&r, "summary");
        rig_observe(&r, "audit");
        for (uint32_t t = 0; t < 24; t++) {
            uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);
            for (uint32_t l = 0; l < 2; l++)
                for (uint32_t i = 0, first = es_draw_below(es_mix(seed), 6, t, l, 0, 0); i < 3; i++)
                    ids[3 * l + i] = (uint16_t)((first + i * (1 + seed % 2)) % 6);
        }
        if (rig_run(&r) != ES_OK)
            fail_msg("seed %u: %s", (unsigned)seed, r.err.text);
        assert_true(rig_count(&r, "links.home-disk.operations") <= 3 * rig_count(&r, "cache.lookups"));
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_of_the_readme),
        cmocka_unit_test(every_order_is_that_of_the_lists),
        cmocka_unit_test(a_disk_straight_to_the_device_with_a_queue_depth),
        cmocka_unit_test(what_is_read_ahead_into_dram),
        cmocka_unit_test(what_is_let_go_of_on_its_way_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
