/* Host compute: missing experts run on the cpu beside the gpu, where their weights already are, instead of being copied.
 *
 *   always    every miss of the event
 *   cheaper   in union order, each goes where it would be finished first, after those before it; a tie is fetched, because a copy
 *             can be used again
 *   n         the first `count` of the event
 *
 * Under `clock: none` nothing takes time, so `cheaper` fetches all. */
#include "sim/part/dispatcher.h"

typedef struct host {
    int rule;                   /* 0 always, 1 cheaper, 2 n */
    int64_t count;
} host;

static const char *const host_rules[] = {"always", "cheaper", "n", NULL};

static const es_option host_options[] = {
    {.name = "rule", .type = ES_OPT_ENUM, .offset = offsetof(host, rule), .def = 1, .choices = host_rules,
        .help = "Which misses run on the host: all, those that are finished sooner there, or the first n of an event."},
    {.name = "count", .type = ES_OPT_INT, .offset = offsetof(host, count), .def = 1, .min = 0, .max = 65535, .unit = "experts",
        .help = "How many of an event run on the host under rule n."},
    {0},
};

static es_time host_after(es_time at, es_time took)
{
    return took >= ES_NEVER - at ? ES_NEVER : at + took;
}

static es_time host_later(es_time a, es_time b)
{
    return a > b ? a : b;
}

/* Finishing times, one after another. When the gpu is done with what is resident is not known here, so it counts as free. */
static void host_cheaper(const es_serve_ask *ask, es_verdict *verdict)
{
    es_time link = ask->link_free, gpu = 0, cpu = ask->cpu_free;
    for (uint32_t i = 0; i < ask->count; i++) {
        es_time landed = host_after(link, ask->fetch_ns[i]);
        es_time fetched = host_after(host_later(landed, gpu), ask->gpu_ns[i]);
        es_time computed = host_after(cpu, ask->cpu_ns[i]);
        if (computed < fetched) {
            verdict[i] = ES_HOST_COMPUTE;
            cpu = computed;
        } else {
            verdict[i] = ES_FETCH;
            link = landed;
            gpu = fetched;
        }
    }
}

static void host_serve(void *self, const es_serve_ask *ask, es_verdict *verdict)
{
    const host *s = self;
    if (s->rule == 1) {
        host_cheaper(ask, verdict);
        return;
    }
    for (uint32_t i = 0; i < ask->count; i++)
        verdict[i] = s->rule == 0 || i < s->count ? ES_HOST_COMPUTE : ES_FETCH;
}

const es_dispatcher es_dispatcher_host_compute = {
    .part = {
        .abi = ES_ABI,
        .name = "host_compute",
        .brief = "Missing experts run on the cpu beside the gpu: always, when cheaper, or n of an event.",
        .options = host_options,
        .size = sizeof(host),
    },
    .serve = host_serve,
};
