/* Report tables: see report_tables.h. Medians by size or by count; times in seconds, sizes in bytes. */
#include "calib/report_tables.h"

#include <string.h>

#include "calib/batch.h"
#include "calib/expert.h"
#include "calib/solve.h"

static es_json *child_of(es_json *object, const char *name)
{
    es_json *child = cJSON_GetObjectItemCaseSensitive(object, name);
    return child ? child : es_json_add_object(object, name);
}

static void list_add(es_json *object, const char *key, double value)
{
    es_json *list = cJSON_GetObjectItemCaseSensitive(object, key);
    cJSON_AddItemToArray(list ? list : es_json_add_array(object, key), cJSON_CreateNumber(value));
}

static void list_fill(es_json *object, const char *key, const double *value, size_t count)
{
    es_json_add_array(object, key);
    for (size_t i = 0; i < count; i++)
        list_add(object, key, value[i]);
}

void report_noise(const calib_noise *noise, es_json *out)
{
    es_json *object = es_json_add_object(out, "noise"), *classes = es_json_add_array(object, "classes");
    size_t last = NOISE_CLASSES;
    for (size_t class = 0; class < NOISE_CLASSES; class++)
        last = noise->count[class] ? class : last;
    for (size_t class = 0; class < NOISE_CLASSES; class++) {
        if (!noise->count[class])
            continue;
        es_json *row = cJSON_CreateObject();
        cJSON_AddItemToArray(classes, row);
        es_json_add_real(row, "below_B", class == last ? 0.0 : noise_class_bytes[class]);
        es_json_add_int(row, "samples", (int64_t)noise->count[class]);
        list_fill(row, "log_quantiles", noise->log_quantile[class], NOISE_QUANTILES);
    }
    if (noise->stalls == 0)
        return;
    double seconds[NOISE_QUANTILES];
    for (size_t q = 0; q < NOISE_QUANTILES; q++)
        seconds[q] = noise->stall_ns[q] / 1e9;
    es_json *stall = es_json_add_object(object, "stall");
    es_json_add_real(stall, "rate_Hz", noise->stall_rate);
    es_json_add_int(stall, "samples", (int64_t)noise->stalls);
    list_fill(stall, "quantiles_s", seconds, NOISE_QUANTILES);
}

/* "pool_kept.take" under `section` of the machine: {"pool_kept": {"take": {}}} */
static es_json *table_of(es_json *machine, const char *section, const char *row, size_t skip)
{
    char name[32];
    size_t length = strcspn(row, ".");
    memcpy(name, row + skip, length - skip);
    name[length - skip] = '\0';
    return child_of(child_of(child_of(machine, section), name), row + length + 1);
}

enum { TABLE_GPU = sizeof "gpu_" - 1 };

/* An expert in another precision: of one size, for several numbers of tokens. */
static bool row_is_table(const calib_row *row)
{
    return row->op == CALIB_EXPERT && row->which != ES_WEIGHTS_FP32;
}

static void table_sizes(es_json *out, const batch_point *point, size_t count, double least)
{
    for (size_t done = 0; done < count; done++) {       /* ascending, whatever order they were measured in */
        const batch_point *next = NULL;
        for (size_t i = 0; i < count; i++)
            if (point[i].bytes > least && (!next || point[i].bytes < next->bytes))
                next = &point[i];
        if (!next)
            return;
        list_add(out, "size_B", next->bytes);
        list_add(out, "time_s", next->ns / 1e9);
        least = next->bytes;
    }
}

static void table_tokens(es_json *out, const batch_point *point, size_t count)
{
    double least = 0.0;
    for (size_t done = 0; done < count; done++) {
        const batch_point *next = NULL;
        for (size_t i = 0; i < count; i++)
            if (point[i].count > least && (!next || point[i].count < next->count))
                next = &point[i];
        if (!next)
            return;
        list_add(out, "tokens", next->count);
        list_add(out, "time_s", next->ns / 1e9);
        least = next->count;
    }
}

static void table_batch(es_json *out, const batch_point *point, size_t count, double issue_ns)
{
    batch_loggp terms;
    for (size_t i = 0; i < count; i++) {
        list_add(out, "count", point[i].count);
        list_add(out, "size_B", point[i].bytes);
        list_add(out, "time_s", point[i].ns / 1e9);
    }
    if (!batch_loggp_fit(point, count, issue_ns, &terms))
        return;
    es_json *loggp = es_json_add_object(out, "loggp");
    es_json_add_real(loggp, "o_s", terms.o_ns / 1e9);
    es_json_add_real(loggp, "g_s", terms.g_ns / 1e9);
    es_json_add_real(loggp, "G_spB", terms.G_ns / 1e9);
    es_json_add_real(loggp, "alpha_s", terms.alpha_ns / 1e9);
    es_json_add_bool(loggp, "g_resolved", terms.resolved);
}

/* Of one size: medians over tokens, and what lies around them. */
static es_code table_expert(const calib_series *series, es_json *out, es_arena *arena, es_err *err)
{
    calib_expert *expert = ES_NEW(arena, calib_expert);
    es_code code = expert ? calib_expert_fit(expert, series, arena, err) : es_err_nomem(err, "the medians of an expert");
    if (code || expert->curves == 0)
        return code;
    report_noise(&expert->noise, out);
    es_json_add_real(out, "mean_over_median", expert->mean_over_median);
    return ES_OK;
}

static void table_row(const calib_row *row, const batch_point *point, size_t count, double issue_ns, es_json *machine)
{
    static const char *const forms[ES_FORMS] = {"copies", "whole", "call", "gather"};
    if (row->op == CALIB_PRICE)
        table_sizes(table_of(machine, "alloc", row->name, 0), point, count, 0.0);
    else if (row->op == CALIB_LAUNCH)
        es_json_add_real(child_of(child_of(machine, "launch"), strchr(row->name, '.') + 1), "time_s", point[0].ns / 1e9);
    else if (row->op == CALIB_BATCH)
        table_batch(child_of(child_of(machine, "batches"), forms[row->which]), point, count, issue_ns);
    else if (row_is_table(row))
        table_tokens(table_of(machine, "gemm", row->name, TABLE_GPU), point, count);
}

es_code report_tables(const calib_samples *samples, es_json *machine, es_arena *arena, es_err *err)
{
    batch_point point[SOLVE_ROWS];
    double issue_ns;
    es_code code = ES_OK;
    for (size_t row = 0; row < CALIB_ROWS && code == ES_OK; row++) {
        bool moves = calib_rows[row].op == CALIB_BATCH || calib_rows[row].op == CALIB_EXPERT;     /* that takes time; a price may be 0 */
        size_t count = samples->row[row].count ? (moves ? batch_points : batch_medians)(&samples->row[row], point, &issue_ns, arena) : 0;
        if (count > 0)
            table_row(&calib_rows[row], point, count, issue_ns, machine);
        if (count > 0 && row_is_table(&calib_rows[row]))
            code = table_expert(&samples->row[row], table_of(machine, "gemm", calib_rows[row].name, TABLE_GPU), arena, err);
    }
    return code;
}
