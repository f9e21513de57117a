/* ShiftCache: keeps what was used often, lately and before the like of this token; and forgets faster while the routing shifts.
 *
 *   value  = L * long / max long + S * short / max short + T * foreseen / max foreseen + R * age,  the lowest leaves first
 *   long, short   uses in the last `long_factor * window` and `window` tokens; maxima over all experts, at least 1
 *   foreseen      how often the sets of the last token were followed by the expert (sim/base/transition.h)
 *   age           0 for the least, 1 for the most recently used of the tier
 *   L = 0.55 - 0.45 a, S = 0.15 + 0.3 a, T = 0.05 + 0.1 a, R = the rest;  a = min(1, score / shift_bits)
 *   score         Jensen-Shannon divergence in bits between the uses of the short window and those before it in the long one
 *
 * So a = 0 weighs long habits and a = 1 the latest tokens. A shift is counted when the score reaches `shift_bits`, and the
 * detector is armed again at `rearm_bits`. Counts, score and foresight move once per token, after all its demands: a victim of
 * a demand sees the state after the token before, a victim of a prefetch that of this token. A token is a step; a step of
 * several tokens counts each expert once. The prefetch half is the predictor `shift_transition`.
 *
 * All terms but age change only with the token: together they are the *worth*. Age changes at every use, but its order is that
 * of the uses, and so nobody is the victim while someone older is worth no more and may leave. Whoever has no such elder is a
 * *low*; a dozen or so of the residents are, and only they are compared. When a low is gone, those who stood behind it are looked
 * through for new ones.
 *
 *   worth, from the oldest use on   .30  .42  .21  .35  .27  .21  .04        lows: .30, .21 and .04; without .21 also .27 and .21
 *                                    *         *                   *
 */
#include <math.h>

#include "sim/base/transition.h"
#include "sim/policy/recency.h"

enum { SHIFT_MEMO = 4096 };

typedef struct shift_window {
    uint32_t *uses;             /* [objects] */
    uint32_t *having;           /* [tokens of the window + 3] how many objects have so many uses; [0] is not kept */
    uint32_t most;              /* the largest of `uses`, at least 1 */
    uint64_t total;
    double *worth;              /* [tokens of the window + 2] what so many uses are worth */
} shift_window;

typedef struct shift_memo {     /* what an expert of so many uses adds to the score */
    uint64_t uses;              /* shorts << 32 | longs */
    int64_t part;
} shift_memo;

typedef struct shift_lows {     /* of one bucket */
    const es_oid **use;         /* [count] places in its queue, the oldest first */
    uint32_t count;
    const es_oid *seen;         /* entries from here on were not looked at, under */
    uint64_t token, moves;      /* this token and these places of the queue's entries */
} shift_lows;

typedef struct shift {
    int64_t window, long_factor, sets;
    double shift_bits, rearm_bits, near;
    bool reweighting, retention, persistent, triggered;
    int64_t persist_tokens, cooldown_tokens, triggered_tokens;
    const es_view *view;
    es_transition transitions;
    shift_window shorts, longs;
    uint64_t *ring;             /* [long window * words] what the last tokens used */
    uint64_t *changed;          /* [words] whose uses the last token changed */
    int64_t *part, parts;       /* [objects] what each adds to the score, and their sum; 2^60 is a bit */
    shift_memo *memo;           /* [SHIFT_MEMO] */
    uint64_t parts_short, parts_long; /* the totals for which they hold; 0: they do not */
    uint64_t tokens;            /* folded in so far */
    double score, shift;        /* of the last token; the `a` of the formula */
    bool armed;
    uint64_t above;             /* tokens in a row with a score of at least shift_bits */
    uint64_t shifts, last_shift; /* counted so far; token number of the last, from 1 */
    double foreseen, age;       /* weights now */
    recency lists;
    uint64_t *stamp;            /* [objects] order of last use, whatever tier it is in; that of the lists where they have one */
    double *worth;              /* [objects] of what stands before `seen` */
    shift_lows *lows;           /* [buckets] */
    const es_oid **spare;       /* scratch */
} shift;

