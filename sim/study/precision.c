/* Precision: which experts have which bits per weight (catalog.bits), and what they weigh then.
 *
 * The model's bytes are stated for model.expert_bits; at another precision an object weighs its share of them, rounded down, unless
 * catalog.bytes says what it weighs. Each layer has the same numbers of experts at each precision: the shares of its experts, rounded
 * down, and what is left goes to those that were rounded most. Who gets which is catalog.assign. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/reader.h"
#include "sim/base/rng.h"
#include "sim/study/config_inside.h"
#include "sim/study/key.h"

/* ---- the list of precisions ---- */

static es_code precision_bits(double value, uint32_t *bits, const char *found, es_err *err)
{
    if (!(value >= 1 && value <= 64) || value != floor(value))
        return es_err_set(err, ES_EINPUT, "catalog.bits: %s is no precision; bits of a weight are a whole number from 1 to 64", found);
    *bits = (uint32_t)value;
    return ES_OK;
}

/* One more precision, which was not named before. */
static es_code precision_add(es_plan *plan, double value, const char *found, es_err *err)
{
    uint32_t bits = 0;
    es_code code = precision_bits(value, &bits, found, err);
    if (code)
        return code;
    for (uint32_t v = 0; v < plan->variants; v++)
        if (plan->bits[v] == bits)
            return es_err_set(err, ES_EINPUT, "catalog.bits: %u stands there twice", bits);
    if (plan->variants == ES_MOST_VARIANTS)
        return es_err_set(err, ES_EINPUT, "catalog.bits: there are more than %d precisions", ES_MOST_VARIANTS);
    plan->bits[plan->variants++] = bits;
    return ES_OK;
}

/* {"2": 0.25, "4": 0.75} */
static es_code precision_shares(es_plan *plan, const es_json *given, double share[ES_MOST_VARIANTS], es_err *err)
{
    const es_json *entry;
    double sum = 0;
    cJSON_ArrayForEach(entry, given) {
        char *end;
        double value = strtod(entry->string, &end);
        es_code code = precision_add(plan, *end || end == entry->string ? -1 : value, entry->string, err);
        if (code)
            return code;
        if (!cJSON_IsNumber(entry) || !(entry->valuedouble >= 0))
            return es_err_set(err, ES_EINPUT, "catalog.bits.%s: found %s, needs the share of the experts that have it, from 0 to 1", entry->string, es_json_kind(entry));
        sum += share[plan->variants - 1] = entry->valuedouble;
    }
    if (!(fabs(sum - 1.0) <= 1e-9))
        return es_err_set(err, ES_EINPUT, "catalog.bits: the shares add up to %.12g, but all experts together are 1", sum);
    return ES_OK;
}

static es_code precision_list(es_plan *plan, const es_json *given, double share[ES_MOST_VARIANTS], es_err *err)
{
    const es_json *entry;
    es_code code = ES_OK;
    if (cJSON_IsNumber(given)) {
        share[0] = 1;
        return precision_add(plan, given->valuedouble, "the number", err);
    }
    if (cJSON_IsObject(given))
        return precision_shares(plan, given, share, err);
    if (!cJSON_IsArray(given) || plan->catalog.assign != ES_ASSIGN_FILE)
        return es_err_set(err, ES_EINPUT, "catalog.bits: found %s, needs bits of a weight, or shares such as {\"2\": 0.25, \"4\": 0.75}%s", es_json_kind(given),
            cJSON_IsArray(given) ? "; a list of bits goes with catalog.assign \"file\"" : "");
    cJSON_ArrayForEach(entry, given)
        if (code == ES_OK)
            code = precision_add(plan, cJSON_IsNumber(entry) ? entry->valuedouble : -1, cJSON_IsNumber(entry) ? "a number" : es_json_kind(entry), err);
    return code;
}

/* ---- who has which ---- */

/* How many of `experts` have each precision. */
static void precision_counts(const double *share, uint32_t variants, uint32_t experts, uint32_t *count)
{
    double rest[ES_MOST_VARIANTS];
    uint32_t left = experts;
    for (uint32_t v = 0; v < variants; v++) {
        double part = share[v] * experts;
        count[v] = (uint32_t)(part + 1e-9);
        rest[v] = part - count[v];
        left -= count[v] < left ? count[v] : left;
    }
    for (; left > 0; left--) {
        uint32_t most = 0;
        for (uint32_t v = 1; v < variants; v++)
            most = rest[v] > rest[most] + 1e-9 ? v : most;
        count[most]++;
        rest[most] -= 1;
    }
}

