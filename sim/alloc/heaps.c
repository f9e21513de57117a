/* Heaps: a pool of memory made beforehand, after the Metal memory pool of mlx-serving, in three modes.
 *
 *     suballocate  Its description. A request goes to one heap (in turn; the one whose largest hole is the tightest that still holds it;
 *                  the least used) and takes the lowest hole there that is large enough; holes beside each other are one. Where the
 *                  heap has none the device allocates beside the pool, and only `try_all` looks at other heaps. The pool may grow
 *                  when it is nearly full, and slide its buffers together when a heap's holes are small:
 *                  fragmentation = 1 - largest hole / all that is free.
 *     checkout     Its code: heaps are lent whole, see checkout.h.
 *     none         Without a pool: every buffer is the device's and the host's.
 *
 * Every operation takes O(log buffers + heaps); all memory is taken when it opens. */
#include <stdio.h>

#include "sim/alloc/checkout.h"
#include "sim/alloc/spans.h"

enum { HEAPS_SUBALLOCATE, HEAPS_CHECKOUT, HEAPS_NONE };
enum { HEAPS_ROUND_ROBIN, HEAPS_BEST_FIT, HEAPS_LEAST_USED };
enum { HEAPS_ERROR, HEAPS_SKIP };
enum { HEAPS_MOST = 256, HEAPS_WARM_MOST = 64 };

typedef struct heap {
    spans spans;
    uint64_t asked, placed;     /* requests that it was chosen for first; that lie or lay here */
    char name[16];
} heap;

typedef struct heaps {
    /* options */
    int mode, choose, oversize;
    int64_t count_option, size, weights, alignment, memory, buffers, max_heaps, interval, reset_after;
    bool try_all, fallback, growth, compaction;
    double trigger, threshold;
    const es_json *warm;
    /* state */
    span_pool pieces;
    heap *heap;                 /* [max_heaps] */
    uint32_t count, next;       /* heaps there are; whose turn it is */
    checkout checkout;
    int64_t limit;              /* of heaps and what lies beside them */
    int64_t used, outside;      /* bytes in the heaps; beside them */
    uint32_t live;              /* pieces in the heaps */
    es_time compact_at;
    uint64_t requests, grown, compacted, skipped, tabled;
    es_pool_view *view;         /* [max_heaps] always as things are */
} heaps;

static const char *const heaps_modes[] = {"suballocate", "checkout", "none", NULL};
static const char *const heaps_chooses[] = {"round_robin", "best_fit", "least_used", NULL};
static const char *const heaps_oversizes[] = {"error", "skip", NULL};

#define HEAPS(field) offsetof(heaps, field)

