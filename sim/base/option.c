/* Options: see option.h.
 *
 * The default of a row passes even outside the row's bounds: a row may use such a value for "not set", and what
 * es_options_echo writes must parse again. For the same reason null is taken and written where the default is no value at all.
 * What people and editors are told of the rows is in option_manual.c. */
#include "sim/base/option_inside.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whole numbers from here on may have been rounded when the JSON was read. */
#define OPTION_EXACT 0x1p53

/* ---- what the types are ---- */

#define OPTION_QUANTITY "^0$|^-?[0-9.]+(e[+-]?[0-9]+)? *"

const option_type option_types[] = {
    [ES_OPT_BOOL] = { .word = "true or false", .needs = "true or false", .schema = "boolean" },
    [ES_OPT_INT] = { .word = "whole number", .needs = "a whole number", .schema = "integer", .number = true },
    [ES_OPT_REAL] = { .word = "number", .needs = "a number", .schema = "number", .number = true },
    [ES_OPT_TEXT] = { .word = "text", .needs = "a text", .schema = "string" },
    [ES_OPT_ENUM] = { .schema = "string" },
    [ES_OPT_TIME] = { .word = "time", .needs = "a text with a unit such as \"3.4ms\"", .schema = "string", .number = true,
        .pattern = OPTION_QUANTITY "(ns|us|ms|s)$", .unit = ES_UNIT_TIME },
    [ES_OPT_BYTES] = { .word = "size", .needs = "a text with a unit such as \"24GiB\"", .schema = "string", .number = true,
        .pattern = OPTION_QUANTITY "([KMGT]i?)?B$", .unit = ES_UNIT_BYTES },
    [ES_OPT_RATE] = { .word = "rate", .needs = "a text with a unit such as \"12GB/s\"", .schema = "string", .number = true,
        .pattern = OPTION_QUANTITY "([KMGT]i?)?B/s$", .unit = ES_UNIT_RATE },
    [ES_OPT_REALS] = { .word = "list of numbers", .needs = "a list of numbers", .schema = "array", .number = true },
    [ES_OPT_JSON] = { .word = "JSON", .needs = "anything" },
};

bool option_has_bounds(const es_option *row)
{
    return option_types[row->type].number && row->min < row->max;
}

bool option_may_be_null(const es_option *row)
{
    bool real = row->type == ES_OPT_REAL || row->type == ES_OPT_RATE;
    bool endless = option_types[row->type].number && !(fabs(row->def) < (real ? INFINITY : 0x1p63));
    return !row->required && (endless || row->type == ES_OPT_JSON || (row->type == ES_OPT_TEXT && !row->def_text));
}

size_t option_choice_count(const es_option *row)
{
    size_t count = 0;
    while (row->choices && row->choices[count])
        count++;
    return count;
}

/* The nearest whole number that the field can hold. Not floor(x + 0.5): the sum is rounded when x is beyond 2^52. */
static int64_t option_whole(double value)
{
    value = round(value);
    return !(value < 0x1p63) ? INT64_MAX : value < -0x1p63 ? INT64_MIN : (int64_t)value;    /* NaN too is no value */
}

void option_add_names(es_text *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        es_text_add(out, "%s%s", i ? ", " : "", names[i]);
}

void option_add_type(es_text *out, const es_option *row)
{
    if (row->type == ES_OPT_ENUM) {
        es_text_add(out, "one of ");
        option_add_names(out, row->choices, option_choice_count(row));
    } else {
        es_text_add(out, "%s", option_types[row->type].word);
    }
    if (row->unit)
        es_text_add(out, " (%s)", row->unit);
}

void option_add_number(es_text *out, const es_option *row, double value)
{
    if (option_types[row->type].pattern)
        es_text_unit(out, value, option_types[row->type].unit);
    else
        es_text_add(out, "%.*g", row->type == ES_OPT_INT ? 16 : 15, value);
}

