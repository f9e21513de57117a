/* Belady cache: see belady_cache.h.
 *
 * A cache remembers the farthest of each space, and which space has the farthest of all; a use can only move that up (what is used now had the
 * nearest next use of its space), so only a departure makes a space be looked through again. */
#include "sim/curve/belady_cache.h"

#include <string.h>

static inline int64_t belady_unit(const es_belady_sizes *b, uint32_t space)
{
    return b->ask->bytes ? b->ask->bytes[space] : 1;
}

static inline uint64_t belady_reach(const es_belady_sizes *b, const es_belady_cache *c, uint32_t object)
{
    return (uint64_t)b->coming[object] << 32 | (UINT32_MAX - c->entered[object]);
}

static inline void belady_offer(const es_belady_sizes *b, es_belady_cache *c, uint32_t space, uint32_t object)
{
    const uint64_t reach = belady_reach(b, c, object);
    if (reach > c->reach[space]) {
        c->reach[space] = reach;
        c->farthest[space] = object;
        if (c->top != UINT32_MAX && reach > c->reach[c->top])
            c->top = space;
    }
}

/* The reach of a space was looked for anew. */
static inline void belady_retop(es_belady_cache *c, uint32_t space)
{
    if (c->top == space)
        c->top = UINT32_MAX;
    else if (c->top != UINT32_MAX && c->reach[space] > c->reach[c->top])
        c->top = space;
}

/* The same by ranks. */
static inline void belady_look_up(const es_belady_sizes *b, es_belady_cache *c, uint32_t space, uint64_t candidates)
{
    const es_belady_ranks *ranks = &b->ranks[space];
    uint32_t r = 0;
    for (uint32_t half = ES_BELADY_BITS / 2; half > 0; half /= 2)
        r += candidates & ranks->upto[r + half - 1] ? 0 : half;
    uint32_t object = space * b->stride + ranks->expert[r];
    for (uint32_t t = r; ranks->tied >> t & 1; t++) {
        const uint32_t other = space * b->stride + ranks->expert[t + 1];
        if (candidates >> ranks->expert[t + 1] & 1 && c->entered[other] < c->entered[object])
            object = other;
    }
    c->farthest[space] = object;
    c->reach[space] = candidates ? belady_reach(b, c, object) : 0;
    belady_retop(c, space);
}

/* Looks a space through, but for the experts in `except`. */
static void belady_look(const es_belady_sizes *b, es_belady_cache *c, uint32_t space, const uint64_t *except)
{
    const uint64_t *resident = c->resident + (size_t)space * b->words;
    uint32_t best = 0, use = 0;
    bool equal = false;
    if (b->ranks) {
        belady_look_up(b, c, space, except ? resident[0] & ~except[0] : resident[0]);
        return;
    }
    for (uint32_t w = 0; w < b->words; w++) {
        const uint32_t *coming = b->coming + (size_t)space * b->stride + w * 64;
        for (uint64_t left = except ? resident[w] & ~except[w] : resident[w]; left; left &= left - 1) {
            const uint32_t bit = (uint32_t)__builtin_ctzll(left);
            equal |= coming[bit] == use;
            best = coming[bit] > use ? w * 64 + bit : best;
            use = coming[bit] > use ? coming[bit] : use;
        }
    }
    c->farthest[space] = space * b->stride + best;
    c->reach[space] = use == 0 ? 0 : belady_reach(b, c, c->farthest[space]);
    belady_retop(c, space);
    if (use == 0 || !equal)
        return;
    for (uint32_t w = 0; w < b->words; w++)
        for (uint64_t left = except ? resident[w] & ~except[w] : resident[w]; left; left &= left - 1)
            belady_offer(b, c, space, space * b->stride + w * 64 + (uint32_t)__builtin_ctzll(left));
}

static inline void belady_set(const es_belady_sizes *b, es_belady_cache *c, uint32_t space, uint32_t object, bool there)
{
    const uint32_t at = object - space * b->stride;
    uint64_t *word = &c->resident[(size_t)space * b->words + at / 64], bit = 1ull << (at & 63);
    *word = there ? *word | bit : *word & ~bit;
    c->used[b->bucket] += there ? belady_unit(b, space) : -belady_unit(b, space);
}

/* The space whose farthest is the farthest of all that may leave; `spaces` where none has any. What is left of a farthest that is
 * used now does not count: it is of the event at hand. */
static inline uint32_t belady_space(const es_belady_sizes *b, es_belady_cache *c, uint64_t least)
{
    if (b->buckets > 1)
        return c->reach[b->space] >= least ? b->space : b->spaces;
    if (c->top == UINT32_MAX) {
        c->top = 0;
        for (uint32_t s = 1; s < b->spaces; s++)
            c->top = c->reach[s] > c->reach[c->top] ? s : c->top;
    }
    return c->reach[c->top] >= least ? c->top : b->spaces;
}

