/* Audit: checks the core by what it tells, with a state of its own that is made from facts alone.
 *
 *   life      a copy is ABSENT, QUEUED, INBOUND or RESIDENT; each fact is legal in some of these only (audit_rules)
 *   pins      nothing that the event at hand wants leaves between its gate and its release. In waves an expert may leave once its
 *             compute has ended; an overshoot leaves at the release (why RELEASE), when pins are gone
 *   space     added up from starts and evictions, never negative. A demand may exceed its bucket until the
 *             release, and beyond it in an event that counts as overflow; a guess and a demotion never may
 *   places    where an allocator places: blocks lie inside their pools, none on another, and add up to what the pools say is used
 *   waits     what the event keeps was there at the gate or has landed by its release
 *   agreement the hits at each gate and all masks at each release are those of the shadow
 *   knobs     an option turned is inside its bounds and has another value than before
 *   rooms     the room of a tier changes only when that is told; then those who are too many leave the serving tier at once. What is on
 *             its way keeps the space it has
 *   time      never goes back; steps and stalls add up to what the core says
 *   line      what a step went through lies end to end: dense part, charges, experts on the gpu, stalls, waiting for the host. At every
 *             release and at its end the attribution adds up to the time since it began, to the nanosecond
 *   balances  at the end: bytes, Little's law and load of every channel, and the attribution of time
 *
 * Under clock none a copy starts without having been queued and is resident at once.
 * The first fault is kept as a sentence and fails the run. Space exceeded by a part that overcommits as its published source does
 * (as_coded) is counted and reported instead. */
#include "sim/observe/audit_inside.h"
#include "sim/observe/observe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const audit_states[] = {"absent", "queued", "inbound", "resident", "outbound"};

static const char *const audit_kinds[ES_FACTS] = {
    [ES_FACT_STEP] = "step", [ES_FACT_USE] = "use", [ES_FACT_QUEUE] = "queue", [ES_FACT_START] = "start", [ES_FACT_START_GUESS] = "start_guess",
    [ES_FACT_LAND] = "land", [ES_FACT_EVICT] = "evict", [ES_FACT_ARRIVE_LOW] = "arrive_low", [ES_FACT_LEAVE_LOW] = "leave_low",
    [ES_FACT_OUTBOUND] = "outbound", [ES_FACT_RECALL] = "recall", [ES_FACT_CANCEL] = "cancel", [ES_FACT_RELEASE] = "release", [ES_FACT_STALL] = "stall", [ES_FACT_COMPUTE] = "compute",
    [ES_FACT_STEP_END] = "step_end", [ES_FACT_RESET] = "reset", [ES_FACT_TURN] = "turn", [ES_FACT_ROOM] = "room", [ES_FACT_END] = "end",
    [ES_FACT_COPY] = "copy", [ES_FACT_CHARGE] = "charge",
};

enum { A = 1 << ABSENT, Q = 1 << QUEUED, I = 1 << INBOUND, R = 1 << RESIDENT, O = 1 << OUTBOUND };

static const struct audit_rule { unsigned timed, untimed; audit_state next; const char *legal; } audit_rules[ES_FACTS] = {
    [ES_FACT_QUEUE] = {A, A, QUEUED, "absent"},
    [ES_FACT_START] = {Q, A | Q, INBOUND, "queued"},
    [ES_FACT_START_GUESS] = {Q, Q, INBOUND, "queued"},
    [ES_FACT_LAND] = {I, I, RESIDENT, "inbound"},
    [ES_FACT_EVICT] = {R | O, R, ABSENT, "resident"},
    [ES_FACT_ARRIVE_LOW] = {A | Q | R, A | Q | R, RESIDENT, "absent"},     /* R: it came by a transfer, which LAND told */
    [ES_FACT_LEAVE_LOW] = {R | O, R, ABSENT, "resident"},
    [ES_FACT_OUTBOUND] = {R, 0, OUTBOUND, "resident"},
    [ES_FACT_RECALL] = {O, 0, RESIDENT, "outbound"},
    [ES_FACT_CANCEL] = {Q | I, Q, ABSENT, "queued"},
};

