/* Bench: see bench.h. One case, performed and timed once. */
#include "calib/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { BENCH_PAGE = 4096, BENCH_TAIL = 64, BENCH_CACHES = 4, BENCH_BLOCK = 1 << 20, BENCH_QUEUED = 64 };

/* ---- memory ---- */

static int64_t paged(int64_t bytes)
{
    return (bytes + BENCH_PAGE - 1) / BENCH_PAGE * BENCH_PAGE;
}

unsigned char *bench_next(bench_pool *pool, int64_t bytes)
{
    int64_t size = paged(bytes);
    if (pool->next + size > pool->bytes)
        pool->next = 0;
    unsigned char *at = pool->at + pool->next;
    pool->next += size;
    return at;
}

/* Two random floats, or four halves of them, of either sign and between a half and one: bytes that do no harm where they are weights. */
static uint64_t bench_word(es_stream random, uint64_t i)
{
    return (es_mix(random ^ i) & 0x807f807f807f807fu) | 0x3f003f003f003f00u;
}

static void bench_fill(unsigned char *at, int64_t bytes, es_stream random, uint64_t first)
{
    for (int64_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t word = bench_word(random, first + (uint64_t)i / 8);
        memcpy(at + i, &word, sizeof word);
    }
}

/* The device's pool gets what the pageable one has, over and over. */
static es_code bench_load(calib_bench *b, es_err *err)
{
    bench_pool *from = &b->pool[ES_MEMORY_PAGEABLE], *to = &b->pool[ES_MEMORY_DEVICE];
    es_code code = ES_OK;
    for (int64_t at = 0; at < to->bytes && code == ES_OK; at += from->bytes)
        code = b->probe->copy(b->self, 0, ES_WAY_H2D, to->at + at, from->at, to->bytes - at < from->bytes ? to->bytes - at : from->bytes, err);
    return code ? code : b->probe->sync(b->self, err);
}

/* The largest copy from or to a kind of memory; of the three that every probe may have, the largest of all, but that the larger ones of a
 * card touch no pageable memory. 0: nobody asks for it. */
static int64_t bench_largest(const calib_bench *b, const calib_plan *plan, es_memory kind)
{
    int64_t largest = 0;
    if (kind == ES_MEMORY_PAGEABLE && plan->pinned > plan->largest)
        return plan->largest;
    if (kind <= ES_MEMORY_DEVICE)
        return kind != ES_MEMORY_PINNED || (b->facts.can & ES_PROBE_PINS) ? plan->most : 0;
    for (size_t i = 0; i < plan->count; i++)
        if (calib_rows[plan->at[i].row].memory == kind && plan->at[i].bytes > largest)
            largest = plan->at[i].bytes;
    return largest;
}

/* A pool holds three of the largest copies, so that two that follow each other never overlap where it begins anew. Every kind has a
 * size of its own, so that going round meets other pairs of source and destination each time. */
static es_code bench_pools(calib_bench *b, const calib_plan *plan, int64_t cold, es_err *err)
{
    for (int kind = 0; kind < ES_MEMORIES; kind++) {
        int64_t largest = paged(bench_largest(b, plan, (es_memory)kind));
        if (largest == 0)
            continue;
        bench_pool *pool = &b->pool[kind];
        pool->bytes = paged(cold > 3 * largest ? cold : 3 * largest) + (2 * kind + 1) * BENCH_PAGE;
        es_code code = b->probe->alloc(b->self, (es_memory)kind, pool->bytes, (void **)&pool->at, err);
        if (code)
            return code;
        if (kind != ES_MEMORY_DEVICE)
            bench_fill(pool->at, pool->bytes, b->random + (uint64_t)kind, 0);
    }
    return bench_load(b, err);
}

/* Writes the scratch file that reads are made from: its word at offset o is random(o / 8). */
static es_code bench_scratch(calib_bench *b, es_err *err)
{
    if (!(b->facts.can & ES_PROBE_DISK))
        return ES_OK;
    for (int64_t at = 0; at < b->disk_bytes; at += BENCH_BLOCK) {
        int64_t bytes = b->disk_bytes - at < BENCH_BLOCK ? b->disk_bytes - at : BENCH_BLOCK;
        bench_fill(b->check, bytes, b->random, (uint64_t)at / 8);
        es_probe_io io = {true, b->check, at, bytes, bytes, 1, ES_DISK_DIRECT};
        es_code code = b->probe->disk(b->self, &io, err);
        if (code)
            return code;
    }
    return ES_OK;
}

