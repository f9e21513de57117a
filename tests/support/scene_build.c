/* Scene: a drawn scene becomes a rig. See scene.h. */
#include "tests/support/scene.h"

#include <inttypes.h>
#include <string.h>

#include "sim/base/rng.h"

static bool scene_writes(const scene *s, uint32_t t)
{
    return s->tier[t].write_back != ES_WRITE_NEVER && s->tier[t].demotes && (t == 0 || t >= s->levels) && (t + 1 < s->tiers || s->holds != ES_HOLDS_NOTHING);
}

static void scene_row(const scene *s, dice *d, uint16_t *row, const uint16_t *before)
{
    uint32_t k = dice_chance(d, s->missing) ? 0 : dice_chance(d, s->cut) ? dice_between(d, 1, s->top_k) : s->top_k;
    for (uint32_t i = 0; i < k;) {
        uint16_t id = before && before[i] != ES_NO_EXPERT && dice_chance(d, s->again) ? before[i] : (uint16_t)dice_below(d, s->experts);
        bool twice = false;
        for (uint32_t j = 0; j < i; j++)
            twice |= row[j] == id;
        if (!twice)
            row[i++] = id;
        else
            before = NULL;
    }
}

static void scene_token(const scene *s, rig *r, dice *d, uint32_t request, es_phase_of phase, bool same_step)
{
    size_t rows = (size_t)s->layers * s->top_k;
    uint16_t *ids = rig_token(r, request, phase, same_step);
    const uint16_t *before = r->trace.tokens > 1 ? ids - rows : NULL;
    for (uint32_t l = 0; l < s->layers; l++)
        scene_row(s, d, ids + l * s->top_k, before ? before + l * s->top_k : NULL);
    uint16_t *guess = rig_guess(r);
    for (uint32_t i = 0; i < s->layers * s->guesses; i++)
        if (i % s->guesses == 0 || (guess[i - 1] != ES_NO_EXPERT && dice_chance(d, 80)))
            guess[i] = (uint16_t)dice_below(d, s->experts);
}

/* Requests come in groups that share their steps: prompts together, then token by token. */
static void scene_trace(const scene *s, rig *r)
{
    dice d = {es_mix(s->seed ^ 0x7472616365), 0};
    for (uint32_t first = 0; first < s->requests; first += s->together) {
        uint32_t end = first + s->together < s->requests ? first + s->together : s->requests;
        bool step = false;
        for (uint32_t q = first; q < end; q++)
            for (uint32_t i = 0; i < s->prompt; i++, step = true)
                scene_token(s, r, &d, q, ES_PREFILL, step);
        for (uint32_t i = 0; i < s->decode; i++) {
            bool joins = i == 0 && s->prompt && end - first > 1 && s->seed % 3 == 0;     /* a step of both phases */
            for (uint32_t q = first; q < end; q++)
                scene_token(s, r, &d, q, ES_DECODE, q > first || joins);
        }
    }
    if (s->rests)
        rig_token(r, s->requests - 1, ES_DECODE, false);
    for (uint32_t l = 0; l < s->layers; l++) {
        r->trace.bytes[l] = s->bytes[l];
        r->trace.numbers[l] = l * 2 + 1;
    }
    r->trace.info.counted = s->counted;
}

/* Matrix number m has m + 1 parts of six; all of them are the expert. */
static const int64_t *scene_matrices(const scene *s, rig *r)
{
    int64_t *matrix = rig_room(r, (size_t)s->slices * s->layers, sizeof *matrix);
    for (uint32_t m = 0; m < s->slices; m++)
        for (uint32_t l = 0; l < s->layers; l++)
            matrix[m * s->layers + l] = s->bytes[l] / 6 * (m + 1);
    return matrix;
}

