/* Events: every fact as a line of text, for people and scripts that want to see what happened.
 *
 *     t_ns,kind,step,layer,expert,from,to,channel,why,since_ns,bytes,count,knob,value
 *     10000,land,0,3,17,home,cache,pcie,demand,,13271040,1,,
 *
 * A fact about several objects gives a line for each. With contract.unit slice a column `slice` follows `expert`: which
 * matrix of it; with several precisions a column `bits`. Layers are the model's own numbers. What a kind does not have stays empty.
 * With `accesses` each expert of an event has a line of its own behind `use`: hit, prefetch_hit (first use of a guess), late or miss.
 * The file is written as PATH.tmp and renamed when the run has ended, so a log that looks whole is whole; the lines of a run that
 * failed stay under PATH.tmp. */
#include "sim/observe/observe.h"
#include "sim/observe/partial.h"

#include <inttypes.h>
#include <stdio.h>

enum { EVENTS_BUFFER = 64 * 1024 };
enum { EVENTS_CSV, EVENTS_JSONL };

typedef struct events {
    const char *path;
    int64_t limit;
    int format;
    bool accesses;
    const es_view *view;
    uint64_t *fresh;            /* [words] brought by a guess and not used since */
    partial out;
    uint64_t lines, left_out;
} events;

static const char *const events_formats[] = {"csv", "jsonl", NULL};

static const es_option events_options[] = {
    {.name = "path", .type = ES_OPT_TEXT, .offset = offsetof(events, path), .required = true, .help = "File to write."},
    {.name = "limit", .type = ES_OPT_INT, .offset = offsetof(events, limit), .def = 1e7, .min = 1, .max = 1e15, .unit = "lines",
        .help = "Most lines; what comes after is counted and left out."},
    {.name = "format", .type = ES_OPT_ENUM, .offset = offsetof(events, format), .choices = events_formats, .help = "One comma-separated row or one JSON object per line."},
    {.name = "accesses", .type = ES_OPT_BOOL, .offset = offsetof(events, accesses), .help = "A line for each expert of an event: hit, prefetch_hit, late or miss."},
    {0},
};

/* What a kind of fact carries; the other fields of the fact are not looked at. */
enum { HAS_OBJECTS = 1, HAS_FROM = 2, HAS_TO = 4, HAS_CHANNEL = 8, HAS_SINCE = 16, HAS_STEP = 32, HAS_EVENT = 64, HAS_WHY = 128, HAS_TURN = 256, HAS_ROOM = 512 };

static const struct { const char *name; unsigned has; } events_kinds[ES_FACTS] = {
    [ES_FACT_STEP] = {"step", HAS_STEP},
    [ES_FACT_USE] = {"use", HAS_EVENT},
    [ES_FACT_QUEUE] = {"queue", HAS_OBJECTS | HAS_TO | HAS_WHY},
    [ES_FACT_START] = {"start", HAS_OBJECTS | HAS_FROM | HAS_TO | HAS_WHY},
    [ES_FACT_START_GUESS] = {"start_guess", HAS_OBJECTS | HAS_FROM | HAS_TO | HAS_WHY},
    [ES_FACT_LAND] = {"land", HAS_OBJECTS | HAS_TO | HAS_WHY},
    [ES_FACT_EVICT] = {"evict", HAS_OBJECTS | HAS_FROM | HAS_TO | HAS_WHY},
    [ES_FACT_ARRIVE_LOW] = {"arrive_low", HAS_OBJECTS | HAS_FROM | HAS_TO},
    [ES_FACT_LEAVE_LOW] = {"leave_low", HAS_OBJECTS | HAS_FROM | HAS_TO | HAS_WHY},
    [ES_FACT_OUTBOUND] = {"outbound", HAS_OBJECTS | HAS_FROM | HAS_TO | HAS_WHY},
    [ES_FACT_RECALL] = {"recall", HAS_OBJECTS | HAS_FROM | HAS_TO | HAS_WHY},
    [ES_FACT_CANCEL] = {"cancel", HAS_OBJECTS | HAS_TO | HAS_WHY},
    [ES_FACT_RELEASE] = {"release", HAS_EVENT},
    [ES_FACT_STALL] = {"stall", HAS_SINCE | HAS_CHANNEL},
    [ES_FACT_COMPUTE] = {"compute", HAS_OBJECTS | HAS_SINCE | HAS_CHANNEL},
    [ES_FACT_STEP_END] = {"step_end", HAS_SINCE | HAS_STEP},
    [ES_FACT_RESET] = {"reset", 0},
    [ES_FACT_TURN] = {"turn", HAS_STEP | HAS_TURN},
    [ES_FACT_ROOM] = {"room", HAS_STEP | HAS_TO | HAS_ROOM},
    [ES_FACT_END] = {"end", 0},
};
static const char *const events_whys[] = {"demand", "guess", "touch", "idle", "release", "initial", "demote", "shrink"};

