/* Scene: see scene.h. */
#include "tests/support/scene.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/rng.h"

#define PICK(d, ...) dice_pick(d, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

uint32_t dice_below(dice *d, uint32_t n)
{
    return es_draw_below(d->seed, n, d->thrown++, 0, 0, 0);
}

bool dice_chance(dice *d, uint32_t percent)
{
    return dice_below(d, 100) < percent;
}

int64_t dice_pick(dice *d, const int64_t *of, uint32_t count)
{
    return of[dice_below(d, count)];
}

static uint32_t dice_between(dice *d, uint32_t low, uint32_t high)
{
    return low + dice_below(d, high - low + 1);
}

/* ---- drawing ---- */

static void scene_draw_trace(scene *s, dice *d)
{
    s->layers = dice_between(d, 1, 4);
    s->experts = dice_chance(d, 15) ? dice_between(d, 60, 140) : dice_between(d, 2, 12);
    s->top_k = dice_between(d, 1, s->experts < 5 ? s->experts : 5);
    s->requests = dice_between(d, 1, 3);
    s->prompt = dice_chance(d, 60) ? dice_between(d, 1, 6) : 0;
    s->decode = dice_between(d, 1, 14);
    s->together = dice_chance(d, 30) ? dice_between(d, 2, 3) : 1;
    s->missing = dice_chance(d, 40) ? 20 : 0;
    s->cut = dice_chance(d, 30) ? 30 : 0;
    s->again = (uint32_t)PICK(d, 0, 30, 60, 90);
    s->counted = dice_chance(d, 70);
    s->guesses = dice_chance(d, 30) ? dice_between(d, 1, 4) : 0;
    bool alike = dice_chance(d, 60);
    for (uint32_t l = 0; l < s->layers; l++)
        s->bytes[l] = alike && l > 0 ? s->bytes[0] : PICK(d, 600, 1200, 1800, 3000);
}

static void scene_draw_contract(scene *s, dice *d)
{
    es_contract *c = &s->contract;
    es_options_default(es_contract_options, c);
    c->unit = dice_chance(d, 50) ? ES_UNION : (int)dice_below(d, 4);
    c->duplicates = (int)dice_below(d, 3);
    c->judge = dice_chance(d, 60) ? ES_JUDGE_EVENT : (int)dice_below(d, 3);
    c->overflow = (int)dice_below(d, 5);
    c->scope = dice_chance(d, 30) ? ES_PER_LAYER : ES_GLOBAL;
    c->ties = (int)dice_below(d, 4);
    snprintf(s->prefill, sizeof s->prefill, "%s", (const char *[]){"union", "tokens", "tiles:2", "skip"}[dice_below(d, 4)]);
    c->prefill_counts = (int)dice_below(d, 2);
    c->reset = dice_chance(d, 20);
    c->skip_tokens = PICK(d, 0, 0, 0, 3, 10);
    c->pins = (int)dice_below(d, 2);
    s->slices = c->unit == ES_SLICE ? 3 : 1;
    snprintf(s->quota, sizeof s->quota, "\"%s\"", (const char *[]){"floor", "round", "remainder_low"}[dice_below(d, 3)]);
}

/* A number for each layer instead of a rule: in slots, or bytes enough for as many. */
static void scene_draw_quota(scene *s, dice *d, int64_t largest)
{
    int used = snprintf(s->quota, sizeof s->quota, "[");
    for (uint32_t l = 0; l < s->layers; l++)
        used += snprintf(s->quota + used, sizeof s->quota - (size_t)used, "%s%" PRId64, l ? ", " : "",
            dice_between(d, 1, s->top_k * s->slices * 2) * (s->tier[0].bytes ? largest : 1));
    snprintf(s->quota + used, sizeof s->quota - (size_t)used, "]");
}