static const es_option shift_options[] = {
    {.name = "window", .type = ES_OPT_INT, .offset = offsetof(shift, window), .def = 12, .min = 1, .max = 4096, .unit = "tokens",
        .help = "The short window; ShiftCache takes 5 % of the trace, within 4 and 12."},
    {.name = "long_factor", .type = ES_OPT_INT, .offset = offsetof(shift, long_factor), .def = 4, .min = 2, .max = 64,
        .help = "The long window is so many short ones."},
    {.name = "shift_bits", .type = ES_OPT_REAL, .offset = offsetof(shift, shift_bits), .def = 0.28, .min = 0.001, .max = 1, .unit = "bits",
        .help = "Score at which the routing counts as shifted and recent use weighs most."},
    {.name = "rearm_bits", .type = ES_OPT_REAL, .offset = offsetof(shift, rearm_bits), .def = 0.12, .min = 0, .max = 1, .unit = "bits",
        .help = "Score at or below which the next shift may be counted."},
    {.name = "jsd_reweighting", .type = ES_OPT_BOOL, .offset = offsetof(shift, reweighting), .def = 1,
        .help = "The score moves the weights from long habits to recent use."},
    {.name = "transition_retention", .type = ES_OPT_BOOL, .offset = offsetof(shift, retention), .def = 1,
        .help = "What often followed the last token's experts is worth keeping."},
    {.name = "near", .type = ES_OPT_REAL, .offset = offsetof(shift, near), .def = 0.8, .min = 0, .max = 1,
        .help = "Targets with at least this part of the largest count of their set are foreseen."},
    {.name = "sets", .type = ES_OPT_INT, .offset = offsetof(shift, sets), .def = 16384, .min = 1, .max = 1 << 24, .unit = "sets",
        .help = "How many different sets, over all layers, are remembered."},
    {.name = "persistent_detector", .type = ES_OPT_BOOL, .offset = offsetof(shift, persistent),
        .help = "Count a shift only after several high scores in a row, and then none for a while."},
    {.name = "persist_tokens", .type = ES_OPT_INT, .offset = offsetof(shift, persist_tokens), .def = 3, .min = 1, .max = 1e6, .unit = "tokens",
        .help = "High scores in a row that the persistent detector asks for."},
    {.name = "cooldown_tokens", .type = ES_OPT_INT, .offset = offsetof(shift, cooldown_tokens), .def = 64, .min = 0, .max = 1e9, .unit = "tokens",
        .help = "Tokens after a shift in which the persistent detector counts no other."},
    {.name = "triggered_reweighting", .type = ES_OPT_BOOL, .offset = offsetof(shift, triggered),
        .help = "Recent use weighs most for a while after each counted shift, whatever the score."},
    {.name = "triggered_tokens", .type = ES_OPT_INT, .offset = offsetof(shift, triggered_tokens), .def = 64, .min = 1, .max = 1e9, .unit = "tokens",
        .help = "How long that lasts."},
    {0},
};

static bool shift_window_init(shift_window *w, es_arena *arena, const es_view *view, uint64_t tokens)
{
    w->uses = ES_NEW_ARRAY(arena, view->objects, uint32_t);
    w->having = ES_NEW_ARRAY(arena, tokens + 3, uint32_t);
    w->worth = ES_NEW_ARRAY(arena, tokens + 2, double);
    w->most = 1;
    return w->uses && w->having && w->worth;
}

static bool shift_lows_init(shift *s, es_arena *arena, const es_view *view)
{
    const size_t most = view->per_layer ? view->stride : view->objects;
    const es_oid **use = s->spare = ES_NEW_ARRAY(arena, (view->buckets + 1) * most, const es_oid *);
    s->lows = ES_NEW_ARRAY(arena, view->buckets, shift_lows);
    for (uint32_t b = 0; use && s->lows && b < view->buckets; b++)
        s->lows[b] = (shift_lows){.use = use += most, .token = UINT64_MAX};
    return use && s->lows;
}

static void shift_weigh(shift *s);

