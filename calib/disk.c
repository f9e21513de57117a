/* Disk: see disk.h. */
#include "calib/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef ES_LIBURING
#include <liburing.h>
#endif

#ifndef O_DIRECT                /* macOS: F_NOCACHE does it */
#define O_DIRECT 0
#endif

struct disk {
    int file;
    int cached;                 /* the same file, read through the page cache; -1: it cannot be told to forget */
#ifdef ES_LIBURING
    struct io_uring ring;
    bool rings;
#endif
};

static es_code disk_failed(es_err *err, const es_probe_io *io, int why)
{
    return es_err_set(err, ES_EDEVICE, "the scratch file: %s %lld bytes at %lld: %s", io->write ? "writing" : "reading", (long long)io->bytes,
        (long long)io->offset, strerror(why));
}

static int disk_create(const char *folder, int *cached)
{
    es_text path = {0};
    es_text_add(&path, "%s/expertsim-scratch-XXXXXX", folder);
    int file = path.failed ? -1 : mkostemp(path.at, O_CLOEXEC);
    *cached = -1;
    if (file >= 0) {
#ifdef POSIX_FADV_DONTNEED
        *cached = open(path.at, O_RDONLY | O_CLOEXEC);
#endif
        unlink(path.at);
        if (O_DIRECT && fcntl(file, F_SETFL, O_DIRECT) != 0) {
            int why = errno;
            close(file);
            file = -1;
            errno = why;
        }
#ifdef F_NOCACHE
        fcntl(file, F_NOCACHE, 1);
#endif
    }
    es_text_free(&path);
    return file;
}

es_code disk_open(disk **out, const char *folder, unsigned *can, es_err *err)
{
    disk *d = *out = calloc(1, sizeof *d);
    *can = 0;
    if (!d)
        return es_err_nomem(err, "the disk");
    d->file = disk_create(folder, &d->cached);
    if (d->file < 0)
        return es_err_set(err, ES_EDEVICE, "%s: cannot hold a scratch file that goes past the page cache: %s", folder, strerror(errno));
    *can = ES_PROBE_DISK | (d->cached >= 0 ? ES_PROBE_DISK_BUFFERED : 0);
#ifdef ES_LIBURING
    d->rings = io_uring_queue_init(ES_PROBE_DEPTH, &d->ring, 0) == 0;
    *can |= d->rings ? ES_PROBE_DISK_QUEUE : 0;
#endif
    return ES_OK;
}

void disk_close(disk *d)
{
    if (!d)
        return;
#ifdef ES_LIBURING
    if (d->rings)
        io_uring_queue_exit(&d->ring);
#endif
    if (d->file >= 0)
        close(d->file);
    if (d->cached >= 0)
        close(d->cached);
    free(d);
}

int disk_file(const disk *d)
{
    return d->file;
}

static int64_t block_bytes(const es_probe_io *io, int64_t done)
{
    return io->bytes - done < io->block ? io->bytes - done : io->block;
}

static es_code disk_one_by_one(disk *d, const es_probe_io *io, es_err *err)
{
    const int file = io->way == ES_DISK_BUFFERED ? d->cached : d->file;
    for (int64_t done = 0; done < io->bytes;) {
        char *at = (char *)io->buffer + done;
        size_t bytes = (size_t)block_bytes(io, done);
        ssize_t moved = io->write ? pwrite(file, at, bytes, io->offset + done) : pread(file, at, bytes, io->offset + done);
        if (moved <= 0)
            return disk_failed(err, io, moved < 0 ? errno : ENODATA);
        done += moved;
    }
    return ES_OK;
}

#ifdef ES_LIBURING
/* Puts the block at `at` into the queue; there is room for ES_PROBE_DEPTH. */
static void ring_queue(disk *d, const es_probe_io *io, int64_t at)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&d->ring);
    char *buffer = (char *)io->buffer + at;
    unsigned bytes = (unsigned)block_bytes(io, at);
    if (io->write)
        io_uring_prep_write(entry, d->file, buffer, bytes, (uint64_t)(io->offset + at));
    else
        io_uring_prep_read(entry, d->file, buffer, bytes, (uint64_t)(io->offset + at));
    io_uring_sqe_set_data64(entry, bytes);
}

/* Waits for one; 0, or why it failed. A short one is a failure: blocks are far smaller than what a kernel cuts. */
static int ring_reap(disk *d)
{
    struct io_uring_cqe *entry = NULL;
    int why = -io_uring_wait_cqe(&d->ring, &entry);
    if (why)
        return why;
    if (entry->res < 0)
        why = -entry->res;
    else if ((uint64_t)entry->res != io_uring_cqe_get_data64(entry))
        why = ENODATA;
    io_uring_cqe_seen(&d->ring, entry);
    return why;
}

static es_code disk_queued(disk *d, const es_probe_io *io, es_err *err)
{
    int64_t next = 0;
    uint32_t flying = 0;
    int why = 0;
    while (flying > 0 || (next < io->bytes && !why)) {
        for (; flying < io->depth && next < io->bytes && !why; flying++, next += io->block)
            ring_queue(d, io, next);
        int sent = io_uring_submit(&d->ring);
        if (sent < 0 && !why)
            why = -sent;
        int failed = flying ? ring_reap(d) : 0;
        flying -= flying > 0;
        why = why ? why : failed;
    }
    return why ? disk_failed(err, io, why) : ES_OK;
}
#endif

es_code disk_io(disk *d, const es_probe_io *io, es_err *err)
{
    es_code code;
#ifdef POSIX_FADV_DONTNEED
    if (io->way == ES_DISK_FORGET) {
        const int why = posix_fadvise(d->cached, io->offset, io->bytes, POSIX_FADV_DONTNEED);
        return why ? disk_failed(err, io, why) : ES_OK;
    }
#endif
#ifdef ES_LIBURING
    if (io->depth > 1 && d->rings && io->way == ES_DISK_DIRECT)
        code = disk_queued(d, io, err);
    else
#endif
        code = disk_one_by_one(d, io, err);
    if (code == ES_OK && io->write && fdatasync(d->file) != 0)
        code = disk_failed(err, io, errno);
    return code;
}
