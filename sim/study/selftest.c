/* Selftest: the cases as configs, a source that reads their traces, and the comparison. See selftest.h. */
#include "sim/study/selftest.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/config_inside.h"
#include "sim/study/result.h"

/* ---- a trace in a text ---- */

typedef struct selftest_shape {
    uint32_t tokens, layers, experts, top_k, guesses;
} selftest_shape;

typedef struct selftest_source {
    const char *text;
    selftest_shape shape;
    es_trace_info info;
    es_token *token;            /* [tokens] */
    uint16_t *ids, *guess;      /* [tokens][layers][top_k or guesses] */
    uint32_t at;                /* next token */
} selftest_source;

/* Reads one token's word; fills its rows unless `s` is NULL. Returns what stands behind the word. */
static const char *selftest_word(const char *c, selftest_shape *shape, selftest_source *s, uint32_t token)
{
    uint32_t layer = 0, ids = 0, guesses = 0;
    bool guess = false;
    for (c++; *c && *c != ' ';) {
        if (isdigit((unsigned char)*c)) {
            char *end;
            uint16_t id = (uint16_t)strtoul(c, &end, 10);
            uint32_t *count = guess ? &guesses : &ids;
            if (s) {
                size_t row = (size_t)token * shape->layers + layer;
                *(guess ? &s->guess[row * shape->guesses + *count] : &s->ids[row * shape->top_k + *count]) = id;
            } else {
                shape->experts = id >= shape->experts ? id + 1u : shape->experts;
            }
            ++*count;
            c = end;
        }
        if (!s) {
            shape->layers = layer >= shape->layers ? layer + 1 : shape->layers;
            shape->top_k = ids > shape->top_k ? ids : shape->top_k;
            shape->guesses = guesses > shape->guesses ? guesses : shape->guesses;
        }
        if (*c == '~')
            guess = true;
        if (*c == '|') {
            layer++;
            ids = guesses = 0;
            guess = false;
        }
        if (*c && *c != ' ')
            c++;
    }
    return c;
}

static void selftest_fill(selftest_source *s)
{
    uint32_t token = 0, request = 0, position = 0;
    for (const char *c = s->text; *c; c += *c == ' ') {
        uint8_t phase = *c == 'P' ? ES_PREFILL : ES_DECODE;
        if (token > 0 && phase == ES_PREFILL && s->token[token - 1].phase == ES_DECODE) {
            request++;
            position = 0;
        }
        s->token[token] = (es_token){.request = request, .position = position++, .phase = phase};
        *(phase == ES_PREFILL ? &s->info.prompt_tokens : &s->info.decode_tokens) += 1;
        c = selftest_word(c, &s->shape, s, token++);
    }
    s->info.requests = request + 1u;
}

static es_code selftest_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const uint32_t numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};
    selftest_source *s = self;
    selftest_shape *shape = &s->shape;
    (void)ask;
    for (const char *c = s->text; *c; c += *c == ' ') {
        c = selftest_word(c, shape, NULL, 0);
        shape->tokens++;
    }
    size_t rows = (size_t)shape->tokens * shape->layers;
    s->token = ES_NEW_ARRAY(arena, shape->tokens, es_token);
    s->ids = ES_NEW_ARRAY(arena, rows * shape->top_k, uint16_t);
    s->guess = ES_NEW_ARRAY(arena, rows * shape->guesses, uint16_t);
    if (!s->token || !s->ids || !s->guess)
        return es_err_nomem(err, "a trace");
    if (shape->layers > sizeof numbers / sizeof *numbers)
        return es_err_set(err, ES_EINTERNAL, "a trace of the selftest has %u layers", shape->layers);
    memset(s->ids, 0xff, rows * shape->top_k * sizeof *s->ids);
    memset(s->guess, 0xff, rows * shape->guesses * sizeof *s->guess);
    s->info = (es_trace_info){.format = "text", .model = "", .layers = shape->layers, .layer_number = numbers, .experts = shape->experts,
        .top_k = shape->top_k, .guesses = shape->guesses, .synthetic = true, .provenance = "", .counted = true};
    selftest_fill(s);
    for (size_t i = 0; i < rows * shape->top_k; i++)
        s->info.accesses += s->ids[i] != ES_NO_EXPERT;
    s->info.steps = s->info.decode_tokens;
    for (uint32_t t = 0; t < shape->tokens; t++)
        s->info.steps += s->token[t].phase == ES_PREFILL && (t == 0 || s->token[t - 1].phase == ES_DECODE);
    return ES_OK;
}

