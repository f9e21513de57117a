/* Catalog: what there is to move. Ids are dense (layer ordinal * stride + index), so that an object's layer and size stand in
 * tables over its mask word, and all scratch that is as long as a layer is made here.
 *
 * A layer is cut into sections of all its experts, one per precision and, with contract.unit slice, matrix: the first matrix of
 * all experts at the first precision, then the second matrix ... Each begins a word, because matrices and precisions differ in
 * size. What is left of its last word exists nowhere, nor do experts at a precision that they do not have. */
#include "sim/core/core.h"

/* Under catalog.key expert the layers share their experts, so these must be alike, and no layer has a room of its own. */
static es_code catalog_shared(const es_plan *plan, const es_trace_info *info, uint32_t slices, es_err *err)
{
    if (plan->contract.scope == ES_PER_LAYER)
        return es_err_set(err, ES_EINPUT, "catalog.key: \"expert\" leaves no experts to a single layer; contract.scope must be global");
    if (slices > 1)
        return es_err_set(err, ES_EINPUT, "catalog.key: \"expert\" does not go with contract.unit slice");
    for (uint32_t l = 1; plan->expert_bytes && l < info->layers; l++)
        if (plan->expert_bytes[l] != plan->expert_bytes[0])
            return es_err_set(err, ES_EINPUT, "catalog.key: \"expert\" needs experts of one size, but those of layer %u have %lld bytes and those of layer %u %lld",
                info->layer_number[0], (long long)plan->expert_bytes[0], info->layer_number[l], (long long)plan->expert_bytes[l]);
    return ES_OK;
}

/* Bytes of the objects of a mask word. */
static int64_t catalog_bytes(const es_plan *plan, const es_view *view, uint32_t layer, uint32_t word)
{
    const uint32_t section = word % view->words_per_layer * 64 / view->slice, slices = view->matrices;
    if (!plan->expert_bytes)
        return 1;
    if (plan->variant_bytes)
        return plan->variant_bytes[(size_t)section * view->layers + layer];
    return plan->matrix_bytes && slices > 1 ? plan->matrix_bytes[(size_t)section * view->layers + layer] : plan->expert_bytes[layer] / slices;
}

static es_code catalog_weigh(es_run *run, es_err *err)
{
    es_view *view = &run->view;
    uint32_t *layer_of = ES_NEW_ARRAY(&run->arena, view->words, uint32_t);
    run->bytes = ES_NEW_ARRAY(&run->arena, view->words, int64_t);
    uint8_t *bits = ES_NEW_ARRAY(&run->arena, view->words, uint8_t);
    ES_NEED(layer_of && run->bytes && bits, "the catalog");
    for (uint32_t w = 0; w < view->words; w++) {
        layer_of[w] = w / view->words_per_layer;
        run->bytes[w] = catalog_bytes(run->plan, view, layer_of[w], w);
        bits[w] = (uint8_t)run->plan->bits[w % view->words_per_layer * 64 / view->slice / view->matrices];
        if (run->bytes[w] <= 0)
            return es_err_set(err, ES_EINPUT, "model.expert_bytes: layer %u has %lld bytes per expert; it must be positive",
                view->layer_number[layer_of[w]], (long long)run->bytes[w]);
    }
    if (run->plan->decode_ns) {
        run->decode_ns = ES_NEW_ARRAY(&run->arena, view->words, es_time);
        ES_NEED(run->decode_ns, "the catalog");
        for (uint32_t w = 0; w < view->words; w++)
            run->decode_ns[w] = run->plan->decode_ns[(size_t)(w % view->words_per_layer * 64 / view->slice) * view->layers + layer_of[w]];
    }
    view->layer_of = layer_of;
    view->bytes = run->bytes;
    view->bits = bits;
    return ES_OK;
}