es_code calib_bench_open(calib_bench **out, const es_probe *probe, void *self, const calib_plan *plan, uint64_t seed, es_err *err)
{
    calib_bench *b = *out = calloc(1, sizeof *b);
    if (!b)
        return es_err_nomem(err, "the memory to measure with");
    b->probe = probe;
    b->self = self;
    b->facts = probe->facts(self);
    b->random = es_stream_of(seed, 0, "calibrate", "bytes");
    int64_t cold = BENCH_CACHES * b->facts.cache_bytes, share = b->facts.memory_bytes / 6, both = 2 * paged(plan->largest);
    cold = cold < share ? cold : share;
    both = both > BENCH_BLOCK ? both : BENCH_BLOCK;     /* of a copy within the device both ends come back */
    b->check_bytes = both > plan->most ? both : paged(plan->most);
    b->disk_bytes = both > cold ? both : paged(cold);
    es_code code = bench_pools(b, plan, cold, err);
    if (code == ES_OK)
        code = probe->alloc(self, ES_MEMORY_PAGEABLE, b->check_bytes, (void **)&b->check, err);
    return code ? code : bench_scratch(b, err);
}

void calib_bench_close(calib_bench *b)
{
    if (!b)
        return;
    for (int kind = 0; kind < ES_MEMORIES; kind++)
        if (b->pool[kind].at)
            b->probe->release(b->self, (es_memory)kind, b->pool[kind].at, b->pool[kind].bytes);
    if (b->check)
        b->probe->release(b->self, ES_MEMORY_PAGEABLE, b->check, b->check_bytes);
    free(b);
}

/* ---- what arrived ---- */

static es_code bench_differs(const calib_case *c, int64_t at, es_err *err)
{
    return es_err_set(err, ES_ECHECK, "%s: a copy of %lld bytes brought other bytes than were sent, %lld bytes before its end", calib_rows[c->row].name,
        (long long)c->bytes, (long long)(c->bytes - at));
}

/* Brings `bytes` that lie on the device to `to`, and says that they are there now. */
static es_code bench_back(calib_bench *b, unsigned char *to, const unsigned char **at, int64_t bytes, es_err *err)
{
    es_code code = b->probe->copy(b->self, 1, ES_WAY_D2H, to, *at, bytes, err);
    *at = to;
    return code ? code : b->probe->sync(b->self, err);
}

/* Compares the last `bytes` of a copy. */
static es_code bench_compare(calib_bench *b, const calib_case *c, const unsigned char *to, const unsigned char *from, int64_t bytes, es_err *err)
{
    es_way way = calib_rows[c->row].way;
    int64_t skip = c->bytes - bytes;
    const unsigned char *arrived = to + skip, *sent = from + skip;
    es_code code = ES_OK;
    if (way == ES_WAY_H2D || way == ES_WAY_D2D)
        code = bench_back(b, b->check, &arrived, bytes, err);
    if (code == ES_OK && (way == ES_WAY_D2H || way == ES_WAY_D2D))
        code = bench_back(b, b->check + (way == ES_WAY_D2D ? bytes : 0), &sent, bytes, err);
    return code || memcmp(arrived, sent, (size_t)bytes) == 0 ? code : bench_differs(c, skip, err);
}

static es_code bench_pattern(calib_bench *b, const calib_case *c, const unsigned char *at, int64_t offset, es_err *err)
{
    for (int64_t i = 0; i + 8 <= c->bytes; i += 8) {
        uint64_t word = bench_word(b->random, (uint64_t)(offset + i) / 8), read;
        memcpy(&read, at + i, sizeof read);
        if (read != word)
            return bench_differs(c, i, err);
    }
    return ES_OK;
}

/* ---- cases ---- */

/* The event pair 0, 1 around what `queue` puts on stream 0; all held until it is queued, where the probe can. */
typedef es_code bench_queue(calib_bench *b, const calib_case *c, void *ask, es_err *err);

static bool bench_gated(const calib_bench *b, const calib_row *row)
{
    /* A staged copy needs the host: held, it would wait for itself. */
    return b->probe->hold && row->memory != ES_MEMORY_PAGEABLE && row->op != CALIB_SEEN;
}

static es_code copy_down(calib_bench *b, unsigned char *to, int64_t bytes, es_err *err)
{
    return b->probe->copy(b->self, 1, ES_WAY_H2D, to, bench_next(&b->pool[ES_MEMORY_PINNED], bytes), bytes, err);
}

