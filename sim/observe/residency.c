/* Residency: is this what the engine did? Compares the hits of the run with those that the recording engine wrote down, lookup by
 * lookup, and names the first that differs. An expert is looked up where its event lists it first (token, then rank). */
#include "sim/observe/observe.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct residency_sum {
    uint64_t lookups, hits, recorded_hits, different;
} residency_sum;

typedef struct residency {
    const es_view *view;
    residency_sum phase[2];     /* by es_phase_of */
    char first[160];
} residency;

static es_code residency_init(void *self, const es_site *site, es_err *err)
{
    residency *s = self;
    s->view = site->view;
    if (!s->view->residency)
        return es_err_set(err, ES_EINPUT, "the trace does not say what was resident when it was recorded; leave the observer residency out");
    if (s->view->top_k == 0)
        return es_err_set(err, ES_EINPUT, "with contract.unit \"slice\" lookups are not those of the recording; leave the observer residency out");
    return ES_OK;
}

/* Where the event lists the expert first: the row of its token, and in *place the cell of the step. */
static uint32_t residency_find(const residency *s, const es_event *e, uint32_t expert, size_t *place)
{
    const size_t width = s->view->top_k;
    for (uint32_t row = e->row; row < e->row + e->tokens; row++)
        for (size_t i = 0; i < width; i++) {
            *place = ((size_t)row * s->view->layers + e->layer) * width + i;
            if (e->rows->ids[*place] == expert)
                return row;
        }
    return e->row;
}

static void residency_differs(residency *s, const es_event *e, uint32_t row, uint16_t index, bool hit)
{
    const es_token *token = &e->rows->token[row];
    if (!s->first[0])
        snprintf(s->first, sizeof s->first, "request %" PRIu32 ", token %" PRIu32 ", layer %" PRIu32 ", expert %u: %s here, recorded as a %s", token->request,
            token->position, s->view->layer_number[e->layer], index, hit ? "hit" : "miss", hit ? "miss" : "hit");
}

static void residency_notify(void *self, const es_fact *fact)
{
    residency *s = self;
    const es_event *e = fact->event;
    residency_sum *sum = &s->phase[e->phase & 1];
    for (uint32_t i = 0; e->counted && e->rows->residency && i < e->count; i++) {
        size_t place = 0;
        uint32_t row = residency_find(s, e, es_expert_of(s->view, e->list[i]), &place);
        bool hit = es_mask_has(e->hit, e->list[i]), recorded = e->rows->residency[place] != 0;
        sum->lookups++;
        sum->hits += hit;
        sum->recorded_hits += recorded;
        sum->different += hit != recorded;
        if (hit != recorded)
            residency_differs(s, e, row, (uint16_t)es_expert_of(s->view, e->list[i]), hit);
    }
}

static void residency_add(es_json *out, const residency_sum *sum)
{
    observe_count(out, "lookups", sum->lookups);
    observe_count(out, "hits", sum->hits);
    observe_count(out, "recorded_hits", sum->recorded_hits);
    observe_count(out, "different", sum->different);
}

static void residency_report(void *self, es_json *out)
{
    const residency *s = self;
    const residency_sum *p = &s->phase[ES_PREFILL], *d = &s->phase[ES_DECODE];
    es_json *members = observe_object(out, "residency");
    residency_add(members, &(residency_sum){p->lookups + d->lookups, p->hits + d->hits, p->recorded_hits + d->recorded_hits, p->different + d->different});
    residency_add(es_json_add_object(members, "decode"), d);
    es_json_add_text(members, "first_difference", s->first[0] ? s->first : NULL);
}

const es_observer es_observer_residency = {
    .part = {
        .abi = ES_ABI,
        .name = "residency",
        .brief = "Compares hits with those that the recording engine wrote down.",
        .size = sizeof(residency),
        .init = residency_init,
        .notify = residency_notify,
        .flags = ES_READS_RESIDENCY,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .report = residency_report,
};