static const es_option heaps_options[] = {
    {.name = "mode", .type = ES_OPT_ENUM, .offset = HEAPS(mode), .choices = heaps_modes,
        .help = "Buffers are pieces of heaps; or heaps are lent whole, as the published source does it; or there is no pool at all."},
    {.name = "heaps", .type = ES_OPT_INT, .offset = HEAPS(count_option), .def = 4, .min = 1, .max = HEAPS_MOST, .help = "Heaps made at the start (checkout: 2 to 16, as the source checks it)."},
    {.name = "heap_size", .type = ES_OPT_BYTES, .offset = HEAPS(size), .def = 0x1p28, .min = 0, .max = 0x1p50,
        .help = "Of each (checkout: 64MiB to 4096MiB); 0: by weights, or else the capacity of the tier / heaps."},
    {.name = "weights", .type = ES_OPT_BYTES, .offset = HEAPS(weights), .def = 0, .min = 0, .max = 0x1p50, .help = "Of the model. With heap_size 0, heap_size is 1.5 * weights / heaps, as the guide of the published pool has it."},
    {.name = "choose", .type = ES_OPT_ENUM, .offset = HEAPS(choose), .choices = heaps_chooses, .help = "Which heap a request goes to."},
    {.name = "try_all", .type = ES_OPT_BOOL, .offset = HEAPS(try_all), .help = "When that one has no room the others are tried, in turn."},
    {.name = "fallback", .type = ES_OPT_BOOL, .offset = HEAPS(fallback), .def = 1, .help = "What finds no room is allocated beside the pool; false: it is refused, or waits until something leaves."},
    {.name = "memory", .type = ES_OPT_BYTES, .offset = HEAPS(memory), .def = 0, .min = 0, .max = 0x1p53, .help = "Most that heaps and what lies beside them may take together; 0: what the tier has."},
    {.name = "alignment", .type = ES_OPT_BYTES, .offset = HEAPS(alignment), .def = 256, .min = 1, .max = 0x1p30, .help = "Sizes are rounded up to a multiple of this, so addresses are multiples too."},
    {.name = "warm", .type = ES_OPT_JSON, .offset = HEAPS(warm), .help = "Warm-up sizes, such as [\"32MiB\", \"128MiB\"]: each is allocated once in every heap at the start, and given back at once."},
    {.name = "oversize", .type = ES_OPT_ENUM, .offset = HEAPS(oversize), .choices = heaps_oversizes, .help = "A warm-up size above heap_size is an error, or is skipped and counted, as the source does it."},
    {.name = "growth", .type = ES_OPT_BOOL, .offset = HEAPS(growth), .help = "A heap is added when a request would bring use above growth_trigger."},
    {.name = "max_heaps", .type = ES_OPT_INT, .offset = HEAPS(max_heaps), .def = 8, .min = 1, .max = HEAPS_MOST, .help = "With growth: most heaps."},
    {.name = "growth_trigger", .type = ES_OPT_REAL, .offset = HEAPS(trigger), .def = 0.9, .min = 0, .max = 1, .help = "Share of the heaps in use."},
    {.name = "compaction", .type = ES_OPT_BOOL, .offset = HEAPS(compaction), .help = "Buffers are slid together in heaps whose fragmentation is above compaction_threshold; needs buffers that can move."},
    {.name = "compaction_threshold", .type = ES_OPT_REAL, .offset = HEAPS(threshold), .def = 0.5, .min = 0, .max = 1, .help = "1 - largest hole / all that is free in the heap."},
    {.name = "compaction_interval", .type = ES_OPT_TIME, .offset = HEAPS(interval), .def = 60e9, .min = 1, .max = 9e18, .help = "At least so long between two looks."},
    {.name = "buffers", .type = ES_OPT_INT, .offset = HEAPS(buffers), .def = 65536, .min = 1, .max = 0x1p28, .unit = "buffers", .help = "Most pieces in use at once; beyond it the pool is full. Sets how much memory the simulator takes."},
    {.name = "reset_after", .type = ES_OPT_INT, .offset = HEAPS(reset_after), .def = 0, .min = 0, .max = 0x1p53, .unit = "requests",
        .help = "Checkout: the counters are put to 0 after so many requests, as a caller of reset_statistics does; 0: never."},
    {0},
};

/* ---- opening ---- */

static void heaps_add(heaps *h)
{
    heap *one = &h->heap[h->count];
    spans_begin(&one->spans, &h->pieces, h->size);
    snprintf(one->name, sizeof one->name, "heap%u", h->count);
    h->view[h->count] = (es_pool_view){.name = one->name, .capacity = h->size, .largest = h->size};
    h->count++;
}

/* After every change of a heap. */
static void heaps_look(heaps *h, uint32_t i)
{
    const bool lent = h->mode == HEAPS_CHECKOUT && h->checkout.out[i] > 0;
    h->view[i].used = lent ? h->size : h->size - h->heap[i].spans.free;
    h->view[i].largest = lent ? 0 : spans_largest(&h->heap[i].spans);
}

