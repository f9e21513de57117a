/* Mrc, the ask: options become a config, so that a trace, a model and a contract are read where all configs are; see mrc_inside.h. */
#include <stdio.h>
#include <string.h>

#include "sim/part/registry.h"
#include "sim/study/mrc_inside.h"

static const char *const mrc_curves[] = {"lru", "belady", "belady_bypass", "static", "static_frozen"};
static const char *const mrc_scopes[] = {"global", "layer"};
static const char *const mrc_phases[] = {"decode", "all"};
static const char *const mrc_resets[] = {"never", "request"};

enum { MRC_NAMES = 64, MRC_SETS = 8 };
#define LENGTH(list) (sizeof(list) / sizeof *(list))

/* ---- words ---- */

/* Which of the names a word is; `count` when it is none, and then that is an error. */
static es_code mrc_choice(const char *what, const char *word, size_t length, const char *const *names, size_t count, size_t *out, es_err *err)
{
    for (*out = 0; *out < count; ++*out)
        if (strlen(names[*out]) == length && memcmp(names[*out], word, length) == 0)
            return ES_OK;
    char found[64];
    es_text all = {0};
    snprintf(found, sizeof found, "%.*s", (int)(length < 60 ? length : 60), word);
    for (size_t i = 0; i < count; i++)
        es_text_add(&all, "%s%s", i ? ", " : "", names[i]);
    const char *nearest = es_text_nearest(found, names, count);
    es_code code = nearest ? es_err_set(err, ES_EINPUT, "%s: there is no \"%s\"; did you mean \"%s\"?", what, found, nearest)
                           : es_err_set(err, ES_EINPUT, "%s: there is no \"%s\"; there are %s", what, found, all.at ? all.at : "");
    es_text_free(&all);
    return code;
}

/* One of the names, or NULL, which says nothing. */
static es_code mrc_one(const char *what, const char *word, const char *const *names, size_t count, es_err *err)
{
    size_t at;
    return word ? mrc_choice(what, word, strlen(word), names, count, &at, err) : ES_OK;
}

static es_code mrc_words(const es_mrc_ask *ask, es_err *err)
{
    const char *presets[16];
    size_t count = 0;
    es_prefill prefill;
    for (const es_preset *preset; count < LENGTH(presets) && (preset = es_contract_preset(count)) != NULL; count++)
        presets[count] = preset->name;
    const struct {
        const char *flag, *value;
    } files[] = {{"the trace", ask->path}, {"--config", ask->config}, {"--model", ask->model}, {"--calibrate-on", ask->calibrate}};
    for (size_t i = 0; i < LENGTH(files); i++)
        if (files[i].value && !*files[i].value)
            return es_err_set(err, ES_EINPUT, "%s: the name of the file is empty", files[i].flag);
    es_code code = mrc_one("--scope", ask->scope, mrc_scopes, LENGTH(mrc_scopes), err);
    if (code == ES_OK)
        code = mrc_one("--contract", ask->contract, presets, count, err);
    if (code == ES_OK)
        code = mrc_one("--phase", ask->phase, mrc_phases, LENGTH(mrc_phases), err);
    if (code == ES_OK)
        code = mrc_one("--reset", ask->reset, mrc_resets, LENGTH(mrc_resets), err);
    if (code == ES_OK && ask->prefill && es_prefill_read(&prefill, ask->prefill, err) != ES_OK)
        code = es_err_set(err, ES_EINPUT, "--prefill: \"%.60s\" is not one of union, tokens, tiles:N, skip", ask->prefill);
    if (code == ES_OK && ask->precision && !ask->model)
        code = es_err_set(err, ES_EINPUT, "--precision: is one of a model's; name the model with --model FILE, for example models/shapes/gpt-oss-20b.json");
    return code;
}

/* ---- the policies ---- */

