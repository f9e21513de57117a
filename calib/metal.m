/* Metal: see metal.h. The device, its memory, and its streams.
 *
 * A stream is a command queue, what is between two records is one command buffer, and the GPU's own stamps of command buffers are the
 * times of the events. Held, command buffers are encoded but not committed: then they start at one instant. */
#include "calib/metal_inside.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

es_time metal_now(void)
{
    return (es_time)clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
}

es_code metal_nil(es_err *err, const char *what)
{
    return es_err_set(err, ES_EDEVICE, "%s: Metal gave none", what);
}

const metal_facts *metal_about(const metal *m)
{
    return &m->facts;
}

/* ---- opening ---- */

static void metal_describe(metal *m)
{
    const char *name = [[m->device name] UTF8String];
    strncpy(m->facts.device, name ? name : "Metal device", sizeof m->facts.device - 1);
    m->facts.unified = [m->device hasUnifiedMemory];
    m->facts.memory_bytes = (int64_t)([m->device recommendedMaxWorkingSetSize] / 2);
    m->facts.sets = [m->device respondsToSelector:@selector(newResidencySetWithDescriptor:error:)];
}

es_code metal_open(metal **out, es_err *err)
{
    metal *m = *out = calloc(1, sizeof *m);
    if (!m)
        return es_err_nomem(err, "a Metal device");
    @autoreleasepool {
        m->device = MTLCreateSystemDefaultDevice();
        if (!m->device)
            return es_err_set(err, ES_EDEVICE, "no usable Metal device. Try --backend host.");
        metal_describe(m);
        m->stage = [m->device newBufferWithLength:METAL_STAGE options:MTLResourceStorageModeShared];
        if (!m->stage)
            return metal_nil(err, "a buffer to copy through");
        for (unsigned s = 0; s < ES_PROBE_STREAMS; s++) {
            m->stream[s].last = METAL_JOBS;
            m->stream[s].queue = [m->device newCommandQueue];
            if (!m->stream[s].queue)
                return metal_nil(err, "a command queue");
        }
    }
    return ES_OK;
}

void metal_close(metal *m)
{
    if (!m)
        return;
    @autoreleasepool {
        if (m->device)
            metal_sync(m, NULL);
        metal_keep_close(m);
        for (size_t i = 0; i < METAL_BLOCKS; i++)
            if (m->block[i].at)
                metal_release(m, m->block[i].at);
        for (unsigned s = 0; s < ES_PROBE_STREAMS; s++)
            [m->stream[s].queue release];
        [m->stage release];
        [m->device release];
    }
    free(m);
}

/* ---- memory ---- */