/* The farthest leaves, but none in `except` of the event's space; `least`: none whose reach is below. UINT32_MAX: there is none. */
static inline uint32_t belady_leave(const es_belady_sizes *b, es_belady_cache *c, const uint64_t *except, uint64_t least)
{
    const uint32_t space = belady_space(b, c, least);
    if (space == b->spaces)
        return UINT32_MAX;
    const uint32_t object = c->farthest[space];
    belady_set(b, c, space, object, false);
    belady_look(b, c, space, space == b->space ? except : NULL);
    return object;
}

static inline uint64_t belady_others(const es_belady_sizes *b)
{
    return ((uint64_t)b->now + 1) << 32;
}

/* Others leave until the cache takes no more than `most`. */
static void belady_make(const es_belady_sizes *b, es_belady_cache *c, int64_t most)
{
    while (c->used[b->bucket] > most && belady_leave(b, c, b->pinned, belady_others(b)) != UINT32_MAX)
        ;
}

/* What is resident of the event counts from now on: with bypass those used last first, until what is left cannot be the farthest. */
static inline void belady_count_in(const es_belady_sizes *b, es_belady_cache *c)
{
    const uint64_t *resident = c->resident + (size_t)b->space * b->words;
    for (uint32_t m = b->bypass ? b->count : 0; m-- > 0;) {
        const uint32_t i = b->order[m], id = b->id[i];
        if (b->next[i] < c->reach[b->space] >> 32)
            return;
        if (resident[id >> 6] >> (id & 63) & 1)
            belady_offer(b, c, b->space, b->space * b->stride + id);
    }
    if (b->bypass)
        return;
    for (uint32_t w = 0; w < b->words; w++)
        for (uint64_t left = resident[w] & b->mask[w]; left; left &= left - 1)
            belady_offer(b, c, b->space, b->space * b->stride + w * 64 + (uint32_t)__builtin_ctzll(left));
}

/* The same where the whole event is resident, as it nearly always is. */
static inline void belady_whole(const es_belady_sizes *b, es_belady_cache *c)
{
    if (b->tied)
        belady_count_in(b, c);
    else if (b->last_use >= c->reach[b->space] >> 32)
        belady_offer(b, c, b->space, b->last);
}

/* Misses that are to be kept get their place in the order of arrival. */
static inline void belady_note(const es_belady_sizes *b, es_belady_cache *c)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (b->stay[b->id[i] >> 6] >> (b->id[i] & 63) & 1)
            c->entered[b->space * b->stride + b->id[i]] = ++c->clock;
}

static inline void belady_enter(const es_belady_sizes *b, es_belady_cache *c, int64_t units)
{
    for (uint32_t w = 0; w < b->words; w++)
        c->resident[(size_t)b->space * b->words + w] |= b->stay[w];
    c->used[b->bucket] += units;
}

/* It stays after all. */
static void belady_return(const es_belady_sizes *b, es_belady_cache *c, uint32_t object)
{
    belady_set(b, c, object / b->stride, object, true);
    belady_offer(b, c, object / b->stride, object);
}

/* The misses that are used soonest take the free room, then the places of residents that are used later than they are. Those leave
 * at once; of unequal sizes too many may have been claimed, and the last of them stay. Returns what the kept take. */
static int64_t belady_admit(es_belady_sizes *b, es_belady_cache *c, const uint64_t *resident)
{
    const int64_t unit = belady_unit(b, b->space);
    int64_t kept = 0;
    uint32_t claims = 0;
    memset(b->stay, 0, b->words * sizeof *b->stay);
    for (uint32_t m = 0; m < b->count; m++) {
        const uint32_t i = b->order[m];
        if (resident[b->id[i] >> 6] >> (b->id[i] & 63) & 1)
            continue;
        while (b->next[i] != ES_NEVER_USED && c->used[b->bucket] + kept + unit > c->room) {
            const uint32_t left = belady_leave(b, c, b->pinned, ((uint64_t)b->next[i] + 1) << 32);
            if (left == UINT32_MAX)
                break;
            b->claimed[claims++] = left;
        }
        if (c->used[b->bucket] + kept + unit <= c->room) {
            b->stay[b->id[i] >> 6] |= 1ull << (b->id[i] & 63);
            kept += unit;
        }
    }
    while (claims > 0 && (b->ask->rule == ES_CURVE_KEEP_BEST ||
        c->used[b->bucket] + kept + belady_unit(b, b->claimed[claims - 1] / b->stride) <= c->room))
        belady_return(b, c, b->claimed[--claims]);
    return kept;
}