static es_code heaps_check(heaps *h, int64_t capacity, es_err *err)
{
    h->limit = h->memory > 0 && h->memory < capacity ? h->memory : capacity;
    if (h->size > 0 && h->weights > 0)
        return es_err_set(err, ES_EINPUT, "weights: heap_size stands beside it; set that to 0 to have it follow from the weights");
    if (h->size == 0 && h->weights > 0)
        h->size = (3 * h->weights + 2 * h->count_option - 1) / (2 * h->count_option);
    if (h->size == 0 && h->limit == INT64_MAX)
        return es_err_set(err, ES_EINPUT, "heap_size: 0 means the capacity of the tier over heaps, but the tier has no limit");
    if (h->size == 0)
        h->size = h->limit / h->count_option;
    if (h->mode == HEAPS_CHECKOUT && (h->count_option < 2 || h->count_option > 16))
        return es_err_set(err, ES_EINPUT, "heaps: %lld is not 2 to 16, as the source that lends heaps wants it", (long long)h->count_option);
    if (h->mode == HEAPS_CHECKOUT && (h->size < 64 << 20 || h->size > 4096ll << 20))
        return es_err_set(err, ES_EINPUT, "heap_size: %lld is not 64MiB to 4096MiB, as the source that lends heaps wants it", (long long)h->size);
    if (h->mode == HEAPS_SUBALLOCATE)
        h->size -= h->size % h->alignment;
    if (h->size < h->alignment)
        return es_err_set(err, ES_EINPUT, "heap_size: nothing is left of it when it is rounded down to the alignment, %lld bytes", (long long)h->alignment);
    if (!h->growth || h->mode != HEAPS_SUBALLOCATE)
        h->max_heaps = h->count_option;
    if (h->max_heaps < h->count_option)
        return es_err_set(err, ES_EINPUT, "max_heaps: %lld is below heaps, %lld", (long long)h->max_heaps, (long long)h->count_option);
    if (h->mode != HEAPS_NONE && h->size > h->limit / h->count_option)
        return es_err_set(err, ES_EINPUT, "heap_size: %lld heaps of %lld bytes are more than the memory there is, %lld bytes; take fewer or smaller ones",
            (long long)h->count_option, (long long)h->size, (long long)h->limit);
    return ES_OK;
}

static es_code heaps_warm_size(const es_json *given, int64_t *bytes, es_err *err)
{
    double value = 0.0;
    if (!cJSON_IsString(given))
        return es_err_set(err, ES_EINPUT, "found %s, needs a size such as \"32MiB\"", es_json_kind(given));
    es_code code = es_text_quantity(given->valuestring, ES_UNIT_BYTES, &value, err);
    if (code == ES_OK && !(value >= 1.0 && value <= 0x1p50))
        return es_err_set(err, ES_EINPUT, "\"%s\" is no size of a buffer", given->valuestring);
    *bytes = (int64_t)value;
    return code;
}

/* What is allocated to warm a heap up is given back at once: it leaves no trace but its time. */
static es_code heaps_warm(heaps *h, es_err *err)
{
    const es_json *given;
    int i = 0;
    if (cJSON_IsNull(h->warm))
        h->warm = NULL;
    if (h->warm && (!cJSON_IsArray(h->warm) || cJSON_GetArraySize(h->warm) > HEAPS_WARM_MOST))
        return es_err_set(err, ES_EINPUT, "warm: needs a list of at most %d sizes such as [\"32MiB\", \"128MiB\"]", HEAPS_WARM_MOST);
    cJSON_ArrayForEach(given, h->warm) {
        int64_t bytes = 0;
        es_code code = heaps_warm_size(given, &bytes, err);
        if (code == ES_OK && bytes > h->size && h->oversize == HEAPS_ERROR && h->mode != HEAPS_NONE)
            code = es_err_set(err, ES_EINPUT, "%s is more than heap_size, %lld bytes: no heap can ever hold it; raise heap_size, leave the size out, or set oversize to skip",
                given->valuestring, (long long)h->size);
        if (code)
            return es_err_at(err, "warm.%d", i), code;
        i++;
        h->skipped += bytes > h->size;
        for (uint32_t k = 0; bytes <= h->size && k < h->count; k++)
            h->view[k].warmed++;
    }
    return ES_OK;
}

