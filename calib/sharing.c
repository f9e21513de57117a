/* Sharing: see sharing.h. */
#include "calib/sharing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "calib/contention.h"

#define SHARING_ALIKE 0.05      /* factors that differ by less are one */

/* ---- flows and units ---- */

/* To six digits: more are noise, and are read by people. */
static double sharing_rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", value);
    return strtod(text, NULL);
}

static es_json *sharing_child(es_json *object, const char *name)
{
    es_json *child = cJSON_GetObjectItemCaseSensitive(object, name);
    return child ? child : es_json_add_object(object, name);
}

/* ns of a copy that are no work, as it was fitted; 0: not known. */
static double sharing_fixed(const es_json *object)
{
    const es_json *alpha = es_json_at(object, "fit.alpha_s");
    return cJSON_IsNumber(alpha) ? alpha->valuedouble * 1e9 : 0.0;
}

static double sharing_factor(const es_json *object, const contention_answer *answer)
{
    return contention_factor(answer, sharing_fixed(object));
}

/* `object` is slowed by `by`, where it was asked and the answer is more than noise. */
static void sharing_slowed(const calib_samples *samples, es_json *object, const char *by, calib_question question)
{
    contention_answer answer = contention_of(samples, question);
    if (object && answer.asked && answer.slower)
        es_json_add_real(sharing_child(object, "slowed_by"), by, sharing_rounded(sharing_factor(object, &answer)));
}

static void sharing_discipline(const calib_samples *samples, es_json *flow, calib_question question)
{
    contention_answer answer = contention_of(samples, question);
    if (flow && answer.asked)
        es_json_add_text(flow, "discipline", contention_waits(&answer) ? "fifo" : "shared");
}

static void sharing_waits(const calib_samples *samples, es_json *flow)
{
    static const struct { const char *key; calib_question question; } cases[] = {
        {"behind", CALIB_H2D_BEHIND}, {"first", CALIB_H2D_FIRST}, {"across", CALIB_D2H_ACROSS}, {"chunked", CALIB_H2D_CHUNKED}, {"spaced", CALIB_H2D_SPACED},
    };
    for (size_t i = 0; flow && i < sizeof cases / sizeof *cases; i++) {
        contention_answer answer = contention_of(samples, cases[i].question);
        if (answer.asked)
            es_json_add_bool(sharing_child(flow, "waits"), cases[i].key, contention_waits(&answer));
    }
}

/* Equal copies on several streams say by another way what the small copy behind a large one said. */
static void sharing_streams(const calib_samples *samples, const char *name, es_json *flow, calib_question one, calib_question behind, es_text *told)
{
    contention_streams streams = contention_streams_of(samples, one, sharing_fixed(flow));
    contention_answer answer = contention_of(samples, behind);
    if (!flow || !streams.asked)
        return;
    if (streams.lanes > 1)
        es_json_add_int(flow, "lanes", streams.lanes);
    if (answer.asked && contention_waits(&answer) == streams.together)
        es_text_add(told, "%s: a small copy behind a large one %s, but equal copies on 8 streams end %s: neither fifo nor shared describes it, the profile says %s\n", name,
            streams.together ? "waits for it" : "does not wait", streams.together ? "together" : "one after another", streams.together ? "fifo" : "shared");
}

/* What a queue takes to notice that another is done: a machine whose streams cannot wait has none. */
static void sharing_handover(const calib_samples *samples, es_json *object, calib_question question)
{
    double ns = 0.0;
    if (object && contention_handover(samples, question, &ns))
        es_json_add_quantity(object, "handover", (double)es_ns_round(ns), ES_UNIT_TIME);
}

/* A profile has one factor for what computes, that of one token; work on many tokens may need another. */
static void sharing_products(const calib_samples *samples, const char *name, const es_json *flow, calib_question computing, calib_question multiplying, es_text *told)
{
    contention_answer one = contention_of(samples, computing), many = contention_of(samples, multiplying);
    if (!flow || !one.asked || !many.asked || fabs(sharing_factor(flow, &one) - sharing_factor(flow, &many)) < SHARING_ALIKE)
        return;
    es_text_add(told, "%s: runs at %.0f %% of its rate beside experts of one token and at %.0f %% beside those of many; the profile has the first\n", name,
        100.0 * sharing_factor(flow, &one), 100.0 * sharing_factor(flow, &many));
}

/* ---- times ---- */

