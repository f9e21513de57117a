/* Learned: a small network that was trained on a trace, read from an HDF5 file (models/predictors/FORMAT.md).
 *
 * It sees the experts of the last layers, those that this layer used for the token before, and the position of the token. Every
 * layer has a network of its own, with one hidden layer:
 *
 *     hidden = max(0, b + sum over experts i seen in place p of weight(p) * W[p][i])
 *     score  = bias[distance] + position[bucket] + repeat, if the token before used it, + sum over hidden units of hidden * V
 *
 * Places whose layer has not run yet, because it is asked from further away, are empty; it was trained for that. A union larger
 * than one token's experts weighs as much as those. Scores order the guesses; between the knots of the file's calibration for the
 * distance they become confidences. Sums run in double precision in one order, so results are the same whatever compiled this. */
#include "sim/predict/recent.h"

#include <math.h>
#include <stdlib.h>

#include "sim/base/h5.h"
#include "sim/base/reader.h"

typedef struct learned {
    const char *path;
    int64_t most;
    double least;
    const es_view *view;
    recent recent;
    int64_t context, ahead, units, buckets, knots;  /* layers back, distances, hidden units, position buckets, knots of a curve */
    float *in;                  /* [layers][context + 1][experts][units]; the last place is the token before */
    float *threshold;           /* [layers][units] */
    float *out;                 /* [layers][units][experts] */
    float *bias;                /* [ahead][layers][experts] */
    float *position;            /* [layers][buckets][experts] */
    float *repeat;              /* [layers][experts] */
    double *calibration;        /* [ahead][knots][2] score, confidence; both rising */
    double *hidden, *score;     /* [units], [experts] */
    uint16_t *best;             /* [experts] */
} learned;

static const es_option learned_options[] = {
    {.name = "weights", .type = ES_OPT_TEXT, .offset = offsetof(learned, path), .required = true,
        .help = "File with the trained network, relative to the config; models/predictors/README.md tells how to train one."},
    {.name = "most", .type = ES_OPT_INT, .offset = offsetof(learned, most), .def = 0, .min = 0, .max = 65535, .unit = "experts", .tunable = true,
        .help = "Guesses per layer at most; 0: as many as a token uses."},
    {.name = "least", .type = ES_OPT_REAL, .offset = offsetof(learned, least), .def = 0, .min = 0, .max = 1, .tunable = true,
        .help = "Leave out guesses of less confidence."},
    {0},
};

/* ---- the file ---- */

typedef struct learned_file {
    es_h5 *h5;
    const char *path;
    es_arena *arena;
} learned_file;

static es_code learned_attribute(const learned_file *f, const char *name, int64_t least, int64_t most, int64_t *value, es_err *err)
{
    es_code code = es_h5_get_int(f->h5, "/", name, value, err);
    if (code == ES_OK && (*value < least || *value > most))
        code = es_err_set(err, ES_EINPUT, "%s: attribute %s is %lld, needs %lld to %lld", f->path, name, (long long)*value, (long long)least, (long long)most);
    return code;
}

/* What the network was made for must be what runs. */
static es_code learned_fits(const learned_file *f, const char *name, uint32_t here, es_err *err)
{
    int64_t there;
    es_code code = es_h5_get_int(f->h5, "/", name, &there, err);
    if (code == ES_OK && there != here)
        code = es_err_set(err, ES_EINPUT, "%s: was trained for %s %lld, the run has %u; train one on a trace of this model", f->path, name, (long long)there, here);
    return code;
}

static es_code learned_format(const learned_file *f, es_err *err)
{
    char *format;
    int64_t version;
    es_code code = es_h5_get_text(f->h5, "/", "format", &format, err);
    if (code)
        return code;
    if (strcmp(format, "expertsim-predictor") != 0)
        code = es_err_set(err, ES_EINPUT, "%s: is \"%.40s\", needs \"expertsim-predictor\"", f->path, format);
    free(format);
    return code ? code : learned_attribute(f, "version", 1, 1, &version, err);
}

static es_code learned_shape(const learned_file *f, learned *s, es_err *err)
{
    const struct { const char *name; int64_t least, most; int64_t *value; } own[] = {
        {"context", 0, s->view->layers - 1, &s->context}, {"ahead", 1, s->view->layers, &s->ahead},
        {"hidden", 1, 65536, &s->units}, {"buckets", 1, 64, &s->buckets}, {"knots", 2, 1024, &s->knots},
    };
    const struct { const char *name; uint32_t here; } model[] = {{"layers", s->view->layers}, {"experts", s->view->ids}, {"top_k", s->view->top_k}};
    es_code code = learned_format(f, err);
    for (size_t i = 0; i < sizeof model / sizeof *model && code == ES_OK; i++)
        code = learned_fits(f, model[i].name, model[i].here, err);
    for (size_t i = 0; i < sizeof own / sizeof *own && code == ES_OK; i++)
        code = learned_attribute(f, own[i].name, own[i].least, own[i].most, own[i].value, err);
    return code;
}