static es_code audit_init(void *self, const es_site *site, es_err *err)
{
    audit *s = self;
    const es_view *view = s->view = site->view;
    s->tier = ES_NEW_ARRAY(site->arena, view->tiers, audit_tier);
    s->used = ES_NEW_ARRAY(site->arena, view->buckets, int64_t);
    s->room = ES_NEW_ARRAY(site->arena, view->buckets, uint64_t);
    s->most = ES_NEW_ARRAY(site->arena, view->buckets, uint64_t);
    s->pin = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->keep = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->here = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->computed = ES_NEW_ARRAY(site->arena, (size_t)view->words * 64, es_time);
    s->above = ES_NEW_ARRAY(site->arena, view->buckets, bool);
    if (!s->tier || !s->used || !s->room || !s->most || !s->above || !s->pin || !s->keep || !s->here || !s->computed)
        return es_err_nomem(err, "the audit's shadow");
    for (uint32_t t = 0; t < view->tiers && !s->placed; t++)
        if (view->tier[t].block && !(s->placed = ES_NEW_ARRAY(site->arena, (size_t)view->words * 64, es_oid)))
            return es_err_nomem(err, "the audit's shadow");
    for (uint32_t t = 0; t < view->tiers; t++) {
        audit_tier *tier = &s->tier[t];
        tier->down = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
        tier->spooled = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
        for (audit_state k = QUEUED; k < AUDIT_STATES; k++)
            if (!(tier->mask[k] = ES_NEW_ARRAY(site->arena, view->words, uint64_t)) || !tier->down || !tier->spooled)
                return es_err_nomem(err, "the audit's shadow");
    }
    return ES_OK;
}

/* ---- faults ---- */

void audit_fault(audit *s, const char *fmt, ...)
{
    if (s->faults++ != 0)
        return;
    int n = snprintf(s->first, sizeof s->first, "at %" PRId64 " ns, %s: ", s->at, audit_kinds[s->kind]);
    va_list args;
    va_start(args, fmt);
    vsnprintf(s->first + n, sizeof s->first - (size_t)n, fmt, args);
    va_end(args);
}

void audit_copy_fault(audit *s, uint32_t tier, es_oid object, const char *found, const char *expected)
{
    const es_view *view = s->view;
    audit_fault(s, "layer %u expert %u in tier %s %s, expected %s", view->layer_number[view->layer_of[object >> 6]], es_expert_of(view, object),
        view->tier[tier].name, found, expected);
}

static void audit_equal(audit *s, const char *what, double found, double expected)
{
    s->checks++;
    if (fabs(found - expected) > 1e-9 * fabs(expected))
        audit_fault(s, "%s is %.17g, expected %.17g", what, found, expected);
}

/* ---- life and space of one copy ---- */

static audit_state audit_state_of(const audit *s, uint32_t tier, es_oid object)
{
    for (audit_state k = OUTBOUND; k > ABSENT; k--)
        if (es_mask_has(s->tier[tier].mask[k], object))
            return k;
    return ABSENT;
}

static bool audit_within(const audit *s, es_oid object)
{
    size_t w = object >> 6;
    return s->pinned && w >= s->word && w < (size_t)s->word + s->words;
}

/* Read in place by the event at hand: wanted, not there, and not kept. It has no life in the tier. */
static bool audit_transient(const audit *s, es_oid object)
{
    return audit_within(s, object) && es_mask_has(s->pin, object) && !es_mask_has(s->keep, object);
}

static void audit_hold(audit *s, uint32_t tier, es_oid object, int64_t units)
{
    uint32_t bucket = es_bucket_of(s->view, tier, object);
    s->used[bucket] += units;
    s->checks++;
    if (s->used[bucket] < 0)
        audit_fault(s, "tier %s holds %" PRId64 " units, expected 0 or more", s->view->tier[tier].name, s->used[bucket]);
    if (units <= 0 || (uint64_t)s->used[bucket] <= s->most[bucket] || s->view->tier[tier].block)
        return;
    if (s->view->as_coded)
        s->overcommitted++;
    else if (s->kind == ES_FACT_START)
        s->exceeded = true;     /* to be settled, or counted as an overflow, by the release */
    else
        audit_fault(s, "tier %s holds %" PRId64 " units, expected at most %" PRIu64, s->view->tier[tier].name, s->used[bucket], s->most[bucket]);
}

