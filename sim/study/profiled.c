/* Profiled: what a channel takes from the machine's profile: its timing, its kind, and, where the machine was calibrated, how copies
 * share it and what slows them; and what a tier takes: the price of its allocations. What the config says itself goes before. The made
 * values join the tree, whose life they share. */
#include <string.h>

#include "sim/study/config_inside.h"
#include "sim/study/key.h"

/* ---- timings ---- */

/* The measured points of a flow that has a curve of them, of copies one at a time. */
static void timing_points(const es_flow *flow, es_json *timing)
{
    es_json *points = es_json_add_array(timing, "points");
    for (size_t i = 0; i < flow->points; i++) {
        if (flow->point[i].lanes != 1)
            continue;
        es_json *point = cJSON_CreateObject();
        es_json_add_quantity(point, "bytes", (double)flow->point[i].bytes, ES_UNIT_BYTES);
        es_json_add_quantity(point, "rate", flow->point[i].rate, ES_UNIT_RATE);
        cJSON_AddItemToArray(points, point);
    }
}

/* A flow that nobody calibrated: its points when it has a curve of them, else latency and rate. */
static void timing_reported(const es_flow *flow, es_json *timing)
{
    size_t singles = 0;
    for (size_t i = 0; i < flow->points; i++)
        singles += flow->point[i].lanes == 1;
    es_json_add_text(timing, "name", singles > 1 ? "table" : "affine");
    es_json_add_quantity(timing, "latency", (double)flow->latency_ns, ES_UNIT_TIME);
    if (singles > 1)
        timing_points(flow, timing);
    else
        es_json_add_quantity(timing, "rate", flow->rate, ES_UNIT_RATE);
}

static void timing_pieces(const es_fit *fit, es_json *timing)
{
    if (fit->model == ES_FIT_PAGES)
        es_json_add_quantity(timing, "page", (double)(int64_t)fit->knee.at[0], ES_UNIT_BYTES);
    es_json *pieces = es_json_add_array(timing, "pieces");
    for (size_t i = 0; i < fit->beta.count; i++) {
        es_json *piece = cJSON_CreateObject();
        if (i > 0)
            es_json_add_quantity(piece, "from", (double)(int64_t)fit->knee.at[i - 1], ES_UNIT_BYTES);
        es_json_add_quantity(piece, "rate", fit->beta.at[i], ES_UNIT_RATE);
        if (i > 0 && fit->model == ES_FIT_JUMP)
            es_json_add_quantity(piece, "latency", (double)es_ns_round(fit->alpha_beyond_s * 1e9), ES_UNIT_TIME);
        cJSON_AddItemToArray(pieces, piece);
    }
}

/* A calibrated flow: the curve. What each copy of a batch costs beside its bytes is a part of what a single one does. */
static void timing_fitted(const es_flow *flow, const es_json *noise, bool empirical, es_json *timing)
{
    const es_fit *fit = flow->fit;
    double each = fit->each_s < fit->alpha_s ? fit->each_s : fit->alpha_s;
    bool pieces = empirical || fit->beta.count > 1;
    es_json_add_text(timing, "name", empirical ? "empirical" : pieces ? "piecewise" : "affine");
    es_json_add_quantity(timing, "latency", (double)es_ns_round((fit->alpha_s - each) * 1e9), ES_UNIT_TIME);
    es_json_add_quantity(timing, "per_object", (double)es_ns_round(each * 1e9), ES_UNIT_TIME);
    if (pieces)
        timing_pieces(fit, timing);
    else
        es_json_add_quantity(timing, "rate", fit->beta.at[0], ES_UNIT_RATE);
    if (empirical && noise)
        cJSON_AddItemToObject(timing, "noise", cJSON_Duplicate(noise, true));
}

static void timing_unit_points(const es_unit_point *at, size_t count, const char *key, es_json *timing)
{
    es_json *points = es_json_add_array(timing, key);
    for (size_t i = 0; i < count; i++) {
        es_json *point = cJSON_CreateObject();
        es_json_add_int(point, "tokens", at[i].tokens);
        es_json_add_quantity(point, "bytes", (double)at[i].bytes, ES_UNIT_BYTES);
        es_json_add_quantity(point, "time", (double)at[i].time_ns, ES_UNIT_TIME);
        cJSON_AddItemToArray(points, point);
    }
}