/* Are experts cut into matrices? */
static bool events_cut(const events *s)
{
    return s->view->matrices > 1;
}

static es_code events_init(void *self, const es_site *site, es_err *err)
{
    events *s = self;
    s->view = site->view;
    char *buffer = ES_NEW_ARRAY(site->arena, EVENTS_BUFFER, char);
    s->fresh = ES_NEW_ARRAY(site->arena, site->view->words, uint64_t);
    if (!buffer || !s->fresh)
        return es_err_nomem(err, "event log");
    es_code code = partial_open(&s->out, s->path, "event log", err);
    if (code != ES_OK)
        return code;
    setvbuf(s->out.file, buffer, _IOFBF, EVENTS_BUFFER);
    if (s->format == EVENTS_CSV)
        fprintf(s->out.file, "t_ns,kind,step,layer,expert%s%s,from,to,channel,why,since_ns,bytes,count,knob,value\n", events_cut(s) ? ",slice" : "",
            s->view->variants > 1 ? ",bits" : "");
    return ES_OK;
}

/* One cell; `first` opens the line. Names hold no quotes or commas: configs do not allow them. */
static void events_text(const events *s, const char *key, const char *value)
{
    if (s->format == EVENTS_CSV)
        fprintf(s->out.file, ",%s", value ? value : "");
    else if (value)
        fprintf(s->out.file, ",\"%s\":\"%s\"", key, value);
}

static void events_int(const events *s, const char *key, bool known, int64_t value)
{
    if (s->format == EVENTS_CSV)
        known ? fprintf(s->out.file, ",%" PRId64, value) : fputs(",", s->out.file);
    else if (known)
        fprintf(s->out.file, ",\"%s\":%" PRId64, key, value);
}

static void events_real(const events *s, const char *key, bool known, double value)
{
    if (s->format == EVENTS_CSV)
        known ? fprintf(s->out.file, ",%.17g", value) : fputs(",", s->out.file);
    else if (known)
        fprintf(s->out.file, ",\"%s\":%.17g", key, value);
}

static const char *events_tier(const events *s, bool known, uint32_t tier)
{
    return known && tier < s->view->tiers ? s->view->tier[tier].name : NULL;
}

/* A line about one object, or none; what the fact itself says is `has`. */
static void events_line(events *s, const es_fact *fact, const char *name, unsigned has, es_oid object)
{
    if (s->lines >= (uint64_t)s->limit) {
        s->left_out++;
        return;
    }
    const es_view *view = s->view;
    const es_event *event = fact->event;
    bool one = object != ES_NO_OBJECT, of_event = has & HAS_EVENT && event, own_layer = view->spaces == view->layers;
    s->lines++;
    fprintf(s->out.file, s->format == EVENTS_CSV ? "%" PRId64 ",%s" : "{\"t_ns\":%" PRId64 ",\"kind\":\"%s\"", fact->at, name);
    events_int(s, "step", of_event || has & HAS_STEP, (int64_t)(of_event ? event->step : fact->step));
    uint32_t layer = of_event ? event->layer : one ? view->layer_of[object >> 6] : 0;
    events_int(s, "layer", of_event || (one && own_layer), view->layer_number[layer]);
    events_int(s, "expert", one, one ? es_expert_of(view, object) : 0);
    if (events_cut(s))
        events_int(s, "slice", one, object % view->stride / view->slice % view->matrices);
    if (view->variants > 1)
        events_int(s, "bits", one, one ? view->bits[object >> 6] : 0);
    events_text(s, "from", events_tier(s, has & HAS_FROM, fact->from));
    events_text(s, "to", events_tier(s, has & HAS_TO, fact->to));
    events_text(s, "channel", has & HAS_CHANNEL && fact->channel < view->channels ? view->channel[fact->channel].name : NULL);
    events_text(s, "why", has & HAS_WHY ? events_whys[fact->why] : NULL);
    events_int(s, "since_ns", has & HAS_SINCE, fact->since);
    events_int(s, "bytes", one, one ? view->bytes[object >> 6] : 0);
    events_int(s, "count", one || of_event, one ? 1 : of_event ? event->count : 0);
    const es_turn *turn = has & HAS_TURN ? fact->turn : NULL;
    events_text(s, "knob", turn ? turn->path : NULL);
    events_real(s, "value", turn || has & HAS_ROOM, turn ? turn->to : has & HAS_ROOM ? (double)es_room_of(view, fact->to) : 0);
    fputs(s->format == EVENTS_CSV ? "\n" : "}\n", s->out.file);
    partial_line(&s->out);
}

