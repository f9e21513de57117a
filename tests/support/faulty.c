/* A policy that goes wrong on demand, for tests of what a sweep does then. It keeps everything, so the cache must have room for all. Built
 * with FAULTY_SOURCE it is a source that ends its process when it is opened. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/part/policy.h"
#include "sim/part/registry.h"
#include "sim/part/source.h"

#ifndef FAULTY_SOURCE
typedef struct faulty {
    int fault;
    int64_t bytes;
} faulty;

enum { FAULT_NONE, FAULT_ABORT, FAULT_HANG, FAULT_HUNGRY, FAULT_REFUSE, FAULT_CHATTER };

static const char *const faulty_faults[] = {"none", "abort", "hang", "hungry", "refuse", "chatter", NULL};

static const es_option faulty_options[] = {
    {.name = "fault", .type = ES_OPT_ENUM, .offset = offsetof(faulty, fault), .choices = faulty_faults, .help = "What goes wrong."},
    {.name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(faulty, bytes), .def = 1e9, .min = 0, .max = 1e12, .help = "What hungry takes."},
    {0},
};

static es_code faulty_init(void *self, const es_site *site, es_err *err)
{
    const faulty *s = self;
    (void)site;
    if (s->fault == FAULT_ABORT) {
        fputs("about to abort\n", stderr);
        abort();
    }
    while (s->fault == FAULT_HANG)
        usleep(1000);
    if (s->fault == FAULT_HUNGRY) {
        volatile char *all = malloc((size_t)s->bytes);
        if (!all)
            return es_err_nomem(err, "the hungry policy");
        for (int64_t i = 0; i < s->bytes; i += 4096)
            all[i] = 1;
    }
    if (s->fault == FAULT_REFUSE)
        return es_err_set(err, ES_EINPUT, "this policy refuses");
    for (int i = 0; s->fault == FAULT_CHATTER && i < 10000; i++)
        fprintf(stderr, "chatter %d\n", i);
    return s->fault == FAULT_CHATTER ? es_err_set(err, ES_EINPUT, "said enough") : ES_OK;
}

static size_t faulty_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    (void)self, (void)need, (void)out, (void)most;
    return 0;
}

static const es_policy faulty_policy = {
    .part = {.abi = ES_ABI, .name = "faulty", .brief = "Goes wrong on demand.", .options = faulty_options, .size = sizeof(faulty), .init = faulty_init},
    .victims = faulty_victims,
};

#else
static es_code faulty_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    (void)self, (void)ask, (void)arena, (void)err;
    abort();
}

static const es_source faulty_source = {.part = {.abi = ES_ABI, .name = "faulty", .brief = "Ends its process.", .size = 8}, .open = faulty_open};
#endif

static const es_plugin_entry faulty_entries[] = {
#ifdef FAULTY_SOURCE
    {ES_KIND_SOURCE, &faulty_source.part},
#else
    {ES_KIND_POLICY, &faulty_policy.part},
#endif
};

const es_plugin es_plugin_table = {ES_ABI, faulty_entries, 1};
