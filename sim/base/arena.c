/* Arena: blocks in a chain, each at least as large as what asked for it. See arena.h. */
#include "sim/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGN = 64, ARENA_BLOCK = 64 * 1024 };

struct es_arena_block {
    es_arena_block *older;
    size_t room, used;
    unsigned char *data;        /* first aligned byte behind the header */
};

void *es_arena_alloc(es_arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX - 4 * ARENA_ALIGN) / size)
        return NULL;
    size_t bytes = (count * size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (bytes == 0)
        bytes = ARENA_ALIGN;
    es_arena_block *block = arena->last;
    if (!block || block->room - block->used < bytes) {
        size_t room = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
        if (room > SIZE_MAX - sizeof *block - ARENA_ALIGN)
            return NULL;
        /* calloc: large blocks come from the kernel zeroed, so memory that is never used is never touched */
        block = calloc(1, sizeof *block + ARENA_ALIGN + room);
        if (!block)
            return NULL;
        uintptr_t first = (uintptr_t)(block + 1);
        block->data = (unsigned char *)(block + 1) + (ARENA_ALIGN - first % ARENA_ALIGN) % ARENA_ALIGN;
        block->room = room;
        block->older = arena->last;
        arena->last = block;
    }
    void *out = block->data + block->used;
    block->used += bytes;
    arena->bytes += bytes;
    arena->calls++;
    return out;
}

char *es_arena_text(es_arena *arena, const char *text)
{
    size_t length = strlen(text) + 1;
    char *copy = es_arena_alloc(arena, length, 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

void es_arena_free(es_arena *arena)
{
    for (es_arena_block *block = arena->last, *older; block; block = older) {
        older = block->older;
        free(block);
    }
    *arena = (es_arena){0};
}
