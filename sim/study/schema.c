/* Schema: the option tables as a JSON Schema (2020-12), for editors that complete and check configs. See manual.h. */
#include <stdio.h>
#include <string.h>

#include "sim/study/config.h"
#include "sim/study/manual.h"

static es_json *schema_object(es_json *into)
{
    es_json_add_text(into, "type", "object");
    es_json *properties = es_json_add_object(into, "properties");
    es_json_add_bool(into, "additionalProperties", false);
    return properties;
}

/* Any object may take its members from files. */
static void schema_include(es_json *properties)
{
    es_json *include = es_json_add_object(properties, "include");
    es_json_add_text(include, "description", "Files whose content is merged under what stands here, relative to this file.");
    es_json *type = es_json_add_array(include, "type");
    cJSON_AddItemToArray(type, cJSON_CreateString("string"));
    cJSON_AddItemToArray(type, cJSON_CreateString("array"));
}

/* What a part may be written as. */
static es_json *schema_any(const char *description)
{
    static const char *const types[] = {"object", "string", "null"};
    es_json *any = cJSON_CreateObject();
    es_json_add_text(any, "description", description);
    es_json *type = es_json_add_array(any, "type");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        cJSON_AddItemToArray(type, cJSON_CreateString(types[i]));
    return any;
}

/* What may stand where a part does besides the parts known here: one of a plug-in, whatever its options, or none. */
static es_json *schema_plugin(const es_json *names)
{
    es_json *plugin = schema_any("A part of a plug-in, or none.");
    es_json *known = es_json_add_array(es_json_add_object(plugin, "not"), "anyOf");
    es_json *text = cJSON_CreateObject(), *object = cJSON_CreateObject();
    cJSON_AddItemToObject(text, "enum", cJSON_Duplicate(names, true));
    cJSON_AddItemToArray(known, text);
    es_json_add_text(object, "type", "object");
    cJSON_AddItemToObject(es_json_add_object(es_json_add_object(object, "properties"), "name"), "enum", cJSON_Duplicate(names, true));
    cJSON_AddItemToArray(es_json_add_array(object, "required"), cJSON_CreateString("name"));
    cJSON_AddItemToArray(known, object);
    return plugin;
}

/* A part: its name as a text, or an object with name and options. */
static void schema_kind(es_json *defs, es_kind kind)
{
    es_json *any = es_json_add_array(es_json_add_object(defs, es_kind_name(kind)), "anyOf");
    if (!es_part_at(kind, 0)) {
        cJSON_AddItemToArray(any, schema_any("A part of a plug-in, or none."));
        return;
    }
    es_json *name = cJSON_CreateObject(), *names = es_json_add_array(name, "enum");
    const es_part *part;
    cJSON_AddItemToArray(any, name);
    for (size_t i = 0; (part = es_part_at(kind, i)) != NULL; i++) {
        cJSON_AddItemToArray(names, cJSON_CreateString(part->name));
        es_json *object = cJSON_CreateObject();
        es_json_add_text(object, "description", part->brief);
        es_json *properties = schema_object(object);
        es_json_add_text(es_json_add_object(properties, "name"), "const", part->name);
        es_options_schema(part->options, properties);
        schema_include(properties);
        cJSON_AddItemToArray(es_json_add_array(object, "required"), cJSON_CreateString("name"));
        cJSON_AddItemToArray(any, object);
    }
    cJSON_AddItemToArray(any, schema_plugin(names));
}

static es_json *schema_ref(es_kind kind)
{
    char text[64];
    es_json *ref = cJSON_CreateObject();
    snprintf(text, sizeof text, "#/$defs/%s", es_kind_name(kind));
    es_json_add_text(ref, "$ref", text);
    return ref;
}

/* A list of what `ref` says, or, where that may be, one alone. */
static es_json *schema_list(es_json *ref, bool alone)
{
    es_json *list = cJSON_CreateObject(), *either = cJSON_CreateObject(), *any = es_json_add_array(either, "anyOf");
    es_json_add_text(list, "type", "array");
    cJSON_AddItemToObject(list, "items", ref);
    if (!alone) {
        cJSON_Delete(either);
        return list;
    }
    cJSON_AddItemToArray(any, cJSON_Duplicate(ref, true));
    cJSON_AddItemToArray(any, list);
    return either;
}

/* Puts the parts where the tables have a JSON row for them. */
static void schema_parts(es_json *properties, const char *key)
{
    for (es_json *row = properties->child, *next; row; row = next) {
        char place[64];
        es_kind kind;
        next = row->next;
        snprintf(place, sizeof place, "%s%s%s", key, *key ? "." : "", row->string);
        if (!es_config_part_at(place, &kind))
            continue;
        es_json *ref = schema_ref(kind);
        if (kind == ES_KIND_OBSERVER || kind == ES_KIND_TUNER)
            ref = schema_list(ref, kind == ES_KIND_TUNER);
        cJSON_ReplaceItemInObjectCaseSensitive(properties, place + (strrchr(place, '.') ? (size_t)(strrchr(place, '.') - place) + 1 : 0), ref);
    }
}

/* The properties of a section, found or made: "contract", the values of "tiers", the items of "links". */
static es_json *schema_section(es_json *properties, const char *key)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(key, "."), key);
    const char *rest = key + strlen(name);
    es_json *section = cJSON_GetObjectItemCaseSensitive(properties, name);
    const char *inside = strcmp(rest, ".NAME") == 0 ? "additionalProperties" : strcmp(rest, ".N") == 0 ? "items" : NULL;
    es_json *old = inside ? cJSON_GetObjectItemCaseSensitive(section, inside) : cJSON_GetObjectItemCaseSensitive(section, "properties");
    if (old)
        return inside ? cJSON_GetObjectItemCaseSensitive(old, "properties") : old;
    if (!inside)
        return schema_object(section);
    es_json_add_text(section, "type", strcmp(inside, "items") == 0 ? "array" : "object");
    es_json *made = schema_object(es_json_add_object(section, inside));
    schema_include(made);
    return made;
}

/* A contract is a preset's name or an object with one. */
static void schema_contract(es_json *properties)
{
    es_json *contract = cJSON_DetachItemFromObjectCaseSensitive(properties, "contract");
    es_json *preset = es_json_add_object(cJSON_GetObjectItemCaseSensitive(contract, "properties"), "preset");
    es_json *names = es_json_add_array(preset, "enum");
    const es_preset *row;
    for (size_t i = 0; (row = es_contract_preset(i)) != NULL; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(row->name));
    es_json *any = es_json_add_array(es_json_add_object(properties, "contract"), "anyOf");
    cJSON_AddItemToArray(any, cJSON_Duplicate(preset, true));
    cJSON_AddItemToArray(any, contract);
}

es_json *es_manual_schema(void)
{
    es_json *root = cJSON_CreateObject();
    es_json_add_text(root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    es_json_add_text(root, "title", "expertsim config");
    es_json *properties = schema_object(root);
    const es_config_table *table;
    for (size_t i = 0; (table = es_config_table_at(i)) != NULL; i++) {
        es_json *section = *table->key ? schema_section(properties, table->key) : properties;
        es_options_schema(table->options, section);
        schema_parts(section, table->key);
    }
    schema_include(properties);
    schema_contract(properties);
    es_json *defs = es_json_add_object(root, "$defs");
    for (int kind = 0; kind < ES_KINDS; kind++)
        if (kind != ES_KIND_PROBE)
            schema_kind(defs, (es_kind)kind);
    return root;
}