/* How each expert of the event was found. */
static void events_accesses(events *s, const es_fact *fact)
{
    const es_event *event = fact->event;
    for (uint32_t i = 0; i < event->count; i++) {
        const es_oid object = event->base + event->list[i];
        uint64_t *fresh = &s->fresh[object >> 6], bit = 1ull << (object & 63), coming = 0;
        for (uint32_t t = 0; t < s->view->tiers; t++)
            coming |= s->view->tier[t].serving ? s->view->tier[t].inbound[object >> 6] : 0;
        bool hit = es_mask_has(event->hit, event->list[i]);
        events_line(s, fact, hit && *fresh & bit ? "prefetch_hit" : hit ? "hit" : coming & bit ? "late" : "miss", HAS_EVENT, object);
        *fresh &= ~bit;
    }
}

/* Which guesses have not been used: those that begin to arrive where they can be, and have not left. */
static void events_guesses(events *s, const es_fact *fact)
{
    bool comes = fact->kind == ES_FACT_START_GUESS || (fact->kind == ES_FACT_START && fact->why == ES_GUESS && s->view->tier[fact->to].serving);
    for (uint32_t i = 0; i < fact->count; i++) {
        uint64_t *fresh = &s->fresh[fact->objects[i] >> 6], bit = 1ull << (fact->objects[i] & 63);
        *fresh = comes ? *fresh | bit : fact->kind == ES_FACT_EVICT ? *fresh & ~bit : *fresh;
    }
}

static void events_notify(void *self, const es_fact *fact)
{
    events *s = self;
    if (!s->out.file || (unsigned)fact->kind >= ES_FACTS)
        return;
    const char *name = events_kinds[fact->kind].name;
    const unsigned has = events_kinds[fact->kind].has;
    if (fact->kind == ES_FACT_END)
        s->out.ended = true;
    if (has & HAS_OBJECTS && fact->objects) {
        for (uint32_t i = 0; i < fact->count; i++)
            events_line(s, fact, name, has, fact->objects[i]);
        if (s->accesses && fact->kind != ES_FACT_COMPUTE)
            events_guesses(s, fact);
        return;
    }
    events_line(s, fact, name, has, ES_NO_OBJECT);
    if (s->accesses && fact->kind == ES_FACT_USE)
        events_accesses(s, fact);
}

static void events_report(void *self, es_json *out)
{
    const events *s = self;
    es_json *members = observe_object(out, "events");
    es_json_add_text(members, "path", s->path);
    observe_count(members, "lines", s->lines);
    observe_count(members, "left_out", s->left_out);
}

static es_code events_verdict(void *self, es_err *err)
{
    events *s = self;
    return partial_verdict(&s->out, s->lines, "event log", err);
}

static void events_fini(void *self)
{
    events *s = self;
    partial_close(&s->out, s->lines);
}

const es_observer es_observer_events = {
    .part = {
        .abi = ES_ABI,
        .name = "events",
        .brief = "Writes every fact to a file, one line per object.",
        .options = events_options,
        .size = sizeof(events),
        .init = events_init,
        .notify = events_notify,
        .fini = events_fini,
        .hears = (ES_HEARS(ES_FACTS) - 1u) & ~(ES_HEARS(ES_FACT_GUESS) | ES_HEARS(ES_FACT_COPY) | ES_HEARS(ES_FACT_CHARGE) |
            ES_HEARS(ES_FACT_WAITING) | ES_HEARS(ES_FACT_DEPART)),
    },
    .report = events_report,
    .verdict = events_verdict,
};