typedef struct precision_rank {
    uint64_t uses;
    uint32_t expert;
} precision_rank;

static int precision_order(const void *a, const void *b)
{
    const precision_rank *x = a, *y = b;
    if (x->uses != y->uses)
        return x->uses > y->uses ? -1 : 1;
    return x->expert < y->expert ? -1 : x->expert > y->expert;
}

/* The variants in the order in which ranks are served: as declared, or by width. */
static void precision_queue(const es_plan *plan, uint32_t order[ES_MOST_VARIANTS])
{
    const bool wide = plan->catalog.assign == ES_ASSIGN_POPULARITY, narrow = plan->catalog.assign == ES_ASSIGN_RARITY;
    for (uint32_t v = 0; v < plan->variants; v++) {
        uint32_t at = v;
        for (; at > 0 && ((wide && plan->bits[order[at - 1]] < plan->bits[v]) || (narrow && plan->bits[order[at - 1]] > plan->bits[v])); at--)
            order[at] = order[at - 1];
        order[at] = v;
    }
}

/* The experts of a layer in the order in which they are served. */
static void precision_ranks(const es_config *config, uint32_t layer, const uint64_t *uses, precision_rank *rank)
{
    const uint32_t experts = es_config_trace(config)->experts;
    for (uint32_t e = 0; e < experts; e++)
        rank[e] = (precision_rank){uses ? uses[(size_t)layer * experts + e] : 0, e};
    if (uses)
        qsort(rank, experts, sizeof *rank, precision_order);
    if (config->plan.catalog.assign != ES_ASSIGN_RANDOM)
        return;
    es_stream stream = es_stream_of((uint64_t)config->top.seed, (uint64_t)config->top.replication, "catalog", "assign");
    for (uint32_t i = experts; i > 1; i--) {
        uint32_t j = es_draw_below(stream, i, layer, i, 0, 0);
        precision_rank moved = rank[i - 1];
        rank[i - 1] = rank[j];
        rank[j] = moved;
    }
}

static es_code precision_assign(es_config *config, const double *share, uint8_t *variant, es_err *err)
{
    const es_plan *plan = &config->plan;
    const es_trace_info *info = es_config_trace(config);
    uint32_t count[ES_MOST_VARIANTS], order[ES_MOST_VARIANTS];
    uint64_t *uses = NULL;
    precision_rank *rank = ES_NEW_ARRAY(&config->arena, info->experts, precision_rank);
    if (!rank)
        return es_err_nomem(err, "the precisions");
    if (plan->catalog.assign == ES_ASSIGN_POPULARITY || plan->catalog.assign == ES_ASSIGN_RARITY) {
        es_code code = config_uses(config, plan->catalog.calibrate, &uses, err);
        if (code)
            return es_err_at(err, "catalog.calibrate"), code;
    }
    precision_counts(share, plan->variants, info->experts, count);
    precision_queue(plan, order);
    for (uint32_t layer = 0; layer < info->layers; layer++) {
        uint32_t next = 0;
        precision_ranks(config, layer, uses, rank);
        for (uint32_t v = 0; v < plan->variants; v++)
            for (uint32_t i = 0; i < count[order[v]]; i++)
                variant[(size_t)layer * info->experts + rank[next++].expert] = (uint8_t)order[v];
    }
    return ES_OK;
}

/* ---- catalog.file: lines "layer,expert,bits" in the model's own numbers ---- */

enum { PRECISION_UNSAID = 255 };

/* Three whole numbers with commas between; blanks do no harm. */
static bool precision_numbers(const char *line, uint64_t number[3])
{
    for (int i = 0; i < 3; i++) {
        char *end;
        while (isspace((unsigned char)*line))
            line++;
        if (!isdigit((unsigned char)*line))
            return false;
        number[i] = strtoull(line, &end, 10);
        for (line = end; isspace((unsigned char)*line);)
            line++;
        if (i < 2 && *line++ != ',')
            return false;
    }
    return *line == '\0';
}