/* Room for something between one object and all of them. */
static void scene_draw_tier(scene *s, dice *d, uint32_t t)
{
    scene_tier *tier = &s->tier[t];
    int64_t largest = 0;
    uint32_t lots = s->contract.scope == ES_PER_LAYER ? s->layers : 1;
    for (uint32_t l = 0; l < s->layers; l++)
        largest = s->bytes[l] > largest ? s->bytes[l] : largest;
    uint32_t most = s->layers * s->experts * s->slices / lots, few = s->top_k * s->slices * 2;
    uint32_t count = dice_between(d, 1, dice_chance(d, 70) && few < most ? few : most);
    tier->bytes = t > 0 && s->quota[0] == '[' ? s->tier[0].bytes : dice_chance(d, 50);  /* one list of quotas goes for all tiers */
    tier->granularity = tier->bytes && dice_chance(d, 20) ? PICK(d, 100, 256, 1000) : 0;
    if (tier->granularity)
        largest = (largest + tier->granularity - 1) / tier->granularity * tier->granularity;
    tier->room = (int64_t)lots * count * (tier->bytes ? largest : 1) + (tier->bytes ? PICK(d, 0, 0, 500) : 0);
    if (t == 0 && dice_chance(d, 15))
        scene_draw_quota(s, d, largest);
    tier->counted = !tier->bytes && dice_chance(d, 20);
    tier->share = !tier->bytes && s->contract.scope == ES_GLOBAL && s->slices == 1 && dice_chance(d, 15) ? dice_between(d, 25, 100) : 0;
    tier->demotes = t + 1 < s->tiers && dice_chance(d, 60);     /* the last one to home: scene_draw_writes */
    tier->exclusive = t > 0 && dice_chance(d, 40);
    tier->write_back = tier->demotes && dice_chance(d, 40) ? ES_WRITE_ABSENT : ES_WRITE_NEVER;
    tier->grace = t == 0 && dice_chance(d, 20) ? PICK(d, 1000, 5000, 20000) : 0;
    tier->yields = dice_chance(d, 60);
}

static void scene_draw_channel(scene *s, dice *d, uint32_t c)
{
    scene_channel *channel = &s->channel[c];
    channel->discipline = (int)dice_below(d, 3);
    channel->lanes = dice_between(d, 1, 3);
    channel->chunk = dice_chance(d, 30) ? PICK(d, 100, 600, 1000) : 0;
    channel->latency = PICK(d, 0, 0, 200, 1000);
    channel->per_object = dice_chance(d, 20) ? 100 : 0;
    channel->rate = PICK(d, 1000000000, 1000000000, 2000000000, 600000000, 0);
    channel->batch = dice_chance(d, 30) ? dice_between(d, 2, 4) : 1;
    channel->timing = dice_chance(d, 70) ? "affine" : (const char *[]){"jitter", "table", "constant"}[dice_below(d, 3)];
    channel->cv = 0.5;
    channel->gamma = dice_chance(d, 50);
    channel->fifo = dice_chance(d, 30);
    channel->slowed_by = dice_chance(d, 20) ? dice_below(d, s->channels) : SCENE_CHANNELS;
    if (channel->slowed_by == c)
        channel->slowed_by = SCENE_CHANNELS;
}

