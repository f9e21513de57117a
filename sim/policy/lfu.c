/* LFU: the least used leaves first; between equals the least recently used, or as contract.ties says.
 *
 * `counts: persistent` remembers uses for ever (BigMoeOnEdge, StrataMoE, onnx-genai); `resident` forgets them when the expert
 * leaves, which is a different policy: on decode order it can freeze. A key is (count, order) in one word.
 *
 * What is listed stands in cells by count, each a circular list: one cell per count below 128, from there on 64 per power of two,
 * so that an expert much used changes its cell seldom. A mask says which cells are not empty. In a cell of one count new entries
 * go to the end, so under the own rule its first is its least; any other cell is looked through, and holds one or two. */
#include "sim/part/policy.h"

/* One use. Below it stands the order: 10^12 uses in all and 16 million of one expert; beyond that counts stand still. */
#define LFU_ONE (1ull << 40)
#define LFU_MOST (UINT64_MAX - 65536 * LFU_ONE)

enum { LFU_EXACT = 128, LFU_CELLS = 64 * 19, LFU_WORDS = LFU_CELLS / 64 };  /* 24 bits of count: 17 powers of two above LFU_EXACT */

typedef struct lfu_node {
    uint32_t prev, next;
} lfu_node;

typedef struct lfu_cells {      /* of one bucket */
    uint32_t words;             /* mask: which of `some` are not 0 */
    uint32_t sentinel;          /* node of cell 0; those of the others follow */
    uint64_t some[LFU_WORDS];   /* mask: which cells are not empty */
} lfu_cells;

typedef struct lfu {
    int counts;                 /* 0 persistent, 1 resident */
    es_stream stream;
    const es_view *view;
    uint64_t *key;              /* [objects] count << 40 | order */
    uint64_t *listed;           /* [tiers * words] mask: stands in a cell of that tier */
    lfu_cells *cells;           /* [buckets] */
    lfu_node *node;             /* [tiers * objects], then the sentinels */
    uint64_t clock;
    bool plain;                 /* own rule for equals, and no lower tiers: cells of one count are in order */
} lfu;

static const char *const lfu_counts[] = {"persistent", "resident", NULL};

static const es_option lfu_options[] = {
    {.name = "counts", .type = ES_OPT_ENUM, .offset = offsetof(lfu, counts), .choices = lfu_counts,
        .help = "Whether uses are remembered for ever or only while the expert is resident."},
    {0},
};

static void lfu_empty(lfu *s)
{
    const es_view *view = s->view;
    for (uint32_t b = 0; b < view->buckets; b++) {
        lfu_cells *c = &s->cells[b];
        *c = (lfu_cells){.sentinel = view->tiers * view->objects + b * LFU_CELLS};
        for (uint32_t i = c->sentinel; i < c->sentinel + LFU_CELLS; i++)
            s->node[i] = (lfu_node){i, i};
    }
    for (size_t w = 0; w < (size_t)view->tiers * view->words; w++)
        s->listed[w] = 0;
}

static es_code lfu_init(void *self, const es_site *site, es_err *err)
{
    lfu *s = self;
    const es_view *view = s->view = site->view;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "ties");
    s->plain = view->ties == 0 && view->tiers == 2;     /* what comes down to a lower tier brings its old order with it */
    s->key = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->listed = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->cells = ES_NEW_ARRAY(site->arena, view->buckets, lfu_cells);
    s->node = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->objects + (size_t)view->buckets * LFU_CELLS, lfu_node);
    if (!s->key || !s->listed || !s->cells || !s->node)
        return es_err_nomem(err, "use counts");
    lfu_empty(s);
    return ES_OK;
}

/* ---- cells ---- */

static inline uint32_t lfu_cell(uint64_t key)
{
    uint32_t count = (uint32_t)(key >> 40);
    if (count < LFU_EXACT)
        return count;
    uint32_t above = 25 - (uint32_t)__builtin_clz(count);       /* bits beyond the seven that tell the cell */
    return (above << 6) + (count >> above);
}

static inline bool lfu_has(const lfu *s, uint32_t tier, es_oid object)
{
    return s->listed[(size_t)tier * s->view->words + (object >> 6)] >> (object & 63) & 1;
}

static inline lfu_cells *lfu_cells_of(const lfu *s, uint32_t tier, es_oid object)
{
    return &s->cells[es_bucket_of(s->view, tier, object)];
}

/* Do n uses and n - 1 stand in one cell? From LFU_EXACT on a cell begins where the bits that do not tell it are 0. */
static inline bool lfu_same_cell(uint32_t n)
{
    return n >= LFU_EXACT && n & ((1u << (25 - __builtin_clz(n))) - 1);
}

