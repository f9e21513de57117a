/* Profile fit: see profile_fit.h. */
#include "models/profile_fit.h"

#include <math.h>

typedef struct fit_fields {
    es_fit fit;
    const es_json *error, *ci95, *noise, *batch;
    int64_t samples, sizes, largest, open;
    const char *stop;
    int bic_model;
} fit_fields;

static const char *const fit_models[] = {"affine", "knee", "jump", "knees", "pages", NULL};
static const size_t fit_knees[] = {0, 1, 1, 2, 1};

#define FIELD(member) offsetof(fit_fields, member)
#define SECONDS(word, field, text) {.name = word, .type = ES_OPT_REAL, .offset = FIELD(field), .max = 1e9, .unit = "s", .help = text}
#define SHARE(word, field, text) {.name = word, .type = ES_OPT_REAL, .offset = offsetof(es_fit, field), .max = 1e6, .help = text}

const es_option es_fit_options[] = {
    {.name = "model", .type = ES_OPT_ENUM, .offset = FIELD(fit.model), .choices = fit_models, .required = true,
        .help = "affine: alpha + n / beta; knee, knees: the rate changes at sizes; jump: rate and fixed time do; pages: what fills whole pages of knee_B goes at the second rate, the rest at the first."},
    {.name = "alpha_s", .type = ES_OPT_REAL, .offset = FIELD(fit.alpha_s), .max = 1e9, .unit = "s", .required = true, .help = "Fixed time of one copy."},
    SECONDS("alpha_beyond_s", fit.alpha_beyond_s, "Of a jump: the fixed time of copies beyond it."),
    {.name = "beta_Bps", .type = ES_OPT_REALS, .offset = FIELD(fit.beta), .min = 1, .max = 1e18, .unit = "bytes per second", .required = true, .help = "Rate of each piece."},
    {.name = "knee_B", .type = ES_OPT_REALS, .offset = FIELD(fit.knee), .min = 1, .max = 0x1p53, .unit = "bytes", .help = "Sizes from which the next piece holds."},
    {.name = "n_half_B", .type = ES_OPT_REAL, .offset = FIELD(fit.n_half), .max = 0x1p53, .unit = "bytes", .help = "Size at which half of the first rate is reached."},
    {.name = "error", .type = ES_OPT_JSON, .offset = FIELD(error), .help = "Relative errors: {median, p95, holdout_median}."},
    {.name = "ci95", .type = ES_OPT_JSON, .offset = FIELD(ci95), .help = "Intervals of 95 % from resampled rounds: {alpha_s, beta_Bps, knee_B}, [low, high] each."},
    {.name = "noise", .type = ES_OPT_JSON, .offset = FIELD(noise), .help = "{classes: [{below_B, samples, log_quantiles}], stall: {rate_Hz, samples, quantiles_s}}."},
    {.name = "bic_model", .type = ES_OPT_ENUM, .offset = FIELD(bic_model), .choices = fit_models, .help = "That Schwarz's criterion would take instead; affine too where nobody says."},
    {.name = "batch", .type = ES_OPT_JSON, .offset = FIELD(batch), .help = "Copies queued at once: {first_s, each_s, beta_Bps, issue_s, efficiency}."},
    {.name = "mean_over_median", .type = ES_OPT_REAL, .offset = FIELD(fit.mean_over_median), .def = 1, .max = 1e6, .help = "Mean time over median time: totals are larger than medians promise."},
    {.name = "samples", .type = ES_OPT_INT, .offset = FIELD(samples), .max = 0x1p53, .help = "Times measured."},
    {.name = "sizes", .type = ES_OPT_INT, .offset = FIELD(sizes), .max = 0x1p53, .help = "Sizes measured."},
    {.name = "largest_B", .type = ES_OPT_INT, .offset = FIELD(largest), .max = 0x1p53, .unit = "bytes", .help = "The largest of them, 0: not known; what is larger is extrapolated, which a summary says."},
    {.name = "stop", .type = ES_OPT_TEXT, .offset = FIELD(stop), .help = "Why no more was measured: precise, stable or budget."},
    {.name = "open", .type = ES_OPT_INT, .offset = FIELD(open), .max = 0x1p53, .help = "Sizes that the budget left unstable."},
    {0},
};

static const es_option error_options[] = {
    SHARE("median", error_median, "Of the medians of all sizes."),
    SHARE("p95", error_p95, "The same, 95 % quantile."),
    SHARE("holdout_median", error_holdout, "Of sizes that the fit had not seen; 0: too few sizes."),
    {0},
};