static es_code precision_line(const es_config *config, const char *line, uint8_t *variant, es_err *err)
{
    const es_plan *plan = &config->plan;
    const es_trace_info *info = es_config_trace(config);
    uint64_t number[3];
    uint32_t layer = 0, v = 0;
    if (!precision_numbers(line, number))
        return es_err_set(err, ES_EINPUT, "\"%.60s\" is not a layer, an expert and its bits; write for example \"3,17,4\"", line);
    while (layer < info->layers && info->layer_number[layer] != number[0])
        layer++;
    while (v < plan->variants && plan->bits[v] != number[2])
        v++;
    if (layer == info->layers || number[1] >= info->experts)
        return es_err_set(err, ES_EINPUT, "the trace has no layer %llu expert %llu", (unsigned long long)number[0], (unsigned long long)number[1]);
    if (v == plan->variants)
        return es_err_set(err, ES_EINPUT, "%llu bits are none of catalog.bits", (unsigned long long)number[2]);
    uint8_t *of = &variant[(size_t)layer * info->experts + number[1]];
    if (*of != PRECISION_UNSAID)
        return es_err_set(err, ES_EINPUT, "layer %llu expert %llu is listed twice", (unsigned long long)number[0], (unsigned long long)number[1]);
    *of = (uint8_t)v;
    return ES_OK;
}

static bool precision_passes(const char *line)
{
    while (isspace((unsigned char)*line))
        line++;
    return *line == '\0' || *line == '#' || strcmp(line, "layer,expert,bits") == 0;
}

static es_code precision_lines(const es_config *config, es_reader *reader, uint8_t *variant, es_err *err)
{
    char *line;
    size_t length;
    for (;;) {
        es_code code = es_reader_line(reader, &line, &length, err);
        if (code || !line)
            return code;
        if (!precision_passes(line) && (code = precision_line(config, line, variant, err)) != ES_OK)
            return es_err_at(err, "%s: line %llu", es_reader_path(reader), (unsigned long long)es_reader_line_number(reader)), code;
    }
}

static es_code precision_read(const es_config *config, uint8_t *variant, es_err *err)
{
    const es_trace_info *info = es_config_trace(config);
    const char *path = config->plan.catalog.file;
    es_reader *reader = NULL;
    if (!path)
        return es_err_set(err, ES_EINPUT, "catalog.file: is missing; catalog.assign \"file\" needs lines `layer,expert,bits`");
    memset(variant, PRECISION_UNSAID, (size_t)info->layers * info->experts);
    es_code code = es_reader_open(&reader, path, err);
    if (code == ES_OK)
        code = precision_lines(config, reader, variant, err);
    es_reader_close(reader);
    for (size_t e = 0; e < (size_t)info->layers * info->experts && code == ES_OK; e++)
        if (variant[e] == PRECISION_UNSAID)
            code = es_err_set(err, ES_EINPUT, "%s: says nothing of layer %u expert %u", path, info->layer_number[e / info->experts], (uint32_t)(e % info->experts));
    if (code)
        es_err_at(err, "catalog.file");
    return code;
}

/* ---- what they weigh ---- */

/* catalog.bytes: of an expert at this precision in every layer; 0: it says nothing of it. */
static es_code precision_listed(const es_plan *plan, uint32_t bits, int64_t *bytes, es_err *err)
{
    char key[16];
    snprintf(key, sizeof key, "%u", bits);
    const es_json *value = cJSON_GetObjectItemCaseSensitive(plan->catalog.bytes, key);
    *bytes = 0;
    if (!value)
        return ES_OK;
    es_code code = config_size(value, bytes, err);
    return code ? (es_key_at(err, "catalog.bytes.%s", key), code) : ES_OK;
}

/* Every name in this object is one of the precisions. */
static es_code precision_named(const es_plan *plan, const es_json *given, const char *name, es_err *err)
{
    const es_json *entry;
    if (given && !cJSON_IsObject(given))
        return es_err_set(err, ES_EINPUT, "catalog.%s: found %s, needs an object by bits such as {\"4\": ...}", name, es_json_kind(given));
    cJSON_ArrayForEach(entry, given) {
        char *end;
        unsigned long bits = strtoul(entry->string, &end, 10);
        bool known = false;
        for (uint32_t v = 0; v < plan->variants; v++)
            known |= *end == '\0' && plan->bits[v] == bits;
        if (!known)
            return es_err_set(err, ES_EINPUT, "catalog.%s.%s: is none of catalog.bits", name, entry->string);
    }
    return ES_OK;
}

