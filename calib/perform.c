/* Perform: see perform.h. */
#include "calib/perform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/plan.h"
#include "sim/part/registry.h"

enum { PERFORM_PAGE = 4096, PERFORM_TOKENS = 256, PERFORM_LEAST = 64, PERFORM_WIDTH = 8192 };

_Static_assert(2 * ES_ACTION_WINDOW + 1 <= ES_PROBE_EVENTS, "a window needs two events per row and one of its beginning");

struct perform {
    const es_probe *probe;
    void *self;                         /* NULL: not open */
    es_arena arena;
    es_probe_facts facts;
    perform_ask ask;
    es_memory kind;                     /* of the host's slots */
    int64_t stride;                     /* bytes from one slot to the next, in all places */
    int64_t slots[ES_PLACES];
    unsigned char *at[ES_PLACES];       /* of the disk: room for one slot, through which it is filled */
    uint64_t *lies[ES_PLACES];          /* [slots] name of what lies there; 0: nothing that anybody asked for */
    unsigned char *check;               /* one slot of host memory, for what comes back */
    bool *rehearsed;                    /* [logs] was performed once, and every copy of it compared */
    es_stream random;
};

static const unsigned perform_streams[ES_ACTION_QUEUES] = {0, 0, 1, 2, 3, 4, 5};
static const es_way perform_ways[ES_ACTION_QUEUES] = {ES_WAY_H2H, ES_WAY_H2H, ES_WAY_H2D, ES_WAY_D2H, ES_WAY_D2D, ES_WAY_H2H, ES_WAY_D2D};

/* ---- memory ---- */

static uint64_t row_name(const es_action *row)
{
    return (uint64_t)(row->layer + 1) << 32 | row->expert;
}

static unsigned char *perform_at(const perform *p, int place, uint32_t slot)
{
    return p->at[place] + (int64_t)slot * p->stride;
}

static void bytes_text(es_text *out, const char *what, int64_t bytes)
{
    es_text_add(out, "%s", what);
    es_text_bytes(out, (double)bytes);
}

static es_code perform_fits(const perform *p, es_err *err)
{
    int64_t device = p->slots[ES_PLACE_DEVICE] * p->stride, host = (p->slots[ES_PLACE_HOST] + 2) * p->stride, most = p->facts.memory_bytes;
    if (device + host <= most)
        return ES_OK;
    es_text text = {0};
    bytes_text(&text, "the experts need ", device + host);
    es_text_add(&text, " (%lld slots of the device and %lld of the host of ", (long long)p->slots[ES_PLACE_DEVICE], (long long)p->slots[ES_PLACE_HOST] + 2);
    bytes_text(&text, "", p->stride);
    bytes_text(&text, "), and ", most);
    es_text_add(&text, " may be taken; with --scale %.2g they would fit", 0.9 * (double)most / (double)(device + host));
    es_code code = text.failed ? es_err_nomem(err, "a message") : es_err_set(err, ES_EINPUT, "%s", text.at);
    es_text_free(&text);
    return code;
}

static es_code perform_memory(perform *p, es_err *err)
{
    const es_memory kinds[ES_PLACES] = {ES_MEMORY_DEVICE, p->kind, ES_MEMORY_PAGEABLE};
    es_code code = perform_fits(p, err);
    for (int place = 0; place < ES_PLACES && code == ES_OK; place++) {
        p->lies[place] = ES_NEW_ARRAY(&p->arena, p->slots[place] + 1, uint64_t);
        if (!p->lies[place])
            code = es_err_nomem(err, "the slots");
        else if (p->slots[place] > 0)
            code = p->probe->alloc(p->self, kinds[place], place == ES_PLACE_DISK ? p->stride : p->slots[place] * p->stride, (void **)&p->at[place], err);
    }
    p->rehearsed = ES_NEW_ARRAY(&p->arena, p->ask.count + 1, bool);
    if (code == ES_OK && !p->rehearsed)
        code = es_err_nomem(err, "the logs");
    return code ? code : p->probe->alloc(p->self, p->kind, p->stride, (void **)&p->check, err);
}

/* Two random floats of either sign between a half and one, over and over; in front the name. */
static uint64_t perform_word(const perform *p, uint64_t name, int64_t at)
{
    return at ? (es_mix(p->random ^ (name + (uint64_t)at)) & 0x807fffff807fffffu) | 0x3f0000003f000000u : name;
}

