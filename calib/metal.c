/* Metal: a probe of an Apple GPU and of the memory that it shares with the processor. It was written from Apple's documentation and is
 * tried against headers transcribed from it and a device made up for the tests (tests/support/fake_metal.m): no Mac has run it yet, so
 * what it measures is marked `unverified` until somebody compares it with another tool. Experts are not among what it computes. */
#include <stdio.h>
#include <unistd.h>

#include "calib/disk.h"
#include "calib/metal.h"

typedef struct metal_asked {    /* the options are the same in every build */
    const char *folder;
} metal_asked;

static const es_option metal_options[] = {
    {.name = "folder", .type = ES_OPT_TEXT, .offset = offsetof(metal_asked, folder), .def_text = ".", .help = "Where the scratch file lies: on the disk that holds the experts."},
    {0},
};

#ifdef ES_METAL

#define METAL_UNVERIFIED "the Metal probe has not run on a Mac yet: compare with another tool before you believe its numbers"

typedef struct metal_probe {
    metal_asked asked;          /* first: the options fill it */
    metal *device;
    disk *disk;
    es_err no_disk;
    unsigned can;
} metal_probe;

static es_code metal_probe_init(void *self, const es_site *site, es_err *err)
{
    metal_probe *p = self;
    unsigned disk_can;
    (void)site;
    es_code code = metal_open(&p->device, err);
    if (code)
        return code;
    p->can = ES_PROBE_PINS | ES_PROBE_LOCKS | ES_PROBE_GETS | ES_PROBE_WRAPS | ES_PROBE_RESIDES;
    p->can |= (metal_about(p->device)->unified ? ES_PROBE_UNIFIED : 0) | (metal_about(p->device)->sets ? ES_PROBE_SETS : 0);
    if (disk_open(&p->disk, p->asked.folder, &disk_can, &p->no_disk) == ES_OK)
        p->can |= disk_can;
    return ES_OK;
}

static void metal_probe_fini(void *self)
{
    metal_probe *p = self;
    metal_close(p->device);
    disk_close(p->disk);
}

/* The system level cache is not told; 64 MiB are more than any had so far. */
static es_probe_facts metal_probe_facts(void *self)
{
    const metal_probe *p = self;
    const metal_facts *facts = metal_about(p->device);
    return (es_probe_facts){p->can, 64 << 20, facts->memory_bytes, facts->device, 0};
}

static void metal_probe_environment(void *self, es_json *out)
{
    const metal_probe *p = self;
    const metal_facts *facts = metal_about(p->device);
    es_json_add_bool(out, "unified_memory", facts->unified);
    es_json_add_bool(out, "residency_sets", facts->sets);
    es_json_add_int(out, "working_set_B", facts->memory_bytes * 2);
    es_json_add_text(out, "disk", p->can & ES_PROBE_DISK ? "F_NOCACHE" : p->no_disk.text);
    es_json_add_text(out, "unverified", METAL_UNVERIFIED);
}

static const char *metal_probe_why(void *self, unsigned bit)
{
    const metal_probe *p = self;
    switch (bit) {
    case ES_PROBE_DISK:
    case ES_PROBE_DISK_BUFFERED:
        return p->no_disk.text;
    case ES_PROBE_SETS:
        return "residency sets came with macOS 15";
    case ES_PROBE_UNIFIED:
        return "this GPU has memory of its own";
    default:
        return NULL;
    }
}

static es_time metal_probe_now(void *self)
{
    (void)self;
    return metal_now();
}

static es_code metal_probe_alloc(void *self, es_memory kind, int64_t bytes, void **out, es_err *err)
{
    return metal_alloc(((metal_probe *)self)->device, kind, bytes, out, err);
}

static void metal_probe_release(void *self, es_memory kind, void *at, int64_t bytes)
{
    (void)kind, (void)bytes;
    metal_release(((metal_probe *)self)->device, at);
}

static es_code metal_probe_copy(void *self, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err)
{
    return metal_copy(((metal_probe *)self)->device, stream, way, to, from, bytes, err);
}

static es_code metal_probe_record(void *self, unsigned stream, unsigned event, es_err *err)
{
    return metal_record(((metal_probe *)self)->device, stream, event, err);
}

static es_code metal_probe_hold(void *self, es_err *err)
{
    return metal_hold(((metal_probe *)self)->device, err);
}

static es_code metal_probe_go(void *self, es_err *err)
{
    return metal_go(((metal_probe *)self)->device, err);
}

static es_code metal_probe_sync(void *self, es_err *err)
{
    return metal_sync(((metal_probe *)self)->device, err);
}

static es_code metal_probe_elapsed(void *self, unsigned from, unsigned to, es_time *ns, es_err *err)
{
    return metal_elapsed(((metal_probe *)self)->device, from, to, ns, err);
}

static es_code metal_probe_disk(void *self, const es_probe_io *io, es_err *err)
{
    return disk_io(((metal_probe *)self)->disk, io, err);
}

static es_code metal_probe_get(void *self, es_get how, int64_t bytes, es_got *out, es_err *err)
{
    return metal_get(((metal_probe *)self)->device, how, bytes, out, err);
}

static es_code metal_probe_reside(void *self, es_reside how, uint32_t count, int64_t bytes, es_time *ns, es_err *err)
{
    return metal_reside(((metal_probe *)self)->device, how, count, bytes, ns, err);
}

const es_probe es_probe_metal = {
    .part = {
        .abi = ES_ABI,
        .name = "metal",
        .brief = "The GPU of this Mac, the memory it shares, and its disk; unverified.",
        .options = metal_options,
        .size = sizeof(metal_probe),
        .init = metal_probe_init,
        .fini = metal_probe_fini,
    },
    .facts = metal_probe_facts,
    .environment = metal_probe_environment,
    .now = metal_probe_now,
    .alloc = metal_probe_alloc,
    .release = metal_probe_release,
    .copy = metal_probe_copy,
    .record = metal_probe_record,
    .hold = metal_probe_hold,
    .go = metal_probe_go,
    .sync = metal_probe_sync,
    .elapsed = metal_probe_elapsed,
    .disk = metal_probe_disk,
    .why = metal_probe_why,
    .get = metal_probe_get,
    .reside = metal_probe_reside,
};

#else

static es_code metal_probe_init(void *self, const es_site *site, es_err *err)
{
    (void)self;
    (void)site;
    return es_err_set(err, ES_EDEVICE, "this program was built without Metal, which only macOS has. Try --backend host.");
}

const es_probe es_probe_metal = {
    .part = {
        .abi = ES_ABI,
        .name = "metal",
        .brief = "The GPU of this Mac, the memory it shares, and its disk; unverified.",
        .options = metal_options,
        .size = sizeof(metal_asked),
        .init = metal_probe_init,
    },
};

#endif
