/* HDF5 made small: files, groups and attributes; datasets are in h5_data.c.
 *
 * Three habits keep it safe and repeatable. Every call into the library runs between H5E_BEGIN_TRY and H5E_END_TRY, so nothing is
 * printed, and what the library says is taken from the bottom of its error stack, where the cause is. A file is untrusted: only
 * hard links are followed, for an external link would read somebody else's file, and sizes are checked before anyone allocates.
 * What is written depends on the calls alone: no times, fixed library version, little endian. */
#include "sim/base/h5_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { H5_TEXT_MAX = 64 * 1024 * 1024 };

/* --- errors --------------------------------------------------------------------------------------------------------------------- */

static herr_t h5_deepest(unsigned n, const H5E_error2_t *entry, void *to)
{
    if (n == 0 && entry->desc)
        snprintf(to, 256, "%s", entry->desc);
    return 0;
}

/* The library's text has its own variables in it; the two that a user meets are said plainly. */
static void h5_plainly(char why[256])
{
    static const char message[] = "error message = '";
    unsigned long long has, needs;
    char *said = strstr(why, message);
    if (said) {
        size_t length = strcspn(said + sizeof message - 1, "'");
        memmove(why, said + sizeof message - 1, length);
        why[length] = '\0';
    } else if (sscanf(why, "truncated file: eof = %llu, sblock->base_addr = %*u, stored_eof = %llu", &has, &needs) == 2) {
        snprintf(why, 256, "the file is cut, it has %llu of %llu bytes", has, needs);
    }
}

es_code es_h5_fault(es_err *err, const char *where, const char *what)
{
    char why[256] = "unknown reason";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, h5_deepest, why);
    h5_plainly(why);
    return es_err_set(err, ES_EINPUT, "%s: cannot %s: %s", where, what, why);
}

static es_code h5_fault_in(es_err *err, const es_h5 *file, const char *object, const char *what)
{
    es_h5_fault(err, object, what);
    es_err_at(err, "%s", file->path);
    return ES_EINPUT;
}

static es_code h5_wrong(es_err *err, const es_h5 *file, const char *object, const char *name, const char *text)
{
    return es_err_set(err, ES_EINPUT, "%s: %s%s%s: %s", file->path, object, name ? " attribute " : "", name ? name : "", text);
}

/* --- files ---------------------------------------------------------------------------------------------------------------------- */

static es_code h5_file_new(es_h5 **out, const char *path, es_err *err)
{
    /* The library's exit handler is declined, which must be the first call of all: every file is closed by es_h5_close, and after a
     * corrupt file the handler prints to stderr. */
    H5dont_atexit();
    es_h5 *file = calloc(1, sizeof *file);
    if (!file || !(file->path = strdup(path))) {
        free(file);
        return es_err_nomem(err, "an HDF5 file");
    }
    file->id = -1;
    *out = file;
    return ES_OK;
}

static void h5_file_free(es_h5 *file)
{
    free(file->path);
    free(file);
}

/* Version bounds fixed so that another library writes the same; closing the file closes what is still open in it. */
static hid_t h5_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 || H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0)) {
        H5Pclose(access);
        return -1;
    }
    return access;
}

hid_t es_h5_no_times(hid_t kind)
{
    hid_t list = H5Pcreate(kind);
    if (list >= 0)
        H5Pset_obj_track_times(list, false);
    return list;
}

es_code es_h5_create(es_h5 **out, const char *path, es_err *err)
{
    es_h5 *file = NULL;
    struct stat about;
    *out = NULL;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode))
        return es_err_set(err, ES_EINPUT, "%s: is a pipe or a device, but HDF5 is written all over its file; give a plain one", path);
    es_code code = h5_file_new(&file, path, err);
    if (code)
        return code;
    H5E_BEGIN_TRY {
        hid_t access = h5_access(), creation = es_h5_no_times(H5P_FILE_CREATE);
        file->id = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
        if (file->id < 0)
            code = es_h5_fault(err, path, "create the HDF5 file");
        H5Pclose(creation);
        H5Pclose(access);
    } H5E_END_TRY
    if (code)
        h5_file_free(file);
    else
        *out = file;
    return code;
}