/* Puts node i at the end of its cell. */
static inline void lfu_append(lfu_node *node, lfu_cells *c, uint32_t i, uint64_t key)
{
    uint32_t cell = lfu_cell(key), at = c->sentinel + cell, last = node[at].prev;
    node[i] = (lfu_node){last, at};
    node[last].next = i;
    node[at].prev = i;
    c->some[cell >> 6] |= 1ull << (cell & 63);
    c->words |= 1u << (cell >> 6);
}

static inline void lfu_remove(lfu_node *node, lfu_cells *c, uint32_t i)
{
    uint32_t prev = node[i].prev, next = node[i].next;
    node[prev].next = next;
    node[next].prev = prev;
    if (prev != next)
        return;
    uint32_t cell = prev - c->sentinel;             /* only the sentinel is both neighbours: the cell is empty */
    if (!(c->some[cell >> 6] &= ~(1ull << (cell & 63))))
        c->words &= ~(1u << (cell >> 6));
}

/* The first cell from `from` on that is not empty; LFU_CELLS: there is none. */
static inline uint32_t lfu_some(const lfu_cells *c, uint32_t from)
{
    if (from >= LFU_CELLS)
        return LFU_CELLS;
    uint32_t w = from >> 6, words;
    uint64_t here = c->some[w] & ~0ull << (from & 63);
    if (!here) {
        words = c->words & ~1u << w;
        if (!words)
            return LFU_CELLS;
        w = (uint32_t)__builtin_ctz(words);
        here = c->some[w];
    }
    return w * 64 + (uint32_t)__builtin_ctzll(here);
}

/* ---- facts ---- */

/* The part of the key that decides between equal counts, when the object is used or enters. Only the own rule changes it later. */
static inline uint64_t lfu_order(lfu *s, es_oid object, bool enters)
{
    switch (s->view->ties) {
    case 0:
        return ++s->clock;
    case 2:
        return object;
    default:
        if (!enters)
            return s->key[object] & (LFU_ONE - 1);
        return s->view->ties == 1 ? ++s->clock : es_draw(s->stream, object, ++s->clock, 0, 0) & (LFU_ONE - 1);
    }
}

static inline void lfu_enter(lfu *s, uint32_t tier, es_oid object)
{
    uint64_t *listed = &s->listed[(size_t)tier * s->view->words + (object >> 6)], bit = 1ull << (object & 63);
    uint32_t i = tier * s->view->objects + object;
    if (*listed & bit)
        lfu_remove(s->node, lfu_cells_of(s, tier, object), i);
    *listed |= bit;
    lfu_append(s->node, lfu_cells_of(s, tier, object), i, s->key[object]);
}

static inline void lfu_leave(lfu *s, uint32_t tier, es_oid object)
{
    uint64_t *listed = &s->listed[(size_t)tier * s->view->words + (object >> 6)], bit = 1ull << (object & 63);
    if (*listed & bit)
        lfu_remove(s->node, lfu_cells_of(s, tier, object), tier * s->view->objects + object);
    *listed &= ~bit;
}

/* Copies in lower tiers are used with it. */
static ES_COLD void lfu_lower(lfu *s, es_oid object)
{
    for (uint32_t t = 0; t < s->view->tiers; t++)
        if (t != s->view->serving && lfu_has(s, t, object))
            lfu_enter(s, t, object);
}

/* One object of an event is used. */
static void lfu_touch(lfu *s, const es_event *event, uint16_t index, uint64_t uses)
{
    const uint32_t tier = s->view->serving;
    const es_oid object = event->base + index;
    const bool here = lfu_has(s, tier, object);
    const uint64_t old = s->key[object], key = old < LFU_MOST ? old + uses * LFU_ONE : old;
    s->key[object] = (key & ~(LFU_ONE - 1)) | lfu_order(s, object, !here);
    if (here || es_event_keeps(event, index))
        lfu_enter(s, tier, object);
    else if (s->counts == 1)
        s->key[object] = 0;
    if (s->view->tiers > 2)
        lfu_lower(s, object);
}

/* Uses are counted by place in the list, recency goes by touch. */
static ES_COLD void lfu_use_each(lfu *s, const es_event *event)
{
    for (uint32_t i = 0; i < event->count; i++) {
        uint32_t place = 0;
        while (event->list[place] != event->touch[i])
            place++;
        lfu_touch(s, event, event->touch[i], event->repeats ? event->repeats[place] : 1);
    }
}

