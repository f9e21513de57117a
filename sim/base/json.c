/* JSON, the tree: paths, building, printing. See json.h; json_read.c makes one from a text. */
#include "sim/base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"

/* From here on whole numbers are no longer all doubles. */
#define JSON_EXACT 0x1p53

/* ---- paths ---- */

/* The entry of an array whose index is written in `name`. */
static es_json *json_entry(const es_json *array, const char *name, size_t length)
{
    size_t index = 0;
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9' || index > SIZE_MAX / 10 - 1)
            return NULL;
        index = index * 10 + (size_t)(name[i] - '0');
    }
    es_json *entry = length ? array->child : NULL;
    while (entry && index-- > 0)
        entry = entry->next;
    return entry;
}

static es_json *json_member(const es_json *parent, const char *name, size_t length)
{
    if (cJSON_IsArray(parent))
        return json_entry(parent, name, length);
    es_json *member = cJSON_IsObject(parent) ? parent->child : NULL;
    while (member && (strncmp(member->string, name, length) != 0 || member->string[length] != '\0'))
        member = member->next;
    return member;
}

es_json *es_json_at(const es_json *root, const char *path)
{
    es_json *found = NULL;
    for (bool more = true; root && more; root = found) {
        size_t length = strcspn(path, ".");
        more = path[length] == '.';
        found = json_member(root, path, length);
        path += length + more;
    }
    return found;
}

/* Puts `value` where `old` was, under the name that is there already, so replacing cannot run out of memory. */
static void json_replace(es_json *parent, es_json *old, es_json *value)
{
    char *name = value->string;
    int owner = value->type & cJSON_StringIsConst;
    value->string = old->string;
    value->type = (value->type & ~cJSON_StringIsConst) | (old->type & cJSON_StringIsConst);
    old->string = name;
    old->type = (old->type & ~cJSON_StringIsConst) | owner;
    cJSON_ReplaceItemViaPointer(parent, old, value);
}

/* Replaces the member or adds it. Owns `value` from now on, also when it fails. */
static es_code json_set(es_json *parent, const char *name, es_json *value, es_err *err)
{
    es_code code = ES_OK;
    es_json *old = json_member(parent, name, strlen(name));
    if (!value)
        return es_err_nomem(err, "a JSON value");
    if (old) {
        json_replace(parent, old, value);
        return ES_OK;
    }
    if (cJSON_IsArray(parent))
        code = es_err_set(err, ES_EINPUT, "a list of %d has no entry \"%s\"", cJSON_GetArraySize(parent), name);
    else if (!cJSON_IsObject(parent))
        code = es_err_set(err, ES_EINPUT, "%s has no member \"%s\"", es_json_kind(parent), name);
    else if (*name == '\0')
        code = es_err_set(err, ES_EINPUT, "a name is empty");
    else if (!cJSON_AddItemToObject(parent, name, value))
        code = es_err_nomem(err, "a JSON value");
    if (code)
        cJSON_Delete(value);
    return code;
}

/* Walks `names`, which it cuts at the dots, and makes the objects that are missing. Owns `value`. */
static es_code json_put(es_json *parent, char *names, es_json *value, es_err *err)
{
    for (char *dot; (dot = strchr(names, '.')) != NULL; names = dot + 1) {
        *dot = '\0';
        es_json *child = json_member(parent, names, strlen(names));
        if (!child) {
            es_code code = json_set(parent, names, child = cJSON_CreateObject(), err);
            if (code) {
                cJSON_Delete(value);
                return code;
            }
        }
        parent = child;
    }
    return json_set(parent, names, value, err);
}

es_code es_json_put(es_json *root, const char *path, es_json *value, es_err *err)
{
    size_t length = strlen(path) + 1;
    char *names = malloc(length);
    if (!names) {
        cJSON_Delete(value);
        return es_err_nomem(err, "a path");
    }
    memcpy(names, path, length);
    es_code code = json_put(root, names, value, err);
    free(names);
    if (code)
        es_err_at(err, "%s", path);
    return code;
}

es_code es_json_merge(es_json *base, const es_json *over, es_err *err)
{
    if (!cJSON_IsObject(base) || !cJSON_IsObject(over))
        return es_err_set(err, ES_EINPUT, "found %s, needs an object", es_json_kind(cJSON_IsObject(base) ? over : base));
    const es_json *member;
    cJSON_ArrayForEach(member, over) {
        es_json *old = json_member(base, member->string, strlen(member->string));
        es_code code = cJSON_IsObject(old) && cJSON_IsObject(member) ? es_json_merge(old, member, err)
                                                                     : json_set(base, member->string, cJSON_Duplicate(member, true), err);
        if (code)
            return code;
    }
    return ES_OK;
}

/* ---- building ---- */

void es_json_add_int(es_json *object, const char *key, int64_t value)
{
    if (fabs((double)value) < JSON_EXACT) {
        cJSON_AddNumberToObject(object, key, (double)value);
        return;
    }
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    cJSON_AddRawToObject(object, key, digits);
}

void es_json_add_real(es_json *object, const char *key, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(object, key, value);
    else
        cJSON_AddNullToObject(object, key);
}

void es_json_add_text(es_json *object, const char *key, const char *value)
{
    if (value)
        cJSON_AddStringToObject(object, key, value);
    else
        cJSON_AddNullToObject(object, key);
}

