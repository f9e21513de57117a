/* JSON: cJSON with what configs need around it: where a syntax error is, paths, exact integers.
 *
 * An es_json is a cJSON; every function of cJSON may be used on it. Numbers that must stay exact beyond 2^53 are written as
 * raw text (es_json_add_int) and read back from double with a check. */
#ifndef ES_BASE_JSON_H
#define ES_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/text.h"

typedef cJSON es_json;

/* Parses a whole file: "FILE: line 3: ..." on a syntax error; duplicate keys of one object, nesting beyond 64 and trailing text are errors. */
es_code es_json_load(es_json **out, const char *path, es_err *err);
/* The same, and the file's text as it stands there; free() it. */
es_code es_json_load_text(es_json **out, char **text, const char *path, es_err *err);
es_code es_json_parse(es_json **out, const char *text, size_t length, es_err *err);

/* The member at "a.b.c" (members named with dots are not reachable; "links.0" indexes an array); NULL when absent. */
es_json *es_json_at(const es_json *root, const char *path);
/* Puts `value` (owned from now on, freed on failure) at "a.b.c", making objects on the way; replaces what is there. */
es_code es_json_put(es_json *root, const char *path, es_json *value, es_err *err);
/* Members of `over` win; objects are merged, everything else is replaced. `base` is changed in place. */
es_code es_json_merge(es_json *base, const es_json *over, es_err *err);

void es_json_add_int(es_json *object, const char *key, int64_t value);
void es_json_add_real(es_json *object, const char *key, double value);   /* NaN and infinities become null */
void es_json_add_text(es_json *object, const char *key, const char *value);
void es_json_add_quantity(es_json *object, const char *key, double value, es_unit unit);  /* as es_text_unit() has it: "9MiB" */
void es_json_add_bool(es_json *object, const char *key, bool value);
es_json *es_json_add_object(es_json *object, const char *key);
es_json *es_json_add_array(es_json *object, const char *key);

/* Indented by two blanks, arrays of plain values on one line, doubles in the shortest text that reads back equal,
 * members in the order they were added, ends with a line feed. Free with free(). NULL: no memory. */
char *es_json_text(const es_json *value);
char *es_json_text_but(const es_json *value, const char *name);          /* without this member of an object */
const char *es_json_kind(const es_json *value);                          /* "a number", "an object", ... for errors */

#endif