static es_code mrc_add_line(es_mrc *mrc, const char *policy, const char *made, es_err *err)
{
    for (uint32_t i = 0; i < mrc->lines; i++)
        if (strcmp(mrc->line[i].policy, policy) == 0 && strcmp(mrc->line[i].made, made) == 0)
            return ES_OK;       /* named twice */
    if (mrc->lines == ES_MRC_LINES - 1 && strcmp(made, "config") != 0)
        return es_err_set(err, ES_EINPUT, "--policies: more than %d at a time are too many for one table", ES_MRC_LINES - 1);
    mrc->line[mrc->lines++] = (es_mrc_line){.policy = policy, .made = made};
    return ES_OK;
}

/* Curves first: what a curve gives is not run. */
static es_code mrc_policies(es_mrc *mrc, const es_mrc_ask *ask, es_err *err)
{
    const char *names[MRC_NAMES];
    size_t count = LENGTH(mrc_curves), at;
    memcpy(names, mrc_curves, sizeof mrc_curves);
    const es_part *part;
    for (size_t i = 0; count < MRC_NAMES && (part = es_part_at(ES_KIND_POLICY, i)) != NULL; i++)
        if (strcmp(part->name, "lru") != 0 && strcmp(part->name, "belady") != 0 && strcmp(part->name, "static") != 0)
            names[count++] = part->name;
    const char *list = ask->policies ? ask->policies : ask->calibrate ? "lru,belady,static,static_frozen" : "lru,belady,static";
    es_code code = ES_OK;
    for (const char *word = list; word && code == ES_OK; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
        code = mrc_choice("--policies", word, strcspn(word, ","), names, count, &at, err);
        if (code == ES_OK)
            code = mrc_add_line(mrc, names[at], at < LENGTH(mrc_curves) ? "curve" : "run", err);
        if (code == ES_OK && strcmp(names[at], "static_frozen") == 0 && !ask->calibrate)
            code = es_err_set(err, ES_EINPUT, "--policies: static_frozen is chosen on another trace; name it with --calibrate-on TRACE");
    }
    if (code == ES_OK && ask->calibrate)
        code = mrc_add_line(mrc, "static_frozen", "curve", err);
    return code;
}

/* ---- the config ---- */

/* What a trace alone stands for: one cache before an unbounded home, without time. */
static es_code mrc_tree(const es_mrc_ask *ask, es_json **out, es_err *err)
{
    static const char text[] = "{\"clock\": \"none\", \"bounds\": false, \"policy\": \"lru\", \"name\": \"mrc\", \"tiers\": {\"cache\": {\"capacity\": \"100%\", "
                               "\"compute\": \"gpu\"}, \"host\": {\"home\": true}}}";
    es_code code = es_json_parse(out, text, sizeof text - 1, err);
    if (code == ES_OK)
        es_json_add_text(es_json_add_object(*out, "trace"), "path", ask->path);
    return code;
}

/* A setting in the words of --set. What would be JSON stays a text. */
static void mrc_set(es_mrc *mrc, const char **sets, size_t *count, const char *key, const char *value, bool *failed)
{
    if (!value)
        return;
    es_json *quoted = cJSON_CreateString(value);
    char *json = quoted ? cJSON_PrintUnformatted(quoted) : NULL;
    es_text text = {0};
    es_text_add(&text, "%s=%s", key, json ? json : "");
    sets[*count] = json && !text.failed ? es_arena_text(&mrc->arena, text.at) : NULL;
    *failed = *failed || !sets[*count];
    ++*count;
    es_text_free(&text);
    cJSON_free(json);
    cJSON_Delete(quoted);
}

/* Nobody wrote the config that stands for a trace alone: what it says of a fault begins with the trace. */
static void mrc_unnamed(es_err *err)
{
    static const char before[] = "mrc: trace.path: ";
    if (strncmp(err->text, before, sizeof before - 1) == 0)
        memmove(err->text, err->text + sizeof before - 1, strlen(err->text) - (sizeof before - 1) + 1);
}