static void perform_fill(const perform *p, unsigned char *at, uint64_t name)
{
    for (int64_t i = 0; i + 8 <= p->stride; i += 8) {
        uint64_t word = perform_word(p, name, i);
        memcpy(at + i, &word, sizeof word);
    }
}

static es_code perform_store(perform *p, int place, uint32_t slot, uint64_t name, es_err *err)
{
    es_code code = ES_OK;
    if (p->lies[place][slot] == name)
        return ES_OK;
    perform_fill(p, place == ES_PLACE_DISK ? p->at[place] : perform_at(p, place, slot), name);
    if (place == ES_PLACE_DISK)
        code = p->probe->disk(p->self, &(es_probe_io){true, p->at[place], (int64_t)slot * p->stride, p->stride, p->stride, 1, ES_DISK_DIRECT}, err);
    p->lies[place][slot] = name;
    return code;
}

/* What a row takes from a slot that no row has filled was there from the start: it is put there now. The others are as good as empty. */
static es_code perform_load(perform *p, const es_actions *log, es_err *err)
{
    es_code code = ES_OK;
    bool *filled[ES_PLACES];
    for (int place = 0; place < ES_PLACES; place++)
        filled[place] = calloc((size_t)p->slots[place] + 1, sizeof(bool));
    if (!filled[0] || !filled[1] || !filled[2])
        code = es_err_nomem(err, "the slots");
    for (size_t i = 0; i < log->count && code == ES_OK; i++) {
        const es_action *row = &log->at[i];
        if (row->op >= ES_ACTION_GEMM)
            continue;
        int from = es_action_ways[row->op].from;
        if (!filled[from][row->source] && from != ES_PLACE_DEVICE)
            code = perform_store(p, from, row->source, row_name(row), err);
        filled[from][row->source] = filled[row->place][row->slot] = true;
    }
    for (int place = 0; place < ES_PLACES; place++)
        free(filled[place]);
    return code;
}

/* ---- opening ---- */

/* Disks are read and written in whole pages. */
static void perform_sizes(perform *p)
{
    for (size_t i = 0; i < p->ask.count; i++)
        for (int place = 0; place < ES_PLACES; place++) {
            const es_actions *log = p->ask.logs[i];
            int64_t bytes = (log->most[place] + PERFORM_PAGE - 1) / PERFORM_PAGE * PERFORM_PAGE;
            p->stride = bytes > p->stride ? bytes : p->stride;
            p->slots[place] = log->slots[place] > p->slots[place] ? log->slots[place] : p->slots[place];
        }
}

static es_code perform_able(perform *p, es_err *err)
{
    if (p->slots[ES_PLACE_DISK] && !(p->facts.can & ES_PROBE_DISK)) {
        es_json *told = cJSON_CreateObject();
        if (p->probe->environment)
            p->probe->environment(p->self, told);
        const es_json *why = cJSON_GetObjectItemCaseSensitive(told, "disk");
        es_code code = es_err_set(err, ES_EDEVICE, "has no disk to read experts from: %s", cJSON_IsString(why) ? why->valuestring : "this probe has none");
        cJSON_Delete(told);
        return code;
    }
    if (p->ask.overlapped && p->ask.pageable)
        return es_err_set(err, ES_EINPUT, "copies of pageable memory hold the thread that asks for them, so nothing overlaps; needs --mode serial");
    if (p->ask.overlapped && (!p->probe->wait || !p->probe->queue_disk))
        return es_err_set(err, ES_EDEVICE, "its streams cannot wait for each other; needs --mode serial");
    return ES_OK;
}

static es_code perform_start(perform *p, es_err *err)
{
    const es_part *part = NULL;
    es_code code = es_plugins_find(p->ask.plugins, ES_KIND_PROBE, p->ask.backend, &part, err);
    if (code)
        return code;
    p->probe = (const es_probe *)part;
    void *self = es_arena_alloc(&p->arena, 1, part->size);
    es_site site = {.arena = &p->arena, .path = "validate", .seed = p->ask.seed};
    code = self ? es_options_parse(part->options, self, p->ask.options, NULL, &p->arena, err) : es_err_nomem(err, "a probe");
    if (code)
        return code;
    p->self = self;
    if (part->init && (code = part->init(self, &site, err)) != ES_OK)
        return code;
    p->facts = p->probe->facts(self);
    p->kind = p->ask.pageable || !(p->facts.can & ES_PROBE_PINS) ? ES_MEMORY_PAGEABLE : ES_MEMORY_PINNED;
    perform_sizes(p);
    if ((code = perform_able(p, err)) != ES_OK)
        return code;
    return perform_memory(p, err);
}

