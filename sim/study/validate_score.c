/* Validate, score: the times of a mode made into errors, floors, acceptance and ranking. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/agreement.h"
#include "sim/study/validate_inside.h"

enum { SCORE_STEPS = 512 };     /* kept of a log */

typedef enum step_class { STEP_ALL_HIT, STEP_DRAM_MISS, STEP_DISK_MISS, STEP_CLASSES } step_class;

static const char *const class_names[STEP_CLASSES] = {"all_hit", "dram_miss", "disk_miss"};

/* Times of some of a candidate's steps or rows, run after run; free() model. */
typedef struct columns {
    int64_t *model;             /* [count], and behind them the performances and the draws */
    es_repeats measured, drawn; /* [runs][count]; drawn: the model with noise, or the model again where none is known */
} columns;

static es_code columns_new(columns *c, size_t runs, size_t count, es_err *err)
{
    c->model = calloc((2 * runs + 1) * count + 1, sizeof *c->model);
    if (!c->model)
        return es_err_nomem(err, "the times of a class");
    c->measured = (es_repeats){c->model + count, runs, count};
    c->drawn = (es_repeats){c->model + (runs + 1) * count, runs, count};
    return ES_OK;
}

/* Which times the b-th block of columns has: the model's, the performances', the draws'. */
static const int64_t *block_steps(const validate_candidate *c, size_t b)
{
    const size_t steps = (size_t)c->log.steps;
    return b <= c->runs ? c->step_ns + b * steps : c->drawn_ns ? c->drawn_ns + (b - c->runs - 1) * steps : c->step_ns;
}

static const es_action_time *block_rows(const validate_candidate *c, size_t b)
{
    return b <= c->runs ? c->row + b * c->log.count : c->drawn_row ? c->drawn_row + (b - c->runs - 1) * c->log.count : c->row;
}

/* ---- what a step is ---- */

/* [steps] its class: the slowest way that something of it came. */
static es_code classes_of(const es_actions *log, unsigned char **out, es_err *err)
{
    unsigned char *class = *out = calloc((size_t)log->steps + 1, 1);
    if (!class)
        return es_err_nomem(err, "the classes of steps");
    for (size_t i = 0; i < log->count; i++) {
        const es_action *row = &log->at[i];
        const unsigned char is = row->op == ES_ACTION_DISK_READ ? STEP_DISK_MISS : row->op == ES_ACTION_H2D ? STEP_DRAM_MISS : STEP_ALL_HIT;
        if (row->step >= 0 && is > class[row->step])
            class[row->step] = is;
    }
    return ES_OK;
}

/* `of` -1: all steps. */
static es_code columns_steps(const validate_candidate *c, const unsigned char *class, int of, columns *out, es_err *err)
{
    const size_t steps = (size_t)c->log.steps;
    size_t at = 0, count = 0;
    for (size_t s = 0; s < steps; s++)
        count += of < 0 || class[s] == of;
    es_code code = columns_new(out, c->runs, count, err);
    for (size_t b = 0; b <= 2 * c->runs && code == ES_OK; b++)
        for (size_t s = 0; s < steps; s++)
            if (of < 0 || class[s] == of)
                out->model[at++] = block_steps(c, b)[s];
    return code;
}

/* How long each row of an op was served. */
static es_code columns_rows(const validate_candidate *c, int op, columns *out, es_err *err)
{
    const size_t rows = c->log.count;
    size_t at = 0, count = 0;
    for (size_t i = 0; i < rows; i++)
        count += c->log.at[i].op == op;
    es_code code = columns_new(out, c->runs, count, err);
    for (size_t b = 0; b <= 2 * c->runs && code == ES_OK; b++)
        for (size_t i = 0; i < rows; i++)
            if (c->log.at[i].op == op)
                out->model[at++] = block_rows(c, b)[i].end - block_rows(c, b)[i].start;
    return code;
}

/* ---- what they come to ---- */

static double total_of(const int64_t *ns, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)ns[i];
    return sum;
}

static double bias_of(double model, double measured)
{
    return (model < measured ? -1.0 : 1.0) * es_agreement_off(model, measured);
}

static void spread_json(es_json *out, const char *key, es_spread spread)
{
    es_json *object = es_json_add_object(out, key);
    es_json_add_real(object, "median", spread.median);
    es_json_add_real(object, "p95", spread.p95);
}

/* The mean of the totals of several runs. */
static double mean_of(const es_repeats *of)
{
    return total_of(of->ns, of->runs * of->steps) / (double)of->runs;
}

/* Count, totals, bias, error and floor of some columns; the bias and both spreads are told too. Totals are means, to which stalls belong, and the
 * model's have its noise; the error of a step is that of the model without. */
