/* Memory: see memory.h.
 *
 * The device's pages come when they are first written. What they cost is the first use less the second, or a part of the call where
 * the system gives them at once: both grow with the bytes, so each is a line, and the two slopes add up to one price of a page. Where
 * huge pages are given for what fills them, and small ones for the rest, 3 MiB cost more than 4 MiB: then the first use has two slopes. */
#include "calib/memory.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/curve.h"
#include "models/profile_fit.h"

enum { MEMORY_SIZES = 96, MEMORY_LEAST = 3, MEMORY_TICK = 100 /* ns: to ask a clock twice takes 20 to 60, so shares of less tell nothing */ };

/* ---- medians by size ---- */

typedef struct memory_size {
    double x, call, pages;      /* bytes or buffers; medians, ns */
} memory_size;

/* Of a price there is the call only. */
static double sample_pages(const calib_sample *s)
{
    return fmax(0.0, (double)s->issue_ns - (double)s->host_ns);
}

/* The median of what was sampled at x; `value` has room for all samples. */
static void size_median(const calib_series *series, bool counts, memory_size *size, double *value)
{
    for (int what = 0; what < 2; what++) {
        size_t n = 0;
        for (size_t i = 0; i < series->count; i++) {
            const calib_sample *s = &series->at[i];
            if ((counts ? (double)s->count : (double)s->bytes) == size->x)
                value[n++] = what ? sample_pages(s) : (double)s->ns;
        }
        *(what ? &size->pages : &size->call) = gsl_stats_median(value, 1, n);
    }
}

static int size_order(const void *a, const void *b)
{
    double x = ((const memory_size *)a)->x, y = ((const memory_size *)b)->x;
    return (x > y) - (x < y);
}

/* Ascending. */
static size_t memory_sizes(const calib_series *series, bool counts, memory_size *size, double *value)
{
    size_t count = 0;
    for (size_t i = 0; i < series->count; i++) {
        double x = counts ? (double)series->at[i].count : (double)series->at[i].bytes;
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            known = size[k].x == x;
        if (!known && count < MEMORY_SIZES)
            size[count++].x = x;
    }
    for (size_t k = 0; k < count; k++)
        size_median(series, counts, &size[k], value);
    qsort(size, count, sizeof *size, size_order);
    return count;
}

/* Through medians above 0, of calls or of pages; 0 at every size where there are fewer than three of them. */
static void memory_curve(const memory_size *size, size_t count, bool pages, unsigned families, calib_curve *out)
{
    curve_point point[MEMORY_SIZES];
    size_t points = 0;
    for (size_t i = 0; i < count; i++) {
        double ns = pages ? size[i].pages : size[i].call;
        if (ns > 0.0)
            point[points++] = (curve_point){size[i].x, ns};
    }
    if (!curve_fit(point, points, families, out))
        *out = (calib_curve){.family = CURVE_AFFINE, .pieces = 1};
}

/* ---- terms ---- */

static void fit_get(const calib_series *series, bool huge, memory_get *out, double *value)
{
    memory_size size[MEMORY_SIZES];
    double off[MEMORY_SIZES];
    calib_curve call, pages;
    size_t count = memory_sizes(series, false, size, value);
    if (count < MEMORY_LEAST)
        return;
    memory_curve(size, count, false, 0, &call);
    memory_curve(size, count, true, huge ? CURVE_IN_PAGES : 0, &pages);
    for (size_t i = 0; i < series->count; i++)
        value[i] = (double)series->at[i].ns - call.slope[0] * (double)series->at[i].bytes;
    gsl_sort(value, 1, series->count);
    double low = gsl_stats_quantile_from_sorted_data(value, 1, series->count, 0.25), high = gsl_stats_quantile_from_sorted_data(value, 1, series->count, 0.75);
    const double least = fmax(0.0, low - 0.5 * (high - low)), most = fmax(0.0, high + 0.5 * (high - low));
    *out = (memory_get){.known = true, .least_ns = least + pages.fixed[0], .most_ns = most + pages.fixed[0], .ns_per_byte = call.slope[0] + pages.slope[0]};
    if (pages.family == CURVE_PAGES) {
        out->huge_bytes = pages.from[1];
        out->huge_ns_per_byte = call.slope[0] + pages.slope[1];
    }
    for (size_t i = 0; i < count; i++)
        off[i] = fabs(fmax(MEMORY_TICK, 0.5 * (least + most) + call.slope[0] * size[i].x + curve_ns(&pages, size[i].x)) / fmax(MEMORY_TICK, size[i].call + size[i].pages) - 1.0);
    out->error_median = gsl_stats_median(off, 1, count);
}

