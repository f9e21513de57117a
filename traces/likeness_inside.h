/* Likeness, estimated, inside: what likeness_fit.c and likeness_memory.c share. */
#ifndef ES_TRACES_LIKENESS_INSIDE_H
#define ES_TRACES_LIKENESS_INSIDE_H

#include "traces/likeness_draw.h"
#include "traces/moments.h"

enum {
    FIT_LAGS = 16,
    FIT_PAIRS_LEAST = 200       /* of tokens, for a correlation at a distance to count */
};

extern const uint32_t fit_lag[FIT_LAGS];    /* distances in tokens, ascending */

typedef struct fit_rows {       /* rows in the order of requests */
    uint32_t layers, experts, top_k;
    uint64_t tokens;
    uint16_t *ids;              /* [tokens][layers][top_k] */
    uint32_t *request;          /* [tokens] ordinal */
} fit_rows;

typedef struct fit_work {
    es_likeness *like;
    fit_rows rows;              /* of the trace */
    uint32_t cells;
    double *mean, *spread;      /* [cells] of the uses */
    double *grid;               /* [layers][ES_MOMENTS_GRID] */
    double *aim;                /* [layers][FIT_LAGS] correlations that the memory is solved for */
    double *seen, *drawn;       /* [layers][FIT_LAGS] of the trace, of what was drawn */
    double *stay, *stay_drawn;  /* [layers] share of the experts that a token uses and the one before did not, which the next one uses too */
    double *factor_seen;        /* [factors][FIT_LAGS] */
    double scale[FIT_LAGS];     /* what the factors' correlations are multiplied by */
    double *share;              /* [layers][factors] mean square loading */
    double span[FIT_LAGS][ES_LIKE_SPANS];   /* what a component of a span has left at a distance */
} fit_work;

/* Memory of factors and experts, and with them the thresholds; all else of the likeness is there. */
es_code es_likeness_memory(fit_work *w, es_arena *arena, es_err *err);

#endif
