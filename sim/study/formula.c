/* Formula: see formula.h. By recursive descent, from what binds least: either (or), both (and), comparison, sum, product, factor. */
#include "sim/study/formula.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"

enum { FORMULA_PATH = 128, FORMULA_DEEP = 32 };

typedef struct formula {
    const char *text, *at;
    es_formula_find *find;
    void *self;
    int depth;
    bool measures;              /* dividing by 0 is no error */
    es_err *err;
} formula;

typedef struct formula_value {
    double number;
    char text[FORMULA_PATH];    /* of a value that is one; else empty */
} formula_value;

static char formula_next(formula *f)
{
    while (*f->at == ' ')
        f->at++;
    return *f->at;
}

/* ---- texts as numbers ---- */

/* "25%" and "192slots" are not among the units of es_text_quantity: they only mean something to a tier. */
static bool formula_share(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text)
        return false;
    if (strcmp(end, "%") == 0)
        *value /= 100.0;
    return strcmp(end, "%") == 0 || strcmp(end, "slots") == 0;
}

static bool formula_quantity(const char *text, double *value)
{
    static const es_unit units[] = {ES_UNIT_BYTES, ES_UNIT_TIME, ES_UNIT_RATE};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (es_text_quantity(text, units[i], value, NULL) == ES_OK)
            return true;
    return formula_share(text, value);
}

static es_code formula_number(const formula *f, formula_value *value)
{
    if (!*value->text)
        return ES_OK;
    if (!formula_quantity(value->text, &value->number))
        return es_err_set(f->err, ES_EINPUT, "\"%s\": \"%s\" is a text, not a number; it can only be compared by == and !=", f->text, value->text);
    *value->text = '\0';
    return ES_OK;
}

/* ---- factors ---- */

/* Adds the next so many characters of the text to the path. */
static es_code formula_add(formula *f, char path[FORMULA_PATH], size_t length)
{
    const size_t have = strlen(path);
    if (have + length >= FORMULA_PATH)
        return es_err_set(f->err, ES_EINPUT, "\"%s\": a path is longer than %d characters", f->text, FORMULA_PATH - 1);
    memcpy(path + have, f->at, length);
    path[have + length] = '\0';
    f->at += length;
    return ES_OK;
}

/* [name], where a name has a character that means something else outside: it goes on like .name. */
static es_code formula_bracket(formula *f, char path[FORMULA_PATH])
{
    const size_t length = strcspn(f->at + 1, "]");
    if (f->at[1 + length] != ']')
        return es_err_set(f->err, ES_EINPUT, "\"%s\": a bracket is not closed", f->text);
    es_code code = formula_add(f, path, 1 + length);
    if (code == ES_OK)
        path[strlen(path) - 1 - length] = '.';
    f->at++;
    return code;
}

