/* Config: the section `contract`, a preset with switches beside it, and what to call the contract that comes of it. */
#include <string.h>

#include "sim/study/config_inside.h"
#include "sim/study/key.h"

/* The preset's switches under those that are written beside it; what comes out replaces the section of the tree. */
static es_code contract_merge(es_config *config, es_json **merged, es_err *err)
{
    const es_json *given = config->top.contract;
    const es_json *name = cJSON_GetObjectItemCaseSensitive(given, "preset");
    const char *text = "{}", *names[16];
    size_t count = 0;
    const es_preset *preset;
    if (given && !cJSON_IsObject(given))
        return es_err_set(err, ES_EINPUT, "found %s, needs the name of a preset or an object", es_json_kind(given));
    if (name && !cJSON_IsString(name) && !cJSON_IsNull(name))
        return es_err_set(err, ES_EINPUT, "preset: found %s, needs a text", es_json_kind(name));
    bool found = !cJSON_IsString(name);
    for (size_t i = 0; (preset = es_contract_preset(i)) != NULL; i++) {
        if (count < 16)
            names[count++] = preset->name;
        if (!found && strcmp(preset->name, name->valuestring) == 0) {
            text = preset->json;
            found = true;
        }
    }
    if (!found) {
        es_text all = {0};
        for (size_t i = 0; i < count; i++)
            es_text_add(&all, "%s%s", i ? ", " : "", names[i]);
        const char *nearest = es_text_nearest(name->valuestring, names, count);
        es_code code = es_err_set(err, ES_EINPUT, "preset: \"%s\" is not one of %s%s%s%s", name->valuestring, all.at ? all.at : "", nearest ? "; did you mean \"" : "",
            nearest ? nearest : "", nearest ? "\"?" : "");
        es_text_free(&all);
        return code;
    }
    es_code code = es_json_parse(merged, text, strlen(text), err);
    if (code == ES_OK && given)
        code = es_json_merge(*merged, given, err);
    cJSON_DeleteItemFromObjectCaseSensitive(*merged, "preset");
    return code;
}

es_code config_contract(es_config *config, es_json *echo, es_err *err)
{
    es_json *merged = NULL, *root = config->tree.root;
    es_code code = contract_merge(config, &merged, err);
    /* The contract points into it, so it joins the tree. */
    if (code == ES_OK && !(cJSON_GetObjectItemCaseSensitive(root, "contract") ? cJSON_ReplaceItemInObjectCaseSensitive(root, "contract", merged) : cJSON_AddItemToObject(root, "contract", merged)))
        code = es_err_nomem(err, "the config");
    if (code) {
        cJSON_Delete(merged);
        return es_key_at(err, "contract"), code;
    }
    config->top.contract = merged;
    static const char *const allow[] = {"preset", NULL};     /* so that a hint may name it; it was taken out above */
    code = es_options_parse(es_contract_options, &config->plan.contract, merged, allow, &config->arena, err);
    if (code)
        return es_key_at(err, "contract"), code;
    es_json *out = es_json_add_object(echo, "contract");
    if (!out)
        return es_err_nomem(err, "the config");
    if (!config->plan.contract.quota)       /* the one JSON row whose absence means a value */
        cJSON_AddStringToObject(merged, "quota", "floor"), config->plan.contract.quota = cJSON_GetObjectItemCaseSensitive(merged, "quota");
    es_options_echo(es_contract_options, &config->plan.contract, out);
    return ES_OK;
}

/* The switches in which a resolved contract differs from a preset; adds them to `out` unless NULL. */
static size_t contract_differs(const es_json *contract, const es_preset *preset, es_text *out)
{
    es_contract pure = {0};
    es_arena arena = {0};
    es_json *json = NULL, *echo = cJSON_CreateObject(), *row;
    size_t count = 0;
    if (echo && es_json_parse(&json, preset->json, strlen(preset->json), NULL) == ES_OK
        && es_options_parse(es_contract_options, &pure, json, NULL, &arena, NULL) == ES_OK)
        es_options_echo(es_contract_options, &pure, echo);
    cJSON_ArrayForEach(row, echo) {
        const es_json *mine = cJSON_GetObjectItemCaseSensitive(contract, row->string);
        bool floor = strcmp(row->string, "quota") == 0 && cJSON_IsNull(row) && cJSON_IsString(mine) && strcmp(mine->valuestring, "floor") == 0;
        if (!mine || floor || cJSON_Compare(mine, row, true))
            continue;
        count++;
        if (out) {
            char *value = cJSON_PrintUnformatted(mine);
            es_text_add(out, ", %s %s", row->string, cJSON_IsString(mine) ? mine->valuestring : value ? value : "?");
            cJSON_free(value);
        }
    }
    cJSON_Delete(echo);
    cJSON_Delete(json);
    es_arena_free(&arena);
    return count;
}

void es_config_contract_label(const es_json *contract, es_text *out)
{
    const es_preset *preset, *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; (preset = es_contract_preset(i)) != NULL; i++) {
        size_t differs = contract_differs(contract, preset, NULL);
        if (differs < least) {
            least = differs;
            best = preset;
        }
    }
    if (!best)
        return;
    es_text_add(out, "%s", best->name);
    contract_differs(contract, best, out);
}