static void scene_draw_machine(scene *s, dice *d)
{
    s->timed = dice_chance(d, 70);
    s->tiers = dice_chance(d, 4) ? 0 : dice_chance(d, 50) ? 1 : dice_between(d, 2, 3);
    s->way = (scene_way)dice_below(d, 3);
    for (uint32_t t = 0; t < s->tiers; t++)
        scene_draw_tier(s, d, t);
    s->channels = dice_between(d, 1, SCENE_CHANNELS);
    for (uint32_t c = 0; c < s->channels; c++)
        scene_draw_channel(s, d, c);
    s->limit = dice_chance(d, 25) ? dice_below(d, s->channels) : SCENE_CHANNELS;
    s->free_links = dice_chance(d, 5);
    s->dense = PICK(d, 0, 1000, 2000, 5000);
    s->expert = PICK(d, 0, 300, 600, 1200);
    s->token = PICK(d, 0, 0, 100);
    s->cpu = dice_chance(d, 30);
    s->host_expert = PICK(d, 600, 1200, 3000);
    es_options_default(es_compute_options, &s->compute);
    s->compute.overlap = (int)dice_below(d, 3);
    s->compute.protect_guesses = dice_chance(d, 20);
    s->compute.lookahead = dice_chance(d, 80) ? 1 : dice_between(d, 2, 5);
    s->compute.access = (int)dice_below(d, 2);
    s->levels = s->tiers > 1 && s->contract.overflow != ES_BYPASS && dice_chance(d, 35) ? dice_between(d, 2, s->tiers) : 1;
    s->shared = s->contract.scope == ES_GLOBAL && s->slices == 1 && dice_chance(d, 8);
    if (s->shared)
        scene_alike(s);
}

/* Lower tiers that let go of what is being read. */
static void scene_draw_holding(scene *s)
{
    dice d = {es_mix(s->seed ^ 0x686f6c64), 0};
    for (uint32_t t = s->levels; t < s->tiers; t++)
        s->tier[t].lets_go = dice_chance(&d, 25);
}

/* What is written down from lower tiers does so beside their room: all of it, or as much as one or two experts weigh. */
static void scene_draw_buffers(scene *s)
{
    static const char *const buffers[] = {"unbounded", "unbounded", "3KB", "0B"};
    dice d = {es_mix(s->seed ^ 0x73706f6f6c), 0};
    for (uint32_t t = s->levels; t < s->tiers; t++)
        s->tier[t].write_buffer = t > 0 && dice_chance(&d, 40) ? buffers[dice_below(&d, 4)] : NULL;
}

/* Lower tiers that are ordered by a policy of their own, that let everything through, and rules of writing back. From dice of its own. */
static void scene_draw_writes(scene *s)
{
    static const char *const policies[] = {"lru", "lru", "fifo", "lfu", "random", "shift_cache"};
    dice d = {es_mix(s->seed ^ 0x777269746573), 0};
    for (uint32_t t = 0; t < s->tiers; t++) {
        scene_tier *tier = &s->tier[t];
        if (t >= s->levels && t > 0 && dice_chance(&d, 40))
            tier->policy = policies[dice_below(&d, 6)];
        if (t >= s->levels && t > 0 && s->quota[0] != '[' && dice_chance(&d, 10))
            tier->room = tier->share = 0;
        tier->demotes |= t + 1 == s->tiers && dice_chance(&d, 40);
        if (tier->demotes && dice_chance(&d, 60))
            tier->write_back = (int)dice_below(&d, 4);
        tier->write_through = dice_chance(&d, 15);
        tier->write_every = dice_chance(&d, 20) ? dice_between(&d, 1, 4) : 0;
    }
    scene_draw_holding(s);
    scene_draw_buffers(s);
    s->holds = dice_chance(&d, 70) ? ES_HOLDS_ALL : dice_chance(&d, 50) ? ES_HOLDS_TOUCHED : ES_HOLDS_NOTHING;
    s->flush = dice_chance(&d, 50);
    es_options_default(es_training_options, &s->training);
    s->training.steps = dice_chance(&d, 30) && s->levels == 1 ? ES_TRAIN_ALL : ES_TRAIN_AS_TRACED;
    s->training.update = (int)dice_below(&d, 2);
    s->training.optimizer = (int)dice_below(&d, 3);
    s->training.state_on_device = dice_chance(&d, 20);
    s->host_update = PICK(&d, 0, 300, 1000, 4000);
    s->cpu_slowed = dice_chance(&d, 30);
    s->compute.guess_tier = s->tiers > 1 && s->levels == 1 && dice_chance(&d, 30) ? "dram" : NULL;
    s->training.exceed = dice_chance(&d, 97) ? ES_EXCEED_RECOMPUTE : ES_EXCEED_REFUSE;
}

