/* Rig: see rig.h. */
#include "tests/support/rig.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void rig_fail(const char *what, const char *text)
{
    fprintf(stderr, "rig: %s: %s\n", what, text);
    abort();
}

static void *rig_need(void *memory)
{
    if (!memory)
        rig_fail("memory", "none left");
    return memory;
}

/* ---- the trace, as a source ---- */

static const es_trace_info *memory_info(void *self)
{
    return &((rig_trace *)self)->info;
}

static es_code memory_next(void *self, es_step *step, bool *more, es_err *err)
{
    rig_trace *t = self;
    *step = (es_step){0};
    if (t->fail_at && t->at >= t->fail_at)
        return es_err_set(err, ES_EINPUT, "trace: step %" PRIu64 " cannot be read", t->at);
    *more = t->at < t->steps;
    if (!*more)
        return ES_OK;
    uint32_t first = t->first[t->at], end = t->at + 1 < t->steps ? t->first[t->at + 1] : t->tokens;
    size_t row = (size_t)first * t->info.layers;
    *step = (es_step){.tokens = end - first, .token = t->token + first, .ids = t->ids + row * t->info.top_k, .record = first};
    if (t->info.guesses) {
        step->guess = t->guess + row * t->info.guesses;
        step->guess_confidence = t->confidence + row * t->info.guesses;
    }
    if (t->weights)
        step->weights = t->weights + row * t->info.top_k;
    t->at++;
    return ES_OK;
}

static es_code memory_rewind(void *self, es_err *err)
{
    (void)err;
    ((rig_trace *)self)->at = 0;
    return ES_OK;
}

static const es_source memory_source = {
    .part = {.abi = ES_ABI, .name = "memory", .brief = "Steps made by a test.", .size = sizeof(rig_trace)},
    .info = memory_info,
    .next = memory_next,
    .rewind = memory_rewind,
};

void rig_open(rig *r, uint32_t layers, uint32_t experts, uint32_t top_k, uint32_t guesses, uint32_t most_tokens)
{
    memset(r, 0, sizeof *r);
    rig_trace *t = &r->trace;
    size_t rows = (size_t)most_tokens * layers;
    if (layers > RIG_LAYERS)
        rig_fail("layers", "too many");
    for (uint32_t l = 0; l < layers; l++) {
        t->numbers[l] = l;
        t->bytes[l] = 1000;
    }
    t->most = most_tokens;
    t->token = rig_need(ES_NEW_ARRAY(&r->arena, most_tokens, es_token));
    t->ids = rig_need(ES_NEW_ARRAY(&r->arena, rows * top_k, uint16_t));
    t->guess = rig_need(ES_NEW_ARRAY(&r->arena, rows * guesses, uint16_t));
    t->confidence = rig_need(ES_NEW_ARRAY(&r->arena, rows * guesses, float));
    t->first = rig_need(ES_NEW_ARRAY(&r->arena, most_tokens, uint32_t));
    memset(t->ids, 0xff, rows * top_k * sizeof *t->ids);
    memset(t->guess, 0xff, rows * guesses * sizeof *t->guess);
    t->info = (es_trace_info){.format = "memory", .model = "", .layers = layers, .layer_number = t->numbers, .experts = experts, .top_k = top_k,
        .guesses = guesses, .expert_bytes = t->bytes, .counted = true, .sha256 = "", .provenance = ""};
    r->plan = (es_plan){.name = "rig", .seed = 1, .source = &memory_source, .source_state = t, .expert_bytes = t->bytes, .slices = 1,
        .tiers = r->tier, .channels = r->channel, .links = r->link, .observers = r->observer};
    es_options_default(es_contract_options, &r->plan.contract);
    es_options_default(es_compute_options, &r->plan.compute);
    es_options_default(es_training_options, &r->plan.training);
    r->plan.policy = rig_part(r, ES_KIND_POLICY, "lru", NULL, "policy");
}

uint16_t *rig_token(rig *r, uint32_t request, es_phase_of phase, bool same_step)
{
    rig_trace *t = &r->trace;
    if (t->tokens == t->most)
        rig_fail("tokens", "more than were announced");
    uint32_t position = 0;
    for (uint32_t i = 0; i < t->tokens; i++)
        position += t->token[i].request == request;
    if (!same_step || t->steps == 0)
        t->first[t->steps++] = t->tokens;
    t->token[t->tokens] = (es_token){request, position, (uint8_t)phase};
    return t->ids + (size_t)t->tokens++ * t->info.layers * t->info.top_k;
}

uint16_t *rig_guess(rig *r)
{
    return r->trace.guess + (size_t)(r->trace.tokens - 1) * r->trace.info.layers * r->trace.info.guesses;
}

