/* cuFile API: what is used of GPUDirect Storage, as NVIDIA documents it (docs.nvidia.com/gpudirect-storage/api-reference-guide). The library is
 * loaded when it is asked for; these declarations are our own. Offsets are of 64 bits, a status is of this library and of the driver. */
#ifndef ES_CALIB_CUFILE_API_H
#define ES_CALIB_CUFILE_API_H

#include <stddef.h>
#include <sys/types.h>

typedef struct cufile_status {
    int error, driver;          /* 0: success; CUresult beside error 1 */
} cufile_status;

typedef struct cufile_descriptor {
    int type;                   /* CUFILE_TYPE_FD */
    union {
        int fd;
        void *handle;
    } handle;
    const void *operations;     /* of file systems in user space */
} cufile_descriptor;

typedef struct cufile_properties {
    struct {
        unsigned major, minor;  /* of nvidia-fs; 0: it is not loaded */
        size_t poll_bytes, direct_bytes;
        unsigned status, control;   /* bits CUFILE_CONTROL_ */
    } nvfs;
    unsigned features;          /* bits CUFILE_FEATURE_ */
    unsigned sizes[64];         /* what newer versions have behind, too */
} cufile_properties;

enum { CUFILE_TYPE_FD = 1, CUFILE_CONTROL_COMPAT = 1, CUFILE_FEATURE_P2P = 4 };    /* the last two: numbers of bits */

#define CUFILE_CALLS(X) \
    X(cufile_status, cuFileDriverOpen, (void)) \
    X(cufile_status, cuFileDriverGetProperties, (cufile_properties * properties)) \
    X(cufile_status, cuFileHandleRegister, (void **file, cufile_descriptor *descriptor)) \
    X(void, cuFileHandleDeregister, (void *file)) \
    X(cufile_status, cuFileBufRegister, (const void *at, size_t bytes, int flags)) \
    X(cufile_status, cuFileBufDeregister, (const void *at)) \
    X(ssize_t, cuFileRead, (void *file, void *at, size_t bytes, off_t offset, off_t into))

typedef struct cufile_calls {
#define X(result, call, parameters) result(*call) parameters;
    CUFILE_CALLS(X)
#undef X
    cufile_status (*close)(void);   /* cuFileDriverClose_v2, before it cuFileDriverClose */
} cufile_calls;

#endif