static bool scene_writes(const scene *s, uint32_t t)
{
    return s->tier[t].write_back != ES_WRITE_NEVER && s->tier[t].demotes && (t == 0 || t >= s->levels) && (t + 1 < s->tiers || s->holds != ES_HOLDS_NOTHING);
}

typedef struct scene_variant { /* a part with options other than its own */
    const char *name, *options;
} scene_variant;

static const scene_variant scene_policies[] = {{"lfu", "{\"counts\": \"resident\"}"}, {"belady", "{\"bypass\": true}"}, {"static", "{\"count\": 3}"},
    {"hybrid", "{\"share\": 1}"}, {"hybrid", "{\"pins\": 2, \"min_uses\": 2}"}, {"shift_cache", "{\"window\": 3}"},
    {"multi_factor", "{\"counts\": \"persistent\", \"age_weight\": 9}"},
    {"shift_cache", "{\"window\": 2, \"jsd_reweighting\": false, \"persistent_detector\": true, \"persist_tokens\": 2, \"triggered_reweighting\": true}"},
    {NULL, NULL}};
static const scene_variant scene_predictors[] = {{"noisy_oracle", "{\"accuracy\": 1, \"extra\": 2}"}, {"noisy_oracle", "{\"recall\": [0.9, 0.5]}"},
    {"shift_transition", "{\"most\": 4, \"min_count\": 1}"}, {"recorded", "{\"first\": 1}"},
    {"transition", "{\"layers\": 3, \"half_at\": 8, \"least\": 0.2}"}, {NULL, NULL}};
static const scene_variant scene_dispatchers[] = {{"host_compute", "{\"rule\": \"always\"}"}, {"host_compute", "{\"rule\": \"n\", \"count\": 1}"}, {NULL, NULL}};

bool scene_needs(const es_part *part)
{
    for (const es_option *o = part->options; o && o->name; o++)
        if (o->required)
            return true;
    return false;
}

/* One of the parts that are registered, each with its defaults, or of the variants. A new part is drawn unasked. */
static void scene_draw_part(dice *d, es_kind kind, const scene_variant *variants, const char **name, const char **options)
{
    uint32_t known = 0, more = 0;
    while (es_part_at(kind, known))
        known++;
    while (variants[more].name)
        more++;
    uint32_t i;
    do
        i = dice_below(d, known + more);
    while (i < known && scene_needs(es_part_at(kind, i)));
    *name = i < known ? es_part_at(kind, i)->name : variants[i - known].name;
    *options = i < known ? NULL : variants[i - known].options;
}

static void scene_draw_parts(scene *s, dice *d)
{
    scene_draw_part(d, ES_KIND_POLICY, scene_policies, &s->policy, &s->policy_options);
    if (dice_chance(d, 50))
        scene_draw_part(d, ES_KIND_PREDICTOR, scene_predictors, &s->predictor, &s->predictor_options);
    if (s->guesses == 0 && s->predictor && !strcmp(s->predictor, "recorded"))
        s->predictor = s->predictor_options = NULL;
    if (dice_chance(d, 40))
        scene_draw_part(d, ES_KIND_DISPATCHER, scene_dispatchers, &s->dispatcher, &s->dispatcher_options);
    s->watched = true;
    s->reported = dice_chance(d, 20);
    s->stream = dice_chance(d, 20);
}

void scene_draw(scene *s, uint64_t seed)
{
    dice d = {seed, 0};
    memset(s, 0, sizeof *s);
    s->seed = seed;
    scene_draw_trace(s, &d);
    scene_draw_contract(s, &d);
    scene_draw_machine(s, &d);
    scene_draw_writes(s);
    scene_draw_parts(s, &d);
    if (s->training.steps == ES_TRAIN_ALL)
        s->dispatcher = s->dispatcher_options = NULL;
    s->unequal = s->slices > 1 && dice_chance(&d, 60);
    for (uint32_t c = 0; c < s->channels; c++)
        if (!strcmp(s->channel[c].timing, "constant") && es_mix(seed ^ c ^ 0x706167696e67) & 1)
            s->channel[c].timing = "paging";
}

