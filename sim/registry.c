/* Registry: the parts of sim/parts.def by kind and name, and those of plug-ins.
 *
 * The list is made by including parts.def three times: once to declare the tables, once to list them, and once more by meson for
 * the sources. Nothing else in the tree names a part's table. */
#include "sim/part/registry.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/part/allocator.h"
#include "sim/part/dispatcher.h"
#include "sim/part/observer.h"
#include "sim/part/policy.h"
#include "sim/part/predictor.h"
#include "sim/part/probe.h"
#include "sim/part/router.h"
#include "sim/part/scheduler.h"
#include "sim/part/source.h"
#include "sim/part/timing.h"
#include "sim/part/tuner.h"

#define ES_PART(kind, name) extern const es_##kind es_##kind##_##name;
#include "sim/parts.def"
#undef ES_PART

enum {                          /* kinds as parts.def writes them */
    registry_policy = ES_KIND_POLICY,
    registry_predictor = ES_KIND_PREDICTOR,
    registry_dispatcher = ES_KIND_DISPATCHER,
    registry_router = ES_KIND_ROUTER,
    registry_scheduler = ES_KIND_SCHEDULER,
    registry_allocator = ES_KIND_ALLOCATOR,
    registry_timing = ES_KIND_TIMING,
    registry_tuner = ES_KIND_TUNER,
    registry_observer = ES_KIND_OBSERVER,
    registry_source = ES_KIND_SOURCE,
    registry_probe = ES_KIND_PROBE
};

typedef struct registry_row {
    int kind;
    const es_part *part;
} registry_row;

static const registry_row registry_rows[] = {
#define ES_PART(kind, name) {registry_##kind, &es_##kind##_##name.part},
#include "sim/parts.def"
#undef ES_PART
};

static const char *const registry_kinds[ES_KINDS] = {
    [ES_KIND_POLICY] = "policy",
    [ES_KIND_PREDICTOR] = "predictor",
    [ES_KIND_DISPATCHER] = "dispatcher",
    [ES_KIND_ROUTER] = "router",
    [ES_KIND_SCHEDULER] = "scheduler",
    [ES_KIND_ALLOCATOR] = "allocator",
    [ES_KIND_TIMING] = "timing",
    [ES_KIND_TUNER] = "tuner",
    [ES_KIND_OBSERVER] = "observer",
    [ES_KIND_SOURCE] = "source",
    [ES_KIND_PROBE] = "probe",
};

enum { REGISTRY_ROWS = sizeof registry_rows / sizeof *registry_rows };

const char *es_kind_name(es_kind kind)
{
    return kind < ES_KINDS ? registry_kinds[kind] : NULL;
}

bool es_kind_find(const char *name, es_kind *kind)
{
    for (int i = 0; i < ES_KINDS; i++)
        if (strcmp(registry_kinds[i], name) == 0) {
            *kind = (es_kind)i;
            return true;
        }
    return false;
}

const es_part *es_part_at(es_kind kind, size_t i)
{
    for (size_t row = 0; row < REGISTRY_ROWS; row++)
        if (registry_rows[row].kind == (int)kind && i-- == 0)
            return registry_rows[row].part;
    return NULL;
}

es_code es_part_find(es_kind kind, const char *name, const es_part **out, es_err *err)
{
    return es_plugins_find(NULL, kind, name, out, err);
}

/* ---- plug-ins ---- */

static const es_part *plugins_part(const es_plugins *set, es_kind kind, const char *name)
{
    for (size_t p = 0; set && p < set->count; p++)
        for (size_t e = 0; e < set->plugin[p]->count; e++) {
            const es_plugin_entry *entry = &set->plugin[p]->entries[e];
            if (entry->kind == kind && strcmp(entry->part->name, name) == 0)
                return entry->part;
        }
    return NULL;
}

/* Every name of the kind, plug-ins first; returns how many there are, writes at most `most`. */
static size_t plugins_names(const es_plugins *set, es_kind kind, const char **names, size_t most)
{
    size_t count = 0;
    for (size_t p = 0; set && p < set->count; p++)
        for (size_t e = 0; e < set->plugin[p]->count; e++)
            if (set->plugin[p]->entries[e].kind == kind && count < most)
                names[count++] = set->plugin[p]->entries[e].part->name;
    const es_part *part;
    for (size_t i = 0; count < most && (part = es_part_at(kind, i)) != NULL; i++)
        names[count++] = part->name;
    return count;
}

