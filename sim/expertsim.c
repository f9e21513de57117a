/* libexpertsim: see expertsim.h. */
#include "sim/expertsim.h"

#include <stdlib.h>
#include <string.h>

#include "sim/study/manual.h"
#include "sim/study/result.h"

const char *es_version(void)
{
    return ES_VERSION;
}

void es_free(char *text)
{
    free(text);
}

/* Runs and frees the config. */
static es_code simulate(es_config *config, char **json, es_err *err)
{
    es_json *result = NULL;
    es_code code = es_result_run(config, NULL, NULL, &result, err);
    if (result && !(*json = es_result_text(result, false)))
        code = es_err_nomem(err, "the result");
    cJSON_Delete(result);
    es_config_free(config);
    return code;
}

es_code es_simulate(const char *path, const char *const *sets, size_t set_count, char **json, es_err *err)
{
    es_config *config = NULL;
    *json = NULL;
    es_code code = es_config_load(&config, path, sets, set_count, err);
    return code ? code : simulate(config, json, err);
}

es_code es_simulate_text(const char *text, const char *const *sets, size_t set_count, char **json, es_err *err)
{
    es_json *tree = NULL;
    es_config *config = NULL;
    *json = NULL;
    es_code code = es_json_parse(&tree, text, strlen(text), err);
    if (code)
        es_err_at(err, "config");
    else
        code = es_config_from(&config, tree, "config", sets, set_count, err);
    cJSON_Delete(tree);
    return code ? code : simulate(config, json, err);
}

es_code es_resolve(const char *path, const char *const *sets, size_t set_count, char **json, es_err *err)
{
    es_config *config = NULL;
    *json = NULL;
    es_code code = es_config_load(&config, path, sets, set_count, err);
    if (code == ES_OK && !(*json = es_json_text(es_config_resolved(config))))
        code = es_err_nomem(err, "the config");
    es_config_free(config);
    return code;
}

/* Gives the text away, or frees it after an error. */
static es_code manual_give(es_code code, es_text *text, char **out, es_err *err)
{
    if (code == ES_OK && text->failed)
        code = es_err_nomem(err, "the text");
    if (code)
        es_text_free(text);
    *out = text->at;
    return code;
}

es_code es_list(const char *kind, char **text, es_err *err)
{
    es_text out = {0};
    return manual_give(es_manual_list(NULL, kind, false, &out, err), &out, text, err);
}

es_code es_describe(const char *name, char **text, es_err *err)
{
    es_text out = {0};
    return manual_give(es_manual_describe(NULL, name, &out, err), &out, text, err);
}

es_code es_schema(char **json, es_err *err)
{
    es_json *schema = es_manual_schema();
    *json = schema ? es_json_text(schema) : NULL;
    cJSON_Delete(schema);
    return *json ? ES_OK : es_err_nomem(err, "the schema");
}