static void audit_pins(audit *s, const es_fact *fact, es_oid object)
{
    if (fact->why == ES_RELEASE || fact->from != s->view->serving || !audit_within(s, object) || !es_mask_has(s->pin, object))
        return;
    bool waves = s->view->tally->overflow_events != s->overflows;
    if (!waves)
        audit_copy_fault(s, fact->from, object, "leaves while pinned by the event at hand", "it to stay until the release");
    else if (s->computed[object] > fact->at)
        audit_copy_fault(s, fact->from, object, "leaves while it is computed", "it to stay until its compute ends");
}

static bool audit_leaves(const es_fact *fact)
{
    return fact->kind == ES_FACT_EVICT || fact->kind == ES_FACT_LEAVE_LOW;
}

static void audit_copy(audit *s, const es_fact *fact, uint32_t tier, es_oid object)
{
    const es_view *view = s->view;
    const struct audit_rule *rule = &audit_rules[fact->kind];
    audit_tier *t = &s->tier[tier];
    size_t w = object >> 6;
    uint64_t bit = 1ull << (object & 63);
    audit_state now = audit_state_of(s, tier, object), next = rule->next;
    s->checks++;
    bool at_once = !view->timed || fact->why == ES_TOUCH;      /* what rises between serving tiers changes its label, it is not queued */
    if (!((at_once ? rule->untimed : rule->timed) >> now & 1))
        audit_copy_fault(s, tier, object, audit_states[now], rule->legal);
    if (fact->kind == ES_FACT_EVICT || fact->kind == ES_FACT_OUTBOUND)
        audit_pins(s, fact, object);
    if (fact->kind == ES_FACT_ARRIVE_LOW && now != RESIDENT) {
        if (fact->from >= view->tiers || !es_mask_has(s->tier[fact->from].down, object))
            audit_copy_fault(s, tier, object, "arrives by demotion", "it to have left the tier above");
        else
            s->tier[fact->from].down[w] &= ~bit;
    }
    for (audit_state k = QUEUED; k < AUDIT_STATES; k++)
        t->mask[k][w] &= ~bit;
    t->down[w] &= ~bit;
    if (next != ABSENT)
        t->mask[next][w] |= bit;
    else if (audit_leaves(fact) && fact->to < view->tiers)
        t->down[w] |= bit;
    const bool spooled = next == OUTBOUND && view->tier[tier].spooled && es_mask_has(view->tier[tier].spooled, object);
    /* what leaves gives its space back, legal or not; what is in a write buffer has */
    int64_t before = (now >= INBOUND || audit_leaves(fact)) && !es_mask_has(t->spooled, object), after = next >= INBOUND && !spooled;
    t->spooled[w] = (t->spooled[w] & ~bit) | (spooled ? bit : 0);
    if (before != after)
        audit_hold(s, tier, object, (after - before) * view->tier[tier].unit[w]);
    if (next == RESIDENT && tier == view->serving)
        s->came += view->tier[tier].unit[w];
    if (fact->kind == ES_FACT_LAND && tier == view->serving)
        s->here[w] |= bit;
}

static void audit_bytes(audit *s, const es_fact *fact, int64_t bytes)
{
    s->checks++;
    if (fact->bytes != bytes)
        audit_fault(s, "%u objects carry %" PRId64 " bytes, expected %" PRId64, fact->count, fact->bytes, bytes);
    if (fact->kind == ES_FACT_START_GUESS || (fact->why == ES_GUESS && s->view->tier[fact->to].serving))
        s->guess_bytes += bytes;
}

