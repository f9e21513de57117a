/* Lens: see lens.h. */
#include "traces/lens.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/json.h"
#include "traces/trace.h"

/* A whole number of tokens that an entry gives. */
static bool lens_number(const es_json *item, uint32_t *value)
{
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > UINT32_MAX - 1 || item->valuedouble != floor(item->valuedouble))
        return false;
    *value = (uint32_t)item->valuedouble;
    return true;
}

static es_code lens_add(es_lens *lens, const es_json *item, uint64_t number, es_err *err)
{
    uint32_t prompt = 0, generated;
    bool pair = cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2;
    if (pair ? !lens_number(item->child, &prompt) || !lens_number(item->child->next, &generated) : !lens_number(item, &generated))
        return es_err_set(err, ES_EINPUT, "%s: entry %llu is neither a number of tokens nor [prompt tokens, generated tokens]", lens->path, (unsigned long long)number);
    if ((uint64_t)prompt + generated > UINT32_MAX - 1)
        return es_err_set(err, ES_EINPUT, "%s: entry %llu: a request has at most %u tokens", lens->path, (unsigned long long)number, UINT32_MAX - 1);
    if (prompt + generated == 0)
        return ES_OK;
    lens->request[lens->count++] = (es_lens_request){ lens->tokens, prompt, prompt + generated };
    lens->tokens += prompt + generated;
    lens->prompt_tokens += prompt;
    lens->prompts += prompt > 0;
    lens->longest_prompt = prompt > lens->longest_prompt ? prompt : lens->longest_prompt;
    return ES_OK;
}

static es_code lens_list(es_lens *lens, const es_json *root, es_err *err)
{
    const es_json *list = cJSON_IsObject(root) ? cJSON_GetObjectItemCaseSensitive(root, "lens") : root, *item, *experts = cJSON_GetObjectItemCaseSensitive(root, "experts");
    if (!cJSON_IsArray(list))
        return es_err_set(err, ES_EINPUT, "%s: is not a list with the tokens of each request, nor an object with such a list as \"lens\"", lens->path);
    if (experts && (!lens_number(experts, &lens->experts) || lens->experts == 0 || lens->experts > ES_TRACE_EXPERTS_MAX))
        return es_err_set(err, ES_EINPUT, "%s: experts is no whole number from 1 to %d", lens->path, ES_TRACE_EXPERTS_MAX);
    es_code code = ES_OK;
    uint64_t number = 0;
    lens->request = malloc((size_t)cJSON_GetArraySize(list) * sizeof *lens->request + 1);
    if (!lens->request)
        return es_err_nomem(err, "the requests of a trace");
    cJSON_ArrayForEach(item, list)
        if (!code)
            code = lens_add(lens, item, number++, err);
    return code || lens->count ? code : es_err_set(err, ES_EINPUT, "%s: no request has a token", lens->path);
}

es_code es_lens_load(es_lens *lens, const char *path, es_err *err)
{
    static const char ending[] = ".lens.json";
    const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
    size_t stem = dot ? (size_t)(dot - path) : strlen(path);
    *lens = (es_lens){ 0 };
    lens->path = malloc(stem + sizeof ending);
    if (!lens->path)
        return es_err_nomem(err, "a file name");
    memcpy(lens->path, path, stem);
    memcpy(lens->path + stem, ending, sizeof ending);
    if (access(lens->path, F_OK) != 0) {
        free(lens->path);
        lens->path = NULL;
        return ES_OK;
    }
    es_json *root = NULL;
    es_code code = es_json_load(&root, lens->path, err);
    if (!code)
        code = lens_list(lens, root, err);
    cJSON_Delete(root);
    return code;
}

void es_lens_free(es_lens *lens)
{
    free(lens->path);
    free(lens->request);
    *lens = (es_lens){ 0 };
}

uint32_t es_lens_step(const es_lens *lens, const es_lens_place *place, uint64_t left)
{
    uint32_t prompt = lens->count ? lens->request[place->request].prompt : 0;
    uint64_t count = place->position < prompt ? prompt - place->position : 1;
    return (uint32_t)(count < left ? count : left);
}

void es_lens_tokens(const es_lens *lens, es_lens_place *place, es_token *token, uint32_t count)
{
    const es_lens_request *request = lens->count ? &lens->request[place->request] : NULL;
    for (uint32_t i = 0; i < count; i++, place->position++)
        token[i] = (es_token){ (uint32_t)place->request, (uint32_t)place->position, request && place->position < request->prompt ? ES_PREFILL : ES_DECODE };
    if (request && place->position == request->tokens && place->request + 1 < lens->count)
        *place = (es_lens_place){ place->request + 1, 0 };
}
