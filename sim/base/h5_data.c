/* HDF5 made small: datasets and tables; see h5.c for the habits.
 *
 * Only layouts and filters that the library has built in are read, a raw file beside the file is not, and a dataset whose stored
 * bytes cannot hold its claimed shape is refused before anyone allocates for it. */
#include "sim/base/h5_chunks.h"
#include "sim/base/h5_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    H5_DEFLATE_BEST = 1100,             /* deflate cannot shrink by more than 1032; what claims more is not there */
    H5_CHUNK_MAX = 64 * 1024 * 1024,
    H5_CACHE = 128 * 1024,              /* least bytes of a chunk cache; the library's own 1 MiB fills up as a long dataset is streamed */
    H5_TABLE_CHUNK = 64 * 1024
};

struct es_h5_data {
    hid_t id;
    hid_t row;                          /* table: compound type of a row in memory; else -1 */
    int rank;
    uint64_t chunk_bytes;               /* 0: not chunked */
    es_h5_chunks chunks;                /* what is known of them while a filtered dataset is read */
    hsize_t at[H5_RANK_MAX];            /* current dimensions, as the library counts them */
    uint64_t dims[H5_RANK_MAX];         /* the same, for the caller */
    es_h5_type type;
    char *name;                         /* "FILE: /ids", begins every error */
};

/* --- types ---------------------------------------------------------------------------------------------------------------------- */

static hid_t h5_memory_type(es_h5_type type)
{
    switch (type) {
    case ES_H5_U8: return H5T_NATIVE_UINT8;
    case ES_H5_U16: return H5T_NATIVE_UINT16;
    case ES_H5_U32: return H5T_NATIVE_UINT32;
    case ES_H5_I32: return H5T_NATIVE_INT32;
    case ES_H5_I64: return H5T_NATIVE_INT64;
    case ES_H5_F32: return H5T_NATIVE_FLOAT;
    case ES_H5_F64: return H5T_NATIVE_DOUBLE;
    case ES_H5_TEXT: break;
    }
    return -1;
}

static hid_t h5_file_type(es_h5_type type)
{
    switch (type) {
    case ES_H5_U8: return H5T_STD_U8LE;
    case ES_H5_U16: return H5T_STD_U16LE;
    case ES_H5_U32: return H5T_STD_U32LE;
    case ES_H5_I32: return H5T_STD_I32LE;
    case ES_H5_I64: return H5T_STD_I64LE;
    case ES_H5_F32: return H5T_IEEE_F32LE;
    case ES_H5_F64: return H5T_IEEE_F64LE;
    case ES_H5_TEXT: break;
    }
    return -1;
}

static size_t h5_type_bytes(es_h5_type type)
{
    static const size_t bytes[] = { 1, 2, 4, 4, 8, 4, 8, 0 };
    return bytes[type];
}

/* The library's type as one of ours; false when it is none. */
static bool h5_type_of(hid_t id, es_h5_type *type)
{
    H5T_class_t kind = H5Tget_class(id);
    size_t size = H5Tget_size(id);
    bool sign = kind == H5T_INTEGER && H5Tget_sign(id) == H5T_SGN_2;
    for (es_h5_type t = ES_H5_U8; t < ES_H5_TEXT; t++) {
        bool real = t == ES_H5_F32 || t == ES_H5_F64;
        bool with_sign = t == ES_H5_I32 || t == ES_H5_I64;
        if (kind == (real ? H5T_FLOAT : H5T_INTEGER) && size == h5_type_bytes(t) && sign == with_sign) {
            *type = t;
            return true;
        }
    }
    return false;
}

/* --- datasets ------------------------------------------------------------------------------------------------------------------- */

static es_code h5_data_new(es_h5_data **out, const es_h5 *file, const char *path, es_err *err)
{
    es_h5_data *data = calloc(1, sizeof *data);
    size_t room = strlen(file->path) + strlen(path) + 3;
    if (!data || !(data->name = malloc(room))) {
        free(data);
        return es_err_nomem(err, "a dataset");
    }
    snprintf(data->name, room, "%s: %s", file->path, path);
    data->id = data->row = -1;
    *out = data;
    return ES_OK;
}

/* A chunk cache that holds two whole chunks: rows read or appended in portions must not pass a chunk through deflate once per portion.
 * No more, for every dataset of a stream has one of its own. */