static void fit_reside(const calib_series *series, memory_reside *out, double *value)
{
    memory_size size[MEMORY_SIZES];
    calib_curve kernel;
    size_t count = memory_sizes(series, true, size, value);
    out->known = count >= MEMORY_LEAST;
    if (!out->known)
        return;
    memory_curve(size, count, false, 0, &kernel);
    out->fixed_ns = kernel.fixed[0];
    out->each_ns = kernel.slope[0];
}

/* The way of getting memory that a row times; ES_GETS: none. Where a driver maps pages in its call, the price of that is all there is. */
static int row_gets(const calib_row *row)
{
    if (row->op == CALIB_GET)
        return row->which;
    if (row->op != CALIB_PRICE || row->part != ES_PRICED_TAKE)
        return ES_GETS;
    return row->which == ES_PRICE_DEVICE ? ES_GET_BUFFER : row->which == ES_PRICE_POOL_KEPT ? ES_GET_PIECE : ES_GETS;
}

es_code memory_fit(const calib_samples *samples, memory_terms *terms, es_err *err)
{
    *terms = (memory_terms){0};
    for (size_t row = 0; row < CALIB_ROWS; row++) {
        const calib_series *series = &samples->row[row];
        int get = row_gets(&calib_rows[row]);
        if (series->count == 0 || (get == ES_GETS && calib_rows[row].op != CALIB_RESIDE))
            continue;
        double *value = malloc(series->count * sizeof *value);
        if (!value)
            return es_err_nomem(err, "samples of memory");
        if (get != ES_GETS)
            fit_get(series, get != ES_GET_WRAP, &terms->get[get], value);
        else
            fit_reside(series, &terms->reside[calib_rows[row].which], value);
        free(value);
    }
    return ES_OK;
}

/* ---- the profile ---- */

static void add_ns(es_json *out, const char *key, double ns)
{
    es_json_add_quantity(out, key, (double)es_ns_round(ns), ES_UNIT_TIME);
}

static bool get_takes(const memory_terms *terms, es_get how, es_text *told)
{
    static const char *const names[ES_GETS] = {"get.buffer", "get.shared", "get.heap", "get.piece", "get.wrap"};
    const memory_get *get = &terms->get[how];
    if (get->known && get->error_median > ES_FIT_REFUSED)
        es_text_add(told, "%s: left out: a fixed time and one for each page are off by %.1f %% (median), and above %.0f %% nothing should be simulated with it\n", names[how],
            100.0 * get->error_median, 100.0 * ES_FIT_REFUSED);
    else if (get->known && get->error_median > ES_FIT_WARNED)
        es_text_add(told, "%s: a fixed time and one for each page are off by %.1f %% (median), above %.0f %%: use it with care\n", names[how], 100.0 * get->error_median,
            100.0 * ES_FIT_WARNED);
    return get->known && get->error_median <= ES_FIT_REFUSED;
}

static void add_range(const memory_terms *terms, es_get how, const char *least, const char *most, es_json *out)
{
    add_ns(out, least, terms->get[how].least_ns);
    add_ns(out, most, terms->get[how].most_ns);
}

static void memory_json(const memory_terms *terms, double page, es_json *out, es_text *told)
{
    if (get_takes(terms, ES_GET_PIECE, told))
        add_range(terms, ES_GET_PIECE, "pool", "pool_most", out);
    if (get_takes(terms, ES_GET_BUFFER, told)) {
        add_range(terms, ES_GET_BUFFER, "device", "device_most", out);
        const memory_get *get = &terms->get[ES_GET_BUFFER];
        add_ns(out, "touch", get->ns_per_byte * page);
        if (get->huge_bytes > 0.0) {
            es_json_add_quantity(out, "huge", get->huge_bytes, ES_UNIT_BYTES);
            add_ns(out, "huge_touch", get->huge_ns_per_byte * get->huge_bytes);
        }
    }
    if (get_takes(terms, ES_GET_SHARED, told))
        add_range(terms, ES_GET_SHARED, "shared", "shared_most", out);
    if (get_takes(terms, ES_GET_HEAP, told))
        add_ns(out, "heap", 0.5 * (terms->get[ES_GET_HEAP].least_ns + terms->get[ES_GET_HEAP].most_ns));
    if (get_takes(terms, ES_GET_WRAP, told)) {
        add_ns(out, "wire", 0.5 * (terms->get[ES_GET_WRAP].least_ns + terms->get[ES_GET_WRAP].most_ns));
        add_ns(out, "fault", terms->get[ES_GET_WRAP].ns_per_byte * page);
    }
    static const char *const keys[ES_RESIDES] = {"resident", "resident_heap", "resident_set"};
    for (int how = 0; how < ES_RESIDES; how++)
        if (terms->reside[how].known)
            add_ns(out, keys[how], terms->reside[how].each_ns);
}