typedef struct batch_fields {
    double first_s, each_s, beta, issue_s, efficiency;
    bool slower;
} batch_fields;

#define BATCH(word, field, most, text) {.name = word, .type = ES_OPT_REAL, .offset = offsetof(batch_fields, field), .max = most, .help = text}
static const es_option batch_options[] = {
    BATCH("first_s", first_s, 1e9, "What a batch costs whatever is in it."),
    BATCH("each_s", each_s, 1e9, "What each copy of it costs beside its bytes."),
    BATCH("beta_Bps", beta, 1e18, "Rate of its bytes."),
    BATCH("issue_s", issue_s, 1e9, "What queueing one copy takes of the host."),
    BATCH("efficiency", efficiency, 1e6, "As many single copies over a batch; below 1: batching is slower."),
    {.name = "slower", .type = ES_OPT_BOOL, .offset = offsetof(batch_fields, slower), .help = "Batching is slower than single copies."},
    {0},
};

typedef struct noise_fields {
    double below, rate;
    int64_t samples;
    es_reals quantile;
    const es_json *classes, *stall;
} noise_fields;

static const es_option noise_options[] = {
    {.name = "classes", .type = ES_OPT_JSON, .offset = offsetof(noise_fields, classes), .required = true, .help = "By size."},
    {.name = "stall", .type = ES_OPT_JSON, .offset = offsetof(noise_fields, stall), .help = "Rare and long."},
    {0},
};

static const es_option class_options[] = {
    {.name = "below_B", .type = ES_OPT_REAL, .offset = offsetof(noise_fields, below), .max = 0x1p53, .help = "Sizes below it; 0: all that are left."},
    {.name = "samples", .type = ES_OPT_INT, .offset = offsetof(noise_fields, samples), .max = 0x1p53, .help = "Times measured."},
    {.name = "log_quantiles", .type = ES_OPT_REALS, .offset = offsetof(noise_fields, quantile), .min = -100, .max = 100, .required = true, .help = "Of ln(time / curve)."},
    {0},
};

static const es_option stall_options[] = {
    {.name = "rate_Hz", .type = ES_OPT_REAL, .offset = offsetof(noise_fields, rate), .max = 1e9, .required = true, .help = "Per second of operation."},
    {.name = "samples", .type = ES_OPT_INT, .offset = offsetof(noise_fields, samples), .max = 0x1p53, .help = "Stalls seen."},
    {.name = "quantiles_s", .type = ES_OPT_REALS, .offset = offsetof(noise_fields, quantile), .max = 1e9, .required = true, .help = "Of their lengths."},
    {0},
};

/* ---- checks ---- */

static es_code quantiles_check(const es_reals *q, const char *key, double least, es_err *err)
{
    if (q->count != ES_FIT_QUANTILES)
        return es_err_set(err, ES_EINPUT, "%s: has %zu numbers, needs %d: at 0, 1/32 ... 1", key, q->count, ES_FIT_QUANTILES);
    for (size_t i = 0; i < q->count; i++) {
        if (i > 0 && q->at[i] < q->at[i - 1])
            return es_err_set(err, ES_EINPUT, "%s: %g comes after %g; quantiles ascend", key, q->at[i], q->at[i - 1]);
        if (q->at[i] < least)
            return es_err_set(err, ES_EINPUT, "%s: %g is below %g, the least it may be", key, q->at[i], least);
    }
    return ES_OK;
}

static es_code noise_classes(es_fit *fit, const es_json *list, es_arena *arena, es_err *err)
{
    if (!cJSON_IsArray(list) || !list->child)
        return es_err_set(err, ES_EINPUT, "classes: needs a list of at least one class of sizes, found %s", cJSON_IsArray(list) ? "an empty one" : es_json_kind(list));
    es_fit_noise *noise = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), es_fit_noise);
    if (!noise)
        return es_err_nomem(err, "the noise of a fit");
    const es_json *item;
    cJSON_ArrayForEach(item, list) {
        noise_fields f = {0};
        es_code code = es_options_parse(class_options, &f, item, NULL, arena, err);
        if (code == ES_OK)
            code = quantiles_check(&f.quantile, "log_quantiles", -INFINITY, err);
        if (code == ES_OK && fit->noises && (noise[fit->noises - 1].below_bytes == 0.0 || (f.below > 0.0 && f.below <= noise[fit->noises - 1].below_bytes)))
            code = es_err_set(err, ES_EINPUT, "below_B: %g comes after %g; classes ascend, only the last has all that are left", f.below, noise[fit->noises - 1].below_bytes);
        if (code)
            return es_err_at(err, "classes.%zu", fit->noises), code;
        noise[fit->noises++] = (es_fit_noise){f.below, f.quantile};
    }
    fit->noise = noise;
    return ES_OK;
}

