/* Errors: see err.h. */
#include "sim/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

es_code es_err_set(es_err *err, es_code code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
    }
    return code;
}

es_code es_err_at(es_err *err, const char *fmt, ...)
{
    if (!err)
        return ES_EINTERNAL;
    char where[256], old[sizeof err->text];
    size_t room = sizeof err->text;
    va_list args;
    va_start(args, fmt);
    vsnprintf(where, sizeof where, fmt, args);
    va_end(args);
    memcpy(old, err->text, sizeof old);
    size_t used = strlen(where) + 2, kept = strlen(old);
    if (kept > room - used - 1)
        kept = room - used - 1;
    memcpy(err->text, where, used - 2);
    memcpy(err->text + used - 2, ": ", 2);
    memcpy(err->text + used, old, kept);
    err->text[used + kept] = '\0';
    return err->code;
}

es_code es_err_system(es_err *err, const char *path, const char *verb)
{
    return es_err_set(err, ES_EINPUT, "%s: cannot %s: %s", path, verb, strerror(errno));
}

es_code es_err_nomem(es_err *err, const char *what)
{
    return es_err_set(err, ES_EINTERNAL, "no memory for %s", what);
}
