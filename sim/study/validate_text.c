/* Validate, text: the result for people, at most 24 lines a mode; and whether all criteria are met. */
#include <stdio.h>
#include <string.h>

#include "sim/study/validate.h"

enum { TEXT_OPERATIONS = 5, TEXT_INVERSIONS = 3, TEXT_COLD = 4 };
#define TEXT_DISTURBED 0.01     /* of the time, as when calibrating: calib/report.c */
#define TEXT_DRIFTS 0.10        /* as of the floor: beyond it nothing can be said of the model */

static double number_at(const es_json *object, const char *path)
{
    const es_json *value = es_json_at(object, path);
    return cJSON_IsNumber(value) ? value->valuedouble : 0.0;
}

static const char *text_at(const es_json *object, const char *path)
{
    const es_json *value = es_json_at(object, path);
    return cJSON_IsString(value) ? value->valuestring : "unknown";
}

/* ---- for people ---- */

static void text_spreads(const es_json *row, es_text *out)
{
    const double measured = number_at(row, "measured_s"), medians = measured > 0.0 ? number_at(row, "simulated_s") / measured - 1.0 : 0.0;
    es_text_add(out, "%+7.1f (%+5.1f) %6.1f %6.1f %7.1f %6.1f", 100.0 * number_at(row, "bias"), 100.0 * medians, 100.0 * number_at(row, "error.median"), 100.0 * number_at(row, "error.p95"),
        100.0 * number_at(row, "floor.median"), 100.0 * number_at(row, "floor.p95"));
}

static void text_candidate(const es_json *row, es_text *out)
{
    const es_json *one;
    char mark[32] = "";
    es_text_add(out, "  %-12.12s %9.3f %7.1f %9.3f ", text_at(row, "policy"), 1e3 * number_at(row, "measured_s"), 100.0 * number_at(row, "repeats.median"),
        1e3 * number_at(row, "drawn_s"));
    text_spreads(row, out);
    es_text_add(out, "  %.2f ", number_at(row, "ks"));
    cJSON_ArrayForEach(one, es_json_at(row, "acceptance")) {
        const size_t used = strlen(mark);
        const char sign = *one->valuestring == 'p' ? '+' : *one->valuestring == 'f' ? '-' : '?';
        snprintf(mark + used, sizeof mark - used, " %.1s%c", one->string, sign);
    }
    es_text_add(out, "%s\n", mark);
}

static void text_part(const char *policy, const es_json *part, es_text *out)
{
    es_text_add(out, "  %-12.12s %-11s %5.0f %12.3f ", policy, part->string, number_at(part, "count"), 1e3 * number_at(part, "measured_s"));
    text_spreads(part, out);
    es_text_add(out, "\n");
}

/* Of the first candidate alone: the lines are few, and JSON has the others. */
static void text_parts(const es_json *candidates, es_text *out)
{
    const es_json *first = candidates->child, *part;
    int operations = 0;
    if (!first)
        return;
    es_text_add(out, "  classes of steps, and operations, of %-8.8s ms in all  bias %% (medians) error %% p95  floor %% p95\n", text_at(first, "policy"));
    cJSON_ArrayForEach(part, es_json_at(first, "classes"))
        text_part("steps", part, out);
    cJSON_ArrayForEach(part, es_json_at(first, "operations"))
        if (operations++ < TEXT_OPERATIONS)
            text_part("operations", part, out);
}

static void text_ranking(const es_json *ranking, es_text *out)
{
    const es_json *one;
    int shown = 0;
    if (number_at(ranking, "pairs") == 0.0)
        es_text_add(out, "  E ranking: invalid, no two candidates differ by more than the machine from itself\n");
    else
        es_text_add(out, "  E ranking: %s, Kendall tau %.2f of %.0f pairs that differ by more than the machine from itself\n", text_at(ranking, "acceptance"),
            number_at(ranking, "tau"), number_at(ranking, "pairs"));
    cJSON_ArrayForEach(one, es_json_at(ranking, "inversions"))
        if (shown++ < TEXT_INVERSIONS)
            es_text_add(out, "    %s is faster than %s, and the model says the contrary\n", text_at(one, "faster"), text_at(one, "slower"));
}

/* A profile is of memory that nothing has read lately. */
static void text_cache(const es_json *environment, es_text *out)
{
    double cache = number_at(environment, "cache_B"), slots = number_at(environment, "slots_B");
    if (!(slots < TEXT_COLD * cache))
        return;
    es_text_add(out, "  the slots of the device, ");
    es_text_bytes(out, slots);
    es_text_add(out, ", are within %d times the last-level cache, ", TEXT_COLD);
    es_text_bytes(out, cache);
    es_text_add(out, ": they are read faster than a profile of cold memory says\n");
}