static es_code shift_init(void *self, const es_site *site, es_err *err)
{
    shift *s = self;
    const es_view *view = s->view = site->view;
    const uint64_t window = (uint64_t)s->window, all = window * (uint64_t)s->long_factor;
    if (s->rearm_bits > s->shift_bits)
        return es_err_set(err, ES_EINPUT, "rearm_bits: %g is above shift_bits, %g; a shift would be counted again at once", s->rearm_bits, s->shift_bits);
    es_code code = recency_init(&s->lists, site, err);
    if (code != ES_OK)
        return code;
    s->stamp = s->lists.stamp ? s->lists.stamp : ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->ring = ES_NEW_ARRAY(site->arena, all * view->words, uint64_t);
    s->changed = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->part = ES_NEW_ARRAY(site->arena, view->objects, int64_t);
    s->memo = ES_NEW_ARRAY(site->arena, SHIFT_MEMO, shift_memo);
    s->worth = ES_NEW_ARRAY(site->arena, view->objects, double);
    if (!s->stamp || !s->ring || !s->changed || !s->part || !s->memo || !s->worth || !shift_window_init(&s->shorts, site->arena, view, window) ||
        !shift_window_init(&s->longs, site->arena, view, all) || !shift_lows_init(s, site->arena, view))
        return es_err_nomem(err, "use counts");
    s->armed = true;
    shift_weigh(s);
    return es_transition_init(&s->transitions, site->arena, view->words / view->words_per_layer, view->words_per_layer, (uint32_t)s->sets, err);
}

/* ---- once per token ---- */

/* Adds 1 or -1 to the uses of all that a token used. */
static void shift_count(const shift *s, shift_window *window, const uint64_t *used, uint32_t change)
{
    uint32_t *uses = window->uses, *having = window->having;
    for (uint32_t w = 0; w < s->view->words; w++, uses += 64) {
        window->total += (uint64_t)(int32_t)change * (uint64_t)__builtin_popcountll(used[w]);
        for (uint64_t rest = used[w]; rest; rest &= rest - 1) {
            size_t i = (size_t)__builtin_ctzll(rest);
            uint32_t n = uses[i];
            having[n]--;
            having[n += change]++;
            uses[i] = n;
        }
    }
}

/* The token enters a window, another one leaves it. */
static void shift_slide(const shift *s, shift_window *window, const uint64_t *in, const uint64_t *out)
{
    shift_count(s, window, in, 1);
    while (window->having[window->most + 1])
        window->most++;
    shift_count(s, window, out, UINT32_MAX);
    while (window->most > 1 && !window->having[window->most])
        window->most--;
}

/* Tokens before the first used nothing, so the ring is right from the start. */
static void shift_windows(shift *s)
{
    const uint64_t window = (uint64_t)s->window, all = window * (uint64_t)s->long_factor;
    const size_t words = s->view->words;
    const uint64_t *now = s->transitions.now, *out = s->ring + (s->tokens + all - window) % all * words;
    uint64_t *place = s->ring + s->tokens % all * words;
    shift_slide(s, &s->shorts, now, out);
    shift_slide(s, &s->longs, now, place);
    for (size_t w = 0; w < words; w++) {
        s->changed[w] = now[w] | out[w] | place[w];
        place[w] = now[w];
    }
    s->tokens++;
}

/* Lin 1991: what one expert adds to the Jensen-Shannon divergence of its two shares. */
static ES_COLD int64_t shift_part(const shift *s, uint32_t shorts, uint32_t longs)
{
    double lately = (double)s->shorts.total, before = (double)(s->longs.total - s->shorts.total);
    double p = shorts / lately, q = (longs - shorts) / before, mean = (p + q) / 2.0, bits = 0.0;
    if (p > 0.0)
        bits += 0.5 * p * log2(p / mean);
    if (q > 0.0)
        bits += 0.5 * q * log2(q / mean);
    return (int64_t)(bits * 0x1p60);
}

