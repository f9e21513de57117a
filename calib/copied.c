/* Copied: see copied.h. */
#include "calib/copied.h"

#include <math.h>

#include "calib/expert.h"
#include "calib/solve.h"
#include "models/profile_fit.h"

#define COPIED_DIGITS 1e3       /* more are noise */

/* ---- what is measured ---- */

size_t copied_between(int64_t cache_bytes, bool quick, int64_t bytes[COPIED_DISTANCES])
{
    size_t count = 0;
    for (size_t i = 0; i < COPIED_DISTANCES; i += quick ? 2 : 1)
        bytes[count++] = cache_bytes >> (COPIED_DISTANCES - 1 - i);
    return count;
}

int64_t copied_expert(int64_t cache_bytes, int64_t unit)
{
    int64_t bytes = cache_bytes / 8 / unit * unit;
    return bytes > unit ? bytes : unit;
}

/* ---- how it fades ---- */

double copied_distance(const batch_point *point)
{
    return 2.0 * 1024.0 * point->count;
}

size_t copied_medians(const calib_series *series, batch_point *point, es_arena *arena)
{
    double issue;
    const size_t count = series->count ? batch_points(series, point, &issue, arena) : 0;
    for (size_t i = 1; i < count; i++) {
        batch_point moved = point[i];
        size_t at = i;
        for (; at > 0 && point[at - 1].count > moved.count; at--)
            point[at] = point[at - 1];
        point[at] = moved;
    }
    return count;
}

static double points_mean(const batch_point *point, size_t from, size_t to)
{
    double sum = 0.0;
    for (size_t i = from; i <= to; i++)
        sum += point[i].ns;
    return sum / (double)(to - from + 1);
}

/* What falls with the distance is noise: the i-th of the rising times that are nearest to these by least squares (isotonic regression by its
 * max-min formula; Robertson, Wright and Dykstra 1988). */
static double points_risen(const batch_point *point, size_t count, size_t i)
{
    double most = 0.0;
    for (size_t from = 0; from <= i; from++) {
        double least = points_mean(point, from, i);
        for (size_t to = i + 1; to < count; to++)
            least = fmin(least, points_mean(point, from, to));
        most = fmax(most, least);
    }
    return most;
}

/* ---- the profile ---- */

static void copied_points(const calib_expert *expert, const char *key, es_json *out)
{
    es_json *points = es_json_add_array(out, key);
    for (size_t i = 0; i < expert->curves; i++)
        for (size_t k = 0; k < expert->curve[i].sizes; k++) {
            es_json *point = cJSON_CreateObject();
            cJSON_AddItemToArray(points, point);
            es_json_add_int(point, "tokens", (int64_t)expert->curve[i].tokens);
            es_json_add_quantity(point, "bytes", expert->curve[i].bytes[k], ES_UNIT_BYTES);
            es_json_add_quantity(point, "time", fmax(1.0, (double)es_ns_round(expert->curve[i].ns[k])), ES_UNIT_TIME);
        }
}

static const calib_series *series_named(const calib_samples *samples, const char *row)
{
    return &samples->row[calib_row_find(row) - calib_rows];
}

/* What the expert that gpu.faded was measured with takes by other rows, for one token; 0: nobody measured that. */
static double copied_once(const calib_expert *expert, const calib_series *faded)
{
    return expert->curves && expert->curve[0].tokens == 1.0 && faded->count ? calib_expert_ns(&expert->curve[0], (double)faded->at[0].bytes) : 0.0;
}

/* [{"bytes": ..., "saved": ...}], from the first distance to the one at which nothing is left. False: the copy saves next to nothing anyway. */
static bool copied_fades(const calib_series *faded, double cold_ns, double first_ns, es_json *out, es_arena *arena)
{
    batch_point point[SOLVE_ROWS];
    const size_t count = copied_medians(faded, point, arena);
    if (count == 0 || !(first_ns > 0.0 && first_ns < (1.0 - COPIED_SAVES) * cold_ns))
        return false;
    es_json *fades = es_json_add_array(out, "fades");
    double saved = 1.0;
    for (size_t i = 0; i < count && saved > 0.0; i++) {
        es_json *fade = cJSON_CreateObject();
        saved = fmax(0.0, fmin(1.0, (cold_ns - points_risen(point, count, i)) / (cold_ns - first_ns)));
        saved = saved < COPIED_SAVES ? 0.0 : floor(saved * COPIED_DIGITS + 0.5) / COPIED_DIGITS;
        es_json_add_quantity(fade, "bytes", copied_distance(&point[i]), ES_UNIT_BYTES);
        es_json_add_real(fade, "saved", saved);
        cJSON_AddItemToArray(fades, fade);
    }
    return true;
}

static bool copied_takes(const calib_expert *expert, const char *row, es_text *told)
{
    if (!(expert->error_holdout > ES_FIT_REFUSED))
        return true;
    es_text_add(told, "%s: left out: sizes held out of the fit are off by %.1f %% (median); such experts cost as much as others\n", row, 100.0 * expert->error_holdout);
    return false;
}

es_code copied_report(const calib_samples *samples, es_json *machine, es_text *told, es_err *err)
{
    es_arena arena = {0};
    es_json *gpu = es_json_at(machine, "compute.gpu");
    calib_expert *cold = ES_NEW(&arena, calib_expert), *expert = ES_NEW(&arena, calib_expert);
    const calib_series *faded = series_named(samples, "gpu.faded");
    es_code code = cold && expert ? calib_expert_fit(cold, series_named(samples, "gpu.expert"), &arena, err) : es_err_nomem(err, "an expert that was copied");
    if (code == ES_OK)
        code = calib_expert_fit(expert, series_named(samples, "gpu.copied"), &arena, err);
    es_json *out = cJSON_CreateObject();
    if (code == ES_OK && gpu && expert->curves && copied_fades(faded, copied_once(cold, faded), copied_once(expert, faded), out, &arena) &&
        copied_takes(expert, "gpu.copied", told)) {
        copied_points(expert, "points", out);
        code = calib_expert_fit(expert, series_named(samples, "gpu.handed"), &arena, err);
        if (code == ES_OK && expert->curves && copied_takes(expert, "gpu.handed", told))
            copied_points(expert, "handed", out);
        cJSON_AddItemToObject(gpu, "copied", out);
        out = NULL;
    }
    cJSON_Delete(out);
    es_arena_free(&arena);
    return code;
}
