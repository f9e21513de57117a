/* npy head: see npy_head.h. The head is the text of a Python dictionary, {'descr': '<i2', 'fortran_order': False, 'shape': (6, 30, 6), },
 * behind a magic string, a version and its length. */
#include "traces/npy_head.h"

#include <stdlib.h>
#include <string.h>

enum { NPY_FIRST = 12 };                /* bytes of magic string, version and length, at most */

uint64_t es_npy_length(const unsigned char *head, size_t length)
{
    if (length < NPY_FIRST || memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        return 0;
    uint64_t text = head[8] | (uint64_t)head[9] << 8;
    if (head[6] == 1)
        return 10 + text;
    return 12 + (text | (uint64_t)head[10] << 16 | (uint64_t)head[11] << 24);
}

/* What stands behind 'KEY': in the dictionary; NULL: nothing. */
static const char *npy_value(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    if (!p)
        return NULL;
    p += strlen(key);
    p += strspn(p, "'\": ");
    return p;
}

static es_code npy_type(es_npy_head *out, const char *text, es_err *err)
{
    const char *p = strstr(text, "descr"), *end;
    if (!p)
        return es_err_set(err, ES_EINPUT, "the head of the .npy file has no 'descr'");
    p += strcspn(p, ":");
    p += strspn(p, ": ");
    if (*p != '\'' && *p != '"') {
        out->kind = '{';
        return ES_OK;
    }
    p++;
    if (*p == '<' || *p == '>' || *p == '|' || *p == '=')
        out->big_endian = *p++ == '>';
    out->kind = *p ? *p++ : '?';
    unsigned long size = strtoul(p, (char **)&end, 10);
    out->size = size <= 16 ? (uint32_t)size : 0;
    return ES_OK;
}

static es_code npy_shape(es_npy_head *out, const char *text, es_err *err)
{
    const char *p = npy_value(text, "shape");
    if (!p || *p != '(')
        return es_err_set(err, ES_EINPUT, "the head of the .npy file has no 'shape' in parentheses");
    for (p += 1 + strspn(p + 1, " "); *p != ')'; p += strspn(p, ", L")) {
        char *end;
        unsigned long long length = strtoull(p, &end, 10);
        if (end == p || *p == '-' || *p == '+')
            return es_err_set(err, ES_EINPUT, "the shape in the head of the .npy file is not a list of numbers: \"%.40s\"", p);
        if (out->rank == ES_NPY_RANK)
            return es_err_set(err, ES_EINPUT, "the array has more than %d axes", ES_NPY_RANK);
        out->shape[out->rank++] = length;
        p = end;
    }
    return ES_OK;
}

es_code es_npy_parse(es_npy_head *out, const unsigned char *head, size_t length, es_err *err)
{
    *out = (es_npy_head){ 0 };
    out->bytes = es_npy_length(head, length);
    if (out->bytes == 0)
        return es_err_set(err, ES_EINPUT, "byte 0: is no .npy file of version 1 to 3");
    if (out->bytes > ES_NPY_HEAD || out->bytes > length)
        return es_err_set(err, ES_EINPUT, "byte 8: the head has %llu bytes, but %s", (unsigned long long)out->bytes, out->bytes > ES_NPY_HEAD ? "no array needs so many" : "the file ends before");
    size_t from = head[6] == 1 ? 10 : 12;
    char *text = malloc(out->bytes - from + 1);
    if (!text)
        return es_err_nomem(err, "a trace");
    memcpy(text, head + from, out->bytes - from);
    text[out->bytes - from] = '\0';
    const char *fortran = npy_value(text, "fortran_order");
    es_code code = fortran ? ES_OK : es_err_set(err, ES_EINPUT, "the head of the .npy file has no 'fortran_order'");
    out->fortran = fortran && strncmp(fortran, "True", 4) == 0;
    if (!code)
        code = npy_type(out, text, err);
    if (!code)
        code = npy_shape(out, text, err);
    free(text);
    return code;
}

bool es_npy_ids_type(const es_npy_head *head, es_ids_type *type)
{
    for (int t = 0; t < ES_IDS_TYPES; t++)
        if (es_ids_size((es_ids_type)t) == head->size && (t % 2 ? 'i' : 'u') == head->kind) {
            *type = (es_ids_type)t;
            return true;
        }
    return false;
}

/* A row of zeros or of -1 is a dense layer or a missing one, and says nothing. */
static bool npy_row_counts(const unsigned char *row, es_ids_type type, size_t k)
{
    bool twice = false, same = true;
    for (size_t i = 1; i < k; i++) {
        same = same && es_ids_number(row, type, i) == es_ids_number(row, type, 0);
        for (size_t j = 0; j < i && !twice; j++)
            twice = es_ids_number(row, type, i) == es_ids_number(row, type, j) && es_ids_number(row, type, i) != -1;
    }
    return twice && !(same && es_ids_number(row, type, 0) == 0);
}

static int64_t npy_row_sum(const unsigned char *row, es_ids_type type, size_t k)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < k; i++)
        sum += (uint64_t)es_ids_number(row, type, i);
    return (int64_t)sum;
}

bool es_npy_counts(const es_npy_head *npy, const unsigned char *head, size_t length)
{
    es_ids_type type;
    if (!es_npy_ids_type(npy, &type) || npy->big_endian || npy->fortran || npy->rank < 2)
        return false;
    uint64_t k = npy->shape[npy->rank - 1];
    if (k == 0 || k > ES_TRACE_EXPERTS_MAX)
        return false;
    uint64_t rows = 0, twice = 0, alike = 0;
    int64_t last = 0;
    for (uint64_t at = npy->bytes; at + k * npy->size <= length; at += k * npy->size, rows++) {
        const int64_t sum = npy_row_sum(head + at, type, k);
        twice += npy_row_counts(head + at, type, k);
        alike += rows > 0 && sum == last;
        last = sum;
    }
    return twice > 0 && (8 * twice >= rows || 2 * alike >= rows);
}
