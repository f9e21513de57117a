/* Result: from a config to what is known at the end, and the files that keep it.
 *
 * result.json is the whole report. result.h5 has the same text and more than a report can hold; both can be run again:
 *
 *     /                  attributes: name, version, seed, causal, sha256 of config and trace ...
 *     /config/files/N    text of each config file as the user wrote it, attribute `path`    /config/sets     each --set on a line
 *     /config/resolved   the config with every default    /calibration/machine    the profile used    /summary    result.json
 *     /tables /series /hist   what observers keep: rows of tokens, requests, layers; curves; histograms
 *     /volatile          attributes
 *
 * Facts that differ from one run to the next (date, host, wall time) stand in "volatile", nowhere else. */
#ifndef ES_STUDY_RESULT_H
#define ES_STUDY_RESULT_H

#include "sim/core/run.h"
#include "sim/study/config.h"

#ifndef ES_VERSION               /* the build says it, from meson.build */
#define ES_VERSION "0.1.0"
#endif

/* Runs a config and its bounds and makes the result, without volatile facts. ES_ECHECK: an observer (audit) found a fault; *out is
 * whole in that case, and NULL after any other error. With `kept` the run stays for es_result_save; es_run_free it before the config. */
es_code es_result_run(es_config *config, const es_progress *progress, es_run **kept, es_json **out, es_err *err);
/* The hash of a resolved config, as provenance has it. */
es_code es_result_config_sha256(const es_json *resolved, char hex[65], es_err *err);
/* Adds "volatile": date, host, directory, and the seconds the run took. */
void es_result_add_volatile(es_json *result, double wall_s);
/* The result without "volatile", as text; free() it. */
char *es_result_text(const es_json *result, bool with_volatile);

/* Writes DIR/result.json and DIR/result.h5, both whole or neither; with the tables of the run's observers when it is given. */
es_code es_result_save(const es_json *result, es_run *run, const char *dir, es_err *err);
/* Writes the second of these alone, as it goes: to have all of it or none, write it under another name, flush and rename. */
es_code es_result_write_h5(const es_json *result, es_run *run, const char *path, es_err *err);
/* The same for many results without tables that differ in the value of an option and what follows from it: the first is written whole, the others
 * are copies of it in which config, settings and summary are replaced. {0} before the first; free it. */
typedef struct es_result_like {
    char *bytes;
    size_t length;
} es_result_like;
es_code es_result_write_like(es_result_like *like, const es_json *result, const char *path, es_err *err);
void es_result_like_free(es_result_like *like);
/* The whole report in a result.h5, without volatile facts; delete it. */
es_code es_result_load(const char *path, es_json **out, es_err *err);
/* The resolved config in a result.json or result.h5, and what the user wrote. *dir: where it was made. Both NULL when the result does not
 * say; the caller frees all three. */
es_code es_result_config(const char *path, es_json **config, es_json **input, char **dir, es_err *err);
/* The bounds of a result that was made without, found now by running its config's (bounds.h): what a report has as "bounds", but for what
 * follows from the run itself. Its trace is looked for here and where the result was made. Delete it. */
es_code es_result_bounds(const char *path, es_json **bounds, es_err *err);

#endif