/* Number v has 4 << v bits of 16; who has which is drawn, and some precisions may be nobody's. */
static void scene_variants(const scene *s, rig *r)
{
    dice d = {es_mix(s->seed ^ 0x76617279), 0};
    uint8_t *variant = rig_room(r, (size_t)s->layers * s->experts, sizeof *variant);
    int64_t *bytes = rig_room(r, (size_t)s->variants * s->slices * s->layers, sizeof *bytes);
    for (uint32_t e = 0; e < s->layers * s->experts; e++)
        variant[e] = (uint8_t)dice_below(&d, s->variants);
    for (uint32_t v = 0; v < s->variants; v++) {
        r->plan.bits[v] = 4u << v;
        for (uint32_t i = 0; i < s->slices * s->layers; i++)
            bytes[v * s->slices * s->layers + i] =
                (r->plan.matrix_bytes ? r->plan.matrix_bytes[i] : s->bytes[i % s->layers] / s->slices) >> (2 - v);
    }
    r->plan.variants = s->variants;
    r->plan.variant = variant;
    r->plan.variant_bytes = bytes;
}

/* A table says what the affine cost would be, for one object and for two. */
static const char *scene_timing(const scene_channel *c, rig *r)
{
    int64_t rate = c->rate ? c->rate : 1000000000;
    if (!strcmp(c->timing, "constant"))
        return rig_text(r, "{\"time\": \"%" PRId64 "ns\"}", c->latency);
    if (!strcmp(c->timing, "paging"))
        return rig_text(r, "{\"page\": \"100B\", \"fault\": \"%" PRId64 "ns\", \"wire\": \"%" PRId64 "ns\", \"rate\": \"%" PRId64 "B/s\"}", c->per_object, c->latency, c->rate);
    if (!strcmp(c->timing, "table"))
        return rig_text(r, "{\"latency\": \"%" PRId64 "ns\", \"points\": [{\"bytes\": \"100B\", \"count\": 1, \"time\": \"%" PRId64 "ns\"}, "
            "{\"bytes\": \"3000B\", \"count\": 1, \"time\": \"%" PRId64 "ns\"}, {\"bytes\": \"3000B\", \"count\": 2, \"time\": \"%" PRId64 "ns\"}]}",
            c->latency, c->latency + 100000000000 / rate, c->latency + 3000000000000 / rate, c->latency + c->per_object + 3000000000000 / rate);
    const char *jitter = strcmp(c->timing, "jitter") != 0 ? "" : rig_text(r, ", \"cv\": %g, \"distribution\": \"%s\"", c->cv, c->gamma ? "gamma" : "lognormal");
    return rig_text(r, "{\"latency\": \"%" PRId64 "ns\", \"per_object\": \"%" PRId64 "ns\", \"rate\": \"%" PRId64 "B/s\"%s}", c->latency, c->per_object,
        c->rate, jitter);
}

static void scene_channels(const scene *s, rig *r)
{
    static const char *const names[] = {"a", "b", "c"};
    for (uint32_t c = 0; c < s->channels; c++) {
        const scene_channel *row = &s->channel[c];
        es_plan_channel *channel = rig_channel(r, names[c], row->timing, scene_timing(row, r));
        channel->discipline = row->discipline;
        channel->lanes = row->lanes;
        channel->chunk = row->chunk;
        if (row->fifo)
            channel->scheduler = rig_part(r, ES_KIND_SCHEDULER, "fifo", NULL, channel->scheduler.path);
        else
            channel->scheduler = rig_part(r, ES_KIND_SCHEDULER, "demand_first", rig_text(r, "{\"batch\": %" PRId64 "}", row->batch), channel->scheduler.path);
        if (row->slowed_by < s->channels)
            channel->slowed_by = rig_json(r, rig_text(r, "{\"%s\": 0.5}", names[row->slowed_by]));
    }
    rig_channel(r, "gpu", "compute", rig_text(r, "{\"dense\": \"%" PRId64 "ns\", \"expert\": \"%" PRId64 "ns\", \"token\": \"%" PRId64 "ns\", \"predict\": \"%" PRId64
        "ns\", \"lookup\": \"%" PRId64 "ns\", \"evict\": \"%" PRId64 "ns\"}", s->dense, s->expert, s->token, s->predict, s->lookup, s->evict));
    if (!s->cpu)
        return;
    es_plan_channel *cpu = rig_channel(r, "cpu", "compute", rig_text(r, "{\"expert\": \"%" PRId64 "ns\", \"update\": \"%" PRId64 "ns\"}", s->host_expert,
        s->host_update));
    if (s->cpu_slowed)
        cpu->slowed_by = rig_json(r, "{\"a\": 0.5}");
}

