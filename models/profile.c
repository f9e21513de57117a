/* Profile: see profile.h. */
#include "models/profile.h"

#include <stddef.h>
#include <string.h>

#include "models/profile_tables.h"
#include "sim/base/text.h"

/* What each kind of link can carry in one direction, after line coding and before protocol.
 * PCIe: PCI-SIG, 8, 16 and 32 GT/s per lane with 128b/130b coding. NVMe: the PCIe lanes it hangs on. NVLink-C2C: half of
 * NVIDIA's 900 GB/s, which counts both directions. UFS 4: JEDEC JESD220F, 23.2 Gb/s per lane (HS-G5B), two lanes, before
 * coding (JEDEC itself expects about 4.2 GB/s of traffic); UFS 3.1: JESD220E, half of that. */
static const struct {
    const char *name;
    double ceiling_gbps;        /* 10^9 bytes per second; 0: no ceiling known, or it follows from channels and mt_per_s */
} kinds[] = {
    { "pcie3_x16", 15.75 },  { "pcie3_x8", 7.875 },   { "pcie3_x4", 3.9375 },
    { "pcie4_x16", 31.5 },   { "pcie4_x8", 15.75 },   { "pcie4_x4", 7.875 },
    { "pcie5_x16", 63.0 },   { "pcie5_x8", 31.5 },    { "pcie5_x4", 15.75 },
    { "nvlink_c2c", 450.0 },
    { "nvme_gen3_x4", 3.94 }, { "nvme_gen4_x4", 7.9 }, { "nvme_gen5_x4", 15.8 }, { "nvme_apple", 0.0 },
    { "ufs_3", 2.9 },        { "ufs_4", 5.8 },
    { "dram", 0.0 },         { "unified", 0.0 },      { "other", 0.0 },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* A channel of memory is 64 bits wide. */
#define CHANNEL_BYTES 8.0

static const char *const flow_names[] = {
    "h2d", "d2h", "pageable", "read", "write", "hot", "alloc", "pin", "h2d_portable", "h2d_combined", "h2d_registered", "h2d_mapped",
    "d2h_registered", "pageable_d2h", "h2d_host", "d2h_host", "copy", "copy_huge", "copy_far", "fetch",
    "staged", "buffered",
};
#define FLOWS (sizeof flow_names / sizeof flow_names[0])

static const char *const table_names[] = { "alloc", "batches", "gemm", "launch", "contention" };
#define PROFILE_TABLES (sizeof table_names / sizeof table_names[0])

typedef struct profile_fields {
    es_profile profile;
    const es_json *links, *environment, *compute, *memory, *skipped;
    const es_json *table[PROFILE_TABLES];   /* in the order of table_names */
    const char *schema;
    double price;
} profile_fields;

typedef struct link_fields {
    es_link link;
    const es_json *flow[FLOWS];     /* in the order of flow_names */
} link_fields;

typedef struct unit_fields {
    es_profile_unit unit;
    const es_json *slowed_by, *points, *error;
    double mean_over_median;
    const es_json *copied;
} unit_fields;

typedef struct flow_fields {
    es_flow flow;
    const es_json *points, *fit, *slowed_by, *waits, *max_rate;
} flow_fields;

static const char *const provenance_names[] = { "unstated", "measured", "reported", "theoretical", "synthetic", NULL };

static const char *const discipline_names[] = { "unstated", "fifo", "shared", NULL };

#define PROVENANCE(word, owner, field, text) \
    { .name = word, .type = ES_OPT_ENUM, .offset = offsetof(owner, field), .choices = provenance_names, .help = text }
#define TEXT(word, owner, field, text) { .name = word, .type = ES_OPT_TEXT, .offset = offsetof(owner, field), .help = text }

#define TABLE(i, word, text) { .name = word, .type = ES_OPT_JSON, .offset = offsetof(profile_fields, table[i]), .help = text }

const es_option es_profile_options[] = {
    { .name = "name", .type = ES_OPT_TEXT, .offset = offsetof(profile_fields, profile.name), .required = true, .help = "The machine." },
    TEXT("description", profile_fields, profile.description, "What it is and where its numbers come from."),
    { .name = "links", .type = ES_OPT_JSON, .offset = offsetof(profile_fields, links), .required = true, .help = "Its links, by name." },
    { .name = "compute", .type = ES_OPT_JSON, .offset = offsetof(profile_fields, compute), .help = "What computes experts, by name." },
    { .name = "memory", .type = ES_OPT_JSON, .offset = offsetof(profile_fields, memory), .help = "What getting memory costs there and keeping it resident, by name." },
    { .name = "price", .type = ES_OPT_REAL, .offset = offsetof(profile_fields, price), .max = 1e12,
      .help = "What it costs, in any currency, for a search of the cheapest machine; no run depends on it." },
    TEXT("unverified", profile_fields, profile.unverified, "Why its numbers should not be believed yet."),
    TEXT("schema", profile_fields, schema, "Of a calibration: how it was written, \"" ES_PROFILE_SCHEMA "\"."),
    { .name = "environment", .type = ES_OPT_JSON, .offset = offsetof(profile_fields, environment), .help = "Of a calibration: what the machine was like." },
    TABLE(0, "alloc", "Of a calibration: what memory costs to get and to give back, by kind and size."),
    TABLE(1, "batches", "Of a calibration: several copies at once, by form, count and size, and the terms of LogGP."),
    TABLE(2, "gemm", "Of a calibration: an expert's time by precision and tokens, its weights cold or just used."),
    TABLE(3, "launch", "Of a calibration: what starting kernels costs."),
    TABLE(4, "contention", "Of a calibration: times of things alone and beside others."),
    { .name = "skipped", .type = ES_OPT_JSON, .offset = offsetof(profile_fields, skipped), .help = "Of a calibration: what was not measured, and why." },
    { 0 },
};

#define FLOW(i, word, text) { .name = word, .type = ES_OPT_JSON, .offset = offsetof(link_fields, flow[i]), .help = text }

const es_option es_profile_link_options[] = {
    { .name = "kind", .type = ES_OPT_TEXT, .offset = offsetof(link_fields, link.kind), .required = true,
      .help = "What it is physically; bounds its rates: pcie4_x16, nvme_gen4_x4, dram, ..." },
    { .name = "channels", .type = ES_OPT_INT, .offset = offsetof(link_fields, link.channels), .max = 4096,
      .help = "Memory channels, 64 bits each." },
    { .name = "mt_per_s", .type = ES_OPT_REAL, .offset = offsetof(link_fields, link.mt_per_s), .max = 1e6, .unit = "million per second",
      .help = "Transfers of each memory channel." },
    PROVENANCE("provenance", link_fields, link.memory_origin.provenance, "How channels and mt_per_s are known."),
    TEXT("source", link_fields, link.memory_origin.source, "Where channels and mt_per_s were read."),
    { .name = "forced", .type = ES_OPT_BOOL, .offset = offsetof(link_fields, link.forced),
      .help = "Accept rates above what the kind can carry." },
    TEXT("note", link_fields, link.note, "What else one should know."),
    FLOW(0, "h2d", "Pinned host memory to the device."),
    FLOW(1, "d2h", "Device to pinned host memory."),
    FLOW(2, "pageable", "Pageable host memory to the device."),
    FLOW(3, "read", "Reading a disk or memory."),
    FLOW(4, "write", "Writing a disk or memory."),
    FLOW(5, "hot", "Reading once the device is hot and throttles."),
    FLOW(6, "alloc", "Allocating memory, first touch included."),
    FLOW(7, "pin", "Allocating pinned memory."),
    FLOW(8, "h2d_portable", "Memory pinned for every device to the device."),
    FLOW(9, "h2d_combined", "Write-combined pinned memory to the device."),
    FLOW(10, "h2d_registered", "Memory that was pinned after the fact to the device."),
    FLOW(11, "h2d_mapped", "The same of mapped memory."),
    FLOW(12, "d2h_registered", "The device to memory that was pinned after the fact."),
    FLOW(13, "pageable_d2h", "The device to pageable host memory."),
    FLOW(14, "h2d_host", "As h2d, as the host sees it: from the call until it is known to be done."),
    FLOW(15, "d2h_host", "As d2h, as the host sees it."),
    FLOW(16, "copy", "A copy within the host's memory, in small pages."),
    FLOW(17, "copy_huge", "The same in huge pages."),
    FLOW(18, "copy_far", "The same to memory of another NUMA node."),
    FLOW(19, "fetch", "Reading a disk into memory of the device, by the device."),
    FLOW(20, "staged", "The same by way of pinned memory of the host."),
    FLOW(21, "buffered", "Reading a disk through the page cache, which has none of it."),
    { 0 },
};

const es_option es_flow_options[] = {
    { .name = "rate", .type = ES_OPT_RATE, .offset = offsetof(flow_fields, flow.rate), .required = true,
      .help = "Rate of large copies." },
    PROVENANCE("provenance", flow_fields, flow.rate_origin.provenance, "How the rate is known."),
    { .name = "source", .type = ES_OPT_TEXT, .offset = offsetof(flow_fields, flow.rate_origin.source), .required = true,
      .help = "Who says so, under which conditions." },
    { .name = "latency", .type = ES_OPT_TIME, .offset = offsetof(flow_fields, flow.latency_ns), .max = 9e18,
      .help = "Fixed time of one copy." },
    PROVENANCE("latency_provenance", flow_fields, flow.latency_origin.provenance, "Of the latency; as the rate's when absent."),
    TEXT("latency_source", flow_fields, flow.latency_origin.source, "Of the latency; as the rate's when absent."),
    { .name = "host_time", .type = ES_OPT_TIME, .offset = offsetof(flow_fields, flow.host_ns), .max = 9e18,
      .help = "Time of the host's thread per copy, inside the call." },
    PROVENANCE("host_provenance", flow_fields, flow.host_origin.provenance, "Of host_time; as the rate's when absent."),
    TEXT("host_source", flow_fields, flow.host_origin.source, "Of host_time; as the rate's when absent."),
    { .name = "synchronous", .type = ES_OPT_BOOL, .offset = offsetof(flow_fields, flow.synchronous),
      .help = "The host's thread waits for the copy." },
    { .name = "lanes", .type = ES_OPT_INT, .offset = offsetof(flow_fields, flow.lanes), .def = 1, .min = 1, .max = 4096,
      .help = "Copies at once up to which the rate grows." },
    { .name = "points", .type = ES_OPT_JSON, .offset = offsetof(flow_fields, points),
      .help = "Effective rates by size: [{bytes, lanes, rate}, ...], ascending by lanes, then bytes." },
    PROVENANCE("points_provenance", flow_fields, flow.points_origin.provenance, "Of the points; as the rate's when absent."),
    TEXT("points_source", flow_fields, flow.points_origin.source, "Of the points; as the rate's when absent."),
    { .name = "fit", .type = ES_OPT_JSON, .offset = offsetof(flow_fields, fit), .help = "Of a calibration: the curve, its errors and the noise around it." },
    { .name = "max_rate", .type = ES_OPT_JSON, .offset = offsetof(flow_fields, max_rate),
      .help = "Of a calibration: several at a time take alpha_s and their bytes at the less of link_Bps and as many times one_Bps; {alpha_s, one_Bps, link_Bps, error_median}." },
    { .name = "discipline", .type = ES_OPT_ENUM, .offset = offsetof(flow_fields, flow.discipline), .choices = discipline_names,
      .help = "Copies at once: one after another (fifo) or at a share of the rate each (shared)." },
    { .name = "waits", .type = ES_OPT_JSON, .offset = offsetof(flow_fields, waits),
      .help = "Of a calibration: does a small copy wait for a large one {behind: it, first: queued before it, across: it goes the other way, chunked: the large one is in pieces, spaced: with work between them}?" },
    { .name = "slowed_by", .type = ES_OPT_JSON, .offset = offsetof(flow_fields, slowed_by),
      .help = "Rate while something else runs: {\"pcie.d2h\": 0.8, \"gpu\": 0.9}." },
    { .name = "handover", .type = ES_OPT_TIME, .offset = offsetof(flow_fields, flow.handover_ns), .max = 9e15,
      .help = "Until its queue has noticed that another has done what it waits for." },
    { .name = "onto", .type = ES_OPT_REAL, .offset = offsetof(flow_fields, flow.onto), .def = 1, .min = 0.001, .max = 1,
      .help = "Share of its time that a copy takes whose destination was used just before. Charged by the times of an action log (`expertsim validate`)." },
    { .name = "onto_near", .type = ES_OPT_BYTES, .offset = offsetof(flow_fields, flow.onto_near_bytes), .max = 0x1p53,
      .help = "Just before: so many bytes of memory touched since that use ended, at most." },
    TEXT("note", flow_fields, flow.note, "What else one should know."),
    { 0 },
};

const es_option es_profile_unit_options[] = {
    { .name = "expert_bytes", .type = ES_OPT_BYTES, .offset = offsetof(unit_fields, unit.expert_bytes), .max = 9e18, .help = "Of the expert it was measured with." },
    { .name = "rate", .type = ES_OPT_RATE, .offset = offsetof(unit_fields, unit.rate), .max = 1e18, .help = "Of reading its weights, for one token." },
    { .name = "fixed", .type = ES_OPT_TIME, .offset = offsetof(unit_fields, unit.fixed_ns), .max = 9e15, .help = "Fixed time of one expert." },
    { .name = "per_token", .type = ES_OPT_TIME, .offset = offsetof(unit_fields, unit.token_ns), .max = 9e15, .help = "Added for each token that it serves." },
    { .name = "points", .type = ES_OPT_JSON, .offset = offsetof(unit_fields, points), .help = "Medians, [{tokens, bytes, time}, ...], ascending by tokens, then bytes; what experts are charged." },
    { .name = "copied", .type = ES_OPT_JSON, .offset = offsetof(unit_fields, copied),
      .help = "The same of experts right behind the copy that brought them: {fades, points, handed}. Charged by the times of an action log (`expertsim validate`)." },
    { .name = "error", .type = ES_OPT_JSON, .offset = offsetof(unit_fields, error), .help = "Relative, of sizes held out: {holdout_median}." },
    { .name = "noise", .type = ES_OPT_JSON, .offset = offsetof(unit_fields, unit.noise), .help = "Around the points, as of a flow; timing empirical draws it." },
    { .name = "mean_over_median", .type = ES_OPT_REAL, .offset = offsetof(unit_fields, mean_over_median), .def = 1, .max = 1e6, .help = "Mean time over median time: totals are larger than medians promise." },
    PROVENANCE("provenance", unit_fields, unit.origin.provenance, "How these are known."),
    { .name = "source", .type = ES_OPT_TEXT, .offset = offsetof(unit_fields, unit.origin.source), .required = true, .help = "Who says so, under which conditions." },
    { .name = "slowed_by", .type = ES_OPT_JSON, .offset = offsetof(unit_fields, slowed_by), .help = "Rate while something else runs: {\"pcie.h2d\": 0.9}." },
    { .name = "handover", .type = ES_OPT_TIME, .offset = offsetof(unit_fields, unit.handover_ns), .max = 9e15, .help = "Until it has noticed that a copy it waits for is there." },
    TEXT("note", unit_fields, unit.note, "What else one should know."),
    { 0 },
};

typedef struct copied_fields {
    const es_json *fades, *points, *handed;
} copied_fields;

const es_option es_unit_copied_options[] = {
    { .name = "fades", .type = ES_OPT_JSON, .offset = offsetof(copied_fields, fades), .required = true,
      .help = "How much of what that saves is left, by the memory touched between copy and expert: [{bytes, saved}, ...], ascending; all at 0, nothing beyond the last." },
    { .name = "points", .type = ES_OPT_JSON, .offset = offsetof(copied_fields, points), .required = true, .help = "As those of the unit." },
    { .name = "handed", .type = ES_OPT_JSON, .offset = offsetof(copied_fields, handed), .help = "The same where that copy ran while the unit computed something else." },
    { 0 },
};

const es_option es_unit_point_options[] = {
    { .name = "tokens", .type = ES_OPT_INT, .offset = offsetof(es_unit_point, tokens), .min = 1, .max = 0x1p32, .required = true, .help = "That an expert serves." },
    { .name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(es_unit_point, bytes), .min = 1, .max = 0x1p53, .required = true, .help = "Of the expert." },
    { .name = "time", .type = ES_OPT_TIME, .offset = offsetof(es_unit_point, time_ns), .min = 1, .max = 9e15, .required = true, .help = "What it took." },
    { 0 },
};

const es_option es_point_options[] = {
    { .name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(es_point, bytes), .min = 1, .max = 9e18, .required = true,
      .help = "Size of one copy." },
    { .name = "lanes", .type = ES_OPT_INT, .offset = offsetof(es_point, lanes), .def = 1, .min = 1, .max = 4096,
      .help = "Copies at once." },
    { .name = "rate", .type = ES_OPT_RATE, .offset = offsetof(es_point, rate), .required = true, .help = "Effective rate." },
    { 0 },
};

es_code es_profile_ceiling(const char *kind, double *rate, es_err *err)
{
    const char *name[KINDS];
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, kind) == 0) {
            *rate = kinds[i].ceiling_gbps * 1e9;
            return ES_OK;
        }
        name[i] = kinds[i].name;
    }
    const char *near = es_text_nearest(kind, name, KINDS);
    return es_err_set(err, ES_EINPUT, "no kind of link is called \"%s\"%s%s%s; \"other\" has no ceiling", kind,
        near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static es_code rate_check(const char *kind, double ceiling, double rate, bool forced, es_err *err)
{
    if (!(rate > 0.0))
        return es_err_set(err, ES_EINPUT, "a rate must be above 0");
    if (ceiling <= 0.0 || rate <= ceiling || forced)
        return ES_OK;
    es_text have = { 0 }, most = { 0 };
    es_text_unit(&have, rate, ES_UNIT_RATE);
    es_text_unit(&most, ceiling, ES_UNIT_RATE);
    es_code code = es_err_set(err, ES_EINPUT,
        "%s is above %s, the most %s can physically carry in one direction; \"forced\": true lets it pass", have.at ? have.at : "the rate",
        most.at ? most.at : "the ceiling", kind);
    es_text_free(&have);
    es_text_free(&most);
    return code;
}

es_code es_profile_check_rate(const char *kind, double rate, bool forced, es_err *err)
{
    double ceiling = 0.0;
    es_code code = es_profile_ceiling(kind, &ceiling, err);
    return code == ES_OK ? rate_check(kind, ceiling, rate, forced, err) : code;
}

/* Every number has a source and a provenance. What has none of its own takes those of the rate beside it. */
static es_code origin_settle(es_origin *own, const es_origin *rate, const char *what, es_err *err)
{
    if (!own->source && own->provenance == ES_PROVENANCE_UNSTATED)
        *own = *rate;
    if (!own->source || own->provenance == ES_PROVENANCE_UNSTATED)
        return es_err_set(err, ES_EINPUT, "%s needs both a source and a provenance: measured, reported, theoretical or synthetic", what);
    return ES_OK;
}

static es_code points_read(es_flow *flow, const es_json *list, const es_link *link, es_arena *arena, es_err *err)
{
    if (!list)
        return ES_OK;
    if (!cJSON_IsArray(list))
        return es_err_set(err, ES_EINPUT, "needs a list, found %s", es_json_kind(list));
    es_point *point = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), es_point);
    if (!point)
        return es_err_nomem(err, "the points of a profile");
    size_t i = 0;
    const es_json *item;
    cJSON_ArrayForEach(item, list) {
        es_point *p = &point[i];
        es_code code = es_options_parse(es_point_options, p, item, NULL, arena, err);
        if (code == ES_OK)
            code = rate_check(link->kind, link->ceiling, p->rate, link->forced, err);
        if (code == ES_OK && i && (p->lanes < p[-1].lanes || (p->lanes == p[-1].lanes && p->bytes <= p[-1].bytes)))
            code = es_err_set(err, ES_EINPUT, "points must ascend by lanes, then by bytes");
        if (code != ES_OK) {
            es_err_at(err, "%zu", i);
            return code;
        }
        i++;
    }
    flow->point = point;
    flow->points = i;
    return ES_OK;
}