static es_code row_gemm(perform *p, const es_action *row, es_err *err);

/* What a library makes, loads and chooses for the first product of its kind may have to wait for the whole device, and would wait for ever
 * behind streams that are held: so one of each number of tokens runs before, the largest first. */
static es_code perform_warm(perform *p, es_err *err)
{
    bool seen[PERFORM_TOKENS + 1] = {false};
    es_action most = {.op = ES_ACTION_GEMM};
    for (size_t i = 0; i < p->ask.count; i++)
        for (size_t r = 0; r < p->ask.logs[i]->count; r++) {
            const es_action *row = &p->ask.logs[i]->at[r];
            if (row->op != ES_ACTION_GEMM || row->tokens == 0)
                continue;
            most.bytes = row->bytes > most.bytes ? row->bytes : most.bytes;
            seen[row->tokens < PERFORM_TOKENS ? row->tokens : PERFORM_TOKENS] = true;
        }
    es_code code = ES_OK;
    for (most.tokens = PERFORM_TOKENS; most.tokens > 0 && code == ES_OK; most.tokens--)
        if (seen[most.tokens] && (code = row_gemm(p, &most, err)) == ES_OK)
            code = p->probe->sync(p->self, err);
    return code;
}

es_code perform_open(perform **out, const perform_ask *ask, es_err *err)
{
    perform *p = *out = calloc(1, sizeof *p);
    if (!p)
        return es_err_nomem(err, "what performs a log");
    p->ask = *ask;
    p->random = es_stream_of(ask->seed, 0, "validate", "bytes");
    es_code code = perform_start(p, err);
    if (code == ES_OK)
        code = perform_warm(p, err);
    return code ? (es_err_at(err, "%s", ask->backend), code) : ES_OK;
}

void perform_close(perform *p)
{
    if (!p)
        return;
    const es_memory kinds[ES_PLACES] = {ES_MEMORY_DEVICE, p->kind, ES_MEMORY_PAGEABLE};
    for (int place = 0; place < ES_PLACES; place++)
        if (p->at[place])
            p->probe->release(p->self, kinds[place], p->at[place], place == ES_PLACE_DISK ? p->stride : p->slots[place] * p->stride);
    if (p->check)
        p->probe->release(p->self, p->kind, p->check, p->stride);
    if (p->self && p->probe->part.fini)
        p->probe->part.fini(p->self);
    es_arena_free(&p->arena);
    free(p);
}

bool perform_computes(const perform *p)
{
    return p->facts.can & ES_PROBE_EXPERT;
}

void perform_environment(perform *p, es_json *out)
{
    es_json_add_text(out, "device", p->facts.device);
    es_json_add_real(out, "slots_B", (double)(p->slots[ES_PLACE_DEVICE] * p->stride));
    if (p->probe->environment)
        p->probe->environment(p->self, out);
    if (!cJSON_GetObjectItemCaseSensitive(out, "cache_B"))
        es_json_add_real(out, "cache_B", (double)p->facts.cache_bytes);
}

es_time perform_now(perform *p)
{
    return p->probe->now(p->self);
}

/* ---- one row ---- */

/* An expert of so many bytes as a product of matrices, as calibration has them: wide, and as deep as its bytes make it. */
static es_code row_gemm(perform *p, const es_action *row, es_err *err)
{
    es_code code = ES_OK;
    if (!perform_computes(p))
        return ES_OK;
    int64_t hidden = CALIB_HIDDEN, weights = row->bytes / 8;
    for (; hidden > PERFORM_LEAST && weights < hidden; hidden /= 2)
        continue;
    for (; hidden < PERFORM_WIDTH && weights / hidden > PERFORM_WIDTH; hidden *= 2)
        continue;
    int64_t inter = weights / hidden > PERFORM_WIDTH ? PERFORM_WIDTH : weights / hidden;
    for (uint32_t done = 0; done < row->tokens && code == ES_OK; done += PERFORM_TOKENS) {
        uint32_t tokens = row->tokens - done < PERFORM_TOKENS ? row->tokens - done : PERFORM_TOKENS;
        es_probe_expert ask = {perform_at(p, ES_PLACE_DEVICE, row->slot), (uint32_t)hidden, (uint32_t)(inter ? inter : 1), tokens, ES_WEIGHTS_FP32};
        code = p->probe->expert(p->self, perform_streams[ES_ACTION_GEMM], &ask, err);
    }
    return code;
}