/* An expert is, or is no longer, the objects of this precision. */
static void catalog_set(es_run *run, uint64_t *mask, uint32_t e, uint32_t variant, bool is)
{
    const es_view *view = &run->view;
    const es_oid first = e / view->ids * view->stride + variant * view->matrices * view->slice + e % view->ids;
    for (uint32_t m = 0; m < view->matrices; m++) {
        const es_oid object = first + m * view->slice;
        mask[object >> 6] = is ? mask[object >> 6] | es_bit(object) : mask[object >> 6] & ~es_bit(object);
    }
}

/* Which objects there are, and which of them an expert is. */
static es_code catalog_fill(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    es_view *view = &run->view;
    bool all = false;           /* every expert at every precision */
    for (size_t i = 0; i < plan->tuner_count; i++)
        all |= ((const es_tuner *)(const void *)plan->tuners[i].part)->assign != NULL;
    run->current = es_new_mask(run);
    run->exists = all ? es_new_mask(run) : run->current;
    if (view->variants > 1)
        run->index_of = ES_NEW_ARRAY(&run->arena, (size_t)view->spaces * view->ids, uint16_t);
    ES_NEED(run->exists && run->current && (run->index_of || view->variants == 1), "the catalog");
    for (uint32_t e = 0; e < view->spaces * view->ids; e++) {
        const uint32_t variant = plan->variant ? plan->variant[e] : 0;
        if (run->index_of)
            run->index_of[e] = (uint16_t)(variant * view->matrices * view->slice + e % view->ids);
        catalog_set(run, run->current, e, variant, true);
        for (uint32_t v = 0; all && v < view->variants; v++)
            catalog_set(run, run->exists, e, v, true);
    }
    view->exists = run->exists;
    view->current = run->current;
    view->index_of = run->index_of;
    return ES_OK;
}

es_code es_catalog_assigns(es_run *run, const es_tuner *tuner, void *state, es_err *err)
{
    if (run->assigner)
        return es_err_set(err, ES_EINPUT, "tuner: %s and %s both give experts other precisions; one of them may", run->assigner->part.name, tuner->part.name);
    if (run->policy->part.flags & ES_ORACLE)
        return es_err_set(err, ES_EINPUT, "tuner: %s gives experts other precisions, so policy %s, which knows the coming uses of each object, would know wrong",
            tuner->part.name, run->policy->part.name);
    if (run->view.variants < 2)
        return es_err_set(err, ES_EINPUT, "tuner: %s gives experts other precisions, but all have one; give catalog.bits shares of several", tuner->part.name);
    run->variant = ES_NEW_ARRAY(&run->arena, (size_t)run->view.spaces * run->view.ids, uint8_t);
    ES_NEED(run->variant, "precisions");
    run->assigner = tuner;
    run->assigner_state = state;
    return ES_OK;
}

static ES_COLD void catalog_fault(es_run *run, uint32_t e)
{
    run->code = es_err_set(run->err, ES_EINTERNAL, "tuner %s gives expert %u of layer %u precision number %u, of %u there are", run->assigner->part.name,
        e % run->view.ids, run->view.layer_number[e / run->view.ids], run->variant[e], run->view.variants);
    run->stopped = true;
}

void es_catalog_reassign(es_run *run)
{
    const es_view *view = &run->view;
    const uint32_t section = view->matrices * view->slice;
    for (uint32_t e = 0; e < view->spaces * view->ids; e++)
        run->variant[e] = (uint8_t)(run->index_of[e] / section);
    run->assigner->assign(run->assigner_state, run->variant);
    for (uint32_t e = 0; e < view->spaces * view->ids; e++) {
        const uint32_t before = run->index_of[e] / section;
        if (run->variant[e] == before)
            continue;
        if (run->variant[e] >= view->variants) {
            catalog_fault(run, e);
            return;
        }
        catalog_set(run, run->current, e, before, false);
        catalog_set(run, run->current, e, run->variant[e], true);
        run->index_of[e] = (uint16_t)(run->variant[e] * section + e % view->ids);
        run->tally.reassigned++;
    }
}

