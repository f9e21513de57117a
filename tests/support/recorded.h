/* Recorded: a recorded trace held in memory, as a source that many runs can read one after the other; whole, or its first steps. */
#ifndef TESTS_RECORDED_H
#define TESTS_RECORDED_H

#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/base/reader.h"
#include "sim/part/source.h"
#include "sim/study/feed.h"

typedef struct recorded {
    es_arena arena;
    es_trace_info info;         /* counted: false, for the totals of the whole are not those of a part */
    es_token *token;
    uint16_t *ids;
    uint32_t *first;            /* [all + 1] token of each step */
    uint64_t all, steps, at;    /* steps there are, to be read, read */
} recorded;

static inline const es_trace_info *recorded_info(void *self)
{
    return &((recorded *)self)->info;
}

static inline es_code recorded_next(void *self, es_step *step, bool *more, es_err *err)
{
    recorded *r = self;
    (void)err;
    *step = (es_step){0};
    *more = r->at < r->steps;
    if (!*more)
        return ES_OK;
    const uint32_t first = r->first[r->at], end = r->first[r->at + 1];
    *step = (es_step){.tokens = end - first, .token = r->token + first, .ids = r->ids + (size_t)first * r->info.layers * r->info.top_k, .record = first};
    r->at++;
    return ES_OK;
}

static inline es_code recorded_rewind(void *self, es_err *err)
{
    (void)err;
    ((recorded *)self)->at = 0;
    return ES_OK;
}

static const es_source recorded_source = {.part = {.abi = ES_ABI, .name = "recorded", .brief = "A trace in memory.", .size = sizeof(recorded)},
    .info = recorded_info, .next = recorded_next, .rewind = recorded_rewind};

static inline void recorded_room(recorded *r, uint32_t layers, uint32_t experts, uint32_t top_k, uint64_t tokens)
{
    uint32_t *number = ES_NEW_ARRAY(&r->arena, layers, uint32_t);
    r->info = (es_trace_info){.format = "recorded", .model = "", .sha256 = "", .provenance = "", .layers = layers, .layer_number = number, .experts = experts,
        .top_k = top_k};
    for (uint32_t l = 0; number && l < layers; l++)
        number[l] = l;
    r->token = ES_NEW_ARRAY(&r->arena, tokens, es_token);
    r->ids = ES_NEW_ARRAY(&r->arena, tokens * layers * top_k, uint16_t);
    r->first = ES_NEW_ARRAY(&r->arena, tokens + 1, uint32_t);
    if (!number || !r->token || !r->ids || !r->first)
        abort();
    memset(r->ids, 0xff, tokens * layers * top_k * sizeof *r->ids);
}

/* Expert sizes of the trace, or 1000 and a little more for some layers; NULL, a fault in the file: see err. */
static inline const int64_t *recorded_load(recorded *r, const char *path, uint32_t experts, es_err *err)
{
    es_feed feed = {0};
    es_step step;
    bool more = true;
    *r = (recorded){0};
    if (es_feed_open_file(&feed, NULL, path, NULL, &(es_source_ask){.path = path, .experts = experts}, err) != ES_OK)
        return NULL;
    const es_trace_info *info = feed.source->info(feed.state);
    const size_t row = (size_t)info->layers * info->top_k;
    uint32_t tokens = 0;
    recorded_room(r, info->layers, info->experts, info->top_k, info->prompt_tokens + info->decode_tokens);
    while (feed.source->next(feed.state, &step, &more, err) == ES_OK && more) {
        memcpy(r->token + tokens, step.token, step.tokens * sizeof *r->token);
        memcpy(r->ids + tokens * row, step.ids, step.tokens * row * sizeof *r->ids);
        r->first[r->all++] = tokens;
        tokens += step.tokens;
    }
    r->first[r->steps = r->all] = tokens;
    int64_t *bytes = ES_NEW_ARRAY(&r->arena, info->layers, int64_t);
    for (uint32_t l = 0; bytes && l < info->layers; l++)
        bytes[l] = info->expert_bytes ? info->expert_bytes[l] : 1000 + l % 3 * 150;
    es_feed_close(&feed);
    return more ? NULL : bytes;
}

/* A prompt of granite's file: {"prefill": [token][layer][ids], "decode": the same}; prefill is one step. */
static inline void recorded_prompt(recorded *r, const es_json *prompt, uint32_t experts)
{
    static const char *const phases[] = {"prefill", "decode"};
    const es_json *token, *layer, *id, *first = cJSON_GetObjectItem(prompt, "decode")->child;
    const uint32_t layers = (uint32_t)cJSON_GetArraySize(first), top_k = (uint32_t)cJSON_GetArraySize(first->child);
    uint32_t tokens = 0;
    recorded_room(r, layers, experts, top_k, (uint64_t)cJSON_GetArraySize(cJSON_GetObjectItem(prompt, "prefill")) +
        (uint64_t)cJSON_GetArraySize(cJSON_GetObjectItem(prompt, "decode")));
    for (int p = 0; p < 2; p++)
        cJSON_ArrayForEach(token, cJSON_GetObjectItem(prompt, phases[p]))
        {
            uint16_t *to = r->ids + (size_t)tokens * layers * top_k;
            cJSON_ArrayForEach(layer, token)
                cJSON_ArrayForEach(id, layer)
                    *to++ = (uint16_t)id->valuedouble;
            if (p == 1 || tokens == 0)
                r->first[r->all++] = tokens;
            r->token[tokens] = (es_token){.position = tokens, .phase = p == 1 ? ES_DECODE : ES_PREFILL};
            tokens++;
        }
    r->first[r->steps = r->all] = tokens;
}

static inline es_code recorded_granite(recorded *r, const char *path, const char *prompt, uint32_t experts, es_err *err)
{
    enum { MOST = 1 << 24 };
    char *text = malloc(MOST);
    size_t length = 0;
    es_reader *reader = NULL;
    es_json *json = NULL;
    *r = (recorded){0};
    es_code code = text ? es_reader_open(&reader, path, err) : es_err_nomem(err, "a trace");
    if (code == ES_OK)
        code = es_reader_read(reader, text, MOST, &length, err);
    if (code == ES_OK)
        code = es_json_parse(&json, text, length, err);
    if (code == ES_OK)
        recorded_prompt(r, cJSON_GetObjectItem(cJSON_GetObjectItem(json, "prompts"), prompt), experts);
    cJSON_Delete(json);
    es_reader_close(reader);
    free(text);
    return code;
}

/* The first steps that list so many experts; the rest is not read. */
static inline uint64_t recorded_cut(recorded *r, uint64_t accesses)
{
    const size_t row = (size_t)r->info.layers * r->info.top_k;
    uint64_t count = 0;
    for (r->steps = 0; r->steps < r->all && count < accesses; r->steps++)
        for (size_t i = r->first[r->steps] * row; i < r->first[r->steps + 1] * row; i++)
            count += r->ids[i] != ES_NO_EXPERT;
    return count;
}

#endif
