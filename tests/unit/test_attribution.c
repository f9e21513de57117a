/* Attribution: where each nanosecond went and which chain of operations made the run as long as it is, in small scenarios by hand.
 *
 * The machine, where nothing else is said: 400 ns of dense compute before each gate, copies of 1000 ns one after another over `link`, 300 ns
 * per expert, hits first. A timeline stands above each scenario; "copy 1 1400-2400" is that of expert 1. What is expected is all there is:
 * the causes named, and the operations of the chain, must each add up to the whole time. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/rig.h"

enum { WANTS = 12 };

typedef struct want {
    const char *path;           /* behind attribution.causes. or attribution.path.; NULL: no more */
    es_time ns;
} want;

/* ---- the machine ---- */

/* "0 12|3": expert 0 in the first layer, 1 and 2 in the second; the next token wants 3 in the first. '+' begins a token of the same step. */
static void tokens(rig *r, const char *text)
{
    const uint32_t top_k = r->trace.info.top_k;
    uint16_t *layer = rig_token(r, 0, ES_DECODE, false), *at = layer;
    for (; *text; text++) {
        if (*text == '|' || *text == '+')
            at = layer = rig_token(r, 0, ES_DECODE, *text == '+');
        else if (*text == ' ')
            at = layer += top_k;
        else
            *at++ = (uint16_t)(*text - '0');
    }
}

static void stage(rig *r, uint32_t layers, const char *capacity, const char *gpu)
{
    rig_open(r, layers, 8, 2, 1, 4);
    rig_plain(r, true, capacity, "{\"latency\": 0, \"rate\": \"1GB/s\"}", rig_text(r, "{\"dense\": \"400ns\", \"expert\": \"300ns\"%s}", gpu));
    rig_observe(r, "audit");
    rig_observe(r, "attribution");
}

/* After the gate of layer 0 of the first token the predictor says that layer 1 will want `expert`. */
static void guess(rig *r, uint16_t expert)
{
    r->trace.guess[1] = expert;
    r->trace.confidence[1] = 0.9f;
    r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
}

static es_time number(const rig *r, const char *group, const char *path)
{
    char whole[160];
    snprintf(whole, sizeof whole, "attribution.%s.%s", group, path);
    const es_json *value = es_json_at(r->report, whole);
    if (!cJSON_IsNumber(value))
        fail_msg("the report has no %s", whole);
    return (es_time)llround(value->valuedouble * 1e9);
}

static void expect_group(const rig *r, const char *group, const want wants[WANTS], es_time total)
{
    es_time sum = 0;
    for (const want *w = wants; w < wants + WANTS && w->path; w++) {
        const es_time ns = number(r, group, w->path);
        sum += w->ns;
        if (ns != w->ns) {
            char *found = cJSON_Print(es_json_at(r->report, "attribution"));
            print_message("%s\n", found);
            cJSON_free(found);
            fail_msg("%s.%s is %" PRId64 " ns, expected %" PRId64, group, w->path, ns, w->ns);
        }
    }
    assert_int_equal(sum, total);           /* what is not named is 0 then: the observer checks that all of it adds up */
}

static void expect(rig *r, es_time total, const want causes[WANTS], const want path[WANTS])
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
    assert_int_equal(rig_view(r)->times->total, total);
    expect_group(r, "causes", causes, total);
    expect_group(r, "path", path, total);
    rig_close(r);
}

/* ---- copies and compute ---- */

/*  dense 0-400    copy 0 400-1400, copy 1 1400-2400    expert 0 1400-1700, expert 1 2400-2700
 *  The gpu waits 400-1400 and 1700-2400, each time for a copy on its way. Had expert 0 taken no time, nothing would have changed, so it is not
 *  in the chain. */
static void two_misses(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", "");
    tokens(&r, "01");
    expect(&r, 2700, (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"wait.link.transfer", 1700}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"copy.link.demand", 2000}});
}

