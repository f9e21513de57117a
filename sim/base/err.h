/* Errors: what went wrong, told to the person who can act.
 *
 * Every fallible function returns es_code and takes an es_err last. The function that finds the fault says what it found
 * and what would be right (es_err_set); each caller on the way up adds where (es_err_at), so the text ends up as
 *     configs/coverage.json: policy.l2_threshold: 1.4 is above 0.9, the most it may be
 * A NULL es_err is allowed where only success matters: es_err_set still returns its code, es_err_at can only say ES_EINTERNAL. */
#ifndef ES_BASE_ERR_H
#define ES_BASE_ERR_H

#include <stdarg.h>

typedef enum es_code {          /* also the exit codes of the tool */
    ES_OK = 0,
    ES_EINTERNAL = 1,           /* our own fault, or no memory */
    ES_EINPUT = 2,              /* config, option, trace or command line */
    ES_EDEVICE = 3,             /* a device or library is absent */
    ES_ESTUCK = 4,              /* the simulation can make no progress */
    ES_ECHECK = 5               /* a check failed: selftest, validate, audit */
} es_code;

typedef struct es_err {
    es_code code;
    char text[1024];
} es_err;

#if defined(__GNUC__)
#define ES_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define ES_PRINTF(fmt, first)
#endif

/* Sets code and text; returns code. */
es_code es_err_set(es_err *err, es_code code, const char *fmt, ...) ES_PRINTF(3, 4);

/* Puts "WHERE: " before the text; returns the code that is there. */
es_code es_err_at(es_err *err, const char *fmt, ...) ES_PRINTF(2, 3);

/* What the system refused: "PATH: cannot VERB: " and what errno says; ES_EINPUT. */
es_code es_err_system(es_err *err, const char *path, const char *verb);

/* No memory: the one message for it. `what` names what was being made. */
es_code es_err_nomem(es_err *err, const char *what);

#endif