/* Addresses that nothing lies at. */
static void *range_reserve(int64_t bytes)
{
    void *at = mmap(NULL, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static es_code block_make(metal *m, metal_block *b, es_err *err)
{
    void *at = NULL;
    if (b->kind == ES_MEMORY_PAGEABLE) {
        if (posix_memalign(&at, 4096, (size_t)b->bytes) != 0)
            return es_err_nomem(err, "pageable memory");
        b->at = memset(at, 1, (size_t)b->bytes);
        return ES_OK;
    }
    bool device = b->kind == ES_MEMORY_DEVICE;
    b->buffer = [m->device newBufferWithLength:(NSUInteger)b->bytes options:device ? MTLResourceStorageModePrivate : MTLResourceStorageModeShared];
    if (!b->buffer)
        return es_err_set(err, ES_EDEVICE, "out of memory: a %s buffer of %lld bytes: Metal gave none", device ? "private" : "shared", (long long)b->bytes);
    b->at = device ? range_reserve(b->bytes) : [b->buffer contents];
    if (!b->at)
        return metal_nil(err, device ? "addresses for a private buffer" : "the contents of a shared buffer");
    if (device)
        return metal_fill(m, b->buffer, b->bytes, NULL, err);
    memset(b->at, 0, (size_t)b->bytes);
    return ES_OK;
}

static void block_drop(metal_block *b)
{
    if (b->kind == ES_MEMORY_PAGEABLE)
        free(b->at);
    else if (b->kind == ES_MEMORY_DEVICE && b->at)
        munmap(b->at, (size_t)b->bytes);
    [b->buffer release];
    *b = (metal_block){0};
}

es_code metal_alloc(metal *m, es_memory kind, int64_t bytes, void **out, es_err *err)
{
    size_t free = 0;
    while (free < METAL_BLOCKS && m->block[free].at)
        free++;
    if (free == METAL_BLOCKS)
        return es_err_set(err, ES_EINTERNAL, "more than %d blocks of memory at a time", METAL_BLOCKS);
    metal_block *b = &m->block[free];
    *b = (metal_block){.kind = kind, .bytes = bytes};
    @autoreleasepool {
        es_code code = block_make(m, b, err);
        if (code) {
            block_drop(b);
            return code;
        }
    }
    *out = b->at;
    return ES_OK;
}

void metal_release(metal *m, void *at)
{
    for (size_t i = 0; i < METAL_BLOCKS; i++)
        if (m->block[i].at == at) {
            block_drop(&m->block[i]);
            return;
        }
}

static metal_block *block_of(metal *m, const void *at)
{
    const unsigned char *place = at;
    for (size_t i = 0; i < METAL_BLOCKS; i++)
        if (m->block[i].at && place >= m->block[i].at && place < m->block[i].at + m->block[i].bytes)
            return &m->block[i];
    return NULL;
}

/* ---- jobs ---- */

es_code metal_wait(id<MTLCommandBuffer> buffer, es_err *err)
{
    [buffer waitUntilCompleted];
    if ([buffer status] != MTLCommandBufferStatusError)
        return ES_OK;
    const char *why = [[[buffer error] localizedDescription] UTF8String];
    return es_err_set(err, ES_EDEVICE, "the device failed: %s", why ? why : "it does not say why");
}

/* The open job of a stream; a new one where there is none, with the events that wait for it behind it. */
static es_code stream_open(metal *m, metal_stream *s, es_err *err)
{
    if (s->encoder)
        return ES_OK;
    if (m->jobs == METAL_JOBS)
        return es_err_set(err, ES_EINTERNAL, "more than %d command buffers without a sync", METAL_JOBS);
    id<MTLCommandBuffer> buffer = [s->queue commandBuffer];
    if (!buffer)
        return metal_nil(err, "a command buffer");
    id<MTLBlitCommandEncoder> encoder = [buffer blitCommandEncoder];
    if (!encoder)
        return metal_nil(err, "an encoder of copies");
    s->encoder = [encoder retain];
    s->last = m->jobs++;
    m->job[s->last] = (metal_job){.buffer = [buffer retain]};
    for (unsigned i = 0; i < s->count; i++)
        m->event[s->waiting[i]].ahead = s->last;
    s->count = 0;
    return ES_OK;
}

static void job_commit(metal_job *job)
{
    if (!job->committed)
        [job->buffer commit];
    job->committed = true;
}

static void stream_close(metal *m, metal_stream *s)
{
    if (!s->encoder)
        return;
    [s->encoder endEncoding];
    [s->encoder release];
    s->encoder = nil;
    if (!m->held)
        job_commit(&m->job[s->last]);
}

es_code metal_fill(metal *m, id<MTLBuffer> buffer, int64_t bytes, es_time *ns, es_err *err)
{
    es_time start = metal_now();
    id<MTLCommandBuffer> commands = [m->stream[0].queue commandBuffer];
    id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
    if (!encoder)
        return metal_nil(err, "an encoder of copies");
    [encoder fillBuffer:buffer range:NSMakeRange(0, (NSUInteger)bytes) value:1];
    [encoder endEncoding];
    [commands commit];
    es_code code = metal_wait(commands, err);
    if (ns)
        *ns = metal_now() - start;
    return code;
}

/* ---- copies ---- */

static es_code copy_blit(metal *m, unsigned stream, metal_block *to, int64_t to_at, metal_block *from, int64_t from_at, int64_t bytes, es_err *err)
{
    metal_stream *s = &m->stream[stream];
    es_code code = stream_open(m, s, err);
    if (code)
        return code;
    [s->encoder copyFromBuffer:from->buffer sourceOffset:(NSUInteger)from_at toBuffer:to->buffer destinationOffset:(NSUInteger)to_at size:(NSUInteger)bytes];
    if (!m->held)
        stream_close(m, s);
    return ES_OK;
}

/* Through the shared buffer, piece by piece: what an engine does with experts that it mapped from a file. */
static es_code copy_staged(metal *m, unsigned stream, bool in, metal_block *device, int64_t at, unsigned char *host, int64_t bytes, es_err *err)
{
    metal_block stage = {.buffer = m->stage};
    es_code code = metal_sync(m, err);
    for (int64_t done = 0; done < bytes && code == ES_OK; done += METAL_STAGE) {
        int64_t piece = bytes - done < METAL_STAGE ? bytes - done : METAL_STAGE;
        if (in)
            memcpy([m->stage contents], host + done, (size_t)piece);
        code = in ? copy_blit(m, stream, device, at + done, &stage, 0, piece, err) : copy_blit(m, stream, &stage, 0, device, at + done, piece, err);
        if (code == ES_OK)
            code = metal_sync(m, err);
        if (code == ES_OK && !in)
            memcpy(host + done, [m->stage contents], (size_t)piece);
    }
    return code;
}

es_code metal_copy(metal *m, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err)
{
    metal_block *into = block_of(m, to), *out_of = block_of(m, from);
    if (!into || !out_of)
        return es_err_set(err, ES_EINTERNAL, "a copy of memory that was not allocated here");
    if (way == ES_WAY_H2H) {
        memcpy(to, from, (size_t)bytes);
        return ES_OK;
    }
    int64_t to_at = (unsigned char *)to - into->at, from_at = (const unsigned char *)from - out_of->at;
    @autoreleasepool {
        if (out_of->kind == ES_MEMORY_PAGEABLE)
            return copy_staged(m, stream, true, into, to_at, out_of->at + from_at, bytes, err);
        if (into->kind == ES_MEMORY_PAGEABLE)
            return copy_staged(m, stream, false, out_of, from_at, to, bytes, err);
        return copy_blit(m, stream, into, to_at, out_of, from_at, bytes, err);
    }
}

/* ---- events ---- */

es_code metal_record(metal *m, unsigned stream, unsigned event, es_err *err)
{
    metal_stream *s = &m->stream[stream];
    if (s->count == ES_PROBE_EVENTS)
        return es_err_set(err, ES_EINTERNAL, "more than %d events without anything between them", ES_PROBE_EVENTS);
    stream_close(m, s);
    m->event[event] = (metal_event){s->last, METAL_JOBS};
    s->waiting[s->count++] = event;
    return ES_OK;
}

es_code metal_hold(metal *m, es_err *err)
{
    (void)err;
    m->held = true;
    return ES_OK;
}

/* In the order in which they were encoded, which is the order of every queue. */
es_code metal_go(metal *m, es_err *err)
{
    (void)err;
    m->held = true;
    for (unsigned s = 0; s < ES_PROBE_STREAMS; s++)
        stream_close(m, &m->stream[s]);
    for (size_t i = 0; i < m->jobs; i++)
        job_commit(&m->job[i]);
    m->held = false;
    return ES_OK;
}

/* Events know their times from here on; the command buffers are gone. */
static void sync_events(metal *m)
{
    for (unsigned e = 0; e < ES_PROBE_EVENTS; e++) {
        metal_event *event = &m->event[e];
        if (event->behind < m->jobs)
            m->behind[e] = m->before[e] = m->job[event->behind].end;
        if (event->ahead < m->jobs)
            m->before[e] = m->job[event->ahead].start;
        if (event->ahead < m->jobs && event->behind >= m->jobs)
            m->behind[e] = m->before[e];
        *event = (metal_event){METAL_JOBS, METAL_JOBS};
    }
}

/* Waits for all, also when one has failed: nothing may be under way that is released. The first failure is told. */
es_code metal_sync(metal *m, es_err *err)
{
    es_code code = metal_go(m, err);
    @autoreleasepool {
        for (size_t i = 0; i < m->jobs; i++) {
            metal_job *job = &m->job[i];
            es_code failed = metal_wait(job->buffer, code ? NULL : err);
            code = code ? code : failed;
            job->start = [job->buffer GPUStartTime];
            job->end = [job->buffer GPUEndTime];
            [job->buffer release];
            job->buffer = nil;
        }
    }
    sync_events(m);
    m->jobs = 0;
    for (unsigned s = 0; s < ES_PROBE_STREAMS; s++) {
        m->stream[s].last = METAL_JOBS;
        m->stream[s].count = 0;
    }
    return code;
}

es_code metal_elapsed(metal *m, unsigned from, unsigned to, es_time *ns, es_err *err)
{
    (void)err;
    *ns = es_ns_round((m->behind[to] - m->before[from]) * 1e9);
    return ES_OK;
}
