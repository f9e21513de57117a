/* Prefetched first: what was fetched on a guess and has not been used yet leaves before anything that was; then the least recently used.
 *
 * A guess becomes one of the used at its first use. Which guess goes first is an option: the source takes any element of a set, for
 * which the smallest number stands here. A burst of guesses at the limit therefore drives out its own first ones.
 * Without caching nothing stays for having been used: misses are used in place, and a guess that was used is the first to leave. (The
 * source forgets to give the room back and runs full of nothing; no policy can do that here.) */
#include "sim/policy/recency.h"

enum { PREFETCHED_SMALLEST, PREFETCHED_OLDEST, PREFETCHED_NEWEST };

typedef struct prefetched {
    int first;
    bool caching;
    const es_view *view;
    recency used;
    uint64_t *unused;           /* [words] guesses in the serving tier, or on their way there, that no event has wanted yet */
    uint64_t guesses;           /* how many they are */
    uint64_t *order;            /* [objects] of the start of its copy */
    uint64_t clock;
} prefetched;

static const char *const prefetched_orders[] = {"smallest", "oldest", "newest", NULL};

static const es_option prefetched_options[] = {
    {.name = "first", .type = ES_OPT_ENUM, .offset = offsetof(prefetched, first), .choices = prefetched_orders,
        .help = "Which of the unused guesses leaves first: the smallest id, the oldest or the newest."},
    {.name = "caching", .type = ES_OPT_BOOL, .offset = offsetof(prefetched, caching), .def = 1,
        .help = "What was used stays; else misses do not, and used guesses leave before unused ones."},
    {0},
};

static es_code prefetched_init(void *self, const es_site *site, es_err *err)
{
    prefetched *s = self;
    s->view = site->view;
    s->unused = ES_NEW_ARRAY(site->arena, s->view->words, uint64_t);
    s->order = ES_NEW_ARRAY(site->arena, s->view->objects, uint64_t);
    return s->unused && s->order ? recency_init(&s->used, site, err) : es_err_nomem(err, "guesses not used yet");
}

static ES_COLD void prefetched_drop(prefetched *s, uint32_t word, uint64_t mask)
{
    s->guesses -= (uint64_t)__builtin_popcountll(s->unused[word] & mask);
    s->unused[word] &= ~mask;
}

static void prefetched_use(prefetched *s, const es_event *event)
{
    for (uint32_t w = 0; w < event->words; w++)
        if (s->unused[event->word + w] & event->mask[w])
            prefetched_drop(s, event->word + w, event->mask[w]);
    recency_use(&s->used, event);
}

static void prefetched_notify(void *self, const es_fact *fact)
{
    prefetched *s = self;
    switch (fact->kind) {
    case ES_FACT_USE:
        prefetched_use(s, fact->event);
        break;
    case ES_FACT_START_GUESS:
        for (uint32_t i = 0; i < fact->count; i++) {
            es_oid object = fact->objects[i];
            s->guesses += !es_mask_has(s->unused, object);
            s->unused[object >> 6] |= 1ull << (object & 63);
            s->order[object] = ++s->clock;
        }
        break;
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            recency_place(&s->used, fact->to, fact->objects[i]);
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            recency_forget(&s->used, fact->from, fact->objects[i]);
        break;
    default:        /* RESET */
        for (uint32_t w = 0; w < s->view->words; w++)
            s->unused[w] = 0;
        s->guesses = 0;
        recency_empty(&s->used);
    }
}

static uint64_t prefetched_rank(const prefetched *s, es_oid object)
{
    return s->first == PREFETCHED_SMALLEST ? object : s->first == PREFETCHED_OLDEST ? s->order[object] : UINT64_MAX - s->order[object];
}

/* The unused guess of the bucket that leaves next; ES_NO_OBJECT: none may. */
static es_oid prefetched_next(const prefetched *s, const es_need *need)
{
    const es_tier_view *tier = &s->view->tier[need->tier];
    es_oid best = ES_NO_OBJECT;
    for (uint32_t w = 0; w < s->view->words; w++) {
        uint64_t here = s->unused[w] & tier->resident[w] & ~s->view->guard[w];
        if (!here || es_bucket_of(s->view, need->tier, w * 64) != need->bucket)
            continue;
        for (; here; here &= here - 1) {
            es_oid object = w * 64 + (es_oid)__builtin_ctzll(here);
            if (best == ES_NO_OBJECT || prefetched_rank(s, object) < prefetched_rank(s, best))
                best = object;
        }
    }
    return best;
}

/* Unused guesses, until the need is met. */
static size_t prefetched_unused(prefetched *s, const es_need *need, int64_t *lacking, es_oid *out, size_t most)
{
    size_t count = 0;
    es_oid object;
    while (s->guesses > 0 && *lacking > 0 && count < most && (object = prefetched_next(s, need)) != ES_NO_OBJECT) {
        prefetched_drop(s, object >> 6, 1ull << (object & 63));
        *lacking -= s->view->tier[need->tier].unit[object >> 6];
        out[count++] = object;
    }
    return count;
}

/* Used ones, the least recent first, until the need is met. */
static size_t prefetched_used(prefetched *s, const es_need *need, int64_t *lacking, es_oid *out, size_t most)
{
    es_need rest = *need;
    rest.units = *lacking;
    rest.all = false;
    size_t count = *lacking > 0 && most > 0 ? recency_victims(&s->used, &rest, out, most) : 0;
    for (size_t i = 0; i < count; i++)
        *lacking -= s->view->tier[need->tier].unit[out[i] >> 6];
    return count;
}

static size_t prefetched_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    prefetched *s = self;
    int64_t lacking = need->units;
    if (need->all && !recency_enough(s->view, need))
        return 0;
    if (need->tier != s->view->serving)
        return prefetched_used(s, need, &lacking, out, most);
    size_t count = s->caching ? prefetched_unused(s, need, &lacking, out, most) : prefetched_used(s, need, &lacking, out, most);
    return count + (s->caching ? prefetched_used(s, need, &lacking, out + count, most - count) : prefetched_unused(s, need, &lacking, out + count, most - count));
}

static void prefetched_admit(void *self, const es_admit_ask *ask, bool *keep)
{
    const prefetched *s = self;
    for (uint32_t i = 0; i < ask->count && !s->caching; i++)
        keep[i] = false;
}

static bool prefetched_admits(const void *self)
{
    return !((const prefetched *)self)->caching;
}

const es_policy es_policy_prefetched_first = {
    .part = {
        .abi = ES_ABI,
        .name = "prefetched_first",
        .brief = "Guesses that were not used yet leave first, then the least recently used expert.",
        .options = prefetched_options,
        .size = sizeof(prefetched),
        .init = prefetched_init,
        .notify = prefetched_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = prefetched_victims,
    .admit = prefetched_admit,
    .admits = prefetched_admits,
};
