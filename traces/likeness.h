/* Likeness: routing described by numbers, so that as much of it as wanted can be drawn that behaves alike.
 *
 * Every expert of every layer has a score, and a token uses those of the highest score above their thresholds. A score is Gaussian with
 * variance 1, the sum of
 *
 *     factors   common to all layers: what kind of token, text and request this is. loading[f][expert] says how much of factor f is in
 *               the expert's score; from them come the choices that go together, within a layer and across layers.
 *     its own   what an expert does by itself.
 *
 * Each is a sum of components that last so long: a component of span s keeps e^(-1/s) of itself from token to token, the longest stays for
 * a request, that of span 0 is the mean of what is drawn at this token and at the one before (times the root of 2), and what the shares
 * leave of the variance is drawn anew at every token. Where scores jump, an expert's own part stays as it is with the probability `hold` and is
 * what it would be without else (Jacobs and Lewis 1978). Thresholds follow from popularity. A Gaussian copula:
 * the joint law of several Bernoulli variables by latent normals (Emrich and Piedmonte 1991), with a factor model of the latent correlation
 * matrix (Bartholomew 1987) and autoregressive factors. */
#ifndef ES_TRACES_LIKENESS_H
#define ES_TRACES_LIKENESS_H

#include "traces/trace.h"

enum { ES_LIKE_SPANS = 10, ES_LIKE_FACTORS = 48, ES_LIKE_LENGTHS = 4096 };

extern const double es_like_span[ES_LIKE_SPANS];    /* in tokens, ascending; the last one lasts a request */

typedef struct es_like_length { uint32_t prompt, decode; } es_like_length;  /* tokens of a request */

typedef struct es_likeness {
    uint32_t layers, experts, top_k, factors;
    const uint32_t *layer_number;   /* [layers] */
    const int64_t *expert_bytes, *dense_bytes;      /* [layers]; NULL when the trace did not say */
    double *popularity;             /* [layers][experts] share of the tokens that use it, above 0 */
    double *threshold;              /* [layers][experts] */
    float *loading;                 /* [factors][layers][experts]; the squares of an expert's sum to less than 1 */
    double *factor_memory;          /* [factors][ES_LIKE_SPANS] shares of a factor's variance; they sum to less than 1 */
    double *own_memory;             /* [layers][ES_LIKE_SPANS] shares of a score's variance, beside its factors */
    double *hold;                   /* [layers] probability that what an expert does by itself stays as it is at the next token, below 1 */
    double *weight_gap;             /* [layers][top_k] mean of ln(weight of the rank before / weight of this rank); of the first: 0 */
    double *weight_sum;             /* [layers] mean sum of a row's weights; NULL: no weights */
    es_like_length *length;         /* [lengths] of requests, as met */
    uint32_t lengths;
    const char *model;
} es_likeness;

/* The shape of `like` is set; makes its arrays. */
es_code es_likeness_make(es_likeness *like, es_arena *arena, es_err *err);
/* JSON, docs/likeness.md; false: no memory. */
bool es_likeness_write(const es_likeness *like, es_json *out);
/* The inverse; errors name the key. */
es_code es_likeness_read(es_likeness *like, const es_json *from, es_arena *arena, es_err *err);

/* Estimates everything from a trace in memory. ES_EINPUT: too short to tell anything (fewer than 64 tokens). */
es_code es_likeness_fit(es_likeness *like, const es_trace *trace, es_arena *arena, es_err *err);

/* Only how long its requests are (the first ES_LIKE_LENGTHS of them). */
es_code es_likeness_lengths(es_likeness *like, const es_trace *trace, es_arena *arena, es_err *err);
/* `from` in another shape, with thresholds of its own; what did not change is shared with `from`. */
es_code es_likeness_shape(const es_likeness *from, uint32_t layers, uint32_t experts, uint32_t top_k, es_likeness *to, es_arena *arena, es_err *err);

#endif