/* "h2d_behind": {"alone_s": ..., "together_s": ..., "slower": false} */
static void times_pair(const calib_samples *samples, es_json *machine, calib_question question)
{
    contention_answer answer = contention_of(samples, question);
    if (!answer.asked)
        return;
    es_json *out = sharing_child(sharing_child(machine, "contention"), calib_question_names[question]);
    es_json_add_real(out, "alone_s", sharing_rounded(answer.alone.median / 1e9));
    es_json_add_real(out, "together_s", sharing_rounded(answer.together.median / 1e9));
    es_json_add_bool(out, "slower", answer.slower);
}

/* "h2d_streams": {"streams": [1, 2, 4, 8], "first_s": [...], "last_s": [...]} */
static void times_streams(const calib_samples *samples, es_json *machine, calib_question one, const char *name)
{
    contention_streams streams = contention_streams_of(samples, one, 0.0);
    if (!streams.asked)
        return;
    es_json *out = sharing_child(sharing_child(machine, "contention"), name);
    es_json *count = es_json_add_array(out, "streams"), *first = es_json_add_array(out, "first_s"), *last = es_json_add_array(out, "last_s");
    for (int i = 0; i < CONTENTION_STREAMS; i++) {
        cJSON_AddItemToArray(count, cJSON_CreateNumber(1u << i));
        cJSON_AddItemToArray(first, cJSON_CreateNumber(sharing_rounded(streams.first[i] / 1e9)));
        cJSON_AddItemToArray(last, cJSON_CreateNumber(sharing_rounded(streams.last[i] / 1e9)));
    }
}

static void sharing_times(const calib_samples *samples, es_json *machine)
{
    for (int q = 0; q < CALIB_QUESTIONS; q++)
        if (q < CALIB_H2D_STREAMS_1 || q > CALIB_D2H_STREAMS_8)
            times_pair(samples, machine, (calib_question)q);
    times_streams(samples, machine, CALIB_H2D_STREAMS_1, "h2d_streams");
    times_streams(samples, machine, CALIB_D2H_STREAMS_1, "d2h_streams");
}

/* ---- all of it ---- */

/* On unified memory the link between host and device is the memory itself. */
void sharing_report(const calib_samples *samples, es_json *machine, es_text *told)
{
    es_json *links = cJSON_GetObjectItemCaseSensitive(machine, "links"), *gpu = es_json_at(machine, "compute.gpu");
    bool unified = es_json_at(links, "memory.h2d") || es_json_at(links, "memory.d2h");
    const char *to_device = unified ? "memory.h2d" : "pcie.h2d", *to_host = unified ? "memory.d2h" : "pcie.d2h";
    es_json *h2d = es_json_at(links, to_device), *d2h = es_json_at(links, to_host);
    contention_answer across = contention_of(samples, CALIB_D2H_ACROSS);
    sharing_discipline(samples, h2d, CALIB_H2D_BEHIND);
    sharing_discipline(samples, d2h, CALIB_D2H_BEHIND);
    sharing_waits(samples, h2d);
    sharing_streams(samples, to_device, h2d, CALIB_H2D_STREAMS_1, CALIB_H2D_BEHIND, told);
    sharing_streams(samples, to_host, d2h, CALIB_D2H_STREAMS_1, CALIB_D2H_BEHIND, told);
    sharing_slowed(samples, h2d, to_host, CALIB_H2D_OPPOSITE);
    sharing_slowed(samples, d2h, to_device, CALIB_D2H_OPPOSITE);
    sharing_slowed(samples, h2d, "gpu", CALIB_H2D_COMPUTING);
    sharing_slowed(samples, d2h, "gpu", CALIB_D2H_COMPUTING);
    sharing_slowed(samples, gpu, to_device, CALIB_EXPERT_COPYING);
    sharing_slowed(samples, gpu, to_host, CALIB_EXPERT_SENDING);
    sharing_handover(samples, h2d, CALIB_H2D_WAITING);
    sharing_handover(samples, d2h, CALIB_D2H_WAITING);
    sharing_handover(samples, gpu, CALIB_EXPERT_WAITING);
    sharing_handover(samples, es_json_at(links, "disk.read"), CALIB_READ_WAITING);
    sharing_products(samples, to_device, h2d, CALIB_H2D_COMPUTING, CALIB_H2D_MULTIPLYING, told);
    sharing_products(samples, to_host, d2h, CALIB_D2H_COMPUTING, CALIB_D2H_MULTIPLYING, told);
    sharing_times(samples, machine);
    if (across.asked && contention_waits(&across))
        es_text_add(told, "%s: a small copy to the host waits for a large one to the device: both ways have one engine; give them one channel\n",
            unified ? "memory" : "pcie");
}
