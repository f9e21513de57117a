/* Trace kit: what the tests of traces share: a folder for files, sources opened on them, faults by their words.
 *
 * A trace is compared as text, one line per step: "P 0.0(1 2;3) 0.1(-;4)" is a prompt step of request 0 with tokens 0 and 1, whose rows
 * for two layers list experts 1 2 and 3, none and 4. */
#ifndef ES_TESTS_TRACE_KIT_H
#define ES_TESTS_TRACE_KIT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <hdf5.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/base/sha256.h"
#include "sim/base/text.h"
#include "tests/support/folder.h"
#include "traces/export.h"
#include "traces/write.h"

extern const es_source es_source_csv, es_source_route_trace, es_source_native, es_source_synthetic, es_source_environments;

/* libhdf5 loses a few blocks of its own when it meets a corrupt header. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

/* --- the stage ------------------------------------------------------------------------------------------------------------------ */

static inline void put(const char *name, const char *text)
{
    assert_int_equal(es_file_save(at(name), text, strlen(text), NULL), ES_OK);
}

/* A file of any bytes, not forced to the disk, as writing over an old one would be: files that are cut at every byte are thousands. */
static inline void put_bytes(const char *name, const void *bytes, size_t length)
{
    unlink(at(name));
    FILE *file = fopen(at(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static inline void good(es_code code, const es_err *err)
{
    if (code)
        fail_msg("%s", err->text);
}

static inline void expect_fault(es_code code, const es_err *err, const char *part)
{
    if (code != ES_EINPUT || !strstr(err->text, part))
        fail_msg("code %d, is: %s\n  want: %s", (int)code, err->text, part);
}

typedef struct opened { es_arena arena; const es_source *source; void *self; } opened;

static const es_source_ask ask_all = { .weights = true, .residency = true, .guesses = true, .attention = true }, ask_ids = { .path = NULL };

static inline es_code open_source(opened *o, const es_source *source, const char *path, const es_source_ask *ask, es_err *err)
{
    es_source_ask asked = *ask;
    asked.path = path;
    *o = (opened){ .source = source };
    o->self = es_arena_alloc(&o->arena, 1, source->part.size);
    assert_non_null(o->self);
    return source->open(o->self, &asked, &o->arena, err);
}

static inline void close_source(opened *o)
{
    if (o->source->part.fini)
        o->source->part.fini(o->self);
    es_arena_free(&o->arena);
}

static inline opened open_good(const es_source *source, const char *name, const es_source_ask *ask)
{
    opened o;
    es_err err = { 0 };
    good(open_source(&o, source, at(name), ask, &err), &err);
    return o;
}

static inline es_code open_generator(opened *o, const es_source *source, const char *options, es_err *err)
{
    es_json *json = NULL;
    *o = (opened){ .source = source };
    o->self = es_arena_alloc(&o->arena, 1, source->part.size);
    es_code code = es_json_parse(&json, options, strlen(options), err);
    if (!code)
        code = es_options_parse(source->part.options, o->self, json, NULL, &o->arena, err);
    if (!code)
        code = source->open(o->self, &ask_ids, &o->arena, err);
    cJSON_Delete(json);
    return code;
}

static inline es_code open_synthetic(opened *o, const char *options, es_err *err)
{
    return open_generator(o, &es_source_synthetic, options, err);
}

static inline void step_text(es_text *out, const es_trace_info *info, const es_step *step)
{
    es_text_add(out, "%c", step->token[0].phase == ES_PREFILL ? 'P' : 'D');
    for (uint32_t t = 0; t < step->tokens; t++) {
        es_text_add(out, " %u.%u(", step->token[t].request, step->token[t].position);
        for (uint32_t l = 0; l < info->layers; l++) {
            const uint16_t *row = step->ids + ((size_t)t * info->layers + l) * info->top_k;
            es_text_add(out, "%s%s", l ? ";" : "", row[0] == ES_NO_EXPERT ? "-" : "");
            for (uint32_t i = 0; i < info->top_k && row[i] != ES_NO_EXPERT; i++)
                es_text_add(out, "%s%u", i ? " " : "", row[i]);
        }
        es_text_add(out, ")");
    }
    es_text_add(out, "\n");
}

static inline char *source_text(const es_source *source, void *self)
{
    es_text out = { 0 };
    es_err err = { 0 };
    good(source->rewind(self, &err), &err);
    for (bool more = true; more;) {
        es_step step;
        good(source->next(self, &step, &more, &err), &err);
        if (more)
            step_text(&out, source->info(self), &step);
    }
    return out.at;
}

static inline void expect_steps(opened *o, const char *want)
{
    for (int again = 0; again < 2; again++) {   /* and the same after a rewind */
        char *is = source_text(o->source, o->self);
        if (strcmp(is, want) != 0)
            fail_msg("is:\n%swant:\n%s", is, want);
        free(is);
    }
}

static inline void expect_csv(const char *text, const char *want)
{
    put("t.csv", text);
    opened o = open_good(&es_source_csv, "t.csv", &ask_all);
    expect_steps(&o, want);
    close_source(&o);
}

static inline void digest_of(const es_source *source, const char *path, char hex[65])
{
    opened o;
    es_err err = { 0 };
    good(open_source(&o, source, path, &ask_all, &err), &err);
    good(es_trace_check(source, o.self, NULL, hex, &err), &err);
    close_source(&o);
}

static inline void expect_same_bytes(const char *a, const char *b)
{
    char *x, *y;
    size_t m, n;
    assert_int_equal(es_file_load(at(a), 1 << 28, &x, &m, NULL), ES_OK);
    assert_int_equal(es_file_load(at(b), 1 << 28, &y, &n, NULL), ES_OK);
    assert_int_equal(m, n);
    assert_memory_equal(x, y, m);
    free(x);
    free(y);
}

static inline void to_native(const es_source *source, const char *from, const char *to)
{
    es_err err = { 0 };
    opened o = open_good(source, from, &ask_all);
    good(es_trace_write(at(to), source, o.self, &ask_all, false, &err), &err);
    close_source(&o);
}

static inline void to_csv(const es_source *source, const char *from, const char *to)
{
    es_err err = { 0 };
    opened o = open_good(source, from, &ask_all);
    good(es_trace_export_csv(at(to), source, o.self, &ask_all, &err), &err);
    close_source(&o);
}

static const char plain[] = "request_id,token_index,phase,layer,e0,e1\n"
                            "0,0,P,1,1,2\n0,0,P,3,0,5\n0,1,P,1,2,3\n0,1,P,3,4,5\n0,2,D,1,7,1\n0,2,D,3,0,1\n0,3,D,1,1,2\n0,3,D,3,3,4\n9,0,D,1,5,6\n9,0,D,3,6,5\n";
static const char plain_steps[] = "P 0.0(1 2;0 5) 0.1(2 3;4 5)\nD 0.2(7 1;0 1)\nD 0.3(1 2;3 4)\nD 9.0(5 6;6 5)\n";

#define H "request_id,token_index,phase,layer,e0,e1\n"
#define ROUTE_HEAD "# route_trace v1\n# model=/data/my model.gguf arch=qwen3moe n_layer=3 n_expert=8 n_expert_used=2\n"
#define ROUTE_SIZES "# layer=0 expert_bytes=10 dense_bytes=100\n# layer=1 expert_bytes=20 dense_bytes=200\n# layer=2 expert_bytes=30 dense_bytes=300\n"
#define ROUTE_COLUMNS "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes"

#endif