static es_code fit_read(es_flow *flow, const es_json *object, const es_link *link, es_arena *arena, es_err *err)
{
    if (!object)
        return ES_OK;
    es_fit *fit = ES_NEW(arena, es_fit);
    if (!fit)
        return es_err_nomem(err, "the fit of a flow");
    es_code code = es_fit_parse(fit, object, link->forced, arena, err);
    for (size_t i = 0; i < fit->beta.count && code == ES_OK; i++)
        if ((code = rate_check(link->kind, link->ceiling, fit->beta.at[i], link->forced, err)) != ES_OK)
            es_err_at(err, "beta_Bps");
    flow->fit = fit;
    return code;
}

static es_code slowed_read(const es_slowdown **out, size_t *count, const es_json *object, es_arena *arena, es_err *err)
{
    if (object && !cJSON_IsObject(object))
        return es_err_set(err, ES_EINPUT, "found %s, needs {\"FLOW or unit\": factor}", es_json_kind(object));
    es_slowdown *slowed = ES_NEW_ARRAY(arena, object ? cJSON_GetArraySize(object) : 0, es_slowdown);
    const es_json *item;
    cJSON_ArrayForEach(item, object) {
        if (!cJSON_IsNumber(item) || !(item->valuedouble > 0.0) || item->valuedouble > 1.0)
            return es_err_set(err, ES_EINPUT, "%s: needs a factor above 0 and at most 1", item->string);
        if (!slowed || !(slowed[*count].by = es_arena_text(arena, item->string)))
            return es_err_nomem(err, "what slows a flow");
        slowed[(*count)++].factor = item->valuedouble;
    }
    *out = slowed;
    return ES_OK;
}

