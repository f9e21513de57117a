/* Predictor: how good the guesses were, told apart by how many layers ahead they were made.
 *
 * What is said of a layer is kept until its gate, then held against what the gate wanted. Of the experts wanted, `top` says which
 * share stood among the first n guesses; `all` how often every one of them did; precision is the share of the guesses that were
 * wanted. The bins hold confidences against what came; their error is the mean distance, weighted by guesses. */
#include "sim/observe/observe.h"

#include <stdio.h>
#include <string.h>

#include "sim/part/predictor.h"

enum { PREDICTOR_BINS = 10, PREDICTOR_RANKS = 64 };

typedef struct predictor_quality {
    uint64_t asks, wanted, named, right, first;     /* first: asks whose first guess was wanted */
    uint64_t top[PREDICTOR_RANKS], all[PREDICTOR_RANKS];    /* wanted experts found at this rank; asks whose last one stood there */
    uint64_t bin_named[PREDICTOR_BINS], bin_right[PREDICTOR_BINS];
    double bin_sure[PREDICTOR_BINS];
} predictor_quality;

typedef struct predictor_said {
    uint32_t count;
    bool asked;
    es_guess guess[PREDICTOR_RANKS];
} predictor_said;

typedef struct predictor {
    int64_t ahead;
    const es_view *view;
    predictor_said *said;       /* [ahead][layers] */
    predictor_quality *quality; /* [ahead] */
    uint64_t *mask;             /* [words_per_layer] the union of the layer whose events are being joined */
} predictor;

static const es_option predictor_options[] = {
    {.name = "ahead", .type = ES_OPT_INT, .offset = offsetof(predictor, ahead), .def = 1, .min = 1, .max = 64, .unit = "layers",
        .help = "Report guesses made 1, 2, ... so many layers before their gate; just before their own lookup counts as 1."},
    {0},
};

static es_code predictor_init(void *self, const es_site *site, es_err *err)
{
    predictor *s = self;
    s->view = site->view;
    s->said = ES_NEW_ARRAY(site->arena, (size_t)s->ahead * s->view->layers, predictor_said);
    s->quality = ES_NEW_ARRAY(site->arena, s->ahead, predictor_quality);
    s->mask = ES_NEW_ARRAY(site->arena, s->view->words_per_layer, uint64_t);
    return s->said && s->quality && s->mask ? ES_OK : es_err_nomem(err, "guesses to be judged");
}

static void predictor_keep(predictor *s, const es_fact *fact)
{
    const es_predict_ask *ask = fact->ask;
    uint32_t ahead = ask->layer + (ask->next_step ? s->view->layers : 0) - ask->event->layer + (ask->point == ES_BEFORE_LOOKUP);
    if (ask->point == ES_STEP_END || ahead > s->ahead)
        return;
    predictor_said *said = &s->said[(ahead - 1) * s->view->layers + ask->layer];
    said->asked = true;
    said->count = fact->count < PREDICTOR_RANKS ? fact->count : PREDICTOR_RANKS;
    memcpy(said->guess, fact->guesses, said->count * sizeof *said->guess);
}

/* A guess of another layer than was asked for is none of those wanted. */
static bool predictor_right(const predictor *s, es_oid object, uint32_t layer)
{
    const es_oid base = es_layer_base(s->view, layer);
    return object >= base && object < base + s->view->stride && es_mask_has(s->mask, object - base);
}

static void predictor_judge(predictor *s, uint32_t layer, const predictor_said *said, predictor_quality *q)
{
    uint32_t wanted = 0, found = 0, last = 0;
    for (uint32_t w = 0; w < s->view->words_per_layer; w++)
        wanted += (uint32_t)__builtin_popcountll(s->mask[w]);
    for (uint32_t i = 0; i < said->count; i++) {
        bool right = predictor_right(s, said->guess[i].object, layer);
        double sure = (double)said->guess[i].confidence;
        uint32_t bin = sure < 1.0 ? (uint32_t)(sure * PREDICTOR_BINS) : PREDICTOR_BINS - 1;
        q->bin_named[bin]++;
        q->bin_right[bin] += right;
        q->bin_sure[bin] += sure;
        if (right) {
            q->top[i]++;
            found++;
            last = i;
        }
    }
    q->asks++;
    q->wanted += wanted;
    q->named += said->count;
    q->right += found;
    q->first += said->count > 0 && predictor_right(s, said->guess[0].object, layer);
    if (found == wanted)
        q->all[last]++;
}