void scene_charge(scene *s)
{
    static const int64_t costs[] = {0, 0, 100, 1000};
    static const char *const options[] = {"{\"point\": \"before_lookup\", \"extra\": 2}", "{\"point\": \"step_end\", \"extra\": 1}",
        "{\"point\": \"before_lookup\", \"accuracy\": 0.5, \"sorted\": true}"};
    dice d = {es_mix(s->seed ^ 0x636861726765), 0};
    s->access = dice_pick(&d, costs, 4);
    s->predict = dice_pick(&d, costs, 4);
    s->lookup = dice_pick(&d, costs, 4);
    s->evict = dice_pick(&d, costs, 4);
    s->compute.guess_cost = (int)dice_below(&d, 3);
    s->compute.guess_top = dice_chance(&d, 70) ? 0 : dice_between(&d, 1, 4);
    s->compute.guess_confidence = dice_chance(&d, 80) ? 0 : 0.5;
    if (!dice_chance(&d, 60))
        return;
    s->predictor = "noisy_oracle";
    s->predictor_options = options[dice_below(&d, 3)];
}

void scene_precisions(scene *s)
{
    dice d = {es_mix(s->seed ^ 0x62697473), 0};
    s->variants = dice_between(&d, 2, 3);
    if (s->timed && dice_chance(&d, 40) && strcmp(s->policy, "belady") != 0)
        s->importance = dice_chance(&d, 50) ? "{\"interval\": \"2us\", \"margin\": 0}" : "{\"interval\": \"5us\", \"most\": 1, \"decay\": 0.5}";
}

/* A share of a tier at three steps or times, that may be too small for anything. */
static void scene_schedule(scene *s, dice *d)
{
    static const char *const names[] = {"cache", "dram", "disk"};
    static const double shares[] = {0, 0.1, 0.3, 0.5, 0.8, 1};
    char *out = s->tuner_options[s->tuners];
    const bool steps = !s->timed || dice_chance(d, 50);
    int used = snprintf(out, sizeof s->tuner_options[0], "{\"knob\": \"tiers.%s.share\", \"between\": \"%s\", \"points\": [", names[dice_below(d, s->tiers)],
        dice_chance(d, 50) ? "hold" : "linear");
    for (uint32_t i = 0, at = dice_below(d, 3); i < 3; i++, at += dice_between(d, 1, 6))
        used += snprintf(out + used, sizeof s->tuner_options[0] - (size_t)used, steps ? "%s{\"step\": %u, \"value\": %g}" : "%s{\"at\": \"%uus\", \"value\": %g}", i ? ", " : "",
            steps ? at : at * 7, shares[dice_below(d, 6)]);
    snprintf(out + used, sizeof s->tuner_options[0] - (size_t)used, "]}");
    s->tuner[s->tuners++] = "schedule";
}

void scene_tune(scene *s)
{
    dice d = {es_mix(s->seed ^ 0x74756e65), 0};
    for (int i = 0; i < 2 && s->tiers > 0 && (i == 0 || dice_chance(&d, 40)); i++)
        scene_schedule(s, &d);
    if (s->timed && s->predictor && strcmp(s->predictor, "none") != 0 && dice_chance(&d, 50)) {
        snprintf(s->tuner_options[s->tuners], sizeof s->tuner_options[0], "{\"most\": 4, \"interval\": \"%uus\", \"high\": 0.5, \"wasteful\": 0.4}",
            dice_between(&d, 2, 30));
        s->tuner[s->tuners++] = "pressure";
    } else if (s->timed && strcmp(s->policy, "coverage") == 0) {
        snprintf(s->tuner_options[s->tuners], sizeof s->tuner_options[0], "{\"strategy\": \"aggressive\", \"interval\": \"10us\", \"window\": 3}");
        s->tuner[s->tuners++] = "adaptive";
    }
}