static es_probe_io row_io(const perform *p, const es_action *row)
{
    bool write = row->op == ES_ACTION_DISK_WRITE;
    uint32_t host = write ? row->source : row->slot, disk = write ? row->slot : row->source;
    int64_t bytes = (row->bytes + PERFORM_PAGE - 1) / PERFORM_PAGE * PERFORM_PAGE;
    return (es_probe_io){write, perform_at(p, ES_PLACE_HOST, host), (int64_t)disk * p->stride, bytes, bytes, 1, ES_DISK_DIRECT};
}

static bool row_is_io(const es_action *row)
{
    return row->op == ES_ACTION_DISK_READ || row->op == ES_ACTION_DISK_WRITE;
}

static es_code row_queue(perform *p, const es_action *row, es_err *err)
{
    if (row->op == ES_ACTION_GEMM)
        return row_gemm(p, row, err);
    unsigned stream = perform_streams[row->op];
    if (row_is_io(row)) {
        es_probe_io io = row_io(p, row);
        return p->probe->queue_disk(p->self, stream, &io, err);
    }
    void *to = perform_at(p, es_action_ways[row->op].to, row->slot), *from = perform_at(p, es_action_ways[row->op].from, row->source);
    return p->probe->copy(p->self, stream, perform_ways[row->op], to, from, row->bytes, err);
}

/* ---- serial ---- */

/* A read of the disk by itself: the host's clock saw it all. */
static es_code serial_io(perform *p, const es_action *row, es_time *took, es_err *err)
{
    es_probe_io io = row_io(p, row);
    es_time start = p->probe->now(p->self);
    es_code code = p->probe->disk(p->self, &io, err);
    *took = p->probe->now(p->self) - start;
    return code;
}

static es_code serial_queued(perform *p, const es_action *row, es_time *took, es_err *err)
{
    const es_probe *probe = p->probe;
    const unsigned stream = perform_streams[row->op];
    const bool gated = probe->hold && p->kind != ES_MEMORY_PAGEABLE;    /* a staged copy needs the host: it would wait for itself */
    es_code code = gated ? probe->hold(p->self, err) : ES_OK, opened = ES_OK;
    es_time start = probe->now(p->self);
    if (code == ES_OK)
        code = probe->record(p->self, stream, 0, err);
    if (code == ES_OK)
        code = row_queue(p, row, err);
    if (code == ES_OK)
        code = probe->record(p->self, stream, 1, err);
    if (gated && (opened = probe->go(p->self, code ? NULL : err)) != ES_OK && code == ES_OK)
        code = opened;
    if (code == ES_OK)
        code = probe->sync(p->self, err);
    if (code == ES_OK && gated)
        return probe->elapsed(p->self, 0, 1, took, err);
    *took = probe->now(p->self) - start;
    return code;
}

static es_code perform_serial(perform *p, const es_actions *log, size_t first, size_t end, es_action_run *run, es_err *err)
{
    es_time clock = p->probe->now(p->self), at = 0;
    es_code code = ES_OK;
    for (size_t i = first; i < end && code == ES_OK; i++) {
        const es_action *row = &log->at[i];
        if (row->op >= ES_ACTION_QUEUES || (row->op == ES_ACTION_GEMM && !perform_computes(p)))
            continue;
        es_time took = 0, issue = p->probe->now(p->self) - clock;
        code = row_is_io(row) ? serial_io(p, row, &took, err) : serial_queued(p, row, &took, err);
        run->row[i] = (es_action_time){issue, at, at + took};
        at += took;
    }
    if (log->at[first].step >= 0)
        run->step_ns[log->at[first].step] = at;
    return code;
}

/* ---- overlapped ---- */

/* The rows of a window and the pairs of events around them: row first + i has events 2 * order[i] + 1 and + 2; event 0 is the beginning. */
typedef struct window {
    size_t first, end;
    es_time base;                       /* when it begins, in the step */
} window;

static unsigned window_event(const es_actions *log, const window *w, size_t row)
{
    unsigned order = 0;
    for (size_t i = w->first; i < row; i++)
        order += log->at[i].op < ES_ACTION_QUEUES;
    return 2 * order + 1;
}