/* The size of all of it; an error where the file has another shape. */
static es_code learned_size(const learned_file *f, const es_h5_data *data, const char *name, int rank, const int64_t *shape, size_t *size, es_err *err)
{
    const uint64_t *dims = es_h5_data_dims(data);
    if (es_h5_data_rank(data) != rank)
        return es_err_set(err, ES_EINPUT, "%s: %s has %d dimensions, needs %d", f->path, name, es_h5_data_rank(data), rank);
    *size = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] != (uint64_t)shape[i])
            return es_err_set(err, ES_EINPUT, "%s: %s: dimension %d is %llu, needs %lld", f->path, name, i, (unsigned long long)dims[i], (long long)shape[i]);
        *size *= (size_t)dims[i];           /* what is stored bounds it: h5 has checked */
    }
    return ES_OK;
}

static bool learned_finite(es_h5_type type, const void *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isfinite(type == ES_H5_F32 ? (double)((const float *)at)[i] : ((const double *)at)[i]))
            return false;
    return true;
}

/* An array of the file in memory of the run; NULL when it cannot be had. */
static void *learned_array(const learned_file *f, const char *name, es_h5_type type, int rank, const int64_t *shape, es_err *err)
{
    es_h5_data *data = NULL;
    void *out = NULL;
    size_t size = 0;
    es_code code = es_h5_data_open(&data, f->h5, name, err);
    if (code)
        return NULL;
    code = learned_size(f, data, name, rank, shape, &size, err);
    if (code == ES_OK && !(out = es_arena_alloc(f->arena, size, type == ES_H5_F32 ? sizeof(float) : sizeof(double))))
        code = es_err_nomem(err, "a trained network");
    if (code == ES_OK)
        code = es_h5_data_read(data, type, 0, (uint64_t)shape[0], out, err);
    if (code == ES_OK && !learned_finite(type, out, size))
        code = es_err_set(err, ES_EINPUT, "%s: %s holds a value that is not a finite number", f->path, name);
    es_h5_data_close(data);
    return code == ES_OK ? out : NULL;
}

static es_code learned_arrays(const learned_file *f, learned *s, es_err *err)
{
    const int64_t layers = s->view->layers, experts = s->view->ids;
    if (!(s->in = learned_array(f, "/hidden/weights", ES_H5_F32, 4, (int64_t[]){layers, s->context + 1, experts, s->units}, err))
        || !(s->threshold = learned_array(f, "/hidden/bias", ES_H5_F32, 2, (int64_t[]){layers, s->units}, err))
        || !(s->out = learned_array(f, "/out/weights", ES_H5_F32, 3, (int64_t[]){layers, s->units, experts}, err))
        || !(s->bias = learned_array(f, "/out/bias", ES_H5_F32, 3, (int64_t[]){s->ahead, layers, experts}, err))
        || !(s->position = learned_array(f, "/out/position", ES_H5_F32, 3, (int64_t[]){layers, s->buckets, experts}, err))
        || !(s->repeat = learned_array(f, "/out/repeat", ES_H5_F32, 2, (int64_t[]){layers, experts}, err))
        || !(s->calibration = learned_array(f, "/calibration", ES_H5_F64, 3, (int64_t[]){s->ahead, s->knots, 2}, err)))
        return err ? err->code : ES_EINPUT;
    for (int64_t i = 0; i < s->ahead * s->knots; i++) {
        const double *knot = &s->calibration[2 * i];
        if (knot[1] < 0.0 || knot[1] > 1.0 || (i % s->knots > 0 && (knot[0] <= knot[-2] || knot[1] < knot[-1])))
            return es_err_set(err, ES_EINPUT, "%s: /calibration: knot %lld of distance %lld does not rise, or is no chance", f->path, (long long)(i % s->knots),
                (long long)(i / s->knots) + 1);
    }
    return ES_OK;
}

/* What is no such file at all is told in our own words: the library's are about its internals. */
static es_code learned_open(learned_file *f, es_err *err)
{
    es_reader *reader;
    es_code code = es_reader_open(&reader, f->path, err);
    if (code)
        return code;
    es_reader_close(reader);
    if (!es_h5_is(f->path))
        return es_err_set(err, ES_EINPUT, "%s: is no HDF5 file; needs one that models/predictors/train.py wrote", f->path);
    return es_h5_open(&f->h5, f->path, false, err);
}

static es_code learned_init(void *self, const es_site *site, es_err *err)
{
    learned *s = self;
    learned_file f = {.path = s->path, .arena = site->arena};
    s->view = site->view;
    es_code code = learned_open(&f, err);
    if (code == ES_OK)
        code = learned_shape(&f, s, err);
    if (code == ES_OK)
        code = learned_arrays(&f, s, err);
    es_h5_close(f.h5, NULL);
    if (code) {
        es_err_at(err, "weights");
        return code;
    }
    s->hidden = ES_NEW_ARRAY(site->arena, s->units, double);
    s->score = ES_NEW_ARRAY(site->arena, s->view->ids, double);
    s->best = ES_NEW_ARRAY(site->arena, s->view->ids, uint16_t);
    return s->hidden && s->score && s->best ? recent_init(&s->recent, site, err) : es_err_nomem(err, "a trained network");
}