/* Link number i goes over channel i (mod their number), and over the limit where there is one. */
static void scene_link(const scene *s, rig *r, const char *from, const char *to)
{
    uint32_t c = (uint32_t)r->plan.link_count % s->channels;
    if (s->free_links)
        rig_link(r, from, to, NULL);
    else if (s->limit < s->channels && s->limit != c)
        rig_link(r, from, to, rig_text(r, "[\"%c\", \"%c\"]", 'a' + (int)c, 'a' + (int)s->limit));
    else
        rig_link(r, from, to, rig_text(r, "[\"%c\"]", 'a' + (int)c));
}

/* A pool of slots for each precision, or heaps whose pieces have the size of what they hold. */
static es_plan_part scene_places(const scene *s, const scene_tier *row, rig *r, const char *path)
{
    static const char *const heaps[] = {"{\"heap_size\": 0, \"heaps\": 1, \"alignment\": \"1B\", \"fallback\": false}",
        "{\"heap_size\": 0, \"heaps\": 1, \"alignment\": \"100B\"}", "{\"heap_size\": 0, \"heaps\": 2, \"alignment\": \"1B\", \"choose\": \"best_fit\"}",
        "{\"heap_size\": \"6KB\", \"heaps\": 1, \"alignment\": \"1B\", \"choose\": \"least_used\", \"compaction\": true, \"compaction_interval\": \"1ns\","
        " \"compaction_threshold\": 0.1}", "{\"heap_size\": 0, \"heaps\": 2, \"alignment\": \"1B\", \"try_all\": true}"};
    dice d = {es_mix(s->seed ^ 0x6865617073), 0};
    if (!s->heapless && dice_chance(&d, 50))
        return rig_part(r, ES_KIND_ALLOCATOR, "heaps", heaps[dice_below(&d, 5)], path);
    return rig_part(r, ES_KIND_ALLOCATOR, "pools", rig_text(r, "{%s%s%s}", row->pools, s->shares, s->defrag), path);
}

static void scene_tiers(const scene *s, rig *r)
{
    static const char *const names[] = {"cache", "dram", "disk"};
    for (uint32_t t = 0; t < s->tiers; t++) {
        const scene_tier *row = &s->tier[t];
        const char *capacity = row->share ? rig_text(r, "%" PRId64 "%%", row->share) : rig_text(r, "%" PRId64 "%s", row->room, row->bytes ? "B" : "slots");
        es_plan_tier *tier = rig_tier(r, names[t], capacity, t < s->levels ? "gpu" : NULL);
        if (t < s->levels && s->access)
            tier->access = rig_part(r, ES_KIND_TIMING, "constant", rig_text(r, "{\"time\": \"%" PRId64 "ns\"}", s->access), rig_text(r, "tiers.%s.access", names[t]));
        if (row->granularity)
            tier->allocator = rig_part(r, ES_KIND_ALLOCATOR, "bytes", rig_text(r, "{\"granularity\": \"%" PRId64 "B\"}", row->granularity), "tiers.allocator");
        if (row->pools)
            tier->allocator = scene_places(s, row, r, rig_text(r, "tiers.%s.allocator", names[t]));
        if (row->pools && s->moves)
            tier->moves = rig_part(r, ES_KIND_TIMING, "constant", rig_text(r, "{\"time\": \"%" PRId64 "ns\"}", s->moves), rig_text(r, "tiers.%s.moves", names[t]));
        if (row->counted)
            tier->allocator = rig_part(r, ES_KIND_ALLOCATOR, "slots", NULL, "tiers.allocator");
        tier->demote = !row->demotes ? NULL : t + 1 < s->tiers ? names[t + 1] : "home";
        tier->policy = t >= s->levels ? rig_part(r, ES_KIND_POLICY, row->policy, NULL, rig_text(r, "tiers.%s.policy", names[t])) : tier->policy;
        tier->exclusive = row->exclusive;
        tier->hold_reads = !row->lets_go;
        tier->write_back = !scene_writes(s, t) ? ES_WRITE_NEVER : row->write_back;
        tier->write_through = tier->write_back != ES_WRITE_NEVER && row->write_through;
        tier->write_every = tier->write_back != ES_WRITE_NEVER ? row->write_every : 0;
        tier->write_buffer = tier->write_back != ES_WRITE_NEVER && t >= s->levels && t > 0 && !row->pools ? row->write_buffer : NULL;
        r->plan.contract.flush |= s->flush && scene_writes(s, t);
        tier->grace = row->grace;
        tier->grace_yields = row->yields;
    }
    if (s->tiers > 1 && s->levels == 1 && s->cpu && s->training.update == ES_UPDATE_HOST)
        r->tier[1].compute = "cpu";     /* whichever the device is filled from makes the optimizer steps */
    es_plan_tier *home = rig_tier(r, "home", NULL, s->tiers == 0 ? "gpu" : s->cpu ? "cpu" : NULL);
    if (s->tiers == 0)
        return;
    const bool creates = s->holds == ES_HOLDS_TOUCHED && s->way == SCENE_CHAIN;
    home->holds = creates || s->holds == ES_HOLDS_NOTHING ? s->holds : ES_HOLDS_ALL;
    if (s->way != SCENE_CHAIN)
        for (uint32_t t = 0; t < s->tiers; t++)
            scene_link(s, r, "home", names[t]);
    else
        scene_link(s, r, "home", names[s->tiers - 1]);
    for (uint32_t t = s->tiers; t-- > 0;) {
        if (t + 1 < s->tiers)
            scene_link(s, r, names[t + 1], names[t]);
        if (scene_writes(s, t) || (creates && t + 1 == s->tiers))
            scene_link(s, r, names[t], t + 1 < s->tiers ? names[t + 1] : "home");
    }
}

