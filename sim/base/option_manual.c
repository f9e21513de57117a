/* Options, for people and editors: what a row is, as text, as Markdown, as JSON Schema. See option.h. */
#include "sim/base/option_inside.h"

#include <math.h>

static void option_add_default(es_text *out, const es_option *row)
{
    if (row->required)
        es_text_add(out, "required");
    else if (row->type == ES_OPT_TEXT && row->def_text)
        es_text_add(out, "\"%s\"", row->def_text);
    else if (row->type == ES_OPT_REALS)
        es_text_add(out, "[]");
    else if (option_may_be_null(row))
        es_text_add(out, "none");
    else if (row->type == ES_OPT_BOOL)
        es_text_add(out, row->def != 0.0 ? "true" : "false");
    else if (row->type == ES_OPT_ENUM)
        es_text_add(out, "%s", row->choices[(int)row->def]);
    else
        option_add_number(out, row, row->def);
}

static void option_add_bounds(es_text *out, const es_option *row)
{
    if (isfinite(row->min)) {
        es_text_add(out, isfinite(row->max) ? "" : "at least ");
        option_add_number(out, row, row->min);
    }
    if (isfinite(row->max)) {
        es_text_add(out, isfinite(row->min) ? " to " : "at most ");
        option_add_number(out, row, row->max);
    }
}

void es_options_describe(const es_option *rows, const char *indent, es_text *out)
{
    for (const es_option *row = rows; row && row->name; row++) {
        es_text_add(out, "%s%s: ", indent, row->name);
        option_add_type(out, row);
        es_text_add(out, row->required ? ", " : ", default ");
        option_add_default(out, row);
        if (option_has_bounds(row)) {
            es_text_add(out, ", ");
            option_add_bounds(out, row);
        }
        es_text_add(out, "%s\n", row->tunable ? ", tunable" : "");
        if (row->help)
            es_text_add(out, "%s    %s\n", indent, row->help);
    }
}

/* A bar would end the cell. */
static void option_add_cell(es_text *out, const char *text)
{
    for (; *text; text++)
        es_text_add(out, *text == '|' ? "\\%c" : "%c", *text);
}

void es_options_markdown(const es_option *rows, const char *prefix, es_text *out)
{
    for (const es_option *row = rows; row && row->name; row++) {
        es_text_add(out, "| `%s%s` | ", prefix, row->name);
        option_add_type(out, row);
        es_text_add(out, " | ");
        option_add_default(out, row);
        es_text_add(out, " | ");
        if (option_has_bounds(row))
            option_add_bounds(out, row);
        es_text_add(out, " | ");
        option_add_cell(out, row->help ? row->help : "");
        es_text_add(out, "%s |\n", row->tunable ? " Tunable." : "");
    }
}

static void option_add_limit(es_json *schema, const char *key, double limit)
{
    if (isfinite(limit))
        es_json_add_real(schema, key, limit);
}

/* `type` is one name, or a list of names when 0 or null is taken as well. */
static void option_schema_type(const es_option *row, es_json *schema)
{
    const option_type *type = &option_types[row->type];
    bool zero = type->pattern, null = option_may_be_null(row);
    if (!zero && !null) {
        es_json_add_text(schema, "type", type->schema);
        return;
    }
    es_json *list = es_json_add_array(schema, "type");
    cJSON_AddItemToArray(list, cJSON_CreateString(type->schema));
    if (zero)
        cJSON_AddItemToArray(list, cJSON_CreateString("number"));
    if (null)
        cJSON_AddItemToArray(list, cJSON_CreateString("null"));
}

static void option_schema(const es_option *row, es_json *schema)
{
    const option_type *type = &option_types[row->type];
    if (type->schema)
        option_schema_type(row, schema);
    if (row->type == ES_OPT_ENUM)
        option_attach(schema, "enum", cJSON_CreateStringArray(row->choices, (int)option_choice_count(row)));
    es_json *number = schema;
    if (row->type == ES_OPT_REALS) {
        number = es_json_add_object(schema, "items");
        es_json_add_text(number, "type", "number");
    }
    if (type->pattern) {        /* limits concern numbers, patterns texts: the only number is 0 */
        es_json_add_text(schema, "pattern", type->pattern);
        es_json_add_int(schema, "minimum", 0);
        es_json_add_int(schema, "maximum", 0);
    } else if (option_has_bounds(row)) {
        bool list = row->type == ES_OPT_REALS;
        option_add_limit(number, "minimum", list ? row->min : fmin(row->min, row->def));
        option_add_limit(number, "maximum", list ? row->max : fmax(row->max, row->def));
    }
    if (!row->required) {
        option_field field;
        option_default(row, &field);
        option_echo(row, &field, "default", schema);
    }
    if (row->help)
        es_json_add_text(schema, "description", row->help);
}

void es_options_schema(const es_option *rows, es_json *properties)
{
    for (const es_option *row = rows; row && row->name; row++)
        option_schema(row, es_json_add_object(properties, row->name));
}
