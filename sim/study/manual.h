/* Manual: what can be said about parts and keys, made from their tables. Behind `list`, `describe`, `schema` and the README. */
#ifndef ES_STUDY_MANUAL_H
#define ES_STUDY_MANUAL_H

#include "sim/part/registry.h"
#include "sim/study/config.h"

/* The tables of a config, then those of a sweep file; `i` walks them. */
const es_config_table *es_manual_table_at(size_t i);
/* One line per part of a kind, "name  brief"; of all kinds, with headings, when `kind` is NULL. `names`: bare names, for scripts.
 * `plugins`: whose parts are known, too; NULL: none. */
es_code es_manual_list(const es_plugins *plugins, const char *kind, bool names, es_text *out, es_err *err);
/* A part ("lru", "policy.lru"), a kind, a section or key of the config ("contract", "tiers.cache.capacity"). NULL: the sections. */
es_code es_manual_describe(const es_plugins *plugins, const char *name, es_text *out, es_err *err);
/* Every name that describe knows, one a line, for completion. */
void es_manual_names(const es_plugins *plugins, es_text *out);
/* JSON Schema of a config; NULL: no memory. */
es_json *es_manual_schema(void);
/* All of it as Markdown tables. */
void es_manual_markdown(es_text *out);
/* The same as sections of a man page. */
void es_manual_roff(es_text *out);
/* Text that roff sets as it is. */
void es_roff_text(const char *text, size_t length, es_text *out);

#endif
