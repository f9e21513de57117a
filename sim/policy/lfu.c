/* LFU: the least used leaves first; between equals the least recently used, or as contract.ties says.
 *
 * `counts: persistent` remembers uses for ever (BigMoeOnEdge, StrataMoE, onnx-genai); `resident` forgets them when the expert
 * leaves, which is a different policy: on decode order it can freeze. A key is (count, order) in one word.
 *
 * Victims come from the few with the least keys, so only those are kept together: a bucket's *short list* holds everybody whose
 * key is below a bound. A use only raises a key, and nothing else is done: who has grown above the bound leaves the list when a
 * search meets him. When nobody on the list may leave the bound is raised, so that some more are on it.
 *
 * The newcomers of the event at hand have the least keys but may not leave while it lasts: they come onto the list after it. */
#include "sim/part/policy.h"

/* One use. Below it stands the order: 10^12 uses in all and 16 million of one expert; beyond that counts stand still. */
#define LFU_ONE (1ull << 40)
#define LFU_MOST (UINT64_MAX - 65536 * LFU_ONE)

typedef struct lfu_entry {
    uint64_t key;               /* as it was when it was put here: at most the true key */
    es_oid object;
} lfu_entry;

typedef struct lfu_short {      /* the short list of a bucket */
    lfu_entry *entry;           /* [count] the least at the end */
    uint32_t count;
    uint64_t bound;             /* all that is listed with a key below it is among them */
} lfu_short;

typedef struct lfu {
    int counts;                 /* 0 persistent, 1 resident */
    es_stream stream;
    const es_view *view;
    uint64_t *key;              /* [objects] count << 40 | order */
    uint64_t *listed;           /* [tiers * words] mask: is in that tier, as far as facts and victims tell */
    lfu_short *few;             /* [buckets] */
    uint64_t now;               /* newcomers of the event at hand: listed, but on no short list yet */
    uint32_t word;              /* in which they are */
    uint64_t *least;            /* [batch] scratch: keys */
    size_t batch;               /* so many come onto a short list at a time */
    uint64_t clock;
} lfu;

static const char *const lfu_counts[] = {"persistent", "resident", NULL};

static const es_option lfu_options[] = {
    {.name = "counts", .type = ES_OPT_ENUM, .offset = offsetof(lfu, counts), .choices = lfu_counts,
        .help = "Whether uses are remembered for ever or only while the expert is resident."},
    {0},
};

static void lfu_empty(lfu *s)
{
    for (uint32_t b = 0; b < s->view->buckets; b++)
        s->few[b] = (lfu_short){.entry = s->few[b].entry};
    for (size_t w = 0; w < (size_t)s->view->tiers * s->view->words; w++)
        s->listed[w] = 0;
    s->now = 0;
}

static es_code lfu_init(void *self, const es_site *site, es_err *err)
{
    lfu *s = self;
    const es_view *view = s->view = site->view;
    const size_t most = view->per_layer ? view->stride : view->objects;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "ties");
    s->key = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->listed = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->few = ES_NEW_ARRAY(site->arena, view->buckets, lfu_short);
    s->batch = 16 + most / 256;
    s->least = ES_NEW_ARRAY(site->arena, s->batch, uint64_t);
    lfu_entry *entry = ES_NEW_ARRAY(site->arena, view->buckets * most, lfu_entry);
    if (!s->key || !s->listed || !s->few || !s->least || !entry)
        return es_err_nomem(err, "use counts");
    for (uint32_t b = 0; b < view->buckets; b++)
        s->few[b].entry = entry + b * most;
    return ES_OK;
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

static inline lfu_short *lfu_few(const lfu *s, uint32_t tier, es_oid object)
{
    return &s->few[es_bucket_of(s->view, tier, object)];
}

static inline uint64_t *lfu_listed(const lfu *s, uint32_t tier, es_oid object)
{
    return &s->listed[(size_t)tier * s->view->words + (object >> 6)];
}

/* Puts an entry where it belongs, at place i or before; what was before it moves up to i. */
static inline void lfu_sort(lfu_entry *entry, size_t i, lfu_entry e)
{
    for (; i > 0 && entry[i - 1].key < e.key; i--)
        entry[i] = entry[i - 1];
    entry[i] = e;
}

