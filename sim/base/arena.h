/* Arena: memory that is given back all at once. A run's state and its parts' state live in one. */
#ifndef ES_BASE_ARENA_H
#define ES_BASE_ARENA_H

#include <stddef.h>

typedef struct es_arena_block es_arena_block;
typedef struct es_arena {
    es_arena_block *last;       /* newest block first; {0} is an empty arena */
    size_t bytes;               /* asked for so far, headers not counted */
    size_t calls;               /* how often; a test checks that it stands still after the first event */
} es_arena;

/* count * size zeroed bytes, aligned to 64; NULL when memory is short or the product overflows. 0 bytes give a valid pointer. */
void *es_arena_alloc(es_arena *arena, size_t count, size_t size);
/* A copy of a string. */
char *es_arena_text(es_arena *arena, const char *text);
void es_arena_free(es_arena *arena);

#define ES_NEW(arena, type) ((type *)es_arena_alloc((arena), 1, sizeof(type)))
#define ES_NEW_ARRAY(arena, count, type) ((type *)es_arena_alloc((arena), (size_t)(count), sizeof(type)))

#endif