float *rig_weights(rig *r)
{
    rig_trace *t = &r->trace;
    size_t row = (size_t)t->info.layers * t->info.top_k;
    if (!t->weights)
        t->weights = rig_need(ES_NEW_ARRAY(&r->arena, t->most * row, float));
    t->info.has_weights = true;
    return t->weights + (t->tokens - 1) * row;
}

/* What a reader would have counted. */
static void rig_tally(rig_trace *t)
{
    es_trace_info *info = &t->info;
    info->accesses = info->prompt_tokens = info->decode_tokens = info->requests = 0;
    info->steps = t->steps;
    for (size_t i = 0; i < (size_t)t->tokens * info->layers * info->top_k; i++)
        info->accesses += t->ids[i] != ES_NO_EXPERT;
    for (uint32_t i = 0; i < t->tokens; i++) {
        *(t->token[i].phase == ES_DECODE ? &info->decode_tokens : &info->prompt_tokens) += 1;
        info->requests += t->token[i].position == 0;
    }
}

/* ---- rows ---- */

es_json *rig_json(rig *r, const char *text)
{
    es_err err = {0};
    if (r->jsons == RIG_JSON)
        rig_fail("json", "too many");
    if (es_json_parse(&r->json[r->jsons], text, strlen(text), &err) != ES_OK)
        rig_fail(text, err.text);
    return r->json[r->jsons++];
}

void *rig_room(rig *r, size_t count, size_t size)
{
    return rig_need(es_arena_alloc(&r->arena, count, size));
}

const char *rig_text(rig *r, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return rig_need(es_arena_text(&r->arena, text));
}

es_plan_part rig_part(rig *r, es_kind kind, const char *name, const char *options, const char *path)
{
    es_err err = {0};
    es_plan_part part = {.path = path};
    if (!name)
        return part;
    if (es_part_find(kind, name, &part.part, &err) != ES_OK)
        rig_fail(name, err.text);
    void *state = rig_need(es_arena_alloc(&r->arena, 1, part.part->size + 1));
    const es_json *tree = options ? rig_json(r, options) : NULL;
    if (part.part->options && es_options_parse(part.part->options, state, tree, NULL, &r->arena, &err) != ES_OK)
        rig_fail(name, err.text);
    part.state = state;
    return part;
}

es_plan_part rig_own(const es_part *part, const void *state, const char *path)
{
    return (es_plan_part){.part = part, .state = state, .path = path};
}

es_plan_tier *rig_tier(rig *r, const char *name, const char *capacity, const char *compute)
{
    es_plan_tier *tier = &r->tier[r->plan.tier_count++];
    es_options_default(es_tier_options, tier);
    tier->name = name;
    tier->capacity = capacity;
    tier->home = !capacity;
    tier->compute = compute;
    return tier;
}

es_plan_channel *rig_channel(rig *r, const char *name, const char *timing, const char *options)
{
    es_plan_channel *channel = &r->channel[r->plan.channel_count++];
    es_options_default(es_channel_options, channel);
    channel->name = name;
    channel->timing = rig_part(r, ES_KIND_TIMING, timing, options, rig_text(r, "channels.%s.timing", name));
    channel->scheduler = rig_part(r, ES_KIND_SCHEDULER, "demand_first", NULL, rig_text(r, "channels.%s.scheduler", name));
    return channel;
}

es_plan_link *rig_link(rig *r, const char *from, const char *to, const char *channels)
{
    es_plan_link *link = &r->link[r->plan.link_count++];
    *link = (es_plan_link){.from = from, .to = to, .channels = channels ? rig_json(r, channels) : NULL};
    return link;
}

void rig_tune(rig *r, es_plan_part tuner)
{
    if (r->plan.tuner_count == RIG_TUNERS)
        rig_fail("tuner", "too many");
    r->tuner[r->plan.tuner_count++] = tuner;
    r->plan.tuners = r->tuner;
}

void rig_observe(rig *r, const char *name)
{
    r->observer[r->plan.observer_count++] = rig_part(r, ES_KIND_OBSERVER, name, NULL, rig_text(r, "observers.%s", name));
}

void rig_plain(rig *r, bool timed, const char *capacity, const char *link_options, const char *gpu_options)
{
    r->plan.timed = timed;
    rig_tier(r, "cache", capacity, "gpu");
    rig_tier(r, "host", NULL, NULL);
    rig_channel(r, "link", "affine", link_options);
    rig_channel(r, "gpu", "compute", gpu_options);
    rig_link(r, "host", "cache", "[\"link\"]");
}

/* ---- the run ---- */

es_code rig_run(rig *r)
{
    rig_tally(&r->trace);
    es_code code = es_run_new(&r->run, &r->plan, &r->err);
    if (code != ES_OK)
        return code;
    r->allocations[0] = es_run_allocations(r->run);
    code = es_run_go(r->run, NULL, &r->err);
    r->allocations[1] = es_run_allocations(r->run);
    r->report = rig_need(cJSON_CreateObject());
    es_err err = {0};
    es_code verdict = es_run_report(r->run, r->report, &err);
    if (code != ES_OK || verdict == ES_OK)
        return code;
    r->err = err;
    return verdict;
}