/* The same where nothing is special, in one loop. */
static void lfu_use(lfu *s, const es_event *event)
{
    if (!s->plain || event->kept || event->repeats) {
        lfu_use_each(s, event);
        return;
    }
    const es_view *view = s->view;
    lfu_cells *c = lfu_cells_of(s, view->serving, event->base);
    lfu_node *node = s->node;
    uint64_t *key = s->key + event->base, *listed = s->listed + (size_t)view->serving * view->words + event->word;
    uint64_t clock = s->clock;
    const uint32_t first = view->serving * view->objects + event->base;
    for (const uint16_t *touch = event->touch, *end = touch + event->count; touch < end; touch++) {
        const size_t index = *touch;
        const uint64_t old = key[index], count = old < LFU_MOST ? old + LFU_ONE : old;
        key[index] = (count & ~(LFU_ONE - 1)) | ++clock;
        if (!es_mask_has(listed, (es_oid)index))
            listed[index >> 6] |= 1ull << (index & 63);
        else if (lfu_same_cell((uint32_t)(count >> 40)))
            continue;
        else
            lfu_remove(node, c, first + (uint32_t)index);
        lfu_append(node, c, first + (uint32_t)index, count);
    }
    s->clock = clock;
}

/* Everything but use: rare. */
static ES_COLD void lfu_moved(lfu *s, const es_fact *fact)
{
    switch (fact->kind) {
    case ES_FACT_START_GUESS:
        for (uint32_t i = 0; i < fact->count; i++) {
            es_oid object = fact->objects[i];
            s->key[object] = (s->key[object] & ~(LFU_ONE - 1)) | lfu_order(s, object, true);
            lfu_enter(s, fact->to, object);
        }
        break;
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            lfu_enter(s, fact->to, fact->objects[i]);
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            lfu_leave(s, fact->from, fact->objects[i]);
        break;
    default:        /* RESET */
        lfu_empty(s);
        for (uint32_t o = 0; s->counts == 1 && o < s->view->objects; o++)
            s->key[o] = 0;
    }
}

static void lfu_notify(void *self, const es_fact *fact)
{
    if (fact->kind == ES_FACT_USE)
        lfu_use(self, fact->event);
    else
        lfu_moved(self, fact);
}

/* ---- victims ---- */

/* The least of a cell that may leave. */
static inline es_oid lfu_least_of(const lfu *s, uint32_t tier, uint32_t sentinel, bool sorted)
{
    const uint32_t first = tier * s->view->objects;
    es_oid best = ES_NO_OBJECT;
    for (uint32_t i = s->node[sentinel].next; i != sentinel; i = s->node[i].next) {
        es_oid object = i - first;
        if ((best != ES_NO_OBJECT && s->key[object] >= s->key[best]) || !es_may_evict(s->view, object, tier))
            continue;
        best = object;
        if (sorted)
            break;
    }
    return best;
}

/* Puts what was named back: before those of its cell that are above it. */
static ES_COLD void lfu_restore(lfu *s, uint32_t tier, es_oid object)
{
    const uint32_t first = tier * s->view->objects, i = first + object;
    lfu_node *node = s->node;
    lfu_enter(s, tier, object);
    uint32_t sentinel = node[i].next, at = sentinel;
    for (uint32_t before = node[i].prev; before != sentinel && s->key[before - first] > s->key[object]; before = node[before].prev)
        at = before;
    if (at == sentinel)
        return;
    node[node[i].prev].next = sentinel;
    node[sentinel].prev = node[i].prev;
    node[i] = (lfu_node){node[at].prev, at};
    node[node[at].prev].next = i;
    node[at].prev = i;
}

static size_t lfu_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    lfu *s = self;
    lfu_cells *c = &s->cells[need->bucket];
    const es_view *view = s->view;
    const int64_t *unit = view->tier[need->tier].unit;
    uint64_t *listed = s->listed + (size_t)need->tier * view->words;
    int64_t lacking = need->units;
    size_t count = 0;
    for (uint32_t cell = lfu_some(c, 0); cell < LFU_CELLS && lacking > 0 && count < most;) {
        es_oid least = lfu_least_of(s, need->tier, c->sentinel + cell, s->plain && cell < LFU_EXACT);
        if (least == ES_NO_OBJECT) {
            cell = lfu_some(c, cell + 1);
            continue;
        }
        listed[least >> 6] &= ~(1ull << (least & 63));
        lfu_remove(s->node, c, need->tier * view->objects + least);
        lacking -= unit[least >> 6];
        out[count++] = least;
        if (s->node[c->sentinel + cell].next == c->sentinel + cell)
            cell = lfu_some(c, cell + 1);       /* empty now */
    }
    if (need->all && lacking > 0) {
        while (count > 0)
            lfu_restore(s, need->tier, out[--count]);
        return 0;
    }
    for (size_t i = 0; s->counts == 1 && i < count; i++)
        s->key[out[i]] = 0;
    return count;
}

const es_policy es_policy_lfu = {
    .part = {
        .abi = ES_ABI,
        .name = "lfu",
        .brief = "The least used expert leaves first; uses counted for ever or while resident.",
        .options = lfu_options,
        .size = sizeof(lfu),
        .init = lfu_init,
        .notify = lfu_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = lfu_victims,
};
