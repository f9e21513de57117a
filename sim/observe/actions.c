/* Actions: what was decided, as a log of what a machine would have to do: copies from slot to slot, experts computed, slots taken and
 * given back, each with what it has to wait for. One JSON object per line (docs/validation.md):
 *
 *     {"id":7,"step":0,"layer":3,"op":"h2d","expert":17,"slot":2,"source":9,"bytes":1048576,"queue":"h2d","after":[4]}
 *
 * Only under clock none: then no decision has seen a time, and whatever performs the log decides nothing anew.
 *
 *   gate    a layer asks for its experts when the layer before is computed: its copies wait for that layer's last gemm
 *   data    a row waits for what filled the slot it reads, and for who still reads or fills the slot it writes
 *   order   within the event of a layer what waits for the disk goes behind what does not, as it would where both are asked for at once;
 *           experts that were there are computed first, then each as it comes
 *
 * Slots are numbered over all tiers of a place. The lines come in the order of their ids, and in each queue that is the order of work. */
#include "sim/observe/observe.h"
#include "sim/observe/partial.h"
#include "sim/part/action.h"

#include <inttypes.h>
#include <string.h>

enum { ACTIONS_BUFFER = 64 * 1024, ACTIONS_ROWS = 512, ACTIONS_TIERS = 16 };
enum { HOME_AUTO, HOME_HOST, HOME_DISK };

#define REF_NONE UINT64_MAX
#define REF_PENDING (1ull << 62)        /* of the event at hand: its place in `row`; others are ids */
#define NO_SLOT UINT32_MAX

typedef struct actions_slot {
    uint64_t writer;
    uint64_t reader[ES_ACTION_QUEUES];
    uint8_t filled_by;          /* op of the writer */
    bool settled;               /* something was computed from it: who asks after that need not wait for the writer */
} actions_slot;

typedef struct actions_row {
    es_oid object;
    uint32_t layer, slot, source, tokens;
    uint8_t op, place, depth, afters;
    uint64_t after[ES_ACTION_AFTER];
} actions_row;

typedef struct actions {
    const char *path;
    int home;
    const es_view *view;
    partial out;
    uint64_t lines, ids;
    int place[ACTIONS_TIERS];   /* es_action_place of each tier */
    uint32_t *slot_of[ACTIONS_TIERS];   /* [objects], also of what has just left; NO_SLOT: never there */
    uint64_t *held[ACTIONS_TIERS];      /* [words] */
    actions_slot *slot[ES_PLACES];
    uint32_t *spare[ES_PLACES], spares[ES_PLACES], used[ES_PLACES], room[ES_PLACES];    /* given back last, taken first */
    actions_row *row;           /* of the event at hand */
    uint32_t rows, most;
    uint32_t *order;            /* [most] row -> its place among the written */
    uint64_t gate, gemm;        /* ids: what this event waits for; what is computed last of all that was written */
    int64_t step;
    const es_event *event;      /* between its use and its release */
    uint64_t *done;             /* [words_per_layer] of the event: computed already */
    const char *fault;
} actions;

static const char *const actions_homes[] = {"auto", "host", "disk", NULL};

static const es_option actions_options[] = {
    {.name = "path", .type = ES_OPT_TEXT, .offset = offsetof(actions, path), .required = true, .help = "File to write."},
    {.name = "home", .type = ES_OPT_ENUM, .offset = offsetof(actions, home), .choices = actions_homes,
        .help = "What the home tier is; auto: a disk where a tier stands between it and the serving one, else host memory."},
    {0},
};

/* ---- opening ---- */

static int actions_place(const actions *s, uint32_t tier, bool between)
{
    const es_tier_view *t = &s->view->tier[tier];
    if (t->serving)
        return ES_PLACE_DEVICE;
    return t->home && (s->home == HOME_DISK || (s->home == HOME_AUTO && between)) ? ES_PLACE_DISK : ES_PLACE_HOST;
}

