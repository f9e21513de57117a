/* Train: steps that go back through their layers, by hand: time, what becomes dirty, how it is written down, the optimizer on the
 * host and its state, and steps that use more than there is room for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/rig.h"

/* One expert of each layer in each step: hbm over dram over disk, 1000 bytes at 1 B/ns on every link; dense 10, expert 100, update 5. */
static void train_open(rig *r, uint32_t layers, const char *slots, const char *states, bool timed)
{
    rig_open(r, layers, 8, 1, 0, 32);
    r->plan.timed = timed;
    r->plan.training.steps = ES_TRAIN_ALL;
    es_plan_tier *hbm = rig_tier(r, "hbm", slots, "gpu");
    hbm->demote = "dram";
    hbm->write_back = ES_WRITE_DIRTY;
    es_plan_tier *dram = rig_tier(r, "dram", states, NULL);
    dram->demote = "disk";
    dram->write_back = ES_WRITE_DIRTY;
    rig_tier(r, "disk", NULL, NULL);
    rig_channel(r, "up", "affine", "{\"rate\": \"1GB/s\"}");
    rig_channel(r, "down", "affine", "{\"rate\": \"1GB/s\"}");
    rig_channel(r, "read", "affine", "{\"rate\": \"1GB/s\"}");
    rig_channel(r, "write", "affine", "{\"rate\": \"1GB/s\"}");
    rig_channel(r, "gpu", "compute", "{\"dense\": \"10ns\", \"expert\": \"100ns\", \"update\": \"5ns\", \"backward\": 2}");
    rig_link(r, "disk", "dram", "[\"read\"]");
    rig_link(r, "dram", "disk", "[\"write\"]");
    rig_link(r, "dram", "hbm", "[\"up\"]");
    rig_link(r, "hbm", "dram", "[\"down\"]");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static void train_steps(rig *r, const uint16_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t *row = rig_token(r, 0, ES_DECODE, false);
        for (uint32_t l = 0; l < r->trace.info.layers; l++)
            row[l] = ids[i];
    }
}

static void train_run(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
}

/* Forward 10 + 2000 + 100 in each layer, back 20 + 200 + 5: what is there on the way back is not loaded again. */
static void back_through_the_layers(void **state)
{
    rig r;
    (void)state;
    train_open(&r, 2, "2slots", "4slots", true);
    train_steps(&r, (uint16_t[]){3, 3}, 2);
    train_run(&r);
    assert_int_equal(rig_view(&r)->times->total, 2 * (2110 + 225) + 2 * (110 + 225));
    assert_int_equal(rig_count(&r, "cache.lookups"), 4);        /* the way back is not counted */
    assert_int_equal(rig_count(&r, "cache.misses"), 2);
    assert_int_equal(rig_count(&r, "training.steps"), 2);
    assert_int_equal(rig_count(&r, "training.updates"), 4);
    assert_int_equal(rig_count(&r, "training.recomputed"), 0);
    assert_int_equal(rig_count(&r, "tiers.hbm.dirtied"), 2);
    assert_int_equal(rig_count(&r, "tiers.hbm.dirty"), 2);
    assert_int_equal(rig_count(&r, "links.hbm-dram.operations"), 0);
    rig_close(&r);
}

/* One slot for two layers: the first layer's expert has left when its turn comes on the way back. It is loaded from DRAM again, behind
 * the write-back of the other one, which is dirty by then, and its forward pass is computed again. */
static void what_has_left_is_computed_again(void **state)
{
    rig r;
    (void)state;
    train_open(&r, 2, "1slots", "4slots", true);
    train_steps(&r, (uint16_t[]){3}, 1);
    train_run(&r);
    assert_int_equal(rig_view(&r)->times->total, 2110 + 2110 + 225 + 20 + 1000 + 1000 + 200 + 100 + 5);
    assert_int_equal(rig_count(&r, "training.recomputed"), 1);
    assert_int_equal(rig_count(&r, "links.dram-hbm.operations"), 3);
    assert_int_equal(rig_count(&r, "links.hbm-dram.operations"), 1);    /* the clean one was dropped */
    assert_int_equal(rig_count(&r, "tiers.dram.dirty"), 1);
    rig_close(&r);

    train_open(&r, 2, "1slots", "4slots", true);
    train_steps(&r, (uint16_t[]){3}, 1);
    r.plan.training.exceed = ES_EXCEED_REFUSE;
    assert_int_equal(rig_run(&r), ES_EINPUT);
    assert_non_null(strstr(r.err.text, "step 0 uses experts of 2 slots, tier hbm has room for 1"));
    rig_close(&r);
}

