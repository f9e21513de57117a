/* Selftest: conformance cases that ship inside the tool.
 *
 * Each case is a tiny trace, a config and the integers that must come out; the untimed ones are derived by an independent
 * reference (tests/oracle/selftest_reference.py), the timed ones by the sum written beside them. With settings on top, the same
 * cases judge a plug-in; as JSON they are a table with which any other simulator can be compared. */
#ifndef ES_STUDY_SELFTEST_H
#define ES_STUDY_SELFTEST_H

#include "sim/base/json.h"

/* A trace is a text: a word per token, "D3,0|1" is a decode token that uses experts 3 and 0 in layer 0 and expert 1 in layer 1.
 * P is a prompt token; the prompt tokens of a request are one step, and a P behind a D begins the next request. "D0|1~2,0": for
 * layer 1, experts 2 and 0 were predicted. */
typedef struct es_selftest_case {
    const char *name, *trace;
    const char *sum;            /* how one arrives at the figures by hand; NULL: by the reference */
    bool timed;                 /* on the machine with a clock, else on the one without */
    const char *sets[5];        /* "PATH=VALUE" on top of the machine, ends with NULL */
    const char *want;           /* "cache.hits 12, time.total_s 130ns": keys of the result */
} es_selftest_case;

extern const es_selftest_case es_selftest_cases[];
extern const size_t es_selftest_case_count;
/* The machine of the untimed cases: 4 slots before an unbounded home, lru. Of the timed ones: the same with one link, on which
 * a copy takes 100 ns, and a gpu that takes 10 ns per layer and 20 ns per expert. */
extern const char es_selftest_untimed[], es_selftest_timed[];

typedef struct es_selftest_ask {
    const char *const *names;   size_t name_count;  /* only cases whose name has one of these in it; none: all */
    const char *const *sets;    size_t set_count;   /* settings for every case */
} es_selftest_ask;

/* Runs the cases: {"cases": [{name, trace, settings, config, expected, found, ok}], "passed", "failed"}. ES_ECHECK when one failed;
 * *out is whole in that case. */
es_code es_selftest(const es_selftest_ask *ask, es_json **out, es_err *err);

#endif