static void timing_unit_fades(const es_profile_unit *unit, es_json *timing)
{
    es_json *fades = es_json_add_array(timing, "fades");
    for (size_t i = 0; i < unit->fades.count; i++) {
        es_json *fade = cJSON_CreateObject();
        es_json_add_quantity(fade, "bytes", (double)unit->fades.at[i].bytes, ES_UNIT_BYTES);
        es_json_add_real(fade, "saved", unit->fades.at[i].saved);
        cJSON_AddItemToArray(fades, fade);
    }
}

static es_json *timing_unit(const es_profile_unit *unit, bool empirical)
{
    es_json *timing = cJSON_CreateObject();
    es_json_add_text(timing, "name", empirical ? "empirical_compute" : "compute");
    if (empirical)
        cJSON_AddItemToObject(timing, "noise", cJSON_Duplicate(unit->noise, true));
    if (unit->copieds) {
        timing_unit_points(unit->copied, unit->copieds, "copied", timing);
        if (unit->handeds)
            timing_unit_points(unit->handed, unit->handeds, "handed", timing);
        timing_unit_fades(unit, timing);
    }
    if (unit->points) {
        timing_unit_points(unit->point, unit->points, "points", timing);
        return timing;
    }
    es_json_add_quantity(timing, "expert", (double)unit->fixed_ns, ES_UNIT_TIME);
    es_json_add_quantity(timing, "token", (double)unit->token_ns, ES_UNIT_TIME);
    es_json_add_quantity(timing, "rate", unit->rate, ES_UNIT_RATE);
    return timing;
}

static bool timing_is(const es_json *own, const char *name)
{
    const es_json *called = cJSON_IsString(own) ? own : cJSON_GetObjectItemCaseSensitive(own, "name");
    return cJSON_IsString(called) && strcmp(called->valuestring, name) == 0;
}

/* A timing without a name changes the profile's; one with a name replaces it, but for empirical, which is the profile's with its noise. */
static es_code timing_put(es_json *given, const char *key, es_json *timing, es_err *err)
{
    es_json *own = cJSON_GetObjectItemCaseSensitive(given, key);
    es_code code = timing ? ES_OK : es_err_nomem(err, "a timing");
    if (code == ES_OK && cJSON_IsObject(own))
        code = es_json_merge(timing, own, err);
    if (code == ES_OK && !(own ? cJSON_ReplaceItemInObjectCaseSensitive(given, key, timing) : cJSON_AddItemToObject(given, key, timing)))
        code = es_err_nomem(err, "a timing");
    if (code)
        cJSON_Delete(timing);
    return code;
}

static bool timing_is_own(const es_json *own, bool fitted)
{
    if (!own || cJSON_IsNull(own) || (fitted && timing_is(own, "empirical") && !cJSON_GetObjectItemCaseSensitive(own, "pieces")))
        return false;
    return !cJSON_IsObject(own) || cJSON_GetObjectItemCaseSensitive(own, "name");
}

static const es_json *profiled_noise(const es_config *config, const es_link *link, const es_flow *flow)
{
    const es_json *links = cJSON_GetObjectItemCaseSensitive(config->top.machine, "links");
    const es_json *object = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(links, link->name), flow->name);
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, "fit"), "noise");
}

/* Is noise drawn around what the profile says? Where the channel asks for it by name, or the config for all. */
static bool profiled_draws(es_config *config, const es_json *own, bool known)
{
    config->noise_known |= known;
    return timing_is(own, "empirical") || (known && config->top.noise);
}

static es_code profiled_timing(es_config *config, es_json *given, const es_link *link, const es_flow *flow, es_err *err)
{
    const es_json *own = cJSON_GetObjectItemCaseSensitive(given, "timing");
    if (timing_is_own(own, flow->fit))
        return ES_OK;
    es_json *timing = cJSON_CreateObject();
    const es_json *noise = flow->fit ? profiled_noise(config, link, flow) : NULL;
    const bool known = noise && !cJSON_GetObjectItemCaseSensitive(own, "rate");     /* a rate of the config's own is no curve of the profile */
    if (timing && flow->fit)
        timing_fitted(flow, noise, profiled_draws(config, own, known), timing);
    else if (timing)
        timing_reported(flow, timing);
    return timing_put(given, "timing", timing, err);
}

/* ---- memory ---- */

/* The prices of an allocator. What a calibration does not measure (malloc beside a buffer, warming a heap up for a size) costs nothing
 * here: the defaults are other machines' figures, and would stand beside these as if they belonged to them. */