es_code es_h5_open(es_h5 **out, const char *path, bool write, es_err *err)
{
    es_h5 *file = NULL;
    *out = NULL;
    es_code code = h5_file_new(&file, path, err);
    if (code)
        return code;
    H5E_BEGIN_TRY {
        hid_t access = h5_access();
        file->id = H5Fopen(path, write ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
        if (file->id < 0)
            code = es_h5_fault(err, path, "open as HDF5");
        H5Pclose(access);
    } H5E_END_TRY
    if (code)
        h5_file_free(file);
    else
        *out = file;
    return code;
}

bool es_h5_is(const char *path)
{
    unsigned char head[8] = { 0 };
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t got = fread(head, 1, sizeof head, file);
    fclose(file);
    return got == sizeof head && memcmp(head, "\211HDF\r\n\032\n", sizeof head) == 0;
}

es_code es_h5_close(es_h5 *file, es_err *err)
{
    es_code code = ES_OK;
    if (!file)
        return ES_OK;
    H5E_BEGIN_TRY {
        if (H5Fflush(file->id, H5F_SCOPE_GLOBAL) < 0)
            code = es_h5_fault(err, file->path, "write");
        if (H5Fclose(file->id) < 0 && !code)
            code = es_h5_fault(err, file->path, "close");
    } H5E_END_TRY
    h5_file_free(file);
    return code;
}

/* --- objects -------------------------------------------------------------------------------------------------------------------- */

typedef enum h5_found { H5_ABSENT, H5_THERE, H5_FOREIGN, H5_NO_MEMORY } h5_found;

/* Follows PATH link by link; hard links only, for any other kind can lead out of the file or in a circle. */
static h5_found h5_find(const es_h5 *file, const char *path)
{
    h5_found found = H5_THERE;
    size_t length = strlen(path);
    char *part = malloc(length + 1);
    if (!part)
        return H5_NO_MEMORY;
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length && found == H5_THERE; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char kept = part[i];
        H5L_info_t about;
        part[i] = '\0';
        if (strcmp(part, "/") != 0 && part[i - 1] != '/') {
            if (H5Lexists(file->id, part, H5P_DEFAULT) <= 0 || H5Lget_info(file->id, part, &about, H5P_DEFAULT) < 0)
                found = H5_ABSENT;
            else if (about.type != H5L_TYPE_HARD)
                found = H5_FOREIGN;
        }
        part[i] = kept;
    }
    free(part);
    return found;
}

es_code es_h5_need(const es_h5 *file, const char *path, es_err *err)
{
    h5_found found = h5_find(file, path);
    if (found == H5_THERE)
        return ES_OK;
    if (found == H5_NO_MEMORY)
        return es_err_nomem(err, "a name");
    return h5_wrong(err, file, path, NULL, found == H5_ABSENT ? "is missing" : "is a soft or external link, which is not followed");
}

bool es_h5_has(es_h5 *file, const char *path)
{
    bool has;
    H5E_BEGIN_TRY {
        has = h5_find(file, path) == H5_THERE;
    } H5E_END_TRY
    return has;
}

static es_code h5_make_group(es_h5 *file, const char *path, es_err *err)
{
    hid_t creation = es_h5_no_times(H5P_GROUP_CREATE);
    hid_t group = H5Gcreate2(file->id, path, H5P_DEFAULT, creation, H5P_DEFAULT);
    es_code code = group < 0 ? h5_fault_in(err, file, path, "make the group") : ES_OK;
    if (group >= 0)
        H5Gclose(group);
    H5Pclose(creation);
    return code;
}

/* The groups of PATH's first `length` bytes, one by one: the library's own way of making parents would record times. */
static es_code h5_make_groups(es_h5 *file, const char *path, size_t length, es_err *err)
{
    es_code code = ES_OK;
    char *part = malloc(length + 1);
    if (!part)
        return es_err_nomem(err, "a group name");
    memcpy(part, path, length);
    part[length] = '\0';
    for (size_t i = 1; i <= length && !code; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char kept = part[i];
        part[i] = '\0';
        h5_found found = part[i - 1] != '/' ? h5_find(file, part) : H5_THERE;
        if (found == H5_NO_MEMORY)
            code = es_err_nomem(err, "a group name");
        else if (found == H5_ABSENT)
            code = h5_make_group(file, part, err);
        part[i] = kept;
    }
    free(part);
    return code;
}