static inline int64_t shift_remember(shift *s, uint32_t shorts, uint32_t longs)
{
    const uint64_t uses = (uint64_t)shorts << 32 | longs;
    shift_memo *m = &s->memo[(longs * 32 + shorts) % SHIFT_MEMO];
    if (m->uses != uses)
        *m = (shift_memo){uses, shift_part(s, shorts, longs)};
    return m->part;
}

/* The score in bits; rounded to 12 places as ShiftCache does, so that thresholds do not hang on the last bit. Only the parts of
 * those whose uses changed are new, and because they are whole numbers the sum is the same as if all were added up. */
static double shift_divergence(shift *s)
{
    const uint64_t shorts = s->shorts.total, longs = s->longs.total;
    const bool all = s->parts_short != shorts || s->parts_long != longs;
    if (s->tokens < 2 * (uint64_t)s->window || shorts == 0 || longs == shorts) {
        s->parts_short = 0;
        return 0.0;
    }
    for (size_t i = 0; all && i < SHIFT_MEMO; i++)
        s->memo[i].uses = UINT64_MAX;
    const uint32_t *short_uses = s->shorts.uses, *long_uses = s->longs.uses;
    int64_t *part = s->part, parts = s->parts;
    for (uint32_t w = 0; w < s->view->words; w++, short_uses += 64, long_uses += 64, part += 64)
        for (uint64_t rest = all ? ~0ull : s->changed[w]; rest; rest &= rest - 1) {
            size_t i = (size_t)__builtin_ctzll(rest);
            int64_t now = shift_remember(s, short_uses[i], long_uses[i]);
            parts += now - part[i];
            part[i] = now;
        }
    s->parts = parts;
    s->parts_short = shorts;
    s->parts_long = longs;
    return floor((double)s->parts * 0x1p-60 * 1e12 + 0.5) / 1e12;
}

static void shift_detect(shift *s)
{
    bool high = s->score >= s->shift_bits;
    bool waits = s->persistent && s->shifts > 0 && s->tokens - s->last_shift < (uint64_t)s->cooldown_tokens;
    s->above = high ? s->above + 1 : 0;
    if (s->armed && !waits && s->above >= (s->persistent ? (uint64_t)s->persist_tokens : 1)) {
        s->armed = false;
        s->shifts++;
        s->last_shift = s->tokens;
    } else if (s->score <= s->rearm_bits) {
        s->armed = true;
    }
}

/* What uses are worth until the next token. Term by term as it is published: in another order values that tie would differ in
 * their last bits. */
static void shift_weigh(shift *s)
{
    double longs = 0.55 - 0.45 * s->shift, shorts = 0.15 + 0.3 * s->shift;
    s->foreseen = s->retention ? 0.05 + 0.1 * s->shift : 0.0;
    s->age = 1.0 - longs - shorts - s->foreseen;
    for (uint32_t n = 0; n <= s->longs.most; n++)
        s->longs.worth[n] = longs * n / s->longs.most;
    for (uint32_t n = 0; n <= s->shorts.most; n++)
        s->shorts.worth[n] = shorts * n / s->shorts.most;
}

static void shift_fold(shift *s)
{
    shift_windows(s);
    s->score = shift_divergence(s);
    shift_detect(s);
    s->shift = s->reweighting ? fmin(1.0, s->score / s->shift_bits) : 0.0;
    if (s->triggered && s->shifts > 0 && s->tokens - s->last_shift < (uint64_t)s->triggered_tokens)
        s->shift = 1.0;
    shift_weigh(s);
    es_transition_fold(&s->transitions, s->near);
}

/* ---- facts ---- */

/* An object of an event that has copies in lower tiers, or may not stay. */
static ES_COLD void shift_use_each(shift *s, const es_event *event)
{
    recency *r = &s->lists;
    for (uint32_t i = 0; i < event->count; i++) {
        es_oid object = event->base + event->touch[i];
        if (es_event_keeps(event, event->touch[i]))
            recency_touch(r, s->view->serving, object);
        else if (r->stamp)
            recency_stamp(r, s->view->serving, object);
        if (!r->stamp)
            s->stamp[object] = ++r->clock;
    }
}