/* The event that was at hand is like all others. */
static __attribute__((noinline)) void lfu_settle(lfu *s)
{
    lfu_short *few = lfu_few(s, s->view->serving, s->word * 64);
    for (uint64_t left = s->now; left; left &= left - 1) {
        const es_oid object = s->word * 64 + (es_oid)__builtin_ctzll(left);
        if (s->key[object] < few->bound)
            lfu_sort(few->entry, few->count++, (lfu_entry){s->key[object], object});
    }
    s->now = 0;
}

static inline void lfu_drop(lfu_short *few, size_t i)
{
    few->count--;
    for (; i < few->count; i++)
        few->entry[i] = few->entry[i + 1];
}

static inline void lfu_enter(lfu *s, uint32_t tier, es_oid object)
{
    uint64_t *listed = lfu_listed(s, tier, object), bit = 1ull << (object & 63);
    lfu_short *few = lfu_few(s, tier, object);
    if (!(*listed & bit) && s->key[object] < few->bound)
        lfu_sort(few->entry, few->count++, (lfu_entry){s->key[object], object});
    *listed |= bit;
}

static void lfu_leave(lfu *s, uint32_t tier, es_oid object)
{
    lfu_short *few = lfu_few(s, tier, object);
    *lfu_listed(s, tier, object) &= ~(1ull << (object & 63));
    for (uint32_t i = 0; i < few->count; i++)
        if (few->entry[i].object == object)
            lfu_drop(few, i--);
}

/* Another key, and not always a greater one: wherever the object is listed it enters anew. */
static ES_COLD void lfu_rekey(lfu *s, es_oid object, uint64_t key)
{
    s->key[object] = key;
    for (uint32_t t = 0; t < s->view->tiers; t++)
        if (*lfu_listed(s, t, object) >> (object & 63) & 1) {
            lfu_leave(s, t, object);
            lfu_enter(s, t, object);
        }
}

/* Its uses; with one tier before home nobody else lists it. */
static inline void lfu_forget(lfu *s, es_oid object)
{
    if (s->view->tiers == 2)
        s->key[object] = 0;
    else
        lfu_rekey(s, object, 0);
}

static uint64_t lfu_times(const es_event *event, uint16_t index)
{
    uint32_t place = 0;
    while (event->list[place] != index)
        place++;
    return event->repeats ? event->repeats[place] : 1;
}

/* Uses are counted by place in the list, recency goes by touch. */
static ES_COLD void lfu_use_each(lfu *s, const es_event *event)
{
    const uint32_t tier = s->view->serving;
    for (uint32_t i = 0; i < event->count; i++) {
        const uint16_t index = event->touch[i];
        const es_oid object = event->base + index;
        const bool here = es_mask_has(s->listed + (size_t)tier * s->view->words, object);
        const uint64_t old = s->key[object], key = old < LFU_MOST ? old + lfu_times(event, index) * LFU_ONE : old;
        s->key[object] = (key & ~(LFU_ONE - 1)) | lfu_order(s, object, !here);
        if (es_event_keeps(event, index))
            lfu_enter(s, tier, object);
        else if (!here && s->counts == 1)
            lfu_rekey(s, object, 0);
    }
}

static inline void lfu_list(lfu *s, const es_event *event, uint64_t *listed, uint32_t word)
{
    s->now = event->mask[word] & ~listed[word];
    s->word = event->word + word;
    listed[word] |= event->mask[word];
}

/* The same where nothing is special. */
static inline void lfu_use(lfu *s, const es_event *event)
{
    if (s->now)
        lfu_settle(s);
    if (s->view->ties != 0 || event->kept || event->repeats) {
        lfu_use_each(s, event);
        return;
    }
    uint64_t *listed = lfu_listed(s, s->view->serving, event->base), *keys = s->key + event->base, clock = s->clock;
    for (const uint16_t *touch = event->touch, *end = touch + event->count; touch < end; touch++) {
        const uint64_t old = keys[*touch];
        keys[*touch] = (old < LFU_MOST ? (old | (LFU_ONE - 1)) + 1 : old & ~(LFU_ONE - 1)) + ++clock;
    }
    s->clock = clock;
    lfu_list(s, event, listed, 0);
    for (uint32_t w = 1; w < event->words; w++) {
        lfu_settle(s);          /* only the last word waits */
        lfu_list(s, event, listed, w);
    }
}

