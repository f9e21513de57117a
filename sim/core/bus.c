/* Bus: delivers each fact to who hears it: policy, predictor, dispatcher, router, tuner, then observers in config order. */
#include "sim/core/core.h"

void es_bus_deliver(es_run *run, const es_fact *fact)
{
    run->view.now = run->now;
    for (const es_listener *l = run->hears[fact->kind]; l->notify; l++)
        l->notify(l->self, fact);
}

bool es_bus_open(es_run *run)
{
    for (unsigned kind = 0; kind < ES_FACTS; kind++) {
        es_listener *list = run->hears[kind] = ES_NEW_ARRAY(&run->arena, run->listeners + 1, es_listener);
        if (!list)
            return false;
        for (uint32_t i = 0; i < run->listeners; i++)
            if (run->listener[i].hears >> kind & 1)
                *list++ = run->listener[i];
    }
    run->use = (es_fact){.kind = ES_FACT_USE, .why = ES_DEMAND, .event = &run->composer.event, .from = ES_NO_TIER, .to = run->serving, .channel = ES_NONE};
    run->release = run->use;
    run->release.kind = ES_FACT_RELEASE;
    return true;
}

void es_bus_close(es_run *run)
{
    for (unsigned kind = 0; kind < ES_FACTS; kind++)
        for (es_listener *l = run->hears[kind]; l->notify; l++)
            for (uint32_t i = 0; l->notify && i < run->observers; i++)
                if (l->self == run->observer_state[i])
                    l->notify = NULL;       /* they are the last */
}

void es_bus_tell(es_run *run, es_fact_kind kind, es_why why, const es_oid *objects, uint32_t count, uint32_t from, uint32_t to)
{
    es_fact fact = {.kind = kind, .why = why, .at = run->now, .since = run->now, .objects = objects, .count = count, .from = from, .to = to,
        .channel = ES_NONE, .step = run->composer.steps};
    for (uint32_t i = 0; i < count; i++)
        fact.bytes += run->bytes[objects[i] >> 6];
    es_bus_deliver(run, &fact);
}