static void shift_use(shift *s, const es_event *event)
{
    if (es_transition_over(&s->transitions, event->step))
        shift_fold(s);
    es_transition_add(&s->transitions, event->step, event->word / event->words, event->mask);
    if (event->kept || s->lists.stamp) {
        shift_use_each(s, event);
        return;
    }
    recency_use(&s->lists, event);
    uint64_t *stamp = s->stamp + event->base, clock = s->lists.clock;
    for (const uint16_t *touch = event->touch, *end = touch + event->count; touch < end; touch++)
        stamp[*touch] = ++clock;
    s->lists.clock = clock;
}

static void shift_notify(void *self, const es_fact *fact)
{
    shift *s = self;
    const es_event *event = fact->event;
    switch (fact->kind) {
    case ES_FACT_USE:
        shift_use(s, event);
        break;
    case ES_FACT_RELEASE:
        if (event->last && event->layer == s->view->layers - 1 && s->transitions.open)
            shift_fold(s);
        break;
    default:
        recency_moved(&s->lists, fact);
        for (uint32_t i = 0; fact->kind == ES_FACT_START_GUESS && !s->lists.stamp && i < fact->count; i++)
            s->stamp[fact->objects[i]] = ++s->lists.clock;
    }
}

/* ---- victims ---- */

typedef struct shift_search {   /* for the victim of one bucket, from the oldest use on */
    uint64_t oldest;            /* stamp of the oldest resident */
    double span;                /* of the stamps of the residents; 1 where they are all alike */
    const es_oid *least;        /* place of the least valuable that may leave; NULL: none found */
    double value;               /* of it */
    uint64_t limit;             /* above this stamp, age alone is worth `value` */
} shift_search;

static inline bool shift_counts(const recency_queue *q, const es_oid *use)
{
    return q->place[*use] == use;
}

static shift_search shift_begin(const shift *s, recency_queue *q)
{
    const uint64_t *resident = q->tier->resident;
    while (q->oldest < q->next && !shift_counts(q, q->oldest))
        q->oldest++;
    const es_oid *use = q->oldest, *last = q->next;
    while (use < last && !(shift_counts(q, use) && es_mask_has(resident, *use)))
        use++;
    while (last > use && !(shift_counts(q, last - 1) && es_mask_has(resident, last[-1])))
        last--;
    shift_search f = {.oldest = use < last ? s->stamp[*use] : 0, .span = 1.0, .value = INFINITY, .limit = UINT64_MAX};
    if (use + 1 < last)
        f.span = (double)(s->stamp[last[-1]] - f.oldest);
    return f;
}

/* Values within 2^-52 of each other count as equal, then the oldest leaves. false: it would be the least valuable, but may not leave. */
static inline bool shift_try(const shift *s, const recency_queue *q, shift_search *f, const es_oid *use)
{
    double age = (double)(int64_t)(s->stamp[*use] - f->oldest) / f->span, value = s->worth[*use] + s->age * age;
    if (value >= f->value - 0x1p-52)
        return true;
    if (!recency_may_leave(s->view, q->tier, *use))
        return false;
    f->least = use;
    f->value = value;
    f->limit = f->oldest + (uint64_t)(int64_t)(value / s->age * f->span) + 2;   /* whatever is rounded, 2 is more */
    return true;
}

/* What was known under the last token, or before the queue moved its entries, is forgotten. */
static ES_COLD void shift_forget(const shift *s, recency_queue *q, shift_lows *lows)
{
    recency_renew(q);
    *lows = (shift_lows){.use = lows->use, .seen = q->oldest, .token = s->tokens, .moves = q->moves};
}

static inline void shift_appraise(const shift *s, es_oid object)
{
    double worth = s->longs.worth[s->longs.uses[object]] + s->shorts.worth[s->shorts.uses[object]];
    uint32_t foreseen = es_transition_foreseen(&s->transitions, object);
    s->worth[object] = foreseen ? worth + s->foreseen * foreseen / s->transitions.most : worth;
}