static void predictor_gate(predictor *s, const es_event *event)
{
    for (uint32_t w = 0; w < event->words; w++)
        s->mask[w] = (event->first ? 0 : s->mask[w]) | event->mask[w];
    if (!event->last)
        return;
    bool counts = event->counted && (event->phase == ES_DECODE || s->view->count_prefill);
    for (int64_t a = 0; a < s->ahead; a++) {
        predictor_said *said = &s->said[(size_t)a * s->view->layers + event->layer];
        if (said->asked && counts)
            predictor_judge(s, event->layer, said, &s->quality[a]);
        said->asked = false;
    }
}

static void predictor_notify(void *self, const es_fact *fact)
{
    if (fact->kind == ES_FACT_GUESS)
        predictor_keep(self, fact);
    else
        predictor_gate(self, fact->event);
}

static void predictor_report_bins(const predictor_quality *q, es_json *out)
{
    double apart = 0.0;
    es_json *bins = cJSON_AddArrayToObject(out, "bins");
    for (uint32_t b = 0; b < PREDICTOR_BINS; b++) {
        es_json *bin = cJSON_CreateObject();
        cJSON_AddItemToArray(bins, bin);
        apart += fabs(q->bin_sure[b] - (double)q->bin_right[b]);
        observe_count(bin, "guesses", q->bin_named[b]);
        es_json_add_real(bin, "told", observe_ratio(q->bin_sure[b], (double)q->bin_named[b]));
        es_json_add_real(bin, "came", observe_ratio((double)q->bin_right[b], (double)q->bin_named[b]));
    }
    es_json_add_real(out, "calibration_error", observe_ratio(apart, (double)q->named));
}

static void predictor_report_one(const predictor_quality *q, es_json *out)
{
    static const uint32_t ranks[] = {1, 5, 10, 15, 20, 30};
    uint64_t top = 0, all = 0;
    observe_count(out, "asks", q->asks);
    observe_count(out, "guesses", q->named);
    es_json_add_real(out, "precision", observe_ratio((double)q->right, (double)q->named));
    es_json_add_real(out, "recall", observe_ratio((double)q->right, (double)q->wanted));
    es_json_add_real(out, "first_right", observe_ratio((double)q->first, (double)q->asks));
    es_json *tops = es_json_add_object(out, "top"), *alls = es_json_add_object(out, "all");
    for (uint32_t i = 0, r = 0; r < sizeof ranks / sizeof *ranks; r++) {
        char name[8];
        for (; i < ranks[r]; i++) {
            top += q->top[i];
            all += q->all[i];
        }
        snprintf(name, sizeof name, "%u", ranks[r]);
        es_json_add_real(tops, name, observe_ratio((double)top, (double)q->wanted));
        es_json_add_real(alls, name, observe_ratio((double)all, (double)q->asks));
    }
    predictor_report_bins(q, out);
}

static void predictor_report(void *self, es_json *out)
{
    predictor *s = self;
    es_json *members = observe_object(out, "predictor");
    for (int64_t a = 0; a < s->ahead; a++) {
        char name[32];
        snprintf(name, sizeof name, "ahead_%lld", (long long)a + 1);
        predictor_report_one(&s->quality[a], es_json_add_object(members, name));
    }
}

const es_observer es_observer_predictor = {
    .part = {
        .abi = ES_ABI,
        .name = "predictor",
        .brief = "How many guesses came true, how many wanted experts were foreseen, what confidences are worth.",
        .options = predictor_options,
        .size = sizeof(predictor),
        .init = predictor_init,
        .notify = predictor_notify,
        .hears = ES_HEARS(ES_FACT_GUESS) | ES_HEARS(ES_FACT_USE),
    },
    .report = predictor_report,
};