static hid_t h5_data_access(uint64_t chunk_bytes)
{
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    size_t bytes = chunk_bytes > H5_CHUNK_MAX ? 0 : (size_t)chunk_bytes * 2;
    if (access >= 0)
        H5Pset_chunk_cache(access, 521, bytes < H5_CACHE ? H5_CACHE : bytes, 0.75);
    return access;
}

static es_code h5_data_make(es_h5_data *data, es_h5 *file, const char *path, hid_t type, uint64_t chunk_rows, int deflate, es_err *err)
{
    hsize_t first[H5_RANK_MAX], most[H5_RANK_MAX], chunk[H5_RANK_MAX];
    uint64_t chunk_bytes = chunk_rows * H5Tget_size(type);
    for (int i = 0; i < data->rank; i++) {
        first[i] = i == 0 ? 0 : data->at[i];
        most[i] = i == 0 ? H5S_UNLIMITED : data->at[i];
        chunk[i] = i == 0 ? chunk_rows : data->at[i];
        chunk_bytes *= i == 0 ? 1 : data->at[i];
    }
    data->at[0] = data->dims[0] = 0;
    es_code code = es_h5_make_parents(file, path, err);
    if (code)
        return code;
    hid_t creation = es_h5_no_times(H5P_DATASET_CREATE), access = h5_data_access(chunk_bytes), space = H5Screate_simple(data->rank, first, most);
    H5Pset_chunk(creation, data->rank, chunk);
    if (deflate > 0 && (H5Pset_shuffle(creation) < 0 || H5Pset_deflate(creation, (unsigned)deflate) < 0))
        code = es_h5_fault(err, data->name, "set up compression");
    if (!code && (data->id = H5Dcreate2(file->id, path, type, space, H5P_DEFAULT, creation, access)) < 0)
        code = es_h5_fault(err, data->name, "create");
    H5Sclose(space);
    H5Pclose(access);
    H5Pclose(creation);
    return code;
}

/* A row must have a size, and a chunk must stay below the limit that reading sets. */
static es_code h5_data_shape(es_h5_data *data, size_t cell, int rank, const uint64_t *dims, uint64_t *chunk_rows, es_err *err)
{
    uint64_t row = cell;
    data->rank = rank;
    if (rank < 1 || rank > H5_RANK_MAX || cell == 0)
        return es_err_set(err, ES_EINTERNAL, "%s: rank %d is not 1 to %d, or the type has no size", data->name, rank, H5_RANK_MAX);
    for (int i = 1; i < rank; i++) {
        if (dims[i] == 0 || dims[i] > H5_CHUNK_MAX / row)
            return es_err_set(err, ES_EINTERNAL, "%s: a row is empty or above %d bytes", data->name, H5_CHUNK_MAX);
        data->at[i] = data->dims[i] = dims[i];
        row *= dims[i];
    }
    if (*chunk_rows == 0)
        *chunk_rows = 1;
    if (*chunk_rows > H5_CHUNK_MAX / row)
        *chunk_rows = H5_CHUNK_MAX / row;
    return ES_OK;
}

es_code es_h5_data_create(es_h5_data **out, es_h5 *file, const char *path, es_h5_type type, int rank, const uint64_t *dims,
    uint64_t chunk_rows, int deflate, es_err *err)
{
    es_h5_data *data = NULL;
    *out = NULL;
    es_code code = h5_data_new(&data, file, path, err);
    if (code)
        return code;
    data->type = type;
    code = h5_data_shape(data, h5_type_bytes(type), rank, dims, &chunk_rows, err);
    H5E_BEGIN_TRY {
        if (!code)
            code = h5_data_make(data, file, path, h5_file_type(type), chunk_rows, deflate, err);
    } H5E_END_TRY
    if (code)
        es_h5_data_close(data);
    else
        *out = data;
    return code;
}