static es_code formula_path(formula *f, formula_value *value)
{
    char path[FORMULA_PATH] = "";
    es_code code;
    do {
        code = formula_add(f, path, strspn(f->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."));
        if (code == ES_OK && *f->at == '[')
            code = formula_bracket(f, path);
    } while (code == ES_OK && (*f->at == '.' || *f->at == '['));
    if (code != ES_OK)
        return code;
    const es_json *found = f->find(f->self, path);
    if (cJSON_IsRaw(found))
        value->number = strtod(found->valuestring, NULL);
    else if (cJSON_IsNumber(found))
        value->number = found->valuedouble;
    else if (cJSON_IsBool(found))
        value->number = cJSON_IsTrue(found);
    else if (cJSON_IsString(found) && *found->valuestring)
        snprintf(value->text, sizeof value->text, "%s", found->valuestring);
    else
        return es_err_set(f->err, ES_EINPUT, "\"%s\": the report has %s at %s, not a number", f->text, found ? es_json_kind(found) : "nothing", path);
    return ES_OK;
}

static es_code formula_quoted(formula *f, formula_value *value)
{
    char quote = *f->at++;
    const char *end = strchr(f->at, quote);
    if (!end || end == f->at || (size_t)(end - f->at) >= sizeof value->text)
        return es_err_set(f->err, ES_EINPUT, "\"%s\": a text needs a quote on either side and 1 to %d characters between", f->text, FORMULA_PATH - 1);
    snprintf(value->text, sizeof value->text, "%.*s", (int)(end - f->at), f->at);
    f->at = end + 1;
    return ES_OK;
}

/* A number, with its unit if there is one right behind it. */
static es_code formula_literal(formula *f, formula_value *value)
{
    char *end;
    value->number = strtod(f->at, &end);
    size_t unit = strspn(end, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%");
    if (unit > 0 && strncmp(end + unit, "/s", 2) == 0)
        unit += 2;
    if (unit > 0) {
        snprintf(value->text, sizeof value->text, "%.*s", (int)(end - f->at) + (int)unit, f->at);
        if (!formula_quantity(value->text, &value->number))
            return es_err_set(f->err, ES_EINPUT, "\"%s\": \"%s\" is no number and no quantity", f->text, value->text);
        *value->text = '\0';
    }
    f->at = end + unit;
    return ES_OK;
}

static es_code formula_either(formula *f, formula_value *value);

static es_code formula_factor(formula *f, formula_value *value);

static es_code formula_minus(formula *f, formula_value *value)
{
    f->at++;
    es_code code = formula_factor(f, value);
    if (code == ES_OK)
        code = formula_number(f, value);
    value->number = -value->number;
    return code;
}

static es_code formula_parenthesis(formula *f, formula_value *value)
{
    f->at++;
    es_code code = formula_either(f, value);
    if (code == ES_OK && formula_next(f) != ')')
        return es_err_set(f->err, ES_EINPUT, "\"%s\": a parenthesis is not closed", f->text);
    f->at += code == ES_OK;
    return code;
}

static es_code formula_factor(formula *f, formula_value *value)
{
    char c = formula_next(f);
    *value = (formula_value){0};
    if (c == '-' || c == '(') {
        if (++f->depth > FORMULA_DEEP)
            return es_err_set(f->err, ES_EINPUT, "\"%s\": more than %d parentheses in each other", f->text, FORMULA_DEEP);
        es_code code = c == '-' ? formula_minus(f, value) : formula_parenthesis(f, value);
        f->depth--;
        return code;
    }
    if (c == '\'' || c == '"')
        return formula_quoted(f, value);
    if (isdigit((unsigned char)c) || c == '.')
        return formula_literal(f, value);
    if (isalpha((unsigned char)c) || c == '_')
        return formula_path(f, value);
    return es_err_set(f->err, ES_EINPUT, "\"%s\": a number, a path or a parenthesis should stand at \"%s\"", f->text, f->at);
}

/* ---- sums and products ---- */

/* The right side of an operator between numbers. */
static es_code formula_other(formula *f, formula_value *left, es_code (*side)(formula *, formula_value *), double *right)
{
    formula_value other;
    es_code code = formula_number(f, left);
    if (code == ES_OK)
        code = side(f, &other);
    if (code == ES_OK)
        code = formula_number(f, &other);
    *right = code ? 0.0 : other.number;
    return code;
}

static es_code formula_product(formula *f, formula_value *value)
{
    es_code code = formula_factor(f, value);
    for (char c; code == ES_OK && ((c = formula_next(f)) == '*' || c == '/');) {
        double other;
        f->at++;
        code = formula_other(f, value, formula_factor, &other);
        if (code == ES_OK && c == '/' && other == 0.0 && !f->measures)
            return es_err_set(f->err, ES_EINPUT, "\"%s\": divides by 0", f->text);
        value->number = c == '*' ? value->number * other : other == 0.0 ? (double)NAN : value->number / other;
    }
    return code;
}

static es_code formula_sum(formula *f, formula_value *value)
{
    es_code code = formula_product(f, value);
    for (char c; code == ES_OK && ((c = formula_next(f)) == '+' || c == '-');) {
        double other;
        f->at++;
        code = formula_other(f, value, formula_product, &other);
        value->number += c == '+' ? other : -other;
    }
    return code;
}

/* ---- conditions ---- */

typedef enum formula_sign { FORMULA_EQUAL, FORMULA_UNLIKE, FORMULA_AT_MOST, FORMULA_AT_LEAST, FORMULA_BELOW, FORMULA_ABOVE, FORMULA_SIGNS } formula_sign;

static formula_sign formula_take_sign(formula *f)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">"};
    formula_next(f);
    for (int i = 0; i < FORMULA_SIGNS; i++)
        if (strncmp(f->at, signs[i], strlen(signs[i])) == 0) {
            f->at += strlen(signs[i]);
            return (formula_sign)i;
        }
    return FORMULA_SIGNS;
}

static bool formula_holds(formula_sign sign, double a, double b)
{
    switch (sign) {
    case FORMULA_EQUAL: return a == b;
    case FORMULA_UNLIKE: return a != b;
    case FORMULA_AT_MOST: return a <= b;
    case FORMULA_AT_LEAST: return a >= b;
    case FORMULA_BELOW: return a < b;
    default: return a > b;
    }
}

static es_code formula_comparison(formula *f, formula_value *value)
{
    formula_value other;
    es_code code = formula_sum(f, value);
    formula_sign sign = code ? FORMULA_SIGNS : formula_take_sign(f);
    if (sign == FORMULA_SIGNS)
        return code;
    if ((code = formula_sum(f, &other)) != ES_OK)
        return code;
    double a, b;
    bool number = (!*value->text || formula_quantity(value->text, &a)) && (!*other.text || formula_quantity(other.text, &b));
    if (!number && sign <= FORMULA_UNLIKE) {
        bool same = strcmp(value->text, other.text) == 0;
        *value = (formula_value){.number = same == (sign == FORMULA_EQUAL)};
        return ES_OK;
    }
    if ((code = formula_number(f, value)) != ES_OK || (code = formula_number(f, &other)) != ES_OK)
        return code;
    value->number = formula_holds(sign, value->number, other.number);
    return ES_OK;
}

/* Takes the word when it comes next. */
static bool formula_word(formula *f, const char *word)
{
    size_t length = strlen(word);
    formula_next(f);
    bool there = strncmp(f->at, word, length) == 0 && !isalnum((unsigned char)f->at[length]) && f->at[length] != '_' && f->at[length] != '.';
    f->at += there ? length : 0;
    return there;
}

static es_code formula_both(formula *f, formula_value *value)
{
    bool all = true, joined = false;
    for (;; joined = true) {
        bool negated = false, inverse = false;
        for (; formula_word(f, "not"); negated = true)
            inverse = !inverse;
        es_code code = formula_comparison(f, value);
        bool more = code == ES_OK && formula_word(f, "and");
        if (code == ES_OK && (negated || joined || more))
            code = formula_number(f, value);
        if (code)
            return code;
        if (negated)
            value->number = (value->number == 0.0) == inverse;
        all = all && value->number != 0.0;
        if (!more)
            break;
    }
    if (joined)
        value->number = all;
    return ES_OK;
}

static es_code formula_either(formula *f, formula_value *value)
{
    bool any = false, joined = false;
    for (;; joined = true) {
        es_code code = formula_both(f, value);
        bool more = code == ES_OK && formula_word(f, "or");
        if (code == ES_OK && (joined || more))
            code = formula_number(f, value);
        if (code)
            return code;
        any = any || value->number != 0.0;
        if (!more)
            break;
    }
    if (joined)
        value->number = any;
    return ES_OK;
}

static es_code formula_all(formula *f, double *value)
{
    formula_value result;
    *value = 0.0;
    es_code code = formula_either(f, &result);
    if (code == ES_OK && formula_next(f) != '\0')
        return es_err_set(f->err, ES_EINPUT, "\"%s\": \"%s\" is left over", f->text, f->at);
    if (code == ES_OK)
        code = formula_number(f, &result);
    if (code == ES_OK)
        *value = result.number;
    return code;
}

es_code es_formula_with(const char *text, es_formula_find *find, void *self, double *value, es_err *err)
{
    formula f = {.text = text, .at = text, .find = find, .self = self, .err = err};
    return formula_all(&f, value);
}

es_code es_formula_measure(const char *text, es_formula_find *find, void *self, double *value, es_err *err)
{
    formula f = {.text = text, .at = text, .find = find, .self = self, .measures = true, .err = err};
    return formula_all(&f, value);
}

static const es_json *formula_report(void *self, const char *path)
{
    return es_json_at(self, path);
}

es_code es_formula(const char *text, const es_json *report, double *value, es_err *err)
{
    return es_formula_with(text, formula_report, (void *)(uintptr_t)report, value, err);
}