/* Everything but use. */
static ES_COLD void lfu_moved(lfu *s, const es_fact *fact)
{
    lfu_settle(s);
    switch (fact->kind) {
    case ES_FACT_START_GUESS:
        for (uint32_t i = 0; i < fact->count; i++) {
            es_oid object = fact->objects[i];
            lfu_rekey(s, object, (s->key[object] & ~(LFU_ONE - 1)) | lfu_order(s, object, true));
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

/* Puts those on the list that are next by key; false: there is nobody else. */
static ES_COLD bool lfu_raise(lfu *s, const es_need *need, lfu_short *few)
{
    const es_view *view = s->view;
    const uint64_t *listed = s->listed + (size_t)need->tier * view->words, from = few->bound;
    size_t count = 0;
    for (uint32_t w = 0; w < view->words; w++)
        for (uint64_t left = es_bucket_of(view, need->tier, w * 64) == need->bucket ? listed[w] : 0; left; left &= left - 1) {
            const uint64_t key = s->key[w * 64 + (uint32_t)__builtin_ctzll(left)];
            if (key < from || (count == s->batch && key >= s->least[count - 1]))
                continue;
            size_t i = count < s->batch ? count++ : count - 1;
            for (; i > 0 && s->least[i - 1] > key; i--)
                s->least[i] = s->least[i - 1];
            s->least[i] = key;
        }
    if (count == 0)
        return false;
    few->bound = s->least[count - 1] + 1;
    for (uint32_t w = 0; w < view->words; w++)
        for (uint64_t left = es_bucket_of(view, need->tier, w * 64) == need->bucket ? listed[w] : 0; left; left &= left - 1) {
            es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            if (s->key[object] >= from && s->key[object] < few->bound)
                lfu_sort(few->entry, few->count++, (lfu_entry){s->key[object], object});
        }
    return true;
}

/* Takes the least of the short list that may leave off it; ES_NO_OBJECT: none of them may. */
static es_oid lfu_search(lfu *s, uint32_t tier, lfu_short *few)
{
    for (size_t i = few->count; i > 0;) {
        lfu_entry e = few->entry[i - 1];
        const uint64_t key = s->key[e.object];
        if (key != e.key) {
            if (key >= few->bound)
                lfu_drop(few, --i);
            else
                lfu_sort(few->entry, i - 1, (lfu_entry){key, e.object});
            continue;
        }
        i--;
        if (es_may_evict(s->view, e.object, tier)) {
            lfu_drop(few, i);
            return e.object;
        }
    }
    return ES_NO_OBJECT;
}

/* The same with more on the list until one of them may; ES_NO_OBJECT: nobody may leave. */
static ES_COLD es_oid lfu_search_all(lfu *s, const es_need *need, lfu_short *few)
{
    es_oid object;
    lfu_settle(s);
    while ((object = lfu_search(s, need->tier, few)) == ES_NO_OBJECT && lfu_raise(s, need, few));
    return object;
}

/* Nearly always it is the last. */
static inline es_oid lfu_take(lfu *s, const es_need *need, lfu_short *few)
{
    if (few->count > 0) {
        const lfu_entry e = few->entry[few->count - 1];
        if (s->key[e.object] == e.key && es_may_evict(s->view, e.object, need->tier)) {
            few->count--;
            return e.object;
        }
    }
    return lfu_search_all(s, need, few);
}

static size_t lfu_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    lfu *s = self;
    lfu_short *few = &s->few[need->bucket];
    const int64_t *unit = s->view->tier[need->tier].unit;
    uint64_t *listed = s->listed + (size_t)need->tier * s->view->words;
    int64_t lacking = need->units;
    size_t count = 0;
    if (s->now & ~s->view->guard[s->word])      /* some of the event may leave already */
        lfu_settle(s);
    while (lacking > 0 && count < most) {
        es_oid object = lfu_take(s, need, few);
        if (object == ES_NO_OBJECT)
            break;
        listed[object >> 6] &= ~(1ull << (object & 63));
        lacking -= unit[object >> 6];
        out[count++] = object;
    }
    if (need->all && lacking > 0) {
        while (count > 0)
            lfu_enter(s, need->tier, out[--count]);
        return 0;
    }
    for (size_t i = 0; s->counts == 1 && i < count; i++)
        lfu_forget(s, out[i]);
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