/* Is the shape real? All of a chunked dataset's chunks are stored by every writer of ours, so stored bytes bound the claimed ones. */
static es_code h5_data_check(es_h5_data *data, hid_t type, hid_t creation, es_err *err)
{
    uint64_t bytes = H5Tget_size(type), chunk_bytes = bytes, ratio = 1;
    hsize_t *const chunk = data->chunks.side;
    for (int i = 0; i < data->rank; i++) {
        if (data->at[i] > 0 && bytes > UINT64_MAX / H5_DEFLATE_BEST / data->at[i])
            return es_err_set(err, ES_EINPUT, "%s: its dimensions overflow", data->name);
        bytes *= data->at[i];
    }
    H5D_layout_t layout = H5Pget_layout(creation);
    if (layout == H5D_CHUNKED) {
        if (H5Pget_chunk(creation, data->rank, chunk) != data->rank)
            return es_h5_fault(err, data->name, "read the chunk size");
        for (int i = 0; i < data->rank; i++) {
            if (chunk[i] > H5_CHUNK_MAX / chunk_bytes)
                return es_err_set(err, ES_EINPUT, "%s: a chunk is above %d bytes, the most that is read", data->name, H5_CHUNK_MAX);
            chunk_bytes *= chunk[i];
        }
        data->chunk_bytes = chunk_bytes;
    } else if (layout != H5D_CONTIGUOUS && layout != H5D_COMPACT) {
        return es_err_set(err, ES_EINPUT, "%s: is a virtual dataset, which is not read", data->name);
    }
    if (H5Pget_external_count(creation) != 0)
        return es_err_set(err, ES_EINPUT, "%s: keeps its data in another file, which is not read", data->name);
    int filters = H5Pget_nfilters(creation);
    if (filters > 0 && data->chunk_bytes == 0)
        return es_err_set(err, ES_EINPUT, "%s: has filters, and no chunks that could go through them", data->name);
    if (filters < 0 || filters > H5_FILTERS_MAX)
        return es_err_set(err, ES_EINPUT, "%s: has %d filters, more than make sense", data->name, filters);
    data->chunks.rank = data->rank;
    data->chunks.bytes = data->chunk_bytes;
    for (int i = 0; i < filters; i++) {
        unsigned flags, config;
        size_t values = 0;
        H5Z_filter_t filter = H5Pget_filter2(creation, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        if (filter == H5Z_FILTER_DEFLATE)
            ratio *= H5_DEFLATE_BEST;
        else if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
            return es_err_set(err, ES_EINPUT, "%s: uses filter %d; only deflate, shuffle and fletcher32 are read", data->name, (int)filter);
        data->chunks.filter[data->chunks.filters++] = filter;
    }
    if (ratio > H5_DEFLATE_BEST)
        return es_err_set(err, ES_EINPUT, "%s: has %d filters, more than make sense", data->name, filters);
    uint64_t stored = H5Dget_storage_size(data->id);
    if (stored < bytes / ratio)
        return es_err_set(err, ES_EINPUT, "%s: claims %llu bytes of data, but only %llu are stored", data->name, (unsigned long long)bytes, (unsigned long long)stored);
    return ES_OK;
}

/* Does a table have the columns of `row`, numbers as numbers and texts as texts? Reading goes by their names. */
static es_code h5_table_fits(const es_h5_data *data, hid_t type, hid_t row, es_err *err)
{
    if (H5Tget_class(type) != H5T_COMPOUND)
        return es_err_set(err, ES_EINPUT, "%s: is no table", data->name);
    for (int i = 0; i < H5Tget_nmembers(row); i++) {
        char *name = H5Tget_member_name(row, (unsigned)i);
        int at = H5Tget_member_index(type, name);
        H5T_class_t kind = at < 0 ? H5T_NO_CLASS : H5Tget_member_class(type, (unsigned)at);
        const bool text = H5Tget_member_class(row, (unsigned)i) == H5T_STRING;
        es_code code = (text ? kind == H5T_STRING : kind == H5T_INTEGER || kind == H5T_FLOAT) ? ES_OK
            : es_err_set(err, ES_EINPUT, "%s: has no column %s of %s", data->name, name ? name : "?", text ? "texts" : "numbers");
        H5free_memory(name);
        if (code)
            return code;
    }
    return ES_OK;
}

static es_code h5_data_look(es_h5_data *data, es_err *err)
{
    es_code code = ES_OK;
    hid_t space = H5Dget_space(data->id), type = H5Dget_type(data->id), creation = H5Dget_create_plist(data->id);
    data->rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (data->rank < 1 || data->rank > H5_RANK_MAX || H5Sget_simple_extent_dims(space, data->at, NULL) < 0)
        code = es_err_set(err, ES_EINPUT, "%s: has rank %d, not 1 to %d", data->name, data->rank, H5_RANK_MAX);
    else if (data->row >= 0)
        code = h5_table_fits(data, type, data->row, err);
    else if (!h5_type_of(type, &data->type))
        code = es_err_set(err, ES_EINPUT, "%s: has a type that is not read here (integers of 8 to 64 bits, f32 and f64 are)", data->name);
    if (!code)
        code = h5_data_check(data, type, creation, err);
    for (int i = 0; !code && i < data->rank; i++)
        data->dims[i] = data->at[i];
    H5Pclose(creation);
    H5Tclose(type);
    H5Sclose(space);
    return code;
}

/* Opened again once its chunks are known. A foreign file's large ones would be inflated anew for every portion of them that is read;
 * plain ones need no cache, for without one they are read straight into the caller's buffer. */
static es_code h5_data_open(es_h5_data *data, const es_h5 *file, const char *path, es_err *err)
{
    hid_t access = h5_data_access(data->chunk_bytes);
    if (data->chunk_bytes > 0 && data->chunks.filters == 0)
        H5Pset_chunk_cache(access, 0, 0, 0.75);
    if (data->id >= 0)
        H5Dclose(data->id);
    data->id = H5Dopen2(file->id, path, access);
    H5Pclose(access);
    return data->id < 0 ? es_h5_fault(err, data->name, "open as a dataset") : ES_OK;
}

static es_code h5_data_find(es_h5_data *data, es_h5 *file, const char *path, es_err *err)
{
    es_code code = es_h5_need(file, path, err);
    if (!code)
        code = h5_data_open(data, file, path, err);
    if (!code)
        code = h5_data_look(data, err);
    if (!code && data->chunk_bytes > (data->chunks.filters ? H5_CACHE / 2 : 0))
        code = h5_data_open(data, file, path, err);
    return code;
}

es_code es_h5_data_open(es_h5_data **out, es_h5 *file, const char *path, es_err *err)
{
    es_h5_data *data = NULL;
    *out = NULL;
    es_code code = h5_data_new(&data, file, path, err);
    if (code)
        return code;
    H5E_BEGIN_TRY {
        code = h5_data_find(data, file, path, err);
    } H5E_END_TRY
    if (code)
        es_h5_data_close(data);
    else
        *out = data;
    return code;
}

int es_h5_data_rank(const es_h5_data *data)
{
    return data->rank;
}

const uint64_t *es_h5_data_dims(const es_h5_data *data)
{
    return data->dims;
}

es_h5_type es_h5_data_type(const es_h5_data *data)
{
    return data->type;
}

/* Rows [first, first + count) of the file against a plain buffer; both spaces are made anew, which costs about a microsecond. */
static es_code h5_transfer(es_h5_data *data, hid_t memory, uint64_t first, uint64_t count, void *to, const void *from, es_err *err)
{
    hsize_t start[H5_RANK_MAX] = { first }, block[H5_RANK_MAX] = { count };
    for (int i = 1; i < data->rank; i++)
        block[i] = data->at[i];
    es_code code = ES_OK;
    hid_t space = H5Dget_space(data->id), window = H5Screate_simple(data->rank, block, NULL);
    if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, block, NULL) < 0)
        code = es_h5_fault(err, data->name, "select rows");
    else if (to && H5Dread(data->id, memory, window, space, H5P_DEFAULT, to) < 0)
        code = es_h5_fault(err, data->name, "read");
    else if (from && H5Dwrite(data->id, memory, window, space, H5P_DEFAULT, from) < 0)
        code = es_h5_fault(err, data->name, "write");
    H5Sclose(window);
    H5Sclose(space);
    return code;
}