/*  The same behind a barrier: nothing is computed before 2400, so the wait is for copy 1, which stood behind copy 0 until 1400. */
static void behind_another_demand(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", "");
    r.plan.compute.overlap = ES_BARRIER;
    tokens(&r, "01");
    expect(&r, 3000, (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"wait.link.transfer", 1000}, {"wait.link.behind_demand", 1000}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"copy.link.demand", 2000}});
}

/*  One step of two tokens, which want 0 and 1, and 1 and 2: three copies, expert 1 once for both.
 *  copies 400-1400-2400-3400    experts 1400-1700, 2400-2700, 3400-3700    waits 400-1400, 1700-2400, 2700-3400 */
static void a_batch_of_tokens(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", "");
    tokens(&r, "01+12");
    expect(&r, 3700, (want[WANTS]){{"dense", 400}, {"expert_gpu", 900}, {"wait.link.transfer", 2400}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"copy.link.demand", 3000}});
}

/*  Two copies that start together and pay 100 ns once: 400-1500 and 400-2500. expert 0 1500-1800, expert 1 2500-2800. */
static void a_batch_of_copies(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", "");
    r.channel[0].timing = rig_part(&r, ES_KIND_TIMING, "affine", "{\"latency\": \"100ns\", \"rate\": \"1GB/s\"}", "channels.link.timing");
    r.channel[0].scheduler = rig_part(&r, ES_KIND_SCHEDULER, "demand_first", "{\"batch\": 2}", "channels.link.scheduler");
    tokens(&r, "01");
    expect(&r, 2800, (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"wait.link.transfer", 1800}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"copy.link.demand", 2100}});
}

/*  Both copies at once, each at half the rate, 400-2400; experts 2400-2700-3000. Half of that wait is owed to the other. */
static void two_copies_share_the_channel(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", "");
    r.channel[0].discipline = ES_SHARED;
    tokens(&r, "01");
    expect(&r, 3000, (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"wait.link.transfer", 1000}, {"wait.link.shared", 1000}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"copy.link.demand", 2000}});
}

/*  Expert 0 on the host, 400-2400. copy 1 400-1400, expert 1 1400-1700. From 1700 on only the host is waited for, and the host alone is what the
 *  step is long for. */
static void experts_on_host_and_gpu_overlap(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", "");
    r.tier[1].compute = "cpu";
    rig_channel(&r, "cpu", "compute", "{\"dense\": 0, \"expert\": \"2000ns\"}");
    r.plan.dispatcher = rig_part(&r, ES_KIND_DISPATCHER, "host_compute", "{\"rule\": \"n\", \"count\": 1}", "dispatcher");
    tokens(&r, "01");
    expect(&r, 2400, (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"expert_cpu", 700}, {"wait.link.transfer", 1000}},
        (want[WANTS]){{"dense", 400}, {"expert_cpu", 2000}});
}

/*  One slot for two experts. copy 0 400-1400, expert 0 1400-1700; only then it may leave, so copy 1 1700-2700, expert 1 2700-3000. All of it is one
 *  chain. */
static void in_waves_compute_makes_the_room(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "1slots", "");
    tokens(&r, "01");
    expect(&r, 3000, (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"wait.link.transfer", 2000}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 600}, {"copy.link.demand", 2000}});
}

/* ---- guesses ---- */

/*  dense 0-400, copy 0 400-1400, expert 0 1400-1700, dense 1700-2100; the guess for layer 1 has the link 1400-2400 and is 300 ns too late.
 *  expert 1 2400-2700. The chain: dense, copy 0, the guess behind it, its expert. */
static void a_late_prefetch(void **state)
{
    (void)state;
    rig r;
    stage(&r, 2, "4slots", "");
    tokens(&r, "0 1");
    guess(&r, 1);
    expect(&r, 2700, (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"wait.link.transfer", 1000}, {"wait.link.late", 300}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"copy.link.demand", 1000}, {"copy.link.guess", 1000}});
}

/*  The same, but the guess is wrong: it has the link until 2400, and copy 1 stands behind it from the gate at 2100: 2400-3400, expert 1 -3700. */
static void queued_behind_a_guess(void **state)
{
    (void)state;
    rig r;
    stage(&r, 2, "4slots", "");
    tokens(&r, "0 1");
    guess(&r, 2);
    expect(&r, 3700, (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"wait.link.transfer", 2000}, {"wait.link.behind_guess", 300}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"copy.link.demand", 2000}, {"copy.link.guess", 1000}});
}

