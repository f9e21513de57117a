/* Validate, drift: short recalibrations between the runs. The same few rows of the logs, copies and gemms, each alone in a step of its own, are
 * performed before every round of the logs and after the last, and set beside what the model says of them. What they differ from one another is the
 * machine that drifts; what all of them differ from the model is a profile that is not of this machine as it is today; neither is the model's fault. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/agreement.h"
#include "sim/study/retime.h"
#include "sim/study/validate_inside.h"

enum { DRIFT_ROWS = 8 };        /* of each op */

static const int drift_ops[] = {ES_ACTION_DISK_READ, ES_ACTION_H2D, ES_ACTION_GEMM};
enum { DRIFT_OPS = sizeof drift_ops / sizeof *drift_ops };

/* ---- which rows ---- */

/* A step of its own, that waits for nothing. */
static void drift_add(es_actions *out, const es_action *row)
{
    es_action *one = &out->at[out->count++];
    *one = *row;
    one->step = out->steps++;
    one->afters = 0;
}

/* The read that filled the slot that a copy is taken from; NULL: it was there from the start. */
static const es_action *drift_filled(const es_actions *log, size_t copy)
{
    const es_action *row = &log->at[copy];
    for (size_t i = copy; i-- > 0;)
        if (log->at[i].op < ES_ACTION_GEMM && log->at[i].place == ES_PLACE_HOST && log->at[i].slot == row->source)
            return log->at[i].op == ES_ACTION_DISK_READ ? &log->at[i] : NULL;
    return NULL;
}

/* Nothing of what was chosen before is in this slot: a gemm of it would find it in a cache, and a copy into it the wrong one behind it. */
static bool drift_free(const es_actions *chosen, const es_action *row)
{
    for (size_t i = 0; i < chosen->count; i++)
        if (chosen->at[i].place == row->place && chosen->at[i].slot == row->slot)
            return false;
    return true;
}

/* Some of a log's rows of one op, from all its length, at most for half the slots of the device; copies before gemms, so that these are of slots that were not used for long. */
static void drift_choose(es_actions *out, const es_actions *log, int op)
{
    const size_t half = log->slots[ES_PLACE_DEVICE] / 2, most = half < DRIFT_ROWS ? half + !half : DRIFT_ROWS;
    size_t all = 0, seen = 0, taken = 0;
    for (size_t i = 0; i < log->count; i++)
        all += log->at[i].op == op && log->at[i].step >= 0;
    for (size_t i = 0; i < log->count && taken < most; i++) {
        const es_action *row = &log->at[i];
        if (row->op != op || row->step < 0 || seen++ * most < taken * all || !drift_free(out, row))
            continue;
        const es_action *filled = op == ES_ACTION_H2D ? drift_filled(log, i) : NULL;
        if (filled && !drift_free(out, filled))
            continue;
        if (filled)
            drift_add(out, filled);
        drift_add(out, row);
        taken++;
    }
}

static es_code drift_log(es_actions *out, const es_actions *log, es_err *err)
{
    *out = *log;
    out->count = 0;
    out->steps = 0;
    out->room = 3 * DRIFT_ROWS;
    if (!(out->at = calloc(out->room, sizeof *out->at)))
        return es_err_nomem(err, "the rows of a recalibration");
    drift_choose(out, log, ES_ACTION_H2D);
    drift_choose(out, log, ES_ACTION_GEMM);
    return ES_OK;
}

/* ---- performing ---- */

es_code validate_drift_open(validate_drift *d, const validate_candidate *c, size_t runs, es_err *err)
{
    *d = (validate_drift){0};
    es_code code = drift_log(&d->log, &c->log, err);
    const size_t rows = d->log.count + 1, steps = (size_t)d->log.steps + 1;
    d->row = code == ES_OK ? calloc((runs + 1) * rows, sizeof *d->row) : NULL;
    d->step_ns = calloc(steps, sizeof *d->step_ns);
    d->host_ns = calloc(steps, sizeof *d->host_ns);
    if (code == ES_OK && (!d->row || !d->step_ns || !d->host_ns))
        code = es_err_nomem(err, "the times of a recalibration");
    return code;
}

void validate_drift_close(validate_drift *d)
{
    es_actions_free(&d->log);
    free(d->row);
    free(d->step_ns);
    free(d->host_ns);
}

es_action_run validate_drift_run(validate_drift *d, size_t run)
{
    return (es_action_run){d->row + run * d->log.count, d->step_ns, d->host_ns};
}

es_code validate_drift_model(validate_drift *d, const es_plan *plan, bool overlapped, bool computes, es_err *err)
{
    es_retime *model = NULL;
    es_action_run run = validate_drift_run(d, 0);
    es_code code = es_retime_open(&model, plan, 0, err);
    if (code == ES_OK)
        code = es_retime_run(model, &d->log, &(es_retime_ask){.overlapped = overlapped, .computes = computes}, &run, err);
    es_retime_free(model);
    return code;
}

/* ---- what they come to ---- */

/* What the machine takes of what the model says, the median over the rows of one op in one run. */
static double drift_ratio(const validate_drift *d, int op, size_t run, size_t *rows)
{
    double ratio[3 * DRIFT_ROWS];
    *rows = 0;
    for (size_t i = 0; i < d->log.count; i++) {
        const es_action_time *model = &d->row[i], *measured = &d->row[run * d->log.count + i];
        if (d->log.at[i].op == op && model->end > model->start)
            ratio[(*rows)++] = (double)(measured->end - measured->start) / (double)(model->end - model->start);
    }
    return es_agreement_spread(ratio, *rows).median;
}

static es_code drift_op(const validate_drift *d, int op, size_t runs, es_json *out, es_err *err)
{
    size_t rows = 0;
    double least = INFINITY, most = 0.0, *ratio = calloc(runs + 1, sizeof *ratio);
    if (!ratio)
        return es_err_nomem(err, "a recalibration");
    for (size_t r = 0; r < runs; r++) {
        ratio[r] = drift_ratio(d, op, r + 1, &rows);
        least = fmin(least, ratio[r]);
        most = fmax(most, ratio[r]);
    }
    if (rows > 0 && least > 0.0) {
        es_json *one = es_json_add_object(out, es_action_names[op]), *list = es_json_add_array(one, "measured_by_model");
        es_json_add_int(one, "rows", (int64_t)rows);
        for (size_t r = 0; r < runs; r++)
            cJSON_AddItemToArray(list, cJSON_CreateNumber(ratio[r]));
        es_json_add_real(one, "bias", 1.0 / es_agreement_spread(ratio, runs).median - 1.0);
        es_json_add_real(one, "drift", most / least - 1.0);
    }
    free(ratio);
    return ES_OK;
}

es_code validate_drift_score(const validate_drift *d, size_t runs, es_json *out, es_err *err)
{
    es_json *drift = es_json_add_object(out, "recalibration");
    es_code code = drift ? ES_OK : es_err_nomem(err, "a recalibration");
    for (int i = 0; i < DRIFT_OPS && code == ES_OK; i++)
        code = drift_op(d, drift_ops[i], runs, drift, err);
    return code;
}
