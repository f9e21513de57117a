/* GPUDirect Storage without a GPU: the calls that the probe makes, with memory of the host for the device's and plain reads.
 *
 * FAKE_CUFILE in the environment says what goes wrong: open, told, compat, alone (neither nvidia-fs nor P2PDMA), file, buffer, or of reads:
 * read (an error of cuFile), system (one of the system), short, other (other bytes). What was not given back is told when the library is closed. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calib/cufile_api.h"

#define X(result, call, parameters) result call parameters;
CUFILE_CALLS(X)
#undef X
cufile_status cuFileDriverClose_v2(void);

enum { FAILED = 5001, NO_SYSTEM = 5027, NO_MEMORY = 5017 };     /* numbers of CUfileOpError */

static int opened, files, buffers;

static bool goes_wrong(const char *how)
{
    const char *told = getenv("FAKE_CUFILE");
    return told && strcmp(told, how) == 0;
}

static cufile_status status_of(bool wrong, int error)
{
    return (cufile_status){wrong ? error : 0, 0};
}

cufile_status cuFileDriverOpen(void)
{
    opened += !goes_wrong("open");
    return status_of(goes_wrong("open"), FAILED);
}

cufile_status cuFileDriverClose_v2(void)
{
    opened--;
    return status_of(false, 0);
}

cufile_status cuFileDriverGetProperties(cufile_properties *properties)
{
    memset(properties, 0, sizeof *properties);
    properties->nvfs.major = goes_wrong("alone") ? 0 : 2;
    properties->nvfs.control = goes_wrong("compat") ? 1u << CUFILE_CONTROL_COMPAT : 0;
    return status_of(goes_wrong("told"), FAILED);
}

cufile_status cuFileHandleRegister(void **file, cufile_descriptor *descriptor)
{
    int *own = goes_wrong("file") || descriptor->type != CUFILE_TYPE_FD ? NULL : malloc(sizeof *own);
    if (!own)
        return status_of(true, NO_SYSTEM);
    *own = descriptor->handle.fd;
    *file = own;
    files++;
    return status_of(false, 0);
}

void cuFileHandleDeregister(void *file)
{
    free(file);
    files--;
}

cufile_status cuFileBufRegister(const void *at, size_t bytes, int flags)
{
    bool wrong = goes_wrong("buffer") || !at || bytes == 0 || flags != 0;
    buffers += !wrong;
    return status_of(wrong, NO_MEMORY);
}

cufile_status cuFileBufDeregister(const void *at)
{
    (void)at;
    buffers--;
    return status_of(false, 0);
}

ssize_t cuFileRead(void *file, void *at, size_t bytes, off_t offset, off_t into)
{
    if (goes_wrong("read"))
        return -FAILED;
    if (goes_wrong("system")) {
        errno = EIO;
        return -1;
    }
    ssize_t got = pread(*(int *)file, (char *)at + into, bytes, offset);
    if (goes_wrong("other") && got > 0)
        ((char *)at)[into + got - 1] ^= 1;
    return goes_wrong("short") && got > 0 ? got / 2 : got;
}

__attribute__((destructor)) static void fake_close(void)
{
    if (opened || files || buffers) {
        fprintf(stderr, "fake cuFile: open %d times, %d files and %d buffers are still registered\n", opened, files, buffers);
        abort();
    }
}