static bool actions_memory(actions *s, es_arena *arena)
{
    const es_view *view = s->view;
    bool fine = true;
    for (uint32_t t = 0; t < view->tiers; t++) {
        s->slot_of[t] = ES_NEW_ARRAY(arena, view->objects, uint32_t);
        s->held[t] = ES_NEW_ARRAY(arena, view->words, uint64_t);
        s->room[s->place[t]] += view->objects;
        fine &= s->slot_of[t] && s->held[t];
        if (s->slot_of[t])
            memset(s->slot_of[t], 0xff, view->objects * sizeof *s->slot_of[t]);
    }
    for (int p = 0; p < ES_PLACES; p++) {
        s->room[p] += 2 * view->stride;     /* what is copied and not kept lies beside the tiers */
        s->slot[p] = ES_NEW_ARRAY(arena, s->room[p], actions_slot);
        s->spare[p] = ES_NEW_ARRAY(arena, s->room[p], uint32_t);
        fine &= s->slot[p] && s->spare[p];
    }
    s->most = ACTIONS_ROWS + 8 * view->stride;
    s->row = ES_NEW_ARRAY(arena, s->most, actions_row);
    s->order = ES_NEW_ARRAY(arena, s->most, uint32_t);
    s->done = ES_NEW_ARRAY(arena, view->words_per_layer, uint64_t);
    return fine && s->row && s->order && s->done;
}

static es_code actions_init(void *self, const es_site *site, es_err *err)
{
    actions *s = self;
    bool between = false;
    s->view = site->view;
    if (s->view->timed)
        return es_err_set(err, ES_EINPUT, "an action log is of decisions that no time has changed; needs clock \"none\"");
    if (s->view->trains)
        return es_err_set(err, ES_EINPUT, "an action log knows no training; needs a trace of inference, or training.steps \"none\"");
    if (s->view->tiers > ACTIONS_TIERS)
        return es_err_set(err, ES_EINPUT, "an action log knows %d tiers, found %u", ACTIONS_TIERS, s->view->tiers);
    for (uint32_t t = 0; t < s->view->tiers; t++)
        between |= !s->view->tier[t].home && !s->view->tier[t].serving;
    for (uint32_t t = 0; t < s->view->tiers; t++)
        s->place[t] = actions_place(s, t, between);
    s->step = -1;
    s->gate = s->gemm = REF_NONE;
    char *buffer = ES_NEW_ARRAY(site->arena, ACTIONS_BUFFER, char);
    if (!buffer || !actions_memory(s, site->arena))
        return es_err_nomem(err, "action log");
    es_code code = partial_open(&s->out, s->path, "action log", err);
    if (code != ES_OK)
        return code;
    setvbuf(s->out.file, buffer, _IOFBF, ACTIONS_BUFFER);
    fprintf(s->out.file, "{\"schema\":\"actions/1\",\"layers\":%u,\"experts\":%u}\n", s->view->layers, s->view->ids);
    return ES_OK;
}

/* ---- writing ---- */

static void actions_write(actions *s, const actions_row *row)
{
    const es_view *view = s->view;
    FILE *file = s->out.file;
    s->gemm = row->op == ES_ACTION_GEMM ? s->ids : s->gemm;
    fprintf(file, "{\"id\":%" PRIu64 ",\"step\":%" PRId64 ",\"layer\":%u,\"op\":\"%s\",\"expert\":%u", s->ids++, s->step, view->layer_number[row->layer],
        es_action_names[row->op], es_expert_of(view, row->object));
    if (view->matrices > 1)
        fprintf(file, ",\"slice\":%u", row->object % view->stride / view->slice % view->matrices);
    fprintf(file, ",\"slot\":%u", row->slot);
    if (row->op < ES_ACTION_GEMM)
        fprintf(file, ",\"source\":%u", row->source);
    if (row->op > ES_ACTION_GEMM)
        fprintf(file, ",\"place\":\"%s\"", row->place == ES_PLACE_DEVICE ? "device" : row->place == ES_PLACE_HOST ? "host" : "disk");
    fprintf(file, ",\"bytes\":%" PRId64, view->bytes[row->object >> 6]);
    if (row->op == ES_ACTION_GEMM)
        fprintf(file, ",\"tokens\":%u", row->tokens);
    if (row->op < ES_ACTION_QUEUES)
        fprintf(file, ",\"queue\":\"%s\"", es_action_names[row->op]);
    fputs(",\"after\":[", file);
    for (uint8_t a = 0; a < row->afters; a++)
        fprintf(file, "%s%" PRIu64, a ? "," : "", row->after[a]);
    fputs("]}\n", file);
    s->lines++;
    partial_line(&s->out);
}

static uint64_t actions_named(const actions *s, uint64_t ref)
{
    return ref != REF_NONE && ref & REF_PENDING ? s->ids + s->order[ref & ~REF_PENDING] : ref;
}

static void actions_name_slot(actions *s, int place, uint32_t slot)
{
    if (slot == NO_SLOT)
        return;
    actions_slot *at = &s->slot[place][slot];
    at->writer = actions_named(s, at->writer);
    for (int q = 0; q < ES_ACTION_QUEUES; q++)
        at->reader[q] = actions_named(s, at->reader[q]);
}