static void audit_objects(audit *s, const es_fact *fact)
{
    const es_view *view = s->view;
    bool stays = fact->kind == ES_FACT_OUTBOUND || fact->kind == ES_FACT_RECALL;
    uint32_t tier = audit_leaves(fact) || stays ? fact->from : fact->to;
    int64_t bytes = 0;
    if (tier >= view->tiers) {
        audit_fault(s, "tier %u, expected below %u", tier, view->tiers);
        return;
    }
    if (view->tier[tier].home)
        return;                 /* unbounded and always has everything */
    for (uint32_t i = 0; i < fact->count; i++) {
        es_oid object = fact->objects[i];
        if (object >= view->objects) {
            audit_fault(s, "object %u, expected below %u", object, view->objects);
            continue;
        }
        bytes += view->bytes[object >> 6];
        bool demand = fact->kind == ES_FACT_START || (fact->kind == ES_FACT_QUEUE && fact->why == ES_DEMAND);
        if (demand && tier == view->serving && audit_transient(s, object))
            continue;
        audit_copy(s, fact, tier, object);
        if (fact->kind == ES_FACT_START && fact->why != ES_TOUCH && tier == view->serving && s->counted)
            s->started_bytes += view->bytes[object >> 6];
    }
    if (fact->kind == ES_FACT_START || fact->kind == ES_FACT_START_GUESS)
        audit_bytes(s, fact, bytes);
}

/* ---- events ---- */

/* What is in this state in some serving tier. */
static uint64_t audit_served(const audit *s, audit_state state, size_t word)
{
    uint64_t mask = 0;
    for (uint32_t t = 0; t < s->view->tiers; t++)
        mask |= s->view->tier[t].serving ? s->tier[t].mask[state][word] : 0;
    return mask;
}

static void audit_use(audit *s, const es_fact *fact)
{
    const es_event *e = fact->event;
    const es_view *view = s->view;
    if (s->pinned)
        audit_fault(s, "event %" PRIu64 " is at its gate, expected the release of event %" PRIu64 " before", e->index, s->event);
    if ((size_t)e->word + e->words > view->words) {
        audit_fault(s, "event %" PRIu64 " ends at mask word %u, expected at most %u", e->index, e->word + e->words, view->words);
        return;
    }
    uint32_t hits = 0, late = 0, count = 0;
    for (uint32_t i = 0; i < e->words; i++) {
        size_t w = e->word + i;
        uint64_t resident = e->mask[i] & audit_served(s, RESIDENT, w);
        s->checks++;
        if (e->hit[i] != resident && !view->tier[view->serving].home)
            audit_fault(s, "event %" PRIu64 " hits %016" PRIx64 " in mask word %zu, expected %016" PRIx64, e->index, e->hit[i], w, resident);
        s->pin[w] = e->mask[i];
        s->keep[w] = e->kept ? e->kept[i] : e->mask[i];
        s->here[w] = e->hit[i];
        count += (uint32_t)__builtin_popcountll(e->mask[i]);
        hits += (uint32_t)__builtin_popcountll(e->hit[i]);
        late += (uint32_t)__builtin_popcountll(e->mask[i] & ~resident & audit_served(s, INBOUND, w));
        if (e->counted)
            s->transient_bytes += __builtin_popcountll(s->pin[w] & ~(s->keep[w] | resident | audit_served(s, INBOUND, w))) * view->bytes[w];
    }
    if (e->count != count || e->hits != hits || e->late != late)
        audit_fault(s, "event %" PRIu64 " says %u wanted, %u hits, %u late, expected %u, %u, %u", e->index, e->count, e->hits, e->late, count, hits, late);
    s->pinned = true;
    s->counted = e->counted;
    s->event = e->index;
    s->word = e->word;
    s->words = e->words;
}

/* Everything the event waited for has come. */
static void audit_waits(audit *s)
{
    const uint64_t *resident = s->tier[s->view->serving].mask[RESIDENT];
    for (uint32_t w = s->word; w < s->word + s->words; w++) {
        uint64_t missing = s->keep[w] & ~s->here[w] & ~resident[w];
        s->checks++;
        if (missing != 0)
            audit_copy_fault(s, s->view->serving, w * 64 + (es_oid)__builtin_ctzll(missing), "has not landed by the release of its event",
                "the wait for it to end");
    }
}