static es_code mrc_config(es_mrc *mrc, const es_mrc_ask *ask, es_err *err)
{
    const char **sets = ES_NEW_ARRAY(&mrc->arena, ask->set_count + MRC_SETS, const char *);
    size_t count = ask->set_count;
    bool failed = !sets;
    es_json *tree = NULL;
    if (sets && count > 0)
        memcpy(sets, ask->sets, count * sizeof *sets);
    if (sets) {
        mrc_set(mrc, sets, &count, "trace.path", ask->config ? ask->path : NULL, &failed);
        mrc_set(mrc, sets, &count, "contract.preset", ask->contract, &failed);
        mrc_set(mrc, sets, &count, "contract.scope", ask->scope, &failed);
        mrc_set(mrc, sets, &count, "contract.reset", ask->reset, &failed);
        mrc_set(mrc, sets, &count, "contract.prefill", ask->prefill, &failed);
        mrc_set(mrc, sets, &count, "model.shape", ask->model, &failed);
        mrc_set(mrc, sets, &count, "model.precision", ask->precision, &failed);
    }
    es_code code = failed ? es_err_nomem(err, "the options") : ask->config ? ES_OK : mrc_tree(ask, &tree, err);
    if (code == ES_OK)
        code = ask->config ? es_config_load(&mrc->config, ask->config, sets, count, err) : es_config_from(&mrc->config, tree, "mrc", sets, count, err);
    cJSON_Delete(tree);
    if (code == ES_OK)
        code = es_config_plan(mrc->config, &mrc->plan, err);
    if (code != ES_OK && !ask->config)
        mrc_unnamed(err);
    return code;
}

/* The contract in words, less what stands in rows and report by its own name. */
static es_code mrc_label(es_mrc *mrc, es_err *err)
{
    static const char *const apart[] = {"scope", "reset", "prefill", "prefill_counts", "quota"};
    es_json *contract = cJSON_Duplicate(es_json_at(es_config_resolved(mrc->config), "contract"), true);
    es_text text = {0};
    for (size_t i = 0; contract && i < LENGTH(apart); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(contract, apart[i]);
    es_config_contract_label(contract, &text);
    mrc->contract = text.at && !text.failed ? es_arena_text(&mrc->arena, text.at) : NULL;
    es_text_free(&text);
    cJSON_Delete(contract);
    return mrc->contract ? ES_OK : es_err_nomem(err, "the contract");
}

es_code mrc_read(es_mrc *mrc, const es_mrc_ask *ask, es_err *err)
{
    es_code code = mrc_words(ask, err);
    if (code == ES_OK)
        code = mrc_policies(mrc, ask, err);
    if (code == ES_OK)
        code = mrc_config(mrc, ask, err);
    if (code == ES_OK && mrc->plan->buffers)
        code = es_err_set(err, ES_EINPUT, "%s: is a trace of buffers, which has no routing; `expertsim run` and `trace info` read it",
            ask->path ? ask->path : es_config_name(mrc->config));
    if (code == ES_OK && ask->model && !cJSON_IsString(es_json_at(es_config_resolved(mrc->config), "model.precision")))
        code = es_err_set(err, ES_EINPUT, "--model: %s is known in several precisions; name one with --precision, for example bf16", ask->model);
    if (code == ES_OK)
        code = mrc_label(mrc, err);
    if (code)
        return code;
    const es_contract *contract = &mrc->plan->contract;
    const char *trace = ask->path ? ask->path : es_config_trace_path(mrc->config);
    mrc->path = trace ? trace : mrc->plan->source->part.name;
    mrc->name = ask->config ? es_config_name(mrc->config) : NULL;
    mrc->info = es_config_trace(mrc->config);
    mrc->per_layer = contract->scope == ES_PER_LAYER;
    mrc->scope = mrc_scopes[mrc->per_layer];
    mrc->prefill = contract->prefill;
    mrc->reset = contract->reset == 1;
    mrc->calibrate = ask->calibrate;
    mrc->decode = ask->phase ? strcmp(ask->phase, "decode") == 0 : contract->prefill_counts == 0;
    mrc->bytes = es_config_bytes_known(mrc->config) ? mrc->plan->expert_bytes : NULL;
    return ES_OK;
}