static es_code h5_read(es_h5_data *data, hid_t memory, uint64_t first, uint64_t count, void *out, es_err *err)
{
    es_code code;
    if (first > data->dims[0] || count > data->dims[0] - first)
        return es_err_set(err, ES_EINPUT, "%s: rows %llu to %llu are asked for, it has %llu", data->name, (unsigned long long)first,
            (unsigned long long)(first + count), (unsigned long long)data->dims[0]);
    if (count == 0)
        return ES_OK;
    H5E_BEGIN_TRY {
        code = es_h5_chunks_look(&data->chunks, data->id, data->at, first, first + count, data->name, err);
        if (!code)
            code = h5_transfer(data, memory, first, count, out, NULL, err);
    } H5E_END_TRY
    return code;
}

es_code es_h5_data_read(es_h5_data *data, es_h5_type type, uint64_t first, uint64_t count, void *out, es_err *err)
{
    return h5_read(data, h5_memory_type(type), first, count, out, err);
}

static es_code h5_append(es_h5_data *data, hid_t memory, uint64_t count, const void *rows, es_err *err)
{
    es_code code = ES_OK;
    if (count == 0)
        return ES_OK;
    uint64_t first = data->dims[0];
    H5E_BEGIN_TRY {
        data->at[0] = first + count;
        if (H5Dset_extent(data->id, data->at) < 0)
            code = es_h5_fault(err, data->name, "grow");
        else
            code = h5_transfer(data, memory, first, count, NULL, rows, err);
    } H5E_END_TRY
    data->at[0] = code ? first : first + count;
    data->dims[0] = data->at[0];
    return code;
}