/* Another expert on stream 0 while stream 1 copies the weights; then stream 0 waits for them. */
static es_code bench_hand(calib_bench *b, const calib_case *c, bench_queue *queue, void *weights, es_err *err)
{
    enum { COPIED = 2 };        /* an event: 0 and 1 are around what is timed */
    es_code code = queue(b, c, bench_next(&b->pool[ES_MEMORY_DEVICE], c->bytes), err);
    if (code == ES_OK)
        code = copy_down(b, weights, c->bytes, err);
    if (code == ES_OK)
        code = b->probe->record(b->self, 1, COPIED, err);
    return code ? code : b->probe->wait(b->self, 0, COPIED, err);
}

/* What was used just before is near: the weights, and the code that reads them. */
static es_code bench_before(calib_bench *b, const calib_case *c, bench_queue *queue, void *ask, es_err *err)
{
    if (calib_rows[c->row].op == CALIB_EXPERT && calib_rows[c->row].part == CALIB_HANDED)
        return bench_hand(b, c, queue, ask, err);
    bool warm = calib_rows[c->row].op == CALIB_EXPERT && calib_rows[c->row].part == CALIB_USED;
    return warm ? queue(b, c, ask, err) : ES_OK;
}

static es_code bench_timed(calib_bench *b, const calib_case *c, bench_queue *queue, void *ask, calib_sample *sample, es_err *err)
{
    const es_probe *p = b->probe;
    bool gated = bench_gated(b, &calib_rows[c->row]);
    es_code code = gated ? p->hold(b->self, err) : ES_OK, opened = ES_OK;
    if (code == ES_OK)
        code = bench_before(b, c, queue, ask, err);
    es_time start = p->now(b->self);
    if (code == ES_OK)
        code = p->record(b->self, 0, 0, err);
    if (code == ES_OK)
        code = queue(b, c, ask, err);
    if (code == ES_OK)
        code = p->record(b->self, 0, 1, err);
    es_time queued = p->now(b->self);
    if (gated && (opened = p->go(b->self, code ? NULL : err)) != ES_OK && code == ES_OK)
        code = opened;
    if (code == ES_OK)
        code = p->sync(b->self, err);
    sample->issue_ns = queued - start;
    sample->host_ns = p->now(b->self) - queued;
    if (code == ES_OK)
        code = p->elapsed(b->self, 0, 1, &sample->ns, err);
    if (!gated)                 /* events around a staged copy see the last of its stages */
        sample->ns = sample->issue_ns + sample->host_ns;
    return code;
}

typedef struct bench_pair {
    unsigned char *to, *from;
} bench_pair;

static void pair_next(calib_bench *b, const calib_case *c, int64_t bytes, bench_pair *pair)
{
    es_way way = calib_rows[c->row].way;
    bench_pool *host = &b->pool[calib_rows[c->row].memory], *device = &b->pool[way == ES_WAY_H2H ? ES_MEMORY_PINNED : ES_MEMORY_DEVICE];
    pair->from = bench_next(way == ES_WAY_H2D || way == ES_WAY_H2H ? host : device, bytes);
    pair->to = bench_next(way == ES_WAY_D2H ? host : device, bytes);
}

static es_code queue_copies(calib_bench *b, const calib_case *c, void *ask, es_err *err)
{
    bench_pair *pair = ask;
    uint32_t copies = calib_rows[c->row].op == CALIB_BATCH ? c->count : 1;
    es_code code = ES_OK;
    for (uint32_t i = 0; i < copies && code == ES_OK; i++) {
        pair_next(b, c, c->bytes, pair);
        code = b->probe->copy(b->self, 0, calib_rows[c->row].way, pair->to, pair->from, c->bytes, err);
    }
    return code;
}

/* All of them as one; the last is what is compared. */
static es_code queue_whole(calib_bench *b, const calib_case *c, void *ask, es_err *err)
{
    bench_pair *pair = ask;
    int64_t before = c->bytes * (c->count - 1);
    pair_next(b, c, c->bytes * c->count, pair);
    es_code code = b->probe->copy(b->self, 0, calib_rows[c->row].way, pair->to, pair->from, c->bytes * c->count, err);
    pair->to += before;
    pair->from += before;
    return code;
}

static es_code queue_batch(calib_bench *b, const calib_case *c, void *ask, es_err *err)
{
    bench_pair *pair = ask;
    void *to[ES_PROBE_BATCH];
    const void *from[ES_PROBE_BATCH];
    for (uint32_t i = 0; i < c->count; i++) {
        pair_next(b, c, c->bytes, pair);
        to[i] = pair->to;
        from[i] = pair->from;
    }
    es_probe_batch batch = {calib_rows[c->row].which, calib_rows[c->row].way, to, from, c->bytes, c->count};
    return b->probe->batch(b->self, 0, &batch, err);
}