static void audit_masks(audit *s)
{
    for (uint32_t t = 0; t < s->view->tiers; t++) {
        const es_tier_view *tier = &s->view->tier[t];
        const uint64_t *const theirs[AUDIT_STATES] = {NULL, tier->queued, tier->inbound, tier->resident, tier->outbound};
        for (audit_state k = QUEUED; !tier->home && k < AUDIT_STATES; k++) {
            s->checks++;
            if (memcmp(theirs[k], s->tier[t].mask[k], s->view->words * sizeof(uint64_t)) == 0)
                continue;
            uint32_t w = 0;
            while (theirs[k][w] == s->tier[t].mask[k][w])
                w++;
            uint64_t differ = theirs[k][w] ^ s->tier[t].mask[k][w];
            es_oid object = w * 64 + (es_oid)__builtin_ctzll(differ);
            audit_copy_fault(s, t, object, es_mask_has(theirs[k], object) ? "is in the mask of what is" : "is not in the mask of what is", audit_states[k]);
        }
    }
}

/* A channel counts the whole time of a copy when it starts, so its load is known when it is idle. */
static void audit_load(audit *s)
{
    const es_view *view = s->view;
    uint64_t transfers = 0;
    if (!view->timed)
        return;
    for (uint32_t c = 0; c < view->channels; c++)
        transfers += view->channel[c].transfers;
    for (uint32_t c = 0; c < view->channels; c++) {
        const es_channel_view *channel = &view->channel[c];
        s->checks++;
        /* the end of a copy that is stretched is rounded to the nanosecond, perhaps down */
        double most = (double)channel->lanes * ((double)s->at * (1.0 + 1e-9) + (double)transfers);
        if (channel->active == 0 && (double)channel->busy_ns > most)
            audit_fault(s, "channel %s was busy for %" PRId64 " ns, expected at most %u lanes of %" PRId64 " ns", channel->name, channel->busy_ns,
                channel->lanes, s->at);
    }
}

static void audit_release(audit *s, const es_event *event)
{
    s->checks++;
    if (!s->pinned || event->index != s->event)
        audit_fault(s, "event %" PRIu64 " is released, expected the one whose gate was passed last (%" PRIu64 ")", event->index, s->event);
    if (s->pinned)
        audit_waits(s);
    if (s->exceeded && s->view->tally->overflow_events == s->overflows)
        audit_settled(s);
    s->overflows = s->view->tally->overflow_events;
    s->pinned = s->exceeded = s->counted = false;
    for (size_t o = (size_t)s->word * 64; o < (size_t)(s->word + s->words) * 64; o++)
        s->computed[o] = 0;
    audit_masks(s);
    if (s->placed)
        audit_blocks(s);
    audit_load(s);
    audit_rooms(s);
}

/* ---- the line of a step ---- */

/* Does the run tell of it? */
static bool audit_has_line(const audit *s)
{
    return s->view->timed && s->view->gpu < s->view->channels;
}

static bool audit_on_line(const audit *s, const es_fact *fact)
{
    return fact->kind == ES_FACT_STALL || fact->kind == ES_FACT_CHARGE || (fact->kind == ES_FACT_COMPUTE && fact->channel == s->view->gpu);
}

/* All that times.total is made of. */
static es_time audit_attributed(const es_view *view)
{
    const es_times *t = view->times;
    es_time sum = t->dense + t->expert_gpu + t->expert_cpu + t->access + t->manage + t->predict;
    for (uint32_t c = 0; c < view->channels; c++)
        sum += view->channel[c].wait_ns;
    return sum;
}

static void audit_line(audit *s, const es_fact *fact)
{
    s->checks++;
    if (fact->since != s->line)
        audit_fault(s, "%s begins at %" PRId64 " ns, expected %" PRId64 " ns, where what the step went through before has ended", audit_kinds[fact->kind],
            fact->since, s->line);
    s->line = fact->at;
}

/* The step has come to `at`. */
static void audit_line_at(audit *s, es_time at)
{
    const es_time sum = audit_attributed(s->view) - s->attributed;
    s->checks++;
    if (s->line != at)
        audit_fault(s, "what the step went through ends at %" PRId64 " ns, expected %" PRId64 " ns", s->line, at);
    if (sum != at - s->step_began)
        audit_fault(s, "%" PRId64 " ns of the step are attributed, expected the %" PRId64 " ns since it began", sum, at - s->step_began);
}