void es_json_add_quantity(es_json *object, const char *key, double value, es_unit unit)
{
    es_text text = {0};
    es_text_unit(&text, value, unit);
    es_json_add_text(object, key, text.at);
    es_text_free(&text);
}

void es_json_add_bool(es_json *object, const char *key, bool value)
{
    cJSON_AddBoolToObject(object, key, value);
}

es_json *es_json_add_object(es_json *object, const char *key)
{
    return cJSON_AddObjectToObject(object, key);
}

es_json *es_json_add_array(es_json *object, const char *key)
{
    return cJSON_AddArrayToObject(object, key);
}

/* ---- printing ---- */

static void json_write_whole(es_text *out, int64_t value)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? (uint64_t)-value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        *--at = '-';
    es_text_put(out, at, (size_t)(digits + sizeof digits - at));
}

static void json_write_number(es_text *out, double value)
{
    if (!isfinite(value)) {
        es_text_add(out, "null");
        return;
    }
    if (value == floor(value) && fabs(value) < JSON_EXACT) {
        json_write_whole(out, (int64_t)value);
        return;
    }
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    es_text_add(out, "%s", text);
}

/* How much of a text stands for itself: ASCII without quote, backslash and control characters. */
static size_t json_plain(const char *text)
{
    const char *at = text;
    while (*at >= ' ' && *at < 0x7f && *at != '"' && *at != '\\')
        at++;
    return (size_t)(at - text);
}

/* What is not UTF-8 (a file name may be anything) becomes U+FFFD, so that every file we write can be read. */
static void json_write_text(es_text *out, const char *text)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    es_text_put(out, "\"", 1);
    for (size_t left = strlen(text), length; left > 0; text += length, left -= length) {
        if ((length = json_plain(text)) > 0) {
            es_text_put(out, text, length);
            continue;
        }
        length = es_text_utf8(text, left);
        const char *letter = strchr(letters, *text);
        if (length == 0) {
            length = 1;
            es_text_put(out, "\xef\xbf\xbd", 3);
        } else if (letter && (letter - letters) % 2 == 0) {
            es_text_add(out, "\\%c", letter[1]);
        } else if ((unsigned char)*text < ' ') {
            es_text_add(out, "\\u%04x", (unsigned char)*text);
        } else {
            es_text_put(out, text, length);
        }
    }
    es_text_put(out, "\"", 1);
}

static bool json_is_plain(const es_json *value)
{
    return !cJSON_IsObject(value) && !cJSON_IsArray(value);
}

static void json_write(es_text *out, const es_json *value, int depth);

/* A new line, two blanks for each level. */
static void json_write_line(es_text *out, int depth)
{
    static const char blanks[] = "\n                                ";
    const int most = (int)sizeof blanks - 2;
    es_text_put(out, blanks, 1 + (size_t)(2 * depth < most ? 2 * depth : most));
    for (int left = 2 * depth - most; left > 0; left -= most)
        es_text_put(out, blanks + 1, (size_t)(left < most ? left : most));
}

/* `but`: a member that is left out; NULL: none. */
static void json_write_list(es_text *out, const es_json *list, const es_json *but, int depth)
{
    bool object = cJSON_IsObject(list), one_line = true;
    const es_json *child;
    cJSON_ArrayForEach(child, list)
        one_line = one_line && !object && json_is_plain(child);
    es_text_put(out, object ? "{" : "[", 1);
    bool first = true;
    cJSON_ArrayForEach(child, list) {
        if (child == but)
            continue;
        if (!first)
            es_text_put(out, ", ", one_line ? 2 : 1);
        first = false;
        if (!one_line)
            json_write_line(out, depth + 1);
        if (object) {
            json_write_text(out, child->string);
            es_text_put(out, ": ", 2);
        }
        json_write(out, child, depth + 1);
    }
    if (!one_line)
        json_write_line(out, depth);
    es_text_put(out, object ? "}" : "]", 1);
}

static void json_write(es_text *out, const es_json *value, int depth)
{
    if (!json_is_plain(value))
        json_write_list(out, value, NULL, depth);
    else if (cJSON_IsString(value))
        json_write_text(out, value->valuestring);
    else if (cJSON_IsNumber(value))
        json_write_number(out, value->valuedouble);
    else
        es_text_add(out, "%s", cJSON_IsRaw(value) ? value->valuestring : es_json_kind(value));
}

char *es_json_text(const es_json *value)
{
    return es_json_text_but(value, NULL);
}

char *es_json_text_but(const es_json *value, const char *name)
{
    es_text out = {0};
    if (!value)
        return NULL;            /* memory ran out while it was built */
    if (name && cJSON_IsObject(value))
        json_write_list(&out, value, cJSON_GetObjectItemCaseSensitive(value, name), 0);
    else
        json_write(&out, value, 0);
    es_text_put(&out, "\n", 1);
    if (out.failed)
        es_text_free(&out);
    return out.at;
}

const char *es_json_kind(const es_json *value)
{
    switch (value ? value->type & 0xff : cJSON_Invalid) {
    case cJSON_False:
        return "false";
    case cJSON_True:
        return "true";
    case cJSON_NULL:
        return "null";
    case cJSON_Number:
    case cJSON_Raw:             /* only whole numbers beyond 2^53 are kept raw */
        return "a number";
    case cJSON_String:
        return "a text";
    case cJSON_Array:
        return "a list";
    case cJSON_Object:
        return "an object";
    default:
        return "nothing";
    }
}
