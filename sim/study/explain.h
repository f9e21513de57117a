/* Explain: why a run takes as long as it does, and what it would take if one thing were free.
 *
 * The first comes from observer `attribution`; the second is run, not guessed: the same plan once more with the price of one thing at zero, in
 * every other respect with all that follows from it. docs/explain.md has the keys. */
#ifndef ES_STUDY_EXPLAIN_H
#define ES_STUDY_EXPLAIN_H

#include "sim/core/run.h"
#include "sim/study/config.h"

/* Runs the config, and with `what_if` once more for each thing that could be free. `out`: the explanation; delete it. ES_EINPUT as a run has
 * it, and under clock none. */
es_code es_explain_find(es_config *config, bool what_if, const es_progress *progress, es_json **out, es_err *err);

/* The same, without what-if, of a report that has the causes already: a result of a run with the observer `attribution`. *out is NULL when it has not. */
es_code es_explain_kept(const es_json *report, es_json **out, es_err *err);

#endif