/* The rows of an event get their ids and are written: those that wait for no disk first. A row is never before what it waits for, as
 * that is never deeper. */
static void actions_flush(actions *s)
{
    uint32_t deepest = 0, next = 0;
    for (uint32_t i = 0; i < s->rows; i++)
        deepest = s->row[i].depth > deepest ? s->row[i].depth : deepest;
    for (uint32_t depth = 0; depth <= deepest; depth++)
        for (uint32_t i = 0; i < s->rows; i++)
            if (s->row[i].depth == depth)
                s->order[i] = next++;
    for (uint32_t i = 0; i < s->rows; i++) {
        actions_row *row = &s->row[i];
        for (uint8_t a = 0; a < row->afters; a++)
            row->after[a] = actions_named(s, row->after[a]);
        actions_name_slot(s, row->place, row->slot);
        if (row->op < ES_ACTION_GEMM)
            actions_name_slot(s, es_action_ways[row->op].from, row->source);
    }
    for (uint32_t depth = 0; depth <= deepest; depth++)
        for (uint32_t i = 0; i < s->rows; i++)
            if (s->row[i].depth == depth)
                actions_write(s, &s->row[i]);
    s->rows = 0;
}

/* ---- rows ---- */

/* The row waits for `ref`. What is of its own queue is done before it anyway and is not said. */
static void row_after(const actions *s, actions_row *row, uint64_t ref, int queue)
{
    if (ref == REF_NONE)
        return;
    if (ref & REF_PENDING) {
        const actions_row *before = &s->row[ref & ~REF_PENDING];
        const uint8_t depth = (uint8_t)(before->depth + (before->op == ES_ACTION_DISK_READ));
        row->depth = depth > row->depth ? depth : row->depth;
    }
    for (uint8_t a = 0; a < row->afters; a++)
        if (row->after[a] == ref)
            return;
    if (queue != row->op && row->afters < ES_ACTION_AFTER)
        row->after[row->afters++] = ref;
}

static void row_after_writer(const actions *s, actions_row *row, const actions_slot *slot)
{
    if (!slot->settled)
        row_after(s, row, slot->writer, slot->filled_by);
}

static void row_after_readers(const actions *s, actions_row *row, const actions_slot *slot)
{
    for (int q = 0; q < ES_ACTION_QUEUES; q++)
        if (q != ES_ACTION_GEMM || (slot->reader[q] != REF_NONE && slot->reader[q] & REF_PENDING))   /* of earlier events the gate knows */
            row_after(s, row, slot->reader[q], q);
}

static actions_row *row_new(actions *s, es_action_op op, es_oid object, int place, uint32_t slot)
{
    if (s->rows == s->most)
        actions_flush(s);
    actions_row *row = &s->row[s->rows];
    const uint32_t layer = s->event && object - s->event->base < s->view->stride ? s->event->layer : s->view->layer_of[object >> 6];
    *row = (actions_row){.object = object, .layer = layer, .slot = slot, .source = NO_SLOT, .op = (uint8_t)op, .place = (uint8_t)place};
    return row;
}

static uint64_t row_ref(const actions *s)
{
    return REF_PENDING | (s->rows - 1);
}

/* ---- slots ---- */

static uint32_t slot_new(actions *s, int place)
{
    if (s->used[place] == s->room[place]) {
        s->fault = "more slots are held than there are experts";
        return 0;
    }
    actions_slot *slot = &s->slot[place][s->used[place]];
    slot->writer = REF_NONE;
    memset(slot->reader, 0xff, sizeof slot->reader);
    return s->used[place]++;
}

static uint32_t slot_take(actions *s, int place, es_oid object)
{
    uint32_t slot = s->spares[place] ? s->spare[place][--s->spares[place]] : slot_new(s, place);
    actions_row *row = row_new(s, ES_ACTION_ALLOC, object, place, slot);
    row_after_writer(s, row, &s->slot[place][slot]);
    row_after_readers(s, row, &s->slot[place][slot]);
    s->rows++;
    return slot;
}

static void slot_give(actions *s, int place, uint32_t slot, es_oid object)
{
    actions_row *row = row_new(s, ES_ACTION_FREE, object, place, slot);
    row_after_writer(s, row, &s->slot[place][slot]);
    row_after_readers(s, row, &s->slot[place][slot]);
    s->rows++;
    s->spare[place][s->spares[place]++] = slot;
}

/* ---- what is done ---- */

