/* Window: what every layer used in its last tokens, and who of that comes first; shared by the predictors of Metal Marlin's pool.
 *
 * A step is one entry, the union of its tokens, in union order. A predictor ranks the experts of one layer; what it named for a layer
 * is asked for by `ahead`:
 *
 *   own        each layer ahead by its own window (the default)
 *   carried    the experts ranked for the layer at the gate, asked for in the layers ahead, as the documentation has it
 *   as_coded   the same, and then what that layer uses now, all of it for that layer again: nothing is ever ahead */
#ifndef ES_PREDICT_WINDOW_H
#define ES_PREDICT_WINDOW_H

#include "sim/predict/recent.h"

enum { WINDOW_OWN, WINDOW_CARRIED, WINDOW_AS_CODED };

typedef struct window {
    int64_t length, most;       /* options */
    int ahead;
    recent recent;
    uint16_t *list;             /* [layers][length][stride] a ring of entries per layer */
    uint32_t *count;            /* [layers][length] */
    uint64_t *seen;             /* [layers] entries so far */
    double *score;              /* [stride] */
    uint16_t *order;            /* [stride] those who have a score, in the order in which they were given one */
    uint64_t *scored;           /* [words_per_layer] mask of them */
    uint32_t scores;
    es_guess *ranked;           /* [stride] object: the index */
} window;

static const char *const window_aheads[] = {"own", "carried", "as_coded", NULL};

/* Rows for the option table of a part whose state has the window as the member `field`. */
#define WINDOW_OPTIONS(owner, field) \
    {.name = "window", .type = ES_OPT_INT, .offset = offsetof(owner, field.length), .def = 32, .min = 1, .max = 4096, .unit = "tokens", \
        .help = "So many tokens back are remembered."}, \
    WINDOW_ANSWER_OPTIONS(owner, field)
#define WINDOW_ANSWER_OPTIONS(owner, field) \
    {.name = "most", .type = ES_OPT_INT, .offset = offsetof(owner, field.most), .def = 4, .min = 1, .max = 65535, .unit = "experts", .tunable = true, \
        .help = "Guesses per layer."}, \
    {.name = "ahead", .type = ES_OPT_ENUM, .offset = offsetof(owner, field.ahead), .choices = window_aheads, \
        .help = "For layers ahead: by their own window; the experts of the layer at the gate carried there; or, as coded, that layer again."}

static inline es_code window_init(window *w, const es_site *site, es_err *err)
{
    const es_view *view = site->view;
    const size_t entries = (size_t)view->layers * (size_t)w->length;
    w->list = ES_NEW_ARRAY(site->arena, entries * view->stride, uint16_t);
    w->count = ES_NEW_ARRAY(site->arena, entries, uint32_t);
    w->seen = ES_NEW_ARRAY(site->arena, view->layers, uint64_t);
    w->score = ES_NEW_ARRAY(site->arena, view->stride, double);
    w->order = ES_NEW_ARRAY(site->arena, view->stride, uint16_t);
    w->scored = ES_NEW_ARRAY(site->arena, view->words_per_layer, uint64_t);
    w->ranked = ES_NEW_ARRAY(site->arena, view->stride, es_guess);
    if (!w->list || !w->count || !w->seen || !w->score || !w->order || !w->scored || !w->ranked)
        return es_err_nomem(err, "what every layer used in its last tokens");
    return recent_init(&w->recent, site, err);
}

/* es_part.notify of those that hear of use alone. */
static inline void window_hear(window *w, const es_fact *fact)
{
    const uint32_t layer = fact->event->layer;
    uint32_t count;
    const uint16_t *list = recent_joined(&w->recent, fact->event, &count);
    if (!list)
        return;
    const size_t entry = (size_t)layer * (size_t)w->length + w->seen[layer]++ % (uint64_t)w->length;
    memcpy(w->list + entry * w->recent.stride, list, count * sizeof *list);
    w->count[entry] = count;
    recent_keep(&w->recent, layer, list, count);
}

/* Entries of a layer that are remembered. */
static inline uint32_t window_held(const window *w, uint32_t layer)
{
    return (uint32_t)(w->seen[layer] < (uint64_t)w->length ? w->seen[layer] : (uint64_t)w->length);
}

/* The entry so many tokens back, 0 the newest. */
static inline const uint16_t *window_entry(const window *w, uint32_t layer, uint32_t back, uint32_t *count)
{
    const size_t entry = (size_t)layer * (size_t)w->length + (w->seen[layer] - 1 - back) % (uint64_t)w->length;
    *count = w->count[entry];
    return w->list + entry * w->recent.stride;
}

/* ---- scores ---- */

static inline void window_clear(window *w)
{
    memset(w->scored, 0, w->recent.words * sizeof *w->scored);
    w->scores = 0;
}

static inline void window_add(window *w, uint16_t index, double score)
{
    if (!es_mask_has(w->scored, index)) {
        w->scored[index >> 6] |= 1ull << (index & 63);
        w->order[w->scores++] = index;
        w->score[index] = 0.0;
    }
    w->score[index] += score;
}

/* Those with the highest scores, of at least `least`, of equals who was given one first; confidence: the score over `whole`. */
static inline uint32_t window_best(window *w, double least, double whole)
{
    const uint32_t most = (uint32_t)w->most * w->recent.view->matrices;
    uint32_t count = 0;
    for (uint32_t n = 0; n < w->scores; n++) {
        const uint16_t index = w->order[n];
        const double score = w->score[index];
        if (score < least || (count == most && w->score[w->ranked[most - 1].object] >= score))
            continue;
        uint32_t i = count < most ? count++ : most - 1;
        for (; i > 0 && w->score[w->ranked[i - 1].object] < score; i--)
            w->ranked[i] = w->ranked[i - 1];
        w->ranked[i] = (es_guess){index, (float)(score / whole)};
    }
    return count;
}

/* The first of what the layer used last. */
static inline uint32_t window_repeat(window *w, uint32_t layer)
{
    const uint32_t most = (uint32_t)w->most * w->recent.view->matrices;
    uint32_t count;
    const uint16_t *list = recent_list(&w->recent, layer, &count);
    count = count < most ? count : most;
    for (uint32_t i = 0; i < count; i++)
        w->ranked[i] = (es_guess){list[i], 1.0f};
    return count;
}

/* ---- answers ---- */

/* The ranking of one layer into w->ranked, indices for objects; how many. */
typedef uint32_t window_rank(void *self, const es_predict_ask *ask, uint32_t layer);

/* es_predictor.predict. */
static inline uint32_t window_predict(window *w, void *self, window_rank *rank, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    const es_view *view = w->recent.view;
    const uint32_t gate = ask->event->layer, to = w->ahead == WINDOW_AS_CODED ? gate : ask->layer;
    if (w->ahead == WINDOW_AS_CODED && recent_ahead(&w->recent, ask) != 1)
        return 0;
    uint32_t count = rank(self, ask, w->ahead == WINDOW_OWN ? ask->layer : gate), now = 0, ranked = count;
    const uint16_t *list = recent_list(&w->recent, gate, &now);
    for (uint32_t i = 0; w->ahead == WINDOW_AS_CODED && i < now; i++) {
        uint32_t j = 0;
        while (j < ranked && w->ranked[j].object != list[i])
            j++;
        if (j == ranked)
            w->ranked[count++] = (es_guess){list[i], 1.0f};
    }
    count = count < most ? count : most;
    for (uint32_t i = 0; i < count; i++)
        out[i] = (es_guess){es_object_now(view, to, w->ranked[i].object), w->ranked[i].confidence};
    return count;
}

#endif