/* [variants][slices][layers], from what the objects of the one precision weigh that the model states. */
static es_code precision_weigh(es_config *config, es_err *err)
{
    es_plan *plan = &config->plan;
    const uint32_t layers = es_config_trace(config)->layers, slices = plan->slices > 1 ? plan->slices : 1;
    int64_t *out = ES_NEW_ARRAY(&config->arena, (size_t)plan->variants * slices * layers, int64_t);
    if (!out)
        return es_err_nomem(err, "the precisions");
    plan->variant_bytes = out;
    for (uint32_t v = 0; v < plan->variants; v++) {
        int64_t listed;
        es_code code = precision_listed(plan, plan->bits[v], &listed, err);
        if (code)
            return code;
        for (uint32_t i = 0; i < slices * layers; i++) {
            const int64_t expert = plan->expert_bytes[i % layers], whole = plan->matrix_bytes ? plan->matrix_bytes[i] : expert / slices;
            const __int128 share = listed ? (__int128)listed * whole / expert : (__int128)whole * plan->bits[v] / config->model.expert_bits;
            if (share < 1)
                return es_err_set(err, ES_EINPUT, "catalog.bits: at %u bits an expert of layer %u would weigh nothing; model.expert_bits is %lld", plan->bits[v],
                    es_config_trace(config)->layer_number[i % layers], (long long)config->model.expert_bits);
            out[(size_t)v * slices * layers + i] = (int64_t)share;
        }
    }
    return ES_OK;
}

/* ---- what decoding them takes ---- */

/* "30us" or "200GB/s", for an object of so many bytes that is one of `slices` of its expert. */
static es_code precision_decoding(const es_json *value, int64_t bytes, uint32_t slices, es_time *ns, es_err *err)
{
    double found;
    if (!cJSON_IsString(value))
        return es_err_set(err, ES_EINPUT, "found %s, needs a time such as \"30us\" or a rate such as \"200GB/s\"", es_json_kind(value));
    if (es_text_quantity(value->valuestring, ES_UNIT_TIME, &found, NULL) == ES_OK && found >= 0)
        *ns = (es_time)(found / slices + 0.5);
    else if (es_text_quantity(value->valuestring, ES_UNIT_RATE, &found, NULL) == ES_OK && found > 0)
        *ns = (es_time)((double)bytes / found * 1e9 + 0.5);
    else
        return es_err_set(err, ES_EINPUT, "\"%s\" is neither a time such as \"30us\" nor a rate such as \"200GB/s\"", value->valuestring);
    return ES_OK;
}

static es_code precision_decode(es_config *config, es_err *err)
{
    es_plan *plan = &config->plan;
    const uint32_t layers = es_config_trace(config)->layers, slices = plan->slices > 1 ? plan->slices : 1;
    if (!plan->catalog.decode || cJSON_IsNull(plan->catalog.decode))
        return ES_OK;
    es_code code = precision_named(plan, plan->catalog.decode, "decode", err);
    if (code)
        return code;
    es_time *out = ES_NEW_ARRAY(&config->arena, (size_t)plan->variants * slices * layers, es_time);
    if (!out)
        return es_err_nomem(err, "the precisions");
    plan->decode_ns = out;
    for (uint32_t i = 0; i < plan->variants * slices * layers; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", plan->bits[i / (slices * layers)]);
        const es_json *value = cJSON_GetObjectItemCaseSensitive(plan->catalog.decode, key);
        if (value && (code = precision_decoding(value, plan->variant_bytes ? plan->variant_bytes[i] : 1, slices, &out[i], err)) != ES_OK)
            return es_key_at(err, "catalog.decode.%s", key), code;
    }
    return ES_OK;
}

es_code config_precision(es_config *config, es_err *err)
{
    es_plan *plan = &config->plan;
    const es_trace_info *info = es_config_trace(config);
    double share[ES_MOST_VARIANTS] = {0};
    if (!plan->catalog.bits || cJSON_IsNull(plan->catalog.bits))
        return ES_OK;
    if (plan->catalog.bytes && cJSON_IsNull(plan->catalog.bytes))
        plan->catalog.bytes = NULL;
    es_code code = precision_list(plan, plan->catalog.bits, share, err);
    if (code == ES_OK)
        code = precision_named(plan, plan->catalog.bytes, "bytes", err);
    if (code)
        return code;
    uint8_t *variant = ES_NEW_ARRAY(&config->arena, (size_t)info->layers * info->experts, uint8_t);
    if (!variant)
        return es_err_nomem(err, "the precisions");
    plan->variant = variant;
    code = plan->catalog.assign == ES_ASSIGN_FILE ? precision_read(config, variant, err) : precision_assign(config, share, variant, err);
    if (code == ES_OK && plan->expert_bytes)
        code = precision_weigh(config, err);
    return code ? code : precision_decode(config, err);
}