/* Steps use 0 1 2 3 0 in one slot over one place: both tiers give up what is dirty only. */
static void what_was_changed_reaches_the_disk(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        rig r;
        train_open(&r, 1, "1slots", "2slots", timed);
        train_steps(&r, (uint16_t[]){0, 1, 2, 3, 0}, 5);
        r.plan.contract.flush = true;
        train_run(&r);
        assert_int_equal(rig_count(&r, "links.hbm-dram.operations"), 4);
        assert_int_equal(rig_count(&r, "tiers.hbm.cleaned"), 4);
        assert_int_equal(rig_count(&r, "tiers.hbm.dirty"), 1);
        assert_int_equal(rig_count(&r, "tiers.dram.dirtied"), 4);
        assert_int_equal(rig_count(&r, "links.dram-disk.operations"), rig_count(&r, "tiers.dram.cleaned"));
        assert_int_equal(rig_count(&r, "flush.links.hbm-dram.operations"), 1);
        assert_int_equal(rig_count(&r, "tiers.dram.cleaned") + rig_count(&r, "flush.links.dram-disk.operations"), 5);  /* every update once */
        assert_int_equal(rig_count(&r, "flush.unsaved"), 0);
        rig_close(&r);
    }
}

/* At once, through both tiers; or behind every second step. */
static void changes_are_written_before_they_leave(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        rig r;
        train_open(&r, 1, "4slots", "4slots", timed);
        train_steps(&r, (uint16_t[]){0, 1, 0, 1, 0}, 5);
        r.tier[0].write_through = r.tier[1].write_through = true;
        rig_token(&r, 0, ES_DECODE, false)[0] = 2;      /* time for the last writes but its own */
        train_run(&r);
        assert_in_range(rig_count(&r, "links.hbm-dram.operations"), timed ? 3 : 6, 6);
        assert_in_range(rig_count(&r, "links.dram-disk.operations"), timed ? 3 : 6, 6);
        rig_close(&r);

        train_open(&r, 1, "4slots", "4slots", timed);
        train_steps(&r, (uint16_t[]){0, 1, 0, 0, 0}, 5);
        r.tier[0].write_every = 2;
        train_run(&r);
        assert_int_equal(rig_count(&r, "links.hbm-dram.operations"), timed ? 2 : 3);     /* 0 and 1; 0 again, for which the first write is too slow */
        assert_int_equal(rig_count(&r, "tiers.hbm.dirty"), 1);
        assert_int_equal(rig_count(&r, "tiers.hbm.evictions"), 0);
        rig_close(&r);
    }
}

/* On the host: a gradient down and new weights up, before the layer ends; the device's copy is never dirty, so it is dropped. */
static void the_optimizer_on_the_host(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        rig r;
        train_open(&r, 1, "1slots", "4slots", timed);
        train_steps(&r, (uint16_t[]){0, 0, 1}, 3);
        r.plan.training.update = ES_UPDATE_HOST;
        train_run(&r);
        assert_int_equal(rig_count(&r, "training.gradients_down"), 3);
        assert_int_equal(rig_count(&r, "training.weights_up"), 3);
        assert_int_equal(rig_count(&r, "links.hbm-dram.operations"), 3);
        assert_int_equal(rig_count(&r, "links.dram-hbm.operations"), 2 + 3);
        assert_int_equal(rig_count(&r, "tiers.hbm.dirtied"), 0);
        assert_int_equal(rig_count(&r, "tiers.dram.dirty"), 2);
        if (timed)          /* forward, two experts that come up over two links, back, gradients and weights */
            assert_int_equal(rig_view(&r)->times->total, 3 * 110 + 2 * 2000 + 3 * 220 + 3 * 2000);
        rig_close(&r);
    }
}

/* The host's optimizer step takes 600 ns on its cpu, one after another, and the layer waits for it. Two experts of one event: forward until 3110,
 * back until 3530. Gradients land at 4330 and 5330, new weights go up behind the steps at 4930 and 5930. The cpu's own share is what nothing
 * else hides: from 4330 to 4930, for then the second gradient and the first weights are under way. */
static void a_step_on_the_host_takes_time(void **state)
{
    (void)state;
    for (int slowed = 0; slowed < 2; slowed++) {
        rig r;
        train_open(&r, 1, "2slots", "4slots", true);
        es_plan_channel *cpu = rig_channel(&r, "cpu", "compute", "{\"expert\": \"9us\", \"update\": \"600ns\"}");
        if (slowed)         /* by the second gradient to half its rate: 500 of the first 600 ns until 5330, its end at 5430, the next from then to 6030 */
            cpu->slowed_by = rig_json(&r, "{\"down\": 0.5}");
        r.tier[1].compute = "cpu";
        rig_token(&r, 0, ES_DECODE, false)[0] = 0;
        rig_token(&r, 1, ES_DECODE, true)[0] = 1;
        r.plan.training.update = ES_UPDATE_HOST;
        train_run(&r);
        assert_int_equal(rig_view(&r)->times->total, slowed ? 7430 : 6930);
        assert_int_equal(rig_view(&r)->times->expert_cpu, slowed ? 700 : 600);
        assert_int_equal(rig_count(&r, "training.weights_up"), 2);
        rig_close(&r);
    }
}