static es_code perform_copy(calib_bench *b, const calib_case *c, bool whole, calib_sample *sample, es_err *err)
{
    bench_pair last = {0};
    int form = calib_rows[c->row].op == CALIB_BATCH ? calib_rows[c->row].which : ES_FORM_COPIES;
    es_code code = bench_timed(b, c, form == ES_FORM_COPIES ? queue_copies : form == ES_FORM_WHOLE ? queue_whole : queue_batch, &last, sample, err);
    int64_t bytes = whole || c->bytes < BENCH_TAIL ? c->bytes : BENCH_TAIL;
    return code ? code : bench_compare(b, c, last.to, last.from, bytes, err);
}

static es_code perform_alloc(calib_bench *b, const calib_case *c, calib_sample *sample, es_err *err)
{
    void *at = NULL;
    es_memory kind = calib_rows[c->row].memory;
    es_time start = b->probe->now(b->self);
    es_code code = b->probe->alloc(b->self, kind, c->bytes, &at, err);
    sample->ns = sample->host_ns = b->probe->now(b->self) - start;
    if (code == ES_OK)
        b->probe->release(b->self, kind, at, c->bytes);
    return code;
}

static es_code perform_price(calib_bench *b, const calib_case *c, calib_sample *sample, es_err *err)
{
    const calib_row *row = &calib_rows[c->row];
    es_time ns[ES_PRICED] = {0};
    es_code code = b->probe->price(b->self, (es_price)row->which, c->bytes, ns, err);
    sample->ns = sample->host_ns = ns[row->part];
    return code;
}

static es_code perform_get(calib_bench *b, const calib_case *c, calib_sample *sample, es_err *err)
{
    es_got got = {0};
    es_code code = b->probe->get(b->self, (es_get)calib_rows[c->row].which, c->bytes, &got, err);
    sample->ns = got.call;
    sample->issue_ns = got.first;
    sample->host_ns = got.again;
    return code;
}

static es_code perform_reside(calib_bench *b, const calib_case *c, calib_sample *sample, es_err *err)
{
    es_code code = b->probe->reside(b->self, (es_reside)calib_rows[c->row].which, c->count, c->bytes, &sample->ns, err);
    sample->host_ns = sample->ns;
    return code;
}

static es_code queue_expert(calib_bench *b, const calib_case *c, void *ask, es_err *err)
{
    const calib_row *row = &calib_rows[c->row];
    es_probe_expert expert = {ask, CALIB_HIDDEN, calib_expert_inter(row->which, c->bytes), row->part == CALIB_FADED ? 1 : c->count, row->which};
    return b->probe->expert(b->self, 0, &expert, err);
}

/* Brings `bytes` to `at`, and copies others behind them, each as large; no more are queued at a time than a probe takes. */
static es_code bench_bring(calib_bench *b, const calib_case *c, unsigned char *at, bool others, es_err *err)
{
    int64_t left = others ? (int64_t)c->count * 1024 : 0;
    es_code code = copy_down(b, at, c->bytes, err);
    for (int queued = 1; left > 0 && code == ES_OK; left -= c->bytes, queued++) {
        int64_t bytes = left < c->bytes ? left : c->bytes;
        code = queued % BENCH_QUEUED == 0 ? b->probe->sync(b->self, err) : ES_OK;
        if (code == ES_OK)
            code = copy_down(b, bench_next(&b->pool[ES_MEMORY_DEVICE], bytes), bytes, err);
    }
    return code ? code : b->probe->sync(b->self, err);
}

/* The weights are others each time, or always the same. The first of its kind with nothing held, for what a library loads and chooses then may
 * have to wait for the device. */
static es_code perform_expert(calib_bench *b, const calib_case *c, bool first, calib_sample *sample, es_err *err)
{
    const int before = calib_rows[c->row].part;
    bench_pool *pool = &b->pool[ES_MEMORY_DEVICE];
    unsigned char *weights = before == CALIB_USED ? pool->at : bench_next(pool, c->bytes);
    es_code code = first ? queue_expert(b, c, weights, err) : ES_OK;
    if (first && code == ES_OK)
        code = b->probe->sync(b->self, err);
    if (code == ES_OK && (before == CALIB_COPIED || before == CALIB_FADED))
        code = bench_bring(b, c, weights, before == CALIB_FADED, err);
    return code ? code : bench_timed(b, c, queue_expert, weights, sample, err);
}

static es_code queue_onto(calib_bench *b, const calib_case *c, void *ask, es_err *err)
{
    bench_pair *pair = ask;
    pair->from = bench_next(&b->pool[ES_MEMORY_PINNED], c->bytes);
    return b->probe->copy(b->self, 0, ES_WAY_H2D, pair->to, pair->from, c->bytes, err);
}