typedef struct max_rate_fields {
    double alpha_s, one, link, error;
} max_rate_fields;

static const es_option max_rate_options[] = {
    { .name = "alpha_s", .type = ES_OPT_REAL, .offset = offsetof(max_rate_fields, alpha_s), .max = 1e9, .required = true, .help = "Fixed time." },
    { .name = "one_Bps", .type = ES_OPT_REAL, .offset = offsetof(max_rate_fields, one), .min = 1, .max = 1e18, .required = true, .help = "Rate of one at a time." },
    { .name = "link_Bps", .type = ES_OPT_REAL, .offset = offsetof(max_rate_fields, link), .min = 1, .max = 1e18, .required = true, .help = "Rate of all at a time." },
    { .name = "error_median", .type = ES_OPT_REAL, .offset = offsetof(max_rate_fields, error), .max = 1e6, .help = "Of the points, relative." },
    { 0 },
};

static es_code max_rate_check(const es_json *object, const es_link *link, es_arena *arena, es_err *err)
{
    max_rate_fields f = { 0 };
    es_code code = object ? es_options_parse(max_rate_options, &f, object, NULL, arena, err) : ES_OK;
    if (code == ES_OK && object && (code = rate_check(link->kind, link->ceiling, f.link, link->forced, err)) != ES_OK)
        es_err_at(err, "link_Bps");
    return code;
}

