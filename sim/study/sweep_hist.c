/* Histograms of a sweep: those of a point's replications added up, bin by bin, for all points in one table. See sweep_inside.h.
 *
 * Every result has the same bins (sim/base/hist.h), so adding up loses nothing; a percentile over replications is read off the sum,
 * for the mean of percentiles is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/h5.h"
#include "sim/study/sweep_inside.h"

enum { HIST_NAMES = 16, HIST_NAME = 64 };

typedef struct hist_bin {
    int64_t number, low, high, count;   /* number: of the point */
} hist_bin;

typedef struct hist_sum {       /* of the point at hand */
    char name[HIST_NAME];
    hist_bin *bin;              /* by ascending low */
    size_t count;
    es_h5_data *table;
} hist_sum;

struct sweep_hists {
    es_h5 *to;
    int64_t number;
    hist_sum sum[HIST_NAMES];
    size_t sums;
    bool many;                  /* there are more than HIST_NAMES */
};

static const es_h5_column hist_columns[] = {
    {"point", ES_H5_I64, offsetof(hist_bin, number), 0, "1", "number of the point"},
    {"low", ES_H5_I64, offsetof(hist_bin, low), 0, "ns", "smallest value of the bin"},
    {"high", ES_H5_I64, offsetof(hist_bin, high), 0, "ns", "smallest value above it"},
    {"count", ES_H5_I64, offsetof(hist_bin, count), 0, "1", "values in the bin, of all replications"},
};

es_code sweep_hists_new(sweep_hists **out, es_h5 *to, es_err *err)
{
    sweep_hists *h = *out = calloc(1, sizeof *h);
    if (!h)
        return es_err_nomem(err, "the histograms");
    h->to = to;
    h->number = -1;
    return ES_OK;
}

void sweep_hists_free(sweep_hists *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->sums; i++) {
        es_h5_data_close(h->sum[i].table);
        free(h->sum[i].bin);
    }
    free(h);
}

/* Both ascend, and so does the sum. Frees `more`. */
static es_code hist_merge(hist_sum *sum, hist_bin *more, size_t count, es_err *err)
{
    hist_bin *all = malloc((sum->count + count + 1) * sizeof *all);
    size_t a = 0, b = 0, n = 0;
    if (!all) {
        free(more);
        return es_err_nomem(err, "the histograms");
    }
    while (a < sum->count || b < count) {
        bool first = b == count || (a < sum->count && sum->bin[a].low <= more[b].low);
        all[n] = first ? sum->bin[a++] : more[b++];
        if (first && b < count && more[b].low == all[n].low && more[b].high == all[n].high)
            all[n].count += more[b++].count;
        n++;
    }
    free(sum->bin);
    free(more);
    sum->bin = all;
    sum->count = n;
    return ES_OK;
}

static es_code hist_load(hist_sum *sum, es_h5 *result, int64_t number, es_err *err)
{
    char path[HIST_NAME + 8];
    es_h5_data *table = NULL;
    snprintf(path, sizeof path, "/hist/%s", sum->name);
    es_code code = es_h5_table_open(&table, result, path, hist_columns + 1, 3, sizeof(hist_bin), err);
    if (code)
        return code;
    size_t count = es_h5_data_rank(table) == 1 ? (size_t)es_h5_data_dims(table)[0] : 0;
    hist_bin *bin = calloc(count + 1, sizeof *bin);
    code = bin ? es_h5_table_read(table, 0, count, bin, err) : es_err_nomem(err, "the histograms");
    es_h5_data_close(table);
    for (size_t i = 0; i < count && code == ES_OK; i++)
        bin[i].number = number;
    if (code == ES_OK)
        return hist_merge(sum, bin, count, err);
    free(bin);
    return code;
}

/* ---- all names ---- */

static bool hist_met(void *self, const char *name)
{
    sweep_hists *h = self;
    for (size_t i = 0; i < h->sums; i++)
        if (strcmp(h->sum[i].name, name) == 0)
            return true;
    h->many = h->sums == HIST_NAMES || strlen(name) >= HIST_NAME;
    if (!h->many)
        snprintf(h->sum[h->sums++].name, HIST_NAME, "%s", name);
    return !h->many;
}

static es_code hist_write(sweep_hists *h, hist_sum *sum, es_err *err)
{
    es_code code = ES_OK;
    if (!sum->table && sum->count) {
        char path[HIST_NAME + 8];
        snprintf(path, sizeof path, "/hist/%s", sum->name);
        code = es_h5_table_create(&sum->table, h->to, path, hist_columns, sizeof hist_columns / sizeof *hist_columns, sizeof(hist_bin), 0, err);
        if (code == ES_OK)
            code = es_h5_put_text(h->to, path, "long_name", "bins of every point; replications are added up", err);
    }
    if (code == ES_OK && sum->count)
        code = es_h5_table_append(sum->table, sum->count, sum->bin, err);
    sum->count = 0;
    return code;
}

es_code sweep_hists_end(sweep_hists *h, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < h->sums && code == ES_OK; i++)
        code = hist_write(h, &h->sum[i], err);
    return code;
}

es_code sweep_hists_add(sweep_hists *h, es_h5 *result, int64_t number, es_err *err)
{
    es_code code = number != h->number ? sweep_hists_end(h, err) : ES_OK;
    h->number = number;
    if (code == ES_OK)
        code = es_h5_each(result, "/hist", hist_met, h, err);
    if (code == ES_OK && h->many)
        code = es_err_set(err, ES_EINPUT, "/hist: has more than %d histograms, or names above %d characters", HIST_NAMES, HIST_NAME - 1);
    for (size_t i = 0; i < h->sums && code == ES_OK; i++) {
        char path[HIST_NAME + 8];
        snprintf(path, sizeof path, "/hist/%s", h->sum[i].name);
        if (es_h5_has(result, path))
            code = hist_load(&h->sum[i], result, number, err);
    }
    return code;
}