static es_code score_columns(const columns *c, es_json *out, es_agreement *told, es_err *err)
{
    const double measured = mean_of(&c->measured), drawn = mean_of(&c->drawn);
    if (!es_agreement_floor(&c->measured, &told->floor) || !es_agreement_error(c->model, &c->measured, &told->error))
        return es_err_nomem(err, "the errors of a log");
    told->bias = bias_of(drawn, measured);
    es_json_add_int(out, "count", (int64_t)c->measured.steps);
    es_json_add_real(out, "measured_s", measured / 1e9);
    es_json_add_real(out, "simulated_s", total_of(c->model, c->measured.steps) / 1e9);
    es_json_add_real(out, "drawn_s", drawn / 1e9);
    es_json_add_real(out, "bias", told->bias);
    spread_json(out, "error", told->error);
    spread_json(out, "floor", told->floor);
    return ES_OK;
}

static es_spread score_quantiles(const es_repeats *of, double *room)
{
    const size_t all = of->runs * of->steps;
    for (size_t i = 0; i < all; i++)
        room[i] = (double)of->ns[i];
    return es_agreement_spread(room, all);
}

/* The quantiles of the model's draws beside those of the performances, and the median gap of the distributions, run by run. */
static es_code score_distribution(const columns *c, es_agreement *told, es_err *err)
{
    const size_t steps = c->measured.steps, runs = c->measured.runs;
    double *room = malloc((steps * runs + runs + 1) * sizeof *room);
    if (!room)
        return es_err_nomem(err, "a distribution");
    double *gap = room + steps * runs;
    bool failed = false;
    for (size_t r = 0; r < runs; r++) {
        gap[r] = es_agreement_ks(c->drawn.ns + r * steps, steps, c->measured.ns + r * steps, steps);
        failed |= gap[r] < 0.0;
    }
    const es_spread real = score_quantiles(&c->measured, room), simulated = score_quantiles(&c->drawn, room);
    told->ks = es_agreement_spread(gap, runs).median;
    told->ks_critical = es_agreement_ks_critical(steps, steps);
    told->p50 = bias_of(simulated.median, real.median);
    told->p95 = bias_of(simulated.p95, real.p95);
    free(room);
    return failed ? es_err_nomem(err, "a distribution") : ES_OK;
}

static es_code score_classes(const validate_candidate *c, const unsigned char *class, es_json *out, double *worst, es_err *err)
{
    es_json *classes = es_json_add_object(out, "classes");
    es_code code = ES_OK;
    for (int k = 0; k < STEP_CLASSES && code == ES_OK; k++) {
        columns some = {0};
        es_agreement told = {0};
        code = columns_steps(c, class, k, &some, err);
        if (code == ES_OK && some.measured.steps > 0)
            code = score_columns(&some, es_json_add_object(classes, class_names[k]), &told, err);
        *worst = fmax(*worst, fabs(told.bias));
        free(some.model);
    }
    return code;
}

static es_code score_operations(const validate_candidate *c, es_json *out, es_err *err)
{
    es_json *operations = es_json_add_object(out, "operations");
    es_code code = ES_OK;
    for (int op = 0; op < ES_ACTION_QUEUES && code == ES_OK; op++) {
        columns some = {0};
        es_agreement told;
        code = columns_rows(c, op, &some, err);
        if (code == ES_OK && some.measured.steps > 0)
            code = score_columns(&some, es_json_add_object(operations, es_action_names[op]), &told, err);
        free(some.model);
    }
    return code;
}

/* Of the totals: their median, which a stall of one run does not move, and what one run differs from another. */
static es_code score_totals(const columns *c, es_ranked *ranked, es_spread *floor, es_err *err)
{
    int64_t *total = malloc((c->measured.runs + 1) * sizeof *total);
    if (!total)
        return es_err_nomem(err, "the totals");
    for (size_t r = 0; r < c->measured.runs; r++)
        total[r] = (int64_t)total_of(c->measured.ns + r * c->measured.steps, c->measured.steps);
    double *sorted = malloc((c->measured.runs + 1) * sizeof *sorted);
    for (size_t r = 0; sorted && r < c->measured.runs; r++)
        sorted[r] = (double)total[r];
    ranked->measured = sorted ? es_agreement_spread(sorted, c->measured.runs).median : 0.0;
    ranked->model = total_of(c->model, c->measured.steps);
    const bool fine = sorted && es_agreement_floor(&(es_repeats){total, c->measured.runs, 1}, floor);
    ranked->spread = floor->median;
    free(sorted);
    free(total);
    return fine ? ES_OK : es_err_nomem(err, "the totals");
}