/* Of the rows of each other queue only the last has to be waited for, and of those before the window none. */
static es_code window_wait(perform *p, const es_actions *log, const window *w, const es_action *row, es_err *err)
{
    uint32_t last[ES_ACTION_QUEUES] = {0};
    es_code code = ES_OK;
    for (uint8_t a = 0; a < row->afters; a++)
        if (row->after[a] >= w->first && log->at[row->after[a]].op < ES_ACTION_QUEUES && row->after[a] + 1 > last[log->at[row->after[a]].op])
            last[log->at[row->after[a]].op] = row->after[a] + 1;
    for (int q = 0; q < ES_ACTION_QUEUES && code == ES_OK; q++)
        if (last[q] && perform_streams[q] != perform_streams[row->op])
            code = p->probe->wait(p->self, perform_streams[row->op], window_event(log, w, last[q] - 1) + 1, err);
    return code;
}

static es_code window_queue(perform *p, const es_actions *log, const window *w, es_action_run *run, es_err *err)
{
    unsigned event = 1;
    es_code code = ES_OK;
    for (size_t i = w->first; i < w->end && code == ES_OK; i++) {
        const es_action *row = &log->at[i];
        if (row->op >= ES_ACTION_QUEUES)
            continue;
        const unsigned stream = perform_streams[row->op];
        run->row[i].issue = p->probe->now(p->self);
        code = event == 1 ? p->probe->record(p->self, stream, 0, err) : ES_OK;
        if (code == ES_OK)
            code = window_wait(p, log, w, row, err);
        if (code == ES_OK)
            code = p->probe->record(p->self, stream, event, err);
        if (code == ES_OK)
            code = row_queue(p, row, err);
        if (code == ES_OK)
            code = p->probe->record(p->self, stream, event + 1, err);
        event += 2;
    }
    return code;
}

/* When each of them began and ended; the window's end is added to its step. */
static es_code window_times(perform *p, const es_actions *log, window *w, es_time go, es_action_run *run, es_err *err)
{
    es_time last = 0;
    unsigned event = 1;
    es_code code = ES_OK;
    for (size_t i = w->first; i < w->end && code == ES_OK; i++) {
        es_time start = 0, end = 0;
        if (log->at[i].op >= ES_ACTION_QUEUES)
            continue;
        code = p->probe->elapsed(p->self, 0, event, &start, err);
        if (code == ES_OK)
            code = p->probe->elapsed(p->self, 0, event + 1, &end, err);
        run->row[i] = (es_action_time){run->row[i].issue - go + w->base, start + w->base, end + w->base};
        last = end > last ? end : last;
        event += 2;
    }
    w->base += last;
    return code;
}

static es_code perform_window(perform *p, const es_actions *log, window *w, es_action_run *run, es_err *err)
{
    const es_probe *probe = p->probe;
    es_code code = probe->hold ? probe->hold(p->self, err) : ES_OK, opened = ES_OK;
    if (code == ES_OK)
        code = window_queue(p, log, w, run, err);
    es_time go = probe->now(p->self);
    if (probe->go && (opened = probe->go(p->self, code ? NULL : err)) != ES_OK && code == ES_OK)
        code = opened;
    if (code == ES_OK)
        code = probe->sync(p->self, err);
    return code ? code : window_times(p, log, w, go, run, err);
}

static es_code perform_overlapped(perform *p, const es_actions *log, size_t first, size_t end, es_action_run *run, es_err *err)
{
    window w = {.end = first};
    es_code code = ES_OK;
    while (w.end < end && code == ES_OK) {
        w.first = w.end;
        w.end = es_actions_window(log, w.first);
        code = perform_window(p, log, &w, run, err);
    }
    if (log->at[first].step >= 0)
        run->step_ns[log->at[first].step] = w.base;
    return code;
}

/* ---- what arrived ---- */

