/* Fields of a line of text: numbers read by hand, because a trace has millions of them. Each reader stops behind the last byte that
 * belongs to the number and returns NULL when there is none; the caller looks at what follows. */
#ifndef ES_TRACES_FIELD_H
#define ES_TRACES_FIELD_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A whole number up to UINT32_MAX. */
static inline const char *es_field_u32(const char *p, uint32_t *value)
{
    uint64_t v = (uint64_t)(*p - '0');
    if (v > 9)
        return NULL;
    for (p++; (unsigned)(*p - '0') <= 9; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
        if (v > UINT32_MAX)
            return NULL;
    }
    *value = (uint32_t)v;
    return p;
}

/* The same where it may be written as 33.0 or 33e0, as programs do that hold numbers as reals: for who met something else behind the digits. */
__attribute__((noinline, cold, unused)) static const char *es_field_whole(const char *p, uint32_t *value)
{
    const size_t length = strspn(p, "+-0123456789.eE");
    char text[64];
    if (*p < '0' || *p > '9' || length >= sizeof text)
        return NULL;
    memcpy(text, p, length);
    text[length] = '\0';
    char *end;
    const double v = strtod(text, &end);
    if (end != text + length || !(v <= UINT32_MAX) || v != floor(v))
        return NULL;
    *value = (uint32_t)v;
    return p + length;
}

static inline const char *es_field_i64(const char *p, int64_t *value)
{
    uint64_t v = 0;
    const char *start = p;
    for (; (unsigned)(*p - '0') <= 9; p++) {
        if (v > (INT64_MAX - 9) / 10)
            return NULL;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *value = (int64_t)v;
    return p == start ? NULL : p;
}

/* strtod for what the quick way cannot do exactly; no hexadecimal, no infinities, no white space before. */
static inline const char *es_field_f32_slow(const char *p, float *value)
{
    if ((p[0] == 'n' || p[0] == 'N') && (p[1] == 'a' || p[1] == 'A') && (p[2] == 'n' || p[2] == 'N')) {
        *value = NAN;
        return p + 3;
    }
    size_t length = strspn(p, "+-0123456789.eE");
    char text[64];
    if (length == 0 || length >= sizeof text)
        return NULL;
    memcpy(text, p, length);
    text[length] = '\0';
    char *end;
    double v = strtod(text, &end);
    if (end != text + length || !isfinite((float)v))
        return NULL;
    *value = (float)v;
    return p + length;
}

/* A decimal number or "nan". Up to 15 digits and a small power of ten the division of two exact doubles rounds correctly
 * (Clinger 1990); its rounding to float is then the right one for all numbers of up to 9 digits. */
static inline const char *es_field_f32(const char *p, float *value)
{
    static const double power[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    const char *q = p;
    uint64_t v = 0;
    int digits = 0, behind = 0;
    for (; (unsigned)(*q - '0') <= 9; q++, digits++)
        v = v * 10 + (uint64_t)(*q - '0');
    if (*q == '.') {
        for (q++; (unsigned)(*q - '0') <= 9 && digits + behind <= 15; q++, behind++)
            v = v * 10 + (uint64_t)(*q - '0');
    }
    if (digits + behind == 0 || digits + behind > 15 || *q == 'e' || *q == 'E' || (unsigned)(*q - '0') <= 9)
        return es_field_f32_slow(p, value);
    *value = (float)((double)v / power[behind]);
    return q;
}

#endif
