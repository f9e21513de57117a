/* Contention: what happens when two things run at once. Do copies of one way wait for each other or share the rate? Does the other
 * way, or computing, slow them? The answers choose the disciplines and the factors of the simulated channels.
 *
 * Each question is asked by pairs of times, one alone and one together, taken in turns. First come first served or shared is
 * told by a small copy queued right behind a large one on another stream: it ends after the large one, or long before it. The same with
 * the large one in pieces tells whether an engine goes on with the stream that it serves, and with a kernel between the pieces, whether
 * the small copy then comes in between (torchrec, pulls 4303 and 4339). Equal copies on 1, 2, 4 and 8 streams end one after another or
 * all at once, and tell whether several streams are faster than one.
 *
 * What computes beside copies is asked as an executor does it: many of both, one behind the other, for so long that a scheduler has given each
 * of them its turn several times. Where computing takes all processors (as many threads as the probe's option says) and the copy one more, they
 * take turns in slices of milliseconds: one expert of half a millisecond beside one copy is before it or behind it, and tells nothing.
 * A hand-over is what a stream that waits for another's event takes to notice it: a thread has to wake up. */
#ifndef ES_CALIB_CONTENTION_H
#define ES_CALIB_CONTENTION_H

#include "calib/measure.h"
#include "calib/sample.h"

typedef struct contention_answer {
    bool asked;                 /* enough pairs */
    calib_interval alone, together;
    bool slower;                /* together takes longer, by more than the noise */
} contention_answer;

typedef struct contention_ask {
    int64_t bytes;              /* of copies, at most half of the largest of the plan */
    int64_t expert;             /* bytes of an expert in FP32, as far as it has them; 0: the one that calibration has */
    uint32_t pairs;             /* times of each question */
} contention_ask;

/* Asks all questions that the probe can answer, round by round in another order each. `tell` may be NULL. */
es_code contention_measure(calib_bench *bench, const contention_ask *ask, const calib_tell *tell, calib_samples *samples, es_err *err);

/* The ES_PROBE_ bits that a question needs, beside pinned memory and streams that can be held. */
unsigned contention_needs(calib_question question);
contention_answer contention_of(const calib_samples *samples, calib_question question);
/* Of the rate while both run, above 0 and at most 1; `fixed_ns` of either time is not work and is not slowed. */
double contention_factor(const contention_answer *answer, double fixed_ns);
/* ns of one of the WAITING questions, the median and not below 0; false: not asked. */
bool contention_handover(const calib_samples *samples, calib_question question, double *ns);
/* Did the small copy wait for the large one? */
bool contention_waits(const contention_answer *answer);

enum { CONTENTION_STREAMS = 4 };            /* 1, 2, 4 and 8 of them */

typedef struct contention_streams {
    bool asked;                             /* with all numbers of streams */
    double first[CONTENTION_STREAMS], last[CONTENTION_STREAMS];     /* ns: medians of when the first and the last copy ended */
    bool together;                          /* eight copies ended at about the same time: they share; else one after another */
    unsigned lanes;                         /* streams from which more make it no faster, but for a tenth */
} contention_streams;

/* `one`: CALIB_H2D_STREAMS_1 or CALIB_D2H_STREAMS_1; `fixed_ns` of a copy is no work and does not count to what they gain. */
contention_streams contention_streams_of(const calib_samples *samples, calib_question one, double fixed_ns);

#endif