static es_code plugins_unknown(const es_plugins *set, es_kind kind, const char *name, es_err *err)
{
    const char *names[256];
    size_t count = plugins_names(set, kind, names, sizeof names / sizeof *names);
    if (count == 0)
        return es_err_set(err, ES_EINPUT, "there is no %s \"%s\", nor any other", es_kind_name(kind), name);
    const char *nearest = es_text_nearest(name, names, count);
    if (nearest)
        return es_err_set(err, ES_EINPUT, "there is no %s \"%s\"; did you mean \"%s\"?", es_kind_name(kind), name, nearest);
    es_text all = {0};
    for (size_t i = 0; i < count; i++)
        es_text_add(&all, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", names[i]);
    es_code code = es_err_set(err, ES_EINPUT, "there is no %s \"%s\"; there %s %s", es_kind_name(kind), name, count == 1 ? "is" : "are", all.at ? all.at : "others");
    es_text_free(&all);
    return code;
}

es_code es_plugins_find(const es_plugins *set, es_kind kind, const char *name, const es_part **out, es_err *err)
{
    *out = plugins_part(set, kind, name);
    const es_part *part;
    for (size_t i = 0; !*out && (part = es_part_at(kind, i)) != NULL; i++)
        if (strcmp(part->name, name) == 0)
            *out = part;
    return *out ? ES_OK : plugins_unknown(set, kind, name, err);
}

const es_part *es_plugins_at(const es_plugins *set, es_kind kind, size_t i)
{
    size_t own = 0;
    while (es_part_at(kind, own))
        own++;
    if (i < own)
        return es_part_at(kind, i);
    i -= own;
    for (size_t p = 0; set && p < set->count; p++)
        for (size_t e = 0; e < set->plugin[p]->count; e++)
            if (set->plugin[p]->entries[e].kind == kind && i-- == 0)
                return set->plugin[p]->entries[e].part;
    return NULL;
}

/* Makes room for one more in both lists. */
static bool plugins_grow(es_plugins *set)
{
    void **handle = realloc(set->handle, (set->count + 1) * sizeof *handle);
    if (handle)
        set->handle = handle;
    const es_plugin **plugin = realloc(set->plugin, (set->count + 1) * sizeof *plugin);
    if (plugin)
        set->plugin = plugin;
    return handle && plugin;
}

/* Opens the shared object. A name without a slash would be looked up in the system's library path; the config means a file. */
static es_code plugins_open(const char *path, void **handle, es_err *err)
{
    if (access(path, R_OK) != 0)
        return es_err_set(err, ES_EINPUT, "cannot open: %s", strerror(errno));
    es_text file = {0};
    es_text_add(&file, "%s%s", strchr(path, '/') ? "" : "./", path);
    if (file.failed) {
        es_text_free(&file);
        return es_err_nomem(err, "a path");
    }
    *handle = dlopen(file.at, RTLD_NOW | RTLD_LOCAL);
    es_text_free(&file);
    if (*handle)
        return ES_OK;
    const char *why = dlerror();
    return es_err_set(err, ES_EDEVICE, "cannot load: %s", why ? why : "for an unknown reason");
}

static es_code plugins_check(const es_plugin *plugin, es_err *err)
{
    if (!plugin)
        return es_err_set(err, ES_EINPUT, "exports no es_plugin_table; a plug-in defines `const es_plugin es_plugin_table`");
    if (plugin->abi != ES_ABI)
        return es_err_set(err, ES_EINPUT, "was built for version %u of the part interface, this is version %u; build it again", plugin->abi, ES_ABI);
    for (size_t i = 0; i < plugin->count; i++) {
        const es_plugin_entry *entry = &plugin->entries[i];
        if ((unsigned)entry->kind >= ES_KINDS || !entry->part || !entry->part->name || !entry->part->brief)
            return es_err_set(err, ES_EINPUT, "entry %zu of es_plugin_table names no part", i);
        if (entry->part->abi != ES_ABI)
            return es_err_set(err, ES_EINPUT, "%s %s was built for version %u of the part interface, this is version %u", es_kind_name(entry->kind), entry->part->name,
                entry->part->abi, ES_ABI);
    }
    return ES_OK;
}

es_code es_plugins_load(es_plugins *set, const char *path, es_err *err)
{
    void *handle = NULL;
    es_code code = plugins_open(path, &handle, err);
    if (code)
        goto out;
    const es_plugin *plugin = dlsym(handle, "es_plugin_table");
    code = plugins_check(plugin, err);
    if (code == ES_OK && !plugins_grow(set))
        code = es_err_nomem(err, "the list of plug-ins");
    if (code)
        goto out;
    set->handle[set->count] = handle;
    set->plugin[set->count++] = plugin;
    return ES_OK;
out:
    if (handle)
        dlclose(handle);
    return es_err_at(err, "%s", path), code;
}

void es_plugins_free(es_plugins *set)
{
    for (size_t i = set->count; i-- > 0;)
        dlclose(set->handle[i]);
    free(set->handle);
    free(set->plugin);
    *set = (es_plugins){0};
}