/* Low i is gone: those for whom it stood in the way take its place. */
static void shift_replace(shift *s, const recency_queue *q, shift_lows *lows, uint32_t i)
{
    const es_oid **low = lows->use + i, **found = s->spare;
    const double *worth = s->worth;
    double least = i > 0 ? worth[*low[-1]] : INFINITY;
    for (const es_oid *use = low[0] + 1, *end = i + 1 < lows->count ? low[1] : lows->seen; use < end; use++)
        if (worth[*use] < least && shift_counts(q, use)) {
            least = worth[*use];
            *found++ = use;
        }
    const size_t count = (size_t)(found - s->spare);
    if (count != 1)
        memmove(low + count, low + 1, (lows->count - i - 1) * sizeof *low);
    for (size_t j = 0; j < count; j++)
        low[j] = s->spare[j];
    lows->count += (uint32_t)count - 1;
}

/* The next low that nobody has looked at under this token; false: there is none that could be less valuable. */
static bool shift_more(const shift *s, const recency_queue *q, const shift_search *f, shift_lows *lows)
{
    double least = lows->count > 0 ? s->worth[*lows->use[lows->count - 1]] : INFINITY;
    for (; lows->seen < q->next; lows->seen++) {
        const es_oid *use = lows->seen;
        if (!shift_counts(q, use))
            continue;
        if (s->stamp[*use] > f->limit)
            return false;
        shift_appraise(s, *use);
        if (s->worth[*use] < least) {
            lows->use[lows->count++] = lows->seen++;
            return true;
        }
    }
    return false;
}

/* Low i may not leave, and so whoever stands behind it may be the least valuable. */
static ES_COLD void shift_behind(shift *s, const recency_queue *q, shift_search *f, shift_lows *lows, uint32_t i)
{
    while (i + 1 < lows->count && !shift_counts(q, lows->use[i + 1]))
        shift_replace(s, q, lows, i + 1);
    for (const es_oid *use = lows->use[i] + 1, *end = i + 1 < lows->count ? lows->use[i + 1] : q->next; use < end; use++)
        if (shift_counts(q, use) && s->stamp[*use] <= f->limit) {
            shift_appraise(s, *use);
            shift_try(s, q, f, use);
        }
}

/* The place of the least valuable resident that may leave; NULL: there is none. */
static const es_oid *shift_least(shift *s, recency_queue *q, shift_lows *lows)
{
    if (lows->token != s->tokens || lows->moves != q->moves)
        shift_forget(s, q, lows);
    shift_search f = shift_begin(s, q);
    for (uint32_t i = 0; i < lows->count || shift_more(s, q, &f, lows);) {
        const es_oid *use = lows->use[i];
        if (!shift_counts(q, use)) {
            shift_replace(s, q, lows, i);
            continue;
        }
        if (s->stamp[*use] > f.limit)
            break;
        if (!shift_try(s, q, &f, use))
            shift_behind(s, q, &f, lows, i);
        i++;
    }
    return f.least;
}

static size_t shift_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    shift *s = self;
    recency_queue *q = &s->lists.queue[need->bucket];
    int64_t lacking = need->units;
    size_t count = 0;
    if (need->all && lacking > q->least && !recency_enough(s->view, need))
        return 0;
    while (lacking > 0 && count < most) {
        const es_oid *use = shift_least(s, q, &s->lows[need->bucket]);
        if (!use)
            break;
        out[count++] = *use;
        q->place[*use] = NULL;
        lacking -= q->tier->unit[*use >> 6];
    }
    return count;
}

static void shift_report(const void *self, es_json *out)
{
    const shift *s = self;
    es_json_add_int(out, "detected_shifts", (int64_t)s->shifts);
}

const es_policy es_policy_shift_cache = {
    .part = {
        .abi = ES_ABI,
        .name = "shift_cache",
        .brief = "Value of long and recent use, foresight and age; forgets faster while the routing shifts (ShiftCache).",
        .options = shift_options,
        .size = sizeof(shift),
        .init = shift_init,
        .notify = shift_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_RELEASE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) |
                 ES_HEARS(ES_FACT_LEAVE_LOW) | ES_HEARS(ES_FACT_RESET),
    },
    .victims = shift_victims,
    .report = shift_report,
};
