/* Attention: a layer will want what it used for the tokens that this one attends to (Metal Marlin's prefetcher).
 *
 *     score(e) = sum over the positions p of this request at which the layer used e of weight(p)
 *
 * Weights are the trace's (traces/FORMAT.md, /attention: the mean over heads and layers), of the newest token at the gate. A trace that
 * has none is taken to attend by a kernel, decay^i to the position i back from the newest. When nothing of what is attended to is
 * remembered, the layer's last tokens are taken by that kernel. Of equals whoever is met first; the confidence is the score over the
 * sum of the weights.
 *
 * Remembered are the last `positions` of one request, the one whose tokens come first in a step; a prompt's tokens one by one. */
#include <math.h>

#include "sim/predict/window.h"

typedef struct attention {
    window window;
    int64_t positions;
    double decay;
    const es_view *view;
    uint32_t request;
    bool any;                   /* something of that request is remembered */
    uint32_t row;               /* of the layer's first event in its step */
    uint16_t *used;             /* [layers][positions][top_k] indices; ES_NO_EXPERT fills */
    uint32_t *position;         /* [layers][positions] whose they are; ES_NO_POSITION: nobody's */
    uint32_t *newest;           /* [layers] */
} attention;

static const es_option attention_options[] = {
    WINDOW_OPTIONS(attention, window),
    {.name = "positions", .type = ES_OPT_INT, .offset = offsetof(attention, positions), .def = 2048, .min = 1, .max = 1 << 20, .unit = "tokens",
        .help = "So many positions of a request are remembered."},
    {.name = "decay", .type = ES_OPT_REAL, .offset = offsetof(attention, decay), .def = 0.9, .min = 0, .max = 0.999,
        .help = "Of the kernel: how much less each token further back is attended to."},
    {0},
};

static es_code attention_init(void *self, const es_site *site, es_err *err)
{
    attention *s = self;
    const es_view *view = s->view = site->view;
    const size_t places = (size_t)view->layers * (size_t)s->positions;
    if (view->top_k == 0)
        return es_err_set(err, ES_EINPUT, "attention remembers whole experts; contract.unit must not be slice");
    s->used = ES_NEW_ARRAY(site->arena, places * view->top_k, uint16_t);
    s->position = ES_NEW_ARRAY(site->arena, places, uint32_t);
    s->newest = ES_NEW_ARRAY(site->arena, view->layers, uint32_t);
    if (!s->used || !s->position || !s->newest)
        return es_err_nomem(err, "what every position used");
    memset(s->position, 0xff, places * sizeof *s->position);
    return window_init(&s->window, site, err);
}

/* ---- remembering ---- */

static void attention_turn(attention *s, uint32_t request)
{
    if (s->any && request == s->request)
        return;
    s->request = request;
    s->any = true;
    memset(s->position, 0xff, (size_t)s->view->layers * (size_t)s->positions * sizeof *s->position);
}

static size_t attention_place(const attention *s, uint32_t layer, uint32_t position)
{
    return (size_t)layer * (size_t)s->positions + position % (uint64_t)s->positions;
}

/* The first top_k of a list, at most. */
static void attention_keep(attention *s, uint32_t layer, uint32_t position, const uint16_t *list, uint32_t count)
{
    const size_t place = attention_place(s, layer, position);
    uint16_t *used = s->used + place * s->view->top_k;
    for (uint32_t i = 0; i < s->view->top_k; i++)
        used[i] = i < count ? list[i] : ES_NO_EXPERT;
    s->position[place] = position;
    s->newest[layer] = position;
}

/* Of a step of several tokens each row is kept, at the precisions of now. */
static void attention_rows(attention *s, const es_event *event)
{
    const es_step *step = event->rows;
    const uint32_t k = s->view->top_k, end = event->row + event->tokens;
    for (uint32_t row = s->row; row < end && step->token[row].request == s->request; row++) {
        const uint16_t *ids = step->ids + ((size_t)row * s->view->layers + event->layer) * k;
        uint16_t *list = s->window.order;               /* scratch until the next ranking */
        uint32_t count = 0;
        for (; count < k && ids[count] != ES_NO_EXPERT; count++)
            list[count] = (uint16_t)(es_object_of(s->view, event->layer, ids[count]) - es_layer_base(s->view, event->layer));
        attention_keep(s, event->layer, step->token[row].position, list, count);
    }
}

