/* libexpertsim: simulate a config from a program.
 *
 *     char *json = NULL;
 *     es_err err = {0};
 *     if (es_simulate("configs/quickstart.json", NULL, 0, &json, &err) != ES_OK)
 *         fprintf(stderr, "%s\n", err.text);
 *     else
 *         puts(json);
 *     es_free(json);
 *
 * Nothing here prints, exits or keeps state between calls. Call from one thread at a time: traces and results are HDF5 files, and
 * the HDF5 library is not safe for threads as distributions build it. To write a part (a policy, a
 * timing ...), see sim/part/part.h. */
#ifndef EXPERTSIM_H
#define EXPERTSIM_H

#include <stddef.h>

#include "sim/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
const char *es_version(void);

/* Runs a config file with `set_count` settings "PATH=VALUE". *json is the result as `expertsim run --json` prints it. It is also
 * made when the code is ES_ECHECK: an observer found a fault, err says which. */
es_code es_simulate(const char *config, const char *const *sets, size_t set_count, char **json, es_err *err);
/* The same for a config that is a text; relative paths in it are relative to the current directory. */
es_code es_simulate_text(const char *config, const char *const *sets, size_t set_count, char **json, es_err *err);
/* The config with every default, as text, without running it. */
es_code es_resolve(const char *config, const char *const *sets, size_t set_count, char **json, es_err *err);

/* One line "name  brief" per part of a kind ("policy", "timing" ...); NULL: the kinds themselves. */
es_code es_list(const char *kind, char **text, es_err *err);
/* Options of a part ("lru", "policy.lru") or of a key of the config ("contract", "tiers.cache.capacity"). */
es_code es_describe(const char *name, char **text, es_err *err);
/* JSON Schema of a config. */
es_code es_schema(char **json, es_err *err);

void es_free(char *text);

#ifdef __cplusplus
}
#endif

#endif
