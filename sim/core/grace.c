/* Grace: preferences about who should not leave yet. A pin is law, these are not.
 *
 *   grace   an expert that was used stays for `tiers.NAME.grace` after its layer ended (simulated clock only: without time there
 *           is none); the end of the earliest is an entry in the calendar. A demand may override it (grace_yields), a guess never.
 *   avoid   with compute.protect_guesses an expert that was guessed is not given up for another guess before the gate of its layer.
 *
 * Everybody in grace has the same time to go, so who came last ends last: one list in order of ending, oldest first. */
#include "sim/core/core.h"

static void grace_unlink(es_grace *g, es_oid object)
{
    es_grace_node *n = &g->node[object];
    g->node[n->prev].next = n->next;
    g->node[n->next].prev = n->prev;
    *n = (es_grace_node){.prev = object, .next = object};
}

static void grace_arm(es_run *run);

static void grace_ended(es_run *run, es_due *due)
{
    es_grace *g = &run->grace;
    (void)due;
    for (es_oid first; (first = g->node[g->sentinel].next) != g->sentinel && g->node[first].until <= run->now;) {
        grace_unlink(g, first);
        g->held[first >> 6] &= ~(1ull << (first & 63));
    }
    es_channels_unblock(run);
    grace_arm(run);
}

static void grace_arm(es_run *run)
{
    es_grace *g = &run->grace;
    es_oid first = g->node[g->sentinel].next;
    if (first == g->sentinel || g->due.slot != 0)
        return;
    g->due.fire = grace_ended;
    es_calendar_add(&run->calendar, &g->due, g->node[first].until, ES_PHASE_RELEASE);
}

bool es_grace_open(es_run *run, es_time grace, bool yields, bool avoids)
{
    es_grace *g = &run->grace;
    g->ns = run->view.timed ? grace : 0;
    g->yields = yields;
    g->avoids = avoids && run->predictor;
    if (g->ns == 0 && !g->avoids)
        return true;
    g->sentinel = run->view.objects;
    g->held = ES_NEW_ARRAY(&run->arena, run->view.words, uint64_t);
    g->avoided = ES_NEW_ARRAY(&run->arena, run->view.words, uint64_t);
    g->pins = ES_NEW_ARRAY(&run->arena, run->view.words, uint64_t);
    g->node = ES_NEW_ARRAY(&run->arena, run->view.objects + 1, es_grace_node);
    if (!g->held || !g->avoided || !g->pins || !g->node)
        return false;
    for (uint32_t i = 0; i <= g->sentinel; i++)
        g->node[i] = (es_grace_node){.prev = i, .next = i};
    g->on = true;
    return true;
}

void es_grace_begin(es_run *run, const es_event *event)
{
    es_grace *g = &run->grace;
    if (g->ns == 0)
        return;
    for (uint32_t i = 0; i < event->count; i++) {
        es_oid object = es_object(event, event->list[i]);
        if (!es_event_keeps(event, event->list[i]) || (run->hides && es_place_hides(run, object)))
            continue;           /* its lock is on a place where it does not lie */
        grace_unlink(g, object);
        uint32_t last = g->node[g->sentinel].prev;
        g->node[object] = (es_grace_node){.prev = last, .next = g->sentinel, .until = run->now + g->ns};
        g->node[last].next = g->node[g->sentinel].prev = object;
        g->held[object >> 6] |= 1ull << (object & 63);
    }
    grace_arm(run);
}

void es_grace_guessed(es_run *run, es_oid object)
{
    run->grace.avoided[object >> 6] |= 1ull << (object & 63);
}

void es_grace_gate(es_run *run, const es_event *event)
{
    if (!run->grace.avoids)
        return;
    uint64_t freed = 0;
    for (uint32_t w = event->word; w < event->word + event->words; w++) {
        uint64_t over = run->grace.avoided[w];
        for (uint64_t left = run->aim ? over : 0; left; left &= left - 1)
            if (!es_guess_is_for(run, w * 64 + (es_oid)__builtin_ctzll(left), event))
                over &= ~(left & -left);
        freed |= over;
        run->grace.avoided[w] &= ~over;
    }
    if (freed)
        es_channels_unblock(run);           /* guesses that waited for these ask again */
}

void es_grace_prefer(es_run *run, bool avoids)
{
    es_grace *g = &run->grace;
    for (uint32_t w = 0; w < run->view.words; w++) {
        g->pins[w] = run->view.guard[w];
        run->view.guard[w] |= avoids ? g->held[w] | g->avoided[w] : g->held[w];
    }
}

void es_grace_relent(es_run *run)
{
    for (uint32_t w = 0; w < run->view.words; w++)
        run->view.guard[w] = run->grace.pins[w];
}