/* Experts: their tier has so many pools from the start. */
static es_code heaps_experts(const heaps *h, const es_place_ask *kind, uint32_t kinds, es_err *err)
{
    if (kinds > 0 && (h->growth || h->mode == HEAPS_NONE))
        return es_err_set(err, ES_EINPUT, "%s is for traces of buffers; experts do not go with it", h->growth ? "growth" : "mode: none");
    for (uint32_t i = 0; i < kinds; i++)
        if (kind[i].bytes > h->size && (!h->fallback || h->mode == HEAPS_CHECKOUT))
            return es_err_set(err, ES_EINPUT, "heap_size: %lld bytes hold no expert of %lld bytes, and nothing may lie beside the heaps; raise it",
                (long long)h->size, (long long)kind[i].bytes);
    return ES_OK;
}

static es_code heaps_open(void *self, int64_t capacity, es_oid first, uint32_t objects, const es_place_ask *kind, uint32_t kinds, es_arena *arena, es_err *err)
{
    heaps *h = self;
    (void)first;
    if (kinds > 0 && h->buffers > objects)
        h->buffers = objects;               /* an expert is one piece */
    es_code code = heaps_check(h, capacity, err);
    if (code == ES_OK)
        code = heaps_experts(h, kind, kinds, err);
    if (code)
        return code;
    const uint32_t most = (uint32_t)h->max_heaps;
    h->heap = ES_NEW_ARRAY(arena, most, heap);
    h->view = ES_NEW_ARRAY(arena, most, es_pool_view);
    if (!h->heap || !h->view || !span_pool_init(&h->pieces, h->mode == HEAPS_SUBALLOCATE ? (uint32_t)h->buffers : 0, most, arena)
        || (h->mode == HEAPS_CHECKOUT && !checkout_init(&h->checkout, (uint32_t)h->count_option, (uint32_t)h->buffers, arena)))
        return es_err_nomem(err, "the heaps");
    for (int64_t i = 0; i < h->count_option && h->mode != HEAPS_NONE; i++)
        heaps_add(h);
    h->compact_at = h->interval;
    return heaps_warm(h, err);
}

/* ---- reserve and release ---- */

static int64_t heaps_unit(void *self, int64_t bytes)
{
    const heaps *h = self;
    if (h->mode == HEAPS_CHECKOUT)
        return h->size;
    const int64_t least = bytes > 0 ? bytes : 1;
    return (least + h->alignment - 1) / h->alignment * h->alignment;
}

static int64_t heaps_total(const heaps *h)
{
    return h->size * h->count;
}

static void heaps_grow(heaps *h, int64_t bytes)
{
    if (!h->growth || h->count == (uint32_t)h->max_heaps || h->size > h->limit - heaps_total(h) - h->outside)
        return;
    if ((double)(h->used + bytes) > h->trigger * (double)heaps_total(h)) {
        heaps_add(h);
        h->grown++;
    }
}

static uint32_t heaps_best_fit(const heaps *h, int64_t bytes)
{
    uint32_t best = 0;
    int64_t tightest = INT64_MAX;
    for (uint32_t i = 0; i < h->count; i++) {
        const int64_t hole = spans_largest(&h->heap[i].spans);
        if (hole >= bytes && hole < tightest) {
            tightest = hole;
            best = i;
        }
    }
    return best;
}

static uint32_t heaps_least_used(const heaps *h)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < h->count; i++)
        if (h->heap[i].spans.free > h->heap[best].spans.free)
            best = i;
    return best;
}

/* The cursor goes on with every request, whether it finds room or not. */
static uint32_t heaps_chosen(heaps *h, int64_t bytes)
{
    if (h->choose == HEAPS_BEST_FIT)
        return heaps_best_fit(h, bytes);
    if (h->choose == HEAPS_LEAST_USED)
        return heaps_least_used(h);
    const uint32_t turn = h->next % h->count;
    h->next = turn + 1;
    return turn;
}