es_code es_h5_make_parents(es_h5 *file, const char *path, es_err *err)
{
    const char *slash = strrchr(path, '/');
    return slash && slash > path ? h5_make_groups(file, path, (size_t)(slash - path), err) : ES_OK;
}

es_code es_h5_group(es_h5 *file, const char *path, es_err *err)
{
    es_code code;
    H5E_BEGIN_TRY {
        code = h5_make_groups(file, path, strlen(path), err);
    } H5E_END_TRY
    return code;
}

typedef struct h5_telling {
    bool (*tell)(void *self, const char *name);
    void *self;
} h5_telling;

static herr_t h5_tell(hid_t group, const char *name, const H5L_info_t *about, void *to)
{
    const h5_telling *telling = to;
    (void)group, (void)about;
    return telling->tell(telling->self, name) ? 0 : 1;
}

es_code es_h5_each(es_h5 *file, const char *group, bool (*tell)(void *self, const char *name), void *self, es_err *err)
{
    es_code code = ES_OK;
    h5_telling telling = { tell, self };
    H5E_BEGIN_TRY {
        if (h5_find(file, group) == H5_THERE && H5Literate_by_name(file->id, group, H5_INDEX_NAME, H5_ITER_INC, NULL, h5_tell, &telling, H5P_DEFAULT) < 0)
            code = h5_fault_in(err, file, group, "list");
    } H5E_END_TRY
    return code;
}

es_code es_h5_link_outside(es_h5 *file, const char *path, const char *other, const char *object, es_err *err)
{
    es_code code;
    H5E_BEGIN_TRY {
        code = es_h5_make_parents(file, path, err);
        if (!code && H5Lcreate_external(other, object, file->id, path, H5P_DEFAULT, H5P_DEFAULT) < 0)
            code = h5_fault_in(err, file, path, "link");
    } H5E_END_TRY
    return code;
}

/* --- attributes ----------------------------------------------------------------------------------------------------------------- */

hid_t es_h5_text_type(size_t bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, bytes) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static es_code h5_put(es_h5 *file, const char *object, const char *name, hid_t stored, hid_t memory, const void *value, es_err *err)
{
    es_code code = es_h5_need(file, object, err);
    if (code)
        return code;
    hid_t id = H5Oopen(file->id, object, H5P_DEFAULT), space = H5Screate(H5S_SCALAR), attribute = -1;
    if (id >= 0 && H5Aexists(id, name) > 0)
        H5Adelete(id, name);
    if (id >= 0)
        attribute = H5Acreate2(id, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, memory, value) < 0)
        code = h5_fault_in(err, file, object, "write an attribute");
    H5Aclose(attribute);
    H5Sclose(space);
    H5Oclose(id);
    return code;
}

es_code es_h5_put_text(es_h5 *file, const char *object, const char *name, const char *value, es_err *err)
{
    es_code code;
    H5E_BEGIN_TRY {
        hid_t type = es_h5_text_type(strlen(value) + 1);
        code = h5_put(file, object, name, type, type, value, err);
        H5Tclose(type);
    } H5E_END_TRY
    return code;
}

es_code es_h5_put_int(es_h5 *file, const char *object, const char *name, int64_t value, es_err *err)
{
    es_code code;
    H5E_BEGIN_TRY {
        code = h5_put(file, object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, err);
    } H5E_END_TRY
    return code;
}

es_code es_h5_put_real(es_h5 *file, const char *object, const char *name, double value, es_err *err)
{
    es_code code;
    H5E_BEGIN_TRY {
        code = h5_put(file, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, err);
    } H5E_END_TRY
    return code;
}

