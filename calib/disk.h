/* Disk: a scratch file that is read and written past the page cache, one block at a time or several by io_uring, and read through it. */
#ifndef ES_CALIB_DISK_H
#define ES_CALIB_DISK_H

#include "sim/part/probe.h"

typedef struct disk disk;

/* The file has no name and is gone with its last user. *can: the bits ES_PROBE_DISK, and ES_PROBE_DISK_QUEUE and ES_PROBE_DISK_BUFFERED where they are possible.
 * An error says why the folder cannot be used: it is not there, or its file system knows no O_DIRECT (tmpfs). */
es_code disk_open(disk **out, const char *folder, unsigned *can, es_err *err);
void disk_close(disk *d);                   /* NULL is fine */
int disk_file(const disk *d);               /* its descriptor */
es_code disk_io(disk *d, const es_probe_io *io, es_err *err);

#endif