/* Beside the pool. */
static es_place heaps_outside(heaps *h, int64_t bytes, es_block *block)
{
    if (!h->fallback || bytes > h->limit - heaps_total(h) - h->outside)
        return ES_FULL;
    h->outside += bytes;
    *block = (es_block){.pool = ES_NONE_POOL, .bytes = bytes};
    return ES_FALLBACK;
}

static es_place heaps_lend(heaps *h, es_block *block)
{
    const bool memory = h->fallback && h->size <= h->limit - heaps_total(h) - h->outside;
    uint32_t lent;
    if (!checkout_acquire(&h->checkout, memory, &lent))
        return ES_FULL;
    *block = (es_block){.pool = lent, .slot = lent, .bytes = h->size};
    if (lent == ES_NONE_POOL) {
        h->outside += h->size;
        return ES_FALLBACK;
    }
    h->heap[lent].asked++;
    h->heap[lent].placed++;
    heaps_look(h, lent);
    return ES_PLACED;
}

static es_place heaps_piece(heaps *h, const es_place_ask *ask, es_block *block)
{
    const int64_t bytes = heaps_unit(h, ask->bytes);
    heaps_grow(h, bytes);
    const uint32_t first = heaps_chosen(h, bytes), tries = h->try_all ? h->count : 1;
    h->heap[first].asked++;
    h->tabled += h->live == h->buffers;
    for (uint32_t i = 0; i < tries && h->live < h->buffers; i++) {
        const uint32_t at = (first + i) % h->count;
        const uint32_t piece = spans_take(&h->heap[at].spans, bytes, ask->object);
        if (!piece)
            continue;
        h->heap[at].placed++;
        h->live++;
        h->used += bytes;
        heaps_look(h, at);
        *block = (es_block){.pool = at, .slot = piece, .at = h->pieces.at[piece].at, .bytes = bytes};
        return i == 0 ? ES_PLACED : ES_SPILLED;
    }
    return heaps_outside(h, bytes, block);
}

static es_place heaps_reserve(void *self, const es_place_ask *ask, es_block *block)
{
    heaps *h = self;
    if (h->reset_after > 0 && h->requests == (uint64_t)h->reset_after)
        checkout_reset(&h->checkout);
    h->requests++;
    if (h->mode == HEAPS_CHECKOUT)
        return heaps_lend(h, block);
    return h->mode == HEAPS_NONE ? heaps_outside(h, heaps_unit(h, ask->bytes), block) : heaps_piece(h, ask, block);
}

static void heaps_take_back(heaps *h, uint32_t lent)
{
    checkout_release(&h->checkout, lent);
    if (lent != ES_NONE_POOL)
        heaps_look(h, lent);
}

static void heaps_release(void *self, es_oid object, const es_block *block)
{
    heaps *h = self;
    (void)object;
    if (block->pool == ES_NONE_POOL)
        h->outside -= block->bytes;
    if (h->mode == HEAPS_CHECKOUT) {
        heaps_take_back(h, block->pool);
    } else if (block->pool != ES_NONE_POOL) {
        spans_give(&h->heap[block->pool].spans, block->slot);
        h->live--;
        h->used -= block->bytes;
        heaps_look(h, block->pool);
    }
}

static void heaps_release_again(void *self, es_oid object, const es_block *block)
{
    heaps *h = self;
    (void)object;
    if (h->mode == HEAPS_CHECKOUT)
        heaps_take_back(h, block->pool);
}

static bool heaps_helps(const void *self, const es_block *block, const es_place_ask *ask)
{
    const heaps *h = self;
    if (h->mode == HEAPS_CHECKOUT || block->pool == ES_NONE_POOL)
        return h->mode == HEAPS_CHECKOUT || h->fallback;
    return ask->bytes <= h->size;
}

/* ---- compaction ---- */

