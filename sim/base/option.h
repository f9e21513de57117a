/* Options: one row per option is the master copy. The row drives parsing, bounds, error text with the nearest name, `describe`,
 * the JSON schema, the README's reference, sweep axes, tuner bounds and the echo of the resolved config. */
#ifndef ES_BASE_OPTION_H
#define ES_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/text.h"

typedef enum es_option_type {   /* C type of the field   written in a config as */
    ES_OPT_BOOL,                /* bool                  true */
    ES_OPT_INT,                 /* int64_t               7 */
    ES_OPT_REAL,                /* double                0.7 */
    ES_OPT_TEXT,                /* const char *          "x"; def_text NULL: absent */
    ES_OPT_ENUM,                /* int, index in choices "resident_first" */
    ES_OPT_TIME,                /* int64_t, ns           "3.4ms" */
    ES_OPT_BYTES,               /* int64_t               "24GiB" */
    ES_OPT_RATE,                /* double, bytes/s       "12GB/s" */
    ES_OPT_REALS,               /* es_reals              [1, 2.5] */
    ES_OPT_JSON                 /* const es_json *       anything; the owner checks it */
} es_option_type;

typedef struct es_reals {
    const double *at;
    size_t count;
} es_reals;

typedef struct es_option {
    const char *name;
    es_option_type type;
    size_t offset;
    double def;                 /* BOOL 0/1, ENUM index, TIME ns, BYTES, RATE: the value in the field's own unit */
    double min, max;            /* checked when min < max */
    const char *def_text;       /* TEXT only */
    const char *const *choices; /* ENUM: names, ends with NULL */
    const char *unit;           /* for people, where the type does not say it: "tokens" */
    const char *help;           /* one sentence */
    bool tunable;               /* a tuner may change it within its bounds while the run goes on */
    bool required;
} es_option;

/* Fills the fields of `target` from the rows' defaults. */
void es_options_default(const es_option *rows, void *target);
/* Fills defaults, then the members of `object` (NULL: none). Unknown members are errors that name the nearest option; members
 * named in `allow` (ends with NULL, may be NULL) are left to the caller. Texts and lists are copied to the arena.
 * Errors begin with the option's name; the caller adds the path before it. */
es_code es_options_parse(const es_option *rows, void *target, const es_json *object, const char *const *allow, es_arena *arena, es_err *err);
/* Adds every option with its resolved value to `object`, in the order of the rows; what it writes parses to the same values. */
void es_options_echo(const es_option *rows, const void *target, es_json *object);
/* A line or two per option: name, type, default, bounds, help. */
void es_options_describe(const es_option *rows, const char *indent, es_text *out);
/* One Markdown table row per option, with `prefix` before its name. */
void es_options_markdown(const es_option *rows, const char *prefix, es_text *out);
/* Adds a "properties" member per option to a JSON Schema object. */
void es_options_schema(const es_option *rows, es_json *properties);
const es_option *es_options_find(const es_option *rows, const char *name);

#endif