static void audit_line_begins(audit *s, es_time at)
{
    s->line = s->step_began = at;
    s->attributed = audit_attributed(s->view);
}

/* ---- the run ---- */

/* The state before the first step, and after the caches were emptied, is taken as it is: no fact tells of it. */
static void audit_adopt(audit *s)
{
    const es_view *view = s->view;
    s->begun = true;
    memset(s->used, 0, view->buckets * sizeof *s->used);
    for (uint32_t t = 0; t < view->tiers; t++) {
        const es_tier_view *tier = &view->tier[t];
        if (tier->home)
            continue;
        const uint64_t *const theirs[AUDIT_STATES] = {NULL, tier->queued, tier->inbound, tier->resident, tier->outbound};
        for (audit_state k = QUEUED; k < AUDIT_STATES; k++)
            memcpy(s->tier[t].mask[k], theirs[k], view->words * sizeof(uint64_t));
        if (tier->spooled)
            memcpy(s->tier[t].spooled, tier->spooled, view->words * sizeof(uint64_t));
        for (uint32_t w = 0; w < view->words; w++)
            s->used[es_bucket_of(view, t, w * 64)] +=
                __builtin_popcountll(tier->resident[w] | tier->inbound[w] | (tier->outbound[w] & ~s->tier[t].spooled[w])) * tier->unit[w];
    }
    for (uint32_t b = 0; b < view->buckets; b++) {
        s->room[b] = view->bucket_room[b];
        s->most[b] = s->above[b] && (uint64_t)s->used[b] > s->room[b] ? (uint64_t)s->used[b] : s->room[b];
    }
}

static void audit_end(audit *s)
{
    const es_view *view = s->view;
    const es_counts *tally = view->tally;
    s->checks++;
    if (tally->fetched_bytes < s->started_bytes || tally->fetched_bytes > s->started_bytes + s->transient_bytes)
        audit_fault(s, "fetched bytes are %" PRId64 ", expected %" PRId64 " to %" PRId64, tally->fetched_bytes, s->started_bytes,
            s->started_bytes + s->transient_bytes);
    audit_equal(s, "bytes of guesses", (double)tally->guess_bytes, (double)s->guess_bytes);
    if (!view->timed)
        return;
    const es_times *times = view->times;
    for (uint32_t c = 0; c < view->channels; c++)
        audit_equal(s, "the area under a queue (Little's law)", view->channel[c].depth_area, (double)view->channel[c].queue_ns);
    audit_load(s);
    s->checks++;
    if (audit_attributed(view) != times->total || times->manage != times->lookup + times->evict + times->move)
        audit_fault(s, "the attribution adds up to %" PRId64 " ns, expected %" PRId64 " ns", audit_attributed(view), times->total);
    audit_equal(s, "the total time", (double)times->total, (double)s->steps_ns);
    audit_equal(s, "the stalled time", (double)times->stall, (double)s->stall_ns);
}

static void audit_time(audit *s, const es_fact *fact)
{
    s->checks++;
    if (fact->at < s->at)
        audit_fault(s, "%s is told at %" PRId64 " ns, expected no earlier time than the one before", audit_kinds[fact->kind], fact->at);
    s->kind = fact->kind;
    s->at = fact->at;
}

static void audit_span(audit *s, const es_fact *fact)
{
    if (fact->since > fact->at)
        audit_fault(s, "%s ends %" PRId64 " ns before it begins, expected the reverse", audit_kinds[fact->kind], fact->since - fact->at);
    if (fact->kind == ES_FACT_STALL)
        s->stall_ns += fact->at - fact->since;
    else if (fact->kind == ES_FACT_STEP_END)
        s->steps_ns += fact->at - fact->since;
    else if (fact->objects && fact->count == 1 && fact->to == s->view->serving && audit_within(s, fact->objects[0]))
        s->computed[fact->objects[0]] = fact->at;
}