/* Each piece has its owner, so a slide finds its block. */
static void heaps_moved(void *self, const span *piece)
{
    es_compaction *c = self;
    c->block[piece->owner].at = piece->at;
    c->bytes += piece->bytes;
    c->moves++;
}

static double heaps_fragmentation(const spans *s)
{
    return s->free > 0 ? 1.0 - (double)spans_largest(s) / (double)s->free : 0.0;
}

static bool heaps_due(const void *self, const es_place_ask *ask, es_time now)
{
    const heaps *h = self;
    return h->compaction && h->mode == HEAPS_SUBALLOCATE && !ask && now >= h->compact_at;
}

static bool heaps_compact(void *self, es_compaction *c, es_time now)
{
    heaps *h = self;
    h->compact_at = now + h->interval;
    for (uint32_t i = 0; i < h->count; i++) {
        spans *s = &h->heap[i].spans;
        if (heaps_fragmentation(s) <= h->threshold)
            continue;
        spans_slide(s, heaps_moved, c);
        heaps_look(h, i);
        h->compacted++;
    }
    return c->moves > 0;
}

/* ---- reports ---- */

static uint32_t heaps_pools(const void *self, const es_pool_view **pool)
{
    const heaps *h = self;
    *pool = h->view;
    return h->count;
}

/* Of heap i in all states. */
static void heaps_report_heap(const void *const *self, uint32_t states, uint32_t i, es_json *asked, es_json *placed)
{
    uint64_t asks = 0, places = 0;
    for (uint32_t k = 0; k < states; k++) {
        const heaps *h = self[k];
        asks += h->heap[i].asked;
        places += h->heap[i].placed;
    }
    cJSON_AddItemToArray(asked, cJSON_CreateNumber((double)asks));
    cJSON_AddItemToArray(placed, cJSON_CreateNumber((double)places));
}

static void heaps_report(const void *const *self, uint32_t states, es_json *out)
{
    const heaps *one = self[0];
    heaps all = {0};
    for (uint32_t k = 0; k < states; k++) {
        const heaps *h = self[k];
        all.grown += h->grown;
        all.compacted += h->compacted;
        all.skipped += h->skipped;
        all.outside += h->outside;
        all.tabled += h->tabled;
        checkout_add(&all.checkout, &h->checkout);
    }
    es_json_add_text(out, "mode", heaps_modes[one->mode]);
    es_json_add_text(out, "choose", one->mode == HEAPS_SUBALLOCATE ? heaps_chooses[one->choose] : NULL);
    es_json_add_int(out, "heap_bytes", one->mode == HEAPS_NONE ? 0 : one->size);
    es_json_add_int(out, "heaps_made", (int64_t)all.grown);
    es_json_add_int(out, "compactions", (int64_t)all.compacted);
    es_json_add_int(out, "warm_skipped", (int64_t)all.skipped);
    es_json_add_int(out, "beside_bytes", all.outside);
    es_json_add_int(out, "table_full", (int64_t)all.tabled);
    es_json *asked = es_json_add_array(out, "heap_asked"), *placed = es_json_add_array(out, "heap_placed");
    for (uint32_t i = 0; i < one->count; i++)
        heaps_report_heap(self, states, i, asked, placed);
    if (one->mode == HEAPS_CHECKOUT)
        checkout_report(&all.checkout, es_json_add_object(out, "checkout"));
}

const es_allocator es_allocator_heaps = {
    .part = {.abi = ES_ABI, .name = "heaps", .brief = "A pool of heaps made beforehand: pieces of them, or heaps lent whole; the device allocates what finds no room.",
        .options = heaps_options, .size = sizeof(heaps)},
    .unit = heaps_unit,
    .counts = "bytes",
    .open = heaps_open,
    .reserve = heaps_reserve,
    .release = heaps_release,
    .release_again = heaps_release_again,
    .helps = heaps_helps,
    .pools = heaps_pools,
    .due = heaps_due,
    .compact = heaps_compact,
    .report = heaps_report,
};