const es_option *es_options_find(const es_option *rows, const char *name)
{
    for (const es_option *row = rows; row && row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

/* ---- defaults ---- */

void option_default(const es_option *row, void *field)
{
    switch (row->type) {
    case ES_OPT_BOOL:
        *(bool *)field = row->def != 0.0;
        break;
    case ES_OPT_INT:
    case ES_OPT_TIME:
    case ES_OPT_BYTES:
        *(int64_t *)field = option_whole(row->def);
        break;
    case ES_OPT_REAL:
    case ES_OPT_RATE:
        *(double *)field = row->def;
        break;
    case ES_OPT_TEXT:
        *(const char **)field = row->def_text;
        break;
    case ES_OPT_ENUM:
        assert(row->def >= 0.0 && row->def < (double)option_choice_count(row));
        *(int *)field = (int)row->def;
        break;
    case ES_OPT_REALS:
        *(es_reals *)field = (es_reals){0};
        break;
    case ES_OPT_JSON:
        *(const es_json **)field = NULL;
        break;
    }
}

void es_options_default(const es_option *rows, void *target)
{
    for (const es_option *row = rows; row && row->name; row++)
        option_default(row, (char *)target + row->offset);
}

/* ---- parsing ---- */

/* Makes the error of the text and frees it. */
static es_code option_fault(es_text *text, es_err *err)
{
    es_code code = text->failed ? es_err_nomem(err, "an error") : es_err_set(err, ES_EINPUT, "%s", text->at);
    es_text_free(text);
    return code;
}

static es_code option_wrong_kind(const es_option *row, const es_json *json, es_err *err)
{
    es_text text = {0};
    es_text_add(&text, "found %s, needs ", es_json_kind(json));
    if (row->type == ES_OPT_ENUM)
        option_add_type(&text, row);
    else
        es_text_add(&text, "%s", option_types[row->type].needs);
    return option_fault(&text, err);
}

static es_code option_outside(const es_option *row, double value, double limit, es_err *err)
{
    es_text text = {0};
    option_add_number(&text, row, value);
    es_text_add(&text, value > limit ? " is above " : " is below ");
    option_add_number(&text, row, limit);
    es_text_add(&text, value > limit ? ", the most it may be" : ", the least it may be");
    return option_fault(&text, err);
}

static es_code option_check(const es_option *row, double value, es_err *err)
{
    if (value == row->def && !row->required)
        return ES_OK;
    if (option_has_bounds(row) && value < row->min)
        return option_outside(row, value, row->min, err);
    if (option_has_bounds(row) && value > row->max)
        return option_outside(row, value, row->max, err);
    if (!option_has_bounds(row) && option_types[row->type].pattern && value < 0.0)
        return option_outside(row, value, 0.0, err);    /* a quantity without bounds is still not negative */
    return ES_OK;
}

/* Numbers are plain except whole ones beyond 2^53 that es_options_echo has just written. */
static bool option_number(const es_json *json, double *value)
{
    if (!cJSON_IsNumber(json) && !cJSON_IsRaw(json))
        return false;
    *value = cJSON_IsRaw(json) ? strtod(json->valuestring, NULL) : json->valuedouble;
    return true;
}

static es_code option_read_int(const es_option *row, const es_json *json, double *value, es_err *err)
{
    if (!option_number(json, value))
        return option_wrong_kind(row, json, err);
    if (*value != floor(*value))
        return es_err_set(err, ES_EINPUT, "%.15g is not a whole number", *value);
    if (fabs(*value) >= OPTION_EXACT && *value != (double)option_whole(row->def))
        return es_err_set(err, ES_EINPUT, "%.16g is too large to be exact; whole numbers in JSON go up to 9007199254740991", *value);
    return ES_OK;
}

/* Nanoseconds and bytes are whole: what is finer is rounded, what does not fit is refused. */
static es_code option_read_quantity(const es_option *row, const es_json *json, double *value, es_err *err)
{
    if (cJSON_IsNumber(json) && json->valuedouble == 0.0) {
        *value = 0.0;
        return ES_OK;
    }
    if (!cJSON_IsString(json))
        return option_wrong_kind(row, json, err);
    es_code code = es_text_quantity(json->valuestring, option_types[row->type].unit, value, err);
    if (code || row->type == ES_OPT_RATE)
        return code;
    if (fabs(*value) > 0x1p63)
        return es_err_set(err, ES_EINPUT, "\"%s\" is too large a %s", json->valuestring, option_types[row->type].word);
    *value = (double)option_whole(*value);
    return ES_OK;
}

static es_code option_read_number(const es_option *row, const es_json *json, double *value, es_err *err)
{
    es_code code = ES_OK;
    if (option_types[row->type].pattern)
        code = option_read_quantity(row, json, value, err);
    else if (row->type == ES_OPT_INT)
        code = option_read_int(row, json, value, err);
    else if (!option_number(json, value))
        code = option_wrong_kind(row, json, err);
    return code ? code : option_check(row, *value, err);
}

static es_code option_read_choice(const es_option *row, const es_json *json, int *choice, es_err *err)
{
    if (!cJSON_IsString(json))
        return option_wrong_kind(row, json, err);
    const char *word = json->valuestring;
    size_t count = option_choice_count(row);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(row->choices[i], word) == 0) {
            *choice = (int)i;
            return ES_OK;
        }
    }
    es_text text = {0};
    es_text_add(&text, "\"%s\" is not one of ", word);
    option_add_names(&text, row->choices, count);
    const char *nearest = es_text_nearest(word, row->choices, count);
    if (nearest)
        es_text_add(&text, "; did you mean \"%s\"?", nearest);
    return option_fault(&text, err);
}