/* Shares that leave every pool an expert or more, most often. */
void scene_pools(scene *s)
{
    static const char *const options[] = {"\"min_pool\": \"3KB\"", "\"min_pool\": \"3KB\", \"spill\": \"before_eviction\"",
        "\"min_pool\": \"6KB\", \"spill\": \"never\"", "\"min_pool\": \"3KB\", \"mode\": \"as_coded\""};
    static const char *const defrags[] = {", \"defrag\": \"when_locked\", \"defrag_least\": \"0B\", \"defrag_cooldown\": \"1us\", \"defrag_full\": 0.5, \"defrag_idle\": 0.9, \"defrag_free_share\": 1"
        ", \"defrag_slot_share\": 0.9",
        ", \"defrag\": \"off\"", ", \"defrag_least\": \"0B\", \"defrag_cooldown\": \"2us\", \"defrag_full\": 0.6, \"defrag_idle\": 0.6, "
        "\"defrag_free_share\": 1, \"defrag_slot_share\": 0.7"};
    static const char *const shares[] = {", \"distribution\": {\"4\": 0.5, \"8\": 0.25, \"16\": 0.25}", ", \"distribution\": {\"16\": 0.5, \"8\": 0.3, \"4\": 0.2}"};
    dice d = {es_mix(s->seed ^ 0x706f6f6c73), 0};
    scene_precisions(s);
    s->contract.scope = ES_GLOBAL;
    s->contract.pins_take_room = true;
    if (s->contract.overflow == ES_KEEP_BEST || s->contract.overflow == ES_BYPASS)
        s->contract.overflow = (int)PICK(&d, ES_WAVES, ES_TRIM, ES_PERSIST);
    for (uint32_t t = 0; t < s->tiers; t++) {
        scene_tier *tier = &s->tier[t];
        if (t > 0 && dice_chance(&d, 50))
            continue;
        if (!tier->bytes)
            tier->room *= 3000;
        tier->bytes = true;
        tier->granularity = tier->share = 0;
        tier->counted = false;
        tier->pools = options[dice_below(&d, 4)];
        s->shares = shares[dice_below(&d, 2)];
        s->defrag = defrags[dice_below(&d, 8) == 0 ? 1 : 2 * dice_below(&d, 2)];
        s->moves = dice_chance(&d, 50) ? 300 : 0;
    }
}

void scene_alike(scene *s)
{
    for (uint32_t l = 0; l < s->layers; l++)
        s->bytes[l] = s->bytes[0];
    s->unequal = false;
}

/* ---- building ---- */

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
    if (dice_chance(&d, 50))
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
    static const char *const observers[] = {"summary", "latency", "audit", "digest", "coverage", "traffic", "memory"};
    for (size_t i = 0; i < sizeof observers / sizeof *observers; i++)
        if (i < 2 || (i < 4 ? s->watched : s->reported))
            rig_observe(r, observers[i]);
}

/* ---- cases ---- */

static uint64_t scene_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

scene_cases scene_plan(const char *test, uint64_t cases)
{
    scene_cases c = {.seed = scene_environment("ES_SEED", 1), .to = scene_environment("ES_CASES", cases)};
    uint64_t one = scene_environment("ES_CASE", UINT64_MAX);
    if (one != UINT64_MAX)
        c = (scene_cases){c.seed, one, one + 1, true};
    printf("%s: %" PRIu64 " cases, seed %" PRIu64 "\n", test, c.to - c.from, c.seed);
    return c;
}

uint64_t scene_seed(const scene_cases *c, uint64_t number)
{
    return es_mix(es_mix(c->seed) ^ number);
}
