/* Inside a config: what its files share. See config.h.
 *
 *     config.c   top level: load, order of resolving, echo, tables      machine.c  parts, tiers, channels, links, compute
 *     model.c    bytes of the objects                                   feed.c     the trace
 *     start.c    what is there before the first step                    precision.c  bits of the experts
 *     popularity.c  uses of experts in a calibration trace
 *     profiled.c what channels and tiers take from a machine's profile */
#ifndef ES_STUDY_CONFIG_INSIDE_H
#define ES_STUDY_CONFIG_INSIDE_H

#include "models/profile.h"
#include "models/shape.h"
#include "sim/study/config.h"
#include "sim/study/feed.h"
#include "sim/study/tree.h"

typedef struct config_top {     /* the top level; JSON rows are sections of their own */
    const char *name, *brief, *about;
    const es_json *plugins, *machine, *trace, *model, *tiers, *channels, *links, *catalog, *compute, *training, *policy, *predictor, *dispatcher, *router, *tuner, *contract, *observers;
    int clock;
    bool bounds, stream, noise, force;
    int64_t seed, replication;
} config_top;

typedef struct config_trace {
    const char *path, *format;
    const es_json *source;
    int64_t layers, top_k;
    int axes;
    bool lenient;
} config_trace;

typedef struct config_model {
    const char *name, *precision;
    const es_json *shape, *expert_bytes, *layer_bytes, *matrix_bytes;
    int64_t matrices, experts, expert_bits;
} config_model;

typedef struct config_channel { /* a channel of the plan and what only the config knows of it */
    const char *kind, *profile;
    bool compute;               /* some tier computes with it */
} config_channel;

struct es_config {
    es_tree tree;
    es_arena arena;
    es_plugins plugins;
    es_json *resolved;

    config_top top;
    config_trace trace;
    config_model model;
    es_profile machine;
    bool has_machine;
    bool noise_known;           /* a channel has, or could have, the noise that its machine was measured with */
    es_shape shape;
    bool has_shape;

    es_plan_part source;        /* of trace.source */
    es_plan_tier *tiers;
    es_plan_channel *channels;
    config_channel *channel_extra;
    es_plan_link *links;
    es_plan_part *observers, *tuners;
    es_plan plan;
    bool planned, bytes_known;
    es_feed feed;
};

/* ---- machine.c ---- */
extern const es_option config_tier_more[], config_channel_more[];   /* keys beside those of the core's tables */

/* A part at `key`: its options parsed, and added to `echo` under `name` (NULL: to a list). `given` NULL: the part called `def`
 * when there is one, else none. */
es_code config_part(es_config *config, es_kind kind, const es_json *given, const char *key, const char *def, es_plan_part *out, es_json *echo, const char *name, es_err *err);
es_code config_tiers(es_config *config, es_json *echo, es_err *err);
es_code config_channels(es_config *config, es_json *echo, es_err *err);
es_code config_links(es_config *config, es_json *echo, es_err *err);
es_code config_catalog(es_config *config, es_json *echo, es_err *err);
es_code config_compute(es_config *config, es_json *echo, es_err *err);
/* Fills in what a channel that names a flow, a compute unit or a memory of the profile takes from it (profiled.c). */
es_code config_profiled(es_config *config, es_json *given, config_channel *extra, es_err *err);
/* The same of a tier that names a memory: the price of its allocations. */
es_code config_profiled_tier(es_config *config, es_json *given, const char *name, es_err *err);
es_code config_training(es_config *config, es_json *echo, es_err *err);
es_code config_observers(es_config *config, es_json *echo, es_err *err);

/* ---- model.c ---- */
extern const es_option config_model_options[];
es_code config_model_read(es_config *config, es_json *echo, es_err *err);
/* The bytes of the plan's objects, once the trace is open. */
es_code config_bytes(es_config *config, es_err *err);
/* The rows of contract.start, once the trace is open (start.c). */
es_code config_start(es_config *config, es_err *err);
/* A size in bytes, "12.6MiB" or a number, from 1 to 2^53. */
es_code config_size(const es_json *value, int64_t *bytes, es_err *err);

/* ---- contract.c ---- */
es_code config_contract(es_config *config, es_json *echo, es_err *err);

/* ---- precision.c: catalog.bits, once the bytes are known ---- */
es_code config_precision(es_config *config, es_err *err);

/* ---- popularity.c ---- */
/* Decode uses of every expert in the trace at `path`, "in_sample": the run's own; [layers][experts], under catalog.key expert all in the first
 * layer's row. */
es_code config_uses(es_config *config, const char *path, uint64_t **uses, es_err *err);
/* Uses of every object in the trace that a part's `calibrate` names. */
es_code config_popularity(es_config *config, es_plan_part *part, es_err *err);

#endif
