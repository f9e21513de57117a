/* Rig: one run put together by hand for a test: a trace in memory, a machine as rows, parts by name. No file is read or written.
 *
 *     rig r;
 *     rig_open(&r, 2, 8, 2, 0, 100);                  layers, experts, top_k, recorded guesses per row, tokens at most
 *     uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);     [layers][top_k], to be filled
 *     rig_tier(&r, "cache", "4slots", "gpu"); ...
 *     assert_int_equal(rig_run(&r), ES_OK);
 *     rig_close(&r);
 *
 * Mistakes of the test itself (an unknown part, a wrong option) end the program with a sentence. */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <stdio.h>

#include "sim/core/run.h"
#include "sim/part/registry.h"
#include "sim/part/timing.h"

enum { RIG_LAYERS = 64, RIG_TIERS = 4, RIG_CHANNELS = 8, RIG_LINKS = 8, RIG_OBSERVERS = 12, RIG_TUNERS = 4, RIG_JSON = 40 };

typedef struct rig_trace {
    es_trace_info info;
    uint32_t numbers[RIG_LAYERS];
    int64_t bytes[RIG_LAYERS];
    uint32_t tokens, most;
    es_token *token;
    uint16_t *ids, *guess;      /* [tokens][layers][top_k | guesses] */
    float *confidence, *weights; /* weights: [tokens][layers][top_k], NULL before the first rig_weights */
    uint32_t *first;            /* [steps + 1] first token of each step */
    uint64_t steps, at;
    uint64_t fail_at;           /* step at which the source reports an error; 0: never */
} rig_trace;

typedef struct rig {
    es_arena arena;
    rig_trace trace;
    es_plan plan;
    es_plan_tier tier[RIG_TIERS];
    es_plan_channel channel[RIG_CHANNELS];
    es_plan_link link[RIG_LINKS];
    es_plan_part observer[RIG_OBSERVERS];
    es_plan_part tuner[RIG_TUNERS];
    es_json *json[RIG_JSON];    /* freed by rig_close */
    size_t jsons;
    es_run *run;
    es_json *report;
    es_err err;
    size_t allocations[2];      /* of the run's arena before its first event and after its last */
} rig;

void rig_open(rig *r, uint32_t layers, uint32_t experts, uint32_t top_k, uint32_t guesses, uint32_t most_tokens);
/* One more token, in a step of its own or in that of the token before; returns its rows, all empty. */
uint16_t *rig_token(rig *r, uint32_t request, es_phase_of phase, bool same_step);
float *rig_weights(rig *r);     /* the gate weights of the last token, 0 until they are filled */
uint16_t *rig_guess(rig *r);    /* the recorded guesses of the last token */

es_plan_part rig_part(rig *r, es_kind kind, const char *name, const char *options, const char *path);
/* A part of the test's own, with a state of part->size. */
es_plan_part rig_own(const es_part *part, const void *state, const char *path);
es_plan_tier *rig_tier(rig *r, const char *name, const char *capacity, const char *compute);    /* capacity NULL: home */
es_plan_channel *rig_channel(rig *r, const char *name, const char *timing, const char *options);
es_plan_link *rig_link(rig *r, const char *from, const char *to, const char *channels);         /* "[\"link\"]"; NULL: free */
void rig_observe(rig *r, const char *name);
void rig_tune(rig *r, es_plan_part tuner);              /* one more tuner */
es_json *rig_json(rig *r, const char *text);
const char *rig_text(rig *r, const char *fmt, ...) ES_PRINTF(2, 3);
void *rig_room(rig *r, size_t count, size_t size);      /* zeroed, as long as the rig */

/* cache, gpu, host and one link whose copies take latency + bytes / rate; policy lru, demand first. */
void rig_plain(rig *r, bool timed, const char *capacity, const char *link_options, const char *gpu_options);

/* Assembles, runs, reports. The code of the first of these that fails; r->err says why. May be called once. */
es_code rig_run(rig *r);
const es_view *rig_view(const rig *r);
int64_t rig_count(const rig *r, const char *path);      /* a number of the report */
const char *rig_said(const rig *r, const char *path);   /* a text of the report */
/* The machine as one could write it into a config, and how the trace begins. */
void rig_print(const rig *r, FILE *out);
void rig_close(rig *r);

#endif
