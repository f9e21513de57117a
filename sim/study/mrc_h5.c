/* Mrc as HDF5: the rows as a table that pandas and h5py read; see mrc.h. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/h5.h"
#include "sim/study/mrc_inside.h"

#define MRC_COUNT(member, text) \
    {.name = #member, .type = ES_H5_I64, .offset = offsetof(mrc_row, member), .units = "1", .long_name = text}

static const es_h5_column mrc_columns[] = {
    {.name = "policy", .type = ES_H5_TEXT, .offset = offsetof(mrc_row, policy), .width = sizeof((mrc_row *)0)->policy, .units = "", .long_name = "policy"},
    {.name = "made", .type = ES_H5_TEXT, .offset = offsetof(mrc_row, made), .width = sizeof((mrc_row *)0)->made, .units = "", .long_name = "curve, run, or as the config has it"},
    {.name = "capacity", .type = ES_H5_I64, .offset = offsetof(mrc_row, capacity), .units = "1", .long_name = "capacity of one cache, in what attribute counts says"},
    MRC_COUNT(accesses, "lookups of the phase asked"),
    MRC_COUNT(hits, "hits of the phase asked"),
    MRC_COUNT(all_accesses, "lookups, with prefill"),
    MRC_COUNT(all_hits, "hits, with prefill"),
    MRC_COUNT(decode_accesses, "lookups of decode events"),
    MRC_COUNT(decode_hits, "hits of decode events"),
    {.name = "access_bytes", .type = ES_H5_I64, .offset = offsetof(mrc_row, access_bytes), .units = "B", .long_name = "what the lookups of the phase asked weigh; -1: not known"},
    {.name = "hit_bytes", .type = ES_H5_I64, .offset = offsetof(mrc_row, hit_bytes), .units = "B", .long_name = "what the hits of the phase asked weigh; -1: not known"},
};

static es_code mrc_rows(const es_mrc *mrc, es_h5_data *table, es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t l = 0; l < mrc->lines; l++)
        for (uint32_t i = 0; i < mrc->line[l].curve.sizes && code == ES_OK; i++) {
            mrc_row row = mrc_row_at(mrc, &mrc->line[l], i);
            snprintf(row.policy, sizeof row.policy, "%s", mrc->line[l].policy);
            snprintf(row.made, sizeof row.made, "%s", mrc->line[l].made);
            code = es_h5_table_append(table, 1, &row, err);
        }
    return code;
}

typedef struct mrc_layer {
    int64_t layer, capacity, accesses, hits;
} mrc_layer;

#define MRC_LAYER(member, text) \
    {.name = #member, .type = ES_H5_I64, .offset = offsetof(mrc_layer, member), .units = "1", .long_name = text}

static const es_h5_column mrc_layer_columns[] = {
    MRC_LAYER(layer, "layer as the model numbers it"),
    MRC_LAYER(capacity, "slots of the layer's own LRU cache"),
    MRC_LAYER(accesses, "lookups of the phase asked"),
    MRC_LAYER(hits, "hits of the phase asked"),
};

static es_code mrc_layers(const es_mrc *mrc, es_h5 *file, es_err *err)
{
    es_h5_data *table = NULL;
    const uint64_t rows = mrc->layer ? (uint64_t)mrc->events.layers * mrc->layer[0].sizes : 0;
    es_code code = es_h5_table_create(&table, file, "/layers", mrc_layer_columns, sizeof mrc_layer_columns / sizeof *mrc_layer_columns, sizeof(mrc_layer), rows, err);
    for (uint64_t i = 0; i < rows && code == ES_OK; i++) {
        const uint32_t l = (uint32_t)(i / mrc->layer[0].sizes), at = (uint32_t)(i % mrc->layer[0].sizes);
        const es_curve *curve = &mrc->layer[l];
        const mrc_layer row = {.layer = mrc->events.layer_number[l], .capacity = (int64_t)curve->capacity[at], .accesses = (int64_t)es_mrc_accesses(mrc, curve),
            .hits = (int64_t)es_mrc_hits(mrc, curve, at)};
        code = es_h5_table_append(table, 1, &row, err);
    }
    if (table)
        es_h5_data_close(table);
    return code;
}

static es_code mrc_attributes(const es_mrc *mrc, es_h5 *file, es_err *err)
{
    es_json *tree = es_mrc_json(mrc, false);
    char *report = tree ? es_json_text(tree) : NULL;
    const struct {
        const char *name, *value;
    } texts[] = {{"scope", mrc->scope}, {"contract", mrc->contract}, {"phase", mrc->decode ? "decode" : "all"}, {"counts", mrc->in_bytes ? "bytes" : "slots"},
        {"report", report}};
    es_code code = report ? ES_OK : es_err_nomem(err, "the report");
    for (size_t i = 0; i < sizeof texts / sizeof *texts && code == ES_OK; i++)
        code = es_h5_put_text(file, "/", texts[i].name, texts[i].value, err);
    free(report);
    cJSON_Delete(tree);
    return code;
}

es_code es_mrc_h5(const es_mrc *mrc, const char *path, es_err *err)
{
    es_h5 *file = NULL;
    es_h5_data *table = NULL;
    uint64_t rows = 0;
    for (uint32_t l = 0; l < mrc->lines; l++)
        rows += mrc->line[l].curve.sizes;
    es_code code = es_h5_create(&file, path, err);
    if (code == ES_OK)
        code = es_h5_table_create(&table, file, "/rows", mrc_columns, sizeof mrc_columns / sizeof *mrc_columns, sizeof(mrc_row), rows, err);
    if (code == ES_OK)
        code = mrc_rows(mrc, table, err);
    if (table)
        es_h5_data_close(table);
    if (code == ES_OK)
        code = mrc_layers(mrc, file, err);
    if (code == ES_OK)
        code = mrc_attributes(mrc, file, err);
    const es_code closed = file ? es_h5_close(file, code == ES_OK ? err : NULL) : ES_OK;
    return code ? code : closed;
}