/* The same by slots, where what leaves is what comes: who finds no place ends it, for the others are used later. */
static int64_t belady_admit_slots(es_belady_sizes *b, es_belady_cache *c, const uint64_t *resident)
{
    int64_t free = c->room - c->used[b->bucket], kept = 0;
    memset(b->stay, 0, b->words * sizeof *b->stay);
    for (uint32_t m = 0; m < b->count; m++) {
        const uint32_t i = b->order[m], id = b->id[i];
        if (resident[id >> 6] >> (id & 63) & 1)
            continue;
        if (free > 0)
            free--;
        else if (b->next[i] == ES_NEVER_USED || belady_leave(b, c, b->pinned, ((uint64_t)b->next[i] + 1) << 32) == UINT32_MAX)
            break;
        b->stay[id >> 6] |= 1ull << (id & 63);
        kept++;
    }
    return kept;
}

/* Room for one miss, out of what may leave, some of the event too: all of it or nothing. */
static bool belady_room(const es_belady_sizes *b, es_belady_cache *c, int64_t unit)
{
    uint32_t claims = 0;
    belady_look(b, c, b->space, b->guard);
    while (c->used[b->bucket] + unit > c->room) {
        const uint32_t left = belady_leave(b, c, b->guard, 1ull << 32);
        if (left == UINT32_MAX)
            break;
        b->claimed[claims++] = left;
    }
    if (c->used[b->bucket] + unit <= c->room)
        return true;
    while (claims > 0)
        belady_return(b, c, b->claimed[--claims]);
    return false;
}

/* The event needs more than its room: hits are computed first, then each miss as it comes in; each may leave once it is computed, which
 * happens only as far as the next miss needs it. */
static void belady_waves(const es_belady_sizes *b, es_belady_cache *c)
{
    const int64_t unit = belady_unit(b, b->space);
    uint64_t *resident = c->resident + (size_t)b->space * b->words;
    uint16_t *computed = b->rank;
    uint32_t count = 0, freed = 0;
    memcpy(b->guard, b->mask, b->words * sizeof *b->guard);
    for (uint32_t i = 0; i < b->count; i++)
        if (resident[b->id[i] >> 6] >> (b->id[i] & 63) & 1)
            computed[count++] = b->id[i];
    for (uint32_t i = 0; i < b->count; i++) {
        const uint16_t id = b->id[i];
        if (!(b->stay[id >> 6] >> (id & 63) & 1))
            continue;
        for (; !belady_room(b, c, unit) && freed < count; freed++)
            b->guard[computed[freed] >> 6] &= ~(1ull << (computed[freed] & 63));
        belady_set(b, c, b->space, b->space * b->stride + id, true);
        computed[count++] = id;
    }
    belady_look(b, c, b->space, b->mask);
}

/* After the event: what exceeds the room leaves, as the contract says. */
static void belady_trim(es_belady_sizes *b, es_belady_cache *c)
{
    const es_curve_rule rule = b->ask->rule;
    if (c->used[b->bucket] > c->room && rule == ES_CURVE_PERSIST) {
        b->pinned = b->mask;
        belady_look(b, c, b->space, b->mask);
        belady_make(b, c, c->room);
        belady_count_in(b, c);
    } else if (c->used[b->bucket] > c->room) {
        while (c->used[b->bucket] > c->room)
            belady_leave(b, c, NULL, 1ull << 32);
    }
}

/* Bypass by slots where an expert is a bit and the event fits: the misses that are used soonest take the free room, then the places of those used later. */
static void belady_misses_word(es_belady_sizes *b, es_belady_cache *c, uint64_t missed)
{
    const uint32_t space = b->space, first = space * b->stride;
    const uint64_t mask[1] = {b->mask[0]};
    int64_t free = c->room - c->used[b->bucket];
    uint64_t stay = 0;
    for (uint32_t m = 0; m < b->count; m++) {
        const uint32_t i = b->order[m];
        const uint64_t bit = 1ull << b->id[i];
        if (!(missed & bit))
            continue;
        if (free > 0)
            free--;
        else if (b->next[i] == ES_NEVER_USED || belady_leave(b, c, mask, ((uint64_t)b->next[i] + 1) << 32) == UINT32_MAX)
            break;
        stay |= bit;
    }
    for (uint32_t i = 0; stay && i < b->count; i++)
        if (stay >> b->id[i] & 1)
            c->entered[first + b->id[i]] = ++c->clock;
    c->resident[space] |= stay;
    c->used[b->bucket] += __builtin_popcountll(stay);
    belady_count_in(b, c);
}

