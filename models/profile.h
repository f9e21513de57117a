/* Profile: what is known of one machine's links, each number with its source.
 *
 *     "machine": {"name": ..., "links": {"pcie": {"kind": "pcie4_x16", "h2d": {"rate": "25GB/s", "provenance": "reported", ...}}}}
 *
 * A link (pcie, nvme, dram) has flows: the ways bytes go through it, each with its own speed. A profile is data under
 * models/profiles/NAME.json, merged into the root of a config; channels take their timings from it.
 * A rate above what the kind of link can physically carry is refused unless the link is forced: most such numbers are
 * megabits, both directions added up, or a page cache. What `expertsim calibrate` writes says more: the curve of each flow and its noise
 * (profile_fit.h), how copies share a link and what slows them, the environment, and the schema it was written by. */
#ifndef ES_MODELS_PROFILE_H
#define ES_MODELS_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "models/fades.h"
#include "models/profile_fit.h"
#include "models/profile_memory.h"
#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/option.h"
#include "sim/base/time.h"

typedef enum es_provenance {
    ES_PROVENANCE_UNSTATED,
    ES_PROVENANCE_MEASURED,     /* by `expertsim calibrate` on the machine itself */
    ES_PROVENANCE_REPORTED,     /* by somebody else, who is named */
    ES_PROVENANCE_THEORETICAL,  /* a data sheet, a derivation or an assumption; the source says which */
    ES_PROVENANCE_SYNTHETIC     /* by `expertsim calibrate --backend fake`: a formula, no machine */
} es_provenance;

typedef struct es_origin {
    int provenance;             /* es_provenance */
    const char *source;
} es_origin;

typedef struct es_point {       /* effective rate of copies of one size, latency included */
    int64_t bytes, lanes;       /* lanes: how many such copies at once, the rate is their sum */
    double rate;                /* bytes per second */
} es_point;

typedef enum es_flow_discipline { ES_FLOW_UNSTATED, ES_FLOW_FIFO, ES_FLOW_SHARED } es_flow_discipline;

typedef struct es_slowdown {
    const char *by;             /* another flow, "pcie.d2h", or a compute unit, "gpu" */
    double factor;              /* of the rate while that runs, above 0 and at most 1 */
} es_slowdown;

typedef struct es_flow {
    const char *name;           /* "h2d", "d2h", "pageable", "read", "write", "hot", "alloc", "pin" */
    double rate;                /* of large copies, bytes per second */
    es_origin rate_origin;
    es_time latency_ns;
    es_origin latency_origin;
    es_time host_ns;            /* what the call takes of the host's thread */
    es_origin host_origin;
    bool synchronous;           /* the host's thread waits until the copy is done: nothing overlaps */
    int64_t lanes;              /* copies at once up to which the rate still grows */
    const es_point *point;      /* ascending by lanes, then bytes */
    size_t points;
    es_origin points_origin;
    const es_fit *fit;          /* NULL: not calibrated; the rate and points are all there is */
    int discipline;             /* es_flow_discipline: of copies that run at once */
    const es_slowdown *slowed;  /* by what else runs */
    size_t slowdowns;
    es_time handover_ns;        /* until its queue has noticed that another has done what it waits for */
    double onto;                /* share of its time that a copy takes whose destination was used just before; 1: all of it */
    int64_t onto_near_bytes;    /* just before: bytes of memory touched since that use ended, at most */
    const char *note;
} es_flow;

typedef struct es_link {
    const char *name, *kind, *note;
    double ceiling;             /* bytes per second and direction; 0: not known */
    int64_t channels;           /* of memory, 64 bits wide; 0: not stated */
    double mt_per_s;            /* million transfers per second of each */
    es_origin memory_origin;    /* of these two */
    bool forced;
    const es_flow *flow;
    size_t flows;
} es_link;

typedef struct es_unit_point {  /* an expert of so many bytes that serves so many tokens takes time_ns */
    int64_t tokens, bytes;
    es_time time_ns;
} es_unit_point;

typedef struct es_profile_unit {    /* what computes experts; measured with experts of up to expert_bytes */
    const char *name;           /* "gpu" */
    const es_unit_point *point; /* ascending by tokens, then bytes */
    size_t points;              /* 0: not calibrated over sizes; rate, fixed_ns and token_ns are all there is */
    const es_unit_point *copied;    /* the same of experts right behind the copy that brought them; [copieds], 0: not measured */
    size_t copieds;
    const es_unit_point *handed;    /* the same where that copy ran while the unit computed something else; [handeds] */
    size_t handeds;
    es_fades fades;             /* how what either saves is lost */
    int64_t expert_bytes;
    double rate;                /* of its weights, when only they are the limit: bytes per second */
    es_time fixed_ns, token_ns; /* of one expert; added for each token it serves */
    const es_json *noise;       /* around the points; of the JSON that was parsed, NULL: not known */
    es_origin origin;
    const es_slowdown *slowed;  /* by copies */
    size_t slowdowns;
    es_time handover_ns;        /* until it has noticed that a copy it waits for is there */
    const char *note;
} es_profile_unit;

typedef struct es_profile {
    const char *name, *description;
    const es_link *link;
    size_t links;
    const es_profile_unit *unit;
    size_t units;
    const es_profile_memory *memory;
    size_t memories;
    const char *unverified;     /* why its numbers should not be believed yet; NULL: nothing is against them */
    const es_json *skipped;     /* {"disk.read": why it is not there}; of the JSON that was parsed, NULL: not stated */
} es_profile;

#define ES_PROFILE_SCHEMA "calib/1"     /* of what calibration writes; a profile without a schema is one of numbers found elsewhere */

/* Reads and checks the object under `machine`. Members named in `allow` (ends with NULL, may be NULL) are left to the caller. */
es_code es_profile_parse(es_profile *profile, const es_json *machine, const char *const *allow, es_arena *arena, es_err *err);
/* The flow "pcie.h2d". Unknown names are errors that suggest the nearest. */
es_code es_profile_flow(const es_profile *profile, const char *name, const es_flow **out, es_err *err);
/* The compute unit of that name; NULL when there is none. */
const es_profile_unit *es_profile_unit_find(const es_profile *profile, const char *name);
/* What a kind of link carries at most, bytes per second and direction; 0: not known. Unknown kinds are errors that suggest the nearest. */
es_code es_profile_ceiling(const char *kind, double *rate, es_err *err);
/* Refuses a rate above the ceiling of its kind and names both, unless forced. */
es_code es_profile_check_rate(const char *kind, double rate, bool forced, es_err *err);

extern const es_option es_profile_options[], es_profile_link_options[], es_flow_options[], es_point_options[], es_profile_unit_options[], es_unit_point_options[], es_unit_copied_options[];

#endif
