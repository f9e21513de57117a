/* What option.c and option_manual.c share: what the types are, and how a row's values are written. */
#ifndef ES_BASE_OPTION_INSIDE_H
#define ES_BASE_OPTION_INSIDE_H

#include "sim/base/option.h"

typedef struct option_type {
    const char *word;           /* in descriptions; an ENUM lists its choices in both */
    const char *needs;          /* in errors */
    const char *schema;         /* JSON Schema's name; NULL: anything */
    const char *pattern;        /* of a quantity */
    bool number;                /* has bounds */
    es_unit unit;               /* when there is a pattern */
} option_type;

extern const option_type option_types[];    /* by es_option_type */

/* Room for a field of any type. */
typedef union option_field {
    bool truth;
    int choice;
    int64_t whole;
    double real;
    const char *text;
    es_reals reals;
    const es_json *json;
} option_field;

bool option_has_bounds(const es_option *row);
/* The default is no value: absent, or a number without end, which in a whole field is INT64_MAX (ES_NEVER, no limit). */
bool option_may_be_null(const es_option *row);
size_t option_choice_count(const es_option *row);
void option_add_names(es_text *out, const char *const *names, size_t count);
void option_add_type(es_text *out, const es_option *row);
/* A value of the row in the words of a config: 0.7, 3.4ms. */
void option_add_number(es_text *out, const es_option *row, double value);
void option_default(const es_option *row, void *field);
void option_echo(const es_option *row, const void *field, const char *key, es_json *object);
void option_attach(es_json *object, const char *key, es_json *item);     /* cJSON leaves the item to us when it cannot add it */

#endif