static es_code option_read_reals(const es_option *row, const es_json *json, es_reals *reals, es_arena *arena, es_err *err)
{
    if (!cJSON_IsArray(json))
        return option_wrong_kind(row, json, err);
    const es_option element = { .type = ES_OPT_REAL, .min = row->min, .max = row->max, .required = true };
    size_t count = (size_t)cJSON_GetArraySize(json), i = 0;
    double *at = ES_NEW_ARRAY(arena, count, double);
    if (!at)
        return es_err_nomem(err, "a list");
    const es_json *entry;
    cJSON_ArrayForEach(entry, json) {
        es_code code = option_read_number(&element, entry, &at[i], err);
        if (code) {
            es_err_at(err, "[%zu]", i);
            return code;
        }
        i++;
    }
    *reals = (es_reals){ at, count };
    return ES_OK;
}

static es_code option_read(const es_option *row, void *field, const es_json *json, es_arena *arena, es_err *err)
{
    double value = 0.0;
    es_code code = ES_OK;
    if (cJSON_IsNull(json) && option_may_be_null(row))
        return ES_OK;           /* the default is there already */
    switch (row->type) {
    case ES_OPT_BOOL:
        if (!cJSON_IsBool(json))
            return option_wrong_kind(row, json, err);
        *(bool *)field = cJSON_IsTrue(json);
        break;
    case ES_OPT_INT:
    case ES_OPT_TIME:
    case ES_OPT_BYTES:
        code = option_read_number(row, json, &value, err);
        if (code == ES_OK)
            *(int64_t *)field = option_whole(value);
        break;
    case ES_OPT_REAL:
    case ES_OPT_RATE:
        code = option_read_number(row, json, &value, err);
        if (code == ES_OK)
            *(double *)field = value;
        break;
    case ES_OPT_TEXT:
        if (!cJSON_IsString(json))
            return option_wrong_kind(row, json, err);
        *(const char **)field = es_arena_text(arena, json->valuestring);
        if (!*(const char **)field)
            return es_err_nomem(err, "a text");
        break;
    case ES_OPT_ENUM:
        return option_read_choice(row, json, field, err);
    case ES_OPT_REALS:
        return option_read_reals(row, json, field, arena, err);
    case ES_OPT_JSON:
        *(const es_json **)field = json;        /* not copied: it lives as long as the config */
        break;
    }
    return code;
}

static bool option_is_allowed(const char *const *allow, const char *name)
{
    while (allow && *allow)
        if (strcmp(*allow++, name) == 0)
            return true;
    return false;
}

/* The names of the rows, then those in `allow`; free() it, NULL: no memory. */
static const char **option_names(const es_option *rows, const char *const *allow, size_t *count)
{
    size_t room = 1, used = 0;
    for (const es_option *row = rows; row && row->name; row++)
        room++;
    for (const char *const *a = allow; a && *a; a++)
        room++;
    const char **names = malloc(room * sizeof *names);
    if (!names)
        return NULL;
    for (const es_option *row = rows; row && row->name; row++)
        names[used++] = row->name;
    for (const char *const *a = allow; a && *a; a++)
        names[used++] = *a;
    *count = used;
    return names;
}

