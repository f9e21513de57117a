/* The selftest's cases. See selftest.h. */
#include "sim/study/selftest.h"

const char es_selftest_untimed[] =
    "{\"trace\": {\"source\": \"synthetic\"}, \"clock\": \"none\", \"bounds\": false,"
    " \"tiers\": {\"cache\": {\"capacity\": \"4slots\", \"compute\": \"gpu\"}, \"host\": {\"home\": true}},"
    " \"policy\": \"lru\", \"contract\": \"event_atomic\", \"observers\": [\"summary\", \"coverage\", \"audit\"]}";

const char es_selftest_timed[] =
    "{\"trace\": {\"source\": \"synthetic\"}, \"clock\": \"simulated\", \"bounds\": false, \"model\": {\"expert_bytes\": \"100B\"},"
    " \"tiers\": {\"cache\": {\"capacity\": \"4slots\", \"compute\": \"gpu\"}, \"host\": {\"home\": true}},"
    " \"channels\": {\"link\": {\"timing\": {\"name\": \"affine\", \"rate\": \"1GB/s\"}},"
    " \"gpu\": {\"timing\": {\"name\": \"compute\", \"dense\": \"10ns\", \"expert\": \"20ns\"}}},"
    " \"links\": [{\"from\": \"host\", \"to\": \"cache\", \"channels\": [\"link\"]}],"
    " \"policy\": \"lru\", \"contract\": \"event_atomic\", \"observers\": [\"summary\", \"coverage\", \"latency\", \"traffic\", \"audit\"]}";

/* The published trace of event-atomic replay (arXiv 2608.07911): 3 layers, 5 steps, 2 slots per layer. */
#define TOY "D0,1|0,1|0,1 D0,2|0,2|0,2 D0,1|0,1|0,1 D0,3|0,3|0,3 D0,1|0,1|0,1"

/* Ours: the prompts need 6 and 5 of 4 slots, and each policy has another number of hits under each of the four contracts. Found
 * by search; no two policies agree under any contract either. */
#define STRONGER "P3,2,1 P5,0,4 D4,0,2 D0,1,3 D0,5,3 D3,0,1 D0,4,3 P5,3,0 P1,4,0 D2,3,0 D0,1,5 D4,1,2 D2,3,0 D4,2,1 D4,5,0"

#define UNTIMED(word, policy, contract, hits) \
    {.name = "stronger " word " " contract, .trace = STRONGER, .sets = {"policy=" policy, "contract=" contract}, .want = hits}