static es_code flow_read(es_flow *out, const es_json *object, const es_link *link, es_arena *arena, es_err *err)
{
    flow_fields f = { 0 };
    es_code code = es_options_parse(es_flow_options, &f, object, NULL, arena, err);
    es_flow *flow = &f.flow;
    if (code == ES_OK && (code = rate_check(link->kind, link->ceiling, flow->rate, link->forced, err)) != ES_OK)
        es_err_at(err, "rate");
    if (code == ES_OK)
        code = origin_settle(&flow->rate_origin, &flow->rate_origin, "rate", err);
    if (code == ES_OK)
        code = origin_settle(&flow->latency_origin, &flow->rate_origin, "latency", err);
    if (code == ES_OK)
        code = origin_settle(&flow->host_origin, &flow->rate_origin, "host_time", err);
    if (code == ES_OK)
        code = origin_settle(&flow->points_origin, &flow->rate_origin, "points", err);
    if (code == ES_OK && (code = points_read(flow, f.points, link, arena, err)) != ES_OK)
        es_err_at(err, "points");
    if (code == ES_OK && (code = fit_read(flow, f.fit, link, arena, err)) != ES_OK)
        es_err_at(err, "fit");
    if (code == ES_OK && (code = slowed_read(&flow->slowed, &flow->slowdowns, f.slowed_by, arena, err)) != ES_OK)
        es_err_at(err, "slowed_by");
    if (code == ES_OK && (code = max_rate_check(f.max_rate, link, arena, err)) != ES_OK)
        es_err_at(err, "max_rate");
    if (code == ES_OK && (code = es_profile_waits_check(f.waits, err)) != ES_OK)
        es_err_at(err, "waits");
    if (code == ES_OK && flow->onto < 1.0 && flow->onto_near_bytes == 0)
        code = es_err_set(err, ES_EINPUT, "onto: a share of %g needs onto_near, the bytes up to which it holds", flow->onto);
    if (code == ES_OK) {
        *out = *flow;
        return ES_OK;
    }
    return code;
}

