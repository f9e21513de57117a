/* Report tables: see report_tables.h. Medians by size or by count; times in seconds, sizes in bytes. */
#include "calib/report_tables.h"

#include <string.h>

#include "calib/batch.h"
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

/* "pool_kept.take" under `section` of the machine: {"pool_kept": {"take": {}}} */
static es_json *table_of(es_json *machine, const char *section, const char *row, size_t skip)
{
    char name[32];
    size_t length = strcspn(row, ".");
    memcpy(name, row + skip, length - skip);
    name[length - skip] = '\0';
    return child_of(child_of(child_of(machine, section), name), row + length + 1);
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

static void table_row(const calib_row *row, const batch_point *point, size_t count, double issue_ns, es_json *machine)
{
    static const char *const forms[ES_FORMS] = {"copies", "whole", "call", "gather"};
    if (row->op == CALIB_PRICE)
        table_sizes(table_of(machine, "alloc", row->name, 0), point, count, 0.0);
    else if (row->op == CALIB_LAUNCH)
        es_json_add_real(child_of(child_of(machine, "launch"), strchr(row->name, '.') + 1), "time_s", point[0].ns / 1e9);
    else if (row->op == CALIB_BATCH)
        table_batch(child_of(child_of(machine, "batches"), forms[row->which]), point, count, issue_ns);
    else if (row->op == CALIB_EXPERT && row->which != ES_WEIGHTS_FP32)
        table_tokens(table_of(machine, "gemm", row->name, strlen("gpu_")), point, count);
}

void report_tables(const calib_samples *samples, es_json *machine, es_arena *arena)
{
    batch_point point[SOLVE_ROWS];
    double issue_ns;
    for (size_t row = 0; row < CALIB_ROWS; row++) {
        bool moves = calib_rows[row].op == CALIB_BATCH || calib_rows[row].op == CALIB_EXPERT;     /* that takes time; a price may be 0 */
        size_t count = samples->row[row].count ? (moves ? batch_points : batch_medians)(&samples->row[row], point, &issue_ns, arena) : 0;
        if (count > 0)
            table_row(&calib_rows[row], point, count, issue_ns, machine);
    }
}
