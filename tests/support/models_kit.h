/* Models kit: what the tests of shapes, profiles and timings share. */
#ifndef ES_TESTS_MODELS_KIT_H
#define ES_TESTS_MODELS_KIT_H

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "models/profile.h"
#include "models/shape.h"
#include "sim/base/json.h"
#include "sim/base/text.h"
#include "sim/part/timing.h"

extern const es_timing es_timing_constant, es_timing_compute, es_timing_affine, es_timing_table, es_timing_jitter, es_timing_alloc, es_timing_paging;

#define MIB 1048576.0
#define GIB 1073741824.0

/* ---- helpers ---- */

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

static inline es_json *json_of(const char *text)
{
    es_json *json = NULL;
    es_err err = { 0 };
    fine(es_json_parse(&json, text, strlen(text), &err), &err);
    return json;
}

static inline es_json *json_file(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/models/%s/%s", ES_SOURCE_ROOT, folder, name);
    es_json *json = NULL;
    es_err err = { 0 };
    fine(es_json_load(&json, path, &err), &err);
    return json;
}

/* Calls `visit` with every *.json of models/FOLDER; returns how many there were. */
static inline size_t each_file(const char *folder, void (*visit)(const char *file))
{
    char path[512];
    snprintf(path, sizeof path, "%s/models/%s", ES_SOURCE_ROOT, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0) {
            visit(entry->d_name);
            count++;
        }
    }
    closedir(dir);
    return count;
}

#endif
