/* Stack: see stack.h. */
#include "sim/curve/stack.h"

#include <string.h>

enum { STACK_FLAT_WORDS = 16 };     /* up to so many words counting them all is as quick as counting blocks */

bool es_stack_init(es_stack *stack, uint32_t objects, uint64_t most, es_arena *arena)
{
    /* numbering anew costs a pass over the objects: with four times as many slots and more that is a third of an object per use, or less */
    uint64_t slots = 256;
    while (slots < 4 * (most + 16))
        slots *= 2;
    if (slots > UINT32_MAX)
        return false;
    const uint32_t words = (uint32_t)(slots / 64);
    *stack = (es_stack){.objects = objects, .slots = (uint32_t)slots, .next = 64};
    while (words >> (2 * stack->shift) > 1)
        stack->shift++;
    stack->place = ES_NEW_ARRAY(arena, objects, uint32_t);
    stack->live = ES_NEW_ARRAY(arena, words, uint64_t);
    stack->below = ES_NEW_ARRAY(arena, words, uint32_t);
    stack->block = words > STACK_FLAT_WORDS ? ES_NEW_ARRAY(arena, (words >> stack->shift) + 1, uint32_t) : NULL;
    return stack->place && stack->live && stack->below && (stack->block || words <= STACK_FLAT_WORDS);
}

void es_stack_empty(es_stack *stack)
{
    const uint32_t words = stack->slots / 64;
    memset(stack->place, 0, stack->objects * sizeof *stack->place);
    memset(stack->live, 0, words * sizeof *stack->live);
    if (stack->block)
        memset(stack->block, 0, ((words >> stack->shift) + 1) * sizeof *stack->block);
    stack->next = 64;
}

void es_stack_renew(es_stack *stack)
{
    const uint32_t words = stack->slots / 64;
    uint32_t live = 0;
    for (uint32_t w = 0; w < words; w++) {
        stack->below[w] = 64 + live;
        live += (uint32_t)__builtin_popcountll(stack->live[w]);
    }
    for (uint32_t object = 0; object < stack->objects; object++) {
        const uint32_t place = stack->place[object], word = place >> 6;
        if (place)
            stack->place[object] = stack->below[word] + (uint32_t)__builtin_popcountll(stack->live[word] & ((1ull << (place & 63)) - 1));
    }
    stack->next = 64 + live;
    for (uint32_t w = 1; w < words; w++)
        stack->live[w] = w * 64 + 64 <= stack->next ? ~0ull : w * 64 >= stack->next ? 0 : (1ull << (stack->next & 63)) - 1;
    if (!stack->block)
        return;
    memset(stack->block, 0, ((words >> stack->shift) + 1) * sizeof *stack->block);
    for (uint32_t w = 1; w < words; w++)
        stack->block[w >> stack->shift] += (uint32_t)__builtin_popcountll(stack->live[w]);
}