static es_code option_unknown(const es_option *rows, const char *const *allow, const char *name, es_err *err)
{
    size_t count = 0;
    const char **names = option_names(rows, allow, &count);
    if (!names)
        return es_err_nomem(err, "an error");
    es_text text = {0};
    es_text_add(&text, "unknown option \"%s\"; ", name);
    const char *nearest = es_text_nearest(name, names, count);
    if (nearest) {
        es_text_add(&text, "did you mean \"%s\"?", nearest);
    } else {
        es_text_add(&text, count ? "the options are " : "there are no options here");
        option_add_names(&text, names, count);
    }
    free(names);
    return option_fault(&text, err);
}

es_code es_options_parse(const es_option *rows, void *target, const es_json *object, const char *const *allow, es_arena *arena, es_err *err)
{
    es_options_default(rows, target);
    if (object && !cJSON_IsObject(object))
        return es_err_set(err, ES_EINPUT, "found %s, needs an object", es_json_kind(object));
    /* Unknown names come first: a required option that is missing may be one of them, misspelt. */
    const es_json *member;
    cJSON_ArrayForEach(member, object) {
        if (!es_options_find(rows, member->string) && !option_is_allowed(allow, member->string))
            return option_unknown(rows, allow, member->string, err);
    }
    for (const es_option *row = rows; row && row->name; row++) {
        const es_json *json = cJSON_GetObjectItemCaseSensitive(object, row->name);
        if (row->required && (!json || cJSON_IsNull(json)))
            return es_err_set(err, ES_EINPUT, "%s: is missing", row->name);
        es_code code = json ? option_read(row, (char *)target + row->offset, json, arena, err) : ES_OK;
        if (code) {
            es_err_at(err, "%s", row->name);
            return code;
        }
    }
    return ES_OK;
}

/* ---- echo ---- */

enum { OPTION_NUMBER = 128 };     /* bytes of the longest number with a unit, and more */

static void option_echo_quantity(const es_option *row, double value, const char *key, es_json *object)
{
    char room[OPTION_NUMBER];
    es_text text = {.at = room, .room = sizeof room};           /* never grows: an echo that lacks an option would be another config */
    es_text_unit(&text, value, option_types[row->type].unit);
    assert(text.at == room && !text.failed);
    es_json_add_text(object, key, isfinite(value) ? text.at : NULL);
}

static void option_echo_whole(const es_option *row, int64_t value, const char *key, es_json *object)
{
    if (option_may_be_null(row) && value == option_whole(row->def))
        es_json_add_text(object, key, NULL);
    else if (row->type == ES_OPT_INT)
        es_json_add_int(object, key, value);
    else
        option_echo_quantity(row, (double)value, key, object);
}

void option_attach(es_json *object, const char *key, es_json *item)
{
    if (!cJSON_AddItemToObject(object, key, item))
        cJSON_Delete(item);
}

static void option_echo_reals(const es_reals *reals, const char *key, es_json *object)
{
    es_json *list = es_json_add_array(object, key);
    for (size_t i = 0; list && i < reals->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(reals->at[i]));
}

void option_echo(const es_option *row, const void *field, const char *key, es_json *object)
{
    switch (row->type) {
    case ES_OPT_BOOL:
        es_json_add_bool(object, key, *(const bool *)field);
        break;
    case ES_OPT_INT:
    case ES_OPT_TIME:
    case ES_OPT_BYTES:
        option_echo_whole(row, *(const int64_t *)field, key, object);
        break;
    case ES_OPT_REAL:
        es_json_add_real(object, key, *(const double *)field);
        break;
    case ES_OPT_TEXT:
        es_json_add_text(object, key, *(const char *const *)field);
        break;
    case ES_OPT_ENUM:
        es_json_add_text(object, key, row->choices[*(const int *)field]);
        break;
    case ES_OPT_RATE:
        option_echo_quantity(row, *(const double *)field, key, object);
        break;
    case ES_OPT_REALS:
        option_echo_reals(field, key, object);
        break;
    case ES_OPT_JSON:
        if (*(const es_json *const *)field)
            option_attach(object, key, cJSON_Duplicate(*(const es_json *const *)field, true));
        else
            cJSON_AddNullToObject(object, key);
        break;
    }
}

void es_options_echo(const es_option *rows, const void *target, es_json *object)
{
    for (const es_option *row = rows; row && row->name; row++)
        option_echo(row, (const char *)target + row->offset, row->name, object);
}