static void belady_misses(es_belady_sizes *b, es_belady_cache *c, uint32_t hits)
{
    const es_curve_rule rule = b->ask->rule;
    const int64_t unit = belady_unit(b, b->space);
    const uint64_t *resident = c->resident + (size_t)b->space * b->words;
    int64_t units = (b->count - hits) * unit;
    const bool calls = rule == ES_CURVE_SERIALIZED_PINNED && b->called * unit <= c->room;
    b->pinned = calls ? b->call : b->mask;
    if (calls)
        belady_look(b, c, b->space, b->call);
    for (uint32_t w = 0; w < b->words; w++)
        b->stay[w] = b->mask[w] & ~resident[w];
    if (b->bypass)
        units = b->ask->bytes || rule == ES_CURVE_KEEP_BEST ? belady_admit(b, c, resident) : belady_admit_slots(b, c, resident);
    if (units > 0)
        belady_note(b, c);
    if (rule == ES_CURVE_WAVES && hits * unit + units > c->room) {
        belady_waves(b, c);
        belady_count_in(b, c);
        return;
    }
    if (rule != ES_CURVE_KEEP_BEST)
        belady_make(b, c, c->room - units);
    belady_enter(b, c, units);
    if (calls)
        belady_look(b, c, b->space, NULL);
    else if (units == (b->count - hits) * unit)
        belady_whole(b, c);
    else
        belady_count_in(b, c);
    belady_trim(b, c);
}

void es_belady_event(es_belady_sizes *b, es_belady_cache *c, uint64_t *counted)
{
    const uint64_t *resident = c->resident + (size_t)b->space * b->words;
    uint32_t hits = 0;
    if (c->room < belady_unit(b, b->space))
        return;
    for (uint32_t w = 0; w < b->words; w++)
        hits += (uint32_t)__builtin_popcountll(resident[w] & b->mask[w]);
    *counted += hits;
    if (hits < b->count && b->simple && c->room >= b->count) {
        belady_misses_word(b, c, b->mask[0] & ~resident[0]);
        return;
    }
    if (hits < b->count) {
        belady_misses(b, c, hits);
        return;
    }
    belady_whole(b, c);
    if (b->ask->rule == ES_CURVE_PERSIST)
        belady_trim(b, c);
}

/* The event's experts are used at other times now: the others keep their order. */
static void belady_rank(es_belady_sizes *b)
{
    es_belady_ranks *ranks = &b->ranks[b->space];
    const uint32_t *coming = b->coming + (size_t)b->space * b->stride, experts = b->experts;
    uint8_t others[ES_BELADY_BITS];
    uint32_t count = 0, left = b->count;
    uint64_t upto = 0;
    for (uint32_t r = 0; r < experts; r++) {
        others[count] = ranks->expert[r];
        count += !(b->mask[0] >> ranks->expert[r] & 1);
    }
    ranks->tied = 0;
    for (uint32_t r = 0, o = 0; r < experts; r++) {
        const bool own = left > 0 && (o == count || b->next[b->order[left - 1]] >= coming[others[o]]);
        const uint32_t expert = own ? b->id[b->order[--left]] : others[o++];
        ranks->expert[r] = (uint8_t)expert;
        ranks->upto[r] = upto |= 1ull << expert;
        ranks->tied |= r > 0 && coming[ranks->expert[r - 1]] == coming[expert] ? 1ull << (r - 1) : 0;
    }
}

void es_belady_begin(es_belady_sizes *b, const uint16_t *id, const uint32_t *next, uint32_t count, uint32_t space, uint32_t now)
{
    b->id = id;
    b->next = next;
    b->count = count;
    b->space = space;
    b->bucket = b->buckets > 1 ? space : 0;
    b->now = now;
    b->last_use = 0;
    memset(b->mask, 0, b->words * sizeof *b->mask);
    for (uint32_t i = 0; i < count; i++) {
        b->mask[id[i] >> 6] |= 1ull << (id[i] & 63);
        b->coming[space * b->stride + id[i]] = next[i];
        b->tied = next[i] == b->last_use || (b->tied && next[i] < b->last_use);
        b->last = next[i] > b->last_use ? space * b->stride + id[i] : b->last;
        b->last_use = next[i] > b->last_use ? next[i] : b->last_use;
    }
    for (uint32_t i = 0; (b->bypass || b->ranks) && i < count; i++) {
        uint32_t j = i;
        for (; j > 0 && next[b->order[j - 1]] > next[i]; j--)
            b->order[j] = b->order[j - 1];
        b->order[j] = (uint16_t)i;
    }
    if (b->ranks)
        belady_rank(b);
}

void es_belady_empty(const es_belady_sizes *b, es_belady_cache *c)
{
    memset(c->used, 0, b->buckets * sizeof *c->used);
    memset(c->resident, 0, (size_t)b->spaces * b->words * sizeof *c->resident);
    memset(c->reach, 0, b->spaces * sizeof *c->reach);
    c->top = UINT32_MAX;
}
