/* Samples: every time that was measured, by row, and when a case has been measured often enough.
 *
 * A case stops when the 95 % interval of its median is within 2 % on either side, or when its noise is known (the spread of its
 * samples does not change any more: more of them would tell nothing new), or when the time is over; which of them is kept. */
#ifndef ES_CALIB_SAMPLE_H
#define ES_CALIB_SAMPLE_H

#include "calib/plan.h"

typedef struct calib_sample {
    int64_t bytes;              /* of one copy */
    int64_t ns;                 /* what it took: by events where the probe has them, else as the host saw it */
    int64_t issue_ns, host_ns;  /* of the host: queueing it; from then until it was known to be done. CALIB_GET: the first use, the second */
    uint32_t count;             /* copies of the batch, tokens, requests at a time */
    uint32_t round, order;      /* when: the order-th of its round */
    uint32_t switches;          /* how often the kernel took the processor away meanwhile */
} calib_sample;

typedef enum calib_stop {       /* of a row: the worst of its cases */
    CALIB_PRECISE, CALIB_STABLE, CALIB_BUDGET, CALIB_STOPS
} calib_stop;

typedef struct calib_series {   /* the samples of one row; {0}: it was not measured */
    calib_sample *at;
    size_t count, room;
    int stop;                   /* calib_stop */
    uint32_t open;              /* cases that the budget ended */
} calib_series;

typedef enum calib_question {   /* what happens when two things run at once (contention.h) */
    CALIB_H2D_BEHIND, CALIB_D2H_BEHIND,         /* a small copy behind a large one of its way */
    CALIB_D2H_ACROSS,                           /* a small copy to the host beside a large one to the device */
    CALIB_H2D_FIRST,                            /* a small copy that was queued before the large one */
    CALIB_H2D_CHUNKED,                          /* behind a large one in pieces, each a copy */
    CALIB_H2D_SPACED,                           /* behind such pieces with a small kernel between them */
    CALIB_H2D_STREAMS_1, CALIB_H2D_STREAMS_2, CALIB_H2D_STREAMS_4, CALIB_H2D_STREAMS_8,     /* as many copies, each on a stream */
    CALIB_D2H_STREAMS_1, CALIB_D2H_STREAMS_2, CALIB_D2H_STREAMS_4, CALIB_D2H_STREAMS_8,
    CALIB_H2D_OPPOSITE, CALIB_D2H_OPPOSITE,     /* a copy, while the other way runs */
    CALIB_H2D_COMPUTING, CALIB_D2H_COMPUTING,   /* while experts are computed for one token each */
    CALIB_H2D_MULTIPLYING, CALIB_D2H_MULTIPLYING,   /* for many, which is arithmetic and reads little */
    CALIB_EXPERT_COPYING, CALIB_EXPERT_SENDING, /* an expert, while copies to the device run; to the host */
    CALIB_PRODUCT_COPYING,                      /* one for many tokens, while copies to the device run */
    CALIB_H2D_WAITING, CALIB_D2H_WAITING,       /* a stream of copies that waits for an expert of another stream */
    CALIB_EXPERT_WAITING,                       /* a stream of experts that waits for a copy of another */
    CALIB_READ_WAITING,                         /* a stream of the disk that waits for an expert */
    CALIB_QUESTIONS
} calib_question;

enum { CALIB_PAIRS = 32 };

/* Times in ns, in pairs: of a thing alone and beside another. Of a small copy: the large one alone, and when the small one beside it
 * ended. Of STREAMS: when the first and when the last of the copies ended. Of WAITING: when what is waited for was done, and when the stream
 * that waits for it went on. Of what is computed, or slowed by that: each of a series of them (contention.h). */
typedef struct calib_pairs {
    int64_t alone[CALIB_PAIRS], together[CALIB_PAIRS];
    uint32_t count;             /* 0: not asked */
} calib_pairs;

typedef struct calib_samples {  /* calib_samples_free() when done */
    calib_series row[CALIB_ROWS];
    calib_pairs pairs[CALIB_QUESTIONS];
    es_json *environment;       /* of the machine, when it was measured */
} calib_samples;

extern const char *const calib_question_names[CALIB_QUESTIONS];
extern const char *const calib_stop_names[CALIB_STOPS + 1];     /* "precise", "stable", "budget"; ends with NULL */

es_code calib_series_add(calib_series *series, const calib_sample *sample, es_err *err);
void calib_samples_free(calib_samples *samples);

/* ---- is it enough? ---- */

typedef struct calib_interval {
    double median, low, high;
} calib_interval;

/* The median of n > 0 ascending values and the 95 % interval that resampling them would give. No resampling: the bootstrap
 * distribution of a median is known exactly, P(median* <= x(k)) = P(Binomial(n, k / n) >= m) with m the rank of the median
 * (Efron, Ann. Statist. 7, 1979; Maritz and Jarrett, JASA 73, 1978). */
calib_interval calib_median(const double *ascending, size_t n);

enum { CALIB_ROUNDS = 240, CALIB_RECENT = 16 };

typedef struct calib_case_state {   /* what is known of one case so far */
    double ns[CALIB_ROUNDS];        /* ascending */
    uint32_t count;
    double noise[CALIB_RECENT];     /* the newest estimates of the spread, as shares of the median */
    bool stopped;
    int stop;                       /* calib_stop; CALIB_BUDGET until it has stopped */
} calib_case_state;

/* Takes one more sample and decides. */
void calib_case_take(calib_case_state *state, double ns);

#endif