static void attention_notify(void *self, const es_fact *fact)
{
    attention *s = self;
    const es_event *event = fact->event;
    window_hear(&s->window, fact);
    if (event->first)
        s->row = event->row;
    if (!event->last)
        return;
    const es_token *token = &event->rows->token[s->row];
    attention_turn(s, token->request);
    if (event->row + event->tokens - s->row > 1) {
        attention_rows(s, event);
    } else {
        uint32_t count;
        const uint16_t *list = recent_list(&s->window.recent, event->layer, &count);
        attention_keep(s, event->layer, token->position, list, count);
    }
}

/* ---- ranking ---- */

/* Adds the weight to all that the layer used there; false: that position is not remembered. */
static bool attention_add(attention *s, uint32_t layer, uint32_t position, double weight)
{
    const size_t place = attention_place(s, layer, position);
    const uint16_t *used = s->used + place * s->view->top_k;
    if (s->position[place] != position)
        return false;
    for (uint32_t i = 0; i < s->view->top_k && used[i] != ES_NO_EXPERT; i++)
        window_add(&s->window, used[i], weight);
    return true;
}

/* By the trace's row for the newest token of the request; the sum of the weights that met something. */
static double attention_table(attention *s, const es_event *event, uint32_t layer)
{
    const es_step *step = event->rows;
    uint32_t row = event->row + event->tokens - 1;
    double whole = 0.0;
    while (row > s->row && step->token[row].request != s->request)
        row--;
    const uint32_t width = s->view->attends, *position = step->attended + (size_t)row * width;
    const float *weight = step->attention + (size_t)row * width;
    for (uint32_t i = 0; i < width && position[i] != ES_NO_POSITION; i++)
        whole += attention_add(s, layer, position[i], weight[i]) ? (double)weight[i] : 0.0;
    return whole;
}

/* Beyond a millionth nothing changes who is named. */
static double attention_kernel(attention *s, uint32_t layer)
{
    double whole = 0.0, weight = 1.0;
    for (uint32_t back = 0; back <= s->newest[layer] && back < s->positions && weight > 1e-6; back++, weight *= s->decay)
        whole += attention_add(s, layer, s->newest[layer] - back, weight) ? weight : 0.0;
    return whole;
}

/* Where the request says nothing yet: the layer's last tokens, whosever they are. */
static double attention_fallback(attention *s, uint32_t layer)
{
    window *w = &s->window;
    double whole = 0.0, weight = 1.0;
    for (uint32_t back = 0; back < window_held(w, layer); back++, weight *= s->decay) {
        uint32_t count;
        const uint16_t *list = window_entry(w, layer, back, &count);
        whole += weight;
        for (uint32_t i = 0; i < count; i++)
            window_add(w, list[i], weight);
    }
    return whole;
}

static uint32_t attention_rank(void *self, const es_predict_ask *ask, uint32_t layer)
{
    attention *s = self;
    window_clear(&s->window);
    double whole = ask->event->rows->attended ? attention_table(s, ask->event, layer) : attention_kernel(s, layer);
    if (s->window.scores == 0)
        whole = attention_fallback(s, layer);
    return window_best(&s->window, 0.0, whole > 0.0 ? whole : 1.0);
}

static uint32_t attention_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    return window_predict(&((attention *)self)->window, self, attention_rank, ask, out, most);
}

const es_predictor es_predictor_attention = {
    .part = {
        .abi = ES_ABI,
        .name = "attention",
        .brief = "What a layer used for the tokens that this one attends to: the trace's table, or a kernel (Metal Marlin).",
        .options = attention_options,
        .size = sizeof(attention),
        .init = attention_init,
        .notify = attention_notify,
        .flags = ES_READS_ATTENTION,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = attention_predict,
};