static es_code perform_onto(calib_bench *b, const calib_case *c, bool whole, calib_sample *sample, es_err *err)
{
    bench_pair pair = {.to = bench_next(&b->pool[ES_MEMORY_DEVICE], c->bytes)};
    es_code code = bench_bring(b, c, pair.to, true, err);
    if (code == ES_OK)
        code = bench_timed(b, c, queue_onto, &pair, sample, err);
    return code ? code : bench_compare(b, c, pair.to, pair.from, whole ? c->bytes : BENCH_TAIL, err);
}

/* What came to the device is brought back and compared, whole. */
static es_code perform_fetch(calib_bench *b, const calib_case *c, calib_sample *sample, es_err *err)
{
    int64_t size = paged(c->bytes), offset = b->disk_next + size > b->disk_bytes ? 0 : b->disk_next;
    const void *at = NULL;
    b->disk_next = offset + size;
    es_code code = b->probe->fetch(b->self, (es_fetch)calib_rows[c->row].which, offset, size, &at, &sample->ns, err);
    sample->host_ns = sample->ns;
    const unsigned char *arrived = at;
    if (code == ES_OK)
        code = bench_back(b, b->check, &arrived, size, err);
    return code ? code : bench_pattern(b, c, b->check, offset, err);
}

/* From and to memory as a cache of experts has it: pinned where that can be, another place each time. What is read was there under no other offset,
 * and the last bytes are wiped, so that a read which brought nothing is seen. */
static es_code perform_disk(calib_bench *b, const calib_case *c, calib_sample *sample, es_err *err)
{
    bool write = calib_rows[c->row].op == CALIB_WRITE;
    int64_t size = paged(c->bytes);
    unsigned char *at = bench_next(&b->pool[b->pool[ES_MEMORY_PINNED].at ? ES_MEMORY_PINNED : ES_MEMORY_PAGEABLE], size);
    if (b->disk_next + size > b->disk_bytes)
        b->disk_next = 0;
    es_probe_io io = {write, at, b->disk_next, size, size, c->count, write ? ES_DISK_DIRECT : (es_disk_way)calib_rows[c->row].which};
    if (c->count > 1)           /* an expert in flight as `count` pieces */
        io.block = paged(size / c->count);
    b->disk_next += size;
    if (write)
        bench_fill(at, size, b->random, (uint64_t)io.offset / 8);
    else
        memset(at + c->bytes - 8, 0, 8);
    es_code code = ES_OK;
    if (io.way == ES_DISK_BUFFERED) {
        es_probe_io forget = io;
        forget.way = ES_DISK_FORGET;
        code = b->probe->disk(b->self, &forget, err);
    }
    es_time start = b->probe->now(b->self);
    if (code == ES_OK)
        code = b->probe->disk(b->self, &io, err);
    sample->ns = sample->host_ns = b->probe->now(b->self) - start;
    return code || write ? code : bench_pattern(b, c, at, io.offset, err);
}

es_code bench_perform(calib_bench *b, const calib_case *c, bool whole, calib_sample *sample, es_err *err)
{
    struct rusage before = {0}, after = {0};
    es_code code = ES_OK;
    *sample = (calib_sample){.bytes = c->bytes, .count = c->count};
    getrusage(RUSAGE_SELF, &before);
    switch (calib_rows[c->row].op) {
    case CALIB_COPY:
    case CALIB_BATCH:
    case CALIB_SEEN:
        code = perform_copy(b, c, whole, sample, err);
        break;
    case CALIB_ALLOC:
        code = perform_alloc(b, c, sample, err);
        break;
    case CALIB_EXPERT:
        code = perform_expert(b, c, whole, sample, err);
        break;
    case CALIB_PRICE:
    case CALIB_LAUNCH:
        code = perform_price(b, c, sample, err);
        break;
    case CALIB_READ:
    case CALIB_WRITE:
        code = perform_disk(b, c, sample, err);
        break;
    case CALIB_GET:
        code = perform_get(b, c, sample, err);
        break;
    case CALIB_FETCH:
        code = perform_fetch(b, c, sample, err);
        break;
    case CALIB_ONTO:
        code = perform_onto(b, c, whole, sample, err);
        break;
    case CALIB_MOVE:
        code = b->probe->move(b->self, (es_ram)calib_rows[c->row].which, c->count, c->bytes, &sample->ns, err);
        sample->host_ns = sample->ns;
        break;
    case CALIB_RESIDE:
        code = perform_reside(b, c, sample, err);
        break;
    }
    getrusage(RUSAGE_SELF, &after);
    sample->switches = (uint32_t)(after.ru_nivcsw - before.ru_nivcsw);
    return code;
}