/*  The guess goes to a second serving tier, say another device on the same link: 1100-2100. It is right, so it counts as a demand from the gate
 *  at 1210 on, and copy 2 into the first stands behind it until 2100: 2100-3100. Barrier; dense 100, experts 10 each.
 *  dense 0-100, copy 0 100-1100, expert -1110, dense -1210, wait -3100, experts -3120. */
static void behind_a_copy_for_another_device(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 2, 8, 2, 1, 4);
    r.plan.timed = true;
    rig_tier(&r, "first", "2slots", "gpu");
    rig_tier(&r, "second", "2slots", "gpu");
    rig_tier(&r, "host", NULL, NULL);
    rig_channel(&r, "link", "affine", "{\"latency\": 0, \"rate\": \"1GB/s\"}");
    rig_channel(&r, "gpu", "compute", "{\"dense\": \"100ns\", \"expert\": \"10ns\"}");
    rig_link(&r, "host", "first", "[\"link\"]");
    rig_link(&r, "host", "second", "[\"link\"]");
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "coverage", NULL, "policy");
    r.plan.compute.overlap = ES_BARRIER;
    rig_observe(&r, "audit");
    rig_observe(&r, "attribution");
    tokens(&r, "0 12");
    guess(&r, 1);
    expect(&r, 3120, (want[WANTS]){{"dense", 200}, {"expert_gpu", 30}, {"wait.link.transfer", 2000}, {"wait.link.behind_device", 890}},
        (want[WANTS]){{"dense", 100}, {"expert_gpu", 20}, {"copy.link.demand", 2000}, {"copy.link.guess", 1000}});
}

/* ---- tiers below ---- */

/*  Disk at half the rate: copy 0 400-2400 into dram and 2400-3400 up from there, expert 0 -3700. Each wait stands where the copy was; the core's
 *  own attribution has all of it at the channel that delivered. */
static void from_disk_over_dram(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 1, 8, 2, 1, 4);
    r.plan.timed = true;
    rig_tier(&r, "hbm", "4slots", "gpu");
    rig_tier(&r, "dram", "4slots", NULL);
    rig_tier(&r, "disk", NULL, NULL);
    rig_channel(&r, "link", "affine", "{\"latency\": 0, \"rate\": \"1GB/s\"}");
    rig_channel(&r, "nvme", "affine", "{\"latency\": 0, \"rate\": \"500MB/s\"}");
    rig_channel(&r, "gpu", "compute", "{\"dense\": \"400ns\", \"expert\": \"300ns\"}");
    rig_link(&r, "disk", "dram", "[\"nvme\"]");
    rig_link(&r, "dram", "hbm", "[\"link\"]");
    rig_observe(&r, "audit");
    rig_observe(&r, "attribution");
    tokens(&r, "0");
    expect(&r, 3700, (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"wait.nvme.transfer", 2000}, {"wait.link.transfer", 1000}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"copy.nvme.demand", 2000}, {"copy.link.demand", 1000}});
}

/* A cache of one slot that writes back whatever leaves it, over `down`. */
static void writes(rig *r, const char *down)
{
    stage(r, 1, "1slots", "");
    r->tier[0].write_back = ES_WRITE_ALWAYS;
    r->tier[0].demote = "host";
    if (strcmp(down, "link") != 0)
        rig_channel(r, down, "affine", "{\"latency\": 0, \"rate\": \"2GB/s\"}");
    rig_link(r, "cache", "host", rig_text(r, "[\"%s\"]", down));
    tokens(r, "0|1");
}

/*  token 0   dense -400, copy 0 400-1400, expert 0 -1700
 *  token 1   dense -2100; copy 1 finds no room before 0 is written down, 2100-2600: copy 1 2600-3600, expert 1 -3900 */
