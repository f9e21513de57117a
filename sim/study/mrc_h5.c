/* Mrc as HDF5: the rows as a table that pandas and h5py read; see mrc.h. */
#include <stddef.h>
#include <string.h>

#include "sim/base/h5.h"
#include "sim/study/mrc.h"

typedef struct mrc_row {
    char policy[16];
    int64_t capacity, accesses, hits, all_accesses, all_hits, decode_accesses, decode_hits;
} mrc_row;

#define MRC_COUNT(member, text) \
    {.name = #member, .type = ES_H5_I64, .offset = offsetof(mrc_row, member), .units = "1", .long_name = text}

static const es_h5_column mrc_columns[] = {
    {.name = "policy", .type = ES_H5_TEXT, .offset = offsetof(mrc_row, policy), .width = sizeof((mrc_row *)0)->policy, .units = "", .long_name = "policy"},
    {.name = "capacity", .type = ES_H5_I64, .offset = offsetof(mrc_row, capacity), .units = "slots", .long_name = "capacity of one cache"},
    MRC_COUNT(accesses, "lookups of the phase asked"),
    MRC_COUNT(hits, "hits of the phase asked"),
    MRC_COUNT(all_accesses, "lookups, with prefill"),
    MRC_COUNT(all_hits, "hits, with prefill"),
    MRC_COUNT(decode_accesses, "lookups of decode events"),
    MRC_COUNT(decode_hits, "hits of decode events"),
};

static es_code mrc_rows(const es_mrc *mrc, es_h5_data *table, es_err *err)
{
    es_code code = ES_OK;
    for (int p = 0; p < ES_MRC_POLICIES; p++) {
        const es_curve *c = &mrc->curve[p];
        for (uint32_t i = 0; i < c->sizes && code == ES_OK; i++) {
            mrc_row row = {.capacity = (int64_t)c->capacity[i], .accesses = (int64_t)es_mrc_accesses(mrc, (es_mrc_policy)p),
                .hits = (int64_t)es_mrc_hits(mrc, (es_mrc_policy)p, i), .all_accesses = (int64_t)c->accesses, .all_hits = (int64_t)c->hits[i],
                .decode_accesses = (int64_t)c->decode_accesses, .decode_hits = (int64_t)c->decode_hits[i]};
            const char *name = es_mrc_policy_name((es_mrc_policy)p);
            memcpy(row.policy, name, strlen(name));
            code = es_h5_table_append(table, 1, &row, err);
        }
    }
    return code;
}

es_code es_mrc_h5(const es_mrc *mrc, const char *path, es_err *err)
{
    es_h5 *file = NULL;
    es_h5_data *table = NULL;
    uint64_t rows = 0;
    for (int p = 0; p < ES_MRC_POLICIES; p++)
        rows += mrc->curve[p].sizes;
    es_code code = es_h5_create(&file, path, err);
    if (code == ES_OK)
        code = es_h5_table_create(&table, file, "/rows", mrc_columns, sizeof mrc_columns / sizeof *mrc_columns, sizeof(mrc_row), rows, err);
    if (code == ES_OK)
        code = mrc_rows(mrc, table, err);
    if (table)
        es_h5_data_close(table);
    if (code == ES_OK)
        code = es_h5_put_text(file, "/", "scope", mrc->scope, err);
    if (code == ES_OK)
        code = es_h5_put_text(file, "/", "contract", mrc->contract, err);
    if (code == ES_OK)
        code = es_h5_put_text(file, "/", "phase", mrc->decode ? "decode" : "all", err);
    const es_code closed = file ? es_h5_close(file, code == ES_OK ? err : NULL) : ES_OK;
    return code ? code : closed;
}
