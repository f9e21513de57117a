/* LFU: the least used leaves first; between equals the least recently used, or as contract.ties says.
 *
 * `counts: persistent` remembers uses for ever (BigMoeOnEdge, StrataMoE, onnx-genai); `resident` forgets them when the expert
 * leaves, which is a different policy: on decode order it can freeze. A key is (count, order) in one word, so a use only raises
 * it and the heap of a bucket is brought up to date when a victim is asked for. */
#include "sim/base/heap.h"
#include "sim/part/policy.h"

/* One use. Below it stands the order: 10^12 uses in all and 16 million of one expert; beyond that counts stand still. */
#define LFU_ONE (1ull << 40)

typedef struct lfu {
    int counts;                 /* 0 persistent, 1 resident */
    es_stream stream;
    const es_view *view;
    uint64_t *key;              /* [objects] count << 40 | order */
    uint64_t *listed;           /* [tiers * words] mask: has an entry in its bucket's heap of that tier */
    es_heap *heap;              /* [buckets] */
    es_heap_entry *held;        /* [objects] entries set aside because they may not leave now */
    uint64_t clock;
} lfu;

static const char *const lfu_counts[] = {"persistent", "resident", NULL};

static const es_option lfu_options[] = {
    {.name = "counts", .type = ES_OPT_ENUM, .offset = offsetof(lfu, counts), .choices = lfu_counts,
        .help = "Whether uses are remembered for ever or only while the expert is resident."},
    {0},
};

static es_code lfu_init(void *self, const es_site *site, es_err *err)
{
    lfu *s = self;
    const es_view *view = s->view = site->view;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "ties");
    uint32_t per_bucket = view->per_layer ? view->stride : view->objects;
    s->key = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->listed = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->heap = ES_NEW_ARRAY(site->arena, view->buckets, es_heap);
    s->held = ES_NEW_ARRAY(site->arena, view->objects, es_heap_entry);
    if (!s->key || !s->listed || !s->heap || !s->held)
        return es_err_nomem(err, "use counts");
    for (uint32_t b = 0; b < view->buckets; b++) {
        s->heap[b] = (es_heap){.entry = ES_NEW_ARRAY(site->arena, per_bucket, es_heap_entry), .room = per_bucket};
        if (!s->heap[b].entry)
            return es_err_nomem(err, "use counts");
    }
    return ES_OK;
}

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
    if (*listed & bit)
        return;
    *listed |= bit;
    es_heap_add(&s->heap[es_bucket_of(s->view, tier, object)], s->key[object], object);
}

static void lfu_use(lfu *s, const es_event *event)
{
    uint32_t tier = s->view->serving;
    const uint64_t most = UINT64_MAX - 65536 * LFU_ONE;
    /* 1. counts, in union order; an object that comes back under `resident` starts anew */
    for (uint32_t i = 0; i < event->count; i++) {
        uint64_t *key = &s->key[event->base + event->list[i]];
        uint64_t times = event->repeats ? event->repeats[i] : 1;
        *key += *key < most ? times * LFU_ONE : 0;
    }
    /* 2. recency, in touch order */
    for (uint32_t i = 0; i < event->count; i++) {
        es_oid object = event->base + event->touch[i];
        bool here = s->listed[(size_t)tier * s->view->words + (object >> 6)] >> (object & 63) & 1;
        bool keeps = es_event_keeps(event, event->touch[i]);
        s->key[object] = (s->key[object] & ~(LFU_ONE - 1)) | lfu_order(s, object, !here);
        if (!here && keeps)
            lfu_enter(s, tier, object);
        else if (!here && s->counts == 1)
            s->key[object] = 0;
    }
}

static void lfu_forget(lfu *s, uint32_t tier, es_oid object)
{
    s->listed[(size_t)tier * s->view->words + (object >> 6)] &= ~(1ull << (object & 63));
    if (s->counts == 1)
        s->key[object] = 0;
}

/* Rare (promotion out of a lower tier): the entry is searched. */
static void lfu_leave(lfu *s, uint32_t tier, es_oid object)
{
    es_heap *h = &s->heap[es_bucket_of(s->view, tier, object)];
    uint64_t *listed = &s->listed[(size_t)tier * s->view->words + (object >> 6)], bit = 1ull << (object & 63);
    if (!(*listed & bit))
        return;
    *listed &= ~bit;
    for (uint32_t i = 0; i < h->count; i++)
        if (h->entry[i].id == object) {
            /* rebuild: heaps of lower tiers are small */
            es_heap old = *h;
            h->count = 0;
            for (uint32_t j = 0; j < old.count; j++)
                if (old.entry[j].id != object)
                    es_heap_add(h, old.entry[j].key, old.entry[j].id);
            return;
        }
}

static void lfu_notify(void *self, const es_fact *fact)
{
    lfu *s = self;
    switch (fact->kind) {
    case ES_FACT_USE:
        lfu_use(s, fact->event);
        break;
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
        for (uint32_t b = 0; b < s->view->buckets; b++)
            s->heap[b].count = 0;
        for (size_t w = 0; w < (size_t)s->view->tiers * s->view->words; w++)
            s->listed[w] = 0;
        for (uint32_t o = 0; s->counts == 1 && o < s->view->objects; o++)
            s->key[o] = 0;
    }
}

static size_t lfu_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    lfu *s = self;
    es_heap *h = &s->heap[need->bucket];
    const int64_t *unit = s->view->tier[need->tier].unit;
    size_t count = 0, held = 0;
    int64_t freed = 0;
    while (freed < need->units && h->count > 0 && count < most) {
        es_heap_settle(h, s->key);
        es_heap_entry top = h->entry[0];
        es_heap_drop(h);
        if (es_may_evict(s->view, top.id, need->tier)) {
            out[count++] = top.id;
            freed += unit[top.id >> 6];
        } else {
            s->held[held++] = top;
        }
    }
    for (size_t i = 0; i < held; i++)
        es_heap_add(h, s->held[i].key, s->held[i].id);
    if (need->all && freed < need->units) {
        for (size_t i = 0; i < count; i++)
            es_heap_add(h, s->key[out[i]], out[i]);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        lfu_forget(s, need->tier, out[i]);
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