void scene_build(const scene *s, rig *r)
{
    rig_open(r, s->layers, s->experts, s->top_k, s->guesses, s->requests * (s->prompt + s->decode) + 1);
    scene_trace(s, r);
    r->plan.seed = s->seed;
    r->plan.timed = s->timed;
    r->plan.slices = s->slices;
    r->plan.matrix_bytes = s->unequal && s->slices > 1 ? scene_matrices(s, r) : NULL;
    if (s->variants)
        scene_variants(s, r);
    r->plan.contract = s->contract;
    r->plan.contract.prefill = rig_text(r, "%s", s->prefill);
    r->plan.contract.quota = rig_json(r, s->quota);
    r->plan.compute = s->compute;
    if (s->tiers < 2 || s->levels > 1)
        r->plan.compute.guess_tier = NULL;              /* there is no such tier */
    r->plan.training = s->training;
    if (!s->tiers || !scene_writes(s, 0) || s->way != SCENE_CHAIN)
        r->plan.training.update = ES_UPDATE_DEVICE;     /* no link for the gradients */
    r->plan.catalog.key = s->shared ? ES_KEY_EXPERT : ES_KEY_LAYER_EXPERT;
    scene_channels(s, r);
    scene_tiers(s, r);
    r->plan.policy = rig_part(r, ES_KIND_POLICY, s->policy, s->policy_options, "policy");
    r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, s->predictor, s->predictor_options, "predictor");
    r->plan.dispatcher = rig_part(r, ES_KIND_DISPATCHER, s->dispatcher, s->dispatcher_options, "dispatcher");
    if (s->importance)
        rig_tune(r, rig_part(r, ES_KIND_TUNER, "importance", s->importance, "tuner"));
    r->plan.stream = s->stream;
    for (uint32_t i = 0; i < s->tuners; i++)
        rig_tune(r, rig_part(r, ES_KIND_TUNER, s->tuner[i], s->tuner_options[i], "tuner"));
    static const char *const observers[] = {"summary", "latency", "audit", "digest", "attribution", "coverage", "traffic", "memory"};
    for (size_t i = 0; i < sizeof observers / sizeof *observers; i++)
        if (i < 2 || (i < 5 ? s->watched : s->reported))
            rig_observe(r, observers[i]);
}
