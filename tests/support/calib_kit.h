/* Calib kit: what the tests of calibration share: a fake machine that is measured, and the seeds' way to write a test. */
#ifndef ES_TESTS_CALIB_KIT_H
#define ES_TESTS_CALIB_KIT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "calib/measure.h"
#include "calib/save.h"
#include "sim/base/json.h"

extern const es_probe es_probe_fake, es_probe_host;

#define KIB 1024LL
#define MIB (1024 * KIB)

static inline void fine(es_code code, const es_err *err)
{
    if (code != ES_OK)
        print_error("%s\n", err->text);
    assert_int_equal(code, ES_OK);
}

static inline void says(const es_err *err, const char *text)
{
    if (!strstr(err->text, text))
        fail_msg("\"%s\" does not say \"%s\"", err->text, text);
}

/* The text is all of the message, but for %n, which stands for a number. */
static inline bool matches(const char *text, const char *pattern)
{
    for (; *pattern; pattern++, text++) {
        if (pattern[0] == '%' && pattern[1] == 'n') {
            size_t digits = strspn(text, "0123456789");
            if (digits == 0)
                return false;
            text += digits - 1;
            pattern++;
        } else if (*text != *pattern) {
            return false;
        }
    }
    return *text == '\0';
}

typedef struct machine {        /* a probe that is open, and the plan for it */
    const es_probe *probe;
    es_arena arena;
    void *self;
    calib_plan plan;
} machine;

/* Opens a probe; `options` is JSON. */
static inline es_code machine_open(machine *m, const es_probe *probe, const char *options, const calib_ask *ask, es_err *err)
{
    *m = (machine){.probe = probe};
    m->self = es_arena_alloc(&m->arena, 1, probe->part.size);
    es_site site = {.arena = &m->arena, .path = "calibrate"};
    es_json *json = NULL;
    es_code code = es_json_parse(&json, options, strlen(options), err);
    if (code == ES_OK)
        code = es_options_parse(probe->part.options, m->self, json, NULL, &m->arena, err);
    cJSON_Delete(json);
    if (code == ES_OK)
        code = probe->part.init(m->self, &site, err);
    es_probe_facts facts = {0};
    if (code == ES_OK) {
        facts = probe->facts(m->self);
        code = calib_plan_make(&m->plan, ask, &facts, &m->arena, err);
    }
    return code;
}

static inline void machine_close(machine *m)
{
    if (m->self)
        m->probe->part.fini(m->self);
    es_arena_free(&m->arena);
}

/* Only the cases of one row, or of all (NULL). */
static inline void machine_only(machine *m, const char *row)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->plan.count; i++)
        if (!row || strcmp(calib_rows[m->plan.at[i].row].name, row) == 0)
            m->plan.at[kept++] = m->plan.at[i];
    m->plan.count = kept;
}

static inline es_code machine_measure(machine *m, es_time budget, calib_samples *samples, es_err *err)
{
    calib_bench *bench = NULL;
    *samples = (calib_samples){.environment = cJSON_CreateObject()};
    es_code code = calib_bench_open(&bench, m->probe, m->self, &m->plan, 1, err);
    if (code == ES_OK)
        code = calib_measure(bench, &m->plan, budget, NULL, samples, err);
    calib_bench_close(bench);
    return code;
}

static inline const calib_series *series_of(const calib_samples *samples, const char *row)
{
    return &samples->row[calib_row_find(row) - calib_rows];
}

#endif
