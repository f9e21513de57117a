/* Pages: see pages.h. */
#include "calib/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "sim/base/file.h"

enum { PAGES_HUGE = 2 << 20 };      /* of x86-64, and of ARM with pages of 4 KiB */

/* Of a mapping that is larger by one huge page: keeps the bytes from where the first one begins. */
static void *pages_trim(unsigned char *at, size_t bytes)
{
    const size_t before = (PAGES_HUGE - (uintptr_t)at % PAGES_HUGE) % PAGES_HUGE;
    if (before > 0)
        munmap(at, before);
    munmap(at + before + bytes, PAGES_HUGE - before);
    return at + before;
}

es_code pages_map(int64_t bytes, bool huge, void **out, es_err *err)
{
    const bool aligned = huge && bytes >= PAGES_HUGE;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = ((size_t)bytes + page - 1) / page * page;
    *out = mmap(NULL, aligned ? whole + PAGES_HUGE : whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*out == MAP_FAILED)
        return es_err_set(err, ES_EDEVICE, "out of memory: %lld bytes: %s", (long long)bytes, strerror(errno));
    if (aligned)
        *out = pages_trim(*out, whole);
#ifdef MADV_HUGEPAGE
    if (huge)
        madvise(*out, (size_t)bytes, MADV_HUGEPAGE);
#endif
    return ES_OK;
}

void pages_small(void *at, size_t bytes)
{
#ifdef MADV_NOHUGEPAGE
    madvise(at, bytes, MADV_NOHUGEPAGE);
#else
    (void)at, (void)bytes;
#endif
}

void pages_touch(void *at, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(at, bytes, MADV_POPULATE_WRITE) == 0)
        return;
#endif
    for (size_t i = 0; i < bytes; i += 4096)
        ((volatile unsigned char *)at)[i] = 0;
}

/* The last of "0-3" or "0,2". */
int pages_last_node(void)
{
    char *text = NULL;
    size_t length = 0;
    int last = 0;
    if (es_file_load("/sys/devices/system/node/online", 4096, &text, &length, NULL) == ES_OK)
        for (const char *at = text; *at; at += strcspn(at, "-,") + (at[strcspn(at, "-,")] != '\0'))
            last = (int)strtol(at, NULL, 10);
    free(text);
    return last;
}

es_code pages_bind(void *at, size_t bytes, int64_t node, es_err *err)
{
#if defined(__linux__) && defined(SYS_mbind)
    enum { PAGES_MPOL_BIND = 2 };   /* of linux/mempolicy.h, which is not installed everywhere */
    unsigned long nodes = 1ul << node;
    if (syscall(SYS_mbind, at, bytes, PAGES_MPOL_BIND, &nodes, 8 * sizeof nodes, 0) == 0)
        return ES_OK;
    return es_err_set(err, ES_EDEVICE, "node %lld: %s", (long long)node, strerror(errno));
#else
    (void)at, (void)bytes;
    return es_err_set(err, ES_EDEVICE, "node %lld: this system has no mbind", (long long)node);
#endif
}
