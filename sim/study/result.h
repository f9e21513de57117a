/* Result: from a config to what is known at the end, and the files that keep it.
 *
 * result.json is the whole report; result.h5 has the same text, the resolved config and the provenance as attributes. Both can
 * be run again. Facts that differ from one run to the next (date, host, wall time) stand in "volatile", nowhere else. */
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
/* Adds "volatile": date, host, directory, and the seconds the run took. */
void es_result_add_volatile(es_json *result, double wall_s);
/* The result without "volatile", as text; free() it. */
char *es_result_text(const es_json *result, bool with_volatile);

/* Writes DIR/result.json and DIR/result.h5, each whole or not at all; with the tables of the run's observers when it is given. */
es_code es_result_save(const es_json *result, es_run *run, const char *dir, es_err *err);
/* The resolved config in a result.json or result.h5. *dir: where it was made, NULL when the result does not say. free() it. */
es_code es_result_config(const char *path, es_json **config, char **dir, es_err *err);

#endif
