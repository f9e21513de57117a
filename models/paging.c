/* Paging: bringing an expert to where it can be computed when nothing is copied. Processor and GPU share the memory, so a miss only maps
 * pages: those of the page cache at the cost of their faults (rate 0), others when the disk has read them. `wire` is paid once for each
 * expert that joins the set of what the GPU may read.
 *
 *     fixed = latency (where the disk reads) + wire * experts + fault * ceil(pages / cluster)
 *     work  = pages * page / rate
 *
 * The disk reads whole pages. Where an expert is smaller than a page it takes one. */
#include "sim/part/timing.h"

typedef struct paging {
    es_time fault, wire, latency;
    int64_t page, cluster;
    double rate;
} paging;

#define PAGING(field) offsetof(paging, field)

static const es_option paging_options[] = {
    {.name = "page", .type = ES_OPT_BYTES, .offset = PAGING(page), .def = 16384, .min = 1, .max = 0x1p40, .help = "Size of a page."},
    {.name = "fault", .type = ES_OPT_TIME, .offset = PAGING(fault), .max = 1e9, .help = "A fault: entering the kernel and mapping what it brings."},
    {.name = "cluster", .type = ES_OPT_INT, .offset = PAGING(cluster), .def = 1, .min = 1, .max = 0x1p32, .unit = "pages", .help = "Pages that one fault brings."},
    {.name = "wire", .type = ES_OPT_TIME, .offset = PAGING(wire), .max = 1e12, .help = "Adding an expert to the set of what the GPU may read."},
    {.name = "latency", .type = ES_OPT_TIME, .offset = PAGING(latency), .max = 1e12, .help = "Of the disk, once per read; only with a rate."},
    {.name = "rate", .type = ES_OPT_RATE, .offset = PAGING(rate), .max = 1e18, .help = "Bytes per second that the disk reads; 0: the pages are in memory already."},
    {0},
};

static es_cost paging_cost(void *self, const es_op *op)
{
    const paging *p = self;
    if (op->kind != ES_OP_COPY && op->kind != ES_OP_READ && op->kind != ES_OP_WRITE)
        return (es_cost){0, 0};
    const int64_t count = op->count > 0 ? op->count : 1, each = (op->bytes + count - 1) / count;
    const int64_t pages = (each + p->page - 1) / p->page, faults = (pages + p->cluster - 1) / p->cluster;
    es_cost cost = {count * (p->wire + faults * p->fault), 0};
    if (p->rate > 0.0) {
        cost.fixed += p->latency;
        cost.work = es_ns_round((double)(count * pages * p->page) * 1e9 / p->rate);
    }
    return cost;
}

const es_timing es_timing_paging = {
    .part = {.abi = ES_ABI, .name = "paging", .brief = "Nothing is copied: pages are mapped, and read from the disk where they are not in memory.",
        .options = paging_options, .size = sizeof(paging)},
    .cost = paging_cost,
};
