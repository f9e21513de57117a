/* CUDA libraries: see cuda_inside.h. Looked for where the loader looks, where CUDA installs itself, and cuBLAS also beside the runtime. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "calib/cuda_inside.h"

static const int cuda_majors[] = {13, 12};      /* whose calls these are; others pass other things */
enum { CUDA_MAJORS = 2, CUDA_PATH = 512 };

/* The first of the usual places that has library NAME of a major version; `beside`: a folder to look in first, or NULL. */
static void *load_named(const char *name, int major, const char *beside, es_err *why)
{
    static const char *const folders[] = {"", "/usr/local/cuda/lib64/", "/opt/cuda/lib64/"};
    char path[CUDA_PATH];
    void *handle = NULL;
    for (size_t i = 0; i < 4 && !handle; i++) {
        if (i == 0 && !beside)
            continue;
        snprintf(path, sizeof path, "%s%s.so.%d", i == 0 ? beside : folders[i - 1], name, major);
        handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
        if (!handle && i == 1)
            es_err_set(why, ES_EDEVICE, "%s", dlerror());
    }
    return handle;
}

static void *load_path(const char *path, es_err *why)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        es_err_set(why, ES_EDEVICE, "%s", dlerror());
    return handle;
}

void cuda_load_call(void *handle, const char *name, void *field)
{
    void *found = dlsym(handle, name);
    memcpy(field, &found, sizeof found);        /* a pointer to data may not be cast to one to a function */
}

static es_code load_version(cuda *c, es_err *err)
{
    CUDA_TRY(c, cudaRuntimeGetVersion(&c->runtime), "the version of the runtime", err);
    for (size_t i = 0; i < CUDA_MAJORS; i++)
        if (c->runtime / 1000 == cuda_majors[i])
            return ES_OK;
    return es_err_set(err, ES_EDEVICE, "this CUDA runtime is of version %d, needs %d or %d: the layout of what is passed differs", c->runtime / 1000,
        cuda_majors[1], cuda_majors[0]);
}

es_code cuda_load(cuda *c, es_err *err)
{
    es_err why = {0}, newest = {0};
    if (c->asked_library)
        c->handle = load_path(c->asked_library, &newest);
    for (size_t i = 0; i < CUDA_MAJORS && !c->handle && !c->asked_library; i++)
        c->handle = load_named("libcudart", cuda_majors[i], NULL, i ? &why : &newest);
    if (!c->handle)
        return es_err_set(err, ES_EDEVICE, "no CUDA runtime: %.600s; name it with --set library=PATH. Try --backend host.", newest.text);
#define X(result, call, parameters) \
    cuda_load_call(c->handle, #call, &c->rt.call); \
    if (!c->rt.call) \
        return es_err_set(err, ES_EDEVICE, "this CUDA runtime has no %s; needs one of version 12 or 13", #call);
    CUDA_CALLS(X)
#undef X
#define X(result, call, parameters) cuda_load_call(c->handle, #call, &c->rt.call);
    CUDA_OPTIONAL_CALLS(X)
#undef X
    cuda_load_call(c->handle, "cudaGetDeviceProperties", &c->rt.properties);
    return load_version(c, err);
}

/* The folder that the runtime came from, with its slash; "" when that is not told. */
static void load_folder(const cuda *c, char folder[CUDA_PATH])
{
    Dl_info where;
    void *call;
    memcpy(&call, &c->rt.cudaMalloc, sizeof call);
    folder[0] = '\0';
    const char *slash = dladdr(call, &where) && where.dli_fname ? strrchr(where.dli_fname, '/') : NULL;
    if (slash && slash - where.dli_fname < CUDA_PATH - 40)
        snprintf(folder, CUDA_PATH, "%.*s", (int)(slash - where.dli_fname + 1), where.dli_fname);
}

/* cuBLAS is loaded at run time only, too: it and what it loads are half a gigabyte, and not every machine with a GPU has it. */
void cuda_load_blas(cuda *c)
{
    char folder[CUDA_PATH];
    es_err why = {0};
    if (c->asked_blas && strcmp(c->asked_blas, "none") == 0) {
        es_err_set(&c->no_blas, ES_EDEVICE, "blas: none was asked for");
        return;
    }
    load_folder(c, folder);
    c->blas_handle = c->asked_blas ? load_path(c->asked_blas, &why) : load_named("libcublas", c->runtime / 1000, folder[0] ? folder : NULL, &why);
    if (!c->blas_handle) {
        es_err_set(&c->no_blas, ES_EDEVICE, "no cuBLAS: %.600s; name it with --set blas=PATH", why.text);
        return;
    }
#define X(result, call, parameters) \
    cuda_load_call(c->blas_handle, #call, &c->blas.call); \
    if (!c->blas.call && !c->no_blas.text[0]) \
        es_err_set(&c->no_blas, ES_EDEVICE, "this cuBLAS has no %s", #call);
    CUBLAS_CALLS(X)
#undef X
}

void cuda_unload(cuda *c)
{
    if (c->blas_handle)
        dlclose(c->blas_handle);
    if (c->handle)
        dlclose(c->handle);
}
