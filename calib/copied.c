/* Copied: see copied.h. */
#include "calib/copied.h"

#include <math.h>

#include "calib/batch.h"
#include "calib/expert.h"
#include "calib/solve.h"
#include "models/profile_fit.h"

#define COPIED_SAVES 0.05       /* share of the time: less is noise */

/* ---- what is measured ---- */

size_t copied_between(int64_t cache_bytes, bool quick, int64_t bytes[COPIED_DISTANCES])
{
    static const int eighths[COPIED_DISTANCES] = {1, 2, 3, 4, 6, 8};
    size_t count = 0;
    for (size_t i = 0; i < COPIED_DISTANCES; i++)
        if (!quick || (eighths[i] & (eighths[i] - 1)) == 0)
            bytes[count++] = cache_bytes / 8 * eighths[i];
    return count;
}

int64_t copied_expert(int64_t cache_bytes, int64_t unit)
{
    int64_t bytes = cache_bytes / 32 / unit * unit;
    return bytes > unit ? bytes : unit;
}

/* ---- how near is near ---- */

static double point_distance(const batch_point *point)
{
    return 2.0 * (point->bytes + 1024.0 * point->count);
}

static void points_sort(batch_point *point, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        batch_point moved = point[i];
        size_t at = i;
        for (; at > 0 && point_distance(&point[at - 1]) > point_distance(&moved); at--)
            point[at] = point[at - 1];
        point[at] = moved;
    }
}

double copied_near(const calib_series *faded, double cold_ns, es_arena *arena)
{
    batch_point point[SOLVE_ROWS];
    double issue;
    size_t count = faded->count ? batch_points(faded, point, &issue, arena) : 0, at = 1;
    points_sort(point, count);
    if (count == 0 || !(point[0].ns < (1.0 - COPIED_SAVES) * cold_ns))
        return 0.0;
    const double half = 0.5 * (point[0].ns + cold_ns);
    while (at < count && point[at].ns < half)
        at++;
    if (at == count)
        return point_distance(&point[count - 1]);
    const batch_point *low = &point[at - 1], *high = &point[at];
    const double share = (half - low->ns) / (high->ns - low->ns), from = point_distance(low);
    return floor(from + share * (point_distance(high) - from));
}

/* ---- the profile ---- */

static void copied_quantity(es_json *object, const char *key, double value, es_unit unit)
{
    es_text text = {0};
    es_text_unit(&text, value, unit);
    es_json_add_text(object, key, text.at);
    es_text_free(&text);
}

static void copied_points(const calib_expert *expert, const char *key, es_json *out)
{
    es_json *points = es_json_add_array(out, key);
    for (size_t i = 0; i < expert->curves; i++)
        for (size_t k = 0; k < expert->curve[i].sizes; k++) {
            es_json *point = cJSON_CreateObject();
            cJSON_AddItemToArray(points, point);
            es_json_add_int(point, "tokens", (int64_t)expert->curve[i].tokens);
            copied_quantity(point, "bytes", expert->curve[i].bytes[k], ES_UNIT_BYTES);
            copied_quantity(point, "time", fmax(1.0, (double)es_ns_round(expert->curve[i].ns[k])), ES_UNIT_TIME);
        }
}

static const calib_series *series_named(const calib_samples *samples, const char *row)
{
    return &samples->row[calib_row_find(row) - calib_rows];
}

/* As an expert that nothing brought near is charged, for one token; 0: nobody measured that. */
static double copied_cold(const calib_expert *cold, const calib_series *faded)
{
    return cold->curves && cold->curve[0].tokens == 1.0 && faded->count ? calib_expert_ns(&cold->curve[0], (double)faded->at[0].bytes) : 0.0;
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
    const double near = code == ES_OK && gpu && expert->curves ? copied_near(faded, copied_cold(cold, faded), &arena) : 0.0;
    if (near > 0.0 && copied_takes(expert, "gpu.copied", told)) {
        es_json *out = es_json_add_object(gpu, "copied");
        copied_quantity(out, "near", near, ES_UNIT_BYTES);
        copied_points(expert, "points", out);
        code = calib_expert_fit(expert, series_named(samples, "gpu.handed"), &arena, err);
        if (code == ES_OK && expert->curves && copied_takes(expert, "gpu.handed", told))
            copied_points(expert, "handed", out);
    }
    es_arena_free(&arena);
    return code;
}