static const es_trace_info *selftest_info(void *self)
{
    return &((selftest_source *)self)->info;
}

static es_code selftest_next(void *self, es_step *step, bool *more, es_err *err)
{
    selftest_source *s = self;
    const selftest_shape *shape = &s->shape;
    uint32_t first = s->at, count = 0;
    (void)err;
    *step = (es_step){0};
    *more = first < shape->tokens;
    if (!*more)
        return ES_OK;
    do
        count++;
    while (s->token[first].phase == ES_PREFILL && first + count < shape->tokens && s->token[first + count].phase == ES_PREFILL);
    size_t row = (size_t)first * shape->layers;
    *step = (es_step){.tokens = count, .token = s->token + first, .ids = s->ids + row * shape->top_k,
        .guess = shape->guesses ? s->guess + row * shape->guesses : NULL, .record = first + 1u};
    s->at += count;
    return ES_OK;
}

static es_code selftest_rewind(void *self, es_err *err)
{
    (void)err;
    ((selftest_source *)self)->at = 0;
    return ES_OK;
}

static const es_source selftest_text = {
    .part = {.abi = ES_ABI, .name = "text", .brief = "A trace of the selftest.", .size = sizeof(selftest_source)},
    .open = selftest_open,
    .info = selftest_info,
    .next = selftest_next,
    .rewind = selftest_rewind,
};

/* ---- one case ---- */

static es_code selftest_load(const es_selftest_case *c, const es_selftest_ask *ask, es_config **out, es_err *err)
{
    const char *machine = c->timed ? es_selftest_timed : es_selftest_untimed;
    const char **sets = calloc(sizeof c->sets / sizeof *c->sets + ask->set_count, sizeof *sets);
    es_json *tree = NULL;
    size_t count = 0;
    es_code code = sets ? es_json_parse(&tree, machine, strlen(machine), err) : es_err_nomem(err, "settings");
    for (size_t i = 0; code == ES_OK && c->sets[i]; i++)
        sets[count++] = c->sets[i];
    for (size_t i = 0; code == ES_OK && i < ask->set_count; i++)
        sets[count++] = ask->sets[i];
    if (code == ES_OK)
        code = es_config_from(out, tree, c->name, sets, count, err);
    cJSON_Delete(tree);
    free(sets);
    return code;
}

/* The integer at a key of the result, times in ns; false: there is none. */
static bool selftest_found(const es_json *result, const char *key, int64_t *found)
{
    const es_json *value = es_json_at(result, key);
    size_t length = strlen(key);
    bool seconds = length > 2 && (strcmp(key + length - 2, "_s") == 0 || strstr(key, "attribution."));
    double number = cJSON_IsNumber(value) ? value->valuedouble : cJSON_IsRaw(value) ? strtod(value->valuestring, NULL) : (double)NAN;
    *found = isfinite(number) ? llround(seconds ? number * 1e9 : number) : 0;
    return isfinite(number);
}

/* Compares with the "KEY VALUE, ..." of the case; true: all as expected. */
static bool selftest_compare(const char *want, const es_json *result, es_json *expected, es_json *found)
{
    bool same = true;
    for (const char *c = want; *c;) {
        char key[64], *end;
        size_t length = strcspn(c, " ");
        snprintf(key, sizeof key, "%.*s", (int)length, c);
        int64_t right = strtoll(c + length, &end, 10), is = 0;
        es_json_add_int(expected, key, right);
        if (selftest_found(result, key, &is))
            es_json_add_int(found, key, is);
        else
            cJSON_AddNullToObject(found, key), same = false;
        same = same && is == right;
        c = end + strcspn(end, ",");
        c += strspn(c, ", ");
    }
    return same;
}

