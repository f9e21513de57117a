/* Config: what is to be simulated, as the user says it in JSON, made into a plan. The only reader of configs, profiles, shapes.
 *
 *     es_config_load    files, includes and --set; checks every key; knows every default
 *     es_config_plan    opens the trace and gives each object its bytes
 *
 * Errors are one sentence: who says it, the key, what was found and what would be right. */
#ifndef ES_STUDY_CONFIG_H
#define ES_STUDY_CONFIG_H

#include "sim/core/plan.h"
#include "sim/part/registry.h"

typedef struct es_config es_config;

/* Each setting is "PATH=VALUE"; the value is JSON when it parses as JSON, a text otherwise. */
es_code es_config_load(es_config **out, const char *path, const char *const *sets, size_t set_count, es_err *err);
/* From a tree, such as the resolved config of a result. `from` names it in errors. */
es_code es_config_from(es_config **out, const es_json *tree, const char *from, const char *const *sets, size_t set_count, es_err *err);
void es_config_free(es_config *config);

/* Every option with its value, in the order of the tables. Fed back as a config it gives itself. */
const es_json *es_config_resolved(const es_config *config);
/* {"files": [{"path", "text"}...], "sets": [...]}: to the letter what the user wrote. */
const es_json *es_config_input(const es_config *config);
/* One observer more, as the config would name it: {"name": ..., its options}. `key` names it in errors. Before the plan. */
es_code es_config_observe(es_config *config, const char *key, const es_json *observer, es_err *err);
/* The input of a result that is run again: its files, and its settings before those of now. */
es_code es_config_inherit(es_config *config, const es_json *input, es_err *err);
const char *es_config_name(const es_config *config);
const char *es_config_brief(const es_config *config);   /* NULL: none */
bool es_config_bounds(const es_config *config);
bool es_config_noise_known(const es_config *config);    /* its machine says what noise a channel has: "noise": true would draw it */

/* Opens the source (once; it stays open until the config is freed) and makes the plan, which belongs to the config. */
es_code es_config_plan(es_config *config, const es_plan **out, es_err *err);
/* What the run will read of its trace; `path` is the config's. */
es_source_ask es_config_ask(const es_config *config);
/* An open source that gives the same trace, from its beginning: the plan takes it instead of opening one. It stays the caller's. */
void es_config_lend(es_config *config, const es_source *source, void *state);
/* Does a plug-in bring sources? Then to look for the trace's is to run code of others. */
bool es_config_foreign_sources(const es_config *config);
/* Puts who said the key with which the error begins before it, for what only the run finds out. Returns the code. */
es_code es_config_blame(const es_config *config, es_err *err);
const es_trace_info *es_config_trace(const es_config *config);  /* after the plan */
const char *es_config_trace_path(const es_config *config);      /* NULL for a generator */
bool es_config_bytes_known(const es_config *config);            /* after the plan: objects weigh what the plan says, not 1 */

/* Decode uses of every expert in another trace of the same model, [layers][experts] of this one's, layers matched by the model's numbers; with
 * catalog.key expert all in the first row. The config's arena has it. After the plan. ES_EINPUT: it is of another shape, or has no decode steps. */
es_code es_config_uses(es_config *config, const char *path, uint64_t **uses, es_err *err);

/* "after_batch", or "event_atomic, scope layer, quota round": the preset that says most of a resolved contract, and what differs. */
void es_config_contract_label(const es_json *contract, es_text *out);

/* The tables behind the keys of a config, for `describe`, `schema` and the README. `i` walks them. */
typedef struct es_config_table {
    const char *key;            /* "", "trace", "tiers.NAME", "links[i]", "contract" ... */
    const char *brief;
    const es_option *options;
} es_config_table;
const es_config_table *es_config_table_at(size_t i);
/* Which kind of part stands at a key of these tables ("policy", "channels.NAME.timing"); false: none. */
bool es_config_part_at(const char *key, es_kind *kind);

#endif
