/* Heap: ids by key, least first, made for keys that only grow.
 *
 * Raising the key of a member needs no call: the owner keeps the true keys in an array, and an entry is brought up to date when
 * it reaches the top (es_heap_settle). So a policy whose scores grow with use pays for order only when it looks for a victim,
 * and at most once per use. Binary, in an array given by the owner; nothing is allocated. */
#ifndef ES_BASE_HEAP_H
#define ES_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct es_heap_entry {
    uint64_t key;               /* as it was when the entry was last placed: at most the true key */
    uint32_t id;
} es_heap_entry;

typedef struct es_heap {
    es_heap_entry *entry;
    uint32_t count, room;
} es_heap;

static inline void es_heap_down(es_heap *h, uint32_t i, es_heap_entry e)
{
    for (uint32_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && h->entry[child + 1].key < h->entry[child].key)
            child++;
        if (h->entry[child].key >= e.key)
            break;
        h->entry[i] = h->entry[child];
    }
    h->entry[i] = e;
}

static inline void es_heap_add(es_heap *h, uint64_t key, uint32_t id)
{
    uint32_t i = h->count++;
    while (i > 0 && h->entry[(i - 1) / 2].key > key) {
        h->entry[i] = h->entry[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->entry[i] = (es_heap_entry){key, id};
}

/* Brings the top up to date against the true keys (by id) until the top is right. The heap is not empty. */
static inline void es_heap_settle(es_heap *h, const uint64_t *key)
{
    for (uint64_t now; (now = key[h->entry[0].id]) != h->entry[0].key;)
        es_heap_down(h, 0, (es_heap_entry){now, h->entry[0].id});
}

/* Takes the top away. */
static inline void es_heap_drop(es_heap *h)
{
    es_heap_entry last = h->entry[--h->count];
    if (h->count > 0)
        es_heap_down(h, 0, last);
}

#endif