static void catalog_lay_out(es_view *view, const es_trace_info *info, uint32_t slices, uint32_t variants)
{
    view->ids = info->experts;
    view->matrices = slices;
    view->variants = variants;
    view->slice = (view->ids + 63) / 64 * 64;
    view->experts = (variants * slices - 1) * view->slice + view->ids;
    view->population = slices * view->ids;
    view->stride = variants * slices * view->slice;
    view->words_per_layer = view->stride / 64;
}

es_code es_catalog_open(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    const es_trace_info *info = plan->source->info(plan->source_state);
    es_view *view = &run->view;
    uint32_t slices = run->contract->unit == ES_SLICE && plan->slices > 1 ? plan->slices : 1, variants = plan->variants > 1 ? plan->variants : 1;
    if (info->layers == 0 || info->experts == 0 || info->top_k == 0)
        return es_err_set(err, ES_EINPUT, "trace: it has no rows (%u layers, %u experts)", info->layers, info->experts);
    if (info->experts > 65535 || (uint64_t)(slices * variants - 1) * ((info->experts + 63) / 64 * 64) + info->experts > 65535)
        return es_err_set(err, ES_EINPUT, "trace: %u experts in %u slices at %u precisions are more than 65535 per layer", info->experts, slices, variants);
    const bool shared = plan->catalog.key == ES_KEY_EXPERT;
    es_code code = shared ? catalog_shared(plan, info, slices, err) : ES_OK;
    if (code != ES_OK)
        return code;
    run->composer.source = plan->source;
    run->composer.source_state = plan->source_state;
    run->composer.info = info;
    run->composer.slices = slices;
    run->composer.whole = slices == 1 && variants == 1;
    view->layers = info->layers;
    catalog_lay_out(view, info, slices, variants);
    view->spaces = shared ? 1 : view->layers;
    view->words = view->words_per_layer * view->spaces;
    view->objects = view->words * 64;
    view->layer_number = info->layer_number;
    if ((code = catalog_weigh(run, err)) != ES_OK || (code = catalog_fill(run, err)) != ES_OK)
        return code;
    run->seen = es_new_mask(run);
    run->fresh = es_new_mask(run);
    view->guard = es_new_mask(run);
    run->hit = ES_NEW_ARRAY(&run->arena, view->words_per_layer, uint64_t);
    run->kept = ES_NEW_ARRAY(&run->arena, view->words_per_layer, uint64_t);
    run->stay = ES_NEW_ARRAY(&run->arena, view->words_per_layer, uint64_t);
    run->wanted.waiting = ES_NEW_ARRAY(&run->arena, view->words_per_layer, uint64_t);
    run->moved = ES_NEW_ARRAY(&run->arena, view->objects, es_oid);
    run->coming = ES_NEW_ARRAY(&run->arena, view->words_per_layer, uint64_t);
    if (view->spaces < view->layers)
        ES_NEED(run->aim = ES_NEW_ARRAY(&run->arena, view->objects, uint32_t), "the catalog");
    run->missing = ES_NEW_ARRAY(&run->arena, view->stride, uint16_t);
    run->verdicts = ES_NEW_ARRAY(&run->arena, view->stride, es_verdict);
    run->keep = ES_NEW_ARRAY(&run->arena, view->stride, bool);
    run->serve_ns = ES_NEW_ARRAY(&run->arena, 3 * (size_t)view->stride, es_time);
    ES_NEED(run->seen && run->fresh && view->guard && run->hit && run->kept && run->stay && run->wanted.waiting && run->moved && run->coming
            && run->missing && run->verdicts && run->keep && run->serve_ns, "the catalog");
    view->guesses = info->guesses;
    view->attends = info->attends;
    view->weights = info->has_weights;
    view->residency = info->has_residency;
    view->ties = run->contract->ties;
    view->pins_beside = !run->contract->pins_take_room;
    view->count_prefill = run->contract->prefill_counts == 1;
    view->top_k = slices > 1 ? 0 : info->top_k;
    return es_composer_init(&run->composer, run, err);
}