es_code es_fit_parse_noise(es_fit *fit, const es_json *object, es_arena *arena, es_err *err)
{
    noise_fields f = {0};
    es_code code = es_options_parse(noise_options, &f, object, NULL, arena, err);
    if (code == ES_OK)
        code = noise_classes(fit, f.classes, arena, err);
    if (code || !f.stall || cJSON_IsNull(f.stall))
        return code;
    noise_fields stall = {0};
    code = es_options_parse(stall_options, &stall, f.stall, NULL, arena, err);
    if (code == ES_OK)
        code = quantiles_check(&stall.quantile, "quantiles_s", 0.0, err);
    fit->stall_hz = stall.rate;
    fit->stall_s = stall.quantile;
    return code ? (es_err_at(err, "stall"), code) : ES_OK;
}

static es_code curve_check(const es_fit *fit, es_err *err)
{
    size_t knees = fit_knees[fit->model];
    if (fit->knee.count != knees)
        return es_err_set(err, ES_EINPUT, "knee_B: has %zu sizes, \"%s\" has %zu", fit->knee.count, fit_models[fit->model], knees);
    if (fit->beta.count != knees + 1)
        return es_err_set(err, ES_EINPUT, "beta_Bps: has %zu rates, needs one more than knee_B has sizes: %zu", fit->beta.count, knees + 1);
    if (knees == 2 && fit->knee.at[1] <= fit->knee.at[0])
        return es_err_set(err, ES_EINPUT, "knee_B: %g comes after %g; sizes ascend", fit->knee.at[1], fit->knee.at[0]);
    return ES_OK;
}

static es_code error_read(es_fit *fit, const es_json *object, bool forced, es_arena *arena, es_err *err)
{
    es_code code = es_options_parse(error_options, fit, object, NULL, arena, err);
    if (code == ES_OK && fit->error_holdout > ES_FIT_REFUSED && !forced)
        code = es_err_set(err, ES_EINPUT, "holdout_median: %g is above %g: sizes that the fit had not seen are off by more than can be simulated with; \"forced\": true lets it pass",
            fit->error_holdout, ES_FIT_REFUSED);
    return code;
}

es_code es_fit_parse_error(const es_json *object, es_arena *arena, es_err *err)
{
    es_fit fit = {0};
    return error_read(&fit, object, false, arena, err);
}

es_code es_fit_parse(es_fit *fit, const es_json *object, bool forced, es_arena *arena, es_err *err)
{
    fit_fields f = {0};
    batch_fields batch = {0};
    es_code code = es_options_parse(es_fit_options, &f, object, NULL, arena, err);
    if (code == ES_OK)
        code = curve_check(&f.fit, err);
    if (code == ES_OK && f.error && (code = error_read(&f.fit, f.error, forced, arena, err)) != ES_OK)
        es_err_at(err, "error");
    if (code == ES_OK && f.noise && (code = es_fit_parse_noise(&f.fit, f.noise, arena, err)) != ES_OK)
        es_err_at(err, "noise");
    if (code == ES_OK && f.batch && (code = es_options_parse(batch_options, &batch, f.batch, NULL, arena, err)) != ES_OK)
        es_err_at(err, "batch");
    f.fit.first_s = batch.first_s;
    f.fit.each_s = batch.each_s;
    if (code == ES_OK)
        *fit = f.fit;
    return code;
}

double es_fit_seconds(const es_fit *fit, double bytes)
{
    double seconds = fit->alpha_s, from = 0.0;
    if (fit->model == ES_FIT_PAGES) {
        double rest = fmod(bytes, fit->knee.at[0]);
        return fit->alpha_s + rest / fit->beta.at[0] + (bytes - rest) / fit->beta.at[1];
    }
    if (fit->model == ES_FIT_JUMP)
        return bytes < fit->knee.at[0] ? fit->alpha_s + bytes / fit->beta.at[0] : fit->alpha_beyond_s + bytes / fit->beta.at[1];
    for (size_t i = 0; i < fit->beta.count && bytes > from; i++) {
        double to = i < fit->knee.count ? fmin(bytes, fit->knee.at[i]) : bytes;
        seconds += (to - from) / fit->beta.at[i];
        from = to;
    }
    return seconds;
}