static es_json *timing_alloc(const es_profile_memory *memory)
{
    const struct { const char *key; es_time ns; } terms[] = {
        {"pool", memory->pool}, {"pool_most", memory->pool_most}, {"device", memory->device}, {"device_most", memory->device_most}, {"host", 0}, {"host_most", 0},
        {"heap", memory->heap}, {"warm", 0}, {"touch", memory->touch}, {"resident", memory->resident},
    };
    es_json *timing = cJSON_CreateObject();
    es_json_add_text(timing, "name", "alloc");
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        es_json_add_quantity(timing, terms[i].key, (double)terms[i].ns, ES_UNIT_TIME);
    es_json_add_quantity(timing, "page", (double)memory->page, ES_UNIT_BYTES);
    if (memory->huge > 0) {
        es_json_add_quantity(timing, "huge", (double)memory->huge, ES_UNIT_BYTES);
        es_json_add_quantity(timing, "huge_touch", (double)memory->huge_touch, ES_UNIT_TIME);
    }
    return timing;
}

/* Pages that are in memory already: a disk's rate is the config's to add. */
static es_json *timing_paging(const es_profile_memory *memory)
{
    es_json *timing = cJSON_CreateObject();
    es_json_add_text(timing, "name", "paging");
    es_json_add_quantity(timing, "page", (double)memory->page, ES_UNIT_BYTES);
    es_json_add_quantity(timing, "wire", (double)memory->wire, ES_UNIT_TIME);
    es_json_add_quantity(timing, "fault", (double)memory->fault, ES_UNIT_TIME);
    return timing;
}

static es_code profiled_paging(es_json *given, const es_profile_memory *memory, es_err *err)
{
    if (timing_is_own(cJSON_GetObjectItemCaseSensitive(given, "timing"), false))
        return ES_OK;
    if (memory->wire == 0 && memory->fault == 0)
        return es_err_set(err, ES_EINPUT, "profile: memory \"%s\" of the machine has neither wire nor fault: it does not say what mapping costs", memory->name);
    return timing_put(given, "timing", timing_paging(memory), err);
}