es_code memory_report(const calib_samples *samples, const memory_origin *origin, es_json *machine, es_text *told, bool *kept, es_err *err)
{
    memory_terms terms;
    es_code code = memory_fit(samples, &terms, err);
    const es_json *page = cJSON_GetObjectItemCaseSensitive(samples->environment, "page_B");
    es_json *device = code == ES_OK ? cJSON_CreateObject() : NULL;
    *kept = false;
    if (code == ES_OK && !device)
        return es_err_nomem(err, "a profile");
    memory_json(&terms, cJSON_IsNumber(page) ? page->valuedouble : 4096.0, device, told);
    if (code || !device->child) {
        cJSON_Delete(device);
        return code;
    }
    es_json_add_quantity(device, "page", cJSON_IsNumber(page) ? page->valuedouble : 4096.0, ES_UNIT_BYTES);
    es_json_add_text(device, "provenance", origin->provenance);
    es_json_add_text(device, "source", origin->source);
    es_json *memory = es_json_add_object(machine, "memory");
    *kept = memory && cJSON_AddItemToObject(memory, "device", device);
    if (!*kept) {
        cJSON_Delete(device);
        return es_err_nomem(err, "a profile");
    }
    return ES_OK;
}

/* ---- for people ---- */

enum { TABLE_TERMS = 4 };

typedef struct table_line {     /* LEAD WHAT TIME to TIME, WHAT TIME ... */
    const char *lead;
    struct { const char *key, *most, *what; } term[TABLE_TERMS];
} table_line;

static const table_line table_lines[] = {
    {"getting ", {{"pool", "pool_most", "a piece of a heap"}, {"device", "device_most", "a buffer"}, {"shared", "shared_most", "one that the host can write"}, {"heap", NULL, "a heap"}}},
    {"at its first use ", {{"touch", NULL, "each page"}, {"huge_touch", NULL, "each huge page"}}},
    {"wrapping what the host has ", {{"wire", NULL, "a buffer"}, {"fault", NULL, "each page"}}},
    {"in every step, for each buffer ", {{"resident", NULL, "by itself"}, {"resident_heap", NULL, "in a heap"}, {"resident_set", NULL, "in a residency set"}}},
};

static const char *table_text(const es_json *memory, const char *key)
{
    const es_json *value = key ? cJSON_GetObjectItemCaseSensitive(memory, key) : NULL;
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

static void table_time(const char *quantity, es_text *out)
{
    double ns = 0.0;
    es_text_quantity(quantity, ES_UNIT_TIME, &ns, NULL);
    es_text_duration(out, ns);
}

/* Nothing where none of its terms is known. */
static void table_line_add(const table_line *line, const es_json *memory, es_text *out)
{
    size_t known = 0;
    for (size_t i = 0; i < TABLE_TERMS; i++) {
        const char *least = table_text(memory, line->term[i].key), *most = table_text(memory, line->term[i].most);
        if (!least)
            continue;
        if (known++ == 0)
            es_text_add(out, "  %-14s %s", "", line->lead);
        es_text_add(out, "%s%s ", known > 1 ? ", " : "", line->term[i].what);
        table_time(least, out);
        if (most && strcmp(most, least) != 0) {
            es_text_add(out, " to ");
            table_time(most, out);
        }
    }
    if (known > 0)
        es_text_add(out, "\n");
}

void memory_table(const es_json *machine, es_text *out)
{
    const char *unverified = table_text(machine, "unverified");
    const es_json *memory;
    cJSON_ArrayForEach(memory, cJSON_GetObjectItemCaseSensitive(machine, "memory")) {
        const char *page = table_text(memory, "page"), *huge = table_text(memory, "huge");
        es_text_add(out, "  %-14s memory in pages of %s%s%s\n", memory->string, page ? page : "16KiB", huge ? ", huge ones of " : "", huge ? huge : "");
        for (size_t i = 0; i < sizeof table_lines / sizeof *table_lines; i++)
            table_line_add(&table_lines[i], memory, out);
    }
    if (unverified)
        es_text_add(out, "unverified: %s\n", unverified);
}
