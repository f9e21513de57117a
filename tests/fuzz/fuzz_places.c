/* Fuzzes the maps of places (traces/placed.c), JSON and .npy: what is taken names experts that there are. */
#include "sim/base/arena.h"
#include "tests/fuzz/fuzz.h"
#include "traces/placed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    es_arena arena = {0};
    es_err err = {0};
    es_places map;
    const uint32_t experts = size > 0 && data[size - 1] % 2 ? 8 : 0;
    es_code code = es_places_load(&map, fuzz_file(data, size), experts, &arena, &err);
    if (code) {
        FUZZ_HOLDS(err.code == code && err.text[0] != '\0');
    } else {
        FUZZ_HOLDS(map.layers > 0 && map.places > 0 && (experts == 0 || map.experts == experts));
        for (size_t i = 0; i < (size_t)map.layers * map.places; i++)
            FUZZ_HOLDS(map.expert[i] == ES_NO_EXPERT || map.expert[i] < map.experts);
    }
    es_arena_free(&arena);
    return 0;
}