/* The ceiling of the kind; of memory, what its channels carry together. */
static es_code ceiling_settle(es_link *link, es_err *err)
{
    es_code code = es_profile_ceiling(link->kind, &link->ceiling, err);
    if (code != ES_OK) {
        es_err_at(err, "kind");
        return code;
    }
    if ((link->channels > 0) != (link->mt_per_s > 0.0))
        return es_err_set(err, ES_EINPUT, "channels and mt_per_s need each other");
    if (!link->channels)
        return ES_OK;
    if (strcmp(link->kind, "dram") != 0 && strcmp(link->kind, "unified") != 0)
        return es_err_set(err, ES_EINPUT, "channels: only dram and unified have memory channels, this is %s", link->kind);
    link->ceiling = (double)link->channels * link->mt_per_s * 1e6 * CHANNEL_BYTES;
    return origin_settle(&link->memory_origin, &link->memory_origin, "channels", err);
}

static es_code link_read(es_link *out, const es_json *object, es_arena *arena, es_err *err)
{
    link_fields f = { 0 };
    es_code code = es_options_parse(es_profile_link_options, &f, object, NULL, arena, err);
    if (code == ES_OK)
        code = ceiling_settle(&f.link, err);
    if (code != ES_OK)
        return code;
    es_flow *flow = ES_NEW_ARRAY(arena, FLOWS, es_flow);
    if (!flow)
        return es_err_nomem(err, "the links of a profile");
    for (size_t i = 0; i < FLOWS; i++) {
        if (!f.flow[i])
            continue;
        if ((code = flow_read(&flow[f.link.flows], f.flow[i], &f.link, arena, err)) != ES_OK) {
            es_err_at(err, "%s", flow_names[i]);
            return code;
        }
        flow[f.link.flows++].name = flow_names[i];
    }
    if (!f.link.flows)
        return es_err_set(err, ES_EINPUT, "has no flow; one of h2d, d2h, pageable, read, write, hot, alloc, pin is needed");
    f.link.flow = flow;
    f.link.name = out->name;
    *out = f.link;
    return ES_OK;
}

