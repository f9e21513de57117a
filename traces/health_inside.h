/* Health, inside: what health.c counts and health_say.c makes sentences of. */
#ifndef ES_TRACES_HEALTH_INSIDE_H
#define ES_TRACES_HEALTH_INSIDE_H

#include "traces/health.h"

enum {
    HEALTH_FINDINGS = 24,
    HEALTH_RUN = 8,                     /* tokens that come again one after another: fewer may be chance */
    HEALTH_PASS = 2,                    /* and so many if they are all of a pass or request */
    HEALTH_TOKENS = 1 << 22             /* so many are looked at for what comes again */
};

#define HEALTH_SUM 0.02             /* as far from 1 may weights of 8 bits and of half precision sum */

typedef struct health_count {           /* how often, and where first */
    uint64_t count;
    es_health_place first;
} health_count;

typedef struct health_request {         /* a slot of a hash; tokens 0: free */
    uint32_t request, next;             /* next: the position that should follow */
    uint64_t tokens, digest;
} health_request;

typedef struct health_again {           /* tokens whose rows all came before, in the same order */
    uint64_t *row;                      /* [tokens] hash of all rows of a token; HEALTH_TOKENS at most */
    es_token *token;                    /* [tokens] */
    uint32_t *slot;                     /* hash: 1 + the last token that has it; 0: free */
    uint64_t tokens, room, slots;
    uint64_t at, run;                   /* the token that the next has to equal; length of the run at hand */
    es_token began;                     /* the run at hand */
    uint64_t from;                      /* the token at which it began when it came before */
    uint64_t repeated, runs;            /* of runs of HEALTH_RUN and more: tokens, and how many */
    /* Runs that begin where a request or pass began, and are as long or all of it: how many, their tokens; how many are longer than the
     * one before, whose length is `last` */
    uint64_t prefixes, grown, longer, last;
    es_health_place first, first_prefix;
    uint64_t same, longest;             /* tokens that equal the one before: at hand, and most */
    es_health_place same_at, longest_at;
} health_again;

struct es_health {
    const es_trace_info *info;
    es_health_model model;
    uint64_t tokens[2], rows, accesses; /* by es_phase_of; rows of some expert */
    uint64_t train;
    uint64_t *uses, *layer_rows;        /* [layers][experts], [layers] full rows */
    uint64_t *missing[2];               /* by phase: [layers] */
    health_count gone[2], narrow, disorder, strange, gaps, late;    /* gone: missing rows by phase; narrow: rows of fewer than top_k */
    health_count beyond;                /* rows with an expert that the model has not */
    uint64_t weighed, whole, ascending, listed;     /* rows with weights; of these, with a sum of 1; rows of two or more; of these, ids in order of number */
    health_count uneven;                /* full rows of weights with another sum than 1 */
    uint16_t *last;                     /* [layers][top_k] of the token before */
    es_token before;
    bool any;
    double *common;                     /* [layers] experts that a token shares with the one before, added up */
    uint64_t *pairs;                    /* [layers] */
    health_request *request;
    uint64_t requests, request_slots;
    uint64_t twins;                     /* requests that are another's copy */
    es_health_place twin;
    health_again again;
    bool partial;                       /* not all tokens were looked at for what comes again */
    es_health_finding finding[HEALTH_FINDINGS];
    size_t findings;
};

es_code health_judge(es_health *h, es_err *err);

#endif
