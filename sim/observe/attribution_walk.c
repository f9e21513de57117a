/* Attribution, walks back in time: what a stall was for, and which chain of operations made a step as long as it is.
 *
 * Both go by what ended when. A copy began when it was asked for, when one before it in its queue ended, or when it found room; it was
 * asked for at a gate, or when the same object had come one tier nearer. So from any end there is a way back:
 *
 *   split   what compute waits for, back to where it began to wait. Its copy was under way; before that it stood in a queue, and whose lane
 *           it took was in its way, and who was before that one; before that another stage of its way was; else it lacked room
 *   chain   from the end of the step back to its begin: an operation, then the one that had to end before it could begin. What
 *           compute did meanwhile is not in it: making that free would not have made the step shorter
 *
 * With several candidates the one nearest to the object itself is taken; the choice is among things that ended at the same instant. */
#include "sim/observe/attribution_inside.h"

static const attribution_copy *walk_copies(const attribution *s)
{
    return s->copy.at;
}

/* Behind the last copy that ended at `at` or before. */
static uint64_t walk_after(const attribution *s, es_time at)
{
    uint64_t low = 0, high = s->copy.count;
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        if (walk_copies(s)[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef bool (*walk_fits)(const attribution_copy *candidate, const attribution_copy *like);

static bool walk_same_object(const attribution_copy *copy, const attribution_copy *like)
{
    return copy->object == like->object;
}

static bool walk_same_channel_object(const attribution_copy *copy, const attribution_copy *like)
{
    return walk_same_object(copy, like) && copy->channel == like->channel;
}

static bool walk_same_channel(const attribution_copy *copy, const attribution_copy *like)
{
    return copy->channel == like->channel;
}

static bool walk_any(const attribution_copy *copy, const attribution_copy *like)
{
    (void)copy, (void)like;
    return true;
}

/* A write-back that left room where the copy goes. */
static bool walk_made_room(const attribution_copy *copy, const attribution_copy *like)
{
    return copy->why == ES_DEMOTE && copy->from == like->to;
}

/* The last told of the copies that ended exactly at `at`, fit, and began before that; or with `moved` false were asked for before. */
static const attribution_copy *walk_find(const attribution *s, es_time at, walk_fits fits, const attribution_copy *like, bool moved)
{
    for (uint64_t i = walk_after(s, at); i > 0 && walk_copies(s)[i - 1].at == at; i--) {
        const attribution_copy *copy = &walk_copies(s)[i - 1];
        if (copy != like && (moved ? copy->since : copy->asked) < at && fits(copy, like))
            return copy;
    }
    return NULL;
}

/* The last told of the copies that ended exactly at `at`, took time and fit; NULL: none. */
static const attribution_copy *walk_ended(const attribution *s, es_time at, walk_fits fits, const attribution_copy *like)
{
    return walk_find(s, at, fits, like, true);
}

/* A copy of the object that ended at `at`: over this channel if there is one; one that took no time only where it was asked for before. */
static const attribution_copy *walk_of_object(const attribution *s, es_time at, es_oid object, uint32_t channel)
{
    const attribution_copy like = {.object = object, .channel = channel};
    const attribution_copy *copy = walk_ended(s, at, walk_same_channel_object, &like);
    if (!copy)
        copy = walk_ended(s, at, walk_same_object, &like);
    return copy ? copy : walk_find(s, at, walk_same_object, &like, false);
}

/* What the stall waited for last: its object, or behind a barrier, where the first of the event is named, whatever came then. */
static const attribution_copy *walk_delivered(const attribution *s, const attribution_span *stall)
{
    const attribution_copy *copy = walk_of_object(s, stall->at, stall->object, stall->channel);
    if (copy)
        return copy;
    for (uint64_t i = walk_after(s, stall->at); i > 0 && walk_copies(s)[i - 1].at == stall->at; i--)
        if (walk_copies(s)[i - 1].channel == stall->channel)
            return walk_of_object(s, stall->at, walk_copies(s)[i - 1].object, stall->channel);
    return NULL;
}

/* ---- a stall ---- */

static void split_add(attribution *s, uint32_t channel, attribution_wait wait, es_time ns)
{
    s->now[attribution_wait_column(s, channel, wait)] += ns;
}

/* Under way from `from` to `to`: what it would take alone, and what others made of it. */
static void split_moving(attribution *s, const attribution_copy *copy, es_time from, es_time to)
{
    const es_time took = copy->at - copy->since;
    es_time own = to - from;
    if (took > copy->alone)
        own = (es_time)((double)own * ((double)copy->alone / (double)took));
    const attribution_wait wait = copy->why == ES_DEMOTE ? WAIT_BEHIND_WRITE : copy->begun == ES_GUESS ? WAIT_LATE : WAIT_TRANSFER;
    split_add(s, copy->channel, wait, own);
    split_add(s, copy->channel, WAIT_SHARED, to - from - own);
}

/* `ahead` has the lane that the copy waits for. */
static attribution_wait split_behind(const attribution *s, const attribution_copy *copy, const attribution_copy *ahead)
{
    if (copy->why == ES_DEMOTE || ahead->why == ES_DEMOTE)
        return WAIT_BEHIND_WRITE;
    if (ahead->why == ES_GUESS)
        return WAIT_BEHIND_GUESS;
    const bool serve = s->view->tier[copy->to].serving && s->view->tier[ahead->to].serving;
    return serve && copy->to != ahead->to ? WAIT_BEHIND_DEVICE : WAIT_BEHIND_DEMAND;
}

/* The last copy on the channel that ended before `at` and after `from`: from its end on nobody was in the way. */
static es_time split_free_since(const attribution *s, uint32_t channel, es_time from, es_time at)
{
    for (uint64_t i = walk_after(s, at); i > 0 && walk_copies(s)[i - 1].at > from; i--)
        if (walk_copies(s)[i - 1].channel == channel && walk_copies(s)[i - 1].at < at)
            return walk_copies(s)[i - 1].at;
    return from;
}

/* From `from` to `to` the channel was free and the copy lacked room: what was written down to make it is in its way, or nothing known is. */
static void split_room(attribution *s, const attribution_copy *copy, es_time from, es_time to)
{
    const attribution_copy *write = to > from ? walk_ended(s, to, walk_made_room, copy) : NULL;
    split_add(s, write ? write->channel : copy->channel, write ? WAIT_BEHIND_WRITE : WAIT_ROOM, to - from);
}

/* The copy stood in its queue from `from` to `to`. */
static void split_queued(attribution *s, const attribution_copy *copy, es_time from, es_time to)
{
    while (to > from) {
        const attribution_copy *ahead = walk_ended(s, to, walk_same_channel, copy);
        const es_time free = ahead ? to : split_free_since(s, copy->channel, from, to);
        split_room(s, copy, free, to);
        to = free;
        if (!ahead)
            continue;
        const es_time since = ahead->since > from ? ahead->since : from;
        split_add(s, copy->channel, split_behind(s, copy, ahead), to - since);
        to = since;
    }
}

void attribution_split(attribution *s, const attribution_span *stall)
{
    es_time to = stall->at;
    const attribution_copy *copy = walk_delivered(s, stall);
    for (; copy && to > stall->since; copy = walk_of_object(s, to, copy->object, copy->channel)) {
        const es_time since = copy->since > stall->since ? copy->since : stall->since;
        const es_time asked = copy->asked > stall->since ? copy->asked : stall->since;
        split_moving(s, copy, since, to);
        split_queued(s, copy, asked, since);
        to = asked;
    }
    if (to > stall->since)
        split_add(s, stall->channel, WAIT_ROOM, to - stall->since);
}

/* ---- the chain ---- */

typedef struct chain {
    attribution *s;
    int64_t *step;
    es_time at;
    uint64_t line, host;        /* spans behind these end later than `at` */
    const attribution_copy *copy;       /* that ended at `at`; NULL: the line or the host did */
} chain;

static void chain_goes(chain *c, uint32_t column, es_time since)
{
    since = since > c->s->began ? since : c->s->began;
    c->step[column] += c->at - since;
    c->at = since;
}

/* The span of a log in which `at` lies, or with which it ends. */
static const attribution_span *chain_span(const attribution_log *log, uint64_t *behind, es_time at)
{
    const attribution_span *span = log->at;
    while (*behind > 0 && span[*behind - 1].since >= at)
        --*behind;
    return *behind > 0 && span[*behind - 1].at >= at ? &span[*behind - 1] : NULL;
}

/* The host ended an expert or an optimizer step at this instant: did it begin because the one before ended, or a gradient came? */
static bool chain_host(chain *c)
{
    const attribution_span *span = chain_span(&c->s->host, &c->host, c->at);
    if (!span || span->at != c->at)
        return false;
    chain_goes(c, c->s->width + CAUSE_EXPERT_CPU, span->since);
    c->copy = walk_of_object(c->s, c->at, span->object, ES_NO_TIER);
    return true;
}

/* The host's optimizer step of the object ended at this instant: then its new weights were sent for that. */
static bool chain_stepped(chain *c, es_oid object)
{
    const attribution_span *span = chain_span(&c->s->host, &c->host, c->at);
    return span && span->object == object && chain_host(c);
}

/* The step went on to something else at this instant: an expert was computed and could leave (events that go in waves), or a layer ended
 * and its pins went. */
static bool chain_freed(chain *c)
{
    const attribution_span *span = chain_span(&c->s->line, &c->line, c->at);
    return span && span->at == c->at && span->cause < CAUSES_ONCE;
}

/* What the copy that ended at c->at waited for before it began, and goes on from there. */
static void chain_copy(chain *c)
{
    const attribution_copy *copy = c->copy;
    const attribution_way way = copy->why == ES_DEMOTE ? WAY_WRITE : copy->begun == ES_GUESS ? WAY_GUESS : WAY_DEMAND;
    chain_goes(c, attribution_way_column(c->s, copy->channel, way), copy->since);
    c->copy = walk_ended(c->s, c->at, walk_same_channel_object, copy);
    if (!c->copy)
        c->copy = walk_ended(c->s, c->at, walk_same_object, copy);
    if (c->copy || (copy->asked >= c->at && chain_stepped(c, copy->object)) || copy->asked >= c->at)
        return;
    if (!(c->copy = walk_ended(c->s, c->at, walk_same_channel, copy)))
        c->copy = walk_ended(c->s, c->at, walk_made_room, copy);
    if (!c->copy && !chain_freed(c))
        chain_goes(c, attribution_way_column(c->s, copy->channel, WAY_ROOM), copy->asked);
}

/* Inside a stall: what went on at that instant went on because a copy had come, be it that of the stall on its way, or another. */
static const attribution_copy *chain_landed(const chain *c, const attribution_span *stall)
{
    const attribution_copy *copy = walk_of_object(c->s, c->at, stall->object, stall->channel);
    return copy ? copy : walk_ended(c->s, c->at, walk_any, NULL);
}

static void chain_line(chain *c)
{
    const attribution_span *span = chain_span(&c->s->line, &c->line, c->at);
    if (!span) {
        chain_goes(c, attribution_way_column(c->s, 0, WAY_ROOM), c->s->began);
        return;
    }
    if (span->cause == CAUSE_EXPERT_CPU && chain_host(c))
        return;
    if (span->cause < CAUSES_ONCE) {
        chain_goes(c, c->s->width + span->cause, span->since);
        return;
    }
    if ((c->copy = span->at == c->at ? walk_delivered(c->s, span) : chain_landed(c, span)))
        return;
    chain_goes(c, attribution_way_column(c->s, span->channel, WAY_ROOM), span->since);
}

void attribution_chain(attribution *s, es_time at, int64_t *step)
{
    chain c = {.s = s, .step = step, .at = at, .line = s->line.count, .host = s->host.count};
    while (c.at > s->began) {
        if (c.copy)
            chain_copy(&c);
        else
            chain_line(&c);
    }
}