es_code es_h5_data_append(es_h5_data *data, es_h5_type type, uint64_t count, const void *rows, es_err *err)
{
    return h5_append(data, h5_memory_type(type), count, rows, err);
}

es_code es_h5_data_replace(es_h5_data *data, es_h5_type type, uint64_t count, const void *rows, es_err *err)
{
    es_code code = ES_OK;
    H5E_BEGIN_TRY {
        data->at[0] = 0;                /* chunks that are gone need not be read to be overwritten */
        if (H5Dset_extent(data->id, data->at) < 0)
            code = es_h5_fault(err, data->name, "empty");
    } H5E_END_TRY
    if (!code)
        data->dims[0] = 0;
    return code ? code : h5_append(data, h5_memory_type(type), count, rows, err);
}

void es_h5_data_close(es_h5_data *data)
{
    if (!data)
        return;
    H5E_BEGIN_TRY {
        if (data->id >= 0)
            H5Dclose(data->id);
        if (data->row >= 0)
            H5Tclose(data->row);
    } H5E_END_TRY
    es_h5_chunks_free(&data->chunks);
    free(data->name);
    free(data);
}

es_code es_h5_load_text(es_h5 *file, const char *path, uint64_t most, char **text, uint64_t *length, es_err *err)
{
    es_h5_data *data = NULL;
    *text = NULL;
    *length = 0;
    es_code code = es_h5_data_open(&data, file, path, err);
    if (code)
        return code;
    if (data->rank != 1 || data->dims[0] > most)
        code = es_err_set(err, ES_EINPUT, "%s: is no text of at most %llu bytes", data->name, (unsigned long long)most);
    else if (!(*text = malloc(data->dims[0] + 1)))
        code = es_err_nomem(err, "a text");
    else if ((code = es_h5_data_read(data, ES_H5_U8, 0, data->dims[0], *text, err)) == ES_OK)
        (*text)[*length = data->dims[0]] = '\0';
    if (code) {
        free(*text);
        *text = NULL;
    }
    es_h5_data_close(data);
    return code;
}

/* --- tables --------------------------------------------------------------------------------------------------------------------- */

/* The compound type of a row: as it lies in memory, or packed without holes for the file. */
static hid_t h5_row_type(const es_h5_column *columns, size_t count, size_t row_bytes, bool packed)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        bytes += columns[i].type == ES_H5_TEXT ? columns[i].width : h5_type_bytes(columns[i].type);
    hid_t row = H5Tcreate(H5T_COMPOUND, packed ? bytes : row_bytes);
    for (size_t i = 0; row >= 0 && i < count; i++) {
        bool text = columns[i].type == ES_H5_TEXT;
        hid_t type = text ? es_h5_text_type(columns[i].width) : packed ? h5_file_type(columns[i].type) : h5_memory_type(columns[i].type);
        if (H5Tinsert(row, columns[i].name, packed ? at : columns[i].offset, type) < 0) {
            H5Tclose(row);
            row = -1;
        }
        at += text ? columns[i].width : h5_type_bytes(columns[i].type);
        if (text)
            H5Tclose(type);
    }
    return row;
}

/* "time.units" = "ns" and "time.long_name" = "start of the step" beside the table. */
static es_code h5_table_notes(es_h5 *file, const char *path, const es_h5_column *column, es_err *err)
{
    const char *note[2] = { column->units, column->long_name }, *kind[2] = { "units", "long_name" };
    for (int i = 0; i < 2; i++) {
        char name[256];
        if (!note[i])
            continue;
        snprintf(name, sizeof name, "%s.%s", column->name, kind[i]);
        es_code code = es_h5_put_text(file, path, name, note[i], err);
        if (code)
            return code;
    }
    return ES_OK;
}