static es_code unit_points_read(const es_unit_point **out, size_t *count, const es_json *list, es_arena *arena, es_err *err)
{
    if (!list)
        return ES_OK;
    if (!cJSON_IsArray(list))
        return es_err_set(err, ES_EINPUT, "needs a list, found %s", es_json_kind(list));
    es_unit_point *point = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), es_unit_point);
    if (!point)
        return es_err_nomem(err, "the points of a compute unit");
    const es_json *item;
    cJSON_ArrayForEach(item, list) {
        es_unit_point *p = &point[*count];
        es_code code = es_options_parse(es_unit_point_options, p, item, NULL, arena, err);
        if (code == ES_OK && *count && (p->tokens < p[-1].tokens || (p->tokens == p[-1].tokens && p->bytes <= p[-1].bytes)))
            code = es_err_set(err, ES_EINPUT, "points must ascend by tokens, then by bytes");
        if (code)
            return es_err_at(err, "%zu", *count), code;
        ++*count;
    }
    *out = point;
    return ES_OK;
}

static es_code unit_copied_read(es_profile_unit *unit, const es_json *object, es_arena *arena, es_err *err)
{
    copied_fields f = { 0 };
    if (!object)
        return ES_OK;
    es_code code = es_options_parse(es_unit_copied_options, &f, object, NULL, arena, err);
    if (code == ES_OK && (code = es_fades_parse(&unit->fades, f.fades, arena, err)) != ES_OK)
        es_err_at(err, "fades");
    if (code == ES_OK && (code = unit_points_read(&unit->copied, &unit->copieds, f.points, arena, err)) != ES_OK)
        es_err_at(err, "points");
    if (code == ES_OK && (code = unit_points_read(&unit->handed, &unit->handeds, f.handed, arena, err)) != ES_OK)
        es_err_at(err, "handed");
    return code;
}

