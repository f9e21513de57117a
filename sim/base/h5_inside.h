/* What h5.c and h5_data.c share: the open file, and how a fault is told. */
#ifndef ES_BASE_H5_INSIDE_H
#define ES_BASE_H5_INSIDE_H

#include <hdf5.h>

#include "sim/base/h5.h"

struct es_h5 {
    hid_t id;
    char *path;
};

/* "WHERE: cannot WHAT: the library's own reason". Call inside H5E_BEGIN_TRY, before anything else touches the error stack. */
es_code es_h5_fault(es_err *err, const char *where, const char *what);
/* Every link on the way to PATH is there and leads to an object of this file. */
es_code es_h5_need(const es_h5 *file, const char *path, es_err *err);
/* The groups above PATH. */
es_code es_h5_make_parents(es_h5 *file, const char *path, es_err *err);
/* A creation list that records no times. */
hid_t es_h5_no_times(hid_t kind);
/* Text of a fixed number of bytes, padded with 0. */
hid_t es_h5_text_type(size_t bytes);

#endif
