/* Route: closed-loop routing. Where the router is not that of the trace, the rows of a step are a copy that it rewrites at their
 * gate; everybody else, composer, parts and observers, reads the step as if it had been recorded so.
 *
 * A layer's rows stand as recorded until its gate. The copy is as large as the largest step, found by one pass beforehand, because
 * nothing is allocated once the run goes on.
 *
 * Gate mass lost, of a row: 1 - (weight of what was chosen) / (weight of what the model would have used). */
#include "sim/core/row.h"

#include <math.h>
#include <string.h>

es_code es_route_open(es_run *run, es_err *err)
{
    es_composer *c = &run->composer;
    es_routing *r = &run->routing;
    es_step step;
    bool more = true, weights = false;
    es_code code;
    while ((code = c->source->next(c->source_state, &step, &more, err)) == ES_OK && more) {
        r->most = step.tokens > r->most ? step.tokens : r->most;
        weights |= step.weights != NULL;
    }
    if (code != ES_OK || (code = es_composer_rewind(run, err)) != ES_OK)
        return code;
    size_t places = (size_t)r->most * c->info->layers * c->info->top_k;
    r->ids = ES_NEW_ARRAY(&run->arena, places, uint16_t);
    r->weights = weights ? ES_NEW_ARRAY(&run->arena, places, float) : NULL;
    r->chosen = ES_NEW_ARRAY(&run->arena, c->info->top_k, uint16_t);
    r->listed = ES_NEW_ARRAY(&run->arena, run->view.words_per_layer, uint64_t);
    r->resident = ES_NEW_ARRAY(&run->arena, run->view.words_per_layer, uint64_t);
    ES_NEED(r->ids && (r->weights || !weights) && r->chosen && r->listed && r->resident, "rows");
    c->routes = true;
    return ES_OK;
}

es_code es_route_step(es_run *run, es_err *err)
{
    es_step *step = &run->composer.step;
    es_routing *r = &run->routing;
    if (step->tokens > r->most)
        return es_err_set(err, ES_EINPUT, "trace: a step has %u tokens, but when it was read first the largest had %u", step->tokens, r->most);
    r->recorded = step->ids;
    r->recorded_weights = step->weights;
    step->ids = r->ids;
    step->weights = step->weights ? r->weights : NULL;
    step->residency = NULL;             /* of the rows as they were */
    return ES_OK;
}

static size_t route_place(const es_composer *c, uint32_t row, uint32_t layer)
{
    return ((size_t)row * c->info->layers + layer) * c->info->top_k;
}

void es_route_layer(es_run *run, uint32_t layer)
{
    const es_composer *c = &run->composer;
    es_routing *r = &run->routing;
    for (uint32_t row = c->row; row < c->row + c->rows; row++) {
        size_t at = route_place(c, row, layer);
        memcpy(r->ids + at, r->recorded + at, c->info->top_k * sizeof *r->ids);
        if (r->recorded_weights)
            memcpy(r->weights + at, r->recorded_weights + at, c->info->top_k * sizeof *r->weights);
    }
}

/* What is resident by expert, at the precision it has: the words of the layer, or those experts of which no matrix is missing. */
static const uint64_t *route_resident(const es_run *run, uint32_t layer)
{
    const es_composer *c = &run->composer;
    const uint64_t *mask = run->tier_view[run->serving].resident + es_layer_base(&run->view, layer) / 64;
    uint64_t *whole = run->routing.resident;
    if (c->whole)
        return mask;
    memset(whole, 0, run->view.slice / 8);
    for (uint32_t e = 0; e < run->view.ids; e++) {
        const uint32_t index = es_object_of(&run->view, layer, e) - es_layer_base(&run->view, layer);
        bool all = true;
        for (uint32_t m = 0; m < run->view.matrices; m++)
            all &= es_mask_has(mask, index + m * run->view.slice);
        whole[e >> 6] |= (uint64_t)all << (e & 63);
    }
    return whole;
}

static float route_weight(const es_route_ask *ask, uint16_t expert)
{
    for (uint32_t i = 0; i < ask->count; i++)
        if (ask->ids[i] == expert)
            return ask->weights[i];
    return 0.0f;
}

