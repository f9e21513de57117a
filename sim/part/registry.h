/* Registry: finds a part by kind and name. */
#ifndef ES_PART_REGISTRY_H
#define ES_PART_REGISTRY_H

#include "sim/part/part.h"

const char *es_kind_name(es_kind kind);                     /* "policy" */
bool es_kind_find(const char *name, es_kind *kind);
/* The i-th part of a kind in the order of parts.def, NULL past the end. */
const es_part *es_part_at(es_kind kind, size_t i);
/* The part's table (its es_part is its first member). Unknown names are errors that suggest the nearest. */
es_code es_part_find(es_kind kind, const char *name, const es_part **out, es_err *err);

/* Plug-ins: shared objects that export `const es_plugin es_plugin_table`. A set lives as long as its run. */
typedef struct es_plugin_entry { es_kind kind; const es_part *part; } es_plugin_entry;
typedef struct es_plugin { unsigned abi; const es_plugin_entry *entries; size_t count; } es_plugin;
typedef struct es_plugins { void **handle; const es_plugin **plugin; size_t count; } es_plugins;
/* Loads one more. An unreadable file, a missing table and another ABI are errors (ES_EDEVICE for what dlopen says). */
es_code es_plugins_load(es_plugins *set, const char *path, es_err *err);
/* As es_part_find, plug-ins first; set may be NULL. */
es_code es_plugins_find(const es_plugins *set, es_kind kind, const char *name, const es_part **out, es_err *err);
/* As es_part_at, and behind the last of parts.def those of the plug-ins, in the order they were loaded. */
const es_part *es_plugins_at(const es_plugins *set, es_kind kind, size_t i);
void es_plugins_free(es_plugins *set);

#endif