const es_selftest_case es_selftest_cases[] = {
    {.name = "event-atomic toy", .trace = TOY, .sets = {"contract=keep_best", "contract.scope=layer", "tiers.cache.capacity=6slots"},
        .want = "cache.lookups 30, cache.hits 12, cache.misses 18, cache.evictions 12, cache.insertions 18, cache.misses_compulsory 12"},

    UNTIMED("lru", "lru", "event_atomic", "cache.lookups 44, cache.hits 22"),
    UNTIMED("lru", "lru", "after_batch", "cache.lookups 44, cache.hits 24"),
    UNTIMED("lru", "lru", "keep_best", "cache.lookups 44, cache.hits 23"),
    UNTIMED("lru", "lru", "serialized", "cache.lookups 45, cache.hits 19"),
    UNTIMED("lfu", "lfu", "event_atomic", "cache.lookups 44, cache.hits 23"),
    UNTIMED("lfu", "lfu", "after_batch", "cache.lookups 44, cache.hits 25"),
    UNTIMED("lfu", "lfu", "keep_best", "cache.lookups 44, cache.hits 24"),
    UNTIMED("lfu", "lfu", "serialized", "cache.lookups 45, cache.hits 21"),
    UNTIMED("lfu resident", "{\"name\":\"lfu\",\"counts\":\"resident\"}", "event_atomic", "cache.lookups 44, cache.hits 24"),
    UNTIMED("lfu resident", "{\"name\":\"lfu\",\"counts\":\"resident\"}", "after_batch", "cache.lookups 44, cache.hits 23"),
    UNTIMED("lfu resident", "{\"name\":\"lfu\",\"counts\":\"resident\"}", "keep_best", "cache.lookups 44, cache.hits 26"),
    UNTIMED("lfu resident", "{\"name\":\"lfu\",\"counts\":\"resident\"}", "serialized", "cache.lookups 45, cache.hits 25"),
    UNTIMED("fifo", "fifo", "event_atomic", "cache.lookups 44, cache.hits 25"),
    UNTIMED("fifo", "fifo", "after_batch", "cache.lookups 44, cache.hits 26"),
    UNTIMED("fifo", "fifo", "keep_best", "cache.lookups 44, cache.hits 21"),
    UNTIMED("fifo", "fifo", "serialized", "cache.lookups 45, cache.hits 20"),
    UNTIMED("belady", "belady", "event_atomic", "cache.lookups 44, cache.hits 27"),
    UNTIMED("belady", "belady", "after_batch", "cache.lookups 44, cache.hits 28"),
    UNTIMED("belady", "belady", "keep_best", "cache.lookups 44, cache.hits 31"),
    UNTIMED("belady", "belady", "serialized", "cache.lookups 45, cache.hits 30"),

    /* ---- in time: dense 10, copy 100, expert 20 ---- */

    {.name = "demand miss", .timed = true, .trace = "D0",
        .sum = "gate 10, copy 10-110, expert 110-130",
        .want = "time.total_s 130ns, time.stall_s 100ns, cache.misses 1, cache.fetched_bytes 100, channels.link.busy_s 100ns"},
    {.name = "hits before misses", .timed = true, .trace = "D1 D0,1",
        .sum = "first token 130; gate 140, expert 1 140-160, copy of 0 140-240, expert 0 240-260",
        .want = "time.total_s 260ns, time.stall_s 180ns, cache.hits 1"},
    {.name = "in order", .timed = true, .trace = "D1 D0,1", .sets = {"compute.overlap=in_order"},
        .sum = "as before, but expert 1 waits behind 0: 0 240-260, 1 260-280",
        .want = "time.total_s 280ns, time.stall_s 200ns, cache.hits 1"},
    {.name = "barrier", .timed = true, .trace = "D1 D1,0", .sets = {"compute.overlap=barrier"},
        .sum = "gate 140, nothing is computed before the copy of 0 lands at 240: 1 240-260, 0 260-280",
        .want = "time.total_s 280ns, time.stall_s 200ns, cache.hits 1"},
    {.name = "late hit", .timed = true, .trace = "D0|0~0", .sets = {"predictor=recorded"},
        .sum = "layer 0 ends 130; the guess copies 110-210, gate of layer 1 at 140 finds it in flight, expert 210-230",
        .want = "time.total_s 230ns, time.stall_s 170ns, cache.late 1, cache.misses 1, cache.guess_copies 1, cache.fetched_bytes 100, cache.guess_bytes 100"},
    {.name = "foreseen", .timed = true, .trace = "D0|0~1,0", .sets = {"predictor=recorded"},
        .sum = "the wrong guess copies 110-210, at gate 140 the right one still waits: a demand, 210-310, expert 310-330",
        .want = "time.total_s 330ns, cache.foreseen 1, cache.late 0, cache.misses 2, cache.cancelled 0, cache.guess_copies 1"},
    {.name = "cancelled guess", .timed = true, .trace = "D0|0~1,2", .sets = {"predictor=recorded"},
        .sum = "guess 1 copies 110-210, guess 2 dies at gate 140, demand 0 copies 210-310, expert 310-330",
        .want = "time.total_s 330ns, cache.cancelled 1, cache.foreseen 0, cache.misses 2, cache.guess_copies 1, cache.guess_bytes 100"},
    {.name = "guess waits for room", .timed = true, .trace = "D0|0~0", .sets = {"predictor=recorded", "tiers.cache.capacity=1slots"},
        .sum = "expert 0 is pinned until layer 0 ends at 130; the guess copies 130-230, is late at 140, expert 230-250",
        .want = "time.total_s 250ns, cache.late 1, cache.evictions 1, cache.guess_copies 1"},
    {.name = "compute waits for serial guesses", .timed = true, .trace = "D0", .sets = {"predictor={\"name\":\"noisy_oracle\",\"accuracy\":1,\"point\":\"before_lookup\"}",
            "compute.guess_cost=serial", "channels.gpu.timing.predict=7ns"},
        .sum = "gate 10, answer 17, the guess copies 17-117, a hit, expert 117-137",
        .want = "time.total_s 137ns, time.stall_s 100ns, time.attribution.predict 7ns, cache.hits 1, cache.misses 0, cache.guess_copies 1"},
    {.name = "lookups and reads are paid", .timed = true, .trace = "D0 D0,1", .sets = {"channels.gpu.timing.lookup=3ns",
            "tiers.cache.access={\"name\":\"constant\",\"time\":\"5ns\"}"},
        .sum = "gate 10, looked up 13, copy 13-113, expert 113-133; gate 143, both looked up 149, 0 is read 149-154 and computed 154-174, copy 149-249, expert 249-269",
        .want = "time.total_s 269ns, time.stall_s 175ns, time.attribution.manage 9ns, time.attribution.access 5ns, cache.hits 1"},
    {.name = "a victim is paid before the next expert", .timed = true, .trace = "D0 D1", .sets = {"tiers.cache.capacity=1slots", "channels.gpu.timing.evict=4ns"},
        .sum = "first token 130; gate 140, copy 140-240, evict 240-244, expert 244-264",
        .want = "time.total_s 264ns, time.stall_s 200ns, time.attribution.manage 4ns, cache.evictions 1"},
    {.name = "overflow trim", .timed = true, .trace = "D0,1 D1", .sets = {"contract.overflow=trim", "tiers.cache.capacity=1slots"},
        .sum = "copies 10-110 and 110-210, one above the room; experts 110-130, 210-230; 0 leaves; then 1 hits: 230 + 10 + 20",
        .want = "time.total_s 260ns, cache.hits 1, cache.evictions 1, cache.overflow_events 1"},
    {.name = "overflow waves", .timed = true, .trace = "D0,1 D1", .sets = {"tiers.cache.capacity=1slots"},
        .sum = "copy 10-110, expert 110-130, and only then has the second copy room: 130-230, expert 230-250; then 1 hits: 250 + 10 + 20",
        .want = "time.total_s 280ns, cache.hits 1, cache.evictions 1, cache.overflow_events 1"},
    {.name = "overflow bypass", .timed = true, .trace = "D0,1 D0", .sets = {"contract.overflow=bypass", "tiers.cache.capacity=1slots"},
        .sum = "copies 10-110 and 110-210, 1 is used in place; experts 110-130, 210-230; then 0 hits: 230 + 10 + 20",
        .want = "time.total_s 260ns, cache.hits 1, cache.evictions 0, cache.misses_refused 1, cache.overflow_events 1"},
    {.name = "two lanes", .timed = true, .trace = "D0,1", .sets = {"channels.link.discipline=lanes", "channels.link.lanes=2"},
        .sum = "both copies 10-110, experts 110-130-150",
        .want = "time.total_s 150ns, time.stall_s 100ns, channels.link.busy_s 200ns, channels.link.queue_s 0ns"},
    {.name = "shared link halves the rate", .timed = true, .trace = "D0,1", .sets = {"channels.link.discipline=shared"},
        .sum = "both copies 10-210 at half the rate, experts 210-230-250",
        .want = "time.total_s 250ns, time.stall_s 200ns, channels.link.busy_s 200ns"},
    {.name = "one lane queues", .timed = true, .trace = "D0,1,2",
        .sum = "copies end 110, 210, 310; the second waits 100, the third 200; last expert 310-330",
        .want = "time.total_s 330ns, channels.link.queue_s 300ns, channels.link.busy_s 300ns"},
    {.name = "host computes beside the gpu", .timed = true, .trace = "D0,1",
        .sets = {"tiers.host.compute=cpu", "channels.cpu={\"timing\":{\"name\":\"compute\",\"expert\":\"150ns\"}}", "dispatcher={\"name\":\"host_compute\",\"rule\":\"n\",\"count\":1}"},
        .sum = "expert 0 on the cpu 10-160, expert 1 copied 10-110 and computed 110-130",
        .want = "time.total_s 160ns, cache.misses 2, cache.fetched_bytes 100, time.attribution.expert_cpu 30ns"},
    {.name = "batch of prompt tokens", .timed = true, .trace = "P0,1 P0,2", .sets = {"channels.gpu.timing.dense_token=3ns", "channels.gpu.timing.token=5ns"},
        .sum = "dense 10 + 3; copies end 113, 213, 313; expert 0 serves two: 113-143, 1 213-238, 2 313-338",
        .want = "time.total_s 338ns, cache.lookups 3, cache.assignments 4, time.ttft_s 338ns, time.attribution.expert_gpu 80ns"},
    {.name = "two hops", .timed = true, .trace = "D0",
        .sets = {"tiers.ram={\"capacity\":\"4slots\"}", "channels.disk={\"timing\":{\"name\":\"constant\",\"time\":\"70ns\"}}",
            "links=[{\"from\":\"host\",\"to\":\"ram\",\"channels\":[\"disk\"]},{\"from\":\"ram\",\"to\":\"cache\",\"channels\":[\"link\"]}]"},
        .sum = "disk 10-80, link 80-180, expert 180-200",
        .want = "time.total_s 200ns, time.stall_s 170ns, channels.disk.busy_s 70ns, channels.link.busy_s 100ns"},
    {.name = "a victim is written back first", .timed = true, .trace = "D0 D1 D0",
        .sets = {"tiers.cache={\"capacity\":\"1slots\",\"compute\":\"gpu\",\"demote\":\"ram\",\"write_back\":\"absent\"}", "tiers.ram={\"capacity\":\"4slots\"}",
            "channels.down={\"timing\":{\"name\":\"constant\",\"time\":\"40ns\"}}",
            "links=[{\"from\":\"ram\",\"to\":\"cache\",\"channels\":[\"link\"]},{\"from\":\"host\",\"to\":\"cache\",\"channels\":[\"link\"]},"
            "{\"from\":\"cache\",\"to\":\"ram\",\"channels\":[\"down\"]}]"},
        .sum = "first token 130; gate 140, 0 goes down 140-180, 1 comes 180-280, expert 280-300; gate 310, 1 goes down 310-350, 0 comes from ram 350-450, expert 450-470",
        .want = "time.total_s 470ns, cache.demotions 2, cache.writeback_bytes 200, tiers.ram.found 1, channels.down.busy_s 80ns"},
    {.name = "a batch pays the latency once", .timed = true, .trace = "D0,1",
        .sets = {"channels.link.timing.latency=50ns", "channels.link.scheduler={\"name\":\"demand_first\",\"batch\":2}"},
        .sum = "latency 10-60, copy of 0 60-160, of 1 160-260, experts 160-180 and 260-280",
        .want = "time.total_s 280ns, time.stall_s 230ns, channels.link.busy_s 250ns, channels.link.batches 1"},
    {.name = "demand between chunks of a guess", .timed = true, .trace = "D0|0~1", .sets = {"predictor=recorded", "channels.link.chunk=25B"},
        .sum = "guess 1 copies from 110 in chunks of 25; gate 140; its chunk ends 160 and demand 0 goes ahead 160-260, expert 260-280",
        .want = "time.total_s 280ns, cache.misses 2, cache.fetched_bytes 200, cache.guess_copies 1"},
    {.name = "guess cancelled between chunks", .timed = true, .trace = "D0|0~1", .sets = {"predictor=recorded", "channels.link.chunk=30B"},
        .sum = "the first chunk of guess 1 ends with the dense part, 110-140: it dies at the gate; demand 0 140-240, expert 240-260",
        .want = "time.total_s 260ns, cache.misses 2, cache.cancelled 1, cache.wasted_bytes 30"},
};

const size_t es_selftest_case_count = sizeof es_selftest_cases / sizeof *es_selftest_cases;