/* Adds the row to the account of what was changed. */
static void route_count(es_run *run, const es_route_ask *ask, uint32_t n)
{
    es_routing *r = &run->routing;
    const uint32_t used = run->router->uses ? run->router->uses(run->router_state, ask->count) : ask->count;
    uint32_t replaced = 0;
    double open = 0, kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool mine = false;
        for (uint32_t j = 0; j < used && !mine; j++)
            mine = ask->ids[j] == r->chosen[i];
        replaced += !mine;
        kept += ask->weights ? (double)route_weight(ask, r->chosen[i]) : 0;
    }
    for (uint32_t j = 0; ask->weights && j < used; j++)
        open += (double)ask->weights[j];
    r->rows++;
    r->experts += n;
    r->replaced += replaced;
    r->dropped += used > n ? used - n : 0;
    r->changed += replaced > 0 || n != used;
    if (!(open > 0) || isnan(kept))
        return;
    double lost = 1.0 - kept / open;
    r->weighed++;
    r->lost += lost;
    r->lost_most = lost > r->lost_most ? lost : r->lost_most;
}

static ES_COLD bool route_fault(es_run *run, const es_route_ask *ask, const char *what, uint32_t number)
{
    run->code = es_err_set(run->err, ES_EINTERNAL, "router %s: for request %u, token %u, layer %u it %s %u", run->router->part.name, ask->token->request,
        ask->token->position, run->composer.info->layer_number[ask->layer], what, number);
    return false;
}

/* Is what the router answered a row? */
static bool route_check(es_run *run, const es_route_ask *ask, uint32_t n)
{
    es_routing *r = &run->routing;
    if (n < 1 || n > ask->count)
        return route_fault(run, ask, "chooses another number of experts than 1 to the recorded ones:", n);
    memset(r->listed, 0, run->view.words_per_layer * sizeof *r->listed);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t expert = r->chosen[i];
        if (expert >= run->composer.info->experts)
            return route_fault(run, ask, "chooses an expert that is not there:", expert);
        if (es_mask_has(r->listed, expert))
            return route_fault(run, ask, "chooses twice expert", expert);
        r->listed[expert >> 6] |= 1ull << (expert & 63);
    }
    return true;
}

static bool route_row(es_run *run, uint32_t row, const uint64_t *resident)
{
    es_composer *c = &run->composer;
    es_routing *r = &run->routing;
    size_t at = route_place(c, row, c->layer);
    es_route_ask ask = {.token = &c->step.token[row], .layer = c->layer, .ids = r->recorded + at,
        .weights = r->recorded_weights ? r->recorded_weights + at : NULL, .resident = resident};
    es_row_ids(c, row, c->layer, &ask.count);
    if (ask.count == 0)
        return true;
    uint32_t n = run->router->route(run->router_state, &ask, r->chosen);
    if (!route_check(run, &ask, n))
        return false;
    if (c->event.counted)
        route_count(run, &ask, n);
    for (uint32_t i = 0; i < c->info->top_k; i++) {
        r->ids[at + i] = i < n ? r->chosen[i] : ES_NO_EXPERT;
        if (ask.weights)
            r->weights[at + i] = i < n ? route_weight(&ask, r->chosen[i]) : 0.0f;
    }
    return true;
}

bool es_route_rows(es_run *run, uint32_t row, uint32_t rows)
{
    const uint64_t *resident = route_resident(run, run->composer.layer);
    run->view.now = run->now;
    for (uint32_t i = 0; i < rows; i++)
        if (!route_row(run, row + i, resident))
            return false;
    return true;
}

void es_route_report(const es_run *run, es_json *out)
{
    const es_routing *r = &run->routing;
    es_json *routing = run->composer.routes ? es_json_add_object(out, "routing") : NULL;
    if (!routing)
        return;
    es_json_add_text(routing, "loop", "closed");
    es_json_add_text(routing, "router", run->router->part.name);
    es_json_add_int(routing, "rows", (int64_t)r->rows);
    es_json_add_int(routing, "changed_rows", (int64_t)r->changed);
    es_json_add_int(routing, "experts", (int64_t)r->experts);
    es_json_add_int(routing, "replaced", (int64_t)r->replaced);
    es_json_add_int(routing, "dropped", (int64_t)r->dropped);
    es_json *lost = es_json_add_object(routing, "gate_mass_lost");
    if (!lost)
        return;
    es_json_add_int(lost, "rows", (int64_t)r->weighed);
    es_json_add_real(lost, "mean", r->weighed ? r->lost / (double)r->weighed : (double)NAN);
    es_json_add_real(lost, "max", r->weighed ? r->lost_most : (double)NAN);
    if (r->weighed == 0)
        es_json_add_text(lost, "reason", "the trace has no gate weights");
}