/* It was asked for before it started, and was not faster than the channel is alone. */
static void audit_moved(audit *s, const es_fact *fact)
{
    const es_copy *copy = fact->copy;
    s->checks++;
    if (copy->asked > fact->since || fact->since > fact->at)
        audit_fault(s, "a copy asked for at %" PRId64 " ns is under way from %" PRId64 " to %" PRId64 " ns, expected these in order", copy->asked, fact->since,
            fact->at);
    if (fact->at - fact->since < copy->alone - 1)          /* stretched ones end at a rounded nanosecond */
        audit_fault(s, "a copy took %" PRId64 " ns, expected at least the %" PRId64 " ns that it takes alone", fact->at - fact->since, copy->alone);
}

static void audit_turn(audit *s, const es_turn *turn)
{
    const es_option *option = turn->option;
    s->checks++;
    if (option->min < option->max && !(turn->to >= option->min && turn->to <= option->max))
        audit_fault(s, "%s is turned to %.17g, expected %.17g to %.17g", turn->path, turn->to, option->min, option->max);
    if (turn->to == turn->from)
        audit_fault(s, "%s is turned to the %.17g it has, expected another value", turn->path, turn->to);
}

static void audit_notify(void *self, const es_fact *fact)
{
    audit *s = self;
    if (audit_has_line(s) && audit_on_line(s, fact))
        audit_line(s, fact);
    if (fact->kind == ES_FACT_COMPUTE || fact->kind == ES_FACT_CHARGE) {
        audit_span(s, fact);    /* told when it begins: its end lies ahead */
        return;
    }
    audit_time(s, fact);
    const unsigned settles = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_STEP) | ES_HEARS(ES_FACT_STEP_END) | ES_HEARS(ES_FACT_END);
    if (s->shrinking && settles & ES_HEARS(fact->kind))
        audit_shrunk(s);
    switch (fact->kind) {
    case ES_FACT_STEP:
        if (!s->begun)
            audit_adopt(s);
        audit_rooms(s);
        audit_line_begins(s, fact->at);
        break;
    case ES_FACT_RESET:
        audit_adopt(s);
        break;
    case ES_FACT_USE:
        audit_use(s, fact);
        break;
    case ES_FACT_RELEASE:
        audit_release(s, fact->event);
        if (audit_has_line(s))
            audit_line_at(s, fact->at);
        break;
    case ES_FACT_STEP_END:
        if (audit_has_line(s))
            audit_line_at(s, fact->at);
        audit_span(s, fact);
        break;
    case ES_FACT_STALL:
        audit_span(s, fact);
        break;
    case ES_FACT_COPY:
        audit_moved(s, fact);
        break;
    case ES_FACT_ROOM:
        audit_room(s, fact);
        break;
    case ES_FACT_TURN:
        audit_turn(s, fact->turn);
        break;
    case ES_FACT_END:
        audit_end(s);
        break;
    default:
        if (s->begun)           /* initial contents are told before */
            audit_objects(s, fact);
        break;
    }
}

static void audit_report(void *self, es_json *out)
{
    const audit *s = self;
    es_json *members = observe_object(out, "audit");
    observe_count(members, "checks", s->checks);
    observe_count(members, "faults", s->faults);
    observe_count(members, "overcommitted", s->overcommitted);
    es_json_add_text(members, "first_fault", s->faults ? s->first : NULL);
}

static es_code audit_verdict(void *self, es_err *err)
{
    const audit *s = self;
    return s->faults == 0 ? ES_OK : es_err_set(err, ES_ECHECK, "audit: %s (%" PRIu64 " faults in all)", s->first, s->faults);
}

const es_observer es_observer_audit = {
    .part = {
        .abi = ES_ABI,
        .name = "audit",
        .brief = "Checks the simulator itself: life of copies, pins, space, waits, time, bytes and balances.",
        .size = sizeof(audit),
        .init = audit_init,
        .notify = audit_notify,
        .hears = (ES_HEARS(ES_FACTS) - 1u) & ~(ES_HEARS(ES_FACT_GUESS) | ES_HEARS(ES_FACT_WAITING) | ES_HEARS(ES_FACT_DEPART)),
    },
    .report = audit_report,
    .verdict = audit_verdict,
};