/* Whose cpu it is must be known. */
static void a_step_on_the_host_needs_a_cpu_of_its_own(void **state)
{
    rig r;
    (void)state;
    train_open(&r, 1, "2slots", "4slots", true);
    train_steps(&r, (uint16_t[]){0}, 1);
    rig_channel(&r, "cpu", "compute", "{\"update\": \"600ns\"}");
    rig_channel(&r, "other", "compute", "{\"update\": \"600ns\"}");
    r.tier[1].compute = "cpu";
    r.tier[2].compute = "other";
    r.plan.training.update = ES_UPDATE_HOST;
    assert_int_equal(rig_run(&r), ES_EINPUT);
    assert_string_equal(r.err.text, "training.update: host updates in tier dram, whose compute unit cpu is not the host's; give it one of its own");
    rig_close(&r);
}

/* Steps use 0 1 2 0; DRAM holds two, both changed by the host when 2 comes, and a write takes 10 us. Two steps of 4330 ns, then
 *   none       2 waits for the write of 0, until 18670; that step ends at 22990; 0 waits for the write of 1, begun at 23000
 *   unbounded  2 waits for nothing and its step ends at 12990. 0 is in the buffer, its write running: it comes back at once, 1 makes room
 *   1000B      at 13000 there is no room for 1 beside 0, so neither is there for 0 in DRAM: it waits for both writes, until 28670 */
static void what_is_written_holds_no_room_in_dram(void **state)
{
    static const struct { const char *buffer; int64_t total, entered, refused, recalled, peak, reads; } rows[] = {
        {"none", 37320, 0, 0, 0, 0, 4}, {"unbounded", 16320, 2, 0, 1, 2000, 3}, {"1000B", 32990, 1, 1, 0, 1000, 4}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rig r;
        train_open(&r, 1, "1slots", "2slots", true);
        r.channel[3].timing = rig_part(&r, ES_KIND_TIMING, "affine", "{\"rate\": \"100MB/s\"}", "channels.write.timing");
        train_steps(&r, (uint16_t[]){0, 1, 2, 0}, 4);
        r.tier[1].write_buffer = rows[i].buffer;
        r.plan.training.update = ES_UPDATE_HOST;
        train_run(&r);
        assert_int_equal(rig_view(&r)->times->total, rows[i].total);
        assert_int_equal(rig_count(&r, "links.disk-dram.operations"), rows[i].reads);
        assert_int_equal(rig_count(&r, "tiers.dram.dirty"), i == 1 ? 3 : 2);
        if (i > 0) {
            assert_int_equal(rig_count(&r, "tiers.dram.write_buffer.entered"), rows[i].entered);
            assert_int_equal(rig_count(&r, "tiers.dram.write_buffer.refused"), rows[i].refused);
            assert_int_equal(rig_count(&r, "tiers.dram.write_buffer.recalled"), rows[i].recalled);
            assert_int_equal(rig_count(&r, "tiers.dram.write_buffer.peak_bytes"), rows[i].peak);
            assert_int_equal(rig_count(&r, "tiers.dram.write_buffer.bytes"), i == 1 ? 1000 : 0);
        }
        rig_close(&r);
    }
}

