/* Profile memory: see profile_memory.h. */
#include "models/profile_memory.h"

#include <string.h>

#define TIME(word, text) {.name = #word, .type = ES_OPT_TIME, .offset = offsetof(es_profile_memory, word), .max = 9e15, .help = text}

static const char *const provenance_names[] = {"unstated", "measured", "reported", "theoretical", "synthetic", NULL};

const es_option es_profile_memory_options[] = {
    TIME(pool, "A piece of a heap that is there, at least."),
    TIME(pool_most, "And at most; not above `pool`: always that."),
    TIME(device, "A buffer of the device, at least."),
    TIME(device_most, "And at most."),
    TIME(shared, "A buffer that the host can write, too, at least."),
    TIME(shared_most, "And at most."),
    TIME(heap, "Making a heap, beside its pages."),
    {.name = "page", .type = ES_OPT_BYTES, .offset = offsetof(es_profile_memory, page), .def = 16384, .min = 1, .max = 0x1p40, .help = "What is mapped at once."},
    TIME(touch, "Mapping a page of the device at its first use."),
    {.name = "huge", .type = ES_OPT_BYTES, .offset = offsetof(es_profile_memory, huge), .max = 0x1p40, .help = "A huge page: what fills whole ones is mapped by them, the rest by pages; 0: none."},
    TIME(huge_touch, "Mapping a huge page."),
    TIME(resident, "In every step, for each buffer that may be read by itself: making it resident."),
    TIME(resident_heap, "The same, for each buffer of a heap."),
    TIME(resident_set, "The same, for each buffer of a residency set."),
    TIME(wire, "Making host memory usable by the device where it lies, for each buffer."),
    TIME(fault, "And for each of its pages."),
    {.name = "provenance", .type = ES_OPT_ENUM, .offset = offsetof(es_profile_memory, provenance), .choices = provenance_names, .help = "How these are known."},
    {.name = "source", .type = ES_OPT_TEXT, .offset = offsetof(es_profile_memory, source), .required = true, .help = "Who says so, under which conditions."},
    {.name = "note", .type = ES_OPT_TEXT, .offset = offsetof(es_profile_memory, note), .help = "What else one should know."},
    {0},
};

es_code es_profile_memory_parse(const es_profile_memory **out, size_t *count, const es_json *section, es_arena *arena, es_err *err)
{
    *out = NULL;
    *count = 0;
    if (section && !cJSON_IsObject(section))
        return es_err_set(err, ES_EINPUT, "needs an object of memories by name, found %s", es_json_kind(section));
    es_profile_memory *memory = ES_NEW_ARRAY(arena, section ? cJSON_GetArraySize(section) : 0, es_profile_memory);
    if (!memory)
        return es_err_nomem(err, "the memories of a profile");
    const es_json *item;
    cJSON_ArrayForEach(item, section) {
        es_profile_memory *m = &memory[*count];
        es_code code = es_options_parse(es_profile_memory_options, m, item, NULL, arena, err);
        if (code == ES_OK && m->provenance == 0)
            code = es_err_set(err, ES_EINPUT, "a memory needs both a source and a provenance: measured, reported, theoretical or synthetic");
        if (code == ES_OK && !(m->name = es_arena_text(arena, item->string)))
            code = es_err_nomem(err, "the memories of a profile");
        if (code)
            return es_err_at(err, "%s", item->string), code;
        (*count)++;
    }
    *out = memory;
    return ES_OK;
}

const es_profile_memory *es_profile_memory_find(const es_profile_memory *memory, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(memory[i].name, name) == 0)
            return &memory[i];
    return NULL;
}
