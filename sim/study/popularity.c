/* Popularity: how often the decode steps of a trace use each expert: for policies that pin the most used, and for precisions that go by
 * use. The trace may be another one of the same model; layers are matched by the model's own numbers. */
#include <string.h>

#include "sim/study/config_inside.h"

typedef struct popularity {
    const es_trace_info *from, *info;   /* of the calibration trace, of the run's */
    const size_t *first;        /* [layers of from] place of expert 0 in uses; SIZE_MAX: the run has no such layer */
    uint64_t *mark, stamp;      /* [spaces][experts] counted already in the layer at hand */
    uint64_t *uses;             /* [spaces][experts] */
} popularity;

static void popularity_row(popularity *p, uint32_t layer, const uint16_t *row)
{
    for (uint32_t k = 0; k < p->from->top_k && row[k] != ES_NO_EXPERT; k++) {
        size_t expert = p->first[layer] + row[k];
        if (row[k] >= p->info->experts || p->mark[expert] == p->stamp)
            continue;
        p->mark[expert] = p->stamp;
        p->uses[expert]++;
    }
}

/* Counts each expert once per layer of a decode step, as the core does for the run's own trace. */
static void popularity_step(popularity *p, const es_step *step)
{
    for (uint32_t layer = 0; layer < p->from->layers; layer++) {
        if (p->first[layer] == SIZE_MAX)
            continue;
        p->stamp++;
        for (uint32_t t = 0; t < step->tokens; t++)
            if (step->token[t].phase == ES_DECODE)
                popularity_row(p, layer, step->ids + ((size_t)t * p->from->layers + layer) * p->from->top_k);
    }
}

/* The ordinal of a layer number of the run's trace, or `layers` when it does not occur. */
static uint32_t popularity_ordinal(const es_trace_info *info, uint32_t number)
{
    uint32_t i = 0;
    while (i < info->layers && info->layer_number[i] != number)
        i++;
    return i;
}

static es_code popularity_walk(es_config *config, const es_feed *feed, uint64_t *uses, es_err *err)
{
    const es_trace_info *info = es_config_trace(config), *from = feed->source->info(feed->state);
    size_t *first = ES_NEW_ARRAY(&config->arena, from->layers, size_t);
    popularity p = {.from = from, .info = info, .first = first, .mark = ES_NEW_ARRAY(&config->arena, (size_t)info->layers * info->experts, uint64_t), .uses = uses};
    if (!first || !p.mark)
        return es_err_nomem(err, "the calibration");
    for (uint32_t i = 0; i < from->layers; i++) {
        uint32_t at = popularity_ordinal(info, from->layer_number[i]);
        first[i] = at >= info->layers ? SIZE_MAX : config->plan.catalog.key == ES_KEY_EXPERT ? 0 : (size_t)at * info->experts;
    }
    bool more = true;
    es_step step;
    for (;;) {
        es_code code = feed->source->next(feed->state, &step, &more, err);
        if (code || !more)
            return code;
        popularity_step(&p, &step);
    }
}

es_code config_uses(es_config *config, const char *path, uint64_t **uses, es_err *err)
{
    const es_trace_info *info = es_config_trace(config);
    const bool own = strcmp(path, "in_sample") == 0;
    *uses = ES_NEW_ARRAY(&config->arena, (size_t)info->layers * info->experts, uint64_t);
    if (!*uses)
        return es_err_nomem(err, "the calibration");
    if (own) {
        es_code code = popularity_walk(config, &config->feed, *uses, err);
        return code ? code : config->feed.source->rewind(config->feed.state, err);
    }
    es_feed other = {0};
    es_code code = es_feed_open_file(&other, &config->plugins, path, NULL, &(es_source_ask){.path = path, .experts = info->experts}, err);
    if (code == ES_OK)
        code = popularity_walk(config, &other, *uses, err);
    es_feed_close(&other);
    return code;
}

es_code es_config_uses(es_config *config, const char *path, uint64_t **uses, es_err *err)
{
    const es_trace_info *info = es_config_trace(config);
    es_feed other = {0};
    es_code code = es_feed_open_file(&other, &config->plugins, path, NULL, &(es_source_ask){.path = path, .experts = info->experts}, err);
    if (code)
        return code;
    const es_trace_info *from = other.source->info(other.state);
    uint32_t common = 0;
    for (uint32_t i = 0; i < from->layers; i++)
        common += popularity_ordinal(info, from->layer_number[i]) < info->layers;
    if (from->experts != info->experts || common < info->layers)
        code = es_err_set(err, ES_EINPUT, "%s: has %u layers x %u experts, of which %u layers are in the trace; needs one of the same model, %u x %u", path,
            from->layers, from->experts, common, info->layers, info->experts);
    es_feed_close(&other);
    if (code == ES_OK)
        code = config_uses(config, path, uses, err);
    uint64_t sum = 0;
    for (size_t i = 0; code == ES_OK && i < (size_t)info->layers * info->experts; i++)
        sum += (*uses)[i];
    if (code == ES_OK && sum == 0)
        code = es_err_set(err, ES_EINPUT, "%s: has no decode steps by whose uses experts could be chosen", path);
    return code;
}

/* Uses of experts become those of their objects, at the precision that each has. */
static es_code popularity_objects(es_config *config, const uint64_t *uses, const uint64_t **out, es_err *err)
{
    const es_plan *plan = &config->plan;
    const es_trace_info *info = es_config_trace(config);
    const size_t slices = plan->slices ? plan->slices : 1, variants = plan->variants ? plan->variants : 1, slice = (info->experts + 63) / 64 * 64;
    uint64_t *objects = ES_NEW_ARRAY(&config->arena, info->layers * variants * slices * slice, uint64_t);
    if (!objects)
        return es_err_nomem(err, "the calibration");
    for (size_t e = 0; e < (size_t)info->layers * info->experts; e++) {
        const size_t section = (e / info->experts * variants + (plan->variant ? plan->variant[e] : 0)) * slices;
        for (size_t s = 0; s < slices; s++)
            objects[(section + s) * slice + e % info->experts] = uses[e];
    }
    *out = objects;
    return ES_OK;
}

es_code config_popularity(es_config *config, es_plan_part *part, es_err *err)
{
    const es_option *row = part->part && part->part->flags & ES_POPULARITY ? es_options_find(part->part->options, "calibrate") : NULL;
    const char *path = row && row->type == ES_OPT_TEXT ? *(const char *const *)((const char *)part->state + row->offset) : NULL;
    uint64_t *uses;
    if (!path || strcmp(path, "in_sample") == 0)
        return ES_OK;
    es_code code = config_uses(config, path, &uses, err);
    if (code)
        return es_err_at(err, "%s.calibrate", part->path), code;
    return popularity_objects(config, uses, &part->popularity, err);
}
