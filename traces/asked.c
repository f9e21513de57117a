/* Asked: see asked.h. */
#include "traces/asked.h"

#include "sim/base/err.h"
#include "traces/trace.h"

es_code es_asked(const es_source_ask *ask, const es_said *said, es_err *err)
{
    if (ask->layer_first && !said->array)
        return es_err_set(err, ES_EINPUT, "is no array whose axes could stand in another order; --axes ltk is for npy, demand and raw arrays");
    if (ask->experts > 0 && said->experts > ask->experts)
        return es_err_set(err, ES_EINPUT, "has %u experts in a layer, but %u were asked for (--experts, or the experts of a model)%s", said->experts, ask->experts, es_trace_places(true));
    if (ask->layers > 0 && said->layers > 0 && said->layers != ask->layers)
        return es_err_set(err, ES_EINPUT, "has %u layers, but %u were asked for (--layers)", said->layers, ask->layers);
    if (ask->top_k > 0 && said->top_k > 0 && said->top_k != ask->top_k)
        return es_err_set(err, ES_EINPUT, "has rows of %u experts, but %u were asked for (--top-k)", said->top_k, ask->top_k);
    return ES_OK;
}
