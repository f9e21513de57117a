/* JSON Schema (2020-12) of a sweep file, made from its option tables; a base that stands in it is checked as a config is. See sweep.h. */
#include <string.h>

#include "sim/study/manual.h"
#include "sim/study/sweep.h"

/* Replaces what the table of the top level says of a JSON row: {"type": type}. */
static es_json *schema_row(es_json *properties, const char *key, const char *type)
{
    es_json *old = cJSON_GetObjectItemCaseSensitive(properties, key), *description = cJSON_DetachItemFromObjectCaseSensitive(old, "description");
    es_json *row = cJSON_CreateObject();
    if (description && !cJSON_AddItemToObject(row, "description", description))
        cJSON_Delete(description);
    if (type)
        es_json_add_text(row, "type", type);
    if (!cJSON_ReplaceItemInObjectCaseSensitive(properties, key, row))
        cJSON_Delete(row);
    return cJSON_GetObjectItemCaseSensitive(properties, key);
}

static void schema_fill(es_json *object, const es_option *options)
{
    es_json_add_text(object, "type", "object");
    es_options_schema(options, es_json_add_object(object, "properties"));
    es_json_add_bool(object, "additionalProperties", false);
}

static es_json *schema_either(es_json *any, const char *type)
{
    es_json *one = cJSON_CreateObject();
    if (type)
        es_json_add_text(one, "type", type);
    if (cJSON_AddItemToArray(any, one))
        return one;
    cJSON_Delete(one);
    return NULL;
}

/* A file, or a config. */
static bool schema_base(es_json *root, es_json *base)
{
    es_json *config = es_manual_schema(), *any = es_json_add_array(base, "anyOf");
    es_json *defs = cJSON_DetachItemFromObjectCaseSensitive(config, "$defs");
    cJSON_DeleteItemFromObjectCaseSensitive(config, "$schema");
    schema_either(any, "string");
    es_json_add_text(schema_either(any, NULL), "$ref", "#/$defs/config");
    const bool whole = config && defs && cJSON_AddItemToObject(defs, "config", config);
    if (!whole)
        cJSON_Delete(config);
    if (!whole || !cJSON_AddItemToObject(root, "$defs", defs)) {
        cJSON_Delete(defs);
        return false;
    }
    return true;
}

/* What a table's key is in the file: "sweep.axes.NAME" -> "axes". */
static void schema_section(es_json *properties, const char *key, const es_option *options)
{
    if (strcmp(key, "axes.NAME") != 0) {
        schema_fill(schema_row(properties, key, NULL), options);
        return;
    }
    es_json *any = es_json_add_array(es_json_add_object(schema_row(properties, "axes", "object"), "additionalProperties"), "anyOf");
    schema_either(any, "array");
    schema_fill(schema_either(any, NULL), options);
}

es_json *es_sweep_schema(void)
{
    es_json *root = cJSON_CreateObject();
    const es_config_table *table = es_sweep_table_at(0);
    es_json_add_text(root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    es_json_add_text(root, "title", "expertsim sweep");
    schema_fill(root, table->options);
    es_json *properties = cJSON_GetObjectItemCaseSensitive(root, "properties"), *required = es_json_add_array(root, "required");
    cJSON_AddItemToArray(required, cJSON_CreateString("base"));
    cJSON_AddItemToArray(required, cJSON_CreateString("axes"));
    for (size_t i = 1; (table = es_sweep_table_at(i)) != NULL; i++)
        schema_section(properties, table->key + strlen("sweep."), table->options);
    es_json_add_text(es_json_add_object(schema_row(properties, "constraints", "array"), "items"), "type", "string");
    es_json_add_text(es_json_add_object(schema_row(properties, "metrics", "object"), "additionalProperties"), "type", "string");
    if (schema_base(root, schema_row(properties, "base", NULL)))
        return root;
    cJSON_Delete(root);
    return NULL;
}