/* Opens an attribute that holds exactly one value. */
static es_code h5_attribute(es_h5 *file, const char *object, const char *name, hid_t *out, es_err *err)
{
    es_code code = es_h5_need(file, object, err);
    *out = -1;
    if (code)
        return code;
    hid_t attribute = -1, id = H5Oopen(file->id, object, H5P_DEFAULT);
    if (id < 0)
        return h5_fault_in(err, file, object, "open");
    if (H5Aexists(id, name) <= 0)
        code = h5_wrong(err, file, object, name, "is missing");
    else if ((attribute = H5Aopen(id, name, H5P_DEFAULT)) < 0)
        code = h5_fault_in(err, file, object, "open an attribute");
    H5Oclose(id);
    if (code)
        return code;
    hid_t space = H5Aget_space(attribute);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    if (count != 1) {
        H5Aclose(attribute);
        return h5_wrong(err, file, object, name, "holds not exactly one value");
    }
    *out = attribute;
    return ES_OK;
}

/* Fixed-length text, and what h5py writes for a Python str: variable length. */
static es_code h5_read_text(hid_t attribute, hid_t type, char **value)
{
    size_t size = H5Tget_size(type);
    char *text = NULL;
    if (H5Tis_variable_str(type) > 0) {
        hid_t memory = H5Tcopy(H5T_C_S1);
        char *held = NULL;
        H5Tset_size(memory, H5T_VARIABLE);
        H5Tset_cset(memory, H5Tget_cset(type));
        if (H5Aread(attribute, memory, &held) >= 0)
            text = strdup(held ? held : "");
        H5free_memory(held);
        H5Tclose(memory);
    } else if (size > 0 && size <= H5_TEXT_MAX && H5Aget_storage_size(attribute) >= size && (text = calloc(1, size + 1)) != NULL) {
        if (H5Aread(attribute, type, text) < 0) {
            free(text);
            text = NULL;
        }
    }
    *value = text;
    return text ? ES_OK : ES_EINPUT;
}

es_code es_h5_get_text(es_h5 *file, const char *object, const char *name, char **value, es_err *err)
{
    es_code code;
    *value = NULL;
    H5E_BEGIN_TRY {
        hid_t attribute;
        code = h5_attribute(file, object, name, &attribute, err);
        if (!code) {
            hid_t type = H5Aget_type(attribute);
            if (H5Tget_class(type) != H5T_STRING)
                code = h5_wrong(err, file, object, name, "is not text");
            else if (h5_read_text(attribute, type, value))
                code = h5_wrong(err, file, object, name, "cannot be read as text");
            H5Tclose(type);
            H5Aclose(attribute);
        }
    } H5E_END_TRY
    return code;
}

static es_code h5_get_number(es_h5 *file, const char *object, const char *name, bool real, void *value, es_err *err)
{
    es_code code;
    H5E_BEGIN_TRY {
        hid_t attribute;
        code = h5_attribute(file, object, name, &attribute, err);
        if (!code) {
            hid_t type = H5Aget_type(attribute);
            H5T_class_t kind = H5Tget_class(type);
            if (kind != H5T_INTEGER && !(real && kind == H5T_FLOAT))
                code = h5_wrong(err, file, object, name, real ? "is not a number" : "is not an integer");
            else if (H5Aread(attribute, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, value) < 0)
                code = h5_fault_in(err, file, object, "read an attribute");
            H5Tclose(type);
            H5Aclose(attribute);
        }
    } H5E_END_TRY
    return code;
}

es_code es_h5_get_int(es_h5 *file, const char *object, const char *name, int64_t *value, es_err *err)
{
    *value = 0;
    return h5_get_number(file, object, name, false, value, err);
}

es_code es_h5_get_real(es_h5 *file, const char *object, const char *name, double *value, es_err *err)
{
    *value = 0.0;
    return h5_get_number(file, object, name, true, value, err);
}

bool es_h5_has_attr(es_h5 *file, const char *object, const char *name)
{
    bool has;
    H5E_BEGIN_TRY {
        has = h5_find(file, object) == H5_THERE && H5Aexists_by_name(file->id, object, name, H5P_DEFAULT) > 0;
    } H5E_END_TRY
    return has;
}