static es_code memory_unknown(const es_profile *machine, const char *name, es_err *err)
{
    const char *known[16];
    size_t count = 0;
    for (; count < machine->memories && count < sizeof known / sizeof *known; count++)
        known[count] = machine->memory[count].name;
    if (count == 0)
        return es_err_set(err, ES_EINPUT, "profile: the machine %s does not say what its memory costs; `expertsim calibrate` on it would", machine->name);
    const char *near = es_text_nearest(name, known, count);
    return es_err_set(err, ES_EINPUT, "profile: the machine %s has no memory \"%s\"%s%s%s", machine->name, name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

es_code config_profiled_tier(es_config *config, es_json *given, const char *name, es_err *err)
{
    if (!config->has_machine)
        return es_err_set(err, ES_EINPUT, "profile: there is no machine to take \"%s\" from; include what `expertsim calibrate` wrote or write \"machine\"", name);
    const es_profile_memory *memory = es_profile_memory_find(config->machine.memory, config->machine.memories, name);
    if (!memory)
        return memory_unknown(&config->machine, name, err);
    if (timing_is_own(cJSON_GetObjectItemCaseSensitive(given, "allocation"), false))
        return ES_OK;
    if (memory->pool == 0 && memory->device == 0)
        return es_err_set(err, ES_EINPUT, "profile: memory \"%s\" of the machine has neither pool nor device: it does not say what allocations cost", name);
    return timing_put(given, "allocation", timing_alloc(memory), err);
}

/* ---- sharing ---- */

static bool profiled_says(const es_json *channel, const char *profile)
{
    const es_json *own = cJSON_GetObjectItemCaseSensitive(channel, "profile");
    return cJSON_IsString(own) && strcmp(own->valuestring, profile) == 0;
}

/* What slows a flow or a unit, as channels of this config that stand for it. */
static es_code profiled_slowed(const es_config *config, es_json *given, const es_slowdown *by, size_t count, es_err *err)
{
    es_json *slowed = NULL;
    const es_json *other;
    if (cJSON_GetObjectItemCaseSensitive(given, "slowed_by"))
        return ES_OK;
    for (size_t i = 0; i < count; i++)
        cJSON_ArrayForEach(other, config->top.channels)
            if (other != given && by[i].factor < 1.0 && profiled_says(other, by[i].by)) {
                if (!slowed && !(slowed = es_json_add_object(given, "slowed_by")))
                    return es_err_nomem(err, "what slows a channel");
                es_json_add_real(slowed, other->string, by[i].factor);
            }
    return ES_OK;
}

static es_code profiled_sharing(const es_config *config, es_json *given, const es_flow *flow, es_err *err)
{
    if (flow->discipline != ES_FLOW_UNSTATED && !cJSON_GetObjectItemCaseSensitive(given, "discipline"))
        es_json_add_text(given, "discipline", flow->discipline == ES_FLOW_FIFO ? "fifo" : "shared");
    return profiled_slowed(config, given, flow->slowed, flow->slowdowns, err);
}

/* Only where something was measured: a config without it says what it said. */
static void profiled_handover(es_json *given, es_time ns)
{
    if (ns > 0 && !cJSON_GetObjectItemCaseSensitive(given, "handover"))
        es_json_add_quantity(given, "handover", (double)ns, ES_UNIT_TIME);
}

/* The share as a profile has it needs its distance, so both or none are taken over. */
static void profiled_onto(es_json *given, const es_flow *flow)
{
    if (!(flow->onto < 1.0) || cJSON_GetObjectItemCaseSensitive(given, "onto") || cJSON_GetObjectItemCaseSensitive(given, "onto_near"))
        return;
    es_json_add_real(given, "onto", flow->onto);
    es_json_add_quantity(given, "onto_near", (double)flow->onto_near_bytes, ES_UNIT_BYTES);
}

/* ---- all of it ---- */

/* "empirical" asks a unit for its noise as it asks a flow. */
static es_code profiled_empirical(es_json *own, const es_profile_unit *unit, es_err *err)
{
    if (!unit->noise)
        return es_err_set(err, ES_EINPUT, "timing: the machine does not say what noise \"%s\" has; `expertsim calibrate fit` of its samples does", unit->name);
    if (cJSON_IsObject(own) && !cJSON_ReplaceItemInObjectCaseSensitive(own, "name", cJSON_CreateString("empirical_compute")))
        return es_err_nomem(err, "a timing");
    return ES_OK;
}

static es_code profiled_unit(es_config *config, es_json *given, const es_profile_unit *unit, es_err *err)
{
    es_json *own = cJSON_GetObjectItemCaseSensitive(given, "timing");
    es_code code = ES_OK;
    if (!timing_is_own(own, true)) {
        const bool draws = profiled_draws(config, own, unit->noise != NULL);
        code = timing_is(own, "empirical") ? profiled_empirical(own, unit, err) : ES_OK;
        if (code == ES_OK)
            code = timing_put(given, "timing", timing_unit(unit, draws), err);
    }
    profiled_handover(given, unit->handover_ns);
    return code ? code : profiled_slowed(config, given, unit->slowed, unit->slowdowns, err);
}

static const es_link *profiled_link(const es_profile *machine, const es_flow *flow)
{
    for (size_t i = 0; i < machine->links; i++)
        if (flow >= machine->link[i].flow && flow < machine->link[i].flow + machine->link[i].flows)
            return &machine->link[i];
    return NULL;
}

es_code config_profiled(es_config *config, es_json *given, config_channel *extra, es_err *err)
{
    const es_flow *flow = NULL;
    if (!extra->profile)
        return ES_OK;
    if (!config->has_machine)
        return es_err_set(err, ES_EINPUT, "profile: there is no machine to take \"%s\" from; include a file of models/profiles or write \"machine\"", extra->profile);
    const es_json *own = cJSON_GetObjectItemCaseSensitive(given, "timing");
    config->noise_known |= timing_is(own, "empirical") || timing_is(own, "empirical_compute");
    const es_profile_unit *unit = es_profile_unit_find(&config->machine, extra->profile);
    if (unit)
        return profiled_unit(config, given, unit, err);
    const es_profile_memory *memory = es_profile_memory_find(config->machine.memory, config->machine.memories, extra->profile);
    if (memory)
        return profiled_paging(given, memory, err);
    es_code code = es_profile_flow(&config->machine, extra->profile, &flow, err);
    if (code)
        return es_key_at(err, "profile"), code;
    const es_link *link = profiled_link(&config->machine, flow);
    if (!extra->kind)
        extra->kind = link->kind;
    profiled_handover(given, flow->handover_ns);
    profiled_onto(given, flow);
    code = profiled_timing(config, given, link, flow, err);
    return code ? code : profiled_sharing(config, given, flow, err);
}