static void actions_copy(actions *s, es_oid object, int from, uint32_t source, int to, uint32_t slot)
{
    int op = ES_ACTION_DISK_READ;
    while (op < ES_ACTION_GEMM && (es_action_ways[op].from != from || es_action_ways[op].to != to))
        op++;
    if (op == ES_ACTION_GEMM) {
        s->fault = "copies between a disk and the device go through host memory; put a tier between them";
        return;
    }
    actions_row *row = row_new(s, (es_action_op)op, object, to, slot);
    actions_slot *left = &s->slot[from][source], *taken = &s->slot[to][slot];
    row->source = source;
    row_after(s, row, s->gate, ES_ACTION_GEMM);
    row_after_writer(s, row, left);
    row_after_writer(s, row, taken);
    row_after_readers(s, row, taken);
    s->rows++;
    left->reader[op] = taken->writer = row_ref(s);
    taken->filled_by = (uint8_t)op;
    taken->settled = false;
    memset(taken->reader, 0xff, sizeof taken->reader);
}

/* Between a disk and the device through host memory, beside the tiers: what is pinned at the start comes so. */
static void actions_bring(actions *s, es_oid object, int from, uint32_t source, int to, uint32_t slot)
{
    if (from != ES_PLACE_DISK || to != ES_PLACE_DEVICE) {
        actions_copy(s, object, from, source, to, slot);
        return;
    }
    uint32_t staged = slot_take(s, ES_PLACE_HOST, object);
    actions_copy(s, object, from, source, ES_PLACE_HOST, staged);
    actions_copy(s, object, ES_PLACE_HOST, staged, to, slot);
    slot_give(s, ES_PLACE_HOST, staged, object);
}

/* Where it lies in the home tier; it has always been there. */
static uint32_t actions_home(actions *s, uint32_t tier, es_oid object)
{
    uint32_t *slot = &s->slot_of[tier][object];
    if (*slot == NO_SLOT)
        *slot = slot_new(s, s->place[tier]);
    return *slot;
}

static void actions_move(actions *s, es_oid object, uint32_t from, uint32_t to)
{
    if (from >= s->view->tiers || to >= s->view->tiers || from == to || s->view->tier[to].home || es_mask_has(s->held[to], object))
        return;
    uint32_t source = s->view->tier[from].home ? actions_home(s, from, object) : s->slot_of[from][object];
    if (source == NO_SLOT)
        source = actions_home(s, from, object);
    uint32_t slot = slot_take(s, s->place[to], object);
    s->slot_of[to][object] = slot;
    s->held[to][object >> 6] |= 1ull << (object & 63);
    actions_bring(s, object, s->place[from], source, s->place[to], slot);
}

static void actions_leave(actions *s, es_oid object, uint32_t tier)
{
    if (tier >= s->view->tiers || !es_mask_has(s->held[tier], object))
        return;
    s->held[tier][object >> 6] &= ~(1ull << (object & 63));
    slot_give(s, s->place[tier], s->slot_of[tier][object], object);
}

static void actions_gemm(actions *s, uint32_t i, uint32_t at)
{
    const es_event *e = s->event;
    const uint16_t index = e->list[i];
    actions_row *row = row_new(s, ES_ACTION_GEMM, e->base + index, ES_PLACE_DEVICE, at);
    actions_slot *slot = &s->slot[ES_PLACE_DEVICE][at];
    row->tokens = e->served ? e->served[i] : 1;
    row_after_writer(s, row, slot);
    s->rows++;
    slot->settled = true;
    slot->reader[ES_ACTION_GEMM] = row_ref(s);
    s->done[index >> 6] |= 1ull << (index & 63);
}

/* The slot of the device in which it lies; NO_SLOT: nowhere there. */
static uint32_t actions_there(const actions *s, es_oid object)
{
    for (uint32_t t = 0; t < s->view->tiers; t++)
        if (s->view->tier[t].serving && es_mask_has(s->held[t], object))
            return s->slot_of[t][object];
    return NO_SLOT;
}

/* Computes what of the event is on the device and was not computed yet; `only` NULL: all of it. */
static void actions_compute(actions *s, const uint64_t *only, es_oid object)
{
    for (uint32_t i = 0; i < s->event->count; i++) {
        const uint16_t index = s->event->list[i];
        const es_oid one = s->event->base + index;
        if ((only && !es_mask_has(only, index)) || (object != ES_NO_OBJECT && one != object) || es_mask_has(s->done, index))
            continue;
        uint32_t at = actions_there(s, one);
        if (at != NO_SLOT)
            actions_gemm(s, i, at);
    }
}

