/* Likeness, drawn: the process that likeness.h describes, token by token. All draws are by counter. */
#ifndef ES_TRACES_LIKENESS_DRAW_H
#define ES_TRACES_LIKENESS_DRAW_H

#include "sim/base/rng.h"
#include "traces/likeness.h"

typedef struct es_like_draw {
    const es_likeness *like;
    uint32_t cells;             /* layers * experts */
    float *factor;              /* [ES_LIKE_SPANS][factors] components as they stand */
    float *own;                 /* [ES_LIKE_SPANS][cells] */
    float *common;              /* [factors] the factors of the token at hand */
    float *score;               /* [cells] */
    float *anew;                /* [cells] standard deviation of what is drawn at every token */
    float *held;                /* [cells] own parts, where they are held */
    bool holds;                 /* some layer's are */
    bool used[ES_LIKE_SPANS];   /* some layer's scores have a component of this span */
    float *noise;               /* [cells or factors] scratch */
    es_stream stream;
} es_like_draw;

es_code es_like_draw_init(es_like_draw *d, const es_likeness *like, uint64_t seed, es_arena *arena, es_err *err);
/* What follows from the likeness, when its numbers were changed. */
void es_like_draw_again(es_like_draw *d);
/* The row of a token, [layers][top_k], highest score first. The tokens of a request are asked for in order, from position 0. */
void es_like_draw_token(es_like_draw *d, uint64_t request, uint64_t position, uint16_t *ids);
/* Weights for a row, [layers][top_k], descending. */
void es_like_draw_weights(const es_like_draw *d, uint64_t request, uint64_t position, float *weights);

/* Correlation of a component with itself so many tokens, from 1, later. */
double es_like_left(uint32_t span, uint32_t distance);
/* Moves the thresholds of `like`, which `d` draws from, until experts are as popular as it says; `round` chooses the draws. */
es_code es_likeness_settle(es_likeness *like, es_like_draw *d, uint32_t round, es_err *err);

#endif