const es_view *rig_view(const rig *r)
{
    return es_run_view(r->run);
}

static const es_json *rig_at(const rig *r, const char *path)
{
    const es_json *value = es_json_at(r->report, path);
    if (!value)
        rig_fail(path, "is not in the report");
    return value;
}

int64_t rig_count(const rig *r, const char *path)
{
    const es_json *value = rig_at(r, path);
    return cJSON_IsRaw(value) ? strtoll(value->valuestring, NULL, 10) : (int64_t)value->valuedouble;
}

const char *rig_said(const rig *r, const char *path)
{
    const es_json *value = rig_at(r, path);
    return cJSON_IsString(value) ? value->valuestring : cJSON_IsRaw(value) ? value->valuestring : "";
}

void rig_close(rig *r)
{
    es_run_free(r->run);
    cJSON_Delete(r->report);
    for (size_t i = 0; i < r->jsons; i++)
        cJSON_Delete(r->json[i]);
    es_arena_free(&r->arena);
    memset(r, 0, sizeof *r);
}

/* ---- for people ---- */

static void rig_print_rows(FILE *out, const char *name, const es_option *rows, const void *row)
{
    es_json *object = cJSON_CreateObject();
    es_options_echo(rows, row, object);
    char *text = cJSON_PrintUnformatted(object);
    fprintf(out, "  %s %s\n", name, text ? text : "?");
    free(text);
    cJSON_Delete(object);
}

static void rig_print_part(FILE *out, const es_plan_part *part)
{
    if (!part->part)
        return;
    fprintf(out, "  %s: %s\n", part->path, part->part->name);
    if (part->part->options)
        rig_print_rows(out, "   ", part->part->options, part->state);
}

static void rig_print_trace(FILE *out, const rig_trace *t, uint64_t most)
{
    for (uint64_t s = 0; s < t->steps && s < most; s++) {
        uint32_t end = s + 1 < t->steps ? t->first[s + 1] : t->tokens;
        for (uint32_t i = t->first[s]; i < end; i++) {
            fprintf(out, "  step %" PRIu64 " request %u %c:", s, t->token[i].request, t->token[i].phase == ES_DECODE ? 'D' : 'P');
            for (uint32_t l = 0; l < t->info.layers; l++) {
                fprintf(out, " |");
                for (uint32_t k = 0; k < t->info.top_k; k++)
                    if (t->ids[((size_t)i * t->info.layers + l) * t->info.top_k + k] != ES_NO_EXPERT)
                        fprintf(out, " %u", t->ids[((size_t)i * t->info.layers + l) * t->info.top_k + k]);
            }
            fprintf(out, "\n");
        }
    }
}

void rig_print(const rig *r, FILE *out)
{
    const es_plan *plan = &r->plan;
    const es_trace_info *info = &r->trace.info;
    fprintf(out, "  clock %s, %u layers, %u experts, top_k %u, %" PRIu64 " steps, %u slices, bytes", plan->timed ? "simulated" : "none", info->layers,
        info->experts, info->top_k, r->trace.steps, plan->slices);
    for (uint32_t l = 0; l < info->layers; l++)
        fprintf(out, " %" PRId64, r->trace.bytes[l]);
    for (uint32_t i = 0; plan->matrix_bytes && i < plan->slices * info->layers; i++)
        fprintf(out, "%s%" PRId64, i ? " " : ", by matrix and layer ", plan->matrix_bytes[i]);
    fprintf(out, "\n");
    for (size_t i = 0; i < plan->tier_count; i++) {
        rig_print_rows(out, plan->tiers[i].name, es_tier_options, &plan->tiers[i]);
        rig_print_part(out, &plan->tiers[i].allocator);
    }
    for (size_t i = 0; i < plan->channel_count; i++) {
        rig_print_rows(out, plan->channels[i].name, es_channel_options, &plan->channels[i]);
        rig_print_part(out, &plan->channels[i].timing);
        rig_print_part(out, &plan->channels[i].scheduler);
    }
    for (size_t i = 0; i < plan->link_count; i++)
        rig_print_rows(out, "link", es_link_options, &plan->links[i]);
    rig_print_rows(out, "contract", es_contract_options, &plan->contract);
    rig_print_rows(out, "compute", es_compute_options, &plan->compute);
    rig_print_part(out, &plan->policy);
    rig_print_part(out, &plan->predictor);
    rig_print_part(out, &plan->dispatcher);
    for (size_t i = 0; i < plan->tuner_count; i++)
        rig_print_part(out, &plan->tuners[i]);
    rig_print_trace(out, &r->trace, 12);
}