/* What a machine that drifts differs from itself is nobody's error; what a profile is off by today is no error of the model around it. */
static void text_recalibration(const es_json *recalibration, es_text *out)
{
    const es_json *one;
    double most = 0.0;
    if (!recalibration || !recalibration->child)
        return;
    es_text_add(out, "  alone, between the runs:");
    cJSON_ArrayForEach(one, recalibration) {
        es_text_add(out, "%s %s bias %+.1f %%, drift %.1f %%", one == recalibration->child ? "" : ";", one->string, 100.0 * number_at(one, "bias"), 100.0 * number_at(one, "drift"));
        most = number_at(one, "drift") > most ? number_at(one, "drift") : most;
    }
    es_text_add(out, "%s\n", most > TEXT_DRIFTS ? "; the machine drifts" : "");
}

/* Of a machine whose time is its own there is neither. */
static void text_disturbed(const es_json *environment, es_text *out)
{
    const double steal = number_at(environment, "steal_s"), elapsed = number_at(environment, "elapsed_s");
    if (steal > TEXT_DISTURBED * elapsed)
        es_text_add(out, "disturbed: the host of this virtual machine took %.2g s of %.3g s from its processors (steal)\n", steal, elapsed);
}

/* Of long logs the first steps. */
static void text_timeline(const es_json *result, es_text *out)
{
    const es_json *steps;
    double drawn = number_at(result, "modes.0.candidates.0.count");
    cJSON_ArrayForEach(steps, es_json_at(result, "timeline.steps"))
        drawn = steps->valuedouble < drawn ? steps->valuedouble : drawn;
    es_text_add(out, "timeline of %.0f steps: %s; ui.perfetto.dev opens it\n", drawn, text_at(result, "timeline.path"));
}

void es_validate_text(const es_json *result, es_text *out)
{
    const es_json *mode, *one;
    cJSON_ArrayForEach(mode, es_json_at(result, "modes")) {
        es_text_add(out, "%s: %.0f steps, %.0f times in turns, on %s%s%s\n", text_at(mode, "mode"), number_at(mode, "candidates.0.count"), number_at(result, "repeat"),
            text_at(result, "environment.device"), cJSON_IsTrue(es_json_at(mode, "computes")) ? "" : ", which computes no experts",
            cJSON_IsTrue(es_json_at(result, "noise")) ? "; totals and KS with the noise of the profile" : "");
        es_text_add(out, "  held out: trace %s, policy %s, size %s, cache %s\n", text_at(result, "held_out.trace"), text_at(result, "held_out.policy"),
            text_at(result, "held_out.size"), text_at(result, "held_out.cache"));
        text_cache(es_json_at(result, "environment"), out);
        es_text_add(out, "  policy       measured   +- %%  simulated  bias %% (medians) error %% p95  floor %% p95     KS  + met, - not, ? floor too high\n");
        cJSON_ArrayForEach(one, es_json_at(mode, "candidates"))
            text_candidate(one, out);
        text_parts(es_json_at(mode, "candidates"), out);
        text_recalibration(es_json_at(mode, "recalibration"), out);
        text_ranking(es_json_at(mode, "ranking"), out);
    }
    text_disturbed(es_json_at(result, "environment"), out);
    if (es_json_at(result, "timeline"))
        text_timeline(result, out);
}

/* ---- verdict ---- */

es_code es_validate_verdict(const es_json *result, es_err *err)
{
    const es_json *mode, *one, *criterion;
    es_text failed = {0};
    cJSON_ArrayForEach(mode, es_json_at(result, "modes")) {
        cJSON_ArrayForEach(one, es_json_at(mode, "candidates")) {
            int of = 0;
            cJSON_ArrayForEach(criterion, es_json_at(one, "acceptance"))
                if (strcmp(criterion->valuestring, "fail") == 0)
                    es_text_add(&failed, "%s%s", of++ ? ", " : failed.at ? "; " : "", criterion->string);
            if (of)
                es_text_add(&failed, " of %s %s", text_at(one, "policy"), text_at(mode, "mode"));
        }
        if (strcmp(text_at(mode, "ranking.acceptance"), "fail") == 0)
            es_text_add(&failed, "%sE %s", failed.at ? "; " : "", text_at(mode, "mode"));
    }
    es_code code = failed.failed ? es_err_nomem(err, "a verdict") : ES_OK;
    if (code == ES_OK && failed.at)
        code = es_err_set(err, ES_ECHECK, "validate: the model is not as near to this machine as it should be: %s", failed.at);
    es_text_free(&failed);
    return code;
}