es_code es_h5_table_create(es_h5_data **out, es_h5 *file, const char *path, const es_h5_column *columns, size_t column_count,
    size_t row_bytes, uint64_t rows, es_err *err)
{
    es_h5_data *table = NULL;
    *out = NULL;
    es_code code = h5_data_new(&table, file, path, err);
    if (code)
        return code;
    uint64_t chunk_rows = row_bytes > 0 ? H5_TABLE_CHUNK / row_bytes : 0;
    if (rows > 0 && rows < chunk_rows)
        chunk_rows = rows;
    table->type = ES_H5_TEXT;
    code = h5_data_shape(table, row_bytes, 1, &(uint64_t){ 0 }, &chunk_rows, err);
    H5E_BEGIN_TRY {
        hid_t stored = h5_row_type(columns, column_count, row_bytes, true);
        table->row = h5_row_type(columns, column_count, row_bytes, false);
        if (!code && (stored < 0 || table->row < 0))
            code = es_h5_fault(err, table->name, "describe the columns");
        if (!code)
            code = h5_data_make(table, file, path, stored, chunk_rows, 4, err);
        H5Tclose(stored);
    } H5E_END_TRY
    for (size_t i = 0; !code && i < column_count; i++)
        code = h5_table_notes(file, path, &columns[i], err);
    if (code)
        es_h5_data_close(table);
    else
        *out = table;
    return code;
}

es_code es_h5_table_append(es_h5_data *table, uint64_t count, const void *rows, es_err *err)
{
    return h5_append(table, table->row, count, rows, err);
}

es_code es_h5_table_open(es_h5_data **out, es_h5 *file, const char *path, const es_h5_column *columns, size_t column_count, size_t row_bytes, es_err *err)
{
    es_h5_data *table = NULL;
    *out = NULL;
    es_code code = h5_data_new(&table, file, path, err);
    if (code)
        return code;
    table->type = ES_H5_TEXT;
    H5E_BEGIN_TRY {
        table->row = h5_row_type(columns, column_count, row_bytes, false);
        code = table->row < 0 ? es_h5_fault(err, table->name, "describe the columns") : h5_data_find(table, file, path, err);
    } H5E_END_TRY
    if (code)
        es_h5_data_close(table);
    else
        *out = table;
    return code;
}

/* A member of a table's rows, as a column; false: of a kind that is not read. */
static bool h5_member(hid_t type, unsigned i, const char *name, es_h5_column *column)
{
    const H5T_class_t kind = H5Tget_member_class(type, i);
    hid_t member = H5Tget_member_type(type, i);
    *column = (es_h5_column){.name = name, .type = kind == H5T_INTEGER ? ES_H5_I64 : kind == H5T_FLOAT ? ES_H5_F64 : ES_H5_TEXT};
    column->width = kind == H5T_STRING ? H5Tget_size(member) : 0;
    const bool fixed = kind != H5T_STRING || H5Tis_variable_str(member) == 0;
    H5Tclose(member);
    return fixed && (kind == H5T_INTEGER || kind == H5T_FLOAT || kind == H5T_STRING);
}

es_code es_h5_table_each(es_h5 *file, const char *path, bool (*tell)(void *self, const es_h5_column *column), void *self, es_err *err)
{
    es_h5_data *table = NULL;
    bool more = true;
    es_code code = es_h5_table_open(&table, file, path, NULL, 0, 1, err);
    if (code)
        return code;
    H5E_BEGIN_TRY {
        hid_t type = H5Dget_type(table->id);
        for (int i = 0; more && i < H5Tget_nmembers(type); i++) {
            es_h5_column column;
            char *name = H5Tget_member_name(type, (unsigned)i);
            more = name && (!h5_member(type, (unsigned)i, name, &column) || tell(self, &column));
            H5free_memory(name);
        }
        H5Tclose(type);
    } H5E_END_TRY
    es_h5_data_close(table);
    return ES_OK;
}

es_code es_h5_table_read(es_h5_data *table, uint64_t first, uint64_t count, void *rows, es_err *err)
{
    return h5_read(table, table->row, first, count, rows, err);
}