static void where_no_write_buffer_can_be(void **state)
{
    static const struct { size_t tier; const char *buffer, *says; } rows[] = {
        {0, "unbounded", "tiers.hbm.write_buffer: is for tiers between home and the serving ones; the copy down reads what is to leave, in its place"},
        {2, "4GiB", "tiers.disk.write_buffer: is for tiers between home and the serving ones; nothing leaves home"},
        {1, "much", "tiers.dram.write_buffer: \"much\" is none of none, unbounded or a size (\"4GiB\")"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rig r;
        train_open(&r, 1, "1slots", "2slots", true);
        train_steps(&r, (uint16_t[]){0}, 1);
        r.tier[rows[i].tier].write_buffer = rows[i].buffer;
        assert_int_equal(rig_run(&r), ES_EINPUT);
        assert_string_equal(r.err.text, rows[i].says);
        rig_close(&r);
    }
}

/* What a batch will use is known a step before: of the next step all experts, though they are looked up one by one, and not those of the way back.
 * While an expert takes 1 us (back 2 us), the disk has 5 us for the three of the next step, which a demand then reads from DRAM. */
static void the_next_batch_is_read_ahead(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        rig r;
        train_open(&r, 1, "3slots", "8slots", timed);
        r.plan.contract.judge = ES_SERIALIZED;
        r.plan.contract.unit = ES_ID;
        r.channel[4].timing = rig_part(&r, ES_KIND_TIMING, "compute", "{\"expert\": \"1us\"}", "channels.gpu.timing");
        r.plan.compute.guess_tier = "dram";
        r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "noisy_oracle", "{\"accuracy\": 1}", "predictor");
        for (uint16_t i = 0; i < 6; i++)
            rig_token(&r, i, ES_DECODE, i % 3 > 0)[0] = i;
        train_run(&r);
        assert_int_equal(rig_count(&r, "tiers.dram.prefetched"), 3);
        assert_int_equal(rig_count(&r, "tiers.dram.prefetch_used"), 3);
        assert_int_equal(rig_count(&r, "tiers.dram.prefetch_waited"), 0);
        assert_int_equal(rig_count(&r, "links.disk-dram.operations"), 6);
        if (timed)      /* step 0: three of 2 us copies and 1 us, then back 2 us each; step 1: of the copies 1 us each, and 3 write-backs of dirty copies, 1 us each */
            assert_int_equal(rig_view(&r)->times->total, 3 * 3000 + 3 * 2000 + 3 * 2000 + 3 * 1000 + 3 * 2000);
        rig_close(&r);
    }
}

/* Adam keeps twice the weights beside them: not on the device, so what goes there weighs once, what goes to disk three times. */
static void the_state_of_the_optimizer_weighs(void **state)
{
    (void)state;
    for (int device = 0; device < 2; device++) {
        rig r;
        train_open(&r, 1, "1slots", "6000B", true);
        train_steps(&r, (uint16_t[]){0, 1, 2}, 3);
        r.plan.training.optimizer = 2;
        r.plan.training.state_on_device = device;
        train_run(&r);
        assert_int_equal(rig_count(&r, "links.disk-dram.bytes"), 3 * 3000);
        assert_int_equal(rig_count(&r, "links.dram-hbm.bytes"), 3 * (device ? 3000 : 1000));
        assert_int_equal(rig_count(&r, "links.hbm-dram.bytes"), 2 * (device ? 3000 : 1000));
        assert_int_equal(rig_count(&r, "tiers.dram.held"), 6000);       /* two experts */
        rig_close(&r);
    }
}

/* On the device three sizes of the weights need a block of three: what an allocator says is used is what the tier holds. Room for 6000 bytes is
 * two such copies, so the third step evicts; with the state on the host it is six. */
static void the_state_of_the_optimizer_takes_a_block(void **state)
{
    static const struct { const char *name, *options, *pool; } rows[] = {
        {"heaps", "{\"heaps\": 1, \"heap_size\": \"6000B\", \"alignment\": \"1B\", \"fallback\": false}", "tiers.hbm.allocator.pools.heap0.used_bytes"},
        {"pools", "{\"distribution\": {\"8\": 1}, \"min_pool\": \"0B\"}", "tiers.hbm.allocator.pools.8bit.used_bytes"},
    };
    (void)state;
    for (int i = 0; i < 4; i++) {
        const bool device = i & 1;
        rig r;
        train_open(&r, 1, "6000B", "24000B", true);
        r.plan.bits[0] = 8;
        r.tier[0].allocator = rig_part(&r, ES_KIND_ALLOCATOR, rows[i / 2].name, rows[i / 2].options, "tiers.hbm.allocator");
        train_steps(&r, (uint16_t[]){0, 1, 2}, 3);
        r.plan.training.optimizer = 2;
        r.plan.training.state_on_device = device;
        train_run(&r);
        assert_int_equal(rig_count(&r, "tiers.hbm.held"), device ? 6000 : 3000);
        assert_int_equal(rig_count(&r, rows[i / 2].pool), device ? 6000 : 3000);
        assert_int_equal(rig_count(&r, "tiers.hbm.allocator.overshoots"), 0);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_through_the_layers),
        cmocka_unit_test(what_has_left_is_computed_again),
        cmocka_unit_test(what_was_changed_reaches_the_disk),
        cmocka_unit_test(changes_are_written_before_they_leave),
        cmocka_unit_test(the_optimizer_on_the_host),
        cmocka_unit_test(a_step_on_the_host_takes_time),
        cmocka_unit_test(a_step_on_the_host_needs_a_cpu_of_its_own),
        cmocka_unit_test(what_is_written_holds_no_room_in_dram),
        cmocka_unit_test(where_no_write_buffer_can_be),
        cmocka_unit_test(the_next_batch_is_read_ahead),
        cmocka_unit_test(the_state_of_the_optimizer_weighs),
        cmocka_unit_test(the_state_of_the_optimizer_takes_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