static es_code units_read(es_profile *profile, const es_json *section, es_arena *arena, es_err *err)
{
    if (section && !cJSON_IsObject(section))
        return es_err_set(err, ES_EINPUT, "needs an object of compute units by name, found %s", es_json_kind(section));
    es_profile_unit *unit = ES_NEW_ARRAY(arena, section ? cJSON_GetArraySize(section) : 0, es_profile_unit);
    if (!unit)
        return es_err_nomem(err, "the compute units of a profile");
    const es_json *item;
    cJSON_ArrayForEach(item, section) {
        unit_fields f = { 0 };
        es_profile_unit *u = &f.unit;
        es_code code = es_options_parse(es_profile_unit_options, &f, item, NULL, arena, err);
        if (code == ES_OK)
            code = origin_settle(&u->origin, &u->origin, "a compute unit", err);
        if (code == ES_OK && (code = slowed_read(&u->slowed, &u->slowdowns, f.slowed_by, arena, err)) != ES_OK)
            es_err_at(err, "slowed_by");
        if (code == ES_OK && (code = unit_points_read(&u->point, &u->points, f.points, arena, err)) != ES_OK)
            es_err_at(err, "points");
        if (code == ES_OK && (code = unit_copied_read(u, f.copied, arena, err)) != ES_OK)
            es_err_at(err, "copied");
        if (code == ES_OK && f.error && (code = es_fit_parse_error(f.error, arena, err)) != ES_OK)
            es_err_at(err, "error");
        es_fit noise = { 0 };
        if (code == ES_OK && u->noise && (code = es_fit_parse_noise(&noise, u->noise, arena, err)) != ES_OK)
            es_err_at(err, "noise");
        if (code != ES_OK) {
            es_err_at(err, "%s", item->string);
            return code;
        }
        if (!(u->name = es_arena_text(arena, item->string)))
            return es_err_nomem(err, "the compute units of a profile");
        unit[profile->units++] = *u;
    }
    profile->unit = unit;
    return ES_OK;
}