/* Brings the first and the last page of a slot, or all of it, to where it can be read. */
static es_code verify_fetch(perform *p, int place, uint32_t slot, int64_t bytes, bool whole, const unsigned char **out, es_err *err)
{
    int64_t tail = bytes > PERFORM_PAGE && !whole ? (bytes - 1) / PERFORM_PAGE * PERFORM_PAGE : 0, head = tail ? PERFORM_PAGE : bytes;
    const unsigned stream = perform_streams[ES_ACTION_D2H];
    *out = place == ES_PLACE_DEVICE ? p->check : perform_at(p, place, slot);
    if (place == ES_PLACE_DISK) {
        *out = p->at[place];
        return p->probe->disk(p->self, &(es_probe_io){false, p->at[place], (int64_t)slot * p->stride, p->stride, p->stride, 1, ES_DISK_DIRECT}, err);
    }
    if (place == ES_PLACE_HOST)
        return ES_OK;
    es_code code = p->probe->copy(p->self, stream, ES_WAY_D2H, p->check, perform_at(p, place, slot), head, err);
    if (code == ES_OK && tail)
        code = p->probe->copy(p->self, stream, ES_WAY_D2H, p->check + tail, perform_at(p, place, slot) + tail, bytes - tail, err);
    return code ? code : p->probe->sync(p->self, err);
}

/* A slot that was copied to: the expert that the row names, byte for byte. Its layer may be another where layers share experts. */
static es_code verify_slot(perform *p, const es_action *row, bool whole, es_err *err)
{
    static const char *const places[ES_PLACES] = {"device", "host", "disk"};
    const unsigned char *at = NULL;
    uint64_t name = 0, word;
    es_code code = verify_fetch(p, row->place, row->slot, row->bytes, whole, &at, err);
    if (code)
        return code;
    memcpy(&name, at, sizeof name);
    if ((uint32_t)name != row->expert)
        return es_err_set(err, ES_ECHECK, "slot %u of the %s holds expert %u, and the log put expert %u there", row->slot, places[row->place], (uint32_t)name, row->expert);
    for (int64_t i = 0; i + 8 <= row->bytes; i += 8) {
        if (!whole && i == PERFORM_PAGE && row->bytes > 2 * PERFORM_PAGE)
            i = (row->bytes - 1) / PERFORM_PAGE * PERFORM_PAGE;
        memcpy(&word, at + i, sizeof word);
        if (word != perform_word(p, name, i))
            return es_err_set(err, ES_ECHECK, "slot %u of the %s: expert %u came there with other bytes than were sent, from byte %lld of %lld on", row->slot,
                places[row->place], row->expert, (long long)i, (long long)row->bytes);
    }
    return ES_OK;
}

/* What the rows of [first, end) brought, if nothing came over it: a copy that did not wait for what it needed shows here, too. */
static es_code perform_verify(perform *p, const es_actions *log, size_t first, size_t end, bool whole, es_err *err)
{
    es_code code = ES_OK;
    bool *seen[ES_PLACES];
    for (int place = 0; place < ES_PLACES; place++)
        seen[place] = calloc((size_t)p->slots[place] + 1, sizeof(bool));
    if (!seen[0] || !seen[1] || !seen[2])
        code = es_err_nomem(err, "the slots");
    for (size_t i = end; i-- > first && code == ES_OK;) {
        const es_action *row = &log->at[i];
        if (row->op >= ES_ACTION_GEMM || seen[row->place][row->slot])
            continue;
        seen[row->place][row->slot] = true;
        code = verify_slot(p, row, whole, err);
    }
    for (int place = 0; place < ES_PLACES; place++)
        free(seen[place]);
    return code;
}

/* ---- a run ---- */

es_code perform_run(perform *p, size_t which, es_action_run *run, es_err *err)
{
    const es_actions *log = p->ask.logs[which];
    bool rehearsal = !p->rehearsed[which];
    memset(run->row, 0, log->count * sizeof *run->row);
    es_code code = perform_load(p, log, err);
    for (size_t first = 0, end; first < log->count && code == ES_OK; first = end) {
        const int64_t step = log->at[first].step;
        es_time before = p->probe->now(p->self);
        for (end = first; end < log->count && log->at[end].step == step; end++)
            continue;
        code = (p->ask.overlapped ? perform_overlapped : perform_serial)(p, log, first, end, run, err);
        if (step >= 0 && run->host_ns)
            run->host_ns[step] = p->probe->now(p->self) - before;
        if (code == ES_OK && rehearsal)
            code = perform_verify(p, log, first, end, true, err);
    }
    if (code == ES_OK)
        code = perform_verify(p, log, 0, log->count, false, err);
    p->rehearsed[which] = true;
    return code ? (es_err_at(err, "%s", p->ask.backend), code) : ES_OK;
}