/* An expert that is wanted and not kept: copied beside the tiers, computed, forgotten. */
static void actions_pass(actions *s, uint32_t i)
{
    const es_oid object = s->event->base + s->event->list[i];
    uint32_t from = 0, home = 0;
    for (uint32_t t = 0; t < s->view->tiers; t++)
        home = s->view->tier[t].home ? t : home;
    from = home;
    for (uint32_t t = 0; t < s->view->tiers; t++)
        from = !s->view->tier[t].serving && es_mask_has(s->held[t], object) ? t : from;
    uint32_t source = s->view->tier[from].home ? actions_home(s, from, object) : s->slot_of[from][object], slot = slot_take(s, ES_PLACE_DEVICE, object);
    actions_bring(s, object, s->place[from], source, ES_PLACE_DEVICE, slot);
    actions_gemm(s, i, slot);
    slot_give(s, ES_PLACE_DEVICE, slot, object);
}

/* ---- facts ---- */

static void actions_use(actions *s, const es_event *event)
{
    actions_flush(s);
    s->event = event;
    memset(s->done, 0, s->view->words_per_layer * sizeof *s->done);
    actions_compute(s, event->hit, ES_NO_OBJECT);
}

static void actions_release(actions *s)
{
    if (!s->event)
        return;
    actions_compute(s, NULL, ES_NO_OBJECT);
    for (uint32_t i = 0; i < s->event->count; i++)
        if (!es_mask_has(s->done, s->event->list[i]))
            actions_pass(s, i);
    actions_flush(s);
    s->gate = s->gemm;
    s->event = NULL;
}

static void actions_objects(actions *s, const es_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        const es_oid object = fact->objects[i];
        if (fact->kind == ES_FACT_EVICT || fact->kind == ES_FACT_LEAVE_LOW) {
            actions_leave(s, object, fact->from);
            continue;
        }
        actions_move(s, object, fact->from, fact->to);
        if (s->event && fact->why == ES_DEMAND && s->view->tier[fact->to].serving && object - s->event->base < s->view->stride)
            actions_compute(s, NULL, object);
    }
}

static void actions_reset(actions *s)
{
    for (uint32_t t = 0; t < s->view->tiers; t++)
        for (es_oid object = 0; object < s->view->objects; object++)
            actions_leave(s, object, t);
}

static void actions_notify(void *self, const es_fact *fact)
{
    actions *s = self;
    if (!s->out.file || s->fault)
        return;
    switch (fact->kind) {
    case ES_FACT_STEP:
        actions_flush(s);
        s->step = (int64_t)fact->step;
        break;
    case ES_FACT_USE:
        actions_use(s, fact->event);
        break;
    case ES_FACT_RELEASE:
        actions_release(s);
        break;
    case ES_FACT_RESET:
        actions_reset(s);
        break;
    case ES_FACT_END:
        actions_flush(s);
        s->out.ended = true;
        break;
    default:
        actions_objects(s, fact);
        break;
    }
}

/* ---- the end ---- */

static void actions_report(void *self, es_json *out)
{
    const actions *s = self;
    es_json *members = observe_object(out, "actions");
    es_json_add_text(members, "path", s->path);
    observe_count(members, "lines", s->lines);
    observe_count(members, "device_slots", s->used[ES_PLACE_DEVICE]);
    observe_count(members, "host_slots", s->used[ES_PLACE_HOST]);
    observe_count(members, "disk_slots", s->used[ES_PLACE_DISK]);
}

static es_code actions_verdict(void *self, es_err *err)
{
    actions *s = self;
    if (s->fault) {
        s->out.ended = false;
        return es_err_set(err, ES_EINPUT, "the action log \"%s\": %s", s->path, s->fault);
    }
    return partial_verdict(&s->out, s->lines, "action log", err);
}

static void actions_fini(void *self)
{
    actions *s = self;
    if (s->fault)
        s->lines = 0;
    partial_close(&s->out, s->lines);
}

const es_observer es_observer_actions = {
    .part = {
        .abi = ES_ABI,
        .name = "actions",
        .brief = "Writes what a machine would have to do, copy by copy: a log that hardware can perform (expertsim validate).",
        .options = actions_options,
        .size = sizeof(actions),
        .init = actions_init,
        .notify = actions_notify,
        .fini = actions_fini,
        .hears = ES_HEARS(ES_FACT_STEP) | ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_LAND) | ES_HEARS(ES_FACT_EVICT) |
            ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) | ES_HEARS(ES_FACT_RELEASE) | ES_HEARS(ES_FACT_RESET) | ES_HEARS(ES_FACT_END),
    },
    .report = actions_report,
    .verdict = actions_verdict,
};
