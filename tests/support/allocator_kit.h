/* Allocator kit: an allocator that places, alone, without a run.
 *
 *     allocated a;
 *     allocated_open(&a, &es_allocator_heaps, "{\"heaps\": 2}", INT64_MAX, 0, NULL, 0);
 *     es_json *report = allocated_report(&a);          allocated_said(report, "checkout.leaked")
 *     es_arena_free(&a.arena); */
#ifndef TESTS_ALLOCATOR_KIT_H
#define TESTS_ALLOCATOR_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/allocator.h"

typedef struct allocated {
    es_arena arena;
    const es_allocator *allocator;
    void *self;
    const es_pool_view *pool;
    es_block *block;            /* [objects] for the test: where each lies */
    uint64_t *fixed;            /* [objects / 64] who may not be dropped */
    es_drop *dropped;           /* [ALLOCATED_POOLS * objects] scratch of allocated_compact */
    es_compaction last;         /* what it did */
    es_err err;
} allocated;

enum { ALLOCATED_POOLS = 8 };

/* The code of the options or of opening; objects from 0 on. */
static inline es_code allocated_try(allocated *a, const es_allocator *allocator, const char *options, int64_t capacity, uint32_t objects, const es_place_ask *kind,
    uint32_t kinds)
{
    es_json *json = NULL;
    *a = (allocated){.allocator = allocator};
    a->self = es_arena_alloc(&a->arena, 1, allocator->part.size);
    a->block = ES_NEW_ARRAY(&a->arena, (size_t)objects + 1, es_block);
    a->fixed = ES_NEW_ARRAY(&a->arena, (size_t)objects / 64 + 1, uint64_t);
    a->dropped = ES_NEW_ARRAY(&a->arena, ALLOCATED_POOLS * ((size_t)objects + 1), es_drop);
    assert_true(a->self && a->block && a->fixed && a->dropped);
    assert_int_equal(es_json_parse(&json, options, strlen(options), &a->err), ES_OK);
    es_code code = es_options_parse(allocator->part.options, a->self, json, NULL, &a->arena, &a->err);
    if (code == ES_OK)
        code = allocator->open(a->self, capacity, 0, objects, kind, kinds, &a->arena, &a->err);
    cJSON_Delete(json);
    allocator->pools(a->self, &a->pool);
    return code;
}

static inline void allocated_open(allocated *a, const es_allocator *allocator, const char *options, int64_t capacity, uint32_t objects, const es_place_ask *kind,
    uint32_t kinds)
{
    if (allocated_try(a, allocator, options, capacity, objects, kind, kinds) != ES_OK)
        fail_msg("%s", a->err.text);
}

/* Rearranges itself if it is due, for what found no place or (NULL) for a newcomer. */
static inline bool allocated_compact(allocated *a, const es_place_ask *ask, es_time now)
{
    if (!a->allocator->due(a->self, ask, now))
        return false;
    a->last = (es_compaction){.block = a->block, .fixed = a->fixed, .dropped = a->dropped};
    return a->allocator->compact(a->self, &a->last, now);
}

/* With a row for each pool, as the core has it. The caller deletes it. */
static inline es_json *allocated_report(const allocated *a)
{
    es_json *out = cJSON_CreateObject(), *rows = es_json_add_object(out, "pools");
    const es_pool_view *pool = NULL;
    const uint32_t pools = a->allocator->pools(a->self, &pool);
    for (uint32_t p = 0; p < pools; p++)
        es_json_add_object(rows, pool[p].name);
    a->allocator->report((const void *const[]){a->self}, 1, out);
    return out;
}

static inline double allocated_said(const es_json *report, const char *path)
{
    const es_json *value = es_json_at(report, path);
    if (!value)
        fail_msg("the report has no %s", path);
    return cJSON_IsRaw(value) ? strtod(value->valuestring, NULL) : value->valuedouble;
}

#endif
