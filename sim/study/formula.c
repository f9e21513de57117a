/* Formula: see formula.h. By recursive descent: sum, product, factor. */
#include "sim/study/formula.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { FORMULA_PATH = 128, FORMULA_DEEP = 32 };

typedef struct formula {
    const char *text, *at;
    const es_json *report;
    int depth;
    es_err *err;
} formula;

static char formula_next(formula *f)
{
    while (*f->at == ' ')
        f->at++;
    return *f->at;
}

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

static es_code formula_path(formula *f, double *value)
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
    const es_json *found = es_json_at(f->report, path);
    if (cJSON_IsRaw(found))
        *value = strtod(found->valuestring, NULL);
    else if (cJSON_IsNumber(found))
        *value = found->valuedouble;
    else if (cJSON_IsBool(found))
        *value = cJSON_IsTrue(found);
    else
        return es_err_set(f->err, ES_EINPUT, "\"%s\": the report has %s at %s, not a number", f->text, found ? es_json_kind(found) : "nothing", path);
    return ES_OK;
}

static es_code formula_sum(formula *f, double *value);

static es_code formula_factor(formula *f, double *value)
{
    char c = formula_next(f);
    es_code code;
    if (c == '-') {
        f->at++;
        code = formula_factor(f, value);
        *value = -*value;
        return code;
    }
    if (c == '(') {
        f->at++;
        if (++f->depth > FORMULA_DEEP)
            return es_err_set(f->err, ES_EINPUT, "\"%s\": more than %d parentheses in each other", f->text, FORMULA_DEEP);
        if ((code = formula_sum(f, value)) != ES_OK)
            return code;
        f->depth--;
        if (formula_next(f) != ')')
            return es_err_set(f->err, ES_EINPUT, "\"%s\": a parenthesis is not closed", f->text);
        f->at++;
        return ES_OK;
    }
    if (isdigit((unsigned char)c) || c == '.') {
        char *end;
        *value = strtod(f->at, &end);
        f->at = end;
        return ES_OK;
    }
    if (isalpha((unsigned char)c) || c == '_')
        return formula_path(f, value);
    return es_err_set(f->err, ES_EINPUT, "\"%s\": a number, a path or a parenthesis should stand at \"%s\"", f->text, f->at);
}

static es_code formula_product(formula *f, double *value)
{
    es_code code = formula_factor(f, value);
    for (char c; code == ES_OK && ((c = formula_next(f)) == '*' || c == '/');) {
        double other = 0.0;
        f->at++;
        code = formula_factor(f, &other);
        if (code == ES_OK && c == '/' && other == 0.0)
            return es_err_set(f->err, ES_EINPUT, "\"%s\": divides by 0", f->text);
        *value = c == '*' ? *value * other : *value / other;
    }
    return code;
}

static es_code formula_sum(formula *f, double *value)
{
    es_code code = formula_product(f, value);
    for (char c; code == ES_OK && ((c = formula_next(f)) == '+' || c == '-');) {
        double other = 0.0;
        f->at++;
        code = formula_product(f, &other);
        *value = c == '+' ? *value + other : *value - other;
    }
    return code;
}

es_code es_formula(const char *text, const es_json *report, double *value, es_err *err)
{
    formula f = {.text = text, .at = text, .report = report, .err = err};
    *value = 0.0;
    es_code code = formula_sum(&f, value);
    if (code == ES_OK && formula_next(&f) != '\0')
        return es_err_set(err, ES_EINPUT, "\"%s\": \"%s\" is left over", text, f.at);
    return code;
}