static void written_back_before_the_fetch(void **state)
{
    (void)state;
    rig r;
    writes(&r, "down");
    expect(&r, 3900, (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"wait.link.transfer", 2000}, {"wait.down.behind_write", 500}},
        (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"copy.link.demand", 2000}, {"copy.down.write", 500}});
}

/*  The same where both ways are one channel: copy 1 stands behind the write-back, 2100-3100, and has the link 3100-4100; expert 1 -4400. */
static void queued_behind_a_write_back(void **state)
{
    (void)state;
    rig r;
    writes(&r, "link");
    expect(&r, 4400, (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"wait.link.transfer", 2000}, {"wait.link.behind_write", 1000}},
        (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"copy.link.demand", 2000}, {"copy.link.write", 1000}});
}

/* ---- what is managed ---- */

/*  token 0   dense -400, copy 0 400-1400, expert 0 -1700
 *  token 1   dense -2100, copy 1 2100-3100, 50 for the victim -3150, expert 1 -3450 */
static void an_eviction_has_its_price(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "1slots", ", \"evict\": \"50ns\"");
    tokens(&r, "0|1");
    expect(&r, 3450, (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"evict", 50}, {"wait.link.transfer", 2000}},
        (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"evict", 50}, {"copy.link.demand", 2000}});
}

/*  dense -400, one expert looked up -425, copy 0 425-1425, expert 0 -1725; the second token -2125-2150 hits, is read for 7, expert -2457. */
static void lookups_and_reads_have_theirs(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", ", \"lookup\": \"25ns\"");
    r.tier[0].access = rig_part(&r, ES_KIND_TIMING, "constant", "{\"time\": \"7ns\"}", "tiers.cache.access");
    tokens(&r, "0|0");
    expect(&r, 2457, (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"lookup", 50}, {"access", 7}, {"wait.link.transfer", 1000}},
        (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"lookup", 50}, {"access", 7}, {"copy.link.demand", 1000}});
}

/*  dense -400; the gpu answers 400-600 while copy 0 goes 400-1400; expert 0 -1700. The guess is there 1400-2400, dense -2100, late until 2400. At the
 *  second gate nothing lies ahead in the trace that was recorded, but the question is asked and answered, 2100-2300: 100 ns are left to wait. */
static void a_question_has_its_price(void **state)
{
    (void)state;
    rig r;
    stage(&r, 2, "4slots", ", \"predict\": \"200ns\"");
    tokens(&r, "0 1");
    guess(&r, 1);
    expect(&r, 2700, (want[WANTS]){{"dense", 800}, {"expert_gpu", 600}, {"predict", 400}, {"wait.link.transfer", 800}, {"wait.link.late", 100}},
        (want[WANTS]){{"dense", 400}, {"expert_gpu", 300}, {"copy.link.demand", 1000}, {"copy.link.guess", 1000}});
}

/* ---- without a clock ---- */

static void without_a_clock_there_is_nothing_to_attribute(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, "4slots", "");
    r.plan.timed = false;
    tokens(&r, "01");
    assert_int_equal(rig_run(&r), ES_OK);
    assert_string_equal(rig_said(&r, "attribution.reason"), "clock none has no time to attribute");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_misses),
        cmocka_unit_test(behind_another_demand),
        cmocka_unit_test(a_batch_of_tokens),
        cmocka_unit_test(a_batch_of_copies),
        cmocka_unit_test(two_copies_share_the_channel),
        cmocka_unit_test(experts_on_host_and_gpu_overlap),
        cmocka_unit_test(in_waves_compute_makes_the_room),
        cmocka_unit_test(a_late_prefetch),
        cmocka_unit_test(queued_behind_a_guess),
        cmocka_unit_test(behind_a_copy_for_another_device),
        cmocka_unit_test(from_disk_over_dram),
        cmocka_unit_test(written_back_before_the_fetch),
        cmocka_unit_test(queued_behind_a_write_back),
        cmocka_unit_test(an_eviction_has_its_price),
        cmocka_unit_test(lookups_and_reads_have_theirs),
        cmocka_unit_test(a_question_has_its_price),
        cmocka_unit_test(without_a_clock_there_is_nothing_to_attribute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
