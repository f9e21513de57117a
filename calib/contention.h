/* Contention: what happens when two things run at once. Do copies of one way wait for each other or share the rate? Does the other
 * way, or computing, slow them? The answers choose the disciplines and the factors of the simulated channels.
 *
 * Each question is asked by pairs of times, one alone and one together, taken in turns. First come first served or shared is
 * told by a small copy queued right behind a large one on another stream: it ends after the large one, or long before it. */
#ifndef ES_CALIB_CONTENTION_H
#define ES_CALIB_CONTENTION_H

#include "calib/sample.h"

typedef struct contention_answer {
    bool asked;                 /* enough pairs */
    calib_interval alone, together;
    bool slower;                /* together takes longer, by more than the noise */
} contention_answer;

struct calib_bench;

/* Asks all questions that the probe can answer, `pairs` times each, with copies of `bytes`. */
es_code contention_measure(struct calib_bench *bench, int64_t bytes, uint32_t pairs, calib_samples *samples, es_err *err);

contention_answer contention_of(const calib_samples *samples, calib_question question);
/* Of the rate while both run, above 0 and at most 1; `fixed_ns` of either time is not work and is not slowed. */
double contention_factor(const contention_answer *answer, double fixed_ns);
/* Did the small copy wait for the large one? */
bool contention_waits(const contention_answer *answer);

#endif
