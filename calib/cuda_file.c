/* CUDA and the disk: see cuda_inside.h. GPUDirect Storage reads a file into memory of the device without the host's; beside it stands what
 * everybody can do, O_DIRECT into pinned memory and a copy. Compatibility mode is refused: there cuFile does the latter under its own name. */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "calib/cuda_inside.h"

enum { FILE_BUFFER = 64 << 20, FILE_MOST = 32 << 20 };

static es_code file_refused(es_err *err, cufile_status status, const char *what)
{
    return es_err_set(err, ES_EDEVICE, "GPUDirect Storage: %s (cuFile error %d)", what, status.error);
}

static es_code file_load(cuda *c, es_err *err)
{
    const char *name = c->asked_file ? c->asked_file : "libcufile.so.0";
    if (strcmp(name, "none") == 0)
        return es_err_set(err, ES_EDEVICE, "gds: none was asked for");
    if (!(c->file_library = dlopen(name, RTLD_NOW | RTLD_LOCAL)))
        return es_err_set(err, ES_EDEVICE, "no GPUDirect Storage: %.600s; name its library with --set gds=PATH", dlerror());
#define X(result, call, parameters) \
    cuda_load_call(c->file_library, #call, &c->file.call); \
    if (!c->file.call) \
        return es_err_set(err, ES_EDEVICE, "this libcufile has no %s", #call);
    CUFILE_CALLS(X)
#undef X
    cuda_load_call(c->file_library, "cuFileDriverClose_v2", &c->file.close);
    if (!c->file.close)
        cuda_load_call(c->file_library, "cuFileDriverClose", &c->file.close);
    return c->file.close ? ES_OK : es_err_set(err, ES_EDEVICE, "this libcufile has no cuFileDriverClose");
}

/* Reads go past the host, or they are not what the row says. */
static es_code file_direct(const cuda *c, es_err *err)
{
    cufile_properties properties = {0};
    cufile_status status = c->file.cuFileDriverGetProperties(&properties);
    if (status.error)
        return file_refused(err, status, "what its driver can do is not told");
    if (properties.nvfs.control & 1u << CUFILE_CONTROL_COMPAT)
        return es_err_set(err, ES_EDEVICE, "GPUDirect Storage may fall back to compatibility mode, which reads through the host: set \"allow_compat_mode\": false under "
            "\"properties\" in cufile.json (CUFILE_ENV_PATH_JSON names it)");
    if (properties.nvfs.major == 0 && !(properties.features & 1u << CUFILE_FEATURE_P2P))
        return es_err_set(err, ES_EDEVICE, "GPUDirect Storage has neither nvidia-fs nor P2PDMA here: load the module nvidia-fs");
    return ES_OK;
}

static es_code file_buffers(cuda *c, es_err *err)
{
    CUDA_TRY(c, cudaMalloc(&c->file_at, FILE_BUFFER), "device memory", err);
    CUDA_TRY(c, cudaHostAlloc(&c->file_stage, FILE_MOST, CUDA_HOST_DEFAULT), "pinned memory", err);
    cufile_status status = c->file.cuFileBufRegister(c->file_at, FILE_BUFFER, 0);
    if (status.error)
        return file_refused(err, status, "memory of the device cannot be registered");
    c->file_registered = true;
    return ES_OK;
}

static es_code file_open(cuda *c, es_err *err)
{
    es_code code = file_load(c, err);
    if (code)
        return code;
    cufile_status status = c->file.cuFileDriverOpen();
    if (status.error)
        return file_refused(err, status, "its driver cannot be opened");
    c->file_opened = true;
    if ((code = file_direct(c, err)) != ES_OK)
        return code;
    cufile_descriptor descriptor = {.type = CUFILE_TYPE_FD, .handle.fd = disk_file(c->disk)};
    status = c->file.cuFileHandleRegister(&c->file_handle, &descriptor);
    if (status.error) {
        c->file_handle = NULL;
        return file_refused(err, status, "the file system of the scratch file does not take part");
    }
    return file_buffers(c, err);
}

void cuda_file_open(cuda *c)
{
    if (!(c->can & ES_PROBE_DISK))
        es_err_set(&c->no_file, ES_EDEVICE, "%s", c->no_disk.text);
    else if (file_open(c, &c->no_file) == ES_OK)
        c->can |= ES_PROBE_DIRECT;
}

void cuda_file_close(cuda *c)
{
    if (c->file_registered)
        c->file.cuFileBufDeregister(c->file_at);
    if (c->file_handle)
        c->file.cuFileHandleDeregister(c->file_handle);
    if (c->file_opened)
        c->file.close();
    if (c->file_stage)
        c->rt.cudaFreeHost(c->file_stage);
    if (c->file_at)
        c->rt.cudaFree(c->file_at);
    if (c->file_library)
        dlclose(c->file_library);
}

/* The number of bytes, or -1 and errno, or the negative number of an error of cuFile. */
static es_code file_read(cuda *c, int64_t offset, int64_t bytes, es_err *err)
{
    ssize_t got = c->file.cuFileRead(c->file_handle, c->file_at, (size_t)bytes, (off_t)offset, (off_t)c->file_next);
    if (got == (ssize_t)bytes)
        return ES_OK;
    if (got >= 0)
        return es_err_set(err, ES_EDEVICE, "GPUDirect Storage: %lld of %lld bytes came from the scratch file at %lld", (long long)got, (long long)bytes, (long long)offset);
    return es_err_set(err, ES_EDEVICE, "GPUDirect Storage: reading %lld bytes of the scratch file at %lld: %s %lld", (long long)bytes, (long long)offset,
        got == -1 ? "system error" : "cuFile error", (long long)(got == -1 ? errno : -got));
}

static es_code file_staged(cuda *c, int64_t offset, int64_t bytes, es_err *err)
{
    es_probe_io io = {false, c->file_stage, offset, bytes, bytes, 1, ES_DISK_DIRECT};
    es_code code = disk_io(c->disk, &io, err);
    if (code)
        return code;
    CUDA_TRY(c, cudaMemcpyAsync((char *)c->file_at + c->file_next, c->file_stage, (size_t)bytes, cudaMemcpyHostToDevice, c->stream[0]), "a copy", err);
    return cuda_sync_stream(c, 0, err);
}

es_code cuda_fetch(void *self, es_fetch how, int64_t offset, int64_t bytes, const void **at, es_time *ns, es_err *err)
{
    cuda *c = self;
    if (bytes > FILE_MOST)
        return es_err_set(err, ES_EINTERNAL, "more than %d bytes by one read of the disk", FILE_MOST);
    if (c->file_next + bytes > FILE_BUFFER)
        c->file_next = 0;
    es_time start = dma_clock();
    es_code code = how == ES_FETCH_DIRECT ? file_read(c, offset, bytes, err) : file_staged(c, offset, bytes, err);
    *ns = dma_clock() - start;
    *at = (char *)c->file_at + c->file_next;
    c->file_next += bytes;
    return code;
}
