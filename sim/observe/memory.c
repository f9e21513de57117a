/* Memory: how fast the serving tier turns over, and how old its contents are at the end.
 *
 * A policy that froze explains itself here: no turnover, and residents as old as the run. An object's age is counted in steps
 * since it was last brought in; what was there from the start is as old as the run. */
#include "sim/observe/observe.h"

typedef struct memory {
    const es_view *view;
    uint64_t *born;             /* [words * 64] step in which the serving tier last got it, + 1; 0: there from the start */
    uint64_t step, tokens;
} memory;

static es_code memory_init(void *self, const es_site *site, es_err *err)
{
    memory *s = self;
    s->view = site->view;
    s->born = ES_NEW_ARRAY(site->arena, (size_t)s->view->words * 64, uint64_t);
    return s->born ? ES_OK : es_err_nomem(err, "ages of residents");
}

/* What the event wanted, did not find and keeps is new. */
static void memory_release(memory *s, const es_event *event)
{
    const uint64_t *kept = event->kept ? event->kept : event->mask;
    s->step = event->step;
    for (uint32_t w = 0; w < event->words; w++)
        for (uint64_t fresh = kept[w] & ~event->hit[w]; fresh != 0; fresh &= fresh - 1)
            s->born[(size_t)(event->word + w) * 64 + (size_t)__builtin_ctzll(fresh)] = event->step + 1;
}

static void memory_notify(void *self, const es_fact *fact)
{
    memory *s = self;
    if (fact->kind == ES_FACT_RELEASE) {
        memory_release(s, fact->event);
    } else if (fact->kind == ES_FACT_STEP_END) {
        s->tokens += fact->count;
    } else if (fact->to == s->view->serving) {
        for (uint32_t i = 0; i < fact->count; i++)
            s->born[fact->objects[i]] = s->step + 1;
    }
}

static void memory_report(void *self, es_json *out)
{
    const memory *s = self;
    const uint64_t *resident = s->view->tier[s->view->serving].resident;
    uint64_t count = 0, age = 0;
    for (uint32_t w = 0; w < s->view->words; w++)
        for (uint64_t left = resident[w]; left != 0; left &= left - 1) {
            size_t object = (size_t)w * 64 + (size_t)__builtin_ctzll(left);
            if (!es_mask_has(s->view->exists, (es_oid)object))
                continue;       /* a home tier has its whole words set */
            age += s->step + 1 - s->born[object];
            count++;
        }
    es_json *capacity = observe_object(out, "capacity");
    es_json_add_real(capacity, "turnover_per_token", observe_ratio((double)s->view->tier[s->view->serving].evictions, (double)s->tokens));
    observe_count(capacity, "residents", count);
    es_json_add_real(capacity, "resident_age_steps", observe_ratio((double)age, (double)count));
}

const es_observer es_observer_memory = {
    .part = {
        .abi = ES_ABI,
        .name = "memory",
        .brief = "Turnover of the serving tier and the age of its residents at the end.",
        .size = sizeof(memory),
        .init = memory_init,
        .notify = memory_notify,
        .hears = ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_RELEASE) | ES_HEARS(ES_FACT_STEP_END),
    },
    .report = memory_report,
};
