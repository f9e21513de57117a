/* Raw: see raw.h. */
#include "traces/raw.h"

#include "traces/assume.h"

es_code es_raw_open(es_dense *dense, const char *format, es_ids_type type, uint32_t top_k, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_dense_form form = { .format = format, .type = type, .tokens = ES_DENSE_OPEN, .layers = ask->layers, .top_k = ask->top_k ? ask->top_k : top_k };
    const es_dense_axis first = ask->layer_first ? ES_DENSE_LAYER : ES_DENSE_TOKEN, second = ask->layer_first ? ES_DENSE_TOKEN : ES_DENSE_LAYER;
    form.axis[0] = first;
    form.axis[1] = second;
    form.axis[2] = ES_DENSE_PLACE;
    if (ask->layers == 0)
        return es_err_set(err, ES_EINPUT, "%s: format %s has no head; --layers must say how many layers there are", ask->path, format);
    if (form.top_k == 0)
        return es_err_set(err, ES_EINPUT, "%s: format %s has no head; --top-k must say how many experts a row lists", ask->path, format);
    if (ask->top_k == 0)
        es_assume(&dense->notes, "a row lists %u experts, as is usual in this format; --top-k says otherwise", top_k);
    if (ask->layer_first)
        es_assume(&dense->notes, "axes are taken as [layers][tokens][top_k], as asked for");
    return es_dense_open(dense, &form, ask, arena, err);
}