/* Steps as they were simulated and measured (the median of the runs), some of them where there are many: for who wants to draw them. */
static es_code score_steps(const columns *c, es_json *out, es_err *err)
{
    const size_t steps = c->measured.steps, every = (steps + SCORE_STEPS - 1) / SCORE_STEPS;
    es_json *object = es_json_add_object(out, "steps"), *simulated = es_json_add_array(object, "simulated_s"), *measured = es_json_add_array(object, "measured_s");
    double *sorted = malloc((c->measured.runs + 1) * sizeof *sorted);
    for (size_t s = 0; s < steps && sorted; s += every) {
        for (size_t r = 0; r < c->measured.runs; r++)
            sorted[r] = (double)c->measured.ns[r * steps + s];
        cJSON_AddItemToArray(simulated, cJSON_CreateNumber((double)c->model[s] / 1e9));
        cJSON_AddItemToArray(measured, cJSON_CreateNumber(es_agreement_spread(sorted, c->measured.runs).median / 1e9));
    }
    const bool whole = sorted != NULL;
    free(sorted);
    return whole ? ES_OK : es_err_nomem(err, "the steps of a log");
}

static es_code score_candidate(const validate_candidate *c, bool virtual_machine, es_json *out, es_ranked *ranked, es_err *err)
{
    unsigned char *class = NULL;
    columns all = {0};
    es_agreement told = {0};
    es_spread repeats = {0};
    es_json_add_text(out, "policy", c->policy);
    es_code code = classes_of(&c->log, &class, err);
    if (code == ES_OK)
        code = columns_steps(c, class, -1, &all, err);
    if (code == ES_OK)
        code = score_columns(&all, out, &told, err);
    if (code == ES_OK)
        code = score_totals(&all, ranked, &repeats, err);
    if (code == ES_OK)
        code = score_distribution(&all, &told, err);
    if (code == ES_OK)
        code = score_steps(&all, out, err);
    if (code == ES_OK) {
        spread_json(out, "repeats", repeats);
        es_json_add_real(out, "ks", told.ks);
        es_json_add_real(out, "ks_critical", told.ks_critical);
        es_json_add_real(out, "p50", told.p50);
        es_json_add_real(out, "p95", told.p95);
        code = score_classes(c, class, out, &told.worst_class, err);
    }
    if (code == ES_OK)
        code = score_operations(c, out, err);
    if (code == ES_OK) {
        es_json *acceptance = es_json_add_object(out, "acceptance");
        for (int k = 0; k < ES_CRITERIA; k++)
            es_json_add_text(acceptance, (char[]){es_criteria[k], '\0'}, es_acceptance_names[es_agreement_judge(&told, es_criteria[k], virtual_machine)]);
    }
    free(class);
    free(all.model);
    return code;
}

/* ---- ranking ---- */

static void score_ranking(const validate_candidate *c, const es_ranked *ranked, size_t count, es_json *out)
{
    es_ranking r = es_agreement_rank(ranked, count);
    es_json *ranking = es_json_add_object(out, "ranking");
    es_json_add_int(ranking, "pairs", (int64_t)r.pairs);
    es_json_add_int(ranking, "ordered", (int64_t)r.ordered);
    es_json_add_int(ranking, "inverted", (int64_t)r.inverted);
    es_json_add_real(ranking, "tau", r.pairs ? r.tau : NAN);
    es_json_add_text(ranking, "acceptance", es_acceptance_names[!r.pairs ? ES_ACCEPT_INVALID : r.inverted ? ES_ACCEPT_FAIL : ES_ACCEPT_PASS]);
    es_json *inversions = es_json_add_array(ranking, "inversions");
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            bool apart, first = ranked[i].measured < ranked[j].measured;
            if (es_agreement_order(&ranked[i], &ranked[j], &apart) >= 0)
                continue;
            es_json *one = cJSON_CreateObject();
            cJSON_AddItemToArray(inversions, one);
            es_json_add_text(one, "faster", c[first ? i : j].policy);
            es_json_add_text(one, "slower", c[first ? j : i].policy);
        }
}

es_code validate_score(const validate_candidate *candidate, size_t count, bool virtual_machine, es_json *out, es_err *err)
{
    es_json *candidates = es_json_add_array(out, "candidates");
    es_ranked *ranked = calloc(count, sizeof *ranked);
    es_code code = candidates && ranked ? ES_OK : es_err_nomem(err, "a mode");
    for (size_t i = 0; i < count && code == ES_OK; i++) {
        es_json *one = cJSON_CreateObject();
        cJSON_AddItemToArray(candidates, one);
        code = one ? score_candidate(&candidate[i], virtual_machine, one, &ranked[i], err) : es_err_nomem(err, "a candidate");
    }
    if (code == ES_OK)
        score_ranking(candidate, ranked, count, out);
    free(ranked);
    return code;
}