/* ---- the run ---- */

static void learned_notify(void *self, const es_fact *fact)
{
    learned *s = self;
    uint32_t count;
    recent_turn(&s->recent, fact->event);
    const uint16_t *list = recent_joined(&s->recent, fact->event, &count);
    if (list)
        recent_keep(&s->recent, fact->event->layer, list, count);
}

/* Of each expert of a union: together at most as much as one token's. */
static double learned_weight(const learned *s, uint32_t count)
{
    return count > s->view->top_k ? (double)s->view->top_k / count : 1.0;
}

/* What the experts in one place add to the hidden units. */
static void learned_see(learned *s, uint32_t layer, size_t place, uint32_t back)
{
    const size_t units = (size_t)s->units;
    const float *in = s->in + ((size_t)layer * (size_t)(s->context + 1) + place) * s->view->ids * units;
    uint32_t count;
    const uint16_t *list = recent_list(&s->recent, recent_before(&s->recent, layer, back), &count);
    const double weight = learned_weight(s, count);
    for (uint32_t i = 0; i < count; i++)
        for (size_t j = 0; j < units; j++)
            s->hidden[j] += weight * in[(size_t)es_expert_of(s->view, list[i]) * units + j];
}

/* Positions 0, 1-2, 3-6, 7-14, ...; the last bucket takes all beyond. */
static size_t learned_bucket(const learned *s, const es_predict_ask *ask)
{
    const es_event *event = ask->event;
    uint64_t position = event->rows ? event->rows->token[event->row + event->tokens - 1].position : 0;
    size_t bucket = 63 - (size_t)__builtin_clzll(position + 1 + ask->next_step);
    return bucket < (size_t)s->buckets ? bucket : (size_t)s->buckets - 1;
}

static void learned_score(learned *s, const es_predict_ask *ask, uint32_t ahead, size_t distance)
{
    const size_t layer = ask->layer, experts = s->view->ids, units = (size_t)s->units;
    const float *bias = s->bias + (distance * s->recent.layers + layer) * experts;
    const float *position = s->position + (layer * (size_t)s->buckets + learned_bucket(s, ask)) * experts;
    for (size_t j = 0; j < units; j++)
        s->hidden[j] = s->threshold[layer * units + j];
    for (uint32_t back = ahead; back <= s->context; back++)
        learned_see(s, ask->layer, back - 1, back);
    learned_see(s, ask->layer, (size_t)s->context, s->recent.layers);
    for (size_t e = 0; e < experts; e++)
        s->score[e] = (double)bias[e] + position[e];
    uint32_t count;
    const uint16_t *before = recent_list(&s->recent, ask->layer, &count);
    for (uint32_t i = 0; i < count; i++)
        s->score[es_expert_of(s->view, before[i])] += learned_weight(s, count) * s->repeat[layer * experts + es_expert_of(s->view, before[i])];
    for (size_t j = 0; j < units; j++) {
        const float *out = s->out + (layer * units + j) * experts;
        if (s->hidden[j] > 0.0)
            for (size_t e = 0; e < experts; e++)
                s->score[e] += s->hidden[j] * out[e];
    }
}

/* Linear between knots, constant beyond. */
static double learned_sure(const learned *s, size_t distance, double score)
{
    const double *knot = s->calibration + distance * (size_t)s->knots * 2, *last = knot + 2 * (s->knots - 1);
    if (score <= knot[0])
        return knot[1];
    for (; knot < last; knot += 2)
        if (score < knot[2])
            return knot[1] + (knot[3] - knot[1]) * (score - knot[0]) / (knot[2] - knot[0]);
    return last[1];
}

static uint32_t learned_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    learned *s = self;
    const uint32_t ahead = recent_ahead(&s->recent, ask);
    const size_t distance = (ahead < s->ahead ? ahead : (size_t)s->ahead) - 1;
    uint32_t wanted = s->most > 0 ? (uint32_t)s->most : s->view->top_k, count = 0;
    learned_score(s, ask, ahead, distance);
    wanted = recent_best(s->score, s->view->ids, s->best, wanted < most ? wanted : most);
    for (uint32_t i = 0; i < wanted; i++) {
        double sure = learned_sure(s, distance, s->score[s->best[i]]);
        if (sure >= s->least)
            out[count++] = (es_guess){es_object_of(s->view, ask->layer, s->best[i]), (float)sure};
    }
    return count;
}

const es_predictor es_predictor_learned = {
    .part = {
        .abi = ES_ABI,
        .name = "learned",
        .brief = "A small network trained on a trace of this model.",
        .options = learned_options,
        .size = sizeof(learned),
        .init = learned_init,
        .notify = learned_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = learned_predict,
};