es_code es_profile_parse(es_profile *profile, const es_json *machine, const char *const *allow, es_arena *arena, es_err *err)
{
    profile_fields f = { 0 };
    es_code code = es_options_parse(es_profile_options, &f, machine, allow, arena, err);
    if (code != ES_OK)
        return code;
    if (f.schema && strcmp(f.schema, ES_PROFILE_SCHEMA) != 0)
        return es_err_set(err, ES_EINPUT, "schema: \"%s\" is unknown, needs \"" ES_PROFILE_SCHEMA "\"", f.schema);
    if (!cJSON_IsObject(f.links))
        return es_err_set(err, ES_EINPUT, "links: needs an object of links by name, found %s", es_json_kind(f.links));
    es_link *link = ES_NEW_ARRAY(arena, cJSON_GetArraySize(f.links), es_link);
    if (!link)
        return es_err_nomem(err, "the links of a profile");
    const es_json *item;
    cJSON_ArrayForEach(item, f.links) {
        es_link *l = &link[f.profile.links];
        if (!(l->name = es_arena_text(arena, item->string)))
            return es_err_nomem(err, "the links of a profile");
        if ((code = link_read(l, item, arena, err)) != ES_OK) {
            es_err_at(err, "links.%s", item->string);
            return code;
        }
        f.profile.links++;
    }
    f.profile.link = link;
    if ((code = units_read(&f.profile, f.compute, arena, err)) != ES_OK) {
        es_err_at(err, "compute");
        return code;
    }
    for (size_t i = 0; i < PROFILE_TABLES; i++)
        if ((code = es_profile_table_check(f.table[i], arena, err)) != ES_OK)
            return es_err_at(err, "%s", table_names[i]);
    if ((code = es_profile_memory_parse(&f.profile.memory, &f.profile.memories, f.memory, arena, err)) != ES_OK) {
        es_err_at(err, "memory");
        return code;
    }
    cJSON_ArrayForEach(item, f.skipped)
        if (!cJSON_IsObject(f.skipped) || !cJSON_IsString(item))
            return es_err_set(err, ES_EINPUT, "skipped: needs {\"ROW\": \"why it was not measured\"}, found %s", es_json_kind(item));
    f.profile.skipped = f.skipped;
    *profile = f.profile;
    return ES_OK;
}

const es_profile_unit *es_profile_unit_find(const es_profile *profile, const char *name)
{
    for (size_t i = 0; i < profile->units; i++)
        if (strcmp(profile->unit[i].name, name) == 0)
            return &profile->unit[i];
    return NULL;
}

es_code es_profile_flow(const es_profile *profile, const char *name, const es_flow **out, es_err *err)
{
    const char *known[64];
    size_t count = 0;
    const es_json *skipped = cJSON_GetObjectItemCaseSensitive(profile->skipped, name);
    if (skipped)
        return es_err_set(err, ES_EINPUT, "the machine %s has no \"%s\": %s", profile->name, name, skipped->valuestring);
    es_text names = { 0 };          /* all full names, each with its terminating 0 */
    for (size_t l = 0; l < profile->links; l++) {
        const es_link *link = &profile->link[l];
        size_t length = strlen(link->name);
        for (size_t i = 0; i < link->flows; i++) {
            if (strncmp(name, link->name, length) == 0 && name[length] == '.' && strcmp(name + length + 1, link->flow[i].name) == 0) {
                *out = &link->flow[i];
                es_text_free(&names);
                return ES_OK;
            }
            es_text_add(&names, "%s.%s", link->name, link->flow[i].name);
            es_text_put(&names, "", 1);
        }
    }
    if (!names.failed) {
        for (const char *at = names.at; count < sizeof known / sizeof known[0] && at && at < names.at + names.length; at += strlen(at) + 1)
            known[count++] = at;
    }
    const char *near = es_text_nearest(name, known, count);
    es_code code = es_err_set(err, ES_EINPUT, "the machine %s has no \"%s\"%s%s%s", profile->name, name,
        near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    es_text_free(&names);
    return code;
}