static void selftest_add_settings(const es_selftest_case *c, const es_selftest_ask *ask, es_json *row)
{
    es_json *list = es_json_add_array(row, "settings");
    for (size_t i = 0; c->sets[i]; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(c->sets[i]));
    for (size_t i = 0; i < ask->set_count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(ask->sets[i]));
}

/* Runs a case and describes it in `row`. What ends it early is a failure of the case, unless the settings are to blame. */
static es_code selftest_case(const es_selftest_case *c, const es_selftest_ask *ask, es_json *row, bool *ok, es_err *err)
{
    es_config *config = NULL;
    es_json *result = NULL;
    es_err fault = {0};
    *ok = false;
    es_json_add_text(row, "name", c->name);
    es_json_add_text(row, "trace", c->trace);
    es_json_add_text(row, "sum", c->sum);
    selftest_add_settings(c, ask, row);
    es_code code = selftest_load(c, ask, &config, err);
    if (code)
        return code;
    es_json *tree = cJSON_Duplicate(config->tree.root, true);
    cJSON_DeleteItemFromObjectCaseSensitive(tree, "trace");
    cJSON_AddItemToObject(row, "config", tree);
    const selftest_source source = {.text = c->trace};
    config->source = (es_plan_part){.part = &selftest_text.part, .state = &source, .path = "trace.source"};
    code = es_result_run(config, NULL, NULL, &result, &fault);
    if (result) {
        es_json *expected = es_json_add_object(row, "expected"), *found = es_json_add_object(row, "found");
        *ok = selftest_compare(c->want, result, expected, found) && code == ES_OK;
    }
    if (code)
        es_json_add_text(row, "fault", fault.text);
    es_json_add_bool(row, "ok", *ok);
    cJSON_Delete(result);
    es_config_free(config);
    return ES_OK;
}

/* ---- all of them ---- */

static bool selftest_asked(const es_selftest_ask *ask, const char *name)
{
    for (size_t i = 0; i < ask->name_count; i++)
        if (strstr(name, ask->names[i]))
            return true;
    return ask->name_count == 0;
}

static es_code selftest_none(const es_selftest_ask *ask, es_err *err)
{
    const char **names = calloc(es_selftest_case_count, sizeof *names);
    for (size_t i = 0; names && i < es_selftest_case_count; i++)
        names[i] = es_selftest_cases[i].name;
    const char *nearest = names ? es_text_nearest(ask->names[0], names, es_selftest_case_count) : NULL;
    free(names);
    return es_err_set(err, ES_EINPUT, "no case has \"%s\" in its name; %s%s%s", ask->names[0], nearest ? "did you mean \"" : "expertsim selftest lists them all",
        nearest ? nearest : "", nearest ? "\"?" : "");
}

es_code es_selftest(const es_selftest_ask *ask, es_json **out, es_err *err)
{
    es_json *result = *out = cJSON_CreateObject(), *cases = es_json_add_array(result, "cases");
    int64_t passed = 0, failed = 0;
    es_code code = cases ? ES_OK : es_err_nomem(err, "the cases");
    for (size_t i = 0; i < es_selftest_case_count && code == ES_OK; i++) {
        bool ok = false;
        es_json *row = NULL;
        if (!selftest_asked(ask, es_selftest_cases[i].name))
            continue;
        if (!(row = cJSON_CreateObject()) || !cJSON_AddItemToArray(cases, row))
            code = es_err_nomem(err, "the cases");
        else if ((code = selftest_case(&es_selftest_cases[i], ask, row, &ok, err)) == ES_OK)
            *(ok ? &passed : &failed) += 1;
    }
    if (code == ES_OK && passed + failed == 0)
        code = selftest_none(ask, err);
    if (code) {
        cJSON_Delete(result);
        *out = NULL;
        return code;
    }
    es_json_add_int(result, "passed", passed);
    es_json_add_int(result, "failed", failed);
    return failed ? es_err_set(err, ES_ECHECK, "%lld of %lld cases failed", (long long)failed, (long long)(passed + failed)) : ES_OK;
}
