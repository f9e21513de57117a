/* Stack: recency of objects as a bitmap of time slots, and the stack distance of a use: how many objects were used since it was last used,
 * itself included, which is the least number of slots with which LRU still has it.
 *
 * Every use takes the next slot and sets its bit; the slot of the object's use before is cleared. So the bits that are set behind an object's
 * slot are the objects used since: a count of bits, helped by a count per block of words. When all slots are taken they are numbered anew.
 *
 *   slots  ..1.11.0.1.1|      place[a] = 4: four bits from there to the end, so a is fourth
 *
 * Word 0 has no slots: place 0 is that of objects which were never used. */
#ifndef ES_CURVE_STACK_H
#define ES_CURVE_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/arena.h"

typedef struct es_stack {
    uint32_t objects, slots;    /* slots: those of word 0 included */
    uint32_t next;              /* slot of the next use */
    uint32_t shift;             /* words of a block are 1 << shift */
    uint32_t *place;            /* [objects] slot of the last use; 0: none */
    uint64_t *live;             /* [slots / 64] */
    uint32_t *block;            /* [blocks] bits set in each; NULL: so few words that they are counted one by one */
    uint32_t *below;            /* [slots / 64] scratch of numbering anew */
} es_stack;

/* `most`: so many of the objects are ever used. false: no memory. */
bool es_stack_init(es_stack *stack, uint32_t objects, uint64_t most, es_arena *arena);
void es_stack_empty(es_stack *stack);
/* Makes room for at least `objects` uses. */
void es_stack_renew(es_stack *stack);

/* Distance of an object: 1 for the one used last; objects + 1 for one that was never used. `flat`: the stack has no blocks. */
static inline uint32_t es_stack_depth(const es_stack *stack, uint32_t object, bool flat)
{
    const uint32_t place = stack->place[object], last = (stack->next - 1) >> 6;
    const uint64_t *live = stack->live;
    uint32_t word = place >> 6, depth = (uint32_t)__builtin_popcountll(live[word] >> (place & 63));
    if (flat) {
        for (word++; word <= last; word++)
            depth += (uint32_t)__builtin_popcountll(live[word]);
    } else {
        const uint32_t block = word >> stack->shift, last_block = last >> stack->shift;
        const uint32_t end = block == last_block ? last + 1 : (block + 1) << stack->shift;
        for (word++; word < end; word++)
            depth += (uint32_t)__builtin_popcountll(live[word]);
        for (uint32_t b = block + 1; b <= last_block; b++)
            depth += stack->block[b];
    }
    return place ? depth : stack->objects + 1;
}

/* The objects base + index[0 .. count) become the newest, the last of them last; there must be room. */
static inline void es_stack_use(es_stack *stack, const uint16_t *index, uint32_t count, uint32_t base, bool flat)
{
    uint64_t *live = stack->live;
    uint32_t next = stack->next;
    for (uint32_t i = 0; i < count; i++, next++) {
        uint32_t *place = &stack->place[base + index[i]];
        live[*place >> 6] &= ~(1ull << (*place & 63));
        live[next >> 6] |= 1ull << (next & 63);
        if (!flat) {
            stack->block[*place >> (6 + stack->shift)] -= *place != 0;
            stack->block[next >> (6 + stack->shift)]++;
        }
        *place = next;
    }
    stack->next = next;
}

static inline bool es_stack_has_room(const es_stack *stack, uint32_t count)
{
    return stack->next + count <= stack->slots;
}

#endif
